//! Stages: the nodes of the pipeline.
//!
//! As in DVC, a `.dvc` file is a stage too: one without a command, whose outputs are data sources.

use std::fmt;

use crate::path::{Location, RelPath};
use crate::settings::StageSettings;
use crate::value::{KeyPath, Table, Value};

/// The address of a stage: the file that declares it and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId {
    /// `dvc.yaml` or a `.dvc` file.
    pub file: RelPath,
    /// The name in a `dvc.yaml`, `group@key` for a generated stage; `None` for a `.dvc` file.
    pub name: Option<String>,
}

impl StageId {
    /// Returns the address of a stage in a `dvc.yaml`.
    pub fn named(file: RelPath, name: impl Into<String>) -> Self {
        Self { file, name: Some(name.into()) }
    }

    /// Returns the address of a `.dvc` file.
    pub fn data(file: RelPath) -> Self {
        Self { file, name: None }
    }

    /// Writes the address as DVC does for someone in the directory `from`: `train` for the `dvc.yaml` there,
    /// `sub/dvc.yaml:train` for another, `data.dvc` for a `.dvc` file.
    pub fn address(&self, from: &RelPath) -> String {
        let file = self.file.relative_to(from);
        match &self.name {
            None => file,
            Some(name) if file == "dvc.yaml" => name.clone(),
            Some(name) => format!("{file}:{name}"),
        }
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address(&RelPath::root()))
    }
}

/// Returns what a `dvc.yaml` has to say for `text` to be taken as it is: a path with `${` in it is no template. Reading it
/// back gives the text again.
pub fn verbatim(text: &str) -> String {
    text.replace("${", "\\${")
}

/// A command as `dvc.yaml` and `dvc.lock` hold it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// One text; each line is a process of its own.
    Text(String),
    /// Several texts, one after the other, each a process of its own.
    List(Vec<String>),
}

impl Command {
    /// Returns what is given to the shell, one process each, in order: the lines of a text, the items of a list, which may
    /// have several lines. Blank ones are left out.
    pub fn lines(&self) -> Vec<&str> {
        let commands: Vec<&str> = match self {
            Self::Text(text) => text.lines().collect(),
            Self::List(texts) => texts.iter().map(String::as_str).collect(),
        };
        commands.into_iter().filter(|command| !command.trim().is_empty()).collect()
    }

    /// Returns what a `dvc.yaml` has to say for this very command to run: `${` of the shell is no template there. Reading
    /// it back gives the command again.
    #[must_use]
    pub fn verbatim(&self) -> Self {
        match self {
            Self::Text(text) => Self::Text(verbatim(text)),
            Self::List(texts) => Self::List(texts.iter().map(|text| verbatim(text)).collect()),
        }
    }

    /// Returns the value that stands in `dvc.lock`.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(texts) => {
                Value::List(texts.iter().map(|text| Value::from(text.as_str())).collect())
            }
        }
    }
}

/// Something a stage reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Dep {
    /// The text as the file has it, relative to the stage's working directory.
    pub path: String,
    /// Where that is.
    pub location: Location,
}

/// A parameter that a stage depends on, or a whole file of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamRef {
    /// The file as the stage writes it, relative to its working directory: `params.yaml`, `../params.yaml`.
    pub file: String,
    /// Where that is.
    pub location: Location,
    /// The key, as it is written; `None` for the whole file.
    pub key: Option<KeyPath>,
}

/// What an output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutKind {
    /// Data or a model.
    Data,
    /// A metrics file.
    Metric,
    /// A plot's data or image.
    Plot,
}

/// Something a stage writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Out {
    /// The text as the file has it, relative to the stage's working directory.
    pub path: String,
    /// Where that is.
    pub location: Location,
    /// What it is for.
    pub kind: OutKind,
    /// Whether its content goes to the store (`cache: true`, the default) or into Git.
    pub cache: bool,
    /// Whether it is kept in place when its stage runs again.
    pub persist: bool,
    /// Whether it is sent to remotes.
    pub push: bool,
    /// The remote it belongs to, when it is not the default one.
    pub remote: Option<String>,
    /// Everything else that is written beside the path: `desc`, `type`, `labels`, `meta`, plot properties.
    pub extra: Table,
}

/// A node of the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Its address.
    pub id: StageId,
    /// The working directory, relative to the workspace's root.
    pub wdir: RelPath,
    /// What is run; `None` for a `.dvc` file.
    pub cmd: Option<Command>,
    /// What it reads, in the order of the file.
    pub deps: Vec<Dep>,
    /// Which parameters it reads: those of the default file first, else in the order of the file.
    pub params: Vec<ParamRef>,
    /// What it writes: `outs`, then `metrics`, then `plots`, each in the order of the file.
    pub outs: Vec<Out>,
    /// Whether it is never run again until it is unfrozen.
    pub frozen: bool,
    /// Whether it always counts as changed.
    pub always_changed: bool,
    /// The description, if any.
    pub desc: Option<String>,
    /// What the user or `exp` keeps with it; DVC does not look at it.
    pub meta: Value,
    /// What `meta` says to `exp`.
    pub settings: StageSettings,
    /// Parameters whose values were used in `${…}`, as `(file relative to root, keys)`; shown, not compared.
    pub interpolated: Vec<(RelPath, Vec<KeyPath>)>,
    /// Whether its definition comes from a template (`${…}`, `foreach`, `matrix`) and cannot be rewritten.
    pub generated: bool,
}

impl Stage {
    /// Returns a stage without command, dependencies and outputs, in the directory of its file.
    pub fn new(id: StageId) -> Self {
        let wdir = id.file.parent().unwrap_or_else(RelPath::root);
        Self {
            id,
            wdir,
            cmd: None,
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
            frozen: false,
            always_changed: false,
            desc: None,
            meta: Value::Null,
            settings: StageSettings::default(),
            interpolated: Vec::new(),
            generated: false,
        }
    }

    /// Returns whether this is a `.dvc` file: nothing is run, its outputs are data sources.
    pub fn is_data_source(&self) -> bool {
        self.cmd.is_none()
    }

    /// Returns whether it has a command and neither dependencies, parameters nor outputs: DVC calls that a callback and
    /// runs it every time.
    pub fn is_callback(&self) -> bool {
        self.cmd.is_some() && self.deps.is_empty() && self.params.is_empty() && self.outs.is_empty()
    }
}
