//! One attempt at an experiment: where it runs, and how what came of it is kept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use exp_core::{
    Ctx, Ended, Event, Exit, Failure, Outcome, RelPath, RunReport, StageId, StageLock, StageReport,
    Timestamp, Warning, experiment_hash,
};
use exp_refs::{
    CommitId, Draft, EditError, ExpName, Expected, Experiment, ExperimentStore, LeftOut, RefName,
    RunEnd, RunRecord, SubmoduleState, TreeChange, TreeId, UpdateError,
};

use crate::change::{Changes, RunJournal};
use crate::environment;
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::left_out;
use crate::logs::Logs;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::queue::Outcome as JobOutcome;
use crate::recover;
use crate::shell::family::Family;
use crate::snapshot;
use crate::view::{Broken, View};
use crate::worktree::PrivateTree;

use super::job::{JobRun, kept_of};
use super::session::Session;
use super::staged::Staged;
use super::{Kept, ReproRequest, RunOutcome, host};

/// How many names a job tries for its result.
const MOST_NAMES: u32 = 1000;

/// Whether a run finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finished {
    Yes,
    No,
}

/// An experiment under way.
pub(super) struct Attempt<'r> {
    pub(super) project: &'r Project,
    pub(super) baseline: CommitId,
    pub(super) name: ExpName,
    /// The message of the commit; DVC's when there is none.
    pub(super) message: Option<&'r str>,
    /// The changes of parameters, as they were asked for.
    pub(super) overrides: Vec<String>,
    /// Whether a result that there is already is not kept again.
    pub(super) may_be_same: bool,
    pub(super) started: Timestamp,
    pub(super) start: Instant,
    pub(super) repro: &'r ReproRequest,
    /// The experiments that there were; none are looked up for a job, which publishes under the first name that is free.
    pub(super) existing: Vec<Experiment>,
    /// The job that it is, when it is one of the queue.
    pub(super) job: Option<&'r JobRun<'r>>,
    /// Files that were there and that a private work tree does not get, and how many there are.
    pub(super) left_out: (Vec<LeftOut>, u64),
    /// What the submodules were at.
    pub(super) submodules: Vec<SubmoduleState>,
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
        let staged = Staged::note(self.project);
        let executed = (|| {
            changes.set_run(self.journal(None))?;
            for (file, text) in overlay {
                changes.write(ctx, file, text.as_bytes())?;
            }
            // The pipeline is read with the new parameters in place, because templates may use them.
            self.execute(self.project, ctx, changes, hold)
        })();
        match executed {
            Ok((report, changes)) => {
                let outcome = self.finish(ctx, self.project, None, report, changes)?;
                if let Err(error) = staged.give_back(self.project) {
                    let what = "Git's index".to_owned();
                    ctx.warn(&Warning::Unreadable { what, why: error.to_string() });
                }
                Ok(outcome)
            }
            Err(error) => {
                // Nothing ran: the workspace goes back to what it was.
                recover::roll_back(self.project, ctx, &journal)?;
                Err(error)
            }
        }
    }

    /// Runs the files of `tree` in a private work tree, which is removed afterwards, with all processes that are left.
    pub(super) fn in_private(
        self,
        ctx: &Ctx<'_>,
        tree: TreeId,
        cwd: &RelPath,
        copy: &[String],
        hold: &Hold,
    ) -> Result<RunOutcome, Error> {
        let place = PrivateTree::reserve(self.project);
        let root = self.project.prefix().under(place.root());
        // The files of the private tree are nobody's work and need not be noted.
        let kind = OperationKind::Run;
        let mut changes = Changes::of_refs_only(self.project, &root, kind, self.name.as_str());
        changes.set_run(self.journal(Some(place.root().to_path_buf())))?;
        let journal = changes.journal_path().to_path_buf();
        let family = Family::of_operation(&changes.id());
        let done = (|| -> Result<RunOutcome, Error> {
            place.fill(self.project, (self.baseline, tree), &self.submodules)?;
            place.copy(self.project, cwd, copy)?;
            let inside = self.project.at_work_tree(place.root())?;
            if let Some(job) = self.job {
                job.queue.carry_in(job.job.number, &inside)?;
            }
            let (report, changes) = self.execute(&inside, ctx, changes, hold)?;
            family.end(self.project.options().shell.grace);
            if let Some(tracer) = &self.repro.trace {
                tracer.keep(inside.traces(tracer)?);
            }
            self.finish(ctx, &inside, Some(&place), report, changes)
        })();
        if done.is_err() {
            family.end(self.project.options().shell.grace);
            place.remove()?;
            files::remove(&journal)?;
        }
        done
    }

    fn execute(
        &self,
        inside: &Project,
        ctx: &Ctx<'_>,
        mut changes: Changes,
        hold: &Hold,
    ) -> Result<(RunReport, Changes), Error> {
        let session = Session::prepare(inside, &self.repro.selection)?
            .with(self.env(), self.logs())
            .noting_in(self.project);
        let environment = environment::capture(self.project, inside, session.stages());
        changes.update_run(|run| {
            run.unfinished = session.runnable();
            run.environment = Some(environment);
        })?;
        session.bring_missing(ctx, &mut changes)?;
        ctx.emit(Event::Run {
            name: self.name.as_str(),
            baseline: &self.baseline.to_string(),
            overrides: &self.overrides,
        });
        let (report, changes) = session.execute(ctx, self.repro, HashMap::new(), changes, hold)?;
        match declined_at_once(&report) {
            Some(stage) => Err(Error::Declined { stage }),
            None => Ok((report, changes)),
        }
    }

    /// Keeps what came of a run and removes its work tree, if it had one.
    fn finish(
        &self,
        ctx: &Ctx<'_>,
        inside: &Project,
        place: Option<&PrivateTree>,
        report: RunReport,
        mut changes: Changes,
    ) -> Result<RunOutcome, Error> {
        let kept = self.keep(ctx, inside, &report, &mut changes)?;
        if let Kept::Experiment(experiment) | Kept::Unfinished(experiment) = &kept {
            let stages = report.stages.iter().map(|stage| stage.id.to_string());
            self.logs().note(experiment.commit, stages.collect());
        }
        if let Some(job) = self.job {
            let mut end = job.ending(self, &report);
            let experiment = kept_of(&kept);
            if let Some(experiment) = experiment {
                end.keeps(experiment);
            }
            if end.outcome != JobOutcome::Done {
                // Before the end, because the next attempt may begin right after it.
                job.queue.carry_out(job.job.number, inside)?;
            }
            job.end(self.project, &end, experiment)?;
        }
        // The journal goes last: with it, whoever comes next removes what is left of the work tree.
        if let Some(place) = place {
            place.remove()?;
        }
        if self.job.is_some() {
            // The log is of what somebody did here and may want to undo.
            changes.discard()?;
        } else {
            // What was done is written down also when everybody wants the end.
            changes.finish(&Ctx::silent())?;
        }
        let took = self.start.elapsed();
        Ok(RunOutcome { report, baseline: self.baseline, kept: Some(kept), took })
    }

    fn logs(&self) -> Logs {
        Logs::at(&self.logs_dir())
    }

    fn logs_dir(&self) -> PathBuf {
        match self.job {
            Some(job) => job.queue.attempt_logs(job.job),
            None => self.project.scratch().join("logs").join(self.name.as_str()),
        }
    }

    fn journal(&self, work_tree: Option<PathBuf>) -> RunJournal {
        RunJournal {
            name: self.name.to_string(),
            baseline: self.baseline.to_string(),
            work_tree,
            started: self.started.seconds,
            overrides: self.overrides.clone(),
            unfinished: Vec::new(),
            begun: Vec::new(),
            logs: self.logs_dir(),
            job: self.job.map(|job| job.job),
            ending: None,
            environment: None,
            left_out: self.left_out.clone(),
        }
    }

    /// Records the state of the workspace `inside` as what came of this run.
    fn keep(
        &self,
        ctx: &Ctx<'_>,
        inside: &Project,
        report: &RunReport,
        changes: &mut Changes,
    ) -> Result<Kept, Error> {
        let view = View::load(&inside.workspace(), inside.root(), Broken::Note)?;
        let mut tree_changes =
            snapshot::changes(inside, &view, &changes.touched().iter().cloned().collect())?;
        let record = self.record_of(ctx, (inside, &view), report, &tree_changes, changes);
        if report.ended != Ended::Complete {
            settle_unfinished(inside, &view, report, &mut tree_changes)?;
            snapshot::adopt(self.project, inside, &tree_changes)?;
            let stages: Vec<String> =
                report.stages.iter().map(|stage| stage.id.to_string()).collect();
            let log = self.logs().gather(stages.iter().map(String::as_str))?;
            let draft = self.draft(tree_changes, report, None);
            let draft = ExperimentStore::draft_of_run(&draft, &record, log.as_deref());
            let name = self.unfinished_name();
            let experiment = self.publish(&draft, &name, Finished::No, None, report, changes)?;
            return Ok(Kept::Unfinished(experiment));
        }
        snapshot::adopt(self.project, inside, &tree_changes)?;
        if self.may_be_same {
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
        let before = match self.job {
            Some(job) if job.spec.replace => {
                self.project.git().read_ref(&RefName::experiment(self.baseline, &self.name))?
            }
            _ => (self.existing.iter())
                .find(|other| {
                    other.is_finished && other.baseline == self.baseline && other.name == self.name
                })
                .map(|other| other.commit),
        };
        let draft = self.draft(tree_changes, report, Some(Box::new(record)));
        let name = &self.name;
        Ok(Kept::Experiment(self.publish(&draft, name, Finished::Yes, before, report, changes)?))
    }

    /// Makes the commit, writes down which ref is about to appear, and lets it appear. A job takes another name when its own
    /// was given to something else meanwhile: its result must not get lost.
    fn publish(
        &self,
        draft: &Draft,
        name: &ExpName,
        finished: Finished,
        before: Option<CommitId>,
        report: &RunReport,
        changes: &mut Changes,
    ) -> Result<Experiment, Error> {
        let commit = self.project.git().write_commit(draft)?;
        let is_finished = finished == Finished::Yes;
        let mut experiment = Experiment::new(self.baseline, name.clone(), commit, is_finished);
        let mut expected = before.map_or(Expected::Missing, Expected::Is);
        let mut n = 1;
        loop {
            changes.moving_ref(&experiment.ref_name, before, commit);
            if let Some(job) = self.job {
                let mut end = job.ending(self, report);
                end.keeps(&experiment);
                changes.update_run(|run| run.ending = Some(end))?;
            } else {
                changes.announce()?;
            }
            match self.project.experiments().keep(&experiment, expected) {
                Ok(()) => return Ok(experiment),
                Err(EditError::Exists { .. } | EditError::Update(UpdateError::Locked { .. }))
                    if self.job.is_some() && n < MOST_NAMES =>
                {
                    n += 1;
                    let name = ExpName::new(&format!("{name}-{n}"))?;
                    experiment = Experiment::new(self.baseline, name, commit, is_finished);
                    expected = Expected::Missing;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn draft(
        &self,
        changes: Vec<TreeChange>,
        report: &RunReport,
        record: Option<Box<RunRecord>>,
    ) -> Draft {
        let done: Vec<(String, StageLock)> = (report.stages.iter())
            .filter(|stage| matches!(stage.outcome, Outcome::Ran | Outcome::Restored(_)))
            .filter_map(|stage| Some((stage.id.name.clone()?, stage.lock.clone()?)))
            .collect();
        let message = match self.message {
            Some(message) => message.to_owned(),
            None => format!("dvc: commit experiment {}", experiment_hash(&done)),
        };
        Draft {
            parent: self.baseline,
            base: None,
            changes,
            message,
            author: None,
            time: self.project.now(),
            record,
        }
    }

    /// Returns what is known of the run, whose commit has `kept` beside what the baseline has.
    fn record_of(
        &self,
        ctx: &Ctx<'_>,
        (inside, view): (&Project, &View),
        report: &RunReport,
        kept: &[TreeChange],
        changes: &Changes,
    ) -> RunRecord {
        let failed = report
            .stages
            .iter()
            .find(|stage| matches!(stage.outcome, Outcome::Failed(_) | Outcome::Cancelled));
        let end = match report.ended {
            Ended::Complete => RunEnd::Finished,
            Ended::Cancelled => RunEnd::Interrupted,
            Ended::Failed => RunEnd::Failed,
        };
        let (mut exit_code, mut signal, mut message) = (None, None, None);
        if let Some(StageReport { outcome: Outcome::Failed(failure), .. }) = failed {
            match failure {
                Failure::Exit(Exit::Code { code, .. }) => exit_code = Some(*code),
                Failure::Exit(Exit::Signal { signal: number, .. }) => signal = Some(*number),
                other => message = Some(other.to_string()),
            }
        }
        let mut environment = changes.run().and_then(|run| run.environment.clone());
        if environment.as_ref().is_some_and(|found| found.python.is_none()) {
            // A package manager may have made it meanwhile.
            let stages = view.stages.iter().filter(|stage| stage.cmd.is_some());
            environment = Some(environment::capture(self.project, inside, stages));
        }
        let (left_out, n_left_out) = if inside.root() == self.project.root() {
            let kept = kept.iter().map(|change| change.path.clone()).collect();
            // The result counts for more than what lies beside it.
            left_out::beside(ctx, inside, view, &kept).unwrap_or_default()
        } else {
            self.left_out.clone()
        };
        RunRecord {
            end,
            environment,
            left_out,
            n_left_out,
            submodules: self.submodules.clone(),
            stage: failed.map(|stage| stage.id.to_string()),
            exit_code,
            signal,
            message,
            started: self.started,
            took: Some(self.start.elapsed()),
            host: host(),
            overrides: self.overrides.clone(),
        }
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

/// Returns the stage that was declined when no other did anything.
fn declined_at_once(report: &RunReport) -> Option<StageId> {
    let is_idle = report.stages.iter().all(|stage| {
        matches!(
            stage.outcome,
            Outcome::Fresh
                | Outcome::NotStarted
                | Outcome::Skipped { .. }
                | Outcome::Failed(Failure::Declined)
        )
    });
    let mut stages = report.stages.iter();
    let declined = stages.find(|stage| matches!(stage.outcome, Outcome::Failed(Failure::Declined)));
    declined.filter(|_| is_idle).map(|stage| stage.id.clone())
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
    for stage in view.stages.iter() {
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
