//! Data: what is tracked, what is refused, how it comes back, and what differs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use exp_engine::cache::Relink;
use exp_engine::core::{Algorithm, Ctx, RelPath};
use exp_engine::{
    AddReport, AddRequest, CheckoutReport, DataError, DataScope, DataStatus, DataStatusRequest,
    Direction, Error, Granularity, OutEffect, UnsavedData,
};

use crate::support::{Sandbox, Test};

/// Files by path.
pub(crate) type Files = Vec<(PathBuf, Vec<u8>)>;

impl Sandbox {
    pub(crate) fn add(&self, paths: &[&str]) -> Result<AddReport, Error> {
        self.add_with(paths, true)
    }

    pub(crate) fn add_with(&self, paths: &[&str], commit: bool) -> Result<AddReport, Error> {
        let targets: Vec<PathBuf> = paths.iter().map(|path| self.root().join(path)).collect();
        let request = AddRequest { targets, commit, relink: Relink::Yes };
        self.open().add(&Ctx::silent(), &request)
    }

    pub(crate) fn open(&self) -> exp_engine::Project {
        self.project().expect("the project can be opened")
    }

    pub(crate) fn checkout(
        &self,
        targets: &[&str],
        unsaved: UnsavedData,
    ) -> Result<CheckoutReport, Error> {
        let project = self.open();
        let plan = project.plan_data_checkout(&Ctx::silent(), &scope(targets))?;
        project.checkout_data(&Ctx::silent(), plan, unsaved)
    }

    pub(crate) fn data_status(&self, granularity: Granularity) -> Result<DataStatus, Error> {
        let request =
            DataStatusRequest { granularity, unchanged: true, ..DataStatusRequest::default() };
        self.open().data_status(&Ctx::silent(), &request)
    }

    pub(crate) fn undo(&self) -> Test {
        let project = self.open();
        let plan = project.plan_undo(&Ctx::silent(), Direction::Undo)?.ok_or("nothing to undo")?;
        Ok(project.undo(&Ctx::silent(), plan)?)
    }

    /// Everything outside of Git's and our own directories.
    pub(crate) fn snapshot(&self) -> Result<Files, Box<dyn std::error::Error>> {
        let mut found = Vec::new();
        let mut todo = vec![self.root()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    if !path.ends_with(".git") && !path.ends_with(".dvc") {
                        todo.push(path);
                    }
                } else {
                    found.push((path.clone(), fs::read(&path)?));
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

fn scope(targets: &[&str]) -> DataScope {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    DataScope { targets, ..DataScope::default() }
}

pub(crate) fn with_data() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::new(&[])?;
    sandbox.write("a", "hi\n")?;
    sandbox.write("d/x", "1\n")?;
    sandbox.write("d/sub/y", "2\n")?;
    sandbox.add(&["a", "d"])?;
    sandbox.commit("data")?;
    Ok(sandbox)
}

#[test]
fn files_and_directories_are_recorded_as_dvc_does() -> Test {
    let sandbox = with_data()?;
    assert_eq!(
        sandbox.read("a.dvc")?,
        "outs:\n- md5: 764efa883dda1e11db47671c4a3bbd9e\n  size: 3\n  hash: md5\n  path: a\n"
    );
    let dir = sandbox.read("d.dvc")?;
    assert!(dir.contains(".dir\n  size: 4\n  nfiles: 2\n  hash: md5\n  path: d\n"), "{dir}");
    assert_eq!(sandbox.read(".gitignore")?, "/a\n/d\n");
    assert_eq!(sandbox.git(&["status", "--porcelain"])?, "");
    Ok(())
}

#[test]
fn an_executable_file_and_an_empty_directory_come_back() -> Test {
    let sandbox = Sandbox::new(&[])?;
    sandbox.write("run.sh", "true\n")?;
    fs::set_permissions(sandbox.root().join("run.sh"), fs::Permissions::from_mode(0o755))?;
    fs::create_dir(sandbox.root().join("empty"))?;
    sandbox.add(&["run.sh", "empty"])?;
    assert!(sandbox.read("run.sh.dvc")?.contains("  isexec: true\n"));
    assert!(
        sandbox
            .read("empty.dvc")?
            .contains("d751713988987e9331980363e24189ce.dir\n  size: 0\n  nfiles: 0\n")
    );
    fs::remove_file(sandbox.root().join("run.sh"))?;
    fs::remove_dir(sandbox.root().join("empty"))?;
    let report = sandbox.checkout(&[], UnsavedData::Refuse)?;
    assert_eq!(report.changed.len(), 2);
    assert!(sandbox.root().join("empty").is_dir());
    let mode = fs::metadata(sandbox.root().join("run.sh"))?.permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    Ok(())
}

#[test]
fn adding_again_keeps_what_people_wrote() -> Test {
    let sandbox = with_data()?;
    let text = sandbox
        .read("a.dvc")?
        .replace("  path: a\n", "  path: a\n  desc: mine  # note\nmeta:\n  k: 1\n");
    sandbox.write("a.dvc", &text)?;
    sandbox.write("a", "more\n")?;
    let report = sandbox.add(&["a"])?;
    assert!(report.ignore_files.is_empty());
    let text = sandbox.read("a.dvc")?;
    assert!(text.contains("desc: mine  # note\nmeta:\n  k: 1\n"), "{text}");
    assert!(text.contains("size: 5\n"), "{text}");
    Ok(())
}

#[test]
fn a_path_inside_tracked_data_updates_only_itself() -> Test {
    let sandbox = with_data()?;
    sandbox.write("d/x", "changed\n")?;
    sandbox.write("d/new", "3\n")?;
    sandbox.add(&["d/new"])?;
    let text = sandbox.read("d.dvc")?;
    assert!(text.contains("  size: 6\n  nfiles: 3\n"), "{text}");
    let status = sandbox.data_status(Granularity::Files)?;
    assert_eq!(status.uncommitted.modified, ["d/", "d/x"]);
    assert_eq!(status.committed.added, ["d/new"]);
    Ok(())
}

#[test]
fn what_cannot_be_tracked_is_refused_and_nothing_changes() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.write("good", "1")?;
    sandbox.write(".dvcignore", "*.log\n")?;
    sandbox.write("x.log", "1")?;
    sandbox.write("t/in", "1")?;
    sandbox.write("t/out", "1")?;
    sandbox.add(&["t/in"])?;
    let before = sandbox.snapshot()?;
    let outside = sandbox.root().join("../elsewhere");
    fs::write(&outside, "1")?;
    let check = |path: &str, is: fn(&Error) -> bool| {
        let error = sandbox.add(&["good", path]).expect_err(path);
        assert!(is(&error), "{path}: {error:?}");
    };
    check("none", |error| matches!(error, Error::Data(DataError::Absent { .. })));
    check("t/in.dvc", |error| matches!(error, Error::Data(DataError::DvcFile { .. })));
    check("../elsewhere", |error| matches!(error, Error::Data(DataError::Outside { .. })));
    check("params.yaml", |error| matches!(error, Error::TrackedByGit { .. }));
    check("model", |error| matches!(error, Error::Data(DataError::PipelineOutput { .. })));
    check("t", |error| matches!(error, Error::Graph(_)));
    check(
        "x.log",
        |error| matches!(error, Error::Data(DataError::Ignored { rule, .. }) if rule == ".dvcignore:1:*.log"),
    );
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn a_failure_in_the_middle_takes_everything_back() -> Test {
    let sandbox = Sandbox::new(&[])?;
    sandbox.write("one", "1")?;
    sandbox.write("two/a", "1")?;
    symlink("nowhere", sandbox.root().join("two/broken"))?;
    let before = sandbox.git(&["status", "--porcelain", "-uall"])?;
    assert!(sandbox.add(&["one", "two"]).is_err());
    assert_eq!(sandbox.git(&["status", "--porcelain", "-uall"])?, before);
    assert!(sandbox.open().operations(9)?.is_empty());
    Ok(())
}

#[test]
fn adding_is_undone() -> Test {
    let sandbox = Sandbox::new(&[])?;
    sandbox.write("one", "1")?;
    sandbox.add(&["one"])?;
    assert!(sandbox.has("one.dvc") && sandbox.has(".gitignore"));
    sandbox.undo()?;
    assert!(!sandbox.has("one.dvc") && !sandbox.has(".gitignore"));
    assert_eq!(sandbox.read("one")?, "1");
    Ok(())
}

#[test]
fn without_commit_content_is_recorded_and_not_stored() -> Test {
    let sandbox = Sandbox::new(&[])?;
    sandbox.write("one", "1")?;
    let report = sandbox.add_with(&["one"], false)?;
    assert!(!sandbox.open().cache().contains(&report.added[0].artifact.id));
    assert_eq!(sandbox.data_status(Granularity::Outputs)?.not_in_cache, ["one"]);
    Ok(())
}

#[test]
fn unsaved_files_are_refused_or_kept_for_undo() -> Test {
    let sandbox = with_data()?;
    sandbox.write("a", "unsaved\n")?;
    sandbox.write("d/z", "unsaved too\n")?;
    fs::remove_file(sandbox.root().join("d/x"))?;
    let error = sandbox.checkout(&[], UnsavedData::Refuse).unwrap_err();
    let Error::Data(DataError::Unsaved { paths }) = &error else { panic!("{error:?}") };
    assert_eq!(paths, &[RelPath::new("a")?, RelPath::new("d/z")?]);
    assert!(!sandbox.has("d/x"), "nothing was changed");
    let report = sandbox.checkout(&[], UnsavedData::Keep)?;
    assert_eq!((report.files_added, report.files_modified, report.files_removed), (1, 1, 1));
    assert!(report.changed.iter().all(|change| change.effect == OutEffect::Modified));
    assert!(sandbox.data_status(Granularity::Files)?.uncommitted.is_empty());
    sandbox.undo()?;
    assert_eq!(
        (sandbox.read("a")?, sandbox.read("d/z")?),
        ("unsaved\n".into(), "unsaved too\n".into())
    );
    assert!(!sandbox.has("d/x"));
    Ok(())
}

#[test]
fn a_part_of_a_directory_is_brought_back_alone() -> Test {
    let sandbox = with_data()?;
    fs::remove_dir_all(sandbox.root().join("d"))?;
    sandbox.checkout(&["d/sub"], UnsavedData::Refuse)?;
    assert!(sandbox.has("d/sub/y") && !sandbox.has("d/x"));
    sandbox.checkout(&["d/x"], UnsavedData::Refuse)?;
    assert!(sandbox.data_status(Granularity::Files)?.uncommitted.is_empty());
    assert!(matches!(
        sandbox.checkout(&["d/no"], UnsavedData::Refuse),
        Err(Error::Data(DataError::NotPart { .. }))
    ));
    assert!(matches!(
        sandbox.checkout(&["no"], UnsavedData::Refuse),
        Err(Error::Data(DataError::UnknownTarget { .. }))
    ));
    Ok(())
}

#[test]
fn what_the_store_lacks_is_named_and_the_rest_comes_back() -> Test {
    let sandbox = with_data()?;
    let id = exp_engine::core::ObjectId::file(exp_engine::core::Digest::of(Algorithm::Md5, b"2\n"));
    let object = sandbox.open().cache().object_path(&id);
    fs::remove_file(object)?;
    fs::remove_dir_all(sandbox.root().join("d"))?;
    fs::remove_file(sandbox.root().join("a"))?;
    let report = sandbox.checkout(&[], UnsavedData::Refuse)?;
    assert_eq!(report.missing, [RelPath::new("d")?]);
    assert!(sandbox.has("a") && !sandbox.has("d"));
    let status = sandbox.data_status(Granularity::Files)?;
    assert_eq!(status.not_in_cache, ["d/sub/y"]);
    assert_eq!(status.uncommitted.deleted, ["d/", "d/sub/y", "d/x"]);
    Ok(())
}

#[test]
fn the_state_of_data_is_told_in_dvcs_groups() -> Test {
    let sandbox = with_data()?;
    let clean = sandbox.data_status(Granularity::Files)?;
    assert_eq!(clean.unchanged, ["a", "d/", "d/sub/y", "d/x"]);
    sandbox.write("d/x", "9\n")?;
    fs::rename(sandbox.root().join("d/sub/y"), sandbox.root().join("d/z"))?;
    let status = sandbox.data_status(Granularity::Files)?;
    assert_eq!(status.uncommitted.modified, ["d/", "d/x"]);
    assert_eq!(status.uncommitted.renamed, [("d/sub/y".to_owned(), "d/z".to_owned())]);
    assert!(status.committed.is_empty());
    assert_eq!(status.unchanged, ["a"]);
    let coarse = sandbox.data_status(Granularity::Outputs)?;
    assert_eq!(coarse.uncommitted.modified, ["d/"]);
    assert!(coarse.uncommitted.renamed.is_empty());
    fs::rename(sandbox.root().join("a"), sandbox.root().join("b"))?;
    fs::remove_file(sandbox.root().join("a.dvc"))?;
    sandbox.add(&["b"])?;
    let status = sandbox.data_status(Granularity::Outputs)?;
    assert_eq!(status.committed.renamed, [("a".to_owned(), "b".to_owned())]);
    Ok(())
}

#[test]
fn a_stage_that_changed_is_recorded_only_when_that_is_accepted() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.write("model", "by hand\n")?;
    let before = sandbox.read("dvc.lock")?;
    let project = sandbox.open();
    let ctx = Ctx::silent();
    let plan = project.plan_commit(&ctx, &scope(&[]))?;
    assert_eq!(plan.changed().count(), 1);
    let refused = project.commit_data(&ctx, plan, Relink::Yes, &mut |_| false);
    assert!(matches!(refused, Err(Error::Data(DataError::NotAccepted { .. }))), "{refused:?}");
    assert_eq!(sandbox.read("dvc.lock")?, before);
    let plan = project.plan_commit(&ctx, &scope(&["train"]))?;
    let report = project.commit_data(&ctx, plan, Relink::Yes, &mut |_| true)?;
    assert_eq!(report.recorded.len(), 1);
    assert_ne!(sandbox.read("dvc.lock")?, before);
    assert_eq!(project.plan_commit(&ctx, &scope(&[]))?.changed().count(), 0);
    assert!(sandbox.data_status(Granularity::Outputs)?.not_in_cache.is_empty());
    Ok(())
}
