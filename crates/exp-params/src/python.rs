//! The literal assignments of a Python file, with the place of every value.
//!
//! What counts is what DVC's reader finds: `name = literal` and `name: type = literal` in the module and in class
//! bodies, and `self.name = literal` there and in `__init__`. A class is a map. Whatever is no literal is left out.

use std::ops::Range;

use exp_core::{Table, Value};
use ruff_python_ast::{Expr, Number, Stmt, UnaryOp};
use ruff_text_size::Ranged;

use crate::format::{Format, ParseError};

pub(crate) mod edit;
mod guard;

/// A module or the body of a class.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// In the order of the file; of several with one name the last one counts.
    pub(crate) entries: Vec<(String, Entry)>,
    /// The last statement that assigns a plain name, or nothing.
    pub(crate) last_name: Option<Range<usize>>,
    /// The last statement that assigns to `self`, or nothing.
    pub(crate) last_self: Option<Range<usize>>,
    /// The last statement of the body.
    pub(crate) last: Option<Range<usize>>,
    /// How many statements the body has.
    pub(crate) n_statements: usize,
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) enum Entry {
    Class(Scope),
    Assign { statement: Range<usize>, literal: Literal },
}

/// A literal and the bytes that it is written with.
#[derive(Debug)]
pub(crate) struct Literal {
    pub(crate) span: Range<usize>,
    pub(crate) kind: Kind,
}

/// What a [`Literal`] is.
#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(Value),
    Sequence(Sequence, Vec<Literal>),
    Dict(Vec<Member>),
}

/// How a sequence is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sequence {
    List,
    Tuple,
    BareTuple,
    Set,
}

/// A member of a dict.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) literal: Literal,
}

/// Reads the values of a Python file.
pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    Ok(scope(text)?.to_value())
}

/// Reads a Python file with the place of every value.
pub(crate) fn scope(text: &str) -> Result<Scope, ParseError> {
    guard::check(text)?;
    let parsed = ruff_python_parser::parse_module(text).map_err(|err| {
        let message = err.error.to_string();
        let mut letters = message.chars();
        let message = letters
            .next()
            .map_or(String::new(), |first| first.to_lowercase().chain(letters).collect());
        ParseError::at(Format::Python, text, err.location.start().to_usize(), message)
    })?;
    let mut scope = Scope::default();
    scope.read(text, &parsed.syntax().body, false);
    Ok(scope)
}

impl Scope {
    fn read(&mut self, text: &str, body: &[Stmt], only_self: bool) {
        for statement in body {
            let span = statement.range().to_std_range();
            match statement {
                Stmt::Assign(assign) => {
                    if let [target] = assign.targets.as_slice() {
                        self.assign(text, span, target, &assign.value, only_self);
                    }
                }
                Stmt::AnnAssign(assign) => {
                    if let Some(value) = &assign.value {
                        self.assign(text, span, &assign.target, value, only_self);
                    }
                }
                Stmt::ClassDef(class) => {
                    let mut inner = Self::default();
                    inner.read(text, &class.body, false);
                    self.entries.push((class.name.to_string(), Entry::Class(inner)));
                }
                Stmt::FunctionDef(function)
                    if function.name.as_str() == "__init__" && !function.is_async =>
                {
                    self.read(text, &function.body, true);
                }
                _ => {}
            }
            if !only_self {
                self.last = Some(statement.range().to_std_range());
                self.n_statements += 1;
            }
        }
    }

    fn assign(
        &mut self,
        text: &str,
        statement: Range<usize>,
        target: &Expr,
        value: &Expr,
        only_self: bool,
    ) {
        let (name, last) = match target {
            Expr::Name(name) if !only_self => (name.id.to_string(), &mut self.last_name),
            Expr::Attribute(attribute) if matches!(&*attribute.value, Expr::Name(owner) if owner.id.as_str() == "self") => {
                (attribute.attr.to_string(), &mut self.last_self)
            }
            _ => return,
        };
        if let Some(literal) = literal(text, value) {
            *last = Some(statement.clone());
            self.entries.push((name, Entry::Assign { statement, literal }));
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut table = Table::new();
        for (name, entry) in &self.entries {
            let value = match entry {
                Entry::Class(scope) => scope.to_value(),
                Entry::Assign { literal, .. } => literal.to_value(),
            };
            table.insert(name.clone(), value);
        }
        Value::Table(table)
    }
}

impl Literal {
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Sequence(_, items) => Value::List(items.iter().map(Self::to_value).collect()),
            Kind::Dict(members) => {
                let mut table = Table::with_capacity(members.len());
                for member in members {
                    table.insert(member.key.clone(), member.literal.to_value());
                }
                Value::Table(table)
            }
        }
    }
}

/// Returns the value of an expression that Python's `ast.literal_eval` takes; bytes and complex numbers are not ours.
fn literal(text: &str, expr: &Expr) -> Option<Literal> {
    let items = |items: &[Expr]| -> Option<Vec<_>> {
        items.iter().map(|item| literal(text, item)).collect()
    };
    let kind = match expr {
        Expr::List(list) => Kind::Sequence(Sequence::List, items(&list.elts)?),
        Expr::Set(set) => Kind::Sequence(Sequence::Set, items(&set.elts)?),
        Expr::Tuple(tuple) => {
            let style = if tuple.parenthesized { Sequence::Tuple } else { Sequence::BareTuple };
            Kind::Sequence(style, items(&tuple.elts)?)
        }
        Expr::Dict(dict) => Kind::Dict(
            dict.items
                .iter()
                .map(|item| {
                    let key = item.key.as_ref()?;
                    let key_span = key.range().to_std_range();
                    let key = match literal(text, key)?.kind {
                        Kind::Scalar(Value::Text(key)) => key,
                        Kind::Scalar(_) => text[key_span.clone()].to_owned(),
                        _ => return None,
                    };
                    Some(Member { key, key_span, literal: literal(text, &item.value)? })
                })
                .collect::<Option<_>>()?,
        ),
        expr => Kind::Scalar(scalar(text, expr)?),
    };
    Some(Literal { span: expr.range().to_std_range(), kind })
}

fn scalar(text: &str, expr: &Expr) -> Option<Value> {
    match expr {
        Expr::NoneLiteral(_) => Some(Value::Null),
        Expr::BooleanLiteral(literal) => Some(Value::Bool(literal.value)),
        Expr::StringLiteral(literal) => Some(Value::Text(literal.value.to_str().to_owned())),
        Expr::NumberLiteral(literal) => match &literal.value {
            Number::Int(number) => whole(number.as_u64(), &text[literal.range().to_std_range()]),
            Number::Float(number) => Some(Value::Float(*number)),
            Number::Complex { .. } => None,
        },
        Expr::UnaryOp(unary) if matches!(&*unary.operand, Expr::NumberLiteral(_)) => {
            match (unary.op, scalar(text, &unary.operand)?) {
                (UnaryOp::UAdd, number) => Some(number),
                (UnaryOp::USub, Value::Int(number)) => number.checked_neg().map(Value::Int),
                (UnaryOp::USub, Value::Float(number)) => Some(Value::Float(-number)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns a whole number that the parser knows, or one too large for it from its text.
fn whole(small: Option<u64>, written: &str) -> Option<Value> {
    if let Some(number) = small {
        return Some(Value::Int(number.into()));
    }
    let digits: String = written.chars().filter(|c| *c != '_').collect();
    let (digits, radix) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some("0b") => (&digits[2..], 2),
        _ => (digits.as_str(), 10),
    };
    i128::from_str_radix(digits, radix).ok().map(Value::Int)
}
