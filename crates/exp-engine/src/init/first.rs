//! The first stage of a project, as a person describes it in a minute.

use std::path::Path;

use exp_core::{Command, Location, OutDefinition, OutKind, RelPath, StageDefinition, add_stage};

use crate::error::Error;
use crate::files;
use crate::stage::{StageAddRequest, StageError, check_name};

/// A stage with at most one path of each kind. Paths are relative to the project's root; `None` stands for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirstStage {
    /// Its name.
    pub name: String,
    /// What is run.
    pub command: String,
    /// A dependency: a file or directory of code.
    pub code: Option<String>,
    /// A dependency: a file or directory of data.
    pub data: Option<String>,
    /// An output that the store keeps.
    pub models: Option<String>,
    /// A parameter file, of which every key counts.
    pub params: Option<String>,
    /// A metrics file, which Git keeps.
    pub metrics: Option<String>,
    /// A file or directory of plots, which Git keeps.
    pub plots: Option<String>,
}

impl FirstStage {
    /// Returns the stage as it is written into a `dvc.yaml`.
    pub fn definition(&self) -> StageDefinition {
        let mut stage = StageDefinition::new(Command::Text(self.command.trim().to_owned()));
        stage.deps =
            [&self.code, &self.data].into_iter().flatten().map(|path| written(path)).collect();
        stage.params = self.params.iter().map(|file| (written(file), Vec::new())).collect();
        let outs = [
            (&self.models, OutKind::Data),
            (&self.metrics, OutKind::Metric),
            (&self.plots, OutKind::Plot),
        ];
        for (path, kind) in outs {
            stage.outs.extend(path.iter().map(|path| OutDefinition {
                cache: kind == OutKind::Data,
                ..OutDefinition::new(written(path), kind)
            }));
        }
        stage
    }

    /// Returns what [`crate::Project::add_stage`] is asked for: the stage in the `dvc.yaml` of the root.
    pub fn request(&self) -> StageAddRequest {
        StageAddRequest {
            name: self.name.clone(),
            definition: self.definition(),
            cwd: RelPath::root(),
            replace: false,
        }
    }

    /// Looks, before there is a project at the absolute path `root`, whether its `dvc.yaml` would take the stage.
    /// Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`Error::Stage`], or a `dvc.yaml` that cannot be read.
    pub fn check(&self, root: &Path) -> Result<(), Error> {
        check_name(&self.name)?;
        if self.command.trim().is_empty() {
            return Err(StageError::NoCommand { name: self.name.clone() }.into());
        }
        let file = RelPath::new("dvc.yaml")?;
        let text = files::read(&file.under(root))?.map(String::from_utf8).transpose();
        let text = text.map_err(|_| Error::NotText { file: file.clone() })?;
        let added = add_stage(text.as_deref(), &self.name, &self.definition(), false);
        added.map_err(|source| StageError::Edit { file, source })?;
        Ok(())
    }

    /// Returns which of the paths that the stage reads are not there yet, in the order in which they are written.
    pub fn missing(&self, root: &Path) -> Vec<String> {
        let stage = self.definition();
        let files = stage.params.into_iter().map(|(file, _)| file);
        let is_absent = |path: &String| match Location::resolve(path, &RelPath::root(), root) {
            Location::Workspace(path) => !path.under(root).exists(),
            Location::External(path) => !Path::new(&path).exists(),
            _ => false,
        };
        stage.deps.into_iter().chain(files).filter(is_absent).collect()
    }
}

/// Returns a path as it is written: without `./`, doubled slashes and a slash at its end.
fn written(path: &str) -> String {
    match RelPath::new(path) {
        Ok(path) if !path.is_root() => path.as_str().to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn stage() -> FirstStage {
        let some = |path: &str| Some(path.to_owned());
        FirstStage {
            name: "train".to_owned(),
            command: " python train.py\n".to_owned(),
            code: some("./src/"),
            data: some("data"),
            models: some("models"),
            params: some("params.yaml"),
            metrics: some("metrics.json"),
            plots: some("plots"),
        }
    }

    #[test]
    fn the_stage_is_dvcs() -> Outcome {
        let text = add_stage(None, "train", &stage().definition(), false)?;
        assert_eq!(
            text,
            "stages:\n  train:\n    cmd: python train.py\n    deps:\n    - data\n    - src\n    params:\n    - \
             params.yaml:\n    outs:\n    - models\n    metrics:\n    - metrics.json:\n        cache: false\n    \
             plots:\n    - plots:\n        cache: false\n"
        );
        let bare = FirstStage { command: "x".to_owned(), ..FirstStage::default() };
        let text = add_stage(None, "a", &bare.definition(), false)?;
        assert_eq!(text, "stages:\n  a:\n    cmd: x\n");
        Ok(())
    }

    #[test]
    fn what_cannot_be_written_is_found_before() -> Outcome {
        let dir = tempfile::tempdir()?;
        stage().check(dir.path())?;
        assert_eq!(stage().missing(dir.path()), ["src", "data", "params.yaml"]);
        std::fs::create_dir(dir.path().join("src"))?;
        assert_eq!(stage().missing(dir.path()), ["data", "params.yaml"]);

        let bad = FirstStage { name: "a:b".to_owned(), ..stage() };
        assert!(matches!(bad.check(dir.path()), Err(Error::Stage(StageError::Name { .. }))));
        let bad = FirstStage { command: " ".to_owned(), ..stage() };
        assert!(matches!(bad.check(dir.path()), Err(Error::Stage(StageError::NoCommand { .. }))));

        let file = dir.path().join("dvc.yaml");
        std::fs::write(&file, "stages:\n  train:\n    cmd: a\n")?;
        let exists = stage().check(dir.path());
        assert!(matches!(exists, Err(Error::Stage(StageError::Edit { .. }))), "{exists:?}");
        std::fs::write(&file, [0xff])?;
        assert!(matches!(stage().check(dir.path()), Err(Error::NotText { .. })));
        Ok(())
    }
}
