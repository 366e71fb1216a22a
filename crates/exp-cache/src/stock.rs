//! Asking for very many objects at a time.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use exp_core::ObjectId;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::cache::Cache;
use crate::layout::Layout;

/// The store's directory, held open, so that the way to it is not walked for each object.
#[derive(Debug)]
pub(crate) struct Stock<'c> {
    cache: &'c Cache,
    root: OnceLock<OwnedFd>,
}

impl<'c> Stock<'c> {
    /// Opens nothing yet: the store may not be there.
    pub(crate) fn new(cache: &'c Cache) -> Self {
        Self { cache, root: OnceLock::new() }
    }

    fn root(&self) -> Option<&OwnedFd> {
        if self.root.get().is_none() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::openat(CWD, self.cache.root(), flags, Mode::empty()).ok()?;
            // Another thread may have been faster.
            let _ = self.root.set(root);
        }
        self.root.get()
    }

    /// Returns whether the object is there and can be trusted, as [`Cache::contains`] does.
    pub(crate) fn holds(&self, id: &ObjectId) -> bool {
        let Some(root) = self.root() else { return false };
        let Ok(facts) = rustix::fs::statat(root, Layout::key(id), AtFlags::empty()) else {
            return false;
        };
        let is_protected =
            Mode::from_raw_mode(facts.st_mode) == Mode::RUSR | Mode::RGRP | Mode::ROTH;
        if is_protected && FileType::from_raw_mode(facts.st_mode).is_file() {
            return true;
        }
        self.cache.contains(id)
    }
}
