//! The ports of the pipeline over a workspace and a store.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exp_cache::{Filter, Relink, RunId};
use exp_core::{
    Algorithm, Artifact, Artifacts, Ctx, Digest, IgnoreRules, Inputs, Location, Out, OutKind,
    ParamRef, PortError, Recorded, RelPath, Stage, StageLock, Value, Warning,
};
use exp_params::Format;

use crate::change::{Changes, Keep};
use crate::error::Error;
use crate::files;
use crate::gitignore;
use crate::project::Project;
use crate::recorded;

/// Applies `.dvcignore` inside a tracked directory.
pub(crate) struct IgnoreBelow {
    rules: Arc<IgnoreRules>,
    base: RelPath,
}

impl IgnoreBelow {
    pub(crate) fn new(project: &Project, base: &RelPath) -> Self {
        Self { rules: project.ignore(), base: base.clone() }
    }
}

impl Filter for IgnoreBelow {
    fn ignored(&self, path: &str, is_dir: bool) -> bool {
        self.base.join(path).is_ok_and(|path| self.rules.is_entry_ignored(&path, is_dir))
    }
}

/// What the workspace holds, looked at once per path until a stage changes it.
pub(crate) struct WorkspaceInputs {
    project: Project,
    overlay: HashMap<RelPath, String>,
    artifacts: Mutex<HashMap<Location, Option<Artifact>>>,
    documents: Mutex<HashMap<RelPath, Option<Arc<Value>>>>,
}

impl WorkspaceInputs {
    /// Looks at the workspace of a project; files in `overlay` are taken to have that text.
    pub(crate) fn new(project: &Project, overlay: HashMap<RelPath, String>) -> Self {
        Self {
            project: project.clone(),
            overlay,
            artifacts: Mutex::default(),
            documents: Mutex::default(),
        }
    }

    /// Forgets everything that is known about a path, what is below it and what it is in.
    pub(crate) fn forget(&self, path: &RelPath) {
        let touches = |known: &RelPath| known.starts_with(path) || path.starts_with(known);
        held(&self.artifacts)
            .retain(|location, _| location.workspace().is_none_or(|known| !touches(known)));
        held(&self.documents).retain(|known, _| !touches(known));
    }

    /// Notes what a path holds now.
    fn learn(&self, path: &RelPath, artifact: Artifact) {
        self.forget(path);
        held(&self.artifacts).insert(Location::Workspace(path.clone()), Some(artifact));
    }

    fn document(&self, path: &RelPath) -> Result<Option<Arc<Value>>, Error> {
        if let Some(known) = held(&self.documents).get(path) {
            return Ok(known.clone());
        }
        let text = match self.overlay.get(path) {
            Some(text) => Some(text.clone()),
            None => files::read(&path.under(self.project.root()))?
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        };
        let document = match text {
            Some(text) => {
                let value = exp_params::parse(Format::of(path.as_str()), &text)
                    .map_err(|source| Error::Values { file: path.to_string(), source })?;
                Some(Arc::new(value))
            }
            None => None,
        };
        held(&self.documents).insert(path.clone(), document.clone());
        Ok(document)
    }

    fn look(&self, ctx: &Ctx<'_>, location: &Location) -> Result<Option<Artifact>, Error> {
        let (path, base): (PathBuf, RelPath) = match location {
            Location::Workspace(path) => (path.under(self.project.root()), path.clone()),
            Location::External(path) => (PathBuf::from(path), RelPath::root()),
            other => return Err(Error::UnsupportedLocation { location: other.to_string() }),
        };
        if let Some(text) = self.overlay.get(&base) {
            let digest = Digest::of(self.project.algorithm(), text.as_bytes());
            let id = exp_core::ObjectId::file(digest);
            return Ok(Some(Artifact {
                id,
                size: Some(text.len() as u64),
                n_files: None,
                is_exec: false,
            }));
        }
        let filter = IgnoreBelow::new(&self.project, &base);
        Ok(self.project.cache().digest(ctx, &path, &filter)?)
    }
}

impl Inputs for WorkspaceInputs {
    fn artifact(&self, ctx: &Ctx<'_>, location: &Location) -> Result<Option<Artifact>, PortError> {
        if let Some(known) = held(&self.artifacts).get(location) {
            return Ok(*known);
        }
        let artifact = self.look(ctx, location)?;
        held(&self.artifacts).insert(location.clone(), artifact);
        Ok(artifact)
    }

    fn artifact_as(
        &self,
        ctx: &Ctx<'_>,
        location: &Location,
        algorithm: Algorithm,
    ) -> Result<Option<Artifact>, PortError> {
        let path = match location {
            Location::Workspace(path) => path.under(self.project.root()),
            Location::External(path) => PathBuf::from(path),
            other => return Err(Error::UnsupportedLocation { location: other.to_string() }.into()),
        };
        let base = location.workspace().cloned().unwrap_or_else(RelPath::root);
        let filter = IgnoreBelow::new(&self.project, &base);
        let cache = self.project.cache();
        cache.digest_as(ctx, algorithm, &path, &filter).map_err(|error| Error::from(error).into())
    }

    fn param(&self, param: &ParamRef) -> Result<Option<Value>, PortError> {
        let Some(path) = param.location.workspace() else {
            return Err(Error::UnsupportedLocation { location: param.location.to_string() }.into());
        };
        let Some(document) = self.document(path)? else { return Ok(None) };
        Ok(match &param.key {
            Some(key) => document.get(key).cloned(),
            None => Some((*document).clone()),
        })
    }
}

/// Keeps and brings back outputs of a workspace, and notes every path before it changes.
pub(crate) struct WorkspaceArtifacts<'a> {
    project: &'a Project,
    inputs: &'a WorkspaceInputs,
    changes: Mutex<Changes>,
}

impl<'a> WorkspaceArtifacts<'a> {
    pub(crate) fn new(project: &'a Project, inputs: &'a WorkspaceInputs, changes: Changes) -> Self {
        Self { project, inputs, changes: Mutex::new(changes) }
    }

    /// Gives back the operation, complete but not finished.
    pub(crate) fn into_changes(self) -> Changes {
        self.changes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn changes(&self) -> MutexGuard<'_, Changes> {
        held(&self.changes)
    }

    fn touch_outs(&self, ctx: &Ctx<'_>, stage: &Stage) -> Result<(), Error> {
        let outs = stage.outs.iter().filter_map(|out| {
            let keep = if out.cache { Keep::Data } else { Keep::Text };
            out.location.workspace().map(|path| (path, keep))
        });
        self.changes().touch(ctx, outs)
    }

    /// Brings one output into the workspace.
    fn bring(&self, ctx: &Ctx<'_>, path: &RelPath, artifact: &Artifact) -> Result<(), Error> {
        let filter = IgnoreBelow::new(self.project, path);
        let full = path.under(self.project.root());
        let plan = self.project.cache().plan_checkout(ctx, Some(artifact), &full, &filter)?;
        self.project.cache().checkout(ctx, plan)?;
        self.inputs.learn(path, *artifact);
        Ok(())
    }

    /// Makes Git ignore an output that the store keeps.
    fn ignore(&self, ctx: &Ctx<'_>, path: &RelPath, is_dir: bool) -> Result<(), Error> {
        ignore_output(self.project, ctx, &mut self.changes(), path, is_dir)
    }
}

/// Adds a `.gitignore` entry for an output that the store keeps, unless Git ignores it already.
pub(crate) fn ignore_output(
    project: &Project,
    ctx: &Ctx<'_>,
    changes: &mut Changes,
    path: &RelPath,
    is_dir: bool,
) -> Result<(), Error> {
    let git_path = project.git_path(path)?;
    if project.git().is_ignored(&git_path, is_dir)? {
        return Ok(());
    }
    if project.git().is_tracked(&git_path)? {
        return Err(Error::TrackedByGit { path: path.clone() });
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let file = parent.join(".gitignore")?;
    let text = files::read(&file.under(project.root()))?.unwrap_or_default();
    let text = gitignore::add(&String::from_utf8_lossy(&text), name);
    changes.write(ctx, &file, text.as_bytes())
}

impl Artifacts for WorkspaceArtifacts<'_> {
    fn is_stored(&self, artifact: &Artifact) -> Result<bool, PortError> {
        self.project.cache().has_all(artifact).map_err(|error| Error::from(error).into())
    }

    fn recall(&self, key: &Digest) -> Result<Vec<StageLock>, PortError> {
        let entries = self.project.cache().runs().entries(key).map_err(Error::from)?;
        // An entry that cannot be read is as good as none: the stage runs.
        Ok(entries.iter().filter_map(|entry| StageLock::parse_run(&entry.text).ok()).collect())
    }

    fn restore(&self, ctx: &Ctx<'_>, stage: &Stage, lock: &StageLock) -> Result<(), PortError> {
        self.touch_outs(ctx, stage)?;
        for out in &stage.outs {
            let recorded = lock.out(&out.path).and_then(|entry| entry.artifact);
            let Some(path) = out.location.workspace() else { continue };
            match recorded {
                Some(artifact) => {
                    self.bring(ctx, path, &artifact)?;
                    if out.cache {
                        self.ignore(ctx, path, artifact.id.is_tree())?;
                    }
                }
                None => ctx.warn(&Warning::NeverRecorded { path: path.to_string() }),
            }
        }
        Ok(())
    }

    fn clear(&self, ctx: &Ctx<'_>, stage: &Stage) -> Result<(), PortError> {
        for out in stage.outs.iter().filter(|out| out.cache) {
            if let Some(path) = out.location.workspace()
                && self
                    .project
                    .git()
                    .is_tracked(&self.project.git_path(path)?)
                    .map_err(Error::from)?
            {
                return Err(Error::TrackedByGit { path: path.clone() }.into());
            }
        }
        self.touch_outs(ctx, stage)?;
        let address = stage.id.to_string();
        self.changes().update_run(|run| run.begun.push(address))?;
        for out in &stage.outs {
            let Some(path) = out.location.workspace() else { continue };
            let full = path.under(self.project.root());
            if out.persist {
                self.project.cache().unprotect(ctx, &full).map_err(Error::from)?;
            } else {
                files::remove_all(&full).map_err(Error::from)?;
            }
            if let Some(parent) = full.parent() {
                std::fs::create_dir_all(parent)
                    .map_err(|error| Error::from(files::FileError::at("create", parent)(error)))?;
            }
            self.inputs.forget(path);
        }
        Ok(())
    }

    fn keep(&self, ctx: &Ctx<'_>, _: &Stage, out: &Out) -> Result<Option<Artifact>, PortError> {
        let Some(path) = out.location.workspace() else {
            return Err(Error::UnsupportedLocation { location: out.location.to_string() }.into());
        };
        self.inputs.forget(path);
        let full = path.under(self.project.root());
        let filter = IgnoreBelow::new(self.project, path);
        let cache = self.project.cache();
        if std::fs::symlink_metadata(&full).is_err() {
            return Ok(None);
        }
        let artifact = if out.cache {
            let artifact = cache.add(ctx, &full, &filter, Relink::Yes).map_err(Error::from)?;
            self.ignore(ctx, path, artifact.id.is_tree())?;
            Some(artifact)
        } else if out.kind != OutKind::Data {
            // Git keeps it; the store needs a copy so that the run cache can bring it back.
            Some(cache.add(ctx, &full, &filter, Relink::No).map_err(Error::from)?)
        } else {
            cache.digest(ctx, &full, &filter).map_err(Error::from)?
        };
        if let Some(artifact) = artifact {
            self.inputs.learn(path, artifact);
        }
        Ok(artifact)
    }

    fn record(
        &self,
        stage: &Stage,
        key: Option<&Digest>,
        lock: &StageLock,
    ) -> Result<Recorded, PortError> {
        let ctx = Ctx::silent();
        let mut changes = self.changes();
        let recorded = if stage.is_data_source() {
            recorded::write_dvc_file(self.project, &ctx, &mut changes, stage, lock)?
        } else {
            recorded::write_lock(self.project, &ctx, &mut changes, stage, lock)?
        };
        if let Some(key) = key {
            let id = RunId { key: *key, value: lock.run_value() };
            self.project.cache().runs().save(&id, &lock.run_text()).map_err(Error::from)?;
        }
        let address = stage.id.to_string();
        changes.update_run(|run| run.unfinished.retain(|other| *other != address))?;

        Ok(recorded)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
