//! Pipelines as short text, and plans and reports as such.
//!
//! A line a stage: `name = dep dep params.yaml#key > out out`. Before the name `*` freezes and `!` makes it always
//! changed; behind an output `-` means `cache: false`, `%` an uncached metric, `+` persist. A parameter file with a `#` and
//! nothing behind it is a whole file. A name that ends in `.dvc` is a data source. The command is the name.

use std::path::Path;

use exp_core::{
    Change, Command, Dep, KeyPath, Location, Out, OutKind, Outcome, ParamRef, Pipeline, Plan,
    Reason, RelPath, RunReport, Stage, StageId, Table, Verdict,
};

pub(crate) fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a path of a test")
}

pub(crate) fn id(address: &str) -> StageId {
    match address.split_once(':') {
        Some((file, name)) => StageId::named(path(file), name),
        None if address.strip_suffix(".dvc").is_some() => StageId::data(path(address)),
        None => StageId::named(path("dvc.yaml"), address),
    }
}

pub(crate) fn stages(text: &str) -> Vec<Stage> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(stage).collect()
}

pub(crate) fn unchecked(text: &str) -> Pipeline {
    Pipeline::unchecked(stages(text))
}

fn stage(line: &str) -> Stage {
    let (name, rest) = line.split_once('=').expect("a `=`");
    let (deps, outs) = rest.split_once('>').unwrap_or((rest, ""));
    let name = name.trim();
    let address = name.trim_start_matches(['*', '!']);
    let mut stage = Stage::new(id(address));
    stage.frozen = name.contains('*');
    stage.always_changed = name.contains('!');
    if stage.id.name.is_some() {
        stage.cmd = Some(Command::Text(format!("run {address}")));
    }
    let at = |path: &str, stage: &Stage| Location::resolve(path, &stage.wdir, Path::new("/w"));
    for dep in deps.split_whitespace() {
        let location = at(dep.split('#').next().unwrap_or(dep), &stage);
        match dep.split_once('#') {
            Some((file, key)) => stage.params.push(ParamRef {
                file: file.to_owned(),
                location,
                key: (!key.is_empty()).then(|| KeyPath::parse(key)),
            }),
            None => stage.deps.push(Dep { path: dep.to_owned(), location }),
        }
    }
    for out in outs.split_whitespace() {
        let path = out.trim_end_matches(['-', '%', '+']);
        stage.outs.push(Out {
            path: path.to_owned(),
            location: at(path, &stage),
            kind: if out.ends_with('%') { OutKind::Metric } else { OutKind::Data },
            cache: !out.ends_with(['-', '%']),
            persist: out.ends_with('+'),
            push: true,
            remote: None,
            extra: Table::new(),
        });
    }
    stage
}

pub(crate) fn ids(ids: &[StageId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(crate) fn reasons(reasons: &[Reason]) -> String {
    let change = |change: &Change| match change {
        Change::New => "new",
        Change::Modified => "modified",
        Change::Deleted => "deleted",
        Change::NotInCache => "not in cache",
    };
    let text = |reason: &Reason| match reason {
        Reason::NeverRan => "never ran".to_owned(),
        Reason::Command { .. } => "command".to_owned(),
        Reason::AlwaysChanged => "always".to_owned(),
        Reason::Dep { path, change: how, .. } => format!("dep {path} {}", change(how)),
        Reason::Out { path, change: how, .. } => format!("out {path} {}", change(how)),
        Reason::Param { param, change: how, .. } => match &param.key {
            Some(key) => format!("param {}#{key} {}", param.file, change(how)),
            None => format!("params {} {}", param.file, change(how)),
        },
        Reason::Checksum => "checksum".to_owned(),
        Reason::Forced => "forced".to_owned(),
        Reason::Upstream => "upstream".to_owned(),
        other => format!("{other:?}"),
    };
    reasons.iter().map(text).collect::<Vec<_>>().join(", ")
}

pub(crate) fn plan_text(plan: &Plan) -> String {
    let line = |step: &exp_core::Step| match &step.verdict {
        Verdict::Fresh => format!("{} fresh", step.stage),
        Verdict::Stale(why) => format!("{} stale({})", step.stage, reasons(why)),
        Verdict::Open(on) => format!("{} open({})", step.stage, ids(on)),
    };
    plan.steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Says of each stage what would be done with it.
pub(crate) fn expect_text(plan: &Plan) -> String {
    let line = |step: &exp_core::Step| format!("{} {:?}", step.stage, step.expect);
    plan.steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn report_text(report: &RunReport) -> String {
    let mut lines: Vec<String> = Vec::new();
    for stage in &report.stages {
        let outcome = match &stage.outcome {
            Outcome::Fresh => "fresh".to_owned(),
            Outcome::Restored(from) => format!("restored from {from:?}"),
            Outcome::Ran => "ran".to_owned(),
            Outcome::Verified => "verified".to_owned(),
            Outcome::Failed(failure) => format!("failed: {failure}"),
            Outcome::Skipped { because } => format!("skipped because of {because}"),
            Outcome::NotStarted => "not started".to_owned(),
            Outcome::Cancelled => "cancelled".to_owned(),
            other => format!("{other:?}"),
        };
        lines.push(format!("{} {outcome}", stage.id));
    }
    lines.push(format!("{:?}", report.ended));
    lines.join("\n")
}

/// Cuts the space in front of every line, so that an expectation can be indented.
#[track_caller]
pub(crate) fn same(actual: &str, expected: &str) {
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(actual, expected.join("\n"));
}
