//! The state of data as text and as JSON, in DVC's form.

use exp_engine::core::{Table, Value};
use exp_engine::{DataChanges, DataStatus};

use crate::grammar::Grammar;

/// Returns what scripts and editors read; what is empty is left out.
pub(crate) fn status_json(
    (status, not_in_remote): (&DataStatus, &[String]),
    unchanged: bool,
) -> Value {
    let mut table = Table::new();
    let mut list = |key: &str, paths: &[String]| {
        if !paths.is_empty() {
            table.insert(key.to_owned(), texts(paths));
        }
    };
    list("not_in_cache", &status.not_in_cache);
    list("not_in_remote", not_in_remote);
    for (key, changes) in [("committed", &status.committed), ("uncommitted", &status.uncommitted)] {
        if !changes.is_empty() {
            table.insert(key.to_owned(), changes_json(changes));
        }
    }
    let mut list = |key: &str, paths: &[String]| {
        if !paths.is_empty() {
            table.insert(key.to_owned(), texts(paths));
        }
    };
    list("untracked", &status.untracked);
    if unchanged {
        list("unchanged", &status.unchanged);
    }
    Value::Table(table)
}

fn texts(paths: &[String]) -> Value {
    Value::List(paths.iter().map(|path| Value::from(path.as_str())).collect())
}

fn changes_json(changes: &DataChanges) -> Value {
    let mut table = Table::new();
    let mut list = |key: &str, paths: &[String]| {
        if !paths.is_empty() {
            table.insert(key.to_owned(), texts(paths));
        }
    };
    list("modified", &changes.modified);
    list("added", &changes.added);
    list("deleted", &changes.deleted);
    if !changes.renamed.is_empty() {
        let pairs = changes.renamed.iter().map(|(old, new)| {
            super::json::object([
                ("old", Value::from(old.as_str())),
                ("new", Value::from(new.as_str())),
            ])
        });
        table.insert("renamed".to_owned(), Value::List(pairs.collect()));
    }
    if !changes.unknown.is_empty() {
        table.insert("unknown".to_owned(), texts(&changes.unknown));
    }
    Value::Table(table)
}

/// Returns the lines for people, as DVC words them, with the commands of the grammar.
pub(crate) fn status_text(
    (status, not_in_remote): (&DataStatus, &[String]),
    unchanged: bool,
    grammar: Grammar,
) -> String {
    let (add, commit, checkout, fetch) = match grammar {
        Grammar::Dvc => ("dvc add", "dvc commit", "dvc checkout", "dvc fetch <file>..."),
        Grammar::Exp => {
            ("exp data add", "exp data commit", "exp data checkout", "exp data fetch <file>...")
        }
    };
    let mut groups: Vec<String> = Vec::new();
    let mut group = |title: &str, hints: &[String], lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        let mut text = format!("{title}:\n");
        for hint in hints {
            text.push_str(&format!("  ({hint})\n"));
        }
        for line in lines {
            text.push_str(&format!("        {line}\n"));
        }
        groups.push(text);
    };
    group(
        "Not in cache",
        &[format!("use \"{fetch}\" to download files")],
        status.not_in_cache.clone(),
    );
    let push = if grammar == Grammar::Dvc { "dvc push" } else { "exp data push" };
    group(
        "Not in remote",
        &[format!("use \"{push} <file>...\" to upload files")],
        not_in_remote.to_vec(),
    );
    group(
        "DVC committed changes",
        &["git commit the corresponding dvc files to update the repo".to_owned()],
        change_lines(&status.committed),
    );
    group(
        "DVC uncommitted changes",
        &[
            format!("use \"{commit} <file>...\" to track changes"),
            format!("use \"{checkout} <file>...\" to discard changes"),
        ],
        change_lines(&status.uncommitted),
    );
    group(
        "Untracked files",
        &[format!("use \"git add <file> ...\" or \"{add} <file>...\" to commit to git or to dvc")],
        status.untracked.clone(),
    );
    if unchanged {
        group("DVC unchanged files", &[], status.unchanged.clone());
    }
    let other = if groups.is_empty() { "" } else { "other " };
    let mut text = groups.join("\n");
    if groups.is_empty() {
        let place = if status.is_unborn { " in an empty git repo" } else { "" };
        text = format!("No changes{place}.\n");
    }
    if status.git_has_changes {
        let by = if grammar == Grammar::Dvc { "dvc" } else { "exp" };
        text.push_str(&format!(
            "(there are {other}changes not tracked by {by}, use \"git status\" to see)\n"
        ));
    }
    text
}

fn change_lines(changes: &DataChanges) -> Vec<String> {
    let named = |kind: &str, paths: &[String]| {
        paths.iter().map(|path| format!("{kind}: {path}")).collect::<Vec<_>>()
    };
    let mut lines = named("modified", &changes.modified);
    lines.extend(named("added", &changes.added));
    lines.extend(changes.renamed.iter().map(|(old, new)| format!("renamed: {old} -> {new}")));
    lines.extend(named("deleted", &changes.deleted));
    lines.extend(named("unknown", &changes.unknown));
    lines
}
