//! `cargo xtask test`: sets up what tests need, runs all of them, and says what ran, what failed and what was skipped.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::process::{everything, has_cargo, root, seconds, step, target, tee};
use crate::services::Attended;
use crate::{demo, screens, setup};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Whole,
    /// Without the oracle and the demo, for the minutes between two edits.
    Quick,
}

/// What becomes of tests whose server cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// They are skipped, and the summary says so.
    Skip,
    /// That is a failure, unless `EXP_ALLOW_SKIPS` is set.
    Fail,
}

/// What has been counted.
#[derive(Debug, Default)]
struct Totals {
    passed: usize,
    failed: usize,
    skipped: usize,
    broken: Vec<String>,
    reasons: Vec<String>,
}

/// Runs the tests. Sections go on after a failure; the last line has the totals.
pub(crate) fn run(extent: Extent, absent: Absent) -> Result<(), String> {
    let start = Instant::now();
    let mut totals = Totals::default();
    if extent == Extent::Whole
        && let Err(reason) = step("set-up: dvc", setup::ensure)
    {
        println!("SKIPPING what needs dvc. {reason}");
        totals.reasons.push(format!("everything that needs dvc: {reason}"));
    }
    if extent == Extent::Whole
        && setup::oracle().is_dir()
        && let Err(reason) = step("set-up: dvclive", setup::ensure_on_top)
    {
        println!("SKIPPING what needs dvclive. {reason}");
        totals.reasons.push(format!("everything that needs dvclive: {reason}"));
    }
    let servers = if extent == Extent::Whole {
        step("servers", || Attended::start(&[])).map(Some)
    } else {
        Ok(None)
    };
    match &servers {
        Ok(Some(servers)) => totals.absent(&servers.failed, absent),
        Ok(None) => {}
        Err(problem) => totals.absent(std::slice::from_ref(problem), absent),
    }
    let screens = if extent == Extent::Whole {
        step("browser and terminal", || Ok(screens::ensure()))?
    } else {
        screens::Screens::default()
    };
    // Pages and terminals are looked at where a browser and tmux can be had; the summary says where not.
    totals.absent(&screens.failed, Absent::Skip);
    let told = servers.as_ref().ok().and_then(Option::as_ref).map_or(&[][..], |it| &it.env);
    let exp = step("build", build)?;

    let mut section = |name: &str, command: &mut Command| {
        println!("── {name}");
        let begun = Instant::now();
        command.env("EXP_BIN", &exp).envs(told.iter().map(|(name, value)| (name, value)));
        command.envs(screens.env.iter().map(|(name, value)| (name, value)));
        match tee(command) {
            Ok((good, output)) => totals.count(name, good, &output),
            Err(problem) => totals.broken.push(format!("{name}: {problem}")),
        }
        println!("── {name}: {}\n", seconds(begun.elapsed()));
    };
    if has_cargo("nextest") {
        section(
            "crates",
            &mut everything([
                "nextest",
                "run",
                "--no-fail-fast",
                "--no-tests=pass",
                "--status-level=fail",
                "-E",
                "not binary(differential)",
            ]),
        );
    } else {
        let mut whole = everything(["test", "--no-fail-fast", "--lib", "--bins", "--quiet"]);
        for name in test_binaries()? {
            whole.args(["--test", &name]);
        }
        section("crates", &mut whole);
    }
    section("doctests", &mut everything(["test", "--doc", "--quiet"]));
    if extent == Extent::Whole {
        section("against dvc", &mut everything(["test", "--test", "differential"]));
    }
    for name in examples()? {
        totals.one(
            &format!("example {name}"),
            tee(&mut Command::new(target().join("debug/examples").join(&name))),
        );
    }
    if extent == Extent::Whole {
        let shown = step("demo", || demo::walk(&exp, demo::After::Remove));
        totals.one("demo", shown.map(|()| (true, String::new())));
    } else {
        totals.reasons.push("--quick: tests against dvc and servers, demo".into());
    }
    totals.report(start)
}

impl Totals {
    /// Adds servers, a browser or a terminal that cannot be had.
    fn absent(&mut self, problems: &[String], absent: Absent) {
        for problem in problems {
            println!("SKIPPING what cannot be had here. {problem}");
            if absent == Absent::Skip {
                self.reasons.push(format!("what cannot be had here: {problem}"));
            } else {
                self.broken.push(format!("not to be had: {problem}"));
            }
        }
    }

    /// Adds what a test runner printed: nextest's summary or the result lines of Rust's own.
    fn count(&mut self, name: &str, good: bool, output: &str) {
        let mut found = false;
        let mut failed = 0;
        for line in output.lines() {
            // What a failed test printed is shown again, indented, with a result of its own.
            let is_summary = line.trim_start().starts_with("Summary [");
            if is_summary || line.starts_with("test result:") {
                found = true;
                self.passed += number_before(line, "passed");
                failed += number_before(line, "failed");
                self.skipped += number_before(line, "ignored");
            }
            if let Some(reason) = line.trim_start().strip_prefix("SKIPPED: ") {
                self.reasons.push(reason.to_owned());
            }
        }
        self.failed += failed;
        if !found {
            self.broken.push(format!("{name}: no summary was printed"));
        } else if !good {
            self.broken.push(format!("{name}: {failed} failed"));
        }
    }

    /// Adds a check that is one test by itself.
    fn one(&mut self, name: &str, result: Result<(bool, String), String>) {
        match result {
            Ok((true, _)) => self.passed += 1,
            Ok((false, _)) => {
                self.failed += 1;
                self.broken.push(format!("{name}: it failed"));
            }
            Err(problem) => {
                self.failed += 1;
                self.broken.push(format!("{name}: {problem}"));
            }
        }
    }

    fn report(self, start: Instant) -> Result<(), String> {
        for reason in &self.reasons {
            println!("SKIPPED: {reason}");
        }
        for problem in &self.broken {
            println!("BROKEN: {problem}");
        }
        println!(
            "test: {} passed, {} failed, {} skipped in {}",
            self.passed,
            self.failed,
            self.skipped,
            seconds(start.elapsed())
        );
        if self.broken.is_empty() { Ok(()) } else { Err("not all tests passed".into()) }
    }
}

/// The number in front of a word, as in `12 passed`; 0 when the line has none.
fn number_before(line: &str, word: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ',', ';']).filter(|part| !part.is_empty()).collect();
    let pair = words.windows(2).find(|pair| pair[1] == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

/// Builds everything that tests are and start, and returns the path of `exp`.
fn build() -> Result<PathBuf, String> {
    crate::process::run(&mut everything(["build", "--all-targets", "--quiet"]))?;
    let exp = target().join("debug/exp");
    if exp.is_file() { Ok(exp) } else { Err(format!("Cargo made no {}", exp.display())) }
}

/// The integration binaries, without the differential runner: the one of each crate, and what the harness declares.
fn test_binaries() -> Result<Vec<String>, String> {
    let path = root().join("tests/Cargo.toml");
    let text = fs::read_to_string(&path)
        .map_err(|err| format!("cannot read {}: {err}", path.display()))?;
    let mut names = vec!["it".to_owned(), "processes".to_owned()];
    for section in text.split("[[test]]").skip(1) {
        let name = section.lines().find_map(|line| line.strip_prefix("name = "));
        names.extend(name.map(|name| name.trim_matches('"').to_owned()));
    }
    names.retain(|name| name != "differential");
    Ok(names)
}

/// The programs in `examples/`, in order.
fn examples() -> Result<Vec<String>, String> {
    let dir = root().join("examples");
    let entries =
        fs::read_dir(&dir).map_err(|err| format!("cannot read {}: {err}", dir.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)
        })
        .filter(|name| name != "lib")
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_counted() {
        let mut totals = Totals::default();
        totals.count(
            "a",
            true,
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored\n     Summary [   0.1s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped\n",
        );
        totals.count("b", true, "x\ntest result: ok. 7 passed; 0 failed; 3 ignored; 0 measured\n");
        assert_eq!((totals.passed, totals.failed, totals.skipped), (11, 1, 3));
        assert_eq!(totals.broken, Vec::<String>::new());
    }

    #[test]
    fn a_runner_that_says_nothing_or_fails_is_broken() {
        let mut totals = Totals::default();
        totals.count("a", true, "error: no such command\n");
        totals.count("b", false, "test result: FAILED. 1 passed; 2 failed; 0 ignored\n");
        assert_eq!(totals.broken, ["a: no summary was printed", "b: 2 failed"]);
    }
}
