//! Private places for what is not finished yet. They go when they are dropped; after a crash they are litter that begins
//! with `.exp-`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::files::FileError;
use crate::project::ProjectOptions;

/// A directory that nobody else uses and that only its owner may enter.
#[derive(Debug)]
pub(super) struct Corner(PathBuf);

impl Corner {
    /// Makes one inside of `dir`, which is made as well.
    pub(super) fn inside(dir: &Path) -> Result<Self, FileError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(dir).map_err(FileError::at("create", dir))?;
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
            let name = format!(".exp-{}-{count}-{:x}.tmp", std::process::id(), now);
            let path = dir.join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(FileError::at("create a directory in", dir)(error)),
            }
        }
    }

    /// Makes one where the environment that was handed in keeps temporary files.
    pub(super) fn temporary(options: &ProjectOptions) -> Result<Self, FileError> {
        let dir = options.env.get("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        Self::inside(&dir)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a file without a name.
    pub(super) fn spool(&self) -> Result<File, FileError> {
        let path = self.0.join("spool");
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(FileError::at("create", &path))?;
        fs::remove_file(&path).map_err(FileError::at("remove", &path))?;
        Ok(file)
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        // What cannot be removed is litter, and no reason to fail.
        fs::remove_dir_all(&self.0).ok();
    }
}
