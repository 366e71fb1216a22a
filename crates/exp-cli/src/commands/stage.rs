//! `stage add`, `stage list`, `freeze`, `unfreeze`.

use exp_engine::core::{
    Command, Ctx, OutDefinition, OutKind, Reach, RelPath, SelectError, Selection, Stage,
    StageDefinition, StageId, Target, select,
};
use exp_engine::{Broken, Error, Project, ReproRequest, StageAddRequest, StageError, View};

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::pipeline::{FreezeArgs, StageAddArgs, StageListArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::{Perform, Session};
use crate::signals::Patience;
use crate::view::table;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: StageAddArgs,
        run: add,
        exp: Some("stage add"),
        dvc: Some("stage add"),
        topic: Topic::Pipeline,
        about: "Write a stage into dvc.yaml",
        long: "Write a stage into dvc.yaml.\n\nNothing is written unless the pipeline with the stage is sound.\n\n\
               Examples:\n  exp stage add -n train -d train.py -d data -p lr,epochs -o model -M metrics.json python train.py",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: StageListArgs,
        run: list,
        exp: Some("stage list"),
        dvc: Some("stage list"),
        topic: Topic::Pipeline,
        about: "List stages",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: FreezeArgs,
        run: freeze,
        exp: Some("data freeze"),
        dvc: Some("freeze"),
        topic: Topic::Pipeline,
        about: "Freeze stages or .dvc files, so that they are not run or updated",
        long: "Freeze stages or .dvc files, so that they are not run or updated.\n\nExamples:\n  exp data freeze prepare\n  \
               exp data freeze images.dvc",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: FreezeArgs,
        run: unfreeze,
        exp: Some("data unfreeze"),
        dvc: Some("unfreeze"),
        topic: Topic::Pipeline,
        about: "Unfreeze stages or .dvc files",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
];

fn add(session: &mut Session<'_, '_>, args: &StageAddArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let definition = StageDefinition {
        desc: args.desc.clone(),
        wdir: args.wdir.clone().filter(|dir| dir != "." && !dir.is_empty()),
        deps: args.deps.clone(),
        params: params(&args.params),
        outs: outs(args),
        always_changed: args.always_changed,
        ..StageDefinition::new(Command::Text(command_line(&args.command)))
    };
    let request = StageAddRequest {
        name: args.name.clone(),
        definition,
        cwd: cwd.clone(),
        replace: args.force,
    };
    let added = project.add_stage(&Ctx::silent(), &request);
    let added = added.map_err(|error| stage_failure(session, &project, error))?;
    let name = &args.name;
    if session.is_dvc() {
        for file in &added.postponed {
            session.warn(&format!(
                "Could not create .gitignore entry in {}. DVC will attempt to create .gitignore entry again when the \
                 stage is run.",
                file.display()
            ))?;
        }
        session.note(&format!("Added stage '{name}' in 'dvc.yaml'"))?;
    } else {
        let files: Vec<String> = added.files.iter().map(|file| file.relative_to(&cwd)).collect();
        session.note(&format!("Added stage `{name}`; wrote {}.", files.join(" ")))?;
        session.note("run it: exp run   undo: exp undo")?;
    }
    let mut written = added.files.clone();
    if args.run {
        let target = Target::Stage { file: added.id.file.clone(), name: name.clone() };
        let selection = Selection::Targets { targets: vec![target], reach: Reach::Single };
        let request = ReproRequest { selection, ..ReproRequest::default() };
        let how = Perform {
            patience: Patience::Drain,
            on_failure: request.execute.on_failure,
            json_events: false,
            asks: false,
        };
        let outcome = session.perform(how, |ctx| project.reproduce(ctx, &request))?;
        for stage in &outcome.report.stages {
            if let exp_engine::core::Outcome::Failed(failure) = &stage.outcome {
                if !session.is_dvc() {
                    return Ok(ExitStatus::FAILED);
                }
                let message = crate::progress::failure_text(failure);
                return Err(Failure::Dvc { message, code: 255 });
            }
        }
        written.extend(outcome.written);
        written.sort();
        written.dedup();
    }
    if session.is_dvc() {
        git_hint(session, &project, &written)?;
    }
    Ok(ExitStatus::DONE)
}

/// Joins the words of a command as DVC does: one word is a whole command line.
fn command_line(words: &[String]) -> String {
    if let [whole] = words {
        return whole.clone();
    }
    let quoted: Vec<String> = (words.iter())
        .map(|word| match word.as_str() {
            "" => "\"\"".to_owned(),
            word if word.contains(' ') && !word.contains('"') => format!("\"{word}\""),
            word => word.to_owned(),
        })
        .collect();
    quoted.join(" ")
}

/// Reads `[FILE:]KEY,KEY`; without keys the whole file is meant.
fn params(texts: &[String]) -> Vec<(String, Vec<String>)> {
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    for text in texts {
        let (file, keys) = text.rsplit_once(':').unwrap_or(("", text));
        let file = if file.is_empty() { "params.yaml" } else { file };
        let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned);
        match files.iter_mut().find(|(known, _)| known == file) {
            Some((_, known)) => known.extend(keys),
            None => files.push((file.to_owned(), keys.collect())),
        }
    }
    files
}

fn outs(args: &StageAddArgs) -> Vec<OutDefinition> {
    let groups: [(&[String], OutKind, bool, bool); 8] = [
        (&args.outs, OutKind::Data, true, false),
        (&args.outs_no_cache, OutKind::Data, false, false),
        (&args.outs_persist, OutKind::Data, true, true),
        (&args.outs_persist_no_cache, OutKind::Data, false, true),
        (&args.metrics, OutKind::Metric, true, false),
        (&args.metrics_no_cache, OutKind::Metric, false, false),
        (&args.plots, OutKind::Plot, true, false),
        (&args.plots_no_cache, OutKind::Plot, false, false),
    ];
    let mut outs = Vec::new();
    for (paths, kind, cache, persist) in groups {
        for path in paths {
            outs.push(OutDefinition { cache, persist, ..OutDefinition::new(path.as_str(), kind) });
        }
    }
    outs
}

fn list(session: &mut Session<'_, '_>, args: &StageListArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let broken = if args.fail || !args.all { Broken::Fail } else { Broken::Note };
    let view = View::load(&project.workspace(), project.root(), broken)?;
    let pipeline = exp_engine::core::Pipeline::unchecked(view.stages);
    let ids: Vec<StageId> = if args.all {
        pipeline.stages().iter().map(|stage| stage.id.clone()).collect()
    } else {
        let targets = session.targets(&project, &args.targets);
        match listed(&project, &pipeline, &cwd, (&targets, args.recursive)) {
            // A file that is there and declares no stage is a list without any.
            Err(Error::Select(SelectError::UnknownFile { file }))
                if targets.is_empty() && file.under(project.root()).is_file() =>
            {
                Vec::new()
            }
            found => found.map_err(|error| select_failure(session, &project, error))?,
        }
    };
    let names: Vec<String> = ids.iter().map(|id| id.address(&cwd)).collect();
    let width = names.iter().map(|name| table::columns(name)).max().unwrap_or(0);
    for (id, name) in ids.iter().zip(&names) {
        if args.name_only {
            session.say(name)?;
            continue;
        }
        let words = pipeline.stage(id).map(|stage| described(stage, &cwd)).unwrap_or_default();
        let gap = " ".repeat(width - table::columns(name));
        session.say(format!("{name}{gap}  {words}").trim_end())?;
    }
    Ok(ExitStatus::DONE)
}

fn listed(
    project: &Project,
    pipeline: &exp_engine::core::Pipeline,
    cwd: &RelPath,
    (texts, recursive): (&[String], bool),
) -> Result<Vec<StageId>, Error> {
    if texts.is_empty() {
        return Ok(select(pipeline, &Selection::of_dir(cwd)?.reaching(Reach::Single))?);
    }
    let mut targets = Vec::new();
    for text in texts {
        let dir = cwd.join(text).ok().filter(|dir| recursive && dir.under(project.root()).is_dir());
        targets.push(match dir {
            Some(dir) => Target::Dir(dir),
            None => Target::parse(text, cwd)?,
        });
    }
    Ok(select(pipeline, &Selection::Targets { targets, reach: Reach::Single })?)
}

/// Says what a stage is for, or what it writes, or what it reads.
fn described(stage: &Stage, cwd: &RelPath) -> String {
    const LIMIT: usize = 80;
    let place = |location: &exp_engine::core::Location| match location.workspace() {
        Some(path) => path.relative_to(cwd),
        None => location.to_string(),
    };
    let text = if let Some(desc) = &stage.desc {
        desc.trim().replace('\n', " ")
    } else {
        let outs = |reports: bool| -> Vec<String> {
            let outs = stage.outs.iter().filter(|out| (out.kind != OutKind::Data) == reports);
            outs.map(|out| place(&out.location)).collect()
        };
        let deps: Vec<String> = stage.deps.iter().map(|dep| place(&dep.location)).collect();
        let mut parts = Vec::new();
        for (title, paths) in [("Outputs", outs(false)), ("Reports", outs(true))] {
            if !paths.is_empty() {
                parts.push(format!("{title} {}", paths.join(", ")));
            }
        }
        match (parts.is_empty(), deps.is_empty()) {
            (false, _) => parts.join("; "),
            (true, false) => format!("Depends on {}", deps.join(", ")),
            (true, true) => "No outputs or dependencies".to_owned(),
        }
    };
    if text.chars().count() <= LIMIT {
        return text;
    }
    text.chars().take(LIMIT - 1).chain(['…']).collect()
}

fn freeze(session: &mut Session<'_, '_>, args: &FreezeArgs) -> Outcome {
    set_frozen(session, args, true)
}

fn unfreeze(session: &mut Session<'_, '_>, args: &FreezeArgs) -> Outcome {
    set_frozen(session, args, false)
}

fn set_frozen(session: &mut Session<'_, '_>, args: &FreezeArgs, frozen: bool) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let verb = if frozen { "freeze" } else { "unfreeze" };
    let mut status = ExitStatus::DONE;
    for text in &session.targets(&project, &args.targets) {
        let done = Target::parse(text, &cwd).map_err(Error::from).and_then(|target| {
            let id = match target {
                Target::Stage { file, name } => StageId::named(file, name),
                Target::File(file) => StageId::data(file),
                _ => StageId::data(RelPath::root()),
            };
            project.set_frozen(&Ctx::silent(), &id, frozen).map(|()| id)
        });
        let id = match done {
            Ok(id) => id,
            Err(error) => match stage_failure(session, &project, error) {
                // DVC goes on with the others.
                Failure::Dvc { message, .. } => {
                    session.warn(&format!("ERROR: failed to {verb} '{text}' - {message}"))?;
                    status = ExitStatus::FAILED;
                    continue;
                }
                other => return Err(other),
            },
        };
        let file = id.file.relative_to(&cwd);
        if let Some(name) = &id.name {
            session.note(&format!("Modifying stage '{name}' in '{file}'"))?;
        } else if !session.is_dvc() {
            session.note(&format!("Modifying '{file}'"))?;
        }
    }
    Ok(status)
}

/// Names the files to commit, or adds them to the index when the project wants that.
pub(super) fn git_hint(
    session: &mut Session<'_, '_>,
    project: &Project,
    files: &[RelPath],
) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let cwd = project.relative(session.cwd());
    let paths: Vec<String> = files.iter().map(|file| file.relative_to(&cwd)).collect();
    if project.config().autostage() {
        return Ok(project.add_to_index(files)?);
    }
    session.note(&format!(
        "\nTo track the changes with git, run:\n\n\tgit add {}\n\nTo enable auto staging, run:\n\n\tdvc config \
         core.autostage true",
        paths.join(" ")
    ))
}

/// Words an unknown target as DVC does where outputs are targets too.
pub(super) fn target_failure(
    session: &Session<'_, '_>,
    project: &Project,
    error: Error,
    code: u8,
) -> Failure {
    match select_failure(session, project, error) {
        Failure::Dvc { message, .. } if message.starts_with("Stage '") => {
            let name = message.split('\'').nth(1).unwrap_or_default();
            let message = format!(
                "'{name}' does not exist as an output or a stage name in 'dvc.yaml': {message}"
            );
            Failure::Dvc { message, code }
        }
        Failure::Dvc { message, .. } => Failure::Dvc { message, code },
        other => other,
    }
}

/// Words an unknown target as DVC does; other errors, and those of our own grammar, stay what they are.
pub(super) fn select_failure(
    session: &Session<'_, '_>,
    project: &Project,
    error: Error,
) -> Failure {
    if !session.is_dvc() {
        return error.into();
    }
    let cwd = project.relative(session.cwd());
    let code = 255;
    match &error {
        Error::Select(SelectError::UnknownStage { file, name, .. }) => {
            let message =
                format!("Stage '{name}' not found inside '{}' file", file.relative_to(&cwd));
            Failure::Dvc { message, code }
        }
        Error::Select(SelectError::UnknownFile { file }) => Failure::Dvc {
            message: format!("'{}' does not exist", file.under(project.root()).display()),
            code,
        },
        Error::Select(SelectError::LockFile { meant, .. }) => {
            Failure::Dvc { message: format!("Did you mean: `{meant}`?"), code }
        }
        _ => error.into(),
    }
}

fn stage_failure(session: &Session<'_, '_>, project: &Project, error: Error) -> Failure {
    if !session.is_dvc() {
        return error.into();
    }
    let cwd = project.relative(session.cwd());
    let message = match &error {
        Error::Stage(StageError::Name { .. }) => {
            "Stage name cannot contain punctuation characters.".to_owned()
        }
        Error::Stage(StageError::NoCommand { .. }) => "command is not specified".to_owned(),
        Error::Stage(StageError::NoDirectory { dir }) => {
            format!("stage working dir '{}' does not exist", dir.display())
        }
        Error::Stage(StageError::DepIsOut { path }) => format!(
            "'{}' is specified as an output and as a dependency.",
            path.under(project.root()).display()
        ),
        Error::Stage(StageError::OutTaken { path, stage }) => {
            let (path, stage) = (path.relative_to(&cwd), stage.address(&cwd));
            format!(
                "output '{path}' is already specified in stage: '{stage}'.\nUse `dvc remove {stage}` to stop tracking the \
                 overlapping output."
            )
        }
        Error::Stage(StageError::NoStage { file }) if file.file_name() == Some("dvc.yaml") => {
            "Stage name not provided.Please specify the name as: `dvc.yaml:stage_name`".to_owned()
        }
        Error::Stage(StageError::NoStage { file }) => {
            format!("'{}' does not exist", file.under(project.root()).display())
        }
        Error::Stage(StageError::Edit { file, source }) => {
            use exp_engine::core::EditError;
            let file = file.relative_to(&cwd);
            match source {
                EditError::Exists { name } => {
                    format!(
                        "Stage '{name}' already exists in '{file}'. Use '--force' to overwrite."
                    )
                }
                EditError::Unknown { name } if name.contains('@') => {
                    format!("cannot dump a parametrized stage: '{name}'")
                }
                EditError::Unknown { name } => {
                    format!("Stage '{name}' not found inside '{file}' file")
                }
                EditError::Generated { name } => {
                    format!("cannot dump a parametrized stage: '{name}'")
                }
                _ => return error.into(),
            }
        }
        _ => return error.into(),
    };
    Failure::Dvc { message, code: 255 }
}
