//! Listing refs: those that are files of their own, and behind them those that are packed.
//!
//! Ten thousand experiments may be ten thousand files, so they are read by several threads. They are read before the
//! packed ones: Git packs a ref before it removes its file, so that one of the two is seen whenever one looks.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use super::{Git, Ref, failed, raw};
use crate::error::GitError;
use crate::id::CommitId;
use crate::layout::RefName;
use crate::name::is_valid_part;

/// A thread is worth its start for so many files.
const PER_THREAD: usize = 250;
/// More threads than this wait for each other.
const MAX_THREADS: usize = 8;

/// A ref that is a file: what it points to, `None` when that is another ref or nothing.
type Loose = (String, Option<CommitId>);

impl Git {
    /// Returns the refs whose names begin with `prefix`, by name. Symbolic refs are left out.
    ///
    /// `prefix` ends in `/` or is a whole part: it is looked up as a directory. Nothing there gives nothing. A broken ref,
    /// or one that is removed just now, does not hide the others.
    pub fn list_refs(&self, prefix: &str) -> Result<Vec<Ref>, GitError> {
        let prefix = prefix.trim_end_matches('/');
        let loose = self.loose_refs(prefix)?;
        let names: HashSet<&str> = loose.iter().map(|(name, _)| name.as_str()).collect();
        let action = format!("list `{prefix}`");
        let mut list = Vec::with_capacity(loose.len());
        // Opened anew, since another process may have packed refs since the last time.
        if let Some(packed) = self.local().refs.open_packed_buffer().map_err(failed(&action))? {
            let below = format!("{prefix}/");
            for found in packed.iter_prefixed(below.as_str().into()).map_err(failed(&action))? {
                let Ok(found) = found else { continue };
                let Ok(name) = std::str::from_utf8(found.name.as_bstr()) else { continue };
                if !names.contains(name) {
                    let commit = CommitId(raw(&found.target()));
                    list.push(Ref { name: RefName::listed(name.to_owned()), commit });
                }
            }
        }
        drop(names);
        list.extend(loose.into_iter().filter_map(|(name, commit)| {
            Some(Ref { name: RefName::listed(name), commit: commit? })
        }));
        list.sort();
        Ok(list)
    }

    /// Reads the files of all refs below a directory, in no order.
    fn loose_refs(&self, prefix: &str) -> Result<Vec<Loose>, GitError> {
        let files = ref_files(self.common_dir(), prefix)
            .map_err(|error| GitError::new(format!("list `{prefix}`"), error))?;
        let available = thread::available_parallelism().map_or(1, NonZero::get);
        let n_threads = available.min(MAX_THREADS).min(files.len() / PER_THREAD + 1);
        let mut parts = files.chunks(files.len().div_ceil(n_threads).max(1));
        let first = parts.next().unwrap_or_default();
        Ok(thread::scope(|scope| {
            let others: Vec<_> = parts.map(|part| scope.spawn(|| read(part))).collect();
            let mut refs = read(first);
            for other in others {
                match other.join() {
                    Ok(more) => refs.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            refs
        }))
    }
}

/// Returns the files below a directory of refs with the names of their refs.
fn ref_files(common_dir: &Path, prefix: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let mut todo = vec![(prefix.to_owned(), common_dir.join(prefix))];
    while let Some((above, dir)) = todo.pop() {
        let listing = match fs::read_dir(&dir) {
            Ok(listing) => listing,
            // The last ref in it was removed, or a ref of this name stands in its place.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        for entry in listing {
            let entry = entry?;
            // What is no name of a ref is a lock, or nothing of Git's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !is_valid_part(&name) {
                continue;
            }
            let name = format!("{above}/{name}");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push((name, entry.path())),
                Ok(kind) if kind.is_file() => files.push((name, entry.path())),
                _ => {}
            }
        }
    }
    Ok(files)
}

fn read(files: &[(String, PathBuf)]) -> Vec<Loose> {
    let found = files.iter().filter_map(|(name, path)| {
        let bytes = fs::read(path).ok()?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Some((name.clone(), text.trim_ascii_end().parse().ok()))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_strangers_are_no_refs() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let at = |path: &str| dir.path().join("refs/exps").join(path);
        fs::create_dir_all(at("0f/aa"))?;
        for name in ["0f/aa/one", "0f/aa/two.lock", "0f/aa/.DS_Store", "0f/aa/a b", "stash"] {
            fs::write(at(name), "0f".repeat(20))?;
        }
        let mut names: Vec<String> =
            ref_files(dir.path(), "refs/exps")?.into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["refs/exps/0f/aa/one", "refs/exps/stash"]);
        assert!(ref_files(dir.path(), "refs/none")?.is_empty());
        assert!(ref_files(dir.path(), "refs/exps/stash")?.is_empty());
        Ok(())
    }
}
