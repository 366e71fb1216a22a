//! A process's own corner for unfinished files, and the locks that keep collectors and cleaners off.
//!
//! `tmp/lock` is held shared by whoever adds objects; a collector holds it exclusively. Each store that writes has a
//! directory `tmp/<name>/` with a file `lock` that it holds as long as it lives. A directory whose lock is free
//! belongs to a dead process; the next one to start removes it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::disk::Disk;
use crate::error::{CacheError, io_error};
use crate::layout::Layout;

/// How the names of sessions' directories begin.
const PREFIX: &str = "w";

/// A directory for unfinished files on the store's file system.
#[derive(Debug)]
pub(crate) struct Session {
    dir: PathBuf,
    device: u64,
    next: AtomicU64,
    pins: Mutex<Option<File>>,
    disk: Disk,
    _lock: File,
}

impl Session {
    pub(crate) fn start(layout: &Layout, disk: &Disk) -> Result<Self, CacheError> {
        let home = layout.temporary();
        disk.create_dir(&home)?;
        sweep(&home);
        loop {
            let dir = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(&home)
                .map_err(io_error("create a directory in", &home))?
                .keep();
            let path = dir.join("lock");
            let file = match File::create_new(&path) {
                Ok(file) => file,
                // Another process took the directory for abandoned before the lock was there.
                Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
                Err(err) => return Err(io_error("create", &path)(err)),
            };
            lock_if_supported(file.lock()).map_err(io_error("lock", &path))?;
            if is_still_at(&file, &path) {
                let device = file.metadata().map_err(io_error("look at", &path))?.dev();
                let (next, pins, disk) = (AtomicU64::new(0), Mutex::default(), disk.clone());
                return Ok(Self { dir, device, next, pins, disk, _lock: file });
            }
        }
    }

    /// Returns a path that nobody else uses, on the store's file system; nothing is there yet.
    pub(crate) fn temp(&self) -> Temp {
        Temp::new(self.dir.join(self.number().to_string()), false, &self.disk)
    }

    /// Returns a path that nobody else uses, in the same directory as `path`.
    pub(crate) fn temp_beside(&self, path: &Path) -> Temp {
        let session = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let path = path.with_file_name(format!(".exp-{session}-{}.tmp", self.number()));
        Temp::new(path, true, &self.disk)
    }

    /// The device of the store's file system.
    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// Appends to what this session has pinned, for every user of the store to read.
    pub(crate) fn write_pins(&self, text: &[u8]) -> Result<(), CacheError> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dir.join("pins");
        if pins.is_none() {
            let mode = if self.disk.modes.group_shared { 0o2775 } else { 0o755 };
            self.disk.set_mode(&self.dir, mode).map_err(io_error("set the mode of", &self.dir))?;
            let file = self.disk.create(&path).map_err(io_error("create", &path))?;
            let protected = self.disk.set_mode(&path, 0o644);
            protected.map_err(io_error("set the mode of", &path))?;
            *pins = Some(file);
        }
        let Some(file) = &mut *pins else { return Ok(()) };
        self.disk.write(file, text).map_err(io_error("write", &path))
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.disk.is_alive() {
            // What cannot be removed is left to the next process.
            let _ = remove_abandoned(&self.dir);
        }
    }
}

/// An unfinished file; dropping it removes it, unless it was moved to where it belongs.
#[derive(Debug)]
pub(crate) struct Temp {
    path: PathBuf,
    disk: Disk,
    is_moved: bool,
    /// Whether it lies in the workspace, where no one would sweep it away.
    is_beside: bool,
    /// Kept open, and so locked, until the file is where it belongs.
    lock: Option<File>,
}

impl Temp {
    fn new(path: PathBuf, is_beside: bool, disk: &Disk) -> Self {
        Self { path, disk: disk.clone(), is_moved: false, is_beside, lock: None }
    }

    /// Takes over a file that survives its process, with its lock.
    pub(crate) fn surviving(path: PathBuf, lock: File, disk: &Disk) -> Self {
        let mut temp = Self::new(path, false, disk);
        temp.lock = Some(lock);
        temp
    }

    /// A path in the same directory as `path`, for a process that has no session.
    pub(crate) fn without_session(path: &Path, disk: &Disk) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!(".exp-{}-{name}.tmp", std::process::id());
        Self::new(path.with_file_name(name), true, disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file to `to`, replacing what is there.
    pub(crate) fn move_to(mut self, to: &Path) -> io::Result<()> {
        self.disk.rename(&self.path, to)?;
        self.is_moved = true;
        // Renaming one name of a file over another name of it does nothing; what stays is swept with the session.
        if !self.is_beside {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.is_moved && self.disk.is_alive() {
            // It may never have been made; and what stays is swept with the session.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes part in the store as a writer: no collector runs until the returned file is dropped.
pub(crate) fn enter(layout: &Layout, disk: &Disk) -> Result<File, CacheError> {
    let home = layout.temporary();
    let path = home.join("lock");
    let file = match File::open(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(&home)?;
            File::options().append(true).create(true).open(&path)
        }
        opened => opened,
    }
    .map_err(io_error("open", &path))?;
    lock_if_supported(file.lock_shared()).map_err(io_error("lock", &path))?;
    Ok(file)
}

/// A file system without locks has no collector that could take one either.
fn lock_if_supported(locked: io::Result<()>) -> io::Result<()> {
    match locked {
        Err(err) if err.kind() == io::ErrorKind::Unsupported => Ok(()),
        locked => locked,
    }
}

pub(crate) fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// Removes what dead processes left; what cannot be removed stays.
fn sweep(home: &Path) {
    let Ok(entries) = fs::read_dir(home) else { return };
    for entry in entries.flatten() {
        let dir = entry.path();
        let Ok(lock) = File::open(dir.join("lock")) else {
            // Who makes one here and now makes another when it is gone.
            if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                let _ = fs::remove_dir(&dir);
            }
            continue;
        };
        if lock.try_lock().is_ok() {
            let _ = remove_abandoned(&dir);
        }
    }
}

/// Removes a session's directory, its lock last.
fn remove_abandoned(dir: &Path) -> io::Result<()> {
    let lock = dir.join("lock");
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path != lock {
            fs::remove_file(&path)?;
        }
    }
    fs::remove_file(&lock)?;
    fs::remove_dir(dir)
}
