//! Failures in DVC's words, with DVC's exit codes.

use exp_engine::cache::CacheError;
use exp_engine::{ConfigError, ConfigKey, Error, ErrorKind, SyntaxProblem};

use super::{Failure, chain, dvc_usage};
use crate::commands::{CommandSpec, DvcFailure};
use crate::exit::ExitStatus;

/// Returns the text for standard error, the text for standard output, and the exit status.
pub(super) fn worded(
    failure: &Failure,
    command: Option<&CommandSpec>,
) -> (String, String, ExitStatus) {
    let usage = |message: String, help: &str| {
        (format!("ERROR: {message}\n"), help.to_owned(), ExitStatus::DVC_USAGE)
    };
    match failure {
        Failure::Engine(error) => engine(error, command),
        Failure::Init(error) => {
            let message = crate::commands::init::dvc_message(error);
            (
                format!("ERROR: failed to initiate DVC - {message}\n"),
                String::new(),
                ExitStatus::FAILED,
            )
        }
        Failure::Output(err) | Failure::Input(err) => {
            (format!("ERROR: unexpected error - {err}\n"), String::new(), ExitStatus::DVC_ERROR)
        }
        Failure::Usage { error, help } => usage(dvc_usage(error), help),
        Failure::TextUsage(text) => usage(text.clone(), ""),
        Failure::UnknownFlag { flag, help } => {
            usage(format!("unrecognized arguments: {flag}"), help)
        }
        Failure::Command { group, found, names, help } => {
            let message = match found {
                None if group.is_empty() => {
                    "the following arguments are required: command".to_owned()
                }
                None if group == "remote" => "the following arguments are required: cmd".to_owned(),
                None => format!("the following arguments are required: {{{}}}", names.join(",")),
                Some(found) => {
                    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
                    let names = names.join(", ");
                    format!("argument command: invalid choice: '{found}' (choose from {names})")
                }
            };
            usage(message, help)
        }
        Failure::Enter { dir, source } => (
            format!("ERROR: unexpected error - {source}: '{}'\n", dir.display()),
            String::new(),
            ExitStatus::DVC_ERROR,
        ),
        Failure::Refused(text) => (format!("ERROR: {text}\n"), String::new(), ExitStatus::FAILED),
        Failure::Dvc { message, code } => {
            (format!("ERROR: {message}\n"), String::new(), ExitStatus::from_code(*code))
        }
    }
}

fn engine(error: &Error, command: Option<&CommandSpec>) -> (String, String, ExitStatus) {
    let how = command.map_or(DvcFailure::PLAIN, |command| command.dvc_failure);
    let (prefix, status) = match error {
        Error::Config(ConfigError::BadName(_)) => ("", ExitStatus::DVC_USAGE),
        Error::Config(_) | Error::Settings(_) => ("configuration error", ExitStatus::DVC_CONFIG),
        Error::NotInProject { .. } => ("", ExitStatus::DVC_NO_PROJECT),
        _ if error.kind() == ErrorKind::Cancelled => ("", ExitStatus::DVC_INTERRUPTED),
        Error::Cache(CacheError::Refused { .. }) => ("", ExitStatus::DVC_ERROR),
        _ => (how.prefix, ExitStatus::from_code(how.code)),
    };
    let dash = if prefix.is_empty() { "" } else { " - " };
    (format!("ERROR: {prefix}{dash}{}\n", message(error)), String::new(), status)
}

/// Returns DVC's message for an error; ours where DVC has none.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::Config(ConfigError::BadName(_)) => "argument name: name argument should look like \
            remote.name.option or db.name.option or section.option"
            .to_owned(),
        Error::Config(error) => format!("config file error: {}", config(error)),
        Error::NotInProject { .. } => {
            "you are not inside of a DVC repository (checked up to mount point '/')".to_owned()
        }
        Error::Cache(CacheError::Refused { path }) => {
            let dir = path.parent().unwrap_or(path).display();
            format!(".dvcignore file should not be in collected dir path: '{dir}'")
        }
        error => super::pipeline::message(error).unwrap_or_else(|| chain(error).join(": ")),
    }
}

fn config(error: &ConfigError) -> String {
    match error {
        ConfigError::UnknownSection { section, .. } => {
            format!("extra keys not allowed @ data['{section}']")
        }
        ConfigError::UnknownOption { key, .. } => {
            format!("extra keys not allowed @ {}", data(key))
        }
        ConfigError::BadValue { key, value, expected, .. } => {
            let value = value.as_deref().unwrap_or_default();
            let problem = match key.option.as_str() {
                "type" => {
                    let known = ["reflink", "hardlink", "symlink", "copy"];
                    let wrong: Vec<&str> = value
                        .split(',')
                        .map(str::trim)
                        .filter(|item| !known.contains(item))
                        .collect();
                    format!("Unsupported cache type(s): {}", wrong.join(", "))
                }
                _ if expected.starts_with("a value of at least") => {
                    expected.replace("a value of", "value must be")
                }
                _ => format!("expected {expected}"),
            };
            format!("{problem} for dictionary value @ {}", data(key))
        }
        ConfigError::RemoteWithoutUrl { name } => {
            format!("expected 'url' for dictionary value @ data['remote']['{name}']")
        }
        ConfigError::UnsupportedScheme { name, scheme } => format!(
            "Unsupported URL type {scheme}:// for dictionary value @ data['remote']['{name}']"
        ),
        ConfigError::SectionNotSet { section, group } => {
            format!("{} '{section}' doesn't exist", group.as_deref().unwrap_or("section"))
        }
        ConfigError::NotSet(key) => {
            let (group, name) = match &key.section.name {
                Some(name) => (key.section.group.as_str(), name.as_str()),
                None => ("section", key.section.group.as_str()),
            };
            format!("option '{}' doesn't exist in {group} '{name}'", key.option)
        }
        ConfigError::RemoteNotFound { name, .. } => format!("remote '{name}' doesn't exist."),
        ConfigError::RemoteExists(name) => {
            format!("remote '{name}' already exists. Use `-f|--force` to overwrite it.")
        }
        ConfigError::DefaultNotFound(_) => {
            "default remote must be present in remote list.".to_owned()
        }
        ConfigError::NoLevel(_) => "Not inside a DVC repo".to_owned(),
        ConfigError::Syntax { syntax, .. } if syntax.problem == SyntaxProblem::Unreadable => {
            let (text, line) = (&syntax.text, syntax.line);
            let one = format!(
                "Invalid line ('{text}') (matched as neither section nor keyword) at line {line}."
            );
            format!("{one}: {one}")
        }
        error => chain(error).join(": "),
    }
}

/// Writes an option as the path into DVC's dictionaries.
fn data(key: &ConfigKey) -> String {
    match &key.section.name {
        None => format!("data['{}']['{}']", key.section.group, key.option),
        Some(name) => format!("data['{}']['{name}']['{}']", key.section.group, key.option),
    }
}
