//! Reading commits, trees and blobs.

use std::fmt;
use std::sync::Arc;

use exp_core::Timestamp;
use gix::bstr::ByteSlice;
use gix::objs::tree::EntryKind as GitKind;

use super::{Git, failed, oid, raw};
use crate::error::GitError;
use crate::id::{BlobId, CommitId, RawId, TreeId};
use crate::name::TreePath;

/// What a commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit.
    pub id: CommitId,
    /// Its top directory.
    pub tree: TreeId,
    /// In order; an experiment has exactly one, its baseline.
    pub parents: Vec<CommitId>,
    /// Name of the author; bytes that are not UTF-8 are replaced.
    pub author_name: String,
    /// Address of the author, without angle brackets.
    pub author_email: String,
    /// When the author wrote it.
    pub author_time: Timestamp,
    /// When it was committed, with the committer's offset.
    pub time: Timestamp,
    /// The whole message as it is; bytes that are not UTF-8 are replaced.
    pub message: String,
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// A directory.
    Tree(TreeId),
    /// A file.
    File {
        /// Its bytes, as Git stores them.
        blob: BlobId,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// The bytes of its target.
        blob: BlobId,
    },
    /// A commit of another repository.
    Submodule(CommitId),
}

impl EntryKind {
    /// Returns the bytes' name of a file or link.
    pub fn blob(self) -> Option<BlobId> {
        match self {
            Self::File { blob, .. } | Self::Link { blob } => Some(blob),
            Self::Tree(_) | Self::Submodule(_) => None,
        }
    }

    pub(super) fn from_git(kind: GitKind, id: &gix::oid) -> Self {
        match kind {
            GitKind::Tree => Self::Tree(TreeId(raw(id))),
            GitKind::Blob => Self::File { blob: BlobId(raw(id)), executable: false },
            GitKind::BlobExecutable => Self::File { blob: BlobId(raw(id)), executable: true },
            GitKind::Link => Self::Link { blob: BlobId(raw(id)) },
            GitKind::Commit => Self::Submodule(CommitId(raw(id))),
        }
    }
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The name within its directory, as bytes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
}

/// Whether [`Tree::walk`] looks into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descend {
    /// Look into it.
    Enter,
    /// Leave it out.
    Skip,
}

/// A handle for many reads in one thread, made by [`Git::reader`].
///
/// A directory that was decoded last is kept, so that reading several files of one commit decodes it once.
pub struct Reader {
    repo: gix::Repository,
    trees: std::cell::RefCell<lru::Trees>,
}

impl Reader {
    pub(super) fn new(repo: gix::Repository) -> Self {
        Self { repo, trees: std::cell::RefCell::default() }
    }

    /// Returns what a commit says.
    pub fn commit(&self, id: CommitId) -> Result<CommitInfo, GitError> {
        let action = || format!("read commit {id}");
        let commit = self.repo.find_commit(id).map_err(|error| failed(&action())(error))?;
        let decoded = commit.decode().map_err(|error| failed(&action())(error))?;
        let author = decoded.author().map_err(|error| failed(&action())(error))?;
        let committer = decoded.committer().map_err(|error| failed(&action())(error))?;
        let time = |who: &gix::actor::SignatureRef<'_>| {
            // A commit with a nonsense time is shown as of the epoch rather than not at all.
            let time = who.time().unwrap_or_default();
            Timestamp { seconds: time.seconds, offset: time.offset }
        };
        Ok(CommitInfo {
            id,
            tree: TreeId(raw(&decoded.tree())),
            parents: decoded.parents().map(|parent| CommitId(raw(&parent))).collect(),
            author_name: author.name.to_str_lossy().into_owned(),
            author_email: author.email.to_str_lossy().into_owned(),
            author_time: time(&author),
            time: time(&committer),
            message: decoded.message.to_str_lossy().into_owned(),
        })
    }

    /// Returns a line of the header of a commit that Git does not know; `None` when there is no such line.
    pub(crate) fn header(&self, id: CommitId, name: &str) -> Result<Option<Vec<u8>>, GitError> {
        let action = || format!("read commit {id}");
        let commit = self.repo.find_commit(id).map_err(|error| failed(&action())(error))?;
        let decoded = commit.decode().map_err(|error| failed(&action())(error))?;
        Ok(decoded.extra_headers().find(name).map(|value| value.to_vec()))
    }

    /// Returns the top directory of a commit.
    pub fn tree_of(&self, id: CommitId) -> Result<Tree<'_>, GitError> {
        let commit = self
            .repo
            .find_commit(id)
            .map_err(|error| failed(&format!("read commit {id}"))(error))?;
        let tree = commit.tree_id().map_err(|error| failed(&format!("read commit {id}"))(error))?;
        Ok(Tree { reader: self, id: TreeId(raw(&tree)) })
    }

    /// Returns a directory. Nothing is read yet.
    pub fn tree(&self, id: TreeId) -> Tree<'_> {
        Tree { reader: self, id }
    }

    /// Returns the bytes of a file as Git stores them.
    pub fn blob(&self, id: BlobId) -> Result<Vec<u8>, GitError> {
        let mut blob =
            self.repo.find_blob(id).map_err(|error| failed(&format!("read blob {id}"))(error))?;
        Ok(blob.take_data())
    }

    /// Returns the size of a file in bytes as Git stores it, without reading all of it.
    pub fn blob_size(&self, id: BlobId) -> Result<u64, GitError> {
        let header =
            self.repo.find_header(id).map_err(|error| failed(&format!("read blob {id}"))(error))?;
        Ok(header.size())
    }

    fn entries(&self, id: TreeId) -> Result<Arc<Vec<TreeEntry>>, GitError> {
        if let Some(found) = self.trees.borrow_mut().get(id) {
            return Ok(found);
        }
        let action = || format!("read tree {id}");
        let tree = self.repo.find_tree(id).map_err(|error| failed(&action())(error))?;
        let mut entries = Vec::new();
        for entry in tree.iter() {
            let entry = entry.map_err(|error| failed(&action())(error))?;
            entries.push(TreeEntry {
                name: entry.filename().to_vec(),
                kind: EntryKind::from_git(entry.kind(), entry.oid()),
            });
        }
        let entries = Arc::new(entries);
        self.trees.borrow_mut().put(id, Arc::clone(&entries));
        Ok(entries)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("git_dir", &self.repo.git_dir()).finish_non_exhaustive()
    }
}

/// A directory as Git stores it, read through a [`Reader`].
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    reader: &'a Reader,
    id: TreeId,
}

impl Tree<'_> {
    /// Returns its name, equal for equal contents: a key for whatever is computed from them.
    pub fn id(&self) -> TreeId {
        self.id
    }

    /// Returns the entries, in Git's order: by bytes, as if directories ended in `/`.
    pub fn entries(&self) -> Result<Arc<Vec<TreeEntry>>, GitError> {
        self.reader.entries(self.id)
    }

    /// Returns what is at `path` below this directory; the directory itself for the empty path.
    ///
    /// `None` when there is nothing, also when a part of the way is a file or a link.
    pub fn entry(&self, path: &[u8]) -> Result<Option<EntryKind>, GitError> {
        let mut at = EntryKind::Tree(self.id);
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            let EntryKind::Tree(tree) = at else { return Ok(None) };
            let entries = self.reader.entries(tree)?;
            match entries.iter().find(|entry| entry.name == part) {
                Some(entry) => at = entry.kind,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Returns the bytes of the file at `path`, those of the target for a link, `None` when there is no file.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        match self.entry(path.as_bytes())?.and_then(EntryKind::blob) {
            Some(blob) => self.reader.blob(blob).map(Some),
            None => Ok(None),
        }
    }

    /// Calls `visit` for everything below, directories before their contents, in the order of
    /// [`Tree::entries`]. Its answer matters for directories only.
    pub fn walk(
        &self,
        visit: &mut dyn FnMut(&TreePath, EntryKind) -> Descend,
    ) -> Result<(), GitError> {
        // A stack of what is still to do, last first; trees nest too deeply for the thread's stack.
        let mut todo = vec![(Vec::new(), EntryKind::Tree(self.id))];
        while let Some((path, kind)) = todo.pop() {
            let is_top = path.is_empty();
            let path = TreePath::listed(&path);
            let enter = is_top || visit(&path, kind) == Descend::Enter;
            let EntryKind::Tree(tree) = kind else { continue };
            if !enter {
                continue;
            }
            for entry in self.reader.entries(tree)?.iter().rev() {
                let mut below = path.as_bytes().to_vec();
                if !is_top {
                    below.push(b'/');
                }
                below.extend(&entry.name);
                todo.push((below, entry.kind));
            }
        }
        Ok(())
    }
}

impl Git {
    /// Returns what a commit says. For many, take a [`Git::reader`].
    pub fn commit(&self, id: CommitId) -> Result<CommitInfo, GitError> {
        self.reader().commit(id)
    }

    /// Returns the bytes of the file at `path` in a commit, `None` when there is no file.
    pub fn read(&self, commit: CommitId, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        self.reader().tree_of(commit)?.read(path)
    }

    /// Returns the bytes of a file as Git stores them.
    pub fn blob(&self, id: BlobId) -> Result<Vec<u8>, GitError> {
        self.reader().blob(id)
    }

    /// Returns whether the commit is in the repository.
    pub fn has_commit(&self, id: CommitId) -> bool {
        self.local().find_header(id).is_ok_and(|header| header.kind() == gix::objs::Kind::Commit)
    }

    /// Returns the tree without entries, which need not be stored.
    pub fn empty_tree(&self) -> TreeId {
        TreeId(raw(&gix::ObjectId::empty_tree(self.local().object_hash())))
    }

    pub(super) fn tree_id(&self, commit: CommitId) -> Result<TreeId, GitError> {
        Ok(self.reader().tree_of(commit)?.id())
    }
}

/// Keeps a bounded number of decoded directories.
mod lru {
    use super::{Arc, RawId, TreeEntry, TreeId};
    use std::collections::HashMap;

    /// So many are kept, then all are dropped: experiments share their sub-directories, their tops are all new.
    const KEPT: usize = 256;

    #[derive(Default)]
    pub(super) struct Trees(HashMap<RawId, Arc<Vec<TreeEntry>>>);

    impl Trees {
        pub(super) fn get(&mut self, id: TreeId) -> Option<Arc<Vec<TreeEntry>>> {
            self.0.get(&id.0).cloned()
        }

        pub(super) fn put(&mut self, id: TreeId, entries: Arc<Vec<TreeEntry>>) {
            if self.0.len() >= KEPT {
                self.0.clear();
            }
            self.0.insert(id.0, entries);
        }
    }
}

/// Writes an entry kind as gix wants it.
pub(super) fn to_git(kind: EntryKind) -> (GitKind, gix::ObjectId) {
    match kind {
        EntryKind::Tree(id) => (GitKind::Tree, oid(id.0)),
        EntryKind::File { blob, executable: false } => (GitKind::Blob, oid(blob.0)),
        EntryKind::File { blob, executable: true } => (GitKind::BlobExecutable, oid(blob.0)),
        EntryKind::Link { blob } => (GitKind::Link, oid(blob.0)),
        EntryKind::Submodule(id) => (GitKind::Commit, oid(id.0)),
    }
}
