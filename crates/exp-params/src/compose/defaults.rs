//! Which configurations are merged, in which order and where to: a walk over defaults lists.
//!
//! A list is walked from its end to its beginning, so that an override, which stands at the end, is known before the
//! choice that it changes. Choices that are made of other choices (`${db}_${server}`) wait until the rest of their list
//! is known. The configuration itself stands where `_self_` does, behind its list when that is left out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use exp_core::Value;

use super::element::{Choice, Element, Named};
use super::{ComposeError, ComposeFiles, Configs, MISSING};
use crate::overrides::{Literal, Override};

/// Lists may nest so deep.
const MAX_DEPTH: usize = 50;

/// A configuration that is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path.
    pub(super) config: String,
    /// Where its contents go; empty for the top.
    pub(super) package: String,
}

/// A choice of the command line, or of a list that overrides another one.
#[derive(Debug, Clone)]
struct Chosen {
    choice: Choice,
    /// The configuration whose list has it; `None` for the command line.
    parent: Option<String>,
    is_used: bool,
}

/// What overrides choose, and what has been chosen so far.
#[derive(Debug, Default)]
pub(super) struct Choices {
    overrides: BTreeMap<String, Chosen>,
    /// Choices that are removed: the alternative, if only that one is, and whether it was found.
    removals: BTreeMap<String, (Option<String>, bool)>,
    added: Vec<Element>,
    known: BTreeMap<String, Option<String>>,
    by_group: BTreeMap<String, BTreeSet<String>>,
}

impl Choices {
    /// Tells overrides that choose from those that change values, which are returned in their order.
    pub(super) fn of<'o>(
        files: &dyn ComposeFiles,
        overrides: &'o [Override],
    ) -> Result<(Self, Vec<&'o Override>), ComposeError> {
        let mut choices = Self::default();
        let mut changes = Vec::new();
        for change in overrides {
            let key = change.key().to_string();
            let (group, package) = match key.split_once('@') {
                Some((group, package)) => (group, Some(package)),
                None => (key.as_str(), None),
            };
            let literal = match change {
                Override::Set(_, literal)
                | Override::Add(_, literal)
                | Override::Upsert(_, literal) => Some(literal),
                Override::Remove(_, literal) => literal.as_ref(),
            };
            if group == "hydra" || group.starts_with("hydra/") || group.starts_with("hydra.") {
                continue;
            }
            let is_map = literal.is_some_and(|literal| literal.value.as_table().is_some());
            if is_map || !files.is_group(group) {
                if package.is_some() || group.contains('/') {
                    return Err(ComposeError::NoGroup { key });
                }
                changes.push(change);
                continue;
            }
            let choice = literal.map(|literal| choice(literal, &key)).transpose()?;
            match (change, choice) {
                (Override::Remove(..), None) => _ = choices.removals.insert(key, (None, false)),
                (Override::Remove(..), Some(Choice::One(name))) => {
                    choices.removals.insert(key, (Some(name), false));
                }
                (Override::Set(..), Some(choice)) => {
                    let chosen = Chosen { choice, parent: None, is_used: false };
                    choices.overrides.insert(key, chosen);
                }
                (Override::Add(..), Some(choice)) => {
                    let named = Named::Group(group.to_owned(), choice);
                    let mut element = Element::new(named, package.map(str::to_owned));
                    element.is_added = true;
                    choices.added.push(element);
                }
                _ => return Err(ComposeError::NoName { key }),
            }
        }
        Ok((choices, changes))
    }

    fn check_used(&self) -> Result<(), ComposeError> {
        for (key, chosen) in &self.overrides {
            if !chosen.is_used {
                let group = key.split('@').next().unwrap_or_default();
                let near = self.by_group.get(group).cloned().unwrap_or_default();
                return Err(ComposeError::NotChosen {
                    key: key.clone(),
                    parent: chosen.parent.clone(),
                    near: near.into_iter().collect(),
                });
            }
        }
        for (key, (name, is_used)) in &self.removals {
            if !is_used {
                let name = name.as_ref().map(|name| format!("={name}")).unwrap_or_default();
                return Err(ComposeError::NotRemoved { key: format!("{key}{name}") });
            }
        }
        Ok(())
    }

    /// Notes what a group's choice is; a second one that is different makes no sense.
    fn note(&mut self, element: &Element) -> Result<(), ComposeError> {
        if !element.is_group() {
            return Ok(());
        }
        let (key, name) = (element.key(), element.name().map(str::to_owned));
        match self.known.get(&key) {
            Some(before) if *before != name => {
                let message = format!(
                    "`{key}` is chosen twice; `override {key}: …` changes a choice that was made"
                );
                return Err(ComposeError::Defaults { config: element.config_path(), message });
            }
            _ => _ = self.known.insert(key.clone(), name),
        }
        self.by_group.entry(element.group_path()).or_default().insert(key);
        Ok(())
    }

    /// Returns whether the choice is removed, and notes that it was found.
    fn removes(&mut self, element: &Element) -> bool {
        if !element.is_group() {
            return false;
        }
        let Some((name, is_used)) = self.removals.get_mut(&element.key()) else { return false };
        let is_it = name.as_deref().is_none_or(|name| element.name() == Some(name));
        *is_used |= is_it;
        is_it
    }
}

fn choice(literal: &Literal, key: &str) -> Result<Choice, ComposeError> {
    let names = |items: &[Value]| {
        items.iter().map(|item| item.as_text().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    match &literal.value {
        Value::Text(name) => Some(Choice::One(name.clone())),
        Value::List(items) => names(items).map(Choice::Many),
        _ => None,
    }
    .ok_or_else(|| ComposeError::NoName { key: key.to_owned() })
}

/// A configuration and what its list leads to; itself alone when it has none.
struct Node {
    element: Element,
    children: Vec<Child>,
}

enum Child {
    Itself,
    Node(Node),
}

/// Returns the configurations in the order in which they are merged.
pub(super) fn list(
    configs: &mut Configs<'_>,
    primary: &str,
    choices: Choices,
) -> Result<Vec<Found>, ComposeError> {
    let mut root = Element::new(Named::Config(primary.to_owned()), None);
    root.is_primary = true;
    let root = root.below("", "");
    let mut walk = Walk { configs, choices };
    let node = walk.node(root, None, false, 0)?;
    let (mut list, mut keys) = (Vec::new(), HashSet::new());
    collect(&node, &mut list, &mut keys)?;
    walk.choices.check_used()?;
    Ok(list)
}

fn collect(
    node: &Node,
    list: &mut Vec<Found>,
    keys: &mut HashSet<String>,
) -> Result<(), ComposeError> {
    let element = &node.element;
    let found = || Found { config: element.config_path(), package: element.final_package(true) };
    if node.children.is_empty() {
        let is_chosen = element.name().is_some_and(|name| name != MISSING);
        if element.is_deleted || !is_chosen {
            return Ok(());
        }
        if element.is_group() && !keys.insert(element.key()) {
            let message = format!("`{}` is there more than once", element.key());
            return Err(ComposeError::Defaults { config: element.config_path(), message });
        }
        list.push(found());
        return Ok(());
    }
    for child in &node.children {
        match child {
            Child::Itself => list.push(found()),
            Child::Node(node) => collect(node, list, keys)?,
        }
    }
    Ok(())
}

struct Walk<'w, 'f> {
    configs: &'w mut Configs<'f>,
    choices: Choices,
}

/// An item of a list while the list is walked.
enum Pending {
    Done(Child),
    Waiting(Element),
}

impl Walk<'_, '_> {
    /// Walks the list of a configuration. Below one whose name was made of other choices, nothing may be overridden.
    fn node(
        &mut self,
        mut element: Element,
        parent: Option<&Element>,
        is_made: bool,
        depth: usize,
    ) -> Result<Node, ComposeError> {
        let path = element.config_path();
        if depth > MAX_DEPTH {
            return Err(ComposeError::TooDeep { config: path });
        }
        let is_missing = element.name() == Some(MISSING);
        let config = match element.name() {
            Some(_) if !is_missing => self.configs.load(&path)?,
            _ => None,
        };
        element.set_header(config.as_ref().and_then(|config| config.package.as_deref()));
        if self.choices.removes(&element) {
            element.is_deleted = true;
            return Ok(Node { element, children: Vec::new() });
        }
        self.choices.note(&element)?;
        if is_missing {
            let (key, options) = (element.key(), self.configs.files.options(&element.group_path()));
            return Err(ComposeError::Unchosen { key, options });
        }
        let Some(config) = config else {
            if element.is_optional || element.name().is_none() {
                element.is_deleted = true;
                return Ok(Node { element, children: Vec::new() });
            }
            let options = match &element.named {
                Named::Group(..) => self.configs.files.options(&element.group_path()),
                Named::Config(_) => Vec::new(),
            };
            let parent = parent.map(Element::config_path);
            return Err(ComposeError::NotFound { config: path, parent, options });
        };
        let items = self.items(&element, &config.defaults, is_made)?;
        let pending = self.pending(&element, items, is_made, depth)?;
        let mut children = Vec::new();
        for child in pending {
            children.push(match child {
                Pending::Done(child) => child,
                Pending::Waiting(waiting) => {
                    let resolved = self
                        .resolved(waiting, &path)?
                        .below(&element.group_path(), &element.final_package(true));
                    Child::Node(self.node(resolved, Some(&element), true, depth + 1)?)
                }
            });
        }
        children.reverse();
        Ok(Node { element, children })
    }

    /// Reads the items of a list, and notes what they override.
    fn items(
        &mut self,
        element: &Element,
        defaults: &[Value],
        is_made: bool,
    ) -> Result<Vec<Element>, ComposeError> {
        let path = element.config_path();
        let wrong = |message: String| ComposeError::Defaults { config: path.clone(), message };
        let mut items =
            defaults.iter().map(Element::parse).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        // What Hydra itself is to do is not composed here.
        items.retain(|item| !item.group_is_hydras());
        let is_there = !items.is_empty() || (element.is_primary && !self.choices.added.is_empty());
        if is_there {
            let n_self = items.iter().filter(|item| item.is_self()).count();
            if n_self > 1 {
                return Err(wrong("`_self_` is there twice".to_owned()));
            }
            if n_self == 0 && (items.is_empty() || items.iter().any(|item| !item.is_override)) {
                items.push(Element::new(Named::Config("_self_".to_owned()), None));
            }
        }
        if element.is_primary {
            items.extend(self.choices.added.iter().cloned());
        }
        let (base, package) = (element.group_path(), element.final_package(true));
        let mut seen: Option<String> = None;
        for item in &mut items {
            if item.is_self() {
                continue;
            }
            *item = item.clone().below(&base, &package);
            if let Some(seen) = &seen
                && !item.is_override
                && !item.is_added
            {
                let message =
                    format!("the override of `{seen}` is not at the end, behind the choices");
                return Err(wrong(message));
            }
            if item.is_override {
                let key = item.key();
                if is_made {
                    let message =
                        format!("`{key}` cannot be overridden below a choice made of others");
                    return Err(wrong(message));
                }
                if let Named::Group(_, choice) = &item.named {
                    let choice = choice.clone();
                    let parent = Some(path.clone());
                    let chosen = Chosen { choice, parent, is_used: false };
                    self.choices.overrides.entry(key.clone()).or_insert(chosen);
                }
                seen = Some(key);
            }
        }
        Ok(items)
    }

    /// Walks the items, the last one first, and returns what became of them in that order.
    fn pending(
        &mut self,
        element: &Element,
        items: Vec<Element>,
        is_made: bool,
        depth: usize,
    ) -> Result<Vec<Pending>, ComposeError> {
        let (base, package) = (element.group_path(), element.final_package(true));
        let mut pending = Vec::new();
        for mut item in items.into_iter().rev() {
            if item.is_self() {
                pending.push(Pending::Done(Child::Itself));
                continue;
            }
            if item.is_override {
                continue;
            }
            if item.is_group()
                && let Some(chosen) = self.choices.overrides.get_mut(&item.key())
            {
                chosen.is_used = true;
                let choice = chosen.choice.clone();
                if let Named::Group(_, known) = &mut item.named {
                    *known = choice;
                }
            }
            if let Named::Group(group, Choice::Many(names)) = &item.named {
                for name in names.iter().rev() {
                    let named = Named::Config(format!("{group}/{name}"));
                    let mut one = Element::new(named, item.package.clone());
                    one.is_optional = item.is_optional;
                    let one = one.below(&base, &package);
                    let node = self.node(one, Some(element), is_made, depth + 1)?;
                    pending.push(Pending::Done(Child::Node(node)));
                }
            } else if item.is_interpolation() {
                pending.push(Pending::Waiting(item));
            } else {
                let node = self.node(item, Some(element), is_made, depth + 1)?;
                pending.push(Pending::Done(Child::Node(node)));
            }
        }
        Ok(pending)
    }

    /// Replaces each `${group}` in the name of an item by what is chosen of that group.
    fn resolved(&self, mut item: Element, config: &str) -> Result<Element, ComposeError> {
        let name = match &item.named {
            Named::Config(path) => path.clone(),
            Named::Group(_, Choice::One(name)) => name.clone(),
            Named::Group(..) => return Ok(item),
        };
        let wrong = |message: String| ComposeError::Defaults { config: config.to_owned(), message };
        let (mut made, mut rest) = (String::new(), name.as_str());
        while let Some((before, behind)) = rest.split_once("${") {
            let (key, after) = (behind.split_once('}'))
                .ok_or_else(|| wrong(format!("`{name}` has no closing brace")))?;
            let Some(Some(choice)) = self.choices.known.get(key.trim()) else {
                return Err(wrong(format!("`{name}`: nothing chooses `{}`", key.trim())));
            };
            made.push_str(before);
            made.push_str(choice);
            rest = after;
        }
        made.push_str(rest);
        match &mut item.named {
            Named::Config(path) => *path = made,
            Named::Group(_, choice) => *choice = Choice::One(made),
        }
        Ok(item)
    }
}
