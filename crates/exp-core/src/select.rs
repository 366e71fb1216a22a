//! From what a person names to the stages that are meant.

use std::collections::BTreeSet;

use crate::distance::edit_distance;
use crate::graph::Pipeline;
use crate::path::{PathError, RelPath};
use crate::stage::StageId;

/// What a person names: a stage, a file of stages, a group of generated stages or a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// Every stage of a `dvc.yaml`, or the one of a `.dvc` file.
    File(RelPath),
    /// The stage of that name in that `dvc.yaml`, or all stages `name@…` when a template generates them.
    Stage {
        /// The `dvc.yaml`.
        file: RelPath,
        /// The name.
        name: String,
    },
    /// The stages of that `dvc.yaml` whose name matches a shell pattern: `*`, `?`, `[a-z]`, `[!a-z]`.
    Glob {
        /// The `dvc.yaml`.
        file: RelPath,
        /// The pattern.
        pattern: String,
    },
    /// Every stage that is declared in this directory or below it.
    Dir(RelPath),
}

impl Target {
    /// Reads `text` as someone in the directory `cwd` writes it: `train`, `group@key`, `sub/dvc.yaml`,
    /// `sub/dvc.yaml:train`, `data.dvc`.
    ///
    /// # Errors
    ///
    /// When the file is outside the project, or a lock file, which nobody can mean.
    pub fn parse(text: &str, cwd: &RelPath) -> Result<Self, SelectError> {
        // A generated stage may have `:` and `/` in its key, so only what stands before the first `@` is looked at.
        let (head, key) = match text.split_once('@') {
            Some((head, _)) => (head, &text[head.len()..]),
            None => (text, ""),
        };
        match head.rsplit_once(':') {
            Some((file, name)) if !name.is_empty() && !name.contains(['/', '\\']) => {
                Ok(Self::Stage { file: stage_file(file, cwd)?, name: format!("{name}{key}") })
            }
            _ if is_stage_file(text) => Ok(Self::File(stage_file(text, cwd)?)),
            _ => {
                refuse_lock_file(head)?;
                Ok(Self::Stage { file: stage_file("", cwd)?, name: text.to_owned() })
            }
        }
    }

    /// Reads `text` as a pattern of stage names, `pattern` or `sub/dvc.yaml:pattern`.
    ///
    /// # Errors
    ///
    /// As for [`Target::parse`].
    pub fn parse_glob(text: &str, cwd: &RelPath) -> Result<Self, SelectError> {
        let (file, pattern) = text.rsplit_once(':').unwrap_or(("", text));
        Ok(Self::Glob { file: stage_file(file, cwd)?, pattern: pattern.to_owned() })
    }
}

/// How far a selection reaches from the stages that are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reach {
    /// They and everything that they wait for.
    #[default]
    Upstream,
    /// Only they, in the order in which they are named.
    Single,
    /// They and everything that waits for them.
    Downstream,
    /// Everything that is connected with them.
    Component,
}

/// Which stages are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Selection {
    /// Every stage.
    #[default]
    All,
    /// Those that are named and what they reach.
    Targets {
        /// What is named, in that order. None selects nothing.
        targets: Vec<Target>,
        /// How far it reaches.
        reach: Reach,
    },
}

impl Selection {
    /// Selects what is meant when nothing is named in the directory `cwd`: the stages of its `dvc.yaml` and everything
    /// that they wait for.
    ///
    /// # Errors
    ///
    /// Never for a directory of the workspace.
    pub fn of_dir(cwd: &RelPath) -> Result<Self, SelectError> {
        let file = stage_file("", cwd)?;
        Ok(Self::Targets { targets: vec![Target::File(file)], reach: Reach::Upstream })
    }

    /// Selects `targets` and everything that they wait for.
    pub fn of(targets: impl IntoIterator<Item = Target>) -> Self {
        Self::Targets { targets: targets.into_iter().collect(), reach: Reach::Upstream }
    }

    /// Changes how far a selection of targets reaches; the selection of all stays what it is.
    #[must_use]
    pub fn reaching(self, reach: Reach) -> Self {
        match self {
            Self::Targets { targets, .. } => Self::Targets { targets, reach },
            Self::All => Self::All,
        }
    }
}

/// Why nothing can be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// There is no such stage in that file.
    #[error("`{file}` has no stage `{name}`")]
    UnknownStage {
        /// The file that was looked at.
        file: RelPath,
        /// The name.
        name: String,
        /// Stages of that file with similar names, the most similar first; at most three.
        nearest: Vec<String>,
    },
    /// No stage is declared in that file: it is missing, or empty.
    #[error("no stage is declared in `{file}`")]
    UnknownFile {
        /// The file.
        file: RelPath,
    },
    /// No stage is declared in that directory or below.
    #[error("no stage is declared below `{dir}`")]
    EmptyDir {
        /// The directory.
        dir: RelPath,
    },
    /// No stage of that file has a name that matches.
    #[error("no stage of `{file}` matches `{pattern}`")]
    NoMatch {
        /// The file.
        file: RelPath,
        /// The pattern.
        pattern: String,
    },
    /// A lock file is named where the file beside it is meant.
    #[error("`{text}` is a lock file, not a file of stages")]
    LockFile {
        /// What was named.
        text: String,
        /// What is meant: the same with `dvc.yaml`.
        meant: String,
    },
    /// What is named is no path of the project.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Finds the stages that `selection` means, in the order of execution.
///
/// # Errors
///
/// When something is named that does not exist, or nothing at all matches the patterns that are given.
pub fn select(pipeline: &Pipeline, selection: &Selection) -> Result<Vec<StageId>, SelectError> {
    let graph = pipeline.graph();
    let order = match selection {
        Selection::All => graph.order(&(0..graph.len()).collect()),
        Selection::Targets { targets, reach } => {
            let mut named = Vec::new();
            let mut seen = BTreeSet::new();
            for target in targets {
                let found = resolve(pipeline, target)?;
                named.extend(found.into_iter().filter(|at| seen.insert(*at)));
            }
            if named.is_empty()
                && let Some(Target::Glob { file, pattern }) = targets.first()
            {
                let (file, pattern) = (file.clone(), pattern.clone());
                return Err(SelectError::NoMatch { file, pattern });
            }
            match reach {
                Reach::Single => named,
                Reach::Upstream => graph.order(&graph.upstream(&named)),
                Reach::Downstream => graph.order(&graph.downstream(&named)),
                Reach::Component => graph.order(&graph.component(&named)),
            }
        }
    };
    Ok(order.into_iter().map(|at| pipeline.stages()[at].id.clone()).collect())
}

fn resolve(pipeline: &Pipeline, target: &Target) -> Result<Vec<usize>, SelectError> {
    match target {
        Target::File(file) => in_file(pipeline, file),
        Target::Stage { file, name } => {
            let id = StageId::named(file.clone(), name.as_str());
            if let Some(at) = pipeline.position(&id) {
                return Ok(vec![at]);
            }
            let in_file = in_file(pipeline, file)?;
            let group = format!("{name}@");
            let generated = filter_names(pipeline, &in_file, |name| name.starts_with(&group));
            if generated.is_empty() {
                return Err(unknown_stage(pipeline, file, name, &in_file));
            }
            Ok(generated)
        }
        Target::Glob { file, pattern } => {
            let pattern: Vec<char> = pattern.chars().collect();
            let in_file = in_file(pipeline, file)?;
            Ok(filter_names(pipeline, &in_file, |name| {
                matches_glob(&pattern, &name.chars().collect::<Vec<_>>())
            }))
        }
        Target::Dir(dir) => {
            let found: Vec<usize> = positions(pipeline, |id| id.file.starts_with(dir)).collect();
            if found.is_empty() {
                return Err(SelectError::EmptyDir { dir: dir.clone() });
            }
            Ok(found)
        }
    }
}

fn in_file(pipeline: &Pipeline, file: &RelPath) -> Result<Vec<usize>, SelectError> {
    let found: Vec<usize> = positions(pipeline, |id| id.file == *file).collect();
    if found.is_empty() {
        return Err(SelectError::UnknownFile { file: file.clone() });
    }
    Ok(found)
}

fn positions(pipeline: &Pipeline, keep: impl Fn(&StageId) -> bool) -> impl Iterator<Item = usize> {
    pipeline.stages().iter().enumerate().filter(move |(_, stage)| keep(&stage.id)).map(|(at, _)| at)
}

fn filter_names(
    pipeline: &Pipeline,
    positions: &[usize],
    keep: impl Fn(&str) -> bool,
) -> Vec<usize> {
    let name = |at: usize| pipeline.stages()[at].id.name.as_deref();
    positions.iter().copied().filter(|at| name(*at).is_some_and(&keep)).collect()
}

fn unknown_stage(
    pipeline: &Pipeline,
    file: &RelPath,
    name: &str,
    in_file: &[usize],
) -> SelectError {
    let most = 1 + name.chars().count() / 3;
    let mut near: Vec<(usize, &str)> = Vec::new();
    for &at in in_file {
        let Some(known) = pipeline.stages()[at].id.name.as_deref() else { continue };
        let group = known.split('@').next().unwrap_or(known);
        for known in [known, group] {
            let far = edit_distance(name, known);
            if far <= most && !near.iter().any(|(_, name)| *name == known) {
                near.push((far, known));
            }
        }
    }
    near.sort_unstable();
    SelectError::UnknownStage {
        file: file.clone(),
        name: name.to_owned(),
        nearest: near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect(),
    }
}

/// Returns whether `name` matches a shell pattern, as Python's `fnmatch` reads it: `*`, `?`, `[…]` and `[!…]`.
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    matches_glob(&pattern, &name)
}

/// Returns whether every `[` of a shell pattern has its `]`. Without, Python's `fnmatch` takes it for itself.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut at = 0;
    while at < pattern.len() {
        at += match pattern[at] {
            '[' => match in_class(&pattern[at..], 'a') {
                Some((_, width)) => width,
                None => return false,
            },
            _ => 1,
        };
    }
    true
}

/// Returns whether `name` matches a shell pattern as Python's `fnmatch` reads it: `*` also crosses `/`.
fn matches_glob(pattern: &[char], name: &[char]) -> bool {
    // The last `*` and how much of the name it has taken; on a mismatch it takes one character more.
    let mut star: Option<(usize, usize)> = None;
    let (mut p, mut n) = (0, 0);
    while n < name.len() {
        let width = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some('[') => match in_class(&pattern[p..], name[n]) {
                Some((hit, width)) => hit.then_some(width),
                None => (name[n] == '[').then_some(1),
            },
            Some(c) => (*c == '?' || *c == name[n]).then_some(1),
            None => None,
        };
        match (width, star) {
            (Some(width), _) => {
                p += width;
                n += 1;
            }
            (None, Some((after, taken))) => {
                star = Some((after, taken + 1));
                p = after;
                n = taken + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Reads a `[…]` at the start of `pattern`: whether `c` is in it and how long it is; `None` when it does not end.
fn in_class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    // A `]` in the first place stands for itself.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let members = &pattern[start..end];
    let mut hit = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            hit |= (members[at]..=members[at + 2]).contains(&c);
            at += 3;
        } else {
            hit |= members[at] == c;
            at += 1;
        }
    }
    Some((hit != negated, end + 1))
}

/// Returns the path of the file of stages that `text` names, that of `cwd` for an empty text.
fn stage_file(text: &str, cwd: &RelPath) -> Result<RelPath, SelectError> {
    refuse_lock_file(text)?;
    Ok(cwd.join(if text.is_empty() { "dvc.yaml" } else { text })?)
}

fn is_stage_file(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or(text);
    name == "dvc.yaml" || name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty())
}

fn refuse_lock_file(text: &str) -> Result<(), SelectError> {
    match text.strip_suffix("dvc.lock") {
        Some(dir) if dir.is_empty() || dir.ends_with('/') => {
            Err(SelectError::LockFile { text: text.to_owned(), meant: format!("{dir}dvc.yaml") })
        }
        _ => Ok(()),
    }
}
