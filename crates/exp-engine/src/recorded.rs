//! Writing down what a stage did: `dvc.lock` and `.dvc` files.

use exp_core::{Ctx, DvcFile, LockFile, Recorded, RelPath, Stage, StageId, StageLock};

use crate::change::Changes;
use crate::error::Error;
use crate::files;
use crate::project::Project;

/// Returns the lock file of the stages in `file`, a `dvc.yaml`.
pub(crate) fn lock_file_of(file: &RelPath) -> RelPath {
    let dir = file.parent().unwrap_or_else(RelPath::root);
    dir.join("dvc.lock").unwrap_or_else(|_| RelPath::root())
}

/// Writes the entry of a stage into its lock file; every other byte of the file stays.
pub(crate) fn write_lock(
    project: &Project,
    ctx: &Ctx<'_>,
    changes: &mut Changes,
    stage: &Stage,
    lock: &StageLock,
) -> Result<Recorded, Error> {
    let StageId { file, name: Some(name) } = &stage.id else { return Ok(Recorded::Unchanged) };
    let file = lock_file_of(file);
    let before = read_text(project, &file)?;
    let after = LockFile::set_stage(before.as_deref(), name, lock)
        .map_err(|source| Error::Recorded { file: file.clone(), source })?;
    if before.as_deref() == Some(&after) {
        return Ok(Recorded::Unchanged);
    }
    changes.write(ctx, &file, after.as_bytes())?;
    Ok(if before.is_some() { Recorded::Updated } else { Recorded::Created })
}

/// Writes what was recorded of a data source into its `.dvc` file; order, comments and foreign keys stay.
pub(crate) fn write_dvc_file(
    project: &Project,
    ctx: &Ctx<'_>,
    changes: &mut Changes,
    stage: &Stage,
    lock: &StageLock,
) -> Result<Recorded, Error> {
    let file = &stage.id.file;
    let before = read_text(project, file)?;
    let after = DvcFile::update(before.as_deref(), lock)
        .map_err(|source| Error::Recorded { file: file.clone(), source })?;
    if before.as_deref() == Some(&after) {
        return Ok(Recorded::Unchanged);
    }
    changes.write(ctx, file, after.as_bytes())?;
    Ok(if before.is_some() { Recorded::Updated } else { Recorded::Created })
}

fn read_text(project: &Project, file: &RelPath) -> Result<Option<String>, Error> {
    let bytes = files::read(&file.under(project.root()))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
