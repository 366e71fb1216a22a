//! Collecting: what a repository needs in any of its places stays, everything else goes.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use exp_engine::cache::{NoFilter, Relink};
use exp_engine::core::{Ctx, ObjectId};
use exp_engine::{
    CloudScope, Doubt, Error, GcError, GcReport, GcRequest, KeepScope, OnDoubt, Project, Reading,
    RevisionKind, Revisions, RunsGc,
};

use crate::support::{Sandbox, Test};

fn everything() -> GcRequest {
    GcRequest {
        scope: KeepScope::Everything { undo: true },
        reading: Reading::Records,
        others: Vec::new(),
        grace: Duration::ZERO,
        runs: RunsGc::Follow,
        cloud: CloudScope::Leave,
        doubt: Doubt { unreadable: OnDoubt::Refuse, unlisted: OnDoubt::Refuse },
    }
}

fn without_undo() -> GcRequest {
    GcRequest { scope: KeepScope::Everything { undo: false }, ..everything() }
}

fn workspace_only() -> GcRequest {
    GcRequest { scope: KeepScope::Revisions(Revisions::default()), ..everything() }
}

fn gc(project: &Project, request: GcRequest) -> Result<GcReport, Error> {
    let ctx = Ctx::silent();
    project.gc(&ctx, project.plan_gc(&ctx, request)?)
}

/// Stores `text`, and returns its object and the text of a `.dvc` file for it.
fn store(sandbox: &Sandbox, text: &str) -> Result<(ObjectId, String), Box<dyn std::error::Error>> {
    let path = sandbox.root().join(".dvc/tmp/new");
    fs::create_dir_all(path.parent().ok_or("a parent")?)?;
    fs::write(&path, text)?;
    let cache = sandbox.project()?.cache().clone();
    let artifact = cache.add(&Ctx::silent(), &path, &NoFilter, Relink::No)?;
    fs::remove_file(&path)?;
    let dvc =
        format!("outs:\n- md5: {}\n  size: {}\n  hash: md5\n  path: x\n", artifact.id, text.len());
    Ok((artifact.id, dvc))
}

#[test]
fn every_place_of_a_repository_keeps_what_it_names() -> Test {
    let sandbox = Sandbox::new(&[("params.yaml", "a: 1\n")])?;
    let mut needed = BTreeSet::new();
    let mut add = |what: &str| {
        let (id, dvc) = store(&sandbox, what)?;
        needed.insert(id);
        sandbox.write("x.dvc", &dvc)
    };
    add("an old commit")?;
    sandbox.commit("old")?;
    add("a tag")?;
    sandbox.commit("tagged")?;
    sandbox.git(&["tag", "v1"])?;
    sandbox.git(&["reset", "-q", "--hard", "HEAD~1"])?;
    add("a remote branch")?;
    sandbox.commit("far")?;
    sandbox.git(&["update-ref", "refs/remotes/origin/far", "HEAD"])?;
    sandbox.git(&["reset", "-q", "--hard", "HEAD~1"])?;
    add("a queued or hidden ref")?;
    sandbox.commit("hidden")?;
    sandbox.git(&["update-ref", "refs/exps/celery/anything", "HEAD"])?;
    sandbox.git(&["reset", "-q", "--hard", "HEAD~1"])?;
    add("a stash below the top")?;
    sandbox.git(&["stash", "-q"])?;
    add("the top of the stash")?;
    sandbox.git(&["stash", "-q"])?;
    let other = sandbox.root().with_file_name("other");
    sandbox.git(&["worktree", "add", "-q", "--detach", other.to_str().ok_or("a text")?])?;
    let (id, dvc) = store(&sandbox, "another work tree")?;
    fs::write(other.join("x.dvc"), dvc)?;
    let (running, dvc) = store(&sandbox, "a running experiment")?;
    sandbox.write(".dvc/tmp/exp/work/1-1/x.dvc", &dvc)?;
    let (queued, dvc) = store(&sandbox, "an experiment of DVC's in a directory of its own")?;
    sandbox.write(".dvc/tmp/exps/tmpabc/sub/x.dvc", &dvc)?;
    add("what is staged")?;
    sandbox.git(&["add", "x.dvc"])?;
    add("the workspace")?;
    needed.extend([id, running, queued]);
    let (garbage, _) = store(&sandbox, "nobody's")?;

    let report = gc(&sandbox.project()?, everything())?;
    assert_eq!(report.removed, [garbage]);
    let project = sandbox.project()?;
    assert!(needed.iter().all(|id| project.cache().contains(id)));
    assert_eq!(needed.len(), 11);
    Ok(())
}

#[test]
fn a_removed_experiment_is_kept_for_undo_and_goes_without() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.commit("ran")?;
    sandbox.run(&["lr=7"])?;
    let model = sandbox.read("model")?;
    sandbox.git(&["checkout", "-q", "."])?;
    let ctx = Ctx::silent();
    let project = sandbox.project()?;
    project.remove(&ctx, &project.latest()?)?;
    fs::remove_file(sandbox.root().join("model"))?;
    drop(project);
    assert_eq!(gc(&sandbox.project()?, everything())?.removed, []);
    let report = gc(&sandbox.project()?, without_undo())?;
    assert!(report.n_runs >= 1, "the run that made it goes with it");
    let cache = sandbox.project()?.cache().clone();
    let gone = exp_engine::core::Digest::of(exp_engine::core::Algorithm::Md5, model.as_bytes());
    assert!(!cache.contains(&ObjectId::file(gone)));
    Ok(())
}

#[test]
fn recorded_runs_keep_their_outputs_when_they_are_to() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&["lr=7"])?;
    sandbox.git(&["checkout", "-q", "."])?;
    sandbox.git(&["clean", "-qfd"])?;
    for name in ["model", "dvc.lock"] {
        fs::remove_file(sandbox.root().join(name)).ok();
    }
    let keeping = GcRequest { runs: RunsGc::Keep, ..workspace_only() };
    assert_eq!(gc(&sandbox.project()?, keeping)?.removed, []);
    let leaving = GcRequest { runs: RunsGc::Leave, ..workspace_only() };
    let report = gc(&sandbox.project()?, leaving)?;
    assert!(!report.removed.is_empty() && report.n_runs == 0);
    assert_eq!(sandbox.project()?.cache().runs().list()?.len(), 1);
    // Their outputs are gone, and there is no remote that they could come from.
    let report = gc(&sandbox.project()?, workspace_only())?;
    assert_eq!(report.n_runs, 1);
    Ok(())
}

#[test]
fn what_cannot_be_read_stops_the_collection() -> Test {
    let sandbox = Sandbox::new(&[("params.yaml", "a: 1\n")])?;
    let (garbage, _) = store(&sandbox, "nobody's")?;
    sandbox.write("sub/dvc.lock", "<<<<<<< ours\nschema: '2.0'\n")?;
    sandbox.commit("conflict")?;
    sandbox.write("sub/dvc.lock", "schema: '2.0'\n")?;
    sandbox.commit("mended")?;
    let refused = gc(&sandbox.project()?, everything());
    let Err(Error::Gc(GcError::Unreadable { path, n: 1, .. })) = refused else {
        return Err(format!("{refused:?}").into());
    };
    assert_eq!(path, "sub/dvc.lock");
    assert!(sandbox.project()?.cache().contains(&garbage));
    let doubt = Doubt { unreadable: OnDoubt::Skip, unlisted: OnDoubt::Refuse };
    let report = gc(&sandbox.project()?, GcRequest { doubt, ..everything() })?;
    assert_eq!(report.removed, [garbage]);
    Ok(())
}

#[test]
fn a_broken_ref_stops_the_collection() -> Test {
    let sandbox = Sandbox::new(&[("params.yaml", "a: 1\n")])?;
    store(&sandbox, "nobody's")?;
    let path = sandbox.root().join(".git/refs/heads/broken");
    fs::write(path, "1234567890123456789012345678901234567890\n")?;
    assert!(gc(&sandbox.project()?, everything()).is_err());
    Ok(())
}

#[test]
fn a_directory_whose_list_is_gone_stops_the_collection_of_files() -> Test {
    let sandbox = Sandbox::new(&[("params.yaml", "a: 1\n")])?;
    sandbox.write("data/a", "in the directory")?;
    let ctx = Ctx::silent();
    let cache = sandbox.project()?.cache().clone();
    let tree = cache.add(&ctx, &sandbox.root().join("data"), &NoFilter, Relink::No)?.id;
    drop(cache);
    sandbox.write("data.dvc", &format!("outs:\n- md5: {tree}\n  hash: md5\n  path: data\n"))?;
    fs::remove_file(sandbox.project()?.cache().object_path(&tree))?;
    let refused = gc(&sandbox.project()?, everything());
    assert!(matches!(refused, Err(Error::Gc(GcError::Unlisted { n: 1, .. }))), "{refused:?}");

    // A remote that has the list tells what is needed.
    let (garbage, _) = store(&sandbox, "nobody's")?;
    let path = sandbox.root().with_file_name("remote");
    fs::create_dir_all(&path)?;
    sandbox.write(".dvc/config", "['remote \"r\"']\n    url = ../../remote\n")?;
    let entry = exp_engine::core::Digest::of(exp_engine::core::Algorithm::Md5, b"in the directory");
    let manifest = format!("[{{\"md5\": \"{}\", \"relpath\": \"a\"}}]", entry.to_hex());
    let name = tree.to_string();
    let at = path.join("files/md5").join(&name[..2]);
    fs::create_dir_all(&at)?;
    fs::write(at.join(&name[2..]), manifest)?;
    let report = gc(&sandbox.project()?, everything())?;
    assert_eq!(report.removed, [garbage]);
    Ok(())
}

#[test]
fn a_remote_is_collected_and_keeps_what_is_needed() -> Test {
    let sandbox = Sandbox::new(&[("params.yaml", "a: 1\n")])?;
    let remote = sandbox.root().with_file_name("remote");
    sandbox.write(
        ".dvc/config",
        "[core]\n    remote = r\n['remote \"r\"']\n    url = ../../remote\n",
    )?;
    let (needed, dvc) = store(&sandbox, "needed")?;
    sandbox.write("x.dvc", &dvc)?;
    let (garbage, _) = store(&sandbox, "nobody's")?;
    let on_remote = |id: &ObjectId| {
        let name = id.to_string();
        remote.join("files/md5").join(&name[..2]).join(&name[2..])
    };
    for id in [needed, garbage] {
        fs::create_dir_all(on_remote(&id).parent().ok_or("a parent")?)?;
        fs::copy(sandbox.project()?.cache().object_path(&id), on_remote(&id))?;
    }
    let cloud = CloudScope::Collect { remote: None };
    let report = gc(&sandbox.project()?, GcRequest { cloud, ..everything() })?;
    assert_eq!(report.cloud.map(|cloud| cloud.removed), Some(1));
    assert!(on_remote(&needed).exists() && !on_remote(&garbage).exists());

    let cloud = CloudScope::SpareMissing { remote: None };
    let report = gc(&sandbox.project()?, GcRequest { cloud, ..everything() })?;
    assert_eq!(report.removed, [needed], "the remote has it");
    Ok(())
}

#[test]
fn a_link_in_the_workspace_keeps_its_object_though_nothing_records_it() -> Test {
    let sandbox = Sandbox::new(&[(".dvcignore", "")])?;
    let (recorded, dvc) = store(&sandbox, "recorded")?;
    let (linked, _) = store(&sandbox, "linked")?;
    sandbox.write("x.dvc", &dvc)?;
    let object = sandbox.project()?.cache().object_path(&linked);
    std::os::unix::fs::symlink(object, sandbox.root().join("x"))?;
    assert_eq!(gc(&sandbox.project()?, workspace_only())?.removed, []);
    fs::remove_file(sandbox.root().join("x"))?;
    assert_eq!(gc(&sandbox.project()?, workspace_only())?.removed, [linked]);
    assert!(sandbox.project()?.cache().contains(&recorded));
    Ok(())
}

#[test]
fn chosen_revisions_keep_their_data_and_others_do_not() -> Test {
    let sandbox = Sandbox::new(&[("params.yaml", "a: 1\n")])?;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let (id, dvc) = store(&sandbox, text)?;
        sandbox.write("x.dvc", &dvc)?;
        sandbox.commit(text)?;
        ids.push(id);
    }
    let branches = |depth| {
        let kinds = BTreeSet::from([RevisionKind::Branches]);
        let scope = KeepScope::Revisions(Revisions { kinds, depth, ..Revisions::default() });
        GcRequest { scope, ..everything() }
    };
    let project = sandbox.project()?;
    let ctx = Ctx::silent();
    let doomed = |request| -> Result<Vec<ObjectId>, Error> {
        let plan = project.plan_gc(&ctx, request)?;
        Ok(plan.doomed().iter().map(|object| object.id).collect())
    };
    assert_eq!(doomed(everything())?, []);
    let mut both = vec![ids[0], ids[1]];
    both.sort();
    assert_eq!(doomed(branches(1))?, both);
    assert_eq!(doomed(branches(2))?, [ids[0]]);
    assert_eq!(doomed(workspace_only())?, both);
    Ok(())
}

#[test]
fn runs_and_collections_at_once_lose_nothing_and_leave_nothing() -> Test {
    use std::sync::atomic::{AtomicBool, Ordering};

    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.commit("ran")?;
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<(), String> {
        let collector = scope.spawn(|| -> Result<usize, String> {
            let mut removed = 0;
            while !is_done.load(Ordering::SeqCst) {
                let project = sandbox.project().map_err(|error| error.to_string())?;
                match gc(&project, without_undo()) {
                    Ok(report) => removed += report.removed.len(),
                    // Another command had the project for longer than one waits.
                    Err(Error::Busy { .. }) => {}
                    Err(error) => return Err(format!("{error:?}")),
                }
            }
            Ok(removed)
        });
        let runners: Vec<_> = (0..2)
            .map(|runner| {
                let sandbox = &sandbox;
                scope.spawn(move || -> Result<(), String> {
                    for round in 0..6 {
                        // Few values, so that outputs are garbage and made again by turns.
                        let value = format!("lr={}", 2 + (round * 2 + runner) % 3);
                        let mut request = crate::support::request(&[&value])
                            .map_err(|error| error.to_string())?;
                        request.place = exp_engine::Place::Private { copy: Vec::new() };
                        let ctx = Ctx::silent();
                        let project = sandbox.project().map_err(|error| error.to_string())?;
                        let outcome = project.run(&ctx, &request);
                        let outcome = outcome.map_err(|error| format!("{error:?}"))?;
                        drop(project);
                        let project = sandbox.project().map_err(|error| error.to_string())?;
                        if round % 2 == 0
                            && let Some(exp_engine::Kept::Experiment(one)) = &outcome.kept
                        {
                            // Another runner may have removed its twin.
                            drop(project.remove(&ctx, std::slice::from_ref(one)));
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let ran: Vec<_> = runners.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        is_done.store(true, Ordering::SeqCst);
        let removed = collector.join().map_err(|_| "the collector panicked")??;
        for one in ran {
            one.map_err(|_| "a runner panicked")??;
        }
        if removed == 0 { Err("nothing was ever collected".to_owned()) } else { Ok(()) }
    })?;

    // Every experiment that is left can be brought back.
    let ctx = Ctx::silent();
    let project = sandbox.project()?;
    let experiments = project.experiments().list()?;
    for one in &experiments {
        let lock = project.git().read(one.commit, "dvc.lock")?.ok_or("a lock file")?;
        let lock = exp_engine::core::LockFile::parse(&String::from_utf8_lossy(&lock))?;
        for out in lock.stages.values().flat_map(|stage| &stage.outs) {
            let artifact = out.artifact.ok_or("a recorded output")?;
            assert!(project.cache().has_all(&artifact)?, "{} of {}", out.path, one.name);
        }
    }
    drop(project);
    // And when all is quiet, what nobody needs goes.
    let project = sandbox.project()?;
    gc(&project, without_undo())?;
    assert!(project.plan_gc(&ctx, without_undo())?.is_empty());
    let report = project.verify(&ctx, &exp_engine::VerifyRequest::default())?;
    assert!(report.defects.is_empty(), "{report:?}");
    Ok(())
}
