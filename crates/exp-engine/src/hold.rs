//! Which process may write to a workspace.
//!
//! Two locks, both `flock`s of files that are never deleted. `.dvc/tmp/exp/workspace.lock` is held as long as a run
//! lasts. `.dvc/tmp/lock` is DVC's: held while files of the project are written, and let go while commands of stages run,
//! as DVC itself does, so that a stage may call either tool.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use exp_core::{CancelToken, Cancelled, Ctx};

use crate::error::Error;
use crate::files::FileError;
use crate::project::Project;

/// How long another short command is waited for, unless locks are waited for as long as it takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a lock that someone else holds is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// The right to write to a workspace; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Hold {
    run: Option<Lock>,
    dvc: Option<DvcLock>,
    signal: Option<PathBuf>,
}

/// How long a lock is waited for.
#[derive(Debug)]
struct Wait<'t> {
    /// No longer than this; `None` for as long as it takes.
    limit: Option<Duration>,
    /// Any wish to end ends the wait.
    cancel: Option<&'t CancelToken>,
}

impl<'t> Wait<'t> {
    /// As long as it takes, whatever is wished.
    const PATIENT: Wait<'static> = Wait { limit: None, cancel: None };

    /// Waits as the options of the project say, and for `usual` when they say nothing.
    fn new(ctx: &'t Ctx<'_>, project: &Project, usual: Duration) -> Self {
        let limit = (!project.options().wait_for_lock).then_some(usual);
        Self { limit, cancel: Some(ctx.cancel_token()) }
    }
}

impl Hold {
    /// Takes the workspace for a run.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] at once when another run holds it, and after some seconds when another command does, unless locks
    /// are waited for.
    pub(crate) fn workspace(ctx: &Ctx<'_>, project: &Project) -> Result<Self, Error> {
        let run = lock_workspace(ctx, project)?;
        let mut hold = Self::brief(ctx, project)?;
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
    /// [`Error::Busy`] when another command holds it for more than some seconds, unless locks are waited for.
    pub(crate) fn brief(ctx: &Ctx<'_>, project: &Project) -> Result<Self, Error> {
        let path = project.root().join(".dvc/tmp/lock");
        let file = acquire(&path, &Wait::new(ctx, project, PATIENCE))?;
        let state = Mutex::new(DvcState { file: Some(file), working: 0, writing: 0 });
        Ok(Self { run: None, dvc: Some(DvcLock { path, state }), signal: None })
    }

    /// Takes the workspace for a short command that must not meet a run, such as one that replaces files.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] at once when a run holds it, and after some seconds when another command does.
    pub(crate) fn idle(ctx: &Ctx<'_>, project: &Project) -> Result<Self, Error> {
        let run = lock_workspace(ctx, project)?;
        let mut hold = Self::brief(ctx, project)?;
        hold.run = Some(run);
        Ok(hold)
    }

    /// Takes nothing, for work in a private tree.
    pub(crate) fn nothing() -> Self {
        Self { run: None, dvc: None, signal: None }
    }

    /// Lets DVC's lock go while `work` is done, and takes it again, however long that takes: what was worked out must
    /// not get lost because another command is slow.
    ///
    /// Several threads may do this at a time; the lock is back when the last of them is done, and until then while one
    /// of them is [`Hold::writing`].
    pub(crate) fn released<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(dvc) = &self.dvc else { return work() };
        let enter = || {
            let mut state = held(&dvc.state);
            state.working += 1;
            state.settle(&dvc.path);
        };
        let leave = || {
            let mut state = held(&dvc.state);
            state.working -= 1;
            state.settle(&dvc.path);
        };
        enter();
        let done = work();
        leave();
        done
    }

    /// Holds DVC's lock until the guard is dropped, also while other threads have let it go.
    pub(crate) fn writing(&self) -> Writing<'_> {
        if let Some(dvc) = &self.dvc {
            let mut state = held(&dvc.state);
            state.writing += 1;
            state.settle(&dvc.path);
        }
        Writing(self)
    }
}

/// Files of the project are being written. Dropping it says that they are.
#[derive(Debug)]
pub(crate) struct Writing<'h>(&'h Hold);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if let Some(dvc) = &self.0.dvc {
            let mut state = held(&dvc.state);
            state.writing -= 1;
            state.settle(&dvc.path);
        }
    }
}

/// DVC's lock, how many commands of stages run without it, and how many threads write files all the same.
#[derive(Debug)]
struct DvcLock {
    path: PathBuf,
    state: Mutex<DvcState>,
}

#[derive(Debug)]
struct DvcState {
    file: Option<Lock>,
    working: usize,
    writing: usize,
}

impl DvcState {
    /// Lets the lock go or takes it again, as it is due.
    fn settle(&mut self, path: &Path) {
        if self.working > 0 && self.writing == 0 {
            self.file = None;
        } else if self.file.is_none() {
            // Without the lock the result is still worth writing down.
            self.file = acquire(path, &Wait::PATIENT).ok();
        }
    }
}

fn held(state: &Mutex<DvcState>) -> MutexGuard<'_, DvcState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the lock that a run holds as long as it lasts.
fn lock_workspace(ctx: &Ctx<'_>, project: &Project) -> Result<Lock, Error> {
    let path = project.scratch().join("workspace.lock");
    let wait = Wait::new(ctx, project, Duration::ZERO);
    let run = open(&path)?;
    lock(&run, &path, "the workspace", &wait)?;
    Ok(Lock(run))
}

/// A locked file. Dropping it unlocks it at once, even if a process that is being started still shares the file.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file unlocks it too, only later.
        self.0.unlock().ok();
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

fn acquire(path: &Path, wait: &Wait<'_>) -> Result<Lock, Error> {
    let mut file = open(path)?;
    lock(&file, path, "the project", wait)?;
    // DVC writes its process number there, for people who look.
    file.set_len(0).ok();
    writeln!(file, " {}", std::process::id()).ok();
    Ok(Lock(file))
}

/// Locks `file`, which is `what`, and waits for who holds it.
fn lock(file: &File, path: &Path, what: &str, wait: &Wait<'_>) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(source)) => {
                return Err(FileError::at("lock", path)(source).into());
            }
            Err(TryLockError::WouldBlock) => {}
        }
        if wait.limit.is_some_and(|limit| start.elapsed() >= limit) {
            return Err(Error::Busy { what: what.to_owned() });
        }
        match wait.cancel {
            None => thread::sleep(PAUSE),
            Some(token) if token.sleep(PAUSE).is_none() => {}
            Some(_) => return Err(Cancelled.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use exp_core::Cancel;

    use super::*;

    #[test]
    fn a_lock_is_waited_for_until_it_is_free_or_the_wait_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock(open(&path).unwrap());
        held.0.lock().unwrap();

        let second = open(&path).unwrap();
        let token = CancelToken::new();
        let wait = |limit| Wait { limit, cancel: Some(&token) };
        let tried = lock(&second, &path, "x", &wait(Some(Duration::ZERO)));
        assert!(matches!(tried, Err(Error::Busy { .. })), "{tried:?}");
        let waited = thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&second, &path, "x", &wait(None)));
            drop(held);
            waiting.join()
        });
        assert!(matches!(waited, Ok(Ok(()))), "{waited:?}");

        let third = open(&path).unwrap();
        token.cancel(Cancel::Drain);
        let stopped = lock(&third, &path, "x", &wait(None));
        assert!(matches!(stopped, Err(Error::Cancelled(_))), "{stopped:?}");
    }
}
