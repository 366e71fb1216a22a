//! Storing: one pass over the bytes digests and copies them.
//!
//! Files are taken in chunks. Within a chunk they are read in parallel into unfinished files of the store; then these
//! are made durable together, get their names, and the names are made durable. Only when every file of a directory
//! has come that far is its manifest stored, and only then is the workspace linked to the objects. A crash at any
//! point leaves the workspace whole and the store without half objects.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use exp_core::{Artifact, Ctx, Digest, ObjectId, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::content::{digest_file, digest_open};
use crate::disk::OBJECT_MODE;
use crate::error::{CacheError, io_error};
use crate::link::LinkKind;
use crate::look::{CHUNK, file_artifact, note_if_settled, tree_artifact, tree_of};
use crate::memo::{Note, now};
use crate::session::{Temp, enter};
use crate::tree::Tree;
use crate::walk::{Filter, Found, Kind, Seen, Stat, look, only_content};

/// Files up to this size are read into memory and written only when the store lacks them.
const SMALL: u64 = 1 << 20;

/// What happens to the workspace's files once they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relink {
    /// They become links to their objects, of the first kind that works; a copy stays the file that it is.
    Yes,
    /// They stay as they are.
    No,
}

/// Content that waits to get its name.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) id: ObjectId,
    pub(crate) temp: Temp,
}

impl Cache {
    /// Stores what is at `path`, and links it back as `relink` says.
    ///
    /// Once it returns, the objects are durable. What is stored already is not written again. After a failure or a
    /// crash the workspace's files have the bytes they had.
    ///
    /// Links to files are stored as what they lead to. Links to directories below `path` are left out with a warning;
    /// `path` itself must not be one.
    ///
    /// # Errors
    ///
    /// When nothing is there, something cannot be read or stored, is neither file nor directory, has a name that is
    /// not UTF-8, or changes meanwhile.
    pub fn add(
        &self,
        ctx: &Ctx<'_>,
        path: &Path,
        filter: &dyn Filter,
        relink: Relink,
    ) -> Result<Artifact, CacheError> {
        let (found, is_dir) = match look(ctx, path, filter)? {
            Seen::Nothing => return Err(CacheError::Absent { path: path.to_path_buf() }),
            Seen::Dir(listing) if listing.is_linked => {
                return Err(CacheError::LinkedDirectory { path: path.to_path_buf() });
            }
            Seen::Dir(listing) => (only_content(ctx, path, listing.found)?, true),
            Seen::One(found) => (only_content(ctx, path, vec![found])?, false),
        };
        let _writer = enter(&self.0.layout, &self.0.disk)?;
        let digests = self.store_found(ctx, path, &found)?;
        let artifact = if is_dir {
            let tree = tree_of(self.algorithm(), path, &found, &digests)?;
            self.store_tree(&tree)?;
            tree_artifact(&tree, &found)
        } else {
            match (found.first(), digests.first()) {
                (Some(found), Some(digest)) => file_artifact(found, *digest),
                _ => return Err(CacheError::Absent { path: path.to_path_buf() }),
            }
        };
        if relink == Relink::Yes {
            self.relink(ctx, path, (&found, &digests))?;
        }
        Ok(artifact)
    }

    /// Stores bytes as the content of a file.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub fn add_bytes(&self, bytes: &[u8]) -> Result<ObjectId, CacheError> {
        let id = ObjectId::file(Digest::of(self.algorithm(), bytes));
        let _writer = enter(&self.0.layout, &self.0.disk)?;
        self.store_bytes(id, bytes)?;
        Ok(id)
    }

    /// Stores a directory's manifest; its files are the caller's business.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub fn add_tree(&self, tree: &Tree) -> Result<ObjectId, CacheError> {
        let _writer = enter(&self.0.layout, &self.0.disk)?;
        self.store_tree(tree)?;
        Ok(tree.id())
    }

    pub(crate) fn store_tree(&self, tree: &Tree) -> Result<(), CacheError> {
        let bytes = tree.to_bytes();
        self.store_bytes(ObjectId::tree(Digest::of(tree.algorithm(), &bytes)), &bytes)
    }

    /// Stores bytes whose digest `id` is.
    pub(crate) fn store_bytes(&self, id: ObjectId, bytes: &[u8]) -> Result<(), CacheError> {
        if self.contains(&id) {
            return Ok(());
        }
        let temp = self.stage_bytes(bytes)?;
        self.publish(vec![Staged { id, temp }])
    }

    fn stage_bytes(&self, bytes: &[u8]) -> Result<Temp, CacheError> {
        let temp = self.session()?.temp();
        let disk = &self.0.disk;
        let mut file = disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
        disk.write(&mut file, bytes).map_err(io_error("write", temp.path()))?;
        self.make_read_only(&temp)?;
        Ok(temp)
    }

    pub(crate) fn make_read_only(&self, temp: &Temp) -> Result<(), CacheError> {
        let protected = self.0.disk.set_mode(temp.path(), OBJECT_MODE);
        protected.map_err(io_error("set the mode of", temp.path()))
    }

    /// Gives staged content its names, durably. A store must be entered as a writer.
    pub(crate) fn publish(&self, staged: Vec<Staged>) -> Result<(), CacheError> {
        let disk = &self.0.disk;
        let temps: Vec<&Path> = staged.iter().map(|one| one.temp.path()).collect();
        disk.sync_files(&temps)?;
        let mut dirs = BTreeSet::new();
        for one in staged {
            let path = self.object_path(&one.id);
            let Some(dir) = path.parent() else { continue };
            if !dirs.contains(dir) {
                // What is created needs its own parents to be durable as well.
                let known = dir.ancestors().find(|dir| dir.is_dir()).map(Path::to_path_buf);
                disk.create_dir(dir)?;
                let created = dir.ancestors().take_while(|dir| Some(*dir) != known.as_deref());
                dirs.extend(created.filter_map(Path::parent).map(Path::to_path_buf));
                dirs.insert(dir.to_path_buf());
            }
            one.temp.move_to(&path).map_err(io_error("create", &path))?;
        }
        let dirs: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
        disk.sync_dirs(&dirs)
    }

    fn store_found(
        &self,
        ctx: &Ctx<'_>,
        base: &Path,
        found: &[Found],
    ) -> Result<Vec<Digest>, CacheError> {
        let total = found.iter().map(|found| found.stat.size).sum();
        let task = ctx.task(TaskLabel::Hash, Some(total), Unit::Bytes);
        let has_memo = self.wants_memo(found);
        let mut digests = Vec::with_capacity(found.len());
        for chunk in found.chunks(CHUNK) {
            let known = self.recall(self.algorithm(), has_memo, (base, chunk));
            let stored: Vec<Stored> = chunk
                .par_iter()
                .zip(known)
                .map(|(found, known)| {
                    ctx.check()?;
                    let stored = self.stage(ctx, base, (found, known))?;
                    task.advance(found.stat.size);
                    Ok(stored)
                })
                .collect::<Result<_, CacheError>>()?;
            let (mut staged, mut notes) = (Vec::new(), Vec::new());
            for one in stored {
                digests.push(one.digest);
                let id = ObjectId::file(one.digest);
                staged.extend(one.temp.map(|temp| Staged { id, temp }));
                notes.extend(one.note);
            }
            self.publish(staged)?;
            if has_memo {
                self.0.memo.remember(&notes);
            }
        }
        Ok(digests)
    }

    /// Digests a file, and copies it into the store's corner unless it is stored already.
    fn stage(
        &self,
        ctx: &Ctx<'_>,
        base: &Path,
        (found, known): (&Found, Option<Digest>),
    ) -> Result<Stored, CacheError> {
        if let Some(digest) = known
            && self.contains(&ObjectId::file(digest))
        {
            return Ok(Stored { digest, temp: None, note: None });
        }
        let path = found.under(base);
        let began = now();
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        let unchanged = |file: &File| match file.metadata().map_err(io_error("look at", &path)) {
            Ok(metadata) if Stat::of(&metadata).is_unwritten(&found.stat) => Ok(()),
            Ok(_) => Err(CacheError::Changed { path: path.clone() }),
            Err(err) => Err(err),
        };
        unchanged(&file)?;
        let source = (&mut file, path.as_path());
        let (digest, temp) = if self.may_adopt(found) {
            let (digest, _) = digest_open(ctx, self.algorithm(), source, |_| Ok(()))?;
            if self.contains(&ObjectId::file(digest)) {
                (digest, None)
            } else {
                unchanged(&file)?;
                if let Some(temp) = self.adopt(&path, found)? {
                    // Becoming an object has changed its mode, hence its times.
                    return Ok(Stored { digest, temp: Some(temp), note: None });
                }
                // It has been read once for nothing; links cannot be made here, and the next one knows.
                let temp = self.session()?.temp();
                crate::link::copy(&self.0.disk, &path, temp.path())
                    .map_err(io_error("copy", &path))?;
                self.make_read_only(&temp)?;
                (digest, Some(temp))
            }
        } else if found.stat.size <= SMALL {
            self.stage_small(ctx, source)?
        } else {
            self.stage_large(ctx, source, found)?
        };
        unchanged(&file)?;
        let note = note_if_settled(path, (found, digest), began);
        Ok(Stored { digest, temp, note })
    }

    fn stage_small(
        &self,
        ctx: &Ctx<'_>,
        source: (&mut File, &Path),
    ) -> Result<(Digest, Option<Temp>), CacheError> {
        let mut bytes = Vec::new();
        let (digest, _) = digest_open(ctx, self.algorithm(), source, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        if self.contains(&ObjectId::file(digest)) {
            return Ok((digest, None));
        }
        Ok((digest, Some(self.stage_bytes(&bytes)?)))
    }

    fn stage_large(
        &self,
        ctx: &Ctx<'_>,
        (file, path): (&mut File, &Path),
        found: &Found,
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
            // The copy is what counts: the original may change while it is read.
            digest_file(ctx, self.algorithm(), temp.path())?
        } else {
            let mut copy = disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
            digest_open(ctx, self.algorithm(), (file, path), |piece| {
                disk.write(&mut copy, piece).map_err(io_error("write", temp.path()))
            })?
            .0
        };
        if self.contains(&ObjectId::file(digest)) {
            return Ok((digest, None));
        }
        self.make_read_only(&temp)?;
        Ok((digest, Some(temp)))
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

    /// Gives the file a name in the store's corner; `None` when that does not work.
    fn adopt(&self, path: &Path, found: &Found) -> Result<Option<Temp>, CacheError> {
        let session = self.session()?;
        let temp = session.temp();
        let how = (LinkKind::Hardlink, (found.stat.device, session.device()));
        let linked = self.0.verdicts.make(&self.0.disk, how, (path, temp.path()));
        if !linked.map_err(io_error("link", path))? {
            return Ok(None);
        }
        match self.make_read_only(&temp) {
            Ok(()) => Ok(Some(temp)),
            // Someone else's file may be linked but not protected.
            Err(CacheError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }
}

struct Stored {
    digest: Digest,
    temp: Option<Temp>,
    note: Option<Note>,
}
