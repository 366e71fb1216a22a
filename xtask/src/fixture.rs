//! A temporary place with a home and a Git identity of its own, for the demo and the benchmarks.

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::process::capture;

/// The variables that a command inherits; everything else is left out.
const INHERITED: &[&str] = &["PATH", "TMPDIR", "LANG"];

/// A directory that is deleted on drop unless it is kept.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    keep: bool,
}

impl Place {
    /// Makes the directory, with a home that holds a Git identity.
    pub(crate) fn new(name: &str) -> Result<Place, String> {
        Self::new_in(&std::env::temp_dir(), name)
    }

    /// Makes the directory below another one.
    pub(crate) fn new_in(home: &Path, name: &str) -> Result<Place, String> {
        let moment =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        let path = home.join(format!("exp-{name}-{}-{moment}", std::process::id()));
        let place = Place { path, keep: false };
        write(
            &place.path.join("home/.gitconfig"),
            "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n",
        )?;
        Ok(place)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the directory behind.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }

    /// A command that runs in a directory of the place and sees nothing of the caller's home.
    #[expect(clippy::disallowed_methods, reason = "a task hands on what commands need")]
    pub(crate) fn command(&self, program: &Path, args: &[&str], below: &str) -> Command {
        let home = self.path.join("home");
        let mut command = Command::new(program);
        command.args(args).current_dir(self.path.join(below)).env_clear();
        for name in INHERITED {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // The workers of dvc start `dvc`, and are waited for for ever where there is none.
        if let Some(dir) = program.parent().filter(|dir| dir.is_absolute()) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let dirs = iter::once(dir.to_path_buf()).chain(std::env::split_paths(&path));
            command.envs(std::env::join_paths(dirs).map(|path| ("PATH", path)));
        }
        command
            .env("HOME", &home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("DVC_NO_ANALYTICS", "1")
            .env("DVC_SITE_CACHE_DIR", self.path.join("site"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("TERM", "dumb");
        command
    }

    /// Runs `git` in a directory of the place and returns what it printed.
    pub(crate) fn git(&self, below: &str, args: &[&str]) -> Result<String, String> {
        capture(&mut self.command(Path::new("git"), args, below))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            let _leftover = fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes a file and the directories above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let done =
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    done.map_err(|err| format!("cannot write {}: {err}", path.display()))
}

/// Reads a file as text.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|err| format!("cannot read {}: {err}", path.display()))
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |err: std::io::Error| format!("cannot copy {}: {err}", from.display());
    fs::create_dir_all(to).map_err(fail)?;
    for entry in fs::read_dir(from).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map(drop).map_err(fail)?;
        }
    }
    Ok(())
}
