//! Storing: one pass over the bytes digests and copies them.
//!
//! Files are taken in batches. Those of a batch are read in parallel into unfinished files of the store; then these
//! are made durable together and get their names, while the next batch is read already. The names become durable with
//! the content of the next batch, the last ones with the manifest. Only then is the manifest named, and only then is
//! the workspace linked to the objects. A crash at any point leaves the workspace whole and the store without half
//! objects; what `add` returned for is on disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use exp_core::{Artifact, Ctx, Digest, ObjectId, TaskLabel, Unit, Warning};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::look::Digested;
use crate::session::Temp;
use crate::stage::Taken;
use crate::stock::Stock;
use crate::tree::{Tree, keeps_exec, write_rows};
use crate::walk::{Filter, Found, Seen, look, only_content};

/// Files that are made durable together.
const BATCH: usize = 1 << 14;

/// What happens to the workspace's files once they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relink {
    /// They become links to their objects, of the first kind that works; a copy stays the file that it is.
    Yes,
    /// They stay as they are.
    No,
}

/// Content that waits to get its name.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) id: ObjectId,
    pub(crate) temp: Temp,
}

/// Says what will be lost of the files of a directory whose manifest has digests and nothing else.
fn tell_executables(ctx: &Ctx<'_>, base: &Path, found: &[Found]) {
    let mut executables = found.iter().filter(|one| one.stat.is_exec());
    if let Some(first) = executables.next() {
        ctx.warn(&Warning::ExecutableInDirectory {
            path: first.under(base).display().to_string(),
            n: executables.count() + 1,
        });
    }
}

impl Cache {
    /// Stores what is at `path`, and links it back as `relink` says.
    ///
    /// Once it returns, the objects are durable. What is stored already is not written again. After a failure or a
    /// crash the workspace's files have the bytes they had.
    ///
    /// Links to files are stored as what they lead to. Links to directories below `path` are left out with a warning;
    /// `path` itself must not be one.
    ///
    /// # Errors
    ///
    /// When nothing is there, something cannot be read or stored, is neither file nor directory, has a name that is
    /// not UTF-8, or changes meanwhile.
    pub fn add(
        &self,
        ctx: &Ctx<'_>,
        path: &Path,
        filter: &dyn Filter,
        relink: Relink,
    ) -> Result<Artifact, CacheError> {
        let (found, is_dir) = match look(ctx, path, filter)? {
            Seen::Nothing => return Err(CacheError::Absent { path: path.to_path_buf() }),
            Seen::Dir(listing) if listing.is_linked => {
                return Err(CacheError::LinkedDirectory { path: path.to_path_buf() });
            }
            Seen::Dir(listing) => (only_content(ctx, path, listing.found)?, true),
            Seen::One(found) => (only_content(ctx, path, vec![found])?, false),
        };
        let _writer = self.enter_to_add()?;
        let Stored { digests, adopted, unsynced } = self.store_found(ctx, path, &found)?;
        let seen = Digested { found, digests, is_dir };
        let artifact = seen.artifact(self.algorithm());
        self.pin_entered([artifact.id])?;
        if is_dir && !self.contains(&artifact.id) {
            if !keeps_exec(self.algorithm()) {
                tell_executables(ctx, path, &seen.found);
            }
            self.store_rows(artifact.id, &seen, unsynced)?;
        } else {
            self.sync_names(&unsynced)?;
        }
        if relink == Relink::Yes {
            self.relink(ctx, path, (&seen, &adopted))?;
        }
        Ok(artifact)
    }

    /// Stores the manifest of files whose objects have their names already, `names` being where those must be made
    /// durable first.
    fn store_rows(
        &self,
        id: ObjectId,
        seen: &Digested,
        mut names: BTreeSet<PathBuf>,
    ) -> Result<(), CacheError> {
        let temp = self.session()?.temp();
        let disk = &self.0.disk;
        let mut file = disk.create_object(temp.path()).map_err(io_error("create", temp.path()))?;
        write_rows(self.algorithm(), seen.rows(), |piece| disk.write(&mut file, piece))
            .map_err(io_error("write", temp.path()))?;
        drop(file);
        // One flush where there is much to flush.
        names.insert(temp.path().to_path_buf());
        self.sync_names(&names)?;
        self.publish(vec![Staged { id, temp }])
    }

    /// Stores bytes as the content of a file.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub fn add_bytes(&self, bytes: &[u8]) -> Result<ObjectId, CacheError> {
        let id = ObjectId::file(Digest::of(self.algorithm(), bytes));
        let _writer = self.enter_to_add()?;
        self.pin_entered([id])?;
        self.store_bytes(id, bytes)?;
        Ok(id)
    }

    /// Stores a directory's manifest; its files are the caller's business.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub fn add_tree(&self, tree: &Tree) -> Result<ObjectId, CacheError> {
        let _writer = self.enter_to_add()?;
        self.store_tree(tree)?;
        Ok(tree.id())
    }

    pub(crate) fn store_tree(&self, tree: &Tree) -> Result<(), CacheError> {
        let bytes = tree.to_bytes();
        let id = ObjectId::tree(Digest::of(tree.algorithm(), &bytes));
        self.pin_entered([id])?;
        self.store_bytes(id, &bytes)
    }

    /// Stores bytes whose digest `id` is.
    pub(crate) fn store_bytes(&self, id: ObjectId, bytes: &[u8]) -> Result<(), CacheError> {
        if self.contains(&id) {
            return Ok(());
        }
        let temp = self.stage_bytes(bytes)?;
        self.publish(vec![Staged { id, temp }])
    }

    /// Gives staged content its names, durably. A store must be entered as a writer.
    pub(crate) fn publish(&self, staged: Vec<Staged>) -> Result<(), CacheError> {
        let dirs = self.give_names(staged)?;
        self.sync_names(&dirs)
    }

    /// Makes staged content durable, then gives it its names; returns the directories that changed by that.
    pub(crate) fn give_names(
        &self,
        mut staged: Vec<Staged>,
    ) -> Result<BTreeSet<PathBuf>, CacheError> {
        let disk = &self.0.disk;
        let temps: Vec<&Path> = staged.iter().map(|one| one.temp.path()).collect();
        disk.sync_files(&temps)?;
        staged.sort_unstable_by_key(|one| one.id);
        let mut dirs = BTreeSet::new();
        let mut last = PathBuf::new();
        for one in staged {
            let path = self.object_path(&one.id);
            let Some(dir) = path.parent() else { continue };
            if dir != last {
                // What is created needs its own parents to be durable as well.
                let known = dir.ancestors().find(|dir| dir.is_dir()).map(Path::to_path_buf);
                disk.create_dir(dir)?;
                let created = dir.ancestors().take_while(|dir| Some(*dir) != known.as_deref());
                dirs.extend(created.filter_map(Path::parent).map(Path::to_path_buf));
                dirs.insert(dir.to_path_buf());
                last = dir.to_path_buf();
            }
            one.temp.move_to(&path).map_err(io_error("create", &path))?;
        }
        Ok(dirs)
    }

    pub(crate) fn sync_names(&self, dirs: &BTreeSet<PathBuf>) -> Result<(), CacheError> {
        let dirs: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
        self.0.disk.sync_dirs(&dirs)
    }

    /// Stores the content of files that are ordered by path.
    fn store_found(
        &self,
        ctx: &Ctx<'_>,
        base: &Path,
        found: &[Found],
    ) -> Result<Stored, CacheError> {
        let total = found.iter().map(|found| found.stat.size).sum();
        let task = ctx.task(TaskLabel::Hash, Some(total), Unit::Bytes);
        let stock = Stock::new(self);
        let mut known = self.recall(self.algorithm(), (base, found));
        known.par_iter_mut().with_min_len(256).for_each(|known| {
            *known = known.filter(|digest| stock.holds(&ObjectId::file(*digest)));
        });
        let unknown: Vec<usize> = (0..known.len()).filter(|nth| known[*nth].is_none()).collect();
        let unread: u64 = unknown.iter().map(|nth| found[*nth].stat.size).sum();
        task.advance(total - unread);
        let mut adopted = Vec::new();
        let mut unsynced = BTreeSet::new();
        let mut waiting = Vec::new();
        for batch in unknown.chunks(BATCH) {
            // While one batch is made durable, the next one is read.
            let ready = std::mem::take(&mut waiting);
            let (named, staged) = std::thread::scope(|scope| {
                let naming = (!ready.is_empty()).then(|| scope.spawn(|| self.give_names(ready)));
                let stage = |nth: &usize| -> Result<(usize, Taken), CacheError> {
                    ctx.check()?;
                    let taken = self.stage(ctx, (base, &stock), &found[*nth])?;
                    task.advance(found[*nth].stat.size);
                    Ok((*nth, taken))
                };
                let staged: Result<Vec<_>, _> = batch.par_iter().map(stage).collect();
                let named = naming.map(|thread| match thread.join() {
                    Ok(named) => named,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                (named.unwrap_or_else(|| Ok(BTreeSet::new())), staged)
            });
            unsynced.extend(named?);
            let mut notes = Vec::new();
            for (nth, taken) in staged? {
                known[nth] = Some(taken.digest);
                if taken.is_adopted {
                    adopted.push(nth);
                }
                let id = ObjectId::file(taken.digest);
                waiting.extend(taken.temp.map(|temp| Staged { id, temp }));
                notes.extend(taken.note);
            }
            if self.wants_memo(found) {
                self.0.memo.remember(&notes);
            }
        }
        unsynced.extend(self.give_names(waiting)?);
        let digests: Vec<Digest> = known.into_iter().flatten().collect();
        // Of several files with one content only the last one is the object.
        adopted.sort_unstable_by_key(|nth| digests[*nth]);
        let adopted = (adopted.chunk_by(|a, b| digests[*a] == digests[*b]))
            .filter_map(|same| if let [one] = same { Some(*one) } else { None })
            .collect();
        Ok(Stored { digests, adopted, unsynced })
    }
}

/// What became of the files that were to be stored.
struct Stored {
    /// One for each file, in order.
    digests: Vec<Digest>,
    /// Which files themselves became objects.
    adopted: BTreeSet<usize>,
    /// Directories of the store that are not yet known to be durable.
    unsynced: BTreeSet<PathBuf>,
}
