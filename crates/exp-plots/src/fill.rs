//! A template with the values of a plot in it, as DVC's renderer fills it.

use std::collections::BTreeSet;

use exp_core::{Table, Value};

use crate::fault::PlotFault;
use crate::frame::{Column, Frame};
use crate::series::{FIELD, FILENAME, Filled, REVISION};
use crate::template::{Template, anchor_text};

/// Between the parts of a name that stands for two columns.
const SEPARATOR: &str = "::";
/// Anchors that may be missing, in the order in which what is left of them is emptied.
const OPTIONAL: [&str; 13] = [
    "color",
    "column",
    "group_by_x",
    "group_by_y",
    "group_by",
    "pivot_field",
    "plot_height",
    "plot_width",
    "row",
    "shape",
    "stroke_dash",
    "tooltip",
    "zoom_and_pan",
];
/// Anchors that stay in a split document, their values beside it.
const SPLIT: [&str; 11] = [
    "color",
    "data",
    "plot_height",
    "plot_width",
    "shape",
    "stroke_dash",
    "title",
    "tooltip",
    "x_label",
    "y_label",
    "zoom_and_pan",
];
/// The colours of revisions, in their order.
pub const COLORS: [&str; 7] =
    ["#945dd6", "#13adc7", "#f46837", "#48bb78", "#4299e1", "#ed8936", "#f56565"];
const SHAPES: [&str; 4] = ["circle", "square", "triangle", "diamond"];
const DASHES: [[i64; 2]; 7] = [[1, 0], [8, 8], [8, 4], [4, 4], [4, 2], [2, 1], [1, 1]];
/// Width and height of a plot.
const SIZE: i64 = 300;

/// Whether the values of anchors that a reader may want to change stay outside of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// They are in the document.
    No,
    /// They are beside it.
    Yes,
}

/// A document, the values that are not in it, and the points, which stand where the anchor of the data is.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The document. The anchor of the data is still in it.
    pub content: Value,
    /// Of a split document the values by anchor, that of the data aside.
    pub anchors: Table,
    /// Whether it is split.
    pub split: Split,
    /// The points.
    pub points: Vec<Frame>,
}

/// Fills a template.
pub(crate) fn fill(
    mut template: Template,
    filled: &Filled,
    mut points: Vec<Frame>,
    revs: &[String],
    split: Split,
) -> Result<Spec, PlotFault> {
    for field in [&filled.x, &filled.y].into_iter().flatten().filter(|field| !field.is_empty()) {
        if !points.iter().any(|frame| frame.has(field)) {
            return Err(PlotFault::new(
                "NoFieldInDataError",
                format!("Field '{field}' does not exist in provided data."),
            ));
        }
    }
    let optional: Vec<&str> = OPTIONAL.into_iter().filter(|anchor| template.has(anchor)).collect();
    let mut filling = Filling { template: &mut template, optional, split, anchors: Table::new() };
    if let Some(varied) = filling.optional(filled, revs)? {
        for frame in &mut points {
            name_variation(frame, &varied);
        }
    }
    filling.plain("title", Some(Value::from(filled.title.clone().unwrap_or_default())));
    filling.plain("x", filled.x.as_deref().map(escaped));
    filling.plain("y", filled.y.as_deref().map(escaped));
    let label = |label: &Option<String>| label.clone().map(Value::from);
    filling.plain("x_label", label(&filled.x_label));
    filling.plain("y_label", label(&filled.y_label));
    let anchors = filling.anchors;
    if split == Split::No && !template.has("data") {
        let anchor = anchor_text("data");
        return Err(PlotFault::new(
            "BadTemplateError",
            format!("Template '{}' is not using '{anchor}' anchor", template.name),
        ));
    }
    Ok(Spec { content: template.content, anchors, split, points })
}

/// A template while it is filled.
struct Filling<'t> {
    template: &'t mut Template,
    /// Optional anchors that are there and not yet filled.
    optional: Vec<&'static str>,
    split: Split,
    anchors: Table,
}

impl Filling<'_> {
    /// Fills the optional anchors and returns which of file and column differ between the series; `None` when the template
    /// has no such anchor.
    fn optional(
        &mut self,
        filled: &Filled,
        revs: &[String],
    ) -> Result<Option<Vec<&'static str>>, PlotFault> {
        if self.optional.is_empty() {
            return Ok(None);
        }
        self.set("color", mapping("color", REVISION, revs));
        let zoom = [("name", "grid"), ("select", "interval"), ("bind", "scales")];
        self.set("zoom_and_pan", table(zoom.map(|(key, value)| (key, Value::from(value)))));
        self.set("plot_height", Value::from(SIZE));
        self.set("plot_width", Value::from(SIZE));
        if filled.series.len() <= 1 {
            self.group_by(filled, &[REVISION]);
            self.set("pivot_field", Value::from("datum.rev"));
            self.tooltip(filled, None);
            for anchor in std::mem::take(&mut self.optional) {
                self.template.fill(anchor, &Value::table());
            }
            return Ok(Some(Vec::new()));
        }
        let files: BTreeSet<String> = filled.series.iter().map(|(file, _)| file.clone()).collect();
        let fields: BTreeSet<String> =
            filled.series.iter().map(|(_, field)| field.clone()).collect();
        let mut varied = Vec::new();
        if files.len() > 1 {
            varied.push(FILENAME);
        }
        if fields.len() > 1 {
            varied.push(FIELD);
        }
        let domain: BTreeSet<String> = match varied.as_slice() {
            [FILENAME, FIELD] => {
                let pairs = filled.series.iter();
                pairs.map(|(file, field)| format!("{file}{SEPARATOR}{field}")).collect()
            }
            [FILENAME] => files,
            [FIELD] => fields,
            // The same column of the same file twice.
            _ => return Err(PlotFault::new("IndexError", "list index out of range")),
        };
        let domain: Vec<String> = domain.into_iter().collect();
        let variation = varied.join(SEPARATOR);
        self.group_by(filled, &[REVISION, &variation]);
        let pivot: Vec<String> =
            [REVISION].iter().chain(&varied).map(|key| format!("datum.{key}")).collect();
        self.set("pivot_field", Value::from(pivot.join(&format!(" + '{SEPARATOR}' + "))));
        for facet in ["row", "column"] {
            let sort = Value::List(Vec::new());
            self.set(facet, table([("field", Value::from(variation.as_str())), ("sort", sort)]));
        }
        self.tooltip(filled, Some(&variation));
        for look in ["stroke_dash", "shape"] {
            self.set(look, mapping(look, &variation, &domain));
        }
        Ok(Some(varied))
    }

    /// Fills an optional anchor, or puts its value aside.
    fn set(&mut self, anchor: &'static str, value: Value) {
        let Some(at) = self.optional.iter().position(|known| *known == anchor) else { return };
        self.optional.remove(at);
        self.plain(anchor, Some(value));
    }

    /// Fills an anchor, or puts its value aside. No value leaves the anchor.
    fn plain(&mut self, anchor: &str, value: Option<Value>) {
        let Some(value) = value else { return };
        if self.split == Split::Yes && SPLIT.contains(&anchor) {
            self.anchors.insert(anchor_text(anchor), value);
        } else {
            self.template.fill(anchor, &value);
        }
    }

    fn group_by(&mut self, filled: &Filled, fields: &[&str]) {
        let list = |more: Option<Option<&str>>| {
            let fields = fields.iter().map(|field| Value::from(*field));
            Value::List(fields.chain(more.map(optional_text)).collect())
        };
        self.set("group_by", list(None));
        self.set("group_by_x", list(Some(filled.x.as_deref())));
        self.set("group_by_y", list(Some(filled.y.as_deref())));
    }

    fn tooltip(&mut self, filled: &Filled, variation: Option<&str>) {
        let shown = [
            Value::from(REVISION),
            optional_text(filled.x.as_deref()),
            optional_text(filled.y.as_deref()),
        ];
        let shown = shown.into_iter().chain(variation.map(Value::from));
        self.set("tooltip", Value::List(shown.map(|field| table([("field", field)])).collect()));
    }
}

/// Names the series of a point by what differs between them.
fn name_variation(frame: &mut Frame, varied: &[&'static str]) {
    if let [first, second] = varied {
        let text = |name: &str| frame.column(name).map(|column| column.text(0)).unwrap_or_default();
        let both = format!("{}{SEPARATOR}{}", text(first), text(second));
        frame.set(&varied.join(SEPARATOR), Column::Same(Value::from(both)));
    }
    for name in [FILENAME, FIELD] {
        if varied.len() == 2 || !varied.contains(&name) {
            frame.remove(name);
        }
    }
}

/// Returns how a look (colour, dash, shape) tells the values of a field apart.
fn mapping(look: &str, field: &str, domain: &[String]) -> Value {
    let range = (0..domain.len()).map(|at| match look {
        "color" => Value::from(COLORS[at % COLORS.len()]),
        "shape" => Value::from(SHAPES[at % SHAPES.len()]),
        _ => Value::List(DASHES[at % DASHES.len()].map(Value::from).to_vec()),
    });
    let range = Value::List(range.collect());
    let domain = Value::List(domain.iter().map(|value| Value::from(value.as_str())).collect());
    let scale = table([("domain", domain), ("range", range)]);
    let mut mapping = table([("field", Value::from(field)), ("scale", scale)]);
    if look != "color"
        && let Value::Table(mapping) = &mut mapping
    {
        let legend = [("symbolFillColor", "transparent"), ("symbolStrokeColor", "grey")];
        let legend = table(legend.map(|(key, value)| (key, Value::from(value))));
        mapping.insert("legend".to_owned(), legend);
    }
    mapping
}

/// Writes the name of a column so that Vega does not look into it.
fn escaped(name: &str) -> Value {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '.' | '[' | ']') {
            text.push('\\');
        }
        text.push(c);
    }
    Value::from(text)
}

fn optional_text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

fn table<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Table(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
