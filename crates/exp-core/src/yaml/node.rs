//! A YAML document as a tree that knows where everything stands.

use std::collections::HashSet;
use std::sync::Arc;

use crate::value::{Table, Value};

use super::SyntaxError;

/// How many values a document may have once its aliases are replaced by what they stand for.
const VALUE_LIMIT: usize = 1_000_000;

/// A value, where it stands and how it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct YamlNode {
    /// The value.
    pub kind: YamlKind,
    /// How it is written.
    pub style: YamlStyle,
    /// Where it is written, without anchor and tag. See [`YamlSpan`] for the ends.
    pub span: YamlSpan,
    /// Whether others can refer to it (`&name`).
    pub anchored: bool,
    /// Whether it has a tag (`!!str`).
    pub tagged: bool,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum YamlKind {
    /// A value without parts.
    Scalar(Value),
    /// A list.
    List(Vec<YamlNode>),
    /// A map as it is written: in order, merge keys (`<<`) among the others.
    Map(Vec<YamlEntry>),
    /// `*name`, and what it stands for.
    Alias(Arc<YamlNode>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct YamlEntry {
    /// The key as a [`Table`] holds it: the text, or the written form of a key that is not text.
    pub name: String,
    /// The key where it stands: a scalar, or an alias of one.
    pub key: YamlNode,
    /// The value. When nothing is written, an empty span right behind the `:`, or behind the key when there is none.
    pub value: YamlNode,
    /// Whether this is the merge key `<<`, whose maps supply what the map itself does not have.
    pub is_merge: bool,
}

/// A part of the text.
///
/// A scalar ends where its last character or quote does; a block scalar begins with its first character and ends at
/// the end of its last line, without the newline; a block list or map ends with its last value; one in brackets,
/// with the bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct YamlSpan {
    /// The first byte.
    pub start: usize,
    /// The byte behind the last one.
    pub end: usize,
    /// The line of the first byte, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
}

/// How a node is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YamlStyle {
    /// A scalar without quotes; also a null that is not written at all.
    Plain,
    /// `'text'`
    SingleQuoted,
    /// `"text"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// A list or map by indentation.
    Block,
    /// A list or map in brackets.
    Flow,
    /// `*name`
    Alias,
}

impl YamlSpan {
    /// Makes an error that points to the start of this span.
    pub fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, message: message.into() }
    }
}

impl YamlNode {
    /// Returns the node itself, or what it is an alias of.
    pub fn resolved(&self) -> &Self {
        match &self.kind {
            YamlKind::Alias(node) => node.resolved(),
            _ => self,
        }
    }

    /// Returns the members as written; `None` when this is no map. Looks through aliases.
    pub fn entries(&self) -> Option<&[YamlEntry]> {
        match &self.resolved().kind {
            YamlKind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the items; `None` when this is no list. Looks through aliases.
    pub fn items(&self) -> Option<&[Self]> {
        match &self.resolved().kind {
            YamlKind::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the member called `name`, the last one when there are several. Merge keys are not looked into.
    pub fn entry(&self, name: &str) -> Option<&YamlEntry> {
        self.entries()?.iter().rfind(|entry| entry.name == name && !entry.is_merge)
    }

    /// Returns the text of a text scalar.
    pub fn as_text(&self) -> Option<&str> {
        match &self.resolved().kind {
            YamlKind::Scalar(value) => value.as_text(),
            _ => None,
        }
    }

    /// Returns the value with aliases and merge keys resolved.
    ///
    /// # Errors
    ///
    /// When it grows beyond a million values, or a merge key has something other than maps.
    pub fn to_value(&self) -> Result<Value, SyntaxError> {
        self.build(&mut VALUE_LIMIT.clone())
    }

    pub(super) fn into_value(self) -> Result<Value, SyntaxError> {
        self.to_value()
    }

    fn build(&self, left: &mut usize) -> Result<Value, SyntaxError> {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| self.span.error("the aliases of this document hold too many values"))?;
        Ok(match &self.kind {
            YamlKind::Scalar(value) => value.clone(),
            YamlKind::Alias(node) => node.build(left).map_err(|error| SyntaxError {
                line: self.span.line,
                column: self.span.column,
                message: error.message,
            })?,
            YamlKind::List(items) => {
                Value::List(items.iter().map(|item| item.build(left)).collect::<Result<_, _>>()?)
            }
            YamlKind::Map(entries) => {
                let mut table = Table::with_capacity(entries.len());
                for entry in entries.iter().filter(|entry| entry.is_merge) {
                    merge(&mut table, &entry.value, left)?;
                }
                for entry in entries.iter().filter(|entry| !entry.is_merge) {
                    table.insert(entry.name.clone(), entry.value.build(left)?);
                }
                Value::Table(table)
            }
        })
    }
}

/// Adds the members of the map, or of each map of the list, that `node` is. Of a list, earlier maps win.
fn merge(table: &mut Table, node: &YamlNode, left: &mut usize) -> Result<(), SyntaxError> {
    let maps = match &node.resolved().kind {
        YamlKind::Map(_) => std::slice::from_ref(node),
        YamlKind::List(items) => items,
        _ => &[],
    };
    if maps.is_empty() && node.items().is_none() {
        return Err(node.span.error("a merge key takes a map or a list of maps"));
    }
    for map in maps.iter().rev() {
        match map.build(left)? {
            Value::Table(members) => table.extend(members),
            _ => return Err(map.span.error("a merge key takes a map or a list of maps")),
        }
    }
    Ok(())
}

/// Refuses keys that occur twice. As for DVC, `1`, `1.0` and `true` are one key, and a map with a merge key may
/// repeat its own.
pub(super) fn check_keys(entries: &[YamlEntry]) -> Result<(), SyntaxError> {
    let mut merges = entries.iter().filter(|entry| entry.is_merge);
    if merges.next().is_some() {
        return match merges.next() {
            Some(second) => Err(second.key.span.error("the merge key `<<` occurs twice")),
            None => Ok(()),
        };
    }
    let mut names = HashSet::with_capacity(entries.len());
    let mut others: Vec<&Value> = Vec::new();
    for entry in entries {
        let mut is_new = names.insert(entry.name.as_str());
        if let YamlKind::Scalar(value) = &entry.key.resolved().kind
            && value.as_text().is_none()
        {
            is_new &= !others.iter().any(|other| other.same_as_python(value));
            others.push(value);
        }
        if !is_new {
            return Err(entry.key.span.error(format!("the key `{}` occurs twice", entry.name)));
        }
    }
    Ok(())
}
