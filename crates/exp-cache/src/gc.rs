//! Collecting: removing what nobody needs, while others work.
//!
//! Who needs what is the caller's business; this is the part that must not go wrong in between:
//!
//! - A plan names single objects. What is added after it was made is not in it.
//! - An object that is younger than a grace period is left out of the plan: a program that does not pin what it adds
//!   (DVC is one) may be about to write it down.
//! - Removing takes the store alone: nobody adds meanwhile. Then pins are read, then the caller says once more what is
//!   needed. In this order: a pin that is gone was written down before, so the caller sees it.
//! - An object that does not look as it did when the plan was made was put there again, and stays.
//! - Manifests go before the files they list, so that whoever finds one finds its files.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use exp_core::{Algorithm, Ctx, ObjectId, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::{Cache, parse_tree};
use crate::disk::Disk;
use crate::error::{CacheError, io_error};
use crate::layout::Layout;
use crate::pins::pinned;
use crate::runs::RunId;
use crate::walk::is_absence;

/// Between two tries of a lock that someone else holds.
const PAUSE: Duration = Duration::from_millis(20);

/// All algorithms that may name objects of a store.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Md5Dos2Unix];

/// What has to stay: objects, with the files of the directories among them. Made by [`Cache::keep`].
#[derive(Debug, Clone, Default)]
pub struct Keep {
    ids: HashSet<ObjectId>,
    unlisted: BTreeSet<ObjectId>,
}

impl Keep {
    /// Returns whether the object has to stay.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.ids.contains(id)
    }

    /// Returns what has to stay, in any order.
    pub fn ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.ids.iter()
    }

    /// Learns from its manifest which files a directory needs.
    ///
    /// # Errors
    ///
    /// When the bytes are not this manifest, or none that can be used.
    pub fn learn(&mut self, id: &ObjectId, manifest: &[u8]) -> Result<(), CacheError> {
        let tree = parse_tree(id, manifest)?;
        self.ids.extend(tree.entries().iter().map(|one| ObjectId::file(one.digest)));
        self.unlisted.remove(id);
        Ok(())
    }

    /// Adds what another one keeps.
    pub fn merge(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.unlisted.extend(other.unlisted);
    }

    /// Takes objects out: they need not stay.
    pub fn release(&mut self, ids: &HashSet<ObjectId>) {
        self.ids.retain(|id| !ids.contains(id));
    }

    /// Returns the directories whose manifest the store does not have, or has damaged: which files they need is not
    /// known.
    pub fn unlisted(&self) -> &BTreeSet<ObjectId> {
        &self.unlisted
    }
}

/// An object of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub id: ObjectId,
    /// In bytes.
    pub size: u64,
    /// When it came, or when something last linked to it.
    pub touched: SystemTime,
    stamp: [i64; 4],
}

impl StoredObject {
    fn new(id: ObjectId, metadata: &Metadata) -> Self {
        // A file that was linked here has the time of its last change, and only the inode's says since when.
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
        let changed = UNIX_EPOCH + Duration::from_secs(seconds);
        Self { id, size: metadata.len(), touched: modified.max(changed), stamp: stamp(metadata) }
    }
}

fn stamp(metadata: &Metadata) -> [i64; 4] {
    [metadata.ctime(), metadata.ctime_nsec(), metadata.ino().cast_signed(), metadata.mtime()]
}

/// How a collection is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// What was touched less than this ago stays.
    pub grace: Duration,
    /// The moment it is.
    pub now: SystemTime,
}

/// What a collection would remove. Made by [`Cache::plan_gc`], used up by [`Cache::gc`].
#[derive(Debug, Default)]
pub struct GcPlan {
    doomed: Vec<StoredObject>,
    kept: u64,
    young: (u64, u64),
}

impl GcPlan {
    /// Returns what would be removed, in the order of removal: manifests first.
    pub fn doomed(&self) -> &[StoredObject] {
        &self.doomed
    }

    /// Returns the size of what would be removed, in bytes.
    pub fn bytes(&self) -> u64 {
        self.doomed.iter().map(|object| object.size).sum()
    }

    /// Returns how many objects are needed.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Returns how many objects nobody needs and stay because they are young, and their size in bytes.
    pub fn young(&self) -> (u64, u64) {
        self.young
    }

    /// Takes objects off the plan.
    pub fn spare(&mut self, keep: &Keep) {
        let before = self.doomed.len();
        self.doomed.retain(|object| !keep.contains(&object.id));
        self.kept += (before - self.doomed.len()) as u64;
    }
}

/// What a collection did.
#[derive(Debug, Default)]
pub struct GcStats {
    /// What was removed.
    pub removed: Vec<ObjectId>,
    /// Its size in bytes.
    pub bytes: u64,
    /// How many objects of the plan stayed because someone needs them by now.
    pub spared: u64,
    /// What could not be removed, and why.
    pub failed: Vec<(ObjectId, CacheError)>,
}

impl Cache {
    /// Returns what has to stay when these objects have to: they and, of directories, the files.
    ///
    /// # Errors
    ///
    /// When a manifest cannot be read. One that is missing or damaged is no error but in [`Keep::unlisted`].
    pub fn keep(
        &self,
        ctx: &Ctx<'_>,
        ids: impl IntoIterator<Item = ObjectId>,
    ) -> Result<Keep, CacheError> {
        let mut keep = Keep { ids: ids.into_iter().collect(), unlisted: BTreeSet::new() };
        let trees: Vec<ObjectId> = keep.ids.iter().filter(|id| id.is_tree()).copied().collect();
        // By parts, so that the manifests of a long history are not in memory together.
        for part in trees.chunks(64) {
            ctx.check()?;
            let read: Vec<_> = part.par_iter().map(|id| (*id, self.read_tree(id))).collect();
            for (id, tree) in read {
                match tree {
                    Ok(tree) => {
                        keep.ids
                            .extend(tree.entries().iter().map(|one| ObjectId::file(one.digest)));
                    }
                    Err(
                        CacheError::Missing { .. }
                        | CacheError::Corrupt { .. }
                        | CacheError::Manifest { .. },
                    ) => {
                        keep.unlisted.insert(id);
                    }
                    Err(err) => return Err(err),
                }
            }
        }
        Ok(keep)
    }

    /// Tells `found` all objects of the store, by algorithm and first byte, in any order otherwise.
    ///
    /// What has no object's name is passed over. An object that is removed meanwhile may be left out.
    ///
    /// # Errors
    ///
    /// When a directory of the store cannot be listed.
    pub fn each_object(
        &self,
        ctx: &Ctx<'_>,
        found: &mut dyn FnMut(StoredObject),
    ) -> Result<(), CacheError> {
        self.each_shard(ctx, &|_| true, &mut |objects| objects.into_iter().for_each(&mut *found))
    }

    /// Plans the removal of everything that need not be kept. Looks only.
    ///
    /// # Errors
    ///
    /// When the store cannot be listed.
    pub fn plan_gc(
        &self,
        ctx: &Ctx<'_>,
        keep: &Keep,
        options: &GcOptions,
    ) -> Result<GcPlan, CacheError> {
        let mut plan = GcPlan::default();
        let n_kept = std::sync::atomic::AtomicU64::new(0);
        let is_doomed = |id: &ObjectId| {
            let is_kept = keep.contains(id);
            n_kept.fetch_add(u64::from(is_kept), std::sync::atomic::Ordering::Relaxed);
            !is_kept
        };
        let old = options.now.checked_sub(options.grace).unwrap_or(UNIX_EPOCH);
        self.each_shard(ctx, &is_doomed, &mut |objects| {
            for object in objects {
                if object.touched > old && !options.grace.is_zero() {
                    plan.young.0 += 1;
                    plan.young.1 += object.size;
                } else {
                    plan.doomed.push(object);
                }
            }
        })?;
        plan.kept = n_kept.into_inner();
        plan.doomed.sort_unstable_by_key(|object| (!object.id.is_tree(), object.id));
        Ok(plan)
    }

    /// Removes what is planned, and no object that somebody needs by now.
    ///
    /// Waits until nobody adds to the store and lets nobody in until it is done. `look_again` then says what has to
    /// stay; it must not add anything to the store. After a crash some of the objects are gone and the others whole.
    ///
    /// # Errors
    ///
    /// When the store cannot be taken, or `look_again` fails: nothing was removed then. What single objects fail with is
    /// in [`GcStats::failed`].
    pub fn gc<E: From<CacheError>>(
        &self,
        ctx: &Ctx<'_>,
        plan: GcPlan,
        look_again: &mut dyn FnMut() -> Result<Keep, E>,
    ) -> Result<GcStats, E> {
        let mut stats = GcStats::default();
        if plan.doomed.is_empty() {
            return Ok(stats);
        }
        self.check_place()?;
        let _alone = enter_alone(ctx, &self.0.layout, &self.0.disk)?;
        let pinned = self.keep(ctx, pinned(&self.0.layout)?)?;
        let keep = look_again()?;
        let total = plan.doomed.len() as u64;
        let task = ctx.task(TaskLabel::Collect, Some(total), Unit::Files);
        for object in plan.doomed {
            ctx.check().map_err(CacheError::from)?;
            task.advance(1);
            let path = self.object_path(&object.id);
            let is_needed = keep.contains(&object.id) || pinned.contains(&object.id);
            let is_same = |found: &Metadata| stamp(found) == object.stamp;
            if is_needed || !fs::symlink_metadata(&path).is_ok_and(|found| is_same(&found)) {
                stats.spared += 1;
                continue;
            }
            match self.0.disk.remove_file(&path) {
                Err(err) if !is_absence(&err) => {
                    stats.failed.push((object.id, io_error("remove", &path)(err)));
                }
                _ => {
                    stats.removed.push(object.id);
                    stats.bytes += object.size;
                }
            }
        }
        Ok(stats)
    }

    /// Removes recorded runs. One that is not there is fine.
    ///
    /// # Errors
    ///
    /// When one cannot be removed; those before it are gone.
    pub fn remove_runs(&self, runs: &[RunId]) -> Result<(), CacheError> {
        for run in runs {
            let path = self.0.layout.runs(&run.key).join(run.value.to_hex());
            match self.0.disk.remove_file(&path) {
                Err(err) if !is_absence(&err) => return Err(io_error("remove", &path)(err)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells `found` the objects that `wanted` says yes to, directory by directory.
    fn each_shard(
        &self,
        ctx: &Ctx<'_>,
        wanted: &(dyn Fn(&ObjectId) -> bool + Sync),
        found: &mut dyn FnMut(Vec<StoredObject>),
    ) -> Result<(), CacheError> {
        for algorithm in ALGORITHMS {
            let home = self.0.layout.objects(algorithm);
            for shard in names_in(&home)?.into_iter().filter(|name| is_shard(name)) {
                ctx.check()?;
                let dir = home.join(&shard);
                let look = |name: String| {
                    let id = ObjectId::parse(algorithm, &format!("{shard}{name}")).ok()?;
                    if !wanted(&id) {
                        return None;
                    }
                    match fs::symlink_metadata(dir.join(&name)) {
                        Ok(metadata) if metadata.is_file() => {
                            Some(Ok(StoredObject::new(id, &metadata)))
                        }
                        Err(err) if !is_absence(&err) => Some(Err(io_error("look at", &dir)(err))),
                        _ => None,
                    }
                };
                let objects: Result<Vec<_>, _> =
                    names_in(&dir)?.into_par_iter().filter_map(look).collect();
                found(objects?);
            }
        }
        Ok(())
    }
}

impl Layout {
    /// The directory of the objects that an algorithm names.
    fn objects(&self, algorithm: Algorithm) -> PathBuf {
        match algorithm {
            Algorithm::Md5Dos2Unix => self.root().to_path_buf(),
            algorithm => self.root().join("files").join(algorithm.name()),
        }
    }
}

/// Takes the store for oneself, and waits for those who are in it.
fn enter_alone(ctx: &Ctx<'_>, layout: &Layout, disk: &Disk) -> Result<File, CacheError> {
    let home = layout.temporary();
    let path = home.join("lock");
    disk.create_dir(&home)?;
    let file = File::options().append(true).create(true).open(&path);
    let file = file.map_err(io_error("open", &path))?;
    loop {
        ctx.check()?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // Without locks on this file system, the grace period is what there is.
            Err(TryLockError::Error(err)) if err.kind() == io::ErrorKind::Unsupported => {
                return Ok(file);
            }
            Err(TryLockError::Error(err)) => return Err(io_error("lock", &path)(err)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

fn is_shard(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn names_in(dir: &Path) -> Result<Vec<String>, CacheError> {
    let entries = match fs::read_dir(dir) {
        Err(err) if is_absence(&err) => return Ok(Vec::new()),
        entries => entries.map_err(io_error("list", dir))?,
    };
    let names: io::Result<Vec<_>> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let names = names.map_err(io_error("list", dir))?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}
