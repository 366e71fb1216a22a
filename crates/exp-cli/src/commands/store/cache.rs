//! `cache dir`, `cache migrate`: where the store is, and in which layout.

use exp_engine::{ConfigKey, ConfigLevel, Error};

use super::super::Outcome;
use crate::args::store::{CacheDirArgs, CacheMigrateArgs};
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) fn dir(session: &mut Session<'_, '_>, args: &CacheDirArgs) -> Outcome {
    let files = session.config_files();
    let key = ConfigKey::plain("cache", "dir");
    let asked = args.level.level();
    let level = asked.unwrap_or(ConfigLevel::Project);
    match (&args.value, args.unset) {
        (_, true) => files.unset(level, &key)?,
        (Some(value), false) => {
            let base = session.cwd().to_path_buf();
            files.set(level, &key, value, &base)?;
            if !session.is_dvc() {
                session.note("what is stored stays where it was; move it there yourself")?;
            }
        }
        (None, false) => {
            let config = match asked {
                Some(level) => files.load_level(level)?,
                None => files.load_unchecked()?,
            };
            let shown = match config.cache_dir() {
                Some(dir) => dir.to_path_buf(),
                None if asked.is_some() => {
                    return Err(exp_engine::ConfigError::NotSet(key).into());
                }
                None => session.project_root()?.join(".dvc/cache"),
            };
            session.say(&shown.display().to_string())?;
        }
    }
    Ok(ExitStatus::DONE)
}

pub(super) fn migrate(session: &mut Session<'_, '_>, args: &CacheMigrateArgs) -> Outcome {
    let project = session.project()?;
    if args.dry {
        let n = session.look(|ctx| project.cache().old_objects(ctx)).map_err(Error::from)?.len();
        session.say(&format!(
            "{n} files will be re-hashed and migrated to the DVC 3.0 cache location."
        ))?;
        if args.dvc_files {
            dry_files(session, &project.old_records()?)?;
        }
        return Ok(ExitStatus::DONE);
    }
    let done = session.look(|ctx| project.cache().migrate(ctx)).map_err(Error::from)?;
    let n = if session.is_dvc() { done.names.len() as u64 } else { done.n_new };
    session.say(&format!("Migrated {n} files to DVC 3.0 cache location."))?;
    for (id, why) in &done.left {
        session.warn(&format!("warning: {id} stays as it is: {}", chain(why).join(": ")))?;
    }
    if args.dvc_files {
        let files = session.look(|ctx| project.migrate_records(ctx, &done))?;
        if files.changed.is_empty() && files.left.is_empty() {
            session.say("No DVC files in the repo to migrate to the 3.0 format.")?;
        }
        let cwd = project.relative(session.cwd());
        for file in &files.changed {
            let is_lock = file.file_name() == Some("dvc.lock");
            let what = if is_lock { "lock" } else { "DVC" };
            session.say(&format!("Updating {what} file '{}'", file.relative_to(&cwd)))?;
        }
        for path in &files.left {
            let path = path.relative_to(&cwd);
            session.warn(&format!("warning: the data of `{path}` is not in the store"))?;
        }
        if !session.is_dvc() && !files.changed.is_empty() {
            session.note("undo: exp undo")?;
        }
    }
    Ok(ExitStatus::DONE)
}

fn dry_files(
    session: &mut Session<'_, '_>,
    files: &[exp_engine::core::RelPath],
) -> Result<(), Failure> {
    if files.is_empty() {
        return session.say("No DVC files in the repo to migrate to the 3.0 format.");
    }
    session.say("Entries in following DVC files will be migrated to the 3.0 format:")?;
    for file in files {
        let lock = file.as_str().strip_suffix("dvc.yaml").map(|dir| format!("{dir}dvc.lock"));
        let lock = lock.map(|lock| format!(" ({lock})")).unwrap_or_default();
        session.say(&format!("\t{file}{lock}"))?;
    }
    Ok(())
}
