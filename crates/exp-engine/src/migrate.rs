//! From DVC 2 to today's names: the store, and what files record.

use exp_cache::Migration;
use exp_core::{Algorithm, Artifact, Ctx, RelPath, StageLock};

use crate::change::Changes;
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::IgnoreBelow;
use crate::project::Project;
use crate::recorded::{lock_file_of, write_dvc_file, write_lock};
use crate::recover;
use crate::view::{Broken, View};

/// What became of the files that record old names.
#[derive(Debug, Default)]
pub struct MigratedFiles {
    /// Files that have new names now.
    pub changed: Vec<RelPath>,
    /// Outputs whose old names stay, because their data is not in the store.
    pub left: Vec<RelPath>,
}

impl Project {
    /// Returns the files that record old names: `.dvc` files, and each `dvc.yaml` with a lock file that does.
    ///
    /// # Errors
    ///
    /// When a file of the pipeline cannot be read.
    pub fn old_records(&self) -> Result<Vec<RelPath>, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let mut files: Vec<RelPath> = (view.stages.iter())
            .filter(|stage| view.recorded(&stage.id).is_some_and(is_old))
            .map(|stage| stage.id.file.clone())
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Writes new names into the files that record old ones. Can be undone.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written: none is changed then.
    pub fn migrate_records(
        &self,
        ctx: &Ctx<'_>,
        migration: &Migration,
    ) -> Result<MigratedFiles, Error> {
        let _hold = Hold::idle(ctx, self)?;
        recover::recover(self, ctx)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let mut done = MigratedFiles::default();
        let mut changes = Changes::begin(self, OperationKind::Data, "migrate");
        for stage in view.stages.iter() {
            let Some(lock) = view.recorded(&stage.id).filter(|lock| is_old(lock)) else { continue };
            let mut new = lock.clone();
            for entry in &mut new.outs {
                let Some(old) = entry.artifact.filter(has_old_name) else { continue };
                if let Some(id) = migration.names.get(&old.id) {
                    entry.artifact = Some(Artifact { id: *id, ..old });
                } else {
                    let out = stage.outs.iter().find(|out| out.path == entry.path);
                    done.left.extend(out.and_then(|out| out.location.workspace().cloned()));
                }
            }
            for entry in &mut new.deps {
                let Some(old) = entry.artifact.filter(has_old_name) else { continue };
                if let Some(id) = migration.names.get(&old.id) {
                    entry.artifact = Some(Artifact { id: *id, ..old });
                    continue;
                }
                let dep = stage.deps.iter().find(|dep| dep.path == entry.path);
                let Some(path) = dep.and_then(|dep| dep.location.workspace()) else { continue };
                let full = path.under(self.root());
                let filter = IgnoreBelow::new(self, path);
                let cache = self.cache();
                // One that changed since stays as it was recorded, and so changed.
                let was = cache.digest_as(ctx, Algorithm::Md5Dos2Unix, &full, &filter)?;
                if was.is_some_and(|was| was.same_content(&old)) {
                    entry.artifact = cache.digest(ctx, &full, &filter)?;
                }
            }
            if new == *lock {
                continue;
            }
            let file = if stage.id.name.is_none() {
                write_dvc_file(self, ctx, &mut changes, stage, &new)?;
                stage.id.file.clone()
            } else {
                write_lock(self, ctx, &mut changes, stage, &new)?;
                lock_file_of(&stage.id.file)
            };
            if !done.changed.contains(&file) {
                done.changed.push(file);
            }
        }
        changes.finish(ctx)?;
        Ok(done)
    }
}

fn has_old_name(artifact: &Artifact) -> bool {
    artifact.id.digest.algorithm() == Algorithm::Md5Dos2Unix
}

fn is_old(lock: &StageLock) -> bool {
    let mut entries = lock.outs.iter().chain(&lock.deps);
    entries.any(|entry| entry.artifact.as_ref().is_some_and(has_old_name))
}
