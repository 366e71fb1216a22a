//! Bringing an object into the workspace by the cheapest way that works.
//!
//! Which ways work is found out by doing the first one in earnest, once for each pair of file systems, and remembered
//! for the life of the store.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::disk::Disk;

/// How a file of the workspace gets an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    /// A copy that shares its blocks until one side is written (Btrfs, XFS, APFS).
    Reflink,
    /// Another name of the object. Read-only; refused for executables and empty files, which are copied.
    Hardlink,
    /// A symbolic link to the object, by absolute path. Read-only; not for executables.
    Symlink,
    /// A copy.
    Copy,
}

impl LinkKind {
    /// Returns the name as DVC's `cache.type` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reflink => "reflink",
            Self::Hardlink => "hardlink",
            Self::Symlink => "symlink",
            Self::Copy => "copy",
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no [`LinkKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a link type")]
pub struct LinkKindError {
    /// The text as it was given.
    pub text: String,
}

impl FromStr for LinkKind {
    type Err = LinkKindError;

    fn from_str(text: &str) -> Result<Self, LinkKindError> {
        [Self::Reflink, Self::Hardlink, Self::Symlink, Self::Copy]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| LinkKindError { text: text.to_owned() })
    }
}

/// Remembers which kinds of links work between which file systems.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    known: Mutex<BTreeMap<(LinkKind, u64, u64), bool>>,
}

impl Verdicts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(LinkKind, u64, u64), bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `to` a link of `kind` to `from`, between the file systems `pair`. Returns false, with nothing made, when
    /// that kind does not work here.
    pub(crate) fn make(
        &self,
        disk: &Disk,
        (kind, pair): (LinkKind, (u64, u64)),
        (from, to): (&Path, &Path),
    ) -> io::Result<bool> {
        let attempt = || match kind {
            LinkKind::Reflink => disk.reflink(from, to),
            LinkKind::Hardlink => disk.hard_link(from, to),
            LinkKind::Symlink => disk.symlink(from, to),
            LinkKind::Copy => copy(disk, from, to),
        };
        if kind == LinkKind::Copy {
            return attempt().map(|()| true);
        }
        let key = (kind, pair.0, pair.1);
        let mut known = self.lock();
        match known.get(&key) {
            Some(false) => return Ok(false),
            Some(true) => drop(known),
            None => {
                // Others wait for the first verdict instead of failing one by one.
                let made = attempt();
                return match made {
                    Ok(()) => {
                        known.insert(key, true);
                        Ok(true)
                    }
                    Err(err) if is_unsupported(&err) => {
                        known.insert(key, false);
                        Ok(false)
                    }
                    Err(err) => Err(err),
                };
            }
        }
        match attempt() {
            Ok(()) => Ok(true),
            // This one file: it has too many names, or may not be linked by us.
            Err(err) if is_unsupported(&err) || err.kind() == io::ErrorKind::TooManyLinks => {
                Ok(false)
            }
            Err(err) => Err(err),
        }
    }
}

fn is_unsupported(err: &io::Error) -> bool {
    use rustix::io::Errno;
    const CODES: [Errno; 8] = [
        Errno::OPNOTSUPP,
        Errno::NOTSUP,
        Errno::XDEV,
        Errno::NOTTY,
        Errno::INVAL,
        Errno::NOSYS,
        Errno::PERM,
        Errno::MLINK,
    ];
    err.kind() == io::ErrorKind::Unsupported
        || err.raw_os_error().is_some_and(|code| CODES.iter().any(|c| c.raw_os_error() == code))
}

/// Copies the bytes of `from` into the new file `to`.
pub(crate) fn copy(disk: &Disk, from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = disk.create(to)?;
    disk.copy(&mut source, &mut target)
}

/// Returns whether `path` is a symbolic link to exactly `target`.
pub(crate) fn points_to(path: &Path, target: &Path) -> bool {
    fs::read_link(path).is_ok_and(|found| found == target)
}
