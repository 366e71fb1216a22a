//! Interpolations: `${a.b}` is the value at `a.b`, `${.b}` and `${..b}` that of a neighbor one or more levels up. Within
//! other text it is the value's text; a key may itself be made of interpolations, `${a.${b}}`.

use exp_core::{Table, Value};

use super::{ComposeError, MISSING};
use crate::number::python_str;

/// Interpolations may lead to each other so often.
const MAX_DEPTH: usize = 64;

/// Returns the value with every interpolation replaced.
pub(super) fn resolve(root: &Value) -> Result<Value, ComposeError> {
    let mut resolver = Resolver { root, depth: 0 };
    resolver.value(root, &[])
}

struct Resolver<'r> {
    root: &'r Value,
    depth: usize,
}

impl Resolver<'_> {
    fn value(&mut self, value: &Value, path: &[String]) -> Result<Value, ComposeError> {
        let below = |part: String| [path, &[part]].concat();
        Ok(match value {
            Value::Text(text) if text.contains("${") => self.text(text, path)?,
            Value::List(items) => Value::List(
                (items.iter().enumerate())
                    .map(|(at, item)| self.value(item, &below(at.to_string())))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Table(table) => Value::Table(
                (table.iter())
                    .map(|(key, value)| Ok((key.clone(), self.value(value, &below(key.clone()))?)))
                    .collect::<Result<Table, ComposeError>>()?,
            ),
            value => value.clone(),
        })
    }

    /// Returns what a text with interpolations is: of one alone the value itself.
    fn text(&mut self, text: &str, path: &[String]) -> Result<Value, ComposeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ComposeError::TooDeep { config: path.join(".") });
        }
        let wrong = |message: &str| ComposeError::Interpolation {
            key: path.join("."),
            text: text.to_owned(),
            message: message.to_owned(),
        };
        let mut parts: Vec<Value> = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let before = &rest[..at];
            let n_slashes = before.len() - before.trim_end_matches('\\').len();
            if n_slashes % 2 == 1 {
                // An escaped one is text.
                plain.push_str(&before[..before.len() - 1]);
                plain.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            plain.push_str(before);
            let end = end(&rest[at..]).ok_or_else(|| wrong("a closing brace is missing"))?;
            let inner = &rest[at + 2..at + end];
            rest = &rest[at + end + 1..];
            if !plain.is_empty() {
                parts.push(Value::Text(std::mem::take(&mut plain)));
            }
            parts.push(self.interpolation(inner, text, path)?);
        }
        self.depth -= 1;
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Value::Text(plain));
        }
        if parts.iter().any(|part| part.as_text() == Some(MISSING)) {
            // What is made of a value that has yet to be given has yet to be given.
            return Ok(Value::from(MISSING));
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        Ok(Value::Text(parts.iter().map(python_str).collect()))
    }

    /// Returns the value that stands between `${` and `}`.
    fn interpolation(
        &mut self,
        inner: &str,
        text: &str,
        path: &[String],
    ) -> Result<Value, ComposeError> {
        let fail = |message: String| ComposeError::Interpolation {
            key: path.join("."),
            text: text.to_owned(),
            message,
        };
        if let Some((resolver, _)) = inner.split_once(':')
            && !resolver.contains("${")
        {
            return Err(ComposeError::Resolver {
                key: path.join("."),
                text: text.to_owned(),
                resolver: resolver.trim().to_owned(),
            });
        }
        let key = if inner.contains("${") {
            match self.text(inner, path)? {
                Value::Text(key) => key,
                value => python_str(&value),
            }
        } else {
            inner.to_owned()
        };
        let key = key.trim();
        let n_dots = key.len() - key.trim_start_matches('.').len();
        let mut target: Vec<String> = if n_dots == 0 {
            Vec::new()
        } else {
            let above = path.len().checked_sub(n_dots);
            let above = above.ok_or_else(|| fail(format!("there is nothing above `{key}`")))?;
            path[..above].to_vec()
        };
        // `a[0].b` is another way to write `a.0.b`.
        let dotted = key[n_dots..].replace(['[', ']'], ".");
        let parts = dotted.split('.').filter(|part| !part.is_empty());
        target.extend(parts.map(str::to_owned));
        if target.is_empty() {
            return Err(fail("a key is expected".to_owned()));
        }
        let mut value = self.root.clone();
        for (at, part) in target.iter().enumerate() {
            // The way may lead through a value that is an interpolation itself.
            if let Value::Text(text) = &value
                && text.contains("${")
            {
                value = self.text(&text.clone(), &target[..at])?;
            }
            value = value
                .child(part)
                .cloned()
                .ok_or_else(|| fail(format!("there is no `{}`", target[..=at].join("."))))?;
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ComposeError::TooDeep { config: path.join(".") });
        }
        let value = self.value(&value, &target)?;
        self.depth -= 1;
        Ok(value)
    }
}

/// Returns where the brace is that closes the interpolation with which the text begins.
fn end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' || depth > 0 => depth += 1,
            '}' if depth == 1 => return Some(at),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
    }
    None
}
