//! Trees, branches, and what became of baselines.

use exp_core::Timestamp;
use exp_refs::{BranchError, Descend, EntryKind, Fate};

use crate::scratch::{Scratch, TestResult, draft};

#[test]
fn a_diff_is_that_of_git() -> TestResult {
    let scratch = Scratch::new();
    let first = scratch.rev("HEAD");
    scratch.git(&["rm", "-q", "-r", "src"]);
    scratch.write("src", "now a file\n");
    scratch.write("deep/a/b", "1\n");
    scratch.write("params.yaml", "lr: 2\n");
    scratch.git(&["add", "."]);
    scratch.git(&["commit", "-q", "-m", "second"]);
    let second = scratch.rev("HEAD");
    let git = scratch.open();
    let reader = git.reader();
    let shown: Vec<String> = reader
        .diff(reader.tree_of(first)?.id(), reader.tree_of(second)?.id())?
        .iter()
        .map(|diff| {
            let letter = match (diff.old, diff.new) {
                (None, _) => 'A',
                (_, None) => 'D',
                _ => 'M',
            };
            format!("{letter}\t{}", diff.path)
        })
        .collect();
    let by_git = scratch.git(&[
        "diff",
        "--no-renames",
        "--name-status",
        &first.to_string(),
        &second.to_string(),
    ]);
    assert_eq!(shown.join("\n"), by_git);
    let tree = reader.tree_of(first)?.id();
    assert_eq!(reader.diff(tree, tree)?, []);
    assert_eq!(reader.diff(git.empty_tree(), tree)?.len(), 3);
    Ok(())
}

#[test]
fn a_walk_lists_what_git_lists_and_leaves_out_what_it_is_told() -> TestResult {
    let scratch = Scratch::new();
    let git = scratch.open();
    let reader = git.reader();
    let tree = reader.tree_of(scratch.rev("HEAD"))?;
    let mut all = Vec::new();
    tree.walk(&mut |path, kind| {
        if !matches!(kind, EntryKind::Tree(_)) {
            all.push(path.to_string());
        }
        Descend::Enter
    })?;
    let by_git = scratch.git(&["ls-tree", "-r", "--name-only", "HEAD"]);
    assert_eq!(all, by_git.lines().collect::<Vec<_>>());
    let mut top = Vec::new();
    tree.walk(&mut |path, _| {
        top.push(path.to_string());
        Descend::Skip
    })?;
    assert_eq!(top, ["params.yaml", "src", "train.py"]);
    assert!(matches!(tree.entry(b"src")?, Some(EntryKind::Tree(_))));
    assert!(matches!(tree.entry(b"train.py")?, Some(EntryKind::File { executable: true, .. })));
    assert_eq!(tree.entry(b"train.py/x")?, None);
    assert_eq!(tree.read("src")?, None);
    Ok(())
}

#[test]
fn a_branch_is_made_once_and_head_stays() -> TestResult {
    let scratch = Scratch::new();
    let git = scratch.open();
    let commit = git.write_commit(&draft(scratch.rev("HEAD"), "lr: 3\n"))?;
    let before = scratch.untouchable();
    let time = Timestamp::utc(1_795_410_009);
    let message = "dvc: Created from experiment 'e1'";
    let name = git.create_branch("e1-branch", commit, message, time)?;
    assert_eq!(name.as_str(), "refs/heads/e1-branch");
    assert_eq!(scratch.untouchable(), before);
    assert_eq!(scratch.rev("e1-branch"), commit);
    let log = scratch.git(&["reflog", "show", "--format=%gs %gn", "e1-branch"]);
    assert_eq!(log, format!("{message} T"));
    let again = git.create_branch("e1-branch", commit, "", time).err();
    assert!(matches!(again, Some(BranchError::Exists { .. })), "{again:?}");
    for bad in ["-x", "a..b", "HEAD", ""] {
        assert!(
            matches!(git.create_branch(bad, commit, "", time), Err(BranchError::Invalid(_))),
            "{bad}"
        );
    }
    scratch.fsck();
    Ok(())
}

#[test]
fn a_rewritten_baseline_is_recognized() -> TestResult {
    let scratch = Scratch::new();
    let root = scratch.rev("HEAD");
    scratch.write("params.yaml", "lr: 2\n");
    scratch.git(&["commit", "-q", "-a", "-m", "amended later"]);
    let amended = scratch.rev("HEAD");
    scratch.git(&["commit", "-q", "--amend", "-m", "another message"]);
    scratch.git(&["branch", "old"]);
    scratch.write("train.py", "print(2)\n");
    scratch.git(&["commit", "-q", "-a", "-m", "rebased later"]);
    let rebased = scratch.rev("HEAD");
    scratch.git(&["reset", "-q", "--hard", "HEAD~1"]);
    scratch.write("other.py", "upstream\n");
    scratch.git(&["add", "."]);
    scratch.git(&["commit", "-q", "-m", "upstream"]);
    scratch.git(&["cherry-pick", &rebased.to_string()]);
    scratch.git(&["checkout", "-q", "--orphan", "lost"]);
    scratch.write("params.yaml", "lost\n");
    scratch.git(&["commit", "-q", "-a", "-m", "lost"]);
    let lost = scratch.rev("HEAD");
    scratch.git(&["checkout", "-q", "main"]);
    scratch.git(&["branch", "-q", "-D", "old"]);
    scratch.git(&["branch", "-q", "-D", "lost"]);

    let fates = scratch.open().fates(&[root, amended, rebased, lost], 1_000)?;
    assert_eq!(fates[&root], Fate::Reachable);
    assert_eq!(fates[&amended], Fate::Rewritten(scratch.rev("main~2")));
    assert_eq!(fates[&rebased], Fate::Rewritten(scratch.rev("main")));
    assert_eq!(fates[&lost], Fate::Gone);
    Ok(())
}
