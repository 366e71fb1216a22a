//! Putting objects into the workspace, one file at a time and atomically.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use exp_core::{Ctx, Digest, ObjectId};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::link::{LinkKind, copy, points_to};
use crate::session::Temp;
use crate::walk::{Found, Kind, NoFilter, Seen, Stat, look};

impl Cache {
    /// Links the files of an added path to their objects.
    pub(crate) fn relink(
        &self,
        ctx: &Ctx<'_>,
        base: &Path,
        (found, digests): (&[Found], &[Digest]),
    ) -> Result<(), CacheError> {
        found.par_iter().zip(digests).try_for_each(|(found, digest)| {
            ctx.check()?;
            let (id, path) = (ObjectId::file(*digest), found.under(base));
            if self.is_linked_as_wanted(&id, &path, found)? {
                return Ok(());
            }
            let now = fs::metadata(&path).map_err(io_error("look at", &path))?;
            if !Stat::of(&now).is_unwritten(&found.stat) {
                return Err(CacheError::Changed { path });
            }
            self.place(&id, &path, found.stat.is_exec())
        })
    }

    /// Returns whether the file is what the first usable kind of link would make of it.
    fn is_linked_as_wanted(
        &self,
        id: &ObjectId,
        path: &Path,
        found: &Found,
    ) -> Result<bool, CacheError> {
        let object = self.object_path(id);
        let facts = Stat::of(&fs::metadata(&object).map_err(io_error("look at", &object))?);
        let is_one_file = found.stat.is_same_file(&facts);
        let first = self.0.options.links.first().copied().unwrap_or(LinkKind::Copy);
        let is_copy = found.kind == Kind::File && !is_one_file;
        Ok(match first {
            LinkKind::Reflink | LinkKind::Copy => is_copy,
            LinkKind::Hardlink | LinkKind::Symlink if is_copy && found.stat.is_exec() => true,
            LinkKind::Hardlink if is_copy => found.stat.size == 0,
            LinkKind::Hardlink => found.kind == Kind::File,
            LinkKind::Symlink => found.kind == Kind::LinkedFile && points_to(path, &object),
        })
    }

    /// Makes `path` a file with the object's bytes, replacing a file or link that is there. Its directory exists.
    pub(crate) fn place(
        &self,
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
            if self.place_by(kind, (&object, path), (device, is_exec))? {
                return Ok(());
            }
        }
        Err(CacheError::NoLinkKind { path: path.to_path_buf() })
    }

    fn place_by(
        &self,
        kind: LinkKind,
        (object, path): (&Path, &Path),
        (device, is_exec): (u64, bool),
    ) -> Result<bool, CacheError> {
        let session = self.session()?;
        let make = |temp: &Temp| -> Result<bool, CacheError> {
            let pair = (session.device(), device);
            let made = self.0.verdicts.make(&self.0.disk, (kind, pair), (object, temp.path()));
            if !made.map_err(io_error(action(kind), path))? {
                return Ok(false);
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
        let is_near = device == session.device()
            && !self.0.options.modes.group_shared
            && !self.0.is_apart.load(Ordering::Relaxed);
        if is_near {
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
        let temp = session.temp_beside(path);
        if !make(&temp)? {
            return Ok(false);
        }
        temp.move_to(path).map(|()| true).map_err(io_error("write", path))
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
                if !is_writable {
                    let changed = self.0.disk.set_mode(&at, mode);
                    changed.map_err(io_error("set the mode of", &at))?;
                }
                return Ok(());
            }
            let temp = self.session()?.temp_beside(&at);
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
