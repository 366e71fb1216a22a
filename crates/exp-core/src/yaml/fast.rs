//! A shortcut for documents of the plain shape that DVC and most people write.
//!
//! Block maps and lists, scalars that are plain or quoted, nothing else: no brackets but `[]` and `{}`, no anchors,
//! tags, block scalars, documents marks, complex keys. Whatever is unusual, and every error, is `None`: then
//! the full reader decides. What is read here is what the full reader would read.

use crate::value::{Table, Value};

use super::scalar::{self, Kind, Version};

/// Nesting beyond this goes to the full reader, which has a limit of its own.
const DEPTH: usize = 60;
/// Longer keys go to the full reader, which refuses them from 1024 characters on.
const KEY: usize = 500;

/// Reads `text` if it has the plain shape.
pub(super) fn parse(text: &str) -> Option<Value> {
    if !is_plain(text.as_bytes()) {
        return None;
    }
    let mut lines =
        Lines { rest: text, indent: 0, content: "", open: true, gap: false, odd: false };
    lines.advance();
    if !lines.open || lines.content.starts_with('%') {
        return None;
    }
    let value = block(&mut lines, 0)?;
    (!lines.open && !lines.odd).then_some(value)
}

/// Whether `bytes` has only characters that need no further thought.
fn is_plain(bytes: &[u8]) -> bool {
    if bytes.iter().any(|byte| (*byte < 0x20 && *byte != b'\n') || matches!(byte, 0x7f | 0xef)) {
        return false;
    }
    bytes.is_ascii()
        || !bytes.windows(3).any(|three| {
            (three[0] == 0xc2 && three[1] < 0xa0)
                || (three[0] == 0xe2 && three[1] == 0x80 && matches!(three[2], 0xa8 | 0xa9))
        })
}

/// The lines that have content, one at a time.
struct Lines<'a> {
    /// The text behind the current line.
    rest: &'a str,
    /// Spaces before the content of the current line.
    indent: usize,
    /// The current line without spaces at its ends.
    content: &'a str,
    /// Whether there is a current line.
    open: bool,
    /// Whether blank lines or comments stand before the current line.
    gap: bool,
    /// Whether a line ended in a backslash and spaces, which only count inside of double quotes.
    odd: bool,
}

impl Lines<'_> {
    /// Goes to the next line that is neither blank nor a comment.
    fn advance(&mut self) {
        self.gap = false;
        loop {
            if self.rest.is_empty() {
                self.open = false;
                self.content = "";
                return;
            }
            // Lines are short, so that looking at each byte is faster than a search for one.
            let end = self.rest.bytes().position(|byte| byte == b'\n');
            let end = end.unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            self.indent = line.bytes().take_while(|byte| *byte == b' ').count();
            let content = &line[self.indent..];
            let n_behind = content.bytes().rev().take_while(|byte| *byte == b' ').count();
            self.content = &content[..content.len() - n_behind];
            self.odd |= self.content.ends_with('\\') && self.content.len() < content.len();
            if !self.content.is_empty() && !self.content.starts_with('#') {
                return;
            }
            self.gap = true;
        }
    }

    fn is_item(&self) -> bool {
        self.content == "-" || self.content.starts_with("- ")
    }

    /// Whether the current line is below `indent`.
    fn is_deeper(&self, indent: usize) -> bool {
        self.open && self.indent > indent
    }
}

/// Reads the block that begins with the current line.
fn block(lines: &mut Lines<'_>, depth: usize) -> Option<Value> {
    if depth > DEPTH {
        return None;
    }
    if lines.is_item() { list(lines, depth) } else { map(lines, depth) }
}

fn map(lines: &mut Lines<'_>, depth: usize) -> Option<Value> {
    let indent = lines.indent;
    // Most maps are of a stage or of what it reads and writes.
    let mut table = Table::with_capacity(4);
    while lines.open && lines.indent == indent && !lines.is_item() {
        if indent == 0 && (lines.content.starts_with("---") || lines.content.starts_with("...")) {
            return None;
        }
        let (key, rest) = key(lines.content)?;
        let value = if rest.is_empty() {
            lines.advance();
            if lines.is_deeper(indent) {
                if lines.is_item() || key_end(lines.content)?.is_some() {
                    block(lines, depth + 1)?
                } else {
                    let content = lines.content;
                    scalar(lines, content, indent)?
                }
            } else if lines.open && lines.indent == indent && lines.is_item() {
                list(lines, depth + 1)?
            } else {
                Value::Null
            }
        } else {
            scalar(lines, rest, indent)?
        };
        if table.insert(key.to_owned(), value).is_some() {
            return None;
        }
    }
    (!lines.is_deeper(indent)).then_some(Value::Table(table))
}

fn list(lines: &mut Lines<'_>, depth: usize) -> Option<Value> {
    let indent = lines.indent;
    let mut items = Vec::new();
    if depth > DEPTH {
        return None;
    }
    while lines.open && lines.indent == indent && lines.is_item() {
        let content = lines.content[1..].trim_start_matches(' ');
        if content.is_empty() {
            lines.advance();
            if lines.is_deeper(indent) {
                return None;
            }
            items.push(Value::Null);
            continue;
        }
        let is_block = content == "-" || content.starts_with("- ") || key_end(content)?.is_some();
        if is_block {
            lines.indent += lines.content.len() - content.len();
            lines.content = content;
            items.push(block(lines, depth + 1)?);
        } else {
            items.push(scalar(lines, content, indent)?);
        }
    }
    (!lines.is_deeper(indent)).then_some(Value::List(items))
}

/// Splits a line into a plain key and what stands behind its `:`.
fn key(content: &str) -> Option<(&str, &str)> {
    let end = key_end(content)??;
    let key = content[..end].trim_end_matches(' ');
    let is_text = scalar::kind(key, Version::V1_2) == Kind::Text;
    (is_text && key.len() <= KEY).then(|| (key, content[end + 1..].trim_start_matches(' ')))
}

/// Returns where the `:` of a line with a key is; `Some(None)` when the line has no key, `None` when it is unusual.
#[expect(clippy::option_option, reason = "no key and no answer are two things")]
fn key_end(content: &str) -> Option<Option<usize>> {
    let bytes = content.as_bytes();
    match bytes.first()? {
        b'"' | b'\'' => return (!is_quoted_key(content)).then_some(None),
        b'#' | b',' | b']' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@' | b'`' => {
            return None;
        }
        b'?' | b':' | b'-' if bytes.get(1).is_none_or(|next| *next == b' ') => return None,
        b'[' | b'{' => return matches!(content, "[]" | "{}").then_some(None),
        _ => {}
    }
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b':' if bytes.get(at + 1).is_none_or(|next| *next == b' ') => return Some(Some(at)),
            b'#' if at > 0 && bytes[at - 1] == b' ' => return None,
            _ => {}
        }
    }
    Some(None)
}

/// Whether a line that begins with a quote has a `:` behind the closing one.
fn is_quoted_key(content: &str) -> bool {
    let quote = content.as_bytes()[0];
    let mut rest = content.bytes().skip(1);
    while let Some(byte) = rest.next() {
        if byte == b'\\' && quote == b'"' {
            rest.next();
        } else if byte == quote {
            return rest.find(|byte| *byte != b' ') == Some(b':');
        }
    }
    false
}

/// Whether a plain scalar may have `content` on one of its lines.
fn is_plain_line(content: &str) -> bool {
    let bytes = content.as_bytes();
    !bytes.iter().enumerate().any(|(at, byte)| match byte {
        b':' => bytes.get(at + 1).is_none_or(|next| *next == b' '),
        b'#' => at == 0 || bytes[at - 1] == b' ',
        _ => false,
    })
}

/// Reads the scalar that begins with `first` on the current line, below a key or dash at column `indent`, and goes to
/// the line behind it.
fn scalar<'a>(lines: &mut Lines<'a>, first: &'a str, indent: usize) -> Option<Value> {
    let bytes = first.as_bytes();
    match bytes.first()? {
        b'\'' => return single(lines, first, indent),
        b'"' => return double(lines, first, indent),
        b'[' if first == "[]" => {
            lines.advance();
            return (!lines.is_deeper(indent)).then(|| Value::List(Vec::new()));
        }
        b'{' if first == "{}" => {
            lines.advance();
            return (!lines.is_deeper(indent)).then(Value::table);
        }
        b'[' | b'{' | b'#' | b',' | b']' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%'
        | b'@' | b'`' => return None,
        b'?' | b':' | b'-' if bytes.get(1).is_none_or(|next| *next == b' ') => return None,
        _ => {}
    }
    if !is_plain_line(first) {
        return None;
    }
    lines.advance();
    if !lines.is_deeper(indent) {
        let kind = scalar::kind(first, Version::V1_2);
        return scalar::value(first, kind, Version::V1_2).ok();
    }
    let mut text = first.to_owned();
    while lines.is_deeper(indent) {
        if lines.gap || !is_plain_line(lines.content) {
            return None;
        }
        text.push(' ');
        text.push_str(lines.content);
        lines.advance();
    }
    let kind = scalar::kind(&text, Version::V1_2);
    scalar::value(&text, kind, Version::V1_2).ok()
}

/// Reads on for a quoted text: the next line must belong to it.
fn continuation<'a>(lines: &mut Lines<'a>, indent: usize) -> Option<&'a str> {
    lines.advance();
    (lines.is_deeper(indent) && !lines.gap).then_some(lines.content)
}

fn single<'a>(lines: &mut Lines<'a>, first: &'a str, indent: usize) -> Option<Value> {
    let mut text = String::with_capacity(first.len());
    let mut rest = &first[1..];
    loop {
        let Some(quote) = rest.find('\'') else {
            text.push_str(rest);
            rest = continuation(lines, indent)?;
            text.push(' ');
            continue;
        };
        text.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        if let Some(tail) = rest.strip_prefix('\'') {
            text.push('\'');
            rest = tail;
        } else {
            return end_of_quoted(lines, rest, text, indent);
        }
    }
}

fn double<'a>(lines: &mut Lines<'a>, first: &'a str, indent: usize) -> Option<Value> {
    let mut text = String::with_capacity(first.len());
    let mut rest = &first[1..];
    loop {
        let Some(stop) = rest.find(['"', '\\']) else {
            text.push_str(rest);
            rest = continuation(lines, indent)?;
            text.push(' ');
            continue;
        };
        text.push_str(&rest[..stop]);
        let is_quote = rest.as_bytes()[stop] == b'"';
        rest = &rest[stop + 1..];
        if is_quote {
            return end_of_quoted(lines, rest, text, indent);
        }
        if rest.is_empty() {
            // A backslash at the end of the line: the newline is not part of the text.
            rest = continuation(lines, indent)?;
            continue;
        }
        text.push(match rest.as_bytes()[0] {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'"' => '"',
            b'\\' => '\\',
            // `\ ` at the end of a line would have lost its space.
            b' ' if rest.len() > 1 => ' ',
            _ => return None,
        });
        rest = &rest[1..];
    }
}

fn end_of_quoted(lines: &mut Lines<'_>, rest: &str, text: String, indent: usize) -> Option<Value> {
    if !rest.is_empty() {
        return None;
    }
    lines.advance();
    (!lines.is_deeper(indent)).then_some(Value::Text(text))
}
