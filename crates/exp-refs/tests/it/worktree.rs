//! Status, the changes of the work tree, and files.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use exp_refs::{
    Content, Draft, EntryKind, FileChange, FileError, Git, OpenOptions, TreeEdit, TreePath,
    Untracked, WorktreeError,
};

use crate::scratch::{Scratch, TestResult, draft};

/// Renders the status as `git status --porcelain` does, without untracked files.
fn porcelain(git: &Git, untracked: Untracked) -> Result<String, Box<dyn std::error::Error>> {
    let letter = |change: Option<FileChange>| match change {
        None => ' ',
        Some(FileChange::Added) => 'A',
        Some(FileChange::Modified) => 'M',
        Some(FileChange::Deleted) => 'D',
        Some(_) => 'U',
    };
    let lines: Vec<String> = git
        .status(untracked)?
        .iter()
        .map(|entry| {
            if entry.is_untracked {
                return format!("?? {}", entry.path);
            }
            format!("{}{} {}", letter(entry.staged), letter(entry.unstaged), entry.path)
        })
        .collect();
    Ok(lines.join("\n"))
}

/// A repository with every kind of change.
fn changed() -> Result<Scratch, std::io::Error> {
    let scratch = Scratch::new();
    for name in ["mode", "gone", "staged-gone", "both", "staged", "to-link", "same"] {
        scratch.write(name, &format!("{name}\n"));
    }
    scratch.git(&["add", "."]);
    scratch.git(&["commit", "-q", "-m", "second"]);
    scratch.write("params.yaml", "lr: 7\n");
    fs::set_permissions(scratch.root().join("mode"), fs::Permissions::from_mode(0o755))?;
    fs::remove_file(scratch.root().join("gone"))?;
    scratch.git(&["rm", "-q", "staged-gone"]);
    scratch.write("both", "staged\n");
    scratch.write("staged", "staged\n");
    scratch.write("new/staged", "new\n");
    scratch.write("new-and-gone", "new\n");
    scratch.git(&["add", "both", "staged", "new/staged", "new-and-gone"]);
    scratch.write("both", "worktree\n");
    fs::remove_file(scratch.root().join("new-and-gone"))?;
    fs::remove_file(scratch.root().join("to-link"))?;
    std::os::unix::fs::symlink("params.yaml", scratch.root().join("to-link"))?;
    scratch.write("untracked", "x\n");
    Ok(scratch)
}

#[test]
fn status_is_that_of_git() -> TestResult {
    let scratch = changed()?;
    let git = scratch.open();
    // Git tells a change of type; here that is a modification like others.
    let expect = |arg: &str| {
        let text = scratch.git(&[
            "-c",
            "core.quotePath=false",
            "status",
            "--porcelain",
            "--no-renames",
            arg,
        ]);
        let mut lines: Vec<_> = text.lines().map(|line| line.replacen(" T ", " M ", 1)).collect();
        lines.sort_by(|a, b| a[3..].cmp(&b[3..]));
        lines.join("\n")
    };
    assert_eq!(porcelain(&git, Untracked::Leave)?, expect("-uno"));
    assert_eq!(porcelain(&git, Untracked::List)?, expect("-uall"));
    Ok(())
}

#[test]
fn the_changes_of_the_work_tree_make_the_tree_that_a_commit_of_all_would() -> TestResult {
    let scratch = changed()?;
    let before = scratch.untouchable();
    let git = scratch.open();
    let parent = scratch.rev("HEAD");
    let changes = git.worktree_changes()?;
    let commit = git.write_commit(&Draft { changes, ..draft(parent, "") })?;
    assert_eq!(scratch.untouchable(), before);
    let ours = scratch.git(&["ls-tree", "-r", &commit.to_string()]);
    scratch.git(&["add", "-u"]);
    let tree = scratch.git(&["write-tree"]);
    assert_eq!(ours, scratch.git(&["ls-tree", "-r", &tree]));
    scratch.fsck();
    Ok(())
}

#[test]
fn filters_of_git_apply_in_both_directions() -> TestResult {
    let scratch = Scratch::new();
    scratch.write(".gitattributes", "*.txt text eol=crlf\n*.up filter=up\n");
    scratch.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
    scratch.git(&["config", "filter.up.smudge", "tr A-Z a-z"]);
    scratch.write("a.txt", "one\r\ntwo\r\n");
    scratch.write("b.up", "small\n");
    let git = scratch.open();
    let mut files = git.files()?;
    let mut kinds = Vec::new();
    for (name, stored) in [("a.txt", "one\ntwo\n"), ("b.up", "SMALL\n")] {
        let path: TreePath = name.parse()?;
        let Some(TreeEdit::Write { content: Content::Blob(blob), executable: false }) =
            files.store(&path)?
        else {
            return Err("a file is stored as a blob".into());
        };
        assert_eq!(git.blob(blob)?, stored.as_bytes(), "{name}");
        assert_eq!(scratch.git(&["hash-object", name]), blob.to_string());
        let kind = EntryKind::File { blob, executable: false };
        assert!(files.matches(&path, kind)?);
        assert!(!files.matches(&path, EntryKind::File { blob, executable: true })?);
        kinds.push((path, kind));
    }
    for (path, kind) in kinds {
        let file = scratch.root().join(path.to_string());
        let before = fs::read(&file)?;
        fs::write(&file, "other\n")?;
        assert!(!files.matches(&path, kind)?);
        files.write(&path, kind)?;
        assert_eq!(fs::read(&file)?, before);
    }
    assert_eq!(files.store(&"nothing".parse()?)?, None);
    assert_eq!(files.store(&"src".parse()?)?, None);
    Ok(())
}

#[test]
fn nothing_is_written_through_a_link() -> TestResult {
    let scratch = Scratch::new();
    let outside = scratch.root().join("../outside");
    fs::create_dir_all(&outside)?;
    std::os::unix::fs::symlink("../outside", scratch.root().join("door"))?;
    std::os::unix::fs::symlink("../outside/file", scratch.root().join("leaf"))?;
    let git = scratch.open();
    let blob = git.write_blob(b"new\n")?;
    let kind = EntryKind::File { blob, executable: true };
    let mut files = git.files()?;
    let error = files.write(&"door/file".parse()?, kind).err();
    assert!(matches!(error, Some(FileError::NotBelow { .. })), "{error:?}");
    assert!(matches!(files.remove(&"door/file".parse()?), Err(FileError::NotBelow { .. })));
    assert!(matches!(files.write(&"src".parse()?, kind), Err(FileError::Directory { .. })));

    files.write(&"leaf".parse()?, kind)?;
    assert!(!outside.join("file").exists(), "a link is replaced, not followed");
    assert_eq!(
        fs::symlink_metadata(scratch.root().join("leaf"))?.permissions().mode() & 0o100,
        0o100
    );
    files.write(&"x/y/z".parse()?, EntryKind::Link { blob: git.write_blob(b"../up")? })?;
    assert_eq!(fs::read_link(scratch.root().join("x/y/z"))?.to_str(), Some("../up"));
    files.remove(&"x/y/z".parse()?)?;
    assert!(!scratch.root().join("x").exists(), "empty directories go");
    files.remove(&"x/y/z".parse()?)?;
    let left = fs::read_dir(scratch.root())?.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(".exp-"))
    });
    assert_eq!(left.count(), 0, "no temporary file stays");
    Ok(())
}

#[test]
fn names_that_are_not_utf8_are_no_obstacle() -> TestResult {
    let scratch = Scratch::new();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff.txt");
    fs::write(scratch.root().join(odd), "1\n")?;
    scratch.git(&["add", "."]);
    scratch.git(&["commit", "-q", "-m", "odd"]);
    fs::write(scratch.root().join(odd), "2\n")?;
    let git = scratch.open();
    let changes = git.worktree_changes()?;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].path.as_bytes(), b"odd\xff.txt");
    assert_eq!(changes[0].path.to_rel(), None);
    let commit = git.write_commit(&Draft { changes, ..draft(scratch.rev("HEAD"), "") })?;
    let reader = git.reader();
    let diff = reader.diff(git.commit(scratch.rev("HEAD"))?.tree, reader.commit(commit)?.tree)?;
    assert_eq!(diff.len(), 1);
    scratch.fsck();
    Ok(())
}

#[test]
fn an_unfinished_merge_is_no_experiment() {
    let scratch = Scratch::new();
    scratch.git(&["checkout", "-q", "-b", "other"]);
    scratch.write("params.yaml", "lr: 1\n");
    scratch.git(&["commit", "-q", "-a", "-m", "a"]);
    scratch.git(&["checkout", "-q", "main"]);
    scratch.write("params.yaml", "lr: 2\n");
    scratch.git(&["commit", "-q", "-a", "-m", "b"]);
    assert!(!scratch.try_git(&["merge", "-q", "other"]).status.success());
    let error = scratch.open().worktree_changes().err();
    assert!(matches!(error, Some(WorktreeError::Unmerged { .. })), "{error:?}");
}

#[test]
fn a_private_work_tree_is_filled_and_its_index_knows_the_files() -> TestResult {
    let scratch = Scratch::new();
    scratch.write(".gitattributes", "*.crlf eol=crlf\n");
    scratch.write("text.crlf", "a\nb\n");
    scratch.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(scratch.root().join("run.sh"), fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::symlink("run.sh", scratch.root().join("link"))?;
    for n in 0..2_500 {
        scratch.write(&format!("many/{}/{n}.txt", n % 50), &format!("{n}\n"));
    }
    scratch.git(&["add", "."]);
    scratch.git(&["commit", "-q", "-m", "many"]);
    let there = tempfile::tempdir()?;
    let to = there.path().join("clone").display().to_string();
    scratch.git(&[
        "clone",
        "-q",
        "--no-checkout",
        scratch.root().to_str().unwrap_or_default(),
        &to,
    ]);
    let git = OpenOptions { env: scratch.env(), durable: false }.discover(Path::new(&to))?;
    let tree = git.commit(git.head()?.commit.ok_or("no commit")?)?.tree;
    git.fill_work_tree(tree)?;
    let run = |args: &[&str]| scratch.git(&[&["-C", &to], args].concat());
    // Git reads no file for this and does not bring the index up to date.
    assert_eq!(run(&["diff-files", "--name-only"]), "", "what is on disk is what the index says");
    assert_eq!(run(&["status", "--porcelain"]), "");
    assert_eq!(git.status(Untracked::List)?, []);
    assert_eq!(fs::read_to_string(Path::new(&to).join("text.crlf"))?, "a\r\nb\r\n");
    let again = git.fill_work_tree(tree);
    assert!(matches!(again, Err(FileError::Io { action: "write" | "create", .. })), "{again:?}");
    Ok(())
}
