//! Sending data from an address to a data remote without keeping it here.
//!
//! One file at a time comes into the scratch directory, because its digest is its name on the remote. The manifest of a
//! directory goes last.

use std::io::{Cursor, Seek};

use exp_core::{Artifact, Ctx, ObjectId, TaskLabel, Unit};

use super::address::{Content, Place};
use super::corner::Corner;
use super::error::ImportError;
use super::plan::ToRemote;
use super::url::{artifact_of, files_of};
use crate::error::Error;
use crate::files::FileError;
use crate::project::Project;

/// Sends what is at an address to a remote.
///
/// # Errors
///
/// When no remote is set, or either side fails; what was sent by then stays.
pub(super) fn send(
    ctx: &Ctx<'_>,
    (project, to): (&Project, &ToRemote),
    (place, content): (&Place, &Content),
) -> Result<Artifact, Error> {
    let remote = project.remote_of_import(to.remote.as_deref())?;
    let algorithm = project.algorithm();
    let files = files_of(content)?;
    let home = project.scratch();
    let corner = Corner::inside(&home)?;
    let task = ctx.task(TaskLabel::Push, Some(files.len() as u64), Unit::Files);
    let failed = |source| {
        let label = remote.label().to_owned();
        Error::from(ImportError::from(exp_cache::TransferError::Remote { label, source }))
    };
    let mut sent = Vec::with_capacity(files.len());
    for file in files {
        ctx.check()?;
        let mut spool = corner.spool()?;
        let asked = (file, algorithm);
        let (digest, size) = exp_cache::download(ctx, &*place.storage, asked, &mut spool)
            .map_err(ImportError::from)?;
        let id = ObjectId::file(digest);
        if !remote.contains(ctx, &[id]).map_err(failed)?.contains(&true) {
            spool.rewind().map_err(FileError::at("read", &home))?;
            remote.store(ctx, &id, size, &mut spool).map_err(failed)?;
        }
        sent.push((digest, size));
        task.advance(1);
    }
    remote.flush(ctx).map_err(failed)?;
    let (artifact, tree) = artifact_of(algorithm, content, &sent)?;
    if let Some(tree) = tree {
        let bytes = tree.to_bytes();
        let len = bytes.len() as u64;
        remote.store(ctx, &tree.id(), len, &mut Cursor::new(bytes)).map_err(failed)?;
        remote.flush(ctx).map_err(failed)?;
    }
    Ok(artifact)
}
