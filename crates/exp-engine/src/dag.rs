//! The graph of a pipeline as data: between stages, or between the files that they write.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use exp_core::{Ctx, Location, Pipeline, RelPath, StageId};

use crate::error::Error;
use crate::forecast::{Forecast, ForecastRequest};
use crate::project::Project;
use crate::view::{Broken, View};

/// What of the graph is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DagRequest {
    /// A stage, a file of stages or an output, as someone in `cwd` writes it; `None` for everything.
    pub target: Option<String>,
    /// The directory, below the root, that the target and the labels are relative to.
    pub cwd: RelPath,
    /// Whether everything connected with the target is shown, and not only what it waits for.
    pub full: bool,
    /// What the nodes are.
    pub nodes: DagNodes,
}

/// What the nodes of a graph are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DagNodes {
    /// Stages.
    #[default]
    Stages,
    /// Stages, those that one template makes as one.
    Groups,
    /// Outputs.
    Outs,
}

/// A node of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagNode {
    /// What a person calls it: the address of the stage, the path of the output.
    pub label: String,
    /// The stages that it stands for; never empty.
    pub stages: Vec<StageId>,
    /// The nodes that read what it writes, by position, in the order of collection.
    pub after: Vec<usize>,
}

/// A graph. Nodes stand in the order of collection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dag {
    /// The nodes.
    pub nodes: Vec<DagNode>,
}

impl Project {
    /// Returns the graph of the pipeline in the workspace.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken or the target does not exist.
    pub fn dag(&self, request: &DagRequest) -> Result<Dag, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        Dag::of(&view, request)
    }

    /// Returns the graph of the pipeline in the workspace, and what a run of everything would do.
    ///
    /// # Errors
    ///
    /// As for [`Project::dag`] and [`Project::forecast`].
    pub fn dag_with_forecast(
        &self,
        ctx: &Ctx<'_>,
        request: &DagRequest,
    ) -> Result<(Dag, Forecast), Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let dag = Dag::of(&view, request)?;
        Ok((dag, self.forecast_of(ctx, &view, &ForecastRequest::default(), HashMap::new())?))
    }
}

/// Finds the nodes that a target means.
fn named(
    dag: &Dag,
    view: &View,
    pipeline: &Pipeline,
    request: &DagRequest,
    target: &str,
) -> Result<Vec<usize>, Error> {
    let path = request.cwd.join(target).ok();
    let is_out = |stage: &exp_core::Stage| {
        stage.outs.iter().any(|out| path.is_some() && out.location.workspace() == path.as_ref())
    };
    let by_label = |label: &str| (0..dag.nodes.len()).find(|at| dag.nodes[*at].label == label);
    if request.nodes == DagNodes::Outs
        && let Some(path) = &path
        && let Some(at) = by_label(&path.relative_to(&request.cwd))
    {
        return Ok(vec![at]);
    }
    let wanted = exp_core::Target::parse(target, &request.cwd)?;
    let selection =
        exp_core::Selection::Targets { targets: vec![wanted], reach: exp_core::Reach::Single };
    let ids = match exp_core::select(pipeline, &selection) {
        Ok(ids) => ids,
        Err(error) => match view.stages.iter().find(|stage| is_out(stage)) {
            Some(stage) => vec![stage.id.clone()],
            None => return Err(error.into()),
        },
    };
    let ids: HashSet<StageId> = ids.into_iter().collect();
    let stands_for = |node: &DagNode| node.stages.iter().any(|stage| ids.contains(stage));
    Ok((0..dag.nodes.len()).filter(|at| stands_for(&dag.nodes[*at])).collect())
}

fn of_stages(pipeline: &Pipeline, cwd: &RelPath) -> Dag {
    let nodes = (pipeline.stages().iter().enumerate())
        .map(|(at, stage)| {
            let mut after = pipeline.graph().after(at).to_vec();
            after.sort_unstable();
            DagNode { label: stage.id.address(cwd), stages: vec![stage.id.clone()], after }
        })
        .collect();
    Dag { nodes }
}

fn of_outs(pipeline: &Pipeline, cwd: &RelPath) -> Dag {
    let label = |location: &Location| match location.workspace() {
        Some(path) => path.relative_to(cwd),
        None => location.to_string(),
    };
    let mut dag = Dag::default();
    let mut of_stage: Vec<Vec<usize>> = Vec::new();
    for stage in pipeline.stages() {
        let mut positions = Vec::new();
        for out in &stage.outs {
            positions.push(dag.nodes.len());
            let stages = vec![stage.id.clone()];
            dag.nodes.push(DagNode { label: label(&out.location), stages, after: Vec::new() });
        }
        of_stage.push(positions);
    }
    for (at, stage) in pipeline.stages().iter().enumerate() {
        let read: Vec<&Location> = (stage.deps.iter().map(|dep| &dep.location))
            .chain(stage.params.iter().map(|param| &param.location))
            .collect();
        for before in pipeline.graph().before(at) {
            for (out, from) in pipeline.stages()[*before].outs.iter().zip(&of_stage[*before]) {
                if !read.iter().any(|dep| overlap(&out.location, dep)) {
                    continue;
                }
                for to in &of_stage[at] {
                    if !dag.nodes[*from].after.contains(to) {
                        dag.nodes[*from].after.push(*to);
                    }
                }
            }
        }
    }
    dag
}

fn overlap(a: &Location, b: &Location) -> bool {
    match (a.workspace(), b.workspace()) {
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
        _ => a == b,
    }
}

impl Dag {
    fn of(view: &View, request: &DagRequest) -> Result<Self, Error> {
        let pipeline = view.pipeline()?;
        let whole = match request.nodes {
            DagNodes::Outs => of_outs(pipeline, &request.cwd),
            DagNodes::Stages | DagNodes::Groups => of_stages(pipeline, &request.cwd),
        };
        let dag = match &request.target {
            None => whole,
            Some(target) => {
                let named = named(&whole, view, pipeline, request, target)?;
                whole.around(&named, request.full)
            }
        };
        Ok(if request.nodes == DagNodes::Groups { dag.grouped() } else { dag })
    }

    /// Returns the nodes before each node, by position.
    pub fn before(&self) -> Vec<Vec<usize>> {
        let mut before = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for after in &node.after {
                before[*after].push(at);
            }
        }
        before
    }

    /// Returns the parts that are not connected with each other, each in the order of the nodes.
    pub fn components(&self) -> Vec<Vec<usize>> {
        let before = self.before();
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut components = Vec::new();
        for start in 0..self.nodes.len() {
            if !seen.contains(&start) {
                let component = reach(&[start], |at| {
                    self.nodes[at].after.iter().chain(&before[at]).copied().collect()
                });
                seen.extend(&component);
                components.push(component.into_iter().collect());
            }
        }
        components
    }

    /// Keeps what `named` wait for, or everything connected with them.
    fn around(self, named: &[usize], full: bool) -> Self {
        let before = self.before();
        let kept = if full {
            reach(named, |at| self.nodes[at].after.iter().chain(&before[at]).copied().collect())
        } else {
            reach(named, |at| before[at].clone())
        };
        let places: BTreeMap<usize, usize> =
            kept.iter().enumerate().map(|(place, at)| (*at, place)).collect();
        let nodes = (self.nodes.into_iter().enumerate())
            .filter(|(at, _)| kept.contains(at))
            .map(|(_, mut node)| {
                node.after = node.after.iter().filter_map(|at| places.get(at).copied()).collect();
                node
            })
            .collect();
        Self { nodes }
    }

    /// Makes one node of stages that a template made; they come last, as in DVC. Nodes of outputs stay.
    #[must_use]
    pub fn grouped(self) -> Self {
        let group = |node: &DagNode| match &node.stages[..] {
            [StageId { name: Some(name), .. }] if name.contains('@') => {
                node.label.rsplit_once('@').map(|(group, _)| group.to_owned())
            }
            _ => None,
        };
        let mut dag = Self::default();
        let mut places = vec![0; self.nodes.len()];
        let groups: Vec<Option<String>> = self.nodes.iter().map(group).collect();
        for (at, node) in self.nodes.iter().enumerate().filter(|(at, _)| groups[*at].is_none()) {
            places[at] = dag.nodes.len();
            dag.nodes.push(DagNode { after: Vec::new(), ..node.clone() });
        }
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(label) = &groups[at] else { continue };
            if let Some(&place) = known.get(label.as_str()) {
                places[at] = place;
                dag.nodes[place].stages.extend(node.stages.iter().cloned());
            } else {
                places[at] = dag.nodes.len();
                known.insert(label, dag.nodes.len());
                dag.nodes.push(DagNode { label: label.clone(), after: Vec::new(), ..node.clone() });
            }
        }
        let mut seen: HashSet<(usize, usize)> = HashSet::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for after in &node.after {
                let (from, to) = (places[at], places[*after]);
                if from != to && seen.insert((from, to)) {
                    dag.nodes[from].after.push(to);
                }
            }
        }
        dag
    }
}

fn reach(from: &[usize], next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut found: BTreeSet<usize> = from.iter().copied().collect();
    let mut todo: Vec<usize> = from.to_vec();
    while let Some(at) = todo.pop() {
        for next in next(at) {
            if found.insert(next) {
                todo.push(next);
            }
        }
    }
    found
}
