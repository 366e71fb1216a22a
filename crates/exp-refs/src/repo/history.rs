//! The whole history.

use std::collections::BTreeSet;

use gix::traverse::commit::simple::CommitTimeOrder;

use super::{Git, failed, raw};
use crate::error::GitError;
use crate::id::CommitId;

impl Git {
    /// Returns every commit that `HEAD`, a branch or a tag leads to, the newest first; of one second, by name.
    pub fn history(&self) -> Result<Vec<CommitId>, GitError> {
        let action = "walk the history";
        let repo = self.local();
        let mut tips: BTreeSet<CommitId> = self.head()?.commit.into_iter().collect();
        for named in self.branches()?.into_iter().chain(self.tags()?) {
            tips.insert(named.commit);
        }
        let walk = repo
            .rev_walk(tips.into_iter().map(gix::ObjectId::from))
            .sorting(gix::revision::walk::Sorting::ByCommitTime(CommitTimeOrder::default()))
            .all()
            .map_err(failed(action))?;
        let mut commits = Vec::new();
        for info in walk {
            let info = info.map_err(failed(action))?;
            let time = match info.commit_time {
                Some(time) => time,
                None => {
                    info.object().and_then(|commit| commit.time()).map_err(failed(action))?.seconds
                }
            };
            commits.push((std::cmp::Reverse(time), CommitId(raw(&info.id))));
        }
        commits.sort();
        Ok(commits.into_iter().map(|(_, id)| id).collect())
    }
}
