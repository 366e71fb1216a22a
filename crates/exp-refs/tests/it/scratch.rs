//! A Git repository of one test, with a home of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use exp_core::Timestamp;
use exp_refs::{
    CommitId, Content, Draft, ExperimentStore, Git, GitEnv, OpenOptions, TreeChange, TreeEdit,
};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A repository on branch `main` in a temporary directory.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Makes a repository without a commit.
    pub(crate) fn unborn() -> Self {
        Self::init(&[])
    }

    /// Makes a repository with the given arguments to `git init`.
    pub(crate) fn init(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let scratch = Self { dir };
        fs::create_dir_all(scratch.root()).expect("a directory");
        let mut all = vec!["init", "-q", "-b", "main"];
        all.extend(args);
        scratch.git(&all);
        scratch
    }

    /// Makes a repository with one commit of `params.yaml`, `train.py` (executable) and `src/a.py`.
    pub(crate) fn new() -> Self {
        let scratch = Self::unborn();
        scratch.write("params.yaml", "lr: 0.01\n");
        scratch.write("train.py", "print(1)\n");
        scratch.write("src/a.py", "a = 1\n");
        scratch.git(&["add", "."]);
        scratch.git(&["update-index", "--chmod=+x", "train.py"]);
        scratch.git(&["commit", "-q", "-m", "first"]);
        scratch.git(&["checkout", "-q", "-f", "main"]);
        scratch
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a path in the repository")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn env(&self) -> GitEnv {
        let path = std::process::Command::new("sh").arg("-c").arg("printf %s \"$PATH\"").output();
        let path = String::from_utf8(path.expect("a shell").stdout).expect("a text");
        GitEnv::default()
            .with("HOME", self.home())
            .with("PATH", path)
            .with("GIT_CONFIG_GLOBAL", "/dev/null")
            .with("GIT_CONFIG_NOSYSTEM", "1")
            .with("GIT_AUTHOR_NAME", "T")
            .with("GIT_AUTHOR_EMAIL", "t@e.x")
            .with("GIT_COMMITTER_NAME", "T")
            .with("GIT_COMMITTER_EMAIL", "t@e.x")
    }

    pub(crate) fn command_in(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.current_dir(dir).args(args);
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
            command.env_remove(name);
        }
        for (name, value) in [
            ("HOME", self.home().to_str().expect("a text")),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_AUTHOR_NAME", "T"),
            ("GIT_AUTHOR_EMAIL", "t@e.x"),
            ("GIT_COMMITTER_NAME", "T"),
            ("GIT_COMMITTER_EMAIL", "t@e.x"),
            ("GIT_AUTHOR_DATE", "1795410000 +0000"),
            ("GIT_COMMITTER_DATE", "1795410000 +0000"),
        ] {
            command.env(name, value);
        }
        command
    }

    pub(crate) fn try_git(&self, args: &[&str]) -> Output {
        self.command_in(&self.root(), args).output().expect("git runs")
    }

    /// Runs `git` and returns what it prints, without the last newline.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.try_git(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    pub(crate) fn open(&self) -> Git {
        self.open_at(&self.root())
    }

    #[track_caller]
    pub(crate) fn open_at(&self, dir: &Path) -> Git {
        OpenOptions { env: self.env(), durable: true }.open(dir).expect("a repository")
    }

    pub(crate) fn store(&self) -> ExperimentStore {
        ExperimentStore::new(self.open())
    }

    #[track_caller]
    pub(crate) fn rev(&self, revision: &str) -> CommitId {
        self.git(&["rev-parse", revision]).parse().expect("a commit")
    }

    /// Fails unless Git finds nothing wrong with the repository.
    #[track_caller]
    pub(crate) fn fsck(&self) {
        let output = self.try_git(&["fsck", "--strict", "--no-dangling"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !text.contains("error"), "git fsck: {text}");
    }

    /// Returns the bytes of everything that a run must not touch.
    pub(crate) fn untouchable(&self) -> Vec<(String, Option<Vec<u8>>)> {
        [
            "HEAD",
            "index",
            "refs/stash",
            "logs/HEAD",
            "logs/refs/stash",
            "logs/refs/heads/main",
            "refs/heads/main",
            "ORIG_HEAD",
        ]
        .into_iter()
        .map(|name| (name.to_owned(), fs::read(self.root().join(".git").join(name)).ok()))
        .collect()
    }
}

/// A draft on `parent` that writes `params.yaml`.
pub(crate) fn draft(parent: CommitId, text: &str) -> Draft {
    Draft {
        parent,
        base: None,
        changes: vec![write("params.yaml", text)],
        message: "dvc: commit experiment 44136fa3".to_owned(),
        author: None,
        time: Timestamp { seconds: 1_795_410_005, offset: 3_600 },
        record: None,
    }
}

pub(crate) fn write(path: &str, text: &str) -> TreeChange {
    let content = Content::Bytes(text.as_bytes().to_vec());
    change(path, TreeEdit::Write { content, executable: false })
}

pub(crate) fn change(path: &str, edit: TreeEdit) -> TreeChange {
    TreeChange { path: path.parse().expect("a path"), edit }
}
