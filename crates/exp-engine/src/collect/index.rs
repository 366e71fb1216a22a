//! What is shown of commits, remembered from one command to the next.
//!
//! A commit never changes, so what is read from it need be read once. The index decides nothing: it is never needed,
//! what it lacks is read from Git, and what is damaged, of another version or of a project that was moved is thrown
//! away. Only what the commit alone decides is kept: a row with a file that the store lacks today is not.
//!
//! It is a directory of files that never change, `.dvc/tmp/exp/rows/<what>/<name>`. Whoever had to read commits adds a
//! file with their rows, renamed into place; so many processes share it without locks, and lose at most the work of
//! reading again. A new file takes in the rows of those that are not much larger than it, which are then removed: there
//! are never more files than about the logarithm of the number of rows, and each row is written as often. Rows of
//! experiments that are gone fall out on the way.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use exp_refs::CommitId;

use super::{CollectOptions, Collected, Edges, Params};
use crate::process::Owner;
use crate::project::Project;

mod bytes;
mod segment;

use segment::{Draft, Segment};

/// Raised whenever a row is written in another way, or something else is read from a commit than before.
const VERSION: u32 = 1;
/// What a killed process left is removed after this time.
const ABANDONED: Duration = Duration::from_hours(1);
/// A merge of so many rows looks which of them are still wanted.
const WORTH_SWEEPING: usize = 1_000;

/// The index of one kind of rows.
pub(super) struct Index {
    dir: PathBuf,
    /// What else the rows depend on: the version, and where the project is.
    context: String,
    segments: Vec<(PathBuf, Segment)>,
}

impl Index {
    /// Opens the index of rows that are collected with these options; `None` when such rows are not remembered.
    pub(super) fn open(project: &Project, options: CollectOptions<'_>) -> Option<Self> {
        if options.targets.is_some() {
            return None;
        }
        let what = match (options.params, options.edges) {
            (Params::All, Edges::Yes) => "all",
            (Params::All, Edges::No) => "values",
            (Params::OfStages, Edges::Yes) => "stages",
            (Params::OfStages, Edges::No) => "stages-values",
        };
        let dir = project.scratch().join("rows").join(what);
        let version = env!("CARGO_PKG_VERSION");
        let (root, prefix) = (project.root().display(), project.prefix());
        let context = format!("{VERSION} {version}\n{root}\n{prefix}");
        let mut index = Self { dir, context, segments: Vec::new() };
        index.read();
        Some(index)
    }

    /// Returns the row of a commit.
    pub(super) fn get(&self, commit: CommitId) -> Option<Collected> {
        self.segments.iter().find_map(|(_, segment)| segment.get(commit))
    }

    /// Remembers rows. That they cannot be written stops nothing.
    pub(super) fn add(mut self, project: &Project, rows: &[(CommitId, &Collected)]) {
        let mut draft = Draft::default();
        for (commit, row) in rows {
            draft.add(*commit, row);
        }
        if draft.len() == 0 {
            return;
        }
        self.segments.sort_by_key(|(_, segment)| segment.len());
        let mut n_rows = draft.len();
        let n_taken = (self.segments.iter())
            .take_while(|(_, segment)| {
                let is_small = segment.len() <= 2 * n_rows;
                n_rows += segment.len();
                is_small
            })
            .count();
        let taken: Vec<_> = self.segments.drain(..n_taken).collect();
        let n_rows: usize = taken.iter().map(|(_, segment)| segment.len()).sum();
        let live = (n_rows >= WORTH_SWEEPING).then(|| live(project)).flatten();
        for (_, segment) in &taken {
            let is_live =
                |commit| live.as_ref().is_none_or(|live: &HashSet<_>| live.contains(&commit));
            for (commit, row) in segment.rows(is_live) {
                draft.add(commit, &row);
            }
        }
        if self.write(&draft.finish(&self.context)).is_some() {
            for (path, _) in taken {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn read(&mut self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                remove_abandoned(&path);
                continue;
            }
            // Another process may have taken its rows into a new file by now.
            let Ok(bytes) = fs::read(&path) else { continue };
            match Segment::open(bytes, &self.context) {
                Some(segment) => self.segments.push((path, segment)),
                None => _ = fs::remove_file(&path),
            }
        }
        self.segments.sort_by_key(|(_, segment)| std::cmp::Reverse(segment.len()));
    }

    /// Writes a file. Nothing is synced: what a crash leaves of it has the wrong checksum.
    fn write(&self, bytes: &[u8]) -> Option<()> {
        fs::create_dir_all(&self.dir).ok()?;
        let path = self.dir.join(Owner::this_process().unique());
        let temporary = path.with_extension("tmp");
        let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.ok()
    }
}

/// Returns the commits of all experiments and what they started from.
fn live(project: &Project) -> Option<HashSet<CommitId>> {
    let list = project.experiments().list().ok()?;
    Some(list.into_iter().flat_map(|one| [one.commit, one.baseline]).collect())
}

fn remove_abandoned(path: &Path) {
    let age = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|modified| SystemTime::now().duration_since(modified).ok());
    if age.is_some_and(|age| age > ABANDONED) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests;
