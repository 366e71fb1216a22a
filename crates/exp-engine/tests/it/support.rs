//! Projects for tests: a real Git repository in a temporary directory, with a home of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use exp_engine::core::{Ctx, RelPath, Selection};
use exp_engine::params::Overrides;
use exp_engine::refs::GitEnv;
use exp_engine::{Place, Project, ProjectOptions, ReproRequest, RunOutcome, RunRequest};

pub(crate) type Test = Result<(), Box<dyn Error>>;

/// A project with a repository.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

/// Everything of a repository that a run must not change, by path.
pub(crate) type GitState = BTreeMap<PathBuf, Vec<u8>>;

impl Sandbox {
    /// Makes a project that addresses by MD5, with a first commit of `files`.
    pub(crate) fn new(files: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let sandbox = Self { dir: tempfile::tempdir()? };
        fs::create_dir_all(sandbox.root().join(".dvc"))?;
        sandbox.write(".dvc/config", "")?;
        sandbox.write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")?;
        for (path, text) in files {
            sandbox.write(path, text)?;
        }
        sandbox.git(&["init", "-q", "-b", "main"])?;
        sandbox.commit("first")?;
        Ok(sandbox)
    }

    /// Makes a project with one stage `train` that writes `metrics.json` (not cached) and `model` (cached).
    pub(crate) fn with_stage() -> Result<Self, Box<dyn Error>> {
        Self::new(&[
            ("params.yaml", "lr: 0.1  # learning rate\nfail: 0\n"),
            ("train.sh", TRAIN),
            ("dvc.yaml", PIPELINE),
        ])
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Test {
        let path = self.root().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, text)?)
    }

    pub(crate) fn read(&self, path: &str) -> Result<String, Box<dyn Error>> {
        Ok(fs::read_to_string(self.root().join(path))
            .map_err(|error| format!("{path}: {error}"))?)
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.root().join(path).symlink_metadata().is_ok()
    }

    /// Runs `git` in the project and returns what it printed.
    pub(crate) fn git(&self, args: &[&str]) -> Result<String, Box<dyn Error>> {
        git(&self.root(), self.dir.path(), args)
    }

    pub(crate) fn commit(&self, message: &str) -> Test {
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-q", "-m", message])?;
        Ok(())
    }

    /// The environment that Git and the engine see.
    pub(crate) fn env(&self) -> GitEnv {
        GitEnv::new(environment(self.dir.path()).map(|(name, value)| (name.into(), value.into())))
    }

    pub(crate) fn options(&self) -> ProjectOptions {
        ProjectOptions { env: self.env(), durable: false, ..ProjectOptions::default() }
    }

    pub(crate) fn project(&self) -> Result<Project, Box<dyn Error>> {
        Ok(Project::discover(&self.root(), self.options())?)
    }

    /// Runs an experiment in the workspace with these overrides.
    pub(crate) fn run(&self, overrides: &[&str]) -> Result<RunOutcome, Box<dyn Error>> {
        Ok(self.project()?.run(&Ctx::silent(), &request(overrides)?)?)
    }

    /// Returns `HEAD`, index, stash, branches and their logs, byte for byte.
    pub(crate) fn git_state(&self) -> Result<GitState, Box<dyn Error>> {
        let dir = self.root().join(".git");
        let mut state = GitState::new();
        for name in ["HEAD", "index", "ORIG_HEAD", "packed-refs", "config", "refs", "logs"] {
            collect(&dir, &dir.join(name), &mut state)?;
        }
        state.retain(|path, _| !path.starts_with("refs/exp") && !path.starts_with("refs/exps"));
        Ok(state)
    }

    /// Checks the repository with `git fsck`.
    pub(crate) fn fsck(&self) -> Test {
        self.git(&["fsck", "--strict", "--no-dangling"])?;
        Ok(())
    }
}

/// What a run in the workspace asks for.
pub(crate) fn request(overrides: &[&str]) -> Result<RunRequest, Box<dyn Error>> {
    let parsed = Overrides::parse(overrides)?;
    Ok(RunRequest {
        repro: ReproRequest {
            selection: Selection::of_dir(&RelPath::root())?,
            ..ReproRequest::default()
        },
        overrides: parsed.single().ok_or("a sweep")?,
        cwd: RelPath::root(),
        name: None,
        message: None,
        replace: false,
        place: Place::Workspace,
        ..RunRequest::default()
    })
}

pub(crate) fn git(dir: &Path, home: &Path, args: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(environment(home))
        .output()?;
    if !output.status.success() {
        return Err(format!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn environment(home: &Path) -> impl Iterator<Item = (&'static str, String)> {
    [
        ("HOME", home.display().to_string()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_AUTHOR_NAME", "Test".to_owned()),
        ("GIT_AUTHOR_EMAIL", "test@example.com".to_owned()),
        ("GIT_COMMITTER_NAME", "Test".to_owned()),
        ("GIT_COMMITTER_EMAIL", "test@example.com".to_owned()),
    ]
    .into_iter()
}

fn collect(base: &Path, path: &Path, state: &mut GitState) -> Test {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(base, &entry?.path(), state)?;
        }
    } else if path.exists() {
        state.insert(path.strip_prefix(base)?.to_path_buf(), fs::read(path)?);
    }
    Ok(())
}

const PIPELINE: &str = "\
stages:
  train:
    cmd: sh train.sh
    deps:
    - train.sh
    params:
    - lr
    - fail
    outs:
    - model
    metrics:
    - metrics.json:
        cache: false
";

const TRAIN: &str = r#"lr=$(sed -n 's/^lr: *\([^ ]*\).*/\1/p' params.yaml)
fail=$(sed -n 's/^fail: *\([^ ]*\).*/\1/p' params.yaml)
echo "training with $lr"
echo "{\"acc\": $lr}" > metrics.json
if [ "$fail" != 0 ]; then echo "no good" >&2; exit "$fail"; fi
echo "model $lr" > model
"#;
