//! Bringing the workspace's data to what is recorded: plan, look, perform.

use std::collections::BTreeMap;

use exp_cache::{CacheError, CheckoutPlan, Relink, Tree, TreeEntry, keeps_exec};
use exp_core::{Artifact, Ctx, ObjectId, RelPath};

use super::{DataError, DataScope, links, of_output, pick};
use crate::change::{Changes, Keep};
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::IgnoreBelow;
use crate::project::Project;
use crate::recover;
use crate::view::{Broken, View};

/// What happens to content that is replaced and that the store does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsavedData {
    /// Nothing is changed.
    Refuse,
    /// It is kept, so that the operation can be taken back.
    Keep,
    /// It is lost.
    Drop,
}

/// What would be brought back. Made by [`Project::plan_data_checkout`], used up by [`Project::checkout_data`].
#[derive(Debug)]
pub struct DataCheckoutPlan {
    outs: Vec<OutPlan>,
    missing: Vec<RelPath>,
    unrecorded: Vec<RelPath>,
    missing_objects: Vec<ObjectId>,
    damaged: Vec<DataError>,
    /// What is tracked now, when everything is meant.
    tracked: Option<BTreeMap<RelPath, Artifact>>,
}

#[derive(Debug)]
struct OutPlan {
    /// The output.
    path: RelPath,
    /// Where the plan acts: the output or a path inside of it.
    at: RelPath,
    is_dir: bool,
    effect: OutEffect,
    /// What the output is to hold, when the plan is of all of it.
    whole: Option<Artifact>,
    plan: CheckoutPlan,
}

/// What happened to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutEffect {
    /// Something of it was changed.
    Modified,
    /// It was not there before.
    Added,
    /// It is no longer tracked, and gone.
    Deleted,
}

/// An output that was changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutChange {
    /// How.
    pub effect: OutEffect,
    /// The output.
    pub path: RelPath,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// What a checkout of data did.
#[derive(Debug, Default)]
pub struct CheckoutReport {
    /// The outputs that changed, by effect, then path.
    pub changed: Vec<OutChange>,
    /// Files that were not there before.
    pub files_added: u64,
    /// Files that were changed.
    pub files_modified: u64,
    /// Files that are gone.
    pub files_removed: u64,
    /// Outputs that were left as they are because the store lacks something of them, or has something else instead.
    pub missing: Vec<RelPath>,
    /// What it has instead: [`DataError::Unusable`], each of an output among `missing`.
    pub damaged: Vec<DataError>,
    /// Outputs of which nothing is recorded; left as they are.
    pub unrecorded: Vec<RelPath>,
}

impl DataCheckoutPlan {
    /// Returns the files whose content would be lost, ordered.
    pub fn unsaved(&self) -> Vec<RelPath> {
        let mut unsaved: Vec<RelPath> = (self.outs.iter())
            .flat_map(|out| out.plan.unsaved().iter().filter_map(|below| out.at.join(below).ok()))
            .collect();
        unsaved.sort();
        unsaved
    }

    /// Returns the outputs that will be left as they are because the store lacks something of them.
    pub fn missing(&self) -> &[RelPath] {
        &self.missing
    }

    /// Returns what the store lacks.
    pub fn missing_objects(&self) -> &[ObjectId] {
        &self.missing_objects
    }

    /// Returns how many files would be written or removed.
    pub fn n_files(&self) -> usize {
        self.outs.iter().map(|out| out.plan.writes().len() + out.plan.removes().len()).sum()
    }
}

impl Project {
    /// Looks at what a checkout of data would do. Nothing is changed.
    ///
    /// An output of which the store lacks anything is left out as a whole; so is one that was never recorded, and one with
    /// an object that is known to be corrupt.
    ///
    /// # Errors
    ///
    /// When a target does not exist, or the workspace cannot be looked at.
    pub fn plan_data_checkout(
        &self,
        ctx: &Ctx<'_>,
        scope: &DataScope,
    ) -> Result<DataCheckoutPlan, Error> {
        recover::recover(self, ctx)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let mut plan = DataCheckoutPlan {
            outs: Vec::new(),
            missing: Vec::new(),
            unrecorded: Vec::new(),
            missing_objects: Vec::new(),
            damaged: Vec::new(),
            tracked: None,
        };
        for picked in pick(&view, scope)? {
            let stage = &view.stages[picked.stage];
            let out = &stage.outs[picked.out];
            let (true, Some(path)) = (out.cache, out.location.workspace()) else { continue };
            self.require_inside(path)?;
            let recorded = view.recorded(&stage.id).and_then(|lock| lock.out(&out.path));
            let Some(artifact) = recorded.and_then(|entry| entry.artifact) else {
                plan.unrecorded.push(path.clone());
                continue;
            };
            let at = match &picked.below {
                Some(below) => path.join(below.as_str())?,
                None => path.clone(),
            };
            let one = match self.plan_at(ctx, (path, &at), &artifact) {
                Err(Error::Data(error)) if error.is_corrupt_source() => {
                    plan.missing.push(path.clone());
                    plan.damaged.push(error);
                    continue;
                }
                one => one?,
            };
            let lacks = match &one {
                Some(one) => one.missing().to_vec(),
                None => vec![artifact.id],
            };
            let Some(one) = one.filter(|_| lacks.is_empty()) else {
                // What is there already need not be in the store.
                if !self.is_as_recorded(ctx, path, &artifact)? {
                    plan.missing.push(path.clone());
                    plan.missing_objects.extend(lacks);
                }
                continue;
            };
            let is_new = path.under(self.root()).symlink_metadata().is_err();
            plan.outs.push(OutPlan {
                whole: (at == *path).then_some(artifact),
                path: path.clone(),
                at,
                is_dir: artifact.id.is_tree(),
                effect: if is_new { OutEffect::Added } else { OutEffect::Modified },
                plan: one,
            });
        }
        if scope.targets.is_empty() {
            self.plan_removals(ctx, &view, &mut plan)?;
        }
        plan.missing.sort();
        plan.missing.dedup();
        Ok(plan)
    }

    /// Adds what was tracked here and no longer is, as far as it has the content that was recorded of it.
    fn plan_removals(
        &self,
        ctx: &Ctx<'_>,
        view: &View,
        plan: &mut DataCheckoutPlan,
    ) -> Result<(), Error> {
        let tracked: BTreeMap<RelPath, Artifact> = super::state::outs(view)
            .into_iter()
            .filter_map(|(path, artifact)| Some((path, artifact?)))
            .collect();
        let declared: Vec<&RelPath> = (view.stages.iter())
            .flat_map(|stage| stage.outs.iter().filter_map(|out| out.location.workspace()))
            .collect();
        for (path, artifact) in links::known(self) {
            let is_declared =
                declared.iter().any(|out| out.starts_with(&path) || path.starts_with(out));
            let full = path.under(self.root());
            if is_declared
                || full.symlink_metadata().is_err()
                || self.require_inside(&path).is_err()
                || self.git().is_tracked(&self.git_path(&path)?)?
                || !self.is_as_recorded(ctx, &path, &artifact)?
            {
                continue;
            }
            let filter = IgnoreBelow::new(self, &path);
            plan.outs.push(OutPlan {
                at: path.clone(),
                is_dir: artifact.id.is_tree(),
                effect: OutEffect::Deleted,
                whole: None,
                plan: self.cache().plan_checkout(ctx, None, &full, &filter)?,
                path,
            });
        }
        plan.tracked = Some(tracked);
        Ok(())
    }

    /// Makes what is there links to the store again, of the first kind that the project is set to and that works. Content
    /// stays; what differs from what is recorded is passed over. Returns the outputs that were linked.
    ///
    /// # Errors
    ///
    /// When a target does not exist, or a file cannot be read or replaced.
    pub fn relink_data(&self, ctx: &Ctx<'_>, scope: &DataScope) -> Result<Vec<RelPath>, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let _hold = Hold::brief(ctx, self)?;
        let mut linked = Vec::new();
        for picked in pick(&view, scope)? {
            let stage = &view.stages[picked.stage];
            let out = &stage.outs[picked.out];
            let (true, Some(path)) = (out.cache, out.location.workspace()) else { continue };
            self.require_inside(path)?;
            let recorded = view.recorded(&stage.id).and_then(|lock| lock.out(&out.path));
            let Some(artifact) = recorded.and_then(|entry| entry.artifact) else { continue };
            if artifact.id.digest.algorithm() == self.algorithm()
                && self.is_as_recorded(ctx, path, &artifact)?
            {
                let full = path.under(self.root());
                self.cache().unprotect(ctx, &full)?;
                self.cache().add(ctx, &full, &IgnoreBelow::new(self, path), Relink::Yes)?;
                linked.push(path.clone());
            }
        }
        Ok(linked)
    }

    /// Returns whether an output has the content that is recorded of it.
    fn is_as_recorded(
        &self,
        ctx: &Ctx<'_>,
        path: &RelPath,
        artifact: &Artifact,
    ) -> Result<bool, Error> {
        let filter = IgnoreBelow::new(self, path);
        let (algorithm, full) = (artifact.id.digest.algorithm(), path.under(self.root()));
        let found = self.cache().digest_as(ctx, algorithm, &full, &filter)?;
        Ok(found.is_some_and(|found| found.same_content(artifact)))
    }

    /// Plans the checkout of an output or a part of it; `None` when its manifest is needed and not there.
    fn plan_at(
        &self,
        ctx: &Ctx<'_>,
        (path, at): (&RelPath, &RelPath),
        artifact: &Artifact,
    ) -> Result<Option<CheckoutPlan>, Error> {
        let cache = self.cache();
        let filter = IgnoreBelow::new(self, at);
        let full = at.under(self.root());
        let below = at.strip_prefix(path).unwrap_or_default();
        if below.is_empty() {
            let plan = cache.plan_checkout(ctx, Some(artifact), &full, &filter);
            return Ok(Some(plan.map_err(|error| of_output(path, error))?));
        }
        let unknown = || DataError::NotPart { path: at.clone(), out: path.clone() };
        if !artifact.id.is_tree() {
            return Err(unknown().into());
        }
        let tree = match cache.read_tree(&artifact.id) {
            Err(CacheError::Missing { .. }) => return Ok(None),
            read => read.map_err(|error| of_output(path, error))?,
        };
        if let Some(entry) = tree.entry(below) {
            let id = ObjectId::file(entry.digest);
            let file = Artifact { id, size: None, n_files: None, is_exec: entry.is_exec };
            let plan = cache.plan_checkout(ctx, Some(&file), &full, &filter);
            return Ok(Some(plan.map_err(|error| of_output(path, error))?));
        }
        let inside = format!("{below}/");
        let part: Vec<TreeEntry> = (tree.entries().iter())
            .filter_map(|entry| {
                let path = entry.path.strip_prefix(&inside)?.to_owned();
                Some(TreeEntry { path, ..entry.clone() })
            })
            .collect();
        if part.is_empty() {
            return Err(unknown().into());
        }
        let part = Tree::new(tree.algorithm(), part)
            .map_err(|source| CacheError::Unlistable { path: full.clone(), source })?;
        let plan = cache.plan_checkout_tree(ctx, &part, &full, &filter);
        Ok(Some(plan.map_err(|error| of_output(path, error))?))
    }

    /// Performs a plan. Each file changes atomically; a crash leaves some files as planned and the others as before.
    ///
    /// Objects that are copied are digested on the way; where one shows to be corrupt, its file stays as it is, files of the
    /// same output may have changed, and the other outputs are brought. The operation is logged, so that it can be taken
    /// back; with [`UnsavedData::Drop`], as far as the store has what
    /// was there.
    ///
    /// # Errors
    ///
    /// [`DataError::Unsaved`] when content would be lost and `unsaved` refuses that: nothing was changed then.
    pub fn checkout_data(
        &self,
        ctx: &Ctx<'_>,
        plan: DataCheckoutPlan,
        unsaved: UnsavedData,
    ) -> Result<CheckoutReport, Error> {
        let lost = plan.unsaved();
        if unsaved == UnsavedData::Refuse && !lost.is_empty() {
            return Err(DataError::Unsaved { paths: lost }.into());
        }
        let _hold = Hold::brief(ctx, self)?;
        let mut changes = Changes::begin(self, OperationKind::Data, "checkout");
        let mut report = CheckoutReport {
            missing: plan.missing,
            damaged: plan.damaged,
            unrecorded: plan.unrecorded,
            ..CheckoutReport::default()
        };
        for out in plan.outs {
            if out.plan.is_empty() {
                continue;
            }
            if unsaved == UnsavedData::Keep || self.is_stored(ctx, &out)? {
                changes.touch(ctx, [(&out.path, Keep::Data)])?;
            }
            let OutPlan { effect, path, is_dir, whole, plan, .. } = out;
            let stats = match self.cache().checkout(ctx, plan) {
                Ok(stats) => stats,
                Err(source @ CacheError::CorruptSource { .. }) => {
                    report.damaged.push(DataError::Unusable { path: path.clone(), source });
                    report.missing.push(path);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(artifact) = whole.filter(|_| effect == OutEffect::Added) {
                changes.placed(&path, artifact);
            }
            report.files_added += stats.added;
            report.files_modified += stats.modified;
            report.files_removed += stats.removed;
            report.changed.push(OutChange { effect, path, is_dir });
        }
        if let Some(tracked) = plan.tracked {
            links::replace(self, &tracked);
        }
        report.changed.sort();
        report.changed.dedup();
        report.missing.sort();
        report.missing.dedup();
        changes.finish(ctx)?;
        Ok(report)
    }

    /// Returns whether the store has all that is at an output, so that noting it costs no space.
    fn is_stored(&self, ctx: &Ctx<'_>, out: &OutPlan) -> Result<bool, Error> {
        if out.effect == OutEffect::Added {
            return Ok(true);
        }
        let full = out.path.under(self.root());
        let (cache, filter) = (self.cache(), &exp_cache::NoFilter);
        let found = cache.digest_tree_as(ctx, cache.algorithm(), &full, filter)?;
        Ok(found.is_some_and(|(found, tree)| match tree {
            // A manifest is as good as none, but a store that DVC shares gets no more of them than DVC makes.
            Some(tree) if keeps_exec(cache.algorithm()) => {
                let is_stored = |one: &TreeEntry| cache.contains(&ObjectId::file(one.digest));
                tree.entries().iter().all(is_stored)
            }
            _ => cache.has_all(&found).unwrap_or(false),
        }))
    }
}
