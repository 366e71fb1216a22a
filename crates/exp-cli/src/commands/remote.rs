//! `remote`: where data is shared.

use exp_engine::{ConfigKey, ConfigLevel, RemoteAdd};

use super::config::guard_secret;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::remote::{AddArgs, DefaultArgs, ListArgs, ModifyArgs, RemoveArgs, RenameArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;

const FAILURE: DvcFailure = DvcFailure { code: 251, prefix: "configuration error" };

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: AddArgs,
        run: add,
        exp: Some("remote add"),
        dvc: Some("remote add"),
        topic: Topic::Settings,
        about: "Add a place that data is pushed to",
        long: "Add a place that data is pushed to.\n\nA path is stored relative to the configuration file, so \
               that it holds for everyone who lays the project out alike.\n\nExamples:\n  exp remote add -d store \
               ../store\n  exp remote add backup /mnt/backup",
        dvc_failure: FAILURE,
    },
    command! {
        args: ListArgs,
        run: list,
        exp: Some("remote list"),
        dvc: Some("remote list"),
        topic: Topic::Settings,
        about: "List the remotes",
        long: "",
        dvc_failure: FAILURE,
    },
    command! {
        args: ModifyArgs,
        run: modify,
        exp: Some("remote modify"),
        dvc: Some("remote modify"),
        topic: Topic::Settings,
        about: "Change an option of a remote",
        long: "Change an option of a remote.\n\nPasswords and keys belong into --local or --global, which are \
               not committed.\n\nExamples:\n  exp remote modify store url ../elsewhere\n  exp remote modify \
               --local store password secret\n  exp remote modify --unset store jobs",
        dvc_failure: FAILURE,
    },
    command! {
        args: DefaultArgs,
        run: default,
        exp: Some("remote default"),
        dvc: Some("remote default"),
        topic: Topic::Settings,
        about: "Print or choose the default remote",
        long: "",
        dvc_failure: FAILURE,
    },
    command! {
        args: RemoveArgs,
        run: remove,
        exp: Some("remote remove"),
        dvc: Some("remote remove"),
        topic: Topic::Settings,
        about: "Forget a remote; what it holds stays there",
        long: "",
        dvc_failure: FAILURE,
    },
    command! {
        args: RenameArgs,
        run: rename,
        exp: Some("remote rename"),
        dvc: Some("remote rename"),
        topic: Topic::Settings,
        about: "Give a remote another name",
        long: "",
        dvc_failure: FAILURE,
    },
];

fn add(session: &mut Session<'_, '_>, args: &AddArgs) -> Outcome {
    let name = args.name.to_lowercase();
    if args.default && session.is_dvc() {
        session.note(&format!("Setting '{name}' as a default remote."))?;
    }
    let level = level(args.level.level());
    guard_secret(session, level, &ConfigKey::remote(&name, "url"), &args.url)?;
    let base = session.cwd().to_path_buf();
    let remote = RemoteAdd {
        name: &name,
        url: &args.url,
        base: &base,
        default: args.default,
        replace: args.force,
    };
    session.config_files().add_remote(level, &remote)?;
    if !session.is_dvc() {
        let default = if args.default { ", the default" } else { "" };
        session.note(&format!("Added remote `{name}`{default}."))?;
    }
    Ok(ExitStatus::DONE)
}

fn list(session: &mut Session<'_, '_>, args: &ListArgs) -> Outcome {
    let files = session.config_files();
    let config = match args.level.level() {
        Some(level) => files.load_level(level)?,
        None => files.load_unchecked()?,
    };
    for remote in config.remotes() {
        let url = remote.shown_url();
        let mut line = remote.name.clone();
        tab(&mut line);
        line.push_str(&url);
        if remote.is_default {
            tab(&mut line);
            line.push_str("(default)");
        }
        session.say(&line)?;
    }
    Ok(ExitStatus::DONE)
}

/// Fills up with blanks to the next multiple of eight columns, as DVC expands its tabs.
fn tab(line: &mut String) {
    let width = line.chars().count();
    line.extend(std::iter::repeat_n(' ', 8 - width % 8));
}

fn modify(session: &mut Session<'_, '_>, args: &ModifyArgs) -> Outcome {
    if args.value.is_none() && !args.unset && !session.is_dvc() {
        return Err(Failure::text_usage("the option needs a value, or --unset"));
    }
    let key = ConfigKey::remote(&args.name, &args.option);
    let value = if args.unset { None } else { args.value.as_deref() };
    if let Some(value) = value {
        guard_secret(session, level(args.level.level()), &key, value)?;
    }
    let base = session.cwd().to_path_buf();
    session.config_files().modify_remote(level(args.level.level()), &key, value, &base)?;
    Ok(ExitStatus::DONE)
}

fn default(session: &mut Session<'_, '_>, args: &DefaultArgs) -> Outcome {
    let files = session.config_files();
    if args.name.is_some() || args.unset {
        let name = args.name.as_deref().filter(|_| !args.unset);
        files.set_default_remote(level(args.level.level()), name)?;
        return Ok(ExitStatus::DONE);
    }
    let config = match args.level.level() {
        Some(level) => files.load_level(level)?,
        None => files.load_unchecked()?,
    };
    if let Some(name) = config.text("core", "remote").map(str::to_owned) {
        session.say(&name)?;
        return Ok(ExitStatus::DONE);
    }
    if session.is_dvc() {
        session.say("No default remote set")?;
    } else {
        session.note("No remote is the default.")?;
    }
    Ok(ExitStatus::FAILED)
}

fn remove(session: &mut Session<'_, '_>, args: &RemoveArgs) -> Outcome {
    session.config_files().remove_remote(level(args.level.level()), &args.name)?;
    Ok(ExitStatus::DONE)
}

fn rename(session: &mut Session<'_, '_>, args: &RenameArgs) -> Outcome {
    session.config_files().rename_remote(level(args.level.level()), &args.name, &args.new)?;
    Ok(ExitStatus::DONE)
}

/// Returns the level that is written: the project's unless another one is asked for.
fn level(asked: Option<ConfigLevel>) -> ConfigLevel {
    asked.unwrap_or(ConfigLevel::Project)
}
