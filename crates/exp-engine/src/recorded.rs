//! Writing down what a stage did: `dvc.lock` and `.dvc` files.

use exp_core::{Ctx, DvcFile, ExtrasFile, LockFile, Recorded, RelPath, Stage, StageId, StageLock};

use crate::change::Changes;
use crate::data::links;
use crate::error::Error;
use crate::files;
use crate::project::Project;

/// Returns the lock file of the stages in `file`, a `dvc.yaml`.
pub(crate) fn lock_file_of(file: &RelPath) -> RelPath {
    let dir = file.parent().unwrap_or_else(RelPath::root);
    dir.join("dvc.lock").unwrap_or_else(|_| RelPath::root())
}

/// Returns the file beside the lock file with what that has no place for.
pub(crate) fn extras_file_of(file: &RelPath) -> RelPath {
    let dir = file.parent().unwrap_or_else(RelPath::root);
    dir.join("exp.lock").unwrap_or_else(|_| RelPath::root())
}

/// Notes what a stage read beside what stands in `dvc.lock`. Written first: until that has the record as well, the note
/// belongs to none.
fn write_extras(
    project: &Project,
    ctx: &Ctx<'_>,
    changes: &mut Changes,
    (file, name): (&RelPath, &str),
    lock: &StageLock,
) -> Result<(), Error> {
    let file = extras_file_of(file);
    let before = read_text(project, &file)?;
    if before.is_none() && lock.extras.is_empty() {
        return Ok(());
    }
    let mut extras = ExtrasFile::parse(before.as_deref().unwrap_or_default())
        .map_err(|source| Error::Recorded { file: file.clone(), source })?;
    extras.set(name, lock);
    match extras.to_text() {
        None if before.is_some() => changes.remove(ctx, &file),
        Some(after) if before.as_deref() != Some(&after) => {
            changes.write(ctx, &file, after.as_bytes())
        }
        _ => Ok(()),
    }
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
    links::note(project, stage, lock);
    write_extras(project, ctx, changes, (file, name), lock)?;
    let file = lock_file_of(file);
    let before = read_text(project, &file)?;
    let place = changes.ranks().of_stage(&stage.id);
    let later = changes.ranks().later(&file, place);
    let after = LockFile::set_stage_before(before.as_deref(), name, lock, &later)
        .map_err(|source| Error::Recorded { file: file.clone(), source })?;
    if before.as_deref() == Some(&after) {
        return Ok(Recorded::Unchanged);
    }
    changes.write(ctx, &file, after.as_bytes())?;
    changes.ranks().appended(&file, place, name.clone());
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
    links::note(project, stage, lock);
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
    bytes.map(|bytes| files::text(file, &bytes).map(str::to_owned)).transpose()
}
