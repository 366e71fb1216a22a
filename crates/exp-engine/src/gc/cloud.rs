//! What remotes have to do with a collection.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use exp_cache::{Keep, StorageError, StorageErrorKind};
use exp_core::{Algorithm, Ctx, ObjectId, TaskLabel, Unit};

use super::{Doubt, GcError, OnDoubt, refuse_unlisted};
use crate::error::Error;
use crate::project::Project;
use crate::roots::NeededBy;
use crate::sync::OpenRemote;

/// Objects asked for, or removed, at once.
const BATCH: usize = 1_000;

/// What remotes have to do with a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudScope {
    /// Nothing.
    Leave,
    /// Objects go from a remote as well.
    Collect {
        /// Its name; without, the default one.
        remote: Option<String>,
    },
    /// Of what is needed, only that stays in the store which the remote does not have.
    SpareMissing {
        /// Its name; without, the default one.
        remote: Option<String>,
    },
}

/// What went from a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudGc {
    /// Its name.
    pub remote: String,
    /// How many objects.
    pub removed: u64,
    /// Their size in bytes, as far as the remote tells.
    pub bytes: u64,
    /// Objects of the plan that stayed because they were needed by then.
    pub spared: u64,
}

/// An object of a remote, and its size in bytes as far as the remote tells.
pub type RemoteObject = (ObjectId, Option<u64>);

/// What would go from a remote.
pub(super) struct CloudPlan {
    remote: OpenRemote,
    doomed: Vec<RemoteObject>,
}

impl CloudPlan {
    /// Lists the remote and leaves out what has to stay. Manifests that the store lacks are read from the remote.
    pub(super) fn new(
        ctx: &Ctx<'_>,
        remote: OpenRemote,
        keep: &Keep,
        (needed, doubt): (&BTreeMap<ObjectId, NeededBy>, Doubt),
    ) -> Result<Self, Error> {
        let mut keep = keep.clone();
        learn_from(ctx, &remote, &mut keep)?;
        let mut doomed = Vec::new();
        for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Md5Dos2Unix] {
            let listed = remote.remote().list(ctx, algorithm, "", &mut |id, size| {
                if !keep.contains(&id) {
                    doomed.push((id, size));
                }
                ControlFlow::Continue(())
            });
            listed.map_err(failed(&remote))?;
        }
        let has_files = doomed.iter().any(|(id, _)| !id.is_tree());
        if has_files && doubt.unlisted == OnDoubt::Refuse {
            refuse_unlisted(keep.unlisted(), needed)?;
        }
        doomed.sort_unstable_by_key(|(id, _)| (!id.is_tree(), *id));
        Ok(Self { remote, doomed })
    }

    pub(super) fn name(&self) -> &str {
        self.remote.name()
    }

    pub(super) fn doomed(&self) -> &[RemoteObject] {
        &self.doomed
    }

    /// Removes what is still not needed: manifests first, so that whoever finds one finds its files.
    pub(super) fn perform(self, ctx: &Ctx<'_>, keep: &Keep) -> Result<CloudGc, Error> {
        let n_all = self.doomed.len() as u64;
        let task = ctx.task(TaskLabel::Collect, Some(n_all), Unit::Files);
        let remote = self.remote.name().to_owned();
        let mut report = CloudGc { remote, removed: 0, bytes: 0, spared: 0 };
        let (trees, files): (Vec<_>, Vec<_>) = (self.doomed.into_iter())
            .filter(|(id, _)| !keep.contains(id))
            .partition(|(id, _)| id.is_tree());
        report.spared = n_all - (trees.len() + files.len()) as u64;
        // What is remembered of the remote is no longer so from the first removal on.
        self.remote.remote().forget();
        for part in trees.chunks(BATCH).chain(files.chunks(BATCH)) {
            let ids: Vec<ObjectId> = part.iter().map(|(id, _)| *id).collect();
            self.remote.remote().remove(ctx, &ids).map_err(failed(&self.remote))?;
            task.advance(ids.len() as u64);
            report.removed += ids.len() as u64;
            report.bytes += part.iter().filter_map(|(_, size)| *size).sum::<u64>();
        }
        Ok(report)
    }
}

impl Project {
    /// Opens the remote that is to be collected or asked.
    pub(super) fn gc_remote(&self, name: Option<&str>) -> Result<OpenRemote, Error> {
        Ok(self.data_remote(name)?.ok_or(GcError::NoRemote)?.refreshed())
    }

    /// Returns which of the objects that have to stay are on the remote.
    pub(super) fn objects_on(
        ctx: &Ctx<'_>,
        remote: &OpenRemote,
        keep: &Keep,
    ) -> Result<HashSet<ObjectId>, Error> {
        let ids: Vec<ObjectId> = keep.ids().copied().collect();
        let mut found = HashSet::new();
        for part in ids.chunks(BATCH) {
            let there = remote.remote().contains(ctx, part).map_err(failed(remote))?;
            found.extend(part.iter().zip(there).filter(|(_, there)| *there).map(|(id, _)| *id));
        }
        Ok(found)
    }

    /// Reads manifests that the store lacks from the remotes that are configured. A remote that cannot be asked is
    /// passed over: what it has stays unknown.
    pub(super) fn learn(&self, ctx: &Ctx<'_>, keep: &mut Keep) -> Result<(), Error> {
        for config in self.config().remotes() {
            if keep.unlisted().is_empty() {
                break;
            }
            let Ok(Some(remote)) = self.data_remote(Some(&config.name)) else { continue };
            match learn_from(ctx, &remote, keep) {
                Err(Error::Gc(GcError::Remote { .. })) => ctx.check()?,
                learned => learned?,
            }
        }
        Ok(())
    }
}

/// Reads manifests that the store lacks from a remote, as far as it has them and they are right.
fn learn_from(ctx: &Ctx<'_>, remote: &OpenRemote, keep: &mut Keep) -> Result<(), Error> {
    for id in keep.unlisted().clone() {
        ctx.check()?;
        let mut bytes = Vec::new();
        match remote.remote().fetch(ctx, &id, 0, &mut bytes) {
            Ok(_) => {
                // A damaged one tells nothing, as if it were missing.
                let _ = keep.learn(&id, &bytes);
            }
            Err(err) if err.kind == StorageErrorKind::NotFound => {}
            Err(err) => return Err(failed(remote)(err).into()),
        }
    }
    Ok(())
}

fn failed(remote: &OpenRemote) -> impl FnOnce(StorageError) -> GcError + use<> {
    let name = remote.name().to_owned();
    move |source| GcError::Remote { name, source }
}
