//! `data …`, and DVC's `add`, `checkout`, `commit`, `data status`, in both grammars.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::{Outcome, Sandbox};

fn with_data() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    fs::write(sandbox.root().join(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")?;
    fs::create_dir(sandbox.root().join("d"))?;
    for (path, text) in [("a", "hi\n"), ("d/x", "1\n"), ("d/y", "2\n")] {
        fs::write(sandbox.root().join(path), text)?;
    }
    Ok(sandbox)
}

#[test]
fn data_is_added_and_the_next_step_is_named() -> Outcome {
    let sandbox = with_data()?;
    sandbox.check(
        "exp data add a d",
        0,
        "",
        "a  3 B  tracked\nd/  2 files, 4 B  tracked\ncommit it: git add a.dvc d.dvc .gitignore   undo: exp undo\n",
    );
    sandbox.check("exp data add a", 0, "", "a  3 B  unchanged\n");
    assert_eq!(sandbox.read(".gitignore")?, "/a\n/d\n");
    Ok(())
}

#[test]
fn dvcs_add_speaks_and_refuses_as_dvc() -> Outcome {
    let sandbox = with_data()?;
    sandbox.check(
        "dvc add a",
        0,
        "\nTo track the changes with git, run:\n\n\tgit add a.dvc .gitignore\n\nTo enable auto staging, run:\n\n\tdvc \
         config core.autostage true\n",
        "",
    );
    sandbox.check("dvc add a.dvc", 1, "", "ERROR: DVC file 'a.dvc' cannot be an output.\n");
    let full = sandbox.root().join("none");
    let text = format!(
        "ERROR: output 'none' does not exist: [Errno 2] No such file or directory: '{}'\n",
        full.display()
    );
    sandbox.check("dvc add d none", 1, "", &text);
    assert!(!sandbox.root().join("d.dvc").exists(), "all targets are checked first");
    sandbox.git(&["add", "d/x"])?;
    sandbox.check(
        "dvc add d/x",
        1,
        "",
        "ERROR:  output 'd/x' is already tracked by SCM (e.g. Git).\n    You can remove it from Git, then add to \
         DVC.\n        To stop tracking from Git:\n            git rm -r --cached 'd/x'\n            git commit -m \
         \"stop tracking d/x\" \n",
    );
    let ran = sandbox.run("dvc add /etc/hostname");
    assert!(
        ran.err.starts_with("ERROR: Cached output(s) outside of DVC project: /etc/hostname."),
        "{}",
        ran.err
    );
    fs::write(sandbox.root().join(".dvcignore"), "*.log\n")?;
    fs::write(sandbox.root().join("x.log"), "")?;
    let ran = sandbox.run("dvc add x.log");
    assert!(ran.err.ends_with("/x.log' is ignored by .dvcignore:1:*.log\n"), "{}", ran.err);
    Ok(())
}

#[test]
fn a_checkout_lists_outputs_and_refuses_to_lose_work() -> Outcome {
    let sandbox = with_data()?;
    sandbox.run("dvc add -q a d");
    sandbox.check("dvc checkout", 0, "", "");
    fs::remove_file(sandbox.root().join("a"))?;
    fs::remove_file(sandbox.root().join("d/x"))?;
    sandbox.check("dvc checkout", 0, "M       d/\nA       a\n", "");
    fs::write(sandbox.root().join("a"), "mine\n")?;
    let full = sandbox.root().join("a");
    let text = format!(
        "ERROR: Can't remove the following unsaved files without confirmation. Use `--force` to force.\n{}\n",
        full.display()
    );
    sandbox.check("dvc checkout", 255, "", &text);
    let ours = sandbox.run("exp data checkout");
    assert_eq!((ours.code, ours.out.as_str()), (5, ""), "{}", ours.err);
    sandbox.check(
        "exp data checkout --force",
        0,
        "M       a\n",
        "1 file modified   undo: exp undo\n",
    );
    assert_eq!(sandbox.read("a")?, "hi\n");
    fs::remove_file(sandbox.root().join("a"))?;
    sandbox.check("dvc checkout --summary", 0, "1 file added\n", "");
    let ran = sandbox.run("dvc checkout nope");
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            255,
            "ERROR: Did you mean `git checkout nope`?: 'nope' does not exist as an output or a stage name in \
             'dvc.yaml': 'dvc.yaml' does not exist\n"
        )
    );
    Ok(())
}

#[test]
fn missing_data_is_named_after_the_rest_is_there() -> Outcome {
    let sandbox = with_data()?;
    sandbox.run("dvc add -q a d");
    fs::remove_dir_all(sandbox.root().join("d"))?;
    fs::remove_file(sandbox.root().join("a"))?;
    fs::remove_dir_all(sandbox.root().join(".dvc/cache/files/md5/26"))?;
    sandbox.check(
        "dvc checkout",
        255,
        "A       a\n",
        "ERROR: Checkout failed for following targets:\nd\nIs your cache up to date?\n\
         <https://error.dvc.org/missing-files>\n",
    );
    sandbox.check("dvc checkout --allow-missing", 0, "", "");
    let ours = sandbox.run("exp data checkout");
    assert_eq!(ours.code, 4, "{}", ours.err);
    Ok(())
}

#[test]
fn a_corrupt_object_is_named_with_what_mends_it() -> Outcome {
    let sandbox = with_data()?;
    sandbox.run("dvc add -q a d");
    assert_eq!(sandbox.run("exp remote add -d store ../store").code, 0);
    assert_eq!(sandbox.run("exp data push").code, 0);
    let (id, rotten) = ("b026324c6904b2a9cb4b88d6d61c81d1", "?\n");
    let object = sandbox.root().join(".dvc/cache/files/md5").join(&id[..2]).join(&id[2..]);
    let written = fs::metadata(&object)?.modified()?;
    fs::remove_file(&object)?;
    fs::write(&object, rotten)?;
    fs::File::open(&object)?.set_modified(written)?;
    fs::set_permissions(&object, fs::Permissions::from_mode(0o444))?;
    fs::remove_file(sandbox.root().join("a"))?;
    fs::remove_file(sandbox.root().join("d/x"))?;

    // Found while it is copied, and known afterwards.
    for left in ["A       a\n", ""] {
        let ran = sandbox.run("exp data checkout");
        assert_eq!((ran.code, ran.out.as_str()), (6, left), "{}", ran.err);
        let at = sandbox.root().join("d/x");
        let cause = format!(
            "error: `d` cannot be brought here\n  `{}` cannot be written\n  object {id} is corrupt: its bytes digest to ",
            at.display()
        );
        assert!(ran.err.contains(&cause), "{}", ran.err);
        assert!(ran.err.contains("hint: run `exp data verify --repair`"), "{}", ran.err);
        assert!(!at.exists());
    }
    let ran = sandbox.run("dvc checkout");
    assert_eq!(ran.code, 255, "to DVC it is missing: {}", ran.err);
    assert_eq!(sandbox.run("exp data pull").code, 0);
    assert_eq!(sandbox.read("d/x")?, "1\n");
    Ok(())
}

#[test]
fn a_corrupt_manifest_is_not_pushed_and_its_output_is_named() -> Outcome {
    let sandbox = with_data()?;
    sandbox.run("dvc add -q a d");
    assert_eq!(sandbox.run("exp remote add -d store ../store").code, 0);
    let text = sandbox.read("d.dvc")?;
    let id = text.split_whitespace().find(|word| word.contains(".dir")).ok_or("no digest")?;
    let object = sandbox.root().join(".dvc/cache/files/md5").join(&id[..2]).join(&id[2..]);
    for bytes in ["[]", "[{"] {
        fs::remove_file(&object)?;
        fs::write(&object, bytes)?;
        fs::set_permissions(&object, fs::Permissions::from_mode(0o444))?;
        let ran = sandbox.run("exp data push");
        let told = format!("error: what the cache has of `d` is damaged\n  object {id} is corrupt");
        assert!(ran.err.starts_with(&told), "{}", ran.err);
        assert!(ran.err.contains("\nhint: run `exp data verify --repair`"), "{}", ran.err);
        assert_eq!(ran.code, 6);
    }
    Ok(())
}

#[test]
fn the_state_is_printed_as_dvc_prints_it() -> Outcome {
    let sandbox = with_data()?;
    sandbox.run("dvc add -q a d");
    sandbox.git(&["add", "."])?;
    sandbox.git(&["commit", "-qm", "data"])?;
    sandbox.check("dvc data status", 0, "No changes.\n", "");
    sandbox.check("dvc data status --json", 0, "{}\n", "");
    fs::write(sandbox.root().join("d/x"), "9\n")?;
    fs::remove_file(sandbox.root().join("d/y"))?;
    sandbox.check("dvc data status --json", 0, "{\"uncommitted\": {\"modified\": [\"d/\"]}}\n", "");
    sandbox.check(
        "dvc data status --granular --unchanged --json",
        0,
        "{\"uncommitted\": {\"modified\": [\"d/\", \"d/x\"], \"deleted\": [\"d/y\"]}, \"unchanged\": [\"a\"]}\n",
        "",
    );
    fs::write(sandbox.root().join("new"), "")?;
    sandbox.check(
        "dvc data status --untracked-files",
        0,
        "DVC uncommitted changes:\n  (use \"dvc commit <file>...\" to track changes)\n  (use \"dvc checkout \
         <file>...\" to discard changes)\n        modified: d/\n\nUntracked files:\n  (use \"git add <file> ...\" or \
         \"dvc add <file>...\" to commit to git or to dvc)\n        new\n(there are other changes not tracked by dvc, \
         use \"git status\" to see)\n",
        "",
    );
    Ok(())
}

#[test]
fn a_changed_stage_is_recorded_only_when_that_is_said() -> Outcome {
    let sandbox = with_data()?;
    sandbox.run("dvc add -q a");
    fs::write(sandbox.root().join("a"), "other\n")?;
    sandbox.check(
        "dvc commit",
        1,
        "",
        "ERROR: failed to commit - unable to commit changed stage: 'a.dvc'. Use `-f|--force` to force.\n",
    );
    sandbox.check("exp data commit", 0, "", "recorded `a.dvc`\nundo: exp undo\n");
    assert!(sandbox.read("a.dvc")?.contains("size: 6\n"));
    fs::write(
        sandbox.root().join("dvc.yaml"),
        "stages:\n  s:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n",
    )?;
    fs::write(sandbox.root().join("b"), "other\n")?;
    let ours = sandbox.run("exp data commit s");
    assert_eq!(ours.code, 5, "{}", ours.err);
    sandbox.check("dvc commit -f s", 0, "Generating lock file 'dvc.lock'\n", "");
    sandbox.check("dvc commit s", 0, "", "");
    let ran = sandbox.run("dvc commit nope");
    assert_eq!(
        ran.err,
        "ERROR: failed to commit nope - 'nope' does not exist as an output or a stage name in 'dvc.yaml': Stage 'nope' \
         not found inside 'dvc.yaml' file\n"
    );
    Ok(())
}

#[test]
fn data_goes_straight_to_a_remote_and_is_pulled_back() -> Outcome {
    let sandbox = with_data()?;
    let outside = sandbox.root().join("../outside");
    fs::create_dir(&outside)?;
    fs::write(outside.join("z"), "far\n")?;
    assert_eq!(sandbox.run("exp data add --to-remote ../outside").code, 3, "there is no remote");
    assert!(!sandbox.root().join("outside.dvc").exists());
    assert_eq!(sandbox.run("exp remote add -d store ../store").code, 0);
    let ran = sandbox.run("exp data add --to-remote ../outside --out far");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("2 objects, 4 B sent; 0 already there\nfar/  1 file, 4 B  tracked"));
    assert!(!sandbox.root().join("far").exists(), "the workspace is left as it is");
    assert!(!sandbox.root().join(".dvc/cache/files").exists(), "nothing is stored here");
    assert_eq!(sandbox.read(".gitignore")?, "/far\n");

    assert_eq!(sandbox.run("exp data add --to-remote ../outside --out a").code, 5, "in the way");
    assert_eq!(sandbox.run("dvc add --to-remote d").code, 0);
    assert_eq!(sandbox.read("d/x")?, "1\n");
    assert_eq!(sandbox.run("exp data pull").code, 0);
    assert_eq!(sandbox.read("far/z")?, "far\n");
    let status = sandbox.run("exp data status").out;
    assert!(!status.contains("uncommitted") && !status.contains("Not in cache"), "{status}");
    Ok(())
}

#[test]
fn what_a_directory_does_not_record_is_told_once() -> Outcome {
    let sandbox = with_data()?;
    for name in ["d/x", "d/y"] {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(sandbox.root().join(name), mode)?;
    }
    let full = sandbox.root().join("d/x");
    let ran = sandbox.run("exp data add d");
    let text =
        format!("{} and 1 more are executable, which a directory does not record", full.display());
    assert!(ran.code == 0 && ran.err.contains(&text), "{}", ran.err);
    let again = sandbox.run("exp data add d");
    assert!(!again.err.contains("executable"), "{}", again.err);
    Ok(())
}

#[test]
fn executable_bits_in_a_directory_are_kept_by_sha256() -> Outcome {
    for links in ["copy", "hardlink", "symlink"] {
        let sandbox = with_data()?;
        fs::write(sandbox.root().join(".dvc/exp.toml"), "version = 1\nhash = \"sha256\"\n")?;
        assert_eq!(sandbox.run(&format!("exp config cache.type {links}")).code, 0);
        assert_eq!(sandbox.run("exp remote add -d store ../store").code, 0);
        let tool = sandbox.root().join("d/x");
        let mode = || fs::metadata(&tool).map(|facts| facts.permissions().mode() & 0o111);
        let make = |bits| {
            let old = fs::metadata(&tool)?.permissions().mode();
            fs::set_permissions(&tool, fs::Permissions::from_mode(old & !0o111 | bits))
        };
        assert_eq!(sandbox.run("exp data add d").code, 0);
        make(0o111)?;
        for _ in 0..2 {
            let status = sandbox.run("exp data status --granular --json").out;
            let told = r#""uncommitted": {"modified": ["d/", "d/x"]}"#;
            assert!(status.contains(told), "{links}: {status}");
        }
        let ran = sandbox.run("exp data add d");
        assert!(ran.code == 0 && !ran.err.contains("executable"), "{links}: {ran:?}");
        assert_eq!(mode()?, 0o111, "{links}: as it was");

        assert_eq!(sandbox.run("exp undo").code, 0);
        let status = sandbox.run("exp data status --json").out;
        let told = r#""uncommitted": {"modified": ["d/"]}"#;
        assert!(status.contains(told), "{links}: {status}");
        assert_eq!(sandbox.run("exp data checkout").code, 0);
        assert_eq!(mode()?, 0, "{links}: as it was recorded before");
        assert_eq!(sandbox.run("exp undo").code, 0);
        assert_eq!(mode()?, 0o111, "{links}: as before the checkout");

        assert_eq!(sandbox.run("exp data add d").code, 0);
        assert_eq!(sandbox.run("exp data push").code, 0);
        for path in ["d", ".dvc/cache", ".dvc/tmp"] {
            fs::remove_dir_all(sandbox.root().join(path))?;
        }
        let ran = sandbox.run("exp data pull");
        assert_eq!(ran.code, 0, "{links}: {ran:?}");
        assert_eq!(mode()?, 0o111, "{links}: after a pull");
        assert!(!fs::symlink_metadata(&tool)?.is_symlink());
        make(0)?;
        assert_eq!(sandbox.run("exp data checkout d/x").code, 0);
        assert_eq!(mode()?, 0o111, "{links}: one file of the directory");
    }
    Ok(())
}

#[test]
fn a_path_that_nothing_tracks_is_no_clean_one() -> Outcome {
    let sandbox = with_data()?;
    assert_eq!(sandbox.run("exp data add a d").code, 0);
    fs::write(sandbox.root().join("other"), "x")?;
    for target in ["nosuch", "d/nosuch", "other", "a/x"] {
        for command in ["exp data status", "exp data verify"] {
            let ran = sandbox.run(&format!("{command} {target}"));
            let told = format!("error: nothing that is tracked is at `{target}`\n");
            assert!(ran.code == 4 && ran.err.starts_with(&told), "{command} {target}: {ran:?}");
            assert_eq!(ran.out, "");
        }
        assert_eq!(sandbox.run(&format!("dvc data status --json {target}")).out, "{}\n");
    }
    for target in ["a", "d", "d/x", "."] {
        assert_eq!(sandbox.run(&format!("exp data status {target}")).code, 0, "{target}");
        assert_eq!(sandbox.run(&format!("exp data verify {target}")).code, 0, "{target}");
    }
    fs::remove_file(sandbox.root().join("d/x"))?;
    assert_eq!(sandbox.run("exp data status d/x").code, 0, "recorded and gone");
    let untracked = sandbox.run("exp data status --untracked-files all other");
    assert!(untracked.code == 0 && untracked.out.contains("other"), "{untracked:?}");
    Ok(())
}

#[test]
fn a_digest_that_is_none_is_refused_with_its_line() -> Outcome {
    let sandbox = with_data()?;
    let record = |digest: &str| {
        fs::write(
            sandbox.root().join("a.dvc"),
            format!("outs:\n- md5: {digest}\n  size: 3\n  hash: md5\n  path: a\n"),
        )
    };
    for bad in ["12345", "-1", "zz", "'123'", "12345678901234567890123456789012345", "1.5", "true"]
    {
        record(bad)?;
        for command in ["exp data status", "exp data verify a", "exp data checkout"] {
            let ran = sandbox.run(command);
            assert_eq!(ran.code, 3, "{command}, {bad}: {ran:?}");
            assert!(ran.err.contains("--> a.dvc:2:3"), "{command}, {bad}: {ran:?}");
        }
    }
    for good in ["12345678901234567890123456789012", "00345678901234567890123456789012"] {
        record(good)?;
        let ran = sandbox.run("exp data verify a");
        assert!(ran.out.contains(&format!("missing     {good}  a")), "{ran:?}");
    }
    Ok(())
}

#[test]
fn a_remote_that_no_clone_would_know_is_used_and_told() -> Outcome {
    let sandbox = with_data()?;
    assert_eq!(sandbox.run("exp data add -q a").code, 0);
    assert_eq!(sandbox.run("exp remote add -d store ../store").code, 0);
    let told = " ! remote `store` is configured here only: commit .dvc/config, so that a clone finds the data\n";
    let ran = sandbox.run("exp data push");
    assert!(ran.code == 0 && ran.err.ends_with(told), "{}", ran.err);
    sandbox.git(&["add", ".dvc/config"])?;
    sandbox.git(&["commit", "-qm", "Remote"])?;
    let ran = sandbox.run("exp data push");
    assert!(ran.code == 0 && !ran.err.contains(told), "{}", ran.err);
    Ok(())
}
