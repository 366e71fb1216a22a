//! What can be wrong with a `dvc.yaml`, and where.

use crate::path::RelPath;
use crate::port::PortError;
use crate::value::Value;

/// A `dvc.yaml` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {}", self.problem())]
pub struct PipelineError {
    /// The file.
    pub file: RelPath,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The text of that line.
    pub text: Box<str>,
    /// The way to the place, from the outside in: keys, and numbers of list items. Empty for broken YAML.
    pub at: Box<[String]>,
    /// What is wrong.
    pub fault: PipelineFault,
}

impl PipelineError {
    /// Says what is wrong and at which key, without the position.
    pub fn problem(&self) -> String {
        if self.at.is_empty() {
            return self.fault.to_string();
        }
        format!("{} at `{}`", self.fault, self.at.join("."))
    }

    /// Returns the key that was probably meant, when the error is an unknown one.
    pub fn did_you_mean(&self) -> Option<&str> {
        match &self.fault {
            PipelineFault::UnknownKey { did_you_mean, .. } => did_you_mean.as_deref(),
            _ => None,
        }
    }
}

/// What is wrong with a `dvc.yaml`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineFault {
    /// Broken YAML.
    #[error("{message}")]
    Syntax {
        /// What is wrong.
        message: String,
    },
    /// A merge left its conflict markers behind.
    #[error("merge conflict")]
    Conflict,
    /// A key that the grammar does not have there.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The key.
        key: String,
        /// The nearest key that the grammar has there.
        did_you_mean: Option<String>,
    },
    /// A value of the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What the grammar has there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A value of one of our settings that means nothing there.
    #[error("`{text}` is not {expected}")]
    Setting {
        /// The value.
        text: String,
        /// What the setting takes.
        expected: &'static str,
    },
    /// A key that has to be there.
    #[error("`{key}` is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A stage name with `@`, which only generated stages have.
    #[error("`{name}` is no stage name: `@` is kept for generated stages")]
    Name {
        /// The name.
        name: String,
    },
    /// A path or a command that is empty.
    #[error("an empty {what}")]
    Empty {
        /// What it is: `path` or `command`.
        what: &'static str,
    },
    /// A generated stage whose name ends with `@`, because an item or the grid is empty.
    #[error("a stage would be called `{name}`")]
    EmptyKey {
        /// The name.
        name: String,
    },
    /// A path or working directory that is not inside of the project.
    #[error("`{path}` is outside the project")]
    Outside {
        /// The path as it is written.
        path: String,
    },
    /// An expression without a value.
    #[error("`{expression}` has no value")]
    Unresolved {
        /// What stands in `${…}`.
        expression: String,
    },
    /// Text in `${…}` that is no expression.
    #[error("`{expression}` is not an expression")]
    Expression {
        /// What stands in `${…}`.
        expression: String,
    },
    /// `${…}` where it is not allowed: inside of `vars`.
    #[error("interpolation is not allowed here")]
    Interpolation,
    /// An expression whose value cannot stand where it is used.
    #[error("`{expression}` is {}, which cannot be written here", a(found))]
    NotScalar {
        /// What stands in `${…}`.
        expression: String,
        /// The type of its value.
        found: &'static str,
    },
    /// Two sources of values that give different values to one key.
    #[error("`{key}` from `{new}` is already defined in `{old}`")]
    Redefined {
        /// The key.
        key: String,
        /// The source read later.
        new: Box<str>,
        /// The source read before.
        old: Box<str>,
    },
    /// A file of `vars` that does not exist.
    #[error("there is no file `{file}`")]
    NoFile {
        /// The file as it is written.
        file: String,
    },
    /// A file of `vars` that does not have a key that is taken from it.
    #[error("`{file}` does not have `{key}`")]
    NoKey {
        /// The file as it is written.
        file: String,
        /// The key.
        key: String,
    },
    /// A file of `vars` that is taken from twice in ways that contradict each other.
    #[error("`{item}` is already loaded")]
    LoadedTwice {
        /// The item of `vars`.
        item: String,
    },
    /// A file of `vars`, or the `params.yaml` beside, that holds no map.
    #[error("`{file}` is {} and not a map of keys to values", a(found))]
    NotAMap {
        /// The file as it is written.
        file: String,
        /// The type of its value.
        found: &'static str,
    },
    /// A file of `vars`, or the `params.yaml` beside, that cannot be read.
    #[error("cannot load `{file}`")]
    Load {
        /// The file.
        file: RelPath,
        /// Why.
        source: PortError,
    },
}

/// Puts the article before the name of a type, where it takes one.
fn a(type_name: &str) -> String {
    match type_name {
        "null" | "text" => type_name.to_owned(),
        "int" => format!("an {type_name}"),
        _ => format!("a {type_name}"),
    }
}

/// A fault on its way out: the path is collected from the inside.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) fault: PipelineFault,
    at: Vec<String>,
}

impl Broken {
    pub(super) fn below(mut self, part: impl Into<String>) -> Self {
        self.at.push(part.into());
        self
    }

    pub(super) fn wrong_type(value: &Value, expected: &'static str) -> Self {
        PipelineFault::WrongType { expected, found: value.type_name() }.into()
    }

    /// Returns the path from the outside in.
    pub(super) fn path(&self) -> Vec<String> {
        self.at.iter().rev().cloned().collect()
    }
}

impl PipelineFault {
    /// Returns what stands in the `${…}` that the fault is about.
    pub(super) fn expression(&self) -> Option<&str> {
        match self {
            Self::Unresolved { expression }
            | Self::Expression { expression }
            | Self::NotScalar { expression, .. } => Some(expression),
            _ => None,
        }
    }
}

impl From<PipelineFault> for Broken {
    fn from(fault: PipelineFault) -> Self {
        Self { fault, at: Vec::new() }
    }
}
