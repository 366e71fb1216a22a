//! TOML as values.

use exp_core::{Table, Value};
use toml_edit::{Document, Item, Value as TomlValue};

use crate::format::{Format, ParseError};

pub(crate) mod edit;

/// Reads one TOML document.
pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    let document = document(text)?;
    Ok(item_value(document.as_item()))
}

/// Reads a document with the place of every value.
pub(crate) fn document(text: &str) -> Result<Document<&str>, ParseError> {
    Document::parse(text).map_err(|err| {
        let offset = err.span().map_or(0, |span| span.start);
        let message = err.message().lines().next().unwrap_or("not valid").to_owned();
        ParseError::at(Format::Toml, text, offset, message)
    })
}

pub(crate) fn item_value(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => toml_value(value),
        Item::Table(table) => Value::Table(
            table.iter().map(|(key, item)| (key.to_owned(), item_value(item))).collect(),
        ),
        Item::ArrayOfTables(tables) => Value::List(
            tables
                .iter()
                .map(|table| {
                    let table: Table = table
                        .iter()
                        .map(|(key, item)| (key.to_owned(), item_value(item)))
                        .collect();
                    Value::Table(table)
                })
                .collect(),
        ),
    }
}

fn toml_value(value: &TomlValue) -> Value {
    match value {
        TomlValue::String(text) => Value::Text(text.value().clone()),
        TomlValue::Integer(number) => Value::Int((*number.value()).into()),
        TomlValue::Float(number) => Value::Float(*number.value()),
        TomlValue::Boolean(truth) => Value::Bool(*truth.value()),
        TomlValue::Datetime(date) => Value::Date(date.value().to_string()),
        TomlValue::Array(items) => Value::List(items.iter().map(toml_value).collect()),
        TomlValue::InlineTable(table) => Value::Table(
            table.iter().map(|(key, value)| (key.to_owned(), toml_value(value))).collect(),
        ),
    }
}
