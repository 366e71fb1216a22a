//! Scenarios as text: scripts that two twins of a repository run.
//!
//! One file for each area; `#` starts a comment line. A line is one step.
//!
//! ```text
//! scenario: restores-a-deleted-output       starts a scenario (or `fixture: NAME`)
//! from: linear                              the fixture that it starts from
//! differs: tree e1:.gitignore because …     a difference that is meant (keys may hold `*`)
//!
//! % rm model.bin                            shell, in both twins
//! $ dvc repro                               the tool under test in one twin, the oracle in the other
//! & exp run                                 what our twin runs instead, in our own grammar
//! @ dvc status --json                       the oracle in both twins
//! rc: 255                                   the exit code of the oracle, 0 if not said
//! says: is cached                           both must say so, on either stream
//! lacks: Running stage                      neither may say so
//! same: json                                compared now; the repository is compared at the end anyway
//! in: sub                                   directory of the steps that follow
//! write: params.yaml                        a file in both twins, its lines after `| `
//! | lr: 0.5
//! ```
//!
//! `same:` takes `text`, `lines` (sorted), `json` for the last answer, the aspects of [`crate::observe`] for the
//! repository, and `repository` for all of these. `final: ASPECTS` narrows what is compared at the end.

use std::fmt;

/// A file of scenarios.
#[derive(Clone, Debug, Default)]
pub struct ScenarioFile {
    /// Setups that scenarios start from.
    pub fixtures: Vec<Scenario>,
    /// The scenarios, in order.
    pub scenarios: Vec<Scenario>,
}

/// One script.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// The file's name without its ending.
    pub area: String,
    /// Unique within its area.
    pub name: String,
    /// The fixture that it starts from; none for an empty directory.
    pub from: Option<String>,
    /// Differences that are meant.
    pub differs: Vec<Declared>,
    /// What is compared at the end; all aspects of the repository when empty.
    pub finally: Vec<String>,
    /// The steps with their line numbers.
    pub steps: Vec<(usize, Step)>,
}

/// A difference that is meant, with the reason that `docs/dvc-compatibility.md` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The aspect that differs.
    pub aspect: String,
    /// The keys that differ; `*` stands for anything.
    pub keys: String,
    /// Why.
    pub reason: String,
}

impl Declared {
    /// Whether a difference of this aspect and key is meant.
    pub fn covers(&self, aspect: &str, key: &str) -> bool {
        self.aspect == aspect && matches(&self.keys, key)
    }
}

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The tool under test on one side, the oracle on the other.
    Tool(Vec<String>),
    /// What our side runs instead of the step before, in our own grammar.
    Ours(Vec<String>),
    /// The oracle on both sides.
    Oracle(Vec<String>),
    /// Shell on both sides.
    Shell(String),
    /// A file on both sides.
    Write(String, String),
    /// The directory of the steps that follow.
    In(String),
    /// The exit code of the step before.
    Code(i32),
    /// A text that the step before must have said.
    Says(String),
    /// A text that it must not have said.
    Lacks(String),
    /// Aspects to compare.
    Same(Vec<String>),
}

/// A line that is no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for ScenarioError {}

/// Parses the scenarios of one area.
pub fn parse_scenarios(area: &str, text: &str) -> Result<ScenarioFile, ScenarioError> {
    let mut file = ScenarioFile::default();
    let mut in_fixture = false;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let fail = |problem: String| ScenarioError { line, problem };
        let stripped = raw.trim();
        if stripped.is_empty() || stripped.starts_with('#') {
            continue;
        }
        let (head, rest) = stripped.split_once(' ').unwrap_or((stripped, ""));
        let rest = rest.trim();
        if head == "scenario:" || head == "fixture:" {
            in_fixture = head == "fixture:";
            let list = if in_fixture { &mut file.fixtures } else { &mut file.scenarios };
            if rest.is_empty() || list.iter().any(|other| other.name == rest) {
                return Err(fail(format!("the name `{rest}` is empty or taken")));
            }
            list.push(Scenario { area: area.into(), name: rest.into(), ..Scenario::default() });
            continue;
        }
        let list = if in_fixture { &mut file.fixtures } else { &mut file.scenarios };
        let Some(scenario) = list.last_mut() else {
            return Err(fail("a step outside of a scenario".into()));
        };
        let step = match head {
            "from:" => {
                scenario.from = Some(rest.into());
                continue;
            }
            "final:" => {
                scenario.finally = words(rest).map_err(fail)?;
                continue;
            }
            "differs:" => {
                scenario.differs.push(declared(rest).map_err(fail)?);
                continue;
            }
            "|" | "|:" => {
                let Some((_, Step::Write(_, content))) = scenario.steps.last_mut() else {
                    return Err(fail("`|` without `write:` before it".into()));
                };
                let start = raw.find('|').map_or(0, |at| at + 1);
                let written = &raw[start..];
                content.push_str(written.strip_prefix(' ').unwrap_or(written));
                content.push('\n');
                continue;
            }
            "$" => Step::Tool(command(rest, "dvc").map_err(fail)?),
            "&" => Step::Ours(command(rest, "exp").map_err(fail)?),
            "@" => Step::Oracle(command(rest, "dvc").map_err(fail)?),
            "%" => Step::Shell(rest.into()),
            "in:" => Step::In(rest.into()),
            "write:" => Step::Write(rest.into(), String::new()),
            "rc:" => Step::Code(rest.parse().map_err(|_| fail("`rc:` wants a number".into()))?),
            "says:" => Step::Says(rest.into()),
            "lacks:" => Step::Lacks(rest.into()),
            "same:" => Step::Same(words(rest).map_err(fail)?),
            _ => return Err(fail(format!("`{head}` starts no step"))),
        };
        scenario.steps.push((line, step));
    }
    Ok(file)
}

fn declared(rest: &str) -> Result<Declared, String> {
    let shape = "`differs:` wants `ASPECT KEYS because REASON`";
    let (what, reason) = rest.split_once(" because ").ok_or(shape)?;
    let (aspect, keys) = what.trim().split_once(' ').ok_or(shape)?;
    Ok(Declared { aspect: aspect.into(), keys: keys.trim().into(), reason: reason.trim().into() })
}

fn command(rest: &str, program: &str) -> Result<Vec<String>, String> {
    let mut words = words(rest)?;
    if words.first().map(String::as_str) != Some(program) {
        return Err(format!("the command must start with `{program}`"));
    }
    words.remove(0);
    Ok(words)
}

/// Splits a line as a shell does, with `'…'`, `"…"` and nothing else.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => found.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    found.extend(word);
    if quote.is_some() { Err("a quote is not closed".into()) } else { Ok(found) }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(tail) = text.strip_prefix(start) else {
        return false;
    };
    (0..=tail.len()).any(|at| tail.is_char_boundary(at) && matches(rest, &tail[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_their_order_quotes_and_file_contents() -> Result<(), ScenarioError> {
        let text = "# why\nscenario: one\nfrom: linear\ndiffers: tree *:a because b c\n\n\
                    write: p.yaml\n| lr: 1\n|   x: ''\n|\n$ dvc exp run -S 'a=[1, 2]' -m \"\"\nrc: 255\n";
        let file = parse_scenarios("area", text)?;
        let scenario = &file.scenarios[0];
        assert_eq!(scenario.from.as_deref(), Some("linear"));
        assert!(scenario.differs[0].covers("tree", "e1:a"), "{:?}", scenario.differs);
        assert!(!scenario.differs[0].covers("tree", "e1:ab"), "{:?}", scenario.differs);
        let args = ["exp", "run", "-S", "a=[1, 2]", "-m", ""].map(str::to_owned).to_vec();
        let steps: Vec<&Step> = scenario.steps.iter().map(|(_, step)| step).collect();
        assert_eq!(
            steps,
            [
                &Step::Write("p.yaml".into(), "lr: 1\n  x: ''\n\n".into()),
                &Step::Tool(args),
                &Step::Code(255)
            ]
        );
        Ok(())
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        let refused = |text: &str| parse_scenarios("area", text).err().map(|err| err.line);
        assert_eq!(refused("$ dvc repro\n"), Some(1));
        assert_eq!(refused("scenario: a\n$ git status\n"), Some(2));
        assert_eq!(refused("scenario: a\ndiffers: tree x\n"), Some(2));
        assert_eq!(refused("scenario: a\n$ dvc 'x\n"), Some(2));
        assert_eq!(refused("scenario: a\nscenario: a\n"), Some(2));
        assert_eq!(refused("scenario: a\n| x\n"), Some(2));
    }
}
