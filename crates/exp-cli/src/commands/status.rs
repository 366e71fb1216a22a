//! `status` and `why`: what differs, what would run, and why.

use exp_engine::core::{Ctx, Expect, RelPath, SelectError, Table, Timestamp, Value};
use exp_engine::{
    Error, ExplainRequest, Forecast, Holds, Overview, RepositoryImport, StageStatus, StatusReport,
    StatusRequest,
};

use super::stage::target_failure;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::pipeline::{StatusArgs, WhyArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::{forecast, json, status, summary, table, why};

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
        args: WhyArgs,
        run: show_why,
        exp: Some("why"),
        dvc: None,
        topic: Topic::Compare,
        about: "Explain for each stage what differs from the last run",
        long: "Explain for each stage what differs from the last run: parameters with old and new value, files with \
               old and new digest, the files of directories, commands, outputs. What says this is what decides \
               whether a stage runs. A stage that would not run says since when it is as it is.\n\nExamples:\n  exp \
               why\n  exp why train\n  exp why --json model.bin",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn show_status(session: &mut Session<'_, '_>, args: &StatusArgs) -> Outcome {
    if super::transfer::is_cloud(args) {
        return super::transfer::cloud_status(session, args);
    }
    let meaningless = super::transfer::meaningless(args).join(", ");
    if !meaningless.is_empty() {
        return Err(if session.is_dvc() {
            let message =
                format!("The following options are meaningless for local status: {meaningless}");
            Failure::Dvc { message, code: 1 }
        } else {
            Failure::TextUsage(format!("{meaningless}: only with --cloud or --remote"))
        });
    }
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let request = StatusRequest {
        targets: session.targets(&project, &args.targets),
        cwd: cwd.clone(),
        with_upstream: args.with_deps,
        recursive: args.recursive,
    };
    let ctx = Ctx::silent();
    if session.is_dvc() {
        let report = match project.status(&ctx, &request) {
            // Where nothing is declared, nothing has changed, says DVC.
            Err(Error::Select(SelectError::EmptyDir { .. })) => StatusReport::default(),
            found => found.map_err(|error| target_failure(session, &project, error, 1))?,
        };
        // A frozen stage of a `dvc.yaml` imports nothing.
        let is_import =
            |stage: &&StageStatus| stage.is_frozen && stage.has_deps && stage.id.name.is_none();
        let frozen = report.stages.iter().filter(is_import);
        let files: Vec<RelPath> = frozen.map(|stage| stage.id.file.clone()).collect();
        let imports =
            session.look(|ctx| project.repository_imports(ctx, &files, !args.no_updates))?;
        return as_dvc(session, args, (&report, &imports), &cwd);
    }
    let looked = project.overview(&ctx, &request);
    let Overview { forecast, is_clean, holds } =
        looked.map_err(|error| target_failure(session, &project, error, 1))?;
    let holds = holds.map(held);
    if args.json {
        session.print(&json::line(&value(&forecast, holds.as_ref())))?;
    } else if !session.common.quiet {
        let text = text((&forecast, &cwd), holds.as_ref(), session.line_width());
        session.print(&if session.io.unicode { text } else { summary::ascii(&text) })?;
    }
    Ok(if session.common.quiet && !is_clean { ExitStatus::FAILED } else { ExitStatus::DONE })
}

fn as_dvc(
    session: &mut Session<'_, '_>,
    args: &StatusArgs,
    (report, imports): (&StatusReport, &[RepositoryImport]),
    cwd: &RelPath,
) -> Outcome {
    let is_imported =
        |stage: &&StageStatus| imports.iter().any(|import| import.file == stage.id.file);
    let frozen = report.stages.iter().filter(|stage| stage.is_frozen && stage.has_deps);
    for stage in frozen.filter(|stage| !is_imported(stage)) {
        let name = stage.id.address(cwd);
        session.warn(&format!(
            "WARNING: stage: '{name}' is frozen. Its dependencies are not going to be shown in the status output."
        ))?;
    }
    let value = status::value((report, imports), cwd);
    let is_clean = value.as_table().is_none_or(Table::is_empty);
    if session.common.quiet {
        return Ok(if is_clean { ExitStatus::DONE } else { ExitStatus::FAILED });
    }
    if args.json {
        session.print(&json::line(&value))?;
    } else if !is_clean {
        session.print(&status::text(&value))?;
    } else if report.stages.is_empty() && args.targets.is_empty() {
        session.say(
            "There are no data or pipelines tracked in this project yet.\nSee <https://dvc.org/doc/start> to get \
             started!",
        )?;
    } else {
        session.say("Data and pipelines are up to date.")?;
    }
    Ok(ExitStatus::DONE)
}

/// What the workspace equals: a kind for programs, an experiment, and words for people.
type Held = (&'static str, Option<String>, String);

/// Says what the workspace equals.
fn held(holds: Holds) -> Held {
    match holds {
        Holds::Head => ("head", None, "The workspace is as the last commit has it.".to_owned()),
        Holds::Experiment(experiment) => {
            let name = experiment.name.to_string();
            let words = format!("The workspace is {name}.");
            ("experiment", Some(name), words)
        }
        Holds::Unsaved { n_files } => {
            let files = crate::view::change::counted(n_files, "file");
            let words = format!("The workspace differs from the last commit in {files}.");
            ("unsaved", None, words)
        }
    }
}

fn text((forecast, cwd): (&Forecast, &RelPath), holds: Option<&Held>, columns: usize) -> String {
    let shown = forecast.stages.iter().filter(|stage| stage.expect != Expect::Nothing);
    let width = shown.map(|stage| stage.id.address(cwd).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut n_fresh = 0;
    for stage in &forecast.stages {
        if stage.expect == Expect::Nothing {
            n_fresh += 1;
            continue;
        }
        let symbol = forecast::Mark::of(stage).symbol();
        let words = forecast::sentence(stage);
        let line = format!(" {symbol} {:<width$}  {words}", stage.id.address(cwd));
        text.push_str(&format!("{}\n", table::cut(&line, columns)));
    }
    if forecast.stages.is_empty() {
        text.push_str(" No stages yet; add one with `exp stage add`.\n");
    } else if n_fresh > 0 {
        let nouns = if n_fresh == 1 { "stage is" } else { "stages are" };
        text.push_str(&format!(" ✓ {n_fresh} {nouns} up to date.\n"));
    }
    if let Some((_, _, words)) = holds {
        text.push_str(&format!(" {words}\n"));
    }
    text
}

fn value(forecast: &Forecast, holds: Option<&Held>) -> Value {
    let stages = forecast.stages.iter().map(|stage| forecast::value(stage, None)).collect();
    let workspace = match holds {
        None => Value::Null,
        Some((kind, name, _)) => json::object([
            ("is", Value::from(*kind)),
            ("experiment", name.as_deref().map_or(Value::Null, Value::from)),
        ]),
    };
    json::object([
        ("schema", Value::Int(1)),
        ("stages", Value::List(stages)),
        ("workspace", workspace),
    ])
}

fn show_why(session: &mut Session<'_, '_>, args: &WhyArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let request = ExplainRequest {
        targets: session.targets(&project, &args.targets),
        cwd: cwd.clone(),
        ..ExplainRequest::default()
    };
    let explained = session.look(|ctx| project.explain(ctx, &request))?;
    if args.json {
        let stages = explained.iter().map(why::value).collect();
        let value = json::object([("schema", Value::Int(1)), ("stages", Value::List(stages))]);
        session.print(&json::line(&value))?;
        return Ok(ExitStatus::DONE);
    }
    if explained.is_empty() {
        session.print(" No stages yet; add one with `exp stage add`.\n")?;
    }
    let now: Timestamp = project.now();
    let width = session.io.width;
    for explanation in &explained {
        let text = why::text((explanation, &cwd), now, width);
        session.print(&if session.io.unicode { text } else { summary::ascii(&text) })?;
    }
    Ok(ExitStatus::DONE)
}
