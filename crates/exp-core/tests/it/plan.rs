//! Forecasts: verdicts and reasons.

use exp_core::testing::{FakeExecutor, MemoryProject};
use exp_core::{
    Ctx, ExecuteOptions, Force, Job, Pipeline, Plan, PlanOptions, Selection, Sources, StageId,
    Table, Value, execute, plan, select,
};

use crate::pipe::{expect_text, id, plan_text, same, unchecked};

const CHAIN: &str = "
    data.dvc = > data
    a = data params.yaml#lr > a1
    b = a1 other.yaml# > b1 m%
    c = b1 > c1
";

/// A project in which everything ran once.
fn settled(pipeline: &Pipeline) -> MemoryProject {
    let project = MemoryProject::new();
    project.write("data", "1");
    project
        .set_params("params.yaml", map(&[("lr", Value::from(0.1)), ("seed", Value::from(1_i64))]));
    project.set_params("other.yaml", map(&[("a", Value::from(1_i64)), ("b", Value::from(2_i64))]));
    let order = select(pipeline, &Selection::All).expect("all stages");
    let executor = FakeExecutor::new(&project);
    let recorded = |id: &StageId| project.recorded(id);
    let sources = Sources { recorded: &recorded, inputs: &project, artifacts: &project };
    let job = Job { pipeline, order: &order, sources, executor: &executor };
    execute(&Ctx::silent(), job, &ExecuteOptions::default()).expect("a run");
    project
}

fn map(pairs: &[(&str, Value)]) -> Value {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    Value::Table(pairs.collect::<Table>())
}

#[track_caller]
fn check_with(options: PlanOptions, now: &str, change: impl Fn(&MemoryProject), expected: &str) {
    same(&plan_text(&planned(options, now, change)), expected);
}

/// Plans a pipeline after the chain was settled and something was changed.
fn planned(options: PlanOptions, now: &str, change: impl Fn(&MemoryProject)) -> Plan {
    let project = settled(&unchecked(CHAIN));
    change(&project);
    let pipeline = unchecked(now);
    let order = select(&pipeline, &Selection::All).expect("all stages");
    let recorded = |id: &StageId| project.recorded(id);
    let sources = Sources { recorded: &recorded, inputs: &project, artifacts: &project };
    plan(&Ctx::silent(), &pipeline, &order, sources, options).expect("a plan")
}

#[track_caller]
fn check(change: impl Fn(&MemoryProject), expected: &str) {
    check_with(PlanOptions::default(), CHAIN, change, expected);
}

#[test]
fn nothing_changed_is_fresh() {
    check(|_| {}, "data.dvc fresh\na fresh\nb fresh\nc fresh");
}

#[test]
fn what_comes_after_a_stale_stage_is_open() {
    check(
        |project| project.write("data", "2"),
        "data.dvc stale(out data modified)
         a open(data.dvc)
         b open(a)
         c open(b)",
    );
    check(
        |project| project.remove("a1"),
        "data.dvc fresh\na stale(out a1 deleted)\nb open(a)\nc open(b)",
    );
}

#[test]
fn parameters_are_compared_by_value() {
    let set = |lr: Value| {
        move |project: &MemoryProject| {
            project.set_params(
                "params.yaml",
                map(&[("lr", lr.clone()), ("seed", Value::from(9_i64))]),
            );
        }
    };
    check(set(Value::from(0.1)), "data.dvc fresh\na fresh\nb fresh\nc fresh");
    check(
        set(Value::from(0.2)),
        "data.dvc fresh\na stale(param params.yaml#lr modified)\nb open(a)\nc open(b)",
    );
    check(
        |project| project.set_params("params.yaml", map(&[("seed", Value::from(1_i64))])),
        "data.dvc fresh\na stale(param params.yaml#lr deleted)\nb open(a)\nc open(b)",
    );
    check(
        |project| {
            let one = Value::from(true);
            project.set_params("other.yaml", map(&[("a", one), ("c", Value::from(3_i64))]));
        },
        "data.dvc fresh\na fresh
         b stale(param other.yaml#c new, param other.yaml#b deleted)
         c open(b)",
    );
}

#[test]
fn a_changed_definition_is_seen() {
    let now = CHAIN
        .replace("a = data params.yaml#lr", "a = data extra params.yaml#lr,q")
        .replace("params.yaml#lr,q", "params.yaml#lr params.yaml#q new.yaml#k");
    let change = |project: &MemoryProject| {
        project.write("extra", "e");
        project.set_params("new.yaml", map(&[("k", Value::from(1_i64))]));
    };
    check_with(
        PlanOptions::default(),
        &now,
        change,
        "data.dvc fresh
         a stale(dep extra new, param params.yaml#q deleted, params new.yaml new)
         b open(a)\nc open(b)",
    );
}

#[test]
fn a_stage_without_record_says_so_and_what_it_lacks() {
    check(
        |project| {
            project.forget_records();
            project.remove("data");
            project.remove("c1");
        },
        "data.dvc stale(never ran, out data deleted)
         a stale(never ran, dep data deleted, params params.yaml new, out a1 new)
         b stale(never ran, dep a1 new, params other.yaml new, out b1 new, out m new)
         c stale(never ran, dep b1 new, out c1 deleted)",
    );
}

#[test]
fn an_object_that_is_not_stored_goes_before_everything_else_about_an_output() {
    check(
        |project| {
            project.empty_store();
            project.remove("m");
            project.remove("b1");
        },
        "data.dvc stale(out data not in cache)
         a stale(out a1 not in cache)
         b stale(out b1 not in cache, out m deleted)
         c stale(dep b1 deleted, out c1 not in cache)",
    );
}

#[test]
fn absent_data_can_be_allowed() {
    let allow = PlanOptions { allow_missing: true, ..PlanOptions::default() };
    let gone = |project: &MemoryProject| {
        project.empty_store();
        for path in ["data", "a1", "b1", "m", "c1"] {
            project.remove(path);
        }
    };
    check_with(allow, CHAIN, gone, "data.dvc fresh\na fresh\nb fresh\nc fresh");
    let other = |project: &MemoryProject| {
        gone(project);
        let mut lock = project.recorded(&id("data.dvc")).expect("a record");
        lock.outs[0].artifact = project.recorded(&id("c")).expect("a record").outs[0].artifact;
        project.set_record(&id("data.dvc"), lock);
    };
    check_with(
        allow,
        CHAIN,
        other,
        "data.dvc fresh\na stale(dep data modified)\nb open(a)\nc open(b)",
    );
}

#[test]
fn a_frozen_stage_ignores_what_it_reads() {
    let now = CHAIN.replace("b = ", "*b = ");
    check_with(
        PlanOptions::default(),
        &now,
        |project| project.write("a1", "?"),
        "data.dvc fresh\na stale(out a1 modified)\nb fresh\nc fresh",
    );
}

#[test]
fn callbacks_and_always_changed_stages_run_always() {
    let text = "call =\n!always = data > y";
    check_with(
        PlanOptions::default(),
        text,
        |_| {},
        "call stale(never ran, always)
         always stale(never ran, always, dep data new, out y deleted)",
    );
}

#[test]
fn force_is_a_reason() {
    let force = |force| PlanOptions { force, ..PlanOptions::default() };
    check_with(
        force(Force::All),
        CHAIN,
        |_| {},
        "data.dvc stale(forced)\na stale(forced)\nb stale(forced)\nc stale(forced)",
    );
    check_with(
        force(Force::Downstream),
        CHAIN,
        |project| project.remove("b1"),
        "data.dvc fresh\na fresh\nb stale(out b1 deleted)\nc stale(dep b1 deleted, upstream)",
    );
}

#[test]
fn what_would_be_done_is_told_apart() {
    let expected = |options, now: &str, change: fn(&MemoryProject), text: &str| {
        same(&expect_text(&planned(options, now, change)), text);
    };
    let plain = PlanOptions::default();
    expected(plain, CHAIN, |_| {}, "data.dvc Nothing\na Nothing\nb Nothing\nc Nothing");
    expected(
        plain,
        CHAIN,
        |project| project.write("data", "2"),
        "data.dvc Record\na Open\nb Open\nc Open",
    );
    // What stands before it will write its input anew, so nobody knows whether it can be restored.
    expected(
        plain,
        &CHAIN.replace("b = a1", "b = a1 new"),
        |project| project.remove("a1"),
        "data.dvc Nothing\na Restore(LockFile)\nb Fail\nc Open",
    );
    expected(
        plain,
        CHAIN,
        |project| {
            project.remove("a1");
            project.remove("c1");
        },
        "data.dvc Nothing\na Restore(LockFile)\nb Open\nc Run",
    );
    expected(plain, CHAIN, MemoryProject::forget_records, "data.dvc Record\na Run\nb Run\nc Run");
    expected(
        plain,
        CHAIN,
        |project| project.remove("data"),
        "data.dvc Fail\na Open\nb Open\nc Open",
    );
    let force = PlanOptions { force: Force::All, ..plain };
    expected(force, CHAIN, |_| {}, "data.dvc Record\na Run\nb Run\nc Run");
}

#[test]
fn an_earlier_run_is_expected_from_the_run_cache_unless_that_is_off() {
    let forget_a = |project: &MemoryProject| {
        let mut lock = project.recorded(&id("a")).expect("a record");
        lock.cmd = None;
        project.set_record(&id("a"), lock);
    };
    let plain = PlanOptions::default();
    same(
        &expect_text(&planned(plain, CHAIN, forget_a)),
        "data.dvc Nothing\na Restore(RunCache)\nb Open\nc Open",
    );
    let without = PlanOptions { run_cache: false, ..plain };
    same(
        &expect_text(&planned(without, CHAIN, forget_a)),
        "data.dvc Nothing\na Run\nb Open\nc Open",
    );
}
