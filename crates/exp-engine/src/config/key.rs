//! Names of options, levels, and values.

use std::fmt;
use std::str::FromStr;

use super::error::ConfigError;

/// Where a setting comes from. A later one shadows an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigLevel {
    /// Everyone on this machine.
    System,
    /// This user.
    Global,
    /// The project, committed: `.dvc/config`.
    Project,
    /// The project on this machine, never committed: `.dvc/config.local`.
    Local,
}

impl ConfigLevel {
    /// All levels, the weakest first.
    pub const ALL: [Self; 4] = [Self::System, Self::Global, Self::Project, Self::Local];

    /// Returns `system`, `global`, `project` or `local`.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Global => "global",
            Self::Project => "project",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for ConfigLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A section of a configuration: `core`, or `remote "name"`.
///
/// Lower case throughout, as DVC reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigSection {
    /// `core`, `cache`, `remote` …
    pub group: String,
    /// The name of a remote, machine or database; `None` for any other section.
    pub name: Option<String>,
}

impl ConfigSection {
    /// Returns a section without a name.
    pub fn plain(group: &str) -> Self {
        Self { group: group.to_lowercase(), name: None }
    }

    /// Returns the section of the remote `name`.
    pub fn remote(name: &str) -> Self {
        Self { group: "remote".to_owned(), name: Some(name.to_lowercase()) }
    }

    /// Returns the option `option` of this section.
    pub fn option(&self, option: &str) -> ConfigKey {
        ConfigKey { section: self.clone(), option: option.to_lowercase() }
    }
}

impl fmt::Display for ConfigSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => f.write_str(&self.group),
            Some(name) => write!(f, "{}.{name}", self.group),
        }
    }
}

/// The name of an option: `core.remote`, `remote.store.url`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey {
    /// Its section.
    pub section: ConfigSection,
    /// The option in the section, in lower case.
    pub option: String,
}

impl ConfigKey {
    /// Returns the option of a section without a name.
    pub fn plain(section: &str, option: &str) -> Self {
        ConfigSection::plain(section).option(option)
    }

    /// Returns an option of the remote `name`.
    pub fn remote(name: &str, option: &str) -> Self {
        ConfigSection::remote(name).option(option)
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.option)
    }
}

impl FromStr for ConfigKey {
    type Err = ConfigError;

    /// Takes `section.option`, `remote.name.option` or `db.name.option`; names of remotes have no dots here.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let parts: Vec<&str> = text.split('.').collect();
        match parts[..] {
            [section, option] => Ok(Self::plain(section, option)),
            [group @ ("remote" | "db"), name, option] => {
                let name = Some(name.to_lowercase());
                Ok(ConfigSection { group: group.to_owned(), name }.option(option))
            }
            _ => Err(ConfigError::BadName(text.to_owned())),
        }
    }
}

/// What an option is set to.
///
/// `Debug` shows no content, since it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum ConfigValue {
    /// One text; quotes are taken off.
    Text(String),
    /// Several, because the value has a comma outside of quotes.
    List(Vec<String>),
}

impl ConfigValue {
    /// Returns the text; a list is no text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) => None,
        }
    }

    /// Returns the items of a list, or the parts of a text between commas; blanks around them are taken off.
    pub fn items(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => text.split(',').map(str::trim).collect(),
            Self::List(items) => items.iter().map(String::as_str).collect(),
        }
    }
}

impl From<&str> for ConfigValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Writes a list as Python does: `['reflink', 'copy']`.
impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}'{item}'", if at > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::List(_) => "List(…)",
        })
    }
}

/// A password, token or key. It is never shown: `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for whoever must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_options_have_two_or_three_parts() {
        for (text, expect) in [
            ("core.Remote", Some("core.remote")),
            ("remote.Foo.URL", Some("remote.foo.url")),
            ("db.x.url", Some("db.x.url")),
            ("core", None),
            ("core.a.b", None),
            ("", None),
        ] {
            let key = text.parse::<ConfigKey>().ok().map(|key| key.to_string());
            assert_eq!(key.as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn no_value_is_shown_by_debug() {
        let shown = format!("{:?} {:?}", ConfigValue::from("hunter2"), Secret::new("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
