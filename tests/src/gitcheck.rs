//! Looks at a Git repository with the real `git`: is it sound, and did anything move?

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sandbox::git;

/// A repository to look at.
#[derive(Clone, Debug)]
pub struct GitCheck {
    dir: PathBuf,
    env: BTreeMap<String, String>,
}

/// The bytes of what a run must not move, by name: `HEAD`, the index, the stash with its log, and every branch and tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<String, Vec<u8>>);

impl Snapshot {
    /// The names of what differs between two snapshots, in order.
    pub fn changed(&self, other: &Snapshot) -> Vec<String> {
        let mut names: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }
}

impl GitCheck {
    /// Looks at the repository whose work tree is `dir`.
    pub fn new(dir: &Path, env: &BTreeMap<String, String>) -> GitCheck {
        GitCheck { dir: dir.to_path_buf(), env: env.clone() }
    }

    /// Fails when `git fsck --strict` finds an object that is missing or malformed.
    pub fn fsck(&self) -> io::Result<()> {
        git(&self.dir, &self.env, &["fsck", "--strict", "--no-dangling", "--no-progress"]).map(drop)
    }

    /// Every ref and the object it names.
    pub fn refs(&self) -> io::Result<BTreeMap<String, String>> {
        let text =
            git(&self.dir, &self.env, &["for-each-ref", "--format=%(refname) %(objectname)"])?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect())
    }

    /// Takes the bytes of `HEAD`, the index and the stash, and the branches and tags.
    pub fn snapshot(&self) -> io::Result<Snapshot> {
        let git_dir = git(&self.dir, &self.env, &["rev-parse", "--absolute-git-dir"])?;
        let git_dir = Path::new(git_dir.trim_end());
        let mut found = BTreeMap::new();
        for name in ["HEAD", "index", "logs/HEAD", "refs/stash", "logs/refs/stash", "ORIG_HEAD"] {
            match fs::read(git_dir.join(name)) {
                Ok(bytes) => drop(found.insert(name.to_owned(), bytes)),
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                Err(err) => return Err(err),
            }
        }
        for (name, id) in self.refs()? {
            if !name.starts_with("refs/exps/") && !name.starts_with("refs/exp/") {
                found.insert(name, id.into_bytes());
            }
        }
        Ok(Snapshot(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Sandbox, run_shell};

    #[test]
    fn a_snapshot_notices_a_staged_file_a_commit_and_a_branch() -> io::Result<()> {
        let sandbox = Sandbox::new()?;
        let env = sandbox.env("one", &[]);
        let run = |line: &str| run_shell(line, sandbox.path(), &env);
        let check = GitCheck::new(sandbox.path(), &env);
        run("git init -q && echo a > a && git add a && git commit -qm a")?;
        let before = check.snapshot()?;
        assert_eq!(before.changed(&check.snapshot()?), Vec::<String>::new());
        run("echo b > b && git add b && git update-ref refs/exps/aa/bb/x HEAD")?;
        assert_eq!(before.changed(&check.snapshot()?), ["index"]);
        run("git commit -qm b && git branch c")?;
        let changed = before.changed(&check.snapshot()?);
        assert_eq!(changed, ["index", "logs/HEAD", "refs/heads/c", "refs/heads/main"]);
        check.fsck()
    }

    #[test]
    fn fsck_notices_a_missing_object() -> io::Result<()> {
        let sandbox = Sandbox::new()?;
        let env = sandbox.env("one", &[]);
        run_shell(
            "git init -q && echo a > a && git add a && git commit -qm a",
            sandbox.path(),
            &env,
        )?;
        run_shell(
            "rm -f .git/objects/$(git rev-parse HEAD:a | sed 's,^..,&/,')",
            sandbox.path(),
            &env,
        )?;
        assert!(GitCheck::new(sandbox.path(), &env).fsck().is_err());
        Ok(())
    }
}
