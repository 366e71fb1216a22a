//! Bringing the workspace's data to what is recorded: plan, look, perform.

use exp_cache::{CacheError, CheckoutPlan, Tree, TreeEntry};
use exp_core::{Artifact, Ctx, ObjectId, RelPath};

use super::{DataError, DataScope, pick};
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
}

#[derive(Debug)]
struct OutPlan {
    /// The output.
    path: RelPath,
    /// Where the plan acts: the output or a path inside of it.
    at: RelPath,
    is_dir: bool,
    /// Whether nothing is at the output.
    is_new: bool,
    plan: CheckoutPlan,
}

/// What happened to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutEffect {
    /// Something of it was changed.
    Modified,
    /// It was not there before.
    Added,
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
#[derive(Debug, Clone, Default)]
pub struct CheckoutReport {
    /// The outputs that changed, by effect, then path.
    pub changed: Vec<OutChange>,
    /// Files that were not there before.
    pub files_added: u64,
    /// Files that were changed.
    pub files_modified: u64,
    /// Files that are gone.
    pub files_removed: u64,
    /// Outputs that were left as they are because the store lacks something of them.
    pub missing: Vec<RelPath>,
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
    /// An output of which the store lacks anything is left out as a whole; so is one that was never recorded.
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
        };
        for picked in pick(&view, scope)? {
            let stage = &view.stages[picked.stage];
            let out = &stage.outs[picked.out];
            let (true, Some(path)) = (out.cache, out.location.workspace()) else { continue };
            let recorded = view.recorded(&stage.id).and_then(|lock| lock.out(&out.path));
            let Some(artifact) = recorded.and_then(|entry| entry.artifact) else {
                plan.unrecorded.push(path.clone());
                continue;
            };
            let at = match &picked.below {
                Some(below) => path.join(below.as_str())?,
                None => path.clone(),
            };
            let one = self.plan_at(ctx, (path, &at), &artifact)?;
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
                path: path.clone(),
                at,
                is_dir: artifact.id.is_tree(),
                is_new,
                plan: one,
            });
        }
        plan.missing.sort();
        plan.missing.dedup();
        Ok(plan)
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
            return Ok(Some(cache.plan_checkout(ctx, Some(artifact), &full, &filter)?));
        }
        let unknown = || DataError::Absent { path: at.clone() };
        if !artifact.id.is_tree() {
            return Err(unknown().into());
        }
        let tree = match cache.read_tree(&artifact.id) {
            Err(CacheError::Missing { .. }) => return Ok(None),
            read => read?,
        };
        if let Some(digest) = tree.get(below) {
            let id = ObjectId::file(*digest);
            let file = Artifact { id, size: None, n_files: None, is_exec: false };
            return Ok(Some(cache.plan_checkout(ctx, Some(&file), &full, &filter)?));
        }
        let inside = format!("{below}/");
        let part: Vec<TreeEntry> = (tree.entries().iter())
            .filter_map(|entry| {
                let path = entry.path.strip_prefix(&inside)?.to_owned();
                Some(TreeEntry { path, digest: entry.digest })
            })
            .collect();
        if part.is_empty() {
            return Err(unknown().into());
        }
        let part = Tree::new(tree.algorithm(), part)
            .map_err(|source| CacheError::Unlistable { path: full.clone(), source })?;
        Ok(Some(cache.plan_checkout_tree(ctx, &part, &full, &filter)?))
    }

    /// Performs a plan. Each file changes atomically; a crash leaves some files as planned and the others as before.
    ///
    /// The operation is logged, so that it can be taken back; with [`UnsavedData::Drop`], as far as the store has what
    /// was there.
    ///
    /// # Errors
    ///
    /// [`Error::Unsaved`] when content would be lost and `unsaved` refuses that: nothing was changed then.
    pub fn checkout_data(
        &self,
        ctx: &Ctx<'_>,
        plan: DataCheckoutPlan,
        unsaved: UnsavedData,
    ) -> Result<CheckoutReport, Error> {
        let lost = plan.unsaved();
        if unsaved == UnsavedData::Refuse && !lost.is_empty() {
            return Err(Error::Unsaved { paths: lost });
        }
        let _hold = Hold::brief(ctx, self)?;
        let mut changes = Changes::begin(self, OperationKind::Data, "checkout");
        let mut report = CheckoutReport {
            missing: plan.missing,
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
            let stats = self.cache().checkout(ctx, out.plan)?;
            report.files_added += stats.added;
            report.files_modified += stats.modified;
            report.files_removed += stats.removed;
            let effect = if out.is_new { OutEffect::Added } else { OutEffect::Modified };
            report.changed.push(OutChange { effect, path: out.path, is_dir: out.is_dir });
        }
        report.changed.sort();
        report.changed.dedup();
        changes.finish(ctx)?;
        Ok(report)
    }

    /// Returns whether the store has all that is at an output, so that noting it costs no space.
    fn is_stored(&self, ctx: &Ctx<'_>, out: &OutPlan) -> Result<bool, Error> {
        if out.is_new {
            return Ok(true);
        }
        let full = out.path.under(self.root());
        let found = self.cache().digest(ctx, &full, &exp_cache::NoFilter)?;
        Ok(found.is_some_and(|found| self.cache().has_all(&found).unwrap_or(false)))
    }
}
