//! Command lines in, text and exit codes out, all in this process.

mod bits;
mod config;
mod data;
mod dry;
mod events;
mod faults;
mod grammar;
mod hydra;
mod import;
mod init;
mod interactive;
mod log;
mod outside;
mod pipeline;
mod plot;
mod queue;
mod report;
mod show;
mod sweep;
mod sync;
mod table;
mod targets;
mod verbs;
mod zone;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use exp_cli::{Environment, Io};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// A Git repository with a home of its own; below it `.dvc` when it was asked for.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
    /// Where commands run.
    pub(crate) cwd: PathBuf,
}

/// What a command line gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Sandbox {
    /// Makes a directory without anything.
    pub(crate) fn empty() -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let cwd = dir.path().canonicalize()?.join("repo");
        std::fs::create_dir_all(&cwd)?;
        std::fs::create_dir_all(dir.path().join("home"))?;
        Ok(Self { dir, cwd })
    }

    /// Makes a Git repository with an empty project.
    pub(crate) fn project() -> Result<Self, Box<dyn Error>> {
        let sandbox = Self::empty()?;
        sandbox.git(&["init", "--quiet"])?;
        std::fs::create_dir(sandbox.cwd.join(".dvc"))?;
        std::fs::write(sandbox.cwd.join(".dvc/config"), "")?;
        Ok(sandbox)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.cwd
    }

    pub(crate) fn read(&self, path: &str) -> Result<String, Box<dyn Error>> {
        Ok(std::fs::read_to_string(self.cwd.join(path)).map_err(|err| format!("{path}: {err}"))?)
    }

    pub(crate) fn git(&self, args: &[&str]) -> Result<String, Box<dyn Error>> {
        let output =
            Command::new("git").args(args).current_dir(&self.cwd).envs(self.vars()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs `git` at a fixed time.
    pub(crate) fn git_at(&self, time: u32, args: &[&str]) -> Result<String, Box<dyn Error>> {
        let date = format!("{time} +0000");
        let mut command = Command::new("git");
        command.args(args).current_dir(&self.cwd).envs(self.vars());
        let output =
            command.env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    pub(crate) fn vars(&self) -> BTreeMap<std::ffi::OsString, std::ffi::OsString> {
        let home = self.dir.path().join("home").into_os_string();
        [
            ("HOME".into(), home.clone()),
            ("TZ".into(), "UTC0".into()),
            ("DVC_SYSTEM_CONFIG_DIR".into(), home),
            ("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
            ("GIT_AUTHOR_NAME".into(), "a".into()),
            ("GIT_AUTHOR_EMAIL".into(), "a@example.org".into()),
            ("GIT_COMMITTER_NAME".into(), "a".into()),
            ("GIT_COMMITTER_EMAIL".into(), "a@example.org".into()),
        ]
        .into()
    }

    /// Runs a command line, split at blanks.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_in(&self.cwd, line)
    }

    /// Runs a command line in a directory.
    pub(crate) fn run_in(&self, cwd: &Path, line: &str) -> Ran {
        let env =
            Environment { cwd: cwd.to_path_buf(), vars: self.vars(), ..Environment::default() };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io::captured(&mut out, &mut err, env);
        let status = exp_cli::run(line.split(' '), &mut io);
        drop(io);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: status.code(), out: text(&out), err: text(&err) }
    }

    /// Runs a command line and compares exit code, standard output and standard error.
    #[track_caller]
    pub(crate) fn check(&self, line: &str, code: u8, out: &str, err: &str) {
        let ran = self.run(line);
        assert_eq!((ran.code, &*ran.out, &*ran.err), (code, out, err), "{line}");
    }
}
