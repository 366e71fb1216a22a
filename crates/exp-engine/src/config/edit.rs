//! Changing one level of the configuration.
//!
//! Every change is checked against the whole configuration as it would be afterwards; if that is not valid, the
//! file stays as it is. The file is replaced in one step.

use std::path::Path;

use super::error::ConfigError;
use super::key::{ConfigKey, ConfigLevel, ConfigSection, ConfigValue};
use super::text::ConfigText;
use super::{Config, ConfigFiles, schema};
use crate::files::{self, FileError};

/// A remote to be added.
#[derive(Debug, Clone, Copy)]
pub struct RemoteAdd<'a> {
    /// Its name; DVC holds names in lower case.
    pub name: &'a str,
    /// Where it is, as the user writes it; a relative path is relative to `base`.
    pub url: &'a str,
    /// The absolute directory that relative paths start from.
    pub base: &'a Path,
    /// Whether it becomes the default remote.
    pub default: bool,
    /// Whether it may replace a remote of the same name, whose other options are then gone.
    pub replace: bool,
}

impl ConfigFiles {
    /// Sets an option at `level`.
    ///
    /// A relative path is taken from the absolute directory `base` and stored relative to the file.
    pub fn set(
        &self,
        level: ConfigLevel,
        key: &ConfigKey,
        value: &str,
        base: &Path,
    ) -> Result<(), ConfigError> {
        self.edit(level, |text, _| self.put(level, text, key, value, base))
    }

    /// Takes an option away at `level`.
    ///
    /// # Errors
    ///
    /// When it is not set there.
    pub fn unset(&self, level: ConfigLevel, key: &ConfigKey) -> Result<(), ConfigError> {
        self.edit(level, |text, _| {
            if text.unset(key) {
                return Ok(());
            }
            let section = &key.section;
            // DVC sees every plain section that exists in its schema as there and empty.
            let known = section.name.is_none() && schema::sections().contains(&&*section.group);
            if known || text.has_section(section) {
                return Err(ConfigError::NotSet(key.clone()));
            }
            let group = section.name.as_ref().map(|_| section.group.clone());
            let section = section.name.clone().unwrap_or_else(|| section.group.clone());
            Err(ConfigError::SectionNotSet { section, group })
        })
    }

    /// Adds a remote at `level`.
    pub fn add_remote(
        &self,
        level: ConfigLevel,
        remote: &RemoteAdd<'_>,
    ) -> Result<(), ConfigError> {
        let section = ConfigSection::remote(remote.name);
        self.edit(level, |text, _| {
            if text.has_section(&section) && !remote.replace {
                return Err(ConfigError::RemoteExists(remote.name.to_lowercase()));
            }
            let others: Vec<ConfigKey> = text
                .options()
                .map(|(key, _)| key)
                .filter(|key| key.section == section && key.option != "url")
                .collect();
            for key in others {
                text.unset(&key);
            }
            self.put(level, text, &section.option("url"), remote.url, remote.base)?;
            if remote.default {
                let name = remote.name.to_lowercase();
                self.put(level, text, &ConfigKey::plain("core", "remote"), &name, remote.base)?;
            }
            Ok(())
        })
    }

    /// Sets an option of a remote at `level`, or takes it away with `None`.
    ///
    /// The remote must be configured at `level` or a weaker one; taking away what is not set is no error.
    pub fn modify_remote(
        &self,
        level: ConfigLevel,
        key: &ConfigKey,
        value: Option<&str>,
        base: &Path,
    ) -> Result<(), ConfigError> {
        let name = key.section.name.clone().unwrap_or_default();
        self.edit(level, |text, weaker| {
            if !text.has_section(&key.section) && !weaker.has_remote(&name) {
                return Err(weaker.remote_not_found(&name));
            }
            text.add_section(&key.section);
            match value {
                Some(value) => self.put(level, text, key, value, base)?,
                None => {
                    text.unset(key);
                }
            }
            Ok(())
        })
    }

    /// Takes a remote away at `level`; where it is the default at that level or a stronger one, there is none.
    pub fn remove_remote(&self, level: ConfigLevel, name: &str) -> Result<(), ConfigError> {
        let section = ConfigSection::remote(name);
        self.edit(level, |text, weaker| {
            if text.remove_section(&section) { Ok(()) } else { Err(weaker.remote_not_found(name)) }
        })?;
        self.follow_options(level, name, None)?;
        self.follow_default(level, name, None)
    }

    /// Renames a remote at `level`; where it is the default at that level or a stronger one, it stays so.
    pub fn rename_remote(
        &self,
        level: ConfigLevel,
        name: &str,
        new: &str,
    ) -> Result<(), ConfigError> {
        if self.load_unchecked()?.has_remote(new) {
            return Err(ConfigError::RemoteExists(new.to_lowercase()));
        }
        let (from, to) = (ConfigSection::remote(name), ConfigSection::remote(new));
        self.edit(level, |text, weaker| {
            if !text.rename_section(&from, &to) {
                return Err(weaker.remote_not_found(name));
            }
            replace_default(text, name, Some(new))
        })?;
        self.follow_options(level, name, Some(new))?;
        self.follow_default(level, name, Some(new))
    }

    /// Makes a configured remote the default at `level`, or takes the default away with `None`.
    pub fn set_default_remote(
        &self,
        level: ConfigLevel,
        name: Option<&str>,
    ) -> Result<(), ConfigError> {
        let key = ConfigKey::plain("core", "remote");
        self.edit(level, |text, weaker| {
            let Some(name) = name else {
                text.unset(&key);
                return Ok(());
            };
            if !text.has_section(&ConfigSection::remote(name)) && !weaker.has_remote(name) {
                return Err(ConfigError::DefaultNotFound(name.to_lowercase()));
            }
            self.put(level, text, &key, &name.to_lowercase(), Path::new(""))
        })
    }

    /// Takes along what stronger levels than `level` add to a remote, secrets above all: options of a remote that has no
    /// URL any more would make every command fail.
    fn follow_options(
        &self,
        level: ConfigLevel,
        name: &str,
        new: Option<&str>,
    ) -> Result<(), ConfigError> {
        let section = ConfigSection::remote(name);
        let url = ConfigKey { section: section.clone(), option: "url".to_owned() };
        for stronger in ConfigLevel::ALL.into_iter().filter(|other| *other > level) {
            let Some(text) = self.read_level(stronger)? else { continue };
            if !text.has_section(&section) || text.get(&url).is_some() {
                continue;
            }
            self.edit(stronger, |text, weaker| {
                // A weaker level has a remote of that name, too: these are its options now.
                if weaker.has_remote(name) {
                    return Ok(());
                }
                match new {
                    Some(new) => text.rename_section(&section, &ConfigSection::remote(new)),
                    None => text.remove_section(&section),
                };
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Changes `core.remote` at the levels from the strongest down to `level`.
    fn follow_default(
        &self,
        level: ConfigLevel,
        name: &str,
        new: Option<&str>,
    ) -> Result<(), ConfigError> {
        for stronger in ConfigLevel::ALL.into_iter().rev().take_while(|other| *other >= level) {
            let Some(text) = self.read_level(stronger)? else { continue };
            if text.get(&ConfigKey::plain("core", "remote")).and_then(ConfigValue::as_text)
                == Some(&name.to_lowercase())
            {
                self.edit(stronger, |text, _| replace_default(text, name, new))?;
            }
        }
        Ok(())
    }

    fn put(
        &self,
        level: ConfigLevel,
        text: &mut ConfigText,
        key: &ConfigKey,
        value: &str,
        base: &Path,
    ) -> Result<(), ConfigError> {
        let stored = match self.path(level).and_then(Path::parent) {
            Some(dir) if schema::is_path(key) => stored_path(value, base, dir),
            _ => value.to_owned(),
        };
        text.set(key, &ConfigValue::Text(stored)).map_err(|_| ConfigError::Unquotable(key.clone()))
    }

    /// Reads `level`, lets `change` edit it beside the weaker levels merged, checks the result, writes it.
    fn edit(
        &self,
        level: ConfigLevel,
        change: impl FnOnce(&mut ConfigText, &Config) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let path = self.path(level).ok_or(ConfigError::NoLevel(level))?;
        let before = self.read_level(level)?;
        let mut text = before.clone().unwrap_or_default();
        let mut merged = Config::default();
        for weaker in ConfigLevel::ALL.into_iter().filter(|other| *other < level) {
            if let Some(text) = self.read_level(weaker)? {
                merged.merge(weaker, self, &text);
            }
        }
        change(&mut text, &merged)?;
        merged.merge(level, self, &text);
        merged.check()?;
        if before.as_ref() == Some(&text) {
            return Ok(());
        }
        files::write(path, text.to_string().as_bytes()).map_err(|err| {
            let FileError { action, path, source } = err;
            ConfigError::Io { action, path, source }
        })
    }
}

fn replace_default(
    text: &mut ConfigText,
    name: &str,
    new: Option<&str>,
) -> Result<(), ConfigError> {
    let key = ConfigKey::plain("core", "remote");
    if text.get(&key).and_then(ConfigValue::as_text) != Some(&name.to_lowercase()) {
        return Ok(());
    }
    match new {
        None => {
            text.unset(&key);
            Ok(())
        }
        Some(new) => text
            .set(&key, &ConfigValue::Text(new.to_lowercase()))
            .map_err(|_| ConfigError::Unquotable(key)),
    }
}

/// Returns a path as DVC stores it: relative to `dir` if it is relative to `base`, else as it is.
fn stored_path(text: &str, base: &Path, dir: &Path) -> String {
    if super::has_scheme(text) || text.starts_with('~') || Path::new(text).is_absolute() {
        return text.to_owned();
    }
    let target = super::normal(&base.join(text));
    let dir = super::normal(dir);
    let (target, dir): (Vec<_>, Vec<_>) =
        (target.components().collect(), dir.components().collect());
    let common = target.iter().zip(&dir).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), dir.len() - common);
    let down = target[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<String> = up.chain(down).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}
