//! `cargo xtask bench data`: the store beside the plain tools of the machine, in one run, with ratios and peak memory.
//!
//! A floor is what the machine needs for the bytes alone: `cp`, `sha256sum` on all cores, `find`. Sources are warm (they
//! were written or read a moment ago), stores are new unless the line says otherwise, and everything dirty is flushed
//! before each measurement. `exp` returns when its objects are on disk, `cp` before: where that matters the line says
//! which floor has the flush in it.

mod gauge;
mod place;
mod reflink;
mod transfer;

use std::path::PathBuf;

use crate::process::step;
use crate::sides::Sides;

use gauge::{Line, Run, report};
use place::Yard;

/// Measures some lines.
type Part = fn(&Yard, Extent) -> Result<Vec<Line>, String>;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Files of 4 KB for `add` and `checkout`.
    n_small: usize,
    /// Bytes of the large file.
    large: u64,
    /// Files of a few bytes for `status`.
    n_many: usize,
    /// Files that dvc gets, which is slower.
    n_dvc: usize,
    /// Files of 10 KB that are sent.
    n_sent: usize,
    /// Bytes of the one object that is sent.
    sent: u64,
    /// Objects that are on the remote when nothing is to be sent.
    n_there: usize,
    rounds: usize,
}

const SMALL: Extent = Extent {
    n_small: 10_000,
    large: 256 << 20,
    n_many: 50_000,
    n_dvc: 2_000,
    n_sent: 1_000,
    sent: 256 << 20,
    n_there: 2_000,
    rounds: 3,
};
const FULL: Extent = Extent {
    n_small: 100_000,
    large: 4 << 30,
    n_many: 1_000_000,
    n_dvc: 10_000,
    n_sent: 10_000,
    sent: 2 << 30,
    n_there: 100_000,
    rounds: 3,
};

/// Builds, measures and prints.
pub(crate) fn run(switches: &[&str]) -> Result<(), String> {
    let (mut extent, mut exp, mut only) = (SMALL, None, None);
    let mut rest = switches.iter();
    while let Some(switch) = rest.next() {
        match *switch {
            "--small" => extent = SMALL,
            "--full" => extent = FULL,
            "--exp" => exp = rest.next().map(PathBuf::from),
            "--only" => only = rest.next().copied(),
            _ => return Err(format!("unknown switch {switch}")),
        }
    }
    let Sides { exp, dvc } = Sides::new(exp, true)?;
    let yard = Yard::new(exp, dvc)?;
    let mut lines = Vec::new();
    // The one that deletes most comes last, see `Yard::aside`.
    let parts: [(&str, Part); 6] = [
        ("large", large_file),
        ("reflink", reflink::clones),
        ("small", small_files),
        ("dvc", beside_dvc),
        ("transfer", transfer::transfers),
        ("many", many_files),
    ];
    if let Some(only) = only.filter(|only| parts.iter().all(|(name, _)| name != only)) {
        let known: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        return Err(format!("no part `{only}`; there are {}", known.join(", ")));
    }
    for (name, part) in parts {
        if only.is_none_or(|only| only == name) {
            lines.extend(step(name, || part(&yard, extent))?);
        }
    }
    report(&lines, extent.rounds);
    Ok(())
}

/// `add` and `checkout` of many small files.
fn small_files(yard: &Yard, extent: Extent) -> Result<Vec<Line>, String> {
    let n = extent.n_small;
    yard.tree("small", n, 4096)?;
    let digest = yard.rounds(extent, "", &[], &Run::digest_all("small"))?;
    let none = yard.aside(&["copied"]);
    let copy = yard.rounds(extent, "", &[&none], &Run::sh("cp -r small copied"))?;
    let linked = yard.rounds(extent, "", &[&none], &Run::sh("cp -al small copied"))?;
    let floor = digest.plus(&copy);
    let mut lines = Vec::new();

    yard.project("copies", "copy")?;
    yard.sh("cp -r small copies/data")?;
    let add = Run::exp(&["dvc", "add", "-q", "data"]);
    let fresh = yard.aside(&[".dvc/cache", ".dvc/tmp", "data.dvc"]);
    let seen = yard.rounds(extent, "copies", &[&fresh], &add)?;
    lines.push(Line::new(
        format!("add, {n} × 4 KB, copies"),
        seen,
        "cp -r + sha256sum",
        floor,
        1.5,
    ));

    yard.project("links", "hardlink")?;
    let fresh = yard.aside(&[".dvc/cache", ".dvc/tmp", "data.dvc", "data"]);
    let seen = yard.rounds(extent, "links", &[&fresh, "cp -r ../small data"], &add)?;
    lines.push(Line::new(
        format!("add, {n} × 4 KB, hard links"),
        seen,
        "cp -r + sha256sum",
        floor,
        0.8,
    ));

    let gone = yard.aside(&["data"]);
    let seen = yard.rounds(extent, "links", &[&gone], &Run::exp(&["dvc", "checkout", "-q"]))?;
    lines.push(Line::new(format!("checkout, {n} × 4 KB, hard links"), seen, "cp -al", linked, 1.5));
    yard.sh(&yard.aside(&["small", "copied", "copies", "links"]))?;
    Ok(lines)
}

/// `add` of one large file.
fn large_file(yard: &Yard, extent: Extent) -> Result<Vec<Line>, String> {
    let megabytes = extent.large >> 20;
    yard.large("large", extent.large)?;
    let digest =
        yard.rounds(extent, "", &[], &Run::sh("openssl dgst -sha256 large > /dev/null"))?;
    let copy = yard.rounds(extent, "", &["rm -f copied"], &Run::sh("cp large copied"))?;
    let flushed =
        yard.rounds(extent, "", &["rm -f copied"], &Run::sh("cp large copied && sync copied"))?;
    yard.project("big", "copy")?;
    yard.sh("mv large big/data")?;
    let fresh = ["rm -rf .dvc/cache .dvc/tmp data.dvc"];
    let seen = yard.rounds(extent, "big", &fresh, &Run::exp(&["dvc", "add", "-q", "data"]))?;
    let what = format!("add, one file of {megabytes} MB");
    yard.sh("rm -rf copied big")?;
    Ok(vec![
        Line::new(what.clone(), seen, "openssl dgst + cp", digest.plus(&copy), 1.1),
        Line::new(what, seen, "openssl dgst + cp + sync", digest.plus(&flushed), 1.1),
    ])
}

/// Looking at very many files of which none or one has changed.
fn many_files(yard: &Yard, extent: Extent) -> Result<Vec<Line>, String> {
    let n = extent.n_many;
    yard.project("many", "copy")?;
    yard.tree("many/data", n, 0)?;
    let first = yard.once("many", &Run::exp(&["dvc", "add", "-q", "data"]))?;
    println!("the first add of {n} files: {first}");
    let find = Run::sh("find data -printf '%s %T@\\n' > /dev/null");
    let floor = yard.rounds(extent, "many", &[], &find)?;
    let status = yard.rounds(extent, "many", &[], &Run::exp(&["dvc", "data", "status"]))?;
    let whole = yard.rounds(extent, "many", &[], &Run::exp(&["status"]))?;
    let change = ["echo changed >> data/0/0", "sleep 0.1"];
    let added = yard.rounds(extent, "many", &change, &Run::exp(&["dvc", "add", "-q", "data"]))?;
    let mut lines = vec![
        Line::new(format!("data status, {n} files, nothing changed"), status, "find", floor, 2.0),
        Line::new(format!("status, {n} files, nothing changed"), whole, "find", floor, 2.0),
    ];
    let what = format!("add, {n} files, one changed");
    lines.push(Line::new(what, added, "data status + 1 s", status.later(1.0), 1.0));
    yard.sh("rm -rf many")?;
    Ok(lines)
}

/// Both tools on the same files, in MD5 projects.
fn beside_dvc(yard: &Yard, extent: Extent) -> Result<Vec<Line>, String> {
    if yard.dvc().is_none() {
        return Ok(Vec::new());
    }
    let n = extent.n_dvc;
    yard.tree("few", n, 4096)?;
    let mut lines = Vec::new();
    let mut sides = Vec::new();
    for side in ["ours", "theirs"] {
        yard.dvc_project(side)?;
        yard.sh(&format!("cp -r few {side}/data"))?;
        let run = |words: &[&str]| match side {
            "ours" => Run::exp(&[&["dvc"], words].concat()),
            _ => Run::dvc(words),
        };
        let fresh = yard.aside(&[".dvc/cache", ".dvc/tmp", "data.dvc", "../site"]);
        let once = Extent { rounds: if side == "ours" { extent.rounds } else { 1 }, ..extent };
        sides.push([
            yard.rounds(once, side, &[&fresh], &run(&["add", "-q", "data"]))?,
            yard.rounds(extent, side, &[], &run(&["add", "-q", "data"]))?,
            yard.rounds(extent, side, &[], &run(&["data", "status"]))?,
        ]);
    }
    let [[new, again, status], [dvc_new, dvc_again, dvc_status]] = sides[..] else {
        return Ok(lines);
    };
    for (what, ours, theirs, least) in [
        ("add", new, dvc_new, 5.0),
        ("add, nothing changed", again, dvc_again, 20.0),
        ("data status, nothing changed", status, dvc_status, 20.0),
    ] {
        let what = format!("{what}, {n} × 4 KB, MD5");
        lines.push(Line::new(what, ours, "dvc", theirs, 1.0 / least));
    }
    yard.sh(&yard.aside(&["few", "ours", "theirs"]))?;
    Ok(lines)
}
