//! Data sets that a `dvc.yaml` declares and that stages depend on as `ds://name`.
//!
//! Which version of a data set is meant stands in `dvc.lock`, written by `dvc dataset add` and `update`; that entry is what
//! a stage records of it.

use exp_core::{Table, Value};

use crate::error::Error;
use crate::project::Project;
use crate::view::{Broken, View};

/// Returns what a stage records of the data set `name`: its entry in the lock file. `None` when none is declared, or when
/// the lock file has another one.
///
/// # Errors
///
/// When the workspace cannot be read.
pub(crate) fn recorded(project: &Project, name: &str) -> Result<Option<Table>, Error> {
    let view = View::load(&project.workspace(), project.root(), Broken::Note)?;
    for file in &view.files {
        let Some(declared) = named(&file.datasets, name) else { continue };
        let locked = view.locks.get(&file.file).and_then(|lock| lock.extra.get("datasets"));
        let Some(locked) = locked.and_then(|list| named(list, name)) else { return Ok(None) };
        let agrees = declared.iter().all(|(key, value)| locked.get(key) == Some(value));
        let entry = ("dataset".to_owned(), Value::Table(locked.clone()));
        return Ok(agrees.then(|| Table::from([entry])));
    }
    Ok(None)
}

fn named<'v>(list: &'v Value, name: &str) -> Option<&'v Table> {
    let items = list.as_list()?.iter().filter_map(Value::as_table);
    items.into_iter().find(|item| item.get("name").and_then(Value::as_text) == Some(name))
}
