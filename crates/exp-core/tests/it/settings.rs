//! Settings of stages in an execution: second tries, claims, and what else a stage reads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use exp_core::testing::{FakeExecutor, MemoryProject, Recorder};
use exp_core::{
    Artifact, Cancel, CancelToken, Capacity, Cause, Claims, Ctx, ExecuteOptions, Exit, Extra,
    Inputs, Job, Location, ParamRef, Pipeline, PortError, Retry, RunReport, Selection, Sources,
    Stage, StageExecutor, StageId, StageOutcome, Value, execute, select,
};

use crate::pipe::{report_text, same, stages};

/// A pipeline whose stages have the settings that `change` gives them.
fn pipeline(text: &str, change: impl Fn(&mut Stage)) -> Pipeline {
    let mut all = stages(text);
    all.iter_mut().for_each(change);
    Pipeline::new(all).expect("a DAG")
}

fn run(
    ctx: &Ctx<'_>,
    pipeline: &Pipeline,
    (project, inputs): (&MemoryProject, &dyn Inputs),
    executor: &dyn StageExecutor,
    options: &ExecuteOptions,
) -> RunReport {
    let order = select(pipeline, &Selection::All).expect("all stages");
    let recorded = |id: &StageId| project.recorded(id);
    let sources = Sources { recorded: &recorded, inputs, artifacts: project };
    execute(ctx, Job { pipeline, order: &order, sources, executor }, options).expect("a report")
}

/// Fails so many times, and after each of them asks for the end if that is wished.
struct Flaky<'p> {
    fake: FakeExecutor<'p>,
    exit: Exit,
    left: AtomicU32,
    pauses: Mutex<Vec<Duration>>,
    wish: Option<Cancel>,
}

impl<'p> Flaky<'p> {
    fn new(project: &'p MemoryProject, n_failures: u32, exit: Exit) -> Self {
        let (left, pauses) = (AtomicU32::new(n_failures), Mutex::default());
        Self { fake: FakeExecutor::new(project), exit, left, pauses, wish: None }
    }
}

impl StageExecutor for Flaky<'_> {
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome {
        let fails =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if fails.is_err() {
            return self.fake.run(ctx, stage);
        }
        if let Some(wish) = self.wish {
            ctx.cancel_token().cancel(wish);
        }
        StageOutcome { exit: self.exit.clone(), took: Duration::from_secs(1) }
    }

    fn pause(&self, _: &Ctx<'_>, length: Duration) -> Option<Cancel> {
        self.pauses.lock().expect("no panic").push(length);
        None
    }
}

#[test]
fn a_stage_is_tried_as_often_as_it_says_and_no_more() {
    let code = |code| Exit::Code { code, line: "x".to_owned() };
    let check = |n_failures, exit: Exit, wish, expected: &str, n_pauses| {
        let project = MemoryProject::new();
        project.write("data", "1");
        let pipeline = pipeline("a = data > o", |stage| {
            let (max, backoff, on) = (2, Duration::from_secs(5), vec![Cause::Code(75)]);
            stage.settings.retry = Retry { max, backoff, on };
        });
        let mut executor = Flaky::new(&project, n_failures, exit);
        executor.wish = wish;
        let recorder = Recorder::new();
        let ctx = Ctx::new(&recorder, CancelToken::new());
        let options = ExecuteOptions::default();
        run(&ctx, &pipeline, (&project, &project), &executor, &options);
        same(&recorder.lines().join("\n"), expected);
        assert_eq!(executor.pauses.lock().expect("no panic").len(), n_pauses);
    };
    check(
        2,
        code(75),
        None,
        "a started\na tried again, 2 of 3\na tried again, 3 of 3\na > run a\na succeeded\na locked anew",
        2,
    );
    check(
        3,
        code(75),
        None,
        "a started\na tried again, 2 of 3\na tried again, 3 of 3\na ended badly\na failed: `x` exited with status 75",
        2,
    );
    let once = "a started\na ended badly\na failed: `x` exited with status 1";
    check(1, code(1), None, once, 0);
    let drained = "a started\na ended badly\na failed: `x` exited with status 75";
    check(1, code(75), Some(Cancel::Drain), drained, 0);
}

/// Notes what is claimed together.
struct Counting<'p> {
    fake: FakeExecutor<'p>,
    now: Mutex<Vec<Claims>>,
    most: Mutex<usize>,
}

impl StageExecutor for Counting<'_> {
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome {
        let claims = &stage.settings.claims;
        {
            let mut now = self.now.lock().expect("no panic");
            assert!(
                now.iter().all(|other| other.mutex.is_disjoint(&claims.mutex)),
                "one name twice"
            );
            now.push(claims.clone());
            let cpu: u32 = now.iter().map(|other| other.cpu).sum();
            // What claims no core runs beside anything, beside the one that has them all as well.
            let n_claiming = now.iter().filter(|other| other.cpu > 0).count();
            assert!(cpu <= 4 || n_claiming == 1, "{cpu} of 4 cores for {n_claiming} stages");
            let mut most = self.most.lock().expect("no panic");
            *most = (*most).max(now.len());
        }
        for _ in 0..50 {
            thread::yield_now();
        }
        let outcome = self.fake.run(ctx, stage);
        let mut now = self.now.lock().expect("no panic");
        let at = now.iter().position(|other| other == claims).expect("it runs");
        now.swap_remove(at);
        outcome
    }
}

#[test]
fn stages_run_together_only_as_far_as_their_claims_fit() {
    let project = MemoryProject::new();
    project.write("data", "1");
    let lines: Vec<String> = (0..24).map(|n| format!("s{n} = data > o{n}")).collect();
    let text = lines.join("\n");
    let number = |stage: &Stage| -> u32 {
        stage.id.name.as_deref().and_then(|name| name[1..].parse().ok()).expect("a number")
    };
    let pipeline = pipeline(&text, |stage| {
        let n = number(stage);
        // Of every kind some, and one that wants more than there is.
        stage.settings.claims.cpu = if n == 7 { 64 } else { n % 4 };
        if n.is_multiple_of(3) {
            stage.settings.claims.mutex = [format!("m{}", n % 2)].into();
        }
    });
    let executor = Counting {
        fake: FakeExecutor::new(&project),
        now: Mutex::default(),
        most: Mutex::default(),
    };
    let capacity = Capacity { cpu: 4, ..Capacity::ENDLESS };
    let options = ExecuteOptions { jobs: 8, capacity, ..ExecuteOptions::default() };
    let report = run(&Ctx::silent(), &pipeline, (&project, &project), &executor, &options);
    assert_eq!(report_text(&report).matches(" ran").count(), 24);
    assert_eq!(executor.fake.ran().len(), 24);
}

/// A project in which extras have these digests.
struct WithExtras<'p> {
    project: &'p MemoryProject,
    digests: BTreeMap<String, String>,
}

impl Inputs for WithExtras<'_> {
    fn artifact(&self, ctx: &Ctx<'_>, location: &Location) -> Result<Option<Artifact>, PortError> {
        self.project.artifact(ctx, location)
    }

    fn extra(&self, _: &Ctx<'_>, _: &Stage, extra: &Extra) -> Result<Option<String>, PortError> {
        Ok(self.digests.get(&extra.key()).cloned())
    }

    fn param(&self, param: &ParamRef) -> Result<Option<Value>, PortError> {
        self.project.param(param)
    }
}

#[test]
fn what_a_stage_reads_besides_decides_and_chooses_the_earlier_run() {
    let project = MemoryProject::new();
    project.write("data", "1");
    let pipeline = pipeline("a = data > o", |stage| {
        stage.settings.extras = vec![Extra::Variable("MODE".to_owned())];
    });
    let executor = FakeExecutor::new(&project);
    let mut inputs = WithExtras { project: &project, digests: BTreeMap::new() };
    let mut check = |mode: Option<&str>, expected: &str| {
        inputs.digests =
            mode.map(|mode| ("env MODE".to_owned(), mode.to_owned())).into_iter().collect();
        let options = ExecuteOptions::default();
        let report = run(&Ctx::silent(), &pipeline, (&project, &inputs), &executor, &options);
        same(&report_text(&report), expected);
    };
    check(None, "a ran\nComplete");
    check(None, "a fresh\nComplete");
    check(Some("one"), "a ran\nComplete");
    check(Some("one"), "a fresh\nComplete");
    check(None, "a restored from RunCache\nComplete");
    check(Some("two"), "a ran\nComplete");
    check(Some("one"), "a restored from RunCache\nComplete");
}
