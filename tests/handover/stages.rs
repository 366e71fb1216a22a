//! Stages that read what is elsewhere: objects of a bucket, files of a web server. Both tools record the same of it, decide
//! the same, and take each other's records for their own.

use std::fs;
use std::path::PathBuf;

use exp_tests::Server;

use crate::people::{Team, Who, files, write};
use crate::place::{Kind, Place, in_place};
use crate::{Fails, Outcome};

#[test]
fn an_object_and_a_directory_of_a_bucket_are_dependencies() -> Outcome {
    in_place(Kind::S3, |team, place| {
        let far = Far::Bucket(place);
        far.put(&team, "parts/a.txt", b"a\n")?;
        far.put(&team, "parts/b/c.txt", b"c\n")?;
        let dirs = ["dvc", "us"];
        decide_alike(&team, place, &far, &["remote://far/in.txt", "remote://far/parts"])?;
        far.put(&team, "parts/b/c.txt", b"another\n")?;
        assert_eq!(run(&team, dirs)?, ["ran\nran\nran\n", "ran\nran\nran\n"]);
        same_locks(&team)
    })
}

#[test]
fn a_file_of_a_web_server_is_a_dependency() -> Outcome {
    in_place(Kind::Http, |team, place| {
        let server = Server::find("http", "EXP_TEST_HTTP").map_err(|skip| skip.to_string())?;
        let name = place.url.rsplit('/').next().unwrap_or_default();
        let far = Far::Web(PathBuf::from(server.fact("EXP_TEST_HTTP_DIR")).join(name));
        far.put(&team, "plain.txt", b"plain\n")?;
        let plain = format!("{}/plain.txt", place.url);
        decide_alike(&team, place, &far, &["remote://far/in.txt", &plain])
    })
}

/// Where the dependencies are.
enum Far<'p> {
    /// In a bucket, below the URL of a place.
    Bucket(&'p Place),
    /// In a directory that a web server gives out.
    Web(PathBuf),
}

impl Far<'_> {
    fn put(&self, team: &Team, name: &str, bytes: &[u8]) -> Outcome {
        match self {
            Self::Bucket(place) => {
                write(&team.dir("to-send"), bytes)?;
                ask(team, place, "fs.put_file(sys.argv[5], sys.argv[6])", name, "to-send")
            }
            Self::Web(dir) => Ok(write(&dir.join(name), bytes)?),
        }
    }

    fn remove(&self, team: &Team, name: &str) -> Outcome {
        match self {
            Self::Bucket(place) => ask(team, place, "fs.rm_file(sys.argv[6])", name, ""),
            Self::Web(dir) => Ok(fs::remove_file(dir.join(name))?),
        }
    }
}

/// Asks a bucket by the library that the real `dvc` asks by.
fn ask(team: &Team, place: &Place, what: &str, name: &str, file: &str) -> Outcome {
    let text = |pairs: &[(&str, String)], key: &str| {
        pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    };
    let endpoint = text(&place.options, "endpointurl").unwrap_or_default();
    let region = text(&place.options, "region").unwrap_or_default();
    let key = text(&place.secrets, "access_key_id").unwrap_or_default();
    let secret = text(&place.secrets, "secret_access_key").unwrap_or_default();
    let script = format!(
        "import sys, s3fs\n\
         fs = s3fs.S3FileSystem(endpoint_url=sys.argv[1], client_kwargs={{'region_name': sys.argv[2]}}, \
         key=sys.argv[3], secret=sys.argv[4])\n{what}\n"
    );
    let path = format!("{}/{name}", place.url);
    team.python(&script, &[&endpoint, &region, &key, &secret, file, &path])
}

/// Both tools run a stage in a project of their own, once for each content of what it reads.
fn decide_alike(team: &Team, place: &Place, far: &Far<'_>, deps: &[&str]) -> Outcome {
    far.put(team, "in.txt", b"one\n")?;
    let dirs = ["dvc", "us"];
    for (who, dir) in [(Who::Dvc, "dvc"), (Who::Us, "us")] {
        team.start(who, dir, place)?;
        let root = team.dir(dir);
        let deps: Vec<String> = deps.iter().map(|dep| format!("    - {dep}\n")).collect();
        let deps = deps.concat();
        let text = format!(
            "stages:\n  a:\n    cmd: echo ran >> runs; cp local.txt o\n    deps:\n{deps}    - local.txt\n    \
             outs:\n    - o\n"
        );
        write(&root.join("dvc.yaml"), text)?;
        write(&root.join("local.txt"), "here\n")?;
        team.commit(dir)?;
    }
    assert_eq!(run(team, dirs)?, ["ran\n", "ran\n"]);
    same_locks(team)?;
    let lock = fs::read_to_string(team.dir("us").join("dvc.lock"))?;
    for dep in deps {
        assert!(lock.contains(&format!("- path: {dep}\n")), "{lock}");
    }

    // Nothing changed: neither runs it, nor what the other recorded.
    assert_eq!(run(team, dirs)?, ["ran\n", "ran\n"]);
    assert_eq!(run(team, ["us", "dvc"])?, ["ran\n", "ran\n"], "with the other one's lock file");
    for (who, dir) in [(Who::Dvc, "us"), (Who::Us, "dvc"), (Who::Dvc, "dvc"), (Who::Us, "us")] {
        let said = team.does(who, dir, &["status"])?;
        assert!(said.contains("up to date"), "{who:?} in {dir}: {said}");
    }

    far.put(team, "in.txt", b"another one\n")?;
    let said = same_status(team)?;
    assert!(said.contains("remote://far/in.txt"), "{said}");
    assert_eq!(run(team, dirs)?, ["ran\nran\n", "ran\nran\n"]);
    same_locks(team)?;

    far.remove(team, "in.txt")?;
    let said = same_status(team)?;
    assert!(said.contains("deleted"), "{said}");
    for (who, dir) in [(Who::Dvc, "dvc"), (Who::Us, "us")] {
        let failed = team.does(who, dir, &["repro"]).expect_err("what it reads is gone");
        assert!(failed.to_string().contains("255"), "{failed}");
    }
    far.put(team, "in.txt", b"another one\n")
}

/// Has the real `dvc` reproduce the first directory and us the second; returns how often the stage of each ran.
fn run(team: &Team, [dvcs, ours]: [&str; 2]) -> Fails<[String; 2]> {
    team.does(Who::Dvc, dvcs, &["repro"])?;
    team.does(Who::Us, ours, &["repro"])?;
    let runs = |dir: &str| fs::read_to_string(team.dir(dir).join("runs"));
    Ok([runs(dvcs)?, runs(ours)?])
}

/// Compares what both say of their project, and returns it.
fn same_status(team: &Team) -> Fails<String> {
    let dvc = team.does(Who::Dvc, "dvc", &["status", "--json"])?;
    let us = team.does(Who::Us, "us", &["status", "--json"])?;
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text.trim());
    assert_eq!(value(&dvc)?, value(&us)?);
    Ok(us)
}

/// Compares the lock files, and what the run caches hold.
fn same_locks(team: &Team) -> Outcome {
    let [dvc, us] = ["dvc", "us"].map(|dir| fs::read_to_string(team.dir(dir).join("dvc.lock")));
    assert_eq!(dvc?, us?, "the lock files differ");
    let runs = |dir: &str| {
        let root = team.dir(dir).join(".dvc/cache/runs");
        if root.is_dir() { files(&root) } else { Ok(std::collections::BTreeMap::new()) }
    };
    assert_eq!(runs("dvc")?, runs("us")?, "the run caches differ");
    Ok(())
}
