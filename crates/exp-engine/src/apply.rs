//! Making the workspace what an experiment left: plan, look, perform.

use std::collections::{BTreeMap, BTreeSet};

use exp_core::{Artifact, Ctx, RelPath};
use exp_refs::{CommitId, Descend, EntryKind, TreeId, TreePath};

use crate::change::{self, Changes, Keep};
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::{FileState, OperationKind};
use crate::oplog;
use crate::ports::IgnoreBelow;
use crate::project::Project;
use crate::recover;
use crate::source::TreeSource;
use crate::view::{Broken, View};

/// What applying a commit would do to the workspace.
#[derive(Debug, Clone)]
pub struct ApplyPlan {
    /// The commit.
    pub commit: CommitId,
    /// Files that Git keeps and that change, by path below the root.
    pub files: BTreeMap<RelPath, FileStep>,
    /// Outputs that change, by path below the root.
    pub data: BTreeMap<RelPath, DataStep>,
    /// Those of the above that hold edits which are nowhere else: neither committed nor left by a command of ours.
    /// Performing the plan keeps them, so that undoing brings them back.
    pub unsaved: Vec<RelPath>,
    /// Outputs that the store does not have. A plan with any of these is not performed.
    pub missing: Vec<RelPath>,
}

/// What happens to a file that Git keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileStep {
    /// It appears.
    Create(EntryKind),
    /// Its content or mode changes.
    Replace(EntryKind),
    /// It goes.
    Remove,
}

/// What happens to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataStep {
    /// It is brought from the store.
    Bring(Artifact),
    /// It goes: the experiment does not have it.
    Remove,
}

impl ApplyPlan {
    /// Returns whether the workspace is already what the experiment left.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.data.is_empty()
    }
}

impl Project {
    /// Finds out what it takes to make the workspace what `commit` has. Nothing is changed.
    ///
    /// Files that the commit does not have stay when they are not committed as they are: they are somebody's work.
    pub fn plan_apply(&self, ctx: &Ctx<'_>, commit: CommitId) -> Result<ApplyPlan, Error> {
        let reader = self.git().reader();
        let wanted = reader.commit(commit)?.tree;
        let head = match self.git().head()?.commit {
            Some(head) => reader.commit(head)?.tree,
            None => self.git().empty_tree(),
        };
        let mut plan = ApplyPlan {
            commit,
            files: BTreeMap::new(),
            data: BTreeMap::new(),
            unsaved: Vec::new(),
            missing: Vec::new(),
        };
        let ours = self.left_by_us()?;
        let wanted_files = self.files_of(wanted)?;
        let head_files = self.files_of(head)?;
        let mut files = self.git().files()?;
        for (path, entry) in &wanted_files {
            if files.matches(&self.git_path(path)?, *entry)? {
                continue;
            }
            let exists = path.under(self.root()).symlink_metadata().is_ok();
            let step = if exists { FileStep::Replace(*entry) } else { FileStep::Create(*entry) };
            plan.files.insert(path.clone(), step);
            let committed = head_files.get(path).copied();
            if exists
                && !matches!(committed, Some(entry) if files.matches(&self.git_path(path)?, entry)?)
                && change::capture(self, ctx, path, Keep::Text)?.as_ref() != ours.get(path.as_str())
            {
                plan.unsaved.push(path.clone());
            }
        }
        for (path, entry) in &head_files {
            if !wanted_files.contains_key(path) && files.matches(&self.git_path(path)?, *entry)? {
                plan.files.insert(path.clone(), FileStep::Remove);
            }
        }
        self.plan_data(ctx, &TreeSource::new(&reader, wanted, self.prefix().clone()), &mut plan)?;
        Ok(plan)
    }

    /// Performs a plan. `HEAD`, the index and branches stay; everything that is replaced can be undone.
    ///
    /// # Errors
    ///
    /// [`Error::MissingData`] before anything is touched, when the store does not have all outputs.
    pub fn apply(&self, ctx: &Ctx<'_>, plan: ApplyPlan, subject: &str) -> Result<(), Error> {
        if !plan.missing.is_empty() {
            return Err(Error::MissingData { paths: plan.missing });
        }
        let _hold = Hold::brief(self)?;
        recover::recover(self, ctx)?;
        let mut changes = Changes::begin(self, OperationKind::Apply, subject);
        let text = plan.files.keys().map(|path| (path, Keep::Text));
        let data = plan.data.keys().map(|path| (path, Keep::Data));
        changes.touch(ctx, text.chain(data))?;
        let mut files = self.git().files()?;
        for (path, step) in &plan.files {
            match step {
                FileStep::Create(entry) | FileStep::Replace(entry) => {
                    files.write(&self.git_path(path)?, *entry)?;
                }
                FileStep::Remove => change::restore(self, ctx, path, None)?,
            }
        }
        for (path, step) in &plan.data {
            let wanted = match step {
                DataStep::Bring(artifact) => Some(artifact),
                DataStep::Remove => None,
            };
            let filter = IgnoreBelow::new(self, path);
            let checkout =
                self.cache().plan_checkout(ctx, wanted, &path.under(self.root()), &filter)?;
            self.cache().checkout(ctx, checkout)?;
        }
        changes.finish(ctx)?;
        Ok(())
    }

    /// Plans the outputs: those of the commit come, those that only the workspace records go when they are stored.
    fn plan_data(
        &self,
        ctx: &Ctx<'_>,
        source: &TreeSource<'_>,
        plan: &mut ApplyPlan,
    ) -> Result<(), Error> {
        let wanted = outputs(&View::load(source, self.root(), Broken::Fail)?);
        let now = outputs(&View::load(&self.workspace(), self.root(), Broken::Note)?);
        for (path, artifact) in &wanted {
            let Some(artifact) = artifact else { continue };
            let filter = IgnoreBelow::new(self, path);
            let found = self.cache().digest(ctx, &path.under(self.root()), &filter)?;
            if found.is_some_and(|found| {
                found.same_content(artifact) && found.is_exec == artifact.is_exec
            }) {
                continue;
            }
            if !self.cache().has_all(artifact)? {
                plan.missing.push(path.clone());
                continue;
            }
            if let Some(found) = found
                && !self.cache().has_all(&found)?
            {
                plan.unsaved.push(path.clone());
            }
            plan.data.insert(path.clone(), DataStep::Bring(*artifact));
        }
        for (path, artifact) in &now {
            let (None, Some(artifact)) = (wanted.get(path), artifact) else { continue };
            let filter = IgnoreBelow::new(self, path);
            let found = self.cache().digest(ctx, &path.under(self.root()), &filter)?;
            if found.is_some_and(|found| found.same_content(artifact))
                && self.cache().has_all(artifact)?
            {
                plan.data.insert(path.clone(), DataStep::Remove);
            }
        }
        Ok(())
    }

    /// Returns what our own commands left in each path last.
    fn left_by_us(&self) -> Result<BTreeMap<String, FileState>, Error> {
        let mut left = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for logged in oplog::read(self.git(), 50)? {
            for file in logged.operation.files {
                if seen.insert(file.path.clone())
                    && let Some(after) = file.after
                {
                    left.insert(file.path, after);
                }
            }
        }
        Ok(left)
    }

    /// Returns the files of a tree below the project's root, records of runs left out.
    fn files_of(&self, tree: TreeId) -> Result<BTreeMap<RelPath, EntryKind>, Error> {
        let reader = self.git().reader();
        let mut files = BTreeMap::new();
        let mut visit = |path: &TreePath, kind: EntryKind| {
            if let Some(below) = self.from_git_path(path)
                && kind.blob().is_some()
                && !exp_refs::is_record(path)
                && !below.as_str().starts_with(".dvc/tmp/")
            {
                files.insert(below, kind);
            }
            Descend::Enter
        };
        reader.tree(tree).walk(&mut visit)?;
        Ok(files)
    }
}

/// Returns the outputs that the store keeps, with what was recorded of them.
fn outputs(view: &View) -> BTreeMap<RelPath, Option<Artifact>> {
    let mut outputs = BTreeMap::new();
    for stage in &view.stages {
        let recorded = view.recorded(&stage.id);
        for out in stage.outs.iter().filter(|out| out.cache) {
            if let Some(path) = out.location.workspace() {
                let artifact =
                    recorded.and_then(|lock| lock.out(&out.path)).and_then(|entry| entry.artifact);
                outputs.insert(path.clone(), artifact);
            }
        }
    }
    outputs
}
