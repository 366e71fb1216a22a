//! Directories by content: the `.dir` manifest.
//!
//! The canonical bytes are those of Python's `json.dumps(entries, sort_keys=True)`: one line, `", "` and `": "` as
//! separators, ASCII only, entries ordered by the code points of their whole path. Two directories with the same
//! files therefore have the same manifest, whoever wrote it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;

use exp_core::{Algorithm, Digest, ObjectId, write_python_text};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize as _, Deserializer as _};

/// The longest path in bytes: longer ones no system call takes.
const LONGEST: usize = 4096;

/// Manifests larger than this are not read: some ten million files.
pub(crate) const LARGEST: u64 = 2 << 30;

/// The files below a directory, by path; empty directories are not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    algorithm: Algorithm,
    entries: Vec<TreeEntry>,
}

/// A file of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The path below the directory: parts separated by `/`, none of them empty, `.` or `..`.
    pub path: String,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// Whether its owner may execute it; never true where [`keeps_exec`] is false.
    pub is_exec: bool,
}

/// Returns whether a manifest by this algorithm says which files are executable. Those by MD5 are DVC's, whose bytes are
/// fixed: it does not.
pub fn keeps_exec(algorithm: Algorithm) -> bool {
    algorithm == Algorithm::Sha256
}

/// Why bytes or entries are no [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The bytes are not a JSON list of objects with text in `relpath`.
    #[error("it is not a list of files: {reason}")]
    Syntax {
        /// What the parser says.
        reason: String,
    },
    /// An entry without a digest, or with one that is malformed or of another algorithm.
    #[error("`{path}` has no valid {algorithm} digest")]
    Digest {
        /// The path of the entry.
        path: String,
        /// The algorithm that the manifest is named by.
        algorithm: Algorithm,
    },
    /// An entry that does not say with true or false whether the file is executable.
    #[error("`isexec` of `{path}` is neither true nor false")]
    Executable {
        /// The path of the entry.
        path: String,
    },
    /// A path that is absolute or empty, has more than 4096 bytes, or has an empty part, `.`, `..`, a NUL or, on
    /// Windows, what Windows reads as a separator or a drive.
    #[error("`{path}` is not a path below the directory")]
    Path {
        /// The path, escaped.
        path: String,
    },
    /// Two entries have the same path.
    #[error("`{path}` is listed twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Two entries are one and the same on a file system that takes no heed of upper and lower case.
    #[error(
        "`{path}` and `{other}` differ in upper and lower case only, which this file system does not tell apart"
    )]
    CaseCollision {
        /// The first path.
        path: String,
        /// The second path.
        other: String,
    },
    /// The manifest is larger than any that would be written: it is not read.
    #[error("it has {size} bytes, more than a manifest can have")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// An entry is a file, and others lie below it.
    #[error("`{path}` is listed as a file and as a directory")]
    Collision {
        /// The path.
        path: String,
    },
}

#[derive(serde::Deserialize)]
struct Row<'t> {
    #[serde(borrow)]
    relpath: Cow<'t, str>,
    #[serde(borrow)]
    md5: Option<Cow<'t, str>>,
    #[serde(borrow)]
    sha256: Option<Cow<'t, str>>,
    #[serde(default, deserialize_with = "bit")]
    isexec: Bit,
}

/// What an entry says of its executable bit; by MD5, where the key has no meaning, that is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Bit {
    #[default]
    Clear,
    Set,
    Unclear,
}

fn bit<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Bit, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::Bool(true) => Bit::Set,
        serde_json::Value::Bool(false) => Bit::Clear,
        _ => Bit::Unclear,
    })
}

/// Takes the rows of a manifest one by one, so that a long one is in memory once.
struct Rows(Algorithm);

impl<'de> Visitor<'de> for Rows {
    type Value = Result<Vec<TreeEntry>, TreeError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        let mut wrong = None;
        while let Some(row) = rows.next_element::<Row<'de>>()? {
            let shown = || row.relpath.escape_default().take(LONGEST).collect();
            let hex = if self.0 == Algorithm::Sha256 { row.sha256 } else { row.md5 };
            let digest = hex.and_then(|hex| Digest::from_hex(self.0, &hex).ok());
            if keeps_exec(self.0) && row.isexec == Bit::Unclear {
                wrong.get_or_insert_with(|| TreeError::Executable { path: shown() });
            } else if let Some(digest) = digest {
                let is_exec = row.isexec == Bit::Set;
                entries.push(TreeEntry { path: row.relpath.into_owned(), digest, is_exec });
            } else {
                let algorithm = self.0;
                wrong.get_or_insert_with(|| TreeError::Digest { path: shown(), algorithm });
            }
        }
        Ok(wrong.map_or(Ok(entries), Err))
    }
}

impl Tree {
    /// Makes a tree of files in any order, whose digests are of `algorithm`. Executable bits are dropped where it does not
    /// keep them.
    ///
    /// # Errors
    ///
    /// When a path is unsafe, occurs twice, or is file and directory at once; when a digest is of another algorithm.
    pub fn new(algorithm: Algorithm, mut entries: Vec<TreeEntry>) -> Result<Self, TreeError> {
        for entry in &mut entries {
            entry.is_exec &= keeps_exec(algorithm);
            if !is_safe(&entry.path) {
                let shown = entry.path.escape_default().take(LONGEST);
                return Err(TreeError::Path { path: shown.collect() });
            }
            if entry.digest.algorithm() != algorithm {
                return Err(TreeError::Digest { path: entry.path.clone(), algorithm });
            }
        }
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for pair in entries.windows(2) {
            if pair[0].path == pair[1].path {
                return Err(TreeError::Duplicate { path: pair[0].path.clone() });
            }
        }
        // What begins with a path follows it, so at any place the paths that the next one begins with form a stack. Only
        // the top can be its directory: of those below, the next one up would have been found out.
        let mut above: Vec<&str> = Vec::new();
        for entry in &entries {
            while above.last().is_some_and(|top| !entry.path.starts_with(top)) {
                above.pop();
            }
            if let Some(top) = above.last().filter(|top| entry.path[top.len()..].starts_with('/')) {
                return Err(TreeError::Collision { path: (*top).to_owned() });
            }
            above.push(&entry.path);
        }
        Ok(Self { algorithm, entries })
    }

    /// Reads a manifest whose name is a digest of `algorithm`. Order and further keys do not matter.
    ///
    /// # Errors
    ///
    /// When the bytes are no manifest, or one that would write outside the directory.
    pub fn parse(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, TreeError> {
        let syntax = |err: serde_json::Error| TreeError::Syntax { reason: err.to_string() };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let entries = json.deserialize_seq(Rows(algorithm)).map_err(syntax)?;
        json.end().map_err(syntax)?;
        Self::new(algorithm, entries?)
    }

    /// Returns the algorithm of all digests in it and of its own.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the files, ordered by path.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// Returns the digest of the file at `path`.
    pub fn get(&self, path: &str) -> Option<&Digest> {
        Some(&self.entry(path)?.digest)
    }

    /// Returns the file at `path`.
    pub fn entry(&self, path: &str) -> Option<&TreeEntry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// Returns two paths, or directories on the way to them, that differ in upper and lower case only.
    pub(crate) fn case_collision(&self) -> Option<(&str, &str)> {
        let mut seen: HashMap<String, &str> = HashMap::new();
        let mut last = "";
        for entry in &self.entries {
            let path = entry.path.as_str();
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            // What it shares with the path before was looked at with that one.
            let shared = path.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
            for end in ends.filter(|end| *end >= shared) {
                let part = &path[..end];
                match seen.insert(part.to_lowercase(), part) {
                    Some(other) if other != part => return Some((other, part)),
                    _ => {}
                }
            }
            last = path;
        }
        None
    }

    /// Returns the manifest's bytes, the same for the same files.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + self.entries.len() * 96);
        let entries = self.entries.iter();
        let rows = entries.map(|entry| (entry.path.as_str(), &entry.digest, entry.is_exec));
        write_rows(self.algorithm, rows, |piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, Infallible>(())
        })
        .unwrap_or_else(|never| match never {});
        bytes
    }

    /// Returns the name of the manifest in a store: the digest of its bytes.
    pub fn id(&self) -> ObjectId {
        ObjectId::tree(Digest::of(self.algorithm, &self.to_bytes()))
    }
}

/// A file of a manifest: its path, its digest and whether it is executable, which some algorithms do not keep.
pub(crate) type ManifestRow<'r> = (&'r str, &'r Digest, bool);

/// Writes the manifest of `rows`, which are ordered by path, in pieces of some ten kilobytes.
pub(crate) fn write_rows<'r, E>(
    algorithm: Algorithm,
    rows: impl Iterator<Item = ManifestRow<'r>>,
    mut into: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    const PIECE: usize = 1 << 16;
    let (key, keeps_exec) = (algorithm.key(), keeps_exec(algorithm));
    let mut text = String::with_capacity(PIECE + 1024);
    text.push('[');
    for (nth, (path, digest, is_exec)) in rows.enumerate() {
        if nth > 0 {
            text.push_str(", ");
        }
        let hex = digest.to_hex();
        // The keys of an entry are sorted, so the digest stands before the path only under `md5`.
        text.push('{');
        if keeps_exec && is_exec {
            text.push_str("\"isexec\": true, ");
        }
        if key < "relpath" {
            text.extend(["\"", key, "\": \"", &hex, "\", \"relpath\": "]);
            write_python_text(&mut text, path);
        } else {
            text.push_str("\"relpath\": ");
            write_python_text(&mut text, path);
            text.extend([", \"", key, "\": \"", &hex, "\""]);
        }
        text.push('}');
        if text.len() >= PIECE {
            into(text.as_bytes())?;
            text.clear();
        }
    }
    text.push(']');
    into(text.as_bytes())
}

fn is_safe(path: &str) -> bool {
    let foreign = cfg!(windows) && path.contains(['\\', ':']);
    let part_is_safe = |part: &str| !matches!(part, "" | "." | "..");
    !foreign && path.len() <= LONGEST && !path.contains('\0') && path.split('/').all(part_is_safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_differ_in_case_only_are_found() {
        let collision = |paths: &[&str]| {
            let digest = Digest::of(Algorithm::Md5, b"");
            let entry =
                |path: &&str| TreeEntry { path: (*path).to_owned(), digest, is_exec: false };
            let tree = Tree::new(Algorithm::Md5, paths.iter().map(entry).collect()).unwrap();
            tree.case_collision().map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(collision(&["a", "b", "a.b", "ab/c", "ab/d"]), None);
        assert_eq!(collision(&["README", "a", "readme"]), pair("README", "readme"));
        assert_eq!(collision(&["Data/x", "data/y"]), pair("Data", "data"));
        assert_eq!(collision(&["d/É", "d/é"]), pair("d/É", "d/é"));
        assert_eq!(collision(&["D", "d/x"]), pair("D", "d"));
    }
}
