//! Everything that keeps a commit or a file alive: all refs, the stash below its top, work trees, what is staged.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use exp_core::Timestamp;

use super::{Git, failed, raw};
use crate::error::GitError;
use crate::id::{BlobId, CommitId};
use crate::name::TreePath;

/// So often a listing is tried again that met a ref which was just removed.
const TRIES: usize = 3;

/// A ref of any kind, and the commit that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tip {
    /// The full name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// The commit, through tags and symbolic refs.
    pub commit: CommitId,
}

/// What the log of a ref says of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// What the ref pointed to from then on.
    pub commit: CommitId,
    /// When.
    pub time: Timestamp,
    /// Why; bytes that are not UTF-8 are replaced.
    pub message: String,
}

impl Git {
    /// Returns all refs that lead to commits, by name: branches, tags, remote branches, experiments, notes, the stash.
    ///
    /// Refs to files and directories are left out.
    ///
    /// # Errors
    ///
    /// When a ref cannot be read or leads to nothing: who asks this must not miss one.
    pub fn tips(&self) -> Result<Vec<Tip>, GitError> {
        let mut tries = 0;
        loop {
            match self.all_tips() {
                Err(_) if tries < TRIES => tries += 1,
                tips => return tips,
            }
        }
    }

    fn all_tips(&self) -> Result<Vec<Tip>, GitError> {
        let repo = self.local();
        let platform = repo.references().map_err(failed("list refs"))?;
        let mut tips = Vec::new();
        for reference in platform.all().map_err(failed("list refs"))? {
            let mut reference =
                reference.map_err(|error| GitError::new("list refs".to_owned(), error))?;
            let name = String::from_utf8_lossy(reference.name().as_bstr()).into_owned();
            let action = || format!("read ref `{name}`");
            let id = reference.peel_to_id().map_err(failed(&action()))?;
            let header = id.header().map_err(failed(&action()))?;
            if header.kind() == gix::objs::Kind::Commit {
                tips.push(Tip { commit: CommitId(raw(&id)), name });
            }
        }
        tips.sort();
        Ok(tips)
    }

    /// Returns the commits that a ref pointed to, as far as its log tells and the repository has them. A stash keeps
    /// all but its newest entry there. Nothing when there is no log.
    pub fn logged_commits(&self, name: &str) -> Result<BTreeSet<CommitId>, GitError> {
        Ok(self.ref_log(name)?.into_iter().map(|entry| entry.commit).collect())
    }

    /// Returns what the log of a ref says, the oldest entry first, without those whose commits are gone. Nothing when there
    /// is no log.
    pub fn ref_log(&self, name: &str) -> Result<Vec<LogEntry>, GitError> {
        let path = self.common_dir().join("logs").join(name);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => {
                text.map_err(|error| GitError::new(format!("read the log of `{name}`"), error))?
            }
        };
        let text = String::from_utf8_lossy(&text);
        let entries = text.lines().filter_map(log_entry);
        Ok(entries.filter(|entry| self.has_commit(entry.commit)).collect())
    }

    /// Returns every commit that these lead to, themselves included, in any order. Ends at the edge of a shallow clone.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn reachable(&self, from: &BTreeSet<CommitId>) -> Result<Vec<CommitId>, GitError> {
        let action = "walk the history";
        let walk = self.local();
        let walk = walk
            .rev_walk(from.iter().map(|id| gix::ObjectId::from(*id)))
            .all()
            .map_err(failed(action))?;
        walk.map(|info| Ok(CommitId(raw(&info.map_err(failed(action))?.id)))).collect()
    }

    /// Returns the tops of all work trees of the repository that exist, this one first.
    ///
    /// # Errors
    ///
    /// When what is known of a work tree cannot be read.
    pub fn work_trees(&self) -> Result<Vec<PathBuf>, GitError> {
        let mut roots = vec![self.root().to_path_buf()];
        let common = self.common_dir();
        if let (true, Some(main)) = (common.ends_with(".git"), common.parent()) {
            roots.push(main.to_path_buf());
        }
        let home = common.join("worktrees");
        let entries = match fs::read_dir(&home) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries.map_err(io_failed("list the work trees"))?),
        };
        for entry in entries.into_iter().flatten() {
            let dir = entry.map_err(io_failed("list the work trees"))?.path();
            let text = match fs::read_to_string(dir.join("gitdir")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                text => text.map_err(io_failed("read where a work tree is"))?,
            };
            // The path of its `.git` file, since Git 2.48 possibly relative to this directory.
            let git_file = dir.join(Path::new(text.trim_end()));
            if let Some(root) = git_file.parent().filter(|root| root.is_dir()) {
                roots.push(root.to_path_buf());
            }
        }
        let mut seen = BTreeSet::new();
        roots.retain(|root| seen.insert(root.canonicalize().unwrap_or_else(|_| root.clone())));
        Ok(roots)
    }

    /// Returns the files in this work tree's index whose path `wanted` says yes to, all stages of a conflict included.
    ///
    /// # Errors
    ///
    /// When the index cannot be read. No index is an empty one.
    pub fn staged(
        &self,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<(TreePath, BlobId)>, GitError> {
        let repo = self.local();
        let Some(index) = repo.try_index().map_err(failed("read the index"))? else {
            return Ok(Vec::new());
        };
        let is_file = |mode| {
            mode == gix::index::entry::Mode::FILE
                || mode == gix::index::entry::Mode::FILE_EXECUTABLE
        };
        Ok((index.entries().iter())
            .filter(|entry| is_file(entry.mode))
            .filter_map(|entry| {
                let path: &[u8] = entry.path(&index);
                wanted(path).then(|| (TreePath::listed(path), BlobId(raw(&entry.id))))
            })
            .collect())
    }
}

/// Reads `<old> <new> <name> <<address>> <seconds> <offset>`, a tab and the message.
fn log_entry(line: &str) -> Option<LogEntry> {
    let (head, message) = line.split_once('\t').unwrap_or((line, ""));
    let commit = head.split(' ').nth(1)?.parse().ok()?;
    let mut last = head.rsplit(' ');
    let offset = last.next().and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
    let seconds = last.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let offset = (offset / 100 * 60 + offset % 100) * 60;
    Some(LogEntry { commit, time: Timestamp { seconds, offset }, message: message.to_owned() })
}

fn io_failed(action: &str) -> impl FnOnce(io::Error) -> GitError {
    let action = action.to_owned();
    move |error| GitError::new(action, error)
}
