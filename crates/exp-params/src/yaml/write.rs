//! Values as YAML: on one line, or a map by indentation.

use exp_core::{KeyPath, Table, Value, YamlStyle, parse_yaml, python_float};

use crate::apply::Obstacle;
use crate::json::edit::quote as double_quote;
use crate::overrides::Literal;
use crate::plan::identical;

/// Writes values of one override.
pub(super) struct Writer<'l> {
    pub(super) literal: &'l Literal,
    /// Whether the value goes between brackets, where plain text may hold fewer characters.
    pub(super) in_flow: bool,
}

impl Writer<'_> {
    /// Writes the whole value on one line; text with the quotes of the old value where they fit.
    pub(super) fn inline(&self, old: Option<YamlStyle>) -> Result<String, Obstacle> {
        match &self.literal.value {
            Value::Text(text) => Ok(self.text(text, old)),
            value => self.value(&KeyPath::root(), value, self.in_flow),
        }
    }

    /// Writes an item of the value on one line.
    pub(super) fn item(&self, at: usize, value: &Value) -> Result<String, Obstacle> {
        self.value(&KeyPath::from_parts([at.to_string()]), value, self.in_flow)
    }

    /// Writes `key: value` and, for maps that are not empty, their members on lines of their own.
    pub(super) fn block_member(
        &self,
        key: &str,
        indent: &str,
        unit: &str,
        newline: &str,
    ) -> Result<String, Obstacle> {
        let mut out = format!("{indent}{}:", self.key(key));
        match &self.literal.value {
            Value::Table(table) if !table.is_empty() => {
                out.push_str(&self.block_members(
                    table,
                    &KeyPath::root(),
                    indent,
                    unit,
                    newline,
                )?);
            }
            _ => out.extend([" ", self.inline(None)?.as_str()]),
        }
        Ok(out)
    }

    /// Writes the members of a map, each behind a line break and one `unit` deeper than `indent`.
    pub(super) fn block_members(
        &self,
        table: &Table,
        place: &KeyPath,
        indent: &str,
        unit: &str,
        newline: &str,
    ) -> Result<String, Obstacle> {
        let inner = format!("{indent}{unit}");
        let mut out = String::new();
        for (key, value) in table {
            let place = place.child(key);
            out.extend([newline, &inner, &self.key(key), ":"]);
            match value {
                Value::Table(table) if !table.is_empty() => {
                    out.push_str(&self.block_members(table, &place, &inner, unit, newline)?);
                }
                value => out.extend([" ", self.value(&place, value, false)?.as_str()]),
            }
        }
        Ok(out)
    }

    /// Writes a key.
    pub(super) fn key(&self, key: &str) -> String {
        let probe = if self.in_flow { format!("{{{key}: 1}}") } else { format!("{key}: 1\n") };
        let is_plain = !key.is_empty()
            && !key.contains(['\n', '\r'])
            && parse_yaml(&probe).is_ok_and(|value| {
                value.as_table().is_some_and(|table| {
                    table.len() == 1 && table.get(key).is_some_and(|one| *one == Value::Int(1))
                })
            });
        if is_plain { key.to_owned() } else { double_quote(key) }
    }

    fn value(&self, place: &KeyPath, value: &Value, in_flow: bool) -> Result<String, Obstacle> {
        Ok(match value {
            Value::Null => "null".to_owned(),
            Value::Bool(truth) => truth.to_string(),
            Value::Int(number) => self
                .literal
                .spelling(place)
                .filter(|typed| reads_as(typed, value, false))
                .map_or_else(|| number.to_string(), str::to_owned),
            Value::Float(number) => self
                .literal
                .spelling(place)
                .filter(|typed| reads_as(typed, value, false))
                .map_or_else(|| float(*number), str::to_owned),
            Value::Text(text) => Writer { literal: self.literal, in_flow }.text(text, None),
            Value::List(items) => {
                let items: Vec<String> = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| self.value(&place.child(&at.to_string()), item, true))
                    .collect::<Result<_, _>>()?;
                format!("[{}]", items.join(", "))
            }
            Value::Table(table) => {
                let flow = Writer { literal: self.literal, in_flow: true };
                let members: Vec<String> = table
                    .iter()
                    .map(|(key, item)| {
                        let item = self.value(&place.child(key), item, true)?;
                        Ok(format!("{}: {item}", flow.key(key)))
                    })
                    .collect::<Result<_, Obstacle>>()?;
                format!("{{{}}}", members.join(", "))
            }
            _ => return Err(Obstacle::NoSpelling),
        })
    }

    fn text(&self, text: &str, old: Option<YamlStyle>) -> String {
        let is_visible = text.chars().all(|c| !c.is_control() && c != '\u{feff}');
        let single = || format!("'{}'", text.replace('\'', "''"));
        match old {
            Some(YamlStyle::SingleQuoted) if is_visible => single(),
            Some(YamlStyle::DoubleQuoted) => double_quote(text),
            _ if is_visible && self.is_plain(text) => text.to_owned(),
            _ if is_visible && !text.contains('\'') => single(),
            _ => double_quote(text),
        }
    }

    fn is_plain(&self, text: &str) -> bool {
        !text.is_empty() && reads_as(text, &Value::from(text), self.in_flow)
    }
}

/// Returns whether YAML reads `typed` as the value, between brackets or not.
fn reads_as(typed: &str, value: &Value, in_flow: bool) -> bool {
    let probe = if in_flow { format!("[{typed}]") } else { format!("- {typed}\n") };
    parse_yaml(&probe).is_ok_and(|read| {
        read.as_list().is_some_and(|items| items.len() == 1 && identical(&items[0], value))
    })
}

fn float(number: f64) -> String {
    if number.is_nan() {
        ".nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        python_float(number)
    }
}
