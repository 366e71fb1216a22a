//! The ports of the pipeline over a workspace and a store.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use exp_cache::{Filter, Relink, RunId};
use exp_core::{
    Algorithm, Artifact, Artifacts, Ctx, Digest, Event, Extra, Flight, IgnoreRules, Inputs,
    Location, Out, OutKind, ParamRef, PortError, Recorded, RelPath, Stage, StageEvent, StageLock,
    Table, Until, Value, Warning, recordable,
};
use exp_params::Format;

use crate::change::{Changes, Keep};
use crate::datasets;
use crate::error::Error;
use crate::extras;
use crate::files;
use crate::flight;
use crate::gitignore;
use crate::hold::{self, Hold};
use crate::import::{self, AtUrl};
use crate::manifests;
use crate::project::Project;
use crate::recorded;

/// Applies `.dvcignore` inside a tracked directory, which must not have one itself; nothing outside of the project.
pub(crate) struct IgnoreBelow {
    rules: Arc<IgnoreRules>,
    base: Option<RelPath>,
}

impl IgnoreBelow {
    pub(crate) fn new(project: &Project, base: &RelPath) -> Self {
        Self { rules: project.ignore(), base: Some(base.clone()) }
    }

    /// Applies to what is inside the workspace only.
    pub(crate) fn at(project: &Project, location: &Location) -> Self {
        Self { rules: project.ignore(), base: location.workspace().cloned() }
    }
}

impl Filter for IgnoreBelow {
    fn ignored(&self, path: &str, is_dir: bool) -> bool {
        self.base
            .as_ref()
            .and_then(|base| base.join(path).ok())
            .is_some_and(|path| self.rules.is_entry_ignored(&path, is_dir))
    }

    fn refused(&self, path: &str) -> bool {
        self.base.is_some() && path.rsplit('/').next() == Some(".dvcignore")
    }
}

/// Fewer places are looked at sooner than threads for it have begun.
const MANY: usize = 512;

/// More threads wait for the disk more than they help.
const MOST_THREADS: usize = 8;

/// What the workspace holds, looked at once per path until a stage changes it.
pub(crate) struct WorkspaceInputs {
    project: Project,
    overlay: HashMap<RelPath, String>,
    artifacts: Mutex<HashMap<Location, Option<Artifact>>>,
    documents: Mutex<HashMap<RelPath, Option<Arc<Value>>>>,
    extras: Mutex<HashMap<(RelPath, String), Option<String>>>,
    urls: Mutex<HashMap<String, Option<AtUrl>>>,
    /// Whether nothing is run: what cannot be looked at is told and taken for absent, so that the rest can be.
    only_looks: bool,
}

impl WorkspaceInputs {
    /// Looks at the workspace of a project; files in `overlay` are taken to have that text.
    pub(crate) fn new(project: &Project, overlay: HashMap<RelPath, String>) -> Self {
        Self {
            project: project.clone(),
            overlay,
            artifacts: Mutex::default(),
            documents: Mutex::default(),
            extras: Mutex::default(),
            urls: Mutex::default(),
            only_looks: false,
        }
    }

    /// Says that nothing is run on what is seen: an extra dependency that cannot be looked at is told, and is not there.
    pub(crate) fn only_looking(mut self) -> Self {
        self.only_looks = true;
        self
    }

    /// Looks at what stages read and write in the workspace before it is asked for, on as many threads as there are cores,
    /// where that is many places. What goes wrong is told when it is asked for.
    pub(crate) fn look_ahead<'s>(&self, ctx: &Ctx<'_>, stages: impl Iterator<Item = &'s Stage>) {
        let mut places: HashSet<&Location> = HashSet::new();
        for stage in stages {
            let deps = stage.deps.iter().filter(|_| !stage.frozen).map(|dep| &dep.location);
            places.extend(deps.chain(stage.outs.iter().map(|out| &out.location)));
        }
        places.retain(|place| place.workspace().is_some());
        let n_threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        if places.len() < MANY || n_threads == 1 {
            return;
        }
        let places: Vec<&Location> = places.into_iter().collect();
        thread::scope(|scope| {
            for part in places.chunks(places.len().div_ceil(n_threads)) {
                scope.spawn(move || {
                    // The first that goes wrong will end the command.
                    let _ = part.iter().try_for_each(|place| {
                        ctx.check()?;
                        self.artifact(ctx, place).map(drop)
                    });
                });
            }
        });
    }

    /// Forgets everything that is known about a path, what is below it and what it is in.
    pub(crate) fn forget(&self, path: &RelPath) {
        let touches = |known: &RelPath| known.starts_with(path) || path.starts_with(known);
        held(&self.artifacts)
            .retain(|location, _| location.workspace().is_none_or(|known| !touches(known)));
        held(&self.documents).retain(|known, _| !touches(known));
    }

    /// Forgets what is known of a place, wherever it is.
    fn forget_location(&self, location: &Location) {
        match location {
            Location::Workspace(path) => self.forget(path),
            other => drop(held(&self.artifacts).remove(other)),
        }
    }

    /// Notes what a path holds now.
    fn learn(&self, path: &RelPath, artifact: Artifact) {
        self.forget(path);
        held(&self.artifacts).insert(Location::Workspace(path.clone()), Some(artifact));
    }

    /// Returns what is at a URL, asked once while stages run.
    fn at_url(&self, ctx: &Ctx<'_>, url: &str) -> Result<Option<AtUrl>, Error> {
        if let Some(known) = held(&self.urls).get(url) {
            return Ok(known.clone());
        }
        let found = import::look_at(ctx, &self.project, url)?;
        held(&self.urls).insert(url.to_owned(), found.clone());
        Ok(found)
    }

    fn document(&self, path: &RelPath) -> Result<Option<Arc<Value>>, Error> {
        if let Some(known) = held(&self.documents).get(path) {
            return Ok(known.clone());
        }
        let text = match self.overlay.get(path) {
            Some(text) => Some(text.clone()),
            None => match files::read(&path.under(self.project.root()))? {
                Some(bytes) => Some(files::text(path, &bytes)?.to_owned()),
                None => None,
            },
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
            Location::Url(url) if url.starts_with("ds://") => return Ok(None),
            Location::Url(url) => {
                return Ok(match self.at_url(ctx, url)? {
                    Some(AtUrl::Content(artifact)) => Some(artifact),
                    _ => None,
                });
            }
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
        let filter = IgnoreBelow::at(&self.project, location);
        Ok(self.project.cache().digest(ctx, &path, &filter)?)
    }
}

impl Inputs for WorkspaceInputs {
    fn has_dir(&self, dir: &RelPath) -> Result<bool, PortError> {
        Ok(dir.under(self.project.root()).is_dir())
    }

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
            Location::Url(_) => return self.artifact(ctx, location),
            other => return Err(Error::UnsupportedLocation { location: other.to_string() }.into()),
        };
        let filter = IgnoreBelow::at(&self.project, location);
        let cache = self.project.cache();
        cache.digest_as(ctx, algorithm, &path, &filter).map_err(|error| Error::from(error).into())
    }

    fn extra(
        &self,
        ctx: &Ctx<'_>,
        stage: &Stage,
        extra: &Extra,
    ) -> Result<Option<String>, PortError> {
        // What takes long and does not change while stages run is asked for once.
        let is_steady = self.only_looks || matches!(extra, Extra::Interpreter(_) | Extra::Url(_));
        let key = (stage.wdir.clone(), extra.key());
        if let Some(known) = held(&self.extras).get(&key) {
            return Ok(known.clone());
        }
        let digest = match extras::digest(&self.project, ctx, stage, extra) {
            Err(error) if self.only_looks => {
                let what = format!("`{}` of stage `{}`", extra.key(), stage.id);
                ctx.warn(&Warning::Unreadable { what, why: crate::error::chain(&error) });
                None
            }
            found => found?,
        };
        if is_steady {
            held(&self.extras).insert(key, digest.clone());
        }
        Ok(digest)
    }

    fn marks(&self, ctx: &Ctx<'_>, location: &Location) -> Result<Option<Table>, PortError> {
        let Location::Url(url) = location else { return Ok(None) };
        if let Some(name) = url.strip_prefix("ds://") {
            return Ok(datasets::recorded(&self.project, name)?);
        }
        Ok(match self.at_url(ctx, url)? {
            Some(AtUrl::Marks(marks)) => Some(marks),
            _ => None,
        })
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
    hold: Option<&'a Hold>,
    pins: bool,
    receives: bool,
}

/// The operation of a run, while one stage changes files of the project: DVC's lock is held, whatever other stages do.
pub(crate) struct Writing<'a> {
    changes: MutexGuard<'a, Changes>,
    _lock: Option<hold::Writing<'a>>,
}

impl Deref for Writing<'_> {
    type Target = Changes;

    fn deref(&self) -> &Changes {
        &self.changes
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }
}

impl<'a> WorkspaceArtifacts<'a> {
    pub(crate) fn new(project: &'a Project, inputs: &'a WorkspaceInputs, changes: Changes) -> Self {
        let changes = Mutex::new(changes);
        Self { project, inputs, changes, hold: None, pins: false, receives: false }
    }

    /// Takes DVC's lock of `hold` back for each change that is made while commands of other stages run.
    pub(crate) fn under(self, hold: &'a Hold) -> Self {
        Self { hold: Some(hold), ..self }
    }

    /// Keeps what is found in the store there, for a run that goes on to use it.
    pub(crate) fn pinning(self) -> Self {
        Self { pins: true, ..self }
    }

    /// Fetches outputs of earlier runs from the remotes that they belong to, if that is asked for.
    pub(crate) fn receiving(self, receives: bool) -> Self {
        Self { receives, ..self }
    }

    /// Gives back the operation, complete but not finished.
    pub(crate) fn into_changes(self) -> Changes {
        self.changes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn changes(&self) -> Writing<'_> {
        let lock = self.hold.map(Hold::writing);
        Writing { changes: held(&self.changes), _lock: lock }
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
        self.project.require_inside(path)?;
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
    let place = changes.ranks().of_out(path);
    let later = changes.ranks().later(&file, place);
    let after = gitignore::add(&text, name, &later);
    changes.write(ctx, &file, &after)?;
    if after.len() > text.len() {
        changes.ranks().appended(&file, place, gitignore::entry(name));
    }
    Ok(())
}

/// Takes the entry of an output out of the `.gitignore` beside it, and removes that file when nothing else is in it.
pub(crate) fn unignore_output(
    project: &Project,
    ctx: &Ctx<'_>,
    changes: &mut Changes,
    path: &RelPath,
) -> Result<(), Error> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let file = parent.join(".gitignore")?;
    let Some(text) = files::read(&file.under(project.root()))? else { return Ok(()) };
    match gitignore::remove(&text, name) {
        Some(left) if left == text => Ok(()),
        Some(left) => changes.write(ctx, &file, &left),
        None => changes.remove(ctx, &file),
    }
}

impl Artifacts for WorkspaceArtifacts<'_> {
    fn is_stored(&self, artifact: &Artifact) -> Result<bool, PortError> {
        if self.pins {
            self.project.cache().pin(&[*artifact]).map_err(Error::from)?;
        }
        self.project.cache().has_all(artifact).map_err(|error| Error::from(error).into())
    }

    fn recall(&self, key: &Digest) -> Result<Vec<StageLock>, PortError> {
        let entries = self.project.cache().runs().entries(key).map_err(Error::from)?;
        // An entry that cannot be read is as good as none: the stage runs.
        Ok(entries.iter().filter_map(|entry| StageLock::parse_run(&entry.text).ok()).collect())
    }

    fn receive(&self, ctx: &Ctx<'_>, stage: &Stage, lock: &StageLock) -> Result<(), PortError> {
        if !self.receives {
            return Ok(());
        }
        let fetch = || self.project.fetch_outputs(ctx, stage, lock);
        match self.hold {
            Some(hold) => hold.released(fetch)?,
            None => fetch()?,
        }
        Ok(())
    }

    fn flight(&self, ctx: &Ctx<'_>, stage: &Stage, key: &Digest) -> Result<Flight, PortError> {
        let store = self.project.cache().root();
        if let Some(flight) = flight::try_begin(store, key)? {
            return Ok(flight);
        }
        let what = StageEvent::Waiting { until: Until::SameRun };
        ctx.emit(Event::Stage { stage: &stage.id, what });
        let wait = || flight::wait(ctx, store, key);
        Ok(match self.hold {
            Some(hold) => hold.released(wait)?,
            None => wait()?,
        })
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
        self.changes().note_begun(address)?;
        for out in &stage.outs {
            self.inputs.forget_location(&out.location);
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
        }
        Ok(())
    }

    fn keep(&self, ctx: &Ctx<'_>, stage: &Stage, out: &Out) -> Result<Option<Artifact>, PortError> {
        let Some(path) = out.location.workspace() else {
            // The checks of the pipeline leave only those that are not to be stored.
            self.inputs.forget_location(&out.location);
            return self.inputs.artifact(ctx, &out.location);
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
        } else if out.kind != OutKind::Data && recordable(stage) {
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

    fn leave(&self, ctx: &Ctx<'_>, out: &Out, artifact: &Artifact) -> Result<(), PortError> {
        if let Some(path) = out.location.workspace().filter(|_| out.cache) {
            self.ignore(ctx, path, artifact.id.is_tree())?;
        }
        Ok(())
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
        changes.note_ended(address)?;
        drop(changes);
        manifests::keep(self.project, &ctx, stage, lock);
        Ok(recorded)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
