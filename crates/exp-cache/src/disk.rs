//! The only way the store changes a file system: every write goes through [`Disk`].
//!
//! So modes are decided in one place, each error names what was tried, and a test can stop a program at any write
//! (feature `testing`). Files are written under another name, made durable, and renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
#[cfg(feature = "testing")]
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::{CacheError, io_error};
use crate::walk::Stat;

/// The mode of an object, by which DVC and we know that its bytes were verified.
pub(crate) const OBJECT_MODE: u32 = 0o444;

/// From this many files on, one flush of the whole file system is cheaper than one for each file.
const SYNC_ONE_BY_ONE: usize = 16;

/// Which permissions new files and directories get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// The process's umask. Reading it changes it for a moment, so that is the business of the program.
    pub umask: u32,
    /// DVC's `cache.shared = group`: what the store creates may be written by the group, and directories hand
    /// their group down. Objects stay read-only.
    pub group_shared: bool,
}

impl Default for Modes {
    /// Returns the modes of umask 022, not shared.
    fn default() -> Self {
        Self { umask: 0o022, group_shared: false }
    }
}

impl Modes {
    /// Mode of a file in the workspace.
    pub(crate) fn workspace(self, is_exec: bool) -> u32 {
        (if is_exec { 0o777 } else { 0o666 }) & !self.umask
    }

    /// Mode of a file of the store that is no object.
    pub(crate) fn plain(self) -> u32 {
        if self.group_shared { 0o664 } else { 0o666 & !self.umask }
    }
}

/// Performs writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) modes: Modes,
    #[cfg(feature = "testing")]
    pub(crate) faults: Option<Arc<crate::testing::Faults>>,
}

impl Disk {
    pub(crate) fn new(modes: Modes) -> Self {
        Self {
            modes,
            #[cfg(feature = "testing")]
            faults: None,
        }
    }

    /// Returns whether the simulated process still lives; a dead one cleans nothing up.
    #[cfg(feature = "testing")]
    pub(crate) fn is_alive(&self) -> bool {
        self.faults.as_ref().is_none_or(|faults| faults.is_alive())
    }

    /// Returns true: only a simulated process dies and goes on.
    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "faults exist in tests only")]
    pub(crate) fn is_alive(&self) -> bool {
        true
    }

    #[cfg(feature = "testing")]
    fn step(&self, grows: bool) -> io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.step(grows))
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "faults exist in tests only")]
    fn step(&self, _grows: bool) -> io::Result<()> {
        Ok(())
    }

    #[cfg(feature = "testing")]
    fn pretends_to_fold_case(&self) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.folds_case())
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "faults exist in tests only")]
    fn pretends_to_fold_case(&self) -> bool {
        false
    }

    /// Returns whether names in a directory that differ in case only are one name. `false` where that cannot be tried.
    pub(crate) fn folds_case(&self, dir: &Path) -> bool {
        if self.pretends_to_fold_case() {
            return true;
        }
        let name = format!(".exp-case-{}-", std::process::id());
        let Ok(file) = tempfile::Builder::new().prefix(&name).tempfile_in(dir) else {
            return false;
        };
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        fs::symlink_metadata(dir.join(name)).is_ok()
    }

    /// Creates a file that must not exist, private until [`Disk::set_mode`].
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        self.step(true)?;
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    /// Creates a file that must not exist and has the mode of an object from the start.
    pub(crate) fn create_object(&self, path: &Path) -> io::Result<File> {
        self.step(true)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(OBJECT_MODE).open(path)?;
        // The process's umask or a list of the directory may have taken bits away.
        if file.metadata()?.permissions().mode() & 0o7777 != OBJECT_MODE {
            file.set_permissions(fs::Permissions::from_mode(OBJECT_MODE))?;
        }
        Ok(file)
    }

    /// Gives an open file the mode of an object.
    pub(crate) fn protect(&self, file: &File) -> io::Result<()> {
        self.step(false)?;
        file.set_permissions(fs::Permissions::from_mode(OBJECT_MODE))
    }

    pub(crate) fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(err) = self.step(true) {
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(err);
        }
        file.write_all(bytes)
    }

    /// Copies all of `from`, within the kernel where it can.
    pub(crate) fn copy(&self, from: &mut File, into: &mut File) -> io::Result<()> {
        self.step(true)?;
        io::copy(from, into).map(|_| ())
    }

    pub(crate) fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.step(false)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    /// Sets when a file was last written, in nanoseconds since the epoch, unless it no longer looks like `looks`.
    pub(crate) fn set_mtime(&self, path: &Path, mtime: i64, looks: &Stat) -> io::Result<()> {
        self.step(false)?;
        let file = File::open(path)?;
        if !Stat::of(&file.metadata()?).is_unwritten(looks) {
            return Ok(());
        }
        let since = Duration::from_nanos(u64::try_from(mtime).unwrap_or(0));
        file.set_modified(SystemTime::UNIX_EPOCH + since)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(false)?;
        fs::rename(from, to)
    }

    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.step(false)?;
        fs::remove_file(path)
    }

    pub(crate) fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.step(false)?;
        fs::remove_dir(path)
    }

    pub(crate) fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(false)?;
        fs::hard_link(from, to)
    }

    pub(crate) fn symlink(&self, target: &Path, at: &Path) -> io::Result<()> {
        self.step(false)?;
        std::os::unix::fs::symlink(target, at)
    }

    /// Shares the blocks of `from` with the new file `to`, where the file system can.
    pub(crate) fn reflink(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(true)?;
        reflink_copy::reflink(from, to)
    }

    /// Creates a directory of the store and those above it that are missing.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), CacheError> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_dir(parent)?;
        }
        let created = self.step(true).and_then(|()| fs::create_dir(path));
        match created {
            // The mode comes from the process's umask; only a shared store needs another.
            Ok(()) if self.modes.group_shared => {
                self.set_mode(path, 0o2775).map_err(io_error("set the mode of", path))
            }
            Ok(()) => Ok(()),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(err) => Err(io_error("create the directory", path)(err)),
        }
    }

    /// Makes the content of `files` durable. All of them are on one file system.
    pub(crate) fn sync_files(&self, files: &[&Path]) -> Result<(), CacheError> {
        self.sync_all(files, "flush")
    }

    /// Makes creations and renames in `dirs` durable. All of them are on one file system.
    pub(crate) fn sync_dirs(&self, dirs: &[&Path]) -> Result<(), CacheError> {
        self.sync_all(dirs, "flush the directory")
    }

    /// Makes everything durable that was written on the file system of the directory `path`. Where that cannot be
    /// asked for, only the directory itself is.
    pub(crate) fn sync_everything(&self, path: &Path) -> io::Result<()> {
        self.step(false)?;
        if sync_file_system(path) { Ok(()) } else { File::open(path)?.sync_all() }
    }

    fn sync_all(&self, paths: &[&Path], action: &'static str) -> Result<(), CacheError> {
        let Some(first) = paths.first() else { return Ok(()) };
        self.step(false).map_err(io_error(action, first))?;
        if paths.len() > SYNC_ONE_BY_ONE && sync_file_system(first) {
            return Ok(());
        }
        for path in paths {
            let file = File::open(path).map_err(io_error("open", path))?;
            match file.sync_all() {
                // Some network file systems cannot flush directories; they write through.
                Err(err) if file_is_dir(&file) && err.kind() == io::ErrorKind::InvalidInput => {}
                synced => synced.map_err(io_error(action, path))?,
            }
        }
        Ok(())
    }
}

fn file_is_dir(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Flushes the file system of `path`; false where that cannot be asked for.
#[cfg(target_os = "linux")]
fn sync_file_system(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| rustix::fs::syncfs(&file).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Path) -> bool {
    false
}
