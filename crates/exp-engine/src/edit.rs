//! Removing and renaming experiments, and tidying what dead commands left.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use exp_core::Ctx;
use exp_refs::{CommitId, EditError, ExpName, Expected, Experiment, RefName};

use crate::change::Changes;
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::process::Owner;
use crate::project::Project;
use crate::recover;

/// Which experiments a person means, when not by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baselines {
    /// Those of every baseline.
    All,
    /// Those of a commit and of those before it along first parents, so many together; all of them for `None`.
    From(CommitId, Option<usize>),
}

/// What [`Project::clean`] removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CleanReport {
    /// Work trees, logs and notes of commands that are gone, as absolute paths, sorted.
    pub removed: Vec<PathBuf>,
}

impl Project {
    /// Returns the experiments of some baselines, finished or not, in the order of [`exp_refs::ExperimentStore::list`].
    pub fn experiments_of(&self, baselines: &Baselines) -> Result<Vec<Experiment>, Error> {
        let list = self.experiments().list()?;
        let Baselines::From(commit, n) = baselines else { return Ok(list) };
        let commits: BTreeSet<CommitId> = match n {
            Some(1) => BTreeSet::from([*commit]),
            n => self.git().first_parents(*commit, n.unwrap_or(usize::MAX))?.into_iter().collect(),
        };
        Ok(list.into_iter().filter(|one| commits.contains(&one.baseline)).collect())
    }

    /// Removes experiments: all of these, or none when one of them is no longer what it was. It can be undone.
    ///
    /// Nothing is done for an empty list.
    pub fn remove(&self, ctx: &Ctx<'_>, experiments: &[Experiment]) -> Result<(), Error> {
        if experiments.is_empty() {
            return Ok(());
        }
        // Refs change by compare-and-swap: nobody has to wait for whoever holds the files.
        recover::recover(self, ctx)?;
        let mut distinct: Vec<Experiment> = experiments.to_vec();
        distinct.sort();
        distinct.dedup();
        let subject: Vec<&str> = distinct.iter().map(|one| one.name.as_str()).collect();
        let mut changes = Changes::begin(self, OperationKind::Remove, &subject.join(" "));
        for one in &distinct {
            changes.moved_ref(&one.ref_name, Some(one.commit), None);
        }
        changes.announce()?;
        if let Err(error) = self.experiments().remove(&distinct) {
            changes.discard()?;
            return Err(error.into());
        }
        changes.finish(ctx)?;
        Ok(())
    }

    /// Gives an experiment another name. It can be undone.
    ///
    /// # Errors
    ///
    /// [`EditError::Exists`] when its baseline has one of that name, unless that is to be replaced.
    pub fn rename(
        &self,
        ctx: &Ctx<'_>,
        experiment: &Experiment,
        to: &ExpName,
        existing: OnExisting,
    ) -> Result<Experiment, Error> {
        if *to == experiment.name {
            return Ok(experiment.clone());
        }
        recover::recover(self, ctx)?;
        let ref_name = if experiment.is_finished {
            RefName::experiment(experiment.baseline, to)
        } else {
            RefName::run(experiment.baseline, to)
        };
        let found = self.git().read_ref(&ref_name)?;
        let expected = match (found, existing) {
            (None, _) => Expected::Missing,
            (Some(found), OnExisting::Replace) => Expected::Is(found),
            (Some(commit), OnExisting::Refuse) => {
                return Err(EditError::Exists { name: to.clone(), commit }.into());
            }
        };
        let subject = format!("{} {to}", experiment.name);
        let mut changes = Changes::begin(self, OperationKind::Rename, &subject);
        changes.moved_ref(&experiment.ref_name, Some(experiment.commit), None);
        changes.moved_ref(&ref_name, found, Some(experiment.commit));
        changes.announce()?;
        match self.experiments().rename(experiment, to, expected) {
            Ok(renamed) => {
                changes.finish(ctx)?;
                Ok(renamed)
            }
            Err(error) => {
                changes.discard()?;
                Err(error.into())
            }
        }
    }

    /// Finishes what dead commands began and removes what they left in `.dvc/tmp/exp`. Nothing that a person made is
    /// touched, and nothing of commands that still run.
    pub fn clean(&self, ctx: &Ctx<'_>) -> Result<CleanReport, Error> {
        let _hold = Hold::brief(ctx, self)?;
        let before = self.leftovers();
        recover::recover(self, ctx)?;
        let mut report = CleanReport::default();
        for path in before {
            files::remove_all(&path)?;
            report.removed.push(path);
        }
        report.removed.sort();
        Ok(report)
    }

    /// Returns the work trees, logs, notes and traces whose process is gone. Each is named after the process that made it, but
    /// for logs, which belong to nobody when nothing runs.
    fn leftovers(&self) -> Vec<PathBuf> {
        let listed = |dir: &str| {
            let listing = fs::read_dir(self.scratch().join(dir)).into_iter().flatten().flatten();
            listing.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let is_gone = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let pid = name.split(['-', '.']).next().and_then(|pid| pid.parse().ok());
            pid.is_some_and(|pid| pid != std::process::id() && !Owner::of(pid).is_alive())
        };
        let named = ["work", "ops", "trace"].into_iter().flat_map(listed);
        let mut left: Vec<PathBuf> = named.filter(is_gone).collect();
        let runs = listed("ops").iter().any(|path| !is_gone(path));
        if !runs {
            left.extend(listed("logs"));
        }
        left
    }
}

/// What is done about an experiment that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExisting {
    /// It stays, and the command fails.
    #[default]
    Refuse,
    /// It is replaced; undoing brings it back.
    Replace,
}
