//! What differs from what was recorded, stage by stage. Nothing is changed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::thread;

use exp_core::{
    Ctx, Expect, Look, Pipeline, Reach, Reason, RelPath, SelectError, Selection, StageId, Target,
    Verdict, changes, select,
};
use exp_refs::{Experiment, TreeChange};

use crate::change::Changes;
use crate::error::Error;
use crate::forecast::{Forecast, ForecastRequest, StageForecast};
use crate::history::PastRuns;
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

/// Everything that `exp status` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// What a run of everything would do with the stages that were asked for, in the order of execution. Where stages do
    /// not fit together, what differs from their records, in the order of collection.
    pub forecast: Forecast,
    /// Whether all of them are as they are recorded.
    pub is_clean: bool,
    /// What the workspace holds; `None` before the first commit, and where it cannot be told.
    pub holds: Option<Holds>,
}

impl Project {
    /// Compares stages with what was recorded of them. Works on a pipeline whose stages do not fit together too.
    ///
    /// # Errors
    ///
    /// When a pipeline file cannot be read or a target does not exist.
    pub fn status(&self, ctx: &Ctx<'_>, request: &StatusRequest) -> Result<StatusReport, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        self.status_of(ctx, &view, request)
    }

    fn status_of(
        &self,
        ctx: &Ctx<'_>,
        view: &View,
        request: &StatusRequest,
    ) -> Result<StatusReport, Error> {
        let pipeline = Pipeline::unchecked(Arc::clone(&view.stages));
        let ids: Vec<StageId> = if request.targets.is_empty() {
            pipeline.stages().iter().map(|stage| stage.id.clone()).collect()
        } else {
            let targets = self.status_targets(view, &pipeline, request)?;
            let reach = if request.with_upstream { Reach::Upstream } else { Reach::Single };
            select(&pipeline, &Selection::Targets { targets, reach })?
        };
        let inputs = WorkspaceInputs::new(self, HashMap::new()).only_looking();
        inputs.look_ahead(ctx, ids.iter().filter_map(|id| pipeline.stage(id)));
        let scratch = Changes::begin(self, OperationKind::Run, "status");
        let artifacts = WorkspaceArtifacts::new(self, &inputs, scratch);
        let look = Look { inputs: &inputs, artifacts: &artifacts, allow_missing: None };
        let mut report = StatusReport::default();
        for stage in ids.iter().filter_map(|id| pipeline.stage(id)) {
            ctx.check()?;
            let mut reasons = changes(ctx, stage, view.recorded(&stage.id), &look)?;
            reasons.extend(view.edited.contains(&stage.id).then_some(Reason::Checksum));
            report.stages.push(StageStatus {
                id: stage.id.clone(),
                reasons,
                is_frozen: stage.frozen,
                has_deps: !(stage.deps.is_empty() && stage.params.is_empty()),
            });
        }
        Ok(report)
    }

    /// Looks at stages as [`Project::status`] does, says what a run would do with them, and what the workspace holds: all
    /// of one moment, and as much of it at the same time as there are cores for.
    ///
    /// # Errors
    ///
    /// When a pipeline file cannot be read or a target does not exist. That it cannot be told what the workspace holds is
    /// none.
    pub fn overview(&self, ctx: &Ctx<'_>, request: &StatusRequest) -> Result<Overview, Error> {
        thread::scope(|scope| {
            let compared = scope.spawn(|| self.git().worktree_changes());
            let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
            thread::scope(|scope| {
                let held = scope.spawn(|| {
                    let compared = compared.join().ok()?.ok()?;
                    self.holds_of(&view, compared).ok()
                });
                let (forecast, is_clean) = self.looked_at(ctx, &view, request)?;
                Ok(Overview { forecast, is_clean, holds: held.join().ok().flatten() })
            })
        })
    }

    /// Forecasts a run for the stages that are asked about, and says whether all of them are as recorded.
    fn looked_at(
        &self,
        ctx: &Ctx<'_>,
        view: &View,
        request: &StatusRequest,
    ) -> Result<(Forecast, bool), Error> {
        let whole = self.forecast_of(ctx, view, &ForecastRequest::default(), HashMap::new());
        if request.targets.is_empty() {
            match whole {
                // Of stages that do not fit together nothing can be forecast, but what differs can be said.
                Err(Error::Graph(_)) => {}
                whole => {
                    let whole = whole?;
                    let is_clean = whole.stages.iter().all(|one| one.verdict == Verdict::Fresh);
                    return Ok((whole, is_clean));
                }
            }
            let report = self.status_of(ctx, view, request)?;
            return Ok((as_it_is(&report), report.is_clean()));
        }
        let report = self.status_of(ctx, view, request)?;
        let mut forecast = match whole {
            Err(Error::Graph(_)) => as_it_is(&report),
            whole => whole?,
        };
        let wanted: HashSet<&StageId> = report.stages.iter().map(|stage| &stage.id).collect();
        forecast.stages.retain(|stage| wanted.contains(&stage.id));
        Ok((forecast, report.is_clean()))
    }

    /// Returns which recorded state the workspace is equal to: code, parameters, lock files and small outputs. What the
    /// store keeps is compared by its lock entry, so look at the stages too. `compared` is what Git finds different.
    fn holds_of(&self, view: &View, compared: Vec<TreeChange>) -> Result<Holds, Error> {
        let head = self.git().head()?.commit.ok_or(Error::NoCommit)?;
        let changes = snapshot::completed(self, view, &BTreeSet::new(), compared)?;
        if changes.is_empty() {
            return Ok(Holds::Head);
        }
        let n_files = changes.len();
        let mut others = self.experiments().list()?;
        others.retain(|other| other.is_finished && other.baseline == head);
        if others.is_empty() {
            // There is nothing else to be equal to, so nothing needs to be written into the repository to compare.
            return Ok(Holds::Unsaved { n_files });
        }
        let base = self.git().commit(head)?.tree;
        let tree = self.git().write_tree(base, &changes)?;
        if tree == base {
            return Ok(Holds::Head);
        }
        let mut newest: Option<(i64, Experiment)> = None;
        for experiment in others {
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
    pub(crate) fn status_targets(
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

/// Returns what is known of stages that nothing can be forecast of.
fn as_it_is(report: &StatusReport) -> Forecast {
    let stages = report.stages.iter().map(|stage| {
        let (verdict, expect) = if stage.reasons.is_empty() {
            (Verdict::Fresh, Expect::Nothing)
        } else {
            (Verdict::Stale(stage.reasons.clone()), Expect::Run)
        };
        StageForecast {
            id: stage.id.clone(),
            verdict,
            expect,
            is_frozen: stage.is_frozen,
            waits_for: Vec::new(),
            past: PastRuns::default(),
        }
    });
    Forecast { stages: stages.collect() }
}
