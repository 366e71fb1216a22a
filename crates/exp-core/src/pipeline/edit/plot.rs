//! Changing how an output of a stage is plotted.

use crate::value::{Table, Value};
use crate::yaml::parse_yaml_spanned;

use super::{EditError, change, check_own, find};

const SECTIONS: [&str; 3] = ["outs", "metrics", "plots"];

/// Returns `text` with the output `path`, as the stage `name` writes it, in the section `plots` and with the properties
/// `props` besides those that it has, of which those in `unset` are taken away first.
///
/// # Errors
///
/// When the text cannot be read, has no such stage, or the stage comes from a template. A stage without that output is
/// left as it is.
pub fn set_plot_props(
    text: &str,
    name: &str,
    path: &str,
    props: &Table,
    unset: &[String],
) -> Result<String, EditError> {
    let root = parse_yaml_spanned(text).map_err(|error| EditError::syntax(text, error))?;
    let (_, entry) = find(&root, name)?;
    check_own(name, entry)?;
    let value = entry.value.to_value().map_err(|error| EditError::syntax(text, error))?;
    let Value::Table(mut table) = value else {
        return Err(EditError::Shape { line: entry.value.span.line });
    };
    let Some((section, at, mut flags)) = item(&table, path) else { return Ok(text.to_owned()) };
    for key in unset {
        flags.shift_remove(key);
    }
    for (key, value) in props {
        flags.insert(key.clone(), value.clone());
    }
    let item = if flags.is_empty() {
        Value::from(path)
    } else {
        Value::Table(Table::from([(path.to_owned(), Value::Table(flags))]))
    };
    if section == "plots" {
        if let Some(Value::List(items)) = table.get_mut(section) {
            items[at] = item;
        }
        return change(text, entry, &table);
    }
    if let Some(Value::List(items)) = table.get_mut(section) {
        items.remove(at);
        if items.is_empty() {
            table.shift_remove(section);
        }
    }
    match table.get_mut("plots") {
        Some(Value::List(items)) => items.push(item),
        _ => drop(table.insert("plots".to_owned(), Value::List(vec![item]))),
    }
    change(text, entry, &table)
}

/// Finds an output: its section, its place there, and what is written beside its path.
fn item(table: &Table, path: &str) -> Option<(&'static str, usize, Table)> {
    SECTIONS.into_iter().find_map(|section| {
        let items = table.get(section)?.as_list()?;
        items.iter().enumerate().find_map(|(at, item)| {
            let flags = match item {
                Value::Text(text) if text == path => Table::new(),
                Value::Table(one) => one.get(path)?.as_table().cloned().unwrap_or_default(),
                _ => return None,
            };
            Some((section, at, flags))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_set_taken_away_and_make_a_plot_of_an_output() -> Result<(), EditError> {
        let text = "stages:\n  a:\n    cmd: x  # runs\n    plots:\n    - p.csv:\n        x: step\n    - q.csv\n    outs:\n    - o.csv\n";
        let props = |pairs: &[(&str, &str)]| -> Table {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
        };
        let changed =
            set_plot_props(text, "a", "p.csv", &props(&[("y", "loss")]), &["x".to_owned()])?;
        assert_eq!(changed, text.replace("        x: step", "        y: loss"));
        let changed = set_plot_props(text, "a", "q.csv", &props(&[("title", "Q")]), &[])?;
        assert_eq!(changed, text.replace("- q.csv\n", "- q.csv:\n        title: Q\n"));
        let changed = set_plot_props(text, "a", "p.csv", &Table::new(), &["x".to_owned()])?;
        assert_eq!(changed, text.replace("- p.csv:\n        x: step\n", "- p.csv\n"));
        let changed = set_plot_props(text, "a", "o.csv", &props(&[("y", "l")]), &[])?;
        assert_eq!(
            changed,
            "stages:\n  a:\n    cmd: x  # runs\n    plots:\n    - p.csv:\n        x: step\n    - q.csv\n    - o.csv:\n        y: l\n"
        );
        assert_eq!(set_plot_props(text, "a", "none", &Table::new(), &[])?, text);
        Ok(())
    }
}
