//! What differs between two revisions: metrics, parameters, code, data and outputs.

use std::collections::BTreeSet;
use std::sync::Arc;

use exp_core::{Artifact, Ctx, RelPath, Value};
use exp_params::{All, Change};
use exp_refs::{CommitId, PatchOptions, Reverse, TreePath};

use crate::collect::{CollectOptions, collect_commits, collect_workspace};
use crate::error::Error;
use crate::project::Project;
use crate::revision::{Files, RevisionData, RowData};

/// One of the two sides of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The files as they are.
    Workspace,
    /// A commit.
    Commit(CommitId),
}

impl Side {
    /// Finds a side by what a person writes: `workspace`, or whatever [`Project::find`] understands.
    pub fn find(ctx: &Ctx<'_>, project: &Project, name: &str) -> Result<Self, Error> {
        if name == "workspace" {
            Ok(Self::Workspace)
        } else {
            Ok(Self::Commit(project.find(ctx, name)?.commit()))
        }
    }

    fn collect(
        self,
        ctx: &Ctx<'_>,
        project: &Project,
        options: CollectOptions<'_>,
    ) -> Result<RowData, Error> {
        match self {
            Self::Workspace => Ok(collect_workspace(project, options)),
            Self::Commit(id) => {
                let mut rows = collect_commits(ctx, project, &[id], options)?;
                Ok(rows.pop().expect("there is a row for each commit"))
            }
        }
    }
}

/// What differs in one parameter or metric file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileDifference {
    /// The file.
    pub file: Arc<str>,
    /// Its values, by name.
    pub changes: Vec<Change>,
}

/// Two revisions, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The first.
    pub old: RowData,
    /// The second.
    pub new: RowData,
}

/// A dependency or an output that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDifference {
    /// Where.
    pub path: Arc<str>,
    /// What was recorded in the first revision.
    pub old: Option<Artifact>,
    /// What was recorded in the second.
    pub new: Option<Artifact>,
}

/// A source file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeDifference {
    /// The file, as Git knows it.
    pub git_path: TreePath,
    /// The file below the project's root; its path in Git when it lies elsewhere.
    pub path: String,
    /// Lines that are new, and lines that are gone; `None` for a file that is not text.
    pub lines: Option<(u64, u64)>,
}

impl Pair {
    /// Reads two revisions.
    ///
    /// # Errors
    ///
    /// Only when a stop was asked for: what cannot be read is in the pair.
    pub fn read(
        ctx: &Ctx<'_>,
        project: &Project,
        sides: [Side; 2],
        options: CollectOptions<'_>,
    ) -> Result<Self, Error> {
        let [old, new] = sides;
        Ok(Self {
            old: old.collect(ctx, project, options)?,
            new: new.collect(ctx, project, options)?,
        })
    }

    /// Returns what differs in metrics, by file in the order of their first appearance. A file that cannot be read
    /// counts as one that is not there.
    pub fn metrics(&self, all: All) -> Vec<FileDifference> {
        self.files(all, |data| &data.metrics)
    }

    /// Returns what differs in parameters, as [`Pair::metrics`] does.
    pub fn params(&self, all: All) -> Vec<FileDifference> {
        self.files(all, |data| &data.params)
    }

    fn files(&self, all: All, of: impl Fn(&RevisionData) -> &Files) -> Vec<FileDifference> {
        let empty = Files::new();
        let old = self.old.as_ref().map_or(&empty, |data| of(data));
        let new = self.new.as_ref().map_or(&empty, |data| of(data));
        let mut names: Vec<&Arc<str>> = Vec::new();
        for (name, _) in old.iter().chain(new) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let value = |files: &Files, name: &str| -> Option<Value> {
            let (_, data) = files.iter().find(|(known, _)| **known == *name)?;
            data.value().cloned()
        };
        names
            .into_iter()
            .map(|name| {
                let (old, new) = (value(old, name), value(new, name));
                let changes = exp_params::diff(old.as_ref(), new.as_ref(), all);
                FileDifference { file: Arc::clone(name), changes }
            })
            .filter(|file| !file.changes.is_empty())
            .collect()
    }

    /// Returns the data that both read and that differs: data sources, and dependencies that no stage writes.
    pub fn data(&self) -> Vec<DataDifference> {
        let written: BTreeSet<&str> = self
            .each()
            .flat_map(|data| &data.outs)
            .filter(|(_, out)| !out.is_data_source)
            .map(|(path, _)| &**path)
            .collect();
        let recorded = |data: &RevisionData| -> Vec<(Arc<str>, Option<Artifact>)> {
            let sources = data.outs.iter().filter(|(_, out)| out.is_data_source);
            let sources = sources.map(|(path, out)| (Arc::clone(path), out.artifact));
            let deps = data.deps.iter().filter(|(path, _)| !written.contains(&**path));
            sources.chain(deps.map(|(path, dep)| (Arc::clone(path), dep.artifact))).collect()
        };
        self.recorded(recorded)
    }

    /// Returns the outputs of stages that differ, metrics aside.
    pub fn outputs(&self) -> Vec<DataDifference> {
        self.recorded(|data| {
            let outs = data.outs.iter().filter(|(_, out)| !out.is_data_source);
            outs.map(|(path, out)| (Arc::clone(path), out.artifact)).collect()
        })
    }

    fn each(&self) -> impl Iterator<Item = &RevisionData> {
        [&self.old, &self.new].into_iter().filter_map(|row| row.as_deref().ok())
    }

    fn recorded(
        &self,
        of: impl Fn(&RevisionData) -> Vec<(Arc<str>, Option<Artifact>)>,
    ) -> Vec<DataDifference> {
        let list = |row: &RowData| row.as_ref().map_or_else(|_| Vec::new(), |data| of(data));
        let (old, new) = (list(&self.old), list(&self.new));
        let find = |list: &[(Arc<str>, Option<Artifact>)], path: &str| {
            list.iter().find(|(known, _)| **known == *path).and_then(|(_, artifact)| *artifact)
        };
        let paths: BTreeSet<&Arc<str>> = old.iter().chain(&new).map(|(path, _)| path).collect();
        paths
            .into_iter()
            .map(|path| DataDifference {
                path: Arc::clone(path),
                old: find(&old, path),
                new: find(&new, path),
            })
            .filter(|found| {
                found.old.map(|artifact| artifact.id) != found.new.map(|artifact| artifact.id)
            })
            .collect()
    }

    /// Returns the files that differ and that are neither parameters, metrics, nor what `exp` and DVC write.
    ///
    /// Of the workspace only files that Git tracks count.
    pub fn code(&self, project: &Project, sides: [Side; 2]) -> Result<Vec<CodeDifference>, Error> {
        let git = project.git();
        let stats = match sides {
            [Side::Commit(old), Side::Commit(new)] => git.diff_stat(old, Some(new))?,
            [Side::Commit(old), Side::Workspace] => git.diff_stat(old, None)?,
            [Side::Workspace, Side::Commit(new)] => {
                let mut stats = git.diff_stat(new, None)?;
                for stat in &mut stats {
                    stat.lines = stat.lines.map(|(added, removed)| (removed, added));
                }
                stats
            }
            [Side::Workspace, Side::Workspace] => Vec::new(),
        };
        let known: BTreeSet<&str> = (self.each())
            .flat_map(|data| data.params.iter().chain(&data.metrics))
            .map(|(path, _)| &**path)
            .collect();
        let outs: Vec<RelPath> = (self.each())
            .flat_map(|data| &data.outs)
            .filter_map(|(path, _)| RelPath::new(path).ok())
            .collect();
        let mut code = Vec::new();
        for stat in stats {
            let below = project.from_git_path(&stat.path);
            if let Some(path) = &below {
                let name = path.file_name().unwrap_or_default();
                let is_ours = name == "dvc.lock"
                    || name == ".gitignore"
                    || name.strip_suffix(".dvc").is_some()
                    || exp_refs::is_record(&stat.path);
                if is_ours
                    || known.contains(path.as_str())
                    || outs.iter().any(|out| path.starts_with(out))
                {
                    continue;
                }
            }
            let path = below.map_or_else(
                || String::from_utf8_lossy(stat.path.as_bytes()).into_owned(),
                |path| path.as_str().to_owned(),
            );
            code.push(CodeDifference { git_path: stat.path, path, lines: stat.lines });
        }
        Ok(code)
    }
}

/// Returns the patch of these files.
pub fn patch(
    project: &Project,
    sides: [Side; 2],
    code: &[CodeDifference],
    colour: bool,
) -> Result<Vec<u8>, Error> {
    let paths: Vec<TreePath> = code.iter().map(|file| file.git_path.clone()).collect();
    let git = project.git();
    let options = |reverse| PatchOptions { paths: &paths, reverse, colour };
    Ok(match sides {
        [Side::Commit(old), Side::Commit(new)] => {
            git.diff_patch(old, Some(new), &options(Reverse::No))?
        }
        [Side::Commit(old), Side::Workspace] => git.diff_patch(old, None, &options(Reverse::No))?,
        [Side::Workspace, Side::Commit(new)] => {
            git.diff_patch(new, None, &options(Reverse::Yes))?
        }
        [Side::Workspace, Side::Workspace] => Vec::new(),
    })
}
