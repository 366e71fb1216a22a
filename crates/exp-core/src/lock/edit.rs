//! Changing one stage of a lock file's text and nothing else.
//!
//! The text is scanned by lines, not parsed: a chain of a thousand stages writes the file a thousand times. A block
//! that is replaced is parsed alone. Text of an unusual shape (maps in brackets, several documents) is read wholly
//! and written anew.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::value::{Table, Value};
use crate::yaml::{emit_block, emit_yaml, parse_yaml};

use super::check::contradicts;
use super::parse::{invalid, schema_error, table_of};
use super::{LockError, LockFile, StageLock};

impl LockFile {
    /// Returns `text` with `lock` recorded for the stage `name`: in place of what was recorded, else at the end.
    ///
    /// All other bytes stay: comments, other stages, keys of others. A record that is equal leaves the
    /// text as it is. Without a text, or with an empty one, the text of a new file. For a file that DVC wrote
    /// the result is what DVC would write.
    ///
    /// # Errors
    ///
    /// When the text has conflict markers, another schema, or a block that cannot be read; and when what would be written
    /// reads as something else.
    pub fn set_stage(
        text: Option<&str>,
        name: &str,
        lock: &StageLock,
    ) -> Result<String, LockError> {
        Self::set_stage_before(text, name, lock, &BTreeSet::new())
    }

    /// As [`LockFile::set_stage`], but a stage that is new goes in front of the first of `later` that is there. So stages
    /// that end in any order stand in the order in which they would have been recorded one after the other.
    ///
    /// # Errors
    ///
    /// As for [`LockFile::set_stage`].
    pub fn set_stage_before(
        text: Option<&str>,
        name: &str,
        lock: &StageLock,
        later: &BTreeSet<String>,
    ) -> Result<String, LockError> {
        let text = text.unwrap_or_default();
        let stage = Table::from([(name.to_owned(), lock.to_value())]);
        if contradicts(&emit_block(&stage, 0), name, lock) {
            return Err(LockError::Unfaithful { stage: name.to_owned() });
        }
        if text.trim().is_empty() {
            return Ok(emit_yaml(&Value::Table(Table::from([
                ("schema".to_owned(), Value::from("2.0")),
                ("stages".to_owned(), Value::Table(stage)),
            ]))));
        }
        let Some(found) = find(text, name, later)? else {
            return rewrite(text, |stages| {
                let place = stages.keys().position(|key| later.contains(key));
                let is_there = stages.contains_key(name);
                stages.extend(stage);
                if let Some(place) = place.filter(|_| !is_there) {
                    stages.move_index(stages.len() - 1, place);
                }
            });
        };
        if let Some(block) = &found.block
            && parse_block(text, block)?.get(name) == stage.get(name)
        {
            return Ok(text.to_owned());
        }
        let mut block = String::new();
        if found.needs_header {
            block.push_str("stages:\n");
        }
        block.push_str(&emit_block(&stage, found.indent));
        let end = found.later.unwrap_or(found.end);
        let place = found.block.unwrap_or(end..end);
        Ok(spliced(text, place, block))
    }

    /// Returns `text` without the stage `name`; as it is when it has no such stage. All other bytes stay.
    ///
    /// # Errors
    ///
    /// As for [`LockFile::set_stage`].
    pub fn remove_stage(text: &str, name: &str) -> Result<String, LockError> {
        match find(text, name, &BTreeSet::new())? {
            None => rewrite(text, |stages| {
                stages.shift_remove(name);
            }),
            Some(Found { block: Some(block), is_only: true, stages_line, .. }) => {
                // As DVC does, `stages` stays, without stages.
                let text = spliced(text, block, String::new());
                Ok(spliced(&text, stages_line, "stages: {}\n".to_owned()))
            }
            Some(Found { block: Some(block), .. }) => Ok(spliced(text, block, String::new())),
            Some(_) => Ok(text.to_owned()),
        }
    }
}

/// Where a stage is in a text, or would be.
struct Found {
    /// The lines of the stage with their newlines, from its key to its last value.
    block: Option<Range<usize>>,
    /// Whether the stage is the only one.
    is_only: bool,
    /// Where a new stage goes that is the last.
    end: usize,
    /// Where the first of the stages is that a new one goes in front of.
    later: Option<usize>,
    /// The column of the stages' keys.
    indent: usize,
    /// Whether there is no `stages:` yet.
    needs_header: bool,
    /// The line `stages:` with its newline.
    stages_line: Range<usize>,
}

/// Looks for the stage `name`; `None` when the text has an unusual shape.
fn find(text: &str, name: &str, later: &BTreeSet<String>) -> Result<Option<Found>, LockError> {
    let mut found = Found {
        block: None,
        is_only: true,
        end: text.len(),
        later: None,
        indent: 2,
        needs_header: true,
        stages_line: 0..0,
    };
    let mut has_schema = false;
    let mut n_stages = 0;
    // Inside of `stages`, and inside of the stage that is looked for.
    let mut inside = false;
    let mut in_block = false;
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let start = at;
        at += line.len();
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        let content = content.trim_end();
        if is_marker(line) {
            return Err(LockError::Conflict { line: index + 1, text: line.trim_end().to_owned() });
        }
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if content.starts_with('\t') || (indent == 0 && is_document_mark(content)) {
            return Ok(None);
        }
        if indent == 0 {
            inside = false;
            in_block = false;
            match split_key(content) {
                Some((key, "")) if key == "stages" => {
                    inside = true;
                    n_stages = 0;
                    found.needs_header = false;
                    found.stages_line = start..at;
                    found.end = at;
                }
                Some((key, _)) if key == "stages" => return Ok(None),
                Some((key, value)) if key == "schema" => {
                    check_schema(text, value)?;
                    has_schema = true;
                }
                Some(_) => {}
                None if content.starts_with("- ") || content == "-" => {}
                None => return Ok(None),
            }
            continue;
        }
        if !inside {
            continue;
        }
        if n_stages == 0 {
            found.indent = indent;
        }
        if indent < found.indent {
            return Ok(None);
        }
        if indent == found.indent {
            let Some((key, rest)) = split_key(content) else { return Ok(None) };
            n_stages += 1;
            if found.later.is_none() && later.contains(&key) {
                found.later = Some(start);
            }
            in_block = key == name;
            if in_block && (!rest.is_empty() || found.block.is_some()) {
                return Ok(None);
            }
            if in_block {
                found.block = Some(start..at);
            }
        } else if in_block && let Some(block) = &mut found.block {
            block.end = at;
        }
        found.end = at;
    }
    found.is_only = n_stages == 1;
    if !has_schema {
        return Err(schema_error(text, None));
    }
    if found.needs_header {
        found.end = text.len();
    }
    Ok(Some(found))
}

fn check_schema(text: &str, written: &str) -> Result<(), LockError> {
    match parse_yaml(&format!("v: {written}")).ok().and_then(|v| v.as_table()?.get("v").cloned()) {
        Some(Value::Text(schema)) if schema == "2.0" => Ok(()),
        found => Err(schema_error(text, found.as_ref())),
    }
}

/// Reads the lines of one stage.
fn parse_block(text: &str, block: &Range<usize>) -> Result<Table, LockError> {
    let n_before = text[..block.start].matches('\n').count();
    let value = parse_yaml(&text[block.clone()]).map_err(|mut error| {
        error.line += n_before;
        LockError::syntax(text, error)
    })?;
    table_of(value).map_err(|fault| invalid(text, fault))
}

/// Reads everything and writes it anew: for texts that are not made of lines that can be replaced.
fn rewrite(text: &str, change: impl FnOnce(&mut Table)) -> Result<String, LockError> {
    // For its checks.
    LockFile::parse(text)?;
    let value = parse_yaml(text).map_err(|error| LockError::syntax(text, error))?;
    let mut table = table_of(value).map_err(|fault| invalid(text, fault))?;
    let stages = table.entry("stages".to_owned()).or_insert_with(Value::table);
    if !matches!(stages, Value::Table(_)) {
        *stages = Value::table();
    }
    if let Value::Table(stages) = stages {
        change(stages);
    }
    Ok(emit_yaml(&Value::Table(table)))
}

/// Puts `block` in place of a range of whole lines, with the line ends that the text has.
pub(crate) fn spliced(text: &str, place: Range<usize>, block: String) -> String {
    let end = line_end(text);
    let block = if end == "\n" { block } else { block.replace('\n', end) };
    let mut out = String::with_capacity(text.len() + block.len() + 2);
    out.push_str(&text[..place.start]);
    if !out.is_empty() && !out.ends_with('\n') && !block.is_empty() {
        out.push_str(end);
    }
    out.push_str(&block);
    out.push_str(&text[place.end..]);
    out
}

/// Returns what the first line of `text` ends with.
pub(crate) fn line_end(text: &str) -> &'static str {
    match text.split_once('\n') {
        Some((line, _)) if line.ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Returns the line, from 1, of the first marker that a merge conflict left.
pub(crate) fn has_conflict_markers(text: &str) -> Option<usize> {
    text.lines().position(is_marker).map(|index| index + 1)
}

fn is_marker(line: &str) -> bool {
    line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") || line.trim_end() == "======="
}

fn is_document_mark(content: &str) -> bool {
    content.starts_with("---") || content.starts_with("...") || content.starts_with('%')
}

/// Splits a line that begins with a key, plain or quoted, into the key and what stands behind the colon, without a
/// comment. `None` when it has an unusual shape.
pub(crate) fn split_key(content: &str) -> Option<(String, &str)> {
    let first = *content.as_bytes().first()?;
    let (key, rest) = if matches!(first, b'\'' | b'"') {
        let mut bytes = content.bytes().enumerate().skip(1);
        let mut close = None;
        while let Some((at, byte)) = bytes.next() {
            if byte == b'\\' && first == b'"' {
                bytes.next();
            } else if byte == first {
                if first == b'\'' && content.as_bytes().get(at + 1) == Some(&b'\'') {
                    bytes.next();
                } else {
                    close = Some(at);
                    break;
                }
            }
        }
        let (quoted, rest) = content.split_at(close? + 1);
        let value = parse_yaml(&format!("k: {quoted}")).ok()?;
        let key = value.as_table()?.get("k")?.as_text()?.to_owned();
        (key, rest.trim_start_matches(' ').strip_prefix(':')?)
    } else {
        if "?-&*!|>%@`{}[],#".contains(char::from(first)) {
            return None;
        }
        let colon = content
            .match_indices(':')
            .map(|(at, _)| at)
            .find(|at| content.as_bytes().get(at + 1).is_none_or(|next| *next == b' '))?;
        if content[..colon].contains(" #") {
            return None;
        }
        (content[..colon].trim_end().to_owned(), &content[colon + 1..])
    };
    let rest = rest.trim();
    Some((key, if rest.starts_with('#') { "" } else { rest }))
}
