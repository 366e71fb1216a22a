//! Recorded runs, and the outputs that they bring back.

use std::collections::{BTreeMap, HashSet};

use exp_cache::{Cache, RunId};
use exp_core::{ObjectId, StageLock};

use crate::error::Error;
use crate::roots::{Holder, NeededBy};

/// A recorded run and its outputs by path.
#[derive(Debug)]
pub(super) struct RunOuts {
    pub(super) id: RunId,
    pub(super) outs: Vec<(String, ObjectId)>,
}

/// Returns all recorded runs. One that cannot be read brings nothing back, and so has no outputs.
pub(super) fn outputs(cache: &Cache) -> Result<Vec<RunOuts>, Error> {
    let runs = cache.runs();
    let mut found = Vec::new();
    for part in runs.list()?.chunk_by(|a, b| a.key == b.key) {
        for entry in runs.entries(&part[0].key)? {
            let outs = StageLock::parse_run(&entry.text).map(|lock| lock.outs).unwrap_or_default();
            let outs = outs.into_iter().filter_map(|out| Some((out.path, out.artifact?.id)));
            let id = RunId { key: part[0].key, value: entry.value };
            found.push(RunOuts { id, outs: outs.collect() });
        }
    }
    Ok(found)
}

/// Returns the outputs of all runs.
pub(super) fn needed(runs: &[RunOuts]) -> BTreeMap<ObjectId, NeededBy> {
    let outs = runs.iter().flat_map(|run| &run.outs);
    outs.map(|(path, id)| (*id, NeededBy { path: path.clone(), holder: Holder::Run })).collect()
}

/// Returns the paths of the objects that runs have made.
pub(super) fn names(runs: &[RunOuts], of: &HashSet<ObjectId>) -> BTreeMap<ObjectId, String> {
    let outs = runs.iter().flat_map(|run| &run.outs);
    outs.filter(|(_, id)| of.contains(id)).map(|(path, id)| (*id, path.clone())).collect()
}
