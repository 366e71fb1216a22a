//! What is remembered of a remote: which directories we have seen complete there.
//!
//! A disposable file, one manifest a line, the latest last. Whoever reads it believes nothing of it before a look at
//! the remote has confirmed that the manifest is still there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use exp_core::{Algorithm, ObjectId};

/// The first line of the file.
const HEADER: &str = "exp remote index 1";

/// So many manifests are remembered.
const MOST: usize = 1024;

/// The memory of one remote. Clones share it. Without a file it lasts as long as the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<PathBuf>,
    /// The manifests, the latest last; `None` before the file was read.
    complete: Mutex<Option<Vec<ObjectId>>>,
}

impl Known {
    /// Remembers in `file`, whose directory is made when needed.
    pub(crate) fn at(file: &Path) -> Self {
        Self(Arc::new(Inner { file: Some(file.to_path_buf()), complete: Mutex::new(None) }))
    }

    /// Returns the manifests of directories that were seen complete, the latest first.
    pub(crate) fn complete(&self) -> Vec<ObjectId> {
        self.change(|complete| complete.iter().rev().copied().collect())
    }

    /// Notes directories that are complete on the remote.
    pub(crate) fn add(&self, ids: &[ObjectId]) {
        let is_news = self.change(|complete| {
            let latest = complete.iter().rev().take(ids.len());
            let is_news = !ids.iter().all(|id| latest.clone().any(|known| known == id));
            if is_news {
                complete.retain(|known| !ids.contains(known));
                complete.extend_from_slice(ids);
                let excess = complete.len().saturating_sub(MOST);
                complete.drain(..excess);
            }
            is_news
        });
        if is_news {
            self.save();
        }
    }

    /// Forgets directories that are not complete any more.
    pub(crate) fn drop_these(&self, ids: &[ObjectId]) {
        if ids.is_empty() {
            return;
        }
        self.change(|complete| complete.retain(|known| !ids.contains(known)));
        self.save();
    }

    /// Forgets everything.
    pub(crate) fn forget(&self) {
        let had_some = self.change(|complete| !std::mem::take(complete).is_empty());
        if had_some {
            self.save();
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<ObjectId>) -> T) -> T {
        let mut complete = self.0.complete.lock().unwrap_or_else(PoisonError::into_inner);
        change(complete.get_or_insert_with(|| self.0.file.as_deref().map(read).unwrap_or_default()))
    }

    /// Writes the file. What is lost when that fails, or when another process does so too, is asked for again.
    fn save(&self) {
        let Some(file) = &self.0.file else { return };
        let text = self.change(|complete| {
            let lines =
                complete.iter().map(|id| format!("{} {id}\n", id.digest.algorithm().name()));
            format!("{HEADER}\n{}", lines.collect::<String>())
        });
        let Some(dir) = file.parent() else { return };
        let written = fs::create_dir_all(dir).and_then(|()| {
            let mut temp = tempfile::NamedTempFile::new_in(dir)?;
            std::io::Write::write_all(&mut temp, text.as_bytes())?;
            temp.persist(file).map(|_| ()).map_err(|err| err.error)
        });
        drop(written);
    }
}

/// Reads a file; one that is not there, or not one of ours, says nothing.
fn read(file: &Path) -> Vec<ObjectId> {
    let Ok(text) = fs::read_to_string(file) else { return Vec::new() };
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Vec::new();
    }
    lines.filter_map(parse).collect()
}

fn parse(line: &str) -> Option<ObjectId> {
    let (algorithm, id) = line.split_once(' ')?;
    let all = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Md5Dos2Unix];
    let algorithm = all.into_iter().find(|one| one.name() == algorithm)?;
    ObjectId::parse(algorithm, id).ok().filter(ObjectId::is_tree)
}

#[cfg(test)]
mod tests {
    use exp_core::Digest;

    use super::*;

    fn tree(text: &str) -> ObjectId {
        ObjectId::tree(Digest::of(Algorithm::Md5, text.as_bytes()))
    }

    #[test]
    fn what_is_noted_is_read_back_and_a_broken_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("remotes/one");
        let known = Known::at(&file);
        assert!(known.complete().is_empty());
        known.add(&[tree("a"), tree("b")]);
        known.add(&[tree("a")]);
        assert_eq!(Known::at(&file).complete(), [tree("a"), tree("b")]);
        known.drop_these(&[tree("a")]);
        assert_eq!(Known::at(&file).complete(), [tree("b")]);
        fs::write(&file, "md5 0123\nnonsense").unwrap();
        assert!(Known::at(&file).complete().is_empty());
        known.forget();
        assert!(Known::at(&file).complete().is_empty());
    }
}
