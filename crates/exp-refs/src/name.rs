//! Names of experiments, of branches, and of files in a tree.

use std::fmt;
use std::str::FromStr;

use exp_core::RelPath;

/// The name of an experiment: one part of a ref, valid by the rules of `git check-ref-format`, without `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpName(String);

/// A text that cannot name what it was to name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid name")]
pub struct InvalidName {
    /// As it was given.
    pub text: String,
}

impl InvalidName {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned() }
    }
}

impl ExpName {
    /// Checks a name.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        if is_valid_part(text) && !text.contains("@{") {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::new(text))
        }
    }

    /// Takes lower-case words, hyphens and digits, which are always valid.
    pub(crate) fn generated(text: String) -> Self {
        Self(text)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExpName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl fmt::Display for ExpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ExpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Returns whether Git takes `part` between two slashes of a ref (`git check-ref-format`, rules 1 and 3 to 10;
/// rule 8, `@{`, may span parts and is the caller's).
pub(crate) fn is_valid_part(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && !part.ends_with('.')
        && !has_lock_suffix(part)
        && !part.contains("..")
        && !part.chars().any(|c| {
            c.is_ascii_control()
                || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\' | '/')
        })
}

/// Compares by case, as Git does: a ref that Git lists is never lost to a stricter rule.
fn has_lock_suffix(part: &str) -> bool {
    part.as_bytes().ends_with(b".lock")
}

/// Returns whether `name` can be a branch: also not `HEAD` and not beginning with `-`.
pub(crate) fn is_valid_branch(name: &str) -> bool {
    name != "HEAD"
        && name != "@"
        && !name.starts_with('-')
        && !name.contains("@{")
        && name.split('/').all(is_valid_part)
}

/// The path of a file in a tree: bytes, as Git has them, separated by `/`.
///
/// No part is empty, `.`, `..` or a spelling of `.git`, so that a tree with it passes `git fsck --strict`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// Checks a path.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidName> {
        let bytes = bytes.into();
        if bytes.split(|byte| *byte == b'/').all(is_valid_file_name) {
            Ok(Self(bytes))
        } else {
            Err(InvalidName { text: String::from_utf8_lossy(&bytes).into_owned() })
        }
    }

    /// Takes a path out of a tree or an index, which may hold anything.
    pub(crate) fn listed(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path in the vocabulary of the project; `None` when it is not UTF-8.
    pub fn to_rel(&self) -> Option<RelPath> {
        RelPath::new(std::str::from_utf8(&self.0).ok()?).ok()
    }

    /// Returns the parts from the top down.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }
}

impl TryFrom<&RelPath> for TreePath {
    type Error = InvalidName;

    fn try_from(path: &RelPath) -> Result<Self, InvalidName> {
        Self::new(path.as_str())
    }
}

impl FromStr for TreePath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

fn is_valid_file_name(part: &[u8]) -> bool {
    !matches!(part, b"" | b"." | b"..")
        && !part.contains(&0)
        && !part.eq_ignore_ascii_case(b".git")
        && !part.eq_ignore_ascii_case(b"git~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_git() {
        for good in ["e1", "adult-care", "-x", "ä", "a@b", "@", "x.y", "HEAD"] {
            assert!(ExpName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "", "a b", "a/b", "x..y", ".x", "x.", "x~1", "ok[1]", "a:b", "a?", "a*", "a^", "a\\b",
            "a.lock", "a@{b", "a\n", "a\x7f",
        ] {
            assert!(ExpName::new(bad).is_err(), "{bad}");
        }
        assert!(is_valid_branch("a/b-branch"));
        for bad in ["HEAD", "-b", "a//b", "/a", "a/", "@"] {
            assert!(!is_valid_branch(bad), "{bad}");
        }
    }

    #[test]
    fn tree_paths_cannot_leave_the_tree_or_enter_the_repository() {
        assert_eq!(TreePath::new("a/b").unwrap().to_rel().unwrap().as_str(), "a/b");
        assert_eq!(TreePath::new(b"a\xff".as_slice()).unwrap().to_rel(), None);
        for bad in ["", "/a", "a//b", "../a", "a/.", ".git/config", "a/.GIT/hooks", "a\0"] {
            assert!(TreePath::new(bad).is_err(), "{bad}");
        }
    }
}
