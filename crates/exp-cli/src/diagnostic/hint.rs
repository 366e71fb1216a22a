//! What to do about an error: commands, which the libraries do not know.

use exp_engine::{ConfigError, DataError, Error, SyncError};

/// Returns suggestions for an error, the best first.
pub(super) fn of(error: &Error) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match error {
        Error::NotInProject { .. } => one("run `exp init` to make a project here"),
        Error::NoCommit => {
            one("run `git add -A && git commit` first: experiments start from a commit")
        }
        Error::Config(error) => config(error),
        Error::Settings(exp_engine::SettingsError::Newer { .. }) => {
            one("this project was made by a newer `exp`; install that version")
        }
        Error::Busy { .. } => one("wait for the other command, or give `--wait-for-lock`"),
        Error::Data(error) => data(error),
        Error::Sync(error) => sync(error),
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
