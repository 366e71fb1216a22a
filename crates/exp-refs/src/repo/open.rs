//! Finding and opening a repository.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gix::sec::Trust;

use super::{Git, Inner, boxed, config};
use crate::env::GitEnv;
use crate::error::OpenError;

/// How a repository is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The environment. The default is empty, so that no configuration of the user or the system applies.
    pub env: GitEnv,
    /// Whether objects and refs are synced to disk before a write returns. The default is yes.
    pub durable: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { env: GitEnv::default(), durable: true }
    }
}

impl OpenOptions {
    /// Opens the repository whose work tree `dir` lies in, going up until one is found.
    ///
    /// A linked work tree opens as itself. `dir` may be relative to the current directory.
    pub fn discover(&self, dir: &Path) -> Result<Git, OpenError> {
        let git = self.open(dir)?;
        if git.is_bare() {
            return Err(OpenError::Bare { git_dir: git.git_dir().to_owned() });
        }
        Ok(git)
    }

    /// Like [`OpenOptions::discover`], and also takes a repository without a work tree.
    ///
    /// What needs a work tree (status, ignore rules, checkout) fails in such a one.
    pub fn open(&self, dir: &Path) -> Result<Git, OpenError> {
        let corrupt = |source| OpenError::Corrupt { dir: dir.to_owned(), source };
        let (found, trust) = gix::discover::upwards(dir).map_err(|error| {
            if error.is_not_found() {
                OpenError::NotARepository { dir: dir.to_owned() }
            } else {
                corrupt(boxed(error))
            }
        })?;
        let (git_dir, work_tree) = found.into_repository_and_work_tree_directories();
        let git_dir = absolute(&git_dir).map_err(|error| corrupt(error.into()))?;
        refuse_unknown_format(&git_dir)?;

        let user = config::Files::read(&self.env, &git_dir).map_err(|e| corrupt(boxed(e)))?;
        let mut options = gix::open::Options::default().permissions(config::permissions());
        if trust != Trust::Full {
            if !user.is_safe(work_tree.as_deref().unwrap_or(&git_dir)) {
                return Err(OpenError::NotTrusted { git_dir });
            }
            options = options.with(Trust::Full).filter_config_section(|_| true);
        }
        let path = if let Some(work_tree) = &work_tree {
            absolute(work_tree).map_err(|error| corrupt(error.into()))?
        } else {
            options = options.open_path_as_is(true);
            git_dir
        };
        let mut repo: gix::Repository = gix::ThreadSafeRepository::open_opts(path, options)
            .map_err(|e| corrupt(boxed(e)))?
            .into();
        user.apply(&self.env, &mut repo).map_err(|error| corrupt(boxed(error)))?;

        let git_dir = absolute(repo.git_dir()).map_err(|error| corrupt(error.into()))?;
        let common_dir = absolute(repo.common_dir()).map_err(|error| corrupt(error.into()))?;
        let root = match repo.workdir() {
            Some(path) => absolute(path).map_err(|error| corrupt(error.into()))?,
            None => git_dir.clone(),
        };
        let bare = repo.workdir().is_none();
        let inner = Inner {
            repo: repo.into_sync(),
            root,
            git_dir,
            common_dir,
            bare,
            env: self.env.clone(),
            durable: self.durable,
            synced: Mutex::default(),
        };
        Ok(Git(Arc::new(inner)))
    }
}

/// Refuses what gix opens and then misreads: the `reftable` storage, formats of the future.
fn refuse_unknown_format(git_dir: &Path) -> Result<(), OpenError> {
    let common = config::common_dir(git_dir);
    let Some(local) = config::local(&common) else { return Ok(()) };
    let refuse = |name: &str, value: String| {
        Err(OpenError::UnsupportedExtension { git_dir: common.clone(), name: name.into(), value })
    };
    if let Some(version) = local.string("core.repositoryformatversion")
        && !matches!(version.as_slice(), b"0" | b"1")
    {
        return refuse("core.repositoryformatversion", version.to_string());
    }
    if let Some(storage) = local.string("extensions.refStorage")
        && !storage.eq_ignore_ascii_case(b"files")
    {
        return refuse("extensions.refStorage", storage.to_string());
    }
    Ok(())
}

/// Makes a path absolute and resolves links, so that two ways to one repository are one text.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    path.canonicalize()
}
