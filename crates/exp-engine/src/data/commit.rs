//! Recording data and outputs as they are in the workspace, without running anything.

use exp_cache::{Relink, RunId};
use exp_core::{
    Artifact, Change, Ctx, Look, OutKind, Reason, Recorded, StageId, StageLock, changes,
    record_as_is, recordable,
};

use super::{DataError, DataScope, pick_stages};
use crate::change::Changes;
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::{WorkspaceArtifacts, WorkspaceInputs, ignore_output};
use crate::project::Project;
use crate::view::{Broken, View};
use crate::{recorded, recover};

/// What would be recorded. Made by [`Project::plan_commit`], used up by [`Project::commit_data`].
#[derive(Debug)]
pub struct CommitDataPlan {
    view: View,
    steps: Vec<(usize, CommitStep)>,
}

/// A stage or a `.dvc` file that differs from its record.
#[derive(Debug, Clone)]
pub struct CommitStep {
    /// Its address.
    pub stage: StageId,
    /// Whether it is a `.dvc` file: nothing would have to be run.
    pub is_data_source: bool,
    /// What differs; empty when it is as recorded and only the store may lack something.
    pub reasons: Vec<Reason>,
}

/// What was recorded.
#[derive(Debug, Clone, Default)]
pub struct CommitDataReport {
    /// Stages and `.dvc` files whose record was changed, and how.
    pub recorded: Vec<(StageId, Recorded)>,
}

impl CommitDataPlan {
    /// Returns the stages and `.dvc` files that differ from their record, in the order of the pipeline's files.
    pub fn changed(&self) -> impl Iterator<Item = &CommitStep> {
        self.steps.iter().map(|(_, step)| step).filter(|step| !step.reasons.is_empty())
    }
}

impl Project {
    /// Looks at what recording the workspace's data would change. Nothing is changed.
    ///
    /// # Errors
    ///
    /// When a target does not exist, or the workspace cannot be looked at.
    pub fn plan_commit(&self, ctx: &Ctx<'_>, scope: &DataScope) -> Result<CommitDataPlan, Error> {
        recover::recover(self, ctx)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let positions = pick_stages(&view, scope)?;
        let inputs = WorkspaceInputs::new(self, std::collections::HashMap::new());
        let scratch = Changes::begin(self, OperationKind::Data, "commit");
        let artifacts = WorkspaceArtifacts::new(self, &inputs, scratch);
        let look = Look { inputs: &inputs, artifacts: &artifacts, allow_missing: None };
        let mut steps = Vec::with_capacity(positions.len());
        for position in positions {
            let stage = &view.stages[position];
            let mut reasons = changes(ctx, stage, view.recorded(&stage.id), &look)?;
            // That the store lacks what is there is what recording repairs; that it always runs is no change.
            reasons.retain(|reason| match reason {
                Reason::AlwaysChanged => false,
                Reason::Out { change: Change::NotInCache, was, now, .. } => {
                    !matches!((was, now), (Some(was), Some(now)) if was.same_content(now))
                }
                _ => true,
            });
            let is_data_source = stage.is_data_source();
            steps.push((position, CommitStep { stage: stage.id.clone(), is_data_source, reasons }));
        }
        Ok(CommitDataPlan { view, steps })
    }

    /// Performs a plan: stores the outputs and records them with what their stages read now.
    ///
    /// `accepted` says of a step that differs whether it may be recorded.
    ///
    /// # Errors
    ///
    /// [`DataError::NotAccepted`] when one may not, and when an output or a dependency is missing; nothing was
    /// recorded then.
    #[expect(clippy::needless_pass_by_value, reason = "a plan is used once")]
    pub fn commit_data(
        &self,
        ctx: &Ctx<'_>,
        plan: CommitDataPlan,
        relink: Relink,
        accepted: &mut dyn FnMut(&CommitStep) -> bool,
    ) -> Result<CommitDataReport, Error> {
        let mut refused = Vec::new();
        for step in plan.changed() {
            if !accepted(step) {
                refused.push(step.stage.clone());
            }
        }
        if !refused.is_empty() {
            return Err(DataError::NotAccepted { stages: refused }.into());
        }
        self.require_present(&plan)?;
        let _hold = Hold::brief(ctx, self)?;
        let mut journal = Changes::begin(self, OperationKind::Data, "commit");
        let mut report = CommitDataReport::default();
        for (position, step) in &plan.steps {
            match self.commit_one(ctx, &mut journal, (&plan.view, *position), relink) {
                Ok(Recorded::Unchanged) => {}
                Ok(recorded) => report.recorded.push((step.stage.clone(), recorded)),
                Err(error) => {
                    recover::roll_back(self, ctx, journal.journal_path())?;
                    return Err(error);
                }
            }
        }
        journal.finish(ctx)?;
        Ok(report)
    }

    fn require_present(&self, plan: &CommitDataPlan) -> Result<(), Error> {
        for (position, _) in &plan.steps {
            let stage = &plan.view.stages[*position];
            let needed = (stage.outs.iter().map(|out| &out.location))
                .chain(stage.deps.iter().filter(|_| stage.cmd.is_some()).map(|dep| &dep.location));
            for path in needed.filter_map(|location| location.workspace()) {
                self.require_inside(path)?;
                if path.under(self.root()).symlink_metadata().is_err() {
                    return Err(DataError::Absent { path: path.clone() }.into());
                }
            }
        }
        Ok(())
    }

    fn commit_one(
        &self,
        ctx: &Ctx<'_>,
        journal: &mut Changes,
        (view, position): (&View, usize),
        relink: Relink,
    ) -> Result<Recorded, Error> {
        let stage = &view.stages[position];
        let before = view.recorded(&stage.id);
        let mut outs: Vec<(&str, Option<Artifact>)> = Vec::with_capacity(stage.outs.len());
        for out in &stage.outs {
            let old = || before?.out(&out.path)?.artifact;
            let Some(path) = out.location.workspace() else {
                outs.push((&out.path, old()));
                continue;
            };
            let in_git = !out.cache && out.kind != OutKind::Data;
            let relink = if out.cache { relink } else { Relink::No };
            let artifact = self.take(ctx, path, out.cache || in_git, relink)?;
            if out.cache {
                ignore_output(self, ctx, journal, path, artifact.id.is_tree())?;
            }
            outs.push((&out.path, Some(artifact)));
        }
        let inputs = WorkspaceInputs::new(self, std::collections::HashMap::new());
        let mut lock: StageLock = record_as_is(ctx, stage, &inputs, before, outs)?;
        if stage.is_data_source() {
            for entry in &mut lock.outs {
                if let (Some(old), Some(artifact)) =
                    (before.and_then(|before| before.out(&entry.path)), entry.artifact)
                {
                    *entry = self.renewed(old, artifact)?;
                }
            }
            let recorded = recorded::write_dvc_file(self, ctx, journal, stage, &lock)?;
            return Ok(recorded);
        }
        let recorded = recorded::write_lock(self, ctx, journal, stage, &lock)?;
        if recordable(stage)
            && let Some(key) = lock.run_key()
        {
            let id = RunId { key, value: lock.run_value() };
            self.cache().runs().save(&id, &lock.run_text())?;
        }
        Ok(recorded)
    }
}
