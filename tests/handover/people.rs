//! Two people with one repository: one works with the real `dvc`, one with `exp dvc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use exp_tests::{Answer, Oracle, Sandbox, Skip, Tool, git, run_shell};

use crate::place::Place;
use crate::{Fails, Outcome};

/// Whose tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The real `dvc`.
    Dvc,
    /// `exp dvc`.
    Us,
}

/// The sandbox of two people.
#[derive(Debug)]
pub(crate) struct Team {
    sandbox: Sandbox,
    oracle: Oracle,
    exp: PathBuf,
    env: BTreeMap<String, String>,
}

impl Team {
    pub(crate) fn new(sandbox: Sandbox) -> Fails<Result<Team, Skip>> {
        let oracle = match Oracle::find() {
            Ok(oracle) => oracle,
            Err(skip) => return Ok(Err(skip)),
        };
        let env = sandbox.env("handover", &[]);
        Ok(Ok(Team { exp: Tool::find_exp()?, oracle, env, sandbox }))
    }

    /// A directory of the sandbox.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    /// Runs a command of DVC's grammar with someone's tool; one that fails is an error with what it said.
    pub(crate) fn does(&self, who: Who, dir: &str, args: &[&str]) -> Fails<String> {
        let mut command = match who {
            Who::Dvc => Command::new(self.oracle.bin().join("dvc")),
            Who::Us => Command::new(&self.exp),
        };
        if who == Who::Us {
            command.arg("dvc");
        }
        command.args(args).current_dir(self.dir(dir)).env_clear().envs(&self.env);
        let answer = Answer::of(&mut command)?;
        if answer.code == 0 {
            return Ok(answer.both());
        }
        Err(format!("{who:?} {} in {dir}: {}\n{}", args.join(" "), answer.code, answer.both())
            .into())
    }

    /// Runs a script with the Python of the real `dvc`, in the directory of both.
    pub(crate) fn python(&self, script: &str, args: &[&str]) -> Outcome {
        let mut command = Command::new(self.oracle.bin().join("python"));
        command.arg("-c").arg(script).args(args).current_dir(self.dir(""));
        let answer = Answer::of(command.env_clear().envs(&self.env))?;
        if answer.code == 0 { Ok(()) } else { Err(answer.both().into()) }
    }

    pub(crate) fn git(&self, dir: &str, args: &[&str]) -> io::Result<String> {
        git(&self.dir(dir), &self.env, args)
    }

    /// The digest of bytes, by a program that is neither tool.
    pub(crate) fn md5(&self, bytes: &[u8]) -> Fails<String> {
        let path = self.dir("to-digest");
        fs::write(&path, bytes)?;
        let answer = run_shell("md5sum to-digest", self.sandbox.path(), &self.env)?;
        Ok(answer.stdout.split(' ').next().unwrap_or_default().to_owned())
    }

    /// Makes a repository with someone's tool that knows a remote.
    pub(crate) fn start(&self, who: Who, dir: &str, place: &Place) -> Outcome {
        fs::create_dir_all(self.dir(dir))?;
        self.git(dir, &["init", "-q"])?;
        self.does(who, dir, &["init", "-q"])?;
        self.does(who, dir, &["remote", "add", "-d", "far", &place.url])?;
        for (name, value) in &place.options {
            self.does(who, dir, &["remote", "modify", "far", name, value])?;
        }
        for (name, value) in &place.secrets {
            self.does(who, dir, &["remote", "modify", "--local", "far", name, value])?;
        }
        Ok(())
    }

    pub(crate) fn commit(&self, dir: &str) -> Outcome {
        self.git(dir, &["add", "-A"])?;
        self.git(dir, &["commit", "-qm", "Work"])?;
        Ok(())
    }

    /// Clones a repository for someone who knows the secrets.
    pub(crate) fn clone(&self, from: &str, to: &str) -> Outcome {
        self.git("", &["clone", "-q", from, to])?;
        let secrets = self.dir(from).join(".dvc/config.local");
        if secrets.is_file() {
            fs::copy(secrets, self.dir(to).join(".dvc/config.local"))?;
        }
        Ok(())
    }
}

/// Writes a file and the directories above.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // What is there may be a read-only link into the store.
    if path.exists() {
        fs::remove_file(path)?;
    }
    fs::write(path, bytes)
}

pub(crate) fn make_executable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Every file below a directory: bytes by path.
pub(crate) fn files(root: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                found.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// Whether the owner may run a file.
pub(crate) fn is_executable(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o100 != 0)
}
