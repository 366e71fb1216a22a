//! The index of the table: it never changes what is shown, whatever becomes of its files.

use std::fs;
use std::path::PathBuf;
use std::thread;

use exp_engine::core::Ctx;
use exp_engine::{Lost, Project, ShowRequest, ShowTable, show};

use crate::support::{Sandbox, Test};

const PIPELINE: &str = "stages:\n  train:\n    cmd: x\n    params: [lr]\n    deps: [a.py]\n    metrics: [m.json: {cache: false}]\n";

/// More than what is read without the index.
const MANY: usize = 40;

fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    Sandbox::new(&[
        ("dvc.yaml", PIPELINE),
        ("params.yaml", "lr: 1\n"),
        ("m.json", "{\"acc\": 0.5}"),
        ("a.py", "a\n"),
    ])
}

/// Makes experiments of `HEAD`, numbered from `from` on; some broken, some that did not finish.
fn experiments(sandbox: &Sandbox, from: usize, n: usize) -> Test {
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    let (first, rest) = head.trim().split_at(2);
    let mut stream = String::new();
    for i in from..from + n {
        let space = if i % 9 == 8 { "refs/exp/runs" } else { "refs/exps" };
        let metrics =
            if i % 7 == 6 { "{\"acc\": ".to_owned() } else { format!("{{\"acc\": {i}}}") };
        let params = format!("lr: {}\n", i % 5);
        let record = r#"{"version":1,"state":"failed","stage":"train","exit_code":3,"signal":null,"message":null,"started":1,"offset":0,"took_ms":1,"host":null}"#;
        stream.extend([format!(
            "commit {space}/{first}/{rest}/e{i:03}\ncommitter Jo <jo@example.com> {i} +0000\ndata 1\ne\nfrom {}\n\
             M 100644 inline params.yaml\ndata {}\n{params}\nM 100644 inline m.json\ndata {}\n{metrics}\n",
            head.trim(),
            params.len(),
            metrics.len(),
        )]);
        if space == "refs/exp/runs" {
            stream.extend([format!(
                "M 100644 inline .dvc/exp/run.json\ndata {}\n{record}\n",
                record.len()
            )]);
        }
    }
    let file = sandbox.root().join(".git/stream");
    fs::write(&file, stream)?;
    let status = std::process::Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(sandbox.root())
        .stdin(fs::File::open(&file)?)
        .status()?;
    fs::remove_file(file)?;
    if status.success() { Ok(()) } else { Err("git fast-import failed".into()) }
}

fn table(project: &Project) -> Result<ShowTable, exp_engine::Error> {
    let request = ShowRequest { vanished: Lost::Show, ..ShowRequest::default() };
    show(&Ctx::silent(), project, &request)
}

/// What is shown when nothing is remembered.
fn anew(project: &Project) -> Result<ShowTable, Box<dyn std::error::Error>> {
    let home = project.scratch().join("rows");
    let aside = project.scratch().join("aside");
    let had = home.exists();
    if had {
        fs::rename(&home, &aside)?;
    }
    let table = table(project)?;
    if had {
        fs::remove_dir_all(&home)?;
        fs::rename(&aside, &home)?;
    }
    Ok(table)
}

fn files(project: &Project) -> Vec<PathBuf> {
    let listing = fs::read_dir(project.scratch().join("rows/all"));
    listing.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[test]
fn the_second_table_is_the_first_one() -> Test {
    let sandbox = sandbox()?;
    experiments(&sandbox, 0, MANY)?;
    let project = sandbox.project()?;
    let first = table(&project)?;
    assert_eq!(first.n_experiments(), MANY);
    let made = files(&project);
    assert_eq!(made.len(), 1);
    assert_eq!(table(&project)?, first);
    assert_eq!(files(&project), made, "there was nothing new to remember");
    // It is what stands in the index that is shown, and not what was read again.
    sandbox.git(&["gc", "-q", "--prune=now"])?;
    fs::rename(sandbox.root().join(".git/objects/pack"), sandbox.root().join(".git/pack"))?;
    assert!(
        exp_engine::collect_commits(
            &Ctx::silent(),
            &project,
            &[first.baselines[0].experiments[0].rev],
            exp_engine::CollectOptions::default()
        )?[0]
            .is_err(),
        "one row is read from Git, which has no objects any more"
    );
    let rows: Vec<_> = first.baselines[0].experiments.iter().map(|row| row.rev).collect();
    let known = exp_engine::collect_commits(
        &Ctx::silent(),
        &project,
        &rows[..MANY - MANY / 9],
        exp_engine::CollectOptions::default(),
    )?;
    assert!(known.iter().all(Result::is_ok), "{known:?}");
    Ok(())
}

#[test]
fn new_experiments_are_added_and_files_stay_few() -> Test {
    let sandbox = sandbox()?;
    experiments(&sandbox, 0, MANY)?;
    let project = sandbox.project()?;
    for round in 0..20 {
        table(&project)?;
        experiments(&sandbox, MANY + round, 1)?;
    }
    let last = table(&project)?;
    assert_eq!(last.n_experiments(), MANY + 20);
    assert_eq!(last, anew(&project)?);
    assert!(files(&project).len() <= 6, "{:?}", files(&project));
    Ok(())
}

#[test]
fn damaged_files_are_thrown_away_and_made_again() -> Test {
    let sandbox = sandbox()?;
    experiments(&sandbox, 0, MANY)?;
    let project = sandbox.project()?;
    let first = table(&project)?;
    let path = files(&project).pop().ok_or("there is no file")?;
    let bytes = fs::read(&path)?;
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for damaged in [&b""[..], b"garbage", &bytes[..bytes.len() - 1], &flipped] {
        for path in files(&project) {
            fs::remove_file(path)?;
        }
        fs::write(&path, damaged)?;
        assert_eq!(table(&project)?, first);
        assert!(!path.exists());
        assert_eq!(files(&project).len(), 1);
    }
    // A directory that cannot be written, or is none, costs time only.
    fs::remove_dir_all(project.scratch().join("rows"))?;
    fs::write(project.scratch().join("rows"), "in the way")?;
    assert_eq!(table(&project)?, first);
    Ok(())
}

#[test]
fn what_the_store_lacks_today_is_looked_for_again() -> Test {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "lr: 1\n"),
        (
            "dvc.yaml",
            "stages:\n  a:\n    cmd: cp params.yaml m.yaml\n    params: [lr]\n    metrics: [m.yaml]\n",
        ),
    ])?;
    sandbox.run(&["lr=5"])?;
    let project = sandbox.project()?;
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    let (first, rest) = head.trim().split_at(2);
    let made = sandbox.git(&["for-each-ref", "--format=%(objectname)", "refs/exps"])?;
    let made = made.trim();
    for i in 0..MANY {
        // Each a commit of its own with the same tree.
        let tree = format!("{made}^{{tree}}");
        let message = format!("e{i}");
        let commit =
            sandbox.git(&["commit-tree", &tree, "-p", head.trim(), "-m", message.as_str()])?;
        sandbox.git(&["update-ref", &format!("refs/exps/{first}/{rest}/e{i}"), commit.trim()])?;
    }
    let whole = table(&project)?;
    let cache = sandbox.root().join(".dvc/cache");
    let aside = sandbox.root().join(".dvc/tmp/aside");
    fs::remove_dir_all(project.scratch().join("rows"))?;
    fs::rename(&cache, &aside)?;
    let poor = table(&project)?;
    assert_ne!(poor.baselines, whole.baselines);
    fs::rename(&aside, &cache)?;
    assert_eq!(table(&project)?.baselines, whole.baselines);
    Ok(())
}

#[test]
fn many_threads_share_it_while_experiments_come_and_go() -> Test {
    let sandbox = sandbox()?;
    experiments(&sandbox, 0, MANY)?;
    let project = sandbox.project()?;
    thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let table = table(&project).map_err(|error| error.to_string())?;
                        let rows = table.baselines.iter().flat_map(|one| &one.experiments);
                        for row in rows {
                            let i: usize = row.name.as_str()[1..].parse().unwrap_or(usize::MAX);
                            let data = row.data.as_ref().map_err(|why| why.message.clone())?;
                            let lr = data.params[0].1.value().and_then(|value| value.child("lr"));
                            let expect = i64::try_from(i % 5).map_err(|e| e.to_string())?;
                            if lr != Some(&expect.into()) {
                                return Err(format!("{}: {lr:?}", row.name));
                            }
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for round in 0..6 {
            experiments(&sandbox, MANY + 5 * round, 5)?;
        }
        for reader in readers {
            reader.join().map_err(|_| "a reader panicked")??;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    assert_eq!(table(&project)?, anew(&project)?);
    Ok(())
}
