//! Asking before stages are done (issue 4): each in its turn, after those before it are recorded.

use std::sync::Mutex;

use exp_core::testing::{FakeExecutor, MemoryProject};
use exp_core::{
    Cancel, CancelToken, Consent, Ctx, ExecuteOptions, FailurePolicy, Job, NullSink, Pipeline,
    Reason, RunReport, Selection, Sources, StageId, execute, select,
};

use crate::pipe::{report_text, same, unchecked};

const CHAIN: &str = "
    data.dvc = > data
    a = data > a1
    b = a1 > b1
    c = b1 > c1
    side = data > s1
";

/// Agrees to everything but some stages, and notes what was done when it was asked.
struct Asked<'p> {
    project: &'p MemoryProject,
    declines: &'static [&'static str],
    cancels: bool,
    questions: Mutex<Vec<String>>,
}

impl<'p> Asked<'p> {
    fn declining(project: &'p MemoryProject, declines: &'static [&'static str]) -> Self {
        Self { project, declines, cancels: false, questions: Mutex::default() }
    }
}

impl Consent for Asked<'_> {
    fn agrees(&self, ctx: &Ctx<'_>, stage: &StageId, reasons: &[Reason]) -> bool {
        assert!(!reasons.is_empty(), "only what is due is asked about");
        let question = format!("{stage} after {}", self.project.history().len());
        self.questions.lock().expect("no panic before").push(question);
        if self.cancels {
            ctx.cancel_token().cancel(Cancel::Drain);
        }
        !self.declines.contains(&stage.to_string().as_str())
    }
}

fn project() -> MemoryProject {
    let project = MemoryProject::new();
    project.write("data", "1");
    project
}

fn run(project: &MemoryProject, asked: &Asked<'_>, options: &ExecuteOptions) -> RunReport {
    let pipeline: Pipeline = unchecked(CHAIN);
    let order = select(&pipeline, &Selection::All).expect("all stages");
    let recorded = |id: &StageId| project.recorded(id);
    let sources = Sources { recorded: &recorded, inputs: project, artifacts: project };
    let executor = FakeExecutor::new(project);
    let job = Job { pipeline: &pipeline, order: &order, sources, executor: &executor };
    let ctx = Ctx::new(&NullSink, CancelToken::new()).asking(Some(asked));
    execute(&ctx, job, options).expect("a run")
}

#[track_caller]
fn check(
    declines: &'static [&'static str],
    options: &ExecuteOptions,
    questions: &str,
    report: &str,
) -> MemoryProject {
    let project = project();
    let asked = Asked::declining(&project, declines);
    let text = report_text(&run(&project, &asked, options));
    let found = asked.questions.into_inner().expect("no panic before").join("\n");
    same(&found, questions);
    same(&text, report);
    project
}

#[test]
fn each_is_asked_about_when_those_before_it_are_recorded() {
    let everything = "data.dvc after 0\na after 1\nb after 2\nc after 3\nside after 4";
    let done = "data.dvc verified\na ran\nb ran\nc ran\nside ran\nComplete";
    let project = check(&[], &ExecuteOptions::default(), everything, done);
    // With more at a time there is still one question after the other.
    let many = ExecuteOptions { jobs: 4, ..ExecuteOptions::default() };
    check(&[], &many, everything, done);
    // What is up to date is not asked about.
    let asked = Asked::declining(&project, &[]);
    run(&project, &asked, &ExecuteOptions::default());
    assert!(asked.questions.into_inner().expect("no panic before").is_empty());
}

#[test]
fn what_ran_before_a_no_stays_recorded() {
    let project = check(
        &["b"],
        &ExecuteOptions::default(),
        "data.dvc after 0\na after 1\nb after 2",
        "data.dvc verified\na ran\nb failed: declined\nc skipped because of b\nside not started\nCancelled",
    );
    assert!(project.read("a1").is_some() && project.read("b1").is_none());
    let on = |on_failure| ExecuteOptions { on_failure, ..ExecuteOptions::default() };
    check(
        &["b"],
        &on(FailurePolicy::KeepGoing),
        "data.dvc after 0\na after 1\nb after 2\nside after 2",
        "data.dvc verified\na ran\nb failed: declined\nc skipped because of b\nside ran\nCancelled",
    );
}

#[test]
fn a_dry_run_asks_and_does_nothing() {
    let dry = ExecuteOptions { dry: true, ..ExecuteOptions::default() };
    let project = check(
        &["data.dvc"],
        &dry,
        "data.dvc after 0",
        "data.dvc failed: declined\na not started\nb not started\nc not started\nside not started\nCancelled",
    );
    assert!(project.history().is_empty());
}

#[test]
fn who_asks_for_the_end_meanwhile_answers_nothing() {
    let project = project();
    let asked = Asked { cancels: true, ..Asked::declining(&project, &["data.dvc"]) };
    let report = run(&project, &asked, &ExecuteOptions::default());
    same(
        &report_text(&report),
        "data.dvc not started\na not started\nb not started\nc not started\nside not started\nCancelled",
    );
}
