//! Remotes that keep versions: they have files under their own paths, and no objects.
//!
//! For receiving, such a remote is made to look like one that has objects ([`VersionedObjects`]): an object is a version
//! of a file that somebody recorded, and a manifest is what the record of a directory says. So everything that holds for
//! objects holds: bytes are digested on the way in, a manifest appears last, a large file goes on where it stopped.
//!
//! For sending, each file goes to its path and comes back with the version that it is now ([`push_versions`]). Nothing
//! is deleted there, and no version is ever replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use exp_core::{Algorithm, Ctx, ObjectId, RelPath, Task, TaskLabel, Unit};

use super::TransferError;
use super::persist::{Failure, persist};
use super::send::send_to;
use crate::cache::Cache;
use crate::error::CacheError;
use crate::layout::Layout;
use crate::remote::{Remote, invalid};
use crate::storage::{
    Abilities, Depth, Put, ReadFrom, ReadSeek, Storage, StorageError, StorageErrorKind, StorageStat,
};
use crate::tree::Tree;

/// Files asked for in one call.
const BATCH: usize = 256;

/// A directory with more files than this is listed rather than asked for file by file.
const WORTH_LISTING: usize = 32;

/// A storage of versioned files, seen as one of objects. It can be read, and nothing else.
#[derive(Debug)]
pub struct VersionedObjects {
    storage: Arc<dyn Storage>,
    /// Versions of files by the key of their object. Any of them will do.
    places: BTreeMap<RelPath, Vec<(RelPath, String)>>,
    /// Manifests by their key.
    manifests: BTreeMap<RelPath, Vec<u8>>,
}

impl VersionedObjects {
    /// Sees `storage` as one that has no objects yet.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, places: BTreeMap::new(), manifests: BTreeMap::new() }
    }

    /// Says that a version of the file `key` is the object `id`. It is believed until it is read.
    pub fn add(&mut self, id: &ObjectId, key: RelPath, version: String) {
        let Ok(object) = RelPath::new(&Layout::key(id)) else { return };
        let places = self.places.entry(object).or_default();
        let place = (key, version);
        if !places.contains(&place) {
            places.push(place);
        }
    }

    /// Says what is in a directory.
    pub fn add_tree(&mut self, tree: &Tree) {
        let bytes = tree.to_bytes();
        if let Ok(key) = RelPath::new(&Layout::key(&tree.id())) {
            self.manifests.insert(key, bytes);
        }
    }

    /// Returns whether somebody recorded a version that is this object.
    pub fn is_recorded(&self, id: &ObjectId) -> bool {
        RelPath::new(&Layout::key(id)).is_ok_and(|key| self.places.contains_key(&key))
    }
}

impl Storage for VersionedObjects {
    fn label(&self) -> &str {
        self.storage.label()
    }

    fn abilities(&self) -> Abilities {
        let is_near = self.storage.abilities().is_near;
        Abilities { write: false, list: false, versions: false, is_near }
    }

    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        let asked: Vec<(RelPath, String)> =
            keys.iter().filter_map(|key| self.places.get(key)).flatten().cloned().collect();
        let mut answers = self.storage.stat_versions(ctx, &asked)?.into_iter();
        let found = keys.iter().map(|key| {
            if let Some(bytes) = self.manifests.get(key) {
                let size = Some(bytes.len() as u64);
                return Some(StorageStat { size, ..StorageStat::default() });
            }
            let n_places = self.places.get(key).map_or(0, Vec::len);
            let mine: Vec<_> = answers.by_ref().take(n_places).collect();
            mine.into_iter().flatten().next()
        });
        Ok(found.collect())
    }

    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        if let Some(bytes) = self.manifests.get(from.key) {
            let rest = usize::try_from(from.offset).ok().and_then(|offset| bytes.get(offset..));
            let rest = rest.unwrap_or_default();
            into.write_all(rest).map_err(|err| invalid(from.key.as_str(), err))?;
            return Ok(rest.len() as u64);
        }
        let mut absent = StorageError {
            kind: StorageErrorKind::NotFound,
            action: "read",
            what: from.key.to_string(),
            source: "no version of it is recorded".into(),
        };
        for (key, version) in self.places.get(from.key).into_iter().flatten() {
            let from = ReadFrom { key, version: Some(version), offset: from.offset };
            match self.storage.read(ctx, &from, into) {
                Err(err) if err.kind == StorageErrorKind::NotFound => absent = err,
                read => return read,
            }
        }
        Err(absent)
    }
}

/// What a storage calls the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version.
    pub id: String,
    /// Its mark of the bytes, if it has one.
    pub etag: Option<String>,
}

/// A file that is to be on a remote that keeps versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedFile {
    /// Its path there.
    pub key: RelPath,
    /// Its bytes.
    pub id: ObjectId,
    /// How many those are, if somebody knows.
    pub size: Option<u64>,
    /// The version that was recorded when it was sent before.
    pub known: Option<Version>,
}

/// What became of files that were to be on a remote that keeps versions.
#[derive(Debug, Default)]
pub struct VersionedStats {
    /// The version that each file is now, in the order in which they were asked for; `None` for what is not there.
    pub versions: Vec<Option<Version>>,
    /// Files that were sent.
    pub moved: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub already_there: u64,
    /// Files that are neither there nor in the store: their positions, ordered.
    pub missing: Vec<usize>,
    /// Files that could not be sent, by position, each with the reason. Ordered.
    pub failed: Vec<(usize, TransferError)>,
    /// Whether the work was asked to stop before everything was sent.
    pub is_cancelled: bool,
}

/// Brings `files` to a remote that keeps versions, with `jobs` threads, and returns which version each of them is.
///
/// A file is there when the version that was recorded of it still is, or when the newest one has its bytes, by the mark of
/// a storage that marks them with their MD5, or with that of the parts that we send. Everything else is sent as a new version. `dirs` are directories that
/// have most of the files: they are listed where that takes fewer requests.
///
/// Bytes are digested on the way out. What was sent stays when the work is cancelled, and is in the answer.
///
/// # Errors
///
/// [`TransferError::NoVersions`] when the storage keeps none: nothing that was there has been replaced then. When the
/// storage cannot be asked. Failures of single files are in the answer.
pub fn push_versions(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    (files, dirs): (&[VersionedFile], &[RelPath]),
    jobs: NonZeroUsize,
) -> Result<VersionedStats, TransferError> {
    let newest = newest(ctx, remote, (files, dirs))?;
    let mut stats = VersionedStats { versions: vec![None; files.len()], ..Default::default() };
    let unsure: Vec<usize> = (0..files.len())
        .filter(|at| {
            let (file, there) = (&files[*at], newest.get(&files[*at].key));
            match there.and_then(|there| same(cache, file, there)) {
                Some(version) => stats.versions[*at] = Some(version),
                None => return true,
            }
            false
        })
        .collect();
    for at in &unsure {
        if let Some(there) = newest.get(&files[*at].key) {
            stats.versions[*at] = proven(ctx, (cache, remote), &files[*at], there)?;
        }
    }
    let mut to_send = Vec::new();
    for batch in unsure.chunks(BATCH) {
        ctx.check()?;
        let asked: Vec<(usize, (RelPath, String))> = batch
            .iter()
            .filter_map(|at| {
                let known = files[*at].known.as_ref()?;
                Some((*at, (files[*at].key.clone(), known.id.clone())))
            })
            .collect();
        let keys: Vec<_> = asked.iter().map(|(_, place)| place.clone()).collect();
        let found = persist(ctx, &mut || remote.storage().stat_versions(ctx, &keys))
            .map_err(|err| err.of(remote, None))?;
        for ((at, _), found) in asked.iter().zip(found) {
            if found.is_some() {
                stats.versions[*at].clone_from(&files[*at].known);
            }
        }
        to_send.extend(batch.iter().copied().filter(|at| stats.versions[*at].is_none()));
    }
    stats.already_there = (files.len() - to_send.len()) as u64;
    let (here, missing): (Vec<_>, Vec<_>) =
        to_send.into_iter().partition(|at| cache.contains(&files[*at].id));
    stats.missing = missing;
    send_all(ctx, (cache, remote), (files, here), (&newest, jobs), &mut stats)?;
    Ok(stats)
}

/// Returns the version of a file if the newest one has its bytes.
fn same(cache: &Cache, file: &VersionedFile, there: &StorageStat) -> Option<Version> {
    let id = there.version.clone()?;
    let version = Version { id, etag: there.etag.clone() };
    if let Some(known) = file.known.as_ref().filter(|known| known.id == version.id) {
        return Some(known.clone());
    }
    // Sent before, and the record got lost. A mark that is the MD5 of the bytes is no accident.
    let is_md5 = file.id.digest.algorithm() == Algorithm::Md5
        && there.etag.as_deref() == Some(&*file.id.digest.to_hex());
    let size = file
        .size
        .or_else(|| cache.object_path(&file.id).metadata().ok().map(|metadata| metadata.len()));
    (is_md5 && size.is_some() && size == there.size && file.known.is_none()).then_some(version)
}

/// Returns the version of a file that nobody recorded, if the storage can prove that the newest one has its bytes.
fn proven(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    file: &VersionedFile,
    there: &StorageStat,
) -> Result<Option<Version>, TransferError> {
    let (None, Some(id)) = (&file.known, &there.version) else { return Ok(None) };
    let Ok(metadata) = cache.object_path(&file.id).metadata() else { return Ok(None) };
    if there.size != Some(metadata.len()) {
        return Ok(None);
    }
    let mut bytes = Stoppable { ctx, from: cache.read(&file.id)? };
    let is_same = remote.storage().proves(there, metadata.len(), &mut bytes);
    ctx.check()?;
    let is_same = is_same.map_err(|err| Failure::from(err).of(remote, Some(&file.id)))?;
    Ok(is_same.then(|| Version { id: id.clone(), etag: there.etag.clone() }))
}

/// Bytes that end with an error when the work is asked to stop.
struct Stoppable<'a, R> {
    ctx: &'a Ctx<'a>,
    from: R,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.ctx.check().map_err(io::Error::other)?;
        self.from.read(into)
    }
}

impl<R: Seek> Seek for Stoppable<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.from.seek(to)
    }
}

/// Looks at the newest versions.
fn newest(
    ctx: &Ctx<'_>,
    remote: &Remote,
    (files, dirs): (&[VersionedFile], &[RelPath]),
) -> Result<BTreeMap<RelPath, StorageStat>, TransferError> {
    let wanted: BTreeSet<&RelPath> = files.iter().map(|file| &file.key).collect();
    let mut newest = BTreeMap::new();
    let mut listed: Vec<&RelPath> = Vec::new();
    for dir in dirs {
        let n_below = wanted.iter().filter(|key| key.starts_with(dir)).count();
        if n_below <= WORTH_LISTING {
            continue;
        }
        listed.push(dir);
        let found = persist(ctx, &mut || {
            let mut found = Vec::new();
            remote.storage().list(ctx, dir, Depth::All, &mut |one| {
                if wanted.contains(&one.key) {
                    found.push((one.key, one.stat));
                }
                ControlFlow::Continue(())
            })?;
            Ok::<_, StorageError>(found)
        });
        newest.extend(found.map_err(|err| err.of(remote, None))?);
    }
    let rest: Vec<RelPath> = (wanted.into_iter())
        .filter(|key| !listed.iter().any(|dir| key.starts_with(dir)))
        .cloned()
        .collect();
    for batch in rest.chunks(BATCH) {
        ctx.check()?;
        let found = persist(ctx, &mut || remote.storage().stat(ctx, batch))
            .map_err(|err| err.of(remote, None))?;
        let found = batch.iter().zip(found);
        newest.extend(found.filter_map(|(key, stat)| Some((key.clone(), stat?))));
    }
    Ok(newest)
}

/// Sends the files at the positions `here`.
fn send_all(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    (files, mut here): (&[VersionedFile], Vec<usize>),
    (newest, jobs): (&BTreeMap<RelPath, StorageStat>, NonZeroUsize),
    stats: &mut VersionedStats,
) -> Result<(), TransferError> {
    // The first one shows that the bucket keeps versions. Where none is replaced that has no name, it harms nobody.
    let is_unnamed =
        |at: &usize| newest.get(&files[*at].key).is_some_and(|there| there.version.is_none());
    here.sort_by_key(|at| (is_unnamed(at), *at));
    let Some(first) = here.first().copied() else { return Ok(()) };
    let no_versions = |at: usize| TransferError::NoVersions {
        label: remote.label().to_owned(),
        key: files[at].key.clone(),
    };
    let keeps = persist(ctx, &mut || remote.storage().keeps_versions(ctx));
    if is_unnamed(&first) || !keeps.map_err(|err| err.of(remote, None))? {
        return Err(no_versions(first));
    }
    let task = ctx.task(TaskLabel::Push, Some(here.len() as u64), Unit::Files);
    let len = |at: &usize| {
        cache.object_path(&files[*at].id).metadata().map_or(0, |metadata| metadata.len())
    };
    task.size(here.iter().map(len).sum());
    let one = |at: usize| {
        let sent = send_one(ctx, (cache, remote), &files[at], &task);
        task.advance(1);
        sent
    };
    match one(first) {
        Ok((None, _)) => return Err(no_versions(first)),
        sent => stats.note(first, sent),
    }
    let rest = &here[1..];
    let (next, shared) = (AtomicUsize::new(0), Mutex::new(stats));
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(rest.len()) {
            scope.spawn(|| {
                while let Some(at) = rest.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Neither wish starts a new file.
                    if ctx.cancel_token().requested().is_some() {
                        return;
                    }
                    let sent = one(*at);
                    shared.lock().unwrap_or_else(PoisonError::into_inner).note(*at, sent);
                }
            });
        }
    });
    let stats = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    stats.is_cancelled |= ctx.cancel_token().requested().is_some();
    stats.failed.sort_by_key(|(at, _)| *at);
    Ok(())
}

impl VersionedStats {
    fn note(&mut self, at: usize, sent: Result<(Option<Version>, u64), TransferError>) {
        match sent {
            Ok((version, len)) => {
                self.versions[at] = version;
                self.moved += 1;
                self.bytes += len;
            }
            Err(TransferError::Cancelled(_)) => self.is_cancelled = true,
            Err(error) => self.failed.push((at, error)),
        }
    }
}

/// Sends a file; says which version it is, if it has one, and how many bytes those were.
fn send_one(
    ctx: &Ctx<'_>,
    (cache, remote): (&Cache, &Remote),
    file: &VersionedFile,
    task: &Task<'_>,
) -> Result<(Option<Version>, u64), TransferError> {
    let VersionedFile { key, id, .. } = file;
    let open = || Ok((cache.read(id)?, cache.object_path(id)));
    let wrong = |found| CacheError::Corrupt { id: *id, found };
    let store = |len: u64, from: &mut dyn ReadSeek| {
        remote.storage().write(ctx, &Put { key, len, is_object: false }, from)
    };
    let of = |err: Failure| err.of(remote, Some(id));
    let (mut stat, len) = send_to(ctx, (id, &open, &wrong, &store), task).map_err(of)?;
    if stat.version.is_none() {
        // Not every storage says so at once.
        let found = persist(ctx, &mut || remote.storage().stat(ctx, std::slice::from_ref(key)));
        stat = found.map_err(of)?.into_iter().flatten().next().unwrap_or_default();
    }
    Ok((stat.version.map(|id| Version { id, etag: stat.etag }), len))
}
