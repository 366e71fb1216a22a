//! Checking the store, naming what is damaged by the paths that need it, and mending it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use exp_cache::{CacheError, plan_pull, pull};
use exp_core::{Ctx, ObjectId, RelPath};

use crate::data::DataError;
use crate::error::Error;
use crate::project::Project;
use crate::roots::{KeepScope, NeededBy, Reading, Roots};
use crate::sync::SyncError;
use crate::view::{Broken, View};

/// So many reasons are found for one object.
const REASONS: usize = 8;

/// What is to be checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyRequest {
    /// Outputs, paths inside of them, or directories with outputs; everything that is stored when there is none.
    pub targets: Vec<RelPath>,
    /// Whether damaged objects are set aside and missing ones of the targets brought back.
    pub repair: Repair,
    /// The remote that objects come from; without, the default one, if there is one.
    pub remote: Option<String>,
}

/// Whether something is mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repair {
    /// Only looks.
    #[default]
    No,
    /// Sets aside and brings back.
    Yes,
}

/// What is wrong with an object.
#[derive(Debug)]
pub struct Defect {
    /// The object.
    pub id: ObjectId,
    /// [`CacheError::Missing`], [`CacheError::Corrupt`], [`CacheError::Manifest`], or why it cannot be read.
    pub source: CacheError,
    /// Who needs it, as far as anything known here does.
    pub needed: Vec<NeededBy>,
    /// Where the damaged bytes are now.
    pub aside: Option<PathBuf>,
    /// Where the right bytes came from.
    pub mended: Option<MendedFrom>,
}

impl Defect {
    /// Returns whether the object is not there at all.
    pub fn is_missing(&self) -> bool {
        matches!(self.source, CacheError::Missing { .. })
    }
}

/// Where right bytes came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MendedFrom {
    /// A file.
    File(PathBuf),
    /// A data remote, by name.
    Remote(String),
}

/// What a check found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// How many objects were read.
    pub checked: u64,
    /// What is wrong, ordered by object.
    pub defects: Vec<Defect>,
    /// Files of stored directories that are not stored, where the whole store was checked: of these directories only a
    /// part was ever received, or it was lost.
    pub incomplete: u64,
    /// Why the remote could not be asked.
    pub remote_failed: Option<Error>,
}

impl Project {
    /// Digests stored objects and compares them with their names.
    ///
    /// With [`Repair::Yes`] a damaged object moves to `quarantine/` in the store. Its right bytes come from a file of a
    /// work tree that has them, else from the remote.
    ///
    /// # Errors
    ///
    /// When the repository or the store cannot be read as a whole. A target that no output has is
    /// [`DataError::NothingTracked`], and targets of which nothing is recorded yet are [`Error::MissingData`]. A remote that
    /// fails is in the report.
    pub fn verify(&self, ctx: &Ctx<'_>, request: &VerifyRequest) -> Result<VerifyReport, Error> {
        let mut roots = Roots::new(self, Reading::Records);
        roots.look(ctx, &KeepScope::Everything { undo: true })?;
        let ids = if request.targets.is_empty() {
            let mut ids = Vec::new();
            self.cache().each_object(ctx, &mut |object| ids.push(object.id))?;
            ids
        } else {
            self.objects_of(&request.targets)?
        };
        let mut report = VerifyReport { checked: ids.len() as u64, ..VerifyReport::default() };
        let found = self.cache().check(ctx, &ids)?;
        let wrong: BTreeSet<ObjectId> = found.iter().map(|(id, _)| *id).collect();
        if request.targets.is_empty() {
            report.incomplete = self.count_incomplete(ctx, &ids)?;
        }
        let mut reasons =
            if wrong.is_empty() { HashMap::new() } else { self.reasons(roots.found(), &wrong) };
        report.defects = (found.into_iter())
            .map(|(id, source)| {
                let needed = reasons.remove(&id).unwrap_or_default();
                Defect { id, source, needed, aside: None, mended: None }
            })
            .collect();
        report.defects.sort_by_key(|defect| defect.id);
        if request.repair == Repair::Yes {
            self.mend(ctx, request.remote.as_deref(), &mut report)?;
        }
        Ok(report)
    }

    /// Returns the objects of the outputs at, in or above the targets.
    fn objects_of(&self, targets: &[RelPath]) -> Result<Vec<ObjectId>, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Note)?;
        let is_known = |target: &&RelPath| {
            view.stages.iter().any(|stage| stage.id.file == **target)
                || self.is_tracked_data(&[&view], target)
        };
        if let Some(path) = targets.iter().find(|target| !is_known(target)) {
            // A file that cannot be read may be what tracks it.
            View::load(&self.workspace(), self.root(), Broken::Fail)?;
            return Err(DataError::NothingTracked { path: path.clone() }.into());
        }
        let mut ids = BTreeSet::new();
        let mut unrecorded: Vec<RelPath> = Vec::new();
        for target in targets {
            let n_before = ids.len();
            for stage in view.stages.iter() {
                let Some(lock) = view.recorded(&stage.id) else { continue };
                for out in stage.outs.iter().filter(|out| out.cache) {
                    let Some(path) = out.location.workspace() else { continue };
                    let recorded = lock.out(&out.path).and_then(|entry| entry.artifact);
                    let Some(artifact) = recorded else { continue };
                    let is_file = stage.id.file == *target;
                    if !is_file && !path.starts_with(target) && !target.starts_with(path) {
                        continue;
                    }
                    ids.insert(artifact.id);
                    if artifact.id.is_tree()
                        && let Ok(tree) = self.cache().read_tree(&artifact.id)
                    {
                        let inside = target.strip_prefix(path).unwrap_or_default();
                        let below = format!("{inside}/");
                        ids.extend(
                            (tree.entries().iter())
                                .filter(|one| {
                                    inside.is_empty()
                                        || one.path == inside
                                        || one.path.starts_with(&below)
                                })
                                .map(|one| ObjectId::file(one.digest)),
                        );
                    }
                }
            }
            if ids.len() == n_before {
                unrecorded.push(target.clone());
            }
        }
        if ids.is_empty() && !unrecorded.is_empty() {
            return Err(Error::MissingData { paths: unrecorded });
        }
        Ok(ids.into_iter().collect())
    }

    fn count_incomplete(&self, ctx: &Ctx<'_>, stored: &[ObjectId]) -> Result<u64, Error> {
        let known: BTreeSet<&ObjectId> = stored.iter().collect();
        let mut absent = BTreeSet::new();
        for id in stored.iter().filter(|id| id.is_tree()) {
            ctx.check()?;
            let Ok(tree) = self.cache().read_tree(id) else { continue };
            let files = tree.entries().iter().map(|one| ObjectId::file(one.digest));
            absent.extend(files.filter(|id| !known.contains(id)));
        }
        Ok(absent.len() as u64)
    }

    /// Finds out who needs these objects: as outputs, or as files of directories whose manifest can be read.
    fn reasons(
        &self,
        outs: &BTreeMap<ObjectId, NeededBy>,
        wrong: &BTreeSet<ObjectId>,
    ) -> HashMap<ObjectId, Vec<NeededBy>> {
        let mut reasons: HashMap<ObjectId, Vec<NeededBy>> = HashMap::new();
        let mut add = |id: ObjectId, by: NeededBy| {
            let known = reasons.entry(id).or_default();
            if known.len() < REASONS && !known.contains(&by) {
                known.push(by);
            }
        };
        for (id, by) in outs {
            if wrong.contains(id) {
                add(*id, by.clone());
            }
            if !id.is_tree() {
                continue;
            }
            let Ok(tree) = self.cache().read_tree(id) else { continue };
            for one in tree.entries() {
                let file = ObjectId::file(one.digest);
                if wrong.contains(&file) {
                    let path = format!("{}/{}", by.path, one.path);
                    add(file, NeededBy { path, holder: by.holder.clone() });
                }
            }
        }
        reasons
    }

    fn mend(
        &self,
        ctx: &Ctx<'_>,
        remote: Option<&str>,
        report: &mut VerifyReport,
    ) -> Result<(), Error> {
        let tops = [self.root().to_path_buf(), self.git().root().to_path_buf()];
        for defect in &mut report.defects {
            ctx.check()?;
            if !defect.is_missing() {
                defect.aside = self.cache().set_aside(&defect.id)?;
            }
            let paths =
                defect.needed.iter().flat_map(|by| tops.iter().map(|top| top.join(&by.path)));
            for path in paths.filter(|_| !defect.id.is_tree()) {
                if self.cache().restore_from(ctx, &defect.id, &path)? {
                    defect.mended = Some(MendedFrom::File(path));
                    break;
                }
            }
        }
        let wanted: BTreeSet<ObjectId> = (report.defects.iter())
            .filter(|defect| defect.mended.is_none())
            .map(|defect| defect.id)
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        match self.receive(ctx, remote, &wanted) {
            Ok(None) => {}
            Ok(Some(name)) => {
                for defect in report.defects.iter_mut().filter(|one| wanted.contains(&one.id)) {
                    if self.cache().object_path(&defect.id).is_file() {
                        defect.mended = Some(MendedFrom::Remote(name.clone()));
                    }
                }
            }
            Err(Error::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => report.remote_failed = Some(error),
        }
        Ok(())
    }

    /// Receives objects from a remote, as far as it has them, and returns its name; `None` when there is no remote.
    fn receive(
        &self,
        ctx: &Ctx<'_>,
        remote: Option<&str>,
        ids: &BTreeSet<ObjectId>,
    ) -> Result<Option<String>, Error> {
        let Some(remote) = self.data_remote(remote)? else { return Ok(None) };
        let failed = SyncError::from;
        let plan = plan_pull(ctx, self.cache(), remote.remote(), ids).map_err(failed)?;
        let jobs = remote.jobs(None);
        let mut stats = pull(ctx, self.cache(), remote.remote(), plan, jobs).map_err(failed)?;
        if let Some((_, source)) = stats.failed.pop() {
            return Err(SyncError::from(source).into());
        }
        Ok(Some(remote.name().to_owned()))
    }
}
