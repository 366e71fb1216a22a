//! Text -> [`LockFile`] and [`StageLock`].

use crate::digest::{Algorithm, Artifact, DigestError, ObjectId};
use crate::pipeline::meant;
use crate::stage::Command;
use crate::value::{Table, Value};
use crate::yaml::{SyntaxError, line_of, locate, parse_yaml};

use super::edit::has_conflict_markers;
use super::versions::listed;
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
        /// The text of that line.
        text: String,
        /// What is wrong.
        message: String,
    },
    /// A merge left its conflict markers behind.
    #[error("line {line}: merge conflict")]
    Conflict {
        /// The line of the first marker, from 1.
        line: usize,
        /// The text of that line.
        text: String,
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
        /// The text of that line.
        text: String,
    },
    /// Valid YAML that is no lock file.
    #[error("line {line}, column {column}: {message} at `{}`", at.join("."))]
    Invalid {
        /// The way to the place, from the outside in: keys, and numbers of list items.
        at: Box<[String]>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The text of that line; empty when it is not known.
        text: String,
        /// What is wrong.
        message: String,
        /// The key that was probably meant, when it is an unknown one.
        did_you_mean: Option<&'static str>,
    },
    /// A record that cannot be written: another reader of YAML would take it for something else.
    #[error("the record of stage `{stage}` would be read as something else")]
    Unfaithful {
        /// The stage.
        stage: String,
    },
}

impl LockError {
    /// Makes the error for broken YAML in `text`.
    pub(crate) fn syntax(text: &str, error: SyntaxError) -> Self {
        let SyntaxError { line, column, message } = error;
        Self::Syntax { line, column, text: line_of(text, line), message }
    }

    /// Returns the key that was probably meant, when the error is an unknown one.
    pub fn did_you_mean(&self) -> Option<&str> {
        match self {
            Self::Invalid { did_you_mean, .. } => *did_you_mean,
            _ => None,
        }
    }

    /// Returns the line and the column, both from 1, and the text of the line; `None` when it is about no place.
    pub fn place(&self) -> Option<(usize, usize, &str)> {
        match self {
            Self::Conflict { line, text } => Some((*line, 1, text)),
            Self::Syntax { line, column, text, .. }
            | Self::Schema { line, column, text, .. }
            | Self::Invalid { line, column, text, .. } => Some((*line, *column, text)),
            Self::Unfaithful { .. } => None,
        }
    }
}

/// What is wrong, and the way to it, the innermost part first.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) at: Vec<String>,
    /// The key that was probably meant.
    pub(crate) did_you_mean: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Vec::new(), did_you_mean: None }
    }

    /// Makes the fault of a key that is none of the known ones.
    pub(crate) fn unknown(key: &str, known: &[&'static str]) -> Self {
        Self { did_you_mean: meant(key, known), ..Self::new("unknown key") }
    }

    pub(crate) fn below(mut self, part: impl Into<String>) -> Self {
        self.at.push(part.into());
        self
    }

    pub(super) fn wrong_type(value: &Value, expect: &str) -> Self {
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
        Some(line) => LockError::Conflict { line, text: line_of(text, line) },
        None => LockError::syntax(text, error),
    })?;
    table_of(value).map_err(|fault| invalid(text, fault))
}

pub(super) fn schema_error(text: &str, found: Option<&Value>) -> LockError {
    let span = locate(text, &["schema".to_owned()]);
    let found = found.map(|value| match value {
        Value::Text(text) => text.clone(),
        value => crate::json::python_json(value, crate::json::KeyOrder::AsIs),
    });
    let (line, column) = (span.line, span.column);
    LockError::Schema { found, line, column, text: line_of(text, line) }
}

pub(crate) fn invalid(text: &str, fault: Fault) -> LockError {
    let Fault { message, mut at, did_you_mean } = fault;
    at.reverse();
    let span = locate(text, &at);
    let (line, column, at) = (span.line, span.column, at.into());
    LockError::Invalid { at, line, column, text: line_of(text, line), message, did_you_mean }
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
    let mut stage = StageLock::empty();
    for (key, value) in table_of(value)? {
        let part = match key.as_str() {
            "cmd" => command_of(value).map(|cmd| stage.cmd = Some(cmd)),
            "deps" => entries_of(value).map(|deps| stage.deps = deps),
            "outs" => entries_of(value).map(|outs| stage.outs = outs),
            "params" => params_of(value).map(|params| stage.params = params),
            _ => Err(Fault::unknown(&key, &["cmd", "deps", "outs", "params"])),
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

/// Returns the MD5 digest that is all digits and was written without quotes, or what is none when it is too short. As a
/// number it lost its leading zeros; that more than four of them were there is less likely than that it is no digest.
pub(super) fn unquoted(number: i128) -> String {
    let text = number.to_string();
    if (28..32).contains(&text.len()) && number > 0 { format!("{number:032}") } else { text }
}

/// Reads a dependency or output of a lock file; keys that are not known stay in `extra`.
pub(crate) fn entry_of(mut table: Table) -> Result<LockEntry, Fault> {
    match table.get("path") {
        Some(Value::Text(_)) => {}
        Some(value) => return Err(Fault::wrong_type(value, "text").below("path")),
        None => return Err(Fault::new("`path` is missing")),
    }
    let algorithm = match table.get("hash") {
        None | Some(Value::Null) if table.contains_key("sha256") => Algorithm::Sha256,
        None | Some(Value::Null) => Algorithm::Md5Dos2Unix,
        Some(Value::Text(name)) if name == "md5" => Algorithm::Md5,
        Some(Value::Text(name)) if name == "sha256" => Algorithm::Sha256,
        Some(Value::Text(name)) if name == "md5-dos2unix" => Algorithm::Md5Dos2Unix,
        Some(_) if table.contains_key("md5") => {
            return Err(Fault::new("unknown hash").below("hash"));
        }
        Some(_) => return entry_with(table, None),
    };
    let key = algorithm.key();
    let wrong_digest = |error: DigestError| Fault::new(error.to_string()).below(key);
    let id = match table.get(key) {
        Some(Value::Text(text)) if text.is_empty() => None,
        Some(Value::Text(text)) if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            let text = text.to_ascii_lowercase();
            Some(ObjectId::parse(algorithm, &text).map_err(wrong_digest)?)
        }
        Some(Value::Text(text)) => Some(ObjectId::parse(algorithm, text).map_err(wrong_digest)?),
        Some(Value::Int(number)) => {
            Some(ObjectId::parse(algorithm, &unquoted(*number)).map_err(wrong_digest)?)
        }
        None | Some(Value::Null) => None,
        Some(value) => return Err(Fault::wrong_type(value, "a digest").below(key)),
    };
    let Some(id) = id else {
        let artifact = match table.get("files") {
            None | Some(Value::Null) => None,
            Some(rows) => listed(rows, algorithm).map_err(|fault| fault.below("files"))?,
        };
        if artifact.is_some() {
            table.shift_remove("hash");
        }
        return entry_with(table, artifact);
    };
    let mut path = String::new();
    let mut artifact = Artifact { id, size: None, n_files: None, is_exec: false };
    let mut extra = Table::new();
    for (name, value) in table {
        let known = match (name.as_str(), value) {
            ("path", value) => text_of(value).map(|text| path = text),
            ("size", value) => number_of(&value).map(|size| artifact.size = size),
            ("nfiles", value) => number_of(&value).map(|n_files| artifact.n_files = n_files),
            ("hash", _) | ("isexec", Value::Null) => Ok(()),
            ("isexec", Value::Bool(truth)) => {
                artifact.is_exec = truth;
                Ok(())
            }
            ("isexec", value) => Err(Fault::wrong_type(&value, "true or false")),
            (digest, _) if digest == key => Ok(()),
            (_, value) => {
                extra.insert(name, value);
                continue;
            }
        };
        known.map_err(|fault| fault.below(name))?;
    }
    Ok(LockEntry { path, artifact: Some(artifact), extra })
}

/// Makes an entry that keeps everything but its path.
fn entry_with(mut table: Table, artifact: Option<Artifact>) -> Result<LockEntry, Fault> {
    let path = table.shift_remove("path").map_or_else(|| Ok(String::new()), text_of)?;
    Ok(LockEntry { path, artifact, extra: table })
}

fn number_of(value: &Value) -> Result<Option<u64>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::Int(number) => {
            u64::try_from(*number).map(Some).map_err(|_| Fault::new("not a size"))
        }
        value => Err(Fault::wrong_type(value, "a whole number")),
    }
}
