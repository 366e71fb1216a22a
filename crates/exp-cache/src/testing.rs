//! Simulated crashes and full disks, for tests of whatever writes; a bucket that keeps versions.

mod bucket;

pub use bucket::Bucket;

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Makes the writes of a store fail from a chosen one on.
///
/// Writes are counted over all threads: creating, writing, flushing, renaming, linking, removing, changing a mode.
#[derive(Debug)]
pub struct Faults {
    kind: Kind,
    after: u64,
    done: Mutex<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crash,
    Full,
    ReadOnly,
    FoldedCase,
}

impl Faults {
    /// The process dies after `n` writes: the next one is left half done, and all later ones do nothing, clean-up
    /// included.
    pub fn crash_after(n: u64) -> Self {
        Self { kind: Kind::Crash, after: n, done: Mutex::new(0) }
    }

    /// The disk is full after `n` writes: what needs room is left half done, the rest works.
    pub fn full_after(n: u64) -> Self {
        Self { kind: Kind::Full, after: n, done: Mutex::new(0) }
    }

    /// The file system becomes read-only after `n` writes: all later ones are refused.
    pub fn read_only_after(n: u64) -> Self {
        Self { kind: Kind::ReadOnly, after: n, done: Mutex::new(0) }
    }

    /// Nothing fails, and the workspace does not tell upper from lower case.
    pub fn folded_case() -> Self {
        Self { kind: Kind::FoldedCase, ..Self::none() }
    }

    /// Nothing fails; the writes are counted.
    pub fn none() -> Self {
        Self::crash_after(u64::MAX)
    }

    /// Returns how many writes were tried.
    pub fn count(&self) -> u64 {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.kind != Kind::Crash || self.count() <= self.after
    }

    pub(crate) fn folds_case(&self) -> bool {
        self.kind == Kind::FoldedCase
    }

    pub(crate) fn step(&self, grows: bool) -> io::Result<()> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done = done.saturating_add(1);
        match self.kind {
            _ if *done <= self.after => Ok(()),
            Kind::Crash => Err(io::Error::other("simulated crash")),
            Kind::Full if grows => Err(io::ErrorKind::StorageFull.into()),
            Kind::Full | Kind::FoldedCase => Ok(()),
            Kind::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        }
    }
}
