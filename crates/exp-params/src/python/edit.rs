//! Splices for Python.

use exp_core::{KeyPath, Value, python_float};

use super::{Entry, Kind, Literal as Node, Scope, Sequence, scope};
use crate::apply::{Obstacle, Splice};
use crate::number::quote_with;
use crate::overrides::Literal;
use crate::plan::{Step, identical};
use crate::text::{Bracketed, indent, line_behind, newline, whole_lines};

pub(crate) fn splice(text: &str, step: &Step) -> Result<Splice, Obstacle> {
    let root = scope(text).map_err(|_| Obstacle::Layout)?;
    match step {
        Step::Replace { path, literal } => {
            let Found::Node(node) = find(&root, path.parts())? else {
                return Err(Obstacle::Layout);
            };
            let old = &text[node.span.clone()];
            let quote = if old.starts_with('"') && !old.starts_with("\"\"\"") { '"' } else { '\'' };
            let style = match node.kind {
                Kind::Sequence(style, _) => style,
                _ => Sequence::List,
            };
            let has_quotes = old.starts_with(['"', '\'']);
            let quote = if has_quotes { quote } else { usual_quote(text) };
            let new = write(literal, &KeyPath::root(), &literal.value, quote, style)?;
            Ok(Splice::new(node.span.clone(), new))
        }
        Step::Insert { parent, key, literal } => insert(text, &root, parent, key, literal),
        Step::Remove { path } => remove(text, &root, path),
    }
}

enum Found<'n> {
    Scope(&'n Scope),
    Node(&'n Node),
}

fn find<'n>(root: &'n Scope, parts: &[String]) -> Result<Found<'n>, Obstacle> {
    parts.iter().try_fold(Found::Scope(root), |found, part| {
        let node = match found {
            Found::Scope(scope) => match scope.entries.iter().rfind(|(name, _)| name == part) {
                Some((_, Entry::Class(scope))) => return Ok(Found::Scope(scope)),
                Some((_, Entry::Assign { literal, .. })) => Some(literal),
                None => None,
            },
            Found::Node(node) => match &node.kind {
                Kind::Dict(members) => {
                    members.iter().rfind(|member| member.key == *part).map(|member| &member.literal)
                }
                Kind::Sequence(_, items) => {
                    part.parse::<usize>().ok().and_then(|index| items.get(index))
                }
                Kind::Scalar(_) => None,
            },
        };
        node.map(Found::Node).ok_or(Obstacle::Layout)
    })
}

fn bracketed(node: &Node) -> Result<Bracketed, Obstacle> {
    let Kind::Dict(members) = &node.kind else {
        return Err(Obstacle::Layout);
    };
    Ok(Bracketed {
        span: node.span.clone(),
        members: members
            .iter()
            .map(|member| member.key_span.start..member.literal.span.end)
            .collect(),
    })
}

fn insert(
    text: &str,
    root: &Scope,
    parent: &KeyPath,
    key: &str,
    literal: &Literal,
) -> Result<Splice, Obstacle> {
    let quote = usual_quote(text);
    let value = write(literal, &KeyPath::root(), &literal.value, quote, Sequence::List)?;
    match find(root, parent.parts())? {
        Found::Node(node) => {
            let member = format!("{}: {value}", quote_with(key, quote));
            let (range, new) = bracketed(node)?.push(text, &member);
            Ok(Splice::new(range, new))
        }
        Found::Scope(scope) => {
            let is_name = key.chars().all(|c| c.is_alphanumeric() || c == '_')
                && key.chars().next().is_some_and(|c| !c.is_numeric());
            if !is_name {
                return Err(Obstacle::NoSpelling);
            }
            let (behind, prefix) = match (&scope.last_name, &scope.last_self) {
                (Some(last), _) => (Some(last), ""),
                (None, Some(last)) => (Some(last), "self."),
                (None, None) => (scope.last.as_ref(), ""),
            };
            let Some(behind) = behind else {
                let (at, mut line) = line_behind(text, text.len(), &format!("{key} = {value}"));
                if !line.ends_with('\n') {
                    line.push_str(newline(text));
                }
                return Ok(Splice::insert(at, line));
            };
            let line = format!("{}{prefix}{key} = {value}", indent(text, behind.start));
            let (at, line) = line_behind(text, behind.end, &line);
            Ok(Splice::insert(at, line))
        }
    }
}

fn remove(text: &str, root: &Scope, path: &KeyPath) -> Result<Splice, Obstacle> {
    let (key, parent) = path.parts().split_last().ok_or(Obstacle::Layout)?;
    match find(root, parent)? {
        Found::Node(node) => {
            let Kind::Dict(members) = &node.kind else {
                return Err(Obstacle::Layout);
            };
            let at = members.iter().rposition(|member| member.key == *key);
            Ok(Splice::new(bracketed(node)?.remove(text, at.ok_or(Obstacle::Layout)?), ""))
        }
        Found::Scope(scope) => {
            let entry = scope.entries.iter().rfind(|(name, _)| name == key);
            let Some((_, Entry::Assign { statement, .. })) = entry else {
                return Err(Obstacle::Layout);
            };
            if scope.n_statements == 1 && !parent.is_empty() {
                // The body of a class has at least one statement.
                return Ok(Splice::new(statement.clone(), "pass"));
            }
            let lines = whole_lines(text, statement).ok_or(Obstacle::Layout)?;
            Ok(Splice::new(lines, ""))
        }
    }
}

/// Returns the quote that the file's text has more often.
fn usual_quote(text: &str) -> char {
    if text.matches('"').count() > text.matches('\'').count() { '"' } else { '\'' }
}

fn write(
    literal: &Literal,
    place: &KeyPath,
    value: &Value,
    quote: char,
    style: Sequence,
) -> Result<String, Obstacle> {
    Ok(match value {
        Value::Int(_) | Value::Float(_) => {
            let typed = literal.spelling(place).filter(|typed| {
                super::parse(&format!("x = {typed}"))
                    .is_ok_and(|read| read.child("x").is_some_and(|read| identical(read, value)))
            });
            match (typed, value) {
                (Some(typed), _) => typed.to_owned(),
                (None, Value::Float(number)) if !number.is_finite() => {
                    return if number.is_infinite() {
                        // A literal too large for a float is how Python writes infinity.
                        Ok(if *number > 0.0 { "1e999" } else { "-1e999" }.to_owned())
                    } else {
                        Err(Obstacle::NoSpelling)
                    };
                }
                (None, Value::Float(number)) => python_float(*number),
                (None, value) => crate::number::python_str(value),
            }
        }
        Value::Null | Value::Bool(_) => crate::number::python_str(value),
        Value::Text(text) => quote_with(text, quote),
        Value::List(items) => {
            let items: Vec<String> = items
                .iter()
                .enumerate()
                .map(|(at, item)| {
                    write(literal, &place.child(&at.to_string()), item, quote, Sequence::List)
                })
                .collect::<Result<_, _>>()?;
            let joined = items.join(", ");
            let tail = if items.len() == 1 { "," } else { "" };
            match style {
                Sequence::List => format!("[{joined}]"),
                Sequence::Tuple => format!("({joined}{tail})"),
                Sequence::BareTuple if !items.is_empty() => format!("{joined}{tail}"),
                Sequence::BareTuple => "()".to_owned(),
                Sequence::Set if !items.is_empty() => format!("{{{joined}}}"),
                Sequence::Set => return Err(Obstacle::NoSpelling),
            }
        }
        Value::Table(table) => {
            let members: Vec<String> = table
                .iter()
                .map(|(key, item)| {
                    let item = write(literal, &place.child(key), item, quote, Sequence::List)?;
                    Ok(format!("{}: {item}", quote_with(key, quote)))
                })
                .collect::<Result<_, Obstacle>>()?;
            format!("{{{}}}", members.join(", "))
        }
        _ => return Err(Obstacle::NoSpelling),
    })
}
