//! Stages made from lists and grids: `foreach` and `matrix`.

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::value::{KeyPath, Table, Value};

use super::error::Broken;
use super::template::{Context, to_text};

/// The definition of one stage, not yet resolved.
pub(super) struct Definition<'t> {
    pub(super) name: String,
    /// Without `matrix`.
    pub(super) table: Cow<'t, Table>,
    /// The context with `item` and `key`; `None` for a stage that is not of a group.
    pub(super) context: Option<Context<'t>>,
    /// What leads from the stage's entry to the definition: `do`.
    pub(super) below: Option<&'static str>,
}

/// Returns the stages that `value`, called `name` in the file, stands for.
pub(super) fn expand<'t>(
    name: &str,
    value: &'t Value,
    context: &Context<'t>,
) -> Result<Vec<Definition<'t>>, Broken> {
    let Some(table) = value.as_table() else { return Err(Broken::wrong_type(value, "a map")) };
    if let (Some(data), Some(template)) = (table.get("foreach"), table.get("do")) {
        return foreach(name, data, template, context);
    }
    if let Some(grid) = table.get("matrix") {
        return matrix(name, grid, table, context);
    }
    let table = Cow::Borrowed(table);
    Ok(vec![Definition { name: name.to_owned(), table, context: None, below: None }])
}

fn foreach<'t>(
    name: &str,
    data: &'t Value,
    template: &'t Value,
    context: &Context<'t>,
) -> Result<Vec<Definition<'t>>, Broken> {
    let below = |broken: Broken| broken.below("foreach");
    let resolved = context.resolve(data, "", &mut Vec::new()).map_err(below)?;
    let table =
        template.as_table().ok_or_else(|| Broken::wrong_type(template, "a map").below("do"))?;
    let origin = exact_origin(data);
    let origin_of = |part: &str| origin.as_ref().map(|origin| origin.child(part));
    // Of several items with one name the last counts, at the place of the first.
    let mut members: IndexMap<String, (Value, Option<KeyPath>)> = IndexMap::new();
    let is_map = match &*resolved {
        Value::Table(values) => {
            for (key, value) in values {
                members.insert(key.clone(), (value.clone(), origin_of(key)));
            }
            true
        }
        Value::List(values) => {
            let is_composite = values.iter().any(|v| matches!(v, Value::List(_) | Value::Table(_)));
            for (index, value) in values.iter().enumerate() {
                let index = index.to_string();
                let origin = origin_of(&index);
                let key = if is_composite { index } else { to_text(value).into_owned() };
                members.insert(key, (value.clone(), origin));
            }
            false
        }
        other => return Err(below(Broken::wrong_type(other, "a map or a list"))),
    };
    Ok(members
        .into_iter()
        .map(|(key, (value, origin))| Definition {
            name: format!("{name}@{key}"),
            table: Cow::Borrowed(table),
            context: Some(context.with_item(value, origin, is_map.then(|| Value::Text(key)))),
            below: Some("do"),
        })
        .collect())
}

/// Returns the path of `${path}`, when that is all of the text.
fn exact_origin(data: &Value) -> Option<KeyPath> {
    let inner = data.as_text()?.strip_prefix("${")?.strip_suffix('}')?;
    Some(KeyPath::parse(&inner.trim().replace('[', ".").replace(']', "")))
}

fn matrix<'t>(
    name: &str,
    grid: &'t Value,
    table: &'t Table,
    context: &Context<'t>,
) -> Result<Vec<Definition<'t>>, Broken> {
    let below = |broken: Broken| broken.below("matrix");
    let resolved = context.resolve(grid, "", &mut Vec::new()).map_err(below)?;
    let Value::Table(axes) = &*resolved else {
        return Err(below(Broken::wrong_type(&resolved, "a map")));
    };
    let mut combinations: Vec<(Vec<String>, Table)> = vec![(Vec::new(), Table::new())];
    for (axis, values) in axes {
        let values = values
            .as_list()
            .ok_or_else(|| below(Broken::wrong_type(values, "a list").below(axis.as_str())))?;
        let mut next = Vec::with_capacity(combinations.len() * values.len());
        for (names, item) in &combinations {
            for (index, value) in values.iter().enumerate() {
                let fragment = match value {
                    Value::List(_) | Value::Table(_) => format!("{axis}{index}"),
                    value => to_text(value).into_owned(),
                };
                let mut names = names.clone();
                names.push(fragment);
                let mut item = item.clone();
                item.insert(axis.clone(), value.clone());
                next.push((names, item));
            }
        }
        combinations = next;
    }
    let mut rest = table.clone();
    rest.shift_remove("matrix");
    let members: IndexMap<String, Table> =
        combinations.into_iter().map(|(names, item)| (names.join("-"), item)).collect();
    Ok(members
        .into_iter()
        .map(|(key, item)| Definition {
            name: format!("{name}@{key}"),
            table: Cow::Owned(rest.clone()),
            context: Some(context.with_item(Value::Table(item), None, Some(Value::Text(key)))),
            below: None,
        })
        .collect())
}
