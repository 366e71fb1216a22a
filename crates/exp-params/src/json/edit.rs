//! Splices for JSON.

use std::fmt::Write as _;

use exp_core::{KeyPath, Value, python_float};

use super::{Kind, Member, Node, parse};
use crate::apply::{Obstacle, Splice};
use crate::overrides::Literal;
use crate::plan::Step;
use crate::text::{Bracketed, indent, indent_unit, newline};

pub(crate) fn splice(text: &str, step: &Step) -> Result<Splice, Obstacle> {
    let root = parse(text).map_err(|_| Obstacle::Layout)?;
    match step {
        Step::Replace { path, literal } => {
            let node = find(&root, path.parts()).ok_or(Obstacle::Layout)?;
            let old = &text[node.span.clone()];
            let break_lines = old.contains('\n').then(|| indent(text, node.span.start));
            let new = write(text, literal, &KeyPath::root(), &literal.value, break_lines)?;
            Ok(Splice::new(node.span.clone(), new))
        }
        Step::Insert { parent, key, literal } => insert(text, &root, parent, key, literal),
        Step::Remove { path } => {
            let (key, parent) = path.parts().split_last().ok_or(Obstacle::Layout)?;
            let parent = find(&root, parent).ok_or(Obstacle::Layout)?;
            let Kind::Map(members) = &parent.kind else {
                return Err(Obstacle::Layout);
            };
            let at = members.iter().rposition(|member| member.key == *key);
            let at = at.ok_or(Obstacle::Layout)?;
            Ok(Splice::new(bracketed(parent, members).remove(text, at), ""))
        }
    }
}

fn find<'n>(root: &'n Node, parts: &[String]) -> Option<&'n Node> {
    parts.iter().try_fold(root, |node, part| match &node.kind {
        Kind::Map(members) => {
            members.iter().rfind(|member| member.key == *part).map(|member| &member.node)
        }
        Kind::List(items) => items.get(part.parse::<usize>().ok()?),
        Kind::Scalar(_) => None,
    })
}

fn bracketed(node: &Node, members: &[Member]) -> Bracketed {
    Bracketed {
        span: node.span.clone(),
        members: members.iter().map(|member| member.key_span.start..member.node.span.end).collect(),
    }
}

fn insert(
    text: &str,
    root: &Node,
    parent: &KeyPath,
    key: &str,
    literal: &Literal,
) -> Result<Splice, Obstacle> {
    let node = find(root, parent.parts()).ok_or(Obstacle::Layout)?;
    let Kind::Map(members) = &node.kind else {
        // A document such as `[]`, which counts as the empty map.
        let whole = literal.clone().inside(key);
        let new = write(text, &whole, &KeyPath::root(), &whole.value, None)?;
        return Ok(Splice::new(node.span.clone(), new));
    };
    let colon = members.last().map_or(": ", |last| {
        text[last.key_span.end..last.node.span.start].trim_matches(['\n', '\r'])
    });
    let value = write(text, literal, &KeyPath::root(), &literal.value, None)?;
    let member = format!("{}{colon}{value}", quote(key));
    if members.is_empty() && text.contains('\n') && text[node.span.clone()].len() <= 2 {
        let outer = indent(text, node.span.start);
        let (newline, unit) = (newline(text), indent_unit(text));
        let body = format!("{newline}{outer}{unit}{member}{newline}{outer}");
        if text.trim_end() != "{}" {
            return Ok(Splice::new(node.span.start + 1..node.span.end - 1, body));
        }
    }
    let (range, mut new) = bracketed(node, members).push(text, &member);
    if text.contains(",\"") && !text.contains(", ") && new.starts_with(", ") {
        new.remove(1);
    }
    Ok(Splice::new(range, new))
}

/// Writes a value; on several lines, indented, if `break_lines` gives the indentation of the first.
fn write(
    text: &str,
    literal: &Literal,
    place: &KeyPath,
    value: &Value,
    break_lines: Option<&str>,
) -> Result<String, Obstacle> {
    let inner = break_lines.map(|outer| format!("{outer}{}", indent_unit(text)));
    let list = |open: char, items: Vec<String>, close: char| match (&inner, break_lines) {
        (Some(inner), Some(outer)) if !items.is_empty() => {
            let newline = newline(text);
            let body = items.join(&format!(",{newline}{inner}"));
            format!("{open}{newline}{inner}{body}{newline}{outer}{close}")
        }
        _ => format!("{open}{}{close}", items.join(", ")),
    };
    Ok(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(_) | Value::Float(_) => {
            let typed = literal.spelling(place).filter(|typed| {
                parse(typed).is_ok_and(|node| crate::plan::identical(&node.to_value(), value))
            });
            match (typed, value) {
                (Some(typed), _) => typed.to_owned(),
                (None, Value::Float(number)) if number.is_nan() => "NaN".to_owned(),
                (None, Value::Float(number)) if number.is_infinite() => {
                    if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
                }
                (None, Value::Float(number)) => python_float(*number),
                (None, value) => crate::number::python_str(value),
            }
        }
        Value::Text(text) => quote(text),
        Value::List(items) => {
            let items = items
                .iter()
                .enumerate()
                .map(|(at, item)| {
                    let place = place.child(&at.to_string());
                    write(text, literal, &place, item, inner.as_deref())
                })
                .collect::<Result<_, _>>()?;
            list('[', items, ']')
        }
        Value::Table(table) => {
            let members = table
                .iter()
                .map(|(key, item)| {
                    let item = write(text, literal, &place.child(key), item, inner.as_deref())?;
                    Ok(format!("{}: {item}", quote(key)))
                })
                .collect::<Result<_, _>>()?;
            list('{', members, '}')
        }
        _ => return Err(Obstacle::NoSpelling),
    })
}

/// Quotes text; only what JSON does not allow raw is escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                // Writing into text cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
