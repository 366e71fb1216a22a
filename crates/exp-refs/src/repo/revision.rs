//! Names of commits: revisions, branches, tags, and the way back.

use std::collections::BTreeMap;

use super::{Git, boxed, failed, raw};
use crate::error::{GitError, RevisionError};
use crate::id::CommitId;

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedCommit {
    /// Without `refs/heads/` or `refs/tags/`; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// The commit, through annotated tags.
    pub commit: CommitId,
}

impl Git {
    /// Resolves a revision as `git rev-parse` does (`HEAD~1`, `v1.0`, `9f9a174`, `main@{yesterday}`, a full ref)
    /// to a commit. Names of experiments are not known here; see [`crate::ExperimentStore::find`].
    pub fn resolve(&self, revision: &str) -> Result<CommitId, RevisionError> {
        let unknown = |source| RevisionError::Unknown { revision: revision.to_owned(), source };
        if revision.is_empty() {
            return Err(unknown("it is empty".into()));
        }
        let repo = self.local();
        let id = repo.rev_parse_single(revision).map_err(|error| unknown(boxed(error)))?;
        let commit = id
            .object()
            .and_then(gix::Object::peel_to_commit)
            .map_err(|error| unknown(boxed(error)))?;
        Ok(CommitId(raw(&commit.id)))
    }

    /// Returns the local branches, by name.
    pub fn branches(&self) -> Result<Vec<NamedCommit>, GitError> {
        self.named("refs/heads/")
    }

    /// Returns the tags that lead to commits, by name.
    pub fn tags(&self) -> Result<Vec<NamedCommit>, GitError> {
        self.named("refs/tags/")
    }

    /// Returns at most `limit` commits from `from` back along first parents, `from` first.
    ///
    /// Ends early at the first commit and at the edge of a shallow clone.
    pub fn first_parents(&self, from: CommitId, limit: usize) -> Result<Vec<CommitId>, GitError> {
        let repo = self.local();
        let action = format!("walk back from {from}");
        let walk = repo
            .rev_walk([gix::ObjectId::from(from)])
            .first_parent_only()
            .all()
            .map_err(failed(&action))?;
        let mut commits = Vec::new();
        for info in walk.take(limit) {
            commits.push(CommitId(raw(&info.map_err(failed(&action))?.id)));
        }
        Ok(commits)
    }

    /// Returns the name that DVC would show for each commit that has one: the current branch for `HEAD`, else a
    /// tag, else a branch; of several the first by bytes.
    pub fn names_of(&self, commits: &[CommitId]) -> Result<BTreeMap<CommitId, String>, GitError> {
        let head = self.head()?;
        let first = |list: Vec<NamedCommit>| {
            let mut names = BTreeMap::new();
            for named in list {
                names.entry(named.commit).or_insert(named.name);
            }
            names
        };
        let (tags, branches) = (first(self.tags()?), first(self.branches()?));
        let name = |commit: &CommitId| match &head.branch {
            Some(branch) if head.commit == Some(*commit) => Some(branch),
            _ => tags.get(commit).or_else(|| branches.get(commit)),
        };
        Ok(commits.iter().filter_map(|id| Some((*id, name(id)?.clone()))).collect())
    }

    fn named(&self, prefix: &str) -> Result<Vec<NamedCommit>, GitError> {
        let repo = self.local();
        let action = format!("list `{prefix}`");
        let platform = repo.references().map_err(failed(&action))?;
        let mut list = Vec::new();
        for reference in platform.prefixed(prefix).map_err(failed(&action))? {
            // A broken ref among good ones is Git's to report (`git fsck`); it names no commit.
            let Ok(mut reference) = reference else { continue };
            let name =
                String::from_utf8_lossy(&reference.name().as_bstr()[prefix.len()..]).into_owned();
            let Ok(commit) = reference.peel_to_commit() else { continue };
            list.push(NamedCommit { name, commit: CommitId(raw(&commit.id)) });
        }
        list.sort();
        Ok(list)
    }
}
