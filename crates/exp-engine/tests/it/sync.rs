//! Sharing: a fresh clone can apply what was pushed, and what cannot be pushed is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use exp_engine::core::{Algorithm, Ctx, Digest, ObjectId};
use exp_engine::refs::{Experiment, OnDiverged};
use exp_engine::{
    DataScope, DataSync, DataSyncOptions, Error, Kept, Project, PullRequest, PushReport,
    PushRequest, RemoteSelection, SyncError, UnsavedData,
};

use crate::support::{Sandbox, Test, git, request};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const DIRECTORY: &str = "\
stages:
  train:
    cmd: mkdir -p out/sub && cp params.yaml out/sub/p && echo same > out/q && chmod +x out/q && cp out/q tool
    params:
    - lr
    outs:
    - out
    - tool
";

/// A project with a bare Git repository and a data remote beside it.
fn shared(hash: Option<&str>) -> Outcome<Sandbox> {
    let mut files = vec![
        ("params.yaml", "lr: 0.1\n"),
        ("dvc.yaml", DIRECTORY),
        (
            ".dvc/config",
            "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n",
        ),
    ];
    if hash == Some("sha256") {
        files.push((".dvc/exp.toml", "version = 1\nhash = \"sha256\"\n"));
    }
    let sandbox = Sandbox::new(&files)?;
    sandbox.git(&["init", "-q", "--bare", "-b", "main", "../origin.git"])?;
    sandbox.git(&["remote", "add", "origin", "../origin.git"])?;
    sandbox.git(&["push", "-q", "origin", "main"])?;
    Ok(sandbox)
}

impl Sandbox {
    fn beside(&self, name: &str) -> PathBuf {
        self.root().join("..").join(name)
    }

    fn experiment(&self, lr: &str, name: &str) -> Outcome<Experiment> {
        let mut wanted = request(&[&format!("lr={lr}")])?;
        wanted.name = Some(name.parse()?);
        match self.project()?.run(&Ctx::silent(), &wanted)?.kept {
            Some(Kept::Experiment(experiment)) => Ok(experiment),
            other => Err(format!("{other:?}").into()),
        }
    }

    fn push(&self, experiment: &Experiment) -> Result<PushReport, Error> {
        let project = self.project().expect("the project can be opened");
        project.push(&Ctx::silent(), &asking(experiment))
    }

    /// Clones the Git remote; the clone has the data remote in the same relative place.
    fn clone_as(&self, name: &str) -> Outcome<Project> {
        self.git(&["clone", "-q", "../origin.git", &format!("../{name}")])?;
        Ok(Project::discover(&self.beside(name).canonicalize()?, self.options())?)
    }

    fn can_apply(&self, experiment: &Experiment) -> Outcome<bool> {
        let project = self.project()?;
        Ok(project.check_push(&Ctx::silent(), "origin", experiment, None)?.can_apply())
    }
}

fn asking(experiment: &Experiment) -> PushRequest {
    PushRequest {
        git_remote: "origin".into(),
        experiments: vec![experiment.clone()],
        on_diverged: OnDiverged::Keep,
        data: DataSync::default(),
    }
}

fn everything() -> PullRequest {
    PullRequest {
        git_remote: "origin".into(),
        which: RemoteSelection::All,
        on_diverged: OnDiverged::Keep,
        data: DataSync::default(),
    }
}

fn object(sandbox: &Sandbox, text: &str) -> Outcome<PathBuf> {
    let project = sandbox.project()?;
    let id = ObjectId::file(Digest::of(project.algorithm(), text.as_bytes()));
    Ok(project.cache().object_path(&id))
}

fn round_trip(hash: Option<&str>) -> Test {
    let sandbox = shared(hash)?;
    let experiment = sandbox.experiment("0.5", "half")?;
    assert!(!sandbox.can_apply(&experiment)?);
    let report = sandbox.push(&experiment)?;
    assert_eq!(report.pushed, std::slice::from_ref(&experiment));
    assert!(report.is_complete());
    assert_eq!(
        report.data[0].moved, 3,
        "two files and a manifest; the tool has the bytes of a file"
    );
    assert!(sandbox.can_apply(&experiment)?);

    let clone = sandbox.clone_as("clone")?;
    let ctx = Ctx::silent();
    let pulled = clone.pull(&ctx, &everything())?;
    assert_eq!(pulled.pulled, std::slice::from_ref(&experiment));
    assert_eq!((pulled.data[0].moved, pulled.missing.len()), (3, 0));
    assert!(!clone.root().join("out").exists(), "nothing is checked out");
    git(clone.root(), &sandbox.beside(""), &["checkout", "-q", &experiment.commit.to_string()])?;
    let plan = clone.plan_data_checkout(&ctx, &DataScope::default())?;
    let report = clone.checkout_data(&ctx, plan, UnsavedData::Refuse)?;
    assert!(report.missing.is_empty());
    assert_eq!(fs::read_to_string(clone.root().join("out/sub/p"))?, "lr: 0.5\n");
    assert_eq!(fs::metadata(clone.root().join("tool"))?.permissions().mode() & 0o100, 0o100);
    git(clone.root(), &sandbox.beside(""), &["fsck", "--strict"])?;

    let again = sandbox.push(&experiment)?;
    assert_eq!(again.up_to_date, [experiment]);
    assert_eq!((again.data[0].moved, again.data[0].already_there), (0, 3));
    Ok(())
}

#[test]
fn a_fresh_clone_has_what_was_pushed_with_md5() -> Test {
    round_trip(None)
}

#[test]
fn a_fresh_clone_has_what_was_pushed_with_sha256() -> Test {
    round_trip(Some("sha256"))
}

#[test]
fn without_a_data_remote_nothing_is_pushed_unless_results_alone_are_asked_for() -> Test {
    let sandbox = shared(None)?;
    sandbox.write(".dvc/config", "")?;
    let experiment = sandbox.experiment("0.5", "half")?;
    let error = sandbox.push(&experiment).unwrap_err();
    assert!(
        matches!(error, Error::Sync(SyncError::NoRemote { n_outputs: 2, bytes: 18, .. })),
        "{error:?}"
    );
    assert!(sandbox.git(&["ls-remote", "origin", "refs/exps/*"])?.is_empty());
    let wanted = PushRequest { data: DataSync::Leave, ..asking(&experiment) };
    let report = sandbox.project()?.push(&Ctx::silent(), &wanted)?;
    assert_eq!((report.pushed.len(), report.n_left, report.is_complete()), (1, 2, false));
    assert!(!sandbox.can_apply(&experiment)?);
    Ok(())
}

#[test]
fn a_remote_that_only_this_machine_knows_is_named() -> Test {
    let sandbox = shared(None)?;
    sandbox.write(".dvc/config", "")?;
    let experiment = sandbox.experiment("0.5", "half")?;
    // A remote that the experiment does not carry, then one that it carries, but not as the default.
    let url = "['remote \"store\"']\n    url = ../../store\n";
    sandbox.write(".dvc/config.local", &format!("[core]\n    remote = store\n{url}"))?;
    let report = sandbox.push(&experiment)?;
    assert_eq!(report.uncommitted_remotes, ["store"]);
    assert!(report.is_complete() && !report.can_apply());
    let check = sandbox.project()?.check_push(&Ctx::silent(), "origin", &experiment, None)?;
    assert_eq!(check.uncommitted_remotes, ["store"]);
    assert!(check.missing.is_empty() && !check.can_apply());
    sandbox.write(".dvc/config", url)?;
    let other = sandbox.experiment("0.6", "other")?;
    assert!(!sandbox.push(&other)?.can_apply(), "the default is known here only");
    fs::remove_file(sandbox.root().join(".dvc/config.local"))?;
    sandbox.write(".dvc/config", &format!("[core]\n    remote = store\n{url}"))?;
    let third = sandbox.experiment("0.7", "third")?;
    assert!(sandbox.push(&third)?.can_apply() && sandbox.can_apply(&third)?);
    Ok(())
}

#[test]
fn data_that_is_nowhere_is_named_and_the_ref_stays_here() -> Test {
    let sandbox = shared(None)?;
    let experiment = sandbox.experiment("0.5", "half")?;
    fs::remove_file(object(&sandbox, "lr: 0.5\n")?)?;
    let error = sandbox.push(&experiment).unwrap_err();
    let Error::Sync(SyncError::MissingData { missing }) = &error else { panic!("{error:?}") };
    assert_eq!(missing[0].path.as_str(), "out/sub/p");
    assert_eq!(
        error.to_string(),
        "1 object is neither in the store nor on the data remote: `out/sub/p` of half"
    );
    assert!(sandbox.git(&["ls-remote", "origin", "refs/exps/*"])?.is_empty());
    assert!(!sandbox.beside("store").exists());
    let options = DataSyncOptions { allow_missing: true, ..DataSyncOptions::default() };
    let wanted = PushRequest { data: DataSync::Move(options), ..asking(&experiment) };
    let report = sandbox.project()?.push(&Ctx::silent(), &wanted)?;
    assert_eq!((report.pushed.len(), report.is_complete()), (1, false));
    let check = sandbox.project()?.check_push(&Ctx::silent(), "origin", &experiment, None)?;
    assert!(!check.can_apply() && check.remote_commit == Some(experiment.commit));
    Ok(())
}

#[test]
fn a_push_that_was_cut_is_continued() -> Test {
    let sandbox = shared(None)?;
    let experiment = sandbox.experiment("0.5", "half")?;
    // The place of one object is taken by a file, so that it cannot be stored.
    let digest = Digest::of(Algorithm::Md5, b"lr: 0.5\n").to_hex();
    let taken = sandbox.beside("store").join("files/md5").join(&digest[..2]);
    fs::create_dir_all(taken.parent().ok_or("a parent")?)?;
    fs::write(&taken, "in the way")?;
    let error = sandbox.push(&experiment).unwrap_err();
    assert!(
        matches!(&error, Error::Sync(SyncError::NotMoved { failed, .. }) if failed.len() == 1),
        "{error:?}"
    );
    assert!(
        sandbox.git(&["ls-remote", "origin", "refs/exps/*"])?.is_empty(),
        "data first, then refs"
    );
    assert!(!sandbox.can_apply(&experiment)?);
    fs::remove_file(&taken)?;
    let report = sandbox.push(&experiment)?;
    assert_eq!((report.data[0].moved, report.data[0].already_there), (2, 1));
    assert!(sandbox.can_apply(&experiment)?);
    Ok(())
}

#[test]
fn a_check_reads_manifests_from_the_remote_and_finds_what_is_gone() -> Test {
    let sandbox = shared(None)?;
    let experiment = sandbox.experiment("0.5", "half")?;
    sandbox.push(&experiment)?;
    let digest = Digest::of(Algorithm::Md5, b"lr: 0.5\n").to_hex();
    let gone = sandbox.beside("store/files/md5").join(&digest[..2]).join(&digest[2..]);
    fs::remove_file(&gone)?;
    let check = sandbox.project()?.check_push(&Ctx::silent(), "origin", &experiment, None)?;
    assert_eq!(check.missing.len(), 1);
    assert!(check.baseline_is_published && !check.can_apply());
    sandbox.git(&["push", "-q", "origin", ":main"]).ok();
    Ok(())
}

#[test]
fn two_users_with_one_name_do_not_overwrite_each_other() -> Test {
    let sandbox = shared(None)?;
    let ours = sandbox.experiment("0.5", "half")?;
    sandbox.push(&ours)?;
    let clone = sandbox.clone_as("clone")?;
    let ctx = Ctx::silent();
    let mut wanted = request(&["lr=0.7"])?;
    wanted.name = Some("half".parse()?);
    let Some(Kept::Experiment(theirs)) = clone.run(&ctx, &wanted)?.kept else {
        panic!("nothing kept")
    };
    let report = clone.push(&ctx, &asking(&theirs))?;
    assert_eq!((report.pushed.len(), report.diverged.len()), (0, 1));
    let pulled = clone.pull(&ctx, &everything())?;
    assert_eq!((pulled.pulled.len(), pulled.diverged.len()), (0, 1));
    assert_eq!(clone.experiments().find("half")?.commit, theirs.commit);
    let forced = PullRequest { on_diverged: OnDiverged::Overwrite, ..everything() };
    assert_eq!(clone.pull(&ctx, &forced)?.pulled.len(), 1);
    assert_eq!(clone.experiments().find("half")?.commit, ours.commit);
    let plan = clone.plan_undo(&ctx, exp_engine::Direction::Undo)?.ok_or("nothing to undo")?;
    clone.undo(&ctx, plan)?;
    assert_eq!(clone.experiments().find("half")?.commit, theirs.commit, "undo brings ours back");
    let forced = PushRequest { on_diverged: OnDiverged::Overwrite, ..asking(&theirs) };
    assert_eq!(clone.push(&ctx, &forced)?.pushed.len(), 1);
    assert!(
        sandbox
            .git(&["ls-remote", "origin", "refs/exps/*"])?
            .starts_with(&theirs.commit.to_string())
    );
    Ok(())
}

#[test]
fn what_a_remote_does_not_have_is_an_error_of_its_own() -> Test {
    let sandbox = shared(None)?;
    let project = sandbox.project()?;
    let wanted = PullRequest { which: RemoteSelection::Names(vec!["none".into()]), ..everything() };
    let error = project.pull(&Ctx::silent(), &wanted).unwrap_err();
    assert!(matches!(error, Error::Sync(SyncError::NotOnRemote { .. })), "{error:?}");
    let wanted = PullRequest { git_remote: "../nowhere".into(), ..everything() };
    assert!(matches!(
        project.pull(&Ctx::silent(), &wanted),
        Err(Error::Sync(SyncError::Transport(_)))
    ));
    sandbox.write(
        ".dvc/config",
        "[core]\n    remote = s\n['remote \"s\"']\n    url = s3://bucket/x\n",
    )?;
    let experiment = sandbox.experiment("0.5", "half")?;
    let error = sandbox.push(&experiment).unwrap_err();
    assert_eq!(error.to_string(), "data remote `s` cannot be used");
    Ok(())
}

#[test]
fn nothing_is_sent_below_a_mount_point_whose_disk_is_gone() -> Test {
    let sandbox = shared(None)?;
    let project = sandbox.project()?;
    let experiment = sandbox.experiment("0.2", "first")?;
    let everything = asking(&experiment);
    project.push(&Ctx::silent(), &everything)?;
    let note = fs::read_dir(sandbox.root().join(".dvc/tmp/exp/remotes"))?
        .next()
        .ok_or("no file system was noted")??
        .path();
    let store = sandbox.beside("store");
    fs::remove_dir_all(&store)?;

    fs::write(&note, "1\n")?;
    for is_mount_point in [false, true] {
        if is_mount_point {
            fs::create_dir(&store)?;
        }
        let sent = project.push(&Ctx::silent(), &everything);
        assert!(
            matches!(sent, Err(Error::Sync(SyncError::NotMounted { ref name, .. })) if name == "store"),
            "{sent:?}"
        );
        assert_eq!(fs::read_dir(&store).map_or(0, Iterator::count), 0);
    }

    fs::create_dir(store.join("files"))?;
    project.push(&Ctx::silent(), &everything)?;
    fs::remove_dir_all(&store)?;
    let sent = project.push(&Ctx::silent(), &everything)?;
    assert!(sent.data[0].moved > 0, "a deleted remote on the same file system is made anew");
    Ok(())
}

#[test]
fn a_job_is_pushed_when_it_is_done_and_a_push_that_fails_is_told_and_costs_nothing() -> Test {
    let sandbox = shared(None)?;
    sandbox.write(".dvc/config.local", "[exp]\n    auto_push = true\n")?;
    let queue = sandbox.project()?.queue()?;
    let add = |name: &str, lr: &str| -> Outcome<()> {
        let overrides = request(&[&format!("lr={lr}")])?.overrides;
        let jobs = vec![exp_engine::NewJob { name: Some(name.to_owned()), overrides }];
        let wanted = exp_engine::QueueRequest { jobs, ..exp_engine::QueueRequest::default() };
        queue.add(&Ctx::silent(), &wanted)?;
        Ok(())
    };
    let work = || -> Outcome<Vec<String>> {
        let told = std::sync::Mutex::new(Vec::new());
        queue.work(&Ctx::silent(), &exp_engine::WorkOptions::default(), &|event| match event {
            exp_engine::WorkerEvent::Ended { end, .. } => {
                told.lock().unwrap().push(end.outcome.word().to_owned());
            }
            exp_engine::WorkerEvent::Pushed { push, .. } => {
                let how = if push.result.is_ok() { "pushed" } else { "not pushed" };
                told.lock().unwrap().push(format!("{how} to {}", push.git_remote));
            }
            _ => {}
        })?;
        Ok(told.into_inner()?)
    };
    add("a", "0.5")?;
    assert_eq!(work()?, ["done", "pushed to origin"]);
    let there = sandbox.git(&["ls-remote", "origin", "refs/exps/*"])?;
    assert!(there.trim_end().ends_with("/a"), "{there}");
    let clone = sandbox.clone_as("clone")?;
    clone.pull(&Ctx::silent(), &everything())?;
    assert_eq!(clone.experiments().list()?.len(), 1, "with its data");

    fs::rename(sandbox.beside("origin.git"), sandbox.beside("gone.git"))?;
    add("b", "0.6")?;
    assert_eq!(work()?, ["done", "not pushed to origin"]);
    let jobs = queue.list()?;
    let b = exp_engine::Queue::find(&jobs, "b").ok_or("no job")?;
    assert_eq!(b.state, exp_engine::JobState::Done);
    let why = queue.not_pushed(b)?.ok_or("it is told")?;
    assert_eq!(why.git_remote, "origin");
    assert!(why.why.contains("no Git repository"), "{why:?}");
    let a = exp_engine::Queue::find(&jobs, "a").ok_or("no job")?;
    assert_eq!(queue.not_pushed(a)?, None);
    Ok(())
}

#[test]
fn variables_decide_about_pushing_before_the_configuration_does() -> Test {
    let sandbox = shared(None)?;
    let remote = |config: &str, vars: &[(&str, &str)]| -> Outcome<Option<String>> {
        sandbox.write(".dvc/config.local", config)?;
        let mut options = sandbox.options();
        for (name, value) in vars {
            options.env = options.env.with(name, *value);
        }
        Ok(Project::discover(&sandbox.root(), options)?.auto_push_remote())
    };
    let on = "[exp]\n    auto_push = true\n    git_remote = mine\n";
    assert_eq!(remote("", &[])?, None);
    assert_eq!(remote(on, &[])?.as_deref(), Some("mine"));
    assert_eq!(remote(on, &[("DVC_EXP_AUTO_PUSH", "0")])?, None);
    assert_eq!(remote("", &[("DVC_EXP_AUTO_PUSH", "true")])?.as_deref(), Some("origin"));
    let other = [("DVC_EXP_AUTO_PUSH", "1"), ("DVC_EXP_GIT_REMOTE", "other")];
    assert_eq!(remote(on, &other)?.as_deref(), Some("other"));
    Ok(())
}
