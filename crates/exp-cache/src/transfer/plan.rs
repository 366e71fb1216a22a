//! Looking at both sides before anything moves.

use std::collections::{BTreeMap, BTreeSet};

use exp_core::{Ctx, ObjectId};
use rayon::prelude::*;

use super::members;
use super::persist::persist;
use super::presence::presence;
use super::{TransferError, Wanted};
use crate::cache::{Cache, parse_tree};
use crate::error::CacheError;
use crate::remote::Remote;
use crate::tree::Tree;

/// What a transfer would move. Made by [`plan_push`] and [`plan_pull`], used up by [`push`](super::push) and
/// [`pull`](super::pull).
#[derive(Debug, Default)]
pub struct TransferPlan {
    pub(super) files: Vec<ObjectId>,
    /// Manifests that are to be moved.
    pub(super) trees: BTreeMap<ObjectId, Tree>,
    /// The bytes of received manifests, which need not be canonical.
    pub(super) manifests: BTreeMap<ObjectId, Vec<u8>>,
    /// Manifests that are received although only a part of their files is.
    pub(super) partial: BTreeSet<ObjectId>,
    /// Files that the other side lacks and that are not wanted, of directories that are wanted in parts.
    pub(super) left: Vec<ObjectId>,
    /// Directories that the other side has as wholes; known once the plan is made.
    pub(super) whole: Vec<ObjectId>,
    /// Bytes that are to be received, as far as is known.
    pub(super) expected: Option<u64>,
    pub(super) already_there: u64,
    pub(super) missing: Vec<ObjectId>,
}

impl TransferPlan {
    /// Returns the files that would be moved, then the manifests.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectId> {
        self.files.iter().chain(self.trees.keys())
    }

    /// Returns how many objects the other side has already.
    pub fn already_there(&self) -> u64 {
        self.already_there
    }

    /// Returns the objects that are known to be on neither side, ordered. The manifests that list them are not moved.
    pub fn missing(&self) -> &[ObjectId] {
        &self.missing
    }
}

/// Plans sending the objects `ids`, and the files of the directories among them.
///
/// # Errors
///
/// When the remote cannot be asked, or a manifest in the store cannot be used.
pub fn plan_push(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &Remote,
    ids: &BTreeSet<ObjectId>,
) -> Result<TransferPlan, TransferError> {
    plan_push_parts(ctx, cache, remote, &Wanted::whole(ids))
}

/// Plans sending as [`plan_push`] does. The manifest of a directory of which a part is wanted is sent when the remote
/// has its other files.
///
/// # Errors
///
/// As [`plan_push`].
pub fn plan_push_parts(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &Remote,
    wanted: &Wanted,
) -> Result<TransferPlan, TransferError> {
    let roots = wanted.roots();
    let mut trees = BTreeMap::new();
    let (mut all, mut meant) = (roots.clone(), roots.clone());
    for id in roots.iter().filter(|id| id.is_tree()) {
        ctx.check()?;
        match cache.read_tree(id) {
            Ok(tree) => {
                all.extend(members(&tree));
                meant.extend(wanted.members(id, &tree));
                trees.insert(*id, tree);
            }
            Err(CacheError::Missing { .. }) => {}
            Err(err) => return Err(err.into()),
        }
    }
    let there = presence(ctx, (cache, remote), &all, &trees)?;
    let absent: Vec<ObjectId> = all.iter().filter(|id| !there.contains(id)).copied().collect();
    let in_cache: Vec<bool> =
        absent.par_iter().map(|id| !meant.contains(id) || cache.contains(id)).collect();
    let already_there = meant.iter().filter(|id| there.contains(id)).count() as u64;
    let mut plan = TransferPlan { already_there, ..TransferPlan::default() };
    for (id, in_cache) in absent.into_iter().zip(in_cache) {
        if !meant.contains(&id) {
            plan.left.push(id);
        } else if !in_cache {
            plan.missing.push(id);
        } else if let Some(tree) = trees.remove(&id) {
            plan.trees.insert(id, tree);
        } else {
            plan.files.push(id);
        }
    }
    // Those that are left have a manifest there.
    let is_whole = |tree: &Tree| members(tree).all(|id| there.contains(&id));
    plan.whole = trees.iter().filter(|(_, tree)| is_whole(tree)).map(|(id, _)| *id).collect();
    Ok(plan)
}

/// Plans receiving the objects `ids`, and the files of the directories among them.
///
/// Manifests that the store lacks are received into memory: only they say which files are needed. Whether the remote
/// has a file shows when it is read.
///
/// # Errors
///
/// When the remote cannot be asked, or a manifest of either side cannot be used.
pub fn plan_pull(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &Remote,
    ids: &BTreeSet<ObjectId>,
) -> Result<TransferPlan, TransferError> {
    plan_pull_parts(ctx, cache, remote, &Wanted::whole(ids))
}

/// Plans receiving as [`plan_pull`] does. The manifest of a directory of which a part is wanted is received with it.
///
/// # Errors
///
/// As [`plan_pull`].
pub fn plan_pull_parts(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &Remote,
    wanted: &Wanted,
) -> Result<TransferPlan, TransferError> {
    let mut plan = TransferPlan::default();
    let roots = wanted.roots();
    // For each directory, how many files it has and which of them are wanted.
    let mut dirs: Vec<(ObjectId, usize, BTreeSet<ObjectId>)> = Vec::new();
    let mut files: BTreeSet<ObjectId> = roots.iter().filter(|id| !id.is_tree()).copied().collect();
    for id in roots.iter().filter(|id| id.is_tree()) {
        ctx.check()?;
        match cache.read_tree(id) {
            Ok(tree) => {
                plan.already_there += 1;
                dirs.push((*id, tree.entries().len(), wanted.members(id, &tree)));
                continue;
            }
            Err(CacheError::Missing { .. } | CacheError::Corrupt { .. }) => {}
            Err(err) => return Err(err.into()),
        }
        let Some((tree, bytes)) = read_manifest(ctx, remote, id)? else {
            plan.missing.push(*id);
            continue;
        };
        dirs.push((*id, tree.entries().len(), wanted.members(id, &tree)));
        if wanted.is_part(id) {
            plan.partial.insert(*id);
        }
        plan.trees.insert(*id, tree);
        plan.manifests.insert(*id, bytes);
    }
    files.extend(dirs.iter().flat_map(|(_, _, members)| members).copied());
    let files: Vec<ObjectId> = files.into_iter().collect();
    let in_cache: Vec<bool> = files.par_iter().map(|id| cache.contains(id)).collect();
    plan.files =
        files.iter().zip(&in_cache).filter(|(_, here)| !**here).map(|(id, _)| *id).collect();
    plan.already_there += (files.len() - plan.files.len()) as u64;
    plan.expected = expected(wanted, &plan.files, &dirs);
    Ok(plan)
}

/// Estimates how many bytes `absent` are; of a directory in proportion to its files. `None` when a size is not known.
fn expected(
    wanted: &Wanted,
    absent: &[ObjectId],
    dirs: &[(ObjectId, usize, BTreeSet<ObjectId>)],
) -> Option<u64> {
    let is_absent = |id: &ObjectId| absent.binary_search(id).is_ok();
    let mut sum = 0_u64;
    for id in wanted.roots().iter().filter(|id| is_absent(id)) {
        sum = sum.checked_add(wanted.size(id)?)?;
    }
    for (id, n_files, members) in dirs {
        let n_absent = members.iter().filter(|id| is_absent(id)).count();
        if n_absent > 0 {
            let part = u128::from(wanted.size(id)?) * n_absent as u128 / (*n_files).max(1) as u128;
            sum = sum.checked_add(u64::try_from(part).ok()?)?;
        }
    }
    Some(sum)
}

/// Reads a manifest from the remote; `None` when that does not have it.
fn read_manifest(
    ctx: &Ctx<'_>,
    remote: &Remote,
    id: &ObjectId,
) -> Result<Option<(Tree, Vec<u8>)>, TransferError> {
    let mut bytes = Vec::new();
    let fetched = persist(ctx, &mut || {
        bytes.clear();
        remote.fetch(ctx, id, 0, &mut bytes)
    });
    match fetched {
        Ok(_) => {
            let tree = parse_tree(id, &bytes).map_err(|source| TransferError::Damaged {
                label: remote.label().to_owned(),
                source,
            })?;
            Ok(Some((tree, bytes)))
        }
        Err(err) if err.is_absence() => Ok(None),
        Err(err) => Err(err.of(remote, Some(id))),
    }
}

/// Where objects are.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Each object, ordered, with whether the store has it and whether the remote has it.
    pub objects: Vec<(ObjectId, bool, bool)>,
    /// The manifests of the directories, from the store or else from the remote, as far as one has them.
    pub trees: BTreeMap<ObjectId, Tree>,
}

/// Looks where the wanted objects are. Nothing is moved.
///
/// # Errors
///
/// When the remote cannot be asked, or a manifest of either side cannot be used.
pub fn compare(
    ctx: &Ctx<'_>,
    cache: &Cache,
    remote: &Remote,
    wanted: &Wanted,
) -> Result<Comparison, TransferError> {
    let roots = wanted.roots();
    let mut trees = BTreeMap::new();
    let mut all = BTreeSet::new();
    for id in &roots {
        ctx.check()?;
        all.insert(*id);
        if !id.is_tree() {
            continue;
        }
        let tree = match cache.read_tree(id) {
            Ok(tree) => Some(tree),
            Err(CacheError::Missing { .. } | CacheError::Corrupt { .. }) => {
                read_manifest(ctx, remote, id)?.map(|(tree, _)| tree)
            }
            Err(err) => return Err(err.into()),
        };
        if let Some(tree) = tree {
            all.extend(wanted.members(id, &tree));
            trees.insert(*id, tree);
        }
    }
    let there = presence(ctx, (cache, remote), &all, &trees)?;
    let all: Vec<ObjectId> = all.into_iter().collect();
    let here: Vec<bool> = all.par_iter().map(|id| cache.contains(id)).collect();
    let objects =
        all.into_iter().zip(here).map(|(id, here)| (id, here, there.contains(&id))).collect();
    Ok(Comparison { objects, trees })
}
