//! Data on a remote that keeps versions: what is sent, what the records say then, and what is refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use exp_engine::cache::testing::Bucket;
use exp_engine::cache::{
    AddressError, OpenStorage, Relink, Storage, StorageAddress, TransferError,
};
use exp_engine::core::{Ctx, DvcFile, RelPath};
use exp_engine::{
    AddRequest, DataRevisions, DataScope, DataTransferReport, DataTransferRequest, Destination,
    Direction, Error, ErrorKind, Granularity, ImportUrlRequest, Project, ProjectOptions, SyncError,
    UnsavedData, UpdateEffect, UpdateRequest,
};

use crate::support::{Sandbox, Test};

const CONFIG: &str =
    "[core]\n    remote = up\n['remote \"up\"']\n    url = s3://bucket\n    version_aware = true\n";

/// Paths, and the version that each of them has.
type Named = Vec<(String, Option<String>)>;

#[derive(Debug)]
struct Opens(Arc<Bucket>);

impl OpenStorage for Opens {
    fn open(&self, _: &StorageAddress) -> Result<Arc<dyn Storage>, AddressError> {
        Ok(self.0.clone())
    }
}

/// A project whose remote is a bucket.
struct Place {
    sandbox: Sandbox,
    bucket: Arc<Bucket>,
}

impl Place {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let place =
            Self { sandbox: Sandbox::new(&[(".dvc/config", CONFIG)])?, bucket: Arc::default() };
        place.sandbox.write("d/a", "a")?;
        place.sandbox.write("d/sub/b", "b")?;
        place.sandbox.write("f", "f")?;
        place.add(&["d", "f"])?;
        place.sandbox.commit("data")?;
        Ok(place)
    }

    fn open(&self) -> Project {
        let storages = Arc::new(Opens(self.bucket.clone()));
        let options = ProjectOptions { storages, ..self.sandbox.options() };
        Project::discover(&self.sandbox.root(), options).expect("the project can be opened")
    }

    fn add(&self, paths: &[&str]) -> Test {
        let targets = paths.iter().map(|path| self.sandbox.root().join(path)).collect();
        let request = AddRequest { targets, commit: true, relink: Relink::Yes };
        self.open().add(&Ctx::silent(), &request)?;
        Ok(())
    }

    fn send(&self, paths: &[&str]) -> Result<DataTransferReport, Error> {
        self.open().send_data(&Ctx::silent(), &targets(paths))
    }

    fn checkout(&self) -> Test {
        let project = self.open();
        let plan = project.plan_data_checkout(&Ctx::silent(), &DataScope::default())?;
        project.checkout_data(&Ctx::silent(), plan, UnsavedData::Refuse)?;
        Ok(())
    }

    fn unsent(&self) -> Result<Vec<String>, Error> {
        self.open().not_in_remote(&Ctx::silent(), (&[], Granularity::Files), None)
    }

    fn lose_everything(&self) -> Test {
        fs::remove_dir_all(self.sandbox.root().join(".dvc/cache"))?;
        fs::remove_dir_all(self.sandbox.root().join("d"))?;
        Ok(fs::remove_file(self.sandbox.root().join("f"))?)
    }

    /// The versions that a `.dvc` file names, by path below the output.
    fn versions(&self, file: &str) -> Result<Named, Box<dyn std::error::Error>> {
        let lock = DvcFile::parse(&self.sandbox.read(file)?)?.recorded();
        let id = |version: Option<exp_engine::core::FileVersion>| version.map(|one| one.id);
        let entry = &lock.outs[0];
        if entry.files().is_empty() {
            return Ok(vec![(String::new(), id(entry.version()))]);
        }
        Ok(entry.files().into_iter().map(|file| (file.path, id(file.version))).collect())
    }
}

fn targets(targets: &[&str]) -> DataTransferRequest {
    let targets = targets.iter().map(ToString::to_string).collect();
    let scope = DataScope { targets, ..DataScope::default() };
    DataTransferRequest { scope, ..DataTransferRequest::default() }
}

fn named(versions: &[(&str, Option<&str>)]) -> Named {
    versions.iter().map(|(path, id)| ((*path).to_owned(), id.map(str::to_owned))).collect()
}

#[test]
fn what_was_sent_is_recorded_and_comes_back() -> Test {
    let place = Place::new()?;
    assert_eq!(place.unsent()?, ["d/", "d/a", "d/sub/b", "f"]);
    let sent = place.send(&[])?;
    assert_eq!((sent.n_moved(), sent.transfers[0].bytes), (3, 3));
    let recorded: Vec<String> = sent.recorded.iter().map(ToString::to_string).collect();
    assert_eq!(recorded, ["d.dvc", "f.dvc"]);
    let keys: Vec<String> = place.bucket.counts().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["d/a", "d/sub/b", "f"]);
    assert!(place.versions("d.dvc")?.iter().all(|(_, id)| id.is_some()));
    assert!(place.unsent()?.is_empty());

    let again = place.send(&[])?;
    assert_eq!((again.n_moved(), again.transfers[0].already_there), (0, 3));
    assert!(again.recorded.is_empty());

    let before = (place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?);
    place.lose_everything()?;
    let fetched = place.open().fetch_data(&Ctx::silent(), &targets(&[]))?;
    assert!(fetched.is_complete(), "{fetched:?}");
    place.checkout()?;
    assert_eq!(place.sandbox.read("d/sub/b")?, "b");
    assert_eq!((place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?), before);
    Ok(())
}

#[test]
fn a_push_that_changed_records_is_taken_back() -> Test {
    let place = Place::new()?;
    let before = (place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?);
    place.send(&[])?;
    let after = (place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?);
    assert!(before != after);
    let project = place.open();
    let plan = project.plan_undo(&Ctx::silent(), Direction::Undo)?.ok_or("nothing to undo")?;
    project.undo(&Ctx::silent(), plan)?;
    assert_eq!((place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?), before);
    // What is there is found, not sent again.
    let again = place.send(&[])?;
    assert_eq!((again.n_moved(), again.recorded.len()), (0, 2));
    assert_eq!((place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?), after);
    Ok(())
}

#[test]
fn what_did_not_change_keeps_its_version() -> Test {
    let place = Place::new()?;
    place.send(&[])?;
    let old = place.versions("d.dvc")?;
    place.sandbox.write("d/a", "changed")?;
    place.sandbox.write("d/new", "new")?;
    place.sandbox.write("f", "changed")?;
    place.add(&["d", "f"])?;
    let kept = old[1].1.as_deref();
    assert_eq!(
        place.versions("d.dvc")?,
        named(&[("a", None), ("new", None), ("sub/b", kept)]),
        "a version never stands beside other bytes"
    );
    assert_eq!(place.versions("f.dvc")?, named(&[("", None)]));
    assert_eq!(place.unsent()?, ["d/", "d/a", "d/new", "f"]);

    // A part is sent, and the rest is as it was.
    assert_eq!(place.send(&["d/new"])?.n_moved(), 1);
    let now = place.versions("d.dvc")?;
    assert_eq!((now[0].1.as_deref(), now[1].1.is_some(), now[2].1.as_deref()), (None, true, kept));
    assert_eq!(place.send(&[])?.n_moved(), 2);
    assert_eq!(place.versions("d.dvc")?[2].1.as_deref(), kept);
    let counts = place.bucket.counts();
    let expected = [("d/a", 2), ("d/new", 1), ("d/sub/b", 1), ("f", 2)];
    assert_eq!(counts, expected.map(|(key, n)| (key.to_owned(), n)));
    Ok(())
}

#[test]
fn versions_of_old_commits_are_fetched() -> Test {
    let place = Place::new()?;
    place.send(&[])?;
    place.sandbox.commit("sent")?;
    place.sandbox.git(&["branch", "old"])?;
    place.sandbox.write("d/a", "changed")?;
    place.add(&["d"])?;
    place.send(&[])?;
    place.sandbox.commit("changed")?;
    place.lose_everything()?;
    let revisions = DataRevisions { branches: true, ..DataRevisions::default() };
    let request = DataTransferRequest { revisions, ..targets(&[]) };
    let fetched = place.open().fetch_data(&Ctx::silent(), &request)?;
    assert!(fetched.is_complete(), "{fetched:?}");
    place.sandbox.git(&["checkout", "-q", "old"])?;
    place.checkout()?;
    assert_eq!(place.sandbox.read("d/a")?, "a");
    let refused =
        place.open().send_data(&Ctx::silent(), &request).expect_err("it cannot record them");
    assert!(matches!(&refused, Error::Sync(SyncError::VersionedRevisions { .. })));
    assert_eq!(refused.kind(), ErrorKind::Usage);
    Ok(())
}

#[test]
fn what_was_never_sent_is_missing_and_other_bytes_are_refused() -> Test {
    let place = Place::new()?;
    place.send(&["f"])?;
    let text = place.sandbox.read("f.dvc")?;
    let ours = place.versions("f.dvc")?.remove(0).1.ok_or("no version")?;
    let wrong = place.bucket.put("f", Some(b"x"));
    place.sandbox.write("f.dvc", &text.replace(&ours, &wrong))?;
    fs::remove_dir_all(place.sandbox.root().join(".dvc/cache"))?;
    let fetched = place.open().fetch_data(&Ctx::silent(), &targets(&[]))?;
    let missing: Vec<&RelPath> = fetched.missing.iter().map(|piece| &piece.path).collect();
    assert_eq!(missing, [&RelPath::new("d")?]);
    assert!(
        matches!(&fetched.failed[..], [(piece, TransferError::Damaged { .. })] if piece.path.as_str() == "f")
    );
    Ok(())
}

#[test]
fn what_needs_objects_is_refused() -> Test {
    let place = Place::new()?;
    let only = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            matches!(&error, Error::Sync(SyncError::OnlyVersions { name }) if name == "up"),
            "{error:?}"
        );
    };
    let project = place.open();
    only(project.compare_data(&Ctx::silent(), &targets(&[])).expect_err("status -c"));
    let source = place.sandbox.root().join("f");
    let added = project.add_to_remote(
        &Ctx::silent(),
        (Path::new(&source), &exp_engine::cache::NoFilter),
        None,
        None,
    );
    only(added.expect_err("add --to-remote"));
    assert!(place.bucket.counts().is_empty());
    Ok(())
}

#[test]
fn a_bucket_without_versions_changes_no_record() -> Test {
    let place = Place { bucket: Arc::new(Bucket::forgetful()), ..Place::new()? };
    let before = (place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?);
    let refused = place.send(&[]).expect_err("nothing could be fetched again");
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert_eq!((place.sandbox.read("d.dvc")?, place.sandbox.read("f.dvc")?), before);
    Ok(())
}

#[test]
fn a_list_of_files_that_leads_outside_writes_nothing() -> Test {
    let place = Place::new()?;
    place.send(&[])?;
    let text = place.sandbox.read("d.dvc")?.replace("relpath: sub/b", "relpath: ../out");
    place.sandbox.write("d.dvc", &text)?;
    fs::remove_dir_all(place.sandbox.root().join(".dvc/cache"))?;
    let refused = place.open().fetch_data(&Ctx::silent(), &targets(&[]));
    assert!(refused.is_err(), "{refused:?}");
    assert!(!place.sandbox.has("out"));
    Ok(())
}

#[test]
fn a_damaged_list_of_an_old_commit_is_told_and_the_rest_is_fetched() -> Test {
    let place = Place::new()?;
    place.send(&[])?;
    let good = place.sandbox.read("d.dvc")?;
    place.sandbox.write("d.dvc", &good.replace("relpath: sub/b", "relpath: ../out"))?;
    place.sandbox.commit("damaged")?;
    place.sandbox.git(&["branch", "old"])?;
    place.sandbox.write("d.dvc", &good)?;
    place.sandbox.commit("mended")?;
    place.lose_everything()?;
    let revisions = DataRevisions { branches: true, ..DataRevisions::default() };
    let request = DataTransferRequest { revisions, ..targets(&[]) };
    let fetched = place.open().fetch_data(&Ctx::silent(), &request)?;
    let told: Vec<&str> = fetched.unreadable.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(told, ["old"]);
    assert!(fetched.is_complete(), "{fetched:?}");
    place.checkout()?;
    assert_eq!(place.sandbox.read("d/sub/b")?, "b");
    Ok(())
}

#[test]
fn the_lock_of_a_stage_names_versions_and_a_second_run_is_none() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.write(".dvc/config", CONFIG)?;
    sandbox.commit("remote")?;
    sandbox.run(&["lr=0.5"])?;
    let place = Place { sandbox, bucket: Arc::default() };
    let sent = place.send(&[])?;
    assert_eq!(sent.n_moved(), 1);
    assert!(place.sandbox.read("dvc.lock")?.contains("version_id: v0"));
    let before = place.sandbox.read("dvc.lock")?;
    assert_eq!(place.send(&[])?.n_moved(), 0);
    assert_eq!(place.sandbox.read("dvc.lock")?, before);
    Ok(())
}

#[test]
fn an_import_by_version_is_fetched_as_it_was() -> Test {
    let bucket: Arc<Bucket> = Arc::default();
    bucket.put("a", Some(b"old"));
    let kept = bucket.put("n/b", Some(b"kept"));
    let place = Place { sandbox: Sandbox::new(&[(".dvc/config", CONFIG)])?, bucket };
    let project = place.open();
    let request = ImportUrlRequest {
        url: "s3://bucket/src".to_owned(),
        to: Destination { cwd: place.sandbox.root(), ..Destination::default() },
        version_aware: true,
        ..ImportUrlRequest::default()
    };
    let plan = project.plan_import_url(&Ctx::silent(), request)?;
    project.import(&Ctx::silent(), plan)?;
    let text = place.sandbox.read("src.dvc")?;
    for part in [
        "  files:\n  - relpath: a\n    etag: ",
        &format!("    size: 4\n    version_id: {kept}\n"),
        "  push: false\n",
    ] {
        assert!(text.contains(part), "{part}{text}");
    }

    // What is there by now does not matter.
    place.bucket.put("a", Some(b"new"));
    place.bucket.put("n/b", None);
    fs::remove_dir_all(place.sandbox.root().join(".dvc/cache"))?;
    fs::remove_dir_all(place.sandbox.root().join("src"))?;
    let fetched = place.open().fetch_data(&Ctx::silent(), &targets(&[]))?;
    assert!(fetched.is_complete() && fetched.imports.moved == 2, "{fetched:?}");
    place.checkout()?;
    assert_eq!(
        (place.sandbox.read("src/a")?, place.sandbox.read("src/n/b")?),
        ("old".into(), "kept".into())
    );
    assert!(place.send(&[])?.n_moved() == 0, "it belongs to its source");
    Ok(())
}

#[test]
fn what_others_changed_on_a_worktree_remote_is_brought_here() -> Test {
    let place = Place::new()?;
    place.send(&[])?;
    let update = |targets: &[&str]| -> Result<Vec<UpdateEffect>, Error> {
        let targets = targets.iter().map(ToString::to_string).collect();
        let scope = DataScope { targets, ..DataScope::default() };
        let request = UpdateRequest { scope, ..UpdateRequest::default() };
        let steps = place.open().update(&Ctx::silent(), &request, &mut |_| {})?;
        Ok(steps.into_iter().map(|step| step.effect).collect())
    };
    assert!(update(&["d.dvc"]).is_err(), "it is no worktree remote");
    place.sandbox.write(".dvc/config", &CONFIG.replace("version_aware", "worktree"))?;
    assert_eq!(update(&["d.dvc", "f.dvc"])?, [UpdateEffect::Unchanged, UpdateEffect::Unchanged]);
    let kept = place.versions("d.dvc")?.remove(1);
    let changed = place.bucket.put("d/a", Some(b"theirs"));
    let new = place.bucket.put("d/new", Some(b"new"));
    place.bucket.put("f", None);
    assert_eq!(update(&["d.dvc", "f.dvc"])?, [UpdateEffect::Fetched, UpdateEffect::Gone]);
    assert_eq!(place.sandbox.read("d/a")?, "theirs");
    assert_eq!(place.sandbox.read("f")?, "f");
    let expected =
        named(&[("a", Some(&changed)), ("new", Some(&new)), ("sub/b", kept.1.as_deref())]);
    assert_eq!(place.versions("d.dvc")?, expected);

    // It can be taken back, with what the workspace had.
    let project = place.open();
    let plan = project.plan_undo(&Ctx::silent(), Direction::Undo)?.ok_or("nothing to undo")?;
    project.undo(&Ctx::silent(), plan)?;
    assert_eq!(place.sandbox.read("d/a")?, "a");
    assert!(!place.sandbox.has("d/new"));
    Ok(())
}
