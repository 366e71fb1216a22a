//! Asking for very many objects at a time.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use exp_core::{Algorithm, ObjectId};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::cache::{Cache, is_written_since};
use crate::layout::Layout;
use crate::walk::Stat;

/// Each [`Algorithm`] has directories of its own.
const N_ALGORITHMS: usize = 3;

/// The store's directory, held open, so that the way to it is not walked for each object.
#[derive(Debug)]
pub(crate) struct Stock<'c> {
    cache: &'c Cache,
    root: OnceLock<OwnedFd>,
    /// When a directory of objects last got one or lost one, by algorithm and first byte.
    named_at: Vec<OnceLock<i64>>,
}

impl<'c> Stock<'c> {
    /// Opens nothing yet: the store may not be there.
    pub(crate) fn new(cache: &'c Cache) -> Self {
        let named_at = (0..N_ALGORITHMS << 8).map(|_| OnceLock::new()).collect();
        Self { cache, root: OnceLock::new(), named_at }
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
        let mtime = nanos(&facts);
        if is_protected
            && FileType::from_raw_mode(facts.st_mode).is_file()
            && facts.st_size > 0
            && !is_written_since(mtime, self.named_at(id))
        {
            return true;
        }
        self.cache.contains(id)
    }

    /// An early answer: what is named meanwhile looks younger than its directory, and is looked at again.
    fn named_at(&self, id: &ObjectId) -> i64 {
        let nth = match id.digest.algorithm() {
            Algorithm::Sha256 => 0,
            Algorithm::Md5 => 1,
            _ => 2,
        };
        let first = id.digest.as_bytes().first().copied().unwrap_or(0);
        let look = || {
            let shard = fs::metadata(self.cache.0.layout.shard(id));
            shard.map_or(0, |shard| Stat::of(&shard).mtime)
        };
        let known = self.named_at.get(nth << 8 | usize::from(first));
        known.map_or_else(look, |known| *known.get_or_init(look))
    }
}

/// When a file was last written, in nanoseconds since the epoch.
fn nanos(facts: &rustix::fs::Stat) -> i64 {
    let nanos = i64::try_from(facts.st_mtime_nsec).unwrap_or(0);
    facts.st_mtime.wrapping_mul(1_000_000_000).wrapping_add(nanos)
}
