//! Stages executed in one workspace, over the real ports.

use std::collections::HashMap;
use std::time::Duration;

use exp_core::{
    Cancel, Ctx, Event, ExecuteOptions, Exit, Job, Location, Pipeline, PipelineFile, RelPath,
    RunReport, Selection, Sources, Stage, StageEvent, StageExecutor, StageId, StageOutcome,
    StageSettings, Until, execute,
};

use crate::change::Changes;
use crate::error::Error;
use crate::history::History;
use crate::hold::Hold;
use crate::live::Lookout;
use crate::logs::Logs;
use crate::machine::Lease;
use crate::ports::{IgnoreBelow, WorkspaceArtifacts, WorkspaceInputs};
use crate::project::Project;
use crate::ranks::Ranks;
use crate::recover;
use crate::shell::{Launch, ShellExecutor, family};
use crate::view::{Broken, View};

use super::ReproRequest;

/// The pipeline of one workspace, read and ordered.
pub(super) struct Session<'p> {
    project: &'p Project,
    view: View,
    pipeline: Pipeline,
    order: Vec<StageId>,
    env: Vec<(String, String)>,
    logs: Option<Logs>,
    history: History,
}

impl<'p> Session<'p> {
    /// Reads the pipeline of `project` and selects stages of it. Nothing is changed.
    pub(super) fn prepare(project: &'p Project, selection: &Selection) -> Result<Self, Error> {
        let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
        let pipeline = view.pipeline()?.clone();
        for dep in view.stages.iter().flat_map(|stage| &stage.deps) {
            if let Location::Url(url) = &dep.location
                && let Some(place) = url.strip_prefix("remote://")
            {
                project.config().remote(place.split('/').next().unwrap_or(place))?;
            }
        }
        let order = view.select(&pipeline, selection)?;
        let history = History::of(project);
        Ok(Self { project, view, pipeline, order, env: Vec::new(), logs: None, history })
    }

    /// Gives commands these variables, and copies what they write into `logs`.
    pub(super) fn with(mut self, env: Vec<(String, String)>, logs: Logs) -> Self {
        self.env = env;
        self.logs = Some(logs);
        self
    }

    /// Notes how stages went where `project` does, and not in the workspace at hand, which may be a private one.
    pub(super) fn noting_in(mut self, project: &Project) -> Self {
        self.history = History::of(project);
        self
    }

    /// Returns the stages that are selected, in the order of execution.
    pub(super) fn stages(&self) -> impl Iterator<Item = &Stage> + Clone {
        self.order.iter().filter_map(|id| self.pipeline.stage(id))
    }

    /// Returns the addresses of the stages with a command, in the order of execution.
    pub(super) fn runnable(&self) -> Vec<String> {
        let stages = self.order.iter().filter_map(|id| self.pipeline.stage(id));
        stages.filter(|stage| stage.cmd.is_some()).map(|stage| stage.id.to_string()).collect()
    }

    /// Brings outputs into the workspace that are recorded and stored and simply not there.
    pub(super) fn bring_missing(&self, ctx: &Ctx<'_>, changes: &mut Changes) -> Result<(), Error> {
        for stage in self.order.iter().filter_map(|id| self.pipeline.stage(id)) {
            let Some(recorded) = self.view.recorded(&stage.id) else { continue };
            for out in stage.outs.iter().filter(|out| out.cache) {
                let Some(path) = out.location.workspace() else { continue };
                let full = path.under(self.project.root());
                let artifact = recorded.out(&out.path).and_then(|entry| entry.artifact);
                let Some(artifact) = artifact.filter(|_| full.symlink_metadata().is_err()) else {
                    continue;
                };
                if self.project.cache().has_all(&artifact)? {
                    self.project.require_inside(path)?;
                    changes.touch(ctx, [(path, crate::change::Keep::Data)])?;
                    let filter = IgnoreBelow::new(self.project, path);
                    let plan =
                        self.project.cache().plan_checkout(ctx, Some(&artifact), &full, &filter)?;
                    self.project.cache().checkout(ctx, plan)?;
                }
            }
        }
        Ok(())
    }

    /// Executes the stages; files in `overlay` are taken to have that text, which only makes sense in a dry run.
    ///
    /// # Errors
    ///
    /// Only before anything was done.
    pub(super) fn execute(
        &self,
        ctx: &Ctx<'_>,
        request: &ReproRequest,
        overlay: HashMap<RelPath, String>,
        mut changes: Changes,
        hold: &Hold,
    ) -> Result<(RunReport, Changes), Error> {
        let project = self.project;
        let inputs = WorkspaceInputs::new(project, overlay);
        let stages = || self.order.iter().filter_map(|id| self.pipeline.stage(id));
        changes.rank(Ranks::new(stages(), |id| self.view.recorded(id).is_some()));
        let journal = changes.journal_path().to_path_buf();
        let id = changes.id();
        let artifacts = WorkspaceArtifacts::new(project, &inputs, changes)
            .pinning()
            .under(hold)
            .receiving(request.fetch && !request.execute.dry);
        let mut options = project.options().shell.clone();
        options.env.push(("DVC_ROOT".into(), project.root().into()));
        options.env.extend(self.env.iter().map(|(name, value)| (name.into(), value.into())));
        let mut shell = ShellExecutor::new(project.root(), options)
            .marked(&id, project.options().env.text(family::MARK));
        if let Some(logs) = self.logs.as_ref().filter(|_| !request.execute.dry) {
            logs.begin()?;
            shell = shell.with_logs(logs.clone());
        }
        shell = shell.with_tracer(request.trace.clone());
        let note = move |group, what| recover::note_group(&journal, group, what);
        let shell = shell.with_watch(Box::new(note));
        let recorded = |id: &StageId| self.view.recorded(id).cloned();
        let sources = Sources { recorded: &recorded, inputs: &inputs, artifacts: &artifacts };
        let files = request.live.then_some(self.view.files.as_slice());
        let lookout = Lookout::default();
        let executor = Launching { project, shell: &shell, hold, files, lookout };
        let job =
            Job { pipeline: &self.pipeline, order: &self.order, sources, executor: &executor };
        let noting = |event: Event<'_>| {
            self.history.note(&event);
            ctx.emit(event);
        };
        let noted = Ctx::new(&noting, ctx.cancel_token().clone()).asking(ctx.consent());
        let capacity = project.options().machine.capacity();
        let options = ExecuteOptions { capacity, ..request.execute.clone() };
        let report = execute(&noted, job, &options)?;
        Ok((report, artifacts.into_changes()))
    }
}

/// Runs commands with what their stage claims of the machine, and lets DVC's lock go meanwhile, as DVC does, so that a
/// stage may call either tool.
struct Launching<'a> {
    project: &'a Project,
    shell: &'a ShellExecutor,
    hold: &'a Hold,
    /// What the `dvc.yaml` files declare beside stages, if metrics are told while they are written.
    files: Option<&'a [PipelineFile]>,
    lookout: Lookout,
}

impl Launching<'_> {
    /// Waits for what the stage claims; the claims are held as long as the lease is.
    fn claim(&self, ctx: &Ctx<'_>, stage: &Stage) -> Result<(Launch, Option<Lease>), Exit> {
        let StageSettings { claims, timeout, .. } = &stage.settings;
        let mut launch = Launch { limit: *timeout, ..Launch::default() };
        if claims.is_empty() {
            return Ok((launch, None));
        }
        let lines = stage.cmd.as_ref().map(exp_core::Command::lines).unwrap_or_default();
        let line = lines.first().copied().unwrap_or_default().to_owned();
        let machine = &self.project.options().machine;
        let n_gpus = machine.gpus.len();
        if usize::try_from(claims.gpu).is_ok_and(|wanted| wanted > n_gpus) {
            let wanted = claims.gpu;
            let why = format!("the stage claims {wanted} graphics processors, there are {n_gpus}");
            return Err(Exit::NotStarted { line, why });
        }
        let ledger = machine.ledger.clone();
        let ledger = ledger.unwrap_or_else(|| self.project.scratch().join("claims"));
        let waiting = || {
            let what = StageEvent::Waiting { until: Until::Claims };
            ctx.emit(Event::Stage { stage: &stage.id, what });
        };
        let lease =
            Lease::take(ctx, &ledger, machine, claims, waiting).map_err(|error| match error {
                Error::Cancelled(_) => Exit::Cancelled,
                error => Exit::NotStarted { line, why: error.to_string() },
            })?;
        if claims.gpu > 0 {
            launch.env.push(("CUDA_VISIBLE_DEVICES".into(), lease.gpus().join(",").into()));
        }
        launch.keeper = lease.keeper();
        Ok((launch, Some(lease)))
    }
}

impl StageExecutor for Launching<'_> {
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome {
        self.hold.released(|| match self.claim(ctx, stage) {
            Ok((launch, _lease)) => {
                let run = |ctx: &Ctx<'_>| self.shell.run_with(ctx, stage, &launch);
                match self.files {
                    Some(files) => {
                        self.lookout.followed(ctx, self.project.root(), files, stage, run)
                    }
                    None => run(ctx),
                }
            }
            Err(exit) => StageOutcome { exit, took: Duration::ZERO },
        })
    }

    fn pause(&self, ctx: &Ctx<'_>, length: Duration) -> Option<Cancel> {
        self.hold.released(|| ctx.cancel_token().sleep(length))
    }
}
