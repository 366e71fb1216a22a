//! Plots as JSON, and what is wrong with them as lines.

use exp_engine::core::{KeyOrder, Value, write_python_json, write_python_text};
use exp_engine::plots::{Plot, PlotFault, RevisionPlots, Spec, Split};

use super::json::object;

pub(crate) mod charts;
pub(crate) mod page;

/// A plot and what it has become.
#[derive(Debug)]
pub(crate) struct Shown<'p> {
    /// The plot.
    pub(crate) plot: &'p Plot,
    /// What is shown.
    pub(crate) shown: ShownPlot<'p>,
}

/// What is shown of a plot.
#[derive(Debug)]
pub(crate) enum ShownPlot<'p> {
    /// Nothing: there are no points.
    Nothing,
    /// A document.
    Points {
        /// The document.
        spec: Box<Spec>,
        /// The revisions that have points.
        revs: &'p [String],
    },
    /// Copies of images.
    Images(Vec<ShownImage<'p>>),
}

/// A copy of an image.
#[derive(Debug)]
pub(crate) struct ShownImage<'p> {
    /// The revision.
    pub(crate) rev: &'p str,
    /// The absolute path of the copy.
    pub(crate) url: String,
}

/// Writes plots as DVC's JSON. `faults` are those of whole revisions.
pub(crate) fn json(shown: &[Shown<'_>], faults: &[(&str, &PlotFault)]) -> String {
    let mut errors = Vec::new();
    for Shown { plot, .. } in shown {
        let name = ("name", Value::from(plot.name.as_str()));
        for (rev, source, fault) in &plot.source_faults {
            let [kind, message] = fault_members(fault);
            let (rev, source) = (Value::from(rev.as_str()), Value::from(source.as_str()));
            errors.push(object([name.clone(), ("rev", rev), ("source", source), kind, message]));
        }
        for (rev, fault) in &plot.faults {
            let [kind, message] = fault_members(fault);
            errors.push(object([name.clone(), ("rev", Value::from(rev.as_str())), kind, message]));
        }
    }
    for (rev, fault) in faults {
        let [kind, message] = fault_members(fault);
        errors.push(object([("rev", Value::from(*rev)), kind, message]));
    }
    let mut out = String::from("{");
    if !errors.is_empty() {
        out.push_str("\"errors\": ");
        write_python_json(&mut out, &Value::List(errors), KeyOrder::AsIs);
        out.push_str(if shown.is_empty() { "" } else { ", " });
    }
    if !shown.is_empty() {
        out.push_str("\"data\": {");
        for (at, Shown { plot, shown }) in shown.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" });
            write_python_text(&mut out, &plot.name);
            out.push_str(": [");
            write_plot(&mut out, shown);
            out.push(']');
        }
        out.push('}');
    }
    out.push_str("}\n");
    out
}

fn write_plot(out: &mut String, shown: &ShownPlot<'_>) {
    match shown {
        ShownPlot::Nothing => {}
        ShownPlot::Points { spec, revs } => {
            out.push_str("{\"type\": \"vega\", \"revisions\": ");
            let revs = revs.iter().map(|rev| Value::from(rev.as_str())).collect();
            write_python_json(out, &Value::List(revs), KeyOrder::AsIs);
            out.push_str(", \"content\": ");
            spec.write_json(out);
            if spec.split == Split::Yes {
                out.push_str(", \"anchor_definitions\": ");
                spec.write_anchors(out);
            }
            out.push('}');
        }
        ShownPlot::Images(images) => {
            for (at, image) in images.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                let value = object([
                    ("type", Value::from("image")),
                    ("revisions", Value::List(vec![Value::from(image.rev)])),
                    ("url", Value::from(image.url.as_str())),
                ]);
                write_python_json(out, &value, KeyOrder::AsIs);
            }
        }
    }
}

fn fault_members(fault: &PlotFault) -> [(&'static str, Value); 2] {
    [("type", Value::from(fault.class.as_str())), ("msg", Value::from(fault.message.as_str()))]
}

/// Returns what could not be read or drawn, a line each, in our words.
pub(crate) fn problems(collected: &[RevisionPlots], found: &[Plot]) -> Vec<String> {
    let mut lines = Vec::new();
    for revision in collected {
        if let Err(fault) = &revision.definitions {
            lines.push(format!("{}: {}", revision.rev, words(fault)));
        }
        for (source, data) in &revision.sources {
            if let Err(fault) = data {
                lines.push(format!("{}: {source}: {}", revision.rev, words(fault)));
            }
        }
    }
    for plot in found {
        for (rev, fault) in &plot.faults {
            lines.push(format!("{rev}: {}: {}", plot.name, words(fault)));
        }
    }
    lines
}

/// Says what is wrong, without what the line says anyway.
fn words(fault: &PlotFault) -> String {
    match (fault.class.as_str(), &fault.detail) {
        (_, Some(detail)) => detail.clone(),
        ("FileNotFoundError", None) if fault.message.contains("No storage files") => {
            "was never recorded".to_owned()
        }
        ("FileNotFoundError", None) => "there is no such file".to_owned(),
        ("EncodingError", None) => "is not text".to_owned(),
        ("PlotMetricTypeError", None) => {
            "is neither JSON, YAML, CSV, TSV nor an image by its ending".to_owned()
        }
        ("TypeError" | "AttributeError", None) => "has no rows that can be drawn".to_owned(),
        _ => {
            let text = fault.message.replace('\n', " ");
            let text = text.trim_end_matches('.');
            let mut chars = text.chars();
            match chars.next() {
                Some(first) if fault.class != "OSError" => {
                    format!("{}{}", first.to_lowercase(), chars.as_str())
                }
                _ => text.to_owned(),
            }
        }
    }
}
