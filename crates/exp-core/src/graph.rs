//! Which stage comes before which, and what is wrong with a pipeline as a whole.
//!
//! A stage comes after another when one of its dependencies or parameter files equals, contains or lies inside an
//! output of the other, compared by whole parts of the path. All outputs stand in one sorted map, so a dependency
//! costs one look-up for each of its parts and one search; ten thousand stages take some hundredths of a second.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::path::Location;
use crate::settings::{Extra, may_match_glob_parts};
use crate::stage::{Stage, StageId};

/// Stages in the order in which they were collected, and the graph between them. Clones share all of it.
#[derive(Debug, Clone)]
pub struct Pipeline {
    stages: Arc<[Stage]>,
    graph: Arc<StageGraph>,
    by_id: Arc<HashMap<StageId, usize>>,
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
    /// The first thing that is wrong, in collection order, of the first of these that something is wrong with: addresses,
    /// outputs outside the project, the same output twice, outputs inside outputs, files that declare stages inside
    /// outputs, stages that read what they write, cycles.
    pub fn new(stages: impl Into<Arc<[Stage]>>) -> Result<Self, GraphError> {
        let (pipeline, outs, own) = Self::indexed(stages.into());
        pipeline.check_with(&outs, own)?;
        Ok(pipeline)
    }

    /// Takes the stages without looking whether they fit together, for what works on a broken pipeline too: status,
    /// commit, checkout.
    ///
    /// Of stages with the same address, [`Pipeline::position`] finds the first.
    pub fn unchecked(stages: impl Into<Arc<[Stage]>>) -> Self {
        Self::indexed(stages.into()).0
    }

    /// Makes the graph; also returns what it took to make it, which the checks need too.
    fn indexed(stages: Arc<[Stage]>) -> (Self, OutIndex, Option<Own>) {
        let outs = OutIndex::new(&stages);
        let (graph, own) = StageGraph::with_outs(&stages, &outs);
        let mut by_id = HashMap::with_capacity(stages.len());
        for (position, stage) in stages.iter().enumerate() {
            by_id.entry(stage.id.clone()).or_insert(position);
        }
        (Self { stages, graph: Arc::new(graph), by_id: Arc::new(by_id) }, outs, own)
    }

    fn check_with(&self, outs: &OutIndex, own: Option<Own>) -> Result<(), GraphError> {
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
        self.check_outs(outs)?;
        // Thousands of stages may be of one file, one behind the other.
        let mut last = None;
        for stage in self.stages.iter() {
            if last == Some(&stage.id.file) {
                continue;
            }
            last = Some(&stage.id.file);
            let file = Location::Workspace(stage.id.file.clone());
            if let Some(at) = outs.around(&key(&file)).next() {
                let out = self.out_location(at).clone();
                return Err(GraphError::FileInOut { stage: stage.id.clone(), out });
            }
        }
        if let Some(Own { dep, out }) = own {
            return Err(GraphError::DepIsOut {
                stage: self.stages[out.stage].id.clone(),
                dep,
                out: self.out_location(out).clone(),
            });
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
                let key = key(&out.location);
                let same: Vec<OutAt> = outs.at(&key).collect();
                if same.len() > 1 {
                    return Err(GraphError::DuplicateOut {
                        location: out.location.clone(),
                        stages: same.iter().map(|at| self.stages[at.stage].id.clone()).collect(),
                    });
                }
                let is_other =
                    |at: &OutAt| (at.stage, self.out_location(*at)) != (position, &out.location);
                if let Some(outer) = outs.around(&key).find(is_other) {
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
        Self::with_outs(stages, &OutIndex::new(stages)).0
    }

    /// Finds the edges, and the first stage that reads what it writes.
    fn with_outs(stages: &[Stage], outs: &OutIndex) -> (Self, Option<Own>) {
        let mut before = vec![Vec::new(); stages.len()];
        let mut after = vec![Vec::new(); stages.len()];
        let mut own = None;
        for (position, stage) in stages.iter().enumerate() {
            let mut seen = BTreeSet::new();
            let mut files = BTreeSet::new();
            let mut follow = |at: OutAt| {
                if at.stage != position && seen.insert(at.stage) {
                    before[position].push(at.stage);
                    after[at.stage].push(position);
                }
            };
            for dep in read_by(stage).filter(|dep| files.insert(*dep)) {
                for at in outs.touching(dep) {
                    if at.stage == position && own.is_none() {
                        own = Some(Own { dep: dep.clone(), out: at });
                    }
                    follow(at);
                }
            }
            globbed(stage, outs, stages).into_iter().for_each(follow);
        }
        let frozen = stages.iter().map(|stage| stage.frozen).collect();
        (Self { before, after, frozen }, own)
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

/// Returns what a stage reads: its dependencies, then its parameter files, then what its settings add.
fn read_by(stage: &Stage) -> impl Iterator<Item = &Location> {
    let params = stage.params.iter().map(|param| &param.location);
    let files = stage.settings.extras.iter().filter_map(Extra::file).map(|file| &file.location);
    stage.deps.iter().map(|dep| &dep.location).chain(params).chain(files)
}

/// Returns the outputs that may be among the files of the stage's globs.
fn globbed(stage: &Stage, outs: &OutIndex, stages: &[Stage]) -> Vec<OutAt> {
    let mut found = Vec::new();
    for extra in &stage.settings.extras {
        let Extra::Glob { base: Location::Workspace(base), parts, .. } = extra else { continue };
        found.extend(outs.touching(&Location::Workspace(base.clone())).into_iter().filter(|at| {
            let Some(path) = stages[at.stage].outs[at.out].location.workspace() else {
                return false;
            };
            let Some(below) = path.strip_prefix(base) else { return base.starts_with(path) };
            let below: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
            may_match_glob_parts(parts, &below)
        }));
    }
    found
}

/// An output: of which stage, and which of its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OutAt {
    stage: usize,
    out: usize,
}

/// What a stage reads and writes itself.
#[derive(Debug)]
struct Own {
    dep: Location,
    out: OutAt,
}

/// All outputs by place, so that those around and inside a place are found without looking at the others.
#[derive(Debug)]
struct OutIndex {
    /// By key, sorted. Of a place with several outputs the first, and the others.
    outs: IndexMap<String, (OutAt, Vec<OutAt>)>,
}

impl OutIndex {
    fn new(stages: &[Stage]) -> Self {
        let mut outs: IndexMap<String, (OutAt, Vec<OutAt>)> = IndexMap::new();
        for (stage, declared) in stages.iter().enumerate() {
            for (out, at) in declared.outs.iter().enumerate() {
                let here = OutAt { stage, out };
                outs.entry(key(&at.location))
                    .and_modify(|(_, others)| others.push(here))
                    .or_insert((here, Vec::new()));
            }
        }
        outs.sort_unstable_keys();
        Self { outs }
    }

    /// Returns the outputs exactly at `key`.
    fn at(&self, key: &str) -> impl Iterator<Item = OutAt> {
        self.outs.get(key).into_iter().flat_map(all)
    }

    /// Returns the outputs at `key` and those that contain it, the outermost first.
    fn around(&self, key: &str) -> impl Iterator<Item = OutAt> {
        let ends = key.match_indices('/').map(|(at, _)| at).chain([key.len()]);
        ends.filter_map(move |end| self.outs.get(&key[..end])).flat_map(all)
    }

    /// Returns the outputs at `location`, around it and inside it.
    fn touching(&self, location: &Location) -> Vec<OutAt> {
        let mut key = key(location);
        let mut found: Vec<OutAt> = self.around(&key).collect();
        key.push('/');
        let start = self.outs.partition_point(|other, _| *other < key);
        let below = self.outs[start..].iter().take_while(|(other, _)| other.starts_with(&key));
        found.extend(below.flat_map(|(_, outs)| all(outs)));
        found
    }
}

fn all((first, others): &(OutAt, Vec<OutAt>)) -> impl Iterator<Item = OutAt> {
    std::iter::once(*first).chain(others.iter().copied())
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
