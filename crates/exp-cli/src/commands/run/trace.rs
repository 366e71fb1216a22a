//! `--trace`: what stages opened and do not declare.

use exp_engine::core::{Ctx, OutDefinition, OutKind};
use exp_engine::{Project, StageTrace, TraceMethod, Tracer};

use crate::diagnostic::Failure;
use crate::session::Session;

/// Says what the watched stages lack, and writes it when that is wanted.
pub(super) fn told(
    session: &mut Session<'_, '_>,
    project: &Project,
    tracer: &Tracer,
    write: bool,
) -> Result<(), Failure> {
    let found = project.traces(tracer)?;
    let say = |session: &mut Session<'_, '_>, line: &str| {
        if session.common.quiet { Ok(()) } else { session.say(line) }
    };
    if found.is_empty() {
        return say(
            session,
            " trace: no stage ran, so nothing was watched; -f runs what is unchanged",
        );
    }
    for trace in &found {
        for line in lines(trace) {
            say(session, &line)?;
        }
    }
    if tracer.method() == TraceMethod::Python {
        say(
            session,
            "   only Python was watched: strace is not there or may not trace; what other",
        )?;
        say(session, "   programs opened, and what was never opened, cannot be told")?;
    }
    if found.iter().all(StageTrace::is_complete) {
        return Ok(());
    }
    if !write {
        return say(session, "   write it to dvc.yaml: --trace --write");
    }
    let written = project.declare(&Ctx::silent(), &found)?;
    let files: Vec<String> = written.iter().map(ToString::to_string).collect();
    say(session, &format!("   wrote: {}   undo: exp undo", files.join(" ")))?;
    say(session, "   record it without another run: exp data commit -f")
}

fn lines(trace: &StageTrace) -> Vec<String> {
    let StageTrace { id, additions, unused, .. } = trace;
    if trace.is_complete() && unused.is_empty() {
        let what = match trace.method {
            TraceMethod::Python if trace.saw_nothing => "nothing was seen of what it opened",
            TraceMethod::Python => "declares all that Python opened",
            _ => "declares all that it opened",
        };
        return vec![format!(" trace: {id} {what}")];
    }
    let mut lines = vec![format!(" trace: {id}")];
    for (section, names) in sections(additions) {
        lines.extend(names.iter().map(|name| format!("   + {section:<8} {name}")));
    }
    let words = "declared and not opened";
    lines.extend(unused.iter().map(|path| format!("   ? {path}  {words}")));
    lines
}

/// Returns what is to be added, by the sections of a stage; those without anything too.
pub(in crate::commands) fn sections(
    additions: &exp_engine::core::StageAdditions,
) -> [(&'static str, Vec<String>); 5] {
    let outs = |kind: OutKind| -> Vec<String> {
        let outs = additions.outs.iter().filter(|out: &&OutDefinition| out.kind == kind);
        outs.map(|out| out.path.clone()).collect()
    };
    [
        ("deps", additions.deps.clone()),
        ("params", additions.params.iter().map(|(file, _)| file.clone()).collect()),
        ("outs", outs(OutKind::Data)),
        ("metrics", outs(OutKind::Metric)),
        ("plots", outs(OutKind::Plot)),
    ]
}
