//! `config`: read and change options.

use std::path::Path;

use exp_engine::{
    ConfigEntry, ConfigError, ConfigFiles, ConfigKey, ConfigLevel, ConfigSection, shown_url,
};

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::config::ConfigArgs;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) const COMMANDS: &[CommandSpec] = &[command! {
    args: ConfigArgs,
    run: config,
    exp: Some("config"),
    dvc: Some("config"),
    topic: Topic::Settings,
    about: "Print or change an option of the configuration",
    long: "Print or change an option of the configuration.\n\nFour files are read, each shadowing the one \
           before: the machine's, the user's, the project's (.dvc/config, committed) and the project's on this \
           machine (.dvc/config.local, never committed). Without a level, reading looks at all of them and \
           writing changes the project's.\n\nA relative path is taken from the current directory. Passwords and \
           keys belong into --local or --global; neither lists nor the value of one show them.\n\nExamples:\n  exp config core.remote \
           store\n  exp config --local remote.store.password secret\n  exp config --unset core.remote\n  exp \
           config --list --show-origin",
    dvc_failure: DvcFailure { code: 251, prefix: "configuration error" },
}];

fn config(session: &mut Session<'_, '_>, args: &ConfigArgs) -> Outcome {
    let refuse = |text: &str| Err(Failure::Refused(text.to_owned()));
    if args.show_origin && (args.value.is_some() || args.unset) {
        return refuse(
            "--show-origin can't be used together with any of these options: -u/--unset, value",
        );
    }
    let files = session.config_files();
    let levels = levels(&files, args.level.level())?;
    if args.list {
        if args.name.is_some() || args.unset {
            return refuse(
                "-l/--list can't be used together with any of these options: -u/--unset, name, value",
            );
        }
        return list(session, &files, &levels, args.show_origin);
    }
    let Some(name) = &args.name else { return refuse("name argument is required") };
    let key: ConfigKey = name.parse()?;
    let level = args.level.level();
    let base = session.cwd().to_path_buf();
    match (&args.value, args.unset) {
        (_, true) => files.unset(level.unwrap_or(ConfigLevel::Project), &key)?,
        (Some(value), false) => {
            let level = level.unwrap_or(ConfigLevel::Project);
            guard_secret(session, level, &key, value)?;
            files.set(level, &key, value, &base)?;
        }
        (None, false) => return get(session, &files, &levels, &key, args),
    }
    Ok(ExitStatus::DONE)
}

/// Returns the levels that are looked at, the weakest first.
fn levels(
    files: &ConfigFiles,
    asked: Option<ConfigLevel>,
) -> Result<Vec<ConfigLevel>, ConfigError> {
    match asked {
        Some(level) if files.path(level).is_none() => Err(ConfigError::NoLevel(level)),
        Some(level) => Ok(vec![level]),
        None => {
            Ok(ConfigLevel::ALL.into_iter().filter(|level| files.path(*level).is_some()).collect())
        }
    }
}

fn list(
    session: &mut Session<'_, '_>,
    files: &ConfigFiles,
    levels: &[ConfigLevel],
    show_origin: bool,
) -> Outcome {
    for level in levels {
        let config = files.load_level(*level)?;
        // DVC lists named sections first.
        let (named, plain): (Vec<_>, Vec<_>) =
            config.entries().iter().partition(|entry| entry.key.section.name.is_some());
        for entry in named.into_iter().chain(plain) {
            let origin = origin(session, show_origin.then_some(entry.path.as_path()), *level);
            let value = masked(entry);
            session.say(&format!("{origin}{}={value}", entry.key))?;
        }
    }
    Ok(ExitStatus::DONE)
}

/// Returns a value without what is nobody's to see.
fn masked(entry: &ConfigEntry) -> String {
    if entry.is_secret() { "***".to_owned() } else { shown_url(&entry.value.to_string()) }
}

/// Keeps secrets out of the file that is committed: refuses in our grammar, warns in DVC's.
pub(super) fn guard_secret(
    session: &mut Session<'_, '_>,
    level: ConfigLevel,
    key: &ConfigKey,
    value: &str,
) -> Result<(), Failure> {
    let has_secret = key.is_secret() || (key.option == "url" && shown_url(value) != value);
    if level != ConfigLevel::Project || !has_secret {
        return Ok(());
    }
    if session.is_dvc() {
        return session.warn(&format!(
            "WARNING: '{key}' is a secret, and '.dvc/config' is committed to Git. Use '--local' to keep it out."
        ));
    }
    Err(Failure::TextUsage(format!(
        "`{key}` is a secret, and .dvc/config is committed\nhint: give `--local` to set it on this machine only"
    )))
}

fn get(
    session: &mut Session<'_, '_>,
    files: &ConfigFiles,
    levels: &[ConfigLevel],
    key: &ConfigKey,
    args: &ConfigArgs,
) -> Outcome {
    for level in levels.iter().rev() {
        let config = files.load_level(*level)?;
        if let Some(entry) = config.entry(key) {
            let origin = origin(session, args.show_origin.then_some(entry.path.as_path()), *level);
            // A script that speaks DVC's grammar gets what DVC gives it.
            let is_shown = session.is_dvc();
            let value = if is_shown { entry.value.to_string() } else { masked(entry) };
            session.say(&format!("{origin}{value}"))?;
            return Ok(ExitStatus::DONE);
        }
    }
    if args.level.level().is_some() {
        return Err(not_set(files, levels, key)?.into());
    }
    // Without a level, an option that is not set prints nothing, as in DVC.
    Ok(if session.is_dvc() { ExitStatus::DONE } else { ExitStatus::FAILED })
}

fn not_set(
    files: &ConfigFiles,
    levels: &[ConfigLevel],
    key: &ConfigKey,
) -> Result<ConfigError, ConfigError> {
    let section: &ConfigSection = &key.section;
    let Some(name) = &section.name else { return Ok(ConfigError::NotSet(key.clone())) };
    for level in levels {
        if files.read_level(*level)?.is_some_and(|text| text.has_section(section)) {
            return Ok(ConfigError::NotSet(key.clone()));
        }
    }
    Ok(ConfigError::SectionNotSet { section: name.clone(), group: Some(section.group.clone()) })
}

/// Returns the file before a value and a tab, relative to the root for files of the project.
fn origin(session: &Session<'_, '_>, path: Option<&Path>, level: ConfigLevel) -> String {
    let Some(path) = path else { return String::new() };
    let root = session.io.env.project_root();
    let shown = match (level, root) {
        (ConfigLevel::Project | ConfigLevel::Local, Some(root)) => {
            path.strip_prefix(root).unwrap_or(path)
        }
        _ => path,
    };
    format!("{}\t", shown.display())
}
