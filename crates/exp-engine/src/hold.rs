//! Which process may write to a workspace.
//!
//! Two locks, both `flock`s of files that are never deleted. `.dvc/tmp/exp/workspace.lock` is held as long as a run
//! lasts. `.dvc/tmp/lock` is DVC's: held while files of the project are written, and let go while commands of stages run,
//! as DVC itself does, so that a stage may call either tool.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::files::FileError;
use crate::project::Project;

/// How long another short command is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The right to write to a workspace; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Hold {
    run: Option<File>,
    dvc: Option<(PathBuf, Mutex<Option<File>>)>,
    signal: Option<PathBuf>,
}

impl Hold {
    /// Takes the workspace for a run.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] at once when another run holds it, and after some seconds when another command does.
    pub(crate) fn workspace(project: &Project) -> Result<Self, Error> {
        let path = project.scratch().join("workspace.lock");
        let run = open(&path)?;
        match run.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy { what: "the workspace".to_owned() });
            }
            Err(TryLockError::Error(source)) => {
                return Err(FileError::at("lock", &path)(source).into());
            }
        }
        let mut hold = Self::brief(project)?;
        hold.run = Some(run);
        // Where editors look for the process to stop.
        let signal = project.root().join(".dvc/tmp/exps/rwlock.lock");
        if let Some(parent) = signal.parent() {
            fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
        }
        fs::write(&signal, std::process::id().to_string())
            .map_err(FileError::at("write", &signal))?;
        hold.signal = Some(signal);
        Ok(hold)
    }

    /// Takes the workspace for a short command.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when another command holds it for more than some seconds.
    pub(crate) fn brief(project: &Project) -> Result<Self, Error> {
        let path = project.root().join(".dvc/tmp/lock");
        let file = acquire(&path)?;
        Ok(Self { run: None, dvc: Some((path, Mutex::new(Some(file)))), signal: None })
    }

    /// Takes nothing, for work in a private tree.
    pub(crate) fn nothing() -> Self {
        Self { run: None, dvc: None, signal: None }
    }

    /// Lets DVC's lock go while `work` is done, and takes it again.
    pub(crate) fn released<T>(&self, work: impl FnOnce() -> T) -> Result<T, Error> {
        let Some((path, slot)) = &self.dvc else { return Ok(work()) };
        let set = |file| *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = file;
        set(None);
        let done = work();
        set(Some(acquire(path)?));
        Ok(done)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(signal) = &self.signal {
            fs::write(signal, "").ok();
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
    }
    let mut options = File::options();
    Ok(options
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(FileError::at("open", path))?)
}

fn acquire(path: &Path) -> Result<File, Error> {
    let start = Instant::now();
    loop {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // DVC writes its process number there, for people who look.
                drop(file.set_len(0));
                drop(write!(file, " {}\n", std::process::id()));
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(20))
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy { what: "the project".to_owned() });
            }
            Err(TryLockError::Error(source)) => {
                return Err(FileError::at("lock", path)(source).into());
            }
        }
    }
}
