//! A condition on rows of a table, as a person writes it: `lr >= 0.01 and (acc > 0.9 or name ~ ^bold)`.
//!
//! ```text
//! condition:   all { "or" all }
//! all:         one { "and" one }
//! one:         "not" one | "(" condition ")" | column [ operator operand ]
//! operator:    = == != < <= > >= ~ !~
//! operand:     number, true, false, null, 'text', "text", column, word
//! ```
//!
//! A column is a word such as `lr`, `train.lr` or `params.yaml:train.lr`, or anything between backticks. What stands
//! alone is asked whether it is there and not false. Numbers compare as numbers, text by its characters, false before
//! true; what is of different kinds is different and in no order. A row that lacks the value fulfils none of the
//! comparisons but `!=` and `!~`, which are the opposites of `=` and `~`; `= null` finds such rows. Behind `~` stands a
//! regular expression that is searched for anywhere in the value's text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use regex::Regex;

use crate::json::{KeyOrder, python_json};
use crate::value::Value;

mod lex;
mod parse;

/// A condition, understood but not yet asked of any row.
#[derive(Debug, Clone)]
pub struct Filter {
    columns: Vec<FilterColumn>,
    expr: Expr,
}

/// A column that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterColumn {
    /// The name as it was written, without backticks.
    pub name: String,
    /// Which bytes of the text it is.
    pub span: Range<usize>,
    /// Whether it is text when there is no such column, as `adam` in `optimizer = adam`.
    pub may_be_text: bool,
}

/// What a row has in a column.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterValue<'v> {
    /// A value.
    Value(Cow<'v, Value>),
    /// Nothing.
    Missing,
    /// There is no such column, so that its name is text.
    NoColumn,
}

/// A condition that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct FilterError {
    /// What is wrong.
    pub fault: FilterFault,
    /// Which bytes of the text are meant; empty behind the last one when something is missing there.
    pub span: Range<usize>,
}

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterFault {
    /// Something else should stand there.
    Expected(&'static str),
    /// A quote or a backtick has no end.
    Unclosed(char),
    /// A parenthesis has no other half.
    Parenthesis,
    /// A character that means nothing here.
    Character(char),
    /// What stands behind `~` is no regular expression, and why.
    Pattern(String),
    /// Parentheses or `not` are nested too deeply.
    TooDeep,
}

impl fmt::Display for FilterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(what) => write!(f, "{what} expected"),
            Self::Unclosed(quote) => write!(f, "{quote} is not closed"),
            Self::Parenthesis => f.write_str("a parenthesis has no other half"),
            Self::Character(c) => write!(f, "`{c}` means nothing here"),
            Self::Pattern(why) => write!(f, "this is no regular expression: {why}"),
            Self::TooDeep => f.write_str("the condition is nested too deeply"),
        }
    }
}

#[derive(Debug, Clone)]
enum Expr {
    Or(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    /// The value of the column is there, and not false.
    Holds(usize),
    Compare(usize, Operator, Operand),
    Matches(usize, Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
enum Operand {
    Literal(Value),
    Column(usize),
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        parse::parse(text)
    }
}

impl Filter {
    /// Returns the columns in the order in which they are written; one that is written twice is there twice.
    pub fn columns(&self) -> &[FilterColumn] {
        &self.columns
    }

    /// Returns whether a row fulfils the condition. `value` is asked for what it has in a column, by its place in
    /// [`Filter::columns`].
    pub fn accepts<'v>(&self, value: &dyn Fn(usize) -> FilterValue<'v>) -> bool {
        self.holds(&self.expr, value)
    }

    fn holds<'v>(&self, expr: &Expr, value: &dyn Fn(usize) -> FilterValue<'v>) -> bool {
        match expr {
            Expr::Or(a, b) => self.holds(a, value) || self.holds(b, value),
            Expr::And(a, b) => self.holds(a, value) && self.holds(b, value),
            Expr::Not(inner) => !self.holds(inner, value),
            Expr::Holds(column) => {
                self.get(*column, value).is_some_and(|found| *found != Value::Bool(false))
            }
            Expr::Matches(column, pattern) => {
                self.get(*column, value).is_some_and(|found| pattern.is_match(&text(&found)))
            }
            Expr::Compare(column, operator, operand) => {
                let other = match operand {
                    Operand::Literal(Value::Null) => None,
                    Operand::Literal(literal) => Some(Cow::Borrowed(literal)),
                    Operand::Column(other) => self.get(*other, value),
                };
                match (self.get(*column, value), other) {
                    (Some(a), Some(b)) => operator.holds(&a, &b),
                    (None, None) => *operator == Operator::Equal,
                    _ => false,
                }
            }
        }
    }

    /// Returns what a row has in a column; null is nothing.
    fn get<'v>(
        &self,
        column: usize,
        value: &dyn Fn(usize) -> FilterValue<'v>,
    ) -> Option<Cow<'v, Value>> {
        match value(column) {
            FilterValue::Value(found) => Some(found).filter(|found| **found != Value::Null),
            FilterValue::Missing => None,
            FilterValue::NoColumn => {
                let name = self.columns.get(column).map_or("", |column| column.name.as_str());
                Some(Cow::Owned(Value::from(name)))
            }
        }
    }
}

impl Operator {
    fn holds(self, a: &Value, b: &Value) -> bool {
        let order = compare(a, b);
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

/// Compares two values; `None` when they are in no order, as NaN and everything.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Text(_) | Value::Date(_), Value::Text(_) | Value::Date(_)) => {
            Some(text(a).cmp(&text(b)))
        }
        // A list is equal to its text, `[1, 2]`.
        (Value::List(_) | Value::Table(_), Value::Text(b)) => {
            (text(a) == b.as_str()).then_some(Ordering::Equal)
        }
        (Value::List(_) | Value::Table(_), Value::List(_) | Value::Table(_)) => {
            a.same_as_python(b).then_some(Ordering::Equal)
        }
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Returns the text that a pattern is searched in: of lists and maps the JSON, of everything else what a file would say.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) | Value::Date(text) => Cow::Borrowed(text),
        value => Cow::Owned(python_json(value, KeyOrder::AsIs)),
    }
}

#[cfg(test)]
mod tests;
