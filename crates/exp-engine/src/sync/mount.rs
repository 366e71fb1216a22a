//! Where it is noted which file system a directory of data was found on: a remote, or a store outside of the project.

use std::path::{Path, PathBuf};

use exp_core::{Algorithm, Digest};

use super::SyncError;
use crate::config::RemoteConfig;
use crate::project::Project;

/// Checks a remote in the directory `dir`, and notes where it was found.
///
/// # Errors
///
/// [`SyncError::NotMounted`] when it was on another file system the last time and there is nothing now.
pub(super) fn check(project: &Project, config: &RemoteConfig, dir: &Path) -> Result<(), SyncError> {
    let note = note(&project.scratch().join("remotes"), &config.url);
    if exp_cache::is_in_place(dir, &note) {
        return Ok(());
    }
    Err(SyncError::NotMounted { name: config.name.clone(), path: dir.to_path_buf() })
}

/// Returns the file in `home` that is about the directory of this name.
pub(crate) fn note(home: &Path, name: &str) -> PathBuf {
    let name = Digest::of(Algorithm::Md5, name.as_bytes()).to_hex();
    home.join(format!("{name}.device"))
}
