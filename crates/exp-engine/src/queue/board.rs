//! The directory that says what became of each job: small files that are only ever added, read off their names.
//!
//! | Name | Means |
//! |---|---|
//! | `<job>.job.<seconds>.<commit>.<name>` | the job: when it was queued, its commit, its name |
//! | `<job>.held` | not to be started |
//! | `<job>.undropped` | its ref is to go, and a lock was in the way |
//! | `<job>.order.<n>.<priority>` | the `n`th change of its place: higher priorities are started first, 0 is usual |
//! | `<job>.<attempt>.claim` | the attempt belongs to the worker that the file names |
//! | `<job>.<attempt>.kill` | somebody wants its end |
//! | `<job>.<attempt>.end` | it ended; the file says how |
//! | `<job>.<attempt>.<outcome>` | the same, for who only lists: `done`, `failed`, `killed`, `lost`, `again` |
//! | `worker.<id>`, `beat.<id>`, `stop.<id>` | a worker, a number that it raises, somebody wants its end |
//! | `block.<job>` | numbers from `job` on are taken, as many as the file says |
//! | `adding.<job>` | jobs from this number on are being added |
//!
//! What decides something is made with `link`: the first of a name wins, on every file system, without a lock, and no
//! reader sees half of it. An attempt has one `claim` and one `end`, whoever makes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use exp_refs::{CommitId, ExpName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::end::Outcome;
use crate::files::{self, FileError};
use crate::process::Owner;

/// The directory.
#[derive(Debug, Clone)]
pub(super) struct Board {
    dir: PathBuf,
}

/// Everything that the names say.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// By number.
    pub(super) jobs: BTreeMap<u64, Listed>,
    /// The workers, by their ids.
    pub(super) workers: BTreeSet<String>,
    /// The workers whose end is wanted.
    pub(super) stops: BTreeSet<String>,
    /// The first numbers of blocks that are taken.
    pub(super) blocks: BTreeSet<u64>,
    /// The first numbers of blocks that are being added.
    pub(super) adding: BTreeSet<u64>,
    /// Files that are about to get their names, or whose makers are gone.
    pub(super) unnamed: Vec<String>,
}

/// What the names say of one job.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    /// Commit, seconds since the epoch, and name; `None` while only other files of it are there.
    pub(super) what: Option<(CommitId, i64, ExpName)>,
    /// Whether it is held.
    pub(super) is_held: bool,
    /// Whether its ref is to go and could not.
    pub(super) is_undropped: bool,
    /// How often it was moved, and the priority that it has since.
    pub(super) order: (u64, i64),
    /// The number of its last attempt; 0 before the first.
    pub(super) attempt: u32,
    /// What the names say of that attempt.
    pub(super) marks: Marks,
}

/// What the names say of an attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// Whether it ended.
    pub(super) is_ended: bool,
    /// How, if that is written down for who lists.
    pub(super) outcome: Option<Outcome>,
    /// Whether the job is to be run again.
    pub(super) is_again: bool,
    /// Whether its end is wanted.
    pub(super) is_unwanted: bool,
}

impl Board {
    pub(super) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the directory.
    pub(super) fn create(&self) -> Result<(), FileError> {
        fs::create_dir_all(&self.dir).map_err(FileError::at("create", &self.dir))
    }

    /// Makes a file of that name, whole or not at all; returns whether it is the first one.
    pub(super) fn link(&self, name: &str, content: &impl Serialize) -> Result<bool, FileError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let path = self.path(name);
        let bytes = serde_json::to_vec(content)
            .map_err(|error| FileError::at("write", &path)(error.into()))?;
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.path(&format!(".{}-{n}.tmp", Owner::this_process().unique()));
        let made = (|| {
            let mut file = File::create_new(&temporary)?;
            file.write_all(&bytes)?;
            match fs::hard_link(&temporary, &path) {
                Ok(()) => Ok(true),
                // A network file system may say so of a link that was made, when the answer got lost.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    Ok(fs::metadata(&temporary)?.nlink() > 1)
                }
                Err(error) => Err(error),
            }
        })();
        fs::remove_file(&temporary).ok();
        made.map_err(FileError::at("write", &path))
    }

    /// Makes an empty file; one that is there already is as good.
    pub(super) fn mark(&self, name: &str) -> Result<(), FileError> {
        let path = self.path(name);
        match File::create_new(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(FileError::at("write", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Replaces a file that only its maker writes.
    pub(super) fn replace(&self, name: &str, content: &impl Serialize) -> Result<(), FileError> {
        let path = self.path(name);
        let temporary = self.path(&format!(".{name}.tmp"));
        let bytes = serde_json::to_vec(content)
            .map_err(|error| FileError::at("write", &path)(error.into()))?;
        fs::write(&temporary, bytes).map_err(FileError::at("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(FileError::at("write", &path))
    }

    /// Reads a file; `None` when there is none, or one that is not understood.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, FileError> {
        let bytes = files::read(&self.path(name))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), FileError> {
        files::remove(&self.path(name))
    }

    /// Removes what was made more than an hour ago and serves nobody any more: files that never got their names, and blocks
    /// but for the last two, in the order of their numbers.
    pub(super) fn sweep(&self, listing: &Listing) -> Result<(), FileError> {
        for name in listing.unnamed.iter().filter(|name| self.is_old(name)) {
            self.remove(name)?;
        }
        let n_old = listing.blocks.len().saturating_sub(2);
        let blocks = listing.blocks.iter().take(n_old).map(|first| format!("block.{first}"));
        for name in blocks.take_while(|name| self.is_old(name)) {
            self.remove(&name)?;
        }
        Ok(())
    }

    fn is_old(&self, name: &str) -> bool {
        const OLD: Duration = Duration::from_hours(1);
        let made = fs::metadata(self.path(name)).and_then(|found| found.modified());
        made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > OLD))
    }

    /// Removes every file of these jobs.
    pub(super) fn forget(&self, jobs: &BTreeSet<u64>) -> Result<(), FileError> {
        for name in self.names()? {
            let number = name.split('.').next().and_then(|first| first.parse().ok());
            if number.is_some_and(|number: u64| jobs.contains(&number)) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Reads the directory once. Names that are not understood are those of a newer version and left alone.
    pub(super) fn list(&self) -> Result<Listing, FileError> {
        let mut listing = Listing::default();
        for name in self.names()? {
            listing.take(&name);
        }
        listing.jobs.retain(|_, listed| listed.what.is_some());
        Ok(listing)
    }

    fn names(&self) -> Result<Vec<String>, FileError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            found => found.map_err(FileError::at("list", &self.dir))?,
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string()));
        let names: Result<Vec<_>, _> = names.collect();
        let names = names.map_err(FileError::at("list", &self.dir))?;
        Ok(names.into_iter().flatten().collect())
    }
}

impl Listing {
    /// Takes in a name. Returns nothing for what it does not know.
    fn take(&mut self, name: &str) -> Option<()> {
        let (first, rest) = name.split_once('.')?;
        if first.is_empty() {
            self.unnamed.push(name.to_owned());
            return Some(());
        }
        if !first.starts_with(|first: char| first.is_ascii_digit()) {
            let n = || rest.parse().ok();
            match first {
                "worker" => drop(self.workers.insert(rest.to_owned())),
                "stop" => drop(self.stops.insert(rest.to_owned())),
                "block" => drop(self.blocks.insert(n()?)),
                "adding" => drop(self.adding.insert(n()?)),
                _ => {}
            }
            return Some(());
        }
        let job = self.jobs.entry(first.parse().ok()?).or_default();
        let (kind, rest) = rest.split_once('.').unwrap_or((rest, ""));
        match kind {
            "held" => job.is_held = true,
            "undropped" => job.is_undropped = true,
            "job" => {
                let mut parts = rest.splitn(3, '.');
                let seconds = parts.next()?.parse().ok()?;
                let commit = parts.next()?.parse().ok()?;
                job.what = Some((commit, seconds, ExpName::new(parts.next()?).ok()?));
            }
            "order" => {
                let (n, priority) = rest.split_once('.')?;
                let order = (n.parse().ok()?, priority.parse().ok()?);
                job.order = job.order.max(order);
            }
            attempt => {
                let attempt: u32 = attempt.parse().ok()?;
                if attempt < job.attempt {
                    return Some(());
                }
                if attempt > job.attempt {
                    job.attempt = attempt;
                    job.marks = Marks::default();
                }
                match rest {
                    "end" => job.marks.is_ended = true,
                    "kill" => job.marks.is_unwanted = true,
                    "again" => job.marks.is_again = true,
                    _ => job.marks.outcome = Outcome::of_mark(rest).or(job.marks.outcome),
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn of_many_that_make_a_name_one_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::at(dir.path());
        for round in 0..50 {
            let name = format!("7.{round}.claim");
            let n_first: usize = thread::scope(|scope| {
                let all: Vec<_> = (0..8)
                    .map(|n| {
                        let (board, name) = (&board, &name);
                        scope.spawn(move || usize::from(board.link(name, &n).unwrap()))
                    })
                    .collect();
                all.into_iter().map(|one| one.join().unwrap()).sum()
            });
            assert_eq!(n_first, 1);
            assert!(board.read::<u32>(&name).unwrap().is_some(), "whole");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 50, "nothing else is left");
    }

    #[test]
    fn one_listing_tells_what_is_known_of_each_job() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::at(dir.path());
        let commit = "ab".repeat(20);
        for name in [
            &format!("3.job.17.{commit}.lr-0.1.x"),
            "3.held",
            "3.order.1.5",
            "3.order.2.-1",
            "3.2.claim",
            "3.1.claim",
            "3.1.end",
            "3.1.lost",
            "3.1.again",
            "4.1.claim",
            "worker.12-3",
            "beat.12-3",
            "stop.12-3",
            "block.3",
            "adding.3",
            "id",
            "later.kind.of-file",
            "3.new-kind.x",
            ".1-2.tmp",
        ] {
            board.mark(name).unwrap();
        }
        let listing = board.list().unwrap();
        assert_eq!(listing.jobs.keys().collect::<Vec<_>>(), [&3], "the other one is gone");
        let job = &listing.jobs[&3];
        let (found, seconds, name) = job.what.as_ref().unwrap();
        assert_eq!((found.to_string(), *seconds, name.as_str()), (commit.clone(), 17, "lr-0.1.x"));
        assert!(job.is_held && job.order == (2, -1));
        assert_eq!((job.attempt, job.marks.is_ended, job.marks.is_again), (2, false, false));
        assert_eq!(listing.unnamed, [".1-2.tmp"]);
        board.sweep(&listing).unwrap();
        assert!(board.has(".1-2.tmp"), "somebody may be at it");
        assert!(listing.workers.contains("12-3") && listing.stops.contains("12-3"));
        board.forget(&[3].into()).unwrap();
        assert!(board.list().unwrap().jobs.is_empty());
        assert!(Board::at(&dir.path().join("none")).list().unwrap().jobs.is_empty());
    }
}
