//! What would be done and why: a forecast.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::changes::{Look, Snapshot, compare};
use crate::ctx::Ctx;
use crate::digest::Artifact;
use crate::event::RestoredFrom;
use crate::execute::expect;
use crate::graph::{Pipeline, touches};
use crate::lock::StageLock;
use crate::path::Location;
use crate::port::{Artifacts, Inputs, PortError};
use crate::stage::{Command, ParamRef, StageId};
use crate::value::Value;

/// Why a stage does not agree with what was recorded of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing was recorded of it.
    NeverRan,
    /// The command is another one.
    Command {
        /// The recorded one.
        was: Option<Command>,
        /// The one of the pipeline.
        now: Command,
    },
    /// It is marked `always_changed`, or neither reads nor writes anything.
    AlwaysChanged,
    /// A dependency differs.
    Dep {
        /// The path as the stage writes it.
        path: String,
        /// Where that is.
        location: Location,
        /// How it differs.
        change: Change,
        /// What was recorded.
        was: Option<Artifact>,
        /// What is there.
        now: Option<Artifact>,
    },
    /// A parameter differs.
    Param {
        /// Which one.
        param: ParamRef,
        /// How it differs.
        change: Change,
        /// What was recorded.
        was: Option<Value>,
        /// What is there.
        now: Option<Value>,
    },
    /// Something differs that the stage reads beside dependencies and parameters.
    Extra {
        /// What, see [`Extra::key`](crate::Extra::key).
        key: String,
        /// How it differs. New also when another tool ran the stage, which does not record it.
        change: Change,
        /// The digest that was recorded; `None` when nothing was or it was not there.
        was: Option<String>,
        /// The digest now; `None` when it is not there.
        now: Option<String>,
    },
    /// An output differs.
    Out {
        /// The path as the stage writes it.
        path: String,
        /// Where that is.
        location: Location,
        /// How it differs.
        change: Change,
        /// What was recorded.
        was: Option<Artifact>,
        /// What is there.
        now: Option<Artifact>,
    },
    /// A `.dvc` file's own checksum is not that of its content.
    Checksum,
    /// The request forces it.
    Forced,
    /// A stage before it ran and everything after it is forced.
    Upstream,
}

/// How something differs from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It was not recorded.
    New,
    /// It is different.
    Modified,
    /// It was recorded and is not there.
    Deleted,
    /// An output whose object is not in the store.
    NotInCache,
}

/// What is to be expected of a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing changed.
    Fresh,
    /// It does not agree with what was recorded, for these reasons; never empty.
    Stale(Vec<Reason>),
    /// It depends on what these stages will write; never empty, in the order of execution.
    Open(Vec<StageId>),
}

/// What an execution would do with a stage, as far as can be told before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Nothing: it is up to date.
    Nothing,
    /// Its commands would run.
    Run,
    /// Its outputs would be taken from the store.
    Restore(RestoredFrom),
    /// A data source or a frozen stage: its outputs would be recorded as they are.
    Record,
    /// Something it reads is not there, and no stage that would be done before it writes that.
    Fail,
    /// It depends on what other stages will write.
    Open,
}

/// A stage of a [`Plan`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The stage.
    pub stage: StageId,
    /// How it stands to what was recorded of it.
    pub verdict: Verdict,
    /// What would be done with it.
    pub expect: Expect,
}

/// A forecast: what would be done now, in the order of execution. Execution decides again, stage by stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The selected stages.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Returns whether nothing would be done.
    pub fn is_fresh(&self) -> bool {
        self.steps.iter().all(|step| step.verdict == Verdict::Fresh)
    }
}

/// Where the recorded state and the present one come from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// What was recorded of a stage: its entry in `dvc.lock`, or the outputs of its `.dvc` file. Called from several
    /// threads, once or a few times for each stage.
    pub recorded: &'a (dyn Fn(&StageId) -> Option<StageLock> + Sync),
    /// The workspace.
    pub inputs: &'a dyn Inputs,
    /// The store.
    pub artifacts: &'a dyn Artifacts,
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// What is done although nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Force {
    /// Nothing.
    #[default]
    No,
    /// Everything after a stage that is not fresh.
    Downstream,
    /// Everything that is selected; nothing is restored instead.
    All,
}

/// How [`plan`] looks at things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanOptions {
    /// What would be done although nothing changed.
    pub force: Force,
    /// Whether data that is merely absent is no change, see [`Look::allow_missing`].
    pub allow_missing: bool,
    /// Whether earlier runs would be taken from the run cache.
    pub run_cache: bool,
}

impl Default for PlanOptions {
    /// Returns what a plain `dvc repro` does.
    fn default() -> Self {
        Self { force: Force::No, allow_missing: false, run_cache: true }
    }
}

/// Forecasts what an execution of the stages `order` of `pipeline` would do. Nothing is changed.
///
/// A stage that differs from its record only in what an earlier stage will write anew is [`Verdict::Open`]. One that
/// differs in more and reads what an earlier stage will write is expected to run, although that may turn out to be in
/// the run cache. An empty `order` gives an empty plan; an unknown stage is left out.
///
/// # Errors
///
/// When a port fails or a stop was asked for.
pub fn plan(
    ctx: &Ctx<'_>,
    pipeline: &Pipeline,
    order: &[StageId],
    sources: Sources<'_>,
    options: PlanOptions,
) -> Result<Plan, PortError> {
    let mut plan = Plan::default();
    // The stages so far that are not fresh, by position, and their places in the plan.
    let mut moving: BTreeMap<usize, usize> = BTreeMap::new();
    for id in order {
        let Some(at) = pipeline.position(id) else { continue };
        let stage = &pipeline.stages()[at];
        let waits_for = pipeline.graph().waits_for(at).iter().copied();
        let before: BTreeSet<usize> = waits_for.filter(|at| moving.contains_key(at)).collect();
        let upstream = |location: &Location| recorded_upstream(pipeline, at, location, &sources);
        let look = Look {
            inputs: sources.inputs,
            artifacts: sources.artifacts,
            allow_missing: options.allow_missing.then_some(&upstream),
        };
        let recorded = (sources.recorded)(id);
        let snapshot =
            if stage.frozen { None } else { Some(Snapshot::take(ctx, stage, sources.inputs)?) };
        let mut reasons = compare(ctx, stage, snapshot.as_ref(), recorded.as_ref(), &look)?;
        match options.force {
            Force::All => reasons.push(Reason::Forced),
            Force::Downstream if !before.is_empty() => reasons.push(Reason::Upstream),
            _ => {}
        }
        let verdict = if before.is_empty() || !reasons.iter().all(|r| is_from(r, pipeline, &before))
        {
            if reasons.is_empty() { Verdict::Fresh } else { Verdict::Stale(reasons) }
        } else {
            let mut on: Vec<usize> = before.iter().copied().collect();
            on.sort_by_key(|at| moving[at]);
            Verdict::Open(on.into_iter().map(|at| pipeline.stages()[at].id.clone()).collect())
        };
        let expect = match &verdict {
            Verdict::Fresh => Expect::Nothing,
            Verdict::Open(_) => Expect::Open,
            Verdict::Stale(reasons) => {
                let is_awaited = |location: &Location| is_written(location, pipeline, &before);
                let known = (snapshot.as_ref(), recorded.as_ref());
                expect(ctx, &sources, options, stage, reasons, known, &is_awaited)?
            }
        };
        if verdict != Verdict::Fresh {
            moving.insert(at, plan.steps.len());
        }
        plan.steps.push(Step { stage: id.clone(), verdict, expect });
    }
    Ok(plan)
}

/// Returns what the stage that writes `location`, directly before the one at `position`, has recorded of it.
fn recorded_upstream(
    pipeline: &Pipeline,
    position: usize,
    location: &Location,
    sources: &Sources<'_>,
) -> Option<Artifact> {
    pipeline.graph().before(position).iter().find_map(|at| {
        let stage = &pipeline.stages()[*at];
        let out = stage.outs.iter().find(|out| out.location == *location)?;
        (sources.recorded)(&stage.id)?.out(&out.path)?.artifact
    })
}

/// Returns whether the reason is something that one of the stages `before` writes and may write anew.
fn is_from(reason: &Reason, pipeline: &Pipeline, before: &BTreeSet<usize>) -> bool {
    let location = match reason {
        Reason::Dep { location, .. } => location,
        Reason::Param { param, .. } => &param.location,
        // Read of a file that one of them may write; which extra it is, only its key says.
        Reason::Extra { .. } => return !before.is_empty(),
        _ => return false,
    };
    is_written(location, pipeline, before)
}

/// Returns whether one of the stages `before` writes something at, around or inside `location`.
fn is_written(location: &Location, pipeline: &Pipeline, before: &BTreeSet<usize>) -> bool {
    let mut outs = before.iter().flat_map(|at| &pipeline.stages()[*at].outs);
    outs.any(|out| touches(&out.location, location))
}
