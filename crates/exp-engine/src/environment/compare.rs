//! What differs between the environments of two runs.

use std::collections::BTreeSet;

use exp_refs::{Packages, RunEnvironment, RunRecord, read_record};

use super::{capture, listed};
use crate::difference::Side;
use crate::error::Error;
use crate::project::Project;
use crate::run::host;
use crate::view::{Broken, View};

/// A part of an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EnvironmentPart {
    /// The machine, by name.
    Host,
    /// The system and its architecture.
    System,
    /// The version of Python.
    Python,
    /// The program that is Python.
    Interpreter,
    /// The version of an installed package.
    Package(String),
    /// All that is installed, by number and digest, where one of the lists is not known here.
    Packages,
    /// A lock file, by digest.
    LockFile(String),
    /// The models of the graphics processors.
    Gpus,
    /// The version of their driver.
    Driver,
}

/// A part that is not the same in two environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentDifference {
    /// Which.
    pub part: EnvironmentPart,
    /// What it was in the first; `None` for nothing.
    pub old: Option<String>,
    /// What it is in the second.
    pub new: Option<String>,
}

impl Project {
    /// Returns what differs between the environments that two revisions ran in, in the order of [`EnvironmentPart`]; that of
    /// the workspace is the one that its stages would run in now. `None` when one of them is not recorded: commits that are
    /// no run, and experiments of DVC.
    ///
    /// # Errors
    ///
    /// When the pipeline of the workspace cannot be read.
    pub fn environment_difference(
        &self,
        sides: [Side; 2],
    ) -> Result<Option<Vec<EnvironmentDifference>>, Error> {
        let reader = self.git().reader();
        let record = |side: Side| match side {
            Side::Workspace => None,
            // One that cannot be read says as little as none.
            Side::Commit(commit) => read_record(&reader, commit).ok().flatten(),
        };
        let records = sides.map(record);
        let is_known = |(side, record): (&Side, &Option<RunRecord>)| {
            *side == Side::Workspace || record.as_ref().is_some_and(|one| one.environment.is_some())
        };
        if !sides.iter().zip(&records).all(is_known) || sides == [Side::Workspace; 2] {
            return Ok(None);
        }
        let side = |record: Option<RunRecord>| -> Result<(Option<String>, RunEnvironment), Error> {
            Ok(match record {
                Some(record) => (record.host, record.environment.unwrap_or_default()),
                None => (host(), self.environment_now()?),
            })
        };
        let [old, new] = records.map(side);
        Ok(Some(self.compare_environments(&old?, &new?)))
    }

    fn environment_now(&self) -> Result<RunEnvironment, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Note)?;
        let stages = view.stages.iter().filter(|stage| stage.cmd.is_some());
        Ok(capture(self, self, stages))
    }

    fn compare_environments(
        &self,
        (old_host, old): &(Option<String>, RunEnvironment),
        (new_host, new): &(Option<String>, RunEnvironment),
    ) -> Vec<EnvironmentDifference> {
        let mut found = Vec::new();
        let mut note = |part, old: Option<String>, new: Option<String>| {
            if old != new {
                found.push(EnvironmentDifference { part, old, new });
            }
        };
        note(EnvironmentPart::Host, old_host.clone(), new_host.clone());
        note(EnvironmentPart::System, old.system.clone(), new.system.clone());
        let [before, after] = [old, new].map(|one| one.python.as_ref());
        let version = |python: Option<&exp_refs::Python>| python?.version.clone();
        note(EnvironmentPart::Python, version(before), version(after));
        let path = |python: Option<&exp_refs::Python>| Some(python?.path.clone());
        note(EnvironmentPart::Interpreter, path(before), path(after));
        let packages = |python: Option<&exp_refs::Python>| python?.packages.clone();
        let (before, after) = (packages(before), packages(after));
        let lists = before.as_ref().zip(after.as_ref()).filter(|(before, after)| before != after);
        let lists = lists.and_then(|(a, b)| Some((listed(self, a)?, listed(self, b)?)));
        if let Some((before, after)) = lists {
            for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                let part = EnvironmentPart::Package(name.clone());
                note(part, before.get(name).cloned(), after.get(name).cloned());
            }
        } else {
            let [before, after] = [before, after].map(|side| side.as_ref().map(in_short));
            note(EnvironmentPart::Packages, before, after);
        }
        let lock = |environment: &RunEnvironment, path: &str| {
            let file = environment.lock_files.iter().find(|file| file.path == path)?;
            Some(file.digest.clone())
        };
        let paths = old.lock_files.iter().chain(&new.lock_files).map(|file| file.path.as_str());
        for path in paths.collect::<BTreeSet<_>>() {
            note(EnvironmentPart::LockFile(path.to_owned()), lock(old, path), lock(new, path));
        }
        let gpus = |environment: &RunEnvironment| {
            (!environment.gpus.is_empty()).then(|| environment.gpus.join(", "))
        };
        note(EnvironmentPart::Gpus, gpus(old), gpus(new));
        note(EnvironmentPart::Driver, old.driver.clone(), new.driver.clone());
        found
    }
}

fn in_short(packages: &Packages) -> String {
    format!("{} {}", packages.n, packages.digest)
}
