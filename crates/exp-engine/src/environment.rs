//! What runs run in: the system, the interpreter of Python and what is installed for it, lock files, graphics processors.
//!
//! It is looked at before each run, so it costs next to nothing: names of files and directories are read, and files that
//! pin packages. An interpreter is started once at most, to say its version and where it looks for packages ([`python`]). No value
//! of an environment variable is kept. What cannot be told is left out; it never stops a run.

mod compare;
mod python;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use exp_core::{Algorithm, Digest, Stage};
use exp_refs::{LockFile, Packages, RunEnvironment};

use crate::files;
use crate::project::Project;

pub use compare::{EnvironmentDifference, EnvironmentPart};

/// Files in which package managers write down what is installed.
const LOCK_FILES: [&str; 14] = [
    "Cargo.lock",
    "Manifest.toml",
    "Pipfile.lock",
    "conda-lock.yml",
    "environment.yml",
    "package-lock.json",
    "pdm.lock",
    "pixi.lock",
    "poetry.lock",
    "pylock.toml",
    "renv.lock",
    "requirements.lock",
    "requirements.txt",
    "uv.lock",
];

/// A larger lock file is not digested.
const LARGE_LOCK: u64 = 64 << 20;

/// So many lists of packages are kept.
const KEPT_LISTS: usize = 200;

/// Returns what `stages` would run in, with their files in the workspace `inside`, which may be a private work tree of
/// `project`.
pub(crate) fn capture<'s>(
    project: &Project,
    inside: &Project,
    stages: impl Iterator<Item = &'s Stage> + Clone,
) -> RunEnvironment {
    let (gpus, driver) = graphics(Path::new("/proc/driver/nvidia"));
    let place = python::Place {
        root: inside.root(),
        env: &project.options().env,
        notes: &project.scratch().join("interpreters"),
    };
    let python = python::find(&place, stages.clone()).map(|found| {
        let said = python::ask(&place, &found);
        let packages = said.as_ref().map(|said| {
            let packages = python::packages(&place, said);
            keep_list(&project.scratch().join("packages"), &packages)
        });
        // One of the project itself is the same wherever the work tree is.
        let path = found.program.strip_prefix(inside.root()).unwrap_or(&found.program);
        let path = path.display().to_string();
        exp_refs::Python { path, version: said.map(|said| said.version), packages }
    });
    let name = rustix::system::uname();
    let part = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let system = [name.sysname(), name.release(), name.machine()].map(part).join(" ");
    RunEnvironment {
        system: Some(system),
        python,
        lock_files: lock_files(inside, stages),
        gpus,
        driver,
    }
}

/// Returns the packages of a list that this machine has seen, by name; `None` when it has not, or no longer.
pub(crate) fn listed(project: &Project, packages: &Packages) -> Option<BTreeMap<String, String>> {
    // The digest comes from a record, which may be a stranger's.
    if !packages.digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let text =
        fs::read_to_string(project.scratch().join("packages").join(&packages.digest)).ok()?;
    let pair =
        |line: &str| line.split_once(' ').map(|(name, version)| (name.into(), version.into()));
    Some(text.lines().filter_map(pair).collect())
}

/// Keeps a list of packages under its digest, so that two of them can be compared on this machine.
fn keep_list(dir: &Path, packages: &BTreeMap<String, String>) -> Packages {
    let lines = packages.iter().flat_map(|(name, version)| [name.as_str(), " ", version, "\n"]);
    let text: String = lines.collect();
    let digest = Digest::of(Algorithm::Sha256, text.as_bytes()).to_hex();
    let path = dir.join(&digest);
    if !path.exists() && files::write(&path, text.as_bytes()).is_ok() {
        forget_oldest(dir, KEPT_LISTS);
    }
    Packages { n: u64::try_from(packages.len()).unwrap_or(u64::MAX), digest }
}

/// Removes all but the newest files of a directory.
fn forget_oldest(dir: &Path, most: usize) {
    let mut files: Vec<_> = (fs::read_dir(dir).into_iter().flatten().flatten())
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, path) in &files[..files.len().saturating_sub(most)] {
        fs::remove_file(path).ok();
    }
}

/// Returns the lock files at the root, at the top of the repository, and where stages run.
fn lock_files<'s>(inside: &Project, stages: impl Iterator<Item = &'s Stage>) -> Vec<LockFile> {
    let mut dirs: BTreeMap<String, std::path::PathBuf> = BTreeMap::new();
    dirs.insert(String::new(), inside.root().to_path_buf());
    let depth = inside.prefix().as_str().split('/').filter(|part| !part.is_empty()).count();
    dirs.insert("../".repeat(depth), inside.git().root().to_path_buf());
    for stage in stages.filter(|stage| !stage.wdir.is_root()) {
        dirs.insert(format!("{}/", stage.wdir), stage.wdir.under(inside.root()));
    }
    let mut found = Vec::new();
    for (shown, dir) in &dirs {
        for name in LOCK_FILES {
            let path = dir.join(name);
            if fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LARGE_LOCK)
                && let Ok(bytes) = fs::read(&path)
            {
                let digest = Digest::of(Algorithm::Sha256, &bytes).to_hex();
                found.push(LockFile { path: format!("{shown}{name}"), digest });
            }
        }
    }
    found
}

/// Returns the models of NVIDIA's graphics processors and the version of their driver, as the driver tells them in `proc`.
fn graphics(proc: &Path) -> (Vec<String>, Option<String>) {
    let version = fs::read_to_string(proc.join("version")).unwrap_or_default();
    let first = version.lines().next().unwrap_or_default();
    let is_version = |word: &&str| {
        word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let driver = first.split_whitespace().find(is_version).map(str::to_owned);
    let mut cards: Vec<_> = (fs::read_dir(proc.join("gpus")).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect();
    cards.sort();
    let model = |card: &std::path::PathBuf| {
        let text = fs::read_to_string(card.join("information")).ok()?;
        let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some(model.trim().to_owned())
    };
    (cards.iter().filter_map(model).collect(), driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphics_processors_are_told_by_their_driver() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(graphics(dir.path()), (Vec::new(), None), "most machines have none");
        for (card, model) in [("0000:02:00.0", "NVIDIA A100"), ("0000:01:00.0", "NVIDIA H100")] {
            let card = dir.path().join("gpus").join(card);
            fs::create_dir_all(&card).unwrap();
            fs::write(card.join("information"), format!("Model: \t\t {model}\nIRQ:\t 7\n"))
                .unwrap();
        }
        for line in [
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n",
        ] {
            fs::write(dir.path().join("version"), line).unwrap();
            let (gpus, driver) = graphics(dir.path());
            assert_eq!(gpus, ["NVIDIA H100", "NVIDIA A100"], "in the machine's order");
            assert_eq!(driver.as_deref(), Some("550.54.15"));
        }
    }

    #[test]
    fn of_lists_of_packages_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let list = |n: usize| [(format!("p{n}"), "1.0".to_owned())].into();
        let first = keep_list(dir.path(), &list(0));
        assert_eq!((first.n, keep_list(dir.path(), &list(0))), (1, first.clone()));
        for n in 1..KEPT_LISTS + 5 {
            keep_list(dir.path(), &list(n));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), KEPT_LISTS);
    }
}
