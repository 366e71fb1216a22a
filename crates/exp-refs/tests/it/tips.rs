//! What keeps commits and files alive.

use std::collections::BTreeSet;

use crate::scratch::{Scratch, TestResult};

#[test]
fn tips_are_refs_of_every_kind_through_tags_but_not_files() -> TestResult {
    let scratch = Scratch::new();
    scratch.git(&["tag", "-a", "-m", "t", "v1"]);
    scratch.git(&["update-ref", "refs/exp/x", "HEAD"]);
    scratch.git(&["update-ref", "refs/remotes/origin/far", "HEAD"]);
    scratch.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/far"]);
    scratch.git(&["tag", "a-file", "HEAD:params.yaml"]);
    let names: Vec<String> = scratch.open().tips()?.into_iter().map(|tip| tip.name).collect();
    let expected = [
        "refs/exp/x",
        "refs/heads/main",
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/far",
        "refs/tags/v1",
    ];
    assert_eq!(names, expected);
    assert!(scratch.open().tips()?.iter().all(|tip| tip.commit == scratch.rev("HEAD")));
    Ok(())
}

#[test]
fn a_ref_that_leads_to_nothing_is_an_error() {
    let scratch = Scratch::new();
    let path = scratch.root().join(".git/refs/heads/broken");
    std::fs::write(path, "1234567890123456789012345678901234567890\n").expect("a file");
    assert!(scratch.open().tips().is_err());
}

#[test]
fn the_log_of_a_stash_has_the_entries_below_its_top() -> TestResult {
    let scratch = Scratch::new();
    for text in ["lr: 1\n", "lr: 2\n"] {
        scratch.write("params.yaml", text);
        scratch.git(&["stash", "-q"]);
    }
    let git = scratch.open();
    let logged = git.logged_commits("refs/stash")?;
    assert_eq!(logged, BTreeSet::from([scratch.rev("stash@{0}"), scratch.rev("stash@{1}")]));
    assert_eq!(git.logged_commits("refs/none")?, BTreeSet::new());
    let all: BTreeSet<_> = git.reachable(&logged)?.into_iter().collect();
    assert!(all.contains(&scratch.rev("HEAD")) && all.contains(&scratch.rev("stash@{1}^2")));
    Ok(())
}

#[test]
fn work_trees_know_each_other_and_staged_files_are_found() -> TestResult {
    let scratch = Scratch::new();
    let other = scratch.root().with_file_name("other");
    scratch.git(&["worktree", "add", "-q", "-b", "b", other.to_str().ok_or("a text")?]);
    let roots = |roots: Vec<std::path::PathBuf>| -> BTreeSet<_> {
        roots.into_iter().map(|root| root.canonicalize().expect("it exists")).collect()
    };
    let expected = roots(vec![scratch.root(), other.clone()]);
    assert_eq!(roots(scratch.open().work_trees()?), expected);
    assert_eq!(roots(scratch.open_at(&other).work_trees()?), expected);

    scratch.write("params.yaml", "lr: staged\n");
    scratch.git(&["add", "params.yaml"]);
    scratch.write("params.yaml", "lr: here\n");
    let git = scratch.open();
    let staged = git.staged(&|path| path.ends_with(b".yaml"))?;
    assert_eq!(staged.len(), 1);
    assert_eq!(git.blob(staged[0].1)?, b"lr: staged\n");
    Ok(())
}
