//! What would be done and why: a forecast.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::changes::{Look, changes};
use crate::ctx::Ctx;
use crate::digest::Artifact;
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

/// A stage of a [`Plan`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The stage.
    pub stage: StageId,
    /// What is to be expected of it.
    pub verdict: Verdict,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanOptions {
    /// What would be done although nothing changed.
    pub force: Force,
    /// Whether data that is merely absent is no change, see [`Look::allow_missing`].
    pub allow_missing: bool,
}

/// Forecasts what an execution of the stages `order` of `pipeline` would do. Nothing is changed.
///
/// A stage that differs from its record only in what an earlier stage will write anew is [`Verdict::Open`].
/// An empty `order` gives an empty plan; an unknown stage is left out.
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
        let mut reasons = changes(ctx, stage, (sources.recorded)(id).as_ref(), &look)?;
        match options.force {
            Force::All => reasons.push(Reason::Forced),
            Force::Downstream if !before.is_empty() => reasons.push(Reason::Upstream),
            _ => {}
        }
        let verdict = if before.is_empty() || !reasons.iter().all(|r| is_from(r, pipeline, &before))
        {
            if reasons.is_empty() { Verdict::Fresh } else { Verdict::Stale(reasons) }
        } else {
            let mut on: Vec<usize> = before.into_iter().collect();
            on.sort_by_key(|at| moving[at]);
            Verdict::Open(on.into_iter().map(|at| pipeline.stages()[at].id.clone()).collect())
        };
        if verdict != Verdict::Fresh {
            moving.insert(at, plan.steps.len());
        }
        plan.steps.push(Step { stage: id.clone(), verdict });
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
        _ => return false,
    };
    let mut outs = before.iter().flat_map(|at| &pipeline.stages()[*at].outs);
    outs.any(|out| touches(&out.location, location))
}
