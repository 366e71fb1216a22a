//! `data remove`, `data move`, `data unprotect`: what is tracked, and where.

use exp_engine::{DataError, Error, UntrackRequest, UntrackedOuts};

use super::words;
use crate::args::data::{MoveArgs, RemoveArgs, UnprotectArgs};
use crate::commands::{Outcome, stage};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) fn remove(session: &mut Session<'_, '_>, args: &RemoveArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let outs = if args.outs { UntrackedOuts::Remove } else { UntrackedOuts::Leave };
    let request = UntrackRequest {
        targets: session.targets(&project, &args.targets),
        cwd: cwd.clone(),
        outs,
    };
    let report = match session.look(|ctx| project.untrack(ctx, &request)) {
        Ok(report) => report,
        Err(error) => return Err(words::of_remove(session, &project, error)),
    };
    if session.is_dvc() {
        if project.config().autostage() {
            project.add_to_index(&report.files)?;
        }
        return Ok(ExitStatus::DONE);
    }
    for stage in &report.removed {
        session.note(&format!("removed `{}`", stage.address(&cwd)))?;
    }
    for out in &report.outs {
        session.note(&format!("removed data `{}`", out.relative_to(&cwd)))?;
    }
    commit_hint(session, &report.files, &cwd)
}

pub(super) fn relocate(session: &mut Session<'_, '_>, args: &MoveArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let (from, to) = (session.cwd().join(&args.src), session.cwd().join(&args.dst));
    let report = match session.look(|ctx| project.move_data(ctx, &from, &to)) {
        Ok(report) => report,
        Err(error) => return Err(words::of_move(session, &project, error, args)),
    };
    if session.is_dvc() {
        if report.is_absent {
            session.warn(&format!("WARNING: '{}' missing", from.display()))?;
        }
        stage::git_hint(session, &project, &report.files)?;
        return Ok(ExitStatus::DONE);
    }
    let (from, to) = (report.from.relative_to(&cwd), report.to.relative_to(&cwd));
    if report.is_absent {
        session.warn(&format!(" ! `{from}` is not there; what is recorded of it was moved"))?;
    }
    session.note(&format!("moved `{from}` to `{to}`"))?;
    commit_hint(session, &report.files, &cwd)
}

pub(super) fn unprotect(session: &mut Session<'_, '_>, args: &UnprotectArgs) -> Outcome {
    let project = session.project()?;
    let paths: Vec<_> = args.targets.iter().map(|path| session.cwd().join(path)).collect();
    match session.look(|ctx| project.unprotect_data(ctx, &paths)) {
        Ok(()) => Ok(ExitStatus::DONE),
        Err(Error::Data(DataError::Absent { path })) if session.is_dvc() => {
            let path = path.relative_to(&project.relative(session.cwd()));
            let message = format!("unexpected error - can't unprotect non-existing data '{path}'");
            Err(Failure::Dvc { message, code: 255 })
        }
        Err(error) => Err(words::worded(session, &project, error)),
    }
}

fn commit_hint(
    session: &mut Session<'_, '_>,
    files: &[exp_engine::core::RelPath],
    cwd: &exp_engine::core::RelPath,
) -> Outcome {
    session.note(&format!("commit it: git add {}   undo: exp undo", words::quoted(files, cwd)))?;
    Ok(ExitStatus::DONE)
}
