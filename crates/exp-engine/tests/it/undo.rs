//! Undo and redo: byte for byte, many levels, and never over what somebody did since.

use exp_engine::core::Ctx;
use exp_engine::{Direction, Error, OnExisting, OperationKind, SaveRequest, UndoPlan};

use crate::apply::{apply, made, undo, workspace};
use crate::support::{Sandbox, Test};

fn plan(
    sandbox: &Sandbox,
    direction: Direction,
) -> Result<Option<UndoPlan>, Box<dyn std::error::Error>> {
    Ok(sandbox.project()?.plan_undo(&Ctx::silent(), direction)?)
}

fn refs(sandbox: &Sandbox) -> Result<String, Box<dyn std::error::Error>> {
    let all = sandbox.git(&["for-each-ref", "--format=%(refname) %(objectname)"])?;
    let kept: Vec<&str> = all.lines().filter(|line| !line.contains("oplog")).collect();
    Ok(kept.join("\n"))
}

#[test]
fn ten_levels_back_and_forth_are_byte_for_byte() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let project = sandbox.project()?;
    let mut states = vec![(workspace(&sandbox)?, refs(&sandbox)?)];
    let mut made_so_far = Vec::new();
    for n in 0..10 {
        if n % 3 == 2 {
            apply(&project, made_so_far[n / 3])?;
        } else {
            made_so_far.push(made(sandbox.run(&[&format!("lr=0.{n}1")])?).commit);
        }
        states.push((workspace(&sandbox)?, refs(&sandbox)?));
        if states.len() == 4 {
            // Someone's work in between stays out of the way of those before.
            sandbox.write("between.txt", "x")?;
            for state in &mut states {
                state.0.insert("between.txt".into(), workspace(&sandbox)?["between.txt"].clone());
            }
        }
    }
    for state in states.iter().rev().skip(1) {
        undo(&project)?;
        assert_eq!((workspace(&sandbox)?, refs(&sandbox)?), *state);
    }
    assert!(plan(&sandbox, Direction::Undo)?.is_none());
    for state in states.iter().skip(1) {
        let plan = plan(&sandbox, Direction::Redo)?.ok_or("something to redo")?;
        project.undo(&Ctx::silent(), plan)?;
        assert_eq!((workspace(&sandbox)?, refs(&sandbox)?), *state);
    }
    assert!(plan(&sandbox, Direction::Redo)?.is_none());
    let history = project.history(20)?;
    assert_eq!(history.len(), 10);
    assert!(history.iter().all(|entry| !entry.is_undone));
    sandbox.fsck()
}

#[test]
fn every_verb_is_taken_back() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let ctx = Ctx::silent();
    let project = sandbox.project()?;
    let one = made(sandbox.run(&["lr=0.5"])?);
    let before = (workspace(&sandbox)?, refs(&sandbox)?, sandbox.git_state()?);
    let check = |kind: OperationKind| -> Test {
        assert_eq!(project.operations(1)?[0].operation.kind, kind);
        assert_ne!(
            (workspace(&sandbox)?, refs(&sandbox)?),
            (before.0.clone(), before.1.clone()),
            "{kind:?}"
        );
        undo(&project)?;
        assert_eq!(
            (workspace(&sandbox)?, refs(&sandbox)?, sandbox.git_state()?),
            before.clone(),
            "{kind:?}"
        );
        sandbox.fsck()
    };
    project.remove(&ctx, std::slice::from_ref(&one))?;
    check(OperationKind::Remove)?;
    project.rename(&ctx, &one, &"other".parse()?, OnExisting::Refuse)?;
    check(OperationKind::Rename)?;
    project.save(&ctx, &SaveRequest { name: Some("saved".into()), ..SaveRequest::default() })?;
    check(OperationKind::Save)?;
    made(sandbox.run(&["lr=0.7"])?);
    check(OperationKind::Run)?;
    made(sandbox.run(&["lr=0.7", "fail=2"])?);
    check(OperationKind::Run)?;
    project.branch(&ctx, &one, "deeper")?;
    assert_eq!(sandbox.git(&["rev-parse", "deeper"])?.trim(), one.commit.to_string());
    assert_eq!(project.operations(1)?[0].operation.kind, OperationKind::Branch);
    undo(&project)?;
    assert_eq!(refs(&sandbox)?, before.1);
    Ok(())
}

#[test]
fn a_removed_experiment_survives_gits_garbage_collection() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let one = made(sandbox.run(&["lr=0.5"])?);
    let project = sandbox.project()?;
    project.remove(&Ctx::silent(), std::slice::from_ref(&one))?;
    sandbox.git(&["reflog", "expire", "--all", "--expire=now"])?;
    sandbox.git(&["gc", "-q", "--prune=now"])?;
    let project = sandbox.project()?;
    undo(&project)?;
    assert_eq!(project.experiments().list()?, [one]);
    sandbox.fsck()
}

#[test]
fn work_done_since_is_named_and_not_lost() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let one = made(sandbox.run(&["lr=0.5"])?);
    made(sandbox.run(&["lr=0.6"])?);
    let project = sandbox.project()?;
    apply(&project, one.commit)?;
    sandbox.write("params.yaml", "lr: 8 # since\nfail: 0\n")?;
    let found = plan(&sandbox, Direction::Undo)?.ok_or("a plan")?;
    assert_eq!(
        found.changed_since.iter().map(exp_engine::core::RelPath::as_str).collect::<Vec<_>>(),
        ["params.yaml"]
    );
    let refused = project.undo(&Ctx::silent(), found.clone());
    assert!(matches!(refused, Err(Error::ChangedSince { .. })), "{refused:?}");
    assert_eq!(sandbox.read("params.yaml")?, "lr: 8 # since\nfail: 0\n");
    assert_eq!(sandbox.read("model")?, "model 0.5\n", "nothing was touched");
    project.undo(&Ctx::silent(), found.over_changes())?;
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.6  # learning rate\nfail: 0\n");
    let back = plan(&sandbox, Direction::Redo)?.ok_or("a plan")?;
    project.undo(&Ctx::silent(), back)?;
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.5  # learning rate\nfail: 0\n");
    Ok(())
}

#[test]
fn a_ref_that_moved_since_stops_it() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let one = made(sandbox.run(&["lr=0.5"])?);
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    sandbox.git(&["update-ref", one.ref_name.as_str(), head.trim()])?;
    let before = (workspace(&sandbox)?, refs(&sandbox)?);
    let found = plan(&sandbox, Direction::Undo)?.ok_or("a plan")?;
    assert_eq!(found.moved_since, [one.ref_name.as_str()]);
    let refused = sandbox.project()?.undo(&Ctx::silent(), found.over_changes());
    assert!(matches!(refused, Err(Error::ChangedSince { .. })), "{refused:?}");
    assert_eq!((workspace(&sandbox)?, refs(&sandbox)?), before);
    Ok(())
}

#[test]
fn a_branch_that_is_checked_out_is_not_taken_away() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let one = made(sandbox.run(&["lr=0.5"])?);
    let project = sandbox.project()?;
    project.branch(&Ctx::silent(), &one, "deeper")?;
    sandbox.git(&["symbolic-ref", "HEAD", "refs/heads/deeper"])?;
    let found = plan(&sandbox, Direction::Undo)?.ok_or("a plan")?;
    assert_eq!(found.moved_since, ["refs/heads/deeper"]);
    assert!(project.undo(&Ctx::silent(), found).is_err());
    sandbox.git(&["rev-parse", "HEAD"])?;
    Ok(())
}

#[test]
fn what_is_done_anew_ends_the_way_forward() -> Test {
    let sandbox = Sandbox::with_stage()?;
    made(sandbox.run(&["lr=0.5"])?);
    made(sandbox.run(&["lr=0.6"])?);
    let project = sandbox.project()?;
    undo(&project)?;
    assert!(plan(&sandbox, Direction::Redo)?.is_some());
    made(sandbox.run(&["lr=0.7"])?);
    assert!(plan(&sandbox, Direction::Redo)?.is_none());
    let next = plan(&sandbox, Direction::Undo)?.ok_or("a plan")?;
    project.undo(&Ctx::silent(), next)?;
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.5  # learning rate\nfail: 0\n");
    undo(&project)?;
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.1  # learning rate\nfail: 0\n");
    assert!(plan(&sandbox, Direction::Undo)?.is_none());
    Ok(())
}
