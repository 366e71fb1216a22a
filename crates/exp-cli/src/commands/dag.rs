//! `dag`: how stages hang together, and how each stands.

use std::collections::{BTreeSet, HashMap};

use exp_engine::core::StageId;
use exp_engine::{DagNodes, DagRequest, Project, StageForecast};

use super::stage::target_failure;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::pipeline::{DagArgs, OurDagArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::dag::{self, Drawn, Lines};
use crate::view::forecast::{self, Mark};
use crate::view::summary;

/// From how many nodes on the stages that one template makes are drawn as one, and what stands alike is counted.
const MANY: usize = 40;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: OurDagArgs,
        run: ours,
        exp: Some("dag"),
        dvc: None,
        topic: Topic::Pipeline,
        about: "Draw the pipeline and how each stage stands",
        long: "Draw the pipeline and how each stage stands: below each stage those that read what it writes. The last \
               line says what the symbols mean. In a graph of more than 40 stages those that one template makes are \
               drawn as one, and of long runs of stages that stand alike most are only counted; --expand draws all \
               of them.\n\nExamples:\n  exp dag\n  exp dag train\n  exp dag --md \
               > pipeline.md",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DagArgs,
        run: dvcs,
        exp: None,
        dvc: Some("dag"),
        topic: Topic::Pipeline,
        about: "Draw the pipeline",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn ours(session: &mut Session<'_, '_>, args: &OurDagArgs) -> Outcome {
    if args.dag.is_for_programs() {
        return dvcs(session, &args.dag);
    }
    let project = session.project()?;
    let request = request(session, &project, &args.dag)?;
    let looked = session.look(|ctx| project.dag_with_forecast(ctx, &request));
    let (mut graph, forecast) =
        looked.map_err(|error| target_failure(session, &project, error, 255))?;
    if request.nodes == DagNodes::Stages && graph.nodes.len() > MANY && !args.expand {
        graph = graph.grouped();
    }
    let by_id: HashMap<&StageId, &StageForecast> =
        forecast.stages.iter().map(|stage| (&stage.id, stage)).collect();
    let stages_of = |at: usize| -> Vec<&StageForecast> {
        graph.nodes[at].stages.iter().filter_map(|id| by_id.get(id).copied()).collect()
    };
    let width = session.line_width();
    let lines = if graph.nodes.len() > MANY && !args.expand { Lines::Few } else { Lines::All };
    let mut text = dag::drawn(&graph, width, lines, &|at| drawn(&stages_of(at)));
    // A stage with several outputs is several nodes and still one stage.
    let shown: BTreeSet<&StageId> = graph.nodes.iter().flat_map(|node| &node.stages).collect();
    let marks = forecast.stages.iter().filter(|stage| shown.contains(&stage.id)).map(Mark::of);
    let tally = forecast::tally(&marks);
    if tally.is_empty() {
        text.push_str(" No stages yet; add one with `exp stage add`.\n");
    } else {
        text.push_str(&format!("\n{tally}\n"));
    }
    session.print(&if session.io.unicode { text } else { summary::ascii(&text) })?;
    Ok(ExitStatus::DONE)
}

/// Returns how the node of these stages is drawn: as the one that wants attention most.
fn drawn(stages: &[&StageForecast]) -> Drawn {
    let marks = stages.iter().map(|stage| Mark::of(stage));
    let Some(first) = marks.clone().max_by_key(|mark| mark.weight()) else {
        return Drawn::default();
    };
    let behind = match stages {
        [stage] => forecast::note(stage),
        stages => format!("× {}: {}", stages.len(), forecast::tally(&marks)),
    };
    Drawn { front: format!("{} ", first.symbol()), behind }
}

fn dvcs(session: &mut Session<'_, '_>, args: &DagArgs) -> Outcome {
    let project = session.project()?;
    let request = request(session, &project, args)?;
    let graph =
        project.dag(&request).map_err(|error| target_failure(session, &project, error, 255))?;
    let text = if args.dot {
        dag::dot(&graph)
    } else if args.mermaid {
        dag::mermaid(&graph)
    } else if args.md {
        format!("```mermaid\n{}```\n", dag::mermaid(&graph))
    } else {
        let text = dag::drawn(&graph, usize::MAX, Lines::All, &|_| Drawn::default());
        if text.is_empty() { "\n".to_owned() } else { text }
    };
    let text =
        if session.io.unicode || args.is_for_programs() { text } else { summary::ascii(&text) };
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

fn request(
    session: &Session<'_, '_>,
    project: &Project,
    args: &DagArgs,
) -> Result<DagRequest, Failure> {
    let nodes = match (args.outs, args.collapse_foreach_matrix) {
        (true, true) => {
            let message = "`--outs` and `--collapse-foreach-matrix` are mutually exclusive";
            return Err(if session.is_dvc() {
                Failure::Dvc { message: message.to_owned(), code: 255 }
            } else {
                Failure::text_usage(message)
            });
        }
        (true, _) => DagNodes::Outs,
        (_, true) => DagNodes::Groups,
        _ => DagNodes::Stages,
    };
    let cwd = project.relative(session.cwd());
    let target = args.target.as_ref();
    let target = target.and_then(|text| session.targets(project, std::slice::from_ref(text)).pop());
    Ok(DagRequest { target, cwd, full: args.full, nodes })
}
