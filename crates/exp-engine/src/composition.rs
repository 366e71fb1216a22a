//! Parameters that are composed by Hydra's rules, where `hydra.enabled` asks for it.
//!
//! DVC hands this to Hydra before each `exp run` and overwrites `params.yaml` with what comes out. What only a Python
//! process can do is refused by name: configurations in a module, plug-ins, resolvers.

use std::fs;
use std::path::{Component, Path, PathBuf};

use exp_core::{PortError, RelPath};
use exp_params::{ComposeFiles, Override};

use crate::error::Error;
use crate::files;
use crate::project::Project;

/// The file that is composed.
const COMPOSED: &str = "params.yaml";

/// Whether parameters are composed before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Composition {
    /// They are taken from their files.
    #[default]
    No,
    /// `params.yaml` is composed where `hydra.enabled` is set, as by each run of an experiment.
    Configured,
}

impl Project {
    /// Returns the file that a run composes; `None` when it composes none.
    pub(crate) fn composes(&self, composition: Composition) -> Option<RelPath> {
        let is_asked = composition == Composition::Configured && self.config().hydra().enabled;
        is_asked.then(|| RelPath::new(COMPOSED).ok()).flatten()
    }

    /// Composes the parameters of a run.
    ///
    /// # Errors
    ///
    /// When the configurations do not fit together, or need what is not supported.
    pub(crate) fn compose(&self, overrides: &[Override]) -> Result<String, Error> {
        let config = self.config().hydra();
        for (option, value) in [
            ("hydra.config_module", &config.config_module),
            ("hydra.plugins_path", &config.plugins_path),
        ] {
            if value.is_some() {
                return Err(Error::NotComposed { option });
            }
        }
        let dir = config.config_dir.unwrap_or_default();
        let files = ConfigDir(self.root().join(dir));
        exp_params::compose(&files, &config.config_name, overrides)
            .map_err(|source| Error::Compose { source: Box::new(source) })
    }
}

/// The directory of the configurations.
struct ConfigDir(PathBuf);

impl ConfigDir {
    /// Returns where a path lies; `None` when it leads out of the directory.
    fn at(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
        stays.then(|| self.0.join(path))
    }
}

impl ComposeFiles for ConfigDir {
    fn read(&self, path: &str) -> Result<Option<String>, PortError> {
        let Some(path) = self.at(&format!("{path}.yaml")).filter(|path| path.is_file()) else {
            return Ok(None);
        };
        let bytes = files::read(&path).map_err(|error| PortError::from(Error::from(error)))?;
        bytes
            .map(String::from_utf8)
            .transpose()
            .map_err(|_| PortError::new("it is not UTF-8".to_owned()))
    }

    fn is_group(&self, path: &str) -> bool {
        self.at(path).is_some_and(|path| path.is_dir())
    }

    fn options(&self, group: &str) -> Vec<String> {
        let Some(dir) = self.at(group) else { return Vec::new() };
        let mut names: Vec<String> = (fs::read_dir(dir).into_iter().flatten().flatten())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".yaml")?.to_owned()))
            .collect();
        names.sort();
        names
    }
}
