//! Plots of several revisions: what each revision defines and has, put together by plot.

use std::collections::BTreeSet;
use std::sync::Arc;

use exp_core::{KeyOrder, Value, write_python_json, write_python_text};
use indexmap::IndexMap;

use crate::definition::{PlotProps, is_image};
use crate::fault::PlotFault;
use crate::fill::{Spec, Split, fill};
use crate::frame::{Frame, Spelling, write_value};
use crate::points::PlotData;
use crate::series::{Filled, points};
use crate::template::{Template, anchor_text};

/// Plots by the file that defines them, the empty name for those of stages and of targets; in a file by id.
pub type Definitions = IndexMap<String, IndexMap<String, PlotProps>>;

/// What one revision defines, and the files that its plots read.
#[derive(Debug, Clone)]
pub struct RevisionPlots {
    /// What the revision is called.
    pub rev: String,
    /// What it defines, or why that cannot be told.
    pub definitions: Result<Definitions, PlotFault>,
    /// Files by their names in the definitions.
    pub sources: IndexMap<String, Result<PlotData, PlotFault>>,
}

/// One plot of all revisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Its id: a path, a name, or a name behind the file that defines it.
    pub name: String,
    /// What is drawn.
    pub kind: PlotKind,
    /// Files that cannot be read: revision, file and why.
    pub source_faults: Vec<(String, String, PlotFault)>,
    /// Revisions in which the plot cannot be made, and why.
    pub faults: Vec<(String, PlotFault)>,
}

/// What a plot is.
#[derive(Debug, Clone, PartialEq)]
pub enum PlotKind {
    /// Points of data.
    Points(PointsPlot),
    /// Images.
    Images(Vec<PlotImage>),
}

/// Points of all revisions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PointsPlot {
    /// A frame for each series of each revision.
    pub points: Vec<Frame>,
    /// What is known of the plot.
    pub filled: Filled,
    /// The revisions that have points, in their order.
    pub revs: Vec<String>,
}

/// An image of one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct PlotImage {
    /// The revision.
    pub rev: String,
    /// The file.
    pub path: String,
    /// Its bytes, which need not be those of an image.
    pub bytes: Arc<[u8]>,
}

/// Puts the plots of revisions together, in the order in which they are first defined.
///
/// Of properties that revisions define differently, those of the first revision count.
pub fn plots(revisions: &[RevisionPlots]) -> Vec<Plot> {
    let mut groups: IndexMap<String, Vec<(&RevisionPlots, &str, &PlotProps)>> = IndexMap::new();
    for revision in revisions {
        let Ok(definitions) = &revision.definitions else { continue };
        for (full, id, props) in by_id(definitions) {
            groups.entry(full).or_default().push((revision, id, props));
        }
    }
    groups.into_iter().map(|(name, group)| plot(name, &group)).collect()
}

/// Names each definition by its id, and where several files define the id, with the file.
fn by_id(definitions: &Definitions) -> Vec<(String, &str, &PlotProps)> {
    let mut files: IndexMap<&str, Vec<(&str, &PlotProps)>> = IndexMap::new();
    for (file, plots) in definitions {
        for (id, props) in plots {
            files.entry(id).or_default().push((file, props));
        }
    }
    let mut named: IndexMap<String, (&str, &PlotProps)> = IndexMap::new();
    for (id, files) in files {
        for (file, props) in &files {
            let is_known = files.len() == 1 || file.is_empty();
            let full = if is_known { id.to_owned() } else { format!("{file}::{id}") };
            named.insert(full, (id, props));
        }
    }
    named.into_iter().map(|(full, (id, props))| (full, id, props)).collect()
}

fn plot(name: String, group: &[(&RevisionPlots, &str, &PlotProps)]) -> Plot {
    let props = group.iter().fold(PlotProps::default(), |known, (_, _, props)| known.or(props));
    let (mut source_faults, mut faults) = (Vec::new(), Vec::new());
    let (mut images, mut made) = (Vec::new(), PointsPlot::default());
    let mut filled = None;
    let shows_images = group.last().is_some_and(|(_, id, _)| is_image(id));
    for (revision, id, own) in group {
        let mut data: IndexMap<String, &PlotData> = IndexMap::new();
        for source in own.sources(id) {
            match revision.sources.get(&source) {
                Some(Ok(PlotData::Nothing)) | None => {}
                Some(Ok(found)) => drop(data.insert(source, found)),
                Some(Err(fault)) => {
                    source_faults.push((revision.rev.clone(), source, fault.clone()));
                }
            }
        }
        if is_image(id) {
            images.extend(data.into_iter().filter_map(|(path, data)| match data {
                PlotData::Image(bytes) => {
                    Some(PlotImage { rev: revision.rev.clone(), path, bytes: Arc::clone(bytes) })
                }
                _ => None,
            }));
            continue;
        }
        match points(id, &props, &data, &revision.rev) {
            Ok(Some((frames, found))) => {
                made.points.extend(frames);
                filled.get_or_insert(found);
                if !made.revs.contains(&revision.rev) {
                    made.revs.push(revision.rev.clone());
                }
            }
            Ok(None) => {}
            Err(fault) => faults.push((revision.rev.clone(), fault)),
        }
    }
    if shows_images {
        let name = group.last().map_or(name, |(_, id, _)| (*id).to_owned());
        return Plot { name, kind: PlotKind::Images(images), source_faults, faults };
    }
    made.filled = filled.unwrap_or_default();
    made.filled.title.get_or_insert_with(|| name.clone());
    Plot { name, kind: PlotKind::Points(made), source_faults, faults }
}

impl PointsPlot {
    /// Returns whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Returns the number of points.
    pub fn n_points(&self) -> usize {
        self.points.iter().map(Frame::n_rows).sum()
    }

    /// Fills a template with the plot.
    ///
    /// # Errors
    ///
    /// The template has no anchor for the data, or the data does not have the columns.
    pub fn spec(&self, template: Template, split: Split) -> Result<Spec, PlotFault> {
        fill(template, &self.filled, self.points.clone(), &self.revs, split)
    }
}

impl Plot {
    /// Returns the revisions in which something of the plot cannot be read or made.
    pub fn faulty_revs(&self) -> BTreeSet<&str> {
        let sources = self.source_faults.iter().map(|(rev, _, _)| rev.as_str());
        sources.chain(self.faults.iter().map(|(rev, _)| rev.as_str())).collect()
    }
}

impl Spec {
    /// Appends the document as JSON in Python's spelling, its points included unless it is split.
    pub fn write_json(&self, out: &mut String) {
        match self.split {
            Split::No => self.write(out, &self.content, (&anchor_text("data"), Spelling::Python)),
            Split::Yes => write_python_json(out, &self.content, KeyOrder::AsIs),
        }
    }

    /// Appends the document with its points as JSON that every reader takes: null stands for numbers that JSON does not
    /// have.
    pub fn write_strict_json(&self, out: &mut String) {
        self.write(out, &self.content, (&anchor_text("data"), Spelling::Strict));
    }

    /// Appends the values of the anchors of a split document as JSON.
    pub fn write_anchors(&self, out: &mut String) {
        out.push('{');
        for (anchor, value) in &self.anchors {
            write_python_text(out, anchor);
            out.push_str(": ");
            write_python_json(out, value, KeyOrder::AsIs);
            out.push_str(", ");
        }
        write_python_text(out, &anchor_text("data"));
        out.push_str(": ");
        self.write_points(out, Spelling::Python);
        out.push('}');
    }

    fn write(&self, out: &mut String, value: &Value, how: (&str, Spelling)) {
        match value {
            Value::Text(text) if text == how.0 => self.write_points(out, how.1),
            Value::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { ", " } else { "" });
                    self.write(out, item, how);
                }
                out.push(']');
            }
            Value::Table(table) => {
                out.push('{');
                for (at, (key, value)) in table.iter().enumerate() {
                    out.push_str(if at > 0 { ", " } else { "" });
                    write_python_text(out, key);
                    out.push_str(": ");
                    self.write(out, value, how);
                }
                out.push('}');
            }
            value => write_value(out, value, how.1),
        }
    }

    fn write_points(&self, out: &mut String, spelling: Spelling) {
        out.push('[');
        let mut any = false;
        for frame in &self.points {
            frame.write_json(out, &mut any, spelling);
        }
        out.push(']');
    }
}
