//! DVC's `exp push` and `exp pull`: the same transfers in its words.
//!
//! Where DVC's behaviour is a bug, ours differs: the data remote of the workspace is used although the experiment's
//! commit does not name it, data goes before refs, data of other experiments is never sent, and a replaced experiment
//! counts as pulled.

use exp_engine::refs::{Experiment, FindError};
use exp_engine::{
    ConfigError, DataSync, DataSyncOptions, DataTransfer, Error, Project, PullRequest, PushRequest,
    SyncError,
};

use super::{diverged, listed, located, of_baselines, options, selection};
use crate::args::sync::DvcSyncArgs;
use crate::commands::Outcome;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) fn push(session: &mut Session<'_, '_>, args: &DvcSyncArgs) -> Outcome {
    let project = session.project()?;
    let git_remote = located(session.cwd(), &args.git_remote);
    let experiments = if args.experiments.is_empty() {
        of_baselines(&project, &args.which)?
    } else {
        args.experiments.iter().map(|name| named(&project, name)).collect::<Result<_, _>>()?
    };
    let request = PushRequest {
        git_remote,
        experiments,
        on_diverged: diverged(args.force),
        data: data(args),
    };
    let report = session
        .look(|ctx| project.push(ctx, &request))
        .map_err(|error| worded(error, args, "push"))?;
    if !report.diverged.is_empty() {
        let names = names(&report.diverged);
        session.warn(&format!(
            "Local experiment {names} has diverged from remote experiment with the same name.\nTo override the \
             remote experiment re-run with '--force'."
        ))?;
    }
    let remote = &args.git_remote;
    if report.pushed.is_empty() && report.up_to_date.is_empty() {
        session.note("No experiments to push.")?;
    }
    if !report.up_to_date.is_empty() {
        let verb = if report.up_to_date.len() == 1 { "is" } else { "are" };
        let names = names(&report.up_to_date);
        session.note(&format!("Experiment {names} {verb} up to date on Git remote '{remote}'."))?;
    }
    if !report.pushed.is_empty() {
        let names = names(&report.pushed);
        session.note(&format!("Pushed experiment {names} to Git remote '{remote}'."))?;
    }
    let n_moved: u64 = report.data.iter().map(n_moved).sum();
    if n_moved > 0 {
        let files = if n_moved == 1 { "file" } else { "files" };
        session.note(&format!("{n_moved} {files} uploaded"))?;
    }
    if !report.missing.is_empty() && !report.data.is_empty() {
        let mut text = "WARNING: Some of the cache files do not exist neither locally nor on remote. Missing cache \
                        files:"
            .to_owned();
        for one in &report.missing {
            text.push_str(&format!("\n{}: {}", one.id.digest.algorithm().name(), one.id));
        }
        session.warn(&text)?;
    }
    if args.no_cache {
        session.note(
            "To push cached outputs for this experiment to DVC remote storage,re-run this command without \
             '--no-cache'.",
        )?;
    }
    Ok(ExitStatus::DONE)
}

pub(super) fn pull(session: &mut Session<'_, '_>, args: &DvcSyncArgs) -> Outcome {
    let project = session.project()?;
    let git_remote = located(session.cwd(), &args.git_remote);
    let which = selection(&project, &args.which, &args.experiments)?;
    let request =
        PullRequest { git_remote, which, on_diverged: diverged(args.force), data: data(args) };
    let report = session
        .look(|ctx| project.pull(ctx, &request))
        .map_err(|error| worded(error, args, "pull"))?;
    if !report.diverged.is_empty() {
        session.warn(&format!(
            "Local experiment '{}' has diverged from remote experiment with the same name. To override the local \
             experiment re-run with '--force'.",
            python_list(&report.diverged)
        ))?;
    }
    if report.pulled.is_empty() {
        session.note("No experiments to pull.")?;
    } else {
        let names = python_list(&report.pulled);
        session
            .note(&format!("Pulled experiment '{names}' from Git remote '{}'.", args.git_remote))?;
    }
    if args.no_cache {
        session.note(
            "To pull cached outputs for this experimentfrom DVC remote storage,re-run this command without \
             '--no-cache'.",
        )?;
    }
    Ok(ExitStatus::DONE)
}

fn data(args: &DvcSyncArgs) -> DataSync {
    if args.no_cache {
        return DataSync::Leave;
    }
    DataSync::Move(DataSyncOptions { allow_missing: true, ..options(&args.how) })
}

/// Finds an experiment by its whole name or ref; DVC knows no abbreviations here.
fn named(project: &Project, name: &str) -> Result<Experiment, Failure> {
    let found = project.experiments().find(name);
    match found {
        Ok(found) if found.name.as_str() == name || found.ref_name.as_str() == name => Ok(found),
        Ok(_) | Err(FindError::NotFound { .. }) => Err(unknown(name)),
        Err(error) => Err(Error::from(error).into()),
    }
}

fn unknown(name: &str) -> Failure {
    Failure::Dvc { message: format!("'{name}' is not a valid experiment name"), code: 255 }
}

fn worded(error: Error, args: &DvcSyncArgs, verb: &str) -> Failure {
    let cause = match &error {
        Error::Sync(SyncError::NotOnRemote { name, .. }) => return unknown(name),
        Error::Sync(SyncError::Transport(exp_engine::refs::TransportError::Missing { .. })) => {
            let message = format!("'{}' is not a valid Git remote or URL", args.git_remote);
            return Failure::Dvc { message, code: 255 };
        }
        Error::Config(ConfigError::RemoteNotFound { name, .. }) => {
            format!("config file error: remote '{name}' doesn't exist")
        }
        Error::Sync(SyncError::UnusableRemote { .. } | SyncError::NotMoved { .. }) => {
            error.to_string()
        }
        _ => return error.into(),
    };
    Failure::Dvc { message: format!("failed to {verb} cache: {cause}"), code: 255 }
}

fn n_moved(one: &DataTransfer) -> u64 {
    one.moved + one.n_runs
}

fn names(experiments: &[Experiment]) -> String {
    let names: Vec<String> = experiments.iter().map(|one| one.name.to_string()).collect();
    listed(&names)
}

/// Writes names as Python prints a list of them, which is what DVC shows.
fn python_list(experiments: &[Experiment]) -> String {
    let names: Vec<String> = experiments.iter().map(|one| format!("'{}'", one.name)).collect();
    format!("[{}]", names.join(", "))
}
