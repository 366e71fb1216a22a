//! Running a command once and writing the stage that it was: what it read and wrote, and what came of it.

use exp_cache::Relink;
use exp_core::{
    Command, Ctx, EditError, Exit, RelPath, Stage, StageAdditions, StageDefinition,
    StageExecutor as _, StageId, StageOutcome,
};

use crate::change::Changes;
use crate::data::DataScope;
use crate::error::Error;
use crate::hold::Hold;
use crate::init::keys_of;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;
use crate::shell::{ShellExecutor, family};
use crate::stage::{StageAddRequest, StageAdded, StageError, check_name};
use crate::trace::{StageTrace, TraceError, TraceMethod, Tracer};
use crate::view::{Broken, View};

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct RecordRequest {
    /// The name of the stage.
    pub name: String,
    /// What is run, in `cwd`.
    pub command: Command,
    /// The directory, below the root, whose `dvc.yaml` gets the stage.
    pub cwd: RelPath,
    /// Whether a stage of that name is replaced.
    pub replace: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct RecordOutcome {
    /// How the command ended.
    pub ran: StageOutcome,
    /// What it read and wrote, as additions to a stage that declares nothing; `None` when it did not succeed.
    pub trace: Option<StageTrace>,
    /// What was written; `None` when it did not succeed.
    pub added: Option<StageAdded>,
}

impl Project {
    /// Runs a command under watch, writes its stage into a `dvc.yaml`, and records its outputs as if the stage had run.
    /// Nothing is written when it fails. Two operations that can be undone: the stage, and its data. When this process is
    /// killed, the next command ends the one that ran here.
    ///
    /// # Errors
    ///
    /// A name that cannot be one or is taken, another run under way; after the command ran, [`Error::Trace`] when nothing
    /// was seen of it, and what [`Project::add_stage`] refuses. What the command wrote stays.
    pub fn record(&self, ctx: &Ctx<'_>, request: &RecordRequest) -> Result<RecordOutcome, Error> {
        check_name(&request.name)?;
        let id = StageId::named(request.cwd.join("dvc.yaml")?, request.name.as_str());
        let mut stage = Stage::new(id);
        stage.cmd = Some(request.command.clone());
        let hold = Hold::workspace(ctx, self)?;
        recover::recover(self, ctx)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        if !request.replace && view.stages.iter().any(|known| known.id == stage.id) {
            let source = EditError::Exists { name: request.name.clone() };
            return Err(StageError::Edit { file: stage.id.file, source }.into());
        }
        let tracer = Tracer::new(self)?;
        let mut options = self.options().shell.clone();
        options.env.push(("DVC_ROOT".into(), self.root().into()));
        // Nothing is changed yet, but the next command finds what runs here should this process be killed.
        let running = Changes::begin(self, OperationKind::Stage, &request.name);
        running.announce()?;
        let journal = running.journal_path().to_path_buf();
        let shell = ShellExecutor::new(self.root(), options)
            .marked(&running.id(), self.options().env.text(family::MARK))
            .with_watch(Box::new(move |group, what| recover::note_group(&journal, group, what)))
            .with_tracer(Some(tracer.clone()));
        let ran = hold.released(|| shell.run(ctx, &stage));
        running.discard()?;
        drop(hold);
        if ran.exit != Exit::Success {
            return Ok(RecordOutcome { ran, trace: None, added: None });
        }
        let accesses = tracer.accesses(&stage.id).unwrap_or_default();
        if tracer.method() == TraceMethod::Python && accesses.is_empty() {
            return Err(TraceError::NothingSeen.into());
        }
        let trace = self.advise(&stage, &accesses, tracer.method())?;
        let wdir = stage.wdir.under(self.root());
        let params = trace.additions.params.iter();
        let params = params.map(|(file, _)| (file.clone(), keys_of(&wdir.join(file)))).collect();
        let StageAdditions { deps, params, outs } =
            StageAdditions { params, ..trace.additions.clone() }.verbatim();
        let cmd = request.command.verbatim();
        let definition = StageDefinition { deps, params, outs, ..StageDefinition::new(cmd) };
        let added = self.add_stage(
            ctx,
            &StageAddRequest {
                name: request.name.clone(),
                definition,
                cwd: request.cwd.clone(),
                replace: request.replace,
            },
        )?;
        let scope = DataScope {
            targets: vec![request.name.clone()],
            cwd: request.cwd.clone(),
            with_deps: false,
            recursive: false,
        };
        let plan = self.plan_commit(ctx, &scope)?;
        self.commit_data(ctx, plan, Relink::Yes, &mut |_| true)?;
        Ok(RecordOutcome { ran, trace: Some(trace), added: Some(added) })
    }
}
