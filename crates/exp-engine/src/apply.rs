//! Making the workspace what an experiment left: plan, look, perform.
//!
//! The work is that of `git checkout` and `dvc checkout` without moving anything of Git's: `HEAD`, the index, branches and
//! the stash stay. DVC's own notes about the last apply (`refs/exps/apply/*`, `refs/exps/exec/EXEC_APPLY`) are not
//! written: nothing that DVC shows depends on them, and what they keep is kept better by the operation log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use exp_core::{Artifact, Ctx, RelPath};
use exp_refs::{CommitId, Descend, EntryKind, Reader, TreeId, TreePath, Untracked, WorkFiles};

use crate::change::{Changes, Keep};
use crate::data::of_output;
use crate::error::Error;
use crate::files::FileError;
use crate::hold::Hold;
use crate::operation::OperationKind;
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
    /// Files that change and hold what is nowhere else: neither in `HEAD` or an experiment nor in the store, sorted.
    /// Performing the plan keeps them in the operation log, so that undoing brings them back.
    pub unsaved: Vec<RelPath>,
    /// Outputs that neither the store nor the workspace has. A plan with any of these is not performed.
    pub missing: Vec<RelPath>,
    /// Paths where something lies that is no part of either side, such as a directory where a file is to be. A plan
    /// with any of these is not performed.
    pub blocked: Vec<RelPath>,
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
        self.files.is_empty() && self.data.is_empty() && self.missing.is_empty()
    }

    /// Returns the number of files and outputs that change.
    pub fn n_changes(&self) -> usize {
        self.files.len() + self.data.len()
    }
}

impl Project {
    /// Finds out what it takes to make the workspace what `commit` has. Nothing is changed.
    ///
    /// The commit may be an experiment of any baseline, a run that did not finish, or any other commit. Files that it
    /// does not have stay when they are not committed as they are: they are somebody's work.
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
            blocked: Vec::new(),
        };
        self.plan_files(ctx, &reader, [head, wanted], &mut plan)?;
        self.plan_data(ctx, &TreeSource::new(&reader, wanted, self.prefix().clone()), &mut plan)?;
        plan.blocked = self.blocked(&plan)?;
        plan.unsaved.sort();
        plan.unsaved.dedup();
        Ok(plan)
    }

    /// Performs a plan. `HEAD`, the index, branches and the stash stay; all that is replaced can be undone.
    ///
    /// When something fails on the way, the workspace goes back to what it was. When the process dies on the way, the
    /// next command that changes something notes what was done so far, and undoing takes it back.
    ///
    /// # Errors
    ///
    /// [`Error::MissingData`] and [`Error::InTheWay`] before anything is touched; [`Error::Busy`] during a run.
    pub fn apply(&self, ctx: &Ctx<'_>, plan: ApplyPlan, subject: &str) -> Result<(), Error> {
        if !plan.missing.is_empty() {
            return Err(Error::MissingData { paths: plan.missing });
        }
        if !plan.blocked.is_empty() {
            return Err(Error::InTheWay { paths: plan.blocked });
        }
        let _hold = Hold::idle(ctx, self)?;
        recover::recover(self, ctx)?;
        let mut changes = Changes::begin(self, OperationKind::Apply, subject);
        let text = plan.files.keys().map(|path| (path, Keep::Text));
        let data = plan.data.keys().map(|path| (path, Keep::Data));
        changes.touch(ctx, text.chain(data))?;
        let journal = changes.journal_path().to_path_buf();
        if let Err(error) = self.perform_apply(ctx, &plan) {
            recover::roll_back(self, ctx, &journal)?;
            return Err(error);
        }
        changes.finish(ctx)?;
        Ok(())
    }

    /// Removes first, so that a directory can take the place of a file and the other way about.
    fn perform_apply(&self, ctx: &Ctx<'_>, plan: &ApplyPlan) -> Result<(), Error> {
        for (path, step) in &plan.data {
            if *step == DataStep::Remove {
                self.check_out(ctx, path, None)?;
            }
        }
        let mut files = self.git().files()?;
        for (path, step) in &plan.files {
            if *step == FileStep::Remove {
                files.remove(&self.git_path(path)?)?;
            }
        }
        for (path, step) in &plan.files {
            if let FileStep::Create(entry) | FileStep::Replace(entry) = step {
                ctx.check()?;
                remove_empty_dir(&path.under(self.root()));
                files.write(&self.git_path(path)?, *entry)?;
            }
        }
        for (path, step) in &plan.data {
            if let DataStep::Bring(artifact) = step {
                self.check_out(ctx, path, Some(artifact))?;
            }
        }
        Ok(())
    }

    fn check_out(
        &self,
        ctx: &Ctx<'_>,
        path: &RelPath,
        wanted: Option<&Artifact>,
    ) -> Result<(), Error> {
        let filter = IgnoreBelow::new(self, path);
        let plan = self.cache().plan_checkout(ctx, wanted, &path.under(self.root()), &filter)?;
        self.cache().checkout(ctx, plan)?;
        Ok(())
    }

    /// Plans the files that Git keeps: those of the commit come, those that only `HEAD` has and that are as there go.
    fn plan_files(
        &self,
        ctx: &Ctx<'_>,
        reader: &Reader,
        [head, wanted]: [TreeId; 2],
        plan: &mut ApplyPlan,
    ) -> Result<(), Error> {
        let wanted = self.files_of(reader, wanted)?;
        let head = self.files_of(reader, head)?;
        let touched: BTreeSet<TreePath> =
            self.git().status(Untracked::Leave)?.into_iter().map(|entry| entry.path).collect();
        let mut files = self.git().files()?;
        let mut kept = KeptElsewhere { reader, project: self, commits: None };
        for (path, entry) in &wanted {
            ctx.check()?;
            let git_path = self.git_path(path)?;
            let committed = head.get(path);
            let is_untouched = committed == Some(entry) && !touched.contains(&git_path);
            if is_untouched || files.matches(&git_path, *entry)? {
                continue;
            }
            let full = path.under(self.root());
            let Ok(metadata) = full.symlink_metadata() else {
                plan.files.insert(path.clone(), FileStep::Create(*entry));
                continue;
            };
            plan.files.insert(path.clone(), FileStep::Replace(*entry));
            let is_committed = match committed {
                Some(committed) => files.matches(&git_path, *committed)?,
                None => false,
            };
            if !metadata.is_dir() && !is_committed && !kept.has(&mut files, &git_path)? {
                plan.unsaved.push(path.clone());
            }
        }
        for (path, entry) in &head {
            if wanted.contains_key(path) {
                continue;
            }
            let git_path = self.git_path(path)?;
            if !touched.contains(&git_path) || files.matches(&git_path, *entry)? {
                plan.files.insert(path.clone(), FileStep::Remove);
            }
        }
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
            self.require_inside(path)?;
            let filter = IgnoreBelow::new(self, path);
            let dest = path.under(self.root());
            let checkout = self.cache().plan_checkout(ctx, Some(artifact), &dest, &filter);
            let checkout = checkout.map_err(|error| of_output(path, error))?;
            if !checkout.missing().is_empty() {
                plan.missing.push(path.clone());
            } else if !checkout.is_empty() {
                for below in checkout.unsaved() {
                    plan.unsaved.push(if below.is_empty() {
                        path.clone()
                    } else {
                        path.join(below)?
                    });
                }
                plan.data.insert(path.clone(), DataStep::Bring(*artifact));
            }
        }
        for (path, artifact) in &now {
            let (None, Some(artifact)) = (wanted.get(path), artifact) else { continue };
            if plan.files.contains_key(path) {
                continue;
            }
            let filter = IgnoreBelow::new(self, path);
            let algorithm = artifact.id.digest.algorithm();
            let dest = path.under(self.root());
            let found = self.cache().digest_as(ctx, algorithm, &dest, &filter)?;
            if found.is_some_and(|found| found.same_content(artifact))
                && self.cache().has_all(artifact)?
            {
                plan.data.insert(path.clone(), DataStep::Remove);
            }
        }
        Ok(())
    }

    /// Returns where something lies that would have to go and that the plan does not remove.
    fn blocked(&self, plan: &ApplyPlan) -> Result<Vec<RelPath>, Error> {
        let goes = |path: &RelPath| {
            plan.files.get(path) == Some(&FileStep::Remove)
                || plan
                    .data
                    .iter()
                    .any(|(data, step)| *step == DataStep::Remove && path.starts_with(data))
        };
        let mut blocked = BTreeSet::new();
        for (path, step) in &plan.files {
            if *step == FileStep::Remove {
                continue;
            }
            let mut above = path.parent();
            while let Some(dir) = above.filter(|dir| !dir.is_root()) {
                let found = dir.under(self.root()).symlink_metadata();
                if found.is_ok_and(|found| !found.is_dir()) && !goes(&dir) {
                    blocked.insert(dir.clone());
                }
                above = dir.parent();
            }
            let full = path.under(self.root());
            if full.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                let mut todo = vec![path.clone()];
                while let Some(dir) = todo.pop() {
                    let full = dir.under(self.root());
                    for entry in fs::read_dir(&full).map_err(FileError::at("list", &full))? {
                        let entry = entry.map_err(FileError::at("list", &full))?;
                        let below = entry.file_name().to_str().and_then(|name| dir.join(name).ok());
                        match below {
                            Some(below)
                                if entry.path().symlink_metadata().is_ok_and(|m| m.is_dir()) =>
                            {
                                todo.push(below);
                            }
                            Some(below) if goes(&below) => {}
                            _ => {
                                blocked.insert(path.clone());
                            }
                        }
                    }
                }
            }
        }
        Ok(blocked.into_iter().collect())
    }

    /// Returns the files of a tree below the project's root, but for records of runs and what is in `.dvc/tmp`.
    fn files_of(
        &self,
        reader: &Reader,
        tree: TreeId,
    ) -> Result<BTreeMap<RelPath, EntryKind>, Error> {
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

/// Looks for the content of a file in experiments, listed when first needed.
struct KeptElsewhere<'a> {
    reader: &'a Reader,
    project: &'a Project,
    commits: Option<Vec<CommitId>>,
}

/// So many experiments are looked through at most; what is found in none of them counts as unsaved.
const MAX_COMMITS: usize = 1000;

impl KeptElsewhere<'_> {
    fn has(&mut self, files: &mut WorkFiles, path: &TreePath) -> Result<bool, Error> {
        if self.commits.is_none() {
            let head = self.project.git().head()?.commit;
            let mut list = self.project.experiments().list()?;
            list.sort_by_key(|experiment| Some(experiment.baseline) != head);
            self.commits = Some(
                list.into_iter().map(|experiment| experiment.commit).take(MAX_COMMITS).collect(),
            );
        }
        let mut seen = BTreeSet::new();
        for commit in self.commits.iter().flatten() {
            if let Some(entry) = self.reader.tree_of(*commit)?.entry(path.as_bytes())?
                && seen.insert(entry)
                && files.matches(path, entry)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Removes a directory that has no files, so that a file can be there. One that has some stays.
fn remove_empty_dir(path: &std::path::Path) {
    if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        remove_empty_dir(&entry.path());
    }
    // A directory that is not empty is reported by who wants to write there.
    drop(fs::remove_dir(path));
}

/// Returns the outputs that the store keeps, with what was recorded of them.
fn outputs(view: &View) -> BTreeMap<RelPath, Option<Artifact>> {
    let mut outputs = BTreeMap::new();
    for stage in view.stages.iter() {
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
