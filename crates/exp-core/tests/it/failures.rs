//! Random pipelines with random failures, beside a model that does the same one stage after the other: what ran, what
//! was restored, left out and recorded, and what lies in the workspace, under each policy and with any number of jobs.

use std::collections::{BTreeMap, BTreeSet};

use exp_core::testing::{FakeExecutor, MemoryProject};
use exp_core::{
    Algorithm, Ctx, Digest, Ended, ExecuteOptions, FailurePolicy, Job, Outcome, Pipeline,
    RunReport, Selection, Sources, StageId, execute, select,
};
use proptest::prelude::*;

use crate::pipe::{id, stages};

/// What is wrong with a stage's command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// It exits with a failure before it writes anything.
    Exit,
    /// It succeeds without its output.
    Forgets,
}

/// One stage: `s3` reads `raw3` and outputs of earlier ones, and writes `o3`.
#[derive(Clone, Debug)]
struct Spec {
    deps: Vec<usize>,
    fault: Fault,
    /// Whether its own input changes after the first run.
    changed: bool,
    /// Whether its output is removed after the first run.
    removed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    Fresh,
    Ran,
    Restored,
    Failed,
    Skipped,
    NotStarted,
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let fault = prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Exit),
        1 => Just(Fault::Forgets),
    ];
    let deps = prop::collection::vec(0_usize..14, 0..4);
    let spec = (deps, fault, any::<bool>(), prop::bool::weighted(0.2));
    prop::collection::vec(spec, 1..14).prop_map(|specs| {
        let numbered = specs.into_iter().enumerate();
        numbered
            .map(|(at, (deps, fault, changed, removed))| {
                let deps: BTreeSet<usize> = deps.into_iter().filter(|dep| *dep < at).collect();
                Spec { deps: deps.into_iter().collect(), fault, changed, removed }
            })
            .collect()
    })
}

/// The same in plain maps: contents, records, and what ran with which inputs.
#[derive(Default)]
struct Model {
    files: BTreeMap<String, String>,
    records: BTreeMap<usize, (Vec<String>, String)>,
    runs: BTreeMap<(usize, Vec<String>), String>,
    recorded: Vec<usize>,
}

impl Model {
    fn turn(&mut self, at: usize, spec: &Spec, fault: Fault) -> Is {
        let out = format!("o{at}");
        let deps: Option<Vec<String>> =
            inputs(at, spec).iter().map(|path| self.files.get(path).cloned()).collect();
        let record = self.records.get(&at);
        let same = record.is_some_and(|(was, _)| Some(was) == deps.as_ref());
        if same && record.map(|(_, out)| out) == self.files.get(&out) {
            return Is::Fresh;
        }
        let Some(deps) = deps else { return Is::Failed };
        let known = match record {
            Some((_, out)) if same => Some(out.clone()),
            _ => self.runs.get(&(at, deps.clone())).cloned(),
        };
        let is = if known.is_some() { Is::Restored } else { Is::Ran };
        if known.is_none() && fault != Fault::None {
            self.files.remove(&out);
            return Is::Failed;
        }
        let made = known.unwrap_or_else(|| {
            let digests: Vec<String> = deps.iter().map(|dep| hex(dep)).collect();
            hex(&format!("run s{at}|{}>{out}", digests.join("|")))
        });
        self.files.insert(out, made.clone());
        self.runs.insert((at, deps.clone()), made.clone());
        self.records.insert(at, (deps, made));
        self.recorded.push(at);
        is
    }

    /// Does all stages in the given order.
    fn run(&mut self, specs: &[Spec], order: &[usize], policy: FailurePolicy) -> Vec<Is> {
        let mut all = vec![Is::NotStarted; specs.len()];
        let mut stopped = false;
        for &at in order {
            let blocked = specs[at].deps.iter().any(|dep| {
                matches!(all[*dep], Is::Failed | Is::Skipped) && policy != FailurePolicy::Ignore
            });
            all[at] = match (blocked, stopped) {
                (true, _) => Is::Skipped,
                (false, true) => Is::NotStarted,
                (false, false) => self.turn(at, &specs[at], specs[at].fault),
            };
            stopped |= all[at] == Is::Failed && policy == FailurePolicy::Stop;
        }
        all
    }
}

fn inputs(at: usize, spec: &Spec) -> Vec<String> {
    let before = spec.deps.iter().map(|dep| format!("o{dep}"));
    std::iter::once(format!("raw{at}")).chain(before).collect()
}

fn hex(text: &str) -> String {
    Digest::of(Algorithm::Md5, text.as_bytes()).to_hex()
}

fn number(id: &StageId) -> usize {
    id.name.as_ref().expect("a name")[1..].parse().expect("a number")
}

fn outcome(outcome: &Outcome) -> Is {
    match outcome {
        Outcome::Fresh => Is::Fresh,
        Outcome::Ran => Is::Ran,
        Outcome::Restored(_) => Is::Restored,
        Outcome::Failed(_) => Is::Failed,
        Outcome::Skipped { .. } => Is::Skipped,
        Outcome::NotStarted => Is::NotStarted,
        other => panic!("unexpected: {other:?}"),
    }
}

/// A project and its model, in which everything ran once before some of it changed.
fn settled(specs: &[Spec], pipeline: &Pipeline, order: &[StageId]) -> (MemoryProject, Model) {
    let (project, mut model) = (MemoryProject::new(), Model::default());
    let write = |model: &mut Model, at: usize, text: &str| {
        project.write(&format!("raw{at}"), text);
        model.files.insert(format!("raw{at}"), text.to_owned());
    };
    for at in 0..specs.len() {
        write(&mut model, at, &format!("{at}"));
    }
    let plain = ExecuteOptions::default();
    run(&project, pipeline, order, &FakeExecutor::new(&project), &plain);
    for at in order.iter().map(number) {
        model.turn(at, &specs[at], Fault::None);
    }
    model.recorded.clear();
    for (at, spec) in specs.iter().enumerate() {
        if spec.changed {
            write(&mut model, at, &format!("{at} anew"));
        }
        if spec.removed {
            project.remove(&format!("o{at}"));
            model.files.remove(&format!("o{at}"));
        }
    }
    (project, model)
}

fn run(
    project: &MemoryProject,
    pipeline: &Pipeline,
    order: &[StageId],
    executor: &FakeExecutor<'_>,
    options: &ExecuteOptions,
) -> RunReport {
    let recorded = |id: &StageId| project.recorded(id);
    let sources = Sources { recorded: &recorded, inputs: project, artifacts: project };
    execute(&Ctx::silent(), Job { pipeline, order, sources, executor }, options).expect("a run")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn failures_stop_exactly_what_the_model_says(
        specs in specs(),
        policy in prop::sample::select(vec![
            FailurePolicy::Stop, FailurePolicy::KeepGoing, FailurePolicy::Ignore,
        ]),
        jobs in prop::sample::select(vec![1_usize, 8]),
    ) {
        let text: Vec<String> = specs.iter().enumerate()
            .map(|(at, spec)| format!("s{at} = {} > o{at}", inputs(at, spec).join(" ")))
            .collect();
        let pipeline = Pipeline::new(stages(&text.join("\n"))).expect("a DAG");
        let order = select(&pipeline, &Selection::All).expect("all stages");
        let numbers: Vec<usize> = order.iter().map(number).collect();
        let (project, mut model) = settled(&specs, &pipeline, &order);
        let n_before = project.history().len();

        let mut fake = FakeExecutor::new(&project);
        for (at, spec) in specs.iter().enumerate() {
            fake = match spec.fault {
                Fault::None => fake,
                Fault::Exit => fake.failing(&id(&format!("s{at}"))),
                Fault::Forgets => fake.forgetting(&format!("o{at}")),
            };
        }
        let options = ExecuteOptions { jobs, on_failure: policy, ..ExecuteOptions::default() };
        let report = run(&project, &pipeline, &order, &fake, &options);
        let mut ours = vec![Is::NotStarted; specs.len()];
        for stage in &report.stages {
            ours[number(&stage.id)] = outcome(&stage.outcome);
        }
        let recorded: Vec<usize> = project.history()[n_before..].iter().map(number).collect();

        // With several jobs, how much of the rest was begun before a failure that stops it is open; whatever was begun
        // came out as it does when everything goes on.
        let is_open = policy == FailurePolicy::Stop && jobs > 1;
        let expected = if is_open {
            let begun: Vec<usize> = numbers.iter().copied()
                .filter(|at| ours[*at] != Is::NotStarted).collect();
            let theirs = model.run(&specs, &begun, FailurePolicy::KeepGoing);
            let failed = ours.contains(&Is::Failed);
            prop_assert!(failed || !ours.contains(&Is::NotStarted), "all is begun until one fails");
            theirs
        } else {
            model.run(&specs, &numbers, policy)
        };
        prop_assert_eq!(&ours, &expected);

        let failed = ours.contains(&Is::Failed) && policy != FailurePolicy::Ignore;
        prop_assert_eq!(report.ended, if failed { Ended::Failed } else { Ended::Complete });
        if jobs == 1 {
            prop_assert_eq!(&recorded, &model.recorded);
        } else {
            let sorted = |mut list: Vec<usize>| { list.sort_unstable(); list };
            prop_assert_eq!(sorted(recorded), sorted(model.recorded.clone()), "each once");
        }
        for (at, spec) in specs.iter().enumerate() {
            let out = format!("o{at}");
            let there = project.read(&out).map(|bytes| String::from_utf8(bytes).expect("text"));
            prop_assert_eq!(there.as_ref(), model.files.get(&out), "{}", out);
            let lock = project.recorded(&id(&format!("s{at}"))).expect("ran once");
            let hash = |path: &str, deps: bool| {
                let entry = if deps { lock.dep(path) } else { lock.out(path) };
                entry.and_then(|entry| entry.artifact).map(|artifact| artifact.id.to_string())
            };
            let (deps, made) = &model.records[&at];
            prop_assert_eq!(hash(&out, false), Some(hex(made)), "record of {}", out);
            for (path, content) in inputs(at, spec).iter().zip(deps) {
                prop_assert_eq!(hash(path, true), Some(hex(content)), "record of {} in s{}", path, at);
            }
        }
    }
}
