//! A run never moves `HEAD`, the index, the stash or a branch: whether it ends well, badly or not at all.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::project::{Outcome, Project};

#[test]
fn a_good_run_moves_nothing() -> Outcome {
    let project = Project::new()?;
    project.write("staged.txt", "staged\n")?;
    project.git(&["add", "staged.txt"])?;
    project.write("train.sh", &(project.read("train.sh")? + "# edited\n"))?;
    let before = project.git_check().snapshot()?;
    project.done("repo", &["run", "-n", "e1", "-S", "lr=0.5"])?;
    let changed = before.changed(&project.git_check().snapshot()?);
    assert_eq!(changed, Vec::<String>::new(), "a run moved something");
    assert_eq!(project.experiments()?, ["e1"]);
    assert_eq!(project.read("params.yaml")?, "# Rates.\nlr: 0.5  # of learning\n");
    Ok(project.git_check().fsck()?)
}

#[test]
fn a_failing_run_moves_nothing_and_is_hidden_from_dvc() -> Outcome {
    let project = Project::new()?;
    project.write("train.sh", "exit 3\n")?;
    let before = project.git_check().snapshot()?;
    let answer = project.exp("repo", &["run", "-n", "bad", "-S", "lr=0.5"])?;
    assert_eq!(answer.code, 1, "a stage that fails is exit code 1:\n{}", answer.both());
    let changed = before.changed(&project.git_check().snapshot()?);
    assert_eq!(changed, Vec::<String>::new(), "a failing run moved something");
    assert_eq!(project.experiments()?, Vec::<String>::new(), "DVC would list a failed run");
    assert!(project.done("repo", &["show"])?.contains("bad"), "`exp show` hides the failed run");
    Ok(project.git_check().fsck()?)
}

#[test]
fn a_killed_run_moves_nothing_and_the_next_command_goes_on() -> Outcome {
    let project = Project::new()?;
    project.write("train.sh", "echo $$ > pid.txt; mv pid.txt started.txt; exec sleep 60\n")?;
    let before = project.git_check().snapshot()?;
    let mut run = project.start(&["run", "-n", "killed", "-S", "lr=0.5"])?;
    let started = wait_for(&project.dir("repo").join("started.txt"));
    run.kill()?;
    run.wait()?;
    let stage = started?;
    let _gone = Command::new("kill").args(["-9", stage.trim()]).status()?;

    let changed = before.changed(&project.git_check().snapshot()?);
    assert_eq!(changed, Vec::<String>::new(), "a killed run moved something");
    assert_eq!(project.experiments()?, Vec::<String>::new(), "DVC would list a killed run");
    // Whoever looks next finds what the killed run left behind and keeps it.
    assert!(project.done("repo", &["show"])?.contains("killed"), "`exp show` hides the killed run");
    project.git(&["checkout", "-q", "--", "."])?;
    project.done("repo", &["run", "-n", "after", "-S", "lr=0.9"])?;
    assert_eq!(project.experiments()?, ["after"]);
    assert!(
        project.done("repo", &["show"])?.contains("killed"),
        "`exp show` forgot the killed run"
    );
    Ok(project.git_check().fsck()?)
}

#[test]
fn a_run_that_is_stopped_is_recorded_and_can_be_undone() -> Outcome {
    let project = Project::new()?;
    project.write("train.sh", "echo $$ > pid.txt; mv pid.txt started.txt; exec sleep 60\n")?;
    let before = project.git_check().snapshot()?;
    let mut run = project.start(&["run", "-n", "halted", "-S", "lr=0.5"])?;
    let stage = wait_for(&project.dir("repo").join("started.txt"))?;
    let interrupt = || Command::new("kill").args(["-INT", &run.id().to_string()]).status();
    interrupt()?;
    std::thread::sleep(Duration::from_millis(300));
    interrupt()?;
    assert_eq!(run.wait()?.code(), Some(130), "the code of an interrupted command");
    // One that nobody has waited for yet is listed as a zombie, and dead all the same.
    let stat = fs::read_to_string(format!("/proc/{}/stat", stage.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "the stage outlived the run: {stat}");
    let changed = before.changed(&project.git_check().snapshot()?);
    assert_eq!(changed, Vec::<String>::new(), "a stopped run moved something");
    assert!(project.done("repo", &["show"])?.contains("halted"), "`exp show` hides the run");
    project.done("repo", &["undo"])?;
    assert!(!project.done("repo", &["show"])?.contains("halted"), "undo left the run");
    Ok(project.git_check().fsck()?)
}

/// Waits until a file is there and returns its text.
fn wait_for(path: &Path) -> std::io::Result<String> {
    let limit = Instant::now() + Duration::from_mins(1);
    loop {
        match fs::read_to_string(path) {
            Ok(text) => return Ok(text),
            Err(err) if Instant::now() > limit => return Err(err),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
