//! Taking one file into the store: its digest, and a copy under a temporary name unless the content is there already.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;

use exp_core::{Algorithm, Ctx, Digest, ObjectId};

use crate::cache::Cache;
use crate::content::{digest_bytes, digest_file, digest_open};
use crate::disk::OBJECT_MODE;
use crate::error::{CacheError, io_error};
use crate::link::LinkKind;
use crate::look::note_if_settled;
use crate::memo::{Note, is_settled, now};
use crate::session::Temp;
use crate::stock::Stock;
use crate::walk::{Found, Kind, Stat};

/// Files up to this size are read into memory and written only when the store lacks them.
const SMALL: u64 = 1 << 20;

/// Files from this size on are flushed while they are written.
const HUGE: u64 = 64 << 20;

/// Pieces that are read and not written yet.
const IN_FLIGHT: usize = 8;

/// When a copy becomes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// As it is written, if it is huge.
    Along,
    /// That is not our business.
    Never,
}

/// What became of a file.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) digest: Digest,
    /// Its content, when the store lacks it.
    pub(crate) temp: Option<Temp>,
    /// Whether `temp` is the file itself.
    pub(crate) is_adopted: bool,
    pub(crate) note: Option<Note>,
}

impl Cache {
    pub(crate) fn stage_bytes(&self, bytes: &[u8]) -> Result<Temp, CacheError> {
        let temp = self.session()?.temp();
        let disk = &self.0.disk;
        let mut file = disk.create_object(temp.path()).map_err(io_error("create", temp.path()))?;
        disk.write(&mut file, bytes).map_err(io_error("write", temp.path()))?;
        Ok(temp)
    }

    pub(crate) fn make_read_only(&self, temp: &Temp) -> Result<(), CacheError> {
        let protected = self.0.disk.set_mode(temp.path(), OBJECT_MODE);
        protected.map_err(io_error("set the mode of", temp.path()))
    }

    /// Digests a file, and copies it into the store's corner unless it is stored already.
    pub(crate) fn stage(
        &self,
        ctx: &Ctx<'_>,
        (base, stock): (&Path, &Stock<'_>),
        found: &Found,
    ) -> Result<Taken, CacheError> {
        let path = found.under(base);
        let began = now();
        if self.may_adopt(found)
            && let Some(taken) = self.adopt(ctx, &path, (found, stock))?
        {
            return Ok(taken);
        }
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        let look = |file: &File| match file.metadata().map_err(io_error("look at", &path)) {
            Ok(metadata) if Stat::of(&metadata).is_unwritten(&found.stat) => {
                Ok(Stat::of(&metadata))
            }
            Ok(_) => Err(CacheError::Changed { path: path.clone() }),
            Err(err) => Err(err),
        };
        let (digest, temp) = if found.stat.size <= SMALL {
            self.stage_small((&mut file, &path), (found, stock))?
        } else {
            look(&file)?;
            self.stage_large(ctx, (&mut file, &path, began), (found, stock))?
        };
        // The same file as before the first byte was read, not written since: what was read is what it has.
        let after = look(&file)?;
        let note = note_if_settled((path, &after), (found, digest), began);
        Ok(Taken { digest, temp, is_adopted: false, note })
    }

    fn stage_small(
        &self,
        (file, path): (&mut File, &Path),
        (found, stock): (&Found, &Stock<'_>),
    ) -> Result<(Digest, Option<Temp>), CacheError> {
        // One byte more than expected, so that the end shows without growing. What grew is refused afterwards.
        let expected = usize::try_from(found.stat.size).unwrap_or(0);
        let mut bytes = Vec::with_capacity(expected + 1);
        let all = &mut file.take(found.stat.size + 1);
        all.read_to_end(&mut bytes).map_err(io_error("read", path))?;
        let digest = digest_bytes(self.algorithm(), &bytes);
        if stock.holds(&ObjectId::file(digest)) {
            return Ok((digest, None));
        }
        Ok((digest, Some(self.stage_bytes(&bytes)?)))
    }

    fn stage_large(
        &self,
        ctx: &Ctx<'_>,
        (file, path, began): (&mut File, &Path, i64),
        (found, stock): (&Found, &Stock<'_>),
    ) -> Result<(Digest, Option<Temp>), CacheError> {
        let session = self.session()?;
        let temp = session.temp();
        let disk = &self.0.disk;
        let wants_reflink = self.0.options.links.contains(&LinkKind::Reflink);
        let pair = (found.stat.device, session.device());
        let how = (LinkKind::Reflink, pair);
        let is_shared = wants_reflink
            && self
                .0
                .verdicts
                .make(disk, how, (path, temp.path()))
                .map_err(io_error("copy", path))?;
        let digest = if is_shared {
            match self.digest_unchanged(ctx, (file, path, began), found)? {
                Some(digest) => digest,
                None => digest_file(ctx, self.algorithm(), temp.path())?,
            }
        } else {
            let source = (file, path, found.stat.size);
            self.copy_digesting(ctx, self.algorithm(), source, (&temp, Flush::Along))?
        };
        if stock.holds(&ObjectId::file(digest)) {
            return Ok((digest, None));
        }
        self.make_read_only(&temp)?;
        Ok((digest, Some(temp)))
    }

    /// Digests the original of a copy that shares its blocks; `None` when it may have changed since it was found, for then
    /// the copy is what counts. What is in memory of the original would be read from the disk again in the copy.
    fn digest_unchanged(
        &self,
        ctx: &Ctx<'_>,
        (file, path, began): (&mut File, &Path, i64),
        found: &Found,
    ) -> Result<Option<Digest>, CacheError> {
        if !is_settled(&found.stat, began) {
            return Ok(None);
        }
        let source = (file, path, found.stat.size);
        let (digest, _) = digest_open(ctx, self.algorithm(), source, |_| Ok(()))?;
        // By its name, as it was copied: neither written nor replaced, not even for a while, which would show in ctime.
        let looks = fs::metadata(path).map_err(io_error("look at", path))?;
        Ok((Stat::of(&looks) == found.stat).then_some(digest))
    }

    /// Reads and digests in this thread, writes in a second one; a third one flushes what was written so far where that is
    /// wanted, so that little is left to wait for at the end.
    pub(crate) fn copy_digesting(
        &self,
        ctx: &Ctx<'_>,
        algorithm: Algorithm,
        (file, path, size): (&mut File, &Path, u64),
        (temp, flush): (&Temp, Flush),
    ) -> Result<Digest, CacheError> {
        let disk = &self.0.disk;
        let mut copy = disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
        if size <= SMALL {
            let (digest, _) = digest_open(ctx, algorithm, (file, path, size), |piece| {
                disk.write(&mut copy, piece).map_err(io_error("write", temp.path()))
            })?;
            return Ok(digest);
        }
        let is_flushed = flush == Flush::Along && size >= HUGE;
        let flushed = if is_flushed { copy.try_clone().ok() } else { None };
        let (pieces, to_write) = mpsc::sync_channel::<Vec<u8>>(IN_FLIGHT);
        let (wrote, to_flush) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || -> io::Result<()> {
                for piece in to_write {
                    disk.write(&mut copy, &piece)?;
                    // Nobody listens when nothing is flushed.
                    let _ = wrote.send(());
                }
                Ok(())
            });
            if let Some(file) = flushed {
                scope.spawn(move || {
                    while to_flush.recv().is_ok() {
                        to_flush.try_iter().for_each(drop);
                        // Failures show when all is made durable.
                        let _ = file.sync_data();
                    }
                });
            }
            let mut is_cut = false;
            let digested = digest_open(ctx, algorithm, (file, path, size), |piece| {
                is_cut = is_cut || pieces.send(piece.to_vec()).is_err();
                if is_cut {
                    Err(CacheError::Absent { path: temp.path().to_path_buf() })
                } else {
                    Ok(())
                }
            });
            drop(pieces);
            let written = match writer.join() {
                Ok(written) => written,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            // A writer that gave up is why reading did.
            written.map_err(io_error("write", temp.path()))?;
            digested.map(|(digest, _)| digest)
        })
    }

    /// Returns whether the file itself may become the object, as DVC does when hard links come first. An executable
    /// would lose its bit, and a file with other names could be changed through them.
    fn may_adopt(&self, found: &Found) -> bool {
        self.0.options.links.first() == Some(&LinkKind::Hardlink)
            && found.kind == Kind::File
            && found.stat.n_links == 1
            && found.stat.size > 0
            && !found.stat.is_exec()
    }

    /// Makes the file itself what is stored; `None` when that does not work. It gets a second name first, and what is
    /// digested and protected is what that name leads to, whatever becomes of the first one meanwhile.
    fn adopt(
        &self,
        ctx: &Ctx<'_>,
        path: &Path,
        (found, stock): (&Found, &Stock<'_>),
    ) -> Result<Option<Taken>, CacheError> {
        let session = self.session()?;
        let disk = &self.0.disk;
        let temp = session.temp();
        let how = (LinkKind::Hardlink, (found.stat.device, session.device()));
        let linked = self.0.verdicts.make(disk, how, (path, temp.path()));
        if !linked.map_err(io_error("link", path))? {
            return Ok(None);
        }
        let mut file = File::open(temp.path()).map_err(io_error("open", path))?;
        let source = (&mut file, path, found.stat.size);
        let (digest, _) = digest_open(ctx, self.algorithm(), source, |_| Ok(()))?;
        // The file that was found, not written since: what was read is what it has, and it is ours to protect.
        let now = file.metadata().map_err(io_error("look at", path))?;
        if !Stat::of(&now).is_unwritten(&found.stat) {
            return Err(CacheError::Changed { path: path.to_path_buf() });
        }
        let is_stored = stock.holds(&ObjectId::file(digest));
        if !is_stored {
            match disk.protect(&file) {
                Ok(()) => {}
                // Someone else's file may be linked but not protected.
                Err(err) if err.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
                Err(err) => return Err(io_error("set the mode of", path)(err)),
            }
        }
        // Getting a name and losing it, or becoming an object, has changed the file's times: nothing to note.
        let temp = (!is_stored).then_some(temp);
        Ok(Some(Taken { digest, is_adopted: temp.is_some(), temp, note: None }))
    }
}
