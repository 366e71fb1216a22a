//! What the examples share: a place to work in, made on the spot when none is named.
//!
//! The examples themselves are the files beside this one, each a program of its own:
//!
//! | Program | Shows |
//! |---|---|
//! | `embed_minimal` | the state of a project and one experiment, through `exp-engine`, silently |
//! | `custom_frontend` | a frontend of one's own: events as lines of JSON while a pipeline runs |
//! | `refs_only` | the experiments of any repository, bare ones too, with `exp-refs` alone |
//! | `cache_only` | `exp-cache` as a plain content store with a mirror |
//! | `sweep` | a grid of experiments from code, and a table of what came out |
//!
//! ```console
//! $ cargo run -p exp-examples --example sweep                  # in a project made for the occasion
//! $ cargo run -p exp-examples --example embed_minimal -- PATH  # in the project that PATH lies in
//! ```
//!
//! This crate does not know how anything is done: it makes directories, files and commits for the examples to work on.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use exp_core::Algorithm;
use exp_engine::{ConfigFiles, InitOptions, Project, ProjectOptions, init};
use exp_refs::GitEnv;
use tempfile::TempDir;

/// Any error. Programs may take this short cut; libraries name theirs.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A stage that takes two parameters and writes one metric, with nothing but a shell.
const TRAIN: &str = "\
lr=$(sed -n 's/^lr: \\([0-9]*\\).*/\\1/p' params.yaml)
depth=$(sed -n 's/^depth: \\([0-9]*\\).*/\\1/p' params.yaml)
echo \"training with lr $lr and depth $depth\"
echo \"lr $lr depth $depth\" > model.txt
echo \"{\\\"score\\\": $((100 - (lr - 3) * (lr - 3) - (depth - 4) * (depth - 4)))}\" > score.json
";

/// The pipeline of [`Place::with_project`].
const PIPELINE: &str = "\
stages:
  train:
    cmd: sh train.sh
    deps:
    - train.sh
    params:
    - depth
    - lr
    outs:
    - model.txt
    metrics:
    - score.json:
        cache: false
";

/// A directory to work in: one that was named, or one that is made now and deleted on drop.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    made: Option<TempDir>,
}

impl Place {
    /// Returns the directory that the first argument of the program names; `None` without one.
    ///
    /// # Errors
    ///
    /// When it does not exist.
    pub fn named() -> Result<Option<Self>, Failure> {
        let Some(path) = std::env::args_os().nth(1) else { return Ok(None) };
        let path = fs::canonicalize(&path)
            .map_err(|err| format!("cannot open {}: {err}", path.display()))?;
        Ok(Some(Self { path, made: None }))
    }

    /// Makes an empty directory.
    pub fn empty() -> Result<Self, Failure> {
        let made = tempfile::tempdir()?;
        Ok(Self { path: fs::canonicalize(made.path())?, made: Some(made) })
    }

    /// Makes a Git repository with a project in it: a stage `train`, its parameters `lr` and `depth`, one commit.
    pub fn with_project() -> Result<Self, Failure> {
        let place = Self::empty()?;
        let write = |name: &str, text: &str| fs::write(place.path.join(name), text);
        place.git(&["init", "-q", "-b", "main"])?;
        write("train.sh", TRAIN)?;
        write("dvc.yaml", PIPELINE)?;
        write(
            "params.yaml",
            "# How the model is trained.\nlr: 1      # of the optimizer\ndepth: 2\n",
        )?;
        init(&place.path, &InitOptions { hash: Algorithm::Sha256, subdir: false, replace: false })?;
        place.git(&["add", "."])?;
        place.git(&["commit", "-q", "-m", "A pipeline"])?;
        Ok(place)
    }

    /// Returns the directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the project that the directory lies in.
    pub fn open(&self) -> Result<Project, Failure> {
        let options =
            ProjectOptions { env: self.env(), config: self.config(), ..ProjectOptions::default() };
        Ok(Project::discover(&self.path, options)?)
    }

    /// Returns the environment for Git: that of this process, and an identity where the directory is ours.
    ///
    /// The libraries do not read the environment by themselves: a program decides what they see.
    #[expect(
        clippy::disallowed_methods,
        reason = "a program hands its environment to the libraries"
    )]
    pub fn env(&self) -> GitEnv {
        let env = GitEnv::new(std::env::vars_os());
        if self.made.is_none() {
            return env;
        }
        ["AUTHOR", "COMMITTER"].iter().fold(env, |env, who| {
            env.with(&format!("GIT_{who}_NAME"), "Example")
                .with(&format!("GIT_{who}_EMAIL"), "example@example.org")
        })
    }

    /// Returns where configuration of the user is; that of the project is found by the engine.
    fn config(&self) -> ConfigFiles {
        let env = self.env();
        let home = env.get("HOME").map(PathBuf::from).filter(|_| self.made.is_none());
        let global = home.as_ref().map(|home| home.join(".config/dvc/config"));
        ConfigFiles { global, home, ..ConfigFiles::default() }
    }

    /// Runs `git` in the directory and returns what it printed.
    ///
    /// # Errors
    ///
    /// When it cannot be started or fails, with what it said.
    pub fn git(&self, args: &[&str]) -> Result<String, Failure> {
        let identity = ["-c", "user.name=Example", "-c", "user.email=example@example.org"];
        let output =
            Command::new("git").args(identity).args(args).current_dir(&self.path).output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("git {}: {}", args.join(" "), said.trim()).into())
        }
    }
}

/// Prints a line.
///
/// # Errors
///
/// When nobody reads it any more.
pub fn print(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
