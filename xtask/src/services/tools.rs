//! What servers need on the machine: packages of `PyPI` and npm under `target/services-tools`, and of the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::lock;
use crate::process::{capture, root};

/// Where packages are kept. The same for every target directory, as the oracle.
fn tools() -> PathBuf {
    root().join("target/services-tools")
}

/// Installs something into a directory of its own, unless exactly that is there, and returns the directory.
fn ensure(
    name: &str,
    stamp: &str,
    install: &dyn Fn(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let place = tools().join(name);
    let file = |err| format!("cannot write {}: {err}", place.display());
    fs::create_dir_all(&place).map_err(file)?;
    let _alone = lock(&tools().join(format!("{name}.lock")))?;
    let mark = place.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|found| found == stamp) {
        return Ok(place);
    }
    fs::remove_dir_all(&place).map_err(file)?;
    fs::create_dir_all(&place).map_err(file)?;
    install(&place)?;
    fs::write(&mark, stamp).map_err(file)?;
    Ok(place)
}

/// Installs packages of `PyPI` and returns the directory for `PYTHONPATH`.
pub(super) fn pip(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let python = capture(Command::new("python3").arg("--version"))
        .map_err(|err| format!("no python3: {err}"))?;
    ensure(name, &format!("{} {python}", packages.join(" ")), &|place| {
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        capture(command.arg("--target").arg(place).args(packages)).map(|_| ())
    })
}

/// Installs packages of npm and returns the directory that holds `node_modules`.
pub(crate) fn npm(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    ensure(name, &packages.join(" "), &|place| {
        let manifest = place.join("package.json");
        fs::write(&manifest, "{\"private\":true}\n")
            .map_err(|err| format!("cannot write {}: {err}", manifest.display()))?;
        let mut command = Command::new("npm");
        command.args(["install", "--silent", "--no-audit", "--no-fund", "--no-update-notifier"]);
        capture(command.args(packages).current_dir(place)).map(|_| ())
    })
}

/// Finds a program that the system has, after installing the packages that bring it. Their own daemons do not start.
pub(crate) fn system(program: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let find = || {
        let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
        places.iter().map(|dir| Path::new(dir).join(program)).find(|path| path.is_file())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    let place = tools();
    fs::create_dir_all(&place).map_err(|err| format!("cannot write {}: {err}", place.display()))?;
    let _alone = lock(&place.join("system.lock"))?;
    // A package that starts its daemon asks this program, and 101 says no.
    let script = format!(
        "set -e; export DEBIAN_FRONTEND=noninteractive; policy=/usr/sbin/policy-rc.d\n\
         if [ ! -e $policy ]; then printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod 755 $policy\n\
         trap 'rm -f '$policy EXIT; fi\n\
         install() {{ apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 --no-install-recommends install {}; }}\n\
         install || {{ apt-get -qq update; install; }}\n",
        packages.join(" ")
    );
    capture(Command::new("/bin/sh").args(["-c", &script]))
        .map_err(|err| format!("{program} is not there and cannot be installed: {err}"))?;
    find().ok_or_else(|| format!("{} brought no {program}", packages.join(" ")))
}
