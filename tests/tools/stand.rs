//! A repository, and our binary under the name `dvc` at the front of the search path.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use exp_tests::{Answer, Oracle, Sandbox, Skip, Tool, git, run_shell};
use serde_json::Value as Json;

use crate::{Fails, Outcome};

/// How long something may take that happens at once.
const PATIENCE: Duration = Duration::from_mins(1);

/// The repository and what runs in it.
pub(crate) struct Stand {
    sandbox: Sandbox,
    exp: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
}

impl Stand {
    /// Makes an empty repository.
    pub(crate) fn new() -> Fails<Stand> {
        let sandbox = Sandbox::new()?;
        let exp = Tool::find_exp()?;
        let bin = sandbox.path().join("bin");
        fs::create_dir(&bin)?;
        std::os::unix::fs::symlink(&exp, bin.join("dvc"))?;
        std::os::unix::fs::symlink(&exp, bin.join("exp"))?;
        let env = sandbox.env("tools", &[bin]);
        let stand = Stand { sandbox, exp, env };
        fs::create_dir(stand.root())?;
        stand.git(&["init", "-q"])?;
        Ok(stand)
    }

    /// The repository.
    pub(crate) fn root(&self) -> PathBuf {
        self.sandbox.path().join("repo")
    }

    /// A path in the repository, or beside it.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes files: pairs of a path and a text.
    pub(crate) fn write(&self, files: &[(&str, &str)]) -> Outcome {
        for (path, text) in files {
            let path = self.at(path);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    pub(crate) fn read(&self, path: &str) -> Fails<String> {
        fs::read_to_string(self.at(path)).map_err(|error| format!("{path}: {error}").into())
    }

    pub(crate) fn git(&self, args: &[&str]) -> Fails<String> {
        Ok(git(&self.root(), &self.env, args)?)
    }

    /// Commits everything.
    pub(crate) fn commit(&self, message: &str) -> Outcome {
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-qm", message])?;
        Ok(())
    }

    /// Runs `dvc`, whatever comes of it.
    pub(crate) fn dvc(&self, args: &[&str]) -> Fails<Answer> {
        self.dvc_in("", args)
    }

    /// Runs `dvc` in a directory of the repository.
    pub(crate) fn dvc_in(&self, dir: &str, args: &[&str]) -> Fails<Answer> {
        let mut command = Command::new(self.sandbox.path().join("bin/dvc"));
        command.args(args).current_dir(self.at(dir)).env_clear().envs(&self.env);
        Ok(Answer::of(&mut command)?)
    }

    /// Runs `dvc`, which has to succeed, and returns its standard output.
    pub(crate) fn done(&self, args: &[&str]) -> Fails<String> {
        let answer = self.dvc(args)?;
        if answer.code == 0 {
            return Ok(answer.stdout);
        }
        Err(format!("dvc {}: {}\n{}", args.join(" "), answer.code, answer.both()).into())
    }

    /// Runs `dvc`, which has to answer with JSON and nothing else.
    pub(crate) fn json(&self, args: &[&str]) -> Fails<Json> {
        let text = self.done(args)?;
        // JSON of Python has numbers that are none.
        let text = text.replace(": NaN", ": null").replace(": Infinity", ": null");
        serde_json::from_str(&text)
            .map_err(|error| format!("dvc {}: {error}\n{text}", args.join(" ")).into())
    }

    /// Runs `exp`, which has to succeed, and returns what it said.
    pub(crate) fn exp(&self, args: &[&str]) -> Fails<String> {
        let mut command = Command::new(&self.exp);
        command.args(args).current_dir(self.root()).env_clear().envs(&self.env);
        let answer = Answer::of(&mut command)?;
        if answer.code == 0 {
            return Ok(answer.both());
        }
        Err(format!("exp {}: {}\n{}", args.join(" "), answer.code, answer.both()).into())
    }

    /// Starts `dvc` in a process group of its own.
    pub(crate) fn start(&self, args: &[&str]) -> Fails<Child> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(self.sandbox.path().join("bin/dvc"));
        command.args(args).current_dir(self.root()).env_clear().envs(&self.env);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.process_group(0).spawn()?)
    }

    /// Runs a line of shell in the repository, which has to succeed.
    pub(crate) fn shell(&self, line: &str) -> Fails<String> {
        let answer = run_shell(line, &self.root(), &self.env)?;
        if answer.code == 0 {
            return Ok(answer.both());
        }
        Err(format!("{line}: {}\n{}", answer.code, answer.both()).into())
    }

    /// Waits until something is so.
    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut(&Self) -> Fails<bool>) -> Outcome {
        let limit = Instant::now() + PATIENCE;
        while !is_so(self)? {
            if Instant::now() > limit {
                return Err(format!("{what} did not happen").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The full names of the refs that experiments have as files of their own, which editors watch.
    pub(crate) fn loose_refs(&self) -> Fails<Vec<String>> {
        let top = self.at(".git/refs/exps");
        let (mut found, mut waiting) = (Vec::new(), vec![top]);
        while let Some(dir) = waiting.pop() {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    waiting.push(path);
                } else if let Ok(name) = path.strip_prefix(self.at(".git")) {
                    found.push(name.display().to_string());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Makes a Python the one that commands find. A link would not find the packages of its environment, a script does.
    pub(crate) fn with_python(&self, python: &Path) -> Outcome {
        let path = self.at("../bin/python");
        fs::write(&path, format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display()))?;
        self.shell("chmod +x ../bin/python")?;
        Ok(())
    }

    /// The Python with the real `dvc` and `DVCLive`, or why there is none.
    pub(crate) fn python() -> Result<PathBuf, Skip> {
        let python = Oracle::find()?.bin().join("python");
        let script = "import importlib.metadata as m; print(m.version('dvclive'))";
        match Answer::of(Command::new(&python).args(["-c", script])) {
            Ok(answer) if answer.code == 0 => Ok(python),
            _ => Err(Skip { reason: "no dvclive beside dvc: run `cargo xtask setup`".to_owned() }),
        }
    }
}

/// Says that a test was skipped; the summary of all tests counts it.
#[expect(clippy::unnecessary_wraps, reason = "it is what a test returns")]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skipped(skip: &Skip) -> Outcome {
    eprintln!("SKIPPED: {skip}");
    Ok(())
}

/// Whether a process lives and is no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}
