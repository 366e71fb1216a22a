//! What is pushed can be applied in a fresh clone.

use std::fs;

use crate::project::{Outcome, Project};

#[test]
fn a_fresh_clone_applies_what_was_pushed() -> Outcome {
    let project = Project::new()?;
    fs::create_dir(project.dir("store"))?;
    project.git(&["init", "-q", "--bare", "../team.git"])?;
    project.git(&["remote", "add", "origin", "../team.git"])?;
    project.done("repo", &["remote", "add", "-d", "store", "../store"])?;
    project.git(&["commit", "-qam", "Remote"])?;
    project.git(&["push", "-q", "origin", "main"])?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    project.done("repo", &["push", "origin", "e1"])?;
    project.git(&["clone", "-q", "../team.git", "../clone"])?;
    project.done("clone", &["pull", "origin", "e1"])?;
    project.done("clone", &["apply", "e1"])?;
    for path in ["params.yaml", "data.txt", "clean.txt", "model.txt", "metrics.json", "dvc.lock"] {
        let [here, there] = ["repo", "clone"].map(|dir| fs::read(project.dir(dir).join(path)));
        assert_eq!(here?, there?, "{path} differs in the clone");
    }
    Ok(())
}

#[test]
fn push_without_a_data_remote_refuses_and_names_what_is_missing() -> Outcome {
    let project = Project::new()?;
    project.git(&["init", "-q", "--bare", "../team.git"])?;
    project.git(&["remote", "add", "origin", "../team.git"])?;
    project.git(&["push", "-q", "origin", "main"])?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    let answer = project.exp("repo", &["push", "origin", "e1"])?;
    assert_ne!(answer.code, 0, "a push that no clone can apply succeeded");
    assert!(
        answer.both().contains("model.txt"),
        "it does not name what is missing:\n{}",
        answer.both()
    );
    let pushed = project.git(&["ls-remote", "origin", "refs/exps/*"])?;
    assert_eq!(pushed, "", "a refused push moved a ref");
    Ok(())
}

#[test]
fn experiments_stay_visible_after_an_amended_commit() -> Outcome {
    let project = Project::new()?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    project.git(&["checkout", "-q", "--", "."])?;
    project.git(&["commit", "-q", "--amend", "-m", "Better words"])?;
    for (command, note) in [("show", "rewritten"), ("list", "other commits")] {
        let said = project.done("repo", &[command])?;
        assert!(said.contains(note), "`exp {command}` does not tell of the experiment:\n{said}");
        let said = project.done("repo", &[command, "-A"])?;
        assert!(said.contains("e1"), "`exp {command} -A` lacks the experiment:\n{said}");
    }
    assert!(project.done("repo", &["apply", "e1"]).is_ok(), "the experiment cannot be applied");
    Ok(())
}
