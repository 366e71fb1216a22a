//! What a file has to plot: rows of a table, lists of maps in a document, an image.

use std::sync::Arc;

use exp_core::{Table, Value};
use indexmap::IndexMap;

use crate::fault::PlotFault;
use crate::frame::{Column, Frame};

/// The content of one file.
#[derive(Debug, Clone, PartialEq)]
pub enum PlotData {
    /// Nothing: an empty table, or a document that Python finds false.
    Nothing,
    /// A table.
    Rows(Frame),
    /// A table whose rows have more than its header. What is beyond stands in the last column, which has no name.
    Unnamed(Frame),
    /// A table of which some row has more than the first, and which therefore has no points.
    Ragged {
        /// The name of the last column.
        last: String,
    },
    /// A document.
    Document(Value),
    /// The bytes of an image, or of what is called one.
    Image(Arc<[u8]>),
}

impl PlotData {
    /// Returns what a document is: [`PlotData::Nothing`] if Python finds it false.
    pub fn document(value: Value) -> Self {
        if value.is_false_in_python() { Self::Nothing } else { Self::Document(value) }
    }

    /// Returns the rows that can be plotted, those of all lists of maps merged by their position.
    pub(crate) fn points(&self) -> Result<Frame, PlotFault> {
        match self {
            Self::Rows(frame) | Self::Unnamed(frame) => Ok(frame.clone()),
            Self::Nothing | Self::Ragged { .. } => Ok(Frame::default()),
            Self::Image(_) => Err(PlotFault::no_map("bytes")),
            Self::Document(document) => {
                let mut merged = Merged::default();
                for list in lists(document)? {
                    let Some(rows) = rows(list) else { continue };
                    let Some(first) = rows.first() else { return Err(PlotFault::empty_list()) };
                    let is_like_first =
                        rows.iter().all(|row| row.keys().all(|key| first.contains_key(key)));
                    if is_like_first {
                        merged.add(&rows);
                    }
                }
                Ok(merged.into_frame())
            }
        }
    }

    /// Returns the column that is plotted when none is named: the last of the first row of the first list of maps.
    pub(crate) fn last_column(&self) -> Result<Option<String>, PlotFault> {
        match self {
            Self::Nothing | Self::Unnamed(_) => Ok(None),
            Self::Image(_) => Err(PlotFault::no_map("bytes")),
            Self::Rows(frame) => Ok(frame.names().next_back().map(str::to_owned)),
            Self::Ragged { last } => Ok(Some(last.clone())),
            Self::Document(document) => {
                for list in lists(document)? {
                    let Some(rows) = rows(list) else { continue };
                    let Some(first) = rows.first() else { return Err(PlotFault::empty_list()) };
                    return Ok(first.keys().next_back().cloned());
                }
                Ok(None)
            }
        }
    }
}

/// Returns the lists of a document, at any depth of maps, in its order.
fn lists(document: &Value) -> Result<Vec<&[Value]>, PlotFault> {
    fn walk<'v>(table: &'v Table, found: &mut Vec<&'v [Value]>) {
        for value in table.values() {
            match value {
                Value::Table(table) => walk(table, found),
                Value::List(items) => found.push(items),
                _ => {}
            }
        }
    }
    match document {
        Value::List(items) => Ok(vec![items]),
        Value::Table(table) => {
            let mut found = Vec::new();
            walk(table, &mut found);
            Ok(found)
        }
        Value::Int(_) => Err(PlotFault::no_map("int")),
        Value::Float(_) => Err(PlotFault::no_map("float")),
        Value::Bool(_) => Err(PlotFault::no_map("bool")),
        Value::Null => Err(PlotFault::no_map("NoneType")),
        _ => Err(PlotFault::no_map("str")),
    }
}

/// Returns the maps of a list; `None` when it has something else.
fn rows(list: &[Value]) -> Option<Vec<&Table>> {
    list.iter().map(Value::as_table).collect()
}

/// Rows that later lists add to.
#[derive(Default)]
struct Merged {
    columns: IndexMap<Arc<str>, Vec<Option<Value>>>,
    n_rows: usize,
}

impl Merged {
    fn add(&mut self, rows: &[&Table]) {
        for (index, row) in rows.iter().enumerate() {
            for (key, value) in *row {
                let column = match self.columns.get_mut(key.as_str()) {
                    Some(column) => column,
                    None => self.columns.entry(Arc::from(key.as_str())).or_default(),
                };
                if column.len() <= index {
                    column.resize(index + 1, None);
                }
                column[index] = Some(value.clone());
            }
        }
        self.n_rows = self.n_rows.max(rows.len());
    }

    fn into_frame(self) -> Frame {
        let n_rows = self.n_rows;
        let columns = self.columns.into_iter().map(|(name, mut values)| {
            values.resize(n_rows, None);
            (name, Column::Values(Arc::new(values)))
        });
        Frame::new(columns.collect(), n_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, Value)]) -> Value {
        Value::Table(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    #[track_caller]
    fn check(document: Value, points: &str, last: Option<&str>) {
        let data = PlotData::document(document);
        let mut out = String::new();
        data.points().expect("points").write_json(
            &mut out,
            &mut false,
            crate::frame::Spelling::Python,
        );
        assert_eq!(out, points);
        assert_eq!(data.last_column().expect("a column").as_deref(), last);
    }

    #[test]
    fn lists_of_maps_are_merged_by_position() {
        let one = |key: &str, value: i64| map(&[(key, Value::from(value))]);
        check(
            map(&[
                ("x", Value::List(vec![one("a", 1), one("a", 2)])),
                (
                    "n",
                    map(&[
                        ("y", Value::List(vec![one("a", 3)])),
                        ("s", Value::List(vec![Value::Int(1)])),
                    ]),
                ),
                ("z", Value::List(vec![one("b", 1)])),
            ]),
            r#"{"a": 3, "b": 1}, {"a": 2}"#,
            Some("a"),
        );
        let odd = Value::List(vec![one("a", 1), one("b", 2)]);
        check(odd, "", Some("a"));
        check(Value::List(Vec::new()), "", None);
        check(map(&[("a", Value::Int(1))]), "", None);
    }

    #[test]
    fn what_is_no_list_of_maps_fails_as_python_does() {
        let fault = |value| PlotData::document(value).points().expect_err("a fault").message;
        assert_eq!(fault(Value::Int(5)), "'int' object has no attribute 'values'");
        let empty = map(&[("a", Value::List(Vec::new()))]);
        assert_eq!(fault(empty), "'NoneType' object has no attribute 'keys'");
    }
}
