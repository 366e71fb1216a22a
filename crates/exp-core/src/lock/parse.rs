//! Text -> [`LockFile`] and [`StageLock`].

use crate::digest::{Algorithm, Artifact, ObjectId};
use crate::stage::Command;
use crate::value::{Table, Value};
use crate::yaml::{locate, parse_yaml};

use super::edit::has_conflict_markers;
use super::{LockEntry, LockFile, StageLock};

/// A lock file that cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Broken YAML.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A merge left its conflict markers behind.
    #[error("line {line}: merge conflict")]
    Conflict {
        /// The line of the first marker, from 1.
        line: usize,
    },
    /// A schema other than `2.0`, or none: the file was written by another generation of DVC.
    #[error("schema is {}, not 2.0", found.as_deref().unwrap_or("missing"))]
    Schema {
        /// What stands there.
        found: Option<String>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Valid YAML that is no lock file.
    #[error("line {line}, column {column}: {message} at `{}`", at.join("."))]
    Invalid {
        /// The way to the place, from the outside in: keys, and numbers of list items.
        at: Vec<String>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A record that cannot be written: another reader of YAML would take it for something else.
    #[error("the record of stage `{stage}` would be read as something else")]
    Unfaithful {
        /// The stage.
        stage: String,
    },
}

/// What is wrong, and the way to it, the innermost part first.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) at: Vec<String>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Vec::new() }
    }

    pub(crate) fn below(mut self, part: impl Into<String>) -> Self {
        self.at.push(part.into());
        self
    }

    fn wrong_type(value: &Value, expect: &str) -> Self {
        Self::new(format!("expected {expect}, found {}", value.type_name()))
    }
}

impl LockFile {
    /// Reads the text of a `dvc.lock`. An empty text has no stages.
    ///
    /// # Errors
    ///
    /// For broken YAML, conflict markers, a schema other than `2.0`, unknown keys of stages, and digests that are none.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let table = document(text)?;
        if table.is_empty() {
            return Ok(Self::default());
        }
        let mut file = Self::default();
        match table.get("schema") {
            Some(Value::Text(schema)) if schema == "2.0" => {}
            found => return Err(schema_error(text, found)),
        }
        for (key, value) in table {
            match key.as_str() {
                "schema" => {}
                "stages" => {
                    let stages =
                        table_of(value).map_err(|fault| invalid(text, fault.below("stages")))?;
                    for (name, value) in stages {
                        let stage = stage_of(value).map_err(|fault| {
                            invalid(text, fault.below(name.as_str()).below("stages"))
                        })?;
                        file.stages.insert(name, stage);
                    }
                }
                _ => {
                    file.extra.insert(key, value);
                }
            }
        }
        Ok(file)
    }
}

impl StageLock {
    /// Reads the text of a file in the run cache.
    ///
    /// # Errors
    ///
    /// As for [`LockFile::parse`], but for the schema, which such a file does not have.
    pub fn parse_run(text: &str) -> Result<Self, LockError> {
        let table = document(text)?;
        stage_of(Value::Table(table)).map_err(|fault| invalid(text, fault))
    }
}

pub(crate) fn document(text: &str) -> Result<Table, LockError> {
    let value = parse_yaml(text).map_err(|error| match has_conflict_markers(text) {
        Some(line) => LockError::Conflict { line },
        None => {
            LockError::Syntax { line: error.line, column: error.column, message: error.message }
        }
    })?;
    table_of(value).map_err(|fault| invalid(text, fault))
}

pub(super) fn schema_error(text: &str, found: Option<&Value>) -> LockError {
    let span = locate(text, &["schema".to_owned()]);
    let found = found.map(|value| match value {
        Value::Text(text) => text.clone(),
        value => crate::json::python_json(value, crate::json::KeyOrder::AsIs),
    });
    LockError::Schema { found, line: span.line, column: span.column }
}

pub(crate) fn invalid(text: &str, fault: Fault) -> LockError {
    let mut at = fault.at;
    at.reverse();
    let span = locate(text, &at);
    LockError::Invalid { at, line: span.line, column: span.column, message: fault.message }
}

pub(crate) fn table_of(value: Value) -> Result<Table, Fault> {
    match value {
        Value::Table(table) => Ok(table),
        value => Err(Fault::wrong_type(&value, "a map")),
    }
}

pub(crate) fn list_of(value: Value) -> Result<Vec<Value>, Fault> {
    match value {
        Value::List(items) => Ok(items),
        value => Err(Fault::wrong_type(&value, "a list")),
    }
}

pub(crate) fn text_of(value: Value) -> Result<String, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        value => Err(Fault::wrong_type(&value, "text")),
    }
}

pub(crate) fn command_of(value: Value) -> Result<Command, Fault> {
    match value {
        Value::Text(text) => Ok(Command::Text(text)),
        Value::List(items) => {
            let texts = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| text_of(item).map_err(|fault| fault.below(index.to_string())));
            Ok(Command::List(texts.collect::<Result<_, _>>()?))
        }
        value => Err(Fault::wrong_type(&value, "text or a list of texts")),
    }
}

fn stage_of(value: Value) -> Result<StageLock, Fault> {
    let mut stage = StageLock { cmd: None, deps: Vec::new(), params: Vec::new(), outs: Vec::new() };
    for (key, value) in table_of(value)? {
        let part = match key.as_str() {
            "cmd" => command_of(value).map(|cmd| stage.cmd = Some(cmd)),
            "deps" => entries_of(value).map(|deps| stage.deps = deps),
            "outs" => entries_of(value).map(|outs| stage.outs = outs),
            "params" => params_of(value).map(|params| stage.params = params),
            _ => Err(Fault::new("unknown key")),
        };
        part.map_err(|fault| fault.below(key))?;
    }
    if stage.cmd.is_none() {
        return Err(Fault::new("`cmd` is missing"));
    }
    Ok(stage)
}

fn params_of(value: Value) -> Result<Vec<(String, Table)>, Fault> {
    table_of(value)?
        .into_iter()
        .map(|(file, values)| match table_of(values) {
            Ok(values) => Ok((file, values)),
            Err(fault) => Err(fault.below(file)),
        })
        .collect()
}

fn entries_of(value: Value) -> Result<Vec<LockEntry>, Fault> {
    let items = list_of(value)?.into_iter().enumerate();
    items
        .map(|(index, item)| {
            table_of(item).and_then(entry_of).map_err(|fault| fault.below(index.to_string()))
        })
        .collect()
}

/// Reads a dependency or output of a lock file; keys that are not known stay in `extra`.
pub(crate) fn entry_of(mut table: Table) -> Result<LockEntry, Fault> {
    let path = match table.shift_remove("path") {
        Some(value) => text_of(value).map_err(|fault| fault.below("path"))?,
        None => return Err(Fault::new("`path` is missing")),
    };
    let algorithm = match table.get("hash") {
        None | Some(Value::Null) if table.contains_key("sha256") => Algorithm::Sha256,
        None | Some(Value::Null) => Algorithm::Md5Dos2Unix,
        Some(Value::Text(name)) if name == "md5" => Algorithm::Md5,
        Some(Value::Text(name)) if name == "sha256" => Algorithm::Sha256,
        Some(Value::Text(name)) if name == "md5-dos2unix" => Algorithm::Md5Dos2Unix,
        Some(_) if table.contains_key("md5") => {
            return Err(Fault::new("unknown hash").below("hash"));
        }
        Some(_) => return Ok(LockEntry { path, artifact: None, extra: table }),
    };
    let key = algorithm.key();
    let digest = match table.get(key) {
        Some(Value::Text(text)) if text.is_empty() => None,
        Some(Value::Text(text)) => Some(text.to_ascii_lowercase()),
        // Digits only, written without quotes.
        Some(Value::Int(number)) => Some(format!("{number:032}")),
        None | Some(Value::Null) => None,
        Some(value) => return Err(Fault::wrong_type(value, "a digest").below(key)),
    };
    let Some(digest) = digest else {
        return Ok(LockEntry { path, artifact: None, extra: table });
    };
    let id = ObjectId::parse(algorithm, &digest)
        .map_err(|error| Fault::new(error.to_string()).below(key))?;
    table.shift_remove(key);
    table.shift_remove("hash");
    let mut number = |key: &str| match table.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(number)) => match u64::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Fault::new("not a size").below(key)),
        },
        Some(value) => Err(Fault::wrong_type(&value, "a whole number").below(key)),
    };
    let size = number("size")?;
    let n_files = number("nfiles")?;
    let is_exec = match table.shift_remove("isexec") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(truth)) => truth,
        Some(value) => return Err(Fault::wrong_type(&value, "true or false").below("isexec")),
    };
    Ok(LockEntry { path, artifact: Some(Artifact { id, size, n_files, is_exec }), extra: table })
}
