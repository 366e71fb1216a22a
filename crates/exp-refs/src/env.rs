//! The environment variables that Git listens to, handed in by the caller.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The environment in which a repository is opened, because libraries do not read the process's own.
///
/// Looked at: `HOME`, `XDG_CONFIG_HOME`, `GIT_CONFIG_GLOBAL`, `GIT_CONFIG_SYSTEM`, `GIT_CONFIG_NOSYSTEM`,
/// `GIT_AUTHOR_*`, `GIT_COMMITTER_*` and `EMAIL`. All of it is passed to the `git` program when that is run,
/// except what points Git at another repository (`GIT_DIR`, `GIT_INDEX_FILE` and their like).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitEnv(BTreeMap<OsString, OsString>);

/// Variables that would make a child `git` work on something else than the repository that it is started in.
const LOCAL: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

impl GitEnv {
    /// Collects variables, the last of a name wins. Callers usually pass `std::env::vars_os()`.
    pub fn new(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(vars.into_iter().collect())
    }

    /// Returns the value of `name`; `None` also when it is empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns the value of `name` when it is set, not empty and UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }

    /// Sets `name`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// Returns the folder of Git's files in the user's configuration.
    pub(crate) fn xdg_git(&self) -> Option<PathBuf> {
        let base = self.get("XDG_CONFIG_HOME").map(PathBuf::from);
        Some(base.or_else(|| Some(self.home()?.join(".config")))?.join("git"))
    }

    /// Returns what a child `git` gets: everything but what would make it work on another repository.
    pub fn for_child(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .filter(|(name, _)| !LOCAL.iter().any(|local| *name == OsStr::new(local)))
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_not_pointed_at_another_repository() {
        let env = GitEnv::default().with("GIT_DIR", "/x").with("PATH", "/bin").with("EMAIL", "");
        let names: Vec<_> = env.for_child().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["EMAIL", "PATH"]);
        assert_eq!(env.get("EMAIL"), None, "empty is unset");
    }
}
