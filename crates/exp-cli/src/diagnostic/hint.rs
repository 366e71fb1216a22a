//! What to do about an error: commands, which the libraries do not know.

use exp_engine::{ConfigError, Error};

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
