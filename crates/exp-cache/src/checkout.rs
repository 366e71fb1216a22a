//! Bringing the workspace to what a record says: look first, then act on exactly that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use exp_core::{Artifact, Ctx, Digest, ObjectId, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::look::{MEMO_FILES, MEMO_SIZE};
use crate::memo::Note;
use crate::session::enter;
use crate::tree::Tree;
use crate::walk::{Filter, Found, Kind, Listing, Seen, Stat, is_absence, look};

/// What a checkout would do. Made by [`Cache::plan_checkout`], used up by [`Cache::checkout`].
#[derive(Debug)]
pub struct CheckoutPlan {
    dest: PathBuf,
    is_dir: bool,
    writes: Vec<CheckoutWrite>,
    removes: Vec<String>,
    unsaved: Vec<String>,
    missing: Vec<ObjectId>,
    /// What each file that is replaced or removed looked like.
    before: BTreeMap<String, Stat>,
    /// Directories to remove once they are empty, the deepest first; true for those that must be gone.
    leaves: Vec<(String, bool)>,
    set_mode: Option<bool>,
}

/// A file that a checkout writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutWrite {
    /// Below the destination; empty for the destination itself.
    pub path: String,
    /// The content.
    pub id: ObjectId,
    /// Whether it may be executed.
    pub is_exec: bool,
    /// Whether nothing is there yet.
    pub is_new: bool,
}

/// What a checkout did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckoutStats {
    /// Files that were not there before.
    pub added: u64,
    /// Files that had other content or another executable bit.
    pub modified: u64,
    /// Files that are gone.
    pub removed: u64,
}

impl CheckoutPlan {
    fn new(dest: &Path, is_dir: bool) -> Self {
        Self {
            dest: dest.to_path_buf(),
            is_dir,
            writes: Vec::new(),
            removes: Vec::new(),
            unsaved: Vec::new(),
            missing: Vec::new(),
            before: BTreeMap::new(),
            leaves: Vec::new(),
            set_mode: None,
        }
    }

    /// Returns where it would write.
    pub fn dest(&self) -> &Path {
        &self.dest
    }

    /// Returns the files that would be written, ordered by path.
    pub fn writes(&self) -> &[CheckoutWrite] {
        &self.writes
    }

    /// Returns the files that would be removed, relative to the destination and ordered; the empty path is the
    /// destination itself. Files that are replaced are in [`CheckoutPlan::writes`] only.
    pub fn removes(&self) -> &[String] {
        &self.removes
    }

    /// Returns those files among the replaced and removed ones whose content the store lacks: it would be lost.
    pub fn unsaved(&self) -> &[String] {
        &self.unsaved
    }

    /// Returns the objects that are needed and not in the store. What they belong to stays as it is.
    pub fn missing(&self) -> &[ObjectId] {
        &self.missing
    }

    /// Returns whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.removes.is_empty()
            && self.set_mode.is_none()
            && self.leaves.is_empty()
            && (!self.is_dir || !self.missing.is_empty() || self.dest.is_dir())
    }
}

/// What is to be: digests and executable bits by path.
type Target = BTreeMap<String, (Digest, bool)>;

impl Cache {
    /// Plans what makes `dest` hold `artifact`, or nothing when that is `None`.
    ///
    /// Files that `filter` ignores are neither looked at nor touched. Nothing is written. Executable bits are
    /// brought back for an artifact that is one file; directories record none.
    ///
    /// # Errors
    ///
    /// When `dest` cannot be looked at, when it is a link to a directory while something is to be written, or when
    /// the manifest cannot be used.
    pub fn plan_checkout(
        &self,
        ctx: &Ctx<'_>,
        artifact: Option<&Artifact>,
        dest: &Path,
        filter: &dyn Filter,
    ) -> Result<CheckoutPlan, CacheError> {
        let mut plan = CheckoutPlan::new(dest, artifact.is_some_and(|one| one.id.is_tree()));
        match self.target(artifact, &mut plan)? {
            Some(target) => self.plan_target(ctx, &target, plan, filter),
            None => Ok(plan),
        }
    }

    /// Plans what makes the directory `dest` hold the files of `tree`, as [`Cache::plan_checkout`] does; the manifest
    /// itself need not be stored.
    ///
    /// # Errors
    ///
    /// As [`Cache::plan_checkout`].
    pub fn plan_checkout_tree(
        &self,
        ctx: &Ctx<'_>,
        tree: &Tree,
        dest: &Path,
        filter: &dyn Filter,
    ) -> Result<CheckoutPlan, CacheError> {
        self.plan_target(ctx, &files_of(tree), CheckoutPlan::new(dest, true), filter)
    }

    fn plan_target(
        &self,
        ctx: &Ctx<'_>,
        target: &Target,
        mut plan: CheckoutPlan,
        filter: &dyn Filter,
    ) -> Result<CheckoutPlan, CacheError> {
        let dest = plan.dest.clone();
        // Nothing is wanted at all, not even a directory.
        let is_gone = target.is_empty() && !plan.is_dir;
        let (found, dirs) = match look(ctx, &dest, filter)? {
            Seen::Nothing => (Vec::new(), None),
            Seen::One(found) => (vec![found], None),
            Seen::Dir(listing) if listing.is_linked && is_gone => {
                // Removing the link loses nothing: the directory it leads to stays.
                let own = fs::symlink_metadata(&dest).map_err(io_error("look at", &dest))?;
                plan.removes.push(String::new());
                plan.before.insert(String::new(), Stat::of(&own));
                return Ok(plan);
            }
            Seen::Dir(listing) if listing.is_linked => {
                return Err(CacheError::LinkedDirectory { path: dest });
            }
            Seen::Dir(Listing { found, dirs, .. }) => (found, Some(dirs)),
        };
        // Links to directories are no part of a directory, so they stay unless they are in the way.
        let mut found = found;
        if plan.is_dir {
            found.retain(|found| found.kind != Kind::LinkedDir || hinders(target, &found.path));
        }
        self.compare(ctx, (target, &found), &mut plan)?;
        plan.leaves = leaves(is_gone, dirs, &plan);
        Ok(plan)
    }

    /// Lists what is to be; `None` when that is not known because the manifest is missing.
    fn target(
        &self,
        artifact: Option<&Artifact>,
        plan: &mut CheckoutPlan,
    ) -> Result<Option<Target>, CacheError> {
        let Some(artifact) = artifact else { return Ok(Some(Target::new())) };
        if !artifact.id.is_tree() {
            let one = (artifact.id.digest, artifact.is_exec);
            return Ok(Some(Target::from([(String::new(), one)])));
        }
        match self.read_tree(&artifact.id) {
            Ok(tree) => Ok(Some(files_of(&tree))),
            Err(CacheError::Missing { id }) => {
                plan.missing.push(id);
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    fn compare(
        &self,
        ctx: &Ctx<'_>,
        (target, found): (&Target, &[Found]),
        plan: &mut CheckoutPlan,
    ) -> Result<(), CacheError> {
        let algorithm =
            target.values().next().map_or(self.algorithm(), |(digest, _)| digest.algorithm());
        let with_content: Vec<Found> =
            found.iter().filter(|found| found.has_content()).cloned().collect();
        let digests = self.digest_found(ctx, algorithm, (&plan.dest, &with_content))?;
        let present: BTreeMap<&str, Digest> =
            with_content.iter().map(|found| found.path.as_str()).zip(digests).collect();

        let mut settled = BTreeSet::new();
        let mut wanted = Vec::new();
        for (path, (digest, is_exec)) in target {
            if present.get(path.as_str()) != Some(digest) {
                wanted.push((path, *digest, *is_exec));
                continue;
            }
            settled.insert(path.as_str());
            if path.is_empty() && !plan.is_dir {
                plan.set_mode = found
                    .first()
                    .filter(|found| found.stat.is_exec() != *is_exec)
                    .map(|_| *is_exec);
                if let (Some(_), Some(found)) = (plan.set_mode, found.first()) {
                    plan.before.insert(String::new(), found.stat);
                }
            }
        }
        let is_here: Vec<bool> = wanted
            .par_iter()
            .map(|(_, digest, _)| self.contains(&ObjectId::file(*digest)))
            .collect();
        let stats: BTreeMap<&str, &Found> =
            found.iter().map(|found| (found.path.as_str(), found)).collect();
        let mut missing = BTreeSet::new();
        for ((path, digest, is_exec), is_here) in wanted.into_iter().zip(is_here) {
            let id = ObjectId::file(digest);
            if is_here {
                let is_new = !stats.contains_key(path.as_str());
                plan.writes.push(CheckoutWrite { path: path.clone(), id, is_exec, is_new });
            } else {
                missing.insert(id);
                settled.insert(path);
            }
        }
        plan.missing.extend(missing);

        let touched: Vec<&Found> =
            found.iter().filter(|found| !settled.contains(found.path.as_str())).collect();
        let is_saved: Vec<bool> = touched
            .par_iter()
            .map(|found| match present.get(found.path.as_str()) {
                Some(digest) => self.is_saved(ctx, digest, &found.under(&plan.dest)),
                None => Ok(found.kind == Kind::LinkedDir && target.is_empty()),
            })
            .collect::<Result<_, CacheError>>()?;
        for (found, is_saved) in touched.into_iter().zip(is_saved) {
            plan.before.insert(found.path.clone(), found.stat);
            if !target.contains_key(&found.path) {
                plan.removes.push(found.path.clone());
            }
            if !is_saved {
                plan.unsaved.push(found.path.clone());
            }
        }
        Ok(())
    }

    /// Returns whether the store has the file's content, under whatever algorithm.
    fn is_saved(&self, ctx: &Ctx<'_>, digest: &Digest, path: &Path) -> Result<bool, CacheError> {
        if self.contains(&ObjectId::file(*digest)) {
            return Ok(true);
        }
        let algorithm = self.algorithm();
        if digest.algorithm() == algorithm {
            return Ok(false);
        }
        let digest = crate::content::digest_file(ctx, algorithm, path)?;
        Ok(self.contains(&ObjectId::file(digest)))
    }

    /// Performs a plan: removes, then writes. Each file changes atomically.
    ///
    /// Content listed as [`CheckoutPlan::unsaved`] is lost: asking first is the caller's business. After a crash or a
    /// cancellation some files are as planned and the others as before; a new plan does the rest.
    ///
    /// # Errors
    ///
    /// When a file is not what it was when the plan was made, when a directory on the way is a link, or when the
    /// workspace cannot be written.
    #[expect(clippy::needless_pass_by_value, reason = "a plan is used once")]
    pub fn checkout(&self, ctx: &Ctx<'_>, plan: CheckoutPlan) -> Result<CheckoutStats, CacheError> {
        let total = (plan.writes.len() + plan.removes.len()) as u64;
        let task = ctx.task(TaskLabel::Checkout, Some(total), Unit::Files);
        let mut stats = CheckoutStats::default();
        let _writer =
            if plan.writes.is_empty() { None } else { Some(enter(&self.0.layout, &self.0.disk)?) };
        for path in &plan.removes {
            ctx.check()?;
            let at = below(&plan.dest, path);
            check_way(&plan.dest, path, Way::Exists)?;
            check_unchanged(&at, plan.before.get(path))?;
            self.0.disk.remove_file(&at).map_err(io_error("remove", &at))?;
            stats.removed += 1;
            task.advance(1);
        }
        for (dir, must_go) in &plan.leaves {
            let at = below(&plan.dest, dir);
            match self.0.disk.remove_dir(&at) {
                Err(err) if err.kind() == io::ErrorKind::DirectoryNotEmpty && *must_go => {
                    return Err(CacheError::Occupied { path: at });
                }
                Err(err) if err.kind() == io::ErrorKind::DirectoryNotEmpty || is_absence(&err) => {}
                removed => removed.map_err(io_error("remove the directory", &at))?,
            }
        }
        if plan.is_dir && plan.missing.first().is_none_or(|id| !id.is_tree()) {
            fs::create_dir_all(&plan.dest).map_err(io_error("create the directory", &plan.dest))?;
        }
        let parents: BTreeSet<&str> = plan.writes.iter().map(|write| parent(&write.path)).collect();
        if let Some(above) = plan.dest.parent().filter(|_| !plan.writes.is_empty()) {
            fs::create_dir_all(above).map_err(io_error("create the directory", above))?;
        }
        for dir in parents {
            check_way(&plan.dest, dir, Way::Make)?;
        }
        let notes: Vec<Option<Note>> = plan
            .writes
            .par_iter()
            .map(|write| {
                ctx.check()?;
                let at = below(&plan.dest, &write.path);
                check_unchanged(&at, plan.before.get(&write.path))?;
                self.place(&write.id, &at, write.is_exec)?;
                task.advance(1);
                let stat = fs::metadata(&at).map(|metadata| Stat::of(&metadata));
                Ok(stat.ok().map(|stat| Note { path: at, stat, digest: write.id.digest }))
            })
            .collect::<Result<_, CacheError>>()?;
        // A file that was put there by a rename a moment ago is believed, although it is younger than a grain.
        let notes: Vec<Note> = notes.into_iter().flatten().collect();
        if notes.len() >= MEMO_FILES || notes.iter().any(|note| note.stat.size >= MEMO_SIZE) {
            self.0.memo.remember(&notes);
        }
        for write in &plan.writes {
            if write.is_new { stats.added += 1 } else { stats.modified += 1 }
        }
        if let Some(is_exec) = plan.set_mode {
            check_unchanged(&plan.dest, plan.before.get(""))?;
            self.set_exec(&plan.dest, is_exec)?;
            stats.modified += 1;
        }
        Ok(stats)
    }

    /// Changes the executable bit of a file of the workspace. A link becomes a copy: its object keeps its mode.
    fn set_exec(&self, path: &Path, is_exec: bool) -> Result<(), CacheError> {
        let own = fs::symlink_metadata(path).map_err(io_error("look at", path))?;
        let stat = Stat::of(&own);
        if own.is_symlink() || stat.n_links > 1 {
            let temp = self.session()?.temp_beside(path);
            crate::link::copy(&self.0.disk, path, temp.path()).map_err(io_error("copy", path))?;
            let mode = self.0.options.modes.workspace(is_exec);
            let changed = self.0.disk.set_mode(temp.path(), mode);
            changed.map_err(io_error("set the mode of", path))?;
            return temp.move_to(path).map_err(io_error("write", path));
        }
        let bits = 0o111 & !self.0.options.modes.umask;
        let mode = if is_exec { stat.mode | bits } else { stat.mode & !0o111 };
        self.0.disk.set_mode(path, mode & 0o7777).map_err(io_error("set the mode of", path))
    }
}

fn files_of(tree: &Tree) -> Target {
    tree.entries().iter().map(|entry| (entry.path.clone(), (entry.digest, false))).collect()
}

/// Returns whether something is to be at `path` or below it.
fn hinders(target: &Target, path: &str) -> bool {
    let below = format!("{path}/");
    target.contains_key(path)
        || target.range(below.clone()..).next().is_some_and(|(next, _)| next.starts_with(&below))
}

/// Lists the directories that go: those that hinder a file, and those that lose their last file.
fn leaves(is_gone: bool, dirs: Option<Vec<String>>, plan: &CheckoutPlan) -> Vec<(String, bool)> {
    let Some(dirs) = dirs else { return Vec::new() };
    let writes: BTreeSet<&str> = plan.writes.iter().map(|write| write.path.as_str()).collect();
    let hinders = |dir: &str| {
        writes.contains("")
            || writes.contains(dir)
            || dir.match_indices('/').any(|(at, _)| writes.contains(&dir[..at]))
    };
    let mut emptied = BTreeSet::new();
    for path in &plan.removes {
        let mut dir = parent(path);
        while !dir.is_empty() && emptied.insert(dir) {
            dir = parent(dir);
        }
    }
    let mut leaves: Vec<(String, bool)> = dirs
        .into_iter()
        .rev()
        .filter(|dir| is_gone || hinders(dir) || emptied.contains(dir.as_str()))
        .map(|dir| (hinders(&dir), dir))
        .map(|(hinders, dir)| (dir, hinders))
        .collect();
    if is_gone || writes.contains("") {
        leaves.push((String::new(), writes.contains("")));
    }
    leaves
}

fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

fn below(base: &Path, path: &str) -> PathBuf {
    if path.is_empty() { base.to_path_buf() } else { base.join(path) }
}

/// What is known of the directories on the way to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Those above the path are there.
    Exists,
    /// The path itself is a directory too; what is missing is made.
    Make,
}

/// Makes sure that every directory of `path` below `base` is a real one, not a link.
fn check_way(base: &Path, path: &str, way: Way) -> Result<(), CacheError> {
    let dirs = if way == Way::Make { path } else { parent(path) };
    let mut at = base.to_path_buf();
    for part in dirs.split('/').filter(|part| !part.is_empty()) {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(CacheError::Changed { path: at }),
            Err(err) if is_absence(&err) && way == Way::Make => {
                fs::create_dir(&at).map_err(io_error("create the directory", &at))?;
            }
            Err(err) => return Err(io_error("look at", &at)(err)),
        }
    }
    Ok(())
}

/// Makes sure that a file is what the plan saw there, or that there is still nothing.
fn check_unchanged(at: &Path, before: Option<&Stat>) -> Result<(), CacheError> {
    let own = match fs::symlink_metadata(at) {
        Ok(own) => own,
        Err(err) if is_absence(&err) && before.is_none() => return Ok(()),
        Err(err) if is_absence(&err) => {
            return Err(CacheError::Changed { path: at.to_path_buf() });
        }
        Err(err) => return Err(io_error("look at", at)(err)),
    };
    let is_same = before.is_some_and(|before| {
        Stat::of(&own).is_unwritten(before)
            || (own.is_symlink()
                && fs::metadata(at).is_ok_and(|metadata| Stat::of(&metadata).is_unwritten(before)))
    });
    if is_same { Ok(()) } else { Err(CacheError::Changed { path: at.to_path_buf() }) }
}
