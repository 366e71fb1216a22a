//! The pipeline and what was recorded of it, as one source has them at one moment.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;

use exp_core::{
    ArgumentStyle, DvcFile, ExtrasFile, GraphError, LockError, LockFile, Pipeline, PipelineFile,
    PortError, RelPath, SelectError, Selection, Stage, StageId, StageLock, Target, Value,
    VarsSource, select,
};
use exp_params::Format;

use crate::error::Error;
use crate::files;
use crate::recorded::{extras_file_of, lock_file_of};
use crate::source::Source;

/// Everything that the pipeline files of a workspace or a commit say. Immutable from here on.
#[derive(Debug, Default)]
pub struct View {
    /// All stages in the order of collection: directory by directory, `.dvc` files and `dvc.yaml` by name.
    pub stages: Arc<[Stage]>,
    /// Each `dvc.yaml` with what else it declares; its stages are among [`View::stages`] and not here.
    pub files: Vec<PipelineFile>,
    /// What was recorded, by `dvc.yaml`.
    pub locks: BTreeMap<RelPath, LockFile>,
    /// What `.dvc` files record, by address.
    pub data: BTreeMap<StageId, StageLock>,
    /// Imports whose file does not have the digest that it says, or says none: it was edited, or nothing was fetched.
    pub edited: BTreeSet<StageId>,
    /// Files that could not be read, and why; empty unless errors were tolerated.
    pub broken: Vec<(RelPath, Error)>,
    pipeline: OnceLock<Result<Pipeline, GraphError>>,
}

/// What records of stages are written to.
const LOCK_FILES: [&str; 2] = ["dvc.lock", "exp.lock"];

/// Below so many bytes a lock file is read sooner than a thread for it has begun.
const LONG: usize = 1 << 18;

/// Completes records with what `exp.lock` beside the lock file says of them.
fn add_extras(source: &dyn Source, file: &RelPath, lock_file: &mut LockFile) -> Result<(), Error> {
    let file = extras_file_of(file);
    let Some(bytes) = source.read(&file)? else { return Ok(()) };
    let extras = ExtrasFile::parse(files::text(&file, &bytes)?)
        .map_err(|source| Error::Recorded { file, source })?;
    for (name, lock) in &mut lock_file.stages {
        lock.extras = extras.of(name, lock);
    }
    Ok(())
}

/// What happens when a pipeline file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The first one is the error of the whole.
    Fail,
    /// It is left out and noted in [`View::broken`].
    Note,
}

impl View {
    /// Reads all pipeline files of `source`, a project whose root is the absolute path `root`.
    ///
    /// Directories that are outputs are not looked into.
    ///
    /// # Errors
    ///
    /// Only when the source itself fails, or with [`Broken::Fail`] for the first file that is wrong.
    pub fn load(source: &dyn Source, root: &Path, broken: Broken) -> Result<Self, Error> {
        let mut view = Self::default();
        let mut stages: Vec<Stage> = Vec::new();
        let mut todo = vec![RelPath::root()];
        while let Some(dir) = todo.pop() {
            let entries = source.entries(&dir)?;
            if !dir.is_root() && entries.iter().any(|entry| entry.is_dir && entry.name == ".dvc") {
                // Another project, with a pipeline of its own.
                continue;
            }
            let n_before = stages.len();
            let is_dir =
                |name: &str| entries.iter().any(|entry| entry.is_dir && entry.name == name);
            for entry in entries.iter().filter(|entry| !entry.is_dir) {
                let is_pipeline = entry.name == "dvc.yaml";
                let is_data = entry.name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty());
                let (true, Ok(file)) = (is_pipeline || is_data, dir.join(&entry.name)) else {
                    continue;
                };
                let in_the_way = LOCK_FILES.iter().find(|name| is_pipeline && is_dir(name));
                let read = if let Some(name) = in_the_way {
                    Err(Error::NotAFile { file: dir.join(name)? })
                } else if is_pipeline {
                    view.read_pipeline(source, &file, root)
                } else {
                    view.read_data(source, &file, root)
                };
                match (read, broken) {
                    (Ok(found), _) => stages.extend(found),
                    (Err(error), Broken::Note) => view.broken.push((file, error)),
                    (Err(error), Broken::Fail) => return Err(error),
                }
            }
            let outs: HashSet<RelPath> = stages[n_before..]
                .iter()
                .flat_map(|stage| &stage.outs)
                .filter_map(|out| out.location.workspace().cloned())
                .collect();
            for entry in entries.iter().rev().filter(|entry| entry.is_dir) {
                let Ok(below) = dir.join(&entry.name) else { continue };
                if !outs.contains(&below) && entry.name != ".dvc" && entry.name != ".git" {
                    todo.push(below);
                }
            }
        }
        view.stages = stages.into();
        Ok(view)
    }

    fn read_pipeline(
        &mut self,
        source: &dyn Source,
        file: &RelPath,
        root: &Path,
    ) -> Result<Vec<Stage>, Error> {
        let Some(bytes) = source.read(file)? else { return Ok(Vec::new()) };
        let text = files::text(file, &bytes)?;
        let lock = lock_file_of(file);
        let lock_bytes = source.read(&lock)?;
        let lock_text = lock_bytes.as_deref().map(|bytes| files::text(&lock, bytes)).transpose()?;
        let (parsed, lock_file) = beside(lock_text, || {
            let vars = Vars { source, failure: RefCell::new(None) };
            let parsed = PipelineFile::parse(file, text, root, &vars);
            match vars.failure.into_inner() {
                Some(failure) => Err(failure),
                None => Ok(parsed?),
            }
        });
        let mut parsed = parsed?;
        let lock_file = lock_file.map_err(|source| Error::Recorded { file: lock, source })?;
        if let Some(mut lock_file) = lock_file {
            if parsed.stages.iter().any(|stage| !stage.settings.extras.is_empty()) {
                add_extras(source, file, &mut lock_file)?;
            }
            self.locks.insert(file.clone(), lock_file);
        }
        let stages = std::mem::take(&mut parsed.stages);
        self.files.push(parsed);
        Ok(stages)
    }

    fn read_data(
        &mut self,
        source: &dyn Source,
        file: &RelPath,
        root: &Path,
    ) -> Result<Vec<Stage>, Error> {
        let Some(bytes) = source.read(file)? else { return Ok(Vec::new()) };
        let wrong = |source| Error::Recorded { file: file.clone(), source };
        let parsed = DvcFile::parse_at(files::text(file, &bytes)?, file, root).map_err(wrong)?;
        let stage = parsed.to_stage(file, root).map_err(wrong)?;
        self.data.insert(stage.id.clone(), parsed.recorded());
        if !parsed.deps.is_empty() && parsed.md5 != Some(parsed.stage_md5()) {
            self.edited.insert(stage.id.clone());
        }
        Ok(vec![stage])
    }

    /// Returns what was recorded of a stage.
    pub fn recorded(&self, id: &StageId) -> Option<&StageLock> {
        match &id.name {
            Some(name) => self.locks.get(&id.file)?.stages.get(name),
            None => self.data.get(id),
        }
    }

    /// Returns the pipeline, checked as a whole; the first call makes it.
    pub fn pipeline(&self) -> Result<&Pipeline, Error> {
        let pipeline = self.pipeline.get_or_init(|| Pipeline::new(Arc::clone(&self.stages)));
        pipeline.as_ref().map_err(|error| error.clone().into())
    }

    /// Finds the stages that `selection` means, in the order of execution. Of a `dvc.yaml` that declares none, none.
    pub(crate) fn select(
        &self,
        pipeline: &Pipeline,
        selection: &Selection,
    ) -> Result<Vec<StageId>, SelectError> {
        let Selection::Targets { targets, reach } = selection else {
            return select(pipeline, selection);
        };
        let is_empty = |file: &RelPath| {
            self.files.iter().any(|known| known.file == *file)
                && !self.stages.iter().any(|stage| stage.id.file == *file)
        };
        let targets = targets.iter().filter(|target| match target {
            Target::File(file) | Target::Glob { file, .. } => !is_empty(file),
            _ => true,
        });
        let targets = targets.cloned().collect();
        select(pipeline, &Selection::Targets { targets, reach: *reach })
    }

    /// Returns the stage whose output contains `path` or lies at it.
    pub fn stage_of(&self, path: &RelPath) -> Option<&Stage> {
        self.stages.iter().find(|stage| {
            stage
                .outs
                .iter()
                .any(|out| out.location.workspace().is_some_and(|out| path.starts_with(out)))
        })
    }
}

/// Reads a lock file while `work` is done, where that is worth a thread. None is read of nothing.
fn beside<T>(
    lock: Option<&str>,
    work: impl FnOnce() -> T,
) -> (T, Result<Option<LockFile>, LockError>) {
    let Some(lock) = lock.filter(|lock| lock.len() >= LONG) else {
        return (work(), lock.map(LockFile::parse).transpose());
    };
    thread::scope(|scope| {
        let reader = scope.spawn(move || LockFile::parse(lock));
        let done = work();
        match reader.join() {
            Ok(read) => (done, read.map(Some)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Reads the files that templates take values from.
struct Vars<'s> {
    source: &'s dyn Source,
    failure: RefCell<Option<Error>>,
}

impl VarsSource for Vars<'_> {
    fn loads_unused(&self) -> bool {
        self.source.is_workspace()
    }

    fn arguments(&self) -> ArgumentStyle {
        self.source.arguments()
    }

    fn load(&self, file: &RelPath) -> Result<Option<Value>, PortError> {
        let bytes = self.source.read(file).map_err(|error| PortError::from(Error::from(error)))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let parsed = files::text(file, &bytes).and_then(|text| {
            exp_params::parse(Format::of(file.as_str()), text)
                .map_err(|source| Error::Values { file: file.to_string(), source })
        });
        match parsed {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let text = error.to_string();
                *self.failure.borrow_mut() = Some(error);
                Err(PortError::new(text))
            }
        }
    }
}
