//! One attempt at an experiment: where it runs, and how what came of it is kept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use exp_core::{
    Ctx, Ended, Event, Exit, Failure, Outcome, RelPath, RunReport, StageId, StageLock, StageReport,
    Timestamp, experiment_hash,
};
use exp_refs::{CommitId, Draft, ExpName, Expected, Experiment, RunEnd, RunRecord, TreeChange};

use crate::change::{Changes, RunJournal};
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;
use crate::snapshot;
use crate::view::{Broken, View};
use crate::worktree::PrivateTree;

use super::session::Session;
use super::{Kept, RunOutcome, RunRequest, host};

/// An experiment under way.
pub(super) struct Attempt<'r> {
    pub(super) project: &'r Project,
    pub(super) baseline: CommitId,
    pub(super) name: ExpName,
    pub(super) started: Timestamp,
    pub(super) start: Instant,
    pub(super) request: &'r RunRequest,
    pub(super) existing: Vec<Experiment>,
}

impl Attempt<'_> {
    /// Runs in the workspace, which holds the results afterwards, or is put back when nothing could be run.
    pub(super) fn in_workspace(
        self,
        ctx: &Ctx<'_>,
        overlay: &HashMap<RelPath, String>,
        hold: &Hold,
    ) -> Result<RunOutcome, Error> {
        let mut changes = Changes::begin(self.project, OperationKind::Run, self.name.as_str());
        let journal = changes.journal_path().to_path_buf();
        let executed = (|| {
            changes.set_run(self.journal(None))?;
            for (file, text) in overlay {
                changes.write(ctx, file, text.as_bytes())?;
            }
            // The pipeline is read with the new parameters in place, because templates may use them.
            self.execute(self.project, ctx, changes, hold)
        })();
        match executed {
            Ok((report, changes)) => self.finish(self.project, report, changes),
            Err(error) => {
                // Nothing ran: the workspace goes back to what it was.
                recover::roll_back(self.project, ctx, &journal)?;
                Err(error)
            }
        }
    }

    /// Runs in a private work tree, which is removed afterwards.
    pub(super) fn in_private(
        self,
        ctx: &Ctx<'_>,
        overlay: &HashMap<RelPath, String>,
        copy: &[String],
        hold: &Hold,
    ) -> Result<RunOutcome, Error> {
        let tree = PrivateTree::create(self.project, ctx, self.baseline, overlay)?;
        let done = (|| {
            tree.copy(self.project, &self.request.cwd, copy)?;
            let inside = self.project.at_work_tree(tree.root())?;
            // The files of the private tree are nobody's work and need not be noted.
            let mut changes = Changes::of_refs_only(
                self.project,
                inside.root(),
                OperationKind::Run,
                self.name.as_str(),
            );
            changes.set_run(self.journal(Some(tree.root().to_path_buf())))?;
            let journal = changes.journal_path().to_path_buf();
            let (report, changes) = self
                .execute(&inside, ctx, changes, hold)
                .or_else(|error| recover::roll_back(self.project, ctx, &journal).and(Err(error)))?;
            self.finish(&inside, report, changes)
        })();
        tree.remove()?;
        done
    }

    fn execute(
        &self,
        inside: &Project,
        ctx: &Ctx<'_>,
        mut changes: Changes,
        hold: &Hold,
    ) -> Result<(RunReport, Changes), Error> {
        let session =
            Session::prepare(inside, &self.request.repro.selection)?.with(self.env(), &self.log());
        changes.update_run(|run| run.unfinished = session.runnable())?;
        session.bring_missing(ctx, &mut changes)?;
        ctx.emit(Event::Run {
            name: self.name.as_str(),
            baseline: &self.baseline.to_string(),
            overrides: &self.overrides(),
        });
        session.execute(ctx, &self.request.repro, HashMap::new(), changes, hold)
    }

    fn finish(
        &self,
        inside: &Project,
        report: RunReport,
        mut changes: Changes,
    ) -> Result<RunOutcome, Error> {
        let kept = self.keep(inside, &report, &mut changes)?;
        // What was done is written down also when everybody wants the end.
        changes.finish(&Ctx::silent())?;
        files::remove(&self.log())?;
        let took = self.start.elapsed();
        Ok(RunOutcome { report, baseline: self.baseline, kept: Some(kept), took })
    }

    fn log(&self) -> PathBuf {
        self.project.scratch().join("logs").join(format!("{}.log", self.name))
    }

    fn journal(&self, work_tree: Option<PathBuf>) -> RunJournal {
        RunJournal {
            name: self.name.to_string(),
            baseline: self.baseline.to_string(),
            work_tree,
            started: self.started.seconds,
            overrides: self.overrides(),
            unfinished: Vec::new(),
            begun: Vec::new(),
            log: self.log(),
        }
    }

    /// Records the state of the workspace `inside` as what came of this run.
    fn keep(
        &self,
        inside: &Project,
        report: &RunReport,
        changes: &mut Changes,
    ) -> Result<Kept, Error> {
        let view = View::load(&inside.workspace(), inside.root(), Broken::Note)?;
        let mut tree_changes =
            snapshot::changes(inside, &view, &changes.touched().iter().cloned().collect())?;
        if report.ended != Ended::Complete {
            settle_unfinished(inside, &view, report, &mut tree_changes)?;
            snapshot::adopt(self.project, inside, &tree_changes)?;
            let record = self.record_of(report);
            let log = files::read(&self.log())?;
            let draft = self.draft(tree_changes, report);
            let experiment = self.project.experiments().save_run(
                &draft,
                &self.unfinished_name(),
                &record,
                log.as_deref(),
            )?;
            changes.moved_ref(&experiment.ref_name, None, Some(experiment.commit));
            return Ok(Kept::Unfinished(experiment));
        }
        snapshot::adopt(self.project, inside, &tree_changes)?;
        if self.request.name.is_none() && self.request.message.is_none() {
            let base = self.project.git().commit(self.baseline)?.tree;
            let tree = self.project.git().write_tree(base, &tree_changes)?;
            if tree == base {
                return Ok(Kept::SameAsBaseline);
            }
            for other in self
                .existing
                .iter()
                .filter(|other| other.is_finished && other.baseline == self.baseline)
            {
                if self.project.git().commit(other.commit)?.tree == tree {
                    return Ok(Kept::SameAs(other.clone()));
                }
            }
        }
        let before = (self.existing.iter()).find(|other| {
            other.is_finished && other.baseline == self.baseline && other.name == self.name
        });
        let expected = before.map_or(Expected::Missing, |other| Expected::Is(other.commit));
        let draft = self.draft(tree_changes, report);
        let experiment = self.project.experiments().save(&draft, &self.name, expected)?;
        changes.moved_ref(
            &experiment.ref_name,
            before.map(|other| other.commit),
            Some(experiment.commit),
        );
        Ok(Kept::Experiment(experiment))
    }

    fn draft(&self, changes: Vec<TreeChange>, report: &RunReport) -> Draft {
        let done: Vec<(String, StageLock)> = (report.stages.iter())
            .filter(|stage| matches!(stage.outcome, Outcome::Ran | Outcome::Restored(_)))
            .filter_map(|stage| Some((stage.id.name.clone()?, stage.lock.clone()?)))
            .collect();
        let message = match &self.request.message {
            Some(message) => message.clone(),
            None => format!("dvc: commit experiment {}", experiment_hash(&done)),
        };
        Draft {
            parent: self.baseline,
            base: None,
            changes,
            message,
            author: None,
            time: self.project.now(),
        }
    }

    fn record_of(&self, report: &RunReport) -> RunRecord {
        let failed = report
            .stages
            .iter()
            .find(|stage| matches!(stage.outcome, Outcome::Failed(_) | Outcome::Cancelled));
        let end =
            if report.ended == Ended::Cancelled { RunEnd::Interrupted } else { RunEnd::Failed };
        let (mut exit_code, mut signal, mut message) = (None, None, None);
        if let Some(StageReport { outcome: Outcome::Failed(failure), .. }) = failed {
            match failure {
                Failure::Exit(Exit::Code { code, .. }) => exit_code = Some(*code),
                Failure::Exit(Exit::Signal { signal: number, .. }) => signal = Some(*number),
                other => message = Some(other.to_string()),
            }
        }
        RunRecord {
            end,
            stage: failed.map(|stage| stage.id.to_string()),
            exit_code,
            signal,
            message,
            started: self.started,
            took: Some(self.start.elapsed()),
            host: host(),
            overrides: self.overrides(),
        }
    }

    fn overrides(&self) -> Vec<String> {
        self.request.overrides.iter().map(exp_params::ParamChange::to_text).collect()
    }

    fn env(&self) -> Vec<(String, String)> {
        vec![
            ("DVC_ROOT".to_owned(), self.project.root().display().to_string()),
            ("DVC_EXP_NAME".to_owned(), self.name.to_string()),
            ("DVC_EXP_BASELINE_REV".to_owned(), self.baseline.to_string()),
        ]
    }

    /// Returns the name, or a variant of it when a run that did not finish has it already.
    fn unfinished_name(&self) -> ExpName {
        let taken = |name: &ExpName| {
            self.existing.iter().any(|other| {
                !other.is_finished && other.baseline == self.baseline && other.name == *name
            })
        };
        let variants =
            (2..u32::MAX).filter_map(|n| ExpName::new(&format!("{}-{n}", self.name)).ok());
        let mut names = std::iter::once(self.name.clone()).chain(variants);
        // Two runs of one name cannot both be kept; with four billion taken the ref itself says so.
        names.find(|name| !taken(name)).unwrap_or_else(|| self.name.clone())
    }
}

/// Makes the commit of a run that did not finish say what that run wrote and nothing else.
///
/// What Git keeps of stages that had yet to run would be the baseline's, so it is left out; what the failed stage
/// had written is there, metrics that would go to the store included.
fn settle_unfinished(
    project: &Project,
    view: &View,
    report: &RunReport,
    changes: &mut Vec<TreeChange>,
) -> Result<(), Error> {
    let outcome = |id: &StageId| {
        report.stages.iter().find(|stage| stage.id == *id).map(|stage| &stage.outcome)
    };
    for stage in &view.stages {
        match outcome(&stage.id) {
            Some(
                Outcome::Cancelled
                | Outcome::Failed(Failure::Exit(_) | Failure::OutNotProduced { .. }),
            ) => {
                snapshot::add_partial(project, stage, changes)?;
            }
            Some(Outcome::Skipped { .. } | Outcome::NotStarted | Outcome::Failed(_)) => {
                snapshot::leave_out(project, stage, changes)?;
            }
            _ => {}
        }
    }
    Ok(())
}
