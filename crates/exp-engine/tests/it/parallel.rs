//! Several stages at a time: the same files as with one, and commands that end with all that they started.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use exp_engine::core::{Cancel, CancelToken, Ctx, Ended, FailurePolicy, NullSink, Outcome};
use exp_engine::{Kept, Project, RunOutcome, RunRequest};

use crate::support::{Sandbox, Test};

/// How long something is waited for that has to happen.
const PATIENCE: Duration = Duration::from_mins(2);

fn at_once(jobs: usize) -> RunRequest {
    let mut request = RunRequest::default();
    request.repro.execute.jobs = jobs;
    request
}

fn run(sandbox: &Sandbox, request: &RunRequest) -> Result<RunOutcome, Box<dyn std::error::Error>> {
    Ok(sandbox.project()?.run(&Ctx::silent(), request)?)
}

/// A pipeline in which each stage ends after the one behind it is recorded, if the file `.dvc/tmp/late` is there.
fn backwards() -> String {
    let mut text = "stages:\n".to_owned();
    for n in 0..4 {
        let next = n + 1;
        let waits = if n == 3 {
            String::new()
        } else {
            format!(
                "if [ -e .dvc/tmp/late ]; then until grep -q s{next}: dvc.lock; do sleep 0.02; done; fi; "
            )
        };
        let _ = write!(
            text,
            "  s{n}:\n    cmd: '{waits}echo {n} > o{n}; echo {n} > sub/p{n}; echo \"{{\\\"v\\\": {n}}}\" > m{n}.json'\n    \
             params: [lr]\n    outs: [o{n}, sub/p{n}]\n    metrics:\n    - m{n}.json:\n        cache: false\n"
        );
    }
    text.push_str(
        "  last:\n    cmd: cat o0 o1 o2 o3 > all\n    deps: [o0, o1, o2, o3]\n    outs: [all]\n",
    );
    text
}

#[test]
fn stages_that_end_in_any_order_leave_the_bytes_of_one_after_the_other() -> Test {
    let pipeline = backwards();
    let files = [("params.yaml", "lr: 1\n"), ("sub/x", ""), ("dvc.yaml", pipeline.as_str())];
    let mut left = Vec::new();
    for jobs in [1, 4] {
        let sandbox = Sandbox::new(&files)?;
        fs::create_dir_all(sandbox.root().join(".dvc/tmp"))?;
        if jobs > 1 {
            sandbox.write(".dvc/tmp/late", "")?;
        }
        let outcome = run(&sandbox, &at_once(jobs))?;
        assert_eq!(outcome.report.ended, Ended::Complete, "{:?}", outcome.report);
        let Some(Kept::Experiment(experiment)) = outcome.kept else { panic!("{:?}", outcome.kept) };
        let tree = sandbox.git(&["rev-parse", &format!("{}^{{tree}}", experiment.commit)])?;
        let message = sandbox.git(&["log", "-1", "--format=%B", &experiment.commit.to_string()])?;
        let read = |path: &str| sandbox.read(path);
        left.push((read("dvc.lock")?, read(".gitignore")?, read("sub/.gitignore")?, tree, message));
        sandbox.fsck()?;
    }
    assert_eq!(left[0], left[1]);
    assert_eq!(left[0].1, "/o0\n/o1\n/o2\n/o3\n/all\n");
    Ok(())
}

#[test]
fn a_failure_leaves_out_what_depends_on_it_and_the_log_is_that_of_each_stage() -> Test {
    let sandbox = Sandbox::new(&[
        (
            "dvc.yaml",
            "stages:\n  a:\n    cmd: echo of a; exit 3\n    outs: [a]\n  b:\n    cmd: echo of b; cp x b\n    deps: [x]\n    \
         outs: [b]\n  c:\n    cmd: cat a > c\n    deps: [a]\n    outs: [c]\n",
        ),
        ("x", "1"),
    ])?;
    let mut request = at_once(3);
    request.repro.execute.on_failure = FailurePolicy::KeepGoing;
    let outcome = run(&sandbox, &request)?;
    let outcomes: Vec<_> = outcome.report.stages.iter().map(|stage| &stage.outcome).collect();
    let [Outcome::Failed(_), Outcome::Ran, Outcome::Skipped { .. }] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!(sandbox.read("dvc.lock")?.contains("  b:"), "what ended well is recorded");
    let Some(Kept::Unfinished(experiment)) = &outcome.kept else { panic!("{:?}", outcome.kept) };
    let log = sandbox.project()?.experiments().log(experiment)?.ok_or("no log")?;
    assert_eq!(String::from_utf8(log)?, "> echo of a; exit 3\nof a\n> echo of b; cp x b\nof b\n");
    Ok(())
}

/// Two stages that each start a child in a session of its own and wait; the child of `stubborn` ignores TERM.
const FAMILIES: &str = "stages:
  nice:
    cmd: setsid sleep 1000 & echo $! > .dvc/tmp/pid-nice; touch .dvc/tmp/is-nice; wait
    outs: [nice]
  stubborn:
    cmd: |-
      (trap '' TERM; setsid sh -c 'echo $$ > .dvc/tmp/pid-stubborn; touch .dvc/tmp/is-stubborn; sleep 1000 & wait; sleep 1000') & wait
    outs: [stubborn]
";

fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "{} never comes", path.display());
        thread::sleep(Duration::from_millis(10));
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_stop_ends_children_in_sessions_of_their_own_of_every_stage() -> Test {
    let sandbox = Sandbox::new(&[("dvc.yaml", FAMILIES)])?;
    fs::create_dir_all(sandbox.root().join(".dvc/tmp"))?;
    let mut options = sandbox.options();
    options.shell.grace = Duration::from_millis(300);
    let project = Project::discover(&sandbox.root(), options)?;
    let token = CancelToken::new();
    let ctx = Ctx::new(&NullSink, token.clone());
    let (is_nice, is_stubborn) =
        (sandbox.root().join(".dvc/tmp/is-nice"), sandbox.root().join(".dvc/tmp/is-stubborn"));
    let outcome = thread::scope(|scope| {
        let running = scope.spawn(|| project.run(&ctx, &at_once(2)));
        wait_for(&is_nice);
        wait_for(&is_stubborn);
        token.cancel(Cancel::Drain);
        token.cancel(Cancel::Stop);
        running.join().map_err(|_| "a panic")
    })??;
    assert_eq!(outcome.report.ended, Ended::Cancelled);
    for stage in &outcome.report.stages {
        assert!(matches!(stage.outcome, Outcome::Cancelled), "{stage:?}");
    }
    for name in ["nice", "stubborn"] {
        let pid = sandbox.read(&format!(".dvc/tmp/pid-{name}"))?;
        assert!(!is_alive(&pid), "{name} lives on as {pid}");
    }
    let left: Vec<_> = fs::read_dir(sandbox.root().join(".dvc/tmp/exp/ops"))?.collect();
    assert!(left.is_empty(), "no notes of process groups are left: {left:?}");
    Ok(())
}
