//! Which experiment a person means: by name, unique prefix, commit, `last`, `last~2`, `best`, `best:METRIC`, or a revision
//! of Git.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use exp_core::Ctx;
use exp_refs::{CommitId, Experiment, FindError};

use crate::collect::{CollectOptions, Edges, Params, collect_commits};
use crate::compare::{CompareError, Comparison, MetricDirection, RowPlace, best, direction};
use crate::error::Error;
use crate::oplog;
use crate::project::Project;
use crate::revision::{Baseline, ExperimentRow, ExperimentState, ShowTable};

/// What a person meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An experiment, finished or not.
    Experiment(Experiment),
    /// Another commit.
    Commit(CommitId),
}

impl Found {
    /// Returns the commit.
    pub fn commit(&self) -> CommitId {
        match self {
            Self::Experiment(experiment) => experiment.commit,
            Self::Commit(commit) => *commit,
        }
    }

    /// Returns the name of the experiment, or the first seven digits of the commit.
    pub fn name(&self) -> String {
        match self {
            Self::Experiment(experiment) => experiment.name.to_string(),
            Self::Commit(commit) => commit.short(7),
        }
    }
}

/// Why `last` or `best` mean no experiment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// There is no finished experiment.
    #[error("`{spec}`: no experiment has finished yet")]
    None {
        /// What was asked for.
        spec: String,
    },
    /// There are not so many finished experiments.
    #[error("`{spec}`: only {found} finished")]
    NotSoMany {
        /// What was asked for.
        spec: String,
        /// How many there are.
        found: usize,
    },
    /// The number behind `last~` is none.
    #[error("`{spec}`: `last~` needs a number")]
    NotANumber {
        /// What was asked for.
        spec: String,
    },
    /// No metric tells by its name which way is better.
    #[error("`{spec}`: no metric tells by its name which way is better")]
    NoMetric {
        /// What was asked for.
        spec: String,
    },
    /// The metric does not tell by its name which way is better.
    #[error("`{spec}`: the name `{metric}` does not tell which way is better")]
    NoDirection {
        /// What was asked for.
        spec: String,
        /// The metric.
        metric: String,
    },
    /// No experiment has a number for the metric.
    #[error("`{spec}`: no experiment has a number for `{metric}`")]
    NoValue {
        /// What was asked for.
        spec: String,
        /// The metric.
        metric: String,
    },
    /// There is no such metric, or more than one.
    #[error("`{spec}`")]
    Metric {
        /// What was asked for.
        spec: String,
        /// What is wrong with its name.
        source: CompareError,
    },
    /// It is a commit, but an experiment is needed.
    #[error("`{spec}` is a commit and no experiment")]
    NotAnExperiment {
        /// What was asked for.
        spec: String,
        /// The commit.
        commit: CommitId,
    },
}

impl Project {
    /// Finds what a person means by `spec`.
    ///
    /// In this order: the full ref or the name of an experiment; `last` and `last~N`, `best` and `best:METRIC`; the commit
    /// of an experiment by four digits or more; a revision of Git; the beginning of one experiment's name. So a branch is
    /// not hidden by an experiment whose name begins like it.
    ///
    /// `last` is the finished experiment that was made last, `last~1` the one before it: of those of `HEAD` or, when that
    /// has none, of all. `best` is the one of the same whose metric is best: the first metric whose name tells which way
    /// is better, or the one that is named, with `:min` or `:max` behind it where the name does not tell.
    ///
    /// # Errors
    ///
    /// When there is none or more than one; the error holds similar names, or all that match.
    pub fn find(&self, ctx: &Ctx<'_>, spec: &str) -> Result<Found, Error> {
        let list = self.experiments().list()?;
        let head = self.git().head()?.commit;
        let named = |one: &Experiment| one.name.as_str() == spec || one.ref_name.as_str() == spec;
        if list.iter().any(named) {
            return Ok(Found::Experiment(exp_refs::find(&list, head, spec)?));
        }
        if let Some(found) = self.find_special(ctx, &list, head, spec)? {
            return Ok(Found::Experiment(found));
        }
        let found = exp_refs::find(&list, head, spec);
        let is_by_commit = |one: &Experiment| !one.name.as_str().starts_with(spec);
        match found {
            Ok(one) if is_by_commit(&one) => Ok(Found::Experiment(one)),
            Err(error @ FindError::Git(_)) => Err(error.into()),
            found => match (self.git().resolve(spec), found) {
                (Ok(commit), _) => {
                    let mut same = list.iter().filter(|one| one.commit == commit);
                    Ok(match (same.next(), same.next()) {
                        (Some(one), None) => Found::Experiment(one.clone()),
                        _ => Found::Commit(commit),
                    })
                }
                (Err(_), found) => Ok(Found::Experiment(found?)),
            },
        }
    }

    /// Finds an experiment as [`Project::find`] does.
    ///
    /// # Errors
    ///
    /// Also when what is found is a commit and no experiment.
    pub fn find_experiment(&self, ctx: &Ctx<'_>, spec: &str) -> Result<Experiment, Error> {
        match self.find(ctx, spec)? {
            Found::Experiment(experiment) => Ok(experiment),
            Found::Commit(commit) => {
                Err(SelectorError::NotAnExperiment { spec: spec.to_owned(), commit }.into())
            }
        }
    }

    /// Returns finished experiments, the one that was made last first: those of `HEAD`, or all when that has none.
    pub fn latest(&self) -> Result<Vec<Experiment>, Error> {
        let list = self.experiments().list()?;
        self.newest(&list, self.git().head()?.commit)
    }

    /// Returns the run that was made last of those that did not finish.
    pub fn latest_unfinished(&self) -> Result<Option<Experiment>, Error> {
        let reader = self.git().reader();
        let mut newest: Option<(i64, Experiment)> = None;
        for one in self.experiments().list()?.into_iter().filter(|one| !one.is_finished) {
            let at = reader.commit(one.commit)?.time.seconds;
            if newest.as_ref().is_none_or(|(newest, _)| at >= *newest) {
                newest = Some((at, one));
            }
        }
        Ok(newest.map(|(_, one)| one))
    }

    fn find_special(
        &self,
        ctx: &Ctx<'_>,
        list: &[Experiment],
        head: Option<CommitId>,
        spec: &str,
    ) -> Result<Option<Experiment>, Error> {
        let metric = spec.strip_prefix("best:");
        let back = match spec.strip_prefix("last~") {
            Some("") => Some(1),
            Some(number) => {
                let parsed = number.parse::<usize>();
                Some(parsed.map_err(|_| SelectorError::NotANumber { spec: spec.to_owned() })?)
            }
            None => (spec == "last").then_some(0),
        };
        if metric.is_none() && back.is_none() && spec != "best" {
            return Ok(None);
        }
        let mut newest = self.newest(list, head)?;
        if newest.is_empty() {
            return Err(SelectorError::None { spec: spec.to_owned() }.into());
        }
        match back {
            Some(back) if back < newest.len() => Ok(Some(newest.swap_remove(back))),
            Some(_) => {
                let found = newest.len();
                Err(SelectorError::NotSoMany { spec: spec.to_owned(), found }.into())
            }
            None => self.best_of(ctx, &newest, spec, metric).map(Some),
        }
    }

    fn newest(
        &self,
        list: &[Experiment],
        head: Option<CommitId>,
    ) -> Result<Vec<Experiment>, Error> {
        let finished = || list.iter().filter(|one| one.is_finished);
        let mut newest: Vec<Experiment> =
            finished().filter(|one| Some(one.baseline) == head).cloned().collect();
        if newest.is_empty() {
            newest = finished().cloned().collect();
        }
        let reader = self.git().reader();
        let mut times = HashMap::new();
        for one in &newest {
            times.insert(one.commit, reader.commit(one.commit)?.time.seconds);
        }
        let mut seconds: Vec<i64> = times.values().copied().collect();
        seconds.sort_unstable();
        // Within one second the operation log knows the order.
        let mut ranks = BTreeMap::new();
        if seconds.windows(2).any(|pair| pair[0] == pair[1]) {
            for (rank, logged) in
                oplog::read(self.git(), newest.len() + 100)?.into_iter().enumerate()
            {
                for moved in logged.operation.refs {
                    if let Some(after) = moved.after {
                        ranks.entry(after).or_insert(rank);
                    }
                }
            }
        }
        newest.sort_by_cached_key(|one| {
            let rank = ranks.get(&one.commit.to_string()).copied().unwrap_or(usize::MAX);
            (Reverse(times.get(&one.commit).copied()), rank, one.name.clone())
        });
        Ok(newest)
    }

    fn best_of(
        &self,
        ctx: &Ctx<'_>,
        experiments: &[Experiment],
        spec: &str,
        metric: Option<&str>,
    ) -> Result<Experiment, Error> {
        let spec = spec.to_owned();
        let commits: Vec<CommitId> = experiments.iter().map(|one| one.commit).collect();
        let options = CollectOptions { edges: Edges::No, params: Params::default(), targets: None };
        let rows = collect_commits(ctx, self, &commits, options)?;
        let rows = experiments.iter().zip(&rows).map(|(one, data)| ExperimentRow {
            name: one.name.clone(),
            rev: one.commit,
            data: data.clone(),
            state: ExperimentState::Finished,
            ran: None,
        });
        let (Some(first), rows) = (experiments.first(), rows.collect::<Vec<_>>()) else {
            return Err(SelectorError::None { spec }.into());
        };
        let data =
            rows.first().map_or_else(|| Ok(std::sync::Arc::default()), |row| row.data.clone());
        let baseline = Baseline {
            rev: first.baseline,
            name: None,
            data,
            experiments: rows,
            is_reachable: None,
            rewritten_to: None,
        };
        let table = ShowTable { baselines: vec![baseline], ..ShowTable::default() };
        let comparison = Comparison::of(&table);
        let (column, way) = match metric {
            None => {
                comparison.leading_metric().ok_or(SelectorError::NoMetric { spec: spec.clone() })?
            }
            Some(metric) => {
                let (name, way) = match metric.rsplit_once(':') {
                    Some((name, "max")) => (name, Some(MetricDirection::Up)),
                    Some((name, "min")) => (name, Some(MetricDirection::Down)),
                    _ => (metric, None),
                };
                let column = comparison
                    .find(name)
                    .map_err(|source| SelectorError::Metric { spec: spec.clone(), source })?;
                let name = &comparison.columns[column].name;
                let way = way.or_else(|| direction(name)).ok_or_else(|| {
                    SelectorError::NoDirection { spec: spec.clone(), metric: name.clone() }
                })?;
                (column, way)
            }
        };
        let place = best(&comparison, column, way).into_iter().find_map(|place| match place {
            RowPlace::Experiment(_, at) => experiments.get(at),
            _ => None,
        });
        let metric = comparison.columns[column].name.clone();
        Ok(place.cloned().ok_or(SelectorError::NoValue { spec, metric })?)
    }
}
