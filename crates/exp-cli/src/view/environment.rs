//! What a run ran in, and what was there beside it, for people and programs.

use exp_engine::core::Value;
use exp_engine::refs::{LeftOut, LeftOutCause, RunEnvironment, RunRecord};
use exp_engine::{EnvironmentDifference, EnvironmentPart};

use super::json::object;
use super::size;

/// So many files are named.
const NAMED: usize = 5;

/// Takes out of a text what a terminal would act on: a record may be a stranger's.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Shortens a digest.
fn short(digest: &str) -> String {
    digest.chars().take(7).collect()
}

/// Returns what is known of the environment and of files that were left out, titles with texts.
pub(crate) fn lines(record: &RunRecord) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(environment) = &record.environment {
        environment_lines(environment, &mut lines);
    }
    for module in &record.submodules {
        let edits = if module.edits.is_some() { ", edited" } else { "" };
        let text = format!("{} at {}{edits}", module.path, short(&module.commit));
        lines.push(("submodule", plain(&text)));
    }
    if !record.left_out.is_empty() {
        lines.push(("left out", left_out(&record.left_out, record.n_left_out)));
    }
    lines
}

fn environment_lines(environment: &RunEnvironment, lines: &mut Vec<(&'static str, String)>) {
    lines.extend(environment.system.iter().map(|system| ("system", plain(system))));
    if let Some(python) = &environment.python {
        let version = python.version.as_deref().map(|version| format!("{version} "));
        let path = &python.path;
        lines.push(("python", plain(&format!("{}{path}", version.unwrap_or_default()))));
        if let Some(packages) = &python.packages {
            let digest = plain(&short(&packages.digest));
            lines.push(("packages", format!("{} ({digest})", packages.n)));
        }
    }
    if !environment.lock_files.is_empty() {
        let file = |file: &exp_engine::refs::LockFile| {
            plain(&format!("{} ({})", file.path, short(&file.digest)))
        };
        let files: Vec<String> = environment.lock_files.iter().map(file).collect();
        lines.push(("locks", super::change::listed(&files, NAMED)));
    }
    if !environment.gpus.is_empty() || environment.driver.is_some() {
        let driver = environment.driver.as_ref().map(|driver| format!("driver {driver}"));
        let parts: Vec<String> =
            counted_gpus(&environment.gpus).into_iter().chain(driver).collect();
        lines.push(("gpu", plain(&parts.join(", "))));
    }
}

/// Returns each model once, with how many there are of it.
fn counted_gpus(gpus: &[String]) -> Vec<String> {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for gpu in gpus {
        match counted.iter_mut().find(|one| one.0 == gpu.as_str()) {
            Some((_, n)) => *n += 1,
            None => counted.push((gpu, 1)),
        }
    }
    let text = |(model, n): (&str, usize)| match n {
        1 => model.to_owned(),
        n => format!("{n} x {model}"),
    };
    counted.into_iter().map(text).collect()
}

/// Names files that were left out, with their sizes.
pub(crate) fn left_out(files: &[LeftOut], n: u64) -> String {
    let name = |file: &LeftOut| match file.size {
        Some(bytes) => plain(&format!("{} ({})", file.path, size(bytes))),
        None => plain(&file.path),
    };
    let shown: Vec<String> = files.iter().take(NAMED).map(name).collect();
    let more = usize::try_from(n).unwrap_or(usize::MAX).max(files.len()) - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Writes titles and texts below each other.
pub(crate) fn titled(lines: &[(&str, String)]) -> String {
    let mut all = String::new();
    for (title, text) in lines {
        all.push_str(&format!("  {title:<9} {text}\n"));
    }
    all
}

/// Returns a record for programs.
pub(crate) fn json(record: &RunRecord) -> Value {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let list = |texts: &[String]| Value::List(texts.iter().map(|t| Value::from(&**t)).collect());
    let environment = record.environment.as_ref().map(|environment| {
        let python = environment.python.as_ref().map(|python| {
            let packages = python.packages.as_ref().map(|packages| {
                object([
                    ("n", Value::from(packages.n)),
                    ("digest", Value::from(packages.digest.as_str())),
                ])
            });
            object([
                ("path", Value::from(python.path.as_str())),
                ("version", text(&python.version)),
                ("packages", packages.unwrap_or(Value::Null)),
            ])
        });
        let file = |file: &exp_engine::refs::LockFile| {
            (file.path.clone(), Value::from(file.digest.as_str()))
        };
        object([
            ("system", text(&environment.system)),
            ("python", python.unwrap_or(Value::Null)),
            ("lock_files", Value::Table(environment.lock_files.iter().map(file).collect())),
            ("gpus", list(&environment.gpus)),
            ("driver", text(&environment.driver)),
        ])
    });
    let took = record.took.and_then(|took| u64::try_from(took.as_millis()).ok());
    let left_out = record.left_out.iter().map(|file| {
        object([
            ("path", Value::from(file.path.as_str())),
            ("why", Value::from(cause(file.why))),
            ("size", file.size.map_or(Value::Null, Value::from)),
            ("digest", text(&file.digest)),
        ])
    });
    let modules = record.submodules.iter().map(|module| {
        let at = [("commit", Value::from(module.commit.as_str())), ("edits", text(&module.edits))];
        (module.path.clone(), object(at))
    });
    object([
        ("started", Value::from(record.started.seconds)),
        ("took_ms", took.map_or(Value::Null, Value::from)),
        ("host", text(&record.host)),
        ("overrides", list(&record.overrides)),
        ("environment", environment.unwrap_or(Value::Null)),
        ("submodules", Value::Table(modules.collect())),
        ("left_out", Value::List(left_out.collect())),
        ("n_left_out", Value::from(record.n_left_out)),
    ])
}

fn cause(why: LeftOutCause) -> &'static str {
    match why {
        LeftOutCause::Ignored => "ignored",
        LeftOutCause::Large => "large",
        LeftOutCause::Secret => "secret",
        LeftOutCause::Untracked => "untracked",
        _ => "other",
    }
}

/// Returns the name of a part of an environment.
pub(crate) fn part(part: &EnvironmentPart) -> String {
    match part {
        EnvironmentPart::Host => "host".to_owned(),
        EnvironmentPart::System => "system".to_owned(),
        EnvironmentPart::Python => "python".to_owned(),
        EnvironmentPart::Interpreter => "interpreter".to_owned(),
        EnvironmentPart::Packages => "packages".to_owned(),
        EnvironmentPart::Package(name) => plain(name),
        EnvironmentPart::LockFile(path) => plain(path),
        EnvironmentPart::Gpus => "gpu".to_owned(),
        EnvironmentPart::Driver => "driver".to_owned(),
        _ => "other".to_owned(),
    }
}

/// Returns one side of a difference, digests shortened.
pub(crate) fn side(difference: &EnvironmentDifference, side: Option<&String>) -> Option<String> {
    let text = side?;
    Some(plain(&match difference.part {
        EnvironmentPart::LockFile(_) => short(text),
        EnvironmentPart::Packages => match text.split_once(' ') {
            Some((n, digest)) => format!("{n} ({})", short(digest)),
            None => text.clone(),
        },
        _ => text.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use exp_engine::core::Timestamp;
    use exp_engine::refs::{LockFile, Packages, Python, RunEnd};

    use super::*;

    #[test]
    fn an_environment_is_told_in_a_few_lines_and_nothing_of_it_reaches_the_terminal() {
        let mut record = RunRecord::new(RunEnd::Finished, Timestamp::utc(7));
        assert_eq!(lines(&record), []);
        record.environment = Some(RunEnvironment {
            system: Some("Linux\u{1b}[2J 6.8 x86_64".to_owned()),
            python: Some(Python {
                path: "/venv/bin/python".to_owned(),
                version: Some("3.12.3".to_owned()),
                packages: Some(Packages { n: 57, digest: "9f1c2ab5e8".to_owned() }),
            }),
            lock_files: vec![LockFile { path: "uv.lock".into(), digest: "62a2f00ee8".into() }],
            gpus: ["A100", "A100", "H100"].map(str::to_owned).into(),
            driver: Some("550.54".to_owned()),
        });
        record.left_out = (0..7)
            .map(|n| LeftOut {
                path: format!("big-{n}"),
                why: LeftOutCause::Large,
                size: Some(20_971_520),
                digest: None,
            })
            .collect();
        record.n_left_out = 300;
        let expect = "  system    Linux[2J 6.8 x86_64
  python    3.12.3 /venv/bin/python
  packages  57 (9f1c2ab)
  locks     uv.lock (62a2f00)
  gpu       2 x A100, H100, driver 550.54
  left out  big-0 (21.0 MB), big-1 (21.0 MB), big-2 (21.0 MB), big-3 (21.0 MB), big-4 (21.0 MB) and 295 more
";
        assert_eq!(titled(&lines(&record)), expect);
    }
}
