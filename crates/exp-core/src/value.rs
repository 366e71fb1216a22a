//! Values of parameter, metric and pipeline files, whatever format they came from.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;

/// A value as DVC's readers see it.
///
/// `PartialEq` compares exactly: `1` and `1.0` differ, NaN differs from itself. What counts as a *change* of a
/// parameter is [`Value::same_as_python`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number. Files with larger ones are refused.
    Int(i128),
    /// A floating-point number; NaN and the infinities are possible.
    Float(f64),
    /// Text.
    Text(String),
    /// A date or date and time, as text: YAML and TOML have them, DVC refuses them almost everywhere.
    Date(String),
    /// A sequence.
    List(Vec<Value>),
    /// A map in the order of the file.
    Table(Table),
}

/// A map from text to values in the order of the file. Keys that are not text are held in their written form.
pub type Table = IndexMap<String, Value>;

impl Value {
    /// Returns an empty map.
    pub fn table() -> Self {
        Self::Table(Table::new())
    }

    /// Returns the value at `path`; a number in the path indexes a list. The empty path is the value itself.
    pub fn get(&self, path: &KeyPath) -> Option<&Self> {
        path.parts().iter().try_fold(self, |value, part| value.child(part))
    }

    /// Returns the member `part` of a map, or the item with that number of a list.
    pub fn child(&self, part: &str) -> Option<&Self> {
        match self {
            Self::Table(table) => table.get(part),
            Self::List(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// Returns the text of a text value.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the map of a map value.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Returns the items of a list value.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns whether Python's `bool()` finds it false: null, `false`, zero, an empty text, list or table.
    pub fn is_false_in_python(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(truth) => !truth,
            Self::Int(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Table(table) => table.is_empty(),
            _ => false,
        }
    }

    /// Returns a number of either kind; `None` for everything else, truth values included.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "numbers beyond 2^53 are rounded, as Python's float() does"
            )]
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Compares as Python's `==` does: `1`, `1.0` and `True` are equal, maps ignore order, NaN equals nothing.
    ///
    /// This decides whether a parameter changed (formats: pipeline, section 3).
    pub fn same_as_python(&self, other: &Self) -> bool {
        let number = |value: &Self| match value {
            Self::Bool(truth) => Some(f64::from(u8::from(*truth))),
            value => value.as_f64(),
        };
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as_python(b))
            }
            (Self::Table(a), Self::Table(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.same_as_python(b)))
            }
            (a, b) => match (number(a), number(b)) {
                #[expect(clippy::float_cmp, reason = "exactly equal is what Python asks")]
                (Some(a), Some(b)) => a == b,
                (None, None) => a == b,
                _ => false,
            },
        }
    }

    /// Names the type for messages: `null`, `bool`, `int`, `float`, `text`, `date`, `list`, `map`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "text",
            Self::Date(_) => "date",
            Self::List(_) => "list",
            Self::Table(_) => "map",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

/// The way to a value inside a file: `train.layers.0`. Parts hold no dots; the empty path is the whole file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// Returns the path of the whole file.
    pub fn root() -> Self {
        Self::default()
    }

    /// Splits dotted text. Empty text is the whole file.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            Self::root()
        } else {
            Self(text.split('.').map(str::to_owned).collect())
        }
    }

    /// Makes a path of parts that are taken as they are.
    pub fn from_parts(parts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(parts.into_iter().map(Into::into).collect())
    }

    /// Returns the parts from the outside in.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// Returns whether this is the whole file.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns this path with `part` behind it.
    #[must_use]
    pub fn child(&self, part: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(part.to_owned());
        Self(parts)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl FromStr for KeyPath {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_as_python_tells_them() {
        assert!(Value::Int(1).same_as_python(&Value::Float(1.0)));
        assert!(Value::Int(1).same_as_python(&Value::Bool(true)));
        assert!(!Value::Float(f64::NAN).same_as_python(&Value::Float(f64::NAN)));
        assert!(!Value::Text("1".into()).same_as_python(&Value::Int(1)));
        let map = |pairs: &[(&str, i64)]| {
            Value::Table(
                pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect(),
            )
        };
        assert!(map(&[("a", 1), ("b", 2)]).same_as_python(&map(&[("b", 2), ("a", 1)])));
    }

    #[test]
    fn paths_reach_into_maps_and_lists() {
        let value = Value::Table(Table::from([(
            "layers".to_owned(),
            Value::List(vec![Value::Int(4), Value::Int(8)]),
        )]));
        assert_eq!(value.get(&KeyPath::parse("layers.1")), Some(&Value::Int(8)));
        assert_eq!(value.get(&KeyPath::parse("layers.2")), None);
        assert_eq!(value.get(&KeyPath::root()), Some(&value));
    }
}
