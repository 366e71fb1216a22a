//! Metrics of runs while they go on: told by the run itself, and seen by somebody else.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use exp_engine::core::{CancelToken, Ctx, Event, StageEvent};
use exp_engine::{LiveRun, LiveRuns, Place, QueueRequest, WorkOptions};

use crate::support::{Sandbox, Test, request};

/// How long something is waited for that has to happen.
const PATIENCE: Duration = Duration::from_mins(2);

/// A stage that writes what it measures in four ways, and ends when it may.
const PIPELINE: &str = "\
stages:
  train:
    cmd:
    - sh train.sh
    params: [lr]
    metrics:
    - m.json:
        cache: false
    plots:
    - log.csv:
        cache: false
        x: epoch
";

const SCRIPT: &str = "\
mkdir -p dvclive/plots/metrics/train
printf 'timestamp\\tstep\\tacc\\n1\\t0\\t0.5\\n' > dvclive/plots/metrics/train/acc.tsv
printf 'epoch,loss\\n1,0.25\\n' > log.csv
printf '{\"f1\": 0.125}\\n' > m.json
echo epoch=1 lr=0.5 loss=9
until [ -e $DVC_ROOT/../go ]; do sleep 0.01; done
printf '1\\t1\\t0.75\\n' >> dvclive/plots/metrics/train/acc.tsv
printf '2,0.0625' >> log.csv
";

fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    Sandbox::new(&[
        ("params.yaml", "lr: 1\n"),
        ("dvc.yaml", PIPELINE),
        ("train.sh", SCRIPT),
        ("m.json", "{\"f1\": 0.5}\n"),
    ])
}

/// What is to be seen before the stage may end.
const FIRST: [&str; 4] = ["f1@-=0.125", "loss@1=0.25", "lr@1=0.5", "train.acc@0=0.5"];

#[test]
fn a_run_tells_what_it_writes_while_it_runs() -> Test {
    let sandbox = sandbox()?;
    let told = Mutex::new(Vec::new());
    let sink = |event: Event<'_>| {
        let Event::Stage { what: StageEvent::Metrics { points }, .. } = event else { return };
        let mut told = told.lock().unwrap();
        for point in points {
            let step = point.step.map_or("-".to_owned(), |step| step.to_string());
            told.push(format!("{}@{step}={}", point.name, point.value));
        }
        if FIRST.iter().all(|first| told.iter().any(|point| point == first)) {
            fs::write(sandbox.root().join("../go"), "").unwrap();
        }
    };
    let mut wanted = request(&[])?;
    wanted.repro.live = true;
    let ctx = Ctx::new(&sink, CancelToken::new());
    let outcome = sandbox.project()?.run(&ctx, &wanted)?;
    assert!(outcome.kept.is_some());
    let told = told.into_inner()?;
    let at = |wanted: &str| told.iter().rposition(|point| point == wanted);
    for wanted in FIRST.iter().chain(&["train.acc@1=0.75", "loss@2=0.0625"]) {
        let n = told.iter().filter(|point| point == wanted).count();
        assert_eq!(n, 1, "{wanted} in {told:?}");
    }
    // What is only printed gives way to the table, which has the same metric.
    assert!(at("loss@1=9") < at("loss@1=0.25"), "{told:?}");
    Ok(())
}

#[test]
fn nothing_is_told_to_who_does_not_ask() -> Test {
    let sandbox = sandbox()?;
    fs::write(sandbox.root().join("../go"), "")?;
    let n_told = Mutex::new(0);
    let sink = |event: Event<'_>| {
        if let Event::Stage { what: StageEvent::Metrics { .. }, .. } = event {
            *n_told.lock().unwrap() += 1;
        }
    };
    sandbox.project()?.run(&Ctx::new(&sink, CancelToken::new()), &request(&[])?)?;
    assert_eq!(n_told.into_inner()?, 0);
    Ok(())
}

/// Looks until what a run has to show is there, and lets it end then.
fn watched(sandbox: &Sandbox) -> Result<LiveRun, Box<dyn std::error::Error>> {
    let project = sandbox.project()?;
    let mut runs = LiveRuns::of(&project);
    let start = Instant::now();
    loop {
        runs.look()?;
        let found = runs.runs().find(|run| {
            let names: Vec<&str> = run.board.series().map(|(name, _)| name).collect();
            ["f1", "loss", "lr", "train.acc"].iter().all(|name| names.contains(name))
        });
        if let Some(run) = found.cloned() {
            fs::write(sandbox.root().join("../go"), "")?;
            return Ok(run);
        }
        if start.elapsed() > PATIENCE {
            fs::write(sandbox.root().join("../go"), "")?;
            return Err(format!("not seen: {:?}", runs.runs().collect::<Vec<_>>()).into());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Checks what is seen from outside.
fn check(run: &LiveRun) {
    assert_eq!(run.stage.as_deref(), Some("train"));
    assert!(run.stage_began.is_some() && run.baseline.is_some());
    let last = |wanted: &str| {
        let found = run.board.series().find(|(name, _)| *name == wanted);
        found.map(|(_, series)| (series.step(), series.last()))
    };
    assert_eq!(last("train.acc"), Some((Some(0), 0.5)));
    assert_eq!(last("loss"), Some((Some(1), 0.25)));
    assert_eq!(last("lr"), Some((Some(1), 0.5)));
    // Not the 0.5 of the commit, which a work tree has when it is made.
    assert_eq!(last("f1"), Some((None, 0.125)));
}

#[test]
fn runs_of_the_workspace_and_of_work_trees_are_seen_from_outside() -> Test {
    for place in [Place::Workspace, Place::Private { copy: Vec::new() }] {
        let sandbox = sandbox()?;
        let project = sandbox.project()?;
        let mut wanted = request(&[])?;
        wanted.name = Some("seen".to_owned());
        wanted.place = place.clone();
        let run = thread::scope(|scope| {
            let running = scope.spawn(|| project.run(&Ctx::silent(), &wanted).map(|_| ()));
            let run = watched(&sandbox);
            running.join().expect("a run that does not panic").expect("a run that ends well");
            run.map_err(|error| error.to_string())
        })?;
        assert_eq!((run.name.as_str(), run.job), ("seen", None));
        assert_eq!(run.is_private, place != Place::Workspace);
        check(&run);
        let mut runs = LiveRuns::of(&project);
        runs.look()?;
        assert_eq!(runs.runs().len(), 0, "it is over");
    }
    Ok(())
}

#[test]
fn jobs_of_the_queue_are_seen_from_outside() -> Test {
    let sandbox = sandbox()?;
    let queue = sandbox.project()?.queue()?;
    let mut asked = QueueRequest::default();
    let overrides = Vec::new();
    asked.jobs.push(exp_engine::NewJob { name: Some("job".to_owned()), overrides });
    let jobs = queue.add(&Ctx::silent(), &asked)?;
    let run = thread::scope(|scope| {
        let working =
            scope.spawn(|| queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ()).map(drop));
        let run = watched(&sandbox);
        working.join().expect("a worker that does not panic").expect("a worker that ends well");
        run.map_err(|error| error.to_string())
    })?;
    assert_eq!((run.name.as_str(), run.job), ("job", Some(jobs[0].number)));
    assert!(run.is_private);
    check(&run);
    Ok(())
}
