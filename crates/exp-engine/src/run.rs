//! Running a pipeline: as a plain reproduction, or as an experiment that is recorded.
//!
//! The workspace is where stages run, unless a private work tree is asked for. `HEAD`, the index, the stash and
//! branches are never touched: the experiment's commit is made of trees.

mod attempt;
mod job;
mod session;
mod staged;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exp_core::{Ctx, Event, ExecuteOptions, RelPath, RunReport, Selection};
use exp_params::{Format, ParamChange};
use exp_refs::{CommitId, ExpName, Experiment, Names};

use crate::change::Changes;
use crate::composition::Composition;
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::logs::Logs;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;
use crate::submodule;
use crate::trace::Tracer;
use crate::worktree;

use attempt::Attempt;
pub(crate) use job::{JobRun, oom_kills};
use session::Session;

/// The logs of a reproduction stand beside those of experiments, under a name that none of them can have.
const REPRO: &str = ".repro";

/// What is asked of a reproduction; by default every stage, as a plain `dvc repro` does it.
#[derive(Debug, Clone, Default)]
pub struct ReproRequest {
    /// Which stages; see [`Selection`].
    pub selection: Selection,
    /// How they are executed.
    pub execute: ExecuteOptions,
    /// What watches the files that their commands open, if anything does.
    pub trace: Option<Tracer>,
    /// Whether outputs that are recorded and stored and simply not there are brought first, data sources too. A run of an
    /// experiment always does.
    pub bring: bool,
    /// Whether the outputs of an earlier run with the same inputs are fetched from their remotes when the store lacks them.
    /// Whatever is recorded of earlier runs has to be in the store's run cache already: see [`Project::fetch_data`].
    pub fetch: bool,
    /// Whether metrics are told while they are written, as [`StageEvent::Metrics`](exp_core::StageEvent::Metrics). Files are
    /// looked at for that some times a second.
    pub live: bool,
}

/// What came of a reproduction.
#[derive(Debug)]
pub struct ReproOutcome {
    /// What became of each stage.
    pub report: RunReport,
    /// The lock files, `.dvc` and `.gitignore` files that were written, sorted.
    pub written: Vec<RelPath>,
    /// The directory, absolute, with what the commands of each stage wrote; until the next reproduction.
    pub logs: PathBuf,
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
    /// Whether `params.yaml` is composed first.
    pub composition: Composition,
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
    /// Every success is recorded at once; a later failure does not take it back. The operation can be undone, unless
    /// outputs are not to go into the store.
    ///
    /// # Errors
    ///
    /// When nothing could be started: a broken pipeline, an unknown target, another run under way. A stage that fails
    /// is part of the report.
    pub fn reproduce(&self, ctx: &Ctx<'_>, request: &ReproRequest) -> Result<ReproOutcome, Error> {
        let hold = Hold::workspace(ctx, self)?;
        recover::recover(self, ctx)?;
        let logs = self.scratch().join("logs").join(REPRO);
        let session = Session::prepare(self, &request.selection)?.with(Vec::new(), Logs::at(&logs));
        let mut changes = Changes::begin(self, OperationKind::Run, "repro");
        if request.bring {
            session.bring_missing(ctx, &mut changes)?;
        }
        let (report, changes) = session.execute(ctx, request, HashMap::new(), changes, &hold)?;
        let is_ours = |path: &&RelPath| {
            let name = path.file_name().unwrap_or_default();
            matches!(name, "dvc.lock" | "exp.lock" | ".gitignore")
                || name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty())
        };
        let mut written: Vec<RelPath> = changes.touched().iter().filter(is_ours).cloned().collect();
        written.sort();
        if request.execute.commit {
            changes.finish(&Ctx::silent())?;
        } else {
            // To be undone the operation would have to keep what the outputs hold now, which was just declined.
            changes.discard()?;
        }
        Ok(ReproOutcome { report, written, logs })
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
        let (baseline, existing, name) = self.admit(request.name.as_deref(), request.replace)?;
        let hold = match request.place {
            Place::Workspace => Hold::workspace(ctx, self)?,
            Place::Private { .. } => Hold::nothing(),
        };
        recover::recover(self, ctx)?;
        let overlay = self.overridden(&request.overrides, &request.cwd, request.composition)?;
        if request.repro.execute.dry {
            let session = Session::prepare(self, &request.repro.selection)?;
            let changes = Changes::begin(self, OperationKind::Run, name.as_str());
            let overrides: Vec<String> =
                request.overrides.iter().map(exp_params::ParamChange::to_text).collect();
            ctx.emit(Event::Run {
                name: name.as_str(),
                baseline: &baseline.to_string(),
                overrides: &overrides,
            });
            let (report, changes) =
                session.execute(ctx, &request.repro, overlay, changes, &hold)?;
            changes.discard()?;
            return Ok(RunOutcome { report, baseline, kept: None, took: start.elapsed() });
        }
        let overrides = request.overrides.iter().map(ParamChange::to_text).collect();
        let named = request.name.is_some() || request.message.is_some();
        let mut attempt = Attempt {
            project: self,
            baseline,
            name,
            message: request.message.as_deref(),
            overrides,
            may_be_same: !named,
            started,
            start,
            repro: &request.repro,
            existing,
            job: None,
            left_out: (Vec::new(), 0),
            submodules: submodule::capture(self)?,
        };
        match &request.place {
            Place::Workspace => attempt.in_workspace(ctx, &overlay, &hold),
            Place::Private { copy } => {
                ctx.check()?;
                let (tree, left_out) = worktree::workspace_tree(ctx, self, baseline, &overlay)?;
                attempt.left_out = left_out;
                attempt.in_private(ctx, tree, &request.cwd, copy, &hold)
            }
        }
    }

    /// Refuses what [`Project::run`] would refuse before it looks at the pipeline, for an experiment of this name, or of a
    /// generated one. Nothing is changed.
    ///
    /// # Errors
    ///
    /// No commit, no identity, a name that cannot be one, or that is taken and not to be replaced.
    pub fn check_run(&self, name: Option<&str>, replace: bool) -> Result<(), Error> {
        self.admit(name, replace).map(drop)
    }

    /// Returns the commit that a run would start from, the experiments that there are, and its name.
    fn admit(
        &self,
        name: Option<&str>,
        replace: bool,
    ) -> Result<(CommitId, Vec<Experiment>, ExpName), Error> {
        let baseline = self.git().head()?.commit.ok_or(Error::NoCommit)?;
        self.git().author()?;
        let existing = self.experiments().list()?;
        let name = chosen_name(name, replace, baseline, &existing)?;
        Ok((baseline, existing, name))
    }

    /// Returns the new texts of the parameter files that the overrides change, and of the one that is composed.
    pub(crate) fn overridden(
        &self,
        overrides: &[ParamChange],
        cwd: &RelPath,
        composition: Composition,
    ) -> Result<HashMap<RelPath, String>, Error> {
        let mut texts: HashMap<RelPath, String> = HashMap::new();
        let composed = self.composes(composition);
        let mut by_file: Vec<(RelPath, Vec<exp_params::Override>)> =
            composed.iter().map(|file| (file.clone(), Vec::new())).collect();
        for change in overrides {
            let file = match (&change.file, &composed) {
                (None, Some(composed)) => composed.clone(),
                (file, _) => cwd.join(file.as_deref().unwrap_or("params.yaml"))?,
            };
            match by_file.iter_mut().find(|(other, _)| *other == file) {
                Some((_, overrides)) => overrides.push(change.change.clone()),
                None => by_file.push((file, vec![change.change.clone()])),
            }
        }
        for (file, overrides) in by_file {
            if composed.as_ref() == Some(&file) {
                texts.insert(file, self.compose(&overrides)?);
                continue;
            }
            let path = file.under(self.root());
            let bytes =
                files::read(&path)?.ok_or_else(|| Error::NoParamFile { file: file.clone() })?;
            let text =
                String::from_utf8(bytes).map_err(|_| Error::NotText { file: file.clone() })?;
            let text = exp_params::apply(Format::of(file.as_str()), &text, &overrides)
                .map_err(|source| Error::Apply { file: file.to_string(), source: source.into() })?;
            texts.insert(file, text);
        }
        Ok(texts)
    }
}

/// Decides the name of a new experiment.
fn chosen_name(
    name: Option<&str>,
    replace: bool,
    baseline: CommitId,
    existing: &[Experiment],
) -> Result<ExpName, Error> {
    let taken = |name: &ExpName| {
        existing
            .iter()
            .find(|other| other.baseline == baseline && other.is_finished && other.name == *name)
    };
    match name {
        Some(text) => {
            let name = ExpName::new(text)?;
            match taken(&name) {
                Some(other) if !replace => {
                    Err(exp_refs::EditError::Exists { name, commit: other.commit }.into())
                }
                _ => Ok(name),
            }
        }
        None => Ok(generated_name(existing)),
    }
}

/// Returns a name that no experiment of the repository has.
pub(crate) fn generated_name(existing: &[Experiment]) -> ExpName {
    let taken: BTreeSet<&ExpName> = existing.iter().map(|other| &other.name).collect();
    let is_free = |name: &ExpName| !taken.contains(name);
    name_generator().find(is_free).expect("the names never end")
}

/// Returns names without end, others at each call.
pub(crate) fn name_generator() -> Names {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = u64::from(now.subsec_nanos())
        ^ (now.as_secs() << 20)
        ^ (u64::from(std::process::id()) << 40);
    Names::new(seed)
}

/// Returns the name of the machine, when it has one.
pub(crate) fn host() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}
