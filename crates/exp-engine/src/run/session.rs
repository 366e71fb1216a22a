//! Stages executed in one workspace, over the real ports.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use exp_core::{
    Ctx, Job, Pipeline, RelPath, RunReport, Selection, Sources, Stage, StageExecutor, StageId,
    StageOutcome, execute, select,
};

use crate::change::Changes;
use crate::error::Error;
use crate::files::FileError;
use crate::hold::Hold;
use crate::ports::{IgnoreBelow, WorkspaceArtifacts, WorkspaceInputs};
use crate::project::Project;
use crate::recover;
use crate::shell::ShellExecutor;
use crate::view::{Broken, View};

use super::ReproRequest;

/// The pipeline of one workspace, read and ordered.
pub(super) struct Session<'p> {
    project: &'p Project,
    view: View,
    pipeline: Pipeline,
    order: Vec<StageId>,
    env: Vec<(String, String)>,
    log: Option<PathBuf>,
}

impl<'p> Session<'p> {
    /// Reads the pipeline of `project` and selects stages of it. Nothing is changed.
    pub(super) fn prepare(project: &'p Project, selection: &Selection) -> Result<Self, Error> {
        let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
        let pipeline = view.pipeline()?;
        let order = select(&pipeline, selection)?;
        Ok(Self { project, view, pipeline, order, env: Vec::new(), log: None })
    }

    /// Gives commands these variables, and copies what they write into `log`.
    pub(super) fn with(mut self, env: Vec<(String, String)>, log: &Path) -> Self {
        self.env = env;
        self.log = Some(log.to_path_buf());
        self
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
        changes: Changes,
        hold: &Hold,
    ) -> Result<(RunReport, Changes), Error> {
        let project = self.project;
        let inputs = WorkspaceInputs::new(project, overlay);
        let artifacts = WorkspaceArtifacts::new(project, &inputs, changes);
        let mut options = project.options().shell.clone();
        options.env.push(("DVC_ROOT".into(), project.root().into()));
        options.env.extend(self.env.iter().map(|(name, value)| (name.into(), value.into())));
        let mut shell = ShellExecutor::new(project.root(), options);
        if let Some(path) = &self.log {
            shell = shell.with_log(open_log(path)?);
        }
        let journal = artifacts.changes().journal_path().to_path_buf();
        let shell = shell.with_watch(Box::new(move |group| recover::note_group(&journal, group)));
        let recorded = |id: &StageId| self.view.recorded(id).cloned();
        let sources = Sources { recorded: &recorded, inputs: &inputs, artifacts: &artifacts };
        let executor = Releasing { shell: &shell, hold };
        let job =
            Job { pipeline: &self.pipeline, order: &self.order, sources, executor: &executor };
        let report = execute(ctx, job, &request.execute)?;
        Ok((report, artifacts.into_changes()))
    }
}

/// Lets DVC's lock go while commands run, as DVC does, so that a stage may call either tool.
struct Releasing<'a> {
    shell: &'a ShellExecutor,
    hold: &'a Hold,
}

impl StageExecutor for Releasing<'_> {
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome {
        self.hold.released(|| self.shell.run(ctx, stage))
    }
}

fn open_log(path: &Path) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
    }
    Ok(File::options().create(true).append(true).open(path).map_err(FileError::at("open", path))?)
}
