//! The stat memo: what a file digested to when it looked the way it looks now.
//!
//! A file whose path, size, times and inode are those of an entry has the entry's digest. Times have a grain, so a
//! file may change twice within one and look the same. Git's rule keeps such files out: an entry is written only when
//! the file was already older than a grain when its reading began. (The clock of the machine and that of the file
//! system are taken for one.)
//!
//! The database is shared by any number of processes and may be deleted at any time. Whatever goes wrong with it is
//! not an error: a damaged or foreign file is replaced, a busy or read-only one is done without.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use exp_core::{Algorithm, Digest};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::walk::Stat;

/// Raised whenever the table changes; a database with another version is replaced.
const VERSION: i64 = 1;

/// Coarser than the clock that stamps files on any local file system in use.
const GRAIN: i128 = 20_000_000;

/// For file systems that stamp whole seconds, FAT even two.
const COARSE_GRAIN: i128 = 2_000_000_000;

const BUSY: Duration = Duration::from_secs(1);

/// A file, what it looked like, and what it digests to.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
    pub(crate) digest: Digest,
}

/// Nanoseconds since the epoch.
pub(crate) fn now() -> i128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

/// Returns whether a file that looked like `stat` when its reading began at `began` must have changed its looks if
/// it changed later.
pub(crate) fn is_settled(stat: &Stat, began: i128) -> bool {
    let last = stat.mtime.max(stat.ctime);
    let is_coarse = stat.mtime % 1_000_000_000 == 0 && stat.ctime % 1_000_000_000 == 0;
    began - last > if is_coarse { COARSE_GRAIN } else { GRAIN }
}

#[derive(Debug)]
pub(crate) struct Memo {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unopened,
    Open(Connection),
    Unusable,
}

impl Memo {
    /// Opens nothing yet.
    pub(crate) fn new(path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_path_buf), state: Mutex::new(State::Unopened) }
    }

    /// Returns the digest of each file that is known and unchanged, in the order of `files`.
    pub(crate) fn lookup(
        &self,
        algorithm: Algorithm,
        files: &[(PathBuf, Stat)],
    ) -> Vec<Option<Digest>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT size, mtime, ctime, inode, digest FROM memo WHERE path = ?1 AND algorithm = ?2",
            )?;
            let transaction = connection.unchecked_transaction()?;
            let mut digests = Vec::with_capacity(files.len());
            for (path, stat) in files {
                let row = statement
                    .query_row(params![key(path), algorithm.name()], |row| {
                        let facts: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                        Ok((facts, row.get::<_, String>(4)?))
                    })
                    .optional()?;
                digests.push(row.and_then(|(known, hex)| {
                    if known != facts(stat) {
                        return None;
                    }
                    Digest::from_hex(algorithm, &hex).ok()
                }));
            }
            transaction.commit()?;
            Ok(digests)
        })
        .unwrap_or_else(|| vec![None; files.len()])
    }

    /// Remembers `notes`, in one transaction.
    pub(crate) fn remember(&self, notes: &[Note]) {
        if notes.is_empty() {
            return;
        }
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached(
                "INSERT OR REPLACE INTO memo VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for note in notes {
                let [size, mtime, ctime, inode] = facts(&note.stat);
                let (algorithm, digest) = (note.digest.algorithm().name(), note.digest.to_hex());
                statement.execute(params![
                    key(&note.path),
                    algorithm,
                    size,
                    mtime,
                    ctime,
                    inode,
                    digest
                ])?;
            }
            drop(statement);
            transaction.commit()
        });
    }

    /// Runs `work` on the database, once more on a new one when it is damaged; `None` when there is none to use.
    fn with<T>(&self, work: impl Fn(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        let path = self.path.as_deref()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for is_last_try in [false, true] {
            if matches!(*state, State::Unopened) {
                *state = match open(path) {
                    Ok(connection) => State::Open(connection),
                    Err(err) if is_damage(&err) && !is_last_try => {
                        remove(path);
                        continue;
                    }
                    Err(_) => State::Unusable,
                };
            }
            let State::Open(connection) = &*state else { return None };
            match work(connection) {
                Ok(done) => return Some(done),
                Err(err) if is_damage(&err) => {
                    *state = State::Unopened;
                    remove(path);
                }
                // Busy, full or read-only: this time it goes without.
                Err(_) => return None,
            }
        }
        None
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(parent) = path.parent() {
        // When this fails, so does opening.
        let _ = fs::create_dir_all(parent);
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == VERSION {
        return Ok(connection);
    }
    if version != 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    // Write-ahead logging needs shared memory, which network file systems have not. The mode stays with the file.
    let mode = if is_on_network(path) { "DELETE" } else { "WAL" };
    connection.pragma_update(None, "journal_mode", mode)?;
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS memo (
             path BLOB NOT NULL, algorithm TEXT NOT NULL,
             size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, inode INTEGER NOT NULL,
             digest TEXT NOT NULL, PRIMARY KEY (path, algorithm)
         ) WITHOUT ROWID;
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// Returns whether a new database would do better: this one is broken, or not ours.
fn is_damage(err: &rusqlite::Error) -> bool {
    match err {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::Unknown
                | ErrorCode::SchemaChanged
        ),
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::InvalidQuery
        | rusqlite::Error::InvalidColumnType(..) => true,
        _ => false,
    }
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}

#[cfg(target_os = "linux")]
fn is_on_network(path: &Path) -> bool {
    // From linux/magic.h: NFS, SMB, CIFS, SMB2, AFS, Ceph, FUSE (sshfs and object stores), 9P, Lustre, GPFS.
    const NETWORK: [u64; 10] = [
        0x6969,
        0x517B,
        0xFF53_4D42,
        0xFE53_4D42,
        0x5346_414F,
        0x00C3_6400,
        0x6573_5546,
        0x0102_1997,
        0x0BD0_0BD0,
        0x4750_4653,
    ];
    let dir = path.parent().unwrap_or(path);
    let kind = rustix::fs::statfs(dir).map(|facts| facts.f_type);
    kind.is_ok_and(|kind| u64::try_from(kind).is_ok_and(|kind| NETWORK.contains(&kind)))
}

#[cfg(not(target_os = "linux"))]
fn is_on_network(_: &Path) -> bool {
    true
}

fn key(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// What of a [`Stat`] is compared. Times fit into 64 bits until the year 2262; later ones never match themselves
/// less than they should, for both sides are folded alike.
fn facts(stat: &Stat) -> [i64; 4] {
    #[expect(clippy::cast_possible_truncation, reason = "only equality matters")]
    let fold = |time: i128| time as i64;
    [stat.size.cast_signed(), fold(stat.mtime), fold(stat.ctime), stat.inode.cast_signed()]
}
