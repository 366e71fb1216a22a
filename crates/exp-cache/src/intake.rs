//! Taking in files from elsewhere: bytes that nobody knows the digest of yet.
//!
//! They are digested on the way in and become objects at once, without a second copy. What breaks off goes on where it
//! was, as long as the other side still has the same file; when it has another one, it begins anew, so that no file is
//! ever put together from two.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use exp_core::{Algorithm, Cancelled, Ctx, Digest, ObjectId, RelPath, TaskLabel, Unit};

use crate::cache::Cache;
use crate::content::RunningDigest;
use crate::error::{CacheError, io_error};
use crate::ingest::Staged;
use crate::layout::Layout;
use crate::remote::Remote;
use crate::storage::{ReadFrom, Storage, StorageError, StorageErrorKind, StorageStat};
use crate::transfer::TransferError;

/// Waits before what failed for the moment is tried again. Whatever arrives starts them over.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_millis(2500)];

/// Files that become durable together.
const PUBLISH: usize = 256;

/// A file of a storage that is to be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Under which key.
    pub key: RelPath,
    /// Which version; without, the newest.
    pub version: Option<String>,
    /// What the storage said about it. Another answer later means that it is another file by now.
    pub stat: StorageStat,
}

/// Reads a file of a storage from its beginning to its end, writes it to the empty file `into`, and returns digest and
/// size. Nothing is made durable.
///
/// # Errors
///
/// When the storage fails, what it has changes again and again, or the file cannot be written.
pub fn download(
    ctx: &Ctx<'_>,
    storage: &dyn Storage,
    (incoming, algorithm): (&Incoming, Algorithm),
    into: &mut File,
) -> Result<(Digest, u64), TransferError> {
    read_all(ctx, storage, (incoming, algorithm, false), into)
}

/// Reads an object of a remote to the empty file `into` and returns its size. Nothing is made durable.
///
/// # Errors
///
/// When the remote fails, or has other bytes under that name; the file is of no use then.
pub fn download_object(
    ctx: &Ctx<'_>,
    remote: &Remote,
    id: &ObjectId,
    into: &mut File,
) -> Result<u64, TransferError> {
    let label = || remote.label().to_owned();
    let key = RelPath::new(&Layout::key(id)).map_err(|source| TransferError::Remote {
        label: label(),
        source: StorageError {
            kind: StorageErrorKind::Other,
            action: "use",
            what: id.to_string(),
            source: Box::new(source),
        },
    })?;
    let incoming = Incoming { key, version: None, stat: StorageStat::default() };
    let asked = (&incoming, id.digest.algorithm(), true);
    let (found, size) = read_all(ctx, remote.storage(), asked, into)?;
    if found == id.digest {
        return Ok(size);
    }
    let source = CacheError::Corrupt { id: *id, found };
    Err(TransferError::Damaged { label: label(), source })
}

/// Reads a file, going on where a try broke off. Of one that is `fixed` it is known that it never changes.
fn read_all(
    ctx: &Ctx<'_>,
    storage: &dyn Storage,
    (incoming, algorithm, fixed): (&Incoming, Algorithm, bool),
    into: &mut File,
) -> Result<(Digest, u64), TransferError> {
    let remote = |source: StorageError| match source.kind {
        StorageErrorKind::Cancelled => TransferError::Cancelled(Cancelled),
        _ => TransferError::Remote { label: storage.label().to_owned(), source },
    };
    let mut stat = incoming.stat.clone();
    let mut pauses = PAUSES.iter();
    loop {
        into.set_len(0).and_then(|()| into.seek(SeekFrom::Start(0))).map_err(|source| {
            remote(failure(incoming, StorageErrorKind::Other, Box::new(source)))
        })?;
        let mut writer = Digesting { digest: RunningDigest::new(algorithm), into };
        loop {
            ctx.check()?;
            let offset = writer.digest.total();
            let from =
                ReadFrom { key: &incoming.key, version: incoming.version.as_deref(), offset };
            let mut read = storage.read(ctx, &from, &mut writer).map(|_| ());
            if let (Ok(()), Some(size)) = (&read, stat.size)
                && writer.digest.total() < size
            {
                let short = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                read = Err(failure(incoming, StorageErrorKind::Temporary, Box::new(short)));
            }
            let error = match read {
                Ok(()) => {
                    let size = writer.digest.total();
                    return Ok((writer.digest.finish(), size));
                }
                Err(error) if error.kind == StorageErrorKind::Temporary => error,
                Err(error) => return Err(remote(error)),
            };
            if writer.digest.total() > offset {
                pauses = PAUSES.iter();
            }
            let Some(pause) = pauses.next() else { return Err(remote(error)) };
            ctx.cancel_token().sleep(*pause);
            ctx.check()?;
            // A version is what it was; anything else may be another file by now.
            if !fixed && incoming.version.is_none() && writer.digest.total() > 0 {
                let now = storage.stat(ctx, std::slice::from_ref(&incoming.key));
                match now {
                    Ok(now) => match now.into_iter().next().flatten() {
                        Some(now) if now == stat => {}
                        Some(now) => {
                            stat = now;
                            break;
                        }
                        None => return Err(remote(error)),
                    },
                    // Not reached: the next try finds out.
                    Err(asked) if asked.kind == StorageErrorKind::Temporary => {}
                    Err(asked) => return Err(remote(asked)),
                }
            }
        }
    }
}

/// Stores files of a storage, with `jobs` threads, and returns their digests and sizes in the order of `wanted`.
///
/// The first failure ends the whole; what was stored by then stays.
///
/// # Errors
///
/// As [`download`], and when the store cannot be written.
pub fn take_in(
    ctx: &Ctx<'_>,
    cache: &Cache,
    storage: &dyn Storage,
    wanted: &[Incoming],
    jobs: NonZeroUsize,
) -> Result<Vec<(Digest, u64)>, TransferError> {
    let task = ctx.task(TaskLabel::Pull, Some(wanted.len() as u64), Unit::Files);
    let _writer = cache.enter()?;
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let received: Mutex<Vec<Staged>> = Mutex::default();
    let results: Mutex<Vec<Option<(Digest, u64)>>> = Mutex::new(vec![None; wanted.len()]);
    let one = |at: usize| -> Result<(), TransferError> {
        let temp = cache.session()?.temp();
        let mut file = cache.0.disk.create(temp.path()).map_err(io_error("create", temp.path()))?;
        let (digest, size) = download(ctx, storage, (&wanted[at], cache.algorithm()), &mut file)?;
        drop(file);
        cache.make_read_only(&temp)?;
        let batch = {
            let mut received = held(&received);
            received.push(Staged { id: ObjectId::file(digest), temp });
            if received.len() < PUBLISH { Vec::new() } else { std::mem::take(&mut *received) }
        };
        cache.publish(batch)?;
        held(&results)[at] = Some((digest, size));
        task.advance(1);
        Ok(())
    };
    let first: Mutex<Option<TransferError>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(wanted.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= wanted.len() {
                        return;
                    }
                    if let Err(error) = one(at) {
                        failed.store(true, Ordering::Relaxed);
                        held(&first).get_or_insert(error);
                    }
                }
            });
        }
    });
    cache.publish(received.into_inner().unwrap_or_else(PoisonError::into_inner))?;
    if let Some(error) = first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(results.into_iter().flatten().collect())
}

/// Digests what is written to a file.
struct Digesting<'f> {
    digest: RunningDigest,
    into: &'f mut File,
}

impl Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.into.write(bytes)?;
        self.digest.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

fn failure(
    incoming: &Incoming,
    kind: StorageErrorKind,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> StorageError {
    StorageError { kind, action: "read", what: incoming.key.to_string(), source }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
