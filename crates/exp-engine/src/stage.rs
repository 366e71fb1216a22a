//! Writing stages into a `dvc.yaml`. Everything is checked before the first byte is written.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use exp_core::{
    Ctx, DvcFile, EditError, Location, OutKind, Pipeline, PipelineFile, PortError, RelPath, Stage,
    StageDefinition, StageId, Value, VarsSource, add_stage, set_frozen,
};

use crate::change::Changes;
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::ignore_output;
use crate::project::Project;
use crate::recover;
use crate::view::{Broken, View};

/// A stage to be written into the `dvc.yaml` of a directory.
#[derive(Debug, Clone, PartialEq)]
pub struct StageAddRequest {
    /// Its name.
    pub name: String,
    /// What it is; paths are relative to its working directory.
    pub definition: StageDefinition,
    /// The directory, below the root, whose `dvc.yaml` gets it.
    pub cwd: RelPath,
    /// Whether a stage of that name is replaced.
    pub replace: bool,
}

/// What writing a stage changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageAdded {
    /// The stage.
    pub id: StageId,
    /// The files that were written, `dvc.yaml` first.
    pub files: Vec<RelPath>,
    /// `.gitignore` files that have to wait for their directory, absolute.
    pub postponed: Vec<PathBuf>,
}

/// A stage that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A name that would be read as something else.
    #[error("stage name `{name}` has a character that a name cannot have")]
    Name {
        /// The name.
        name: String,
    },
    /// There is nothing to run.
    #[error("stage `{name}` has no command")]
    NoCommand {
        /// The name.
        name: String,
    },
    /// The working directory is not there.
    #[error("working directory `{}` does not exist", dir.display())]
    NoDirectory {
        /// The directory, absolute.
        dir: PathBuf,
    },
    /// A path is both read and written.
    #[error("`{path}` is both a dependency and an output")]
    DepIsOut {
        /// The path, relative to the root.
        path: RelPath,
    },
    /// Another stage writes an output already.
    #[error("output `{path}` is already declared by stage `{stage}`")]
    OutTaken {
        /// The path, relative to the root.
        path: RelPath,
        /// The other stage.
        stage: StageId,
    },
    /// The text of the `dvc.yaml` cannot be changed as asked.
    #[error("cannot change `{file}`")]
    Edit {
        /// The file.
        file: RelPath,
        /// Why not.
        source: EditError,
    },
    /// A file that is not there, or one of several stages of which none is named.
    #[error("`{file}` has no stage to freeze")]
    NoStage {
        /// The file.
        file: RelPath,
    },
}

impl Project {
    /// Writes a stage into the `dvc.yaml` of a directory and entries into `.gitignore` for what the store will keep.
    ///
    /// Nothing is written unless the pipeline with the new stage is sound and Git tracks none of its cached outputs. The
    /// operation can be undone.
    ///
    /// # Errors
    ///
    /// [`Error::Stage`], [`Error::Graph`], [`Error::TrackedByGit`], or a pipeline that cannot be read.
    pub fn add_stage(&self, ctx: &Ctx<'_>, request: &StageAddRequest) -> Result<StageAdded, Error> {
        let name = &request.name;
        check_name(name)?;
        if request.definition.cmd.lines().is_empty() {
            return Err(StageError::NoCommand { name: name.clone() }.into());
        }
        let _hold = Hold::brief(ctx, self)?;
        recover::recover(self, ctx)?;
        let file = request.cwd.join("dvc.yaml")?;
        let before = files::read(&file.under(self.root()))?;
        let before = before.map(String::from_utf8).transpose();
        let before = before.map_err(|_| Error::NotText { file: file.clone() })?;
        let edit = |source| StageError::Edit { file: file.clone(), source };
        let after = add_stage(before.as_deref(), name, &request.definition, request.replace)
            .map_err(edit)?;

        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let vars = NoVars;
        let id = StageId::named(file.clone(), name.as_str());
        let stage = self.parsed(&request.definition, &id, &vars)?;
        let dir = stage.wdir.under(self.root());
        if !dir.is_dir() {
            return Err(StageError::NoDirectory { dir }.into());
        }
        check_paths(&stage, &view)?;
        let mut stages: Vec<Stage> =
            view.stages.iter().filter(|other| other.id != id).cloned().collect();
        stages.push(stage.clone());
        Pipeline::new(stages)?;
        let ignored = self.ignored_outs(&stage)?;

        let mut changes = Changes::begin(self, OperationKind::Stage, name);
        changes.write(ctx, &file, after.as_bytes())?;
        let mut added = StageAdded { id, files: vec![file], postponed: Vec::new() };
        for path in ignored {
            let parent = path.parent().unwrap_or_else(RelPath::root);
            let gitignore = parent.join(".gitignore")?;
            if !parent.under(self.root()).is_dir() {
                added.postponed.push(gitignore.under(self.root()));
                continue;
            }
            let is_dir = path.under(self.root()).is_dir();
            let had = files::read(&gitignore.under(self.root()))?;
            ignore_output(self, ctx, &mut changes, &path, is_dir)?;
            if had != files::read(&gitignore.under(self.root()))?
                && !added.files.contains(&gitignore)
            {
                added.files.push(gitignore);
            }
        }
        changes.finish(ctx)?;
        Ok(added)
    }

    /// Freezes a stage, so that it is never run, or unfreezes it; a `.dvc` file is frozen as a whole. It can be undone.
    ///
    /// # Errors
    ///
    /// [`StageError::Edit`] when there is no such stage or a template makes it, [`StageError::NoStage`] for a `dvc.yaml`
    /// without a name and a `.dvc` file that does not exist; what is wrong with the `dvc.yaml` or with a file that its
    /// templates read.
    pub fn set_frozen(&self, ctx: &Ctx<'_>, id: &StageId, frozen: bool) -> Result<(), Error> {
        let StageId { file, name } = id;
        let _hold = Hold::brief(ctx, self)?;
        recover::recover(self, ctx)?;
        let bytes = files::read(&file.under(self.root()))?;
        if name.is_none() && (bytes.is_none() || file.file_name() == Some("dvc.yaml")) {
            return Err(StageError::NoStage { file: file.clone() }.into());
        }
        let text = String::from_utf8(bytes.unwrap_or_default());
        let text = text.map_err(|_| Error::NotText { file: file.clone() })?;
        let edit = |source| StageError::Edit { file: file.clone(), source };
        let wrong = |source| Error::Recorded { file: file.clone(), source };
        if name.is_some() {
            // As it stands it must be readable, what its templates read included.
            let view = View::load(&self.workspace(), self.root(), Broken::Note)?;
            if let Some((_, error)) = view.broken.into_iter().find(|(broken, _)| broken == file) {
                return Err(error);
            }
        }
        let after = match name {
            Some(name) => set_frozen(&text, name, frozen).map_err(edit)?,
            None => DvcFile::set_frozen(&text, frozen).map_err(wrong)?,
        };
        if after != text {
            let mut changes = Changes::begin(self, OperationKind::Stage, &id.to_string());
            changes.write(ctx, file, after.as_bytes())?;
            changes.finish(ctx)?;
        }
        Ok(())
    }

    /// Adds files to Git's index, as DVC does with `core.autostage`, by running `git`.
    ///
    /// # Errors
    ///
    /// When `git` cannot be run or refuses.
    pub fn add_to_index(&self, files: &[RelPath]) -> Result<(), Error> {
        let failed = |message: String| Error::Index { message };
        let output = Command::new("git")
            .args(["add", "--"])
            .args(files.iter().map(RelPath::as_str))
            .current_dir(self.root())
            .env_clear()
            .envs(self.options().env.for_child())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// Reads a definition as it will be read from the file, without the rest of the file.
    fn parsed(
        &self,
        definition: &StageDefinition,
        id: &StageId,
        vars: &NoVars,
    ) -> Result<Stage, Error> {
        let name = id.name.as_deref().unwrap_or_default();
        let alone = add_stage(None, name, definition, false)
            .map_err(|source| StageError::Edit { file: id.file.clone(), source })?;
        // A template in the definition is resolved when the whole file is read; here its text stands for itself.
        let alone = alone.replace("${", "\\${");
        let parsed = PipelineFile::parse(&id.file, &alone, self.root(), vars)?;
        parsed
            .stages
            .into_iter()
            .next()
            .ok_or_else(|| StageError::NoCommand { name: name.to_owned() }.into())
    }

    /// Returns the outputs that Git is to ignore, in the order in which DVC writes them.
    fn ignored_outs(&self, stage: &Stage) -> Result<Vec<RelPath>, Error> {
        let rank = |out: &exp_core::Out| match out.kind {
            OutKind::Data if out.persist => 0,
            OutKind::Metric => 1,
            OutKind::Plot => 2,
            OutKind::Data => 3,
        };
        let mut outs: Vec<_> = stage.outs.iter().filter(|out| out.cache).collect();
        outs.sort_by_key(|out| rank(out));
        let mut paths = Vec::new();
        for path in outs.into_iter().filter_map(|out| out.location.workspace()) {
            if self.git().is_tracked(&self.git_path(path)?)? {
                return Err(Error::TrackedByGit { path: path.clone() });
            }
            paths.push(path.clone());
        }
        Ok(paths)
    }
}

/// Refuses names that `dvc.yaml`, targets or the shell would read as something else: DVC's rule, and no control
/// characters.
pub(crate) fn check_name(name: &str) -> Result<(), StageError> {
    let is_bad = |c: char| (c.is_ascii_punctuation() && c != '_' && c != '-') || c.is_control();
    if name.trim().is_empty() || name.chars().any(is_bad) {
        return Err(StageError::Name { name: name.to_owned() });
    }
    Ok(())
}

fn check_paths(stage: &Stage, view: &View) -> Result<(), StageError> {
    let mut owners: HashMap<&Location, &StageId> = HashMap::new();
    for other in view.stages.iter().filter(|other| other.id != stage.id) {
        owners.extend(other.outs.iter().map(|out| (&out.location, &other.id)));
    }
    for out in &stage.outs {
        let Some(path) = out.location.workspace() else { continue };
        if stage.deps.iter().any(|dep| dep.location == out.location) {
            return Err(StageError::DepIsOut { path: path.clone() });
        }
        if let Some(owner) = owners.get(&out.location) {
            return Err(StageError::OutTaken { path: path.clone(), stage: (*owner).clone() });
        }
    }
    Ok(())
}

/// A definition that is read alone has no values.
struct NoVars;

impl VarsSource for NoVars {
    fn load(&self, _: &RelPath) -> Result<Option<Value>, PortError> {
        Ok(None)
    }
}
