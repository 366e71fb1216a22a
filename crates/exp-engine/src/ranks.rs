//! Where new entries of `dvc.lock` and `.gitignore` go when stages end in another order than they stand in.
//!
//! Stages that run one after the other append their entries in the order of execution. With several at a time each
//! success is still written at once, in front of what later stages have appended, so that the files are the same.

use std::collections::{BTreeSet, HashMap};

use exp_core::{Location, RelPath, Stage, StageId};

/// The order of the stages of a run, and what they have appended so far. Without an order everything goes to the end.
#[derive(Debug, Default)]
pub(crate) struct Ranks {
    stages: HashMap<StageId, usize>,
    outs: HashMap<RelPath, usize>,
    /// By file: place of the stage and the entry.
    appended: HashMap<RelPath, BTreeSet<(usize, String)>>,
}

impl Ranks {
    /// Remembers the order of execution. A stage that `has_entry` in its lock file keeps its place there.
    pub(crate) fn new<'s>(
        order: impl IntoIterator<Item = &'s Stage>,
        has_entry: impl Fn(&StageId) -> bool,
    ) -> Self {
        let mut ranks = Self::default();
        for (place, stage) in order.into_iter().enumerate() {
            if !has_entry(&stage.id) {
                ranks.stages.insert(stage.id.clone(), place);
            }
            let outs = stage.outs.iter().filter_map(|out| Location::workspace(&out.location));
            ranks.outs.extend(outs.map(|path| (path.clone(), place)));
        }
        ranks
    }

    /// Returns the place of a stage that has yet to get an entry; `None` for others.
    pub(crate) fn of_stage(&self, stage: &StageId) -> Option<usize> {
        self.stages.get(stage).copied()
    }

    /// Returns the place of the stage that writes the output; `None` when none in the order does.
    pub(crate) fn of_out(&self, path: &RelPath) -> Option<usize> {
        self.outs.get(path).copied()
    }

    /// Returns the entries that stages behind this place have appended to `file`.
    pub(crate) fn later(&self, file: &RelPath, place: Option<usize>) -> BTreeSet<String> {
        let (Some(place), Some(entries)) = (place, self.appended.get(file)) else {
            return BTreeSet::new();
        };
        entries.range((place + 1, String::new())..).map(|(_, entry)| entry.clone()).collect()
    }

    /// Notes that the stage at this place has appended `entry` to `file`.
    pub(crate) fn appended(&mut self, file: &RelPath, place: Option<usize>, entry: String) {
        if let Some(place) = place {
            self.appended.entry(file.clone()).or_default().insert((place, entry));
        }
    }
}
