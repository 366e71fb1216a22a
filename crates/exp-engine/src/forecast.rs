//! What a run would do with each stage, why, and how long that may take. Nothing is changed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use exp_core::{
    ArgumentStyle, Ctx, Expect, PlanOptions, RelPath, Selection, Sources, StageId, Verdict, plan,
};
use exp_params::ParamChange;

use crate::change::Changes;
use crate::composition::Composition;
use crate::error::Error;
use crate::history::{self, History, PastRuns};
use crate::operation::OperationKind;
use crate::ports::{WorkspaceArtifacts, WorkspaceInputs};
use crate::project::Project;
use crate::source::{Source, SourceEntry, SourceError, WorkspaceSource};
use crate::view::{Broken, View};

/// What is to be forecast; by default a plain run of every stage.
#[derive(Debug, Clone, Default)]
pub struct ForecastRequest {
    /// Which stages.
    pub selection: Selection,
    /// How the run would look at them.
    pub options: PlanOptions,
    /// Changes of parameters that the run would make first, in order; files are relative to `cwd`.
    pub overrides: Vec<ParamChange>,
    /// The directory, below the root, that paths of the request are relative to.
    pub cwd: RelPath,
    /// Whether the run would compose `params.yaml` first.
    pub composition: Composition,
}

/// What would be done, in the order of execution.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Forecast {
    /// The selected stages.
    pub stages: Vec<StageForecast>,
}

/// What would be done with a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageForecast {
    /// The stage.
    pub id: StageId,
    /// How it stands to what was recorded of it.
    pub verdict: Verdict,
    /// What would be done with it.
    pub expect: Expect,
    /// Whether it is frozen, so that only its command and its outputs count.
    pub is_frozen: bool,
    /// The stages that it waits for, by their places in the forecast.
    pub waits_for: Vec<usize>,
    /// What is known of its earlier runs.
    pub past: PastRuns,
}

/// How long a run would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForecastTime {
    /// Until the last stage ends, as far as it is known, if every stage runs that may have to.
    pub estimate: Duration,
    /// How many stages would run, or may, of which no earlier run is known.
    pub n_unknown: usize,
}

impl StageForecast {
    /// Returns whether its commands run or may have to.
    pub fn may_run(&self) -> bool {
        matches!(self.expect, Expect::Run | Expect::Open)
    }

    /// Returns how long it is expected to take; zero when nothing is run, `None` when it never ran to its end.
    pub fn estimate(&self) -> Option<Duration> {
        if self.may_run() { self.past.typical } else { Some(Duration::ZERO) }
    }
}

impl Forecast {
    /// Returns whether nothing would be done.
    pub fn is_fresh(&self) -> bool {
        self.stages.iter().all(|stage| stage.expect == Expect::Nothing)
    }

    /// Returns how long the run would take with so many stages at a time; zero stands for one.
    pub fn time(&self, jobs: usize) -> ForecastTime {
        let mut free = vec![Duration::ZERO; jobs.clamp(1, self.stages.len().max(1))];
        let mut ends: Vec<Duration> = Vec::with_capacity(self.stages.len());
        let mut time = ForecastTime::default();
        for stage in &self.stages {
            let estimate = stage.estimate();
            time.n_unknown += usize::from(estimate.is_none());
            let took = estimate.unwrap_or_default();
            let ready = stage.waits_for.iter().filter_map(|at| ends.get(*at)).max();
            let ready = ready.copied().unwrap_or_default();
            if took.is_zero() {
                ends.push(ready);
                continue;
            }
            let worker = (0..free.len()).min_by_key(|worker| free[*worker]).unwrap_or(0);
            let end = ready.max(free[worker]) + took;
            free[worker] = end;
            ends.push(end);
            time.estimate = time.estimate.max(end);
        }
        time
    }
}

impl Project {
    /// Forecasts what a run would do.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken, a target does not exist, or a parameter cannot be changed as asked.
    pub fn forecast(&self, ctx: &Ctx<'_>, request: &ForecastRequest) -> Result<Forecast, Error> {
        let overlay = self.overridden(&request.overrides, &request.cwd, request.composition)?;
        let source = Overlaid { below: self.workspace(), texts: &overlay };
        let view = View::load(&source, self.root(), Broken::Fail)?;
        self.forecast_of(ctx, &view, request, overlay.clone())
    }

    /// Forecasts over a view that is already there.
    pub(crate) fn forecast_of(
        &self,
        ctx: &Ctx<'_>,
        view: &View,
        request: &ForecastRequest,
        overlay: HashMap<RelPath, String>,
    ) -> Result<Forecast, Error> {
        let pipeline = view.pipeline()?;
        let order = view.select(pipeline, &request.selection)?;
        let inputs = WorkspaceInputs::new(self, overlay).only_looking();
        inputs.look_ahead(ctx, order.iter().filter_map(|id| pipeline.stage(id)));
        let scratch = Changes::begin(self, OperationKind::Run, "forecast");
        let artifacts = WorkspaceArtifacts::new(self, &inputs, scratch);
        let recorded = |id: &StageId| view.recorded(id).cloned();
        let sources = Sources { recorded: &recorded, inputs: &inputs, artifacts: &artifacts };
        let plan = plan(ctx, pipeline, &order, sources, request.options)?;
        let known = History::of(self).read();
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let mut forecast = Forecast::default();
        for step in plan.steps {
            let Some(at) = pipeline.position(&step.stage) else { continue };
            let stage = &pipeline.stages()[at];
            let before = pipeline.graph().waits_for(at).iter();
            forecast.stages.push(StageForecast {
                verdict: step.verdict,
                expect: step.expect,
                is_frozen: stage.frozen,
                waits_for: before.filter_map(|before| places.get(before).copied()).collect(),
                past: history::of_stage(&known, &step.stage),
                id: step.stage,
            });
            places.insert(at, forecast.stages.len() - 1);
        }
        Ok(forecast)
    }
}

/// The workspace as it will be once parameters are changed.
struct Overlaid<'t> {
    below: WorkspaceSource,
    texts: &'t HashMap<RelPath, String>,
}

impl Source for Overlaid<'_> {
    fn is_workspace(&self) -> bool {
        true
    }

    fn arguments(&self) -> ArgumentStyle {
        self.below.arguments()
    }

    fn read(&self, path: &RelPath) -> Result<Option<Vec<u8>>, SourceError> {
        match self.texts.get(path) {
            Some(text) => Ok(Some(text.clone().into_bytes())),
            None => self.below.read(path),
        }
    }

    fn entries(&self, dir: &RelPath) -> Result<Vec<SourceEntry>, SourceError> {
        self.below.entries(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(seconds: Option<u64>, expect: Expect, waits_for: &[usize]) -> StageForecast {
        StageForecast {
            id: StageId::data(RelPath::root()),
            verdict: Verdict::Fresh,
            expect,
            is_frozen: false,
            waits_for: waits_for.to_vec(),
            past: PastRuns { typical: seconds.map(Duration::from_secs), last_failed: false },
        }
    }

    #[test]
    fn the_time_is_that_of_the_longest_chain_or_of_all_that_there_is_to_do() {
        let stages = vec![
            stage(Some(10), Expect::Nothing, &[]),
            stage(Some(3), Expect::Run, &[0]),
            stage(Some(4), Expect::Run, &[0]),
            stage(Some(5), Expect::Open, &[1]),
            stage(None, Expect::Open, &[3]),
        ];
        let forecast = Forecast { stages };
        let time = |jobs| {
            let time = forecast.time(jobs);
            (time.estimate.as_secs(), time.n_unknown)
        };
        assert_eq!((time(0), time(1), time(2), time(9)), ((12, 1), (12, 1), (8, 1), (8, 1)));
        assert_eq!(Forecast::default().time(4), ForecastTime::default());
    }
}
