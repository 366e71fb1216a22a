//! Where in a `dvc.yaml` something is declared that an error is about.

use crate::graph::GraphError;
use crate::path::Location;
use crate::stage::StageId;
use crate::yaml::{YamlNode, YamlSpan, line_of, read_document};

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

/// Finds where `text`, a `dvc.yaml`, declares the stage `name`, or its dependency or output at `location`. Of a
/// generated stage, its group; when the text has neither, `None`.
pub fn declared_at(text: &str, name: &str, location: Option<&Location>) -> Option<Place> {
    let root = read_document(text).ok()?;
    let stages = &root.entry("stages")?.value;
    let group = name.split('@').next().unwrap_or(name);
    let entry = stages.entry(name).or_else(|| stages.entry(group))?;
    let definition = entry.value.entry("do").map_or(&entry.value, |template| &template.value);
    let wanted = location.map(Location::to_string);
    let wanted = wanted.as_deref().map(last_part);
    let span = wanted
        .and_then(|wanted| {
            let keys = ["outs", "metrics", "plots", "deps"].into_iter();
            let items = keys.filter_map(|key| definition.entry(key)?.value.items()).flatten();
            items.flat_map(paths).find(|(path, _)| last_part(path) == wanted).map(|(_, span)| span)
        })
        .unwrap_or(entry.key.span);
    Some(Place { line: span.line, column: span.column, text: line_of(text, span.line) })
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
}
