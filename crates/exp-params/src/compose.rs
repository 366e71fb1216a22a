//! Parameters composed of many files by the rules of Hydra 1.3: a primary configuration, groups of alternatives that
//! its defaults list chooses from, and interpolations.
//!
//! This is what DVC does before each `exp run` where `hydra.enabled` is set. Which files are taken and where their
//! contents go is found out by walking the defaults lists ([`defaults`]); they are merged in that order, overrides of
//! single values are made, interpolations are resolved ([`resolve`]), and the result is written as `OmegaConf` writes it
//! ([`emit`]). Hydra's own settings (`hydra.…`, groups below `hydra/`) decide how Hydra runs programs and are left out
//! of what it composes, so they are left out here from the beginning.

use std::collections::HashMap;

use exp_core::{PortError, Table, Value, YamlKind, YamlNode, YamlStyle, parse_yaml_spanned};

use crate::apply::ApplyError;
use crate::overrides::Override;
use crate::plan::steps;

mod defaults;
mod element;
mod emit;
mod resolve;

use defaults::{Choices, Found};

/// So many bytes at the beginning of a file may hold `# @package`.
const HEADER: usize = 512;
/// What a value is that has yet to be given.
const MISSING: &str = "???";

/// The files that are composed. Paths are those of Hydra: below the directory of the configurations, without `.yaml`.
pub trait ComposeFiles {
    /// Returns the text of `path` with `.yaml` behind it; `None` when there is no such file.
    fn read(&self, path: &str) -> Result<Option<String>, PortError>;

    /// Returns whether there is a directory at `path`, which is a group of alternatives.
    fn is_group(&self, path: &str) -> bool;

    /// Returns the names of the alternatives of a group, sorted, without `.yaml`; none when it is no group.
    fn options(&self, group: &str) -> Vec<String>;
}

/// Why parameters cannot be composed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// A configuration that is not there.
    #[error("{}there is no configuration `{config}`", within(parent.as_ref()))]
    NotFound {
        /// Its path below the directory of the configurations.
        config: String,
        /// The configuration whose defaults list asks for it; `None` for the primary one and for overrides.
        parent: Option<String>,
        /// What there is in its group.
        options: Vec<String>,
    },
    /// A configuration that cannot be read.
    #[error("`{config}` cannot be read")]
    Port {
        /// Its path.
        config: String,
        /// Why.
        source: PortError,
    },
    /// A configuration that is no YAML, or no map.
    #[error("`{config}` line {line}: {message}")]
    Syntax {
        /// Its path.
        config: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A defaults list that makes no sense.
    #[error("the defaults list of `{config}`: {message}")]
    Defaults {
        /// The configuration that has it.
        config: String,
        /// What is wrong.
        message: String,
    },
    /// An override of a group that nothing chooses from.
    #[error("{}nothing chooses `{key}`, so that it cannot be overridden", within(parent.as_ref()))]
    NotChosen {
        /// The group, with its package.
        key: String,
        /// The configuration that has the override; `None` for the command line.
        parent: Option<String>,
        /// How the group may be meant.
        near: Vec<String>,
    },
    /// A removal of a choice that nothing makes.
    #[error("nothing chooses `{key}`, so that it cannot be removed")]
    NotRemoved {
        /// The group, with its package and, if one was given, the alternative.
        key: String,
    },
    /// A group of which an alternative has yet to be chosen.
    #[error("no alternative of `{key}` is chosen")]
    Unchosen {
        /// The group, with its package.
        key: String,
        /// What there is to choose from.
        options: Vec<String>,
    },
    /// An override of a group with something other than names.
    #[error("`{key}` is a group: the names of its alternatives are expected")]
    NoName {
        /// The group.
        key: String,
    },
    /// A group that does not exist.
    #[error("there is no group `{key}`")]
    NoGroup {
        /// The group, with its package.
        key: String,
    },
    /// A map where a list is, or a list where a map is.
    #[error("`{config}` has a list where another configuration has a map, at `{key}`")]
    Mismatch {
        /// The configuration that is merged into the others.
        config: String,
        /// The dotted key.
        key: String,
    },
    /// An override of a value that cannot be made.
    #[error("the parameters cannot be changed")]
    Apply(#[from] ApplyError),
    /// An interpolation that has no value.
    #[error("`{text}` at `{key}`: {message}")]
    Interpolation {
        /// The dotted key of the value that has it.
        key: String,
        /// The value.
        text: String,
        /// What is wrong.
        message: String,
    },
    /// A resolver of `OmegaConf`, such as `${oc.env:HOME}`: what the parameters are would not be decided by the files.
    #[error("`{text}` at `{key}` needs the resolver `{resolver}`, which is not supported")]
    Resolver {
        /// The dotted key of the value that has it.
        key: String,
        /// The value.
        text: String,
        /// The name of the resolver.
        resolver: String,
    },
    /// Configurations that choose each other for ever, or values that refer to each other.
    #[error("`{config}` is nested too deeply, or in itself")]
    TooDeep {
        /// The configuration or the key.
        config: String,
    },
}

fn within(parent: Option<&String>) -> String {
    parent.map(|parent| format!("in `{parent}`: ")).unwrap_or_default()
}

/// Composes the parameters that the primary configuration `name` and the overrides ask for, and writes them as DVC
/// writes `params.yaml`.
///
/// `db=pg` chooses an alternative where there is a group `db`, and sets a value where there is none; so do `+db=pg`,
/// which adds a choice, and `~db`, which removes one. `db@backup=pg` chooses for a package.
pub fn compose(
    files: &dyn ComposeFiles,
    name: &str,
    overrides: &[Override],
) -> Result<String, ComposeError> {
    let mut configs = Configs { files, loaded: HashMap::new() };
    let (choices, changes) = Choices::of(files, overrides)?;
    let list = defaults::list(&mut configs, name, choices)?;
    let mut root = Value::Table(Table::new());
    for found in list {
        let Some(config) = configs.load(&found.config)? else { continue };
        merge_at(&mut root, &found, &config.value)?;
    }
    for change in changes {
        for step in steps(&root, change)? {
            step.perform(&mut root);
        }
    }
    if let Value::Table(table) = &mut root {
        table.shift_remove("hydra");
    }
    let resolved = resolve::resolve(&root)?;
    Ok(emit::emit(&resolved))
}

/// A configuration as it was read.
#[derive(Debug, Clone)]
struct Config {
    /// Everything but the defaults list.
    value: Value,
    /// The items of the defaults list.
    defaults: Vec<Value>,
    /// What `# @package` at its beginning says.
    package: Option<String>,
}

/// Reads each configuration once.
struct Configs<'f> {
    files: &'f dyn ComposeFiles,
    loaded: HashMap<String, Option<Config>>,
}

impl Configs<'_> {
    fn load(&mut self, path: &str) -> Result<Option<Config>, ComposeError> {
        if let Some(known) = self.loaded.get(path) {
            return Ok(known.clone());
        }
        let name = path.strip_suffix(".yaml").unwrap_or(path);
        let port = |source| ComposeError::Port { config: path.to_owned(), source };
        let text = self.files.read(name).map_err(port)?;
        let config = text.map(|text| parse(path, &text)).transpose()?;
        self.loaded.insert(path.to_owned(), config.clone());
        Ok(config)
    }
}

fn parse(path: &str, text: &str) -> Result<Config, ComposeError> {
    // OmegaConf reads YAML 1.1.
    let directive = "%YAML 1.1\n";
    let is_open = text.lines().any(|line| line.starts_with("---"));
    let whole = if text.starts_with('%') {
        text.to_owned()
    } else if is_open {
        format!("{directive}{text}")
    } else {
        format!("{directive}--- \n{text}")
    };
    let n_added = whole.lines().count() - text.lines().count();
    let syntax = |line: usize, message: String| ComposeError::Syntax {
        config: path.to_owned(),
        line: line.saturating_sub(n_added).max(1),
        message,
    };
    let node = parse_yaml_spanned(&whole).map_err(|error| syntax(error.line, error.message))?;
    // Aliases and merge keys are resolved by the reader; what is left is what 1.1 means to Python.
    let value = node.to_value().map_err(|error| syntax(error.line, error.message))?;
    let mut value = pythonic(&node, value);
    if value == Value::Null {
        value = Value::Table(Table::new());
    }
    let Value::Table(table) = &mut value else {
        return Err(syntax(1, "a map is expected".to_owned()));
    };
    let defaults = match table.shift_remove("defaults") {
        None => Vec::new(),
        Some(Value::List(items)) => items,
        Some(_) => {
            let message = "it is no list".to_owned();
            return Err(ComposeError::Defaults { config: path.to_owned(), message });
        }
    };
    Ok(Config { value, defaults, package: header(path, text)? })
}

/// Makes of a value what `OmegaConf` makes of it: dates are text, and so are `y` and `n`.
fn pythonic(node: &YamlNode, value: Value) -> Value {
    let node = node.resolved();
    match (value, &node.kind) {
        (Value::Date(text), _) => Value::Text(text),
        (Value::Bool(truth), YamlKind::Scalar(_))
            if node.style == YamlStyle::Plain && node.span.end - node.span.start == 1 =>
        {
            Value::from(if truth { "y" } else { "n" })
        }
        (Value::List(items), YamlKind::List(nodes)) if items.len() == nodes.len() => {
            Value::List(items.into_iter().zip(nodes).map(|(v, node)| pythonic(node, v)).collect())
        }
        (Value::Table(table), YamlKind::Map(_)) => Value::Table(
            (table.into_iter())
                .map(|(key, value)| match node.entry(&key) {
                    Some(entry) => {
                        let value = pythonic(&entry.value, value);
                        (key, value)
                    }
                    None => (key, value),
                })
                .collect(),
        ),
        (value, _) => value,
    }
}

/// Returns what `# @package NAME` at the beginning of a configuration says.
fn header(path: &str, text: &str) -> Result<Option<String>, ComposeError> {
    let mut end = text.len().min(HEADER);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut package = None;
    for (at, line) in text[..end].lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let Some(comment) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim())
        else {
            break;
        };
        if !comment.starts_with('@') {
            break;
        }
        let words: Vec<&str> = comment.split(' ').filter(|word| !word.is_empty()).collect();
        let [key, value] = words[..] else {
            let message = "a header is a key and a value".to_owned();
            return Err(ComposeError::Syntax { config: path.to_owned(), line: at + 1, message });
        };
        if key == "@package" {
            package = Some(value.to_owned());
        }
    }
    Ok(package)
}

/// Merges a configuration into the others, below its package.
fn merge_at(root: &mut Value, found: &Found, value: &Value) -> Result<(), ComposeError> {
    let mut value = value.clone();
    for part in found.package.split('.').filter(|part| !part.is_empty()).rev() {
        value = Value::Table([(part.to_owned(), value)].into_iter().collect());
    }
    merge(root, value, "", &found.config)
}

/// Merges as `OmegaConf` does: maps member by member, everything else replaces; `???` replaces nothing.
fn merge(into: &mut Value, value: Value, key: &str, config: &str) -> Result<(), ComposeError> {
    let mismatch = || ComposeError::Mismatch { config: config.to_owned(), key: key.to_owned() };
    match (&mut *into, value) {
        (Value::Table(table), Value::Table(members)) => {
            for (name, value) in members {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                match table.get_mut(&name) {
                    Some(known) => merge(known, value, &key, config)?,
                    None => _ = table.insert(name, value),
                }
            }
            Ok(())
        }
        (Value::Table(_), Value::List(_)) | (Value::List(_), Value::Table(_)) => Err(mismatch()),
        (_, Value::Text(text)) if text == MISSING => Ok(()),
        (into, value) => {
            *into = value;
            Ok(())
        }
    }
}
