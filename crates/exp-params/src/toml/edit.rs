//! Splices for TOML.

use std::ops::Range;

use exp_core::{KeyPath, Value, python_float};
use toml_edit::{InlineTable, Item, Table, Value as TomlValue};

use super::{document, item_value};
use crate::apply::{Obstacle, Splice};
use crate::json::edit::quote as basic_quote;
use crate::overrides::Literal;
use crate::plan::{Step, identical};
use crate::text::{Bracketed, indent, line_behind, newline, whole_lines};

pub(crate) fn splice(text: &str, step: &Step) -> Result<Splice, Obstacle> {
    let document = document(text).map_err(|_| Obstacle::Layout)?;
    let root = Found::Table(document.as_table());
    match step {
        Step::Replace { path, literal } => {
            let Found::Value(value) = root.find(path.parts())? else {
                return Err(Obstacle::Layout);
            };
            let span = value.span().ok_or(Obstacle::Layout)?;
            let old = &text[span.clone()];
            let new = write(literal, &KeyPath::root(), &literal.value, old.starts_with('\''))?;
            Ok(Splice::new(span, new))
        }
        Step::Insert { parent, key, literal } => {
            let value = write(literal, &KeyPath::root(), &literal.value, false)?;
            insert(text, root.find(parent.parts())?, parent, key, &value)
        }
        Step::Remove { path } => remove(text, &root, path),
    }
}

#[derive(Clone, Copy)]
enum Found<'d> {
    Table(&'d Table),
    Value(&'d TomlValue),
    Tables(&'d toml_edit::ArrayOfTables),
}

impl Found<'_> {
    fn find(self, parts: &[String]) -> Result<Self, Obstacle> {
        parts.iter().try_fold(self, |found, part| found.child(part)).map_err(|()| Obstacle::Layout)
    }

    fn child(self, part: &str) -> Result<Self, ()> {
        let index = || part.parse::<usize>().map_err(|_| ());
        match self {
            Self::Table(table) => match table.get(part).ok_or(())? {
                Item::Value(value) => Ok(Self::Value(value)),
                Item::Table(table) => Ok(Self::Table(table)),
                Item::ArrayOfTables(tables) => Ok(Self::Tables(tables)),
                Item::None => Err(()),
            },
            Self::Tables(tables) => tables.get(index()?).map(Self::Table).ok_or(()),
            Self::Value(TomlValue::Array(items)) => items.get(index()?).map(Self::Value).ok_or(()),
            Self::Value(TomlValue::InlineTable(table)) => {
                table.get(part).map(Self::Value).ok_or(())
            }
            Self::Value(_) => Err(()),
        }
    }
}

/// Returns the keys and values that are written directly in a table, dotted ones included: from key to value.
fn direct(table: &Table) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (key, item) in table {
        match item {
            Item::Value(value) => {
                let start = table.key(key).and_then(toml_edit::Key::span);
                if let (Some(start), Some(end)) = (start, value.span()) {
                    found.push(start.start..end.end);
                }
            }
            Item::Table(inner) if inner.is_dotted() => found.extend(direct(inner)),
            _ => {}
        }
    }
    found
}

fn insert(
    text: &str,
    found: Found<'_>,
    parent: &KeyPath,
    key: &str,
    value: &str,
) -> Result<Splice, Obstacle> {
    let table = match found {
        Found::Table(table) => table,
        Found::Value(TomlValue::InlineTable(table)) => {
            let bracketed = bracketed(table)?;
            let member = format!("{} = {value}", write_key(key));
            if bracketed.members.is_empty() {
                return Ok(Splice::new(bracketed.span, format!("{{ {member} }}")));
            }
            let (range, new) = bracketed.push(text, &member);
            return Ok(Splice::new(range, new));
        }
        _ => return Err(Obstacle::Layout),
    };
    let line = format!("{} = {value}", write_key(key));
    let last = direct(table).into_iter().max_by_key(|range| range.end);
    if let Some(last) = last {
        // In a table of dotted keys, the new key is dotted as the one before it is.
        let dotted = if table.is_dotted() {
            let path: Vec<String> = parent.parts().iter().map(|part| write_key(part)).collect();
            // The part of the path that the header does not have.
            (0..path.len())
                .map(|n| path[n..].join("."))
                .find(|prefix| line_of(text, &last).starts_with(&format!("{prefix}.")))
                .map(|prefix| format!("{prefix}."))
                .ok_or(Obstacle::Layout)?
        } else {
            String::new()
        };
        let line = format!("{}{dotted}{line}", indent(text, last.start));
        let (at, line) = line_behind(text, last.end, &line);
        return Ok(Splice::insert(at, line));
    }
    if parent.is_root() {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let newline = newline(text);
        let is_empty = text[at..].trim().is_empty();
        let gap = if is_empty { "" } else { newline };
        return Ok(Splice::insert(at, format!("{line}{newline}{gap}")));
    }
    if table.is_implicit() {
        let header: Vec<String> = parent.parts().iter().map(|part| write_key(part)).collect();
        let newline = newline(text);
        let lines = format!("{newline}[{}]{newline}{line}", header.join("."));
        let (at, lines) = line_behind(text, text.len(), &lines);
        let lines = if lines.ends_with('\n') { lines } else { format!("{lines}{newline}") };
        return Ok(Splice::insert(at, lines));
    }
    let header = table.span().ok_or(Obstacle::Layout)?;
    let (at, line) =
        line_behind(text, header.start, &format!("{}{line}", indent(text, header.start)));
    Ok(Splice::insert(at, line))
}

fn line_of<'t>(text: &'t str, range: &Range<usize>) -> &'t str {
    text[crate::text::line_start(text, range.start)..].trim_start_matches([' ', '\t'])
}

fn bracketed(table: &InlineTable) -> Result<Bracketed, Obstacle> {
    let span = table.span().ok_or(Obstacle::Layout)?;
    let members = table
        .iter()
        .map(|(key, value)| {
            let start = table.key(key).and_then(toml_edit::Key::span)?.start;
            Some(start..value.span()?.end)
        })
        .collect::<Option<_>>()
        .ok_or(Obstacle::Layout)?;
    Ok(Bracketed { span, members })
}

fn remove(text: &str, root: &Found<'_>, path: &KeyPath) -> Result<Splice, Obstacle> {
    let (key, parent) = path.parts().split_last().ok_or(Obstacle::Layout)?;
    match root.find(parent)? {
        Found::Value(TomlValue::InlineTable(table)) => {
            let at = table.iter().position(|(name, _)| name == key).ok_or(Obstacle::Layout)?;
            Ok(Splice::new(bracketed(table)?.remove(text, at), ""))
        }
        Found::Table(table) => {
            let Some(Item::Value(value)) = table.get(key) else {
                return Err(Obstacle::Layout);
            };
            let value = value.span().ok_or(Obstacle::Layout)?;
            // A dotted key starts before its last part.
            let start = crate::text::line_start(text, value.start);
            let start = start + indent(text, value.start).len();
            let lines = whole_lines(text, &(start..value.end)).ok_or(Obstacle::Layout)?;
            Ok(Splice::new(lines, ""))
        }
        _ => Err(Obstacle::Layout),
    }
}

fn write_key(key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.to_owned() } else { basic_quote(key) }
}

fn write(
    literal: &Literal,
    place: &KeyPath,
    value: &Value,
    single_quotes: bool,
) -> Result<String, Obstacle> {
    Ok(match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => {
            spelling(literal, place, value).map_or_else(|| number.to_string(), str::to_owned)
        }
        Value::Float(number) => {
            spelling(literal, place, value).map_or_else(|| python_float(*number), str::to_owned)
        }
        Value::Text(text) => {
            let fits = single_quotes && !text.contains('\'') && !text.chars().any(char::is_control);
            if fits { format!("'{text}'") } else { basic_quote(text) }
        }
        Value::List(items) => {
            let items: Vec<String> = items
                .iter()
                .enumerate()
                .map(|(at, item)| write(literal, &place.child(&at.to_string()), item, false))
                .collect::<Result<_, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) if table.is_empty() => "{}".to_owned(),
        Value::Table(table) => {
            let members: Vec<String> = table
                .iter()
                .map(|(key, item)| {
                    let item = write(literal, &place.child(key), item, false)?;
                    Ok(format!("{} = {item}", write_key(key)))
                })
                .collect::<Result<_, Obstacle>>()?;
            format!("{{ {} }}", members.join(", "))
        }
        // TOML has no null.
        _ => return Err(Obstacle::NoSpelling),
    })
}

/// Returns how the number was typed if TOML reads that as the same number.
fn spelling<'l>(literal: &'l Literal, place: &KeyPath, value: &Value) -> Option<&'l str> {
    literal.spelling(place).filter(|typed| {
        document(&format!("x = {typed}")).is_ok_and(|document| {
            document.as_table().get("x").is_some_and(|read| identical(&item_value(read), value))
        })
    })
}
