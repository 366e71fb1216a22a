//! Values -> YAML text, byte for byte as DVC writes it with ruamel.yaml (formats: section 3).
//!
//! Block style, maps indented by two, sequences flush with their key, lines folded at column 80 by ruamel's own
//! rules: plain text leaves the space at the end of the line, quoted text does not.

use crate::float::python_float;
use crate::value::{Table, Value};

use super::scalar::{self, Kind, Version};

/// Columns after which text is folded.
const WIDTH: usize = 80;
/// Keys of this many characters and more are written behind a `? `.
const LONG_KEY: usize = 123;

/// Writes a document as DVC does, with a final newline.
///
/// An empty map is `{}`, an empty list `[]`. Dates are written as they are. A table read back is equal to the one
/// written, unless it holds NaN, which equals nothing.
pub fn emit_yaml(value: &Value) -> String {
    let mut emitter = Emitter::default();
    emitter.root(value);
    emitter.out
}

/// Writes the members of `table` as they stand in a block that begins at column `indent`, each line indented and with
/// a newline.
pub(crate) fn emit_block(table: &Table, indent: usize) -> String {
    let mut emitter = Emitter::default();
    emitter.pad(indent);
    emitter.map(table, indent);
    emitter.end_line();
    emitter.out
}

#[derive(Default)]
struct Emitter {
    out: String,
    /// Characters on the current line.
    column: usize,
}

impl Emitter {
    fn root(&mut self, value: &Value) {
        match value {
            Value::Table(table) if !table.is_empty() => self.map(table, 0),
            Value::List(items) if !items.is_empty() => self.list(items, 0),
            Value::Table(_) => self.write("{}"),
            Value::List(_) => self.write("[]"),
            Value::Null => self.write("null\n..."),
            value => {
                self.scalar(value, 0, Role::Value);
                if !self.out.ends_with(['\'', '"']) {
                    self.write("\n...");
                }
            }
        }
        self.end_line();
    }

    /// Writes members; the first begins at the current place, which is column `indent`.
    fn map(&mut self, table: &Table, indent: usize) {
        for (index, (key, value)) in table.iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            let length = key.chars().count();
            if length >= LONG_KEY || key.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}']) {
                self.write("? ");
                self.text(key, indent + 2, Role::Value);
                self.line(indent);
                self.write(":");
                self.behind(value, indent, Place::Colon);
            } else {
                self.text(key, indent + 2, Role::Key);
                self.write(":");
                self.behind(value, indent, Place::Key);
            }
        }
    }

    /// Writes items; the first dash stands at the current place, which is column `indent`.
    fn list(&mut self, items: &[Value], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            self.write("-");
            self.behind(item, indent, Place::Dash);
        }
    }

    /// Writes a value behind a key or a dash of a block at column `indent`.
    fn behind(&mut self, value: &Value, indent: usize, place: Place) {
        let inside = indent + 2;
        match value {
            Value::Table(table) if !table.is_empty() => {
                self.open(inside, place);
                self.map(table, inside);
            }
            Value::List(items) if !items.is_empty() => {
                let indent = if place == Place::Key { indent } else { inside };
                self.open(indent, place);
                self.list(items, indent);
            }
            Value::Table(_) => self.write(" {}"),
            Value::List(_) => self.write(" []"),
            Value::Null if place == Place::Dash => self.write(" "),
            Value::Null => {}
            value => {
                self.write(" ");
                self.scalar(value, inside, Role::Value);
            }
        }
    }

    /// Starts a block: behind a key on the next line, else on this one.
    fn open(&mut self, indent: usize, place: Place) {
        if place == Place::Key { self.line(indent) } else { self.write(" ") }
    }

    fn scalar(&mut self, value: &Value, indent: usize, role: Role) {
        match value {
            Value::Bool(truth) => self.plain(if *truth { "true" } else { "false" }, indent, role),
            Value::Int(number) => self.plain(&number.to_string(), indent, role),
            Value::Float(number) => {
                let text = match number {
                    number if number.is_nan() => ".nan".to_owned(),
                    number if number.is_infinite() && *number > 0.0 => ".inf".to_owned(),
                    number if number.is_infinite() => "-.inf".to_owned(),
                    number => python_float(*number),
                };
                self.plain(&text, indent, role);
            }
            Value::Date(text) => self.plain(text, indent, role),
            Value::Text(text) => self.text(text, indent, role),
            Value::Null | Value::List(_) | Value::Table(_) => {}
        }
    }

    fn text(&mut self, text: &str, indent: usize, role: Role) {
        let form = Form::of(text);
        if form.plain && scalar::kind(text, Version::V1_2) == Kind::Text {
            self.plain(text, indent, role);
        } else if form.single && !text.contains(['\'', '\n']) {
            self.single(text, indent, role);
        } else {
            self.double(text, indent, role);
        }
    }

    /// Words are written one by one; one that does not fit begins a line, which leaves the space before it behind.
    fn plain(&mut self, text: &str, indent: usize, role: Role) {
        let mut rest = text;
        let mut n_spaces = 0;
        while !rest.is_empty() {
            let (word, tail) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
            let length = word.chars().count();
            // ruamel also folds keys, which nobody can read then, and behind several spaces, of which one is
            // left when it is read. Neither is done here.
            let may_fold = role == Role::Value && n_spaces <= 1;
            if self.column + length > WIDTH && self.column > indent && may_fold {
                self.line(indent);
            }
            self.write(word);
            let after = tail.trim_start_matches(' ');
            let spaces = &tail[..tail.len() - after.len()];
            if spaces.len() == 1 && self.column >= WIDTH && role == Role::Value {
                self.line(indent);
            } else {
                self.write(spaces);
            }
            n_spaces = spaces.len();
            rest = after;
        }
    }

    fn single(&mut self, text: &str, indent: usize, role: Role) {
        self.write("'");
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let class = |c: char| match c {
                ' ' => 0,
                '\u{85}' | '\u{2028}' | '\u{2029}' => 1,
                _ => 2,
            };
            let end = rest.find(|c| class(c) != class(first)).unwrap_or(rest.len());
            let (run, tail) = rest.split_at(end);
            let inner = rest.len() < text.len() && !tail.is_empty();
            match class(first) {
                0 if run.len() == 1 && self.column > WIDTH && inner && role == Role::Value => {
                    self.line(indent);
                }
                1 => {
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

    /// A line may end at any space or escape beyond the width. Where the fold alone would change the text, it is
    /// marked by a backslash, as is a space that begins a line.
    fn double(&mut self, text: &str, indent: usize, role: Role) {
        let chars: Vec<char> = text.chars().collect();
        self.write("\"");
        // Characters from `start` on are not yet written.
        let mut start = 0;
        for (at, &c) in chars.iter().enumerate() {
            if let Some(escape) = escape(c) {
                self.write_chars(&chars[start..at]);
                self.write(&escape);
                start = at + 1;
            }
            let pending = at.saturating_sub(start);
            let inner = at > 0 && at + 1 < chars.len();
            // An escape written at `at` itself counts for one column less, as in ruamel.
            let column = if start > at { self.column - 1 } else { self.column + pending };
            if inner && (c == ' ' || start >= at) && column > WIDTH && role == Role::Value {
                // Behind an escape ruamel may leave the mark out although no space is there to fold at, and then
                // reads one too many; here the mark is written.
                let marked = start == at
                    || !folds_cleanly(&chars, at)
                    || (start > at && chars[start] != ' ');
                self.write_chars(chars.get(start..at).unwrap_or_default());
                start = start.max(at);
                if marked {
                    self.write("\\");
                }
                self.line(indent);
                if chars[start] == ' ' {
                    if marked {
                        self.write("\\");
                    } else {
                        start += 1;
                    }
                }
            }
        }
        self.write_chars(chars.get(start..).unwrap_or_default());
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
        for _ in self.column..indent {
            self.out.push(' ');
        }
        self.column = self.column.max(indent);
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.column = 0;
        self.pad(indent);
    }

    fn end_line(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }
}

/// Whether a text is a key, which is not folded when it is quoted, or a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

/// What a value stands behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `key:`
    Key,
    /// The `:` of a key behind a `?`.
    Colon,
    /// `-`
    Dash,
}

/// Whether a double-quoted text can be folded at the space `at` without a mark.
fn folds_cleanly(chars: &[char], at: usize) -> bool {
    let Some(space) = chars[at..].iter().position(|c| *c == ' ').map(|n| at + n) else {
        return false;
    };
    let stop = chars[at..space].iter().position(|c| *c == '\n').map_or(space, |n| at + n);
    let Some(&next) = chars.get(stop + 1) else { return false };
    if chars[stop] == '\n' && next != ' ' {
        return false;
    }
    let has_quote = chars[at..stop].iter().any(|c| matches!(c, '"' | '\''));
    let in_blanks = chars[at - 1] == ' ' && chars[at] == ' ';
    !has_quote && !in_blanks && !matches!(next, ' ' | '\n')
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
        '\u{feff}' => "\\uFEFF".to_owned(),
        ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => return None,
        c if u32::from(c) <= 0xff => format!("\\x{:02X}", u32::from(c)),
        c => format!("\\u{:04X}", u32::from(c)),
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
        let mut form = Self { plain: true, single: true };
        let is_break = |c| matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let is_blank = |c| matches!(c, '\0' | ' ' | '\t' | '\r') || is_break(c);
        if text.starts_with("---")
            || text.starts_with("...")
            || "#,[]{}&*!|>'\"%@`".contains(first)
            || text.starts_with(' ')
            || text.ends_with(' ')
        {
            form.plain = false;
        }
        if matches!(first, '?' | ':' | '-') && text.chars().nth(1).is_none_or(is_blank) {
            form.plain = false;
        }
        let mut chars = text.chars().peekable();
        let mut before = None;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if before.is_some()
                && ((c == ':' && next.is_none_or(is_blank))
                    || (c == '#' && before.is_some_and(is_blank)))
            {
                form.plain = false;
            }
            let printable = c == '\n'
                || (escape(c).is_none()
                    || matches!(c, '"' | '\\' | '\u{85}' | '\u{2028}' | '\u{2029}'));
            if is_break(c) {
                form.plain = false;
            }
            let around_break = matches!((before, c), (Some(' '), c) if is_break(c))
                || (c == ' ' && before.is_some_and(is_break));
            if !printable || around_break {
                return Self { plain: false, single: false };
            }
            before = Some(c);
        }
        form
    }
}
