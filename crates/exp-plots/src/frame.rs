//! Rows of data, held by column: what a plot is drawn of.
//!
//! Curves of many revisions have millions of values, most of them text that is only copied from a file into a document.
//! So the columns of a file are read once and shared by every series that is made of them, and what is the same in all
//! rows, such as the revision, is held once.

use std::sync::Arc;

use exp_core::{KeyOrder, Value, python_json, write_python_json, write_python_text};
use indexmap::IndexMap;

/// Texts one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// Returns the text of a row; empty behind the last.
    pub fn get(&self, row: usize) -> &str {
        let start =
            row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(row).map_or("", |end| &self.text[start..*end])
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// The values of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Text in every row, as tables have it.
    Texts(Arc<Texts>),
    /// A value in each row, or none.
    Values(Arc<Vec<Option<Value>>>),
    /// The number of the row, from 0.
    Index,
    /// The same in every row.
    Same(Value),
}

impl Column {
    /// Returns the number in a row, as Vega would read it: texts are numbers where they are written as one.
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Self::Texts(texts) => texts.get(row).trim().parse().ok(),
            Self::Values(values) => values.get(row)?.as_ref().and_then(number),
            #[expect(clippy::cast_precision_loss, reason = "rows are counted, not measured")]
            Self::Index => Some(row as f64),
            Self::Same(value) => number(value),
        }
    }

    /// Returns what stands in a row, for people; empty for nothing.
    pub fn text(&self, row: usize) -> String {
        let written = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            value => python_json(value, KeyOrder::AsIs),
        };
        match self {
            Self::Texts(texts) => texts.get(row).to_owned(),
            Self::Values(values) => {
                values.get(row).and_then(Option::as_ref).map(written).unwrap_or_default()
            }
            Self::Index => row.to_string(),
            Self::Same(value) => written(value),
        }
    }

    /// Returns whether a row has a value.
    pub(crate) fn has(&self, row: usize) -> bool {
        match self {
            Self::Values(values) => values.get(row).is_some_and(Option::is_some),
            _ => true,
        }
    }
}

/// How numbers are written that JSON does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As Python writes them: `NaN`, `Infinity`.
    Python,
    /// As null.
    Strict,
}

/// Appends a value as JSON.
pub(crate) fn write_value(out: &mut String, value: &Value, spelling: Spelling) {
    fn is_odd(value: &Value) -> bool {
        match value {
            Value::Float(number) => !number.is_finite(),
            Value::List(items) => items.iter().any(is_odd),
            Value::Table(table) => table.values().any(is_odd),
            _ => false,
        }
    }
    fn strict(value: &Value) -> Value {
        match value {
            Value::Float(number) if !number.is_finite() => Value::Null,
            Value::List(items) => Value::List(items.iter().map(strict).collect()),
            Value::Table(table) => Value::Table(
                table.iter().map(|(key, value)| (key.clone(), strict(value))).collect(),
            ),
            value => value.clone(),
        }
    }
    if spelling == Spelling::Strict && is_odd(value) {
        write_python_json(out, &strict(value), KeyOrder::AsIs);
    } else {
        write_python_json(out, value, KeyOrder::AsIs);
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Text(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}

/// Rows by their columns, in the order in which the columns appeared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    columns: IndexMap<Arc<str>, Column>,
    n_rows: usize,
}

impl Frame {
    /// Makes rows of columns, which are as long as they say.
    pub(crate) fn new(columns: IndexMap<Arc<str>, Column>, n_rows: usize) -> Self {
        Self { columns, n_rows }
    }

    /// Returns the number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Returns a column.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.get(name)
    }

    /// Returns the names of the columns.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.columns.keys().map(AsRef::as_ref)
    }

    /// Returns the names of what the first row has.
    pub(crate) fn first_names(&self) -> Vec<&str> {
        let columns = self.columns.iter().filter(|(_, column)| column.has(0));
        columns.map(|(name, _)| &**name).collect()
    }

    /// Returns whether any row has the column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.column(name).is_some_and(|column| (0..self.n_rows).any(|row| column.has(row)))
    }

    /// Sets a column, at its place if it is there.
    pub(crate) fn set(&mut self, name: &str, column: Column) {
        match self.columns.get_mut(name) {
            Some(known) => *known = column,
            None => drop(self.columns.insert(Arc::from(name), column)),
        }
    }

    /// Sets a column where `column` has a value.
    pub(crate) fn update(&mut self, name: &str, column: &Column) {
        let Column::Values(new) = column else { return self.set(name, column.clone()) };
        let Some(known) = self.columns.get(name).filter(|_| new.iter().any(Option::is_none)) else {
            return self.set(name, column.clone());
        };
        let values = (0..self.n_rows)
            .map(|row| new.get(row).cloned().flatten().or_else(|| known.value(row)));
        let values = Column::Values(Arc::new(values.collect()));
        self.set(name, values);
    }

    /// Removes a column.
    pub(crate) fn remove(&mut self, name: &str) {
        self.columns.shift_remove(name);
    }

    /// Appends the rows to a list of JSON objects, in Python's spelling; `any` tells whether the list has items already.
    pub(crate) fn write_json(&self, out: &mut String, any: &mut bool, spelling: Spelling) {
        let columns: Vec<(String, &Column)> = (self.columns.iter())
            .map(|(name, column)| {
                let mut written = String::new();
                write_python_text(&mut written, name);
                written.push_str(": ");
                if let Column::Same(value) = column {
                    write_value(&mut written, value, spelling);
                }
                (written, column)
            })
            .collect();
        for row in 0..self.n_rows {
            out.push_str(if std::mem::replace(any, true) { ", {" } else { "{" });
            let mut is_first = true;
            for (written, column) in &columns {
                if !column.has(row) {
                    continue;
                }
                if !std::mem::take(&mut is_first) {
                    out.push_str(", ");
                }
                out.push_str(written);
                match column {
                    Column::Texts(texts) => write_python_text(out, texts.get(row)),
                    Column::Values(values) => {
                        if let Some(Some(value)) = values.get(row) {
                            write_value(out, value, spelling);
                        }
                    }
                    Column::Index => out.push_str(&row.to_string()),
                    Column::Same(_) => {}
                }
            }
            out.push('}');
        }
    }
}

impl Column {
    fn value(&self, row: usize) -> Option<Value> {
        match self {
            Self::Texts(texts) => Some(Value::from(texts.get(row))),
            Self::Values(values) => values.get(row)?.clone(),
            Self::Index => Some(Value::from(row as u64)),
            Self::Same(value) => Some(value.clone()),
        }
    }
}
