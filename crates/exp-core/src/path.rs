//! Paths that cannot leave the workspace.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A path relative to the workspace's root: UTF-8, separated by `/`, without `.`, `..`, empty parts or NUL.
///
/// The empty path is the root itself. Ordered as its text, by code point, which is the order of DVC's files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Arc<str>);

/// Why a text is no [`RelPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// `..` leads out of the workspace, or the path is absolute.
    #[error("`{0}` is outside the project")]
    Outside(String),
    /// The path has a NUL byte.
    #[error("`{0}` has a NUL byte")]
    Nul(String),
    /// The path is not UTF-8; shown with replacement characters.
    #[error("`{0}` is not UTF-8")]
    NotUtf8(String),
}

impl RelPath {
    /// Returns the root of the workspace.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// Parses a path relative to the root. `.` and `..` are resolved by text, doubled slashes are folded.
    ///
    /// # Errors
    ///
    /// When the path is absolute or leads out of the workspace.
    pub fn new(text: &str) -> Result<Self, PathError> {
        Self::root().join(text)
    }

    /// Appends `text`, which may hold `.` and `..`, as DVC resolves paths against a stage's `wdir`.
    ///
    /// # Errors
    ///
    /// When `text` is absolute or the result is outside the workspace.
    pub fn join(&self, text: &str) -> Result<Self, PathError> {
        if text.contains('\0') {
            return Err(PathError::Nul(text.replace('\0', "\\0")));
        }
        if text.starts_with('/') {
            return Err(PathError::Outside(text.to_owned()));
        }
        let mut parts: Vec<&str> = self.parts().collect();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(|| PathError::Outside(text.to_owned()))?;
                }
                part => parts.push(part),
            }
        }
        Ok(Self(Arc::from(parts.join("/"))))
    }

    /// Converts a path of the operating system that is already relative to the root.
    ///
    /// # Errors
    ///
    /// As for [`RelPath::new`], and when the path is not UTF-8.
    pub fn from_path(path: &Path) -> Result<Self, PathError> {
        let text = path.to_str().ok_or_else(|| PathError::NotUtf8(path.display().to_string()))?;
        Self::new(text)
    }

    /// Returns the text, separated by `/`; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the root of the workspace.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path below `root` in the operating system's form.
    pub fn under(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_path_buf() } else { root.join(self.as_str()) }
    }

    /// Returns whether a part of it names the directory of a repository, see [`is_repository_name`]. Data never lies
    /// there: whoever writes there decides what Git and we do next.
    pub fn in_repository(&self) -> bool {
        self.parts().any(is_repository_name)
    }

    /// Returns the parts from the root down; none for the root.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Returns the last part; `None` for the root.
    pub fn file_name(&self) -> Option<&str> {
        self.parts().next_back()
    }

    /// Returns the containing directory; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.rfind('/') {
            Some(at) => Self(Arc::from(&self.0[..at])),
            None => Self::root(),
        })
    }

    /// Returns whether this is `other` or lies below it, by whole parts.
    pub fn starts_with(&self, other: &Self) -> bool {
        other.is_root()
            || (self.0.starts_with(&*other.0)
                && (self.0.len() == other.0.len() || self.0.as_bytes()[other.0.len()] == b'/'))
    }

    /// Returns the rest of this path below `base`; empty when both are equal, `None` when it is not below.
    pub fn strip_prefix(&self, base: &Self) -> Option<&str> {
        if !self.starts_with(base) {
            return None;
        }
        Some(self.0[base.0.len()..].trim_start_matches('/'))
    }

    /// Returns the text that leads from the directory `base` to this path, with `..` where needed.
    ///
    /// The same path gives `.`.
    pub fn relative_to(&self, base: &Self) -> String {
        if base.is_root() && !self.is_root() {
            return self.as_str().to_owned();
        }
        let ours: Vec<&str> = self.parts().collect();
        let theirs: Vec<&str> = base.parts().collect();
        let common = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        let mut parts = vec![".."; theirs.len() - common];
        parts.extend(&ours[common..]);
        if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
    }
}

impl Default for RelPath {
    /// Returns the root of the workspace.
    fn default() -> Self {
        Self::root()
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { self.as_str() })
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Returns whether a file of this name is, on some file system, `.git` or `.dvc`: file systems fold case, drop dots and
/// spaces at the end and characters that are not seen, and have short names beside the long ones.
pub fn is_repository_name(name: &str) -> bool {
    const UNSEEN: [char; 17] = [
        '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}',
        '\u{202d}', '\u{202e}', '\u{206a}', '\u{206b}', '\u{206c}', '\u{206d}', '\u{206e}',
        '\u{206f}', '\u{feff}', '\u{ad}',
    ];
    // Most names are told by their first letter.
    if !name.starts_with(['.', 'g', 'G', 'd', 'D']) && name.is_ascii() {
        return false;
    }
    let seen: String = name.chars().filter(|c| !UNSEEN.contains(c)).collect();
    let seen = seen.trim_end_matches([' ', '.']);
    [".git", ".dvc", "git~1", "dvc~1"].iter().any(|one| seen.eq_ignore_ascii_case(one))
}

/// Where a dependency or an output is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Location {
    /// Inside the workspace.
    Workspace(RelPath),
    /// An absolute path outside the workspace.
    External(String),
    /// A URL (`s3://…`, `remote://name/path`) or another scheme of DVC's (`ds://name`).
    Url(String),
}

impl Location {
    /// Resolves `text` as a stage with working directory `wdir` writes it, in a workspace at the absolute path `root`.
    ///
    /// Text with a scheme (`name://`) is a URL. An absolute path below `root` is inside the workspace.
    pub fn resolve(text: &str, wdir: &RelPath, root: &Path) -> Self {
        if let Some((scheme, _)) = text.split_once("://")
            && !scheme.is_empty()
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        {
            return Self::Url(text.to_owned());
        }
        if text.starts_with('/') {
            return match Path::new(text)
                .strip_prefix(root)
                .ok()
                .and_then(|path| RelPath::from_path(path).ok())
            {
                Some(path) => Self::Workspace(path),
                None => Self::External(text.to_owned()),
            };
        }
        match wdir.join(text) {
            Ok(path) => Self::Workspace(path),
            Err(_) => Self::External(normalized(&wdir.under(root).join(text))),
        }
    }

    /// Returns the path when it is inside the workspace.
    pub fn workspace(&self) -> Option<&RelPath> {
        match self {
            Self::Workspace(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace(path) => path.fmt(f),
            Self::External(text) | Self::Url(text) => f.write_str(text),
        }
    }
}

/// Resolves `.` and `..` of an absolute path by text.
fn normalized(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.to_string_lossy().split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_the_workspace() {
        for bad in ["/etc/passwd", "..", "a/../../b", "a\0b"] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(RelPath::new("a//./b/../c").unwrap().as_str(), "a/c");
        assert!(RelPath::new("a/..").unwrap().is_root());
    }

    #[test]
    fn repositories_are_known_by_any_spelling() {
        for name in
            [".git", ".GIT", ".git.", ".git ", "git~1", ".g\u{200c}it", ".dvc", ".Dvc", "DVC~1"]
        {
            assert!(is_repository_name(name), "{name:?}");
            assert!(RelPath::new(&format!("a/{name}/b")).unwrap().in_repository(), "{name:?}");
        }
        for name in [
            ".gitignore",
            ".dvcignore",
            "git",
            "dvc",
            "x.git",
            "a.dvc",
            ".github",
            "..git",
            "größe",
        ] {
            assert!(!is_repository_name(name), "{name:?}");
        }
        assert!(!RelPath::root().in_repository());
    }

    #[test]
    fn prefixes_go_by_whole_parts() {
        let path = |text| RelPath::new(text).unwrap();
        assert!(path("d/x").starts_with(&path("d")));
        assert!(!path("dx").starts_with(&path("d")));
        assert_eq!(path("d/x").strip_prefix(&path("d")), Some("x"));
        assert_eq!(path("a/b").relative_to(&path("a/c/d")), "../../b");
        assert_eq!(path("a").relative_to(&path("a")), ".");
        assert_eq!(path("a").parent(), Some(RelPath::root()));
    }

    #[test]
    fn locations_are_told_apart() {
        let root = Path::new("/w");
        let wdir = RelPath::new("sub").unwrap();
        assert_eq!(Location::resolve("../p", &wdir, root).to_string(), "p");
        assert_eq!(Location::resolve("/w/x", &wdir, root).to_string(), "x");
        assert_eq!(Location::resolve("../../x", &wdir, root), Location::External("/x".into()));
        assert!(matches!(Location::resolve("s3://b/k", &wdir, root), Location::Url(_)));
    }
}
