//! How data differs, as text, as JSON and as Markdown, in DVC's form.

use exp_engine::core::{ObjectId, Table, Value};
use exp_engine::{DataDiff, DataDiffEntry};

use super::{json, markdown};

/// What is shown besides paths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// Digests.
    pub(crate) hash: bool,
    /// What the store lacks.
    pub(crate) missing: bool,
}

/// The groups in the order of the text, with their names.
fn groups(diff: &DataDiff, shown: Shown) -> Vec<(&'static str, &[DataDiffEntry])> {
    let mut groups: Vec<(&str, &[DataDiffEntry])> = vec![
        ("added", &diff.added),
        ("deleted", &diff.deleted),
        ("renamed", &diff.renamed),
        ("modified", &diff.modified),
    ];
    if shown.missing {
        groups.push(("not in cache", &diff.not_in_cache));
    }
    groups
}

/// Returns what scripts read: `{}` when nothing differs.
pub(crate) fn json(diff: &DataDiff, shown: Shown) -> Value {
    let mut table = Table::new();
    if diff.is_empty() {
        return Value::Table(table);
    }
    let mut groups = groups(diff, shown);
    // Renamed comes behind modified here.
    groups.swap(2, 3);
    for (name, entries) in groups {
        let items = entries.iter().map(|entry| {
            let path = match &entry.new_path {
                None => Value::from(entry.path.as_str()),
                Some(new) => json::object([
                    ("old", Value::from(entry.path.as_str())),
                    ("new", Value::from(new.as_str())),
                ]),
            };
            let mut item = Table::from([("path".to_owned(), path)]);
            if shown.hash {
                item.insert("hash".to_owned(), hash(name, entry));
            }
            Value::Table(item)
        });
        table.insert(name.to_owned(), Value::List(items.collect()));
    }
    Value::Table(table)
}

fn hash(group: &str, entry: &DataDiffEntry) -> Value {
    let one = |id: Option<ObjectId>| id.map_or(Value::Null, |id| Value::from(id.to_string()));
    if group == "modified" {
        return json::object([("old", one(entry.old)), ("new", one(entry.new))]);
    }
    one(entry.old.or(entry.new))
}

/// Returns the lines for people, with a sum at the end; nothing when nothing differs.
pub(crate) fn text(diff: &DataDiff, shown: Shown) -> String {
    let mut text = String::new();
    let mut sums = Vec::new();
    for (name, entries) in groups(diff, shown) {
        if entries.is_empty() {
            continue;
        }
        text.push_str(&format!("{}{}:\n", name[..1].to_uppercase(), &name[1..]));
        let mut n_files = 0;
        for entry in entries {
            let path = path(entry);
            n_files += usize::from(!path.ends_with('/'));
            let hash = if shown.hash { format!("{}  ", short(name, entry)) } else { String::new() };
            text.push_str(&format!("    {hash}{path}\n"));
        }
        text.push('\n');
        if n_files > 0 {
            sums.push(format!("{n_files} {name}"));
        }
    }
    if !sums.is_empty() {
        text.push_str(&format!("files summary: {}\n", sums.join(", ")));
    }
    text
}

/// Returns a Markdown table.
pub(crate) fn markdown(diff: &DataDiff, shown: Shown) -> String {
    let mut header = vec!["Status".to_owned(), "Path".to_owned()];
    if shown.hash {
        header.insert(1, "Hash".to_owned());
    }
    let mut rows = Vec::new();
    for (name, entries) in groups(diff, shown) {
        for entry in entries {
            let mut row = vec![name.to_owned(), path(entry)];
            if shown.hash {
                row.insert(1, short(name, entry));
            }
            rows.push(row);
        }
    }
    markdown::table(&header, &rows)
}

fn path(entry: &DataDiffEntry) -> String {
    match &entry.new_path {
        None => entry.path.clone(),
        Some(new) => format!("{} -> {new}", entry.path),
    }
}

/// Returns the beginnings of the digests.
fn short(group: &str, entry: &DataDiffEntry) -> String {
    let one = |id: Option<ObjectId>| {
        id.map_or_else(|| "None".to_owned(), |id| id.to_string().chars().take(8).collect())
    };
    if group == "modified" {
        return format!("{}..{}", one(entry.old), one(entry.new));
    }
    one(entry.old.or(entry.new))
}
