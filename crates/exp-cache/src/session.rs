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

use crate::disk::Disk;
use crate::error::{CacheError, io_error};
use crate::layout::Layout;

/// A directory for unfinished files on the store's file system.
#[derive(Debug)]
pub(crate) struct Session {
    dir: PathBuf,
    device: u64,
    next: AtomicU64,
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
                .prefix("w")
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
                let (next, disk) = (AtomicU64::new(0), disk.clone());
                return Ok(Self { dir, device, next, disk, _lock: file });
            }
        }
    }

    /// Returns a path that nobody else uses, on the store's file system; nothing is there yet.
    pub(crate) fn temp(&self) -> Temp {
        Temp::new(self.dir.join(self.number().to_string()), &self.disk)
    }

    /// Returns a path that nobody else uses, in the same directory as `path`.
    pub(crate) fn temp_beside(&self, path: &Path) -> Temp {
        let session = self.dir.file_name().unwrap_or_default().to_string_lossy();
        Temp::new(path.with_file_name(format!(".exp-{session}-{}.tmp", self.number())), &self.disk)
    }

    /// The device of the store's file system.
    pub(crate) fn device(&self) -> u64 {
        self.device
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
}

impl Temp {
    fn new(path: PathBuf, disk: &Disk) -> Self {
        Self { path, disk: disk.clone(), is_moved: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the file to `to`, replacing what is there.
    pub(crate) fn move_to(mut self, to: &Path) -> io::Result<()> {
        self.disk.rename(&self.path, to)?;
        self.is_moved = true;
        // Renaming one name of a file over another name of it does nothing.
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

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

/// Removes what dead processes left; what cannot be removed stays.
fn sweep(home: &Path) {
    let Ok(entries) = fs::read_dir(home) else { return };
    for dir in entries.flatten().map(|entry| entry.path()) {
        let Ok(lock) = File::open(dir.join("lock")) else { continue };
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
