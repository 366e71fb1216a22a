//! Runs: what they record, what they leave alone, and what becomes of those that end badly.

use exp_engine::core::{Ctx, Ended, Outcome, RelPath, RestoredFrom};
use exp_engine::{Broken, Kept, Place, Project, View};

use crate::support::{Sandbox, Test, request};

#[test]
fn a_run_is_recorded_and_nothing_of_the_users_git_moves() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let before = sandbox.git_state()?;
    let outcome = sandbox.run(&["lr=0.5"])?;
    assert_eq!(outcome.report.ended, Ended::Complete);
    let Some(Kept::Experiment(experiment)) = &outcome.kept else { panic!("{:?}", outcome.kept) };
    assert_eq!(sandbox.git_state()?, before, "HEAD, index, stash and branches stay");
    sandbox.fsck()?;
    let show = |path: &str| sandbox.git(&["show", &format!("{}:{path}", experiment.commit)]);
    assert_eq!(show("params.yaml")?, "lr: 0.5  # learning rate\nfail: 0\n");
    assert_eq!(show("metrics.json")?, "{\"acc\": 0.5}\n");
    assert!(show("dvc.lock")?.contains("md5: "), "the lock file is part of it");
    assert_eq!(show(".gitignore")?, "/model\n", "the new .gitignore is part of it");
    assert!(show("model").is_err(), "the model is in the store, not in Git");
    let names = sandbox.git(&["ls-tree", "-r", "--name-only", &experiment.commit.to_string()])?;
    assert!(!names.contains(".dvc/tmp"), "{names}");
    let parent = sandbox.git(&["rev-parse", &format!("{}^", experiment.commit)])?;
    assert_eq!(parent.trim(), sandbox.git(&["rev-parse", "HEAD"])?.trim());
    Ok(())
}

#[test]
fn an_identical_run_makes_no_second_experiment() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = sandbox.run(&["lr=0.5"])?;
    let second = sandbox.run(&["lr=0.5"])?;
    let Some(Kept::Experiment(experiment)) = first.kept else { panic!("{:?}", first.kept) };
    assert_eq!(second.kept, Some(Kept::SameAs(experiment)));
    assert_eq!(sandbox.project()?.experiments().list()?.len(), 1);
    Ok(())
}

#[test]
fn a_stage_that_ran_before_is_restored_from_the_run_cache() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&["lr=0.5"])?;
    sandbox.run(&["lr=0.6"])?;
    let again = sandbox.run(&["lr=0.5"])?;
    let outcome = &again.report.stages[0].outcome;
    assert!(matches!(outcome, Outcome::Restored(RestoredFrom::RunCache)), "{outcome:?}");
    assert_eq!(sandbox.read("model")?, "model 0.5\n");
    assert_eq!(sandbox.read("metrics.json")?, "{\"acc\": 0.5}\n");
    assert!(matches!(again.kept, Some(Kept::SameAs(_))), "{:?}", again.kept);
    Ok(())
}

#[test]
fn a_failed_run_is_kept_with_what_it_wrote_and_hidden_from_dvc() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.commit("baseline with results")?;
    let before = sandbox.git_state()?;
    let outcome = sandbox.run(&["lr=18", "fail=3"])?;
    assert_eq!(outcome.report.ended, Ended::Failed);
    let Some(Kept::Unfinished(experiment)) = &outcome.kept else { panic!("{:?}", outcome.kept) };
    assert_eq!(sandbox.git_state()?, before, "HEAD, index, stash and branches stay");
    assert!(experiment.ref_name.as_str().starts_with("refs/exp/runs/"), "{}", experiment.ref_name);
    let metrics = sandbox.git(&["show", &format!("{}:metrics.json", experiment.commit)])?;
    assert_eq!(metrics, "{\"acc\": 18}\n", "never the baseline's");
    let store = sandbox.project()?.experiments();
    let record = store.record(experiment)?.ok_or("no record")?;
    assert_eq!((record.exit_code, record.stage.as_deref()), (Some(3), Some("train")));
    let log = String::from_utf8(store.log(experiment)?.ok_or("no log")?)?;
    for line in ["> sh train.sh\n", "training with 18\n", "no good\n"] {
        assert!(log.contains(line), "{log}");
    }
    sandbox.fsck()
}

#[test]
fn a_missing_dependency_stops_a_stage_before_its_outputs_go() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    std::fs::rename(sandbox.root().join("train.sh"), sandbox.root().join("away.sh"))?;
    let outcome = sandbox.run(&[])?;
    assert_eq!(outcome.report.ended, Ended::Failed);
    assert!(sandbox.has("model") && sandbox.has("metrics.json"), "outputs are still there");
    Ok(())
}

#[test]
fn an_unknown_parameter_changes_nothing() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let before = sandbox.read("params.yaml")?;
    assert!(sandbox.run(&["rate=1"]).is_err());
    assert_eq!(sandbox.read("params.yaml")?, before);
    assert!(sandbox.project()?.operations(9)?.is_empty());
    Ok(())
}

#[test]
fn a_private_run_leaves_the_workspace_alone() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.write("note.txt", "mine")?;
    sandbox.write("train.sh", &sandbox.read("train.sh")?.replace("model $lr", "edited $lr"))?;
    let git = sandbox.git_state()?;
    let status = sandbox.git(&["status", "--porcelain"])?;
    let mut wanted = request(&["lr=0.7"])?;
    wanted.place = Place::Private { copy: Vec::new() };
    let outcome = sandbox.project()?.run(&Ctx::silent(), &wanted)?;
    assert_eq!(outcome.report.ended, Ended::Complete, "{:?}", outcome.report);
    let Some(Kept::Experiment(experiment)) = &outcome.kept else { panic!("{:?}", outcome.kept) };
    assert_eq!(sandbox.git(&["status", "--porcelain"])?, status);
    assert_eq!(sandbox.git_state()?, git);
    assert!(!sandbox.has("model"));
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.1  # learning rate\nfail: 0\n");
    let show = |path: &str| sandbox.git(&["show", &format!("{}:{path}", experiment.commit)]);
    assert_eq!(show("params.yaml")?, "lr: 0.7  # learning rate\nfail: 0\n");
    assert!(show("train.sh")?.contains("edited"), "uncommitted edits are part of it");
    let left: Vec<_> = std::fs::read_dir(sandbox.root().join(".dvc/tmp/exp/work"))?.collect();
    assert!(left.is_empty(), "the private tree is gone: {left:?}");
    sandbox.fsck()
}

#[test]
fn what_git_tracks_of_a_private_run_is_in_the_repository() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.git(&["add", "."])?;
    sandbox.git(&["commit", "-q", "-m", "results"])?;
    let mut wanted = request(&["lr=0.7"])?;
    wanted.place = Place::Private { copy: Vec::new() };
    let outcome = sandbox.project()?.run(&Ctx::silent(), &wanted)?;
    let Some(Kept::Experiment(experiment)) = &outcome.kept else { panic!("{:?}", outcome.kept) };
    for path in ["metrics.json", "dvc.lock"] {
        sandbox.git(&["show", &format!("{}:{path}", experiment.commit)])?;
    }
    sandbox.fsck()
}

#[test]
fn what_a_private_run_writes_anew_belongs_to_it() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.commit("results")?;
    // Another process is about to write it anew.
    std::fs::remove_file(sandbox.root().join("metrics.json"))?;
    let mut wanted = request(&["lr=0.7"])?;
    wanted.place = Place::Private { copy: Vec::new() };
    let outcome = sandbox.project()?.run(&Ctx::silent(), &wanted)?;
    let Some(Kept::Experiment(experiment)) = &outcome.kept else { panic!("{:?}", outcome.kept) };
    let metrics = sandbox.git(&["show", &format!("{}:metrics.json", experiment.commit)])?;
    assert_eq!(metrics, "{\"acc\": 0.7}\n");
    sandbox.fsck()
}

#[test]
fn a_run_is_undone_byte_for_byte() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    let files = ["params.yaml", "dvc.lock", "metrics.json", "model", ".gitignore"];
    let before: Vec<String> =
        files.iter().map(|file| sandbox.read(file)).collect::<Result<_, _>>()?;
    sandbox.run(&["lr=0.9"])?;
    let project = sandbox.project()?;
    let plan =
        project.plan_undo(&Ctx::silent(), exp_engine::Direction::Undo)?.ok_or("nothing to undo")?;
    assert!(plan.changed_since.is_empty() && plan.moved_since.is_empty(), "{plan:?}");
    project.undo(&Ctx::silent(), plan)?;
    for (file, before) in files.iter().zip(before) {
        assert_eq!(sandbox.read(file)?, before, "{file}");
    }
    assert_eq!(
        project.experiments().list()?.len(),
        1,
        "the experiment is gone, the first one stays"
    );
    sandbox.fsck()
}

#[test]
fn two_projects_are_open_in_one_process() -> Test {
    let (one, two) = (Sandbox::with_stage()?, Sandbox::with_stage()?);
    let (first, second) = (one.project()?, two.project()?);
    let ctx = Ctx::silent();
    first.run(&ctx, &request(&["lr=1"])?)?;
    second.run(&ctx, &request(&["lr=2"])?)?;
    assert_eq!((one.read("model")?, two.read("model")?), ("model 1\n".into(), "model 2\n".into()));
    Ok(())
}

#[test]
fn a_project_below_the_top_of_its_repository_works() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let inner = sandbox.root().join("sub");
    std::fs::create_dir_all(inner.join(".dvc"))?;
    for file in [".dvc/config", ".dvc/.gitignore", "params.yaml", "train.sh", "dvc.yaml"] {
        std::fs::copy(sandbox.root().join(file), inner.join(file))?;
    }
    std::fs::remove_dir_all(sandbox.root().join(".dvc"))?;
    sandbox.commit("the project is in a folder")?;
    let project = Project::discover(&inner, sandbox.options())?;
    let outcome = project.run(&Ctx::silent(), &request(&["lr=4"])?)?;
    let Some(Kept::Experiment(experiment)) = &outcome.kept else { panic!("{:?}", outcome.kept) };
    let params = sandbox.git(&["show", &format!("{}:sub/params.yaml", experiment.commit)])?;
    assert_eq!(params, "lr: 4  # learning rate\nfail: 0\n");
    let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
    assert_eq!(view.stages.len(), 1);
    assert_eq!(project.relative(&inner), RelPath::root());
    Ok(())
}
