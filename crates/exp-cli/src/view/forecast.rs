//! What would be done with stages: marks, sentences, the forecast of a dry run, JSON.

use std::time::Duration;

use exp_engine::core::{Expect, RestoredFrom, StageId, Value, Verdict};
use exp_engine::{Cause, Forecast, StageForecast};

use super::change::{counted, listed};
use super::{json, reason, table, time};

/// How a stage stands, as one symbol tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Mark {
    /// Nothing changed.
    Unchanged,
    /// It would run, or be recorded as it is.
    Runs,
    /// It would be restored.
    Restored,
    /// It depends on what others will write.
    Follows,
    /// It is frozen.
    Frozen,
    /// It would run, and failed the last time.
    Failed,
    /// Something that it reads is missing.
    Blocked,
}

impl Mark {
    /// All of them, in the order of a summary.
    pub(crate) const ALL: [Self; 7] = [
        Self::Unchanged,
        Self::Runs,
        Self::Restored,
        Self::Follows,
        Self::Frozen,
        Self::Failed,
        Self::Blocked,
    ];

    /// Returns how a stage stands.
    pub(crate) fn of(stage: &StageForecast) -> Self {
        match stage.expect {
            Expect::Fail => Self::Blocked,
            _ if stage.is_frozen => Self::Frozen,
            Expect::Nothing => Self::Unchanged,
            Expect::Run | Expect::Open if stage.past.last_failed => Self::Failed,
            Expect::Restore(_) => Self::Restored,
            Expect::Open => Self::Follows,
            _ => Self::Runs,
        }
    }

    /// Returns the symbol.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Unchanged => "✓",
            Self::Runs => "●",
            Self::Restored => "↻",
            Self::Follows => "○",
            Self::Frozen => "◇",
            Self::Failed | Self::Blocked => "✗",
        }
    }

    /// Returns how much it wants attention, in comparison with others.
    pub(crate) fn weight(self) -> u8 {
        match self {
            Self::Unchanged => 0,
            Self::Frozen => 1,
            Self::Restored => 2,
            Self::Follows => 3,
            Self::Runs => 4,
            Self::Failed => 5,
            Self::Blocked => 6,
        }
    }

    fn counted(self, n: usize) -> String {
        let what = match self {
            Self::Unchanged => "unchanged",
            Self::Runs => "will run",
            Self::Restored => "will be restored",
            Self::Follows if n == 1 => "follows",
            Self::Follows => "follow",
            Self::Frozen => "frozen",
            Self::Failed => "failed last time",
            Self::Blocked => "cannot run",
        };
        format!("{} {n} {what}", self.symbol())
    }
}

/// Says how many stages stand how, which also says what the symbols mean: `✓ 3 unchanged · ● 1 will run`.
pub(crate) fn tally(marks: &(impl Iterator<Item = Mark> + Clone)) -> String {
    let parts = Mark::ALL.iter().filter_map(|mark| {
        let n = marks.clone().filter(|other| other == mark).count();
        (n > 0).then(|| mark.counted(n))
    });
    parts.collect::<Vec<_>>().join(" · ")
}

/// Says what would be done with a stage and why, in one line without its name.
pub(crate) fn sentence(stage: &StageForecast) -> String {
    let why = match &stage.verdict {
        Verdict::Stale(reasons) => reason::list(reasons),
        _ => String::new(),
    };
    let failed = if Mark::of(stage) == Mark::Failed { ", failed last time" } else { "" };
    match (&stage.verdict, stage.expect) {
        (Verdict::Fresh, _) if stage.is_frozen => "frozen".to_owned(),
        (Verdict::Fresh, _) => "unchanged".to_owned(),
        (Verdict::Open(on), _) => format!("follows {}{failed}", follows(on)),
        (_, Expect::Restore(from)) => format!("will be restored {}: {why}", from_words(from)),
        (_, Expect::Record) if stage.is_frozen => {
            format!("frozen, will be recorded as it is: {why}")
        }
        (_, Expect::Record) => format!("will be recorded: {why}"),
        (_, Expect::Fail) => format!("cannot run: {}", missing(stage)),
        _ => format!("will run: {why}{failed}"),
    }
}

/// Says why a stage stands as its symbol says, where a drawing shows what it follows; empty for no reason.
pub(crate) fn note(stage: &StageForecast) -> String {
    match (&stage.verdict, stage.expect) {
        (_, Expect::Fail) => missing(stage),
        (Verdict::Stale(reasons), _) => reason::list(reasons),
        _ => String::new(),
    }
}

/// Lists the stages that one waits for, the first of them.
pub(crate) fn follows(on: &[StageId]) -> String {
    listed(on, 3)
}

/// Says where a stage would be restored from.
pub(crate) fn from_words(from: RestoredFrom) -> &'static str {
    match from {
        RestoredFrom::RunCache => "from the run cache",
        _ => "from the store",
    }
}

/// Lists what a stage reads and lacks; for a data source, what it lacks of its data.
pub(crate) fn missing(stage: &StageForecast) -> String {
    use exp_engine::core::{Change, Reason};
    let Verdict::Stale(reasons) = &stage.verdict else { return String::new() };
    let is_missing = |why: &&Reason, outs: bool| match why {
        Reason::Dep { change, .. } | Reason::Param { change, .. } => *change == Change::Deleted,
        Reason::Extra { now, .. } => now.is_none(),
        Reason::Out { change, .. } => outs && *change == Change::Deleted,
        _ => false,
    };
    let words = |outs| -> Vec<String> {
        reasons.iter().filter(|why| is_missing(why, outs)).map(reason::one).collect()
    };
    let inputs = words(false);
    if inputs.is_empty() { words(true).join(", ") } else { inputs.join(", ") }
}

/// Writes what a run would do, one stage a line with the time that it took before, and how long all of it takes.
/// Lines are cut at `width` columns.
pub(crate) fn dry(forecast: &Forecast, jobs: usize, width: usize) -> String {
    let shown: Vec<&StageForecast> =
        forecast.stages.iter().filter(|stage| stage.expect != Expect::Nothing).collect();
    let n_fresh = forecast.stages.len() - shown.len();
    let mut text = String::new();
    let names: Vec<String> =
        shown.iter().map(|stage| table::cut(&stage.id.to_string(), 24)).collect();
    let name_width = names.iter().map(|name| table::columns(name)).max().unwrap_or(0);
    let times: Vec<String> = shown.iter().map(|stage| time_of(stage)).collect();
    let time_width = times.iter().map(|time| table::columns(time)).max().unwrap_or(0);
    for ((stage, name), time) in shown.iter().zip(&names).zip(&times) {
        let symbol = Mark::of(stage).symbol();
        let (name, time) = (padded(name, name_width), padded(time, time_width));
        let line = format!(" {symbol} {name}  {time}  {}", sentence(stage));
        text.push_str(&format!("{}\n", table::cut(line.trim_end(), width)));
    }
    if n_fresh > 0 {
        let noun = if n_fresh == 1 { "stage is" } else { "stages are" };
        text.push_str(&format!(" ✓ {n_fresh} {noun} up to date.\n"));
    }
    if forecast.stages.is_empty() {
        text.push_str(" No stages.\n");
    }
    text.push_str(&total(forecast, jobs));
    text
}

fn total(forecast: &Forecast, jobs: usize) -> String {
    let n_runs = forecast.stages.iter().filter(|stage| stage.may_run()).count();
    if n_runs == 0 {
        return " Nothing would run.\n".to_owned();
    }
    let sure = forecast.stages.iter().all(|stage| stage.expect != Expect::Open);
    let time = forecast.time(jobs);
    let mut parts = Vec::new();
    let counted_runs =
        format!("{}{}", if sure { "" } else { "at most " }, counted(n_runs, "stage"));
    parts.push(format!("{counted_runs} would run"));
    if time.estimate > Duration::ZERO {
        parts.push(format!("about {}", time::duration(time.estimate)));
    }
    if time.n_unknown > 0 {
        let noun = if time.n_unknown == 1 { "stage" } else { "stages" };
        parts.push(format!("no earlier time of {} {noun}", time.n_unknown));
    }
    format!(" {}\n", parts.join(" · "))
}

fn time_of(stage: &StageForecast) -> String {
    if !stage.may_run() {
        return String::new();
    }
    stage.estimate().map_or_else(|| "?".to_owned(), |took| format!("~{}", time::duration(took)))
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(table::columns(text))))
}

/// Returns a forecast for programs, as an event of `exp run --dry --json`.
pub(crate) fn event(forecast: &Forecast, jobs: usize) -> Value {
    let time = forecast.time(jobs);
    json::object([
        ("event", Value::from("forecast")),
        ("schema", Value::Int(1)),
        ("stages", Value::List(forecast.stages.iter().map(|stage| value(stage, None)).collect())),
        ("seconds", Value::Float(time.estimate.as_secs_f64())),
        ("unknown", Value::from(i64::try_from(time.n_unknown).unwrap_or(i64::MAX))),
    ])
}

/// Returns a stage as `exp status`, `exp why` and `exp run --dry` give it to programs. The members after `follows` are
/// only there when they are known.
pub(crate) fn value(stage: &StageForecast, causes: Option<&[Cause]>) -> Value {
    let standing = match &stage.verdict {
        Verdict::Fresh => "fresh",
        Verdict::Stale(_) => "stale",
        Verdict::Open(_) => "open",
    };
    let (expect, from) = match stage.expect {
        Expect::Nothing => ("nothing", None),
        Expect::Run => ("run", None),
        Expect::Restore(RestoredFrom::RunCache) => ("restore", Some("run-cache")),
        Expect::Restore(_) => ("restore", Some("store")),
        Expect::Record => ("record", None),
        Expect::Fail => ("fail", None),
        _ => ("open", None),
    };
    let reasons = match (causes, &stage.verdict) {
        (Some(causes), _) => causes
            .iter()
            .map(|cause| super::why::cause_value(&cause.reason, &cause.files))
            .collect(),
        (None, Verdict::Stale(reasons)) => {
            reasons.iter().map(|reason| super::why::cause_value(reason, &[])).collect()
        }
        _ => Vec::new(),
    };
    let follows = match &stage.verdict {
        Verdict::Open(on) => on.iter().map(|id| Value::from(id.to_string())).collect(),
        _ => Vec::new(),
    };
    let seconds = |took: Duration| Value::Float(took.as_secs_f64());
    json::object([
        ("stage", Value::from(stage.id.to_string())),
        ("state", Value::from(standing)),
        ("expect", Value::from(expect)),
        ("from", from.map_or(Value::Null, Value::from)),
        ("frozen", Value::Bool(stage.is_frozen)),
        ("failed_last", Value::Bool(stage.past.last_failed)),
        ("seconds", stage.past.typical.map_or(Value::Null, seconds)),
        ("reasons", Value::List(reasons)),
        ("follows", Value::List(follows)),
    ])
}

#[cfg(test)]
mod tests {
    use exp_engine::PastRuns;
    use exp_engine::core::{Change, Location, Reason, RelPath};

    use super::*;

    fn stage(
        name: &str,
        verdict: Verdict,
        expect: Expect,
        seconds: Option<u64>,
    ) -> Result<StageForecast, Box<dyn std::error::Error>> {
        Ok(StageForecast {
            id: StageId::named(RelPath::new("dvc.yaml")?, name),
            verdict,
            expect,
            is_frozen: false,
            waits_for: Vec::new(),
            past: PastRuns { typical: seconds.map(Duration::from_secs), last_failed: false },
        })
    }

    #[test]
    fn a_dry_run_says_what_would_be_done_and_how_long_it_takes()
    -> Result<(), Box<dyn std::error::Error>> {
        let id = |name: &str| RelPath::new("dvc.yaml").map(|file| StageId::named(file, name));
        let changed = Reason::Dep {
            path: "src".to_owned(),
            location: Location::Workspace(RelPath::new("src")?),
            change: Change::Modified,
            was: None,
            now: None,
        };
        let stale = || Verdict::Stale(vec![changed.clone()]);
        let from = Expect::Restore(RestoredFrom::RunCache);
        let stages = vec![
            stage("fetch", Verdict::Fresh, Expect::Nothing, Some(9))?,
            stage("prepare", stale(), from, Some(70))?,
            stage("train", stale(), Expect::Run, Some(100))?,
            stage("report", Verdict::Open(vec![id("train")?]), Expect::Open, None)?,
        ];
        let forecast = Forecast { stages };
        assert_eq!(
            dry(&forecast, 1, 60),
            " ↻ prepare           will be restored from the run cache: s…\n ● train    ~1m 40s  will run: src \
             changed\n ○ report   ?        follows train\n ✓ 1 stage is up to date.\n at most 2 stages would run · \
             about 1m 40s · no earlier time of 1 stage\n"
        );
        let marks = forecast.stages.iter().map(Mark::of);
        assert_eq!(
            tally(&marks),
            "✓ 1 unchanged · ● 1 will run · ↻ 1 will be restored · ○ 1 follows"
        );
        assert_eq!(dry(&Forecast::default(), 1, 60), " No stages.\n Nothing would run.\n");
        Ok(())
    }

    #[test]
    fn a_frozen_stage_and_one_that_failed_have_marks_of_their_own()
    -> Result<(), Box<dyn std::error::Error>> {
        let mut frozen = stage("a", Verdict::Fresh, Expect::Nothing, None)?;
        frozen.is_frozen = true;
        assert_eq!((Mark::of(&frozen), sentence(&frozen)), (Mark::Frozen, "frozen".to_owned()));
        let stale = Verdict::Stale(vec![Reason::NeverRan]);
        let mut failed = stage("a", stale, Expect::Run, None)?;
        failed.past.last_failed = true;
        assert_eq!(sentence(&failed), "will run: never ran, failed last time");
        assert_eq!(Mark::of(&failed).symbol(), "✗");
        Ok(())
    }
}
