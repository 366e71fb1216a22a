//! Running a pipeline: as a plain reproduction, or as an experiment that is recorded.
//!
//! The workspace is where stages run, unless a private work tree is asked for. `HEAD`, the index, the stash and
//! branches are never touched: the experiment's commit is made of trees.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use exp_core::{
    Ctx, Ended, ExecuteOptions, Exit, Failure, Job, Outcome, RelPath, RunReport, Selection,
    Sources, Stage, StageId, StageLock, StageReport, Timestamp, execute, experiment_hash, select,
};
use exp_params::{Format, ParamChange};
use exp_refs::{
    CommitId, Draft, ExpName, Expected, Experiment, Names, RunEnd, RunRecord, TreeChange,
};

use crate::change::{Changes, RunJournal};
use crate::error::Error;
use crate::files::{self, FileError};
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::{WorkspaceArtifacts, WorkspaceInputs};
use crate::project::Project;
use crate::recover;
use crate::shell::ShellExecutor;
use crate::snapshot;
use crate::view::{Broken, View};

/// What is asked of a reproduction; by default every stage, as a plain `dvc repro` does it.
#[derive(Debug, Clone, Default)]
pub struct ReproRequest {
    /// Which stages; see [`Selection`].
    pub selection: Selection,
    /// How they are executed.
    pub execute: ExecuteOptions,
}

/// What is asked of an experiment; by default every stage in the workspace, nothing changed, under a generated name.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// What is run.
    pub repro: ReproRequest,
    /// Changes of parameters, in order; files are relative to `cwd`.
    pub overrides: Vec<ParamChange>,
    /// The directory, below the root, that paths of the request are relative to.
    pub cwd: RelPath,
    /// The name; generated when none is given.
    pub name: Option<String>,
    /// The message of the commit; DVC's when none is given.
    pub message: Option<String>,
    /// Whether an experiment of that name is replaced.
    pub replace: bool,
    /// Where it runs.
    pub place: Place,
}

/// Where an experiment runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// In the workspace, which holds the results afterwards.
    #[default]
    Workspace,
    /// In a private work tree of the workspace's code, which is removed afterwards.
    Private {
        /// Files and directories that Git does not track and the run needs, relative to `cwd`.
        copy: Vec<String>,
    },
}

/// What came of an experiment.
#[derive(Debug)]
pub struct RunOutcome {
    /// What became of each stage.
    pub report: RunReport,
    /// The commit that it started from.
    pub baseline: CommitId,
    /// How it is kept; `None` for a dry run.
    pub kept: Option<Kept>,
    /// From start to end.
    pub took: Duration,
}

/// How the result of a run is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// As a new experiment.
    Experiment(Experiment),
    /// Nothing new: code, parameters and results are those of this experiment.
    SameAs(Experiment),
    /// Nothing new: code, parameters and results are those of the baseline.
    SameAsBaseline,
    /// As a run that did not finish.
    Unfinished(Experiment),
}

impl Kept {
    /// Returns the experiment that holds the result; `None` when that is the baseline.
    pub fn experiment(&self) -> Option<&Experiment> {
        match self {
            Self::Experiment(experiment)
            | Self::SameAs(experiment)
            | Self::Unfinished(experiment) => Some(experiment),
            Self::SameAsBaseline => None,
        }
    }
}

impl Project {
    /// Reproduces stages in the workspace: runs what changed, restores what was run before, writes lock files.
    ///
    /// Every success is recorded at once; a later failure does not take it back. The operation can be undone.
    ///
    /// # Errors
    ///
    /// When nothing could be started: a broken pipeline, an unknown target, another run under way. A stage that fails
    /// is part of the report.
    pub fn reproduce(&self, ctx: &Ctx<'_>, request: &ReproRequest) -> Result<RunReport, Error> {
        let hold = Hold::workspace(self)?;
        recover::recover(self, ctx)?;
        let changes = Changes::begin(self, OperationKind::Run, "repro");
        let session = Session { project: self, env: Vec::new(), log: None };
        let (report, changes) = session.execute(ctx, request, HashMap::new(), changes, &hold)?;
        changes.finish(ctx)?;
        Ok(report)
    }

    /// Runs an experiment and records it, whether it ends well or not.
    ///
    /// # Errors
    ///
    /// When nothing could be started, and nothing was changed then: no commit, no identity, a taken name, a parameter
    /// that does not exist, a broken pipeline, another run under way. A stage that fails is part of the outcome.
    pub fn run(&self, ctx: &Ctx<'_>, request: &RunRequest) -> Result<RunOutcome, Error> {
        let start = Instant::now();
        let started = self.now();
        let baseline = self.git().head()?.commit.ok_or(Error::NoCommit)?;
        self.git().author()?;
        let existing = self.experiments().list()?;
        let name = self.name(request, baseline, &existing)?;
        let hold = match request.place {
            Place::Workspace => Hold::workspace(self)?,
            Place::Private { .. } => Hold::nothing(),
        };
        recover::recover(self, ctx)?;
        let overlay = self.overrides(request)?;
        if request.repro.execute.dry {
            let changes = Changes::begin(self, OperationKind::Run, name.as_str());
            let session = Session { project: self, env: Vec::new(), log: None };
            let (report, changes) =
                session.execute(ctx, &request.repro, overlay, changes, &hold)?;
            changes.discard()?;
            return Ok(RunOutcome { report, baseline, kept: None, took: start.elapsed() });
        }
        let run = Run { baseline, name, started, start, request, existing };
        match &request.place {
            Place::Workspace => run.in_workspace(self, ctx, overlay, &hold),
            Place::Private { copy } => run.in_private(self, ctx, overlay, copy, &hold),
        }
    }

    /// Decides the name of a new experiment.
    fn name(
        &self,
        request: &RunRequest,
        baseline: CommitId,
        existing: &[Experiment],
    ) -> Result<ExpName, Error> {
        let taken = |name: &ExpName| {
            existing.iter().find(|other| {
                other.baseline == baseline && other.is_finished && other.name == *name
            })
        };
        match &request.name {
            Some(text) => {
                let name = ExpName::new(text)?;
                match taken(&name) {
                    Some(other) if !request.replace => {
                        Err(exp_refs::EditError::Exists { name, commit: other.commit }.into())
                    }
                    _ => Ok(name),
                }
            }
            None => Ok(generated_name(existing)),
        }
    }

    /// Returns the new texts of the parameter files that the overrides change.
    fn overrides(&self, request: &RunRequest) -> Result<HashMap<RelPath, String>, Error> {
        let mut texts: HashMap<RelPath, String> = HashMap::new();
        let mut by_file: Vec<(RelPath, Vec<exp_params::Override>)> = Vec::new();
        for change in &request.overrides {
            let file = request.cwd.join(change.file.as_deref().unwrap_or("params.yaml"))?;
            match by_file.iter_mut().find(|(other, _)| *other == file) {
                Some((_, overrides)) => overrides.push(change.change.clone()),
                None => by_file.push((file, vec![change.change.clone()])),
            }
        }
        for (file, overrides) in by_file {
            let path = file.under(self.root());
            let bytes =
                files::read(&path)?.ok_or_else(|| Error::NoParamFile { file: file.clone() })?;
            let text =
                String::from_utf8(bytes).map_err(|_| Error::NotText { file: file.clone() })?;
            let text = exp_params::apply(Format::of(file.as_str()), &text, &overrides)
                .map_err(|source| Error::Apply { file: file.to_string(), source })?;
            texts.insert(file, text);
        }
        Ok(texts)
    }
}

/// Returns a name that no experiment of the repository has.
pub(crate) fn generated_name(existing: &[Experiment]) -> ExpName {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos() as u64)
        ^ (u64::from(std::process::id()) << 32);
    let taken: BTreeSet<&ExpName> = existing.iter().map(|other| &other.name).collect();
    let mut names = Names::new(seed);
    loop {
        let name = names.next().expect("the names never end");
        if !taken.contains(&name) {
            return name;
        }
    }
}

/// Executes stages in one workspace.
struct Session<'p> {
    project: &'p Project,
    env: Vec<(String, String)>,
    log: Option<PathBuf>,
}

impl Session<'_> {
    fn execute(
        &self,
        ctx: &Ctx<'_>,
        request: &ReproRequest,
        overlay: HashMap<RelPath, String>,
        changes: Changes,
        hold: &Hold,
    ) -> Result<(RunReport, Changes), Error> {
        let project = self.project;
        let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
        let pipeline = view.pipeline()?;
        let order = select(&pipeline, &request.selection)?;
        let inputs = WorkspaceInputs::new(project, overlay);
        let artifacts = WorkspaceArtifacts::new(project, &inputs, changes);
        let mut options = project.options().shell.clone();
        options.env.push(("DVC_ROOT".into(), project.root().into()));
        options.env.extend(self.env.iter().map(|(name, value)| (name.into(), value.into())));
        let mut executor = ShellExecutor::new(project.root(), options);
        if let Some(path) = &self.log {
            executor = executor.with_log(open_log(path)?);
        }
        let journal = artifacts.changes().journal_path().to_path_buf();
        executor = executor.with_watch(Box::new(move |group| recover::note_group(&journal, group)));
        let recorded = |id: &StageId| view.recorded(id).cloned();
        let sources = Sources { recorded: &recorded, inputs: &inputs, artifacts: &artifacts };
        let job = Job { pipeline: &pipeline, order: &order, sources, executor: &executor };
        let report = hold.released(|| execute(ctx, job, &request.execute))??;
        Ok((report, artifacts.into_changes()))
    }
}

/// An experiment under way.
struct Run<'r> {
    baseline: CommitId,
    name: ExpName,
    started: Timestamp,
    start: Instant,
    request: &'r RunRequest,
    existing: Vec<Experiment>,
}

impl Run<'_> {
    fn in_workspace(
        self,
        project: &Project,
        ctx: &Ctx<'_>,
        overlay: HashMap<RelPath, String>,
        hold: &Hold,
    ) -> Result<RunOutcome, Error> {
        // What cannot be run is refused before anything is written: the pipeline is read with the new parameters only
        // after they are in place, because templates may use them.
        View::load(&project.workspace(), project.root(), Broken::Fail)?.pipeline()?;
        let mut changes = Changes::begin(project, OperationKind::Run, self.name.as_str());
        let log = project.scratch().join("logs").join(format!("{}.log", self.name));
        changes.set_run(RunJournal {
            name: self.name.to_string(),
            baseline: self.baseline.to_string(),
            work_tree: None,
            started: self.started.seconds,
            overrides: self.overrides(),
            unfinished: Vec::new(),
            begun: Vec::new(),
            log: log.clone(),
        })?;
        for (file, text) in &overlay {
            changes.write(ctx, file, text.as_bytes())?;
        }
        note_unfinished(project, &mut changes, &self.request.repro.selection)?;
        let session = Session { project, env: self.env(project), log: Some(log.clone()) };
        let journal = changes.journal_path().to_path_buf();
        let executed = session.execute(ctx, &self.request.repro, HashMap::new(), changes, hold);
        let (report, mut changes) = match executed {
            Ok(done) => done,
            Err(error) => {
                // Nothing ran: the parameters go back to what they were.
                recover::roll_back(project, ctx, &journal)?;
                return Err(error);
            }
        };
        let kept = self.keep(project, ctx, &report, &mut changes, &log)?;
        changes.finish(ctx)?;
        files::remove(&log)?;
        let took = self.start.elapsed();
        Ok(RunOutcome { report, baseline: self.baseline, kept: Some(kept), took })
    }

    fn in_private(
        self,
        project: &Project,
        ctx: &Ctx<'_>,
        overlay: HashMap<RelPath, String>,
        copy: &[String],
        hold: &Hold,
    ) -> Result<RunOutcome, Error> {
        let tree = crate::worktree::PrivateTree::create(project, ctx, self.baseline, &overlay)?;
        tree.copy(project, &self.request.cwd, copy)?;
        let inside = project.at_work_tree(tree.root())?;
        let log = project.scratch().join("logs").join(format!("{}.log", self.name));
        let mut changes = Changes::begin(project, OperationKind::Run, self.name.as_str());
        changes.set_run(RunJournal {
            name: self.name.to_string(),
            baseline: self.baseline.to_string(),
            work_tree: Some(tree.root().to_path_buf()),
            started: self.started.seconds,
            overrides: self.overrides(),
            unfinished: Vec::new(),
            begun: Vec::new(),
            log: log.clone(),
        })?;
        note_unfinished(&inside, &mut changes, &self.request.repro.selection)?;
        let session = Session { project: &inside, env: self.env(project), log: Some(log.clone()) };
        // Paths of the private tree are nobody's work and need not be noted.
        let scratch = Changes::unnoted(&inside);
        let (report, scratch) =
            session.execute(ctx, &self.request.repro, HashMap::new(), scratch, hold)?;
        let kept =
            self.keep_from(project, &inside, ctx, &report, &mut changes, scratch.touched(), &log)?;
        drop(scratch);
        changes.finish(ctx)?;
        files::remove(&log)?;
        tree.remove()?;
        let took = self.start.elapsed();
        Ok(RunOutcome { report, baseline: self.baseline, kept: Some(kept), took })
    }

    fn keep(
        &self,
        project: &Project,
        ctx: &Ctx<'_>,
        report: &RunReport,
        changes: &mut Changes,
        log: &PathBuf,
    ) -> Result<Kept, Error> {
        let touched = changes.touched().clone();
        self.keep_from(project, project, ctx, report, changes, &touched, log)
    }

    /// Records the state of the workspace `inside` as what came of this run.
    #[expect(clippy::too_many_arguments, reason = "the facts of one run")]
    fn keep_from(
        &self,
        project: &Project,
        inside: &Project,
        ctx: &Ctx<'_>,
        report: &RunReport,
        changes: &mut Changes,
        touched: &std::collections::HashSet<RelPath>,
        log: &PathBuf,
    ) -> Result<Kept, Error> {
        let _ = ctx;
        let view = View::load(&inside.workspace(), inside.root(), Broken::Note)?;
        let mut tree_changes =
            snapshot::changes(inside, &view, &touched.iter().cloned().collect())?;
        if report.ended != Ended::Complete {
            settle_unfinished(inside, &view, report, &mut tree_changes)?;
            let record = self.record_of(report);
            let text = files::read(log)?;
            let draft = self.draft(project, tree_changes, report);
            let experiment = project.experiments().save_run(
                &draft,
                &unused(&self.name, self),
                &record,
                text.as_deref(),
            )?;
            changes.moved_ref(&experiment.ref_name, None, Some(experiment.commit));
            return Ok(Kept::Unfinished(experiment));
        }
        if self.request.name.is_none() && self.request.message.is_none() {
            let base = project.git().commit(self.baseline)?.tree;
            let tree = project.git().write_tree(base, &tree_changes)?;
            if tree == base {
                return Ok(Kept::SameAsBaseline);
            }
            for other in self
                .existing
                .iter()
                .filter(|other| other.is_finished && other.baseline == self.baseline)
            {
                if project.git().commit(other.commit)?.tree == tree {
                    return Ok(Kept::SameAs(other.clone()));
                }
            }
        }
        let before = (self.existing.iter()).find(|other| {
            other.is_finished && other.baseline == self.baseline && other.name == self.name
        });
        let expected = before.map_or(Expected::Missing, |other| Expected::Is(other.commit));
        let draft = self.draft(project, tree_changes, report);
        let experiment = project.experiments().save(&draft, &self.name, expected)?;
        changes.moved_ref(
            &experiment.ref_name,
            before.map(|other| other.commit),
            Some(experiment.commit),
        );
        Ok(Kept::Experiment(experiment))
    }

    fn draft(&self, project: &Project, changes: Vec<TreeChange>, report: &RunReport) -> Draft {
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
            time: project.now(),
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
        self.request.overrides.iter().map(ToString::to_string).collect()
    }

    fn env(&self, project: &Project) -> Vec<(String, String)> {
        vec![
            ("DVC_ROOT".to_owned(), project.root().display().to_string()),
            ("DVC_EXP_NAME".to_owned(), self.name.to_string()),
            ("DVC_EXP_BASELINE_REV".to_owned(), self.baseline.to_string()),
        ]
    }
}

/// Returns the name of the machine, when it has one.
pub(crate) fn host() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

/// Returns `name`, or a variant of it when a run that did not finish has it already.
fn unused(name: &ExpName, run: &Run<'_>) -> ExpName {
    let taken = |name: &ExpName| {
        run.existing.iter().any(|other| {
            !other.is_finished && other.baseline == run.baseline && other.name == *name
        })
    };
    if !taken(name) {
        return name.clone();
    }
    (2..)
        .filter_map(|n| ExpName::new(&format!("{name}-{n}")).ok())
        .find(|name| !taken(name))
        .expect("numbers never end")
}

/// Notes which stages are to run, so that a run that dies is not credited with what it never wrote.
fn note_unfinished(
    project: &Project,
    changes: &mut Changes,
    selection: &Selection,
) -> Result<(), Error> {
    let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
    let pipeline = view.pipeline()?;
    let order = select(&pipeline, selection)?;
    let stages: Vec<&Stage> = order.iter().filter_map(|id| pipeline.stage(id)).collect();
    let unfinished = stages
        .iter()
        .filter(|stage| stage.cmd.is_some())
        .map(|stage| stage.id.to_string())
        .collect();
    changes.update_run(|run| run.unfinished = unfinished)
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

fn open_log(path: &PathBuf) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
    }
    Ok(File::options().create(true).append(true).open(path).map_err(FileError::at("open", path))?)
}
