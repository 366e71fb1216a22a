//! Which stage comes before which, and what is wrong with a pipeline as a whole.
//!
//! A stage comes after another when one of its dependencies or parameter files equals, contains or lies inside an
//! output of the other, compared by whole parts of the path. All outputs stand in one sorted map, so a dependency
//! costs one look-up for each of its parts and one range; ten thousand stages take a fraction of a second.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::path::Location;
use crate::stage::{Stage, StageId};

/// Stages in the order in which they were collected, and the graph between them.
#[derive(Debug, Clone)]
pub struct Pipeline {
    stages: Vec<Stage>,
    graph: StageGraph,
    by_id: HashMap<StageId, usize>,
}

/// What makes a set of stages no pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Two stages have one address.
    #[error("stage `{id}` is declared twice")]
    DuplicateStage {
        /// The address.
        id: StageId,
    },
    /// Several outputs are at the same place.
    #[error("output `{location}` is declared by {}", listed(stages))]
    DuplicateOut {
        /// The place.
        location: Location,
        /// Who declares it, in collection order; a stage that declares it twice stands here twice.
        stages: Vec<StageId>,
    },
    /// An output lies inside another one.
    #[error("{inner} lies inside {outer}")]
    OverlappingOuts {
        /// The containing output.
        outer: Box<DeclaredOut>,
        /// The contained output.
        inner: Box<DeclaredOut>,
    },
    /// A stage reads what it writes.
    #[error("stage `{stage}` has `{dep}` as a dependency and `{out}` as an output")]
    DepIsOut {
        /// The stage.
        stage: StageId,
        /// What it reads.
        dep: Location,
        /// What it writes: the same, something around it or something inside it.
        out: Location,
    },
    /// Stages wait for each other.
    #[error("stages wait for each other: {}", arrows(stages))]
    Cycle {
        /// The stages around the cycle, each once: every stage reads an output of the one before it, and the first one
        /// reads an output of the last.
        stages: Vec<StageId>,
    },
    /// An output that goes into the store is outside the project.
    #[error("cached output `{out}` of stage `{stage}` is outside the project")]
    OutsideProject {
        /// The stage.
        stage: StageId,
        /// The output.
        out: Location,
    },
    /// The file that declares a stage lies inside an output.
    #[error("`{}`, which declares stage `{stage}`, lies inside output `{out}`", stage.file)]
    FileInOut {
        /// The stage.
        stage: StageId,
        /// The output.
        out: Location,
    },
}

/// An output and who declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclaredOut {
    /// The stage.
    pub stage: StageId,
    /// Where the output is.
    pub location: Location,
}

impl fmt::Display for DeclaredOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output `{}` of `{}`", self.location, self.stage)
    }
}

impl Pipeline {
    /// Takes the stages in the order of their collection and checks that they fit together.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, see [`Pipeline::check`].
    pub fn new(stages: Vec<Stage>) -> Result<Self, GraphError> {
        let pipeline = Self::unchecked(stages);
        pipeline.check()?;
        Ok(pipeline)
    }

    /// Takes the stages without looking whether they fit together, for what works on a broken pipeline too: status,
    /// commit, checkout.
    ///
    /// Of stages with the same address, [`Pipeline::position`] finds the first.
    pub fn unchecked(stages: Vec<Stage>) -> Self {
        let graph = StageGraph::new(&stages);
        let mut by_id = HashMap::with_capacity(stages.len());
        for (position, stage) in stages.iter().enumerate() {
            by_id.entry(stage.id.clone()).or_insert(position);
        }
        Self { stages, graph, by_id }
    }

    /// Checks in this order: addresses, outputs outside the project, the same output twice, outputs inside outputs,
    /// files that declare stages inside outputs, stages that read what they write, cycles.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in collection order.
    pub fn check(&self) -> Result<(), GraphError> {
        for (position, stage) in self.stages.iter().enumerate() {
            if self.by_id.get(&stage.id) != Some(&position) {
                return Err(GraphError::DuplicateStage { id: stage.id.clone() });
            }
            for out in &stage.outs {
                if out.cache && out.location.workspace().is_none() {
                    return Err(GraphError::OutsideProject {
                        stage: stage.id.clone(),
                        out: out.location.clone(),
                    });
                }
            }
        }
        let outs = OutIndex::new(&self.stages);
        self.check_outs(&outs)?;
        for stage in &self.stages {
            let file = Location::Workspace(stage.id.file.clone());
            if let Some(at) = outs.around(&file).first() {
                let out = self.out_location(*at).clone();
                return Err(GraphError::FileInOut { stage: stage.id.clone(), out });
            }
        }
        for (position, stage) in self.stages.iter().enumerate() {
            for dep in read_by(stage) {
                if let Some(at) = outs.touching(dep).into_iter().find(|at| at.stage == position) {
                    return Err(GraphError::DepIsOut {
                        stage: stage.id.clone(),
                        dep: dep.clone(),
                        out: self.out_location(at).clone(),
                    });
                }
            }
        }
        match self.graph.cycle() {
            Some(cycle) => Err(GraphError::Cycle {
                stages: cycle.into_iter().map(|at| self.stages[at].id.clone()).collect(),
            }),
            None => Ok(()),
        }
    }

    /// Returns the stages in the order of their collection.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Returns the graph; its positions are those of [`Pipeline::stages`].
    pub fn graph(&self) -> &StageGraph {
        &self.graph
    }

    /// Returns where in [`Pipeline::stages`] the stage with this address is.
    pub fn position(&self, id: &StageId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Returns the stage with this address.
    pub fn stage(&self, id: &StageId) -> Option<&Stage> {
        self.position(id).map(|at| &self.stages[at])
    }

    fn check_outs(&self, outs: &OutIndex) -> Result<(), GraphError> {
        for (position, stage) in self.stages.iter().enumerate() {
            for out in &stage.outs {
                let same = outs.at(&out.location);
                if same.len() > 1 {
                    return Err(GraphError::DuplicateOut {
                        location: out.location.clone(),
                        stages: same.iter().map(|at| self.stages[at.stage].id.clone()).collect(),
                    });
                }
                if let Some(outer) = outs
                    .around(&out.location)
                    .into_iter()
                    .find(|at| (at.stage, self.out_location(*at)) != (position, &out.location))
                {
                    let declared = |stage: &StageId, location: &Location| {
                        Box::new(DeclaredOut { stage: stage.clone(), location: location.clone() })
                    };
                    let outer = declared(&self.stages[outer.stage].id, self.out_location(outer));
                    let inner = declared(&stage.id, &out.location);
                    return Err(GraphError::OverlappingOuts { outer, inner });
                }
            }
        }
        Ok(())
    }

    fn out_location(&self, at: OutAt) -> &Location {
        &self.stages[at.stage].outs[at.out].location
    }
}

/// The edges between stages, by position in the list that it was made of.
///
/// A frozen stage does not wait for what it reads: the edges into it are known ([`StageGraph::before`]) but not
/// followed by [`StageGraph::upstream`], [`StageGraph::downstream`], [`StageGraph::component`] and
/// [`StageGraph::order`].
#[derive(Debug, Clone)]
pub struct StageGraph {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    frozen: Vec<bool>,
}

impl StageGraph {
    /// Finds the edges between `stages`. A stage that reads what it writes gets no edge to itself.
    pub fn new(stages: &[Stage]) -> Self {
        let outs = OutIndex::new(stages);
        let mut before = vec![Vec::new(); stages.len()];
        let mut after = vec![Vec::new(); stages.len()];
        for (position, stage) in stages.iter().enumerate() {
            let mut seen = BTreeSet::new();
            let mut files = BTreeSet::new();
            for dep in read_by(stage).filter(|dep| files.insert(*dep)) {
                for at in outs.touching(dep) {
                    if at.stage != position && seen.insert(at.stage) {
                        before[position].push(at.stage);
                        after[at.stage].push(position);
                    }
                }
            }
        }
        Self { before, after, frozen: stages.iter().map(|stage| stage.frozen).collect() }
    }

    /// Returns the number of stages.
    pub fn len(&self) -> usize {
        self.before.len()
    }

    /// Returns whether there is no stage.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// Returns whose outputs the stage at `position` reads directly, in the order of its dependencies and then its
    /// parameter files. Empty for an unknown position.
    pub fn before(&self, position: usize) -> &[usize] {
        self.before.get(position).map_or(&[], Vec::as_slice)
    }

    /// Returns who directly reads outputs of the stage at `position`, in collection order. Empty for an unknown position.
    pub fn after(&self, position: usize) -> &[usize] {
        self.after.get(position).map_or(&[], Vec::as_slice)
    }

    /// Returns whose outputs the stage at `position` waits for: those of [`StageGraph::before`], none when it is frozen.
    pub fn waits_for(&self, position: usize) -> &[usize] {
        if self.frozen.get(position) == Some(&true) { &[] } else { self.before(position) }
    }

    /// Returns `from` and everything that they wait for, directly or not.
    pub fn upstream(&self, from: &[usize]) -> BTreeSet<usize> {
        self.reach(from, |at| self.waits_for(at).to_vec())
    }

    /// Returns `from` and everything that waits for them, directly or not.
    pub fn downstream(&self, from: &[usize]) -> BTreeSet<usize> {
        self.reach(from, |at| self.waiting(at).collect())
    }

    /// Returns everything that is connected with `from` in any direction, and `from`.
    pub fn component(&self, from: &[usize]) -> BTreeSet<usize> {
        self.reach(from, |at| self.waits_for(at).iter().copied().chain(self.waiting(at)).collect())
    }

    /// Orders `selected` for execution as DVC does: depth first, a stage after all that it waits for, else in
    /// collection order. A cycle is entered at its first stage.
    pub fn order(&self, selected: &BTreeSet<usize>) -> Vec<usize> {
        let mut order = Vec::with_capacity(selected.len());
        let mut seen = BTreeSet::new();
        for &root in selected.iter().filter(|at| **at < self.len()) {
            if !seen.insert(root) {
                continue;
            }
            let mut path = vec![(root, 0)];
            while let Some((at, next)) = path.last_mut() {
                if let Some(&before) = self.waits_for(*at).get(*next) {
                    *next += 1;
                    if selected.contains(&before) && seen.insert(before) {
                        path.push((before, 0));
                    }
                } else {
                    order.push(*at);
                    path.pop();
                }
            }
        }
        order
    }

    /// Returns the stages of one cycle, each reading from the one before it, starting with the one collected first;
    /// `None` when there is no cycle. Edges into frozen stages count.
    pub fn cycle(&self) -> Option<Vec<usize>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.len()];
        for root in 0..self.len() {
            if marks[root] != Mark::New {
                continue;
            }
            marks[root] = Mark::Open;
            let mut path = vec![(root, 0)];
            while let Some((at, next)) = path.last_mut() {
                let Some(&before) = self.before[*at].get(*next) else {
                    marks[*at] = Mark::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[before] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[before] = Mark::Open;
                        path.push((before, 0));
                    }
                    Mark::Open => {
                        let start = path.iter().position(|(at, _)| *at == before)?;
                        let mut cycle: Vec<usize> =
                            path[start..].iter().rev().map(|(at, _)| *at).collect();
                        let first = (0..cycle.len()).min_by_key(|at| cycle[*at])?;
                        cycle.rotate_left(first);
                        return Some(cycle);
                    }
                }
            }
        }
        None
    }

    fn waiting(&self, position: usize) -> impl Iterator<Item = usize> {
        self.after(position).iter().copied().filter(|at| !self.frozen[*at])
    }

    fn reach(&self, from: &[usize], next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> =
            from.iter().copied().filter(|at| *at < self.len()).collect();
        let mut todo: Vec<usize> = found.iter().copied().collect();
        while let Some(at) = todo.pop() {
            todo.extend(next(at).into_iter().filter(|at| found.insert(*at)));
        }
        found
    }
}

/// Returns what a stage reads: its dependencies, then its parameter files.
fn read_by(stage: &Stage) -> impl Iterator<Item = &Location> {
    let params = stage.params.iter().map(|param| &param.location);
    stage.deps.iter().map(|dep| &dep.location).chain(params)
}

/// An output: of which stage, and which of its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OutAt {
    stage: usize,
    out: usize,
}

/// All outputs by place, so that those around and inside a place are found without looking at the others.
#[derive(Debug)]
struct OutIndex {
    outs: BTreeMap<String, Vec<OutAt>>,
}

impl OutIndex {
    fn new(stages: &[Stage]) -> Self {
        let mut outs: BTreeMap<String, Vec<OutAt>> = BTreeMap::new();
        for (stage, declared) in stages.iter().enumerate() {
            for (out, at) in declared.outs.iter().enumerate() {
                outs.entry(key(&at.location)).or_default().push(OutAt { stage, out });
            }
        }
        Self { outs }
    }

    /// Returns the outputs exactly at `location`.
    fn at(&self, location: &Location) -> &[OutAt] {
        self.outs.get(&key(location)).map_or(&[], Vec::as_slice)
    }

    /// Returns the outputs at `location` and those that contain it, the outermost first.
    fn around(&self, location: &Location) -> Vec<OutAt> {
        let key = key(location);
        let ends = key.match_indices('/').map(|(at, _)| at).chain([key.len()]);
        ends.filter_map(|end| self.outs.get(&key[..end])).flatten().copied().collect()
    }

    /// Returns the outputs at `location`, around it and inside it.
    fn touching(&self, location: &Location) -> Vec<OutAt> {
        let mut found = self.around(location);
        let key = key(location);
        // `0` is the character after `/`: between the two is everything below `key`.
        let below = self.outs.range(format!("{key}/")..format!("{key}0"));
        found.extend(below.flat_map(|(_, outs)| outs));
        found
    }
}

/// Spells a location so that one contains another exactly when its text and a `/` begin the other's text.
fn key(location: &Location) -> String {
    match location {
        Location::Workspace(path) if path.is_root() => ".".to_owned(),
        Location::Workspace(path) => format!("./{path}"),
        Location::External(text) | Location::Url(text) => text.trim_end_matches('/').to_owned(),
    }
}

fn listed(stages: &[StageId]) -> String {
    stages.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}

fn arrows(stages: &[StageId]) -> String {
    let ids = stages.iter().chain(stages.first());
    ids.map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" -> ")
}

/// Returns whether both are the same place or one lies inside the other.
pub(crate) fn touches(a: &Location, b: &Location) -> bool {
    let (a, b) = (key(a), key(b));
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    long.strip_prefix(short.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
