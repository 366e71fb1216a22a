//! The stat memo: what a file digested to when it looked the way it looks now.
//!
//! A file whose path, size, times and inode are those of an entry has the entry's digest. Times have a grain, so a
//! file may change twice within one and look the same. Git's rule keeps such files out: an entry is written only when
//! the file was already older than a grain when its reading began. (The clock of the machine and that of the file
//! system are taken for one.)
//!
//! Rows are ordered by path as a walk is, so a directory is looked up by one pass over both; nothing of the memo is
//! kept in memory. Rows of files that are gone are removed on such a pass, and from the whole memo each time it has
//! doubled.
//!
//! The database is shared by any number of processes and may be deleted at any time. Whatever goes wrong with it is
//! not an error: a damaged or foreign file is replaced, a busy or read-only one is done without.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use exp_core::{Algorithm, Digest};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use crate::walk::{Found, Stat};

/// Raised whenever the table changes; a database with another version is replaced.
const VERSION: i64 = 2;

/// Coarser than the clock that stamps files on any local file system in use.
const GRAIN: i64 = 20_000_000;

/// For file systems that stamp whole seconds, FAT even two.
const COARSE_GRAIN: i64 = 2_000_000_000;

/// From this many files on, one pass over a directory's rows is cheaper than a search for each.
const SCAN_FROM: usize = 256;

/// Rows of vanished files that one pass removes at most.
const MOST_GONE: usize = 1 << 16;

/// Pages below which the memo is not worth trimming.
const TRIM_FROM: i64 = 2048;

/// About how many rows a page has; their paths differ in length.
const ROWS_IN_PAGE: i64 = 25;

/// About how many files are looked at to judge how many are gone.
const SAMPLE: i64 = 500;

const BUSY: Duration = Duration::from_secs(1);

/// A file, what it looked like, and what it digests to.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
    pub(crate) digest: Digest,
}

/// Nanoseconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(0))
}

/// Returns whether a file that looked like `stat` when its reading began at `began` must have changed its looks if
/// it changed later.
pub(crate) fn is_settled(stat: &Stat, began: i64) -> bool {
    let last = stat.mtime.max(stat.ctime);
    let is_coarse = stat.mtime % 1_000_000_000 == 0 && stat.ctime % 1_000_000_000 == 0;
    began.saturating_sub(last) > if is_coarse { COARSE_GRAIN } else { GRAIN }
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

    /// Returns the digest of each file that is known and unchanged, in the order of `found`, which is that of the
    /// paths below `base`.
    pub(crate) fn recall(
        &self,
        algorithm: Algorithm,
        (base, found): (&Path, &[Found]),
    ) -> Vec<Option<Digest>> {
        let known = if found.len() < SCAN_FROM {
            self.with(|connection| look_up(connection, algorithm, (base, found)))
        } else {
            self.with(|connection| scan(connection, algorithm, (base, found)))
        };
        let Some((known, gone)) = known else { return vec![None; found.len()] };
        self.forget(&gone);
        known
    }

    /// Removes the rows of those files that are not there.
    fn forget(&self, paths: &[PathBuf]) {
        let gone: Vec<&PathBuf> =
            paths.iter().filter(|path| fs::symlink_metadata(path).is_err()).collect();
        if gone.is_empty() {
            return;
        }
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction.prepare_cached("DELETE FROM memo WHERE path = ?1")?;
            for path in &gone {
                statement.execute([key(path)])?;
            }
            drop(statement);
            transaction.commit()
        });
    }

    /// Remembers `notes`, in one transaction.
    pub(crate) fn remember(&self, notes: &[Note]) {
        if notes.is_empty() {
            return;
        }
        self.with(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut statement = transaction
                .prepare_cached("INSERT OR REPLACE INTO memo VALUES (?1, ?2, ?3, ?4)")?;
            for note in notes {
                let algorithm = note.digest.algorithm().name();
                let facts = facts(&note.stat);
                statement.execute(params![
                    key(&note.path),
                    algorithm,
                    facts.as_slice(),
                    note.digest.as_bytes()
                ])?;
            }
            drop(statement);
            transaction.commit()?;
            trim(connection)
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
    // What the last moments before a power failure added may be lost.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
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
             path BLOB NOT NULL, algorithm TEXT NOT NULL, facts BLOB NOT NULL, digest BLOB NOT NULL,
             PRIMARY KEY (path, algorithm)
         ) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS size (pages INTEGER NOT NULL);
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))?;
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

/// What of a [`Stat`] is compared: size, times and inode, eight bytes each.
fn facts(stat: &Stat) -> [u8; 32] {
    let mut facts = [0; 32];
    let parts = [
        stat.size.to_le_bytes(),
        stat.mtime.to_le_bytes(),
        stat.ctime.to_le_bytes(),
        stat.inode.to_le_bytes(),
    ];
    facts.copy_from_slice(parts.as_flattened());
    facts
}

/// Digests in the order of the files asked for, and paths of rows that none of them has.
type Known = (Vec<Option<Digest>>, Vec<PathBuf>);

/// Asks for a few files one by one.
fn look_up(
    connection: &Connection,
    algorithm: Algorithm,
    (base, found): (&Path, &[Found]),
) -> rusqlite::Result<Known> {
    let mut statement = connection
        .prepare_cached("SELECT facts, digest FROM memo WHERE path = ?1 AND algorithm = ?2")?;
    let transaction = connection.unchecked_transaction()?;
    let mut digests = Vec::with_capacity(found.len());
    for found in found {
        let mut rows = statement.query(params![key(&found.under(base)), algorithm.name()])?;
        let row = rows.next()?;
        digests.push(match row {
            Some(row) => digest_of(algorithm, &found.stat, (row, 0))?,
            None => None,
        });
    }
    transaction.commit()?;
    Ok((digests, Vec::new()))
}

/// Reads all that is known below a directory, in order, beside the files that are there.
fn scan(
    connection: &Connection,
    algorithm: Algorithm,
    (base, found): (&Path, &[Found]),
) -> rusqlite::Result<Known> {
    let mut first = key(base).to_vec();
    if first.last() != Some(&b'/') {
        first.push(b'/');
    }
    let n_base = first.len();
    // The byte after the slash ends what lies below.
    let mut end = first.clone();
    end[n_base - 1] += 1;
    let mut statement = connection.prepare_cached(
        "SELECT path, facts, digest FROM memo WHERE path > ?1 AND path < ?2 AND algorithm = ?3",
    )?;
    let mut rows = statement.query(params![first, end, algorithm.name()])?;
    let (mut digests, mut gone) = (Vec::with_capacity(found.len()), Vec::new());
    while let Some(row) = rows.next()? {
        let path = row.get_ref(0)?.as_blob()?;
        let below = &path[n_base.min(path.len())..];
        while let Some(next) = found.get(digests.len()).filter(|next| next.path.as_bytes() < below)
        {
            debug_assert!(!next.path.is_empty(), "files below a directory");
            digests.push(None);
        }
        match found.get(digests.len()).filter(|next| next.path.as_bytes() == below) {
            Some(next) => digests.push(digest_of(algorithm, &next.stat, (row, 1))?),
            None if gone.len() < MOST_GONE => gone.push(OsStr::from_bytes(path).into()),
            None => {}
        }
    }
    digests.resize(found.len(), None);
    Ok((digests, gone))
}

/// Reads facts and digest from two columns; `None` when the file has changed since.
fn digest_of(
    algorithm: Algorithm,
    stat: &Stat,
    (row, at): (&Row<'_>, usize),
) -> rusqlite::Result<Option<Digest>> {
    if row.get_ref(at)?.as_blob()? != facts(stat) {
        return Ok(None);
    }
    Ok(Digest::from_bytes(algorithm, row.get_ref(at + 1)?.as_blob()?))
}

/// Removes the rows of all files that are gone, when the database has doubled since that was last thought of and many
/// of them are.
fn trim(connection: &Connection) -> rusqlite::Result<()> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let pages =
        number("SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count")?;
    let before = number("SELECT pages FROM size").optional()?.unwrap_or(0);
    if pages < TRIM_FROM.max(before * 2) {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    if are_many_gone(&transaction, pages)? {
        forget_gone(&transaction)?;
    }
    transaction.execute("DELETE FROM size", [])?;
    transaction.execute(
        "INSERT INTO size SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count",
        [],
    )?;
    transaction.commit()
}

/// Returns whether a fifth of the files in the database is gone, to judge from a few hundred of them: looking at all
/// costs as much as the status of all.
fn are_many_gone(connection: &Connection, pages: i64) -> rusqlite::Result<bool> {
    let step = (pages * ROWS_IN_PAGE / SAMPLE).max(1);
    let mut statement = connection.prepare_cached(
        "SELECT path FROM (SELECT path, row_number() OVER () AS n FROM memo) WHERE n % ?1 = 0",
    )?;
    let mut rows = statement.query([step])?;
    let (mut n_seen, mut n_gone) = (0, 0);
    while let Some(row) = rows.next()? {
        n_seen += 1;
        let is_gone = fs::symlink_metadata(OsStr::from_bytes(row.get_ref(0)?.as_blob()?)).is_err();
        n_gone += u32::from(is_gone);
    }
    Ok(n_gone * 5 >= n_seen)
}

/// Removes the rows of all files that are gone.
fn forget_gone(connection: &Connection) -> rusqlite::Result<()> {
    let mut last = Vec::new();
    loop {
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT path FROM memo WHERE path > ?1 ORDER BY path LIMIT 4096",
        )?;
        let paths = statement
            .query_map([&last], |row| row.get::<_, Vec<u8>>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let Some(end) = paths.last().cloned() else { return Ok(()) };
        let mut statement = connection.prepare_cached("DELETE FROM memo WHERE path = ?1")?;
        for path in paths {
            if fs::symlink_metadata(OsStr::from_bytes(&path)).is_err() {
                statement.execute([path])?;
            }
        }
        last = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_looked_at_only_when_many_seem_to_be_gone() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("memo/stat.db")).unwrap();
        let stat = Stat::of(&fs::metadata(dir.path()).unwrap());
        let digest = Digest::of(Algorithm::Sha256, b"");
        let insert = |n: usize| {
            let path = dir.path().join(n.to_string());
            let facts = facts(&stat);
            let values = params![key(&path), "sha256", facts.as_slice(), digest.as_bytes()];
            connection.execute("INSERT INTO memo VALUES (?1, ?2, ?3, ?4)", values).unwrap();
            path
        };
        let paths: Vec<PathBuf> = (0..400).map(insert).collect();
        for path in &paths {
            fs::write(path, "").unwrap();
        }
        // As many pages as these rows have, and as many as make it look at a tenth.
        for pages in [400 / ROWS_IN_PAGE, SAMPLE * 10 / ROWS_IN_PAGE] {
            assert!(!are_many_gone(&connection, pages).unwrap());
        }
        for path in &paths[..200] {
            fs::remove_file(path).unwrap();
        }
        for pages in [400 / ROWS_IN_PAGE, SAMPLE * 10 / ROWS_IN_PAGE] {
            assert!(are_many_gone(&connection, pages).unwrap());
        }
        forget_gone(&connection).unwrap();
        let n: i64 =
            connection.query_row("SELECT count(*) FROM memo", [], |row| row.get(0)).unwrap();
        assert_eq!(n, 200);
    }
}
