//! What differs from what was recorded, stage by stage, and what a run would do. Nothing is changed.

use std::collections::HashMap;

use exp_core::{
    Ctx, Look, Pipeline, Plan, PlanOptions, Reach, Reason, RelPath, SelectError, Selection,
    Sources, StageId, Target, changes, plan, select,
};
use exp_refs::Experiment;

use crate::change::Changes;
use crate::error::Error;
use crate::operation::OperationKind;
use crate::ports::{WorkspaceArtifacts, WorkspaceInputs};
use crate::project::Project;
use crate::snapshot;
use crate::view::{Broken, View};

/// What status is asked of; by default of every stage.
#[derive(Debug, Clone, Default)]
pub struct StatusRequest {
    /// Stages, files of stages and outputs, as someone in `cwd` writes them; none means every stage of the project.
    pub targets: Vec<String>,
    /// The directory, below the root, that targets are relative to.
    pub cwd: RelPath,
    /// Whether what the targets wait for is looked at too.
    pub with_upstream: bool,
    /// Whether a target that is a directory stands for every stage below it.
    pub recursive: bool,
}

/// How a stage differs from what was recorded of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StageStatus {
    /// The stage.
    pub id: StageId,
    /// What differs, in the order of [`changes()`]; empty when it is up to date.
    pub reasons: Vec<Reason>,
    /// Whether it is frozen, so that only its command and its outputs were compared.
    pub is_frozen: bool,
    /// Whether it reads anything.
    pub has_deps: bool,
}

/// The state of a pipeline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StatusReport {
    /// The stages that were asked for, in the order of collection; those without a difference too.
    pub stages: Vec<StageStatus>,
}

impl StatusReport {
    /// Returns whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.stages.iter().all(|stage| stage.reasons.is_empty())
    }
}

/// What the workspace holds, as far as experiments go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Exactly what `HEAD` has.
    Head,
    /// Exactly what this experiment, which started from `HEAD`, has; the newest of several.
    Experiment(Experiment),
    /// Something that is recorded nowhere.
    Unsaved {
        /// How many files Git would see as different from `HEAD`.
        n_files: usize,
    },
}

impl Project {
    /// Compares stages with what was recorded of them. Works on a pipeline whose stages do not fit together too.
    ///
    /// # Errors
    ///
    /// When a pipeline file cannot be read or a target does not exist.
    pub fn status(&self, ctx: &Ctx<'_>, request: &StatusRequest) -> Result<StatusReport, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let pipeline = Pipeline::unchecked(view.stages.clone());
        let ids: Vec<StageId> = if request.targets.is_empty() {
            pipeline.stages().iter().map(|stage| stage.id.clone()).collect()
        } else {
            let targets = self.status_targets(&view, &pipeline, request)?;
            let reach = if request.with_upstream { Reach::Upstream } else { Reach::Single };
            select(&pipeline, &Selection::Targets { targets, reach })?
        };
        let inputs = WorkspaceInputs::new(self, HashMap::new());
        let scratch = Changes::begin(self, OperationKind::Run, "status");
        let artifacts = WorkspaceArtifacts::new(self, &inputs, scratch);
        let look = Look { inputs: &inputs, artifacts: &artifacts, allow_missing: None };
        let mut report = StatusReport::default();
        for stage in ids.iter().filter_map(|id| pipeline.stage(id)) {
            ctx.check()?;
            report.stages.push(StageStatus {
                id: stage.id.clone(),
                reasons: changes(ctx, stage, view.recorded(&stage.id), &look)?,
                is_frozen: stage.frozen,
                has_deps: !(stage.deps.is_empty() && stage.params.is_empty()),
            });
        }
        Ok(report)
    }

    /// Forecasts what a run of `selection` would do, with its reasons.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken or a target does not exist.
    pub fn forecast(
        &self,
        ctx: &Ctx<'_>,
        selection: &Selection,
        options: PlanOptions,
    ) -> Result<Plan, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let pipeline = view.pipeline()?;
        let order = select(&pipeline, selection)?;
        let inputs = WorkspaceInputs::new(self, HashMap::new());
        let scratch = Changes::begin(self, OperationKind::Run, "status");
        let artifacts = WorkspaceArtifacts::new(self, &inputs, scratch);
        let recorded = |id: &StageId| view.recorded(id).cloned();
        let sources = Sources { recorded: &recorded, inputs: &inputs, artifacts: &artifacts };
        Ok(plan(ctx, &pipeline, &order, sources, options)?)
    }

    /// Returns which recorded state the workspace is equal to: code, parameters, lock files and small outputs.
    /// What the store keeps is compared by its lock entry, so look at [`Project::status`] first.
    ///
    /// # Errors
    ///
    /// [`Error::NoCommit`] when there is nothing to compare with.
    pub fn holds(&self) -> Result<Holds, Error> {
        let head = self.git().head()?.commit.ok_or(Error::NoCommit)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Note)?;
        let changes = snapshot::changes(self, &view, &std::collections::BTreeSet::new())?;
        if changes.is_empty() {
            return Ok(Holds::Head);
        }
        let n_files = changes.len();
        let base = self.git().commit(head)?.tree;
        let tree = self.git().write_tree(base, &changes)?;
        if tree == base {
            return Ok(Holds::Head);
        }
        let mut newest: Option<(i64, Experiment)> = None;
        for experiment in self.experiments().list()? {
            if !experiment.is_finished || experiment.baseline != head {
                continue;
            }
            let commit = self.git().commit(experiment.commit)?;
            let at = commit.time.seconds;
            if commit.tree == tree && newest.as_ref().is_none_or(|(known, _)| *known < at) {
                newest = Some((at, experiment));
            }
        }
        Ok(newest
            .map_or(Holds::Unsaved { n_files }, |(_, experiment)| Holds::Experiment(experiment)))
    }

    /// Reads targets: an output stands for the stage that declares it.
    fn status_targets(
        &self,
        view: &View,
        pipeline: &Pipeline,
        request: &StatusRequest,
    ) -> Result<Vec<Target>, Error> {
        let mut targets = Vec::new();
        for text in &request.targets {
            let path = request.cwd.join(text).ok();
            if request.recursive
                && let Some(dir) = path.as_ref().filter(|path| path.under(self.root()).is_dir())
            {
                targets.push(Target::Dir(dir.clone()));
                continue;
            }
            let target = Target::parse(text, &request.cwd)?;
            let single = Selection::Targets { targets: vec![target.clone()], reach: Reach::Single };
            let unknown = matches!(
                select(pipeline, &single),
                Err(SelectError::UnknownStage { .. } | SelectError::UnknownFile { .. })
            );
            let owner = path.filter(|_| unknown).and_then(|path| view.stage_of(&path));
            targets.push(match owner.map(|stage| &stage.id) {
                Some(StageId { file, name: Some(name) }) => {
                    Target::Stage { file: file.clone(), name: name.clone() }
                }
                Some(StageId { file, name: None }) => Target::File(file.clone()),
                None => target,
            });
        }
        Ok(targets)
    }
}
