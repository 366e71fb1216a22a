//! `apply` and `branch`: from an experiment to the workspace, and to a branch.

use exp_engine::Error;
use exp_engine::core::{Ctx, FailurePolicy};
use exp_engine::refs::{BranchError, FindError};

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::experiment::{ApplyArgs, BranchArgs, DvcApplyArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::{Perform, Session};
use crate::signals::Patience;
use crate::view::change::{counted, listed, steps};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: ApplyArgs,
        run: apply,
        exp: Some("apply"),
        dvc: None,
        topic: Topic::First,
        about: "Make the workspace what an experiment left",
        long: "Make the workspace what an experiment left.\n\nFiles and data change; HEAD, the index, branches and the \
               stash stay. Untracked and edited files that the experiment does not have stay, too. What is replaced is \
               kept: `exp undo` brings it back byte for byte, unsaved edits included. Nothing is touched unless all data \
               is there.\n\nExamples:\n  exp apply bold-yak\n  exp apply best --dry\n  exp apply last~2\n  exp apply main",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DvcApplyArgs,
        run: dvc_apply,
        exp: None,
        dvc: Some("exp apply"),
        topic: Topic::First,
        about: "Apply the changes from an experiment to your workspace",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: BranchArgs,
        run: branch,
        exp: Some("branch"),
        dvc: Some("exp branch"),
        topic: Topic::Keep,
        about: "Make a Git branch of an experiment",
        long: "Make a Git branch of an experiment.\n\nThe branch leads to the commit of the experiment; HEAD stays where \
               it is. `exp undo` takes the branch away again.\n\nExamples:\n  exp branch bold-yak\n  exp branch best \
               feature/deeper",
        dvc_failure: DvcFailure::PLAIN,
    },
];

/// How short commands are done: Ctrl-C stops them.
pub(super) const BRIEF: Perform = Perform {
    patience: Patience::Stop,
    on_failure: FailurePolicy::Stop,
    json_events: false,
    asks: false,
};

fn apply(session: &mut Session<'_, '_>, args: &ApplyArgs) -> Outcome {
    let project = session.project()?;
    let (found, plan) = session.perform(BRIEF, |ctx| {
        let found = project.find(ctx, &args.experiment)?;
        let plan = project.plan_apply(ctx, found.commit())?;
        Ok::<_, Error>((found, plan))
    })?;
    let name = found.name();
    if args.dry {
        for line in steps(&plan) {
            session.say(&line)?;
        }
        let summary = if plan.is_empty() {
            format!("The workspace is {name} already.")
        } else {
            format!("{} would change.", counted(plan.n_changes() + plan.missing.len(), "path"))
        };
        session.note(&summary)?;
        return Ok(ExitStatus::DONE);
    }
    if args.no_save && !plan.unsaved.is_empty() {
        return Err(Error::Unsaved { paths: plan.unsaved }.into());
    }
    if plan.is_empty() {
        session.note(&format!("The workspace is {name} already."))?;
        return Ok(ExitStatus::DONE);
    }
    let (unsaved, n_files, data) =
        (plan.unsaved.clone(), plan.files.len(), plan.data.keys().cloned().collect::<Vec<_>>());
    session.perform(BRIEF, |ctx| project.apply(ctx, plan, &name))?;
    if !unsaved.is_empty() {
        let (n, names) = (counted(unsaved.len(), "unsaved edit"), listed(&unsaved, 5));
        session.note(&format!("kept {n}: {names} (exp undo brings them back)"))?;
    }
    let mut parts = Vec::new();
    if n_files > 0 {
        parts.push(format!("{} changed", counted(n_files, "file")));
    }
    if !data.is_empty() {
        parts.push(format!("{} from the store", listed(&data, 3)));
    }
    let head = project.git().head().map_err(Error::from)?;
    let head =
        head.branch.map_or_else(|| "HEAD stays".to_owned(), |name| format!("HEAD stays {name}"));
    parts.push(head);
    session.note(&format!("workspace = {name}: {}", parts.join(", ")))?;
    session.note("undo: exp undo")?;
    Ok(ExitStatus::DONE)
}

fn dvc_apply(session: &mut Session<'_, '_>, args: &DvcApplyArgs) -> Outcome {
    if args.no_force {
        session.warn(
            "WARNING: The --no-force option is deprecated and will be removed in a future DVC release. To revert the \
             result of 'exp apply', run:\n\n\tgit stash\n\tgit stash apply refs/exps/apply/stash\n",
        )?;
    }
    let project = session.project()?;
    let spec = &args.experiment;
    let done = session.perform(BRIEF, |ctx| {
        let found = project.find(ctx, spec)?;
        let plan = project.plan_apply(ctx, found.commit())?;
        let unsaved = plan.unsaved.clone();
        project.apply(ctx, plan, &found.name())?;
        Ok(unsaved)
    });
    let unsaved = done.map_err(|error| match &error {
        Error::Find(FindError::Ambiguous { .. }) => ambiguous(error),
        Error::Find(_) | Error::Revision(_) | Error::Selector(_) => Failure::Dvc {
            message: format!(
                "'{spec}' does not appear to be an experiment commit.: unknown Git revision '{spec}'"
            ),
            code: 255,
        },
        Error::MissingData { paths } => {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            Failure::Dvc {
                message: format!(
                    "Checkout failed for following targets:\n{}\nIs your cache up to date?\n\
                     <https://error.dvc.org/missing-files>",
                    paths.join("\n")
                ),
                code: 255,
            }
        }
        _ => error.into(),
    })?;
    if !unsaved.is_empty() && !session.common.quiet {
        let (n, names) = (counted(unsaved.len(), "unsaved edit"), listed(&unsaved, 5));
        session.warn(&format!("WARNING: kept {n}: {names} ('exp undo' brings them back)"))?;
    }
    session.note(&format!(
        "Changes for experiment '{spec}' have been applied to your current workspace."
    ))?;
    Ok(ExitStatus::DONE)
}

fn branch(session: &mut Session<'_, '_>, args: &BranchArgs) -> Outcome {
    let project = session.project()?;
    let is_dvc = session.is_dvc();
    let dvc = |message: String| Failure::Dvc { message, code: 255 };
    let found = session.perform(BRIEF, |ctx| project.find_experiment(ctx, &args.experiment));
    let experiment = found.map_err(|error| match error {
        Error::Find(_) | Error::Revision(_) | Error::Selector(_) if is_dvc => {
            dvc(args.experiment.clone())
        }
        error => error.into(),
    })?;
    let name = args.branch.clone().unwrap_or_else(|| format!("{}-branch", experiment.name));
    project.branch(&Ctx::silent(), &experiment, &name).map_err(|error| match error {
        Error::Branch(BranchError::Exists { name }) if is_dvc => {
            dvc(format!("Git branch '{name}' already exists."))
        }
        error => error.into(),
    })?;
    if is_dvc {
        session.note(&format!(
            "Git branch '{name}' has been created from experiment '{}'.\nTo switch to the new branch run:\n\n\tgit \
             checkout {name}",
            args.experiment
        ))?;
    } else {
        let on = experiment.baseline.short(7);
        session.note(&format!("branch {name} = {}: 1 commit on {on}", experiment.name))?;
        session.note(&format!("switch: git switch {name}"))?;
        session.note("undo: exp undo")?;
    }
    Ok(ExitStatus::DONE)
}

/// Words an ambiguous name as DVC does.
pub(super) fn ambiguous(error: Error) -> Failure {
    let Error::Find(FindError::Ambiguous { spec, candidates }) = error else { return error.into() };
    let refs: Vec<String> = candidates.iter().map(|one| format!("\t{}", one.ref_name)).collect();
    let message = format!(
        "Ambiguous name '{spec}' refers to multiple experiments. Use one of the following full refnames instead:\n\n{}",
        refs.join("\n")
    );
    Failure::Dvc { message, code: 255 }
}
