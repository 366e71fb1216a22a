//! `data …`, and DVC's `add`, `checkout`, `commit`, `data status`, in both grammars.

use std::fs;

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
