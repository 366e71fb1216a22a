//! Saving the workspace as an experiment, as it is, without running anything.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use exp_cache::Relink;
use exp_core::{Artifact, Ctx, RelPath, Stage, StageLock, experiment_hash, record_as_is};
use exp_refs::{Draft, EditError, ExpName, Expected, Experiment, RefName, TreeChange};

use crate::change::Changes;
use crate::edit::OnExisting;
use crate::error::Error;
use crate::files::FileError;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::{IgnoreBelow, WorkspaceInputs, ignore_output};
use crate::project::Project;
use crate::recorded::{write_dvc_file, write_lock};
use crate::recover;
use crate::run::generated_name;
use crate::snapshot;
use crate::view::{Broken, View};

/// How the workspace is saved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SaveRequest {
    /// The name; generated when none is given.
    pub name: Option<String>,
    /// The message of the commit; DVC's when none is given.
    pub message: Option<String>,
    /// What is done about an experiment of that name.
    pub existing: OnExisting,
    /// Files and directories that Git does not track and that are part of it all the same, below the root.
    pub include: Vec<RelPath>,
    /// Stages, `.dvc` files, outputs or directories, relative to `cwd`: only their outputs are stored and recorded. All
    /// are when this is empty.
    pub targets: Vec<String>,
    /// The directory below the root that targets are relative to.
    pub cwd: RelPath,
}

impl Project {
    /// Saves the workspace as an experiment: outputs go to the store, lock and `.dvc` files are brought up to date, and
    /// all that belongs to an experiment becomes its commit. Files of the workspace stay as they are otherwise.
    ///
    /// Nothing below `.dvc/tmp` is ever part of it. It can be undone.
    ///
    /// # Errors
    ///
    /// No commit, no identity, a taken name, a path to be included that is not there, a broken pipeline: then nothing was
    /// changed.
    pub fn save(&self, ctx: &Ctx<'_>, request: &SaveRequest) -> Result<Experiment, Error> {
        let baseline = self.git().head()?.commit.ok_or(Error::NoCommit)?;
        self.git().author()?;
        let name = match &request.name {
            Some(name) => ExpName::new(name)?,
            None => generated_name(&self.experiments().list()?),
        };
        let _hold = Hold::brief(ctx, self)?;
        recover::recover(self, ctx)?;
        let ref_name = RefName::experiment(baseline, &name);
        let before = self.git().read_ref(&ref_name)?;
        let expected = match (before, request.existing) {
            (None, _) => Expected::Missing,
            (Some(before), OnExisting::Replace) => Expected::Is(before),
            (Some(commit), OnExisting::Refuse) => {
                return Err(EditError::Exists { name, commit }.into());
            }
        };
        let included = self.included(&request.include)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        view.pipeline()?;
        let mut changes = Changes::begin(self, OperationKind::Save, name.as_str());
        let journal = changes.journal_path().to_path_buf();
        let work = || -> Result<Experiment, Error> {
            let is_meant = |stage: &Stage| {
                request.targets.is_empty()
                    || request.targets.iter().any(|target| is_target(stage, target, &request.cwd))
            };
            let locks = record_all(self, ctx, &view, &mut changes, &is_meant)?;
            let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
            let touched: BTreeSet<RelPath> = changes.touched().iter().cloned().collect();
            let mut tree = snapshot::changes(self, &view, &touched)?;
            tree.extend(included);
            let message = match &request.message {
                Some(message) => message.clone(),
                None => format!("dvc: commit experiment {}", experiment_hash(&locks)),
            };
            let draft = Draft {
                parent: baseline,
                base: None,
                changes: tree,
                message,
                author: None,
                time: self.now(),
                record: None,
            };
            Ok(self.experiments().save(&draft, &name, expected)?)
        };
        match work() {
            Ok(experiment) => {
                changes.moved_ref(&ref_name, before, Some(experiment.commit));
                changes.finish(ctx)?;
                Ok(experiment)
            }
            Err(error) => {
                recover::roll_back(self, ctx, &journal)?;
                Err(error)
            }
        }
    }

    /// Reads what is to be part of the commit although Git does not track it, ignored or not.
    fn included(&self, include: &[RelPath]) -> Result<Vec<TreeChange>, Error> {
        let mut changes = Vec::new();
        let mut files = self.git().files()?;
        for path in include {
            let mut todo = vec![path.clone()];
            while let Some(path) = todo.pop() {
                let full = path.under(self.root());
                let metadata =
                    fs::symlink_metadata(&full).map_err(FileError::at("include", &full))?;
                if [".dvc/tmp", ".dvc/cache"].iter().any(|own| path.as_str().starts_with(own)) {
                    continue;
                }
                if metadata.is_dir() {
                    for entry in fs::read_dir(&full).map_err(FileError::at("list", &full))? {
                        let entry = entry.map_err(FileError::at("list", &full))?;
                        if entry.file_name() != ".git" {
                            todo.push(path.join(&entry.file_name().to_string_lossy())?);
                        }
                    }
                    continue;
                }
                let git_path = self.git_path(&path)?;
                if let Some(edit) = files.store(&git_path)? {
                    changes.push(TreeChange { path: git_path, edit });
                }
            }
        }
        Ok(changes)
    }
}

/// Stores all outputs that are there and records all stages as they are, without running them, as `dvc commit --force`
/// does. Returns what is recorded of the stages of pipelines, by name.
///
/// A stage of a pipeline of which nothing was made yet, neither recorded nor any output, stays unrecorded.
pub(crate) fn record_all(
    project: &Project,
    ctx: &Ctx<'_>,
    view: &View,
    changes: &mut Changes,
    is_meant: &dyn Fn(&Stage) -> bool,
) -> Result<Vec<(String, StageLock)>, Error> {
    let inputs = WorkspaceInputs::new(project, HashMap::new());
    let mut locks = Vec::new();
    for stage in view.stages.iter().filter(|stage| is_meant(stage)) {
        let recorded = view.recorded(&stage.id);
        let mut outs = Vec::new();
        for out in &stage.outs {
            outs.push((out.path.as_str(), store_out(project, ctx, changes, stage, &out.path)?));
        }
        if stage.cmd.is_some()
            && !outs.is_empty()
            && outs.iter().any(|(_, artifact)| artifact.is_none())
        {
            // Half of a stage's outputs are no result of it.
            if let (Some(recorded), Some(name)) = (recorded, &stage.id.name) {
                locks.push((name.clone(), recorded.clone()));
            }
            continue;
        }
        let kept: Vec<(&str, Option<Artifact>)> = outs
            .into_iter()
            .map(|(path, found)| {
                let old = recorded.and_then(|lock| lock.out(path)).and_then(|entry| entry.artifact);
                (path, found.or(old))
            })
            .collect();
        let lock = record_as_is(ctx, stage, &inputs, recorded, kept)?;
        if stage.cmd.is_none() {
            write_dvc_file(project, ctx, changes, stage, &lock)?;
        } else {
            write_lock(project, ctx, changes, stage, &lock)?;
            if let Some(name) = &stage.id.name {
                locks.push((name.clone(), lock));
            }
        }
    }
    Ok(locks)
}

/// Returns whether a target means a stage: by its name or address, its file, one of its outputs, or a directory that its
/// file is in.
fn is_target(stage: &Stage, target: &str, cwd: &RelPath) -> bool {
    if stage.id.name.as_deref() == Some(target) || stage.id.to_string() == target {
        return true;
    }
    let Ok(path) = cwd.join(target) else { return false };
    let is_out = stage.outs.iter().any(|out| out.location.workspace() == Some(&path));
    is_out || stage.id.file.starts_with(&path)
}

/// Puts one output into the store and leaves the workspace as it is; `None` when it is not there.
fn store_out(
    project: &Project,
    ctx: &Ctx<'_>,
    changes: &mut Changes,
    stage: &Stage,
    path: &str,
) -> Result<Option<Artifact>, Error> {
    let Some(out) = stage.outs.iter().find(|out| out.path == path) else { return Ok(None) };
    let Some(path) = out.location.workspace() else { return Ok(None) };
    let full = path.under(project.root());
    if fs::symlink_metadata(&full).is_err() {
        return Ok(None);
    }
    let filter = IgnoreBelow::new(project, path);
    if !out.cache {
        return Ok(project.cache().digest(ctx, &full, &filter)?);
    }
    let artifact = project.cache().add(ctx, &full, &filter, Relink::No)?;
    ignore_output(project, ctx, changes, path, artifact.id.is_tree())?;
    Ok(Some(artifact))
}
