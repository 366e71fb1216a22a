//! Templates: Vega-Lite documents with anchors that are replaced by values.

use exp_core::{Table, Value};

use crate::fault::PlotFault;

/// DVC's own templates, in the order in which they are listed.
const BUILT_IN: [(&str, &str); 9] = [
    ("simple", include_str!("../templates/simple.json")),
    ("linear", include_str!("../templates/linear.json")),
    ("confusion", include_str!("../templates/confusion.json")),
    ("confusion_normalized", include_str!("../templates/confusion_normalized.json")),
    ("scatter", include_str!("../templates/scatter.json")),
    ("scatter_jitter", include_str!("../templates/scatter_jitter.json")),
    ("smooth", include_str!("../templates/smooth.json")),
    ("bar_horizontal_sorted", include_str!("../templates/bar_horizontal_sorted.json")),
    ("bar_horizontal", include_str!("../templates/bar_horizontal.json")),
];

/// The template of plots that name none.
pub const DEFAULT_TEMPLATE: &str = "linear";

/// A Vega-Lite document with anchors.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// As it was asked for.
    pub name: String,
    /// The document: a map.
    pub content: Value,
}

/// Returns the names of DVC's own templates, in its order.
pub fn template_names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Returns the text of one of DVC's own templates, which is JSON; `None` for another name.
pub fn template_text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Template {
    /// Makes a template of a document.
    ///
    /// # Errors
    ///
    /// The document is no map.
    pub fn new(name: &str, content: Value) -> Result<Self, PlotFault> {
        match content {
            Value::Table(_) => Ok(Self { name: name.to_owned(), content }),
            _ => Err(PlotFault::new("BadTemplateError", "")),
        }
    }

    /// Returns whether a value of the document is the anchor, lists within lists aside.
    pub(crate) fn has(&self, anchor: &str) -> bool {
        fn find(value: &Value, wanted: &str) -> bool {
            match value {
                Value::Table(table) => table.values().any(|value| match value {
                    Value::List(items) => items.iter().any(|item| find(item, wanted)),
                    value => find(value, wanted),
                }),
                Value::Text(text) => text == wanted,
                _ => false,
            }
        }
        find(&self.content, &anchor_text(anchor))
    }

    /// Puts a value where the anchor is; in the texts of maps a text also where the anchor is a part.
    pub(crate) fn fill(&mut self, anchor: &str, value: &Value) {
        let wanted = anchor_text(anchor);
        if let Value::Table(table) = &mut self.content {
            fill_table(table, &wanted, value);
        }
    }
}

/// Returns how an anchor is written: `<DVC_METRIC_X_LABEL>`.
pub(crate) fn anchor_text(name: &str) -> String {
    format!("<DVC_METRIC_{}>", name.to_ascii_uppercase())
}

fn fill_table(table: &mut Table, wanted: &str, value: &Value) {
    for found in table.values_mut() {
        match found {
            Value::Table(table) => fill_table(table, wanted, value),
            Value::List(items) => fill_list(items, wanted, value),
            Value::Text(text) if text == wanted => *found = value.clone(),
            Value::Text(text) => {
                if let Value::Text(value) = value
                    && text.contains(wanted)
                {
                    *text = text.replace(wanted, value);
                }
            }
            _ => {}
        }
    }
}

fn fill_list(items: &mut [Value], wanted: &str, value: &Value) {
    for item in items {
        match item {
            Value::Table(table) => fill_table(table, wanted, value),
            Value::List(items) => fill_list(items, wanted, value),
            Value::Text(text) if text == wanted => *item = value.clone(),
            _ => {}
        }
    }
}
