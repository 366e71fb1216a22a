//! Somebody else's repository, read through a bare copy of it.
//!
//! The copy is made and brought up to date by the `git` program, for the sake of credentials, proxies and SSH, as in
//! [`GitCli`](crate::GitCli). It is disposable. The other side is a stranger: nothing of it is checked out, no hook
//! and no submodule of it comes along, and addresses that run a command (`ext::`) are refused.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use exp_core::{Ctx, TaskLabel, Unit};

use crate::env::GitEnv;
use crate::error::{OpenError, RevisionError};
use crate::id::CommitId;
use crate::layout::RefName;
use crate::repo::{Git, OpenOptions};
use crate::store::ExperimentStore;
use crate::transport::{Invocation, TransportError, explain};

/// Where the copy keeps what `HEAD` is on the other side.
const HEAD: &str = "refs/exp/mirror/HEAD";

/// How often a copy that another process brings up to date is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// What every run of `git` is told before anything else.
const SAFE: [&str; 6] =
    ["-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"];

/// A bare copy of a repository. Several processes may share its directory.
#[derive(Debug)]
pub struct Mirror {
    git: Git,
    dir: PathBuf,
    url: String,
    label: String,
    env: GitEnv,
}

/// Why somebody else's repository cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// It was not reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It has no such revision.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// The copy cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy cannot be made.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
}

impl Mirror {
    /// Opens the copy of `url` at `dir`, an absolute path; makes an empty one where there is none. `label` is the
    /// address for people, without a password. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// When `url` looks like an option, or the copy cannot be made.
    pub fn open(
        ctx: &Ctx<'_>,
        dir: &Path,
        (url, label): (&str, &str),
        env: &GitEnv,
    ) -> Result<Self, MirrorError> {
        if url.is_empty() || url.starts_with('-') {
            return Err(TransportError::InvalidRemote { remote: label.to_owned() }.into());
        }
        let parent = dir.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        let options = OpenOptions { env: env.clone(), durable: false };
        if !dir.join("HEAD").is_file() {
            let _lock = lock(ctx, dir)?;
            let text = dir.to_string_lossy().into_owned();
            let args = ["init", "--quiet", "--bare", "--template=", "--", &text];
            let at = Invocation { program: Path::new("git"), dir: parent, env };
            let ran = at.run(ctx, label, &[&SAFE[..], &args[..]].concat(), "")?;
            if !ran.status.success() {
                return Err(explain("init", label, &ran).into());
            }
        }
        Ok(Self {
            git: options.open(dir)?,
            dir: dir.to_path_buf(),
            url: url.to_owned(),
            label: label.to_owned(),
            env: env.clone(),
        })
    }

    /// Returns the copy, which has what was asked for so far.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Returns the commit that a revision means on the other side: what `HEAD` is there for `None`, else a branch, a
    /// tag, a commit, or the name of an experiment.
    ///
    /// The other side is asked every time, unless the revision is a whole commit name that is here already.
    ///
    /// # Errors
    ///
    /// When the other side is not reached or has no such revision.
    pub fn resolve(
        &mut self,
        ctx: &Ctx<'_>,
        revision: Option<&str>,
    ) -> Result<CommitId, MirrorError> {
        let whole = revision.and_then(|text| text.parse::<CommitId>().ok());
        if let Some(commit) = whole
            && self.git.has_commit(commit)
        {
            return Ok(commit);
        }
        let head = format!("+HEAD:{HEAD}");
        self.fetch(ctx, &["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", &head])?;
        let text = match revision {
            None => HEAD.to_owned(),
            Some(text) => match text.strip_prefix("HEAD") {
                Some(rest) if rest.is_empty() || rest.starts_with(['~', '^']) => {
                    format!("{HEAD}{rest}")
                }
                _ => text.to_owned(),
            },
        };
        let unknown = match self.git.resolve(&text) {
            Ok(commit) => return Ok(commit),
            Err(error) => error,
        };
        if let Some(commit) = whole {
            // A server may give out a commit that no branch leads to, or refuse to.
            self.fetch(ctx, &[&format!("+{commit}:refs/exp/mirror/{commit}")])?;
            return Ok(self.git.resolve(&text)?);
        }
        if RefName::new(&format!("refs/exps/{text}")).is_ok() {
            self.fetch(ctx, &["+refs/exps/*:refs/exps/*"])?;
            if let Ok(found) = ExperimentStore::new(self.git.clone()).find(&text) {
                return Ok(found.commit);
            }
        }
        Err(unknown.into())
    }

    fn fetch(&mut self, ctx: &Ctx<'_>, specs: &[&str]) -> Result<(), MirrorError> {
        let _task = ctx.task(TaskLabel::Pull, None, Unit::Files);
        let _lock = lock(ctx, &self.dir)?;
        let args = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--prune",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--refmap=",
            "--",
            &self.url,
        ];
        let at = Invocation { program: Path::new("git"), dir: &self.dir, env: &self.env };
        let ran = at.run(ctx, &self.label, &[&SAFE[..], &args[..], specs].concat(), "")?;
        if !ran.status.success() {
            return Err(explain("fetch", &self.label, &ran).into());
        }
        let options = OpenOptions { env: self.env.clone(), durable: false };
        self.git = options.open(&self.dir)?;
        Ok(())
    }
}

/// Takes the lock beside a copy, waiting for who holds it until the work is to stop.
fn lock(ctx: &Ctx<'_>, dir: &Path) -> Result<File, MirrorError> {
    let path = dir.with_extension("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(io_error("open", &path))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
            Err(TryLockError::WouldBlock) => {
                ctx.check().map_err(TransportError::from)?;
                ctx.cancel_token().sleep(PAUSE);
            }
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MirrorError {
    let path = path.to_path_buf();
    move |source| MirrorError::Io { action, path, source }
}
