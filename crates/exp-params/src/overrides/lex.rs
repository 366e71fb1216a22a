//! The words of an override's value. The longest word wins, and of equally long ones the first in the list below;
//! this is what makes `1.5.2` text and `1.5` a number.

use std::ops::Range;

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Open,
    Comma,
    Close,
    BracketOpen,
    BracketClose,
    BraceOpen,
    BraceClose,
    Colon,
    Equal,
    Float,
    Int,
    Bool,
    Null,
    Id,
    Escape,
    Blank,
    Quoted,
    Interpolation,
    /// Any other character; Hydra knows `/-\+.$%*@?|` only.
    Other,
}

/// A word and where it is.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) span: Range<usize>,
}

/// Splits the value of an override into words, or returns the place of a quote without an end.
pub(super) fn lex(text: &str, start: usize) -> Result<Vec<Token>, usize> {
    let mut tokens = Vec::new();
    let mut at = start;
    while at < text.len() {
        let rest = &text[at..];
        let (word, len) = word(rest).ok_or(at)?;
        tokens.push(Token { word, span: at..at + len });
        at += len;
    }
    Ok(tokens)
}

fn word(rest: &str) -> Option<(Word, usize)> {
    let blank = blanks(rest);
    if blank > 0 {
        // Blanks belong to the separator that follows them, and otherwise are a word.
        return Some(
            separator(&rest[blank..], true)
                .map_or((Word::Blank, blank), |(word, len)| (word, blank + len)),
        );
    }
    if let Some(found) = separator(rest, false) {
        return Some(found);
    }
    let first = rest.chars().next()?;
    if first == '"' || first == '\'' {
        return Some((Word::Quoted, quoted(rest, first)?));
    }
    if let Some(inner) = rest.strip_prefix("${")
        && let Some(len) = inner.find('}').filter(|len| *len > 0)
    {
        return Some((Word::Interpolation, len + 3));
    }
    let mut best = (Word::Other, first.len_utf8());
    for (word, len) in [
        (Word::Float, float(rest)),
        (Word::Int, int(rest)),
        (Word::Bool, keyword(rest, "true").max(keyword(rest, "false"))),
        (Word::Null, keyword(rest, "null")),
        (Word::Id, id(rest)),
        (Word::Escape, escape(rest)),
    ] {
        if len > best.1 || (len == best.1 && best.0 == Word::Other) {
            best = (word, len);
        }
    }
    Some(best)
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// Reads a separator with the blanks behind it. Opening brackets other than `(` take no blanks in front.
fn separator(text: &str, after_blank: bool) -> Option<(Word, usize)> {
    let (word, takes_blank_behind) = match text.bytes().next()? {
        b'(' => (Word::Open, true),
        b',' => (Word::Comma, true),
        b')' => (Word::Close, false),
        b'[' if !after_blank => (Word::BracketOpen, true),
        b']' => (Word::BracketClose, false),
        b'{' if !after_blank => (Word::BraceOpen, true),
        b'}' => (Word::BraceClose, false),
        b':' => (Word::Colon, true),
        b'=' => (Word::Equal, true),
        _ => return None,
    };
    Some((word, 1 + if takes_blank_behind { blanks(&text[1..]) } else { 0 }))
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn keyword(text: &str, word: &str) -> usize {
    let found = text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if found { word.len() } else { 0 }
}

fn id(text: &str) -> usize {
    let mut len = 0;
    for c in text.chars() {
        let fits = c.is_alphabetic() || c == '_' || (len > 0 && (c.is_numeric() || c == '-'));
        if !fits {
            break;
        }
        len += c.len_utf8();
    }
    len
}

fn escape(text: &str) -> usize {
    let mut len = 0;
    let bytes = text.as_bytes();
    while bytes.get(len) == Some(&b'\\')
        && bytes.get(len + 1).is_some_and(|c| b"\\()[]{}:=, \t".contains(c))
    {
        len += 2;
    }
    len
}

fn sign(text: &str) -> usize {
    usize::from(text.starts_with(['+', '-']))
}

/// Reads digits that single underscores may separate; the first is a digit.
fn digits(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut len = 0;
    while let Some(c) = bytes.get(len) {
        let is_separator =
            *c == b'_' && len > 0 && bytes.get(len + 1).is_some_and(u8::is_ascii_digit);
        if !c.is_ascii_digit() && !is_separator {
            break;
        }
        len += 1;
    }
    len
}

/// Reads a whole number without sign: a zero, or digits that do not start with one.
fn unsigned(text: &str) -> usize {
    if text.starts_with('0') { 1 } else { digits(text) }
}

fn int(text: &str) -> usize {
    let sign = sign(text);
    match unsigned(&text[sign..]) {
        0 => 0,
        len => sign + len,
    }
}

fn float(text: &str) -> usize {
    let sign = sign(text);
    let body = &text[sign..];
    let special = keyword(body, "inf").max(keyword(body, "nan"));
    let whole = unsigned(body);
    let mut best = special;
    let mut mantissa = whole;
    if body[whole..].starts_with('.') {
        let fraction = digits(&body[whole + 1..]);
        if whole > 0 || fraction > 0 {
            mantissa = whole + 1 + fraction;
            best = best.max(mantissa);
        }
    }
    if mantissa > 0 && body[mantissa..].starts_with(['e', 'E']) {
        let exponent = &body[mantissa + 1..];
        let exponent_sign = self::sign(exponent);
        let len = digits(&exponent[exponent_sign..]);
        if len > 0 {
            best = best.max(mantissa + 1 + exponent_sign + len);
        }
    }
    if best == 0 { 0 } else { sign + best }
}
