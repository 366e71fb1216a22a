//! Values -> YAML text, byte for byte as `OmegaConf` writes it with `PyYAML`.
//!
//! That is close to what DVC's own files look like, which ruamel.yaml writes, and differs wherever the two libraries do:
//! null is written, text that YAML 1.1 would take for something else is quoted, long text is folded behind column 80
//! and not before it, quotes and line ends are written between single quotes.

use exp_core::{Table, Value, python_float};

/// Columns after which text is folded.
const WIDTH: usize = 80;
/// Keys of this many characters and more are written behind a `? `.
const LONG_KEY: usize = 128;

/// Writes a document.
pub(super) fn emit(value: &Value) -> String {
    let mut emitter = Emitter::default();
    match value {
        Value::Table(table) if !table.is_empty() => emitter.map(table, 0),
        Value::List(items) if !items.is_empty() => emitter.list(items, 0),
        Value::List(_) => emitter.write("[]"),
        Value::Table(_) => emitter.write("{}"),
        value => emitter.scalar(value, 0, true),
    }
    emitter.out.push('\n');
    emitter.out
}

#[derive(Default)]
struct Emitter {
    out: String,
    /// Characters on the current line.
    column: usize,
}

impl Emitter {
    fn map(&mut self, table: &Table, indent: usize) {
        for (index, (key, value)) in table.iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            if key.chars().count() >= LONG_KEY || key.contains(is_break) || key.is_empty() {
                self.write("? ");
                self.text(key, indent + 2, true);
                self.line(indent);
                self.write(":");
                self.behind(value, indent, false);
            } else {
                // A key that looks like a number is one: hardly anybody quotes them.
                if is_number(key) {
                    self.write(key);
                } else {
                    self.text(key, indent + 2, false);
                }
                self.write(":");
                self.behind(value, indent, true);
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            self.write("-");
            self.behind(item, indent, false);
        }
    }

    /// Writes a value behind a key, where a block begins on the next line, or behind a dash.
    fn behind(&mut self, value: &Value, indent: usize, is_key: bool) {
        match value {
            Value::Table(table) if !table.is_empty() => {
                if is_key {
                    self.line(indent + 2);
                } else {
                    self.write(" ");
                }
                self.map(table, indent + 2);
            }
            Value::List(items) if !items.is_empty() => {
                if is_key {
                    self.line(indent);
                    self.list(items, indent);
                } else {
                    self.write(" ");
                    self.list(items, indent + 2);
                }
            }
            Value::Table(_) => self.write(" {}"),
            Value::List(_) => self.write(" []"),
            value => {
                self.write(" ");
                self.scalar(value, indent + 2, true);
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, folds: bool) {
        match value {
            Value::Null => self.write("null"),
            Value::Bool(truth) => self.write(if *truth { "true" } else { "false" }),
            Value::Int(number) => self.write(&number.to_string()),
            Value::Float(number) => self.write(&float(*number)),
            Value::Text(text) | Value::Date(text) => self.text(text, indent, folds),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, indent: usize, folds: bool) {
        let form = Form::of(text);
        if form.plain && !means_something(text) {
            self.plain(text, indent, folds);
        } else if form.single && (folds || !text.contains(is_break)) {
            self.single(text, indent, folds);
        } else {
            self.double(text, indent, folds);
        }
    }

    /// A line ends at a single space behind the width.
    fn plain(&mut self, text: &str, indent: usize, folds: bool) {
        let mut rest = text;
        while !rest.is_empty() {
            let (word, tail) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
            self.write(word);
            let after = tail.trim_start_matches(' ');
            let spaces = &tail[..tail.len() - after.len()];
            if spaces.len() == 1 && self.column > WIDTH && folds {
                self.line(indent);
            } else {
                self.write(spaces);
            }
            rest = after;
        }
    }

    fn single(&mut self, text: &str, indent: usize, folds: bool) {
        self.write("'");
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let class = |c: char| match c {
                ' ' => 0,
                '\'' => 1,
                c if is_break(c) => 2,
                _ => 3,
            };
            let end = rest.find(|c| class(c) != class(first)).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(end);
            let is_inner = rest.len() < text.len() && !tail.is_empty();
            match class(first) {
                0 if run.len() == 1 && self.column > WIDTH && is_inner && folds => {
                    self.line(indent);
                }
                1 => self.write(&"''".repeat(run.len())),
                2 => {
                    if first == '\n' {
                        self.out.push('\n');
                    }
                    self.out.push_str(run);
                    self.column = 0;
                    self.pad(indent);
                }
                _ => self.write(run),
            }
            rest = tail;
        }
        self.write("'");
    }

    /// A line may end at any space or escape behind the width, with a backslash.
    fn double(&mut self, text: &str, indent: usize, folds: bool) {
        let chars: Vec<char> = text.chars().collect();
        self.write("\"");
        // Characters from `start` on are not yet written.
        let mut start = 0;
        for at in 0..=chars.len() {
            let c = chars.get(at).copied();
            let escaped = c.map(escape);
            if c.is_none() || matches!(escaped, Some(Some(_))) {
                self.write_chars(&chars[start.min(at)..at]);
                start = start.max(at);
                if let Some(Some(escape)) = escaped {
                    self.write(&escape);
                    start = at + 1;
                }
            }
            let is_inner = at > 0 && at + 1 < chars.len();
            let column =
                self.column + at.saturating_sub(start) - usize::from(start > at && self.column > 0);
            if is_inner && (c == Some(' ') || start >= at) && column > WIDTH && folds {
                self.write_chars(chars.get(start..at).unwrap_or_default());
                self.write("\\");
                start = start.max(at);
                self.line(indent);
                if chars.get(start) == Some(&' ') {
                    self.write("\\");
                }
            }
        }
        self.write("\"");
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn write_chars(&mut self, chars: &[char]) {
        self.out.extend(chars);
        self.column += chars.len();
    }

    fn pad(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent.saturating_sub(self.column)));
        self.column = self.column.max(indent);
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.column = 0;
        self.pad(indent);
    }
}

/// Writes a number with a point in front of its exponent, since YAML 1.1 takes it for text without.
fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf".to_owned() } else { "-.inf".to_owned() };
    }
    let text = python_float(number);
    if text.contains('.') { text } else { text.replacen('e', ".0e", 1) }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns whether a plain scalar would not be read as this text, or looks to `OmegaConf` as if it might not.
fn means_something(text: &str) -> bool {
    const WORDS: &[&str] =
        &["~", "null", "<<", "=", "y", "n", "yes", "no", "on", "off", "true", "false"];
    let lower = text.to_ascii_lowercase();
    let is_word = WORDS.contains(&lower.as_str())
        && (text == lower || text == text.to_uppercase() || is_title(text));
    is_word || text.is_empty() || is_number(text) || is_date(text)
}

fn is_title(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_uppercase)
        && !text.chars().skip(1).any(char::is_uppercase)
}

/// Numbers of YAML 1.1, and whatever Python's `int` and `float` read.
fn is_number(text: &str) -> bool {
    let body = text.trim().strip_prefix(['+', '-']).unwrap_or(text.trim());
    let lower = body.to_ascii_lowercase();
    if matches!(lower.as_str(), ".inf" | ".nan" | "inf" | "infinity" | "nan") {
        return true;
    }
    let all = |text: &str, accepts: fn(u8) -> bool| {
        !text.is_empty() && text.bytes().all(|byte| byte == b'_' || accepts(byte))
    };
    if let Some(digits) = body.strip_prefix("0x") {
        return all(digits, |byte| byte.is_ascii_hexdigit());
    }
    if let Some(digits) = body.strip_prefix("0b") {
        return all(digits, |byte| matches!(byte, b'0' | b'1'));
    }
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    if body.contains(':') {
        // Sexagesimal: 1:30, 01:30.5
        let (whole, fraction) = match body.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (body, None),
        };
        let mut parts = whole.split(':');
        let first = parts.next().unwrap_or_default();
        let minute =
            |part: &str| part.len() <= 2 && part.parse::<u8>().is_ok_and(|number| number < 60);
        return all(first, |byte| byte.is_ascii_digit())
            && parts.all(minute)
            && match fraction {
                Some(fraction) => fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_'),
                None => !first.starts_with('0'),
            };
    }
    body.bytes().any(|byte| byte.is_ascii_digit()) && body.replace('_', "").parse::<f64>().is_ok()
}

/// Dates and times of YAML 1.1, by their beginning.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    if !digits(0..4) || bytes.get(4) != Some(&b'-') {
        return false;
    }
    let rest = &text[5..];
    let month = rest.bytes().take_while(u8::is_ascii_digit).count();
    let Some(rest) = rest.get(month..).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    let time = &rest[day..];
    if time.is_empty() {
        return (month, day) == (2, 2);
    }
    let has_parts = (1..=2).contains(&month) && (1..=2).contains(&day);
    let clock = time.trim_start_matches(['T', 't', ' ', '\t']);
    let is_clock = clock.len() < time.len()
        && clock.bytes().all(|byte| byte.is_ascii_digit() || b":.+-Z \t".contains(&byte))
        && clock.matches(':').count() >= 2;
    has_parts && is_clock
}

/// Returns how a double-quoted text spells `c`; `None` when as it is.
fn escape(c: char) -> Option<String> {
    Some(match c {
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' => {
            return None;
        }
        c if u32::from(c) <= 0xff => format!("\\x{:02X}", u32::from(c)),
        c if u32::from(c) <= 0xffff => format!("\\u{:04X}", u32::from(c)),
        c => format!("\\U{:08X}", u32::from(c)),
    })
}

/// Which styles can carry a text in a block.
struct Form {
    plain: bool,
    single: bool,
}

impl Form {
    fn of(text: &str) -> Self {
        let Some(first) = text.chars().next() else { return Self { plain: false, single: true } };
        let is_blank = |c: char| matches!(c, '\0' | ' ' | '\t' | '\r') || is_break(c);
        let mut plain = !(text.starts_with("---")
            || text.starts_with("...")
            || "#,[]{}&*!|>'\"%@`".contains(first)
            || text.starts_with(' ')
            || text.ends_with(' ')
            || text.contains(is_break));
        if matches!(first, '?' | ':' | '-') && text.chars().nth(1).is_none_or(is_blank) {
            plain = false;
        }
        let mut chars = text.chars().peekable();
        let mut before: Option<char> = None;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if before.is_some() {
                let ends_key = c == ':' && next.is_none_or(is_blank);
                let begins_comment = c == '#' && before.is_some_and(is_blank);
                plain &= !(ends_key || begins_comment);
            }
            let is_printable = c == '\n'
                || matches!(c, ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
                    && c != '\u{feff}';
            let around_break =
                (before == Some(' ') && is_break(c)) || (c == ' ' && before.is_some_and(is_break));
            if !is_printable || around_break {
                return Self { plain: false, single: false };
            }
            before = Some(c);
        }
        Self { plain, single: true }
    }
}
