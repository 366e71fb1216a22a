//! Taking back what a command did, and doing it again.

use exp_core::{Ctx, RelPath};
use exp_refs::{CommitId, Expected, RefName};

use crate::change::{self, Changes, Keep};
use crate::error::Error;
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
    /// Files that are not as that operation left them; performing the plan replaces them, saved.
    pub changed_since: Vec<RelPath>,
    /// Refs that are not as that operation left them; with any of these the plan cannot be performed.
    pub moved_since: Vec<String>,
}

impl Project {
    /// Returns the newest `limit` operations, newest first.
    pub fn operations(&self, limit: usize) -> Result<Vec<LoggedOperation>, Error> {
        oplog::read(self.git(), limit)
    }

    /// Finds what is to be taken back or done again. Nothing is changed; `None` when there is nothing.
    pub fn plan_undo(
        &self,
        ctx: &Ctx<'_>,
        direction: Direction,
    ) -> Result<Option<UndoPlan>, Error> {
        recover::recover(self, ctx)?;
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
        };
        for file in &plan.operation.files {
            let path = RelPath::new(&file.path)?;
            if change::capture(self, ctx, &path, keep(file.before.as_ref()))? != file.before {
                plan.changed_since.push(path);
            }
        }
        for moved in &plan.operation.refs {
            let now = self.git().read_ref(&RefName::new(&moved.name)?)?;
            if now.map(|id| id.to_string()) != moved.before {
                plan.moved_since.push(moved.name.clone());
            }
        }
        Ok(Some(plan))
    }

    /// Performs a plan: files first, then refs. What the files held is kept, so this can be taken back too.
    ///
    /// # Errors
    ///
    /// When a ref moved in the meantime, or data that has to come back is not in the store; then nothing was changed.
    pub fn undo(&self, ctx: &Ctx<'_>, plan: UndoPlan) -> Result<(), Error> {
        let _hold = Hold::brief(self)?;
        let kind = plan.operation.kind;
        let mut changes = Changes::begin(self, kind, &plan.operation.subject);
        changes.undoes(plan.target.commit);
        let paths = (plan.operation.files.iter())
            .map(|file| Ok((RelPath::new(&file.path)?, keep(file.before.as_ref()))))
            .collect::<Result<Vec<_>, Error>>()?;
        let mut refs = Vec::new();
        for moved in &plan.operation.refs {
            let name = RefName::new(&moved.name)?;
            let parse = |id: &Option<String>| -> Result<Option<CommitId>, Error> {
                id.as_ref().map(|id| id.parse()).transpose().map_err(|source: exp_refs::IdError| {
                    Error::Corrupt { what: "an operation".to_owned(), source: source.into() }
                })
            };
            let (before, after) = (parse(&moved.before)?, parse(&moved.after)?);
            let expected = before.map_or(Expected::Missing, Expected::Is);
            refs.push(exp_refs::RefChange { name: name.clone(), new: after, expected });
            changes.moved_ref(&name, before, after);
        }
        self.require_stored(&plan.operation)?;
        changes.touch(ctx, paths.iter().map(|(path, keep)| (path, *keep)))?;
        self.git().update_refs(&refs)?;
        for (file, (path, _)) in plan.operation.files.iter().zip(&paths) {
            change::restore(self, ctx, path, file.after.as_ref())?;
        }
        changes.finish(ctx)?;
        Ok(())
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

fn keep(state: Option<&FileState>) -> Keep {
    match state {
        Some(FileState::Data { .. }) => Keep::Data,
        _ => Keep::Text,
    }
}
