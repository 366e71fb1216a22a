//! What stages hold of the machine while they run: cores, memory, graphics processors, names.
//!
//! A ledger of files that all processes of a user share, in a directory that the frontend names. A stage that runs has a
//! pair of files there: `<id>.json` says what it claims, and `<id>.lease` is locked as long as it lives. The lock belongs
//! to an open file, and the commands of the stage get that file as their standard input (it is empty, as `/dev/null` is).
//! So a claim ends when the stage ends, or, if this process is killed, when the last of its commands has ended: a
//! graphics processor is not given to another while an orphan still computes on it. Nothing is ever stale.
//!
//! All of a stage's claims are taken together or none is, so stages cannot wait for each other in a circle.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exp_core::{Cancelled, Capacity, Claims, Ctx};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{self, FileError};
use crate::process::Owner;

/// How often claims that do not fit are tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// What there is to claim, and where it is written down who has it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The directory of the ledger, absolute; processes that are to respect each other name the same. Without one, that of
    /// the project.
    pub ledger: Option<PathBuf>,
    /// How many cores there are.
    pub cpu: u32,
    /// How many bytes of memory there are.
    pub mem: u64,
    /// The graphics processors, as `CUDA_VISIBLE_DEVICES` names them.
    pub gpus: Vec<String>,
}

impl Default for Machine {
    /// More cores and memory than anybody claims, and no graphics processor.
    fn default() -> Self {
        let Capacity { cpu, mem, .. } = Capacity::ENDLESS;
        Self { ledger: None, cpu, mem, gpus: Vec::new() }
    }
}

impl Machine {
    /// Returns how much there is of each kind.
    pub fn capacity(&self) -> Capacity {
        let gpu = u32::try_from(self.gpus.len()).unwrap_or(u32::MAX);
        Capacity { cpu: self.cpu, mem: self.mem, gpu }
    }
}

/// What a stage claims, as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The process that runs the stage.
    owner: Owner,
    /// Cores.
    cpu: u32,
    /// Bytes of memory.
    mem: u64,
    /// Graphics processors by name.
    gpus: Vec<String>,
    /// Names of which each is held once.
    mutex: BTreeSet<String>,
}

/// Claims that are held; dropping it gives them up, whoever still has the file open.
#[derive(Debug)]
pub(crate) struct Lease {
    file: File,
    paths: [PathBuf; 2],
    gpus: Vec<String>,
}

impl Lease {
    /// Waits until the claims fit beside those of other stages on this machine, and takes them. Says so with `waiting`
    /// before the first wait.
    ///
    /// # Errors
    ///
    /// When the end is asked for meanwhile, or the ledger cannot be written.
    pub(crate) fn take(
        ctx: &Ctx<'_>,
        ledger: &Path,
        machine: &Machine,
        claims: &Claims,
        waiting: impl FnOnce(),
    ) -> Result<Self, Error> {
        fs::create_dir_all(ledger).map_err(FileError::at("create", ledger))?;
        let mut waiting = Some(waiting);
        loop {
            if let Some(lease) = Self::try_take(ledger, machine, claims)? {
                return Ok(lease);
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            if ctx.cancel_token().requested().is_some() || ctx.cancel_token().sleep(PAUSE).is_some()
            {
                return Err(Cancelled.into());
            }
        }
    }

    fn try_take(
        ledger: &Path,
        machine: &Machine,
        claims: &Claims,
    ) -> Result<Option<Self>, FileError> {
        let guard = open(&ledger.join("ledger.lock"))?;
        guard.lock().map_err(FileError::at("lock", ledger))?;
        let mut taken = Claims::default();
        let mut busy = BTreeSet::new();
        for entry in living(ledger)? {
            taken.add(&Claims { cpu: entry.cpu, mem: entry.mem, gpu: 0, mutex: entry.mutex });
            busy.extend(entry.gpus);
        }
        let free = machine.gpus.iter().filter(|gpu| !busy.contains(*gpu));
        let n_gpus = usize::try_from(claims.gpu).unwrap_or(usize::MAX);
        let gpus: Vec<String> = free.take(n_gpus).cloned().collect();
        if gpus.len() < n_gpus || !claims.fit(&taken, machine.capacity()) {
            return Ok(None);
        }
        let id = Owner::this_process().unique();
        let [lease, note] = ["lease", "json"].map(|kind| ledger.join(format!("{id}.{kind}")));
        let file = open(&lease)?;
        file.lock().map_err(FileError::at("lock", &lease))?;
        let entry = Entry {
            owner: Owner::this_process(),
            cpu: claims.cpu,
            mem: claims.mem,
            gpus: gpus.clone(),
            mutex: claims.mutex.clone(),
        };
        let text = serde_json::to_vec(&entry).unwrap_or_default();
        fs::write(&note, text).map_err(FileError::at("write", &note))?;
        Ok(Some(Self { file, paths: [note, lease], gpus }))
    }

    /// Returns the names of the graphics processors that are held.
    pub(crate) fn gpus(&self) -> &[String] {
        &self.gpus
    }

    /// Returns the file that keeps the claims as long as somebody has it open. It is empty.
    pub(crate) fn keeper(&self) -> Option<File> {
        self.file.try_clone().ok()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        for path in &self.paths {
            fs::remove_file(path).ok();
        }
        self.file.unlock().ok();
    }
}

/// Returns the entries of stages that live, and removes those of the dead.
fn living(ledger: &Path) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    for found in fs::read_dir(ledger).map_err(FileError::at("list", ledger))?.flatten() {
        let lease = found.path();
        if lease.extension().is_none_or(|extension| extension != "lease") {
            continue;
        }
        let note = lease.with_extension("json");
        let is_held = match File::open(&lease) {
            Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        };
        if is_held {
            let entry = files::read(&note)?.and_then(|text| serde_json::from_slice(&text).ok());
            entries.extend(entry);
        } else {
            files::remove(&note)?;
            files::remove(&lease)?;
        }
    }
    Ok(entries)
}

/// Opens a file of the ledger, which stays empty.
pub(crate) fn open(path: &Path) -> Result<File, FileError> {
    let mut options = File::options();
    let options = options.create(true).truncate(false).read(true).write(true);
    options.open(path).map_err(FileError::at("open", path))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use exp_core::{Cancel, CancelToken, NullSink};

    use super::*;

    fn claims(cpu: u32, gpu: u32, mutex: &[&str]) -> Claims {
        let mutex = mutex.iter().map(|name| (*name).to_owned()).collect();
        Claims { cpu, gpu, mutex, ..Claims::default() }
    }

    #[test]
    fn claims_are_shared_out_until_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let gpus = vec!["0".to_owned(), "GPU-b".to_owned()];
        let machine = Machine { cpu: 4, gpus, ..Machine::default() };
        let take = |claims: &Claims| Lease::try_take(dir.path(), &machine, claims).unwrap();
        let first = take(&claims(3, 1, &["db"])).unwrap();
        assert_eq!(first.gpus(), ["0"]);
        assert!(take(&claims(2, 0, &[])).is_none());
        assert!(take(&claims(0, 0, &["db"])).is_none());
        assert!(take(&claims(0, 2, &[])).is_none());
        let second = take(&claims(1, 1, &["x"])).unwrap();
        assert_eq!(second.gpus(), ["GPU-b"]);
        drop(first);
        assert_eq!(take(&claims(3, 1, &["db"])).unwrap().gpus(), ["0"]);
        drop(second);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the lock is left");
    }

    #[test]
    fn a_claim_lives_as_long_as_a_command_that_was_given_it() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine { cpu: 1, ..Machine::default() };
        let take = || Lease::try_take(dir.path(), &machine, &claims(1, 0, &[])).unwrap();
        let mut lease = take().unwrap();
        let keeper = lease.keeper().unwrap();
        let child = Command::new("sleep").arg("1000").stdin(Stdio::from(keeper)).spawn();
        let mut child = child.unwrap();
        // As if this process was killed: its files are closed, nothing is given back.
        drop(std::mem::replace(&mut lease.file, tempfile::tempfile().unwrap()));
        lease.paths = [PathBuf::new(), PathBuf::new()];
        drop(lease);
        assert!(take().is_none(), "the orphan has it");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(take().is_some());
    }

    #[test]
    fn a_wait_ends_when_the_end_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine { cpu: 1, ..Machine::default() };
        let _held = Lease::try_take(dir.path(), &machine, &claims(1, 0, &[])).unwrap();
        let token = CancelToken::new();
        token.cancel(Cancel::Drain);
        let ctx = Ctx::new(&NullSink, token);
        let mut n_told = 0;
        let waited = Lease::take(&ctx, dir.path(), &machine, &claims(1, 0, &[]), || n_told += 1);
        assert!(matches!(waited, Err(Error::Cancelled(_))), "{waited:?}");
        assert_eq!(n_told, 1);
    }
}
