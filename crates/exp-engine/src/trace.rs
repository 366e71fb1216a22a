//! Which files of the project the commands of stages really open, and what their stages should declare of that.
//!
//! Where `strace` is there and may trace, every process of a command is watched. Elsewhere a hook in Python's start-up
//! tells what Python opens, and nothing else is seen. What either writes lies in `.dvc/tmp/exp/trace/` while a command
//! runs. How what was opened is read is in `trace/read.rs`, what follows from it in `trace/advice.rs`.

mod advice;
mod read;

pub use advice::{StageTrace, TraceError};

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exp_core::{RelPath, Stage, StageId};

use crate::files::{self, FileError};
use crate::process::Owner;
use crate::project::Project;

/// What of the system is asked for when a process does something with a file.
const CALLS: &str = "trace=open,openat,creat,rename,renameat,renameat2,execve,chdir,mkdir,mkdirat";

/// The hook; it runs the `sitecustomize` that it hides, if there is one.
const HOOK: &str = include_str!("trace/sitecustomize.py");

/// How it is seen what a command opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceMethod {
    /// By `strace`: everything.
    Strace,
    /// By a hook in Python: only what Python opens.
    Python,
}

/// Watches what commands open. Clones watch together; usable from any thread.
#[derive(Debug, Clone)]
pub struct Tracer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    method: TraceMethod,
    /// The program and what it is told, for [`TraceMethod::Strace`].
    strace: (PathBuf, Vec<&'static str>),
    dir: PathBuf,
    python_path: Option<OsString>,
    seen: Mutex<BTreeMap<StageId, Seen>>,
    /// What was found in a work tree that is gone.
    kept: Mutex<Option<Vec<StageTrace>>>,
}

/// Where the commands of a stage ran, and what was written of them.
#[derive(Debug, Clone)]
struct Seen {
    root: PathBuf,
    wdir: RelPath,
    n_commands: usize,
}

/// What a stage did with files of the project; all paths relative to its root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Accesses {
    /// Files that were opened to be read or executed.
    pub(crate) read: BTreeSet<RelPath>,
    /// Files that were opened to be written, or that something was renamed to.
    pub(crate) written: BTreeSet<RelPath>,
    /// Directories that were listed.
    pub(crate) listed: BTreeSet<RelPath>,
    /// Directories that were made.
    pub(crate) made: BTreeSet<RelPath>,
}

impl Accesses {
    /// Returns whether nothing was seen.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.read, &self.written, &self.listed, &self.made].iter().all(|set| set.is_empty())
    }
}

impl Tracer {
    /// Finds out how commands of `project` can be watched.
    ///
    /// # Errors
    ///
    /// When the directory for what is seen cannot be made.
    pub fn new(project: &Project) -> Result<Self, FileError> {
        let dir = project.scratch().join("trace").join(Owner::this_process().unique());
        std::fs::create_dir_all(&dir).map_err(FileError::at("create", &dir))?;
        let env = &project.options().env;
        let strace = env.text("PATH").and_then(|path| find_strace(path, &dir));
        let (method, strace) = match strace {
            Some(strace) => (TraceMethod::Strace, strace),
            None => (TraceMethod::Python, (PathBuf::new(), Vec::new())),
        };
        if method == TraceMethod::Python {
            files::write(&dir.join("python/sitecustomize.py"), HOOK.as_bytes())?;
        }
        let python_path = env.text("PYTHONPATH").map(OsString::from);
        let (seen, kept) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { method, strace, dir, python_path, seen, kept })))
    }

    /// Returns how commands are watched.
    pub fn method(&self) -> TraceMethod {
        self.0.method
    }

    /// Returns the process that starts `shell` under watch, for the next command of a stage that runs below `root`.
    pub(crate) fn process(&self, shell: &Path, root: &Path, stage: &Stage) -> Command {
        let number = {
            let mut seen = self.seen();
            let entry = seen.entry(stage.id.clone()).or_insert_with(|| Seen {
                root: root.to_path_buf(),
                wdir: stage.wdir.clone(),
                n_commands: 0,
            });
            entry.n_commands += 1;
            entry.n_commands
        };
        let file = self.file(&stage.id, number);
        match self.0.method {
            TraceMethod::Strace => {
                let (strace, flags) = &self.0.strace;
                let mut process = Command::new(strace);
                process.args(flags).arg(file).arg("--").arg(shell);
                process
            }
            TraceMethod::Python => {
                let mut process = Command::new(shell);
                let mut path = self.0.dir.join("python").into_os_string();
                if let Some(others) = self.0.python_path.as_ref().filter(|path| !path.is_empty()) {
                    path.push(":");
                    path.push(others);
                }
                process.env("PYTHONPATH", path).env("EXP_TRACE_FILE", file);
                process
            }
        }
    }

    /// Returns what a stage did; `None` when none of its commands ran.
    pub(crate) fn accesses(&self, id: &StageId) -> Option<Accesses> {
        let seen = self.seen().get(id).cloned()?;
        let mut accesses = Accesses::default();
        for number in 1..=seen.n_commands {
            let file = self.file(id, number);
            let at = read::Place { root: &seen.root, cwd: seen.wdir.under(&seen.root) };
            match self.0.method {
                TraceMethod::Strace => read::strace(&file, &at, &mut accesses),
                TraceMethod::Python => read::python(&file, &at, &mut accesses),
            }
        }
        Some(accesses)
    }

    /// Returns the stages of which a command ran, by address.
    pub(crate) fn stages(&self) -> Vec<StageId> {
        self.seen().keys().cloned().collect()
    }

    /// Keeps what was found, because the work tree in which the stages ran goes away.
    pub(crate) fn keep(&self, found: Vec<StageTrace>) {
        *self.0.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    /// Returns what was kept.
    pub(crate) fn kept(&self) -> Option<Vec<StageTrace>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn file(&self, id: &StageId, number: usize) -> PathBuf {
        let digest = exp_core::Digest::of(exp_core::Algorithm::Md5, id.to_string().as_bytes());
        self.0.dir.join(format!("{}-{number}", digest.to_hex()))
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<StageId, Seen>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What is left behind is scratch, which anyone may delete.
        let _ = files::remove_all(&self.dir);
    }
}

/// One file a process, no signals, descriptors with their paths, long names whole. The name of the file follows.
const FLAGS: [&str; 10] =
    ["-f", "-ff", "-qq", "-y", "-s", "8192", "-e", CALLS, "-esignal=none", "-o"];

/// Returns `strace` when it is on the path and may trace, with what it is told: if it can, to stop processes at those calls
/// only, which costs them little.
fn find_strace(path: &str, dir: &Path) -> Option<(PathBuf, Vec<&'static str>)> {
    let candidates = path.split(':').filter(|dir| !dir.is_empty());
    let strace = candidates.map(|dir| Path::new(dir).join("strace")).find(|file| file.is_file())?;
    let quick = std::iter::once("--seccomp-bpf").chain(FLAGS).collect();
    let flags = [quick, FLAGS.to_vec()].into_iter().find(|flags| {
        let probe = Command::new(&strace)
            .args(flags)
            .arg(dir.join("probe"))
            .args(["--", "/bin/sh", "-c", ":"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    })?;
    Some((strace, flags))
}
