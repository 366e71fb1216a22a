//! The differential runner: a scenario in twin repositories, one for the oracle and one for the tool under test.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::normalize::Normalizer;
use crate::observe::{Observation, REPOSITORY, observe};
use crate::oracle::{Oracle, OracleServer};
use crate::sandbox::{Sandbox, date, git, run_shell};
use crate::scenario::{Scenario, Step};
use crate::tool::{Answer, Tool};

/// What takes the place of the tool under test.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Our binary.
    Exp(PathBuf),
    /// The oracle itself: proves that a scenario compares nothing that differs by chance.
    Oracle,
}

/// Runs scenarios one after the other. Threads have one each.
#[derive(Debug)]
pub struct Runner<'a> {
    oracle: &'a Oracle,
    subject: Subject,
    sandbox: Sandbox,
    server: OracleServer,
    fixtures: &'a BTreeMap<String, Scenario>,
    ready: BTreeMap<String, PathBuf>,
    n_runs: usize,
}

/// One side of a scenario.
#[derive(Debug)]
struct Twin {
    root: PathBuf,
    env: BTreeMap<String, String>,
    below: String,
    is_subject: bool,
}

impl Twin {
    fn repo(&self) -> PathBuf {
        self.root.join("repo")
    }

    fn dir(&self) -> PathBuf {
        self.repo().join(&self.below)
    }

    /// Sets the time that Git sees from here on.
    fn set_time(&mut self, depth: usize, step: usize) {
        for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
            self.env.insert(name.to_owned(), date(depth, step));
        }
    }
}

impl<'a> Runner<'a> {
    /// Starts an oracle of its own; fixtures are built when a scenario first asks for them.
    pub fn new(
        oracle: &'a Oracle,
        subject: Subject,
        fixtures: &'a BTreeMap<String, Scenario>,
    ) -> io::Result<Runner<'a>> {
        let sandbox = Sandbox::new()?;
        let env = sandbox.env("server", &[oracle.bin().to_path_buf()]);
        let server = oracle.serve(&env, &sandbox.path().join("streams"))?;
        Ok(Runner { oracle, subject, sandbox, server, fixtures, ready: BTreeMap::new(), n_runs: 0 })
    }

    /// Runs one scenario. `Ok` holds what is wrong, one paragraph each; nothing when the twins agree.
    pub fn run(&mut self, scenario: &Scenario) -> io::Result<Vec<String>> {
        let base = scenario.from.as_deref().map(|name| self.fixture(name)).transpose()?;
        self.n_runs += 1;
        let place = self.sandbox.path().join(format!("run-{}", self.n_runs));
        let mut twins = [self.twin(&place, "a", false), self.twin(&place, "b", true)];
        for twin in &twins {
            match &base {
                Some(base) => copy(base, &twin.root)?,
                None => fs::create_dir_all(twin.repo())?,
            }
        }
        let mut trial = Trial::new(scenario);
        self.play(scenario, &mut twins, &mut trial)?;
        if trial.problems.is_empty() {
            let all: Vec<String> = REPOSITORY.iter().map(|&aspect| aspect.to_owned()).collect();
            let aspects = if scenario.finally.is_empty() { &all } else { &scenario.finally };
            trial.compare("at the end", aspects, &twins)?;
        }
        if matches!(self.subject, Subject::Exp(_)) && trial.problems.is_empty() {
            trial.check_that_declared_differences_happened();
        }
        remove(&place)?;
        Ok(trial.problems)
    }

    fn play(
        &mut self,
        scenario: &Scenario,
        twins: &mut [Twin; 2],
        trial: &mut Trial<'_>,
    ) -> io::Result<()> {
        let depth = self.depth(scenario);
        for (index, (line, step)) in scenario.steps.iter().enumerate() {
            for twin in &mut *twins {
                twin.set_time(depth, index);
            }
            let place = format!("{}.scn:{line}", scenario.area);
            let next = scenario.steps.get(index + 1).map(|(_, step)| step);
            let ours = if let Some(Step::Ours(args)) = next { Some(args) } else { None };
            if matches!(step, Step::Tool(_) | Step::Oracle(_) | Step::Shell(_)) {
                trial.finish_step();
                let [left, right] = &*twins;
                trial.start_step(
                    place,
                    self.perform(step, None, left)?,
                    self.perform(step, ours, right)?,
                );
                continue;
            }
            match step {
                Step::Write(path, content) => {
                    for twin in &*twins {
                        let path = twin.dir().join(path);
                        if let Some(parent) = path.parent() {
                            fs::create_dir_all(parent)?;
                        }
                        fs::write(path, content)?;
                    }
                }
                Step::In(below) => {
                    for twin in &mut *twins {
                        twin.below.clone_from(below);
                    }
                }
                Step::Code(code) => trial.code = *code,
                Step::Says(text) => trial.says(&place, text, true),
                Step::Lacks(text) => trial.says(&place, text, false),
                Step::Same(aspects) => trial.compare(&place, aspects, twins)?,
                Step::Tool(_) | Step::Oracle(_) | Step::Shell(_) | Step::Ours(_) => {}
            }
            if !trial.problems.is_empty() {
                return Ok(());
            }
        }
        trial.finish_step();
        Ok(())
    }

    fn perform(
        &mut self,
        step: &Step,
        ours: Option<&Vec<String>>,
        twin: &Twin,
    ) -> io::Result<Answer> {
        let dir = twin.dir();
        match step {
            Step::Shell(line) => run_shell(line, &dir, &twin.env),
            Step::Tool(args) if twin.is_subject => match (&self.subject, ours) {
                (Subject::Exp(bin), Some(own)) => Tool::Exp(bin.clone()).run(own, &dir, &twin.env),
                (Subject::Exp(bin), None) => Tool::ExpDvc(bin.clone()).run(args, &dir, &twin.env),
                (Subject::Oracle, _) => self.server.run(args, &dir, &twin.env),
            },
            Step::Tool(args) | Step::Oracle(args) => self.server.run(args, &dir, &twin.env),
            _ => Err(io::Error::other("no command")),
        }
    }

    /// A directory with the fixture's `repo` and what stands beside it; built by the oracle alone, once for each runner.
    fn fixture(&mut self, name: &str) -> io::Result<PathBuf> {
        if let Some(path) = self.ready.get(name) {
            return Ok(path.clone());
        }
        let fixtures = self.fixtures;
        let recipe = fixtures
            .get(name)
            .ok_or_else(|| io::Error::other(format!("there is no fixture `{name}`")))?;
        let base = recipe.from.as_deref().map(|base| self.fixture(base)).transpose()?;
        let root = self.sandbox.path().join("fixtures").join(name);
        match base {
            Some(base) => copy(&base, &root)?,
            None => fs::create_dir_all(root.join("repo"))?,
        }
        let env = self.sandbox.env("fixtures", &[self.oracle.bin().to_path_buf()]);
        let mut twin = Twin { root: root.clone(), env, below: String::new(), is_subject: false };
        let depth = self.depth(recipe);
        for (index, (line, step)) in recipe.steps.iter().enumerate() {
            twin.set_time(depth, index);
            match step {
                Step::Write(path, content) => {
                    let path = twin.dir().join(path);
                    fs::create_dir_all(path.parent().unwrap_or(&root))?;
                    fs::write(path, content)?;
                }
                Step::In(below) => twin.below.clone_from(below),
                Step::Shell(_) | Step::Oracle(_) => {
                    let answer = self.perform(step, None, &twin)?;
                    if answer.code != 0 {
                        let what = format!("{}.scn:{line}: {}", recipe.area, answer.both());
                        return Err(io::Error::other(what));
                    }
                }
                _ => {
                    return Err(io::Error::other(format!(
                        "line {line} does not belong in a fixture"
                    )));
                }
            }
        }
        self.ready.insert(name.to_owned(), root.clone());
        Ok(root)
    }

    /// How many fixtures come before a scenario or fixture.
    fn depth(&self, of: &Scenario) -> usize {
        let base = |one: &Scenario| one.from.as_deref().and_then(|name| self.fixtures.get(name));
        std::iter::successors(base(of), |&one| base(one)).count()
    }

    fn twin(&self, place: &Path, name: &str, is_subject: bool) -> Twin {
        let site = format!("{}-{name}", self.n_runs);
        let env = self.sandbox.env(&site, &[self.oracle.bin().to_path_buf()]);
        Twin { root: place.join(format!("twin-{name}")), env, below: String::new(), is_subject }
    }
}

/// What has been seen of one scenario.
#[derive(Debug)]
struct Trial<'a> {
    scenario: &'a Scenario,
    problems: Vec<String>,
    happened: Vec<bool>,
    place: String,
    answers: Option<[Answer; 2]>,
    code: i32,
}

impl<'a> Trial<'a> {
    fn new(scenario: &'a Scenario) -> Trial<'a> {
        Trial {
            scenario,
            problems: Vec::new(),
            happened: vec![false; scenario.differs.len()],
            place: String::new(),
            answers: None,
            code: 0,
        }
    }

    fn start_step(&mut self, place: String, left: Answer, right: Answer) {
        self.place = place;
        self.answers = Some([left, right]);
        self.code = 0;
    }

    /// Checks the exit codes of the step that ends here.
    fn finish_step(&mut self) {
        let Some([left, right]) = self.answers.take() else { return };
        if !self.problems.is_empty() {
            return;
        }
        if left.code != self.code {
            let said = left.both();
            self.problems.push(format!(
                "{}: the oracle exits with {}, the scenario says {}\n{said}",
                self.place, left.code, self.code
            ));
        } else if left.code != right.code && !self.is_declared("rc", &self.place.clone()) {
            self.problems.push(format!(
                "{}: exit code {} where dvc has {}\n  dvc:  {}\n  ours: {}",
                self.place,
                right.code,
                left.code,
                left.both().trim().replace('\n', "\n        "),
                right.both().trim().replace('\n', "\n        ")
            ));
        }
    }

    fn says(&mut self, place: &str, text: &str, wanted: bool) {
        let Some(answers) = self.answers.clone() else { return };
        for (who, answer) in ["dvc", "ours"].into_iter().zip(answers) {
            let said = answer.both();
            if said.contains(text) != wanted && !(who == "ours" && self.is_declared("says", text)) {
                let verb = if wanted { "does not say" } else { "says" };
                self.problems.push(format!("{place}: {who} {verb} `{text}`:\n{said}"));
            }
        }
    }

    fn compare(&mut self, place: &str, aspects: &[String], twins: &[Twin; 2]) -> io::Result<()> {
        for aspect in aspects {
            if aspect == "repository" {
                for aspect in REPOSITORY {
                    let sides = [repository(aspect, &twins[0])?, repository(aspect, &twins[1])?];
                    self.judge(place, aspect, &sides);
                }
            } else if matches!(aspect.as_str(), "text" | "lines" | "json") {
                let Some(answers) = self.answers.clone() else { continue };
                let sides = [
                    answer(aspect, &answers[0], &twins[0])?,
                    answer(aspect, &answers[1], &twins[1])?,
                ];
                self.judge(place, aspect, &sides);
            } else {
                let sides = [repository(aspect, &twins[0])?, repository(aspect, &twins[1])?];
                self.judge(place, aspect, &sides);
            }
        }
        Ok(())
    }

    fn judge(&mut self, place: &str, aspect: &str, [left, right]: &[Observation; 2]) {
        let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let (was, is) = (left.get(key), right.get(key));
            if was != is && !self.is_declared(aspect, key) {
                let show = |side: Option<&String>| {
                    side.map_or("(absent)".to_owned(), |text| {
                        text.trim_end().replace('\n', "\n        ")
                    })
                };
                self.problems.push(format!(
                    "{place}: {aspect} `{key}` differs\n  dvc:  {}\n  ours: {}",
                    show(was),
                    show(is)
                ));
            }
        }
    }

    fn is_declared(&mut self, aspect: &str, key: &str) -> bool {
        let found = self.scenario.differs.iter().position(|declared| declared.covers(aspect, key));
        if let Some(index) = found {
            self.happened[index] = true;
        }
        found.is_some()
    }

    fn check_that_declared_differences_happened(&mut self) {
        for (declared, happened) in self.scenario.differs.iter().zip(&self.happened) {
            if !happened {
                self.problems.push(format!(
                    "the declared difference in {} `{}` did not happen: remove it",
                    declared.aspect, declared.keys
                ));
            }
        }
    }
}

fn repository(aspect: &str, twin: &Twin) -> io::Result<Observation> {
    let normalizer = Normalizer::new(&twin.root, &twin.repo(), &twin.env)?;
    observe(aspect, &twin.repo(), &twin.env, &normalizer)
}

fn answer(aspect: &str, answer: &Answer, twin: &Twin) -> io::Result<Observation> {
    let normalizer = Normalizer::new(&twin.root, &twin.repo(), &twin.env)?;
    if aspect == "json" {
        return normalizer
            .json(&answer.stdout)
            .or_else(|problem| Ok([(String::new(), problem)].into()));
    }
    let text = normalizer.text(&answer.stdout);
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    if aspect == "lines" {
        lines.sort_unstable();
        let mut counts = Observation::new();
        for (index, line) in lines.into_iter().enumerate() {
            counts.insert(line, index.to_string());
        }
        return Ok(counts);
    }
    Ok(lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| (format!("{:04}", index + 1), line))
        .collect())
}

/// Removes a directory in which a worker that was stopped may still write for a moment.
fn remove(dir: &Path) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match fs::remove_dir_all(dir) {
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty
                    && start.elapsed() < Duration::from_secs(20) =>
            {
                thread::sleep(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}

/// Copies a fixture with its modes and times, and makes Git look at the copies afresh.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    if !status.success() {
        return Err(io::Error::other(format!(
            "cp -a {} {}: {status}",
            from.display(),
            to.display()
        )));
    }
    let repo = to.join("repo");
    if repo.join(".git").exists() {
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]);
        // Fails when a file differs from the index, which a fixture may want.
        let _refreshed = git(&repo, &env, &["update-index", "-q", "--refresh"]);
    }
    Ok(())
}
