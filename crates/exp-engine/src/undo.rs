//! Taking back what a command did, and doing it again.

use std::collections::BTreeMap;
use std::fs;

use exp_core::{Ctx, RelPath};
use exp_refs::{CommitId, Expected, RefChange, RefName};

use crate::change::{self, Changes, Keep};
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::operation::{FileState, Operation, OperationKind};
use crate::oplog::{self, LoggedOperation};
use crate::project::Project;
use crate::recover;

/// So many operations back can be undone.
const DEPTH: usize = 1000;

/// Which way through the operation log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// One operation back.
    Undo,
    /// The operation that was undone last, again.
    Redo,
}

/// What would be taken back or done again.
#[derive(Debug, Clone)]
pub struct UndoPlan {
    /// Which way.
    pub direction: Direction,
    /// The operation that it is about.
    pub target: LoggedOperation,
    /// What will be done: the operation itself, or its inverse.
    pub operation: Operation,
    /// Files that are not as that operation left them. A plan with any of these is only performed when it was told to
    /// go over them, see [`UndoPlan::over_changes`].
    pub changed_since: Vec<RelPath>,
    /// Refs that are not as that operation left them, or that are checked out and would go. A plan with any of these is
    /// not performed.
    pub moved_since: Vec<String>,
    is_forced: bool,
}

impl UndoPlan {
    /// Goes over files that were changed since. What they hold is kept, so that this can be taken back as well.
    #[must_use]
    pub fn over_changes(mut self) -> Self {
        self.is_forced = true;
        self
    }
}

/// An entry of the operation log with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The operation.
    pub logged: LoggedOperation,
    /// Whether it has been taken back. Always false for an undo or a redo.
    pub is_undone: bool,
}

impl Project {
    /// Returns the newest `limit` operations, newest first.
    pub fn operations(&self, limit: usize) -> Result<Vec<LoggedOperation>, Error> {
        oplog::read(self.git(), limit)
    }

    /// Returns the newest `limit` operations that can be undone or redone, newest first, without the undos themselves.
    pub fn history(&self, limit: usize) -> Result<Vec<HistoryEntry>, Error> {
        let operations = oplog::read(self.git(), DEPTH)?;
        let undone = oplog::undone(&operations);
        let is_undone =
            |logged: &LoggedOperation| undone.get(&logged.commit.to_string()) == Some(&true);
        Ok((operations.iter())
            .filter(|logged| logged.operation.undoes.is_none())
            .take(limit)
            .map(|logged| HistoryEntry { is_undone: is_undone(logged), logged: logged.clone() })
            .collect())
    }

    /// Finds what is to be taken back or done again; `None` when there is nothing. Only the work of dead commands is
    /// finished on the way.
    pub fn plan_undo(
        &self,
        ctx: &Ctx<'_>,
        direction: Direction,
    ) -> Result<Option<UndoPlan>, Error> {
        {
            let _hold = Hold::brief(ctx, self)?;
            recover::recover(self, ctx)?;
        }
        let operations = oplog::read(self.git(), DEPTH)?;
        let target = match direction {
            Direction::Undo => oplog::undoable(&operations),
            Direction::Redo => oplog::redoable(&operations),
        };
        let Some(target) = target.cloned() else { return Ok(None) };
        let at = self.now().seconds;
        let id = target.commit.to_string();
        let operation = match direction {
            Direction::Undo => target.operation.inverse(OperationKind::Undo, &id, at),
            Direction::Redo => {
                let back = target.operation.inverse(OperationKind::Undo, &id, at);
                back.inverse(OperationKind::Redo, &id, at)
            }
        };
        let mut plan = UndoPlan {
            direction,
            target,
            operation,
            changed_since: Vec::new(),
            moved_since: Vec::new(),
            is_forced: false,
        };
        for file in &plan.operation.files {
            let path = RelPath::new(&file.path)?;
            if !change::holds(self, ctx, &path, file.before.as_ref())? {
                plan.changed_since.push(path);
            }
        }
        let checked_out = self.checked_out()?;
        for moved in &plan.operation.refs {
            let now = self.git().read_ref(&RefName::new(&moved.name)?)?;
            let is_lost = moved.after.is_none() && checked_out.contains(&moved.name);
            if now.map(|id| id.to_string()) != moved.before || is_lost {
                plan.moved_since.push(moved.name.clone());
            }
        }
        Ok(Some(plan))
    }

    /// Performs a plan: refs by compare-and-swap, then files. What the files held is kept, so this can be taken back too.
    ///
    /// When something fails on the way, files and refs go back to what they were.
    ///
    /// # Errors
    ///
    /// [`Error::ChangedSince`] when files or refs changed since the operation, and [`Error::MissingData`] when data that
    /// has to come back is not in the store; then nothing was changed.
    pub fn undo(&self, ctx: &Ctx<'_>, plan: UndoPlan) -> Result<(), Error> {
        if !plan.moved_since.is_empty() || !(plan.is_forced || plan.changed_since.is_empty()) {
            return Err(Error::ChangedSince { paths: plan.changed_since, refs: plan.moved_since });
        }
        let _hold = Hold::idle(ctx, self)?;
        self.require_stored(&plan.operation)?;
        let refs = ref_changes(&plan.operation)?;
        let states: BTreeMap<RelPath, Option<FileState>> = (plan.operation.files.iter())
            .map(|file| Ok((RelPath::new(&file.path)?, file.after.clone())))
            .collect::<Result<_, Error>>()?;
        let mut changes = Changes::begin(self, plan.operation.kind, &plan.operation.subject);
        changes.undoes(plan.target.commit);
        for (change, moved) in refs.iter().zip(&plan.operation.refs) {
            changes.moved_ref(&change.name, parse(moved.before.as_ref())?, change.new);
        }
        let paths = (plan.operation.files.iter())
            .map(|file| Ok((RelPath::new(&file.path)?, keep(file.before.as_ref()))))
            .collect::<Result<Vec<_>, Error>>()?;
        changes.touch(ctx, paths.iter().map(|(path, keep)| (path, *keep)))?;
        changes.announce()?;
        if let Err(error) = self.git().update_refs(&refs) {
            changes.discard()?;
            return Err(error.into());
        }
        let journal = changes.journal_path().to_path_buf();
        if let Err(error) = self.put(ctx, &states) {
            let back: Vec<RefChange> = (refs.iter().zip(&plan.operation.refs))
                .map(|(change, moved)| {
                    let new = parse(moved.before.as_ref())?;
                    let expected = change.new.map_or(Expected::Missing, Expected::Is);
                    Ok(RefChange { name: change.name.clone(), new, expected })
                })
                .collect::<Result<_, Error>>()?;
            self.git().update_refs(&back)?;
            recover::roll_back(self, ctx, &journal)?;
            return Err(error);
        }
        changes.finish(ctx)?;
        Ok(())
    }

    /// Puts paths back, removals first, so that a file can come where a directory was and the other way about.
    fn put(
        &self,
        ctx: &Ctx<'_>,
        states: &BTreeMap<RelPath, Option<FileState>>,
    ) -> Result<(), Error> {
        for (path, _) in states.iter().rev().filter(|(_, state)| state.is_none()) {
            change::restore(self, ctx, path, None)?;
            let mut above = path.parent();
            while let Some(dir) = above.filter(|dir| !dir.is_root()) {
                if fs::remove_dir(dir.under(self.root())).is_err() {
                    break;
                }
                above = dir.parent();
            }
        }
        for (path, state) in states.iter().filter(|(_, state)| state.is_some()) {
            ctx.check()?;
            change::restore(self, ctx, path, state.as_ref())?;
        }
        Ok(())
    }

    /// Returns the full names of the branches that `HEAD` of this and of linked work trees are on.
    fn checked_out(&self) -> Result<Vec<String>, Error> {
        let common = self.git().common_dir();
        let mut heads = vec![common.join("HEAD")];
        for entry in fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten() {
            heads.push(entry.path().join("HEAD"));
        }
        let mut names = Vec::new();
        for head in heads {
            let text = files::read(&head)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            names.extend(text.strip_prefix("ref: ").map(|name| name.trim().to_owned()));
        }
        Ok(names)
    }

    /// Checks that everything that an operation wants back is in the store.
    fn require_stored(&self, operation: &Operation) -> Result<(), Error> {
        let mut missing = Vec::new();
        for file in &operation.files {
            if let Some(state @ FileState::Data { .. }) = &file.after
                && !self.cache().has_all(&change::artifact(state)?)?
            {
                missing.push(RelPath::new(&file.path)?);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Error::MissingData { paths: missing }) }
    }
}

fn ref_changes(operation: &Operation) -> Result<Vec<RefChange>, Error> {
    (operation.refs.iter())
        .map(|moved| {
            let expected = parse(moved.before.as_ref())?.map_or(Expected::Missing, Expected::Is);
            let new = parse(moved.after.as_ref())?;
            Ok(RefChange { name: RefName::new(&moved.name)?, new, expected })
        })
        .collect()
}

fn parse(id: Option<&String>) -> Result<Option<CommitId>, Error> {
    id.map(|id| id.parse()).transpose().map_err(|source: exp_refs::IdError| Error::Corrupt {
        what: "an operation".to_owned(),
        source: source.into(),
    })
}

fn keep(state: Option<&FileState>) -> Keep {
    match state {
        Some(FileState::Data { .. }) => Keep::Data,
        _ => Keep::Text,
    }
}
