//! Pins: what a living process has added or found here and has not written down anywhere yet.
//!
//! A stage's outputs are stored before the lock file names them, and an object that nobody needed for a year may be
//! found there and used again. In between no file of any project says so. So whoever adds or finds an object writes
//! its name to `tmp/<session>/pins` while it holds the store's lock shared, and a collector, which holds it alone, keeps
//! what living sessions have pinned. A pin ends with the store's handle, at the latest with the process: by then the
//! project's files name the object, or nobody will.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use exp_core::{Algorithm, Artifact, ObjectId};

use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::layout::Layout;
use crate::walk::is_absence;

/// Written at once.
const PIECE: usize = 1 << 16;

impl Cache {
    /// Keeps collectors off an object, and off a directory's files, until the last clone of this handle is dropped.
    ///
    /// To be called before one looks whether the object is there, and before one relies on it. A store that cannot be
    /// written needs no pins of ours, and gets none.
    ///
    /// # Errors
    ///
    /// When the store can be written and the pin cannot.
    pub fn pin(&self, artifacts: &[Artifact]) -> Result<(), CacheError> {
        let ids = artifacts.iter().map(|artifact| artifact.id);
        let entered = self.enter();
        match entered.and_then(|_writer| self.pin_entered(ids)) {
            Err(CacheError::Io { source, .. }) if is_refusal(&source) => Ok(()),
            pinned => pinned,
        }
    }

    /// Pins objects; the store must be entered as a writer.
    pub(crate) fn pin_entered(
        &self,
        ids: impl IntoIterator<Item = ObjectId>,
    ) -> Result<(), CacheError> {
        let mut text = String::new();
        for id in ids {
            text.push_str(id.digest.algorithm().name());
            text.push(' ');
            text.push_str(&id.to_string());
            text.push('\n');
            if text.len() >= PIECE {
                self.session()?.write_pins(text.as_bytes())?;
                text.clear();
            }
        }
        if text.is_empty() { Ok(()) } else { self.session()?.write_pins(text.as_bytes()) }
    }
}

fn is_refusal(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Returns what living sessions have pinned. Nobody may be in the store meanwhile.
pub(crate) fn pinned(layout: &Layout) -> Result<Vec<ObjectId>, CacheError> {
    let home = layout.temporary();
    let entries = match fs::read_dir(&home) {
        Err(err) if is_absence(&err) => return Ok(Vec::new()),
        entries => entries.map_err(io_error("list", &home))?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let dir = entry.map_err(io_error("list", &home))?.path();
        if is_alive(&dir)? {
            read_pins(&dir.join("pins"), &mut ids)?;
        }
    }
    Ok(ids)
}

/// Returns whether a process holds the session; one without a lock has just begun or just ended.
fn is_alive(dir: &Path) -> Result<bool, CacheError> {
    let path = dir.join("lock");
    let lock = match File::open(&path) {
        Err(err) if is_absence(&err) => return Ok(false),
        // Another user's, who keeps it to himself: nothing there was pinned.
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        lock => lock.map_err(io_error("open", &path))?,
    };
    Ok(match lock.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
    })
}

fn read_pins(path: &Path, ids: &mut Vec<ObjectId>) -> Result<(), CacheError> {
    let text = match fs::read_to_string(path) {
        Err(err) if is_absence(&err) => return Ok(()),
        text => text.map_err(io_error("read", path))?,
    };
    // A line that is cut off is that of a pin that failed, and its writer was told.
    ids.extend(text.lines().filter_map(|line| {
        let (algorithm, name) = line.split_once(' ')?;
        let known = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Md5Dos2Unix];
        let algorithm = known.into_iter().find(|known| known.name() == algorithm)?;
        ObjectId::parse(algorithm, name).ok()
    }));
    Ok(())
}
