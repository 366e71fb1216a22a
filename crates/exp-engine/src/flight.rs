//! Being the only process that runs something: the same stage with the same inputs is run once.
//!
//! `<store>/tmp/flights/<key>` is locked while a stage runs whose result will stand under that key in the run cache. Who
//! finds it locked waits, and then takes the result instead of running. The lock is that of an open file, so it ends with
//! its process, however that ends. The file is removed by who holds it; another one that waited for the same file sees that
//! it is gone and begins anew.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use exp_core::{Cancelled, Ctx, Digest, Flight};

use crate::error::Error;
use crate::files::FileError;
use crate::machine::open;

/// How often a lock that somebody else holds is tried.
const PAUSE: Duration = Duration::from_millis(50);

/// The file of a flight that is under way; dropping it ends the flight.
struct Held {
    file: File,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Before it is unlocked, so that nobody else's file is removed.
        fs::remove_file(&self.path).ok();
        self.file.unlock().ok();
    }
}

/// Keeps others from running what has this key; `None` when somebody else does run it.
///
/// Where files cannot be locked there are no flights, and everybody runs.
///
/// # Errors
///
/// When the store cannot be written.
pub(crate) fn try_begin(store: &Path, key: &Digest) -> Result<Option<Flight>, Error> {
    let dir = store.join("tmp/flights");
    fs::create_dir_all(&dir).map_err(FileError::at("create", &dir))?;
    let path = dir.join(key.to_hex());
    loop {
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) if is_still_at(&file, &path) => {
                let guard = Some(Box::new(Held { file, path }) as _);
                return Ok(Some(Flight { has_waited: false, guard }));
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(_)) => return Ok(Some(Flight::default())),
        }
    }
}

/// Waits until nobody runs what has this key, and keeps others from it.
///
/// # Errors
///
/// When the end is asked for meanwhile, or the store cannot be written.
pub(crate) fn wait(ctx: &Ctx<'_>, store: &Path, key: &Digest) -> Result<Flight, Error> {
    loop {
        if ctx.cancel_token().requested().is_some() || ctx.cancel_token().sleep(PAUSE).is_some() {
            return Err(Cancelled.into());
        }
        if let Some(flight) = try_begin(store, key)? {
            return Ok(Flight { has_waited: true, ..flight });
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(found)) => (held.dev(), held.ino()) == (found.dev(), found.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use exp_core::{Algorithm, Cancel, CancelToken, NullSink};

    use super::*;

    #[test]
    fn one_flies_at_a_time_and_the_others_know_that_they_waited() {
        let dir = tempfile::tempdir().unwrap();
        let key = Digest::of(Algorithm::Sha256, b"x");
        let (inside, n_blocked) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let first = try_begin(dir.path(), &key).unwrap().unwrap();
        let other = Digest::of(Algorithm::Sha256, b"y");
        assert!(try_begin(dir.path(), &other).unwrap().is_some());
        thread::scope(|scope| {
            let one = || {
                for _ in 0..20 {
                    let flight = try_begin(dir.path(), &key).unwrap().unwrap_or_else(|| {
                        n_blocked.fetch_add(1, Ordering::SeqCst);
                        let flight = wait(&Ctx::silent(), dir.path(), &key).unwrap();
                        assert!(flight.has_waited);
                        flight
                    });
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(flight);
                }
            };
            for _ in 0..4 {
                scope.spawn(one);
            }
            while n_blocked.load(Ordering::SeqCst) < 4 {
                thread::yield_now();
            }
            drop(first);
        });
        assert_eq!(fs::read_dir(dir.path().join("tmp/flights")).unwrap().count(), 0);
    }

    #[test]
    fn a_wait_ends_when_the_end_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let key = Digest::of(Algorithm::Sha256, b"x");
        let _first = try_begin(dir.path(), &key).unwrap().unwrap();
        let token = CancelToken::new();
        token.cancel(Cancel::Drain);
        let ctx = Ctx::new(&NullSink, token);
        assert!(matches!(wait(&ctx, dir.path(), &key), Err(Error::Cancelled(_))));
    }
}
