//! What is tracked and where: removing, moving, freezing, `.dvcignore` below the root; all of it undone.

use std::fs;

use exp_engine::cache::Relink;
use exp_engine::core::{Ctx, RelPath, StageId};
use exp_engine::{
    AddCopyRequest, DataDiffEntry, DataDiffRequest, DataError, DataScope, Error, Granularity,
    OutEffect, Side, UnsavedData, UntrackReport, UntrackRequest, UntrackedOuts,
};

use crate::data::with_data;
use crate::support::{Sandbox, Test};

fn untrack(
    sandbox: &Sandbox,
    targets: &[&str],
    outs: UntrackedOuts,
) -> Result<UntrackReport, Error> {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    let request = UntrackRequest { targets, cwd: RelPath::root(), outs };
    sandbox.open().untrack(&Ctx::silent(), &request)
}

#[test]
fn removed_data_comes_back_even_if_it_was_never_saved() -> Test {
    let sandbox = with_data()?;
    sandbox.write("d/x", "unsaved\n")?;
    let before = sandbox.snapshot()?;
    let report = untrack(&sandbox, &["a.dvc", "d.dvc"], UntrackedOuts::Remove)?;
    assert_eq!(report.outs.len(), 2);
    assert!(!sandbox.has("d") && !sandbox.has("d.dvc") && !sandbox.has(".gitignore"));
    sandbox.undo()?;
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn nothing_is_removed_when_one_target_is_wrong() -> Test {
    let sandbox = with_data()?;
    let before = sandbox.snapshot()?;
    let error = untrack(&sandbox, &["a.dvc", "d"], UntrackedOuts::Remove).unwrap_err();
    assert!(
        matches!(&error, Error::Data(DataError::NotDvcFile { file, .. }) if file.as_str() == "d.dvc")
    );
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn a_removed_stage_leaves_what_else_its_file_says() -> Test {
    let sandbox = Sandbox::new(&[(
        "dvc.yaml",
        "# mine\nvars:\n- x: 1\nstages:\n  one:\n    cmd: echo\nmetrics: [m.json]\n",
    )])?;
    let before = sandbox.snapshot()?;
    untrack(&sandbox, &["one"], UntrackedOuts::Leave)?;
    assert_eq!(sandbox.read("dvc.yaml")?, "# mine\nvars:\n- x: 1\nmetrics: [m.json]\n");
    sandbox.undo()?;
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn a_move_keeps_comments_and_is_undone() -> Test {
    let sandbox = with_data()?;
    let text = sandbox.read("d.dvc")?.replace("  path: d", "  path: d  # images");
    sandbox.write("d.dvc", &text)?;
    fs::create_dir(sandbox.root().join("sub"))?;
    let before = sandbox.snapshot()?;
    let root = sandbox.root();
    let report = sandbox.open().move_data(&Ctx::silent(), &root.join("d"), &root.join("sub/e"))?;
    assert_eq!((report.to.as_str(), report.file.as_str()), ("sub/e", "sub/e.dvc"));
    assert!(sandbox.read("sub/e.dvc")?.contains("  path: e  # images\n"));
    assert_eq!(sandbox.read("sub/.gitignore")?, "/e\n");
    assert_eq!(sandbox.read(".gitignore")?, "/a\n");
    assert_eq!(sandbox.read("sub/e/sub/y")?, "2\n");
    sandbox.undo()?;
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn a_move_overwrites_nothing() -> Test {
    let sandbox = with_data()?;
    sandbox.write("mine", "work\n")?;
    let before = sandbox.snapshot()?;
    let root = sandbox.root();
    for to in ["mine", "a"] {
        let moved = sandbox.open().move_data(&Ctx::silent(), &root.join("d"), &root.join(to));
        assert!(matches!(moved, Err(Error::InTheWay { .. })), "{to}");
    }
    let error = sandbox.open().move_data(&Ctx::silent(), &root.join("a"), &root.join("../x"));
    assert!(matches!(error, Err(Error::Data(DataError::Outside { .. }))));
    let inside = sandbox.open().move_data(&Ctx::silent(), &root.join("a"), &root.join("d/a"));
    assert!(matches!(inside, Err(Error::Graph(_))), "outputs do not overlap");
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn a_frozen_file_is_thawed_as_it_was() -> Test {
    let sandbox = with_data()?;
    let before = sandbox.read("a.dvc")?;
    let id = StageId::data(RelPath::new("a.dvc")?);
    sandbox.open().set_frozen(&Ctx::silent(), &id, true)?;
    assert_eq!(sandbox.read("a.dvc")?, format!("{before}frozen: true\n"));
    sandbox.open().set_frozen(&Ctx::silent(), &id, false)?;
    assert_eq!(sandbox.read("a.dvc")?, before);
    Ok(())
}

#[test]
fn rules_below_the_root_hold_for_data_and_stay_out_of_it() -> Test {
    let sandbox = Sandbox::new(&[])?;
    sandbox.write("lab/.dvcignore", "*.tmp\n")?;
    sandbox.write("lab/data/a", "1")?;
    sandbox.write("lab/data/b.tmp", "2")?;
    sandbox.write("other/b.tmp", "2")?;
    sandbox.add(&["lab/data", "other"])?;
    assert!(sandbox.read("lab/data.dvc")?.contains("nfiles: 1"));
    assert!(sandbox.read("other.dvc")?.contains("nfiles: 1"));
    sandbox.write("bad/deep/.dvcignore", "x\n")?;
    let before = sandbox.snapshot()?;
    let error = sandbox.add(&["bad"]).unwrap_err();
    assert!(error.to_string().contains("bad/deep/.dvcignore"), "{error}");
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn data_of_commits_and_the_workspace_is_compared() -> Test {
    let sandbox = with_data()?;
    let root = sandbox.root();
    fs::rename(root.join("d/x"), root.join("d/z"))?;
    sandbox.write("a", "changed\n")?;
    let diff = |old: &str, new: &str, targets: &[&str]| {
        let project = sandbox.open();
        let side = |name: &str| Side::find(&Ctx::silent(), &project, name);
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        let scope = DataScope { targets, ..DataScope::default() };
        let request = DataDiffRequest { old: side(old)?, new: side(new)?, scope };
        project.data_diff(&Ctx::silent(), &request)
    };
    let paths = |list: &[DataDiffEntry]| {
        list.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>().join(" ")
    };
    let found = diff("HEAD", "workspace", &[])?;
    assert_eq!(paths(&found.modified), "a d/");
    assert_eq!(found.renamed[0].new_path.as_deref(), Some("d/z"));
    assert!(found.added.is_empty() && found.deleted.is_empty() && found.not_in_cache.is_empty());
    assert!(diff("HEAD", "HEAD", &[])?.is_empty());
    assert_eq!(paths(&diff("HEAD", "workspace", &["a"])?.modified), "a");
    let unknown = diff("HEAD", "workspace", &["nothing"]);
    assert!(matches!(unknown, Err(Error::Data(DataError::Absent { .. }))));
    fs::remove_dir_all(root.join(".dvc/cache"))?;
    let found = diff("HEAD", "workspace", &[])?;
    assert_eq!(paths(&found.not_in_cache), "a d/", "its files are not known");
    assert_eq!(paths(&found.modified), "a d/");
    Ok(())
}

#[test]
fn data_from_elsewhere_is_copied_and_taken_back() -> Test {
    let sandbox = with_data()?;
    let outside = tempfile::tempdir()?;
    fs::write(outside.path().join("f"), "far\n")?;
    sandbox.write("a", "unsaved\n")?;
    let before = sandbox.snapshot()?;
    let root = sandbox.root();
    let copy = |to: &str, replace| {
        let source = outside.path().join("f");
        let request = AddCopyRequest { source, to: root.join(to), replace, relink: Relink::Yes };
        sandbox.open().add_copy(&Ctx::silent(), &request)
    };
    assert!(matches!(copy("a", false), Err(Error::InTheWay { .. })));
    assert!(matches!(copy("../x", true), Err(Error::Data(DataError::Outside { .. }))));
    assert!(copy(".dvcignore.dvc", true).is_err());
    assert_eq!(sandbox.snapshot()?, before);
    copy("a", true)?;
    assert_eq!(sandbox.read("a")?, "far\n");
    sandbox.undo()?;
    assert_eq!(sandbox.snapshot()?, before, "what was replaced had never been saved");
    Ok(())
}

#[test]
fn parts_that_are_added_together_are_all_recorded() -> Test {
    let sandbox = with_data()?;
    sandbox.write("d/new", "n\n")?;
    sandbox.write("d/sub/y", "changed\n")?;
    sandbox.add(&["d/new", "d/sub"])?;
    assert!(sandbox.read("d.dvc")?.contains("nfiles: 3"));
    assert!(sandbox.data_status(Granularity::Files)?.uncommitted.is_empty());
    Ok(())
}

#[test]
fn what_is_no_longer_tracked_goes_unless_it_changed() -> Test {
    let sandbox = Sandbox::new(&[])?;
    sandbox.write("a", "1")?;
    sandbox.write("b", "2")?;
    sandbox.add(&["a", "b"])?;
    sandbox.commit("data")?;
    sandbox.git(&["checkout", "-q", "HEAD~1"])?;
    sandbox.write("b", "mine")?;
    let before = sandbox.snapshot()?;
    let report = sandbox.checkout(&[], UnsavedData::Refuse)?;
    assert_eq!(report.changed.len(), 1);
    assert_eq!(report.changed[0].effect, OutEffect::Deleted);
    assert!(!sandbox.has("a") && sandbox.has("b"));
    sandbox.undo()?;
    assert_eq!(sandbox.snapshot()?, before);
    Ok(())
}

#[test]
fn a_link_to_elsewhere_is_not_written_through() -> Test {
    let sandbox = with_data()?;
    let outside = tempfile::tempdir()?;
    fs::write(outside.path().join("x"), "theirs\n")?;
    std::os::unix::fs::symlink(outside.path(), sandbox.root().join("away"))?;
    let record = sandbox.read("a.dvc")?.replace("path: a", "path: away/x");
    sandbox.write("evil.dvc", &record)?;
    let error = sandbox.checkout(&["evil.dvc"], UnsavedData::Drop).unwrap_err();
    assert!(matches!(error, Error::Data(DataError::LeadsOutside { .. })), "{error}");
    let removed = untrack(&sandbox, &["evil.dvc"], UntrackedOuts::Remove);
    assert!(matches!(removed, Err(Error::Data(DataError::LeadsOutside { .. }))));
    assert!(sandbox.has("evil.dvc"));
    assert_eq!(fs::read_to_string(outside.path().join("x"))?, "theirs\n");
    Ok(())
}

#[test]
fn files_of_strangers_are_refused_with_their_line() -> Test {
    let sandbox = with_data()?;
    let good = sandbox.read("a.dvc")?;
    let hex = "764efa883dda1e11db47671c4a3bbd9e";
    for (text, place) in [
        (good.replace("path: a", "path: ../../../../tmp/exp-evil"), "line 5"),
        (good.replace("path: a", "path: /tmp/exp-evil"), "line 5"),
        (good.replace(hex, "../../../../etc/passwd"), "line 2"),
        (good.replace(hex, "zz4efa883dda1e11db47671c4a3bbd9e"), "line 2"),
        (format!("wdir: ../..\n{good}"), "line 1"),
        (good.replace("path: a", "path: .git/hooks/post-checkout"), "line 5"),
        (good.replace("path: a", "path: x/../.DVC/config.local"), "line 5"),
    ] {
        sandbox.write("evil.dvc", &text)?;
        let error = sandbox.checkout(&[], UnsavedData::Drop).unwrap_err();
        let mut words = error.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(one) = cause {
            words = format!("{words}: {one}");
            cause = one.source();
        }
        assert!(words.contains("evil.dvc") && words.contains(place), "{text}{words}");
    }
    Ok(())
}

#[test]
fn nothing_is_brought_into_the_directory_of_a_repository() -> Test {
    let sandbox = with_data()?;
    let record = sandbox.read("a.dvc")?;
    // By a link that Git would bring along with the record.
    std::os::unix::fs::symlink(".git/hooks", sandbox.root().join("way"))?;
    sandbox.write("evil.dvc", &record.replace("path: a", "path: way/post-checkout"))?;
    let error = sandbox.checkout(&["evil.dvc"], UnsavedData::Drop).unwrap_err();
    assert!(matches!(error, Error::Data(DataError::InRepository { .. })), "{error}");
    fs::remove_file(sandbox.root().join("evil.dvc"))?;

    // By an output of a stage that has run elsewhere.
    let hex = record.split("md5: ").nth(1).ok_or("a digest")?.split('\n').next().ok_or("a line")?;
    sandbox.write("dvc.yaml", "stages:\n  s:\n    cmd: 'true'\n    outs:\n    - .git/hooks/x\n")?;
    let lock = format!(
        "schema: '2.0'\nstages:\n  s:\n    cmd: 'true'\n    outs:\n    - path: .git/hooks/x\n      hash: md5\n      \
         md5: {hex}\n"
    );
    sandbox.write("dvc.lock", &lock)?;
    let error = sandbox.checkout(&["s"], UnsavedData::Drop).unwrap_err();
    assert!(matches!(error, Error::Data(DataError::InRepository { .. })), "{error}");
    let request = crate::support::request(&[])?;
    sandbox.open().run(&Ctx::silent(), &request).unwrap_err();
    fs::remove_file(sandbox.root().join("dvc.yaml"))?;
    fs::remove_file(sandbox.root().join("dvc.lock"))?;

    // By a file of a directory.
    for (path, name) in [(".git/config", "x"), ("deep/.DVC/config", "y")] {
        let manifest = format!(r#"[{{"md5": "{hex}", "relpath": "{path}"}}]"#);
        let project = sandbox.open();
        let object = project.cache().add_bytes(manifest.as_bytes())?;
        let stored = project.cache().object_path(&object);
        fs::copy(&stored, format!("{}.dir", stored.display()))?;
        let digest = object.digest.to_hex();
        let record = format!("outs:\n- md5: {digest}.dir\n  hash: md5\n  path: {name}\n");
        sandbox.write("evil.dvc", &record)?;
        let error = sandbox.checkout(&["evil.dvc"], UnsavedData::Drop).unwrap_err();
        assert!(
            matches!(&error, Error::Data(DataError::Unusable { path, .. }) if path.as_str() == name)
        );
        assert!(!sandbox.has(name));
    }
    let hooks = fs::read_dir(sandbox.root().join(".git/hooks"))?;
    let names: Vec<_> = hooks.flatten().map(|hook| hook.file_name()).collect();
    assert!(!names.iter().any(|name| name == "post-checkout" || name == "x"), "{names:?}");
    Ok(())
}
