//! What a checkout would do: what is to be and what is there, side by side.
//!
//! Both are ordered by path, so they are compared by one pass over them.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use exp_core::{Artifact, Ctx, Digest, ObjectId, is_repository_name};
use rayon::prelude::*;

use super::{CheckoutPlan, CheckoutWrite, SetExec, parent};
use crate::cache::Cache;
use crate::error::{CacheError, io_error};
use crate::stock::Stock;
use crate::tree::{Tree, TreeEntry, TreeError, keeps_exec};
use crate::walk::{Filter, Found, Kind, Listing, Seen, Stat, look};

/// A file that is to be.
#[derive(Debug)]
struct Wanted {
    path: Box<str>,
    digest: Digest,
    /// `None` in a directory that records no bit: a file that is replaced keeps the one that it has.
    is_exec: Option<bool>,
}

/// What is to be, ordered by path.
type Target = Vec<Wanted>;

/// A path with what is to be there and what is.
#[derive(Debug, Clone, Copy)]
struct Pair<'p> {
    wanted: Option<&'p Wanted>,
    found: Option<(&'p Found, Option<Digest>)>,
}

impl Cache {
    /// Plans what makes `dest` hold `artifact`, or nothing when that is `None`.
    ///
    /// Files that `filter` ignores are neither looked at nor touched. Nothing is written. Executable bits are brought
    /// back for an artifact that is one file, and for the files of a directory whose manifest keeps them. Where it does
    /// not, the bit is the workspace's: a file that gets other content keeps it.
    ///
    /// # Errors
    ///
    /// When `dest` cannot be looked at, when it is a link to a directory while something is to be written, when the
    /// manifest cannot be used, or [`CacheError::CorruptSource`] when an object that is needed is known to be corrupt.
    pub fn plan_checkout(
        &self,
        ctx: &Ctx<'_>,
        artifact: Option<&Artifact>,
        dest: &Path,
        filter: &dyn Filter,
    ) -> Result<CheckoutPlan, CacheError> {
        let mut plan = CheckoutPlan::new(dest, artifact.is_some_and(|one| one.id.is_tree()));
        let plan = match self.target(artifact, &mut plan)? {
            Some(target) => self.plan_target(ctx, &target, plan, filter)?,
            None => plan,
        };
        if !plan.missing.is_empty() {
            // Nothing is missing of a store that is not there.
            self.check_place()?;
        }
        Ok(plan)
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

    /// Refuses a destination that lies in the project by its name and outside by a link on the way.
    fn check_inside(&self, dest: &Path) -> Result<(), CacheError> {
        let Some(root) = &self.0.options.workspace else { return Ok(()) };
        let Ok(below) = dest.strip_prefix(root) else { return Ok(()) };
        let mut at = root.clone();
        for part in below.parent().into_iter().flat_map(Path::components) {
            at.push(part);
            if !at.is_symlink() {
                continue;
            }
            let is_inside = match (at.canonicalize(), root.canonicalize()) {
                (Ok(target), Ok(root)) => target.starts_with(root),
                // It leads nowhere, and making the directory fails.
                _ => true,
            };
            if !is_inside {
                return Err(CacheError::LeadsOutside { link: at });
            }
        }
        Ok(())
    }

    fn plan_target(
        &self,
        ctx: &Ctx<'_>,
        target: &Target,
        mut plan: CheckoutPlan,
        filter: &dyn Filter,
    ) -> Result<CheckoutPlan, CacheError> {
        let dest = plan.dest.clone();
        self.check_inside(&dest)?;
        let is_ours = |wanted: &&Wanted| wanted.path.split('/').any(is_repository_name);
        if let Some(wanted) = target.iter().find(is_ours) {
            return Err(CacheError::InRepository { path: dest.join(&*wanted.path) });
        }
        // Nothing is wanted at all, not even a directory.
        let is_gone = target.is_empty() && !plan.is_dir;
        let (mut found, dirs) = match look(ctx, &dest, filter)? {
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
            let (digest, is_exec) = (artifact.id.digest, Some(artifact.is_exec));
            return Ok(Some(vec![Wanted { path: Box::default(), digest, is_exec }]));
        }
        match self.read_tree(&artifact.id) {
            Ok(tree) => {
                if folds_case(&plan.dest)
                    && let Some((path, other)) = tree.case_collision()
                {
                    let (path, other) = (path.to_owned(), other.to_owned());
                    let source = TreeError::CaseCollision { path, other };
                    return Err(CacheError::Manifest { id: artifact.id, source });
                }
                Ok(Some(files_of(&tree)))
            }
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
        let algorithm = target.first().map_or(self.algorithm(), |one| one.digest.algorithm());
        let differing: Vec<Pair<'_>>;
        let digests;
        if found.iter().all(Found::has_content) {
            digests = self.digest_found(ctx, algorithm, (&plan.dest, found))?;
            let known = found.iter().zip(digests.iter().copied().map(Some));
            differing = differences(target, known, plan);
        } else {
            let readable: Vec<Found> =
                found.iter().filter(|found| found.has_content()).cloned().collect();
            digests = self.digest_found(ctx, algorithm, (&plan.dest, &readable))?;
            let mut next = digests.iter().copied();
            let known = found
                .iter()
                .map(|found| (found, if found.has_content() { next.next() } else { None }));
            differing = differences(target, known, plan);
        }
        self.judge(ctx, &differing, target.is_empty(), plan)
    }

    /// Decides what is done about each path that is not as it is to be.
    fn judge(
        &self,
        ctx: &Ctx<'_>,
        differing: &[Pair<'_>],
        is_gone: bool,
        plan: &mut CheckoutPlan,
    ) -> Result<(), CacheError> {
        let stock = Stock::new(self);
        let dest = plan.dest.clone();
        // Whether the wanted object is here, and whether what is in its place is stored.
        let facts: Vec<(bool, bool)> = differing
            .par_iter()
            .with_min_len(64)
            .map(|pair| {
                let is_here = match pair.wanted {
                    Some(wanted) => self.is_here(ctx, &stock, (wanted, pair.found), &dest)?,
                    None => true,
                };
                let is_saved = match pair.found.filter(|_| is_here) {
                    None => true,
                    Some((found, Some(digest))) => {
                        self.is_saved(ctx, (&stock, &digest), &found.under(&dest))?
                    }
                    Some((found, None)) => found.kind == Kind::LinkedDir && is_gone,
                };
                Ok((is_here, is_saved))
            })
            .collect::<Result<_, CacheError>>()?;
        let mut missing = BTreeSet::new();
        for (pair, (is_here, is_saved)) in differing.iter().zip(facts) {
            if let Some(Wanted { path, digest, is_exec }) = pair.wanted {
                let id = ObjectId::file(*digest);
                if !is_here {
                    missing.insert(id);
                    continue;
                }
                let was_exec = pair
                    .found
                    .is_some_and(|(found, _)| found.has_content() && found.stat.is_exec());
                plan.writes.push(CheckoutWrite {
                    path: path.to_string(),
                    id,
                    is_exec: is_exec.unwrap_or(was_exec),
                    is_new: pair.found.is_none(),
                });
            }
            let Some((found, _)) = pair.found else { continue };
            let path = found.path.to_string();
            plan.before.insert(path.clone(), found.stat);
            if !is_saved {
                plan.unsaved.push(path.clone());
            }
            if pair.wanted.is_none() {
                plan.removes.push(path);
            }
        }
        plan.missing.extend(missing);
        Ok(())
    }

    /// Returns whether the store has what a file is to get.
    fn is_here(
        &self,
        ctx: &Ctx<'_>,
        stock: &Stock<'_>,
        (wanted, found): (&Wanted, Option<(&Found, Option<Digest>)>),
        dest: &Path,
    ) -> Result<bool, CacheError> {
        let id = ObjectId::file(wanted.digest);
        let corrupt = |error| {
            self.distrust(&id);
            let path = super::below(dest, &wanted.path);
            Err(CacheError::CorruptSource { path, source: Box::new(error) })
        };
        if !stock.holds(&id) {
            return match self.verify(&id) {
                Err(error @ CacheError::Corrupt { .. }) => corrupt(error),
                verified => Ok(verified.is_ok()),
            };
        }
        // A file with other content that is the object itself: someone wrote into both.
        let may_be_linked =
            |found: &Found| found.kind == Kind::LinkedFile || found.stat.n_links > 1;
        let is_object = found.is_some_and(|(found, _)| {
            found.has_content()
                && may_be_linked(found)
                && self.is_object(&id, found).is_ok_and(|is_one| is_one)
        });
        if is_object {
            let (algorithm, object) = (id.digest.algorithm(), self.object_path(&id));
            let found = crate::content::digest_file(ctx, algorithm, &object)?;
            if found != id.digest {
                return corrupt(CacheError::Corrupt { id, found });
            }
        }
        Ok(true)
    }

    /// Returns whether the store has the file's content, under whatever algorithm.
    fn is_saved(
        &self,
        ctx: &Ctx<'_>,
        (stock, digest): (&Stock<'_>, &Digest),
        path: &Path,
    ) -> Result<bool, CacheError> {
        if stock.holds(&ObjectId::file(*digest)) {
            return Ok(true);
        }
        let algorithm = self.algorithm();
        if digest.algorithm() == algorithm {
            return Ok(false);
        }
        let digest = crate::content::digest_file(ctx, algorithm, path)?;
        Ok(stock.holds(&ObjectId::file(digest)))
    }
}

/// Returns whether the file system at `path` takes no heed of upper and lower case: whether the nearest directory that
/// is there and has a letter in its name is found under the other case too.
fn folds_case(path: &Path) -> bool {
    let flip = |c: char| {
        if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
    };
    let is_same = |at: &Path| {
        let name = at
            .file_name()?
            .to_str()
            .filter(|name| name.contains(|c: char| c.is_ascii_alphabetic()))?;
        let own = Stat::of(&fs::symlink_metadata(at).ok()?);
        let other =
            fs::symlink_metadata(at.with_file_name(name.chars().map(flip).collect::<String>()));
        Some(other.is_ok_and(|other| Stat::of(&other).is_same_file(&own)))
    };
    path.ancestors().find_map(is_same).unwrap_or(false)
}

fn files_of(tree: &Tree) -> Target {
    let keeps_exec = keeps_exec(tree.algorithm());
    let file = |entry: &TreeEntry| Wanted {
        path: entry.path.as_str().into(),
        digest: entry.digest,
        is_exec: keeps_exec.then_some(entry.is_exec),
    };
    tree.entries().iter().map(file).collect()
}

/// Pairs what is to be with what is there, without what is there as it is to be. Files with the right content and the
/// wrong executable bit go to the plan.
fn differences<'p>(
    target: &'p Target,
    found: impl Iterator<Item = (&'p Found, Option<Digest>)>,
    plan: &mut CheckoutPlan,
) -> Vec<Pair<'p>> {
    let mut pairs = Vec::new();
    let (mut target, mut found) = (target.iter().peekable(), found.peekable());
    loop {
        let order = match (target.peek(), found.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(wanted), Some((found, _))) => wanted.path.cmp(&found.path),
        };
        let wanted = if order == Ordering::Greater { None } else { target.next() };
        let found = if order == Ordering::Less { None } else { found.next() };
        let is_same = match (wanted, found) {
            (Some(wanted), Some((_, digest))) => digest == Some(wanted.digest),
            _ => false,
        };
        if !is_same {
            pairs.push(Pair { wanted, found });
        } else if let (Some(wanted), Some((found, _))) = (wanted, found)
            && let Some(is_exec) = wanted.is_exec
            && found.stat.is_exec() != is_exec
        {
            let (path, id) = (wanted.path.to_string(), ObjectId::file(wanted.digest));
            plan.before.insert(path.clone(), found.stat);
            plan.modes.push(SetExec { path, id, is_exec });
        }
    }
}

/// Returns whether something is to be at `path` or below it.
fn hinders(target: &Target, path: &str) -> bool {
    let below = format!("{path}/");
    let from = |path: &str| target.partition_point(|one| &*one.path < path);
    let is_there =
        |at: usize, test: &dyn Fn(&str) -> bool| target.get(at).is_some_and(|one| test(&one.path));
    is_there(from(path), &|next| next == path)
        || is_there(from(&below), &|next| next.starts_with(&below))
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
