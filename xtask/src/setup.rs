//! `cargo xtask setup`: the real dvc in a virtual environment under `target/oracle`, and `DVCLive` in the same.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{capture, root};

/// The version that decides; `tests/src/oracle.rs` names it too.
const PACKAGE: &str = "dvc[s3,ssh]==3.67.1";

/// What runs on top of it in tests: `DVCLive`, with what it opens images by. A few packages more, some megabytes.
const ON_TOP: [&str; 2] = ["dvclive==3.49.1", "pillow"];

/// Where the oracle lives. The same for every target directory: it is no output of Cargo. Work trees may share it by a
/// link, so it is told by its real path.
pub(crate) fn oracle() -> PathBuf {
    let home = root().join("target/oracle");
    home.canonicalize().unwrap_or(home).join("dvc")
}

/// Installs the oracle, or says why not.
pub(crate) fn run() -> Result<(), String> {
    ensure()?;
    ensure_on_top()?;
    println!("{PACKAGE} and {} are in {}", ON_TOP[0], oracle().display());
    Ok(())
}

/// Installs the oracle unless it is there. The error is a reason to skip what needs it.
pub(crate) fn ensure() -> Result<(), String> {
    let place = oracle();
    let stamp = place.join("installed");
    let python = capture(Command::new("python3").arg("--version"))
        .map_err(|err| format!("no python3: {err}"))?;
    let fingerprint = format!("{PACKAGE}\n{python}{}\n", place.display());
    if fs::read_to_string(&stamp).is_ok_and(|found| found == fingerprint) {
        return Ok(());
    }
    println!("installing {PACKAGE} into {}", place.display());
    if place.exists() {
        fs::remove_dir_all(&place)
            .map_err(|err| format!("cannot clear {}: {err}", place.display()))?;
    }
    capture(Command::new("python3").args(["-m", "venv"]).arg(&place))
        .map_err(|err| format!("no virtual environment: {err}"))?;
    install(&[PACKAGE])?;
    fs::write(&stamp, fingerprint).map_err(|err| format!("cannot write {}: {err}", stamp.display()))
}

/// Installs what runs on top of the oracle, which is there, unless it is there too. The oracle keeps its version.
pub(crate) fn ensure_on_top() -> Result<(), String> {
    let stamp = oracle().join("installed-on-top");
    let fingerprint = ON_TOP.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == fingerprint) {
        return Ok(());
    }
    println!("installing {}", ON_TOP.join(" and "));
    install(&[PACKAGE, ON_TOP[0], ON_TOP[1]])?;
    fs::write(&stamp, fingerprint).map_err(|err| format!("cannot write {}: {err}", stamp.display()))
}

fn install(packages: &[&str]) -> Result<(), String> {
    let mut pip = Command::new(oracle().join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    capture(&mut pip)
        .map(drop)
        .map_err(|err| format!("cannot install {}: {err}", packages.join(" and ")))
}
