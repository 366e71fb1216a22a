//! Changing a map in a text so that it has other members, and nothing else in the text.
//!
//! Members that are equal keep their bytes, changed scalars keep the comment behind them, new members come last,
//! as DVC's own writer has it. Maps in brackets are written anew as a whole.

use std::ops::Range;

use crate::value::{Table, Value};

use super::emit::emit_block;
use super::node::{YamlEntry, YamlKind, YamlNode, YamlStyle};
use super::{SyntaxError, emit_yaml, read};

/// Texts to put in place of ranges of bytes.
pub(crate) type Edits = Vec<(Range<usize>, String)>;

/// Returns `text`, a document that is a map, changed so that it reads as `new`.
pub(crate) fn patched(text: &str, new: &Table) -> Result<String, SyntaxError> {
    let root = read::document(text)?;
    let is_block = root.style == YamlStyle::Block && matches!(root.kind, YamlKind::Map(_));
    if is_block {
        let mut edits = Edits::new();
        if patch_map(text, &root, new, &mut edits)? {
            let changed = apply(text, edits);
            // Whatever the shape of the text: what is written has to read as what was meant.
            let read = read::document(&changed).and_then(|node| node.to_value());
            if read.is_ok_and(|value| value.as_table() == Some(new)) {
                return Ok(changed);
            }
        }
    }
    Ok(emit_yaml(&Value::Table(new.clone())))
}

/// Applies edits that do not overlap, with the line ends that the text has.
pub(crate) fn apply(text: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let end = crate::lock::line_end(text);
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (range, new) in edits {
        out.push_str(text.get(done..range.start).unwrap_or_default());
        let new = if end == "\n" { new } else { new.replace('\n', end) };
        let at_line = range.start == 0 || text[..range.start].ends_with('\n');
        if !at_line && range.start == text.len() && new.ends_with('\n') {
            out.push_str(end);
        }
        out.push_str(&new);
        done = done.max(range.end);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// Adds the edits that turn the block map `node` into `new`; false when the map has a shape that is not handled: merge
/// keys, aliases, brackets.
pub(crate) fn patch_map(
    text: &str,
    node: &YamlNode,
    new: &Table,
    edits: &mut Edits,
) -> Result<bool, SyntaxError> {
    let YamlKind::Map(entries) = &node.kind else { return Ok(false) };
    if node.style != YamlStyle::Block || entries.iter().any(|entry| entry.is_merge) {
        return Ok(false);
    }
    let indent = node.span.column - 1;
    for (index, entry) in entries.iter().enumerate() {
        let place = entry_lines(text, entry);
        let Some(value) = new.get(&entry.name) else {
            let next = entries.get(index + 1).map(|next| next.key.span.start);
            let inline = place.start == entry.key.span.start;
            edits.push((
                if inline { place.start..next.unwrap_or(place.end) } else { place },
                String::new(),
            ));
            continue;
        };
        if entry.value.to_value()? == *value || patch_value(text, entry, value, edits)? {
            continue;
        }
        let member = Table::from([(entry.name.clone(), value.clone())]);
        let block = emit_block(&member, indent);
        let block = if place.start == entry.key.span.start {
            block.trim_start_matches(' ').to_owned()
        } else {
            block
        };
        edits.push((place, block));
    }
    let fresh: Table = new
        .iter()
        .filter(|(key, _)| !entries.iter().any(|entry| entry.name == **key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let (Some(last), false) = (entries.last(), fresh.is_empty()) {
        let end = entry_lines(text, last).end;
        edits.push((end..end, emit_block(&fresh, indent)));
    }
    Ok(true)
}

/// Changes only the value of an entry, if its shape stays; else false.
fn patch_value(
    text: &str,
    entry: &YamlEntry,
    value: &Value,
    edits: &mut Edits,
) -> Result<bool, SyntaxError> {
    match (&entry.value.kind, value) {
        (YamlKind::Map(old), Value::Table(new)) if !old.is_empty() && !new.is_empty() => {
            patch_map(text, &entry.value, new, edits)
        }
        (YamlKind::List(old), Value::List(new))
            if old.len() == new.len() && entry.value.style == YamlStyle::Block =>
        {
            let mut inner = Edits::new();
            for (item, value) in old.iter().zip(new) {
                if item.to_value()? == *value {
                    continue;
                }
                match value {
                    Value::Table(new) if !new.is_empty() => {
                        if !patch_map(text, item, new, &mut inner)? {
                            return Ok(false);
                        }
                    }
                    Value::Table(_) | Value::List(_) => return Ok(false),
                    value => {
                        let Some(written) = one_line(value, item.span.column - 1) else {
                            return Ok(false);
                        };
                        let old = text.get(item.span.start..item.span.end).unwrap_or_default();
                        let is_plain = matches!(item.kind, YamlKind::Scalar(_)) && !item.tagged;
                        if !is_plain || old.is_empty() || old.contains('\n') {
                            return Ok(false);
                        }
                        inner.push((item.span.start..item.span.end, written));
                    }
                }
            }
            edits.append(&mut inner);
            Ok(true)
        }
        (YamlKind::Scalar(_), Value::List(_) | Value::Table(_)) => Ok(false),
        (YamlKind::Scalar(_), value) => {
            let column = entry.key.span.column - 1;
            let write = |value| emit_block(&Table::from([(entry.name.clone(), value)]), column);
            let (key, member) = (write(Value::Null), write(value.clone()));
            let Some(written) = member.strip_prefix(key.trim_end_matches('\n')) else {
                return Ok(false);
            };
            let written = written.trim_end_matches('\n');
            let span = entry.value.span;
            let old = text.get(span.start..span.end).unwrap_or_default();
            let is_one_line = !written.trim_start().contains('\n') && !old.contains('\n');
            let is_block = matches!(entry.value.style, YamlStyle::Literal | YamlStyle::Folded);
            if !is_one_line || is_block || written.starts_with(" \n") || entry.value.tagged {
                return Ok(false);
            }
            let written = if span.start == span.end { written } else { written.trim_start() };
            edits.push((span.start..span.end, written.to_owned()));
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Writes a scalar that stands at `column`, if it fits on one line.
fn one_line(value: &Value, column: usize) -> Option<String> {
    let item = Value::List(vec![value.clone()]);
    let text = emit_block(&Table::from([("k".to_owned(), item)]), column.saturating_sub(2));
    let written = text.split_once("- ")?.1.trim_end_matches('\n');
    (!written.contains('\n') && !written.is_empty()).then(|| written.to_owned())
}

/// Returns the lines of an entry with their newline and what stands behind the value; without the dash of the list
/// item that the entry may begin.
pub(crate) fn entry_lines(text: &str, entry: &YamlEntry) -> Range<usize> {
    let key = entry.key.span.start;
    let line = text[..key].rfind('\n').map_or(0, |newline| newline + 1);
    let start = if text[line..key].trim_matches(' ').is_empty() { line } else { key };
    let from = entry.value.span.end.max(entry.key.span.end);
    let end = text[from..].find('\n').map_or(text.len(), |newline| from + newline + 1);
    start..end
}
