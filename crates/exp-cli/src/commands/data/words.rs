//! Failures of data commands in DVC's words; ours are the engine's messages.

use exp_engine::core::{EditError, GraphError, Location, PathError, RelPath, SelectError};
use exp_engine::{DataError, Error, Project, StageError, SyncError};

use crate::args::data::MoveArgs;
use crate::diagnostic::Failure;
use crate::session::Session;

/// Words an error as the grammar does. DVC's exit code is 1 for what is refused, 255 where a checkout fails.
pub(in crate::commands) fn worded(
    session: &Session<'_, '_>,
    project: &Project,
    error: Error,
) -> Failure {
    if !session.is_dvc() {
        return error.into();
    }
    let cwd = project.relative(session.cwd());
    match dvc(project, &cwd, &error) {
        Some((message, code)) => Failure::Dvc { message, code },
        None => error.into(),
    }
}

fn dvc(project: &Project, cwd: &RelPath, error: &Error) -> Option<(String, u8)> {
    let shown = |path: &RelPath| path.relative_to(cwd);
    let full = |path: &RelPath| path.under(project.root()).display().to_string();
    Some(match error {
        Error::Sync(SyncError::OnlyVersions { .. }) => {
            ("config file error: 'add' is unsupported for cloud versioned remotes".to_owned(), 1)
        }
        Error::TrackedByGit { path } => {
            let path = shown(path);
            let text = format!(
                " output '{path}' is already tracked by SCM (e.g. Git).\n    You can remove it from Git, then add \
                 to DVC.\n        To stop tracking from Git:\n            git rm -r --cached '{path}'\n            git \
                 commit -m \"stop tracking {path}\" "
            );
            (text, 1)
        }
        Error::Path(PathError::Outside(path)) => (outside(path), 1),
        Error::Data(DataError::Outside { path }) => (outside(&path.display().to_string()), 1),
        Error::Data(DataError::DvcFile { path }) => {
            (format!("DVC file '{}' cannot be an output.", shown(path)), 1)
        }
        Error::Data(DataError::Absent { path }) => {
            let (short, full) = (shown(path), full(path));
            let cause = format!("[Errno 2] No such file or directory: '{full}'");
            (format!("output '{short}' does not exist: {cause}"), 1)
        }
        Error::InTheWay { paths } => {
            let paths: Vec<String> = paths.iter().map(shown).collect();
            let text = format!(
                "The file '{}' already exists locally. \nTo override it, re-run with '--force'.",
                paths.join("', '")
            );
            (text, 1)
        }
        Error::Graph(GraphError::OverlappingOuts { outer, inner }) => {
            let at = |location: &Location| match location.workspace() {
                Some(path) => shown(path),
                None => location.to_string(),
            };
            let (outer_at, inner_at) = (at(&outer.location), at(&inner.location));
            let stage = inner.stage.address(cwd);
            let text = format!(
                "Cannot add '{outer_at}', because it is overlapping with other DVC tracked output: '{inner_at}'.\nTo \
                 include '{inner_at}' in '{outer_at}', run 'dvc remove {stage}' and then 'dvc add {outer_at}'"
            );
            (text, 1)
        }
        Error::Data(DataError::Ignored { path, rule }) => {
            (format!("Path '{}' is ignored by {rule}", full(path)), 1)
        }
        Error::Data(DataError::PipelineOutput { path, stage }) => {
            let (name, file) = (stage.name.as_deref().unwrap_or_default(), shown(&stage.file));
            let text = format!(
                "cannot update '{}': overlaps with an output of stage: '{name}' in '{file}'.\nRun the pipeline or use \
                 'dvc commit' to force update it.",
                path.file_name().unwrap_or_default()
            );
            (text, 1)
        }
        Error::Data(DataError::NotAccepted { stages }) => {
            let stage = stages.first().map(|stage| stage.address(cwd)).unwrap_or_default();
            let text =
                format!("unable to commit changed stage: '{stage}'. Use `-f|--force` to force.");
            (text, 1)
        }
        Error::Data(DataError::UnknownTarget { text, source }) => {
            (unknown_target(project, text, source), 255)
        }
        Error::Data(DataError::NoMatch { patterns }) => {
            let patterns: Vec<String> =
                patterns.iter().map(|pattern| format!("'{pattern}'")).collect();
            (format!("Glob [{}] has no matches.", patterns.join(", ")), 1)
        }
        Error::Data(DataError::Unsaved { paths }) => {
            let mut text = "Can't remove the following unsaved files without confirmation. Use `--force` to force."
                .to_owned();
            for path in paths {
                text.push_str(&format!("\n{}", full(path)));
            }
            (text, 255)
        }
        Error::MissingData { paths } => {
            let targets: Vec<String> = paths.iter().map(shown).collect();
            let text = format!(
                "Checkout failed for following targets:\n{}\nIs your cache up to date?\n\
                 <https://error.dvc.org/missing-files>",
                targets.join("\n")
            );
            (text, 255)
        }
        _ => return None,
    })
}

fn outside(path: &str) -> String {
    format!(
        "Cached output(s) outside of DVC project: {path}. See <https://dvc.org/doc/user-guide/data-management/\
         importing-external-data> for more info."
    )
}

/// Words what kept a removal from being done.
pub(super) fn of_remove(session: &Session<'_, '_>, project: &Project, error: Error) -> Failure {
    let is_dvc = session.is_dvc();
    let cwd = project.relative(session.cwd());
    let message = match &error {
        Error::Data(DataError::UnknownTarget { source, .. }) if is_dvc => match source.as_ref() {
            SelectError::UnknownFile { file } => {
                format!("'{}' does not exist", file.under(project.root()).display())
            }
            source => unknown(project, "", source).1,
        },
        Error::Data(DataError::NotDvcFile { text, .. }) if is_dvc => format!(
            "'{text}' is not a .dvc file. Do you mean '{text}.dvc'?: Stage '{text}' not found inside 'dvc.yaml' file"
        ),
        Error::Stage(StageError::Edit { source: EditError::Generated { name }, .. }) if is_dvc => {
            format!("cannot remove a parametrized stage: '{name}'")
        }
        Error::Select(SelectError::UnknownFile { file }) if is_dvc => {
            format!("'{}' does not exist", file.relative_to(&cwd))
        }
        _ => return worded(session, project, error),
    };
    Failure::Dvc { message, code: 1 }
}

/// Words what kept a move from being done.
pub(super) fn of_move(
    session: &Session<'_, '_>,
    project: &Project,
    error: Error,
    args: &MoveArgs,
) -> Failure {
    if !session.is_dvc() {
        return error.into();
    }
    let cwd = project.relative(session.cwd());
    let cause = match &error {
        Error::Data(DataError::NotTracked { .. }) => {
            format!("Unable to find DVC file with output '{}'", args.src)
        }
        Error::Data(DataError::NotDataSource { stage }) => {
            let stage = stage.address(&cwd);
            format!(
                "move is not permitted for stages that are not data sources. You need to either move '{stage}' to a new \
                 location and edit it by hand, or remove '{stage}' and create a new one at the desired location."
            )
        }
        Error::Stage(StageError::NoDirectory { dir }) => {
            format!("stage working dir '{}' does not exist", dir.display())
        }
        Error::InTheWay { paths } => {
            let paths: Vec<String> = paths.iter().map(|path| path.relative_to(&cwd)).collect();
            format!("'{}' already exists", paths.join("', '"))
        }
        _ => match worded(session, project, error) {
            Failure::Dvc { message, .. } => message,
            other => return other,
        },
    };
    let message = format!("failed to move '{}' -> '{}' - {cause}", args.src, args.dst);
    Failure::Dvc { message, code: 1 }
}

fn unknown_target(project: &Project, text: &str, source: &SelectError) -> String {
    let (file, cause) = unknown(project, text, source);
    format!("'{text}' does not exist as an output or a stage name in '{file}': {cause}")
}

/// Returns the file in which a target was looked for, and what DVC says of it.
fn unknown(project: &Project, text: &str, source: &SelectError) -> (String, String) {
    match source {
        SelectError::UnknownStage { file, name, .. } => {
            (file.to_string(), format!("Stage '{name}' not found inside '{file}' file"))
        }
        SelectError::UnknownFile { file } if file.under(project.root()).is_file() => {
            (file.to_string(), format!("Stage '{text}' not found inside '{file}' file"))
        }
        SelectError::UnknownFile { file } => (file.to_string(), format!("'{file}' does not exist")),
        other => ("dvc.yaml".to_owned(), other.to_string()),
    }
}

/// Adds what DVC says in front when a target of a checkout is unknown.
pub(super) fn did_you_mean_git(failure: Failure, target: &str) -> Failure {
    match failure {
        Failure::Dvc { message, code } => {
            let message = format!("Did you mean `git checkout {target}`?: {message}");
            Failure::Dvc { message, code }
        }
        failure => failure,
    }
}

/// Adds what DVC says in front when a commit fails.
pub(super) fn failed_to_commit(failure: Failure, targets: &[String]) -> Failure {
    match failure {
        Failure::Dvc { message, .. } => {
            let space = if targets.is_empty() { "" } else { " " };
            let targets = targets.join(" ");
            // Only where a file is added DVC names the cause of a missing output.
            let message = message.split(" does not exist: [Errno").next().map_or_else(
                || message.clone(),
                |head| {
                    if head.len() < message.len() {
                        format!("{head} does not exist")
                    } else {
                        head.to_owned()
                    }
                },
            );
            Failure::Dvc {
                message: format!("failed to commit{space}{targets} - {message}"),
                code: 1,
            }
        }
        failure => failure,
    }
}

/// Writes paths for a command line, relative to `cwd`.
pub(in crate::commands) fn quoted(files: &[RelPath], cwd: &RelPath) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    let words = files.iter().map(|file| {
        let text = file.relative_to(cwd);
        if text.chars().all(is_plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', "'\"'\"'"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Joins parts as in a sentence: `a, b and c`.
pub(in crate::commands) fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}
