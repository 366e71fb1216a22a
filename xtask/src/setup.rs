//! `cargo xtask setup`: the real dvc in a virtual environment under `target/oracle`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{capture, root};

/// The version that decides; `tests/src/oracle.rs` names it too.
const PACKAGE: &str = "dvc[s3,ssh]==3.67.1";

/// Where the oracle lives. The same for every target directory: it is no output of Cargo. Work trees may share it by a
/// link, so it is told by its real path.
pub(crate) fn oracle() -> PathBuf {
    let home = root().join("target/oracle");
    home.canonicalize().unwrap_or(home).join("dvc")
}

/// Installs the oracle, or says why not.
pub(crate) fn run() -> Result<(), String> {
    ensure()?;
    println!("{PACKAGE} is in {}", oracle().display());
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
    capture(Command::new(place.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ]))
    .map_err(|err| format!("cannot install {PACKAGE}: {err}"))?;
    fs::write(&stamp, fingerprint).map_err(|err| format!("cannot write {}: {err}", stamp.display()))
}
