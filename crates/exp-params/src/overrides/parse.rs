//! The grammar of an override over its words.

use exp_core::{KeyPath, Table, Value};

use super::function::{self, Argument};
use super::lex::{Token, Word, lex};
use super::sweep::Sweep;
use super::{Literal, Override, OverrideError};

/// Values may be nested so deep.
const MAX_DEPTH: usize = 100;

/// The sign in front of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Set,
    Add,
    Upsert,
    Remove,
}

impl Sign {
    /// Returns how it is written.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Set => "",
            Self::Add => "+",
            Self::Upsert => "++",
            Self::Remove => "~",
        }
    }

    /// Makes the override; without a value only a removal is one.
    pub(super) fn with(self, key: KeyPath, literal: Option<Literal>) -> Override {
        match (self, literal) {
            (Self::Set, Some(literal)) => Override::Set(key, literal),
            (Self::Add, Some(literal)) => Override::Add(key, literal),
            (Self::Upsert, Some(literal)) => Override::Upsert(key, literal),
            (_, literal) => Override::Remove(key, literal),
        }
    }
}

/// What stands behind the `=`.
#[derive(Debug)]
pub(super) enum Given {
    /// No `=`.
    Nothing,
    One(Literal),
    Sweep(Sweep),
}

/// An override in its parts.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) file: Option<String>,
    pub(super) sign: Sign,
    pub(super) key: KeyPath,
    pub(super) given: Given,
}

/// Whether a key may choose a configuration group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    Refused,
    Taken,
}

/// Reads `[file:]override`.
pub(super) fn parse_change(text: &str, groups: Groups) -> Result<Parsed, OverrideError> {
    let left = &text[..text.find('=').unwrap_or(text.len())];
    let (file, start) = match left.find(':') {
        Some(0) => return Err(syntax(text, 0, "a file name is missing in front of the colon")),
        Some(at) => (Some(text[..at].to_owned()), at + 1),
        None => (None, 0),
    };
    let rest = &text[start..];
    let (sign, len) = if rest.starts_with("++") {
        (Sign::Upsert, 2)
    } else if rest.starts_with('+') {
        (Sign::Add, 1)
    } else if rest.starts_with('~') {
        (Sign::Remove, 1)
    } else {
        (Sign::Set, 0)
    };
    let key_start = start + len;
    let key_end = text[key_start..].find('=').map_or(text.len(), |at| key_start + at);
    let key = parse_key(text, key_start, &text[key_start..key_end], groups)?;
    let given = if key_end == text.len() {
        if sign != Sign::Remove {
            return Err(syntax(text, text.len(), "`=` and a value are missing"));
        }
        Given::Nothing
    } else {
        let blanks =
            text[key_end + 1..].len() - text[key_end + 1..].trim_start_matches([' ', '\t']).len();
        let value_start = key_end + 1 + blanks;
        if value_start == text.len() {
            Given::One(Literal::from(Value::Text(String::new())))
        } else {
            let tokens = lex(text, value_start)
                .map_err(|at| syntax(text, at, "a closing quote is missing"))?;
            Reader { text, tokens: &tokens, at: 0 }.value()?
        }
    };
    Ok(Parsed { file, sign, key, given })
}

fn parse_key(
    text: &str,
    start: usize,
    key: &str,
    groups: Groups,
) -> Result<KeyPath, OverrideError> {
    if key.contains(['/', '@']) && groups == Groups::Refused {
        return Err(OverrideError::Group { key: key.to_owned() });
    }
    if key.is_empty() {
        return Err(syntax(text, start, "a key is missing"));
    }
    let mut part_start = start;
    for part in key.split('.') {
        if part.is_empty() {
            return Err(syntax(text, start, "a part of the key is empty"));
        }
        if let Some((at, _)) =
            part.char_indices().find(|(_, c)| !c.is_alphanumeric() && !"_-$/@".contains(*c))
        {
            let message = "a key has letters, digits, `_`, `-`, `$` and dots";
            return Err(syntax(text, part_start + at, message));
        }
        part_start += part.len() + 1;
    }
    Ok(KeyPath::parse(key))
}

fn syntax(text: &str, offset: usize, message: &str) -> OverrideError {
    OverrideError::Syntax { text: text.to_owned(), offset, message: message.to_owned() }
}

struct Reader<'t> {
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
}

impl Reader<'_> {
    fn error(&self, message: &str) -> OverrideError {
        let offset = self.tokens.get(self.at).map_or(self.text.len(), |token| token.span.start);
        syntax(self.text, offset, message)
    }

    fn peek(&self) -> Option<Word> {
        self.tokens.get(self.at).map(|token| token.word)
    }

    fn eat(&mut self, word: Word) -> bool {
        let found = self.peek() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Result<Given, OverrideError> {
        let first = self.element(0)?;
        if self.peek().is_none() {
            return match first {
                Argument::One(literal) => Ok(Given::One(literal)),
                Argument::Sweep(sweep) => Ok(Given::Sweep(sweep)),
            };
        }
        let mut items = vec![self.single(first)?];
        while self.eat(Word::Comma) {
            let item = self.element(0)?;
            items.push(self.single(item)?);
        }
        if self.peek().is_some() {
            return Err(self.error("this does not belong to the value"));
        }
        if items.len() == 1 {
            return Err(self.error("this does not belong to the value"));
        }
        Ok(Given::Sweep(Sweep::choice(items)))
    }

    fn single(&self, argument: Argument) -> Result<Literal, OverrideError> {
        match argument {
            Argument::One(literal) => Ok(literal),
            Argument::Sweep(_) => Err(self.error("a sweep inside a value")),
        }
    }

    fn element(&mut self, depth: usize) -> Result<Argument, OverrideError> {
        if depth > MAX_DEPTH {
            return Err(self.error("values are nested too deep"));
        }
        if self.eat(Word::BracketOpen) {
            return self.list(depth);
        }
        if self.eat(Word::BraceOpen) {
            return self.map(depth);
        }
        let is_call = self.peek() == Some(Word::Id)
            && self.tokens.get(self.at + 1).is_some_and(|token| token.word == Word::Open);
        if is_call {
            return self.call(depth);
        }
        Ok(Argument::One(self.primitive(true)?))
    }

    fn list(&mut self, depth: usize) -> Result<Argument, OverrideError> {
        let mut items = Vec::new();
        let mut spellings = Vec::new();
        if !self.eat(Word::BracketClose) {
            loop {
                let item = self.element(depth + 1)?;
                let item = self.single(item)?;
                let inner = item.inside(&items.len().to_string());
                spellings.extend(inner.spellings);
                if let Value::Table(table) = inner.value {
                    items.extend(table.into_values());
                }
                if self.eat(Word::BracketClose) {
                    break;
                }
                if !self.eat(Word::Comma) {
                    return Err(self.error("a comma or a closing bracket is missing"));
                }
            }
        }
        let literal = Literal { value: Value::List(items), spellings };
        Ok(Argument::One(literal))
    }

    fn map(&mut self, depth: usize) -> Result<Argument, OverrideError> {
        let mut table = Table::new();
        let mut spellings: Vec<(KeyPath, String)> = Vec::new();
        if !self.eat(Word::BraceClose) {
            loop {
                let start = self.at;
                let key = match self.primitive(false)?.value {
                    Value::Text(text) => text,
                    _ => self.text[self.tokens[start].span.clone()].to_owned(),
                };
                if !self.eat(Word::Colon) {
                    return Err(self.error("a colon is missing"));
                }
                let item = self.element(depth + 1)?;
                let inner = self.single(item)?.inside(&key);
                spellings.retain(|(place, _)| place.parts().first() != Some(&key));
                spellings.extend(inner.spellings);
                if let Value::Table(member) = inner.value {
                    table.extend(member);
                }
                if self.eat(Word::BraceClose) {
                    break;
                }
                if !self.eat(Word::Comma) {
                    return Err(self.error("a comma or a closing brace is missing"));
                }
            }
        }
        let literal = Literal { value: Value::Table(table), spellings };
        Ok(Argument::One(literal))
    }

    fn call(&mut self, depth: usize) -> Result<Argument, OverrideError> {
        let name = &self.text[self.tokens[self.at].span.clone()];
        self.at += 2;
        let mut arguments: Vec<(Option<String>, Argument)> = Vec::new();
        if !self.eat(Word::Close) {
            loop {
                let is_named = self.peek() == Some(Word::Id)
                    && self.tokens.get(self.at + 1).is_some_and(|token| token.word == Word::Equal);
                let argument_name = is_named.then(|| {
                    let name = self.text[self.tokens[self.at].span.clone()].to_owned();
                    self.at += 2;
                    name
                });
                if argument_name.is_none() && arguments.iter().any(|(name, _)| name.is_some()) {
                    return Err(self.error("an argument without a name behind one with a name"));
                }
                arguments.push((argument_name, self.element(depth + 1)?));
                if self.eat(Word::Close) {
                    break;
                }
                if !self.eat(Word::Comma) {
                    return Err(self.error("a comma or a closing parenthesis is missing"));
                }
            }
        }
        function::call(name, arguments).map_err(|message| {
            if let function::Failure::NotFinite(kind) = message {
                return OverrideError::SweepNotFinite { text: self.text.to_owned(), kind };
            }
            OverrideError::Function { text: self.text.to_owned(), message: message.to_string() }
        })
    }

    /// Reads text, a number, a truth value or null. As the key of a map, colons and interpolations end it.
    fn primitive(&mut self, is_value: bool) -> Result<Literal, OverrideError> {
        if self.eat(Word::Quoted) {
            let span = self.tokens[self.at - 1].span.clone();
            return Ok(Literal::from(Value::Text(unquote(&self.text[span]))));
        }
        let start = self.at;
        while let Some(word) = self.peek() {
            let fits = match word {
                Word::Float
                | Word::Int
                | Word::Bool
                | Word::Null
                | Word::Id
                | Word::Escape
                | Word::Blank
                | Word::Other => true,
                Word::Colon | Word::Interpolation => is_value,
                _ => false,
            };
            if !fits {
                break;
            }
            self.at += 1;
        }
        let mut words = &self.tokens[start..self.at];
        if words.is_empty() {
            return Err(self.error("a value is missing"));
        }
        if words[0].word == Word::Blank {
            words = &words[1..];
        }
        if let [inner @ .., last] = words
            && last.word == Word::Blank
        {
            words = inner;
        }
        match words {
            [] => Err(self.error("a value is missing")),
            [word] => self.simple(word),
            words => {
                let mut out = String::new();
                for word in words {
                    self.push(word, &mut out);
                }
                Ok(Literal::from(Value::Text(out)))
            }
        }
    }

    fn simple(&self, token: &Token) -> Result<Literal, OverrideError> {
        let text = &self.text[token.span.clone()];
        let value = match token.word {
            Word::Int => text
                .replace('_', "")
                .parse()
                .map(Value::Int)
                .map_err(|_| syntax(self.text, token.span.start, "the number is too large"))?,
            Word::Float => Value::Float(text.replace('_', "").parse().unwrap_or(f64::NAN)),
            Word::Bool => Value::Bool(text.eq_ignore_ascii_case("true")),
            Word::Null => Value::Null,
            _ => {
                let mut out = String::new();
                self.push(token, &mut out);
                Value::Text(out)
            }
        };
        let mut literal = Literal::from(value);
        if matches!(token.word, Word::Int | Word::Float) {
            literal.spellings.push((KeyPath::root(), text.to_owned()));
        }
        Ok(literal)
    }

    fn push(&self, token: &Token, out: &mut String) {
        let text = &self.text[token.span.clone()];
        if token.word == Word::Escape {
            out.extend(text.chars().skip(1).step_by(2));
        } else {
            out.push_str(text);
        }
    }
}

/// Takes the quotes off, and one of each pair of backslashes in front of a quote of the same kind.
fn unquote(text: &str) -> String {
    let quote = text.chars().next().unwrap_or('"');
    let body = &text[1..];
    let mut out = String::new();
    let mut n_backslashes = 0;
    let last = body.len() - 1;
    for (at, c) in body.char_indices() {
        if c == '\\' {
            n_backslashes += 1;
            continue;
        }
        let kept = if c == quote { n_backslashes / 2 } else { n_backslashes };
        out.extend(std::iter::repeat_n('\\', kept));
        n_backslashes = 0;
        if at < last {
            out.push(c);
        }
    }
    out
}
