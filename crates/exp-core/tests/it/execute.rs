//! Executing stages: what runs, what is restored, what fails, and what is recorded of it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use exp_core::testing::{FakeExecutor, MemoryProject, Recorder};
use exp_core::{
    Artifact, Cancel, CancelToken, Command, Ctx, Ended, Event, ExecuteError, ExecuteOptions, Exit,
    FailurePolicy, Force, Inputs, Job, Location, Outcome, ParamRef, Pipeline, PortError, RunReport,
    Selection, Sources, Stage, StageEvent, StageExecutor, StageId, StageOutcome, Table, Value,
    execute, select,
};
use proptest::prelude::*;

use crate::pipe::{id, ids, report_text, same, stages, unchecked};

fn run_all(
    ctx: &Ctx<'_>,
    project: &MemoryProject,
    pipeline: &Pipeline,
    executor: &dyn StageExecutor,
    options: &ExecuteOptions,
) -> RunReport {
    let order = select(pipeline, &Selection::All).expect("all stages");
    let recorded = |id: &StageId| project.recorded(id);
    let sources = Sources { recorded: &recorded, inputs: project, artifacts: project };
    execute(ctx, Job { pipeline, order: &order, sources, executor }, options).expect("a run")
}

/// Runs with what `executor` makes of a fresh fake and checks the report.
#[track_caller]
fn check(
    project: &MemoryProject,
    pipeline: &str,
    options: &ExecuteOptions,
    setup: impl for<'p> Fn(FakeExecutor<'p>) -> FakeExecutor<'p>,
    expected: &str,
) {
    let executor = setup(FakeExecutor::new(project));
    let report = run_all(&Ctx::silent(), project, &unchecked(pipeline), &executor, options);
    same(&report_text(&report), expected);
}

fn plain() -> ExecuteOptions {
    ExecuteOptions::default()
}

const CHAIN: &str = "
    data.dvc = > data
    a = data params.yaml#lr > a1
    b = a1 > b1 m%
    c = b1 > c1
    side = data > s1
";

fn project() -> MemoryProject {
    let project = MemoryProject::new();
    project.write("data", "1");
    project.set_params("params.yaml", params("lr", 1));
    project
}

fn params(key: &str, value: i64) -> Value {
    Value::Table(Table::from([(key.to_owned(), Value::from(value))]))
}

/// A project in which everything of the chain ran once.
fn settled() -> MemoryProject {
    let project = project();
    check(
        &project,
        CHAIN,
        &plain(),
        |fake| fake,
        "data.dvc verified\na ran\nb ran\nc ran\nside ran\nComplete",
    );
    project
}

#[test]
fn events_tell_the_story_in_order() {
    let project = project();
    let recorder = Recorder::new();
    let ctx = Ctx::new(&recorder, CancelToken::new());
    let executor = FakeExecutor::new(&project).failing(&id("b"));
    run_all(&ctx, &project, &unchecked(CHAIN), &executor, &plain());
    same(
        &recorder.lines().join("\n"),
        "data.dvc verified
         a started\na > run a\na succeeded\na locked
         b started\nb > run b\nb ended badly\nb failed: `run b` exited with status 1
         c skipped because of b",
    );
}

#[test]
fn a_second_run_does_nothing_and_a_change_back_is_restored() {
    let project = settled();
    check(
        &project,
        CHAIN,
        &plain(),
        |fake| fake,
        "data.dvc fresh\na fresh\nb fresh\nc fresh\nside fresh\nComplete",
    );
    project.set_params("params.yaml", params("lr", 2));
    check(
        &project,
        CHAIN,
        &plain(),
        |fake| fake,
        "data.dvc fresh\na ran\nb ran\nc ran\nside fresh\nComplete",
    );
    project.set_params("params.yaml", params("lr", 1));
    check(
        &project,
        CHAIN,
        &plain(),
        |fake| fake,
        "data.dvc fresh\na restored from RunCache\nb restored from RunCache
         c restored from RunCache\nside fresh\nComplete",
    );
    project.remove("b1");
    let no_cache = ExecuteOptions { run_cache: false, ..plain() };
    check(
        &project,
        CHAIN,
        &no_cache,
        |fake| fake,
        "data.dvc fresh\na fresh\nb restored from LockFile\nc fresh\nside fresh\nComplete",
    );
    assert!(project.read("b1").is_some());
}

#[test]
fn nothing_is_restored_where_it_must_not_be() {
    let ran_again = |pipeline: &str, options: &ExecuteOptions, expected: &str| {
        let project = project();
        let executor = FakeExecutor::new(&project);
        run_all(&Ctx::silent(), &project, &unchecked(pipeline), &executor, &plain());
        project.remove("x");
        check(&project, pipeline, options, |fake| fake, expected);
    };
    ran_again("a = data > x", &plain(), "a restored from LockFile\nComplete");
    ran_again("a = data > x-", &plain(), "a ran\nComplete");
    ran_again("a = data > x+", &plain(), "a ran\nComplete");
    ran_again("a = > x", &plain(), "a ran\nComplete");
    ran_again("!a = data > x", &plain(), "a ran\nComplete");
    ran_again("a = data > x", &ExecuteOptions { force: Force::All, ..plain() }, "a ran\nComplete");
}

#[test]
fn the_run_cache_is_not_believed_about_parameters_that_its_key_leaves_out() {
    let project = project();
    let text = "a = data params.yaml#size > x";
    for (size, expected) in
        [(1, "a ran\nComplete"), (2, "a ran\nComplete"), (1, "a restored from RunCache\nComplete")]
    {
        project.set_params("params.yaml", params("size", size));
        check(&project, text, &plain(), |fake| fake, expected);
    }
}

#[test]
fn a_run_without_stored_outputs_is_not_restored() {
    let project = settled();
    project.empty_store();
    project.forget_records();
    check(
        &project,
        CHAIN,
        &plain(),
        |fake| fake,
        "data.dvc verified\na ran\nb ran\nc ran\nside ran\nComplete",
    );
}

#[test]
fn a_missing_input_is_found_before_outputs_are_cleared() {
    let project = settled();
    project.remove("data");
    project.set_params("params.yaml", params("other", 1));
    let text = "a = data params.yaml#lr > a1";
    check(
        &project,
        text,
        &plain(),
        |fake| fake,
        "a failed: dependency `data` does not exist\nFailed",
    );
    project.write("data", "1");
    check(
        &project,
        text,
        &plain(),
        |fake| fake,
        "a failed: parameter file `params.yaml` does not have `lr`\nFailed",
    );
    check(
        &project,
        "a = data no.yaml# > a1",
        &plain(),
        |fake| fake,
        "a failed: parameter file `no.yaml` does not exist\nFailed",
    );
    assert!(project.read("a1").is_some(), "the old output is still there");
}

#[test]
fn an_output_that_was_not_produced_fails_its_stage_and_keeps_its_record() {
    let project = project();
    check(
        &project,
        CHAIN,
        &plain(),
        |fake| fake.forgetting("m"),
        "data.dvc verified\na ran\nb failed: output `m` was not produced
         c skipped because of b\nside not started\nFailed",
    );
    assert_eq!(project.recorded(&id("b")), None);
    assert!(project.recorded(&id("a")).is_some(), "a success is recorded at once");
}

#[test]
fn missing_data_of_a_source_is_not_made_up() {
    let project = settled();
    project.remove("data");
    check(
        &project,
        "data.dvc = > data",
        &plain(),
        |fake| fake,
        "data.dvc failed: data is missing: `data`\nFailed",
    );
}

#[test]
fn what_happens_after_a_failure_is_a_policy() {
    let failing = |on_failure, expected: &str| {
        let options = ExecuteOptions { on_failure, ..plain() };
        check(&project(), CHAIN, &options, |fake| fake.failing(&id("b")), expected);
    };
    let failed = "data.dvc verified\na ran\nb failed: `run b` exited with status 1\n";
    failing(
        FailurePolicy::Stop,
        &format!("{failed}c skipped because of b\nside not started\nFailed"),
    );
    failing(FailurePolicy::KeepGoing, &format!("{failed}c skipped because of b\nside ran\nFailed"));
    failing(
        FailurePolicy::Ignore,
        &format!("{failed}c failed: dependency `b1` does not exist\nside ran\nComplete"),
    );
}

#[test]
fn a_frozen_stage_is_recorded_as_it_is() {
    let project = settled();
    let text = CHAIN.replace("b = ", "*b = ");
    project.write("data", "2");
    project.write("b1", "by hand");
    let recorder = Recorder::new();
    let executor = FakeExecutor::new(&project);
    let ctx = Ctx::new(&recorder, CancelToken::new());
    let report = run_all(&ctx, &project, &unchecked(&text), &executor, &plain());
    same(&report_text(&report), "data.dvc verified\na ran\nb verified\nc ran\nside ran\nComplete");
    assert!(recorder.lines().iter().any(|line| line.starts_with("warning: Frozen")));
    assert_eq!(project.read("b1"), Some(b"by hand".to_vec()));
}

#[test]
fn an_input_that_comes_out_the_same_stops_the_wave() {
    struct Constant<'p>(&'p MemoryProject);
    impl StageExecutor for Constant<'_> {
        fn run(&self, _: &Ctx<'_>, stage: &Stage) -> StageOutcome {
            for out in &stage.outs {
                self.0.write(&out.location.to_string(), "same");
            }
            StageOutcome { exit: Exit::Success, took: Duration::ZERO }
        }
    }
    let project = project();
    let pipeline = unchecked("a = data > a1\nb = a1 > b1");
    run_all(&Ctx::silent(), &project, &pipeline, &Constant(&project), &plain());
    project.write("data", "2");
    let report = run_all(&Ctx::silent(), &project, &pipeline, &Constant(&project), &plain());
    same(&report_text(&report), "a ran\nb fresh\nComplete");
    let forced = ExecuteOptions { force: Force::Downstream, ..plain() };
    project.write("data", "3");
    let report = run_all(&Ctx::silent(), &project, &pipeline, &Constant(&project), &forced);
    same(&report_text(&report), "a ran\nb ran\nComplete");
}

#[test]
fn records_are_sorted_as_dvc_sorts_them() {
    let project = project();
    project.write("z", "z");
    for file in ["params.yaml", "a.yaml"] {
        let table =
            [("b", 1_i64), ("a", 2)].map(|(key, value)| (key.to_owned(), Value::from(value)));
        project.set_params(file, Value::Table(Table::from(table)));
    }
    let text = "a = z data a.yaml#b a.yaml#a params.yaml# > y x%";
    check(&project, text, &plain(), |fake| fake, "a ran\nComplete");
    let lock = project.recorded(&id("a")).expect("a record");
    let paths = |entries: &[exp_core::LockEntry]| {
        entries.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>().join(" ")
    };
    let params: Vec<String> = lock
        .params
        .iter()
        .map(|(file, keys)| format!("{file}:{}", keys.keys().cloned().collect::<String>()))
        .collect();
    assert_eq!(lock.cmd, Some(Command::Text("run a".to_owned())));
    assert_eq!((paths(&lock.deps), paths(&lock.outs)), ("data z".into(), "x y".into()));
    assert_eq!(params, ["params.yaml:ab", "a.yaml:ab"]);
}

#[test]
fn without_commit_outputs_are_recorded_and_not_stored() {
    let project = project();
    let options = ExecuteOptions { commit: false, ..plain() };
    check(&project, "a = data > a1", &options, |fake| fake, "a ran\nComplete");
    project.remove("a1");
    check(&project, "a = data > a1", &plain(), |fake| fake, "a ran\nComplete");
}

#[test]
fn absent_data_can_be_allowed_while_the_rest_is_done() {
    let project = settled();
    for path in ["data", "a1", "b1", "c1"] {
        project.remove(path);
    }
    project.write("other", "o");
    let allow = ExecuteOptions { allow_missing: true, ..plain() };
    check(
        &project,
        &format!("{CHAIN}\n new = other > n1"),
        &allow,
        |fake| fake,
        "data.dvc fresh\na fresh\nb fresh\nc fresh\nside fresh\nnew ran\nComplete",
    );
    assert!(project.read("a1").is_none());
}

#[test]
fn a_port_that_fails_is_a_failure_of_the_stage() {
    struct Broken<'p>(&'p MemoryProject);
    impl Inputs for Broken<'_> {
        fn artifact(
            &self,
            ctx: &Ctx<'_>,
            location: &Location,
        ) -> Result<Option<Artifact>, PortError> {
            if location.to_string() == "b1" {
                return Err(PortError::new("the disk is on fire"));
            }
            self.0.artifact(ctx, location)
        }
        fn param(&self, param: &ParamRef) -> Result<Option<Value>, PortError> {
            self.0.param(param)
        }
    }
    let project = project();
    let pipeline = unchecked(CHAIN);
    let order = select(&pipeline, &Selection::All).expect("all stages");
    let recorded = |id: &StageId| project.recorded(id);
    let inputs = Broken(&project);
    let sources = Sources { recorded: &recorded, inputs: &inputs, artifacts: &project };
    let executor = FakeExecutor::new(&project);
    let job = Job { pipeline: &pipeline, order: &order, sources, executor: &executor };
    let options = ExecuteOptions { on_failure: FailurePolicy::KeepGoing, ..plain() };
    let report = execute(&Ctx::silent(), job, &options).expect("a report");
    same(
        &report_text(&report),
        "data.dvc verified\na ran\nb failed: cannot compare with the record
         c skipped because of b\nside ran\nFailed",
    );
}

#[test]
fn a_dry_run_touches_nothing() {
    let project = settled();
    project.remove("b1");
    project.set_params("params.yaml", params("lr", 2));
    let before = project.history();
    let recorder = Recorder::new();
    let ctx = Ctx::new(&recorder, CancelToken::new());
    let executor = FakeExecutor::new(&project);
    let options = ExecuteOptions { dry: true, ..plain() };
    let report = run_all(&ctx, &project, &unchecked(CHAIN), &executor, &options);
    same(
        &recorder.lines().join("\n"),
        // What `b` reads will be another thing, so its record is not restored.
        "data.dvc fresh\na started\na > run a\nb started\nb > run b\nc open on b\nside fresh",
    );
    same(
        &report_text(&report),
        "data.dvc fresh\na not started\nb not started\nc not started\nside fresh\nComplete",
    );
    assert_eq!((executor.ran(), project.history()), (Vec::new(), before));
    assert!(project.read("b1").is_none());
}

#[test]
fn an_unknown_stage_is_refused_before_anything_is_done() {
    let project = project();
    let pipeline = unchecked(CHAIN);
    let order = [id("a"), id("nope")];
    let recorded = |id: &StageId| project.recorded(id);
    let sources = Sources { recorded: &recorded, inputs: &project, artifacts: &project };
    let executor = FakeExecutor::new(&project);
    let job = Job { pipeline: &pipeline, order: &order, sources, executor: &executor };
    let refused = execute(&Ctx::silent(), job, &plain());
    assert!(
        matches!(refused, Err(ExecuteError::UnknownStage { id }) if id.name.as_deref() == Some("nope"))
    );
    assert!(executor.ran().is_empty());
}

/// Asks for the end when the command of `a` starts, and returns the report.
fn cancelled(how: Cancel, jobs: usize) -> (MemoryProject, RunReport) {
    let project = project();
    let token = CancelToken::new();
    let sink = |event: Event<'_>| {
        if let Event::Stage { stage, what: StageEvent::Command { .. } } = event
            && *stage == id("a")
        {
            token.cancel(how);
        }
    };
    let ctx = Ctx::new(&sink, token.clone());
    let executor = FakeExecutor::new(&project);
    let options = ExecuteOptions { jobs, ..plain() };
    let chain = "a = data > a1\nb = a1 > b1";
    let report = run_all(&ctx, &project, &unchecked(chain), &executor, &options);
    (project, report)
}

#[test]
fn drain_finishes_what_runs_and_stop_does_not() {
    for jobs in [1, 4] {
        let (project, report) = cancelled(Cancel::Drain, jobs);
        same(&report_text(&report), "a ran\nb not started\nCancelled");
        assert_eq!(ids(&project.history()), "a");
        let (project, report) = cancelled(Cancel::Stop, jobs);
        same(&report_text(&report), "a cancelled\nb not started\nCancelled");
        assert!(project.history().is_empty());
    }
}

#[test]
fn a_panic_of_an_executor_reaches_the_caller() {
    struct Panics;
    impl StageExecutor for Panics {
        fn run(&self, _: &Ctx<'_>, _: &Stage) -> StageOutcome {
            panic!("an executor with a bug")
        }
    }
    let project = project();
    let pipeline = unchecked("a = data > a1\nb = data > b1\nc = a1 b1 > c1");
    let options = ExecuteOptions { jobs: 2, ..plain() };
    let run = || run_all(&Ctx::silent(), &project, &pipeline, &Panics, &options);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
}

/// Notes which stages run at the same time.
struct Watcher<'p> {
    fake: FakeExecutor<'p>,
    running: Mutex<BTreeSet<StageId>>,
    together: Mutex<Vec<(StageId, StageId)>>,
}

impl StageExecutor for Watcher<'_> {
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome {
        let mut running = self.running.lock().expect("no panic");
        let mut together = self.together.lock().expect("no panic");
        together.extend(running.iter().map(|other| (other.clone(), stage.id.clone())));
        running.insert(stage.id.clone());
        drop((running, together));
        std::thread::yield_now();
        let outcome = self.fake.run(ctx, stage);
        self.running.lock().expect("no panic").remove(&stage.id);
        outcome
    }
}

/// What the model says of a stage.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Is {
    Fresh,
    Ran,
    Failed,
    Skipped,
}

/// A random pipeline: for each stage which earlier stages it reads, whether it fails, whether it ran before.
fn random_pipeline() -> impl Strategy<Value = Vec<(Vec<usize>, bool, bool)>> {
    let stage =
        (prop::collection::vec(0_usize..12, 0..4), prop::bool::weighted(0.2), any::<bool>());
    prop::collection::vec(stage, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_runs_is_skipped_and_recorded_is_what_a_simple_model_says(
        spec in random_pipeline(),
        keep_going in any::<bool>(),
        jobs in prop::sample::select(vec![1_usize, 4]),
    ) {
        let mut text = String::new();
        let before: Vec<BTreeSet<usize>> = spec
            .iter()
            .enumerate()
            .map(|(at, (deps, ..))| deps.iter().copied().filter(|dep| *dep < at).collect())
            .collect();
        for (at, deps) in before.iter().enumerate() {
            let deps: Vec<String> = deps.iter().map(|dep| format!("o{dep}")).collect();
            let line = format!("s{at} = raw{at} {} > o{at}\n", deps.join(" "));
            text.push_str(&line);
        }
        let pipeline = Pipeline::new(stages(&text)).expect("a DAG");
        let project = MemoryProject::new();
        for at in 0..spec.len() {
            project.write(&format!("raw{at}"), format!("{at}"));
        }
        run_all(&Ctx::silent(), &project, &pipeline, &FakeExecutor::new(&project), &plain());
        for (at, (_, _, changed)) in spec.iter().enumerate() {
            if *changed {
                project.write(&format!("raw{at}"), format!("{at} anew"));
            }
        }
        let already = project.history().len();
        let mut fake = FakeExecutor::new(&project);
        for (at, (_, fails, _)) in spec.iter().enumerate() {
            if *fails {
                fake = fake.failing(&id(&format!("s{at}")));
            }
        }
        let watcher = Watcher { fake, running: Mutex::default(), together: Mutex::default() };
        let on_failure = if keep_going { FailurePolicy::KeepGoing } else { FailurePolicy::Stop };
        let options = ExecuteOptions { jobs, on_failure, ..plain() };
        let report = run_all(&Ctx::silent(), &project, &pipeline, &watcher, &options);

        // The model: a stage is stale when its own input changed or a stage before it ran.
        let mut model: Vec<Is> = Vec::new();
        for (at, (_, fails, changed)) in spec.iter().enumerate() {
            let any = |is: Is| before[at].iter().any(|dep| model[*dep] == is);
            model.push(if any(Is::Failed) || any(Is::Skipped) { Is::Skipped }
                else if !*changed && !any(Is::Ran) { Is::Fresh }
                else if *fails { Is::Failed }
                else { Is::Ran });
        }
        let mut ran = BTreeSet::new();
        for stage in &report.stages {
            let at: usize = stage.id.name.as_ref().expect("a name")[1..].parse().expect("a number");
            let is = match &stage.outcome {
                Outcome::Fresh => Is::Fresh,
                Outcome::Ran => Is::Ran,
                Outcome::Failed(_) => Is::Failed,
                Outcome::Skipped { .. } => Is::Skipped,
                Outcome::NotStarted => {
                    prop_assert!(!keep_going, "s{at} was not started although the rest goes on");
                    continue;
                }
                other => return Err(TestCaseError::fail(format!("s{at} {other:?}"))),
            };
            if is == Is::Ran { ran.insert(stage.id.clone()); }
            prop_assert_eq!(is, model[at], "s{}", at);
        }
        let failed = report.stages.iter().any(|stage| matches!(stage.outcome, Outcome::Failed(_)));
        prop_assert_eq!(failed, model.contains(&Is::Failed));
        prop_assert_eq!(report.ended, if failed { Ended::Failed } else { Ended::Complete });
        let history = project.history();
        let recorded: BTreeSet<StageId> = history[already..].iter().cloned().collect();
        prop_assert_eq!(&recorded, &ran, "recorded is what ran");
        prop_assert_eq!(history.len() - already, ran.len(), "each once");
        for (a, b) in watcher.together.lock().expect("no panic").iter() {
            let at = |id| pipeline.position(id).expect("known");
            prop_assert!(jobs > 1, "{a} and {b} ran together");
            prop_assert!(!pipeline.graph().before(at(a)).contains(&at(b)));
            prop_assert!(!pipeline.graph().before(at(b)).contains(&at(a)));
        }
        if jobs == 1 {
            let started = watcher.fake.ran();
            let order: Vec<StageId> = report.stages.iter().map(|stage| stage.id.clone())
                .filter(|id| started.contains(id)).collect();
            prop_assert_eq!(started, order, "one job keeps the order");
        }
    }
}
