//! `status -c`: what differs between the store and remotes.

use exp_engine::core::{Table, Value};
use exp_engine::{CloudState, CloudStatus, DataTransferRequest, Error, SyncError};

use super::{dvc, request};
use crate::args::pipeline::StatusArgs;
use crate::commands::Outcome;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::json;

/// Returns whether a status is asked for that a remote takes part in.
pub(in crate::commands) fn is_cloud(args: &StatusArgs) -> bool {
    args.cloud.cloud || args.cloud.remote.is_some()
}

/// Returns the flags that say nothing without a remote.
pub(in crate::commands) fn meaningless(args: &StatusArgs) -> Vec<&'static str> {
    let cloud = &args.cloud;
    let flags = [
        (cloud.all_branches, "--all-branches"),
        (cloud.all_tags, "--all-tags"),
        (cloud.all_commits, "--all-commits"),
        (cloud.jobs.is_some(), "--jobs"),
    ];
    flags.into_iter().filter_map(|(given, name)| given.then_some(name)).collect()
}

/// Shows how store and remotes differ.
pub(in crate::commands) fn cloud_status(
    session: &mut Session<'_, '_>,
    args: &StatusArgs,
) -> Outcome {
    let project = session.project()?;
    let request: DataTransferRequest = request(session, &project, &args.transfer());
    let result = session.look(|ctx| project.compare_data(ctx, &request));
    let is_dvc = session.is_dvc();
    let found = match result {
        Ok(found) => found,
        Err(Error::Sync(SyncError::OnlyVersions { .. })) if is_dvc => {
            let message = "config file error: 'status' is unsupported for cloud versioned remotes";
            return Err(Failure::Dvc { message: message.to_owned(), code: 1 });
        }
        Err(error) if is_dvc => return Err(dvc::worded(session, &project, ("", error))),
        Err(error) => return Err(error.into()),
    };
    let has_remote = request.remote.is_some() || project.config().default_remote().is_some();
    if is_dvc && found.remotes.is_empty() && !has_remote {
        let message = dvc::no_remote(&project);
        return Err(Failure::Dvc { message, code: 1 });
    }
    let cwd = project.relative(session.cwd());
    let lines: Vec<(String, CloudState)> =
        found.differing.iter().map(|(path, state)| (path.relative_to(&cwd), *state)).collect();
    if session.common.quiet {
        return Ok(if lines.is_empty() { ExitStatus::DONE } else { ExitStatus::FAILED });
    }
    if args.json {
        let rows = lines.into_iter().map(|(path, state)| (path, Value::from(word(state))));
        let table: Table = rows.collect();
        session.print(&json::line(&Value::Table(table)))?;
    } else if lines.is_empty() {
        session.say(&in_sync(&found, &request, project.config().default_remote(), is_dvc))?;
    } else {
        for (path, state) in lines {
            let state = format!("{}:", word(state));
            let text =
                if is_dvc { format!("\t{state:<20}{path}") } else { format!(" {state:<9} {path}") };
            session.say(&text)?;
        }
    }
    Ok(ExitStatus::DONE)
}

fn word(state: CloudState) -> &'static str {
    match state {
        CloudState::New => "new",
        CloudState::Deleted => "deleted",
        CloudState::Missing => "missing",
    }
}

fn in_sync(
    found: &CloudStatus,
    request: &DataTransferRequest,
    default: Option<String>,
    is_dvc: bool,
) -> String {
    if is_dvc {
        let name = request.remote.clone().or(default).unwrap_or_default();
        return format!("Cache and remote '{name}' are in sync.");
    }
    let remotes: Vec<String> = found.remotes.iter().map(|name| format!("`{name}`")).collect();
    match (found.n_objects, &remotes[..]) {
        (0, _) => "No data is recorded here that has a remote.".to_owned(),
        (n, names) => {
            let objects = if n == 1 { "1 object".to_owned() } else { format!("{n} objects") };
            format!("Store and {} are in sync: {objects}.", names.join(", "))
        }
    }
}
