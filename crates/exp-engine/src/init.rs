//! Making a project: the files of an empty `.dvc` directory, byte for byte as DVC makes them.
//!
//! Its first stage, if one is described, is in `init/first.rs`; one that is guessed from a command in
//! `init/command.rs`.

mod command;
mod first;

pub use command::CommandStage;
pub(crate) use command::keys_of;
pub use first::FirstStage;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exp_core::Algorithm;
use exp_refs::{Git, GitEnv, OpenError, OpenOptions};

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

/// What is going to be made: checked, and nothing done yet.
#[derive(Debug)]
pub struct InitPlan {
    root: PathBuf,
    hash: Algorithm,
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
    /// The repository has no work tree that files could lie in.
    #[error("the Git repository `{}` is bare", git_dir.display())]
    Bare {
        /// The repository.
        git_dir: PathBuf,
    },
    /// The directory belongs to Git itself.
    #[error("`{}` is inside the Git directory `{}`", dir.display(), git_dir.display())]
    InsideGit {
        /// Where the project was to be.
        dir: PathBuf,
        /// The directory of the repository.
        git_dir: PathBuf,
    },
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(OpenError),
    /// A project is there already.
    #[error("`{}` exists", dir.join(".dvc").display())]
    Exists {
        /// Where the project was to be.
        dir: PathBuf,
    },
    /// A file that cannot be read or written.
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

/// Makes a project in the absolute directory `dir`, with no configuration of Git but the repository's own.
///
/// The same as [`plan_init`] and [`InitPlan::perform`].
pub fn init(dir: &Path, options: &InitOptions) -> Result<InitReport, InitError> {
    plan_init(dir, &GitEnv::default(), options)?.perform()
}

/// Checks whether a project can be made in the absolute directory `dir`, which must exist in the work tree of a Git
/// repository; `env` is the environment of Git.
pub fn plan_init(dir: &Path, env: &GitEnv, options: &InitOptions) -> Result<InitPlan, InitError> {
    let real = readable(dir)?;
    let git = open(dir, &real, env)?;
    if git.root() != real && !options.subdir {
        let top = git.root().to_path_buf();
        return Err(InitError::NotAtTop { dir: dir.to_path_buf(), top });
    }
    if fs::symlink_metadata(dir.join(".dvc")).is_ok() && !options.replace {
        return Err(InitError::Exists { dir: dir.to_path_buf() });
    }
    Ok(InitPlan { root: dir.to_path_buf(), hash: options.hash })
}

/// Returns the real path of a directory whose content can be listed.
fn readable(dir: &Path) -> Result<PathBuf, FileError> {
    let real = dir.canonicalize().map_err(FileError::at("open", dir))?;
    fs::read_dir(&real).map_err(FileError::at("read", dir))?;
    Ok(real)
}

/// Opens the repository around a directory of its work tree; `real` is the directory without links.
fn open(dir: &Path, real: &Path, env: &GitEnv) -> Result<Git, InitError> {
    let options = OpenOptions { env: env.clone(), ..OpenOptions::default() };
    let git = options.open(real).map_err(|error| match error {
        OpenError::NotARepository { .. } => InitError::NoGit { dir: dir.to_path_buf() },
        error => InitError::Open(error),
    })?;
    let git_dir = git.git_dir().to_path_buf();
    let is_inside = real.starts_with(&git_dir) || real.starts_with(git.common_dir());
    // Opened from within, the Git directory of a work tree has none.
    if is_inside && (!git.is_bare() || git_dir.file_name() == Some(".git".as_ref())) {
        return Err(InitError::InsideGit { dir: dir.to_path_buf(), git_dir });
    }
    if git.is_bare() {
        return Err(InitError::Bare { git_dir });
    }
    Ok(git)
}

impl InitPlan {
    /// Makes the project.
    ///
    /// Nothing is staged or committed. A `.dvcignore` that is there stays, and of an existing project everything but
    /// its settings. `.dvc/config` is written last of the settings, so that a crash leaves no project or a whole one.
    pub fn perform(self) -> Result<InitReport, InitError> {
        let dvc_dir = self.root.join(".dvc");
        for old in ["config", "config.local", ProjectSettings::FILE] {
            files::remove(&dvc_dir.join(old))?;
        }
        let mut made = vec![".dvc/.gitignore".to_owned(), ".dvc/config".to_owned()];
        files::write(&dvc_dir.join("tmp/btime"), b"")?;
        files::write(&dvc_dir.join(".gitignore"), b"/config.local\n/tmp\n/cache\n")?;
        if self.hash != Algorithm::Md5 {
            let settings = ProjectSettings { hash: self.hash };
            files::write(&dvc_dir.join(ProjectSettings::FILE), settings.to_text().as_bytes())?;
            made.push(format!(".dvc/{}", ProjectSettings::FILE));
        }
        let ignore = self.root.join(".dvcignore");
        if fs::symlink_metadata(&ignore).is_err() {
            files::write(&ignore, DVCIGNORE.as_bytes())?;
        }
        made.push(".dvcignore".to_owned());
        files::write(&dvc_dir.join("config"), b"")?;
        Ok(InitReport { root: self.root, files: made })
    }
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

    fn git(dir: &Path, args: &[&str]) -> Outcome {
        let status = Command::new("git").args(args).current_dir(dir).status()?;
        if status.success() { Ok(()) } else { Err(format!("git {args:?}: {status}").into()) }
    }

    #[test]
    fn no_project_where_git_has_no_work_tree() -> Outcome {
        let dir = tempfile::tempdir()?;
        let top = dir.path();
        git(top, &["init", "--quiet", "--bare", "bare.git"])?;
        git(top, &["init", "--quiet", "work"])?;
        std::os::unix::fs::symlink(top.join("work"), top.join("link"))?;
        std::fs::write(top.join("file"), "")?;
        let here = options(Algorithm::Md5);
        let refused = |path: &str| init(&top.join(path), &here);
        assert!(matches!(refused("bare.git"), Err(InitError::Bare { .. })));
        assert!(matches!(refused("bare.git/refs"), Err(InitError::Bare { .. })));
        assert!(matches!(refused("work/.git"), Err(InitError::InsideGit { .. })));
        assert!(matches!(refused("work/.git/refs"), Err(InitError::InsideGit { .. })));
        let subdir = InitOptions { subdir: true, ..here.clone() };
        assert!(matches!(init(&top.join("work/.git"), &subdir), Err(InitError::InsideGit { .. })));
        for path in ["none", "file"] {
            assert!(matches!(refused(path), Err(InitError::File(_))), "{path}");
        }
        std::fs::write(top.join("work/.dvc"), "")?;
        assert!(matches!(refused("work"), Err(InitError::Exists { .. })));
        std::fs::remove_file(top.join("work/.dvc"))?;
        let report = refused("link")?;
        assert_eq!(report.root, top.join("link"));
        assert!(top.join("work/.dvc/config").is_file());
        Ok(())
    }

    #[test]
    fn a_project_is_dvcs_but_for_its_hash() -> Outcome {
        let dir = tempfile::tempdir()?;
        assert!(matches!(init(dir.path(), &options(Algorithm::Md5)), Err(InitError::NoGit { .. })));
        assert_eq!(fs::read_dir(dir.path())?.count(), 0, "a refusal changes nothing");
        git(dir.path(), &["init", "--quiet"])?;
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
        git(dir.path(), &["init", "--quiet"])?;
        let below = dir.path().join("a");
        fs::create_dir(&below)?;
        let here = options(Algorithm::Md5);
        assert!(matches!(init(&below, &here), Err(InitError::NotAtTop { .. })));
        init(&below, &InitOptions { subdir: true, ..here })?;
        assert!(below.join(".dvc/config").is_file());
        Ok(())
    }
}
