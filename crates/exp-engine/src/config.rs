//! DVC's configuration: four files of which a later one shadows an earlier one.
//!
//! Which files these are, and where the home directory is, the caller says: nothing is read from the environment.

mod edit;
mod error;
mod key;
mod schema;
mod settings;
mod text;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use exp_core::ArgumentStyle;

pub use edit::RemoteAdd;
pub use error::{ConfigError, ConfigSyntax, SyntaxProblem};
pub use key::{ConfigKey, ConfigLevel, ConfigSection, ConfigValue, Secret};
pub use schema::nearest as nearest_name;
pub use settings::{ProjectSettings, SettingsError};
pub use text::ConfigText;

/// Where the files of the levels are. A level without a path, or whose file does not exist, has no settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFiles {
    /// The file of all users.
    pub system: Option<PathBuf>,
    /// The user's file.
    pub global: Option<PathBuf>,
    /// The project's `.dvc/config`.
    pub project: Option<PathBuf>,
    /// The project's `.dvc/config.local`.
    pub local: Option<PathBuf>,
    /// The home directory, which a leading `~` in a path stands for.
    pub home: Option<PathBuf>,
}

impl ConfigFiles {
    /// Adds the two files of the project whose `.dvc` directory is `dvc_dir`, an absolute path.
    #[must_use]
    pub fn in_project(mut self, dvc_dir: &Path) -> Self {
        self.project = Some(dvc_dir.join("config"));
        self.local = Some(dvc_dir.join("config.local"));
        self
    }

    /// Returns the file of a level.
    pub fn path(&self, level: ConfigLevel) -> Option<&Path> {
        match level {
            ConfigLevel::System => self.system.as_deref(),
            ConfigLevel::Global => self.global.as_deref(),
            ConfigLevel::Project => self.project.as_deref(),
            ConfigLevel::Local => self.local.as_deref(),
        }
    }

    /// Reads the file of one level; `None` when there is none.
    pub fn read_level(&self, level: ConfigLevel) -> Result<Option<ConfigText>, ConfigError> {
        let Some(path) = self.path(level) else { return Ok(None) };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ConfigError::Io { action: "read", path: path.to_path_buf(), source });
            }
        };
        parse(&bytes, path).map(Some)
    }

    /// Reads and merges all levels and checks the result.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let config = self.load_unchecked()?;
        config.check()?;
        Ok(config)
    }

    /// Reads and merges all levels; unknown options and bad values are kept and count for nothing.
    pub fn load_unchecked(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        for level in ConfigLevel::ALL {
            if let Some(text) = self.read_level(level)? {
                config.merge(level, self, &text);
            }
        }
        Ok(config)
    }

    /// Reads one level alone, without checking it.
    pub fn load_level(&self, level: ConfigLevel) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(text) = self.read_level(level)? {
            config.merge(level, self, &text);
        }
        Ok(config)
    }

    /// As [`load`](Self::load), with the text of `.dvc/config` of another revision instead of the file.
    pub fn load_with_project(&self, project: Option<&[u8]>) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        for level in ConfigLevel::ALL {
            let text = match (level, &self.project) {
                (ConfigLevel::Project, Some(path)) => {
                    project.map(|bytes| parse(bytes, path)).transpose()?
                }
                _ => self.read_level(level)?,
            };
            if let Some(text) = text {
                config.merge(level, self, &text);
            }
        }
        config.check()?;
        Ok(config)
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<ConfigText, ConfigError> {
    let path = || path.to_path_buf();
    let text = std::str::from_utf8(bytes).map_err(|_| ConfigError::NotUtf8 { path: path() })?;
    ConfigText::parse(text).map_err(|syntax| ConfigError::Syntax { path: path(), syntax })
}

/// A merged configuration: each option with the level that decides it.
///
/// `Debug` shows names and no values.
#[derive(Debug, Clone, Default)]
pub struct Config {
    entries: Vec<ConfigEntry>,
    /// Named sections, also those without options: an empty remote is still a remote.
    named: Vec<ConfigSection>,
}

/// An option that is set, and where.
#[derive(Debug, Clone)]
pub struct ConfigEntry {
    /// Its name.
    pub key: ConfigKey,
    /// Its value; a relative path is made absolute.
    pub value: ConfigValue,
    /// The level that decides.
    pub level: ConfigLevel,
    /// The file of that level.
    pub path: PathBuf,
}

impl ConfigEntry {
    /// Returns whether the value must not be shown unless it is asked for by name.
    pub fn is_secret(&self) -> bool {
        schema::is_secret(&self.key)
    }
}

impl ConfigKey {
    /// Returns whether the option's value is a secret, which belongs into no file that is committed.
    pub fn is_secret(&self) -> bool {
        schema::is_secret(self)
    }
}

/// How files are linked from the cache, in the order in which the ways are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// A copy that shares its blocks until one is written.
    Reflink,
    /// A second name of the same file.
    Hardlink,
    /// A symbolic link into the cache.
    Symlink,
    /// A copy.
    Copy,
}

/// A configured remote.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Its name.
    pub name: String,
    /// Its URL, or an absolute path.
    pub url: String,
    /// Whether it is the default.
    pub is_default: bool,
    /// The level that gives it its URL.
    pub level: ConfigLevel,
    options: BTreeMap<String, ConfigValue>,
}

impl RemoteConfig {
    /// Returns a path when the remote is a directory; `None` when its URL has a scheme.
    pub fn directory(&self) -> Option<&Path> {
        schema::scheme(&self.url).is_empty().then(|| Path::new(&self.url))
    }

    /// Returns the scheme of the URL; empty for a directory.
    pub fn scheme(&self) -> &str {
        schema::scheme(&self.url)
    }

    /// Returns the URL without the password that it may have, to be shown.
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }

    /// Returns an option that is no secret.
    pub fn option(&self, name: &str) -> Option<&str> {
        if schema::is_secret(&ConfigKey::remote(&self.name, name)) {
            return None;
        }
        self.options.get(name)?.as_text()
    }

    /// Returns a truth value; unset is false.
    pub fn flag(&self, name: &str) -> bool {
        self.option(name).is_some_and(is_true)
    }

    /// Returns all options, secrets too, for whoever reaches the storage.
    pub(crate) fn exposed(&self) -> BTreeMap<String, String> {
        let text = |value: &ConfigValue| value.as_text().map(str::to_owned);
        self.options.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    }

    /// Returns a password, token or key.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        Some(Secret::new(self.options.get(name)?.as_text()?))
    }
}

/// How parameters are composed by Hydra: section `hydra`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HydraConfig {
    /// Whether parameters are composed at all.
    pub enabled: bool,
    /// The directory of the configuration groups; `None` when a module is given.
    pub config_dir: Option<String>,
    /// The Python module instead of a directory.
    pub config_module: Option<String>,
    /// The name of the primary configuration.
    pub config_name: String,
    /// Where plug-ins of Hydra are.
    pub plugins_path: Option<String>,
}

impl Config {
    /// Returns every option that is set, by first appearance.
    pub fn entries(&self) -> &[ConfigEntry] {
        &self.entries
    }

    /// Returns the deciding entry of an option.
    pub fn entry(&self, key: &ConfigKey) -> Option<&ConfigEntry> {
        self.entries.iter().find(|entry| entry.key == *key)
    }

    /// Returns the text of an option without a named section.
    pub fn text(&self, section: &str, option: &str) -> Option<&str> {
        self.entry(&ConfigKey::plain(section, option))?.value.as_text()
    }

    /// Returns a truth value; unset is false.
    pub fn flag(&self, section: &str, option: &str) -> bool {
        self.text(section, option).is_some_and(is_true)
    }

    /// Returns the name of the default remote, which need not be configured.
    pub fn default_remote(&self) -> Option<String> {
        self.text("core", "remote").map(str::to_lowercase)
    }

    /// Returns the configured remotes by first appearance.
    pub fn remotes(&self) -> Vec<RemoteConfig> {
        self.remote_names().filter_map(|name| self.remote(name).ok()).collect()
    }

    /// Returns one remote by its name, in any case.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RemoteNotFound`], [`ConfigError::RemoteWithoutUrl`].
    pub fn remote(&self, name: &str) -> Result<RemoteConfig, ConfigError> {
        let name = name.to_lowercase();
        if !self.has_remote(&name) {
            return Err(self.remote_not_found(&name));
        }
        let key = ConfigKey::remote(&name, "url");
        let url = self.entry(&key).and_then(|entry| Some((entry.value.as_text()?, entry.level)));
        let Some((url, level)) = url else { return Err(ConfigError::RemoteWithoutUrl { name }) };
        let options = self
            .entries
            .iter()
            .filter(|entry| entry.key.section == key.section)
            .map(|entry| (entry.key.option.clone(), entry.value.clone()))
            .collect();
        let is_default = self.default_remote().as_deref() == Some(&name);
        Ok(RemoteConfig { url: url.to_owned(), level, is_default, options, name })
    }

    /// Returns whether Git is told of changed files: `core.autostage`.
    pub fn autostage(&self) -> bool {
        self.flag("core", "autostage")
    }

    /// Returns whether the project is used without Git: `core.no_scm`.
    pub fn no_scm(&self) -> bool {
        self.flag("core", "no_scm")
    }

    /// Returns where DVC keeps what it can rebuild, if it is configured.
    pub fn site_cache_dir(&self) -> Option<&Path> {
        self.text("core", "site_cache_dir").map(Path::new)
    }

    /// Returns how many files are digested at once, if it is configured.
    pub fn checksum_jobs(&self) -> Option<usize> {
        self.text("core", "checksum_jobs")?.trim().parse().ok()
    }

    /// Returns the directory of the cache, an absolute path; `None` is `.dvc/cache`.
    pub fn cache_dir(&self) -> Option<&Path> {
        self.text("cache", "dir").map(Path::new)
    }

    /// Returns the ways of linking in order; DVC's default is reflink, then copy.
    pub fn cache_types(&self) -> Vec<LinkType> {
        let entry = self.entry(&ConfigKey::plain("cache", "type"));
        let Some(entry) = entry else { return vec![LinkType::Reflink, LinkType::Copy] };
        let link = |item: &str| match item {
            "reflink" => Some(LinkType::Reflink),
            "hardlink" => Some(LinkType::Hardlink),
            "symlink" => Some(LinkType::Symlink),
            "copy" => Some(LinkType::Copy),
            _ => None,
        };
        entry.value.items().into_iter().filter_map(link).collect()
    }

    /// Returns whether the cache is shared by the members of a group: `cache.shared = group`.
    pub fn cache_shared(&self) -> bool {
        self.text("cache", "shared").is_some_and(|text| text.eq_ignore_ascii_case("group"))
    }

    /// Returns whether experiments are pushed when they are done: `exp.auto_push`.
    pub fn exp_auto_push(&self) -> bool {
        self.flag("exp", "auto_push")
    }

    /// Returns the Git remote that experiments are pushed to; `origin` unless configured.
    pub fn exp_git_remote(&self) -> &str {
        self.text("exp", "git_remote").unwrap_or("origin")
    }

    /// Returns how parameters are composed.
    pub fn hydra(&self) -> HydraConfig {
        let text = |option| self.text("hydra", option).map(str::to_owned);
        let config_module = text("config_module");
        let config_dir = match &config_module {
            Some(_) => None,
            None => Some(text("config_dir").unwrap_or_else(|| "conf".to_owned())),
        };
        HydraConfig {
            enabled: self.flag("hydra", "enabled"),
            config_dir,
            config_module,
            config_name: text("config_name").unwrap_or_else(|| "config".to_owned()),
            plugins_path: text("plugins_path"),
        }
    }

    /// Returns how a map becomes arguments of a command: `parsing.bool` and `parsing.list`.
    pub fn argument_style(&self) -> ArgumentStyle {
        ArgumentStyle {
            negated: self.text("parsing", "bool") == Some("boolean_optional"),
            repeated: self.text("parsing", "list") == Some("append"),
        }
    }

    fn has_remote(&self, name: &str) -> bool {
        self.named.contains(&ConfigSection::remote(name))
    }

    fn remote_not_found(&self, name: &str) -> ConfigError {
        let name = name.to_lowercase();
        let nearest = schema::nearest(&name, self.remote_names());
        ConfigError::RemoteNotFound { name, nearest }
    }

    fn remote_names(&self) -> impl Iterator<Item = &str> {
        let remotes = self.named.iter().filter(|section| section.group == "remote");
        remotes.filter_map(|section| section.name.as_deref())
    }

    /// Lays a stronger level over this configuration.
    fn merge(&mut self, level: ConfigLevel, files: &ConfigFiles, text: &ConfigText) {
        let Some(path) = files.path(level) else { return };
        for section in text.sections() {
            if section.name.is_some() && !self.named.contains(section) {
                self.named.push(section.clone());
            }
        }
        for (key, value) in text.options() {
            let value = match value {
                ConfigValue::Text(text) if schema::is_path(&key) => {
                    ConfigValue::Text(resolved(text, path, files.home.as_deref()))
                }
                value => value.clone(),
            };
            let entry = ConfigEntry { key, value, level, path: path.to_path_buf() };
            match self.entries.iter_mut().find(|found| found.key == entry.key) {
                Some(found) => *found = entry,
                None => self.entries.push(entry),
            }
        }
    }

    /// Returns the first thing that DVC's schema does not allow.
    fn check(&self) -> Result<(), ConfigError> {
        for name in self.remote_names() {
            self.remote(name)?;
        }
        for entry in &self.entries {
            let (key, path) = (&entry.key, Some(entry.path.clone()));
            let mut url = None;
            if let Some(name) = remote_name(key) {
                let found = self.entry(&ConfigKey::remote(name, "url"));
                let text = found.and_then(|entry| entry.value.as_text());
                let name = name.to_owned();
                let text =
                    text.ok_or_else(|| ConfigError::RemoteWithoutUrl { name: name.clone() })?;
                let scheme = schema::scheme(text);
                if !schema::is_supported(scheme) {
                    return Err(ConfigError::UnsupportedScheme { name, scheme: scheme.to_owned() });
                }
                url = Some(text);
            }
            match schema::find(key, url) {
                schema::Found::Unchecked => {}
                schema::Found::Kind(kind) => {
                    if let Some(expected) = schema::complaint(kind, &entry.value) {
                        let value = (!entry.is_secret()).then(|| entry.value.to_string());
                        return Err(ConfigError::BadValue {
                            path,
                            key: Box::new(key.clone()),
                            value,
                            expected,
                        });
                    }
                }
                schema::Found::NoSection => {
                    let section = key.section.to_string();
                    let nearest = schema::nearest(&section, schema::sections());
                    return Err(ConfigError::UnknownSection { path, section, nearest });
                }
                schema::Found::NoOption => {
                    let nearest = schema::nearest(&key.option, schema::options(&key.section, url));
                    return Err(ConfigError::UnknownOption {
                        path,
                        key: Box::new(key.clone()),
                        nearest,
                    });
                }
            }
        }
        Ok(())
    }
}

fn remote_name(key: &ConfigKey) -> Option<&str> {
    if key.section.group == "remote" { key.section.name.as_deref() } else { None }
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// Makes a path of the file at `config` absolute; URLs stay as they are.
fn resolved(text: &str, config: &Path, home: Option<&Path>) -> String {
    if has_scheme(text) || Path::new(text).is_absolute() {
        return text.to_owned();
    }
    if let (Some(rest), Some(home)) = (text.strip_prefix('~'), home)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return format!("{}{rest}", home.display());
    }
    let dir = config.parent().unwrap_or(config);
    normal(&dir.join(text)).to_string_lossy().into_owned()
}

/// Resolves `.` and `..` by text.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// Returns a URL to be shown: a password between `:` and `@` of its host becomes `***`.
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    match host.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:***@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
