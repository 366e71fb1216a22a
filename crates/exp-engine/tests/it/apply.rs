//! Applying: what changes, what stays, what is refused, and that it can be taken back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use exp_engine::core::Ctx;
use exp_engine::refs::{CommitId, Experiment};
use exp_engine::{Direction, Error, Kept, Project, RunOutcome};

use crate::support::{Sandbox, Test};

/// Returns the experiment that a run made or met.
pub(crate) fn made(outcome: RunOutcome) -> Experiment {
    match outcome.kept {
        Some(Kept::Experiment(experiment) | Kept::Unfinished(experiment)) => experiment,
        other => panic!("no experiment: {other:?}"),
    }
}

/// Applies a commit.
pub(crate) fn apply(project: &Project, commit: CommitId) -> Result<(), Error> {
    let ctx = Ctx::silent();
    let plan = project.plan_apply(&ctx, commit)?;
    project.apply(&ctx, plan, "it")
}

/// Takes the last operation back.
pub(crate) fn undo(project: &Project) -> Result<(), Error> {
    let ctx = Ctx::silent();
    let plan = project.plan_undo(&ctx, Direction::Undo)?.expect("there is something to undo");
    project.undo(&ctx, plan)
}

/// Mode and bytes of files, by path.
pub(crate) type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// Returns every file of the workspace but those of Git and of the project's own business, with its mode.
pub(crate) fn workspace(sandbox: &Sandbox) -> Result<Files, Box<dyn std::error::Error>> {
    fn walk(root: &Path, dir: &Path, found: &mut Files) -> std::io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if name == ".git" || name == ".dvc/tmp" || name == ".dvc/cache" {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found)?;
            } else {
                found.insert(name, (path.metadata()?.permissions().mode(), fs::read(&path)?));
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    walk(&sandbox.root(), &sandbox.root(), &mut found)?;
    Ok(found)
}

/// Makes an experiment of `HEAD` with other files, by plumbing, as another tool would.
fn plumbed(
    sandbox: &Sandbox,
    name: &str,
    files: &[(&str, Option<&str>)],
) -> Result<CommitId, Box<dyn std::error::Error>> {
    use exp_engine::core::Timestamp;
    use exp_engine::refs::{Content, Draft, Expected, TreeChange, TreeEdit};
    let project = sandbox.project()?;
    let parent = project.git().resolve("HEAD")?;
    let changes = files
        .iter()
        .map(|(path, text)| {
            let edit = match text {
                Some(text) => {
                    let content = Content::Bytes(text.as_bytes().to_vec());
                    TreeEdit::Write { content, executable: path.contains(".sh") }
                }
                None => TreeEdit::Delete,
            };
            Ok(TreeChange { path: path.parse()?, edit })
        })
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let time = Timestamp::utc(1_795_410_005);
    let draft = Draft {
        parent,
        base: None,
        changes,
        message: name.to_owned(),
        author: None,
        time,
        record: None,
    };
    Ok(project.experiments().save(&draft, &name.parse()?, Expected::Missing)?.commit)
}

#[test]
fn the_workspace_becomes_the_experiment_and_nothing_of_gits_moves() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = made(sandbox.run(&["lr=0.5"])?);
    let left = workspace(&sandbox)?;
    made(sandbox.run(&["lr=0.6"])?);
    sandbox.git(&["add", "params.yaml"])?;
    let before = sandbox.git_state()?;
    let project = sandbox.project()?;
    let plan = project.plan_apply(&Ctx::silent(), first.commit)?;
    let names: Vec<&str> = plan.files.keys().map(exp_engine::core::RelPath::as_str).collect();
    assert_eq!(names, ["dvc.lock", "metrics.json", "params.yaml"]);
    assert_eq!(
        plan.data.keys().map(exp_engine::core::RelPath::as_str).collect::<Vec<_>>(),
        ["model"]
    );
    assert!(plan.unsaved.is_empty(), "all of it is in the other experiment: {:?}", plan.unsaved);
    project.apply(&Ctx::silent(), plan, "first")?;
    assert_eq!(workspace(&sandbox)?, left);
    assert_eq!(sandbox.git_state()?, before, "HEAD, index, stash and branches stay");
    sandbox.fsck()?;
    assert!(project.plan_apply(&Ctx::silent(), first.commit)?.is_empty());
    Ok(())
}

#[test]
fn a_plan_writes_nothing() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = made(sandbox.run(&["lr=0.5"])?);
    sandbox.write("train.sh", "echo edited\n")?;
    sandbox.write("params.yaml", "lr: 7\n")?;
    let (files, objects) = (workspace(&sandbox)?, sandbox.git(&["count-objects", "-v"])?);
    let plan = sandbox.project()?.plan_apply(&Ctx::silent(), first.commit)?;
    assert_eq!(
        plan.unsaved.iter().map(exp_engine::core::RelPath::as_str).collect::<Vec<_>>(),
        ["params.yaml", "train.sh"]
    );
    assert_eq!(workspace(&sandbox)?, files);
    assert_eq!(sandbox.git(&["count-objects", "-v"])?, objects);
    Ok(())
}

#[test]
fn unsaved_work_comes_back_byte_for_byte() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = made(sandbox.run(&["lr=0.5"])?);
    sandbox.write("train.sh", "echo 'my own work' # \t\r\n")?;
    fs::set_permissions(sandbox.root().join("train.sh"), fs::Permissions::from_mode(0o755))?;
    sandbox.write("params.yaml", "lr: 7 # mine\nfail: 0")?;
    sandbox.write("model", "a model that was made by hand")?;
    sandbox.write("notes.txt", "untracked")?;
    sandbox.git(&["add", "train.sh"])?;
    let (files, git) = (workspace(&sandbox)?, sandbox.git_state()?);
    let project = sandbox.project()?;
    let plan = project.plan_apply(&Ctx::silent(), first.commit)?;
    let unsaved: Vec<&str> = plan.unsaved.iter().map(exp_engine::core::RelPath::as_str).collect();
    assert_eq!(unsaved, ["model", "params.yaml", "train.sh"]);
    project.apply(&Ctx::silent(), plan, "first")?;
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.5  # learning rate\nfail: 0\n");
    assert_eq!(sandbox.read("model")?, "model 0.5\n");
    assert_eq!(sandbox.read("notes.txt")?, "untracked", "what the experiment does not have stays");
    undo(&project)?;
    assert_eq!(workspace(&sandbox)?, files);
    assert_eq!(sandbox.git_state()?, git);
    let again = project.plan_apply(&Ctx::silent(), first.commit)?;
    let unsaved: Vec<&str> = again.unsaved.iter().map(exp_engine::core::RelPath::as_str).collect();
    assert_eq!(unsaved, ["params.yaml", "train.sh"], "the model is in the store by now");
    sandbox.fsck()
}

#[test]
fn missing_data_is_named_before_anything_is_touched() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = made(sandbox.run(&["lr=0.5"])?);
    made(sandbox.run(&["lr=0.6"])?);
    let project = sandbox.project()?;
    fs::remove_dir_all(project.cache().root().join("files"))?;
    let files = workspace(&sandbox)?;
    let plan = project.plan_apply(&Ctx::silent(), first.commit)?;
    assert_eq!(
        plan.missing.iter().map(exp_engine::core::RelPath::as_str).collect::<Vec<_>>(),
        ["model"]
    );
    let refused = project.apply(&Ctx::silent(), plan, "first");
    assert!(
        matches!(&refused, Err(Error::MissingData { paths }) if paths[0].as_str() == "model"),
        "{refused:?}"
    );
    assert_eq!(workspace(&sandbox)?, files);
    Ok(())
}

#[test]
fn data_that_is_there_already_need_not_be_in_the_store() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = made(sandbox.run(&["lr=0.5"])?);
    sandbox.write("params.yaml", "lr: 7\nfail: 0\n")?;
    let project = sandbox.project()?;
    fs::remove_dir_all(project.cache().root().join("files"))?;
    apply(&project, first.commit)?;
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.5  # learning rate\nfail: 0\n");
    Ok(())
}

#[test]
fn an_experiment_of_another_baseline_applies() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = made(sandbox.run(&["lr=0.5"])?);
    sandbox.write("later.txt", "new in the second commit")?;
    sandbox.commit("second")?;
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    let left = workspace(&sandbox)?;
    let project = sandbox.project()?;
    apply(&project, first.commit)?;
    assert!(!sandbox.has("later.txt"), "the experiment was made before that file");
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"])?, head);
    undo(&project)?;
    assert_eq!(workspace(&sandbox)?, left);
    Ok(())
}

#[test]
fn edited_and_untracked_files_that_the_experiment_does_not_have_stay() -> Test {
    let sandbox = Sandbox::new(&[("kept.txt", "1"), ("gone.txt", "1"), ("edited.txt", "1")])?;
    let commit = plumbed(
        &sandbox,
        "e",
        &[("gone.txt", None), ("edited.txt", None), ("new/a.sh", Some("x"))],
    )?;
    sandbox.write("edited.txt", "2")?;
    sandbox.write("untracked.txt", "3")?;
    let left = workspace(&sandbox)?;
    let project = sandbox.project()?;
    apply(&project, commit)?;
    assert!(!sandbox.has("gone.txt"));
    assert_eq!(sandbox.read("edited.txt")?, "2");
    assert_eq!(sandbox.read("untracked.txt")?, "3");
    let mode = fs::metadata(sandbox.root().join("new/a.sh"))?.permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "executable as Git has it");
    undo(&project)?;
    assert_eq!(workspace(&sandbox)?, left);
    assert!(!sandbox.has("new"), "no empty directory is left");
    Ok(())
}

#[test]
fn a_file_takes_the_place_of_a_directory_and_back() -> Test {
    let sandbox = Sandbox::new(&[("a/b.txt", "1"), ("c", "1")])?;
    let commit = plumbed(
        &sandbox,
        "e",
        &[("a/b.txt", None), ("a", Some("a file")), ("c", None), ("c/d/e.txt", Some("deep"))],
    )?;
    let left = workspace(&sandbox)?;
    let project = sandbox.project()?;
    apply(&project, commit)?;
    assert_eq!(sandbox.read("a")?, "a file");
    assert_eq!(sandbox.read("c/d/e.txt")?, "deep");
    undo(&project)?;
    assert_eq!(workspace(&sandbox)?, left);
    sandbox.write("a/mine.txt", "somebody's work")?;
    let refused = apply(&project, commit);
    assert!(
        matches!(&refused, Err(Error::InTheWay { paths }) if paths[0].as_str() == "a"),
        "{refused:?}"
    );
    assert_eq!(sandbox.read("a/b.txt")?, "1");
    assert_eq!(sandbox.read("c")?, "1", "nothing was touched");
    Ok(())
}

#[test]
fn directories_and_executable_bits_come_from_the_store() -> Test {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "n: 1\n"),
        (
            "make.sh",
            "n=$(sed 's/n: //' params.yaml)\nmkdir -p d/sub\necho $n > d/sub/a\necho same > d/b\n\
                     [ $n = 1 ] && echo one > d/only1\nprintf \"#!/bin/sh\\necho $n\\n\" > tool\nchmod +x tool\n",
        ),
        (
            "dvc.yaml",
            "stages:\n  make:\n    cmd: sh make.sh\n    params: [n]\n    outs: [d, tool]\n",
        ),
    ])?;
    let one = made(sandbox.run(&[])?);
    let left = workspace(&sandbox)?;
    let two = made(sandbox.run(&["n=2"])?);
    let second = workspace(&sandbox)?;
    let project = sandbox.project()?;
    apply(&project, one.commit)?;
    assert_eq!(workspace(&sandbox)?, left);
    apply(&project, two.commit)?;
    assert_eq!(workspace(&sandbox)?, second);
    fs::remove_dir_all(sandbox.root().join("d"))?;
    fs::set_permissions(sandbox.root().join("tool"), fs::Permissions::from_mode(0o644))?;
    apply(&project, two.commit)?;
    assert_eq!(
        workspace(&sandbox)?,
        second,
        "a directory that was deleted and a bit that was cleared"
    );
    undo(&project)?;
    assert!(!sandbox.has("d"), "it was deleted by hand before");
    Ok(())
}

#[test]
fn outputs_that_only_another_experiment_has_go_and_come_back() -> Test {
    let sandbox = Sandbox::with_stage()?;
    made(sandbox.run(&["lr=0.5"])?);
    let left = workspace(&sandbox)?;
    let commit = plumbed(&sandbox, "bare", &[("dvc.yaml", None)])?;
    let project = sandbox.project()?;
    apply(&project, commit)?;
    assert!(!sandbox.has("model"), "it is in the store");
    undo(&project)?;
    assert_eq!(workspace(&sandbox)?, left);
    Ok(())
}

#[test]
fn a_failure_on_the_way_leaves_the_workspace_as_it_was() -> Test {
    let sandbox = Sandbox::new(&[
        ("a.txt", "1"),
        ("z.txt", "1"),
        (".gitattributes", "z.txt filter=broken\n"),
    ])?;
    let commit = plumbed(&sandbox, "e", &[("a.txt", Some("2")), ("z.txt", Some("2"))])?;
    sandbox.git(&["config", "filter.broken.smudge", "false"])?;
    sandbox.git(&["config", "filter.broken.required", "true"])?;
    sandbox.git(&["config", "filter.broken.clean", "cat"])?;
    let left = workspace(&sandbox)?;
    let project = sandbox.project()?;
    assert!(apply(&project, commit).is_err());
    assert_eq!(workspace(&sandbox)?, left);
    assert_eq!(project.operations(10)?, [], "nothing happened");
    assert!(fs::read_dir(project.scratch().join("ops"))?.next().is_none(), "no journal is left");
    Ok(())
}

#[test]
fn a_run_that_failed_applies_without_its_record() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let failed = made(sandbox.run(&["lr=0.9", "fail=3"])?);
    assert!(!failed.is_finished);
    sandbox.git(&["checkout", "-q", "."])?;
    let project = sandbox.project()?;
    apply(&project, failed.commit)?;
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.9  # learning rate\nfail: 3\n");
    assert!(!sandbox.has(".dvc/exp"), "records are not for the workspace");
    Ok(())
}

#[test]
fn nothing_is_applied_while_a_run_is_under_way() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let first = made(sandbox.run(&["lr=0.5"])?);
    sandbox.write("params.yaml", "lr: 1\nfail: 0\n")?;
    let project = sandbox.project()?;
    let lock = fs::File::options().write(true).open(project.scratch().join("workspace.lock"))?;
    lock.lock()?;
    let refused = apply(&project, first.commit);
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    assert_eq!(sandbox.read("params.yaml")?, "lr: 1\nfail: 0\n");
    Ok(())
}
