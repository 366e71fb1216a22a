//! A small project of `exp`'s own kind (SHA-256), made by the binary alone.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use exp_tests::{Answer, GitCheck, Normalizer, Observation, Sandbox, Tool, git, observe};

/// What tests return.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

const PIPELINE: &str = "\
stages:
  prepare:
    cmd: tr a-z A-Z < data.txt > clean.txt
    deps:
    - data.txt
    outs:
    - clean.txt
  train:
    cmd: sh train.sh
    deps:
    - clean.txt
    - train.sh
    params:
    - lr
    outs:
    - model.txt
    metrics:
    - metrics.json:
        cache: false
";

const PARAMS: &str = "# Rates.\nlr: 0.1  # of learning\n";

const TRAIN: &str = "\
lr=$(sed -n 's/^lr: *\\([^ ]*\\).*/\\1/p' params.yaml)
{ echo \"$lr\"; cat clean.txt; } > model.txt
echo \"{\\\"accuracy\\\": $lr}\" > metrics.json
";

/// A repository with a pipeline that ran once and is committed.
pub(crate) struct Project {
    sandbox: Sandbox,
    exp: PathBuf,
    env: BTreeMap<String, String>,
}

impl Project {
    /// Makes the project.
    pub(crate) fn new() -> Result<Project, Box<dyn Error>> {
        let sandbox = Sandbox::new()?;
        let env = sandbox.env("e2e", &[]);
        let project = Project { exp: Tool::find_exp()?, sandbox, env };
        fs::create_dir(project.dir("repo"))?;
        project.write("dvc.yaml", PIPELINE)?;
        project.write("params.yaml", PARAMS)?;
        project.write("train.sh", TRAIN)?;
        project.write("data.txt", "alpha\nbeta\n")?;
        project.git(&["init", "-q"])?;
        project.done("repo", &["init"])?;
        project.done("repo", &["data", "add", "data.txt"])?;
        project.git(&["add", "."])?;
        project.git(&["commit", "-qm", "Pipeline"])?;
        project.done("repo", &["repro"])?;
        project.git(&["add", "."])?;
        project.git(&["commit", "-qm", "Results"])?;
        Ok(project)
    }

    /// A directory beside the repository, or the repository itself (`repo`).
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(name)
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> std::io::Result<()> {
        fs::write(self.dir("repo").join(path), text)
    }

    pub(crate) fn read(&self, path: &str) -> std::io::Result<String> {
        fs::read_to_string(self.dir("repo").join(path))
    }

    /// Runs `exp`, whatever comes of it.
    pub(crate) fn exp(&self, below: &str, args: &[&str]) -> std::io::Result<Answer> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        Tool::Exp(self.exp.clone()).run(&args, &self.dir(below), &self.env)
    }

    /// Runs `exp`, which has to succeed, and returns what it said.
    #[track_caller]
    pub(crate) fn done(&self, below: &str, args: &[&str]) -> Result<String, Box<dyn Error>> {
        let answer = self.exp(below, args)?;
        if answer.code == 0 {
            return Ok(answer.both());
        }
        Err(format!("exp {} ended with {}:\n{}", args.join(" "), answer.code, answer.both()).into())
    }

    /// Starts `exp` without waiting for it.
    pub(crate) fn start(&self, args: &[&str]) -> std::io::Result<std::process::Child> {
        Command::new(&self.exp)
            .args(args)
            .current_dir(self.dir("repo"))
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    /// Returns `exp`.
    pub(crate) fn program(&self) -> PathBuf {
        self.exp.clone()
    }

    /// Returns a command to be started in a directory of the sandbox, with its environment.
    pub(crate) fn command(&self, program: &str, below: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir(below)).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    pub(crate) fn git(&self, args: &[&str]) -> std::io::Result<String> {
        self.git_in("repo", args)
    }

    /// Runs `git` in another directory of the sandbox.
    pub(crate) fn git_in(&self, below: &str, args: &[&str]) -> std::io::Result<String> {
        git(&self.dir(below), &self.env, args)
    }

    pub(crate) fn git_check(&self) -> GitCheck {
        GitCheck::new(&self.dir("repo"), &self.env)
    }

    /// Files, experiments, branches and the index, as bytes and commits.
    pub(crate) fn state(&self) -> std::io::Result<Vec<Observation>> {
        let dir = self.dir("repo");
        let normalizer = Normalizer::new(&dir, &dir, &self.env)?;
        ["work", "yaml", "lock", "dvcfiles", "ignore", "exps", "tree", "refs", "index"]
            .iter()
            .map(|aspect| observe(aspect, &dir, &self.env, &normalizer))
            .collect()
    }

    /// The names of finished experiments, as the real `dvc` would list them.
    pub(crate) fn experiments(&self) -> std::io::Result<Vec<String>> {
        let refs = self.git_check().refs()?;
        let names = refs.keys().filter_map(|name| name.strip_prefix("refs/exps/"));
        Ok(names.filter_map(|rest| rest.splitn(3, '/').nth(2)).map(str::to_owned).collect())
    }
}
