//! What a command line says about parameters: `file:key=value` and its relatives, in the grammar of Hydra 1.3.

use std::fmt;
use std::str::FromStr;

use exp_core::{KeyPath, Value};

use crate::number::python_str;

use self::parse::{Given, Groups, parse_change};
pub use self::sweep::{Axis, Combinations, Overrides};

mod function;
mod lex;
mod parse;
mod sweep;

/// A value that someone typed, with the spelling of its numbers.
///
/// A number is written into a file as it was typed (`1e-4`) where the file's format reads that as the same number.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: Value,
    /// Numbers in the value and how they were typed, by their place in it.
    pub(crate) spellings: Vec<(KeyPath, String)>,
}

impl Literal {
    /// Returns how the number at `path` was typed, if that is known.
    pub fn spelling(&self, path: &KeyPath) -> Option<&str> {
        self.spellings.iter().find(|(place, _)| place == path).map(|(_, text)| text.as_str())
    }

    /// Returns the part of this literal at `part`, of which `value` is the value.
    pub(crate) fn part(&self, part: &str, value: &Value) -> Self {
        let spellings = self
            .spellings
            .iter()
            .filter(|(place, _)| place.parts().first().is_some_and(|first| first == part))
            .map(|(place, text)| (KeyPath::from_parts(&place.parts()[1..]), text.clone()))
            .collect();
        Self { value: value.clone(), spellings }
    }

    /// Returns a map with this literal as its only member.
    pub(crate) fn inside(self, key: &str) -> Self {
        let spellings = self
            .spellings
            .into_iter()
            .map(|(place, text)| {
                let parts = std::iter::once(key.to_owned()).chain(place.parts().iter().cloned());
                (KeyPath::from_parts(parts), text)
            })
            .collect();
        let table = [(key.to_owned(), self.value)].into_iter().collect();
        Self { value: Value::Table(table), spellings }
    }
}

impl From<Value> for Literal {
    fn from(value: Value) -> Self {
        Self { value, spellings: Vec::new() }
    }
}

/// A change to one parameter file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Override {
    /// `key=value`: changes a value that is there. A map is merged into a map, everything else replaces.
    Set(KeyPath, Literal),
    /// `+key=value`: adds a value that is not there, with the maps around it. Null counts as not there; a map is
    /// merged into a map, a list replaces.
    Add(KeyPath, Literal),
    /// `++key=value`: sets the value whether it is there or not.
    Upsert(KeyPath, Literal),
    /// `~key` or `~key=value`: removes a value; with `value`, only if it is equal.
    Remove(KeyPath, Option<Literal>),
}

impl Override {
    /// Returns the key that is changed.
    pub fn key(&self) -> &KeyPath {
        match self {
            Self::Set(key, _) | Self::Add(key, _) | Self::Upsert(key, _) | Self::Remove(key, _) => {
                key
            }
        }
    }

    /// Returns `+`, `++`, `~` or nothing.
    pub fn sign(&self) -> &'static str {
        match self {
            Self::Set(..) => "",
            Self::Add(..) => "+",
            Self::Upsert(..) => "++",
            Self::Remove(..) => "~",
        }
    }
}

/// A change and the file that it is for.
///
/// Text is `[file:]override`; a colon behind the first `=` does not name a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamChange {
    /// The file as it was typed; `None` is the default parameter file.
    pub file: Option<String>,
    /// What is changed.
    pub change: Override,
}

impl ParamChange {
    /// Returns the change with its value, as it can be typed again; text that needs quotes has lost them.
    pub fn to_text(&self) -> String {
        let literal = match &self.change {
            Override::Set(_, literal)
            | Override::Add(_, literal)
            | Override::Upsert(_, literal) => Some(literal),
            Override::Remove(_, literal) => literal.as_ref(),
        };
        let Some(literal) = literal else { return self.to_string() };
        let value = match (literal.spelling(&KeyPath::root()), &literal.value) {
            (Some(spelling), _) => spelling.to_owned(),
            (None, Value::Null) => "null".to_owned(),
            (None, value) => python_str(value),
        };
        format!("{self}={value}")
    }
}

impl FromStr for ParamChange {
    type Err = OverrideError;

    /// Reads a change of one value; what stands for several values is [`OverrideError::SweepNotAllowed`].
    fn from_str(text: &str) -> Result<Self, OverrideError> {
        let parsed = parse_change(text, Groups::Refused)?;
        let change = match parsed.given {
            Given::Nothing => parsed.sign.with(parsed.key, None),
            Given::One(literal) => parsed.sign.with(parsed.key, Some(literal)),
            Given::Sweep(_) => {
                return Err(OverrideError::SweepNotAllowed { text: text.to_owned() });
            }
        };
        Ok(Self { file: parsed.file, change })
    }
}

impl fmt::Display for ParamChange {
    /// Writes the file, if one is named, the sign and the key; not the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        write!(f, "{}{}", self.change.sign(), self.change.key())
    }
}

/// A change that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// Text that is not in the grammar.
    #[error("`{text}` is not an override: {message}")]
    Syntax {
        /// The change as it was typed.
        text: String,
        /// Byte of the change at which reading stopped.
        offset: usize,
        /// What is wrong there, in lower case.
        message: String,
    },
    /// A function such as `int(…)` that cannot be computed, or that does not exist.
    #[error("`{text}` cannot be computed: {message}")]
    Function {
        /// The change as it was typed.
        text: String,
        /// What is wrong, in lower case.
        message: String,
    },
    /// Several values (`1,2`, `choice(…)`, `range(…)`) where one was asked for.
    #[error("`{text}` stands for several values")]
    SweepNotAllowed {
        /// The change as it was typed.
        text: String,
    },
    /// A sweep that names no finite number of values: `interval(…)` or `glob(…)`.
    #[error("`{text}` names no list of values")]
    SweepNotFinite {
        /// The change as it was typed.
        text: String,
        /// `interval` or `glob`.
        kind: &'static str,
    },
    /// A parameter that is to be varied and has values already.
    #[error("`{key}` is given twice")]
    Twice {
        /// The key as it was typed.
        key: String,
    },
    /// A key that chooses a configuration group (`db/engine=x`, `db@backup=x`), which parameter files do not have.
    #[error("`{key}` is a configuration group")]
    Group {
        /// The key as it was typed.
        key: String,
    },
}
