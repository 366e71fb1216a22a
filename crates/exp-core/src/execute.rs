//! Executing stages: who may start, and what happens to the others.
//!
//! Whoever works (the calling thread, and others when `jobs` is more than one) takes the first stage in the order
//! whose predecessors are settled, does it, settles it, and wakes the others; nobody polls. A stage is compared with
//! its record only when it is its turn, so one whose inputs came out as they were is not run.
//!
//! All state is behind one lock that is held for lines and never while a port, an executor or a sink is called.

mod earlier;
mod perform;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::ctx::Ctx;
use crate::digest::Artifact;
use crate::event::{Event, StageEvent};
use crate::graph::Pipeline;
use crate::path::Location;
use crate::plan::{Expect, Force, PlanOptions, Reason, Sources, Verdict, plan};
use crate::port::StageExecutor;
use crate::report::{Ended, ExecuteError, Failure, Outcome, RunReport, StageReport};
use crate::settings::{Capacity, Claims};
use crate::stage::{Command, StageId};

use perform::Turn;
pub(crate) use perform::expect;
pub use perform::{record_as_is, recordable};

/// What is to be executed, and with what.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The stages, in the order of execution, as [`select`](crate::select()) returns them. One that stands there twice
    /// is done once.
    pub order: &'a [StageId],
    /// The recorded state, the workspace and the store.
    pub sources: Sources<'a>,
    /// What runs the commands.
    pub executor: &'a dyn StageExecutor,
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("order", &self.order).finish_non_exhaustive()
    }
}

/// What happens to the others when a stage fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailurePolicy {
    /// Nothing new is started.
    #[default]
    Stop,
    /// What depends on it is left out, the rest goes on.
    KeepGoing,
    /// Everything goes on, also what depends on it.
    Ignore,
}

/// How stages are executed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each a flag of DVC's")]
pub struct ExecuteOptions {
    /// What runs although nothing changed.
    pub force: Force,
    /// What happens when a stage fails.
    pub on_failure: FailurePolicy,
    /// Whether nothing is touched and only events say what would happen.
    pub dry: bool,
    /// Whether runs are looked up in the run cache. They are written there in any case, as `dvc repro` does.
    pub run_cache: bool,
    /// Whether outputs go into the store; without, they are only recorded.
    pub commit: bool,
    /// Whether data that is merely absent is no change, see [`Look::allow_missing`](crate::Look::allow_missing).
    pub allow_missing: bool,
    /// How many stages run at a time. One, and zero, mean strictly one after the other in the given order,
    /// on the calling thread. What is recorded is the same, and in the same order, with any number.
    pub jobs: usize,
    /// What of the machine the stages that run at a time may claim together.
    pub capacity: Capacity,
}

impl Default for ExecuteOptions {
    /// Returns what a plain `dvc repro` does.
    fn default() -> Self {
        Self {
            force: Force::No,
            on_failure: FailurePolicy::Stop,
            dry: false,
            run_cache: true,
            commit: true,
            allow_missing: false,
            jobs: 1,
            capacity: Capacity::ENDLESS,
        }
    }
}

/// Brings the stages of `job` up to date.
///
/// Each success is recorded before anything that depends on it starts, so whatever ends this later, finished stages
/// stay finished. A stage that fails, is stopped, or is not begun keeps its old record. Before a stage's outputs are
/// cleared away, all its dependencies and parameters have been found.
///
/// On [`Cancel::Drain`](crate::Cancel::Drain) nothing new is started; on [`Cancel::Stop`](crate::Cancel::Stop) the
/// executor ends what runs. Time comes from the executor; no clock is read.
///
/// # Errors
///
/// Before anything is done, when a stage is unknown; in a dry run, when a port fails. What goes wrong with a stage is
/// in the report.
pub fn execute(
    ctx: &Ctx<'_>,
    job: Job<'_>,
    options: &ExecuteOptions,
) -> Result<RunReport, ExecuteError> {
    let mut order = Vec::with_capacity(job.order.len());
    let mut seen = BTreeSet::new();
    for id in job.order {
        let at = job
            .pipeline
            .position(id)
            .ok_or_else(|| ExecuteError::UnknownStage { id: id.clone() })?;
        if seen.insert(at) {
            order.push(at);
        }
    }
    if options.dry {
        return rehearse(ctx, &job, options, &order);
    }
    let jobs = if ctx.consent().is_some() { 1 } else { options.jobs };
    let at_once = at_once(&job, jobs, &order);
    ctx.emit(Event::Executing { at_once });
    let schedule = Schedule::new(job, options, order);
    thread::scope(|scope| {
        for number in 1..at_once {
            let worker = thread::Builder::new().name(format!("stage-{number}"));
            // Without the thread there is one worker less; the calling thread always works.
            drop(worker.spawn_scoped(scope, || schedule.work(ctx)));
        }
        schedule.work(ctx);
    });
    Ok(schedule.report())
}

/// Returns how many stages can run at the same time when `jobs` may: one when each of those with a command waits for the
/// one before it, and never more than there are.
fn at_once(job: &Job<'_>, jobs: usize, order: &[usize]) -> usize {
    let runs = |at: &&usize| job.pipeline.stages()[**at].cmd.is_some();
    let with_command: Vec<usize> = order.iter().filter(runs).copied().collect();
    let is_chain =
        with_command.windows(2).all(|pair| job.pipeline.graph().before(pair[1]).contains(&pair[0]));
    if is_chain { 1 } else { jobs.clamp(1, order.len().max(1)) }
}

/// Emits what would happen, from a forecast.
fn rehearse(
    ctx: &Ctx<'_>,
    job: &Job<'_>,
    options: &ExecuteOptions,
    order: &[usize],
) -> Result<RunReport, ExecuteError> {
    let forecast = |source| ExecuteError::Forecast { source };
    let ids: Vec<StageId> = order.iter().map(|at| job.pipeline.stages()[*at].id.clone()).collect();
    let looking = PlanOptions {
        force: options.force,
        allow_missing: options.allow_missing,
        run_cache: options.run_cache,
    };
    let plan = plan(ctx, job.pipeline, &ids, job.sources, looking).map_err(forecast)?;
    let mut stages = Vec::with_capacity(plan.steps.len());
    let mut ended = Ended::Complete;
    for (step, at) in plan.steps.into_iter().zip(order) {
        let stage = &job.pipeline.stages()[*at];
        let emit = |what| ctx.emit(Event::Stage { stage: &stage.id, what });
        let (outcome, reasons) = match step.verdict {
            _ if ended == Ended::Cancelled => (Outcome::NotStarted, Vec::new()),
            Verdict::Stale(reasons)
                if ctx.consent().is_some_and(|asked| !asked.agrees(ctx, &stage.id, &reasons)) =>
            {
                emit(StageEvent::Failed { failure: &Failure::Declined });
                ended = Ended::Cancelled;
                (Outcome::Failed(Failure::Declined), reasons)
            }
            Verdict::Fresh => {
                emit(StageEvent::Fresh);
                (Outcome::Fresh, Vec::new())
            }
            Verdict::Open(on) => {
                emit(StageEvent::Open { on: &on });
                (Outcome::NotStarted, Vec::new())
            }
            Verdict::Stale(reasons) => {
                let what = match step.expect {
                    _ if stage.is_data_source() || stage.frozen => StageEvent::Verified,
                    Expect::Restore(from) => StageEvent::Restored { from },
                    _ => StageEvent::Started { reasons: &reasons },
                };
                let runs = matches!(what, StageEvent::Started { .. });
                emit(what);
                for line in stage.cmd.iter().filter(|_| runs).flat_map(Command::lines) {
                    emit(StageEvent::Command { line });
                }
                (Outcome::NotStarted, reasons)
            }
        };
        let (id, took) = (step.stage, Duration::ZERO);
        stages.push(StageReport { id, outcome, reasons, lock: None, took });
    }
    Ok(RunReport { stages, ended })
}

/// The stages by their place in the order, and how far each is.
struct Schedule<'a> {
    job: Job<'a>,
    options: &'a ExecuteOptions,
    /// Positions in the pipeline.
    order: Vec<usize>,
    /// The other way round.
    places: HashMap<usize, usize>,
    /// By place: which later stages must not run at the same time, because they read or write the same data.
    held: Vec<Vec<usize>>,
    /// By place: which later stages wait for the outputs. Fewer than `held`: a frozen stage waits for nobody.
    followers: Vec<Vec<usize>>,
    state: Mutex<State>,
    settled: Condvar,
}

struct State {
    /// By place: how many earlier stages hold it.
    holders: Vec<usize>,
    /// The places of those that may start.
    ready: BTreeSet<usize>,
    /// By place: whether a stage before it was not fresh and everything after is forced.
    forced: Vec<bool>,
    /// The places of those that run.
    running: BTreeSet<usize>,
    reports: Vec<Option<StageReport>>,
    /// Nothing new is started.
    closed: bool,
    /// Something was left out or stopped on request.
    cancelled: bool,
}

impl<'a> Schedule<'a> {
    fn new(job: Job<'a>, options: &'a ExecuteOptions, order: Vec<usize>) -> Self {
        let n = order.len();
        let places: HashMap<usize, usize> =
            order.iter().enumerate().map(|(place, at)| (*at, place)).collect();
        let graph = job.pipeline.graph();
        let mut held = vec![Vec::new(); n];
        let mut followers = vec![Vec::new(); n];
        let mut holders = vec![0; n];
        for (place, at) in order.iter().enumerate() {
            for other in graph.before(*at).iter().filter_map(|before| places.get(before)) {
                // In a cycle, or before a frozen stage, the order that was asked for decides who goes first.
                let (first, then) = (place.min(*other), place.max(*other));
                held[first].push(then);
                holders[then] += 1;
            }
            for other in graph.waits_for(*at).iter().filter_map(|before| places.get(before)) {
                if *other < place {
                    followers[*other].push(place);
                }
            }
        }
        let state = State {
            ready: (0..n).filter(|place| holders[*place] == 0).collect(),
            holders,
            forced: vec![false; n],
            running: BTreeSet::new(),
            reports: (0..n).map(|_| None).collect(),
            closed: false,
            cancelled: false,
        };
        Self {
            job,
            options,
            order,
            places,
            held,
            followers,
            state: Mutex::new(state),
            settled: Condvar::new(),
        }
    }

    /// Does stages until there is none left to do.
    fn work(&self, ctx: &Ctx<'_>) {
        while let Some((place, forced)) = self.next(ctx) {
            let guard = CloseOnPanic(self);
            let at = self.order[place];
            let turn = Turn {
                job: &self.job,
                options: self.options,
                stage: &self.job.pipeline.stages()[at],
                forced,
                upstream: &|location| self.recorded_upstream(at, location),
            };
            let report = turn.perform(ctx);
            for (stage, because) in self.settle(place, report) {
                let stage = &self.job.pipeline.stages()[stage].id;
                ctx.emit(Event::Stage { stage, what: StageEvent::Skipped { because: &because } });
            }
            drop(guard);
        }
    }

    /// Waits for a stage that may start; `None` when there will be none.
    fn next(&self, ctx: &Ctx<'_>) -> Option<(usize, Option<Reason>)> {
        let mut state = self.lock();
        loop {
            if !state.ready.is_empty() && !state.closed && ctx.cancel_token().requested().is_some()
            {
                state.closed = true;
                state.cancelled = true;
            }
            if state.closed {
                return None;
            }
            if let Some(place) = self.fitting(&state) {
                state.ready.remove(&place);
                state.running.insert(place);
                let forced = match self.options.force {
                    Force::All => Some(Reason::Forced),
                    _ => state.forced[place].then_some(Reason::Upstream),
                };
                return Some((place, forced));
            }
            if state.running.is_empty() {
                return None;
            }
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns the first stage that may start and whose claims fit beside those of the stages that run.
    fn fitting(&self, state: &State) -> Option<usize> {
        let claims = |place: usize| &self.job.pipeline.stages()[self.order[place]].settings.claims;
        let mut taken = Claims::default();
        for place in &state.running {
            taken.add(claims(*place));
        }
        let mut ready = state.ready.iter().copied();
        ready.find(|place| claims(*place).fit(&taken, self.options.capacity))
    }

    /// Takes what became of a stage, and returns who is left out because of it, with the cause.
    fn settle(&self, place: usize, report: StageReport) -> Vec<(usize, StageId)> {
        let mut state = self.lock();
        state.running.remove(&place);
        let mut skipped = Vec::new();
        match &report.outcome {
            Outcome::Failed(_) if self.options.on_failure != FailurePolicy::Ignore => {
                state.closed |= self.options.on_failure == FailurePolicy::Stop;
                skipped = self.leave_out(&mut state, place, &report.id);
            }
            Outcome::Cancelled | Outcome::NotStarted => {
                state.closed = true;
                state.cancelled = true;
            }
            Outcome::Fresh => {}
            _ if self.options.force == Force::Downstream => {
                for follower in &self.followers[place] {
                    state.forced[*follower] = true;
                }
            }
            _ => {}
        }
        state.reports[place] = Some(report);
        let mut todo: Vec<usize> = vec![place];
        todo.extend(skipped.iter().map(|(place, _)| *place));
        for settled in todo {
            for then in &self.held[settled] {
                state.holders[*then] -= 1;
                if state.holders[*then] == 0 && state.reports[*then].is_none() {
                    state.ready.insert(*then);
                }
            }
        }
        drop(state);
        self.settled.notify_all();
        skipped.into_iter().map(|(place, because)| (self.order[place], because)).collect()
    }

    /// Marks everything after a failed stage as skipped, in order, and returns it.
    fn leave_out(&self, state: &mut State, failed: usize, id: &StageId) -> Vec<(usize, StageId)> {
        let mut found = BTreeSet::new();
        let mut todo = vec![failed];
        while let Some(place) = todo.pop() {
            let open = self.followers[place].iter().filter(|then| state.reports[**then].is_none());
            todo.extend(open.copied().filter(|then| found.insert(*then)));
        }
        for place in &found {
            state.ready.remove(place);
            let because = id.clone();
            state.reports[*place] = Some(self.untouched(*place, Outcome::Skipped { because }));
        }
        found.into_iter().map(|place| (place, id.clone())).collect()
    }

    /// Returns what a stage directly before the one at the position `at` has recorded of `location`, now.
    fn recorded_upstream(&self, at: usize, location: &Location) -> Option<Artifact> {
        let pipeline = self.job.pipeline;
        pipeline.graph().before(at).iter().find_map(|before| {
            let stage = &pipeline.stages()[*before];
            let out = stage.outs.iter().find(|out| out.location == *location)?;
            let anew = self.places.get(before).and_then(|place| {
                self.lock().reports[*place].as_ref().and_then(|report| report.lock.clone())
            });
            let lock = anew.or_else(|| (self.job.sources.recorded)(&stage.id))?;
            lock.out(&out.path)?.artifact
        })
    }

    fn report(self) -> RunReport {
        let mut state = self.lock();
        let cancelled = state.cancelled;
        let reports = std::mem::take(&mut state.reports);
        drop(state);
        let stages: Vec<StageReport> = reports
            .into_iter()
            .enumerate()
            .map(|(at, report)| report.unwrap_or_else(|| self.untouched(at, Outcome::NotStarted)))
            .collect();
        let fails = |stage: &StageReport| matches!(&stage.outcome, Outcome::Failed(why) if !matches!(why, Failure::Declined));
        let declined = |stage: &StageReport| matches!(stage.outcome, Outcome::Failed(_));
        let counts = self.options.on_failure != FailurePolicy::Ignore;
        let ended = if cancelled {
            Ended::Cancelled
        } else if counts && stages.iter().any(fails) {
            Ended::Failed
        } else if counts && stages.iter().any(declined) {
            Ended::Cancelled
        } else {
            Ended::Complete
        };
        RunReport { stages, ended }
    }

    fn untouched(&self, place: usize, outcome: Outcome) -> StageReport {
        let id = self.job.pipeline.stages()[self.order[place]].id.clone();
        StageReport { id, outcome, reasons: Vec::new(), lock: None, took: Duration::ZERO }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the other workers home when a port panics, so that the panic reaches the caller.
struct CloseOnPanic<'s, 'a>(&'s Schedule<'a>);

impl Drop for CloseOnPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().closed = true;
            self.0.settled.notify_all();
        }
    }
}
