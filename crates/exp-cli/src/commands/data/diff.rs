//! `data diff`: how data differs.

use exp_engine::{DataDiffRequest, DataError, DataScope, Error, Side};

use super::words;
use crate::args::data::DiffArgs;
use crate::commands::Outcome;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::{data_diff, json};

pub(super) fn diff(session: &mut Session<'_, '_>, args: &DiffArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let scope = DataScope {
        targets: session.targets(&project, &args.targets),
        cwd,
        ..DataScope::default()
    };
    let with_missing = args.b_rev.is_none();
    let found = if project.git().head().map_err(Error::from)?.commit.is_none() {
        // Without a commit there is nothing to compare with.
        exp_engine::DataDiff::default()
    } else {
        let side = |session: &mut Session<'_, '_>, name: &str| {
            let found = session.look(|ctx| Side::find(ctx, &project, name));
            found.map_err(|error| match error {
                Error::Find(_) | Error::Revision(_) if session.is_dvc() => Failure::Dvc {
                    message: format!("failed to get diff - unknown Git revision '{name}'"),
                    code: 1,
                },
                error => error.into(),
            })
        };
        let old = side(session, &args.a_rev)?;
        let new = match &args.b_rev {
            Some(name) => side(session, name)?,
            None => Side::Workspace,
        };
        let request = DataDiffRequest { old, new, scope };
        match session.look(|ctx| project.data_diff(ctx, &request)) {
            Ok(found) => found,
            Err(Error::Data(DataError::Absent { path })) if session.is_dvc() => {
                let path = path.relative_to(&request.scope.cwd);
                let message =
                    format!("unexpected error - [Errno 2] No such file or directory: '{path}'");
                return Err(Failure::Dvc { message, code: 255 });
            }
            Err(error) => return Err(words::worded(session, &project, error)),
        }
    };
    let shown =
        data_diff::Shown { hash: args.show_hash, missing: with_missing && !args.hide_missing };
    let text = if args.json {
        json::line(&data_diff::json(&found, shown))
    } else if args.md {
        data_diff::markdown(&found, shown)
    } else {
        data_diff::text(&found, shown)
    };
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}
