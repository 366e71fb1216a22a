//! What is needed: every object that a file or a commit of the repository names.
//!
//! Whoever collects must not miss one, and projects change while they are read. What is named moves from work trees to
//! commits when an experiment is done, and back when one is applied, and what is removed is in a journal and then in the
//! operation log; so work trees are read first, then refs, then work trees and journals again, then the log. What is
//! found once stays found, and so a second look adds to the first.
//!
//! Records are read directly from each `dvc.lock` and `.dvc` file, in whatever directory: a pipeline that cannot be
//! parsed any more does not hide what it recorded. DVC's own collection counts the outputs of stages instead
//! ([`Reading::Pipelines`]).

mod revisions;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use exp_core::{Ctx, DvcFile, LockFile, ObjectId, RelPath, StageLock};
use exp_refs::{BlobId, CommitId, EntryKind, Reader, TreeId};

pub use revisions::{KeepScope, RevisionKind, Revisions};

use crate::error::Error;
use crate::operation::{FileState, Operation};
use crate::project::Project;
use crate::source::TreeSource;
use crate::view::{Broken, View};

/// Who needs an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Holder {
    /// The files of a work tree: the workspace, another work tree of the repository, or that of a running experiment.
    WorkTree(PathBuf),
    /// What is staged in a work tree.
    Index(PathBuf),
    /// A commit.
    Commit(CommitId),
    /// An operation that can be taken back.
    Undo,
    /// An operation under way.
    Running,
    /// A recorded run.
    Run,
}

/// A reason to keep an object: the first one found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededBy {
    /// The path that it is recorded for, from the top of the project or of the repository.
    pub path: String,
    /// Who recorded it.
    pub holder: Holder,
}

/// Something that could not be read, so that what it needs is not known.
#[derive(Debug)]
pub struct Unreadable {
    /// Whose it is.
    pub holder: Holder,
    /// The file; empty for a work tree or commit as a whole.
    pub path: String,
    /// Why.
    pub source: Error,
}

/// What counts as needed in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Everything that a lock file or a `.dvc` file records as an output.
    Records,
    /// The recorded outputs of stages that exist, as DVC counts: without those that the store does not keep.
    Pipelines,
}

/// Collects what is needed.
pub(crate) struct Roots {
    project: Project,
    reading: Reading,
    found: BTreeMap<ObjectId, NeededBy>,
    unreadable: Vec<Unreadable>,
    trees: HashSet<TreeId>,
    blobs: HashSet<BlobId>,
    commits: HashSet<CommitId>,
    /// What operations under way started from or refer to.
    running: BTreeSet<CommitId>,
}

impl Roots {
    pub(crate) fn new(project: &Project, reading: Reading) -> Self {
        Self {
            project: project.clone(),
            reading,
            found: BTreeMap::new(),
            unreadable: Vec::new(),
            trees: HashSet::new(),
            blobs: HashSet::new(),
            commits: HashSet::new(),
            running: BTreeSet::new(),
        }
    }

    /// Returns what a single commit records, as far as it can be read.
    pub(crate) fn of_commit(project: &Project, commit: CommitId) -> Vec<ObjectId> {
        let mut roots = Self::new(project, Reading::Records);
        roots.look_at_commit(&project.git().reader(), commit);
        roots.found.into_keys().collect()
    }

    /// Returns what was found so far.
    pub(crate) fn found(&self) -> &BTreeMap<ObjectId, NeededBy> {
        &self.found
    }

    /// Takes what could not be read since the last call.
    pub(crate) fn take_unreadable(&mut self) -> Vec<Unreadable> {
        std::mem::take(&mut self.unreadable)
    }

    /// Looks at everything in `scope`, again if that was done before.
    ///
    /// # Errors
    ///
    /// When the repository itself cannot be read or a revision does not exist. Single commits and files that cannot be
    /// read are in [`Roots::take_unreadable`].
    pub(crate) fn look(&mut self, ctx: &Ctx<'_>, scope: &KeepScope) -> Result<(), Error> {
        self.look_at_work(ctx)?;
        let tips = scope.commits(ctx, &self.project)?;
        self.look_at_commits(ctx, scope, &tips)?;
        self.look_at_work(ctx)?;
        // A ref that is removed is first in a journal and then in the log, so these come last.
        let named = self.look_at_operations(scope)?;
        self.look_at_commits(ctx, scope, &named)
    }

    fn look_at_commits(
        &mut self,
        ctx: &Ctx<'_>,
        scope: &KeepScope,
        from: &BTreeSet<CommitId>,
    ) -> Result<(), Error> {
        let commits = match scope {
            KeepScope::Everything { .. } => self.project.git().reachable(from)?,
            KeepScope::Revisions(_) => from.iter().copied().collect(),
        };
        let reader = self.project.git().reader();
        for commit in commits {
            ctx.check()?;
            self.look_at_commit(&reader, commit);
        }
        Ok(())
    }

    fn need(&mut self, id: ObjectId, path: String, holder: &Holder) {
        self.found.entry(id).or_insert_with(|| NeededBy { path, holder: holder.clone() });
    }

    fn note(&mut self, holder: &Holder, path: &str, source: impl Into<Error>) {
        let (holder, path, source) = (holder.clone(), path.to_owned(), source.into());
        self.unreadable.push(Unreadable { holder, path, source });
    }

    fn look_at_commit(&mut self, reader: &Reader, commit: CommitId) {
        if !self.commits.insert(commit) {
            return;
        }
        let holder = Holder::Commit(commit);
        let top = match reader.tree_of(commit) {
            Ok(tree) => tree.id(),
            Err(error) => return self.note(&holder, "", error),
        };
        let looked = match self.reading {
            Reading::Records => self.look_at_tree(reader, top, &holder),
            Reading::Pipelines if !self.trees.insert(top) => Ok(()),
            Reading::Pipelines => {
                let source = TreeSource::new(reader, top, self.project.prefix().clone());
                let root = self.project.root().to_path_buf();
                View::load(&source, &root, Broken::Fail)
                    .map(|view| self.look_at_view(&view, &holder))
            }
        };
        if let Err(error) = looked {
            self.note(&holder, "", error);
        }
    }

    /// Looks at all records below a directory of a commit. What was seen in another commit is not read again.
    fn look_at_tree(&mut self, reader: &Reader, top: TreeId, holder: &Holder) -> Result<(), Error> {
        let mut todo = vec![(top, String::new())];
        while let Some((tree, at)) = todo.pop() {
            if !self.trees.insert(tree) {
                continue;
            }
            for entry in reader.tree(tree).entries()?.iter() {
                let path = || format!("{at}{}", String::from_utf8_lossy(&entry.name));
                match entry.kind {
                    EntryKind::Tree(below) => todo.push((below, path() + "/")),
                    EntryKind::File { blob, .. }
                        if is_record(&entry.name) && self.blobs.insert(blob) =>
                    {
                        let bytes = reader.blob(blob)?;
                        self.look_at_record(&path(), &bytes, holder);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn look_at_view(&mut self, view: &View, holder: &Holder) {
        for stage in view.stages.iter() {
            let Some(lock) = view.recorded(&stage.id) else { continue };
            for out in stage.outs.iter().filter(|out| out.cache) {
                let Some(path) = out.location.workspace() else { continue };
                if let Some(artifact) = lock.out(&out.path).and_then(|entry| entry.artifact) {
                    self.need(artifact.id, path.to_string(), holder);
                }
            }
        }
    }

    /// Looks at a lock file or a `.dvc` file, and returns the paths of the outputs.
    fn look_at_record(&mut self, path: &str, bytes: &[u8], holder: &Holder) -> Vec<String> {
        match recorded(path, bytes) {
            Ok(outs) => {
                let paths = outs.iter().map(|(path, _)| path.clone()).collect();
                for (path, id) in outs {
                    self.need(id, path, holder);
                }
                paths
            }
            Err(error) => {
                self.note(holder, path, error);
                Vec::new()
            }
        }
    }

    /// Looks at what an operation may have to put back. Returns the commits that it names.
    fn look_at_operation(&mut self, operation: &Operation, holder: &Holder) -> BTreeSet<CommitId> {
        let git = self.project.git().clone();
        for file in &operation.files {
            for state in [&file.before, &file.after].into_iter().flatten() {
                match state {
                    FileState::Data { algorithm, oid, .. } => match object_id(algorithm, oid) {
                        Some(id) => self.need(id, file.path.clone(), holder),
                        None => self.note(holder, &file.path, unknown_state()),
                    },
                    FileState::Blob { id, .. } if is_record(file.path.as_bytes()) => {
                        // What was no record then needs nothing when it comes back.
                        let blob = id.parse().ok().and_then(|id: BlobId| git.blob(id).ok());
                        let outs = blob.and_then(|bytes| recorded(&file.path, &bytes).ok());
                        for (path, id) in outs.unwrap_or_default() {
                            self.need(id, path, holder);
                        }
                    }
                    _ => {}
                }
            }
        }
        let ids = operation.refs.iter().flat_map(|moved| [&moved.before, &moved.after]);
        let commits = ids.flatten().filter_map(|id| id.parse().ok());
        commits.filter(|id| git.has_commit(*id)).collect()
    }
}

fn unknown_state() -> Error {
    let source = "it names an object in a way that is not understood".into();
    Error::Corrupt { what: "an operation".to_owned(), source }
}

fn object_id(algorithm: &str, oid: &str) -> Option<ObjectId> {
    use exp_core::Algorithm::{Md5, Md5Dos2Unix, Sha256};
    let known = [Md5, Sha256, Md5Dos2Unix].into_iter().find(|known| known.name() == algorithm)?;
    ObjectId::parse(known, oid).ok()
}

/// Returns whether a file of this name or path records outputs.
fn is_record(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    name == b"dvc.lock" || name.strip_suffix(b".dvc").is_some_and(|stem| !stem.is_empty())
}

/// Returns the outputs that a lock file or a `.dvc` file records, by path beside the file.
fn recorded(path: &str, bytes: &[u8]) -> Result<Vec<(String, ObjectId)>, Error> {
    let text = String::from_utf8_lossy(bytes);
    let (dir, name) = path.rsplit_once('/').map_or(("", path), |(dir, name)| (dir, name));
    let wrong = |source| match RelPath::new(path) {
        Ok(file) => Error::Recorded { file, source },
        Err(error) => error.into(),
    };
    let stages: Vec<StageLock> = if name == "dvc.lock" {
        LockFile::parse(&text).map_err(wrong)?.stages.into_values().collect()
    } else {
        vec![DvcFile::parse(&text).map_err(wrong)?.recorded()]
    };
    let outs = stages.into_iter().flat_map(|stage| stage.outs);
    Ok(outs
        .filter_map(|out| {
            let path = if dir.is_empty() { out.path } else { format!("{dir}/{}", out.path) };
            Some((path, out.artifact?.id))
        })
        .collect())
}
