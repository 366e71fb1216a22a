//! What to do about an error: commands, which the libraries do not know.

use exp_engine::params::ApplyError;
use exp_engine::refs::{BranchError, CommitError, EditError, FindError};
use exp_engine::{ConfigError, DataError, Error, SelectorError, SyncError};

/// Returns suggestions for an error, the best first.
pub(super) fn of(error: &Error) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match error {
        Error::NotInProject { .. } => one("run `exp init` to make a project here"),
        Error::NoCommit => {
            one("run `git add -A && git commit` first: experiments start from a commit")
        }
        Error::Commit(CommitError::NoIdentity { missing }) => {
            vec![format!("run `git config --global {missing} …`: a commit says who made it")]
        }
        Error::Pipeline(error) => {
            error.did_you_mean().map(|key| format!("did you mean `{key}`?")).into_iter().collect()
        }
        Error::Config(error) => config(error),
        Error::Settings(exp_engine::SettingsError::Newer { .. }) => {
            one("this project was made by a newer `exp`; install that version")
        }
        Error::Busy { .. } => one("wait for the other command, or give `--wait-for-lock`"),
        Error::MissingData { .. } => {
            one("run `exp pull NAME` to bring the data of an experiment, then try again")
        }
        Error::Unsaved { .. } => {
            one("leave out `--no-save`: what is replaced is kept for `exp undo`")
        }
        Error::InTheWay { .. } => one("move it away, then try again"),
        Error::ChangedSince { refs, .. } if refs.is_empty() => {
            one("give `--force` to go over it; what it holds is kept")
        }
        Error::Find(error) => find(error),
        Error::Edit(EditError::Exists { .. }) => {
            one("choose another name, or give `--force` to replace it")
        }
        Error::Branch(BranchError::Exists { .. }) => one("name another branch"),
        Error::Selector(SelectorError::NoDirection { metric, .. }) => {
            vec![format!("write `best:{metric}:min` or `best:{metric}:max`")]
        }
        Error::Selector(SelectorError::NoMetric { .. }) => {
            one("write `best:METRIC:min` or `best:METRIC:max`")
        }
        Error::Selector(SelectorError::None { .. }) => one("run `exp run` first"),
        Error::Apply { source, .. } => parameter(source),
        Error::Data(error) => data(error),
        Error::Sync(error) => sync(error),
        _ => Vec::new(),
    }
}

fn parameter(error: &ApplyError) -> Vec<String> {
    let ApplyError::NotFound { key, near } = error else { return Vec::new() };
    let near: Vec<String> = near.iter().map(|key| format!("`{key}`")).collect();
    let mut hints = Vec::new();
    if !near.is_empty() {
        hints.push(format!("did you mean {}?", near.join(" or ")));
    }
    hints.push(format!("write `+{key}=VALUE` to add it"));
    hints
}

fn find(error: &FindError) -> Vec<String> {
    match error {
        FindError::NotFound { near, .. } if !near.is_empty() => {
            let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
            vec![format!("did you mean {}?", near.join(" or "))]
        }
        FindError::NotFound { .. } => {
            vec!["run `exp list --all-commits` for what there is".to_owned()]
        }
        FindError::Ambiguous { candidates, .. } => {
            let refs: Vec<&str> =
                candidates.iter().take(10).map(|one| one.ref_name.as_str()).collect();
            vec![format!("write one of these in full: {}", refs.join(", "))]
        }
        _ => Vec::new(),
    }
}

/// Returns the paths and refs that an error is about and that its message only counts.
pub(super) fn listed(error: &Error) -> Vec<String> {
    match error {
        Error::MissingData { paths } | Error::Unsaved { paths } | Error::InTheWay { paths } => {
            paths.iter().map(ToString::to_string).collect()
        }
        Error::ChangedSince { paths, refs } => {
            paths.iter().map(ToString::to_string).chain(refs.iter().cloned()).collect()
        }
        _ => Vec::new(),
    }
}

fn data(error: &DataError) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match error {
        DataError::DvcFile { .. } => one("name the data, not the file that tracks it"),
        DataError::PipelineOutput { .. } => {
            one("run the stage, or record its output with `exp data commit --force`")
        }
        DataError::NotAccepted { .. } => {
            one("run `exp repro`, or give `--force` to record them without running")
        }
        DataError::UnknownTarget { .. } => one("run `exp stage list --all` for what there is"),
        _ => Vec::new(),
    }
}

fn sync(error: &SyncError) -> Vec<String> {
    match error {
        SyncError::NoRemote { .. } => vec![
            "run `exp remote add -d store ../store` to have a data remote".to_owned(),
            "give `--no-data` to push results only; others cannot apply them".to_owned(),
        ],
        SyncError::MissingData { missing } => match missing.first() {
            Some(one) => vec![format!(
                "run `exp apply {}` where the data is, or give `--no-data` to push results only",
                one.experiment
            )],
            None => Vec::new(),
        },
        SyncError::NotMoved { .. } => {
            vec!["what was sent stays; the same command sends the rest".to_owned()]
        }
        SyncError::NotOnRemote { remote, .. } => {
            vec![format!("run `exp list {remote}` for what there is")]
        }
        _ => Vec::new(),
    }
}

fn config(error: &ConfigError) -> Vec<String> {
    match error {
        ConfigError::UnknownSection { nearest: Some(nearest), .. } => {
            vec![format!("did you mean `{nearest}`?")]
        }
        ConfigError::UnknownOption { nearest: Some(nearest), key, .. } => {
            vec![format!("did you mean `{}.{nearest}`?", key.section)]
        }
        ConfigError::RemoteNotFound { nearest, .. } => match nearest {
            Some(nearest) => vec![format!("did you mean `{nearest}`?")],
            None => vec!["run `exp remote list` for the remotes".to_owned()],
        },
        ConfigError::DefaultNotFound(name) => {
            vec![format!("run `exp remote add {name} URL` first")]
        }
        ConfigError::RemoteExists(_) => vec!["give `--force` to replace it".to_owned()],
        ConfigError::BadName(_) => {
            vec!["write `section.option` or `remote.NAME.option`".to_owned()]
        }
        ConfigError::RemoteWithoutUrl { name } => {
            vec![format!("run `exp remote modify {name} url URL`")]
        }
        _ => Vec::new(),
    }
}

/// Returns the name most like `text`, if one begins like it or differs in a letter or two.
pub(super) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    exp_engine::nearest_name(text, names)
}
