//! An item of a defaults list, and where its configuration and its contents are.

use exp_core::Value;

/// What an item chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nothing.
    None,
    /// One alternative.
    One(String),
    /// Several, one merged into the other.
    Many(Vec<String>),
}

/// What an item names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A configuration by its path.
    Config(String),
    /// A group.
    Group(String, Choice),
}

/// An item of a defaults list. What it means depends on the configuration that has the list: see
/// [`Element::below`].
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of an item")]
pub(super) struct Element {
    pub(super) named: Named,
    pub(super) package: Option<String>,
    /// The package that the configuration itself asks for.
    pub(super) header: Option<String>,
    pub(super) is_primary: bool,
    pub(super) is_optional: bool,
    pub(super) is_override: bool,
    pub(super) is_deleted: bool,
    /// Whether it was added on the command line.
    pub(super) is_added: bool,
    base: String,
    parent_package: String,
}

impl Element {
    pub(super) fn new(named: Named, package: Option<String>) -> Self {
        let package =
            package.map(|package| if package == "_here_" { String::new() } else { package });
        Self {
            named,
            package,
            header: None,
            is_primary: false,
            is_optional: false,
            is_override: false,
            is_deleted: false,
            is_added: false,
            base: String::new(),
            parent_package: String::new(),
        }
    }

    /// Reads an item; the error says what is wrong with it.
    pub(super) fn parse(item: &Value) -> Result<Self, String> {
        match item {
            Value::Text(text) => {
                let (path, package) = split(text);
                if path == "_self_" && package.is_some() {
                    return Err("`_self_` has no package".to_owned());
                }
                Ok(Self::new(Named::Config(path), package))
            }
            Value::Table(table) => {
                let mut members = table.iter();
                let (Some((key, value)), None) = (members.next(), members.next()) else {
                    return Err(
                        "an item is a configuration, or one group and its choice".to_owned()
                    );
                };
                let choice = match value {
                    Value::Null => Choice::None,
                    Value::Text(name) => Choice::One(name.clone()),
                    Value::List(items) => Choice::Many(
                        (items.iter())
                            .map(|item| item.as_text().map(str::to_owned))
                            .collect::<Option<_>>()
                            .ok_or("a choice is a name, or a list of names")?,
                    ),
                    _ => return Err("a choice is a name, or a list of names".to_owned()),
                };
                let (words, package) = split(key);
                let mut words: Vec<&str> = words.split(' ').collect();
                let group = words.pop().unwrap_or_default().to_owned();
                if group.is_empty() {
                    return Err("a group has no name".to_owned());
                }
                let mut element = Self::new(Named::Group(group, choice), package);
                for word in words {
                    match word {
                        "optional" => element.is_optional = true,
                        "override" => element.is_override = true,
                        _ => break,
                    }
                }
                Ok(element)
            }
            _ => Err("an item is a configuration, or one group and its choice".to_owned()),
        }
    }

    /// Puts the item into the defaults list of a configuration that lies in the group `base` and whose contents go to
    /// `package`.
    pub(super) fn below(mut self, base: &str, package: &str) -> Self {
        base.clone_into(&mut self.base);
        package.clone_into(&mut self.parent_package);
        if let Some(written) = self.package.take() {
            self.package = Some(if written.contains("_group_") {
                let group = self.group_path().replace('/', ".");
                format!("_global_.{}", written.replace("_group_", &group))
            } else {
                written
            });
        }
        self
    }

    /// Notes the package that the configuration asks for, which is always one from the top.
    pub(super) fn set_header(&mut self, package: Option<&str>) {
        self.header = package.map(|package| match package {
            "" | "_global_" => "_global_".to_owned(),
            package if package.starts_with("_global_.") => package.to_owned(),
            package => format!("_global_.{package}"),
        });
    }

    pub(super) fn is_self(&self) -> bool {
        match &self.named {
            Named::Config(path) => path == "_self_",
            Named::Group(_, choice) => *choice == Choice::One("_self_".to_owned()),
        }
    }

    /// Returns whether it chooses how Hydra itself works.
    pub(super) fn group_is_hydras(&self) -> bool {
        let group = self.relative_group().0;
        group == "hydra" || group.starts_with("hydra/")
    }

    pub(super) fn is_group(&self) -> bool {
        matches!(self.named, Named::Group(..))
    }

    /// Returns whether the name has yet to be made of other choices.
    pub(super) fn is_interpolation(&self) -> bool {
        match &self.named {
            Named::Config(path) => path.contains("${"),
            Named::Group(_, Choice::One(name)) => name.contains("${"),
            Named::Group(..) => false,
        }
    }

    /// Returns the name of the alternative; `None` when nothing or more than one is chosen.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.named {
            Named::Config(path) => Some(path.rsplit('/').next().unwrap_or(path)),
            Named::Group(_, Choice::One(name)) => Some(name),
            Named::Group(..) => None,
        }
    }

    /// Returns the group without a leading slash, and whether there was one.
    fn relative_group(&self) -> (&str, bool) {
        let (path, is_config) = match &self.named {
            Named::Config(path) => (path.as_str(), true),
            Named::Group(group, _) => (group.as_str(), false),
        };
        let (path, is_absolute) = path.strip_prefix('/').map_or((path, false), |path| (path, true));
        let group =
            if is_config { path.rsplit_once('/').map_or("", |(group, _)| group) } else { path };
        (group, is_absolute)
    }

    pub(super) fn group_path(&self) -> String {
        let (group, is_absolute) = self.relative_group();
        match (is_absolute || self.base.is_empty(), group.is_empty()) {
            (true, _) => group.to_owned(),
            (false, true) => self.base.clone(),
            (false, false) => format!("{}/{group}", self.base),
        }
    }

    /// Returns the path of the configuration.
    pub(super) fn config_path(&self) -> String {
        let (group, name) = (self.group_path(), self.name().unwrap_or_default());
        if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") }
    }

    /// Returns where the contents go: the item's package, else, if it counts, that of the configuration itself, else
    /// the group.
    pub(super) fn final_package(&self, header_counts: bool) -> String {
        let own = self.package.clone().or_else(|| self.header.clone().filter(|_| header_counts));
        let own = own.unwrap_or_else(|| self.relative_group().0.replace('/', "."));
        let whole = match (self.parent_package.is_empty(), own.is_empty()) {
            (true, _) => own,
            (false, true) => self.parent_package.clone(),
            (false, false) => format!("{}.{own}", self.parent_package),
        };
        match whole.rfind("_global_") {
            Some(at) => {
                let rest = &whole[at + "_global_".len()..];
                rest.strip_prefix('.').unwrap_or(rest).to_owned()
            }
            None => whole,
        }
    }

    /// Returns what an override calls the item: its group, and its package when that is another one.
    pub(super) fn key(&self) -> String {
        let (group, package) = (self.group_path(), self.final_package(false));
        if group.replace('/', ".") == package {
            group
        } else if package.is_empty() {
            format!("{group}@_global_")
        } else {
            format!("{group}@{package}")
        }
    }
}

/// Takes `group@package` apart. Of a package that is renamed, `old:new`, the old one counts.
fn split(text: &str) -> (String, Option<String>) {
    match text.split_once('@') {
        None => (text.to_owned(), None),
        Some((group, package)) => {
            let package = package.split(':').next().unwrap_or_default();
            (group.to_owned(), Some(package.to_owned()))
        }
    }
}
