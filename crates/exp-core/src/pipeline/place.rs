//! Where in a `dvc.yaml` something is declared that an error is about.

use crate::graph::GraphError;
use crate::path::Location;
use crate::report::Failure;
use crate::stage::StageId;
use crate::value::KeyPath;
use crate::yaml::{YamlEntry, YamlNode, YamlSpan, line_of, read_document};

/// A place in the text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The text of the line.
    pub text: String,
}

impl GraphError {
    /// Returns the stage that has to be changed, and which of its dependencies or outputs, if it is one.
    pub fn culprit(&self) -> Option<(&StageId, Option<&Location>)> {
        Some(match self {
            Self::DuplicateStage { id } => (id, None),
            Self::DuplicateOut { location, stages } => (stages.last()?, Some(location)),
            Self::OverlappingOuts { inner, .. } => (&inner.stage, Some(&inner.location)),
            Self::DepIsOut { stage, dep, .. } => (stage, Some(dep)),
            Self::Cycle { stages } => (stages.first()?, None),
            Self::OutsideProject { stage, out } | Self::FileInOut { stage, out } => {
                (stage, Some(out))
            }
        })
    }
}

/// What a stage names and an error is about.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Named<'a> {
    /// A dependency or another file that it reads, as it is written.
    Dep(&'a str),
    /// A parameter file, as it is written.
    ParamFile(&'a str),
    /// A parameter.
    Param(&'a KeyPath),
    /// The working directory.
    Wdir,
    /// A program whose version counts.
    Interpreter(&'a str),
}

impl Failure {
    /// Returns what of the stage has to be changed, or made to be there, if it is something that the stage names.
    pub fn culprit(&self) -> Option<Named<'_>> {
        Some(match self {
            Self::MissingDep { path, .. } => Named::Dep(path),
            Self::MissingParamFile { file, .. } => Named::ParamFile(file),
            Self::MissingParam { keys, .. } => Named::Param(keys.first()?),
            Self::MissingWdir { .. } => Named::Wdir,
            Self::MissingInterpreter { program } => Named::Interpreter(program),
            _ => return None,
        })
    }
}

/// Finds where `text`, a `dvc.yaml`, lets the stage `name` name this. Where a template makes it, the place of the template;
/// of what is not found, the stage; when the text has neither, `None`.
pub fn named_at(text: &str, name: &str, what: Named<'_>) -> Option<Place> {
    let root = read_document(text).ok()?;
    let (stage, definition) = definition_of(&root, name)?;
    let below = |key: &str, text: &str| written(&definition.entry(key)?.value, text);
    let span = match what {
        Named::Dep(path) => below("deps", path).or_else(|| below("meta", path)),
        Named::Interpreter(program) => below("meta", program),
        Named::Wdir => definition.entry("wdir").map(|entry| entry.value.span),
        Named::Param(key) => below("params", &key.to_string()),
        Named::ParamFile(file) => below("params", file).or_else(|| {
            // Keys of the usual file stand there without it.
            let items = definition.entry("params")?.value.items()?;
            items.iter().find(|item| item.as_text().is_some()).map(|item| item.span)
        }),
    };
    Some(place(text, span.unwrap_or(stage.key.span)))
}

/// Returns the first text or key that reads so, or, where there is none, that may when its template is filled in.
fn written(node: &YamlNode, text: &str) -> Option<YamlSpan> {
    first(node, &|found| found == text).or_else(|| first(node, &|found| may_become(found, text)))
}

fn first(node: &YamlNode, is_it: &dyn Fn(&str) -> bool) -> Option<YamlSpan> {
    if node.as_text().is_some_and(is_it) {
        return Some(node.span);
    }
    let mut entries = node.entries().unwrap_or_default().iter();
    let in_entries = |entry: &YamlEntry| {
        if is_it(&entry.name) { Some(entry.key.span) } else { first(&entry.value, is_it) }
    };
    let mut items = node.items().unwrap_or_default().iter();
    entries.find_map(in_entries).or_else(|| items.find_map(|item| first(item, is_it)))
}

/// Returns whether a template begins and ends as `text` does.
fn may_become(template: &str, text: &str) -> bool {
    match (template.split_once("${"), template.rsplit_once('}')) {
        (Some((start, _)), Some((_, end))) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
        _ => false,
    }
}

/// Finds where `text`, a `dvc.yaml`, declares the stage `name`, or its dependency or output at `location`. Of a
/// generated stage, its group; when the text has neither, `None`.
pub fn declared_at(text: &str, name: &str, location: Option<&Location>) -> Option<Place> {
    let root = read_document(text).ok()?;
    let (entry, definition) = definition_of(&root, name)?;
    let wanted = location.map(Location::to_string);
    let wanted = wanted.as_deref().map(last_part);
    let span = wanted
        .and_then(|wanted| {
            let keys = ["outs", "metrics", "plots", "deps"].into_iter();
            let items = keys.filter_map(|key| definition.entry(key)?.value.items()).flatten();
            items.flat_map(paths).find(|(path, _)| last_part(path) == wanted).map(|(_, span)| span)
        })
        .unwrap_or(entry.key.span);
    Some(place(text, span))
}

/// Returns the entry of a stage, or of its group, and what describes it.
fn definition_of<'n>(root: &'n YamlNode, name: &str) -> Option<(&'n YamlEntry, &'n YamlNode)> {
    let stages = &root.entry("stages")?.value;
    let group = name.split('@').next().unwrap_or(name);
    let entry = stages.entry(name).or_else(|| stages.entry(group))?;
    let definition = entry.value.entry("do").map_or(&entry.value, |template| &template.value);
    Some((entry, definition))
}

fn place(text: &str, span: YamlSpan) -> Place {
    Place { line: span.line, column: span.column, text: line_of(text, span.line) }
}

/// Returns the paths of an item, a text or the keys of a map.
fn paths(item: &YamlNode) -> Vec<(&str, YamlSpan)> {
    match (item.as_text(), item.entries()) {
        (Some(path), _) => vec![(path, item.span)],
        (None, entries) => entries
            .unwrap_or_default()
            .iter()
            .map(|entry| (entry.name.as_str(), entry.key.span))
            .collect(),
    }
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::RelPath;

    #[test]
    fn a_stage_and_its_paths_are_found() {
        let text = "stages:\n  a:\n    cmd: x\n    deps: [d/e]\n    outs:\n    - o: {cache: false}\n  g:\n    foreach: [1]\n    do:\n      cmd: x\n      outs: [p/q]\n";
        let at = |name: &str, path: Option<&str>| {
            let location = path.map(|path| Location::Workspace(RelPath::new(path).unwrap()));
            declared_at(text, name, location.as_ref()).map(|place| (place.line, place.column))
        };
        assert_eq!(at("a", None), Some((2, 3)));
        assert_eq!(at("a", Some("sub/o")), Some((6, 7)));
        assert_eq!(at("a", Some("d/e")), Some((4, 12)));
        assert_eq!(at("a", Some("nowhere")), Some((2, 3)));
        assert_eq!(at("g@1", Some("p/q")), Some((11, 14)));
        assert_eq!(at("b", None), None);
    }

    #[test]
    fn what_a_stage_names_is_found() {
        let text = "stages:
  a:
    wdir: sub
    cmd: x
    deps: [d/e, 'src/${model}.py']
    params:
    - lr
    - other.yaml:
      - k.l
    meta:
      exp:
        env: {interpreter: python9}
        deps:
        - lines: {file: conf.txt, from: 3}
  g:
    foreach: [1]
    do:
      cmd: x
      deps:
      - in-${item}
";
        let at =
            |name: &str, what: Named<'_>| named_at(text, name, what).map(|at| (at.line, at.column));
        assert_eq!(at("a", Named::Wdir), Some((3, 11)));
        assert_eq!(at("a", Named::Dep("d/e")), Some((5, 12)));
        assert_eq!(at("a", Named::Dep("src/big.py")), Some((5, 17)));
        assert_eq!(at("a", Named::Dep("conf.txt")), Some((14, 25)));
        assert_eq!(at("a", Named::Dep("elsewhere")), Some((2, 3)));
        assert_eq!(at("a", Named::ParamFile("params.yaml")), Some((7, 7)));
        assert_eq!(at("a", Named::ParamFile("other.yaml")), Some((8, 7)));
        let key = KeyPath::from_parts(["k", "l"]);
        assert_eq!(at("a", Named::Param(&key)), Some((9, 9)));
        assert_eq!(at("a", Named::Interpreter("python9")), Some((12, 28)));
        assert_eq!(at("g@1", Named::Dep("in-1")), Some((20, 9)));
        assert_eq!(at("h", Named::Wdir), None);
        let line = named_at(text, "a", Named::Wdir).map(|place| place.text);
        assert_eq!(line.as_deref(), Some("    wdir: sub"));
    }
}
