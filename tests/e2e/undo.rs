//! `exp undo` takes back what the last command changed, byte for byte.

use crate::project::{Outcome, Project};

#[test]
fn apply_with_unsaved_edits_is_taken_back() -> Outcome {
    let project = Project::new()?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    project.git(&["checkout", "-q", "--", "."])?;
    project.done("repo", &["data", "checkout"])?;
    project.write("untracked.txt", "mine\n")?;
    let before = project.state()?;
    project.done("repo", &["apply", "e1"])?;
    assert_ne!(project.state()?, before, "apply did nothing");
    assert_eq!(project.read("metrics.json")?, "{\"accuracy\": 0.5}\n");
    project.done("repo", &["undo"])?;
    assert_eq!(project.state()?, before, "undo left something behind");
    Ok(())
}

#[test]
fn dry_apply_touches_nothing() -> Outcome {
    let project = Project::new()?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    project.git(&["checkout", "-q", "--", "."])?;
    let before = project.state()?;
    let said = project.done("repo", &["apply", "--dry", "e1"])?;
    assert!(said.contains("params.yaml"), "the plan does not name what it changes:\n{said}");
    assert_eq!(project.state()?, before);
    Ok(())
}

#[test]
fn remove_rename_and_branch_are_taken_back() -> Outcome {
    let project = Project::new()?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    for args in [&["remove", "e1"][..], &["rename", "e1", "e2"], &["branch", "e1", "kept"]] {
        let before = project.state()?;
        project.done("repo", args)?;
        assert_ne!(project.state()?, before, "exp {} did nothing", args.join(" "));
        project.done("repo", &["undo"])?;
        assert_eq!(project.state()?, before, "undo of exp {}", args.join(" "));
    }
    Ok(project.git_check().fsck()?)
}

#[test]
fn an_identical_run_makes_no_second_experiment() -> Outcome {
    let project = Project::new()?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    let before = project.state()?;
    let said = project.done("repo", &["run", "-S", "lr=0.5"])?;
    assert!(said.contains("e1"), "the run does not name its equal:\n{said}");
    assert_eq!(project.state()?, before);
    Ok(())
}
