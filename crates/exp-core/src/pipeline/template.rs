//! `${…}`: where values come from and how they are written (formats: section 5).

use std::borrow::Cow;

use crate::path::RelPath;
use crate::value::{KeyPath, Table, Value};

use super::VarsSource;
use super::error::{Broken, PipelineFault};

mod arguments;
mod expression;

pub(super) use expression::{has_template, is_template, to_text};

use arguments::arguments;
use expression::{Matches, parse_expression};

/// Parameters that were used, by file.
pub(super) type Used = Vec<(RelPath, KeyPath)>;

/// The values that templates can name.
#[derive(Clone)]
pub(super) struct Context<'v> {
    source: &'v dyn VarsSource,
    values: Table,
    files: Vec<Loaded>,
    /// Names of inline variables and the item of `vars` that they come from, for messages.
    inline: Vec<(String, String)>,
    /// `item` and `key`.
    locals: Vec<Local>,
}

/// A value that only the stages of a group see.
#[derive(Clone)]
struct Local {
    name: &'static str,
    value: Value,
    origins: Origins,
}

/// Which parts of a value were taken from other values: the way to the part, and what it was taken from.
pub(super) type Origins = Vec<(Vec<String>, KeyPath)>;

/// Returns the origins of what `data` resolves to: its texts that are one whole `${path}`.
pub(super) fn origins(data: &Value) -> Origins {
    let below = |part: String, value: &Value| {
        origins(value).into_iter().map(move |(mut way, origin)| {
            way.insert(0, part.clone());
            (way, origin)
        })
    };
    match data {
        Value::Text(text) => {
            let inner = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
            let path = inner.and_then(parse_expression);
            path.map(|path| (Vec::new(), path)).into_iter().collect()
        }
        Value::List(items) => {
            let items = items.iter().enumerate();
            items
                .flat_map(|(index, item)| below(index.to_string(), item).collect::<Vec<_>>())
                .collect()
        }
        Value::Table(table) => table
            .iter()
            .flat_map(|(key, value)| below(key.clone(), value).collect::<Vec<_>>())
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the origins of the part at `part`.
pub(super) fn origins_at(origins: &Origins, part: &str) -> Origins {
    let found = origins.iter().filter_map(|(way, origin)| match way.split_first() {
        None => Some((Vec::new(), origin.child(part))),
        Some((first, rest)) => (first == part).then(|| (rest.to_vec(), origin.clone())),
    });
    found.collect()
}

#[derive(Clone)]
struct Loaded {
    file: RelPath,
    /// As it is written.
    written: String,
    /// The keys that were taken; `None` for all.
    keys: Option<Vec<String>>,
    value: Table,
}

impl<'v> Context<'v> {
    pub(super) fn new(source: &'v dyn VarsSource) -> Self {
        let (values, files) = (Table::new(), Vec::new());
        Self { source, values, files, inline: Vec::new(), locals: Vec::new() }
    }

    /// Returns the files that values were taken from.
    pub(super) fn files(&self) -> Vec<RelPath> {
        self.files.iter().map(|loaded| loaded.file.clone()).collect()
    }

    /// Returns this context with `item`, and `key` if there is one.
    pub(super) fn with_item(&self, item: Value, origins: Origins, key: Option<Value>) -> Self {
        let mut inner = self.clone();
        inner.locals.push(Local { name: "item", value: item, origins });
        let key = key.map(|value| Local { name: "key", value, origins: Origins::new() });
        inner.locals.extend(key);
        inner
    }

    /// Loads `params.yaml` in `dir` if it exists.
    pub(super) fn load_default(&mut self, dir: &RelPath) -> Result<(), Broken> {
        let Ok(file) = dir.join("params.yaml") else { return Ok(()) };
        match self.read(&file)? {
            None => Ok(()),
            Some(value) => self.add_file(file, "params.yaml", None, value),
        }
    }

    /// Loads the items of a `vars`; files are relative to `dir`.
    pub(super) fn load_vars(&mut self, vars: &[Value], dir: &RelPath) -> Result<(), Broken> {
        for (index, item) in vars.iter().enumerate() {
            let loaded = match item {
                Value::Text(item) => self.load_item(item, dir),
                Value::Table(table) => self.add_inline(table, &format!("vars[{index}]")),
                other => Err(Broken::wrong_type(other, "text or a map")),
            };
            loaded.map_err(|broken| broken.below(index.to_string()))?;
        }
        Ok(())
    }

    fn read(&self, file: &RelPath) -> Result<Option<Value>, Broken> {
        self.source
            .load(file)
            .map_err(|source| PipelineFault::Load { file: file.clone(), source }.into())
    }

    fn load_item(&mut self, item: &str, dir: &RelPath) -> Result<(), Broken> {
        let (path, keys) = item.split_once(':').unwrap_or((item, ""));
        let keys: Vec<String> =
            keys.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect();
        let keys = (!keys.is_empty()).then_some(keys);
        let file = dir.join(path).map_err(|_| PipelineFault::Outside { path: path.to_owned() })?;
        for loaded in self.files.iter().filter(|loaded| loaded.file == file) {
            match (&loaded.keys, &keys) {
                (None, None) => return Ok(()),
                (Some(old), Some(new)) if !new.iter().any(|key| old.contains(key)) => {}
                _ => return Err(PipelineFault::LoadedTwice { item: item.to_owned() }.into()),
            }
        }
        let value =
            self.read(&file)?.ok_or_else(|| PipelineFault::NoFile { file: path.to_owned() })?;
        self.add_file(file, path, keys, value)
    }

    fn add_file(
        &mut self,
        file: RelPath,
        written: &str,
        keys: Option<Vec<String>>,
        value: Value,
    ) -> Result<(), Broken> {
        let Value::Table(mut value) = value else {
            let (file, found) = (written.to_owned(), value.type_name());
            return Err(PipelineFault::NotAMap { file, found }.into());
        };
        if let Some(keys) = &keys {
            if let Some(key) = keys.iter().find(|key| !value.contains_key(*key)) {
                let (file, key) = (written.to_owned(), key.clone());
                return Err(PipelineFault::NoKey { file, key }.into());
            }
            value.retain(|key, _| keys.contains(key));
        }
        self.merge(&value, written)?;
        self.files.push(Loaded { file, written: written.to_owned(), keys, value });
        Ok(())
    }

    fn add_inline(&mut self, table: &Table, name: &str) -> Result<(), Broken> {
        self.merge(table, name)?;
        self.inline.extend(table.keys().map(|key| (key.clone(), name.to_owned())));
        Ok(())
    }

    fn merge(&mut self, new: &Table, name: &str) -> Result<(), Broken> {
        let mut names = self.locals.iter().map(|local| local.name);
        if let Some(key) = names.find(|key| new.contains_key(*key)) {
            let (key, new) = (key.to_owned(), name.into());
            return Err(PipelineFault::Redefined { key, new, old: "foreach".into() }.into());
        }
        let mut path = Vec::new();
        if merge_tables(&mut self.values, new, &mut path).is_some() {
            return Ok(());
        }
        let key = KeyPath::from_parts(path);
        let file = self.files.iter().find(|loaded| in_table(&loaded.value, &key).is_some());
        let old = file.map(|loaded| loaded.written.clone()).or_else(|| {
            let first = key.parts().first()?;
            Some(self.inline.iter().find(|(name, _)| name == first)?.1.clone())
        });
        let (key, new) = (key.to_string(), name.into());
        Err(PipelineFault::Redefined { key, new, old: old.unwrap_or_default().into() }.into())
    }

    /// Replaces `${…}` in all texts and keys of `value`, which stands below `key` of its stage; without a key, whole
    /// lists and maps can be taken too. What was used of files is added to `used`. A value without templates is
    /// not copied.
    pub(super) fn resolve<'t>(
        &self,
        value: &'t Value,
        key: &str,
        used: &mut Used,
    ) -> Result<Cow<'t, Value>, Broken> {
        if !is_template(value) {
            return Ok(Cow::Borrowed(value));
        }
        Ok(Cow::Owned(match value {
            Value::Text(text) => self.resolve_text(text, key, used)?,
            Value::List(items) => {
                let items = items.iter().enumerate().map(|(index, item)| {
                    let item = self.resolve(item, key, used).map(Cow::into_owned);
                    item.map_err(|broken| broken.below(index.to_string()))
                });
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Value::Table(table) => {
                let mut resolved = Table::with_capacity(table.len());
                for (name, value) in table {
                    let below = |broken: Broken| broken.below(name.as_str());
                    let text = self.resolve_text(name, key, used).map_err(below)?;
                    let value = self.resolve(value, key, used).map_err(below)?;
                    resolved.insert(to_text(&text).into_owned(), value.into_owned());
                }
                Value::Table(resolved)
            }
            other => other.clone(),
        }))
    }

    fn resolve_text(&self, text: &str, key: &str, used: &mut Used) -> Result<Value, Broken> {
        let mut matches = Matches::of(text).peekable();
        if let Some((0, end)) = matches.peek()
            && *end == text.len()
        {
            let expression = &text[2..end - 1];
            let value = self.select(expression, used)?;
            let is_allowed = match value {
                Value::List(_) => key.is_empty(),
                Value::Table(_) => key.is_empty() || key == "cmd",
                Value::Date(_) => false,
                _ => true,
            };
            return if is_allowed { Ok(value.clone()) } else { Err(not_scalar(expression, value)) };
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (start, end) in matches {
            let expression = &text[start + 2..end - 1];
            out.push_str(&text[done..start]);
            match self.select(expression, used)? {
                Value::Table(table) if key == "cmd" => {
                    out.push_str(&arguments(table, self.source.arguments(), expression)?);
                }
                value @ (Value::Table(_) | Value::List(_) | Value::Date(_)) => {
                    return Err(not_scalar(expression, value));
                }
                value => out.push_str(&to_text(value)),
            }
            done = end;
        }
        out.push_str(&text[done..]);
        Ok(Value::Text(out.replace("\\${", "${")))
    }

    /// Returns the value of an expression.
    fn select(&self, expression: &str, used: &mut Used) -> Result<&Value, Broken> {
        let path = parse_expression(expression)
            .ok_or_else(|| PipelineFault::Expression { expression: expression.to_owned() })?;
        let unresolved = || PipelineFault::Unresolved { expression: expression.trim().to_owned() };
        let (first, rest) = path.parts().split_first().ok_or_else(unresolved)?;
        let local = self.locals.iter().rev().find(|local| local.name == first);
        let (root, own) = match local {
            Some(local) => (Some(&local.value), local.origins.clone()),
            None => (self.values.get(first), vec![(Vec::new(), KeyPath::from_parts([first]))]),
        };
        let mut value = root.ok_or_else(unresolved)?;
        let mut origins = own;
        for part in rest {
            let (inner, part) = member(value, part).ok_or_else(unresolved)?;
            value = inner;
            origins = origins_at(&origins, &part);
        }
        if !matches!(value, Value::Table(_)) {
            for (_, path) in origins.iter().filter(|(way, _)| way.is_empty()) {
                for loaded in self.files.iter().filter(|file| in_table(&file.value, path).is_some())
                {
                    let one = (loaded.file.clone(), path.clone());
                    if !used.contains(&one) {
                        used.push(one);
                    }
                }
            }
        }
        Ok(value)
    }
}

fn not_scalar(expression: &str, value: &Value) -> Broken {
    let expression = expression.to_owned();
    PipelineFault::NotScalar { expression, found: value.type_name() }.into()
}

fn in_table<'t>(table: &'t Table, path: &KeyPath) -> Option<&'t Value> {
    let (first, rest) = path.parts().split_first()?;
    rest.iter().try_fold(table.get(first)?, |value, part| value.child(part))
}

/// Returns the member or the item that `part` names, and its name. A negative number counts from the end of a list, as
/// in Python.
fn member<'v>(value: &'v Value, part: &str) -> Option<(&'v Value, String)> {
    if let Value::List(items) = value
        && let Some(back) = part.strip_prefix('-')
    {
        let index = items.len().checked_sub(back.parse().ok()?)?;
        return items.get(index).map(|item| (item, index.to_string()));
    }
    value.child(part).map(|value| (value, part.to_owned()))
}

/// Merges maps deeply; `None` when something would be defined twice, with `path` leading there.
fn merge_tables(into: &mut Table, new: &Table, path: &mut Vec<String>) -> Option<()> {
    for (key, value) in new {
        path.push(key.clone());
        match (into.get_mut(key), value) {
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
            (Some(Value::Table(into)), Value::Table(new)) => merge_tables(into, new, path)?,
            (Some(_), _) => return None,
        }
        path.pop();
    }
    Some(())
}
