//! What is seen while something runs, and the files that tell of it.

use std::fs;
use std::process::Command;

use super::{commits, project, state, untouched};
use crate::Outcome;
use crate::stand::is_alive;

#[test]
fn a_run_in_the_workspace_is_seen_stopped_and_recorded() -> Outcome {
    let stand = project()?;
    let before = state(&stand)?;
    let head = commits(&stand)?.remove(0);
    stand.write(&[("../slow", "")])?;
    let mut run = stand.start(&["exp", "run", "-n", "live", "-S", "lr=2"])?;
    stand.wait("its command starts", |stand| Ok(stand.at("../started").exists()))?;

    // Who is to be stopped stands where the extension looks.
    let signal = stand.read(".dvc/tmp/exps/rwlock.lock")?;
    assert_eq!(signal.trim(), run.id().to_string(), "a plain number");
    let table = stand.json(&["exp", "show", "--rev", &head, "--json"])?;
    let range = &table[1]["experiments"][0];
    let executor = &range["executor"];
    assert_eq!(
        (&executor["state"], &executor["name"]),
        (&"running".into(), &"workspace".into()),
        "{table}"
    );
    assert_eq!(executor["local"]["pid"], run.id(), "{executor}");
    assert_eq!(executor["local"]["root"], stand.root().display().to_string(), "{executor}");
    for key in ["log", "returncode", "task_id"] {
        assert!(executor["local"][key].is_null(), "{executor}");
    }
    assert_eq!(
        (&range["name"], &range["revs"][0]["rev"]),
        (&"live".into(), &"workspace".into()),
        "{range}"
    );

    // The extension interrupts the whole tree, and may delete the file.
    fs::remove_file(stand.at(".dvc/tmp/exps/rwlock.lock"))?;
    let command = stand.read("../started")?;
    for pid in [run.id().to_string(), command.trim().to_owned()] {
        Command::new("kill").args(["-INT", &pid]).status()?;
    }
    assert!(!run.wait()?.success(), "an interrupted run does not succeed");
    stand.wait("the command ends", |_| Ok(!is_alive(command.trim())))?;
    let table = stand.json(&["exp", "show", "--rev", &head, "--json"])?;
    assert!(
        table[1]["experiments"].is_null() || !table[1].to_string().contains("running"),
        "{table}"
    );
    assert!(stand.exp(&["show"])?.contains("live"), "what was stopped is kept");
    untouched(&stand, &before)?;
    stand.write(&[("../go", "")])?;
    stand.done(&["exp", "run", "-n", "again", "-S", "lr=2"])?;
    assert_eq!(stand.read("model.txt")?, "model 2\n");
    Ok(())
}

#[test]
fn the_table_can_be_had_at_any_moment_of_a_queue() -> Outcome {
    let stand = project()?;
    let head = commits(&stand)?.remove(0);
    for _ in 0..2 {
        stand.done(&["exp", "run", "--queue", "-S", "lr=range(10,16)"])?;
        stand.done(&["queue", "start", "-j", "3"])?;
        let mut is_over = false;
        stand.wait("the queue is done", |stand| {
            let answer = stand.dvc(&["exp", "show", "--rev", &head, "--json"])?;
            assert_eq!((answer.code, &*answer.stderr), (0, ""), "{}", answer.stdout);
            let is_open = ["\"queued\"", "\"running\""].iter().any(|it| answer.stdout.contains(it));
            is_over = !is_open;
            Ok(is_over)
        })?;
        assert!(is_over);
        let names = stand.loose_refs()?;
        stand.done(
            &[
                &["exp", "remove"][..],
                &names.iter().filter_map(|name| name.rsplit('/').next()).collect::<Vec<_>>(),
            ]
            .concat(),
        )?;
    }
    Ok(())
}

#[test]
fn signals_of_dead_processes_go_and_those_of_living_ones_stay() -> Outcome {
    let stand = project()?;
    let mut dead = Command::new("true").spawn()?;
    dead.wait()?;
    let living = std::process::id();
    let dir = ".dvc/tmp/exps/run";
    let only = |pid: u32| format!("{{\"exp_name\": \"x\", \"pid\": {pid}}}");
    let step = |pid: u32| format!("{{\"pid\": {pid}, \"step\": 3}}");
    for (pid, stays) in [(dead.id(), false), (living, true)] {
        stand.write(&[
            (&format!("{dir}/DVCLIVE_ONLY"), &only(pid)),
            (&format!("{dir}/DVCLIVE_STEP_COMPLETED"), &step(pid)),
        ])?;
        stand.done(&["exp", "run", "-S", &format!("lr={}", if stays { 3 } else { 4 })])?;
        for name in ["DVCLIVE_ONLY", "DVCLIVE_STEP_COMPLETED"] {
            assert_eq!(stand.at(dir).join(name).exists(), stays, "{name} of {pid}");
        }
    }
    Ok(())
}
