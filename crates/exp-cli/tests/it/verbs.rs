//! `apply`, `undo`, `branch`, `remove`, `rename`, `save`, `log`, `clean` in both grammars, and a process that is killed.

use std::fs;
use std::process::Command;

use crate::{Outcome, Sandbox};

const PIPELINE: &str = "\
stages:
  train:
    cmd: sh train.sh
    params: [lr]
    outs: [model]
    metrics:
    - metrics.json:
        cache: false
";

const TRAIN: &str = r#"lr=$(sed -n 's/^lr: //p' params.yaml)
[ "$lr" = 9 ] && { echo "lr is too high"; exit 3; }
echo "{\"acc\": $lr}" > metrics.json
echo "model $lr" > model
"#;

/// Makes a project with the experiments `e1` (lr 1) and `e2` (lr 2); the workspace holds `e2`.
fn project() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    fs::write(sandbox.root().join(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")?;
    for (path, text) in [("dvc.yaml", PIPELINE), ("train.sh", TRAIN), ("params.yaml", "lr: 0\n")] {
        fs::write(sandbox.root().join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    for line in ["exp run -n e1 -S lr=1", "exp run -n e2 -S lr=2"] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    Ok(sandbox)
}

fn refs(sandbox: &Sandbox) -> Result<String, Box<dyn std::error::Error>> {
    sandbox.git(&[
        "for-each-ref",
        "--format=%(refname:lstrip=-1) %(objectname)",
        "refs/exps",
        "refs/heads",
    ])
}

#[test]
fn apply_says_what_changed_and_undo_takes_it_back() -> Outcome {
    let sandbox = project()?;
    let branch = sandbox.git(&["symbolic-ref", "--short", "HEAD"])?;
    let ran = sandbox.run("exp apply e1 --dry");
    let expect = "~ dvc.lock\n~ metrics.json\n~ model  (data, from the store)\n~ params.yaml\n";
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, expect, "4 paths would change.\n"));
    assert_eq!(sandbox.read("params.yaml")?, "lr: 2\n");
    fs::write(sandbox.root().join("train.sh"), "# mine\n")?;
    sandbox.check(
        "exp apply e1 --no-save",
        5,
        "",
        "error: 1 path would be lost\n  train.sh\nhint: leave out `--no-save`: what is replaced is kept for `exp undo`\n",
    );
    sandbox.check(
        "exp apply e1",
        0,
        "",
        &format!(
            "kept 1 unsaved edit: train.sh (exp undo brings them back)\nworkspace = e1: 4 files changed, model from the \
             store, HEAD stays {}\nundo: exp undo\n",
            branch.trim()
        ),
    );
    assert_eq!(sandbox.read("model")?, "model 1\n");
    sandbox.check("exp apply e1", 0, "", "The workspace is e1 already.\n");
    let ran = sandbox.run("exp undo");
    assert!(ran.err.starts_with("undid 'apply e1': 5 files\n"), "{}", ran.err);
    assert_eq!(sandbox.read("train.sh")?, "# mine\n");
    assert_eq!(sandbox.read("model")?, "model 2\n");
    sandbox.git(&["fsck", "--strict"])?;
    Ok(())
}

#[test]
fn dvcs_apply_has_dvcs_words() -> Outcome {
    let sandbox = project()?;
    sandbox.check(
        "dvc exp apply e1",
        0,
        "Changes for experiment 'e1' have been applied to your current workspace.\n",
        "",
    );
    sandbox.check(
        "dvc exp apply nope",
        255,
        "",
        "ERROR: 'nope' does not appear to be an experiment commit.: unknown Git revision 'nope'\n",
    );
    fs::remove_dir_all(sandbox.root().join(".dvc/cache/files"))?;
    let before = sandbox.read("params.yaml")?;
    let ran = sandbox.run("dvc exp apply e2");
    assert_eq!(ran.code, 255);
    assert!(
        ran.err.starts_with("ERROR: Checkout failed for following targets:\nmodel\n"),
        "{}",
        ran.err
    );
    assert_eq!(sandbox.read("params.yaml")?, before, "nothing was touched");
    Ok(())
}

#[test]
fn branches_names_and_removals_in_both_grammars() -> Outcome {
    let sandbox = project()?;
    let before = refs(&sandbox)?;
    sandbox.check(
        "dvc exp branch e1",
        0,
        "Git branch 'e1-branch' has been created from experiment 'e1'.\nTo switch to the new branch run:\n\n\tgit \
         checkout e1-branch\n",
        "",
    );
    sandbox.check("dvc exp branch e1", 255, "", "ERROR: Git branch 'e1-branch' already exists.\n");
    sandbox.check("dvc exp branch nope", 255, "", "ERROR: nope\n");
    sandbox.check("dvc exp rename e1 best-lr", 0, "Renamed experiments: 'e1'\n", "");
    sandbox.check("dvc exp remove best", 255, "", "ERROR: 'best' is not a valid experiment name\n");
    sandbox.check("dvc exp remove best-lr e2", 0, "Removed experiments: 'best-lr' and 'e2'\n", "");
    sandbox.check("dvc exp remove -A", 0, "No experiments to remove.\n", "");
    sandbox.check(
        "dvc exp remove",
        255,
        "",
        "ERROR: Either provide an `experiment` argument, or use the `--rev` or `--all-commits` or `--queue` flag.\n",
    );
    for expect in ["remove best-lr e2", "rename e1 best-lr", "branch e1-branch"] {
        let ran = sandbox.run("exp undo");
        assert!(ran.err.starts_with(&format!("undid '{expect}'")), "{}", ran.err);
    }
    assert_eq!(refs(&sandbox)?, before);
    sandbox.check("exp remove --keep best", 0, "", "removed 1 experiment: e1\nundo: exp undo\n");
    let ran = sandbox.run("exp apply e9");
    assert_eq!((ran.code, &*ran.err), (4, "error: no experiment `e9`\nhint: did you mean `e2`?\n"));
    sandbox.check("dvc exp clean", 0, "Cleaning up dvc-task messages...\nDone!\n", "");
    Ok(())
}

#[test]
fn save_and_log_tell_what_is_kept() -> Outcome {
    let sandbox = project()?;
    sandbox.check("dvc exp save -n s1", 0, "Experiment has been saved as: s1\n", "");
    let ran = sandbox.run("dvc exp save -n s1");
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("ERROR: failed to save experiment - "), "{}", ran.err);
    let ran = sandbox.run("exp save --json");
    assert!(ran.out.starts_with("{\"ref\": \""), "{}", ran.out);
    assert_ne!(sandbox.run("exp run -S lr=9").code, 0);
    let ran = sandbox.run("exp log");
    assert_eq!((ran.code, &*ran.out), (0, "> sh train.sh\nlr is too high\n"), "{}", ran.err);
    assert!(ran.err.contains("failed in stage train with exit status 3"), "{}", ran.err);
    Ok(())
}

/// The process is ended with `kill -9` while it writes the second file, by a filter of Git that runs just then.
#[test]
fn an_apply_that_is_killed_is_undone_by_the_next_command() -> Outcome {
    let sandbox = project()?;
    fs::write(sandbox.root().join(".gitattributes"), "params.yaml filter=die\n")?;
    sandbox.git(&["config", "filter.die.clean", "cat"])?;
    sandbox.git(&["config", "filter.die.smudge", "kill -9 $PPID; cat"])?;
    let (lock, params) = (sandbox.read("dvc.lock")?, sandbox.read("params.yaml")?);
    let killed = Command::new(env!("CARGO_BIN_EXE_exp"))
        .args(["apply", "e1"])
        .current_dir(sandbox.root())
        .env_clear()
        .envs(sandbox.vars())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .output()?;
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&killed.status),
        Some(9),
        "{killed:?}"
    );
    assert_ne!(sandbox.read("dvc.lock")?, lock, "it died half way");
    assert_eq!(sandbox.read("params.yaml")?, params);
    sandbox.git(&["config", "--unset", "filter.die.smudge"])?;
    let ran = sandbox.run("exp undo");
    assert!(ran.err.contains("undid 'apply e1'"), "{}", ran.err);
    assert_eq!(sandbox.read("dvc.lock")?, lock);
    assert_eq!(sandbox.read("metrics.json")?, "{\"acc\": 2}\n");
    assert_eq!(sandbox.read("model")?, "model 2\n");
    sandbox.git(&["fsck", "--strict"])?;
    Ok(())
}

#[test]
fn an_unknown_parameter_is_told_with_what_is_like_it_and_how_to_add_it() -> Outcome {
    let sandbox = project()?;
    let ran = sandbox.run("exp run -S lrr=3");
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("`lrr` does not exist"), "{}", ran.err);
    assert!(
        ran.err.contains("hint: did you mean `lr`?\nhint: write `+lrr=VALUE` to add it\n"),
        "{}",
        ran.err
    );
    let ran = sandbox.run("exp run -S momentum=3");
    assert!(!ran.err.contains("did you mean"), "{}", ran.err);
    assert!(ran.err.contains("hint: write `+momentum=VALUE` to add it"), "{}", ran.err);
    assert_eq!(sandbox.run("exp run -S +momentum=3").code, 0, "the hint works");
    Ok(())
}
