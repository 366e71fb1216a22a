//! What became of baselines: commits that experiments start from and that branches may have left behind.

use std::collections::{BTreeMap, BTreeSet};

use gix::traverse::commit::simple::CommitTimeOrder;

use super::{Git, failed, raw};
use crate::error::GitError;
use crate::id::CommitId;
use crate::repo::read::CommitInfo;

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// `HEAD`, a branch, a remote's branch or a tag still leads to it.
    Reachable,
    /// It was amended or rebased, and this is what came of it.
    Rewritten(CommitId),
    /// Nothing leads to it, and nothing looks like it among the commits that were searched.
    Gone,
}

impl Git {
    /// Tells what became of each commit, having searched the newest `limit` commits that anything leads to.
    ///
    /// A commit was rewritten when a reachable one has the same author, moment of writing and first line of the
    /// message (a rebase keeps these), or else the same tree (an edited message keeps that). Of several the newest
    /// counts. A commit whose object is gone can only be [`Fate::Gone`].
    pub fn fates(
        &self,
        commits: &[CommitId],
        limit: usize,
    ) -> Result<BTreeMap<CommitId, Fate>, GitError> {
        let mut open: BTreeSet<CommitId> = commits.iter().copied().collect();
        let mut fates = BTreeMap::new();
        let repo = self.local();
        let mut tips: BTreeSet<CommitId> = self.head()?.commit.into_iter().collect();
        for named in self.branches()?.into_iter().chain(self.tags()?) {
            tips.insert(named.commit);
        }
        tips.extend(self.list_refs("refs/remotes/")?.into_iter().map(|found| found.commit));
        let walk = repo
            .rev_walk(tips.into_iter().map(gix::ObjectId::from))
            .sorting(gix::revision::walk::Sorting::ByCommitTime(CommitTimeOrder::default()))
            .all()
            .map_err(failed("walk the history"))?;
        let mut seen = Vec::new();
        for info in walk.take(limit) {
            let id = CommitId(raw(&info.map_err(failed("walk the history"))?.id));
            if open.remove(&id) {
                fates.insert(id, Fate::Reachable);
            }
            seen.push(id);
            if open.is_empty() {
                return Ok(fates);
            }
        }

        let reader = self.reader();
        let lost: Vec<CommitInfo> = open.iter().filter_map(|id| reader.commit(*id).ok()).collect();
        let mut alike: BTreeMap<CommitId, (bool, CommitId)> = BTreeMap::new();
        for id in if lost.is_empty() { Vec::new() } else { seen } {
            let new = reader.commit(id)?;
            for old in &lost {
                let by_author = author_key(old) == author_key(&new);
                let known = alike.get(&old.id).map(|(by_author, _)| *by_author);
                // The newest comes first; only a better reason replaces it.
                if (by_author && known != Some(true)) || (known.is_none() && old.tree == new.tree) {
                    alike.insert(old.id, (by_author, id));
                }
            }
        }
        for id in open {
            let fate = alike.get(&id).map_or(Fate::Gone, |(_, new)| Fate::Rewritten(*new));
            fates.insert(id, fate);
        }
        Ok(fates)
    }
}

fn author_key(commit: &CommitInfo) -> (&str, &str, i64, &str) {
    let subject = commit.message.lines().next().unwrap_or_default();
    (&commit.author_name, &commit.author_email, commit.author_time.seconds, subject)
}
