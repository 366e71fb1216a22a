//! Stages made from lists and grids: `foreach` and `matrix`.

use std::borrow::Cow;

use indexmap::IndexMap;

use crate::value::{Table, Value};

use super::error::{Broken, PipelineFault};
use super::template::{Context, Origins, origins, origins_at, to_text};

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
    let all = origins(data);
    // Of several items with one name the last counts, at the place of the first.
    let mut members: IndexMap<String, (Value, Origins)> = IndexMap::new();
    let is_map = match &*resolved {
        Value::Table(values) => {
            for (key, value) in values {
                members.insert(key.clone(), (value.clone(), origins_at(&all, key)));
            }
            true
        }
        Value::List(values) => {
            let is_composite = values.iter().any(|v| matches!(v, Value::List(_) | Value::Table(_)));
            for (index, value) in values.iter().enumerate() {
                let index = index.to_string();
                let origins = origins_at(&all, &index);
                let key = if is_composite { index } else { to_text(value).into_owned() };
                members.insert(key, (value.clone(), origins));
            }
            false
        }
        other => return Err(below(Broken::wrong_type(other, "a map or a list"))),
    };
    if members.contains_key("") {
        return Err(below(PipelineFault::EmptyKey { name: format!("{name}@") }.into()));
    }
    Ok(members
        .into_iter()
        .map(|(key, (value, origins))| Definition {
            name: format!("{name}@{key}"),
            table: Cow::Borrowed(table),
            context: Some(context.with_item(value, origins, is_map.then(|| Value::Text(key)))),
            below: Some("do"),
        })
        .collect())
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
    let all = origins(grid);
    let mut combinations = vec![(Vec::<String>::new(), Table::new(), Origins::new())];
    for (axis, values) in axes {
        let of_axis = origins_at(&all, axis);
        let values = values
            .as_list()
            .ok_or_else(|| below(Broken::wrong_type(values, "a list").below(axis.as_str())))?;
        let mut next = Vec::with_capacity(combinations.len() * values.len());
        for (names, item, known) in &combinations {
            for (index, value) in values.iter().enumerate() {
                let fragment = match value {
                    Value::List(_) | Value::Table(_) => format!("{axis}{index}"),
                    value => to_text(value).into_owned(),
                };
                let mut names = names.clone();
                names.push(fragment);
                let mut item = item.clone();
                item.insert(axis.clone(), value.clone());
                let mut known = known.clone();
                let own = origins_at(&of_axis, &index.to_string());
                known.extend(own.into_iter().map(|(mut way, origin)| {
                    way.insert(0, axis.clone());
                    (way, origin)
                }));
                next.push((names, item, known));
            }
        }
        combinations = next;
    }
    let mut rest = table.clone();
    rest.shift_remove("matrix");
    let members: IndexMap<String, (Table, Origins)> = combinations
        .into_iter()
        .map(|(names, item, origins)| (names.join("-"), (item, origins)))
        .collect();
    if members.contains_key("") {
        return Err(below(PipelineFault::EmptyKey { name: format!("{name}@") }.into()));
    }
    Ok(members
        .into_iter()
        .map(|(key, (item, origins))| Definition {
            name: format!("{name}@{key}"),
            table: Cow::Owned(rest.clone()),
            context: Some(context.with_item(Value::Table(item), origins, Some(Value::Text(key)))),
            below: None,
        })
        .collect())
}
