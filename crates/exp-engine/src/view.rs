//! The pipeline and what was recorded of it, as one source has them at one moment.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use exp_core::{
    DvcFile, LockFile, Pipeline, PipelineFile, PortError, RelPath, Stage, StageId, StageLock,
    Value, VarsSource,
};
use exp_params::Format;

use crate::error::Error;
use crate::recorded::lock_file_of;
use crate::source::Source;

/// Everything that the pipeline files of a workspace or a commit say. Immutable from here on.
#[derive(Debug, Default)]
pub struct View {
    /// All stages in the order of collection: directory by directory, `.dvc` files and `dvc.yaml` by name.
    pub stages: Vec<Stage>,
    /// Each `dvc.yaml` with what else it declares.
    pub files: Vec<PipelineFile>,
    /// What was recorded, by `dvc.yaml`.
    pub locks: BTreeMap<RelPath, LockFile>,
    /// What `.dvc` files record, by address.
    pub data: BTreeMap<StageId, StageLock>,
    /// Files that could not be read, and why; empty unless errors were tolerated.
    pub broken: Vec<(RelPath, Error)>,
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
        let mut todo = vec![RelPath::root()];
        while let Some(dir) = todo.pop() {
            let entries = source.entries(&dir)?;
            if !dir.is_root() && entries.iter().any(|entry| entry.is_dir && entry.name == ".dvc") {
                // Another project, with a pipeline of its own.
                continue;
            }
            let n_before = view.stages.len();
            for entry in entries.iter().filter(|entry| !entry.is_dir) {
                let is_pipeline = entry.name == "dvc.yaml";
                let is_data = entry.name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty());
                let (true, Ok(file)) = (is_pipeline || is_data, dir.join(&entry.name)) else {
                    continue;
                };
                let read = if is_pipeline {
                    view.read_pipeline(source, &file, root)
                } else {
                    view.read_data(source, &file, root)
                };
                match (read, broken) {
                    (Ok(()), _) => {}
                    (Err(error), Broken::Note) => view.broken.push((file, error)),
                    (Err(error), Broken::Fail) => return Err(error),
                }
            }
            let outs: Vec<RelPath> = view.stages[n_before..]
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
        Ok(view)
    }

    fn read_pipeline(
        &mut self,
        source: &dyn Source,
        file: &RelPath,
        root: &Path,
    ) -> Result<(), Error> {
        let Some(bytes) = source.read(file)? else { return Ok(()) };
        let text = String::from_utf8_lossy(&bytes);
        let vars = Vars { source, failure: RefCell::new(None) };
        let parsed = PipelineFile::parse(file, &text, root, &vars);
        if let Some(failure) = vars.failure.into_inner() {
            return Err(failure);
        }
        let parsed = parsed?;
        let lock = lock_file_of(file);
        if let Some(bytes) = source.read(&lock)? {
            let lock_file = LockFile::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|source| Error::Recorded { file: lock, source })?;
            self.locks.insert(file.clone(), lock_file);
        }
        self.stages.extend(parsed.stages.iter().cloned());
        self.files.push(parsed);
        Ok(())
    }

    fn read_data(&mut self, source: &dyn Source, file: &RelPath, root: &Path) -> Result<(), Error> {
        let Some(bytes) = source.read(file)? else { return Ok(()) };
        let wrong = |source| Error::Recorded { file: file.clone(), source };
        let parsed = DvcFile::parse(&String::from_utf8_lossy(&bytes)).map_err(wrong)?;
        let stage = parsed.to_stage(file, root).map_err(wrong)?;
        self.data.insert(stage.id.clone(), parsed.recorded());
        self.stages.push(stage);
        Ok(())
    }

    /// Returns what was recorded of a stage.
    pub fn recorded(&self, id: &StageId) -> Option<&StageLock> {
        match &id.name {
            Some(name) => self.locks.get(&id.file)?.stages.get(name),
            None => self.data.get(id),
        }
    }

    /// Returns the pipeline, checked as a whole.
    pub fn pipeline(&self) -> Result<Pipeline, Error> {
        Ok(Pipeline::new(self.stages.clone())?)
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

/// Reads the files that templates take values from.
struct Vars<'s> {
    source: &'s dyn Source,
    failure: RefCell<Option<Error>>,
}

impl VarsSource for Vars<'_> {
    fn load(&self, file: &RelPath) -> Result<Option<Value>, PortError> {
        let bytes = self.source.read(file).map_err(|error| PortError::from(Error::from(error)))?;
        let Some(bytes) = bytes else { return Ok(None) };
        match exp_params::parse(Format::of(file.as_str()), &String::from_utf8_lossy(&bytes)) {
            Ok(value) => Ok(Some(value)),
            Err(source) => {
                let error = Error::Values { file: file.to_string(), source };
                let text = error.to_string();
                *self.failure.borrow_mut() = Some(error);
                Err(PortError::new(text))
            }
        }
    }
}
