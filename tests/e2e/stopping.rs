//! Several stages at a time that are asked to end, or whose `exp` is killed: nothing of theirs lives on, and what ended well
//! stays.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::project::{Outcome, Project};

/// `quick` ends; `a` and `b` each have a child in a session of its own and end when the file `go` is there; `after` waits
/// for both.
const PIPELINE: &str = "\
stages:
  quick:
    cmd: echo 1 > quick.txt
    outs: [quick.txt]
  a:
    cmd: setsid sleep 1000 & echo $! > .dvc/tmp/a.pid; mv .dvc/tmp/a.pid .dvc/tmp/a; until [ -e .dvc/tmp/go ]; do sleep 0.05; done; echo a > a.txt
    deps: [quick.txt]
    outs: [a.txt]
  b:
    cmd: setsid sleep 1000 & echo $! > .dvc/tmp/b.pid; mv .dvc/tmp/b.pid .dvc/tmp/b; until [ -e .dvc/tmp/go ]; do sleep 0.05; done; echo b > b.txt
    deps: [quick.txt]
    outs: [b.txt]
  after:
    cmd: cat a.txt b.txt > after.txt
    deps: [a.txt, b.txt]
    outs: [after.txt]
";

const PATIENCE: Duration = Duration::from_mins(1);

/// Starts the pipeline and waits until `a` and `b` run; returns the run and the children of both.
fn running(
    project: &Project,
    args: &[&str],
) -> Result<(std::process::Child, [String; 2]), Box<dyn std::error::Error>> {
    project.write("dvc.yaml", PIPELINE)?;
    let run = project.start(args)?;
    let pid = |name: &str| wait_for(&project.dir("repo").join(".dvc/tmp").join(name));
    Ok((run, [pid("a")?, pid("b")?]))
}

fn wait_for(path: &Path) -> std::io::Result<String> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match fs::read_to_string(path) {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(err) if Instant::now() > limit => return Err(err),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn interrupt(run: &std::process::Child) -> std::io::Result<()> {
    Command::new("kill").args(["-INT", &run.id().to_string()]).status().map(drop)
}

#[test]
fn the_first_interrupt_lets_running_stages_finish_and_starts_no_other() -> Outcome {
    let project = Project::new()?;
    let (mut run, children) = running(&project, &["repro", "-j", "4"])?;
    interrupt(&run)?;
    project.write(".dvc/tmp/go", "")?;
    assert_eq!(run.wait()?.code(), Some(130), "the code of an interrupted command");
    let lock = project.read("dvc.lock")?;
    for name in ["quick", "a", "b"] {
        assert!(lock.contains(&format!("  {name}:\n")), "{name} finished and is recorded:\n{lock}");
    }
    assert!(!lock.contains("  after:\n"), "nothing new began:\n{lock}");
    // A stage that ends well may leave something running; that is its business.
    for child in children {
        let _gone = Command::new("kill").args(["-9", &child]).status()?;
    }
    project.done("repo", &["repro"])?;
    assert_eq!(project.read("after.txt")?, "a\nb\n");
    Ok(())
}

#[test]
fn the_second_interrupt_ends_every_stage_with_all_that_it_started() -> Outcome {
    let project = Project::new()?;
    let (mut run, children) = running(&project, &["run", "-n", "halted", "-j", "4"])?;
    interrupt(&run)?;
    // The first is taken before the second is sent when the stages may go no further than they are.
    std::thread::sleep(Duration::from_millis(300));
    interrupt(&run)?;
    assert_eq!(run.wait()?.code(), Some(130), "the code of an interrupted command");
    for child in &children {
        assert!(!is_alive(child), "{child} outlived its stage");
    }
    assert!(project.read("dvc.lock")?.contains("  quick:\n"), "what ended well stays");
    assert!(project.done("repo", &["show"])?.contains("halted"));
    Ok(project.git_check().fsck()?)
}

#[test]
fn what_a_killed_run_left_running_is_ended_by_the_next_command() -> Outcome {
    let project = Project::new()?;
    let (mut run, children) = running(&project, &["run", "-n", "killed", "-j", "4"])?;
    run.kill()?;
    run.wait()?;
    assert!(children.iter().all(|child| is_alive(child)), "nobody has ended them yet");
    assert!(project.done("repo", &["show"])?.contains("killed"), "`exp show` keeps the killed run");
    assert!(project.done("repo", &["log", "killed", "--stage", "a"])?.contains("> setsid sleep"));
    let limit = Instant::now() + PATIENCE;
    while children.iter().any(|child| is_alive(child)) {
        assert!(Instant::now() < limit, "children of a killed run live on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(project.read("dvc.lock")?.contains("  quick:\n"), "what ended well stays");
    project.write(".dvc/tmp/go", "")?;
    project.done("repo", &["run", "-n", "after", "-j", "4"])?;
    for name in ["a", "b"] {
        let child = project.read(&format!(".dvc/tmp/{name}"))?;
        let _gone = Command::new("kill").args(["-9", child.trim()]).status()?;
    }
    assert_eq!(project.experiments()?, ["after"]);
    Ok(project.git_check().fsck()?)
}

#[test]
fn what_a_killed_recording_left_running_is_ended_by_the_next_command() -> Outcome {
    let project = Project::new()?;
    let line =
        "setsid sleep 1000 & echo $! $$ > .dvc/tmp/r.new; mv .dvc/tmp/r.new .dvc/tmp/r; sleep 1000";
    let mut record = project.start(&["record", "-n", "held", "--", line])?;
    let noted = wait_for(&project.dir("repo").join(".dvc/tmp/r"))?;
    let running: Vec<&str> = noted.split(' ').collect();
    let before = project.done("repo", &["undo", "--list"])?;
    record.kill()?;
    record.wait()?;
    assert!(running.iter().all(|pid| is_alive(pid)), "nobody has ended them yet");
    project.done("repo", &["repro"])?;
    let limit = Instant::now() + PATIENCE;
    while running.iter().any(|pid| is_alive(pid)) {
        assert!(Instant::now() < limit, "what was recorded lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!project.read("dvc.yaml")?.contains("held"), "nothing was written");
    let left = fs::read_dir(project.dir("repo").join(".dvc/tmp/exp/ops"))?.count();
    assert_eq!(left, 0, "no journal and no note is left");
    let steps = |list: &str| list.lines().count();
    assert_eq!(steps(&project.done("repo", &["undo", "--list"])?), steps(&before));
    Ok(())
}
