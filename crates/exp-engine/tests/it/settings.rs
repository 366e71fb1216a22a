//! What stages say under `meta: {exp: …}`: what it changes, what it records, and who waits for whom.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use exp_engine::core::{
    CancelToken, Change, Ctx, Ended, Event, Exit, Failure, Outcome, Reason, RestoredFrom,
    StageEvent, StageReport, Until,
};
use exp_engine::{Kept, Place, Project, RunOutcome, RunRequest};

use crate::support::{Sandbox, Test, request};

/// Runs everything in a project whose commands see `MODE` with this value.
fn run_in(sandbox: &Sandbox, mode: &str) -> Result<RunOutcome, Box<dyn std::error::Error>> {
    let mut options = sandbox.options();
    options.env = options.env.with("MODE", mode);
    options.shell.env.push(("MODE".into(), mode.into()));
    let project = Project::discover(&sandbox.root(), options)?;
    Ok(project.run(&Ctx::silent(), &request(&[])?)?)
}

fn only(outcome: &RunOutcome) -> &StageReport {
    let [stage] = &outcome.report.stages[..] else { panic!("{:?}", outcome.report) };
    stage
}

/// A stage `s` that runs `cmd` with these settings and writes `out`.
fn with_settings(cmd: &str, settings: &str) -> Result<Sandbox, Box<dyn std::error::Error>> {
    let pipeline = format!(
        "stages:\n  s:\n    cmd: {cmd}\n    deps: [x]\n    outs: [out]\n    meta:\n      exp: {settings}\n"
    );
    let sandbox =
        Sandbox::new(&[("dvc.yaml", &pipeline), ("x", "1\n2\nv=3\n"), ("d/a.csv", "1\n")])?;
    fs::create_dir_all(sandbox.root().join(".dvc/tmp"))?;
    Ok(sandbox)
}

#[test]
fn a_variable_is_part_of_what_a_stage_is() -> Test {
    let sandbox = with_settings("echo $MODE > out", "{env: [MODE]}")?;
    let first = run_in(&sandbox, "one")?;
    assert!(matches!(only(&first).outcome, Outcome::Ran));
    let Some(Kept::Experiment(experiment)) = &first.kept else { panic!("{:?}", first.kept) };
    let noted = sandbox.git(&["show", &format!("{}:exp.lock", experiment.commit)])?;
    assert!(noted.contains("env MODE: ") && !noted.contains("one"), "a digest only: {noted}");
    assert!(!sandbox.read("dvc.lock")?.contains("env MODE"), "DVC would refuse it");

    assert!(matches!(only(&run_in(&sandbox, "one")?).outcome, Outcome::Fresh));
    let second = run_in(&sandbox, "two")?;
    let [Reason::Extra { key, change: Change::Modified, .. }] = &only(&second).reasons[..] else {
        panic!("{:?}", only(&second).reasons)
    };
    assert_eq!(key, "env MODE");
    assert_eq!(sandbox.read("out")?, "two\n");
    let third = run_in(&sandbox, "one")?;
    let outcome = &only(&third).outcome;
    assert!(matches!(outcome, Outcome::Restored(RestoredFrom::RunCache)), "{outcome:?}");
    assert_eq!(sandbox.read("out")?, "one\n");

    // Another tool runs the stage, and nobody knows what it read.
    fs::remove_file(sandbox.root().join("exp.lock"))?;
    let fourth = run_in(&sandbox, "one")?;
    let [Reason::Extra { change: Change::New, .. }] = only(&fourth).reasons[..] else {
        panic!("{:?}", only(&fourth).reasons)
    };
    assert!(matches!(only(&fourth).outcome, Outcome::Restored(_)));
    assert!(matches!(only(&run_in(&sandbox, "one")?).outcome, Outcome::Fresh));
    sandbox.fsck()
}

#[test]
fn what_a_stage_reads_of_files_and_commands_is_compared() -> Test {
    let settings = "{deps: [{glob: '**/*.csv'}, {lines: {file: y, from: 2, to: 2}}, \
                    {regex: {file: y, pattern: '^v=(.*)$'}}, {cmd: head -n 1 y}]}";
    let sandbox = with_settings("cp x out", settings)?;
    sandbox.write("y", "one\n2\nv=3\n")?;
    assert!(matches!(only(&sandbox.run(&[])?).outcome, Outcome::Ran));
    let changed = |path: &str, text: &str| -> Result<String, Box<dyn std::error::Error>> {
        sandbox.write(path, text)?;
        let outcome = sandbox.run(&[])?;
        let keys = only(&outcome).reasons.iter().map(|reason| match reason {
            Reason::Extra { key, .. } => key.split(' ').next().unwrap_or_default().to_owned(),
            other => format!("{other:?}"),
        });
        Ok(keys.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(changed("d/b.txt", "no match")?, "");
    assert_eq!(changed("d/b.csv", "new")?, "glob");
    assert_eq!(changed("d/b.csv", "other")?, "glob");
    assert_eq!(changed("y", "one\n3\nv=3\n")?, "lines");
    assert_eq!(changed("y", "two\n3\nv=3\n")?, "cmd");
    assert_eq!(changed("y", "two\n3\nw=1\nv=4\n")?, "regex");
    assert_eq!(changed("y", "two\n3\nw=2\nv=4\n")?, "", "what is not named does not count");
    fs::remove_file(sandbox.root().join("y"))?;
    let outcome = sandbox.run(&[]);
    assert!(outcome.is_err() || outcome.is_ok_and(|one| one.report.ended == Ended::Failed));
    assert!(sandbox.has("out"), "outputs are there until the stage can run");
    Ok(())
}

#[test]
fn a_stage_that_fails_is_tried_again_and_one_that_takes_too_long_is_ended() -> Test {
    let tries = "echo x >> .dvc/tmp/tries; echo half > out; test $(wc -l < .dvc/tmp/tries) -ge 3 || exit 75; \
                 echo whole > out";
    let sandbox = with_settings(tries, "{retry: {max: 5, backoff: 10ms, on: [75]}}")?;
    let outcome = sandbox.run(&[])?;
    assert!(matches!(only(&outcome).outcome, Outcome::Ran), "{:?}", only(&outcome));
    assert_eq!(sandbox.read(".dvc/tmp/tries")?, "x\nx\nx\n");
    assert_eq!(sandbox.read("out")?, "whole\n");

    let sandbox = with_settings("setsid sleep 1000", "{timeout: 200ms}")?;
    let outcome = sandbox.run(&[])?;
    let Outcome::Failed(Failure::Exit(Exit::TimedOut { limit, .. })) = &only(&outcome).outcome
    else {
        panic!("{:?}", only(&outcome))
    };
    assert_eq!(*limit, Duration::from_millis(200));
    assert!(matches!(outcome.kept, Some(Kept::Unfinished(_))), "{:?}", outcome.kept);
    Ok(())
}

#[test]
fn stages_with_one_mutex_run_one_after_the_other_and_get_their_processors() -> Test {
    let mut pipeline = "stages:\n".to_owned();
    for n in 0..3 {
        let _ = write!(
            pipeline,
            "  s{n}:\n    cmd: mkdir .dvc/tmp/inside && sleep 0.1 && echo $CUDA_VISIBLE_DEVICES > o{n} && rmdir .dvc/tmp/inside\n    \
             deps: [x]\n    outs: [o{n}]\n    meta: {{exp: {{mutex: one, resources: {{gpu: 1}}}}}}\n"
        );
    }
    let sandbox = Sandbox::new(&[("dvc.yaml", &pipeline), ("x", "")])?;
    fs::create_dir_all(sandbox.root().join(".dvc/tmp"))?;
    let mut options = sandbox.options();
    options.machine.gpus = vec!["7".to_owned(), "8".to_owned()];
    let mut request = RunRequest::default();
    request.repro.execute.jobs = 3;
    let outcome =
        Project::discover(&sandbox.root(), options.clone())?.run(&Ctx::silent(), &request)?;
    assert_eq!(outcome.report.ended, Ended::Complete, "{:?}", outcome.report);
    assert_eq!(sandbox.read("o0")?, "7\n");

    options.machine.gpus.clear();
    sandbox.write("x", "anew")?;
    let outcome = Project::discover(&sandbox.root(), options)?.run(&Ctx::silent(), &request)?;
    let Outcome::Failed(Failure::Exit(Exit::NotStarted { why, .. })) =
        &outcome.report.stages[0].outcome
    else {
        panic!("{:?}", outcome.report)
    };
    assert_eq!(why, "the stage claims 1 graphics processors, there are 0");
    Ok(())
}

#[test]
fn two_runs_that_need_the_same_stage_run_it_once() -> Test {
    let dir = tempfile::tempdir()?;
    let (ran, go) = (dir.path().join("ran"), dir.path().join("go"));
    let cmd = format!(
        "echo ran >> {}; until [ -e {} ]; do sleep 0.02; done; cp x out",
        ran.display(),
        go.display()
    );
    let sandbox = with_settings(&cmd, "{}")?;
    let let_go = |event: Event<'_>| {
        if let Event::Stage { what: StageEvent::Waiting { until: Until::SameRun }, .. } = event {
            fs::write(&go, "").ok();
        }
    };
    let one = |name: &str| -> Result<RunOutcome, String> {
        let ctx = Ctx::new(&let_go, CancelToken::new());
        let place = Place::Private { copy: Vec::new() };
        let request = RunRequest { place, name: Some(name.to_owned()), ..RunRequest::default() };
        let project = sandbox.project().map_err(|error| error.to_string())?;
        project.run(&ctx, &request).map_err(|error| error.to_string())
    };
    let outcomes = thread::scope(|scope| {
        let both = ["a", "b"].map(|name| scope.spawn(move || one(name)));
        both.map(|running| running.join().map_err(|_| "a panic".to_owned()).and_then(|done| done))
    });
    let mut restored = 0;
    for outcome in outcomes {
        let outcome = outcome?;
        assert_eq!(outcome.report.ended, Ended::Complete, "{:?}", outcome.report);
        restored += usize::from(matches!(only(&outcome).outcome, Outcome::Restored(_)));
    }
    assert_eq!((fs::read_to_string(&ran)?.as_str(), restored), ("ran\n", 1));
    let flights = sandbox.root().join(".dvc/cache/tmp/flights");
    assert!(is_empty(&flights), "no lock is left");
    Ok(())
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}
