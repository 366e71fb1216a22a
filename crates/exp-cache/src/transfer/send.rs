//! Sending objects.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use exp_core::{Ctx, Digest, ObjectId, Task, TaskLabel, Unit};

use super::persist::{Failure, persist};
use super::{Moved, TransferError, TransferPlan, TransferStats, run, split};
use crate::cache::Cache;
use crate::content::RunningDigest;
use crate::error::{CacheError, io_error};
use crate::remote::Remote;
use crate::storage::{ReadSeek, StorageError, StorageStat};

/// Bytes digested at once of what a storage passes over.
const PIECE: usize = 1 << 20;

/// Sends what `plan` lists, with `jobs` threads.
///
/// Bytes are digested on the way out: an object that is not what its name says does not appear on the remote. An object
/// that fails does not stop the others. What was sent stays when the work is cancelled.
///
/// # Errors
///
/// When it is cancelled, or the remote cannot make durable what it got.
pub fn push(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &Remote,
    plan: TransferPlan,
    jobs: NonZeroUsize,
) -> Result<TransferStats, TransferError> {
    if plan.objects().next().is_none() {
        remote.known().add(&plan.whole);
        let missing = plan.missing;
        return Ok(TransferStats {
            already_there: plan.already_there,
            missing,
            ..Default::default()
        });
    }
    let task = ctx.task(TaskLabel::Push, Some(plan.objects().count() as u64), Unit::Files);
    let sizes =
        plan.objects().map(|id| cache.object_path(id).metadata().map_or(0, |data| data.len()));
    task.size(sizes.sum());
    let one = |id: &ObjectId| {
        let open = || Ok((cache.read(id)?, cache.object_path(id)));
        let wrong = |found| CacheError::Corrupt { id: *id, found };
        send(ctx, remote, (id, &open, &wrong), &task)
    };
    let flush = || remote.flush(ctx).map_err(|source| Failure::Remote(source).of(remote, None));
    let mut stats = run(ctx, (&plan.files, jobs, &task), &one)?;
    flush()?;
    let (ready, held_back) = split(&plan, &stats);
    let trees = run(ctx, (&ready, jobs, &task), &one)?;
    flush()?;
    let failed: Vec<ObjectId> = trees.failed.iter().map(|(id, _)| *id).collect();
    remote.known().add(&plan.whole);
    remote.known().add(&ready.into_iter().filter(|id| !failed.contains(id)).collect::<Vec<_>>());
    stats.moved += trees.moved;
    stats.failed.extend(trees.failed);
    stats.missing.extend(plan.missing);
    stats.missing.sort_unstable();
    stats.already_there = plan.already_there;
    stats.held_back = held_back;
    Ok(stats)
}

/// Opens what is to be sent.
type Open<'o> = dyn Fn() -> Result<(File, PathBuf), CacheError> + 'o;

/// Says what it means that the bytes have another digest.
type Wrong<'w> = dyn Fn(Digest) -> CacheError + 'w;

/// Stores so many bytes.
type Store<'s> = dyn Fn(u64, &mut dyn ReadSeek) -> Result<StorageStat, StorageError> + 's;

/// Sends an object.
pub(super) fn send(
    ctx: &Ctx<'_>,
    remote: &Remote,
    (id, open, wrong): (&ObjectId, &Open<'_>, &Wrong<'_>),
    task: &Task<'_>,
) -> Result<Moved, TransferError> {
    let store = |len: u64, from: &mut dyn ReadSeek| remote.store(ctx, id, len, from);
    let sent = send_to(ctx, (id, open, wrong, &store), task);
    sent.map(|(_, len)| Moved::Bytes(len)).map_err(|err| err.of(remote, Some(id)))
}

/// Sends the bytes of an object to wherever `store` puts them, and returns what is said about them there, and how many
/// they are.
pub(super) fn send_to(
    ctx: &Ctx<'_>,
    (id, open, wrong, store): (&ObjectId, &Open<'_>, &Wrong<'_>, &Store<'_>),
    task: &Task<'_>,
) -> Result<(StorageStat, u64), Failure> {
    persist(ctx, &mut || {
        let (file, path) = open()?;
        let len = file.metadata().map_err(io_error("look at", &path))?.len();
        let mut checked = Checked::new(file, (id, len), task);
        if len == 0 {
            checked.check().map_err(io_error("read", &path))?;
            if let Some(found) = checked.wrong {
                return Err(Failure::Cache(wrong(found)));
            }
        }
        let stored = store(len, &mut checked);
        match checked.wrong {
            // The object is not published: the storage got an error instead of the last bytes.
            Some(found) => Err(Failure::Cache(wrong(found))),
            None => stored.map(|stat| (stat, len)).map_err(Failure::Remote),
        }
    })
}

/// Digests what is read on the way, and withholds the end when the digest is not the name.
struct Checked<'t> {
    file: File,
    id: ObjectId,
    len: u64,
    digest: Option<RunningDigest>,
    /// Where the next byte is read.
    at: u64,
    /// How far that was told.
    told: u64,
    /// What the bytes digest to, when that is not the name.
    wrong: Option<Digest>,
    task: &'t Task<'t>,
}

impl<'t> Checked<'t> {
    fn new(file: File, (id, len): (&ObjectId, u64), task: &'t Task<'t>) -> Self {
        let digest = Some(RunningDigest::new(id.digest.algorithm()));
        Self { file, id: *id, len, digest, at: 0, told: 0, wrong: None, task }
    }

    /// Digests what was passed over, and compares.
    fn check(&mut self) -> io::Result<()> {
        let Some(mut digest) = self.digest.take() else { return Ok(()) };
        if digest.total() < self.len {
            self.file.seek(SeekFrom::Start(digest.total()))?;
            let mut piece = vec![0; PIECE];
            loop {
                match self.file.read(&mut piece)? {
                    0 => break,
                    n => digest.update(&piece[..n]),
                }
            }
            self.file.seek(SeekFrom::Start(self.at))?;
        }
        let found = digest.finish();
        if found != self.id.digest {
            self.wrong = Some(found);
        }
        Ok(())
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(into)?;
        if let Some(digest) = &mut self.digest
            && digest.total() >= self.at
            && digest.total() < self.at + n as u64
        {
            let known = usize::try_from(digest.total() - self.at).unwrap_or(n);
            digest.update(&into[known..n]);
        }
        self.at += n as u64;
        if self.at > self.told {
            self.task.moved(self.at - self.told);
            self.told = self.at;
        }
        if self.at >= self.len {
            self.check()?;
        }
        if self.wrong.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the object is corrupt"));
        }
        Ok(n)
    }
}

impl Seek for Checked<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}
