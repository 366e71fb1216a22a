//! Data that is handed over between `exp` and the real `dvc`, both ways, through real storages.
//!
//! Whatever one tool pushed the other one pulls, and the files that they write for the same data are the same.

mod people;
mod place;
mod stages;
mod versions;

use std::error::Error;
use std::fs;

use crate::people::{Team, Who, files, is_executable, make_executable, write};
use crate::place::{Kind, Place, in_place};

/// What tests return.
pub(crate) type Outcome = Fails<()>;

/// What may fail with a sentence.
pub(crate) type Fails<T> = Result<T, Box<dyn Error>>;

/// What is tracked: a directory and single files.
pub(crate) const TRACKED: [&str; 5] =
    ["data", "model.bin", "run.sh", "name with space.txt", "ünï.txt"];

#[test]
fn a_directory_takes_from_dvc_to_us_and_back() -> Outcome {
    in_place(Kind::Directory, |team, place| there_and_back(&team, place, Who::Dvc, Who::Us))
}

#[test]
fn a_directory_takes_from_us_to_dvc_and_back() -> Outcome {
    in_place(Kind::Directory, |team, place| there_and_back(&team, place, Who::Us, Who::Dvc))
}

#[test]
fn s3_takes_from_dvc_to_us_and_back() -> Outcome {
    in_place(Kind::S3, |team, place| there_and_back(&team, place, Who::Dvc, Who::Us))
}

#[test]
fn s3_takes_from_us_to_dvc_and_back() -> Outcome {
    in_place(Kind::S3, |team, place| there_and_back(&team, place, Who::Us, Who::Dvc))
}

#[test]
fn ssh_takes_from_dvc_to_us_and_back() -> Outcome {
    in_place(Kind::Ssh, |team, place| there_and_back(&team, place, Who::Dvc, Who::Us))
}

#[test]
fn ssh_takes_from_us_to_dvc_and_back() -> Outcome {
    in_place(Kind::Ssh, |team, place| there_and_back(&team, place, Who::Us, Who::Dvc))
}

#[test]
fn a_directory_keeps_what_dvc_2_tracked() -> Outcome {
    in_place(Kind::Directory, |team, place| of_dvc_2(&team, place, Who::Dvc, Who::Us))?;
    in_place(Kind::Directory, |team, place| of_dvc_2(&team, place, Who::Us, Who::Dvc))
}

#[test]
fn s3_keeps_what_dvc_2_tracked() -> Outcome {
    in_place(Kind::S3, |team, place| of_dvc_2(&team, place, Who::Dvc, Who::Us))?;
    in_place(Kind::S3, |team, place| of_dvc_2(&team, place, Who::Us, Who::Dvc))
}

#[test]
fn ssh_keeps_what_dvc_2_tracked() -> Outcome {
    in_place(Kind::Ssh, |team, place| of_dvc_2(&team, place, Who::Dvc, Who::Us))?;
    in_place(Kind::Ssh, |team, place| of_dvc_2(&team, place, Who::Us, Who::Dvc))
}

#[test]
fn both_write_the_same_bytes_for_the_same_data() -> Outcome {
    in_place(Kind::Directory, |team, place| {
        for (who, dir) in [(Who::Dvc, "dvc"), (Who::Us, "us")] {
            let place = Place {
                url: format!("{}-{dir}", place.url),
                options: Vec::new(),
                secrets: Vec::new(),
            };
            begin(&team, (who, dir), &place)?;
        }
        for name in TRACKED {
            let name = format!("{name}.dvc");
            let [dvc, us] = ["dvc", "us"].map(|dir| fs::read_to_string(team.dir(dir).join(&name)));
            assert_eq!(dvc?, us?, "{name}");
        }
        let mut far = Vec::new();
        for dir in ["dvc", "us"] {
            far.push(files(&team.dir(&format!("far away-{dir}")))?);
        }
        assert!(far[0].keys().any(|name| name.contains(".dir")), "{:?}", far[0].keys());
        assert_eq!(far[0], far[1], "the remotes differ");
        let [dvc, us] = ["dvc", "us"].map(|dir| files(&team.dir(dir).join(".dvc/cache/files")));
        assert_eq!(dvc?, us?, "the stores differ");
        Ok(())
    })
}

/// Makes a project with the data, and pushes it.
pub(crate) fn begin(team: &Team, (who, dir): (Who, &str), place: &Place) -> Outcome {
    team.start(who, dir, place)?;
    fill(team, dir)?;
    team.does(who, dir, &[&["add", "-q"], &TRACKED[..]].concat())?;
    team.does(who, dir, &["push", "-q"])?;
    Ok(())
}

/// Clones a project and pulls its data; both tools have to agree that this is what was pushed.
pub(crate) fn receive(team: &Team, who: Who, (from, to): (&str, &str)) -> Outcome {
    team.clone(from, to)?;
    team.does(who, to, &["pull"])?;
    same_bytes(team, from, to)?;
    let said = team.does(who, to, &["status"])?;
    assert!(said.contains("up to date"), "what was pulled is said to differ:\n{said}");
    assert_eq!(team.git(to, &["status", "--porcelain"])?, "", "tracked files changed");
    Ok(())
}

/// Changes the data of a project and tracks it.
pub(crate) fn change(team: &Team, (who, dir): (Who, &str)) -> Outcome {
    let root = team.dir(dir);
    write(&root.join("data/nested/two.txt"), "two and more\n")?;
    write(&root.join("data/new dir/new.txt"), "new\n")?;
    fs::remove_file(root.join("data/one.txt"))?;
    write(&root.join("ünï.txt"), "changed\n")?;
    team.does(who, dir, &["add", "data", "ünï.txt"])?;
    Ok(())
}

/// Writes the data.
pub(crate) fn fill(team: &Team, dir: &str) -> Outcome {
    let root = team.dir(dir);
    let long: Vec<u8> = (0..2_000_000_u32).flat_map(|n| (n ^ (n >> 7)).to_le_bytes()).collect();
    for (name, bytes) in [
        ("data/one.txt", b"one\n".as_slice()),
        ("data/nested/two.txt", b"two\n"),
        ("data/nested/deeply/three.txt", b"three\n"),
        ("data/nested/same as one", b"one\n"),
        ("data/empty", b""),
        ("data/with space/a b.txt", b"a b\n"),
        ("data/ünï/日本語.txt", "日本語\n".as_bytes()),
        ("data/50% #1 + more?.txt", b"signs\n"),
        ("data/.hidden", b"hidden\n"),
        ("data/windows.txt", b"two\r\nlines\r\n"),
        ("model.bin", &long),
        ("run.sh", b"#!/bin/sh\necho run\n"),
        ("name with space.txt", b""),
        ("ünï.txt", "ünï\n".as_bytes()),
    ] {
        write(&root.join(name), bytes)?;
    }
    make_executable(&root.join("run.sh"))?;
    Ok(())
}

/// Whether two work trees have the same tracked data, permissions included.
fn same(team: &Team, one: &str, other: &str) -> Outcome {
    same_bytes(team, one, other)?;
    for name in &TRACKED[1..] {
        let [expected, found] = [one, other].map(|dir| is_executable(&team.dir(dir).join(name)));
        assert_eq!(expected?, found?, "{name}: whether it can be run differs");
    }
    Ok(())
}

/// Whether two work trees have the same bytes in the tracked data.
pub(crate) fn same_bytes(team: &Team, one: &str, other: &str) -> Outcome {
    let [expected, found] = [one, other].map(|dir| files(&team.dir(dir).join("data")));
    assert_eq!(expected?, found?, "`data` differs");
    for name in &TRACKED[1..] {
        let [expected, found] = [one, other].map(|dir| fs::read(team.dir(dir).join(name)));
        assert!(expected? == found?, "{name} differs");
    }
    Ok(())
}

/// One pushes, the other pulls, changes something and pushes, and the first one pulls that.
fn there_and_back(team: &Team, place: &Place, first: Who, second: Who) -> Outcome {
    begin(team, (first, "first"), place)?;
    team.commit("first")?;
    receive(team, second, ("first", "second"))?;
    same(team, "first", "second")?;

    change(team, (second, "second"))?;
    team.commit("second")?;
    team.does(second, "second", &["push"])?;

    team.git("first", &["pull", "-q", "../second", "main"])?;
    team.does(first, "first", &["pull"])?;
    same(team, "second", "first")
}

/// A project as DVC 2 left it: entries without `hash`, digests of text with its line ends changed, objects at the top of
/// the store. One pushes it, the other pulls.
fn of_dvc_2(team: &Team, place: &Place, first: Who, second: Who) -> Outcome {
    team.start(first, "first", place)?;
    let root = team.dir("first");
    let objects: [(&str, &[u8], &[u8]); 3] = [
        // What it is called, what it has, what is digested.
        ("data/lines.txt", b"two\r\nlines\r\n", b"two\nlines\n"),
        ("data/sub/plain", b"plain\n", b"plain\n"),
        ("single.txt", b"single\r\n", b"single\n"),
    ];
    let mut digests = Vec::new();
    for (_, bytes, digested) in objects {
        let digest = team.md5(digested)?;
        write(&object(team, &digest), bytes)?;
        digests.push(digest);
    }
    let manifest = format!(
        "[{{\"md5\": \"{}\", \"relpath\": \"lines.txt\"}}, {{\"md5\": \"{}\", \"relpath\": \"sub/plain\"}}]",
        digests[0], digests[1]
    );
    let tree = format!("{}.dir", team.md5(manifest.as_bytes())?);
    write(&object(team, &tree), &manifest)?;
    write(
        &root.join("data.dvc"),
        format!("outs:\n- md5: {tree}\n  size: 18\n  nfiles: 2\n  path: data\n"),
    )?;
    write(
        &root.join("single.txt.dvc"),
        format!("outs:\n- md5: {}\n  size: 8\n  path: single.txt\n", digests[2]),
    )?;
    write(&root.join(".gitignore"), "/data\n/single.txt\n")?;
    team.commit("first")?;
    team.does(first, "first", &["push"])?;

    team.clone("first", "second")?;
    team.does(second, "second", &["pull"])?;
    for (name, bytes, _) in objects {
        assert_eq!(fs::read(team.dir("second").join(name))?, bytes, "{name}");
    }
    let said = team.does(second, "second", &["status"])?;
    assert!(said.contains("up to date"), "what was pulled is said to differ:\n{said}");
    assert_eq!(team.git("second", &["status", "--porcelain"])?, "", "tracked files changed");
    Ok(())
}

/// Where DVC 2 keeps an object in the store of the first repository.
fn object(team: &Team, name: &str) -> std::path::PathBuf {
    team.dir("first/.dvc/cache").join(&name[..2]).join(&name[2..])
}
