//! Listing refs, and changing them by compare-and-swap.

use std::path::{Path, PathBuf};
use std::time::Duration;

use exp_core::{Ctx, Timestamp};
use gix::lock::acquire::Fail;
use gix::refs::Target;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};

use super::{Git, failed, oid, raw};
use crate::error::{GitError, UpdateError};
use crate::id::CommitId;
use crate::layout::RefName;
use crate::transport::Invocation;

/// So long a writer waits for another one's lock on a ref or on the packed refs.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// A ref that points to an object directly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref {
    /// Its full name.
    pub name: RefName,
    /// The object. All refs that we write point to commits.
    pub commit: CommitId,
}

/// What a ref must be for a change to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Any,
    /// It does not exist.
    Missing,
    /// It points to this.
    Is(CommitId),
}

/// One change of a ref.
#[derive(Debug, Clone)]
pub struct RefChange {
    /// The ref.
    pub name: RefName,
    /// What it is to point to; `None` removes it.
    pub new: Option<CommitId>,
    /// What it must be before.
    pub expected: Expected,
}

impl Git {
    /// Returns what a ref points to, through symbolic refs; `None` when it does not exist.
    pub fn read_ref(&self, name: &RefName) -> Result<Option<CommitId>, GitError> {
        let action = format!("read ref `{name}`");
        let repo = self.local();
        let Some(mut reference) =
            repo.try_find_reference(name.as_str()).map_err(failed(&action))?
        else {
            return Ok(None);
        };
        let id = reference.follow_to_object().map_err(failed(&action))?;
        Ok(Some(CommitId(raw(&id))))
    }

    /// Makes all of these changes or, when a ref is not what was expected, none.
    ///
    /// All refs are locked, compared, then changed. A crash in between leaves each ref as it was or as it should
    /// be. New values are on disk when this returns. A ref that appears twice is an error. No reflog is begun:
    /// `refs/exps` has none in DVC either, and Git drops a ref's log together with the ref, so that it could not
    /// undo a removal; that is what the operation log is for.
    pub fn update_refs(&self, changes: &[RefChange]) -> Result<(), UpdateError> {
        self.update_refs_logged(changes, "", None)
    }

    /// Does what [`Git::update_refs`] does, and waits at most so long for another process that holds a lock.
    pub fn update_refs_within(
        &self,
        changes: &[RefChange],
        wait: Duration,
    ) -> Result<(), UpdateError> {
        self.change_refs(changes, ("", None), wait)
    }

    pub(super) fn update_refs_logged(
        &self,
        changes: &[RefChange],
        message: &str,
        time: Option<Timestamp>,
    ) -> Result<(), UpdateError> {
        self.change_refs(changes, (message, time), LOCK_WAIT)
    }

    fn change_refs(
        &self,
        changes: &[RefChange],
        (message, time): (&str, Option<Timestamp>),
        wait: Duration,
    ) -> Result<(), UpdateError> {
        if changes.is_empty() {
            return Ok(());
        }
        for change in changes.iter().filter(|change| change.expected == Expected::Missing) {
            if let found @ Some(_) = self.read_ref(&change.name)? {
                return Err(UpdateError::Raced { name: change.name.clone(), found });
            }
        }
        // A transaction of gix takes the lock of the packed refs when there is one, whatever it does. A lock that a dead
        // process left must not stop new results.
        let removes = changes.iter().any(|change| change.new.is_none());
        if !removes && self.packed_lock().is_file() && self.update_by_git(changes)? {
            return Ok(());
        }
        let repo = self.local();
        let edits: Vec<RefEdit> =
            changes.iter().map(|change| edit(change, message)).collect::<Result<_, _>>()?;
        // Needed where `core.logAllRefUpdates` is `always`, and for branches.
        let mut buffer = gix::date::parse::TimeBuf::default();
        let committer = self.reflog_signature(time);
        let committer = committer.to_ref(&mut buffer);
        let fail = Fail::AfterDurationWithBackoff(wait);

        let prepared = match repo.refs.transaction().prepare(edits, fail, fail) {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.explain(changes, error)),
        };
        // gix lets `MustNotExist` pass when the ref exists and has the very value that is to be written. Whether
        // one appeared since the look above is in the edits that the commit hands out, and seen below. By then
        // the other refs are changed, but only two writers with the same commit for the same ref get there.
        let paths: Vec<_> = changes.iter().map(|change| self.ref_path(&change.name)).collect();
        let locks: Vec<_> = paths.iter().map(|path| lock_of(path)).collect();
        self.sync_files(&locks)?;
        let done = prepared.commit(committer).map_err(failed("update refs"))?;
        self.sync_ref_dirs(&paths)?;
        if changes.iter().any(|change| change.new.is_none()) {
            self.sync_file(&self.common_dir().join("packed-refs"))?;
        }
        for change in changes.iter().filter(|change| change.expected == Expected::Missing) {
            let existed = done.iter().any(|edit| {
                edit.name.as_bstr() == change.name.as_str()
                    && matches!(
                        &edit.change,
                        Change::Update { expected: PreviousValue::MustExistAndMatch(_), .. }
                    )
            });
            if existed {
                return Err(UpdateError::Raced { name: change.name.clone(), found: change.new });
            }
        }
        Ok(())
    }

    /// Makes changes that remove nothing with the `git` program, all or none; returns whether they were made.
    fn update_by_git(&self, changes: &[RefChange]) -> Result<bool, UpdateError> {
        let line = |RefChange { name, new, expected }: &RefChange| {
            let new = new.as_ref()?;
            Some(match expected {
                Expected::Missing => format!("create {name} {new}\n"),
                Expected::Is(old) => format!("update {name} {new} {old}\n"),
                Expected::Any => format!("update {name} {new}\n"),
            })
        };
        let Some(lines) = changes.iter().map(line).collect::<Option<String>>() else {
            return Ok(false);
        };
        let git = Invocation { program: Path::new("git"), dir: self.common_dir(), env: self.env() };
        let ran = git.run(&Ctx::silent(), "refs", &["update-ref", "--stdin"], &lines);
        if !ran.is_ok_and(|ran| ran.status.success()) {
            return Ok(false);
        }
        let paths: Vec<_> = changes.iter().map(|change| self.ref_path(&change.name)).collect();
        self.sync_ref_dirs(&paths)?;
        Ok(true)
    }

    /// Removes the lock of a ref that a process left which is gone. Who calls this knows that no living process writes
    /// that ref; no lock is no error.
    pub fn break_lock(&self, name: &RefName) -> Result<(), GitError> {
        let lock = lock_of(&self.ref_path(name));
        match std::fs::remove_file(&lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(GitError::io("remove", &lock, error))
            }
            _ => Ok(()),
        }
    }

    /// Returns the lock of the packed refs, which need not exist. A Git command that was killed leaves it, and nothing says
    /// whose it is.
    pub fn packed_lock(&self) -> PathBuf {
        lock_of(&self.common_dir().join("packed-refs"))
    }

    /// Finds out why a transaction was refused, by looking at the refs again.
    fn explain(&self, changes: &[RefChange], error: gix::Error) -> UpdateError {
        for change in changes {
            let Ok(found) = self.read_ref(&change.name) else { continue };
            let fits = match change.expected {
                Expected::Any => true,
                Expected::Missing => found.is_none(),
                Expected::Is(commit) => found == Some(commit),
            };
            if !fits {
                return UpdateError::Raced { name: change.name.clone(), found };
            }
        }
        for change in changes {
            let lock = lock_of(&self.ref_path(&change.name));
            if lock.exists() {
                return UpdateError::Locked { name: change.name.clone(), lock };
            }
        }
        // What is removed has to be removed from the packed refs as well.
        let (lock, removed) =
            (self.packed_lock(), changes.iter().find(|change| change.new.is_none()));
        if let Some(change) = removed.filter(|_| lock.exists()) {
            return UpdateError::Locked { name: change.name.clone(), lock };
        }
        failed("lock refs")(error).into()
    }
}

/// Returns the lock file of a ref's file.
fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

fn edit(change: &RefChange, message: &str) -> Result<RefEdit, GitError> {
    let name = gix::refs::FullName::try_from(change.name.as_str())
        .map_err(|error| GitError::new(format!("name ref `{}`", change.name), error))?;
    let target = |id: CommitId| Target::Object(oid(id.0));
    let change = match change.new {
        Some(new) => Change::Update {
            log: LogChange {
                mode: RefLog::AndReference,
                force_create_reflog: false,
                message: message.into(),
            },
            expected: match change.expected {
                Expected::Any => PreviousValue::Any,
                Expected::Missing => PreviousValue::MustNotExist,
                Expected::Is(old) => PreviousValue::MustExistAndMatch(target(old)),
            },
            new: target(new),
        },
        None => Change::Delete {
            expected: match change.expected {
                Expected::Any | Expected::Missing => PreviousValue::Any,
                Expected::Is(old) => PreviousValue::MustExistAndMatch(target(old)),
            },
            log: RefLog::AndReference,
        },
    };
    Ok(RefEdit { change, name, deref: false })
}
