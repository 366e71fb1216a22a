//! Data that is handed over through a bucket that keeps versions: files go under their own paths, and the `.dvc` files
//! say which versions they are.

use std::fs;

use crate::people::{Team, Who};
use crate::place::{Kind, Place, in_place};
use crate::{Fails, Outcome, TRACKED, begin, change, fill, receive, same_bytes};

#[test]
fn versions_take_from_dvc_to_us_and_back() -> Outcome {
    in_place(Kind::Versions, |team, place| there_and_back(&team, place, Who::Dvc, Who::Us))
}

#[test]
fn versions_take_from_us_to_dvc_and_back() -> Outcome {
    in_place(Kind::Versions, |team, place| there_and_back(&team, place, Who::Us, Who::Dvc))
}

#[test]
fn both_record_the_same_but_for_what_the_versions_are_called() -> Outcome {
    in_place(Kind::Versions, |team, place| {
        for (who, dir) in [(Who::Dvc, "dvc"), (Who::Us, "us")] {
            let place = Place {
                url: format!("{}-{dir}", place.url),
                options: place.options.clone(),
                secrets: place.secrets.clone(),
            };
            begin(&team, (who, dir), &place)?;
        }
        for name in TRACKED {
            let name = format!("{name}.dvc");
            let dvc = without_versions(&team, "dvc", &name)?;
            let us = without_versions(&team, "us", &name)?;
            // That a file may be run is lost when `dvc` pushes it.
            let us = us.replace("  isexec: true\n", "");
            assert_eq!(dvc, us, "{name}");
            assert!(us.contains("version_id"), "{us}");
        }
        Ok(())
    })
}

/// A `.dvc` file with the same word for every version and, of files that are sent in parts, for their marks.
fn without_versions(team: &Team, dir: &str, name: &str) -> Fails<String> {
    let text = fs::read_to_string(team.dir(dir).join(name))?;
    let plain = text.lines().map(|line| match line.split_once(": ") {
        Some((key, _)) if key.trim() == "version_id" => format!("{key}: V\n"),
        Some((key, mark)) if key.trim() == "etag" && mark.contains('-') => format!("{key}: E\n"),
        _ => format!("{line}\n"),
    });
    Ok(plain.collect())
}

/// One pushes, the other pulls, changes something and pushes, and the first one pulls that, and what was before.
fn there_and_back(team: &Team, place: &Place, first: Who, second: Who) -> Outcome {
    team.start(first, "first", place)?;
    fill(team, "first")?;
    // Behind a question mark DVC looks for a version, and fetches nothing.
    fs::remove_file(team.dir("first").join("data/50% #1 + more?.txt"))?;
    team.does(first, "first", &[&["add"], &TRACKED[..]].concat())?;
    team.does(first, "first", &["push"])?;
    team.commit("first")?;

    receive(team, second, ("first", "second"))?;
    let said = team.does(second, "second", &["push"])?;
    assert!(said.contains("Everything is up to date"), "what is there is sent again:\n{said}");
    assert_eq!(team.git("second", &["status", "--porcelain"])?, "", "tracked files changed");

    let root = team.dir("second");
    let before = fs::read_to_string(root.join("data.dvc"))?;
    change(team, (second, "second"))?;
    team.does(second, "second", &["push"])?;
    let after = fs::read_to_string(root.join("data.dvc"))?;
    let id = |text: &str| text.lines().filter(|line| line.contains("version_id")).count();
    assert_eq!((id(&before), id(&after)), (9, 9), "{after}");
    let kept = before.lines().filter(|line| line.contains("version_id") && after.contains(line));
    assert_eq!(kept.count(), 7, "what did not change has another version:\n{after}");
    team.commit("second")?;

    team.git("first", &["pull", "-q", "../second", "main"])?;
    team.does(first, "first", &["pull"])?;
    same_bytes(team, "second", "first")?;

    // Of what was replaced there the version is still there.
    team.clone("first", "third")?;
    team.git("third", &["checkout", "-q", "HEAD~1"])?;
    team.does(second, "third", &["pull"])?;
    assert_eq!(fs::read(team.dir("third/data/nested/two.txt"))?, b"two\n");
    assert_eq!(fs::read(team.dir("third/data/one.txt"))?, b"one\n");
    Ok(())
}
