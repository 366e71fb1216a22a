//! What is recorded of a run beside its result: what it ran in, what was there and is not part of it, and submodules.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use exp_engine::core::Ctx;
use exp_engine::refs::{Experiment, LeftOutCause, RunEnd, RunRecord};
use exp_engine::{
    EnvironmentDifference, EnvironmentPart, Kept, NewJob, Place, QueueRequest, Side, WorkOptions,
};

use crate::support::{Sandbox, Test, request};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PIPELINE: &str = "\
stages:
  train:
    cmd: tools/python train.sh
    params: [lr, fail]
    metrics:
    - m.json:
        cache: false
";

const TRAIN: &str = "echo '{\"acc\": 1}' > m.json\n! grep -q 'fail: 1' params.yaml\n";

/// A project whose stage runs in something that answers as an interpreter does.
fn project() -> Result<Sandbox> {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "lr: 1\nfail: 0\n"),
        ("dvc.yaml", PIPELINE),
        ("train.sh", TRAIN),
        ("uv.lock", "version = 1\n"),
        (".gitignore", "/big.bin\n/.env\n__pycache__/\n"),
    ])?;
    let site = sandbox.root().join("../site");
    fs::create_dir_all(site.join("numpy-1.26.4.dist-info"))?;
    fs::create_dir_all(site.join("torch-2.4.0.dist-info"))?;
    let python = format!(
        "#!/bin/sh\n[ \"$1\" != -E ] || {{ echo 3.12.3; echo /none; echo {}; exit 0; }}\nexec sh \"$@\"\n",
        site.display()
    );
    sandbox.write("tools/python", &python)?;
    let path = sandbox.root().join("tools/python");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    sandbox.commit("an interpreter")?;
    Ok(sandbox)
}

fn record(sandbox: &Sandbox, experiment: &Experiment) -> Result<RunRecord> {
    Ok(sandbox.project()?.experiments().record(experiment)?.ok_or("no record")?)
}

fn run(sandbox: &Sandbox, overrides: &[&str], place: Place) -> Result<Experiment> {
    let mut wanted = request(overrides)?;
    wanted.place = place;
    let mut options = sandbox.options();
    options.env = options.env.with("API_TOKEN", "hunter2");
    let project = exp_engine::Project::discover(&sandbox.root(), options)?;
    let kept = project.run(&Ctx::silent(), &wanted)?.kept.ok_or("nothing kept")?;
    match kept {
        Kept::Experiment(experiment) | Kept::Unfinished(experiment) => Ok(experiment),
        other => Err(format!("{other:?}").into()),
    }
}

fn queued(sandbox: &Sandbox, name: &str, overrides: &[&str]) -> Result<Experiment> {
    let queue = sandbox.project()?.queue()?;
    let jobs =
        vec![NewJob { name: Some(name.to_owned()), overrides: request(overrides)?.overrides }];
    queue.add(&Ctx::silent(), &QueueRequest { jobs, ..QueueRequest::default() })?;
    queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ())?;
    Ok(sandbox.project()?.experiments().find(name)?)
}

#[test]
fn every_kind_of_run_records_the_same_environment() -> Test {
    let sandbox = project()?;
    let here = run(&sandbox, &["lr=2"], Place::Workspace)?;
    let private = run(&sandbox, &["lr=3"], Place::Private { copy: Vec::new() })?;
    let queued = queued(&sandbox, "q", &["lr=4"])?;
    let failed = run(&sandbox, &["fail=1"], Place::Private { copy: Vec::new() })?;
    let mut environments = Vec::new();
    for (experiment, end) in [
        (&here, RunEnd::Finished),
        (&private, RunEnd::Finished),
        (&queued, RunEnd::Finished),
        (&failed, RunEnd::Failed),
    ] {
        let record = record(&sandbox, experiment)?;
        assert_eq!(record.end, end);
        assert!(record.host.is_some() && record.took.is_some());
        environments.push(record.environment.ok_or("no environment")?);
        // Not one variable of the environment is kept.
        let object = sandbox.git(&["cat-file", "-p", &experiment.commit.to_string()])?;
        assert!(!object.contains("hunter2"), "{object}");
    }
    let first = &environments[0];
    assert!(environments.iter().all(|one| one == first), "{environments:#?}");
    let python = first.python.as_ref().ok_or("no interpreter")?;
    assert_eq!((python.path.as_str(), python.version.as_deref()), ("tools/python", Some("3.12.3")));
    assert_eq!(python.packages.as_ref().map(|packages| packages.n), Some(2));
    assert_eq!(first.lock_files.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["uv.lock"]);
    assert!(first.system.as_ref().is_some_and(|system| system.starts_with("Linux ")));
    sandbox.fsck()
}

#[test]
fn environments_are_compared_package_by_package() -> Test {
    let sandbox = project()?;
    let one = run(&sandbox, &["lr=2"], Place::Private { copy: Vec::new() })?;
    let other = run(&sandbox, &["lr=3"], Place::Private { copy: Vec::new() })?;
    let project = sandbox.project()?;
    let sides = |a: &Experiment, b: &Experiment| [Side::Commit(a.commit), Side::Commit(b.commit)];
    assert_eq!(project.environment_difference(sides(&one, &other))?, Some(Vec::new()));
    let site = sandbox.root().join("../site");
    fs::rename(site.join("numpy-1.26.4.dist-info"), site.join("numpy-2.1.0.dist-info"))?;
    fs::create_dir(site.join("scipy-1.14.0.dist-info"))?;
    sandbox.write("uv.lock", "version = 2\n")?;
    let third = run(&sandbox, &["lr=4"], Place::Private { copy: Vec::new() })?;
    let found = project.environment_difference(sides(&one, &third))?.ok_or("not recorded")?;
    let package = |name: &str, old: Option<&str>, new: &str| EnvironmentDifference {
        part: EnvironmentPart::Package(name.to_owned()),
        old: old.map(str::to_owned),
        new: Some(new.to_owned()),
    };
    assert_eq!(
        found[..2],
        [package("numpy", Some("1.26.4"), "2.1.0"), package("scipy", None, "1.14.0")]
    );
    assert_eq!(found[2].part, EnvironmentPart::LockFile("uv.lock".to_owned()));
    assert_eq!(found.len(), 3);
    // The workspace is what it would run in now; of a commit that is no run nothing is known.
    let now = project.environment_difference([Side::Commit(third.commit), Side::Workspace])?;
    assert_eq!(now, Some(Vec::new()));
    let head = project.git().resolve("HEAD")?;
    assert_eq!(project.environment_difference([Side::Commit(head), Side::Workspace])?, None);
    // Without the lists, which only this machine has, the digests still tell.
    fs::remove_dir_all(sandbox.root().join(".dvc/tmp/exp/packages"))?;
    let found = project.environment_difference(sides(&one, &third))?.ok_or("not recorded")?;
    assert_eq!(found[0].part, EnvironmentPart::Packages);
    assert!(found[0].old.as_ref().is_some_and(|old| old.starts_with("2 ")), "{found:?}");
    Ok(())
}

#[test]
fn what_a_commit_does_not_have_is_named_with_what_it_held() -> Test {
    let sandbox = project()?;
    sandbox.write("big.bin", "bytes")?;
    sandbox.write(".env", "TOKEN=1")?;
    sandbox.write("notes.txt", "nobody asked for me")?;
    sandbox.write("__pycache__/a.pyc", "x")?;
    let digest = |text: &str| {
        let algorithm = exp_engine::core::Algorithm::Md5;
        format!("md5:{}", exp_engine::core::Digest::of(algorithm, text.as_bytes()).to_hex())
    };
    let expect = |notes: bool| {
        let mut all = vec![
            // Not even the digest of a secret is kept.
            (".env".to_owned(), LeftOutCause::Ignored, Some(7), None),
            ("big.bin".to_owned(), LeftOutCause::Ignored, Some(5), Some(digest("bytes"))),
        ];
        if notes {
            let bytes = Some("nobody asked for me".len() as u64);
            let digest = Some(digest("nobody asked for me"));
            all.push(("notes.txt".to_owned(), LeftOutCause::Untracked, bytes, digest));
        }
        all
    };
    let place = Place::Private { copy: Vec::new() };
    for (experiment, notes) in [
        (run(&sandbox, &["lr=2"], place)?, true),
        (queued(&sandbox, "q", &["lr=3"])?, false),
        (run(&sandbox, &["lr=4"], Place::Workspace)?, true),
    ] {
        let record = record(&sandbox, &experiment)?;
        let mut found: Vec<_> = (record.left_out.into_iter())
            .map(|file| (file.path, file.why, file.size, file.digest))
            .collect();
        found.sort();
        assert_eq!(found, expect(notes), "{}", experiment.name);
        assert_eq!(record.n_left_out, found.len() as u64);
    }
    Ok(())
}

#[test]
fn a_private_run_has_the_submodules_as_they_were_edits_included() -> Test {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "lr: 1\n"),
        (
            "dvc.yaml",
            "stages:\n  s:\n    cmd: cat lib/code.txt > out\n    params: [lr]\n    outs:\n    - out:\n        cache: false\n",
        ),
        ("../lib/code.txt", "committed\n"),
    ])?;
    let git = |args: &[&str]| sandbox.git(args);
    git(&["-C", "../lib", "init", "-q", "-b", "main"])?;
    git(&["-C", "../lib", "add", "."])?;
    git(&["-C", "../lib", "commit", "-q", "-m", "lib"])?;
    let allow = "protocol.file.allow=always";
    git(&["-c", allow, "submodule", "--quiet", "add", "../lib", "lib"])?;
    sandbox.commit("a submodule")?;
    let out = |experiment: &Experiment| git(&["show", &format!("{}:out", experiment.commit)]);
    let place = || Place::Private { copy: Vec::new() };
    let plain = run(&sandbox, &["lr=2"], place())?;
    assert_eq!(out(&plain)?, "committed\n");
    let state = record(&sandbox, &plain)?.submodules;
    assert_eq!((state.len(), state[0].path.as_str(), &state[0].edits), (1, "lib", &None));

    sandbox.write("lib/code.txt", "edited\n")?;
    let queue = sandbox.project()?.queue()?;
    let jobs =
        vec![NewJob { name: Some("q".to_owned()), overrides: request(&["lr=3"])?.overrides }];
    queue.add(&Ctx::silent(), &QueueRequest { jobs, ..QueueRequest::default() })?;
    sandbox.write("lib/code.txt", "edited once more\n")?;
    git(&["-C", "lib", "gc", "-q", "--prune=now"])?;
    let status = git(&["status", "--porcelain"])?;
    queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ())?;
    let queued = sandbox.project()?.experiments().find("q")?;
    assert_eq!(out(&queued)?, "edited\n", "as it was when it was queued");
    assert!(record(&sandbox, &queued)?.submodules[0].edits.is_some());
    assert_eq!(
        git(&["ls-tree", &queued.commit.to_string(), "lib"])?.split(' ').nth(1),
        Some("commit")
    );
    assert_eq!(out(&run(&sandbox, &["lr=4"], place())?)?, "edited once more\n");
    assert_eq!(git(&["status", "--porcelain"])?, status, "the workspace is as it was");
    assert_eq!(sandbox.read("lib/code.txt")?, "edited once more\n");

    // What is not there any more is said, and the job can be run again when it is.
    let jobs =
        vec![NewJob { name: Some("r".to_owned()), overrides: request(&["lr=5"])?.overrides }];
    queue.add(&Ctx::silent(), &QueueRequest { jobs, ..QueueRequest::default() })?;
    fs::rename(sandbox.root().join("lib"), sandbox.root().join("../away"))?;
    queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ())?;
    let jobs = queue.list()?;
    let job = exp_engine::Queue::find(&jobs, "r").ok_or("no job")?;
    let end = queue.end(job)?.ok_or("no end")?;
    let why = format!("{:?}", end.cause);
    assert!(why.contains("submodule `lib`"), "{why}");
    fs::rename(sandbox.root().join("../away"), sandbox.root().join("lib"))?;
    queue.retry(std::slice::from_ref(job))?;
    queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ())?;
    assert_eq!(out(&sandbox.project()?.experiments().find("r")?)?, "edited once more\n");
    sandbox.fsck()
}
