//! Collecting while experiments run, with real processes.

use crate::project::{Outcome, Project};

#[test]
fn collections_and_runs_in_other_processes_lose_nothing() -> Outcome {
    let project = Project::new()?;
    let mut names = Vec::new();
    for round in 0..3 {
        let mut running = Vec::new();
        for value in 1..=3 {
            let name = format!("e{round}{value}");
            let rate = format!("lr=0.{value}");
            running.push(project.start(&["run", "--temp", "-n", &name, "-S", &rate])?);
            names.push(name);
        }
        while running.iter_mut().any(|run| run.try_wait().is_ok_and(|ended| ended.is_none())) {
            let args = ["gc", "--yes", "--grace", "0s", "--no-undo", "--wait-for-lock"];
            let answer = project.exp("repo", &args)?;
            assert_eq!(answer.code, 0, "{}", answer.both());
        }
        for mut run in running {
            run.wait()?;
        }
    }
    // A run that found the same experiment there made none of its own.
    let kept = project.experiments()?;
    assert!(!kept.is_empty());
    for name in kept.iter().filter(|name| names.contains(name)) {
        project.done("repo", &["apply", name])?;
    }
    let answer = project.exp("repo", &["data", "verify"])?;
    assert_eq!(answer.code, 0, "{}", answer.both());
    Ok(project.git_check().fsck()?)
}

#[test]
fn a_collection_that_is_killed_leaves_a_store_that_is_whole() -> Outcome {
    let project = Project::new()?;
    for value in 1..=5 {
        let name = format!("e{value}");
        project.done("repo", &["run", "-n", &name, "-S", &format!("lr=0.{value}")])?;
        project.done("repo", &["remove", &name])?;
    }
    project.git(&["checkout", "-q", "--", "."])?;
    for pause in [0, 5, 20] {
        let mut gc = project.start(&["gc", "--yes", "--grace", "0s", "--no-undo"])?;
        std::thread::sleep(std::time::Duration::from_millis(pause));
        gc.kill()?;
        gc.wait()?;
        assert_eq!(project.exp("repo", &["data", "verify"])?.code, 0);
    }
    project.done("repo", &["gc", "--yes", "--grace", "0s", "--no-undo"])?;
    project.done("repo", &["data", "checkout", "--force"])?;
    project.done("repo", &["data", "verify", "."])?;
    Ok(())
}
