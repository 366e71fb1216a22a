//! Listing refs that are files, packed, or both, while others write.

use std::fs;
use std::thread;

use crate::scratch::{Scratch, TestResult};

/// Makes refs `refs/exps/aa/<name>` that point to `HEAD` and to a second commit by turns.
fn refs(scratch: &Scratch, names: std::ops::Range<usize>) {
    let targets = [scratch.rev("HEAD"), scratch.rev("HEAD~1")];
    let lines: Vec<String> =
        names.map(|n| format!("update refs/exps/aa/{n:04} {}\n", targets[n % 2])).collect();
    let file = scratch.root().join(".git/lines");
    fs::write(&file, lines.concat()).expect("a file");
    let input = fs::File::open(&file).expect("a file");
    let mut command = scratch.command_in(&scratch.root(), &["update-ref", "--stdin"]);
    assert!(command.stdin(input).status().expect("git").success());
}

fn two_commits() -> Scratch {
    let scratch = Scratch::new();
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    scratch
}

#[test]
fn the_list_is_gits_whatever_is_packed() -> TestResult {
    let scratch = two_commits();
    refs(&scratch, 0..20);
    scratch.git(&["pack-refs", "--all"]);
    // One that is packed and changed, one that is removed, some that are new.
    scratch.git(&["update-ref", "refs/exps/aa/0003", "HEAD"]);
    scratch.git(&["update-ref", "-d", "refs/exps/aa/0004"]);
    refs(&scratch, 20..30);
    scratch.git(&["symbolic-ref", "refs/exps/aa/link", "refs/heads/main"]);
    let git = scratch.store().git().clone();
    let list = || -> Result<Vec<String>, exp_refs::GitError> {
        let listed = git.list_refs("refs/exps/")?.into_iter();
        Ok(listed.map(|found| format!("{} {}", found.commit, found.name)).collect())
    };
    let gits = || -> Vec<String> {
        let format = "--format=%(objectname) %(refname) %(symref)";
        let listed = scratch.git(&["for-each-ref", format, "refs/exps/"]);
        let lines = listed.lines().map(str::trim_end).map(str::to_owned);
        lines.filter(|line| line.split(' ').count() == 2).collect()
    };
    assert_eq!(list()?, gits());
    assert_eq!(list()?.len(), 29);
    scratch.git(&["pack-refs", "--all"]);
    assert_eq!(list()?, gits());
    // What is broken, or being written, hides nothing else.
    fs::create_dir_all(scratch.root().join(".git/refs/exps/aa"))?;
    for (name, text) in [("broken", "nonsense\n"), ("0007.lock", "0f"), (".hidden", "x")] {
        fs::write(scratch.root().join(".git/refs/exps/aa").join(name), text)?;
    }
    assert_eq!(list()?.len(), 29);
    assert_eq!(git.list_refs("refs/exps")?.len(), 29, "without the slash too");
    assert!(git.list_refs("refs/exp/")?.is_empty(), "it is no beginning of a word");
    Ok(())
}

#[test]
fn no_ref_is_missing_while_they_are_packed() -> TestResult {
    let scratch = two_commits();
    refs(&scratch, 0..600);
    let git = scratch.store().git().clone();
    thread::scope(|scope| {
        let packer = scope.spawn(|| {
            for _ in 0..6 {
                scratch.git(&["pack-refs", "--all", "--prune"]);
                refs(&scratch, 0..600);
            }
        });
        let mut n_looks = 0;
        while !packer.is_finished() || n_looks == 0 {
            assert_eq!(git.list_refs("refs/exps/").map_err(|e| e.to_string())?.len(), 600);
            n_looks += 1;
        }
        packer.join().map_err(|_| "the packer panicked".to_owned())
    })?;
    Ok(())
}
