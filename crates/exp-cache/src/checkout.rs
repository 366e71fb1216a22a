//! Bringing the workspace to what a record says: look first, then act on exactly that.

mod names;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use exp_core::{Ctx, ObjectId, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::look::{MEMO_FILES, MEMO_SIZE};
use crate::memo::Note;
use crate::walk::{Stat, is_absence};

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
    /// Files whose content is right and whose executable bit is not, ordered by path.
    modes: Vec<SetExec>,
}

/// A file of the workspace that becomes executable, or is no longer.
#[derive(Debug)]
struct SetExec {
    path: String,
    /// Its content, in the workspace already.
    id: ObjectId,
    is_exec: bool,
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
            modes: Vec::new(),
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
            && self.modes.is_empty()
            && self.leaves.is_empty()
            && (!self.is_dir || !self.missing.is_empty() || self.dest.is_dir())
    }
}

impl Cache {
    /// Performs a plan: removes, then writes. Each file changes atomically.
    ///
    /// Content listed as [`CheckoutPlan::unsaved`] is lost: asking first is the caller's business. After a crash or a
    /// cancellation some files are as planned and the others as before; a new plan does the rest.
    ///
    /// # Errors
    ///
    /// When a file is not what it was when the plan was made, when a directory on the way is a link, when the workspace
    /// cannot be written, or [`CacheError::CorruptSource`] when an object that is copied shows to be corrupt.
    #[expect(clippy::needless_pass_by_value, reason = "a plan is used once")]
    pub fn checkout(&self, ctx: &Ctx<'_>, plan: CheckoutPlan) -> Result<CheckoutStats, CacheError> {
        let total = (plan.writes.len() + plan.removes.len() + plan.modes.len()) as u64;
        let task = ctx.task(TaskLabel::Checkout, Some(total), Unit::Files);
        let mut stats = CheckoutStats::default();
        let _user = if plan.writes.is_empty() { None } else { self.enter_to_read()? };
        self.check_names(&plan)?;
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
        if !plan.writes.is_empty() {
            let above = above(&plan.dest);
            fs::create_dir_all(above).map_err(io_error("create the directory", above))?;
        }
        for dir in parents {
            check_way(&plan.dest, dir, Way::Make)?;
        }
        let device = fs::metadata(if plan.is_dir { &plan.dest } else { above(&plan.dest) });
        let device = device.map_or(0, |metadata| Stat::of(&metadata).device);
        let notes: Vec<Option<Note>> = plan
            .writes
            .par_iter()
            .map(|write| {
                ctx.check()?;
                let at = below(&plan.dest, &write.path);
                let before = plan.before.get(&write.path);
                if before.is_some() || !self.link_new(write, (&at, device))? {
                    check_unchanged(&at, before)?;
                    self.place(ctx, &write.id, &at, write.is_exec)?;
                }
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
        for file in &plan.modes {
            ctx.check()?;
            let at = below(&plan.dest, &file.path);
            check_way(&plan.dest, &file.path, Way::Exists)?;
            check_unchanged(&at, plan.before.get(&file.path))?;
            self.set_exec(&at, file)?;
            stats.modified += 1;
            task.advance(1);
        }
        Ok(stats)
    }

    /// Makes sure that the workspace tells apart what is to be written.
    fn check_names(&self, plan: &CheckoutPlan) -> Result<(), CacheError> {
        let paths = plan.writes.iter().map(|write| write.path.as_str());
        let Some((one, other)) = names::same_but_for_case(&paths) else { return Ok(()) };
        let there = plan.dest.ancestors().find(|dir| dir.is_dir());
        if there.is_some_and(|dir| self.0.disk.folds_case(dir)) {
            let (one, other) = (below(&plan.dest, one), below(&plan.dest, other));
            return Err(CacheError::SameName { one, other });
        }
        Ok(())
    }

    /// Changes the executable bit of a file of the workspace. A link becomes a copy: its object keeps its mode.
    fn set_exec(&self, path: &Path, file: &SetExec) -> Result<(), CacheError> {
        let is_exec = file.is_exec;
        let own = fs::symlink_metadata(path).map_err(io_error("look at", path))?;
        let stat = Stat::of(&own);
        if own.is_symlink() || stat.n_links > 1 {
            let temp = self.temp_beside(path)?;
            crate::link::copy(&self.0.disk, path, temp.path()).map_err(io_error("copy", path))?;
            let mode = self.0.options.modes.workspace(is_exec);
            let changed = self.0.disk.set_mode(temp.path(), mode);
            changed.map_err(io_error("set the mode of", path))?;
            temp.move_to(path).map_err(io_error("write", path))?;
            self.protect_again(&file.id);
            return Ok(());
        }
        let bits = 0o111 & !self.0.options.modes.umask;
        let mode = if is_exec { stat.mode | bits } else { stat.mode & !0o111 };
        self.0.disk.set_mode(path, mode & 0o7777).map_err(io_error("set the mode of", path))
    }
}

fn above(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
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
