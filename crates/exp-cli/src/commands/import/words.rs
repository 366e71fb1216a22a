//! Failures of imports in DVC's words and with its exit codes; ours are the engine's messages.

use exp_engine::refs::{MirrorError, RevisionError, TransportError};
use exp_engine::{ConfigError, Error, ImportError, OfImportsOnly, Project, SyncError};

use super::is_unknown_revision;
use crate::commands::data::words as data;
use crate::diagnostic::{Failure, chain};
use crate::session::Session;

/// What was asked for, which DVC names when it fails.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    /// `import`.
    Import { path: &'a str, url: &'a str },
    /// `import-url`.
    ImportUrl { url: &'a str },
    /// `update`.
    Update,
    /// `get`.
    Get { path: &'a str, url: &'a str },
    /// `get --show-url`.
    ShowUrl,
    /// `get-url`.
    GetUrl { url: &'a str },
    /// `list`.
    List { url: &'a str },
    /// `list-url`, `du`: DVC catches nothing.
    Plain,
}

impl Asked<'_> {
    /// Returns what DVC says before the cause.
    pub(super) fn prefix(&self, error: Option<&Error>) -> String {
        let is_clone = error.is_some_and(is_clone);
        match self {
            Self::Import { path, .. } if is_clone => format!("failed to import '{path}' - "),
            Self::Import { path, url } => format!("failed to import '{path}' from '{url}'. - "),
            Self::ImportUrl { url } => format!(
                "failed to import {url}. You could also try downloading it manually, and adding it with `dvc add`. - "
            ),
            Self::Update => "failed update data - ".to_owned(),
            Self::Get { path, .. } if is_clone => format!("failed to get '{path}' - "),
            Self::Get { path, url } => format!("failed to get '{path}' from '{url}' - "),
            Self::GetUrl { url } => format!("failed to get '{url}' - "),
            Self::List { url } => format!("failed to list '{url}' - "),
            Self::ShowUrl | Self::Plain => String::new(),
        }
    }

    /// Returns DVC's exit code: 255 where it does not catch the failure.
    fn code(&self, error: &Error) -> u8 {
        let is_missing = matches!(
            error,
            Error::Import(ImportError::NotInRepository { .. } | ImportError::MissingObjects { .. })
        );
        match self {
            Self::ShowUrl | Self::Plain => 255,
            Self::List { .. } => 1,
            _ if is_missing => 255,
            _ => 1,
        }
    }
}

/// Words an error of a command that needs a project.
pub(super) fn worded(
    session: &Session<'_, '_>,
    project: &Project,
    (asked, error): (Asked<'_>, Error),
) -> Failure {
    if session.is_dvc() && matches!(error, Error::Data(_) | Error::TrackedByGit { .. }) {
        let prefix = asked.prefix(Some(&error));
        if let Failure::Dvc { message, .. } = data::worded(session, project, error) {
            let message = unknown_target(project, &message).unwrap_or(message);
            return Failure::Dvc { message: format!("{prefix}{message}"), code: 1 };
        }
        return Failure::Dvc { message: format!("{prefix}it cannot be there"), code: 1 };
    }
    apart(session, (asked, error))
}

/// `update` looks for the file only.
fn unknown_target(project: &Project, message: &str) -> Option<String> {
    let (target, _) = message.split_once("' does not exist as an output or a stage name in")?;
    let target = target.strip_prefix('\'')?;
    let path = project.root().join(target);
    Some(format!("'{}' does not exist", path.display()))
}

/// Words an error of a command that needs no project.
pub(super) fn apart(session: &Session<'_, '_>, (asked, error): (Asked<'_>, Error)) -> Failure {
    if !session.is_dvc() || matches!(error, Error::Cancelled(_) | Error::NotInProject { .. }) {
        return error.into();
    }
    let message = message(session, asked, &error);
    let is_bare = matches!(
        (asked, &error),
        (Asked::List { .. }, Error::Import(ImportError::NotInRepository { .. }))
    );
    let prefix = if is_bare { String::new() } else { asked.prefix(Some(&error)) };
    Failure::Dvc { message: format!("{prefix}{message}"), code: asked.code(&error) }
}

fn message(session: &Session<'_, '_>, asked: Asked<'_>, error: &Error) -> String {
    if is_unknown_revision(error)
        && let Some(revision) = revision(error)
    {
        return format!("unknown Git revision '{revision}'");
    }
    if let Error::Config(ConfigError::RemoteNotFound { name, .. }) = error {
        return format!("config file error: remote '{name}' doesn't exist");
    }
    if let Error::Sync(SyncError::OnlyVersions { .. }) = error {
        let command = if matches!(asked, Asked::Update) { "update" } else { "import-url" };
        return format!(
            "config file error: '{command}' is unsupported for cloud versioned remotes"
        );
    }
    let Error::Import(import) = error else { return chain(error).join(": ") };
    match import {
        ImportError::Exists { path, is_dir } => {
            let kind = if *is_dir { "directory" } else { "file" };
            format!(
                "The {kind} '{path}' already exists locally. \nTo override it, re-run with '--force'."
            )
        }
        ImportError::Absent { url } => absent(session, asked, url),
        ImportError::DvcFile { .. } => {
            "the given path is a DVC file, you must specify a data file or a directory".to_owned()
        }
        ImportError::NotInRepository { path, url, .. } => {
            let root = session.cwd().join(url);
            let root = root.canonicalize().unwrap_or(root);
            let full = root.join(path.as_str());
            format!("[Errno 2] No such file or directory: '{}'", full.display())
        }
        ImportError::NotData { path, .. } => {
            format!("Unable to find DVC file with output '{path}': ('{path}',)")
        }
        ImportError::NotAnImport { file } => {
            format!("update is not supported for '{file}' that is not an import.")
        }
        ImportError::OfImportsOnly { asked, .. } => {
            let flag = match asked {
                OfImportsOnly::Revision => "--rev",
                OfImportsOnly::Record => "--no-download",
                OfImportsOnly::Remote => "--to-remote",
            };
            format!("{flag} can't be used with worktree update")
        }
        ImportError::RepositoryToRemote { .. } => {
            "Data imported from other DVC or Git repositories can't be updated with --to-remote"
                .to_owned()
        }
        ImportError::NoRepository { url } => {
            format!("SCM error: Failed to clone repo '{url}': No git repository was found at {url}")
        }
        ImportError::Mirror(MirrorError::Transport(_)) => {
            format!("SCM error: Failed to clone repo: {}", chain(error).join(": "))
        }
        _ => chain(error).join(": "),
    }
}

fn absent(session: &Session<'_, '_>, asked: Asked<'_>, url: &str) -> String {
    let is_path = !url.contains("://");
    match asked {
        Asked::ImportUrl { .. } if is_path => {
            let full = session.cwd().join(url);
            let full = full
                .parent()
                .and_then(|dir| Some(dir.canonicalize().ok()?.join(full.file_name()?)));
            let full = full.unwrap_or_else(|| session.cwd().join(url));
            format!("dependency '{}' does not exist", full.display())
        }
        Asked::ImportUrl { .. } | Asked::Update => format!("dependency '{url}' does not exist"),
        Asked::Plain if is_path => {
            let full = session.cwd().join(url);
            format!(
                "The path '{url}' does not exist: [Errno 2] No such file or directory: '{}'",
                full.display()
            )
        }
        _ => format!("The path '{url}' does not exist"),
    }
}

fn is_clone(error: &Error) -> bool {
    matches!(
        error,
        Error::Import(
            ImportError::NoRepository { .. } | ImportError::Mirror(MirrorError::Transport(_))
        )
    ) || matches!(error, Error::Transport(TransportError::Missing { .. }))
}

fn revision(error: &Error) -> Option<&str> {
    match error {
        Error::Revision(RevisionError::Unknown { revision, .. })
        | Error::Import(ImportError::Mirror(MirrorError::Revision(RevisionError::Unknown {
            revision,
            ..
        }))) => Some(revision),
        _ => None,
    }
}
