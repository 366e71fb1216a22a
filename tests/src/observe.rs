//! What a repository looks like, aspect by aspect, as text that two twins can be compared by.
//!
//! | Aspect | Key | Value |
//! |---|---|---|
//! | `yaml`, `lock`, `dvcfiles`, `ignore` | path | the text of each `dvc.yaml`, `dvc.lock`, `*.dvc`, `.gitignore` |
//! | `config` | path | the text of `.dvc/config`, `.dvc/config.local`, `.dvc/.gitignore`, `.dvcignore` |
//! | `cache` | path below `.dvc/cache/files` | mode and digest of the bytes |
//! | `runs` | path below `.dvc/cache/runs` | its text |
//! | `exps` | name of an experiment | parents, author, subject of its commit |
//! | `tree` | `name:path` | mode and blob of each file of its tree |
//! | `refs` | branch, tag, remote branch, `HEAD` | commit, or branch for `HEAD` |
//! | `index` | path | mode and blob as staged |
//! | `stash` | `refs/stash` | number of entries |
//! | `work` | path | mode and digest of each other file outside of `.git` and `.dvc` |
//! | `dir:PATH` | path | mode and digest of each file below `PATH` |

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::normalize::Normalizer;
use crate::sandbox::git;

/// All aspects of a repository.
pub(crate) const REPOSITORY: [&str; 12] = [
    "yaml", "lock", "dvcfiles", "ignore", "config", "cache", "runs", "exps", "tree", "refs",
    "index", "work",
];

/// One aspect: values by key.
pub type Observation = BTreeMap<String, String>;

/// Looks at one aspect of the repository at `dir`.
pub fn observe(
    aspect: &str,
    dir: &Path,
    env: &BTreeMap<String, String>,
    normalizer: &Normalizer,
) -> io::Result<Observation> {
    let named = |wanted: &dyn Fn(&str) -> bool| -> io::Result<Observation> {
        let mut found = Observation::new();
        for path in files(dir)? {
            let name = path.rsplit('/').next().unwrap_or(&path);
            if !path.starts_with(".dvc/") && wanted(name) {
                found.insert(path.clone(), text(&dir.join(&path))?);
            }
        }
        Ok(found)
    };
    match aspect {
        "yaml" => named(&|name| name == "dvc.yaml"),
        "lock" => named(&|name| name == "dvc.lock"),
        "dvcfiles" => named(&is_dvc_file),
        "ignore" => named(&|name| name == ".gitignore"),
        "config" => {
            let mut found = Observation::new();
            for path in [".dvc/config", ".dvc/config.local", ".dvc/.gitignore", ".dvcignore"] {
                if dir.join(path).is_file() {
                    found.insert(path.into(), normalizer.text(&text(&dir.join(path))?));
                }
            }
            Ok(found)
        }
        "cache" => digests(&dir.join(".dvc/cache/files"), &|_| true),
        "runs" => {
            let root = dir.join(".dvc/cache/runs");
            files(&root)?
                .into_iter()
                .map(|path| Ok((path.clone(), text(&root.join(path))?)))
                .collect()
        }
        "work" => digests(dir, &|path| !path.starts_with(".dvc/") && !has_own_aspect(path)),
        "exps" => experiments(dir, env, normalizer),
        "tree" => trees(dir, env),
        "refs" => refs(dir, env, normalizer),
        "index" => index(dir, env),
        "stash" => {
            let entries = git(dir, env, &["stash", "list"])?.lines().count();
            Ok([("refs/stash".to_owned(), entries.to_string())].into())
        }
        _ => match aspect.strip_prefix("dir:") {
            Some(path) => digests(&dir.join(path), &|_| true),
            None => Err(io::Error::other(format!("`{aspect}` is no aspect"))),
        },
    }
}

fn experiments(
    dir: &Path,
    env: &BTreeMap<String, String>,
    normalizer: &Normalizer,
) -> io::Result<Observation> {
    let mut found = Observation::new();
    for (name, id) in experiment_refs(dir, env)? {
        let commit =
            git(dir, env, &["log", "-1", "--format=%P | %an <%ae> | %cn <%ce> | %s", &id])?;
        found.insert(name, normalizer.text(commit.trim_end()));
    }
    Ok(found)
}

fn trees(dir: &Path, env: &BTreeMap<String, String>) -> io::Result<Observation> {
    let mut found = Observation::new();
    for (name, id) in experiment_refs(dir, env)? {
        for line in git(dir, env, &["ls-tree", "-r", "--full-tree", &id])?.lines() {
            if let Some((entry, path)) = line.split_once('\t') {
                found.insert(format!("{name}:{path}"), entry.to_owned());
            }
        }
    }
    Ok(found)
}

/// Names with the start of their baseline, and commits. A directory without Git has none.
fn experiment_refs(dir: &Path, env: &BTreeMap<String, String>) -> io::Result<Observation> {
    let format = "--format=%(objectname) %(refname)";
    let listed = git_if_any(dir, env, &["for-each-ref", format, "refs/exps/"])?;
    let mut found = Observation::new();
    for line in listed.lines() {
        let parts: Vec<&str> = line.split([' ', '/']).collect();
        if let [id, "refs", "exps", two, rest, name] = parts[..]
            && !matches!(two, "apply" | "celery" | "exec" | "temp")
        {
            let base = format!("{two}{}", rest.get(..5).unwrap_or(rest));
            found.insert(format!("{name}@{base}"), id.to_owned());
        }
    }
    Ok(found)
}

fn refs(
    dir: &Path,
    env: &BTreeMap<String, String>,
    normalizer: &Normalizer,
) -> io::Result<Observation> {
    let listed = git_if_any(dir, env, &["for-each-ref", "--format=%(refname) %(objectname)"])?;
    let mut found: Observation = listed
        .lines()
        .filter(|line| !line.starts_with("refs/exps/") && !line.starts_with("refs/exp/"))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, id)| (name.to_owned(), normalizer.text(id)))
        .collect();
    if dir.join(".git").exists() {
        let head = git(dir, env, &["symbolic-ref", "-q", "HEAD"]);
        found.insert(
            "HEAD".into(),
            head.unwrap_or_else(|_| "detached".into()).trim_end().to_owned(),
        );
    }
    Ok(found)
}

fn index(dir: &Path, env: &BTreeMap<String, String>) -> io::Result<Observation> {
    let listed = git_if_any(dir, env, &["ls-files", "-s"])?;
    Ok(listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(entry, path)| (path.to_owned(), entry.to_owned()))
        .collect())
}

/// Whether a file is compared as text already.
fn has_own_aspect(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "dvc.yaml" | "dvc.lock" | ".gitignore") || is_dvc_file(name)
}

fn is_dvc_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "dvc")
}

/// What `git` prints; nothing where there is no repository, which is what some scenarios are about.
fn git_if_any(dir: &Path, env: &BTreeMap<String, String>, args: &[&str]) -> io::Result<String> {
    if dir.join(".git").exists() { git(dir, env, args) } else { Ok(String::new()) }
}

fn digests(root: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<Observation> {
    let mut found = Observation::new();
    for path in files(root)?.into_iter().filter(|path| wanted(path)) {
        let full = root.join(&path);
        let kind = fs::symlink_metadata(&full)?;
        let value = if kind.is_symlink() {
            // A link into the repository itself is told without where that is.
            let target = fs::read_link(&full)?;
            format!("link to {}", target.strip_prefix(root).unwrap_or(&target).display())
        } else {
            let bytes = fs::read(&full)?;
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            let mode = kind.permissions().mode() & 0o777;
            format!("{mode:o}, {} bytes, {:016x}", bytes.len(), hasher.finish())
        };
        found.insert(path, value);
    }
    Ok(found)
}

/// The paths of all files below a directory, relative and sorted; none when there is no such directory.
fn files(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(below) = waiting.pop() {
        let entries = match fs::read_dir(root.join(&below)) {
            Ok(entries) => entries,
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            Err(err) => return Err(err),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if entry.file_type()?.is_dir() && path != ".git" {
                waiting.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.retain(|path| path != ".git");
    found.sort_unstable();
    Ok(found)
}

fn text(path: &Path) -> io::Result<String> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
