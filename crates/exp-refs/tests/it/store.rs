//! Saving, listing, removing, renaming, races.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use exp_core::Timestamp;
use exp_refs::{
    Content, Draft, EditError, ExpName, Expected, ExperimentStore, OpenOptions, RefChange, RefName,
    RunEnd, RunEnvironment, RunRecord, TreeEdit,
};

use crate::scratch::{Scratch, TestResult, change, draft, write};

#[test]
fn a_saved_experiment_is_what_git_shows_and_nothing_else_moves() -> TestResult {
    let scratch = Scratch::new();
    scratch.write("params.yaml", "lr: 5\n");
    scratch.git(&["stash"]);
    scratch.write("train.py", "edited\n");
    scratch.write("staged.py", "new\n");
    scratch.git(&["add", "staged.py"]);
    let before = scratch.untouchable();
    let status = scratch.git(&["status", "--porcelain"]);

    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let mut wanted = draft(parent, "lr: 0.5\n");
    wanted.changes.extend([
        change("src/a.py", TreeEdit::Delete),
        change(
            "run.sh",
            TreeEdit::Write { content: Content::Bytes(b"x".to_vec()), executable: true },
        ),
        change("link", TreeEdit::Symlink { target: Content::Bytes(b"params.yaml".to_vec()) }),
        write("deep/er/metrics.json", "{}"),
    ]);
    let name: ExpName = "e1".parse()?;
    let saved = store.save(&wanted, &name, Expected::Missing)?;

    assert_eq!(scratch.untouchable(), before);
    assert_eq!(scratch.git(&["status", "--porcelain"]), status);
    scratch.fsck();
    let hex = parent.to_string();
    let ref_name = format!("refs/exps/{}/{}/e1", &hex[..2], &hex[2..]);
    let listed = scratch.git(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/exps"]);
    assert_eq!(listed, format!("{} {ref_name}", saved.commit));
    let commit = scratch.git(&["cat-file", "commit", &ref_name]);
    let tree = scratch.git(&["rev-parse", &format!("{ref_name}^{{tree}}")]);
    assert_eq!(
        commit,
        format!(
            "tree {tree}\nparent {parent}\nauthor T <t@e.x> 1795410005 +0100\n\
             committer T <t@e.x> 1795410005 +0100\n\ndvc: commit experiment 44136fa3"
        )
    );
    let diff = scratch.git(&["diff", "--name-status", "--no-renames", "main", &ref_name]);
    assert_eq!(diff, "A\tdeep/er/metrics.json\nA\tlink\nM\tparams.yaml\nA\trun.sh\nD\tsrc/a.py");
    let modes = scratch.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", &ref_name]);
    assert!(modes.contains("120000 link\n") && modes.contains("100755 run.sh\n"), "{modes}");
    assert_eq!(scratch.git(&["show", &format!("{ref_name}:params.yaml")]), "lr: 0.5");
    assert!(!scratch.root().join(".git/logs/refs/exps").exists(), "no reflog is begun");

    assert_eq!(store.list()?, std::slice::from_ref(&saved));
    assert_eq!(
        store.git().read(saved.commit, "deep/er/metrics.json")?.as_deref(),
        Some(&b"{}"[..])
    );
    assert_eq!(store.git().read(saved.commit, "src/a.py")?, None);
    Ok(())
}

#[test]
fn a_name_is_taken_once_for_each_baseline() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let first = scratch.rev("HEAD");
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    let second = scratch.rev("HEAD");
    let name: ExpName = "e1".parse()?;
    let old = store.save(&draft(first, "lr: 1\n"), &name, Expected::Missing)?;
    let other = store.save(&draft(second, "lr: 1\n"), &name, Expected::Missing)?;
    let again = store.save(&draft(first, "lr: 2\n"), &name, Expected::Missing).err();
    assert!(matches!(again, Some(EditError::Exists { .. })), "{again:?}");
    let same = store.save(&draft(first, "lr: 1\n"), &name, Expected::Missing).err();
    assert!(matches!(same, Some(EditError::Exists { .. })), "the very same commit: {same:?}");
    assert_eq!(store.find("e1")?, other, "the one of HEAD goes first");

    let new = store.save(&draft(first, "lr: 3\n"), &name, Expected::Is(old.commit))?;
    let late = store.save(&draft(first, "lr: 4\n"), &name, Expected::Is(old.commit)).err();
    match late {
        Some(EditError::Raced { found, .. }) => assert_eq!(found, Some(new.commit)),
        other => return Err(format!("{other:?}").into()),
    }
    assert_eq!(store.list()?.len(), 2);
    scratch.fsck();
    Ok(())
}

#[test]
fn dvcs_own_refs_are_no_experiments() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    for name in
        ["exec/EXEC_HEAD", "apply/ORIG_HEAD", "stash", "celery/stash", "temp/head-1", "ab/cd/x"]
    {
        scratch.git(&["update-ref", &format!("refs/exps/{name}"), "HEAD"]);
    }
    scratch.git(&["symbolic-ref", "refs/exps/exec/EXEC_BRANCH", "refs/heads/main"]);
    let saved = store.save(&draft(parent, "lr: 1\n"), &"e1".parse()?, Expected::Missing)?;
    assert_eq!(store.list()?, std::slice::from_ref(&saved));
    scratch.git(&["pack-refs", "--all", "--prune"]);
    assert_eq!(store.list()?, [saved], "packed");
    Ok(())
}

#[test]
fn removal_takes_all_or_nothing_and_is_undone() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let mut saved = Vec::new();
    for i in 0..4 {
        let name = format!("e{i}").parse()?;
        saved.push(store.save(&draft(parent, &format!("lr: {i}\n")), &name, Expected::Missing)?);
        if i == 1 {
            scratch.git(&["pack-refs", "--all", "--prune"]);
        }
    }
    let mut stale = saved.clone();
    stale[3].commit = parent;
    let error = store.remove(&stale).err();
    assert!(matches!(error, Some(EditError::Raced { .. })), "{error:?}");
    assert_eq!(store.list()?, saved, "nothing is removed");

    store.remove(&[saved[0].clone(), saved[2].clone(), saved[0].clone()])?;
    assert_eq!(store.list()?, [saved[1].clone(), saved[3].clone()]);
    let listed = scratch.git(&["for-each-ref", "--format=%(refname)", "refs/exps"]);
    assert_eq!(listed.lines().count(), 2);
    let again = store.remove(&saved[..1]).err();
    assert!(matches!(again, Some(EditError::Raced { found: None, .. })), "{again:?}");

    store.restore(&[saved[0].clone(), saved[2].clone()])?;
    assert_eq!(store.list()?, saved);
    assert!(matches!(store.restore(&saved).err(), Some(EditError::Exists { .. })));
    store.remove(&[])?;
    scratch.fsck();
    Ok(())
}

#[test]
fn renaming_keeps_the_commit_and_respects_what_is_there() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let a = store.save(&draft(parent, "lr: 1\n"), &"a".parse()?, Expected::Missing)?;
    let b = store.save(&draft(parent, "lr: 2\n"), &"b".parse()?, Expected::Missing)?;
    let taken = store.rename(&a, &b.name, Expected::Missing).err();
    assert!(matches!(taken, Some(EditError::Exists { .. })), "{taken:?}");
    assert_eq!(store.list()?, [a.clone(), b.clone()]);
    let c = store.rename(&a, &"c".parse()?, Expected::Missing)?;
    assert_eq!(c.commit, a.commit);
    assert_eq!(store.list()?, [b.clone(), c.clone()]);
    let over = store.rename(&c, &b.name, Expected::Is(b.commit))?;
    assert_eq!(store.list()?, [over]);
    scratch.fsck();
    Ok(())
}

#[test]
fn a_failed_run_is_kept_out_of_sight() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let record = RunRecord {
        stage: Some("train".to_owned()),
        exit_code: Some(1),
        took: Some(Duration::from_millis(1_500)),
        host: Some("gpu1".to_owned()),
        overrides: vec!["lr=9".to_owned()],
        ..RunRecord::new(RunEnd::Failed, Timestamp::utc(1_795_410_000))
    };
    let run =
        store.save_run(&draft(parent, "lr: 9\n"), &"bad".parse()?, &record, Some(b"boom\n"))?;
    assert!(!run.is_finished);
    assert_eq!(scratch.git(&["for-each-ref", "refs/exps"]), "");
    assert_eq!(store.list()?, std::slice::from_ref(&run));
    assert_eq!(store.record(&run)?, Some(record));
    assert_eq!(store.log(&run)?.as_deref(), Some(&b"boom\n"[..]));
    assert_eq!(store.find("bad")?, run);
    assert!(exp_refs::is_record(&".dvc/exp/run.json".parse()?));
    store.remove(&[run])?;
    assert_eq!(store.list()?, []);
    scratch.fsck();
    Ok(())
}

#[test]
fn of_two_that_save_one_name_one_wins() -> TestResult {
    let scratch = Scratch::new();
    let parent = scratch.rev("HEAD");
    for round in 0..10 {
        let name: ExpName = format!("e{round}").parse()?;
        let barrier = std::sync::Barrier::new(4);
        let outcomes: Vec<Result<_, _>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|i| {
                    let (name, barrier, store) = (&name, &barrier, scratch.store());
                    scope.spawn(move || {
                        let draft = draft(parent, &format!("lr: {i}\n"));
                        barrier.wait();
                        store.save(&draft, name, Expected::Missing)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let won: Vec<_> = outcomes.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(lost, EditError::Exists { .. }), "{lost:?}");
        }
        assert_eq!(scratch.store().find(name.as_str())?, *won[0]);
    }
    scratch.fsck();
    Ok(())
}

#[test]
fn many_savers_do_not_hinder_each_other() -> TestResult {
    let scratch = Scratch::new();
    let parent = scratch.rev("HEAD");
    // A packed file makes writers look into it, under its lock.
    scratch.store().save(&draft(parent, "lr: x\n"), &"packed".parse()?, Expected::Missing)?;
    scratch.git(&["pack-refs", "--all", "--prune"]);
    let before = scratch.untouchable();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let store = scratch.store();
                scope.spawn(move || {
                    for i in 0..25 {
                        let name: ExpName = format!("e-{thread}-{i}").parse().expect("a name");
                        let draft = draft(parent, &format!("lr: {thread}.{i}\n"));
                        store.save(&draft, &name, Expected::Missing).expect("saved");
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
    let names: BTreeSet<_> = scratch.store().list()?.into_iter().map(|one| one.name).collect();
    assert_eq!(names.len(), 201);
    assert_eq!(scratch.untouchable(), before);
    scratch.fsck();
    Ok(())
}

#[test]
fn a_chain_of_records_grows_by_compare_and_swap() -> TestResult {
    let scratch = Scratch::new();
    let git = scratch.open();
    let log = RefName::new("refs/exp/oplog")?;
    assert_eq!(git.read_ref(&log)?, None);
    let mut tip = None;
    for i in 0..3 {
        let tree = git.write_tree(git.empty_tree(), &[write("op.json", &format!("{i}"))])?;
        let parents: Vec<_> = tip.into_iter().collect();
        let commit = git.write_record(tree, &parents, "op", Timestamp::utc(i))?;
        let expected = tip.map_or(Expected::Missing, Expected::Is);
        git.update_refs(&[RefChange { name: log.clone(), new: Some(commit), expected }])?;
        tip = Some(commit);
    }
    assert_eq!(git.read_ref(&log)?, tip);
    assert_eq!(scratch.git(&["rev-list", "--count", "refs/exp/oplog"]), "3");
    assert_eq!(git.list_refs("refs/exp/")?.len(), 1);
    scratch.fsck();
    Ok(())
}

#[test]
fn a_lock_file_is_no_experiment() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let saved = store.save(&draft(parent, "lr: 1\n"), &"e1".parse()?, Expected::Missing)?;
    let lock = scratch.root().join(".git").join(format!("{}.lock", saved.ref_name));
    fs::write(&lock, "")?;
    assert_eq!(store.list()?, std::slice::from_ref(&saved), "a lock file is no ref");
    Ok(())
}

#[test]
fn names_are_free_of_what_is_there() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let first = store.free_name(parent, 42)?;
    store.save(&draft(parent, "lr: 1\n"), &first, Expected::Missing)?;
    let second = store.free_name(parent, 42)?;
    assert_ne!(first, second);
    assert_eq!(store.free_name(parent, 42)?, second);
    Ok(())
}

#[test]
fn a_bare_repository_lists_its_experiments() -> TestResult {
    let scratch = Scratch::new();
    let saved = scratch.store().save(
        &draft(scratch.rev("HEAD"), "lr: 1\n"),
        &"e1".parse()?,
        Expected::Missing,
    )?;
    scratch.git(&["clone", "-q", "--mirror", ".", "../bare.git"]);
    let bare = scratch.open_at(&scratch.root().parent().expect("a parent").join("bare.git"));
    assert!(bare.is_bare());
    assert_eq!(ExperimentStore::new(bare).list()?, [saved]);
    Ok(())
}

#[test]
fn the_record_of_a_finished_run_goes_where_its_commit_goes_and_is_in_nobodys_way() -> TestResult {
    let scratch = Scratch::new();
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let record = RunRecord {
        took: Some(Duration::from_millis(1_500)),
        environment: Some(RunEnvironment {
            system: Some("Linux \"6.8\"\nx86_64".to_owned()),
            ..RunEnvironment::default()
        }),
        ..RunRecord::new(RunEnd::Finished, Timestamp::utc(1_795_410_000))
    };
    let plain = store.save(&draft(parent, "lr: 9\n"), &"plain".parse()?, Expected::Missing)?;
    let with = Draft { record: Some(Box::new(record.clone())), ..draft(parent, "lr: 9\n") };
    let run = store.save(&with, &"run".parse()?, Expected::Missing)?;
    assert_eq!((store.record(&plain)?, store.record(&run)?), (None, Some(record.clone())));
    let info = |commit| store.git().commit(commit);
    let (one, other) = (info(plain.commit)?, info(run.commit)?);
    assert_eq!((one.tree, &one.message, one.time), (other.tree, &other.message, other.time));
    // Git reads such a commit, keeps the line when it sends it, and finds nothing wrong with it.
    let shown = scratch.git(&["log", "-1", "--format=%B%n%ae", &run.commit.to_string()]);
    assert!(shown.starts_with("dvc: commit experiment"), "{shown}");
    scratch.git(&["repack", "-adq"]);
    scratch.fsck();
    let there = tempfile::tempdir()?;
    let to = there.path().join("bare.git").display().to_string();
    scratch.git(&["init", "-q", "--bare", &to]);
    scratch.git(&["push", "-q", &to, run.ref_name.as_str()]);
    let there = ExperimentStore::new(
        OpenOptions { env: scratch.env(), durable: true }
            .open(there.path().join("bare.git").as_path())?,
    );
    let sent = there.list()?;
    assert_eq!(sent, std::slice::from_ref(&run));
    assert_eq!(there.record(&sent[0])?, Some(record));
    Ok(())
}
