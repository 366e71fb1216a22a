//! What can be wrong with a configuration, as facts.

use std::io;
use std::path::PathBuf;

use super::key::{ConfigKey, ConfigLevel};

/// A configuration that cannot be read, is not valid, or cannot be changed as asked.
///
/// No variant carries the value of a secret option.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file-system operation that failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A configuration file that is not UTF-8.
    #[error("`{}` is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// A line that is no section, option or comment.
    #[error("`{}` line {}: {}", path.display(), syntax.line, syntax.problem)]
    Syntax {
        /// The file; empty for text that came from no file.
        path: PathBuf,
        /// Where and what.
        syntax: ConfigSyntax,
    },
    /// A section that does not exist.
    #[error("unknown section `{section}`{}", in_file(path.as_ref()))]
    UnknownSection {
        /// The file that has it; `None` when it was asked for.
        path: Option<PathBuf>,
        /// The section.
        section: String,
        /// The section with the most similar name, if one is similar.
        nearest: Option<String>,
    },
    /// An option that its section does not have.
    #[error("unknown option `{key}`{}", in_file(path.as_ref()))]
    UnknownOption {
        /// The file that has it; `None` when it was asked for.
        path: Option<PathBuf>,
        /// The option.
        key: Box<ConfigKey>,
        /// The option of that section with the most similar name, if one is similar.
        nearest: Option<String>,
    },
    /// A value that its option cannot have.
    #[error("`{key}` is {}, expected {expected}{}", shown(value.as_ref()), in_file(path.as_ref()))]
    BadValue {
        /// The file that has it; `None` when it was asked for.
        path: Option<PathBuf>,
        /// The option.
        key: Box<ConfigKey>,
        /// The value as it is written; `None` for a secret.
        value: Option<String>,
        /// What the option takes, as DVC words it: `true or false`, `int`, `one of group`.
        expected: String,
    },
    /// A remote whose merged configuration has no `url`.
    #[error("remote `{name}` has no url")]
    RemoteWithoutUrl {
        /// The remote.
        name: String,
    },
    /// A remote whose URL has a scheme that nothing here knows.
    #[error("remote `{name}` has an unsupported url `{scheme}://`")]
    UnsupportedScheme {
        /// The remote.
        name: String,
        /// The scheme without `://`.
        scheme: String,
    },
    /// A name that is neither `section.option` nor `remote.name.option`.
    #[error("`{0}` is not the name of an option")]
    BadName(String),
    /// The section that was to be changed is not in that file.
    #[error("section `{section}` is not set")]
    SectionNotSet {
        /// The section as `core` or the name of a remote.
        section: String,
        /// `remote` or `db` when the section is a named one.
        group: Option<String>,
    },
    /// The option that was to be changed is not in that file.
    #[error("option `{0}` is not set")]
    NotSet(ConfigKey),
    /// No remote of this name is configured.
    #[error("remote `{name}` is not configured")]
    RemoteNotFound {
        /// The name that was asked for.
        name: String,
        /// The configured name that is most similar, if one is similar.
        nearest: Option<String>,
    },
    /// A remote of this name is configured already.
    #[error("remote `{0}` exists already")]
    RemoteExists(String),
    /// The default that was asked for is no configured remote.
    #[error("remote `{0}` is not configured and cannot be the default")]
    DefaultNotFound(String),
    /// A level that has no file: project and local outside of a project.
    #[error("there is no {} configuration outside of a project", .0.name())]
    NoLevel(ConfigLevel),
    /// Text that no quotes can hold, because it has all of them.
    #[error("the value of `{0}` cannot be written: it has quotes of every kind")]
    Unquotable(ConfigKey),
}

/// Where and how a configuration text is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSyntax {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The line as it is written.
    pub text: String,
    /// What is wrong with it.
    pub problem: SyntaxProblem,
}

/// What is wrong with a line of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxProblem {
    /// It is no section, option or comment.
    #[error("not a section, an option or a comment")]
    Unreadable,
    /// The brackets of a section do not match.
    #[error("the brackets do not match")]
    Brackets,
    /// A section inside a section.
    #[error("sections cannot be nested")]
    Nested,
    /// An option before the first section.
    #[error("an option outside of a section")]
    NoSection,
    /// A section that the file has already.
    #[error("the section is there twice")]
    DuplicateSection,
    /// An option that its section has already.
    #[error("the option is there twice")]
    DuplicateOption,
    /// A value whose quotes do not end, or that goes on behind them.
    #[error("the value is not quoted correctly")]
    Quotes,
}

fn in_file(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(" in `{}`", path.display())).unwrap_or_default()
}

fn shown(value: Option<&String>) -> String {
    value.map_or_else(|| "not valid".to_owned(), |value| format!("`{value}`"))
}
