//! Saving, removing, renaming, branching and cleaning.

use std::fs;

use exp_engine::core::{Ctx, RelPath};
use exp_engine::refs::EditError;
use exp_engine::{Baselines, Error, OnExisting, SaveRequest};

use crate::apply::{apply, made, workspace};
use crate::support::{Sandbox, Test};

fn save(name: &str) -> SaveRequest {
    SaveRequest { name: Some(name.to_owned()), ..SaveRequest::default() }
}

#[test]
fn the_workspace_is_saved_as_it_is_and_nothing_moves() -> Test {
    let sandbox = Sandbox::with_stage()?;
    made(sandbox.run(&["lr=0.5"])?);
    sandbox.write("params.yaml", "lr: 0.7\nfail: 0\n")?;
    sandbox.write("model", "by hand")?;
    sandbox.write("notes.txt", "untracked")?;
    sandbox.write(".dvc/tmp/repro.dat", "of another tool")?;
    let git = sandbox.git_state()?;
    let project = sandbox.project()?;
    let saved = project.save(&Ctx::silent(), &save("s1"))?;
    assert_eq!(sandbox.git_state()?, git);
    sandbox.fsck()?;
    let commit = saved.commit.to_string();
    let names = sandbox.git(&["ls-tree", "-r", "--name-only", &commit])?;
    assert!(!names.contains(".dvc/tmp"), "{names}");
    assert!(!names.contains("notes.txt"), "{names}");
    assert_eq!(sandbox.git(&["show", &format!("{commit}:params.yaml")])?, "lr: 0.7\nfail: 0\n");
    let message = sandbox.git(&["log", "-1", "--format=%B", &commit])?;
    assert!(message.starts_with("dvc: commit experiment "), "{message}");
    sandbox.write("model", "something else")?;
    apply(&project, saved.commit)?;
    assert_eq!(sandbox.read("model")?, "by hand", "the output went to the store");
    let lock = sandbox.git(&["show", &format!("{commit}:dvc.lock")])?;
    assert!(lock.contains("lr: 0.7"), "{lock}");
    Ok(())
}

#[test]
fn a_taken_name_is_refused_and_replaced_when_asked() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let project = sandbox.project()?;
    let first = project.save(&Ctx::silent(), &save("s1"))?;
    sandbox.write("params.yaml", "lr: 3\n")?;
    let before = workspace(&sandbox)?;
    let refused = project.save(&Ctx::silent(), &save("s1"));
    assert!(matches!(refused, Err(Error::Edit(EditError::Exists { .. }))), "{refused:?}");
    assert_eq!(workspace(&sandbox)?, before);
    let again = project
        .save(&Ctx::silent(), &SaveRequest { existing: OnExisting::Replace, ..save("s1") })?;
    assert_ne!(again.commit, first.commit);
    assert_eq!(project.experiments().list()?, [again]);
    Ok(())
}

#[test]
fn included_files_are_part_of_it_ignored_or_not() -> Test {
    let sandbox = Sandbox::new(&[(".gitignore", "*.log\n"), ("a.txt", "1")])?;
    sandbox.write("logs/x.log", "ignored")?;
    sandbox.write("notes.txt", "untracked")?;
    let project = sandbox.project()?;
    let include = vec![RelPath::new("logs")?, RelPath::new("notes.txt")?];
    let saved = project.save(&Ctx::silent(), &SaveRequest { include, ..save("s") })?;
    let names = sandbox.git(&["ls-tree", "-r", "--name-only", &saved.commit.to_string()])?;
    assert!(names.contains("logs/x.log\nnotes.txt\n"), "{names}");
    let include = vec![RelPath::new("nothing")?];
    assert!(project.save(&Ctx::silent(), &SaveRequest { include, ..save("t") }).is_err());
    assert_eq!(project.experiments().list()?.len(), 1);
    Ok(())
}

#[test]
fn a_broken_pipeline_is_not_saved_and_nothing_changes() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.write("dvc.yaml", "stages: [")?;
    let before = workspace(&sandbox)?;
    let project = sandbox.project()?;
    assert!(matches!(project.save(&Ctx::silent(), &save("s")), Err(Error::Pipeline(_))));
    assert_eq!(workspace(&sandbox)?, before);
    assert_eq!(project.experiments().list()?, []);
    Ok(())
}

#[test]
fn experiments_are_chosen_by_baseline() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let old = made(sandbox.run(&["lr=0.5"])?);
    sandbox.commit("second")?;
    let new = made(sandbox.run(&["lr=0.6"])?);
    let project = sandbox.project()?;
    let head = project.git().resolve("HEAD")?;
    assert_eq!(
        project.experiments_of(&Baselines::From(head, Some(1)))?,
        std::slice::from_ref(&new)
    );
    assert_eq!(project.experiments_of(&Baselines::From(head, Some(2)))?.len(), 2);
    assert_eq!(project.experiments_of(&Baselines::From(head, None))?.len(), 2);
    assert_eq!(project.experiments_of(&Baselines::All)?.len(), 2);
    project.remove(&Ctx::silent(), &[new.clone(), new, old])?;
    assert_eq!(project.experiments().list()?, []);
    project.remove(&Ctx::silent(), &[])?;
    sandbox.fsck()
}

#[test]
fn of_several_experiments_all_are_removed_or_none() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let one = made(sandbox.run(&["lr=0.5"])?);
    let two = made(sandbox.run(&["lr=0.6"])?);
    let project = sandbox.project()?;
    project.remove(&Ctx::silent(), std::slice::from_ref(&two))?;
    let refused = project.remove(&Ctx::silent(), &[one.clone(), two]);
    assert!(matches!(refused, Err(Error::Edit(EditError::Raced { .. }))), "{refused:?}");
    assert_eq!(project.experiments().list()?, [one]);
    assert_eq!(project.history(10)?.len(), 3, "what was refused is no operation");
    Ok(())
}

#[test]
fn a_name_that_is_taken_is_kept_unless_it_is_to_be_replaced() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let one = made(sandbox.run(&["lr=0.5"])?);
    let two = made(sandbox.run(&["lr=0.6"])?);
    let project = sandbox.project()?;
    let ctx = Ctx::silent();
    let refused = project.rename(&ctx, &one, &two.name, OnExisting::Refuse);
    assert!(matches!(refused, Err(Error::Edit(EditError::Exists { .. }))), "{refused:?}");
    let renamed = project.rename(&ctx, &one, &two.name, OnExisting::Replace)?;
    assert_eq!(project.experiments().list()?, [renamed]);
    crate::apply::undo(&project)?;
    let mut both = vec![one, two];
    both.sort();
    let mut list = project.experiments().list()?;
    list.sort();
    assert_eq!(list, both);
    sandbox.fsck()
}

#[test]
fn a_branch_of_a_failed_run_has_no_record() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let failed = made(sandbox.run(&["fail=3"])?);
    let git = sandbox.git(&["rev-parse", "HEAD"])?;
    let project = sandbox.project()?;
    let commit = project.branch(&Ctx::silent(), &failed, "failed")?;
    assert_eq!(sandbox.git(&["rev-parse", "failed^"])?, git);
    assert_eq!(sandbox.git(&["rev-parse", "failed"])?.trim(), commit.to_string());
    let names = sandbox.git(&["ls-tree", "-r", "--name-only", "failed"])?;
    assert!(!names.contains(".dvc/exp/"), "{names}");
    let refused = project.branch(&Ctx::silent(), &failed, "main");
    assert!(matches!(refused, Err(Error::Branch(_))), "{refused:?}");
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"])?, git);
    sandbox.fsck()
}

#[test]
fn cleaning_takes_only_what_the_dead_left() -> Test {
    let sandbox = Sandbox::with_stage()?;
    made(sandbox.run(&["lr=0.5"])?);
    let project = sandbox.project()?;
    // Numbers of processes end far below this one.
    let of_the_dead = [
        "work/99999999-1/a.txt",
        "ops/99999999-2.damaged",
        "trace/99999999-3/probe.7",
        "logs/old.log",
    ];
    for path in of_the_dead {
        let path = project.scratch().join(path);
        fs::create_dir_all(path.parent().ok_or("a parent")?)?;
        fs::write(path, "")?;
    }
    let own = format!("{}-1", std::process::id());
    let alive = ["work", "trace"].map(|dir| project.scratch().join(dir).join(&own));
    for dir in &alive {
        fs::create_dir_all(dir)?;
    }
    let report = project.clean(&Ctx::silent())?;
    // The log of the run that finished is nobody's as well.
    assert_eq!(report.removed.len(), 5, "{report:?}");
    assert!(alive.iter().all(|dir| dir.is_dir()));
    assert_eq!(project.clean(&Ctx::silent())?.removed.len(), 0);
    assert_eq!(project.experiments().list()?.len(), 1);
    Ok(())
}
