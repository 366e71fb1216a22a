//! `status` and `dag`: what differs, what would run, and how stages hang together.

use exp_engine::core::{Ctx, PlanOptions, RelPath, Selection, StageId, Table, Value, Verdict};
use exp_engine::{DagNodes, DagRequest, Holds, StatusReport, StatusRequest};

use super::stage::target_failure;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::pipeline::{DagArgs, StatusArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::{dag, json, reason, status, summary};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: StatusArgs,
        run: show_status,
        exp: Some("status"),
        dvc: Some("status"),
        topic: Topic::Compare,
        about: "Say which stages would run and why",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: DagArgs,
        run: show_dag,
        exp: Some("dag"),
        dvc: Some("dag"),
        topic: Topic::Pipeline,
        about: "Draw the pipeline",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn show_status(session: &mut Session<'_, '_>, args: &StatusArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let request = StatusRequest {
        targets: args.targets.clone(),
        cwd: cwd.clone(),
        with_upstream: args.with_deps,
        recursive: args.recursive,
    };
    let ctx = Ctx::silent();
    let found = project.status(&ctx, &request);
    let report = found.map_err(|error| target_failure(session, &project, error, 1))?;
    if session.is_dvc() {
        return as_dvc(session, args, &report, &cwd);
    }
    let forecast = Forecast::of(&project, &ctx, &report, args)?;
    if args.json {
        session.print(&json::line(&forecast.value()))?;
    } else if !session.common.quiet {
        let text = forecast.text();
        session.print(&if session.io.unicode { text } else { summary::ascii(&text) })?;
    }
    Ok(if session.common.quiet && !report.is_clean() {
        ExitStatus::FAILED
    } else {
        ExitStatus::DONE
    })
}

fn as_dvc(
    session: &mut Session<'_, '_>,
    args: &StatusArgs,
    report: &StatusReport,
    cwd: &RelPath,
) -> Outcome {
    for stage in report.stages.iter().filter(|stage| stage.is_frozen && stage.has_deps) {
        let name = stage.id.address(cwd);
        session.warn(&format!(
            "WARNING: stage: '{name}' is frozen. Its dependencies are not going to be shown in the status output."
        ))?;
    }
    let value = status::value(report, cwd);
    let is_clean = value.as_table().is_none_or(Table::is_empty);
    if session.common.quiet {
        return Ok(if is_clean { ExitStatus::DONE } else { ExitStatus::FAILED });
    }
    if args.json {
        session.print(&json::line(&value))?;
    } else if !is_clean {
        session.print(&status::text(&value))?;
    } else if report.stages.is_empty() {
        session.say(
            "There are no data or pipelines tracked in this project yet.\nSee <https://dvc.org/doc/start> to get \
             started!",
        )?;
    } else {
        session.say("Data and pipelines are up to date.")?;
    }
    Ok(ExitStatus::DONE)
}

/// What our own status says.
struct Forecast {
    stages: Vec<(StageId, Verdict)>,
    /// What the workspace equals: a kind for programs and words for people. `None` before the first commit.
    holds: Option<(&'static str, Option<String>, String)>,
}

impl Forecast {
    fn of(
        project: &exp_engine::Project,
        ctx: &Ctx<'_>,
        report: &StatusReport,
        args: &StatusArgs,
    ) -> Result<Self, Failure> {
        let wanted = |id: &StageId| {
            args.targets.is_empty() || report.stages.iter().any(|stage| stage.id == *id)
        };
        // On a pipeline whose stages do not fit together nothing can be forecast, but what differs can be said.
        let stages = match project.forecast(ctx, &Selection::All, PlanOptions::default()) {
            Ok(plan) => plan.steps.into_iter().map(|step| (step.stage, step.verdict)).collect(),
            Err(exp_engine::Error::Graph(_)) => (report.stages.iter())
                .map(|stage| {
                    let verdict = if stage.reasons.is_empty() {
                        Verdict::Fresh
                    } else {
                        Verdict::Stale(stage.reasons.clone())
                    };
                    (stage.id.clone(), verdict)
                })
                .collect(),
            Err(error) => return Err(error.into()),
        };
        let stages = Vec::into_iter(stages).filter(|(id, _)| wanted(id)).collect();
        let holds = match project.holds() {
            Ok(Holds::Head) => {
                Some(("head", None, "The workspace is as the last commit has it.".to_owned()))
            }
            Ok(Holds::Experiment(experiment)) => {
                let name = experiment.name.to_string();
                let words = format!("The workspace is {name}.");
                Some(("experiment", Some(name), words))
            }
            Ok(Holds::Unsaved { n_files }) => {
                let files =
                    if n_files == 1 { "1 file".to_owned() } else { format!("{n_files} files") };
                Some((
                    "unsaved",
                    None,
                    format!("The workspace differs from the last commit in {files}."),
                ))
            }
            Err(_) => None,
        };
        Ok(Self { stages, holds })
    }

    fn text(&self) -> String {
        let width =
            self.stages.iter().map(|(id, _)| id.to_string().chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        let mut n_fresh = 0;
        for (id, verdict) in &self.stages {
            let (symbol, words) = match verdict {
                Verdict::Fresh => {
                    n_fresh += 1;
                    continue;
                }
                Verdict::Stale(reasons) => ("●", format!("will run: {}", reason::list(reasons))),
                Verdict::Open(on) => {
                    let on: Vec<String> = on.iter().map(ToString::to_string).collect();
                    ("○", format!("follows {}", on.join(", ")))
                }
            };
            text.push_str(&format!(" {symbol} {:<width$}  {words}\n", id.to_string()));
        }
        if self.stages.is_empty() {
            text.push_str(" No stages yet; add one with `exp stage add`.\n");
        } else if n_fresh > 0 {
            let nouns = if n_fresh == 1 { "stage is" } else { "stages are" };
            text.push_str(&format!(" ✓ {n_fresh} {nouns} up to date.\n"));
        }
        if let Some((_, _, words)) = &self.holds {
            text.push_str(&format!(" {words}\n"));
        }
        text
    }

    fn value(&self) -> Value {
        let stages = self.stages.iter().map(|(id, verdict)| {
            let (state, why, on) = match verdict {
                Verdict::Fresh => ("fresh", Vec::new(), Vec::new()),
                Verdict::Stale(reasons) => (
                    "stale",
                    reasons.iter().map(|one| Value::from(reason::one(one))).collect(),
                    Vec::new(),
                ),
                Verdict::Open(on) => {
                    ("open", Vec::new(), on.iter().map(|id| Value::from(id.to_string())).collect())
                }
            };
            json::object([
                ("stage", Value::from(id.to_string())),
                ("state", Value::from(state)),
                ("reasons", Value::List(why)),
                ("follows", Value::List(on)),
            ])
        });
        let workspace = match &self.holds {
            None => Value::Null,
            Some((kind, name, _)) => json::object([
                ("is", Value::from(*kind)),
                ("experiment", name.as_deref().map_or(Value::Null, Value::from)),
            ]),
        };
        json::object([
            ("schema", Value::Int(1)),
            ("stages", Value::List(stages.collect())),
            ("workspace", workspace),
        ])
    }
}

fn show_dag(session: &mut Session<'_, '_>, args: &DagArgs) -> Outcome {
    if args.outs && args.collapse_foreach_matrix {
        let message = "`--outs` and `--collapse-foreach-matrix` are mutually exclusive";
        return Err(if session.is_dvc() {
            Failure::Dvc { message: message.to_owned(), code: 255 }
        } else {
            Failure::text_usage(message)
        });
    }
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let nodes = match (args.outs, args.collapse_foreach_matrix) {
        (true, _) => DagNodes::Outs,
        (_, true) => DagNodes::Groups,
        _ => DagNodes::Stages,
    };
    let request = DagRequest { target: args.target.clone(), cwd, full: args.full, nodes };
    let graph =
        project.dag(&request).map_err(|error| target_failure(session, &project, error, 255))?;
    let text = if args.dot {
        dag::dot(&graph)
    } else if args.mermaid {
        dag::mermaid(&graph)
    } else if args.md {
        format!("```mermaid\n{}```\n", dag::mermaid(&graph))
    } else if session.is_dvc() {
        let text = dag::drawn(&graph, &|_| (String::new(), String::new()));
        if text.is_empty() { "\n".to_owned() } else { text }
    } else {
        let plan = project.forecast(&Ctx::silent(), &Selection::All, PlanOptions::default())?;
        let verdict = |id: &StageId| {
            plan.steps.iter().find(|step| step.stage == *id).map(|step| &step.verdict)
        };
        dag::drawn(&graph, &|at| {
            let verdicts: Vec<&Verdict> =
                graph.nodes[at].stages.iter().filter_map(verdict).collect();
            let stale = verdicts.iter().find_map(|verdict| match verdict {
                Verdict::Stale(reasons) => Some(reason::list(reasons)),
                _ => None,
            });
            match stale {
                Some(why) => ("● ".to_owned(), why),
                None if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Open(_))) => {
                    ("○ ".to_owned(), String::new())
                }
                None => ("✓ ".to_owned(), String::new()),
            }
        })
    };
    let text = if session.io.unicode || args.dot { text } else { summary::ascii(&text) };
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}
