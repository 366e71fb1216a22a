//! Putting objects into the workspace, one file at a time and atomically.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use exp_core::{Ctx, Digest, ObjectId};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::checkout::CheckoutWrite;
use crate::disk::OBJECT_MODE;
use crate::error::{CacheError, io_error};
use crate::link::{LinkKind, copy, points_to};
use crate::look::Digested;
use crate::memo::{Note, is_settled, now};
use crate::session::Temp;
use crate::stage::Flush;
use crate::walk::{Found, Kind, NoFilter, Seen, Stat, look};

impl Cache {
    /// Links the files of an added path to their objects; those that became objects are linked already.
    pub(crate) fn relink(
        &self,
        ctx: &Ctx<'_>,
        base: &Path,
        (seen, adopted): (&Digested, &BTreeSet<usize>),
    ) -> Result<(), CacheError> {
        let is_exec_link = |found: &Found| {
            found.stat.is_exec() && (found.kind == Kind::LinkedFile || found.stat.n_links > 1)
        };
        let began = now();
        let first = self.0.options.links.first().copied().unwrap_or(LinkKind::Copy);
        let is_copy_wanted = matches!(first, LinkKind::Reflink | LinkKind::Copy);
        let relink_one = |nth: usize, found: &Found, digest: &Digest| {
            // A file with one name is no link to anything.
            let is_copy = found.kind == Kind::File && found.stat.n_links == 1;
            let is_adopted = adopted.contains(&nth);
            let (id, path) = (ObjectId::file(*digest), found.under(base));
            if is_copy_wanted && is_copy && !is_adopted {
                return Ok(None);
            }
            ctx.check()?;
            if !is_adopted && self.is_linked_as_wanted(&id, &path, found)? {
                return Ok(None);
            }
            let look = || fs::metadata(&path).map_err(io_error("look at", &path));
            let mut stat = Stat::of(&look()?);
            if !stat.is_unwritten(&found.stat) {
                return Err(CacheError::Changed { path });
            }
            if !is_adopted {
                self.place(ctx, &id, &path, found.stat.is_exec())?;
                if is_exec_link(found) {
                    self.protect_again(&id);
                }
                stat = Stat::of(&look()?);
            }
            // What was linked a moment ago is believed, as long as its content is older than a grain.
            let is_believed = is_settled(&Stat { ctime: stat.mtime, ..stat }, began);
            Ok(is_believed.then_some(Note { path, stat, digest: *digest }))
        };
        let notes: Vec<Note> = (seen.found.par_iter().zip(&seen.digests).enumerate())
            .map(|(nth, (found, digest))| relink_one(nth, found, digest))
            .filter_map(Result::transpose)
            .collect::<Result<_, CacheError>>()?;
        if self.wants_memo(&seen.found) {
            self.0.memo.remember(&notes);
        }
        Ok(())
    }

    /// Returns whether the file, which may have been reached through a link, is the object itself.
    pub(crate) fn is_object(&self, id: &ObjectId, found: &Found) -> Result<bool, CacheError> {
        let object = self.object_path(id);
        let facts = Stat::of(&fs::metadata(&object).map_err(io_error("look at", &object))?);
        Ok(found.stat.is_same_file(&facts))
    }

    /// Takes from an object the executable bits that it was given through a link to it. Where that fails it is digested
    /// before each use.
    pub(crate) fn protect_again(&self, id: &ObjectId) {
        let object = self.object_path(id);
        let is_exec = fs::metadata(&object).is_ok_and(|facts| Stat::of(&facts).mode & 0o111 != 0);
        if is_exec {
            let _ = self.0.disk.set_mode(&object, OBJECT_MODE);
        }
    }

    /// Returns whether the file is what the first usable kind of link would make of it.
    fn is_linked_as_wanted(
        &self,
        id: &ObjectId,
        path: &Path,
        found: &Found,
    ) -> Result<bool, CacheError> {
        let object = self.object_path(id);
        let is_one_file = self.is_object(id, found)?;
        let first = self.0.options.links.first().copied().unwrap_or(LinkKind::Copy);
        let is_copy = found.kind == Kind::File && !is_one_file;
        Ok(match first {
            LinkKind::Reflink | LinkKind::Copy => is_copy,
            LinkKind::Hardlink | LinkKind::Symlink if found.stat.is_exec() => is_copy,
            LinkKind::Hardlink if is_copy => found.stat.size == 0,
            LinkKind::Hardlink => found.kind == Kind::File,
            LinkKind::Symlink => found.kind == Kind::LinkedFile && points_to(path, &object),
        })
    }

    /// Makes `path` a file with the object's bytes, replacing a file or link that is there. Its directory exists.
    ///
    /// Bytes that are copied are digested on the way: if they are not the object's, nothing is written.
    pub(crate) fn place(
        &self,
        ctx: &Ctx<'_>,
        id: &ObjectId,
        path: &Path,
        is_exec: bool,
    ) -> Result<(), CacheError> {
        let object = self.object_path(id);
        let size = fs::metadata(&object).map_err(io_error("look at", &object))?.len();
        let parent = path.parent().unwrap_or(path);
        let device = fs::metadata(parent).map_err(io_error("look at", parent))?;
        let device = Stat::of(&device).device;
        for kind in &self.0.options.links {
            let kind = match kind {
                LinkKind::Hardlink | LinkKind::Symlink if is_exec => LinkKind::Copy,
                LinkKind::Hardlink if size == 0 => LinkKind::Copy,
                kind => *kind,
            };
            if self.place_by(ctx, kind, (id, &object, path), (device, is_exec))? {
                return Ok(());
            }
        }
        Err(CacheError::NoLinkKind { path: path.to_path_buf() })
    }

    /// The device of the store's file system.
    fn device(&self) -> Result<u64, CacheError> {
        if let Some(session) = self.corner()? {
            return Ok(session.device());
        }
        let root = fs::metadata(self.root()).map_err(io_error("look at", self.root()))?;
        Ok(Stat::of(&root).device)
    }

    /// Makes a new file at once when it is a link: that is atomic by itself, and fails where something is already.
    /// Returns false, with nothing made, when it is no link or links do not work.
    pub(crate) fn link_new(
        &self,
        write: &CheckoutWrite,
        (path, device): (&Path, u64),
    ) -> Result<bool, CacheError> {
        let Some(kind @ (LinkKind::Hardlink | LinkKind::Symlink)) = self.0.options.links.first()
        else {
            return Ok(false);
        };
        let is_empty = || write.id.digest == Digest::of(write.id.digest.algorithm(), b"");
        if write.is_exec || (*kind == LinkKind::Hardlink && is_empty()) {
            return Ok(false);
        }
        let (object, pair) = (self.object_path(&write.id), (self.device()?, device));
        match self.0.verdicts.make(&self.0.disk, (*kind, pair), (&object, path)) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                Err(CacheError::Changed { path: path.to_path_buf() })
            }
            made => made.map_err(io_error(action(*kind), path)),
        }
    }

    fn place_by(
        &self,
        ctx: &Ctx<'_>,
        kind: LinkKind,
        (id, object, path): (&ObjectId, &Path, &Path),
        (device, is_exec): (u64, bool),
    ) -> Result<bool, CacheError> {
        let own_device = self.device()?;
        let make = |temp: &Temp| -> Result<bool, CacheError> {
            let pair = (own_device, device);
            if kind == LinkKind::Copy {
                self.copy_object(ctx, (id, object, path), temp)?;
            } else {
                let made = self.0.verdicts.make(&self.0.disk, (kind, pair), (object, temp.path()));
                if !made.map_err(io_error(action(kind), path))? {
                    return Ok(false);
                }
            }
            if matches!(kind, LinkKind::Reflink | LinkKind::Copy) {
                let wanted = self.0.options.modes.workspace(is_exec);
                self.0
                    .disk
                    .set_mode(temp.path(), wanted)
                    .map_err(io_error("set the mode of", path))?;
            }
            Ok(true)
        };
        // An unfinished file is better kept in the store, where a crash leaves nothing for the user to find. In a
        // shared store its group would be the store's, though.
        let is_near = device == own_device
            && !self.0.options.modes.group_shared
            && !self.0.is_apart.load(Ordering::Relaxed);
        if let Some(session) = self.corner()?.filter(|_| is_near) {
            let temp = session.temp();
            if !make(&temp)? {
                return Ok(false);
            }
            match temp.move_to(path) {
                Err(err) if err.kind() == io::ErrorKind::CrossesDevices => {
                    self.0.is_apart.store(true, Ordering::Relaxed);
                }
                moved => return moved.map(|()| true).map_err(io_error("write", path)),
            }
        }
        let temp = self.temp_beside(path)?;
        if !make(&temp)? {
            return Ok(false);
        }
        temp.move_to(path).map(|()| true).map_err(io_error("write", path))
    }

    /// Copies an object, for the file at `path`.
    fn copy_object(
        &self,
        ctx: &Ctx<'_>,
        (id, object, path): (&ObjectId, &Path, &Path),
        temp: &Temp,
    ) -> Result<(), CacheError> {
        let mut file = File::open(object).map_err(io_error(action(LinkKind::Copy), path))?;
        let size = file.metadata().map_err(io_error("look at", object))?.len();
        let (algorithm, source) = (id.digest.algorithm(), (&mut file, object, size));
        let found = self.copy_digesting(ctx, algorithm, source, (temp, Flush::Never))?;
        if found != id.digest {
            self.distrust(id);
            let source = Box::new(CacheError::Corrupt { id: *id, found });
            return Err(CacheError::CorruptSource { path: path.to_path_buf(), source });
        }
        Ok(())
    }

    /// Makes the file, or every file below the directory, at `path` an ordinary writable one.
    ///
    /// Links become copies, read-only files get their permissions back; executable files stay executable. Nothing at
    /// `path` is fine. Each file is replaced atomically.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
    pub fn unprotect(&self, ctx: &Ctx<'_>, path: &Path) -> Result<(), CacheError> {
        let found = match look(ctx, path, &NoFilter)? {
            Seen::Nothing => return Ok(()),
            Seen::One(found) => vec![found],
            Seen::Dir(listing) => listing.found,
        };
        found.par_iter().filter(|found| found.has_content()).try_for_each(|found| {
            ctx.check()?;
            let at = found.under(path);
            let mode = self.0.options.modes.workspace(found.stat.is_exec());
            let is_writable = found.stat.mode & 0o200 != 0;
            if found.kind == Kind::File && (is_writable || found.stat.n_links == 1) {
                let changed = if is_writable { Ok(()) } else { self.0.disk.set_mode(&at, mode) };
                match changed {
                    // Someone else's file: a copy of it is ours.
                    Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {}
                    changed => return changed.map_err(io_error("set the mode of", &at)),
                }
            }
            let temp = self.temp_beside(&at)?;
            copy(&self.0.disk, &at, temp.path()).map_err(io_error("copy", &at))?;
            let changed = self.0.disk.set_mode(temp.path(), mode);
            changed.map_err(io_error("set the mode of", &at))?;
            temp.move_to(&at).map_err(io_error("write", &at))
        })
    }
}

fn action(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Reflink | LinkKind::Copy => "copy an object to",
        LinkKind::Hardlink | LinkKind::Symlink => "link an object to",
    }
}
