//! `push` and `pull`, in both grammars.

use std::fs;

use crate::{Outcome, Sandbox};

/// A project with one experiment `e1`, made by hand, whose output is stored; a Git remote and a data remote beside it.
fn shared() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    fs::write(sandbox.root().join(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")?;
    fs::write(sandbox.root().join("a"), "hi\n")?;
    sandbox.git(&["add", "."])?;
    sandbox.git(&["rm", "-q", "--cached", "a"])?;
    sandbox.git(&["commit", "-qm", "first"])?;
    sandbox.git(&["init", "-q", "--bare", "../origin.git"])?;
    sandbox.git(&["remote", "add", "origin", "../origin.git"])?;
    sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/main"])?;
    sandbox.run("dvc add -q a");
    let base = sandbox.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    sandbox.git(&["add", "."])?;
    let tree = sandbox.git(&["write-tree"])?.trim().to_owned();
    let commit = sandbox.git(&["commit-tree", &tree, "-p", &base, "-m", "e1"])?;
    let name = format!("refs/exps/{}/{}/e1", &base[..2], &base[2..]);
    sandbox.git(&["update-ref", &name, commit.trim()])?;
    Ok(sandbox)
}

fn add_store(sandbox: &Sandbox) -> Outcome {
    Ok(fs::write(
        sandbox.root().join(".dvc/config"),
        "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n",
    )?)
}

#[test]
fn a_push_without_a_data_remote_is_refused_with_both_ways_out() -> Outcome {
    let sandbox = shared()?;
    let ran = sandbox.run("exp push e1");
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(
        ran.err.contains("1 output is only in this store, and no data remote is set: `"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("hint: run `exp remote add -d"), "{}", ran.err);
    assert!(ran.err.contains("`--no-data`"), "{}", ran.err);
    assert_eq!(sandbox.git(&["ls-remote", "origin", "refs/exps/*"])?, "");
    let ran = sandbox.run("exp push --no-data e1");
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("incomplete: 1 output was not sent"), "{}", ran.err);
    let ran = sandbox.run("exp push --check e1");
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("✗ e1: a fresh clone cannot apply it\n"), "{}", ran.out);
    assert!(ran.out.contains("data  missing: a\n"), "{}", ran.out);
    Ok(())
}

#[test]
fn a_push_sends_data_and_ref_and_a_check_proves_it() -> Outcome {
    let sandbox = shared()?;
    add_store(&sandbox)?;
    let ran = sandbox.run("exp push origin e1");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("remote `store` is configured here only"), "{}", ran.err);
    assert!(
        ran.err.contains("1 object, 3 B sent; 0 already there\n git   origin  e1  sent\n"),
        "{}",
        ran.err
    );
    let missing = "commit .dvc/config so that a clone knows the remote `store`\n";
    assert!(ran.err.ends_with(missing) && !ran.err.contains("clone can `"), "{}", ran.err);
    let ran = sandbox.run("exp push --check last");
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.starts_with("✗ e1: a fresh clone cannot apply it\n  git   origin has it\n"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with(&format!("data  {missing}")), "{}", ran.out);
    assert_eq!(sandbox.run("exp push").code, 2, "a name is asked for");
    assert!(sandbox.run("exp push --all").err.contains("e1  was there"));
    sandbox.git(&["clone", "-q", "-b", "main", "../origin.git", "../clone"])?;
    let clone = sandbox.root().join("../clone").canonicalize()?;
    let ran = sandbox.run_in(&clone, "exp pull");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("error: no data remote is configured here"), "{}", ran.err);
    assert!(!ran.err.contains("nobody pushed"), "{}", ran.err);
    sandbox.run_in(&clone, "exp undo");
    fs::copy(sandbox.root().join(".dvc/config"), clone.join(".dvc/config"))?;
    let ran = sandbox.run_in(&clone, "exp pull");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.starts_with(" git   origin  e1  received\n"), "{}", ran.err);
    assert!(ran.err.ends_with("apply: exp apply e1   undo: exp undo\n"), "{}", ran.err);
    assert!(clone.join(".dvc/cache/files/md5/76/4efa883dda1e11db47671c4a3bbd9e").exists());
    Ok(())
}

#[test]
fn dvcs_words_and_exit_codes() -> Outcome {
    let sandbox = shared()?;
    add_store(&sandbox)?;
    sandbox.check(
        "dvc exp push origin nope",
        255,
        "",
        "ERROR: 'nope' is not a valid experiment name\n",
    );
    let ran = sandbox.run("dvc exp push origin e1");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "Pushed experiment e1 to Git remote 'origin'.\n1 file uploaded\n"),
        "{}",
        ran.err
    );
    let ran = sandbox.run("dvc exp push origin --no-cache");
    assert!(
        ran.out.starts_with("Experiment e1 is up to date on Git remote 'origin'.\nTo push cached"),
        "{}",
        ran.out
    );
    sandbox.check("dvc exp pull origin e1", 0, "No experiments to pull.\n", "");
    sandbox.check(
        "dvc exp pull origin nope",
        255,
        "",
        "ERROR: 'nope' is not a valid experiment name\n",
    );
    sandbox.check(
        "dvc exp pull nope e1",
        255,
        "",
        "ERROR: 'nope' is not a valid Git remote or URL\n",
    );
    let ran = sandbox.run("dvc exp push origin e1 -r nope");
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (255, "ERROR: failed to push cache: config file error: remote 'nope' doesn't exist\n")
    );
    let name =
        sandbox.git(&["for-each-ref", "--format=%(refname)", "refs/exps"])?.trim().to_owned();
    let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"])?.trim().to_owned();
    let other = sandbox.git(&["commit-tree", &tree, "-p", "HEAD", "-m", "other"])?;
    sandbox.git(&["update-ref", &name, other.trim()])?;
    sandbox.check(
        "dvc exp push origin e1",
        0,
        "No experiments to push.\n",
        "Local experiment e1 has diverged from remote experiment with the same name.\nTo override the remote \
         experiment re-run with '--force'.\n",
    );
    sandbox.check(
        "dvc exp pull origin e1",
        0,
        "No experiments to pull.\n",
        "Local experiment '['e1']' has diverged from remote experiment with the same name. To override the local \
         experiment re-run with '--force'.\n",
    );
    let ours = sandbox.run("exp pull e1");
    assert_eq!(ours.code, 5, "{}", ours.err);
    sandbox.check(
        "dvc exp pull origin e1 -f",
        0,
        "Pulled experiment '['e1']' from Git remote 'origin'.\n",
        "",
    );
    Ok(())
}
