//! The words of a condition.

use std::ops::Range;

use super::{FilterError, FilterFault};

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Open,
    Close,
    /// `=`, `!=`, `<`, …
    Sign(&'static str),
    /// Anything without a quote: a keyword, a number, a column, text.
    Word(String),
    /// Between quotes.
    Text(String),
    /// Between backticks.
    Column(String),
}

/// The longer ones first. `≥` and its like are what some keyboards and documents make of them.
const SIGNS: &[(&str, &str)] = &[
    ("==", "="),
    ("!=", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("!~", "!~"),
    ("≠", "!="),
    ("≤", "<="),
    ("≥", ">="),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("~", "~"),
    ("&&", "and"),
    ("||", "or"),
];

/// Takes a text apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        let rest = &text[at..];
        let sign = SIGNS.iter().find(|(written, _)| rest.starts_with(written));
        let kind = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if c == '(' || c == ')' {
            at += 1;
            if c == '(' { Kind::Open } else { Kind::Close }
        } else if let Some((written, means)) = sign {
            at += written.len();
            match *means {
                word @ ("and" | "or") => Kind::Word(word.to_owned()),
                sign => Kind::Sign(sign),
            }
        } else if matches!(c, '\'' | '"' | '`') {
            let (found, length) = quoted(rest, c)
                .ok_or(FilterError { fault: FilterFault::Unclosed(c), span: start..text.len() })?;
            at += length;
            if c == '`' { Kind::Column(found) } else { Kind::Text(found) }
        } else if is_word(c) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            at += length;
            Kind::Word(rest[..length].to_owned())
        } else {
            let span = start..start + c.len_utf8();
            return Err(FilterError { fault: FilterFault::Character(c), span });
        };
        tokens.push(Token { kind, span: start..at });
    }
    Ok(tokens)
}

/// Returns what stands between quotes, and the length with them. A backslash before a quote or a backslash takes it as
/// it is; before anything else it is a character of a pattern.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut found = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((found, at + 1));
        }
        match chars.peek() {
            Some((_, next)) if c == '\\' && *next == quote => {
                found.push(*next);
                chars.next();
            }
            _ => found.push(c),
        }
    }
    None
}

fn is_word(c: char) -> bool {
    // Regular expressions are seldom quoted, so what they are made of counts, but for what has a meaning here.
    !c.is_whitespace() && !"()=!<>~'\"`&|,;".contains(c)
}
