//! Where the bytes of a received object land before they get its name.
//!
//! Small objects are held in memory until they are whole. A larger one grows in `tmp/partial/<object>` of the store,
//! which survives the process: the next transfer digests what is there and goes on behind it. Who grows such a file
//! holds its lock; another process that wants the same object at the same time receives it into a file of its own.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use exp_core::{Ctx, Digest, ObjectId, Task};

use crate::cache::Cache;
use crate::content::RunningDigest;
use crate::error::{CacheError, io_error};
use crate::ingest::Staged;
use crate::session::{Temp, is_still_at};

/// Up to so many bytes an object is small.
const SMALL: usize = 1 << 20;

/// Bytes digested at once of what is there already.
const PIECE: usize = 1 << 20;

/// An object that is being received.
pub(super) struct Landing<'t> {
    cache: Cache,
    id: ObjectId,
    digest: RunningDigest,
    place: Place,
    task: &'t Task<'t>,
    /// Why the store could not take bytes.
    failure: Option<CacheError>,
}

enum Place {
    Memory(Vec<u8>),
    /// A file that survives, with its lock.
    Partial(PathBuf, File),
    /// A file of this process.
    Own(Temp, File),
}

impl<'t> Landing<'t> {
    /// Begins an object, or goes on with what an earlier process left of it when `is_begun`.
    pub(super) fn begin(
        ctx: &Ctx<'_>,
        cache: &Cache,
        (id, is_begun): (&ObjectId, bool),
        task: &'t Task<'t>,
    ) -> Result<Self, CacheError> {
        let digest = RunningDigest::new(id.digest.algorithm());
        let place = Place::Memory(Vec::new());
        let mut landing =
            Self { cache: cache.clone(), id: *id, digest, place, task, failure: None };
        if is_begun && let Some((path, file)) = landing.partial()? {
            landing.take_up(ctx, path, file)?;
        }
        Ok(landing)
    }

    /// Returns from which byte on the object is wanted.
    pub(super) fn offset(&self) -> u64 {
        self.digest.total()
    }

    /// Drops what is there, to begin anew.
    pub(super) fn restart(&mut self) -> Result<(), CacheError> {
        self.digest = RunningDigest::new(self.id.digest.algorithm());
        match &mut self.place {
            Place::Memory(bytes) => bytes.clear(),
            Place::Partial(path, file) => truncate(file, path)?,
            Place::Own(temp, file) => truncate(file, temp.path())?,
        }
        Ok(())
    }

    /// Returns why the store could not take bytes, if it could not.
    pub(super) fn failure(&mut self) -> Option<CacheError> {
        self.failure.take()
    }

    /// Returns the object, ready to get its name, and its length; what its bytes digest to when that is not its name.
    pub(super) fn finish(self) -> Result<Result<(Staged, u64), Digest>, CacheError> {
        let Self { cache, id, digest, place, .. } = self;
        let len = digest.total();
        let found = digest.finish();
        if found != id.digest {
            if let Place::Partial(path, _) = place {
                // It would be wrong next time as well.
                let _ = fs::remove_file(path);
            }
            return Ok(Err(found));
        }
        let temp = match place {
            Place::Memory(bytes) => {
                let temp = cache.stage_bytes(&bytes)?;
                return Ok(Ok((Staged { id, temp }, len)));
            }
            Place::Own(temp, _) => temp,
            Place::Partial(path, file) => Temp::surviving(path, file, &cache.0.disk),
        };
        cache.make_read_only(&temp)?;
        Ok(Ok((Staged { id, temp }, len)))
    }

    /// Opens the file that survives; `None` when somebody else has it, or it cannot be had.
    fn partial(&self) -> Result<Option<(PathBuf, File)>, CacheError> {
        let disk = &self.cache.0.disk;
        let dir = self.cache.0.layout.partial();
        let path = dir.join(partial_name(&self.id));
        disk.create_dir(&dir)?;
        let open = || File::options().read(true).append(true).create(true).open(&path);
        let file = match open() {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                // Somebody died when it was whole and protected already, or it is not ours.
                if fs::remove_file(&path).is_err() {
                    return Ok(None);
                }
                open()
            }
            opened => opened,
        }
        .map_err(io_error("open", &path))?;
        if file.try_lock().is_err() || !is_still_at(&file, &path) {
            return Ok(None);
        }
        Ok(Some((path, file)))
    }

    fn take_up(&mut self, ctx: &Ctx<'_>, path: PathBuf, mut file: File) -> Result<(), CacheError> {
        let mut piece = vec![0; PIECE];
        loop {
            ctx.check()?;
            match file.read(&mut piece).map_err(io_error("read", &path))? {
                0 => break,
                n => self.digest.update(&piece[..n]),
            }
        }
        self.place = Place::Partial(path, file);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if let Place::Memory(held) = &mut self.place {
            if held.len() + bytes.len() <= SMALL {
                held.extend_from_slice(bytes);
                return Ok(());
            }
            let held = std::mem::take(held);
            self.place = if let Some((path, file)) = self.partial()? {
                truncate(&file, &path)?;
                Place::Partial(path, file)
            } else {
                let temp = self.cache.session()?.temp();
                let disk = &self.cache.0.disk;
                let file = disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
                Place::Own(temp, file)
            };
            self.append(&held)?;
        }
        self.append(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        let disk = &self.cache.0.disk;
        match &mut self.place {
            Place::Memory(held) => held.extend_from_slice(bytes),
            Place::Partial(path, file) => {
                disk.write(file, bytes).map_err(io_error("write", path))?;
            }
            Place::Own(temp, file) => {
                disk.write(file, bytes).map_err(io_error("write", temp.path()))?;
            }
        }
        Ok(())
    }
}

impl Write for Landing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(failure) = self.take(bytes) {
            let text = failure.to_string();
            self.failure = Some(failure);
            return Err(io::Error::other(text));
        }
        self.digest.update(bytes);
        self.task.moved(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn truncate(file: &File, path: &Path) -> Result<(), CacheError> {
    file.set_len(0).map_err(io_error("write", path))
}

/// The name of the file in which an object grows.
pub(super) fn partial_name(id: &ObjectId) -> String {
    format!("{}-{id}", id.digest.algorithm().name())
}
