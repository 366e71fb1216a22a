//! Making a project: the files of an empty `.dvc` directory, byte for byte as DVC makes them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exp_core::Algorithm;

use crate::config::ProjectSettings;
use crate::files::{self, FileError};

/// How a project is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitOptions {
    /// What content is addressed by. With MD5 the project is one that DVC could have made.
    pub hash: Algorithm,
    /// Whether the directory may lie below the top of its Git repository.
    pub subdir: bool,
    /// Whether an existing project is made anew: its settings are replaced, its cache stays.
    pub replace: bool,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    /// The root of the project, as it was given.
    pub root: PathBuf,
    /// The files to be committed, relative to the root, with `/`.
    pub files: Vec<String>,
}

/// Why no project was made. Nothing was changed, but for [`InitError::File`] and [`InitError::Git`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// No Git repository is there or above.
    #[error("`{}` is not in a Git repository", dir.display())]
    NoGit {
        /// Where the project was to be.
        dir: PathBuf,
    },
    /// The directory is below the top of its repository, and that was not asked for.
    #[error("`{}` is not the top of its Git repository, `{}`", dir.display(), top.display())]
    NotAtTop {
        /// Where the project was to be.
        dir: PathBuf,
        /// The top of the repository.
        top: PathBuf,
    },
    /// A project is there already.
    #[error("`{}` exists", dir.join(".dvc").display())]
    Exists {
        /// Where the project was to be.
        dir: PathBuf,
    },
    /// A file that cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Git would not take the files.
    #[error("`git add` failed: {message}")]
    Git {
        /// What it said.
        message: String,
    },
}

/// The comment that a new `.dvcignore` holds.
const DVCIGNORE: &str = "# Add patterns of files dvc should ignore, which could improve\n# the performance. \
                         Learn more at\n# https://dvc.org/doc/user-guide/dvcignore\n";

/// Makes a project in the absolute directory `dir`, which must exist in the work tree of a Git repository.
///
/// Nothing is staged or committed. A `.dvcignore` that is there stays. `.dvc/config` is written last of the settings,
/// so that a crash leaves no project or a whole one.
pub fn init(dir: &Path, options: &InitOptions) -> Result<InitReport, InitError> {
    let top = dir.ancestors().find(|dir| dir.join(".git").exists());
    let top = top.ok_or_else(|| InitError::NoGit { dir: dir.to_path_buf() })?;
    if top != dir && !options.subdir {
        return Err(InitError::NotAtTop { dir: dir.to_path_buf(), top: top.to_path_buf() });
    }
    let dvc_dir = dir.join(".dvc");
    if dvc_dir.is_dir() {
        if !options.replace {
            return Err(InitError::Exists { dir: dir.to_path_buf() });
        }
        for old in ["config", "config.local", ProjectSettings::FILE] {
            files::remove(&dvc_dir.join(old))?;
        }
    }
    let mut made = vec![".dvc/.gitignore".to_owned(), ".dvc/config".to_owned()];
    files::write(&dvc_dir.join("tmp/btime"), b"")?;
    files::write(&dvc_dir.join(".gitignore"), b"/config.local\n/tmp\n/cache\n")?;
    if options.hash != Algorithm::Md5 {
        let settings = ProjectSettings { hash: options.hash };
        files::write(&dvc_dir.join(ProjectSettings::FILE), settings.to_text().as_bytes())?;
        made.push(format!(".dvc/{}", ProjectSettings::FILE));
    }
    let ignore = dir.join(".dvcignore");
    if fs::symlink_metadata(&ignore).is_err() {
        files::write(&ignore, DVCIGNORE.as_bytes())?;
    }
    made.push(".dvcignore".to_owned());
    files::write(&dvc_dir.join("config"), b"")?;
    Ok(InitReport { root: dir.to_path_buf(), files: made })
}

impl InitReport {
    /// Adds the files to Git's index, as DVC does, by running `git` with `env` as its whole environment.
    pub fn stage(
        &self,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), InitError> {
        let output = Command::new("git")
            .args(["add", "--"])
            .args(&self.files)
            .current_dir(&self.root)
            .env_clear()
            .envs(env)
            .stdin(Stdio::null())
            .output()
            .map_err(|err| InitError::Git { message: err.to_string() })?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(InitError::Git { message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn options(hash: Algorithm) -> InitOptions {
        InitOptions { hash, subdir: false, replace: false }
    }

    #[test]
    fn a_project_is_dvcs_but_for_its_hash() -> Outcome {
        let dir = tempfile::tempdir()?;
        assert!(matches!(init(dir.path(), &options(Algorithm::Md5)), Err(InitError::NoGit { .. })));
        assert_eq!(fs::read_dir(dir.path())?.count(), 0, "a refusal changes nothing");
        fs::create_dir(dir.path().join(".git"))?;
        let report = init(dir.path(), &options(Algorithm::Md5))?;
        assert_eq!(report.files, [".dvc/.gitignore", ".dvc/config", ".dvcignore"]);
        let read = |path: &str| fs::read_to_string(dir.path().join(path));
        assert_eq!(read(".dvc/config")?, "");
        assert_eq!(read(".dvc/.gitignore")?, "/config.local\n/tmp\n/cache\n");
        assert_eq!(read(".dvcignore")?.len(), 139);
        assert_eq!(read(".dvc/tmp/btime")?, "");
        assert!(matches!(
            init(dir.path(), &options(Algorithm::Sha256)),
            Err(InitError::Exists { .. })
        ));
        fs::create_dir(dir.path().join(".dvc/cache"))?;
        fs::write(dir.path().join(".dvc/config"), "[core]\n")?;
        let again = InitOptions { replace: true, ..options(Algorithm::Sha256) };
        let report = init(dir.path(), &again)?;
        assert!(report.files.contains(&".dvc/exp.toml".to_owned()));
        assert_eq!(ProjectSettings::load(&dir.path().join(".dvc"))?.hash, Algorithm::Sha256);
        assert_eq!(read(".dvc/config")?, "");
        assert!(dir.path().join(".dvc/cache").is_dir(), "the cache is never thrown away");
        Ok(())
    }

    #[test]
    fn below_the_top_only_when_asked() -> Outcome {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join(".git"))?;
        let below = dir.path().join("a");
        fs::create_dir(&below)?;
        let here = options(Algorithm::Md5);
        assert!(matches!(init(&below, &here), Err(InitError::NotAtTop { .. })));
        init(&below, &InitOptions { subdir: true, ..here })?;
        assert!(below.join(".dvc/config").is_file());
        Ok(())
    }
}
