//! Checking objects against their names, setting damaged ones aside, and bringing right ones back.
//!
//! Nothing that is damaged is deleted: bytes may be all that is left of something, so they move to `quarantine/` in the
//! store, under their old name and algorithm.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use exp_core::{Ctx, ObjectId, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::content::{digest_file, digest_open};
use crate::error::{CacheError, io_error};
use crate::ingest::Staged;
use crate::walk::is_absence;

impl Cache {
    /// Reads objects and digests them, whatever their mode, and returns those that are not as they should be, each with
    /// what is wrong: [`CacheError::Missing`], [`CacheError::Corrupt`], [`CacheError::Manifest`], [`CacheError::Io`].
    ///
    /// Works on all cores in bounded memory. In the order of `ids`.
    ///
    /// # Errors
    ///
    /// Only when the work is asked to stop.
    pub fn check(
        &self,
        ctx: &Ctx<'_>,
        ids: &[ObjectId],
    ) -> Result<Vec<(ObjectId, CacheError)>, CacheError> {
        let size =
            |id: &ObjectId| fs::metadata(self.object_path(id)).map_or(0, |found| found.len());
        let total = ids.par_iter().map(size).sum();
        let task = ctx.task(TaskLabel::Scan, Some(total), Unit::Bytes);
        let defects: Vec<_> = ids
            .par_iter()
            .map(|id| {
                ctx.check()?;
                let checked = self.check_one(ctx, id);
                task.advance(size(id));
                match checked {
                    Ok(()) => Ok(None),
                    Err(CacheError::Cancelled(cancelled)) => Err(cancelled.into()),
                    Err(defect) => Ok(Some((*id, defect))),
                }
            })
            .collect::<Result<_, CacheError>>()?;
        Ok(defects.into_iter().flatten().collect())
    }

    fn check_one(&self, ctx: &Ctx<'_>, id: &ObjectId) -> Result<(), CacheError> {
        let path = self.object_path(id);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => {}
            Err(err) if !is_absence(&err) => return Err(io_error("look at", &path)(err)),
            _ => return Err(CacheError::Missing { id: *id }),
        }
        let found = digest_file(ctx, id.digest.algorithm(), &path)?;
        if found != id.digest {
            return Err(CacheError::Corrupt { id: *id, found });
        }
        if id.is_tree() { self.read_tree(id).map(|_| ()) } else { Ok(()) }
    }

    /// Moves a damaged object out of the way and returns where it is now; `None` when it is not there any more.
    ///
    /// # Errors
    ///
    /// When it cannot be moved: it stays where it is.
    pub fn set_aside(&self, id: &ObjectId) -> Result<Option<PathBuf>, CacheError> {
        let _writer = self.enter()?;
        let home = self.root().join("quarantine");
        self.0.disk.create_dir(&home)?;
        let name = format!("{}-{id}", id.digest.algorithm().name());
        let mut to = home.join(&name);
        let mut n = 1;
        while to.symlink_metadata().is_ok() {
            n += 1;
            to = home.join(format!("{name}.{n}"));
        }
        let from = self.object_path(id);
        match self.0.disk.rename(&from, &to) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            moved => moved.map_err(io_error("set aside", &from)).map(|()| Some(to)),
        }
    }

    /// Stores the file at `path` as the object if it has its bytes; returns whether it has. It is copied: the file stays
    /// as it is.
    ///
    /// # Errors
    ///
    /// When the file cannot be read although it is there, or the store cannot be written.
    pub fn restore_from(
        &self,
        ctx: &Ctx<'_>,
        id: &ObjectId,
        path: &Path,
    ) -> Result<bool, CacheError> {
        let mut file = match File::open(path) {
            Err(err) if is_absence(&err) => return Ok(false),
            file => file.map_err(io_error("open", path))?,
        };
        let Some(looks) = file.metadata().ok().filter(fs::Metadata::is_file) else {
            return Ok(false);
        };
        // Only what has the right bytes is copied, and what is copied is digested again.
        if digest_file(ctx, id.digest.algorithm(), path)? != id.digest {
            return Ok(false);
        }
        let _writer = self.enter()?;
        self.pin_entered([*id])?;
        let temp = self.session()?.temp();
        let disk = &self.0.disk;
        let mut copy = disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
        let source = (&mut file, path, looks.len());
        let (found, _) = digest_open(ctx, id.digest.algorithm(), source, |piece| {
            disk.write(&mut copy, piece).map_err(io_error("write", temp.path()))
        })?;
        if found != id.digest {
            return Ok(false);
        }
        self.make_read_only(&temp)?;
        self.publish(vec![Staged { id: *id, temp }])?;
        Ok(true)
    }
}
