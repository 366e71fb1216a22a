//! Runs the scenarios of `tests/scenarios` against the real `dvc`, with the switches of Rust's own test runner.
//!
//! `cargo test -p exp-tests --test differential -- repro` runs those whose name has `repro`. With `EXP_SUBJECT=dvc` the
//! oracle runs on both sides: that checks the scenarios, not us. Without an oracle each scenario is counted as ignored.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a test runner talks")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use exp_tests::differential::{Runner, Subject};
use exp_tests::{Oracle, Scenario, Tool, parse_scenarios, workspace_root};

/// The switches that are understood, as `cargo test` and nextest pass them.
#[derive(Debug, Default)]
struct Options {
    list: bool,
    exact: bool,
    ignored: bool,
    threads: Option<usize>,
    filters: Vec<String>,
    skips: Vec<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            eprintln!("error: {err}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<bool> {
    let options = options();
    let (fixtures, all) = load()?;
    let n_all = all.len();
    let chosen: Vec<Scenario> = all.into_iter().filter(|one| is_chosen(&options, one)).collect();
    if options.list {
        if !options.ignored {
            for scenario in &chosen {
                println!("{}: test", title(scenario));
            }
        }
        return Ok(true);
    }
    let start = Instant::now();
    println!("\nrunning {} tests", chosen.len());
    let left_out = n_all - chosen.len();
    let oracle = match Oracle::find() {
        Ok(oracle) => oracle,
        Err(skip) => {
            for scenario in &chosen {
                println!("test {} ... ignored, {skip}", title(scenario));
            }
            eprintln!("SKIPPED: {} scenarios against dvc: {skip}", chosen.len());
            summary(0, 0, chosen.len(), left_out, start);
            return Ok(true);
        }
    };
    let subject = subject()?;
    let failures = run_all(&oracle, &subject, &fixtures, &chosen, options.threads.unwrap_or(2))?;
    if !failures.is_empty() {
        println!("\nfailures:\n");
        for (name, problems) in &failures {
            println!("---- {name} ----\n{}\n", problems.join("\n"));
        }
        println!("failures:");
        for name in failures.keys() {
            println!("    {name}");
        }
    }
    summary(chosen.len() - failures.len(), failures.len(), 0, left_out, start);
    Ok(failures.is_empty())
}

/// Runs scenarios on threads that each have an oracle of their own. Returns what failed and why.
fn run_all(
    oracle: &Oracle,
    subject: &Subject,
    fixtures: &BTreeMap<String, Scenario>,
    chosen: &[Scenario],
    n_threads: usize,
) -> io::Result<BTreeMap<String, Vec<String>>> {
    let next = Mutex::new(chosen.iter());
    let failures = Mutex::new(BTreeMap::new());
    let work = || -> io::Result<()> {
        let mut runner = Runner::new(oracle, subject.clone(), fixtures)?;
        loop {
            let scenario = next.lock().expect("no thread panics with the lock").next();
            let Some(scenario) = scenario else { return Ok(()) };
            let start = Instant::now();
            let problems = match runner.run(scenario) {
                Ok(problems) => problems,
                Err(err) => vec![format!("the scenario cannot run: {err}")],
            };
            let verdict = if problems.is_empty() { "ok" } else { "FAILED" };
            println!(
                "test {} ... {verdict} ({:.1} s)",
                title(scenario),
                start.elapsed().as_secs_f32()
            );
            if !problems.is_empty() {
                let mut failures = failures.lock().expect("no thread panics with the lock");
                failures.insert(title(scenario), problems);
            }
        }
    };
    let n_threads = n_threads.clamp(1, chosen.len().max(1));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("a thread panicked")),
        })
    })?;
    failures.into_inner().map_err(|_| io::Error::other("a thread panicked"))
}

/// Reads every file of scenarios; fixtures are shared by all of them.
fn load() -> io::Result<(BTreeMap<String, Scenario>, Vec<Scenario>)> {
    let dir = workspace_root().join("tests/scenarios");
    let mut paths = Vec::new();
    for entry in fs::read_dir(&dir)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let (mut fixtures, mut scenarios) = (BTreeMap::new(), Vec::new());
    for path in paths {
        let Some(area) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let file = parse_scenarios(area, &fs::read_to_string(&path)?)
            .map_err(|err| io::Error::other(format!("{}: {err}", path.display())))?;
        fixtures.extend(file.fixtures.into_iter().map(|fixture| (fixture.name.clone(), fixture)));
        scenarios.extend(file.scenarios);
    }
    Ok((fixtures, scenarios))
}

fn title(scenario: &Scenario) -> String {
    format!("{}::{}", scenario.area, scenario.name)
}

fn is_chosen(options: &Options, scenario: &Scenario) -> bool {
    let title = title(scenario);
    let fits = |text: &String| if options.exact { title == *text } else { title.contains(text) };
    (options.filters.is_empty() || options.filters.iter().any(fits))
        && !options.skips.iter().any(fits)
}

fn summary(passed: usize, failed: usize, ignored: usize, left_out: usize, start: Instant) {
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
         {left_out} filtered out; finished in {:.2}s\n",
        start.elapsed().as_secs_f32()
    );
}

#[expect(clippy::disallowed_methods, reason = "a test runner reads its own switches")]
fn subject() -> io::Result<Subject> {
    match std::env::var("EXP_SUBJECT").as_deref() {
        Ok("dvc") => Ok(Subject::Oracle),
        Ok("exp") | Err(_) => Tool::find_exp().map(Subject::Exp).map_err(io::Error::other),
        Ok(other) => Err(io::Error::other(format!("EXP_SUBJECT is `exp` or `dvc`, not `{other}`"))),
    }
}

fn options() -> Options {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => options.list = true,
            "--exact" => options.exact = true,
            "--ignored" => options.ignored = true,
            "--test-threads" => options.threads = args.next().and_then(|count| count.parse().ok()),
            "--skip" => options.skips.extend(args.next()),
            "--format" | "--color" | "--logfile" | "-Z" => drop(args.next()),
            _ => match arg.strip_prefix("--test-threads=") {
                Some(count) => options.threads = count.parse().ok(),
                None if arg.starts_with('-') => {}
                None => options.filters.push(arg),
            },
        }
    }
    options
}
