//! Splices for YAML.

use std::ops::Range;

use exp_core::{KeyPath, Value, YamlEntry, YamlKind, YamlNode, YamlStyle, parse_yaml_spanned};

use super::write::Writer;
use crate::apply::{Obstacle, Splice};
use crate::overrides::Literal;
use crate::plan::{Step, identical};
use crate::text::{
    Bracketed, indent, indent_unit, line_behind, line_end, line_start, newline, next_line,
};

pub(crate) fn splice(text: &str, step: &Step) -> Result<Splice, Obstacle> {
    let root = parse_yaml_spanned(text).map_err(|_| Obstacle::Layout)?;
    let document = Document { text, root: &root };
    match step {
        Step::Replace { path, literal } => document.replace(path, literal),
        Step::Insert { parent, key, literal } => {
            let place = document.find(parent)?;
            document.insert(&place, key, literal)
        }
        Step::Remove { path } => document.remove(path),
    }
}

struct Document<'d> {
    text: &'d str,
    root: &'d YamlNode,
}

/// A value in a document.
struct Place<'d> {
    node: &'d YamlNode,
    /// Whether the value is between brackets.
    in_flow: bool,
}

impl<'d> Document<'d> {
    /// Finds what is written for `path` itself, not through aliases and merge keys.
    fn find(&self, path: &KeyPath) -> Result<Place<'d>, Obstacle> {
        let mut place = Place { node: self.root, in_flow: false };
        for part in path.parts() {
            place.in_flow |= place.node.style == YamlStyle::Flow;
            place.node = match &place.node.kind {
                YamlKind::Map(entries) => entry(entries, part).map(|entry| &entry.value),
                YamlKind::List(items) => {
                    part.parse::<usize>().ok().and_then(|index| items.get(index))
                }
                YamlKind::Alias(_) => None,
                YamlKind::Scalar(_) => return Err(Obstacle::Layout),
            }
            .ok_or(Obstacle::Shared)?;
        }
        Ok(place)
    }

    fn replace(&self, path: &KeyPath, literal: &Literal) -> Result<Splice, Obstacle> {
        let (key, parent_path) = path.parts().split_last().ok_or(Obstacle::Layout)?;
        let parent = self.find(&KeyPath::from_parts(parent_path))?;
        if let YamlKind::Map(entries) = &parent.node.kind
            && entry(entries, key).is_none()
        {
            // Only a merge key supplies it: the map gets a value of its own.
            return self.insert(&parent, key, literal);
        }
        let place = self.find(path)?;
        let node = place.node;
        let span = node.span.start..node.span.end;
        let writer = Writer { literal, in_flow: place.in_flow };
        if node.style == YamlStyle::Block {
            return self.replace_block(&parent, key, node, &writer);
        }
        if span.is_empty() {
            return self.fill(&parent, node, &writer);
        }
        if matches!(node.style, YamlStyle::Literal | YamlStyle::Folded) {
            // The span may begin with the text instead of the header in front of it.
            let header = ['|', '>'];
            let start = if self.text[span.clone()].starts_with(header) {
                span.start
            } else {
                self.text[..span.start].rfind(header).ok_or(Obstacle::Layout)?
            };
            return Ok(Splice::new(start..span.end, writer.inline(None)?));
        }
        Ok(Splice::new(span, writer.inline(Some(node.style))?))
    }

    /// Writes a value where none is written.
    fn fill(
        &self,
        parent: &Place<'_>,
        node: &YamlNode,
        writer: &Writer<'_>,
    ) -> Result<Splice, Obstacle> {
        let at = node.span.start;
        let rest = self.text[at..line_end(self.text, at)].trim_start_matches([' ', '\t']);
        if let (Value::Table(table), YamlStyle::Block) = (&writer.literal.value, parent.node.style)
            && let YamlKind::Map(entries) = &parent.node.kind
            && !table.is_empty()
            && !writer.in_flow
            && (rest.is_empty() || rest.starts_with('#'))
        {
            let outer = self.column(entries)?;
            let (unit, newline) = (indent_unit(self.text), newline(self.text));
            let root = KeyPath::root();
            let lines = writer.block_members(table, &root, &outer, unit, newline)?;
            return Ok(Splice::insert(line_end(self.text, at), lines));
        }
        Ok(Splice::insert(at, format!(" {}", writer.inline(None)?)))
    }

    /// Replaces a list or map by indentation.
    fn replace_block(
        &self,
        parent: &Place<'_>,
        key: &str,
        node: &YamlNode,
        writer: &Writer<'_>,
    ) -> Result<Splice, Obstacle> {
        if let (YamlKind::List(old), Value::List(new)) = (&node.kind, &writer.literal.value)
            && !new.is_empty()
        {
            return self.replace_items(node, old, new, writer);
        }
        if node.anchored || node.tagged {
            return Err(if node.anchored { Obstacle::Shared } else { Obstacle::Layout });
        }
        let start = match &parent.node.kind {
            YamlKind::Map(entries) => {
                let entry = entry(entries, key).ok_or(Obstacle::Layout)?;
                let between = &self.text[entry.key.span.end..node.span.start];
                entry.key.span.end + between.find(':').ok_or(Obstacle::Layout)? + 1
            }
            // The value of an item begins behind its dash.
            YamlKind::List(_) => {
                return Ok(Splice::new(node.span.start..node.span.end, writer.inline(None)?));
            }
            _ => return Err(Obstacle::Layout),
        };
        let comment = &self.text[start..line_end(self.text, start)];
        let comment = if comment.trim_start().starts_with('#') { comment } else { "" };
        let value = writer.inline(None)?;
        Ok(Splice::new(start..node.span.end, format!(" {value}{comment}")))
    }

    /// Replaces the items that differ; those before and behind stay as they are written.
    fn replace_items(
        &self,
        node: &YamlNode,
        old: &[YamlNode],
        new: &[Value],
        writer: &Writer<'_>,
    ) -> Result<Splice, Obstacle> {
        let old_values: Vec<Value> = old
            .iter()
            .map(YamlNode::to_value)
            .collect::<Result<_, _>>()
            .map_err(|_| Obstacle::Layout)?;
        let same = |(a, b): &(&Value, &Value)| identical(a, b);
        let n_before = old_values.iter().zip(new).take_while(same).count();
        let n_behind = old_values[n_before..]
            .iter()
            .rev()
            .zip(new[n_before..].iter().rev())
            .take_while(same)
            .count();
        let column = &self.text[line_start(self.text, node.span.start)..node.span.start];
        let column: String = blank(column);
        let newline = newline(self.text);
        let write = |range: Range<usize>| {
            range.map(|at| writer.item(at, &new[at])).collect::<Result<Vec<_>, _>>()
        };
        let changed = n_before..old.len() - n_behind;
        let given = n_before..new.len() - n_behind;
        if changed.is_empty() {
            // Items are added.
            let items = write(given)?;
            let lines: Vec<String> = items.iter().map(|item| format!("{column}- {item}")).collect();
            let lines = lines.join(newline);
            return Ok(if let Some(before) = n_before.checked_sub(1) {
                let (at, lines) = line_behind(self.text, old[before].span.end, &lines);
                Splice::insert(at, lines)
            } else {
                let lines = lines.trim_start_matches([' ', '\t']);
                Splice::insert(node.span.start, format!("{lines}{newline}{column}"))
            });
        }
        if given.is_empty() {
            // Items are removed with their lines.
            let from = line_start(self.text, old[changed.start].span.start);
            let to = next_line(self.text, old[changed.end - 1].span.end);
            let dash = self.text[from..old[changed.start].span.start].trim_matches([' ', '\t']);
            return if dash == "-" { Ok(Splice::new(from..to, "")) } else { Err(Obstacle::Layout) };
        }
        let range = old[changed.start].span.start..old[changed.end - 1].span.end;
        let items = write(given)?.join(&format!("{newline}{column}- "));
        Ok(Splice::new(range, items))
    }

    fn insert(&self, place: &Place<'_>, key: &str, literal: &Literal) -> Result<Splice, Obstacle> {
        let node = place.node;
        let in_flow = place.in_flow || node.style == YamlStyle::Flow;
        let writer = Writer { literal, in_flow };
        let (unit, newline) = (indent_unit(self.text), newline(self.text));
        match &node.kind {
            YamlKind::Map(entries) if in_flow => {
                let last_quoted =
                    entries.last().is_some_and(|entry| entry.key.style == YamlStyle::DoubleQuoted);
                let name =
                    if last_quoted { crate::json::edit::quote(key) } else { writer.key(key) };
                let member = format!("{name}: {}", writer.inline(None)?);
                let (range, text) = Self::bracketed(node, entries).push(self.text, &member);
                Ok(Splice::new(range, text))
            }
            YamlKind::Map(entries) => {
                let last = entries.last().ok_or(Obstacle::Layout)?;
                let column = self.column(entries)?;
                let line = writer.block_member(key, &column, unit, newline)?;
                let (at, lines) = line_behind(self.text, last.value.span.end, &line);
                Ok(Splice::insert(at, lines))
            }
            YamlKind::Alias(_) => Err(Obstacle::Shared),
            // An empty document, or one that counts as empty.
            _ if std::ptr::eq(node, self.root) => {
                let line = writer.block_member(key, "", unit, newline)?;
                let span = node.span.start..node.span.end;
                if span.is_empty() {
                    let (at, mut lines) = line_behind(self.text, self.text.len(), &line);
                    if !lines.ends_with('\n') {
                        lines.push_str(newline);
                    }
                    return Ok(Splice::insert(at, lines));
                }
                Ok(Splice::new(span, line))
            }
            _ => Err(Obstacle::Layout),
        }
    }

    fn remove(&self, path: &KeyPath) -> Result<Splice, Obstacle> {
        let (key, parent_path) = path.parts().split_last().ok_or(Obstacle::Layout)?;
        let parent_path = KeyPath::from_parts(parent_path);
        let parent = self.find(&parent_path)?;
        let YamlKind::Map(entries) = &parent.node.kind else {
            return Err(Obstacle::Layout);
        };
        let at = entries
            .iter()
            .rposition(|entry| !entry.is_merge && entry.name == *key)
            .ok_or(Obstacle::Shared)?;
        if parent.node.style == YamlStyle::Flow {
            return Ok(Splice::new(
                Self::bracketed(parent.node, entries).remove(self.text, at),
                "",
            ));
        }
        if entries.len() == 1 {
            let empty = Literal::from(Value::table());
            if parent_path.is_root() {
                let span = parent.node.span;
                let from = line_start(self.text, span.start);
                return Ok(Splice::new(from..span.end, "{}"));
            }
            return self.replace(&parent_path, &empty);
        }
        let entry = &entries[at];
        let from = line_start(self.text, entry.key.span.start);
        let prefix = self.text[from..entry.key.span.start].trim_matches([' ', '\t']);
        if prefix.is_empty() || prefix == "?" {
            return Ok(Splice::new(from..next_line(self.text, entry.value.span.end), ""));
        }
        // Behind the dash of an item: the next key moves up.
        match entries.get(at + 1) {
            Some(next) if prefix.chars().all(|c| matches!(c, '-' | ' ')) => {
                Ok(Splice::new(entry.key.span.start..next.key.span.start, ""))
            }
            _ => Err(Obstacle::Layout),
        }
    }

    fn bracketed(node: &YamlNode, entries: &[YamlEntry]) -> Bracketed {
        Bracketed {
            span: node.span.start..node.span.end,
            members: entries
                .iter()
                .map(|entry| entry.key.span.start..entry.value.span.end)
                .collect(),
        }
    }

    /// Returns the blanks in front of the keys of a map by indentation.
    fn column(&self, entries: &[YamlEntry]) -> Result<String, Obstacle> {
        let start = entries.first().ok_or(Obstacle::Layout)?.key.span.start;
        let prefix = &self.text[line_start(self.text, start)..start];
        if let Some(at) = prefix.find('?') {
            return Ok(blank(&prefix[..at]));
        }
        if prefix.chars().all(|c| matches!(c, ' ' | '\t' | '-')) {
            return Ok(blank(prefix));
        }
        // A key with an anchor or tag: any key that stands alone tells.
        entries
            .iter()
            .map(|entry| (entry, indent(self.text, entry.key.span.start)))
            .find(|(entry, blanks)| {
                line_start(self.text, entry.key.span.start) + blanks.len() == entry.key.span.start
            })
            .map(|(_, blanks)| blanks.to_owned())
            .ok_or(Obstacle::Layout)
    }
}

fn entry<'n>(entries: &'n [YamlEntry], name: &str) -> Option<&'n YamlEntry> {
    entries.iter().rfind(|entry| !entry.is_merge && entry.name == name)
}

/// Replaces dashes by spaces.
fn blank(prefix: &str) -> String {
    // The dash of a list stays in front of its own items.
    let prefix =
        prefix.strip_suffix("- ").map_or_else(|| prefix.to_owned(), |rest| format!("{rest}  "));
    prefix.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
}
