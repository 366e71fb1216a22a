//! Making blobs, trees and commits. No ref is touched here.

use exp_core::Timestamp;

use super::read::to_git;
use super::{Git, failed, oid, raw};
use crate::env::GitEnv;
use crate::error::{CommitError, GitError};
use crate::id::{BlobId, CommitId, RawId, TreeId};
use crate::name::TreePath;
use crate::record::{self, RunRecord};
use crate::repo::read::EntryKind;

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The address, without angle brackets.
    pub email: String,
}

/// A commit to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its only parent; for an experiment the baseline.
    pub parent: CommitId,
    /// The tree that the changes are applied to; `None` for that of the parent.
    pub base: Option<TreeId>,
    /// What differs from the base. Of two changes of one path the last counts.
    pub changes: Vec<TreeChange>,
    /// Written as it is; DVC's has no final newline.
    pub message: String,
    /// Who made the experiment; `None` for the configured identity.
    pub author: Option<Identity>,
    /// The moment, for author and committer. `GIT_AUTHOR_DATE` and `GIT_COMMITTER_DATE` of the repository's
    /// environment take precedence, as in Git.
    pub time: Timestamp,
    /// What is known of the run that it is, kept in the header of the commit: programs that do not know it pass over it.
    /// `None` for a commit that is no run, or whose tree has the record.
    pub record: Option<Box<RunRecord>>,
}

/// One difference of a tree from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeChange {
    /// Where.
    pub path: TreePath,
    /// What happens there.
    pub edit: TreeEdit,
}

impl TreeChange {
    /// Returns the change that makes `path` a file with these bytes, not executable.
    pub fn file(path: TreePath, bytes: &[u8]) -> Self {
        let content = Content::Bytes(bytes.to_vec());
        Self { path, edit: TreeEdit::Write { content, executable: false } }
    }
}

/// What happens to one path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEdit {
    /// It becomes a file.
    Write {
        /// Its bytes, as Git stores them: no filter is applied.
        content: Content,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// It becomes a symbolic link.
    Symlink {
        /// The bytes of its target.
        target: Content,
    },
    /// It becomes a commit of another repository.
    Submodule(CommitId),
    /// It is no more; nothing happens when it was not. A directory goes with all that is below.
    Delete,
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These.
    Bytes(Vec<u8>),
    /// Those of an object that is stored already.
    Blob(BlobId),
}

impl Git {
    /// Stores a file's bytes. They are synced to disk by the [`Git::write_commit`] that uses them.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<BlobId, GitError> {
        let repo = self.local();
        let id = repo.write_blob(bytes).map_err(failed("write a blob"))?;
        Ok(BlobId(raw(&id)))
    }

    /// Stores the tree that `changes` make of `base`, which may be [`Git::empty_tree`]. Directories that become
    /// empty go. Where a file was, a directory may come, and the other way about.
    ///
    /// The new objects are on disk when this returns.
    pub fn write_tree(&self, base: TreeId, changes: &[TreeChange]) -> Result<TreeId, GitError> {
        let mut written = Vec::new();
        let tree = self.put_tree(base, changes, &mut written)?;
        self.sync_objects(&written)?;
        Ok(tree)
    }

    /// Stores a commit and everything that it needs, on disk when this returns. No ref leads to it yet, so
    /// `git gc` removes it after some weeks if none ever does.
    ///
    /// It is never signed, as DVC's are not, and runs no hook.
    pub fn write_commit(&self, draft: &Draft) -> Result<CommitId, CommitError> {
        let mut written = Vec::new();
        let commit = self.put_draft(draft, &mut written)?;
        self.sync_objects(&written)?;
        Ok(commit)
    }

    /// Stores many commits as [`Git::write_commit`] does each of them, in their order; all of them are on disk when this
    /// returns, which takes much less than one after the other.
    pub fn write_commits(&self, drafts: &[Draft]) -> Result<Vec<CommitId>, CommitError> {
        let mut written = Vec::new();
        let commits = (drafts.iter())
            .map(|draft| self.put_draft(draft, &mut written))
            .collect::<Result<_, _>>()?;
        self.sync_objects(&written)?;
        Ok(commits)
    }

    /// Stores a commit of a given tree with any number of parents; for chains such as the operation log.
    ///
    /// Where no identity is configured, `exp <exp>` is taken: such commits are bookkeeping, not authorship.
    pub fn write_record(
        &self,
        tree: TreeId,
        parents: &[CommitId],
        message: &str,
        time: Timestamp,
    ) -> Result<CommitId, GitError> {
        let signature = self.reflog_signature(Some(time));
        if tree == self.empty_tree() {
            // Git takes the empty tree for granted when it reads, and misses it when it checks.
            let empty = gix::objs::Tree::empty();
            self.local().write_object(&empty).map_err(failed("write the empty tree"))?;
        }
        let object = commit(tree, parents, signature.clone(), signature, message);
        let commit = self.store_commit(&object)?;
        self.sync_objects(&[tree.0, commit.0])?;
        Ok(commit)
    }

    /// Returns who would be the author of an experiment: `GIT_AUTHOR_NAME` and `GIT_AUTHOR_EMAIL`, else
    /// `author.*`, else `user.*` of the configuration, else `EMAIL` for the address. Git's guesses from the
    /// machine's accounts are not made; DVC makes none either.
    pub fn author(&self) -> Result<Identity, CommitError> {
        self.identity(Role::Author)
    }

    /// Returns who does bookkeeping, at `time` or now.
    pub(super) fn reflog_signature(&self, time: Option<Timestamp>) -> gix::actor::Signature {
        let generic = Identity { name: "exp".to_owned(), email: "exp".to_owned() };
        let who = self.identity(Role::Committer).unwrap_or(generic);
        let stamp = time.map_or_else(
            || {
                let now = gix::date::Time::now_local_or_utc();
                (now.seconds, now.offset)
            },
            |time| (time.seconds, time.offset),
        );
        signature(&who, stamp)
    }

    fn put_tree(
        &self,
        base: TreeId,
        changes: &[TreeChange],
        written: &mut Vec<RawId>,
    ) -> Result<TreeId, GitError> {
        if changes.is_empty() {
            return Ok(base);
        }
        let repo = self.local();
        let mut editor =
            repo.edit_tree(base).map_err(failed(&format!("read tree {base}")))?.detach();
        // Removals first: a file may give way to a directory of the same name.
        let (gone, new): (Vec<_>, Vec<_>) =
            last_of_each(changes).partition(|change| change.edit == TreeEdit::Delete);
        for change in gone.iter().chain(&new) {
            let action = || format!("change `{}` in a tree", change.path);
            let kind = match &change.edit {
                TreeEdit::Delete => {
                    editor.remove(parts(&change.path)).map_err(failed(&action()))?;
                    continue;
                }
                TreeEdit::Write { content, executable } => {
                    EntryKind::File { blob: self.put(content)?, executable: *executable }
                }
                TreeEdit::Symlink { target } => EntryKind::Link { blob: self.put(target)? },
                TreeEdit::Submodule(commit) => EntryKind::Submodule(*commit),
            };
            written.extend(kind.blob().map(|blob| blob.0));
            let (kind, id) = to_git(kind);
            editor.upsert(parts(&change.path), kind, id).map_err(failed(&action()))?;
        }
        let id = editor
            .write(|tree| {
                let id = repo.write_object(tree)?.detach();
                written.push(raw(&id));
                Ok::<_, gix::Error>(id)
            })
            .map_err(failed("write a tree"))?;
        Ok(TreeId(raw(&id)))
    }

    fn put(&self, content: &Content) -> Result<BlobId, GitError> {
        match content {
            Content::Bytes(bytes) => self.write_blob(bytes),
            Content::Blob(id) => Ok(*id),
        }
    }

    fn put_draft(&self, draft: &Draft, written: &mut Vec<RawId>) -> Result<CommitId, CommitError> {
        let base = match draft.base {
            Some(base) => base,
            None => self.tree_id(draft.parent)?,
        };
        let tree = self.put_tree(base, &draft.changes, written)?;
        let author = match &draft.author {
            Some(author) => author.clone(),
            None => self.identity(Role::Author)?,
        };
        let committer = self.identity(Role::Committer)?;
        let author = signature(&author, stamp(self.env(), "GIT_AUTHOR_DATE", draft.time)?);
        let committer = signature(&committer, stamp(self.env(), "GIT_COMMITTER_DATE", draft.time)?);
        let mut object = commit(tree, &[draft.parent], author, committer, &draft.message);
        if let Some(record) = &draft.record {
            object.extra_headers.push((record::HEADER.into(), record.to_line().into()));
        }
        let commit = self.store_commit(&object)?;
        written.push(commit.0);
        Ok(commit)
    }

    fn store_commit(&self, commit: &gix::objs::Commit) -> Result<CommitId, GitError> {
        let repo = self.local();
        let id = repo.write_object(commit).map_err(failed("write a commit"))?;
        Ok(CommitId(raw(&id)))
    }

    fn identity(&self, role: Role) -> Result<Identity, CommitError> {
        let (name_var, email_var, section) = match role {
            Role::Author => ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "author"),
            Role::Committer => ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "committer"),
        };
        let local = self.local();
        let config = local.config_snapshot();
        let value = |var: &str, key: &str| {
            let configured = |section: &str| {
                Some(config.string(&format!("{section}.{key}"))?.to_string())
                    .filter(|text| !text.is_empty())
            };
            let given = self.env().text(var).map(str::to_owned);
            let value = given.or_else(|| configured(section)).or_else(|| configured("user"));
            value.map(|text| without_crud(&text)).filter(|text| !text.is_empty())
        };
        let name =
            value(name_var, "name").ok_or(CommitError::NoIdentity { missing: "user.name" })?;
        let email = value(email_var, "email")
            .or_else(|| self.env().text("EMAIL").map(without_crud))
            .ok_or(CommitError::NoIdentity { missing: "user.email" })?;
        Ok(Identity { name, email })
    }
}

fn commit(
    tree: TreeId,
    parents: &[CommitId],
    author: gix::actor::Signature,
    committer: gix::actor::Signature,
    message: &str,
) -> gix::objs::Commit {
    gix::objs::Commit {
        tree: oid(tree.0),
        parents: parents.iter().map(|parent| oid(parent.0)).collect(),
        author,
        committer,
        encoding: None,
        message: message.into(),
        extra_headers: Vec::new(),
    }
}

#[derive(Clone, Copy)]
enum Role {
    Author,
    Committer,
}

/// Returns the changes in the order of their paths, of several for one path the last.
fn last_of_each(changes: &[TreeChange]) -> impl Iterator<Item = &TreeChange> {
    let by_path: std::collections::BTreeMap<_, _> =
        changes.iter().map(|change| (&change.path, change)).collect();
    by_path.into_values()
}

fn parts(path: &TreePath) -> impl Iterator<Item = &gix::bstr::BStr> {
    path.parts().map(Into::into)
}

fn signature(who: &Identity, (seconds, offset): (i64, i32)) -> gix::actor::Signature {
    gix::actor::Signature {
        name: without_crud(&who.name).into(),
        email: without_crud(&who.email).into(),
        time: gix::date::Time { seconds, offset },
    }
}

fn stamp(env: &GitEnv, variable: &'static str, time: Timestamp) -> Result<(i64, i32), CommitError> {
    let Some(value) = env.get(variable) else { return Ok((time.seconds, time.offset)) };
    let bad = || CommitError::Date { variable, value: value.to_string_lossy().into_owned() };
    let text = value.to_str().ok_or_else(bad)?;
    let time = gix::date::parse(text, None).map_err(|_| bad())?;
    Ok((time.seconds, time.offset))
}

/// Takes away what would end a field of a commit's header early, and the punctuation that Git strips at the ends.
fn without_crud(text: &str) -> String {
    let inner: String = text.chars().filter(|c| !matches!(c, '\n' | '<' | '>' | '\0')).collect();
    inner.trim_matches(|c: char| c <= ' ' || ".,:;\"\\'".contains(c)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        assert_eq!(without_crud(" Jo <x>\nparent 0, Jr. "), "Jo xparent 0, Jr");
    }

    #[test]
    fn of_two_changes_the_last_counts() {
        let change = |edit| TreeChange { path: TreePath::new("a").unwrap(), edit };
        let write = TreeEdit::Submodule(CommitId::from_bytes(&[1; 20]).unwrap());
        let changes = [change(TreeEdit::Delete), change(write.clone())];
        assert_eq!(last_of_each(&changes).map(|c| &c.edit).collect::<Vec<_>>(), [&write]);
    }
}
