//! Patches and counts of changed lines, with the `git` program, whose diff people know.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::error::GitError;
use crate::id::CommitId;
use crate::name::TreePath;
use crate::repo::Git;

/// How much of a file changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// The file.
    pub path: TreePath,
    /// Lines that are new, and lines that are gone; `None` for a file that is not text.
    pub lines: Option<(u64, u64)>,
}

/// What a patch is about.
#[derive(Debug, Clone, Copy)]
pub struct PatchOptions<'p> {
    /// The files; a patch of no files is empty.
    pub paths: &'p [TreePath],
    /// Whether it leads from the new state to the old one.
    pub reverse: Reverse,
    /// Whether it has the colors of a terminal.
    pub colour: bool,
}

/// Which way a patch leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reverse {
    /// From the old state to the new one.
    #[default]
    No,
    /// From the new state to the old one.
    Yes,
}

impl Git {
    /// Returns the files that differ between two commits, or a commit and the work tree, by path.
    ///
    /// Of the work tree only files that Git tracks count. A renamed file is one that is gone and one that is new.
    pub fn diff_stat(
        &self,
        old: CommitId,
        new: Option<CommitId>,
    ) -> Result<Vec<FileStat>, GitError> {
        let out = self.run_diff(old, new, &["--numstat", "-z"], &[])?;
        let lines = out.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        Ok(lines.filter_map(read_stat).collect())
    }

    /// Returns the patch between two commits, or a commit and the work tree.
    pub fn diff_patch(
        &self,
        old: CommitId,
        new: Option<CommitId>,
        options: &PatchOptions<'_>,
    ) -> Result<Vec<u8>, GitError> {
        if options.paths.is_empty() {
            return Ok(Vec::new());
        }
        let colour = if options.colour { "--color=always" } else { "--color=never" };
        let mut flags = vec!["--patch", colour];
        if options.reverse == Reverse::Yes {
            flags.push("-R");
        }
        self.run_diff(old, new, &flags, options.paths)
    }

    fn run_diff(
        &self,
        old: CommitId,
        new: Option<CommitId>,
        flags: &[&str],
        paths: &[TreePath],
    ) -> Result<Vec<u8>, GitError> {
        let mut command = Command::new("git");
        command
            .current_dir(self.root())
            .env_clear()
            .envs(self.env().for_child())
            .env("LC_ALL", "C")
            // Nothing is written: not even the index is refreshed.
            .env("GIT_OPTIONAL_LOCKS", "0")
            // Paths are taken as they are, not as patterns.
            .env("GIT_LITERAL_PATHSPECS", "1")
            .args(["diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-relative"])
            .args(["--ignore-submodules=dirty", "--src-prefix=a/", "--dst-prefix=b/"])
            .args(flags)
            .arg(old.to_string())
            .args(new.map(|id| id.to_string()))
            .arg("--")
            .stdin(Stdio::null());
        for path in paths {
            command.arg(to_os(path));
        }
        let mut pauses = PAUSES.iter();
        loop {
            let ran =
                command.output().map_err(|source| GitError::new("start `git diff`", source))?;
            if ran.status.success() {
                return Ok(ran.stdout);
            }
            let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
            let is_gone = new.is_none() && said.contains("No such file or directory");
            match pauses.next() {
                Some(pause) if is_gone => thread::sleep(Duration::from_millis(*pause)),
                _ => return Err(GitError::new("run `git diff`", std::io::Error::other(said))),
            }
        }
    }
}

/// Git gives up when a file of the work tree goes while it looks, as an output does that is made anew. It is asked again
/// after each of these, in milliseconds.
const PAUSES: [u64; 6] = [5, 10, 20, 40, 80, 160];

fn to_os(path: &TreePath) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(path.as_bytes().to_vec())
}

/// Reads `added<TAB>removed<TAB>path`; both are `-` for what is not text.
fn read_stat(line: &[u8]) -> Option<FileStat> {
    let mut fields = line.splitn(3, |byte| *byte == b'\t');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let lines = number().zip(number());
    let path = TreePath::listed(fields.next()?);
    Some(FileStat { path, lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_binary_files_have_none() {
        let stat =
            |line: &[u8]| read_stat(line).map(|stat| (stat.path.as_bytes().to_vec(), stat.lines));
        assert_eq!(stat(b"4\t1\tsrc/a b.py"), Some((b"src/a b.py".to_vec(), Some((4, 1)))));
        assert_eq!(stat(b"-\t-\tx.bin"), Some((b"x.bin".to_vec(), None)));
        assert_eq!(stat(b"4"), None);
    }
}
