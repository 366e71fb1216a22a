//! Directories by content: the `.dir` manifest.
//!
//! The canonical bytes are those of Python's `json.dumps(entries, sort_keys=True)`: one line, `", "` and `": "` as
//! separators, ASCII only, entries ordered by the code points of their whole path. Two directories with the same
//! files therefore have the same manifest, whoever wrote it.

use std::fmt::Write as _;

use exp_core::{Algorithm, Digest, ObjectId};

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
    /// A path that is absolute or empty, or has an empty part, `.`, `..`, a NUL or, on Windows, what Windows reads
    /// as a separator or a drive.
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
    /// An entry is a file, and others lie below it.
    #[error("`{path}` is listed as a file and as a directory")]
    Collision {
        /// The path.
        path: String,
    },
}

#[derive(serde::Deserialize)]
struct Row {
    relpath: String,
    md5: Option<String>,
    sha256: Option<String>,
}

impl Tree {
    /// Makes a tree of files in any order, whose digests are of `algorithm`.
    ///
    /// # Errors
    ///
    /// When a path is unsafe, occurs twice, or is file and directory at once; when a digest is of another algorithm.
    pub fn new(algorithm: Algorithm, mut entries: Vec<TreeEntry>) -> Result<Self, TreeError> {
        for entry in &entries {
            if !is_safe(&entry.path) {
                return Err(TreeError::Path { path: entry.path.escape_default().to_string() });
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
        let tree = Self { algorithm, entries };
        // `a`, `a.txt`, `a/b`: what lies below a file need not follow it at once, so each parent is looked up.
        for entry in &tree.entries {
            let parents = entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]);
            for parent in parents {
                if tree.get(parent).is_some() {
                    return Err(TreeError::Collision { path: parent.to_owned() });
                }
            }
        }
        Ok(tree)
    }

    /// Reads a manifest whose name is a digest of `algorithm`. Order and further keys do not matter.
    ///
    /// # Errors
    ///
    /// When the bytes are no manifest, or one that would write outside the directory.
    pub fn parse(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, TreeError> {
        let rows: Vec<Row> = serde_json::from_slice(bytes)
            .map_err(|err| TreeError::Syntax { reason: err.to_string() })?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let hex = if algorithm == Algorithm::Sha256 { row.sha256 } else { row.md5 };
            let digest = hex.and_then(|hex| Digest::from_hex(algorithm, &hex).ok());
            let Some(digest) = digest else {
                let path = row.relpath.escape_default().to_string();
                return Err(TreeError::Digest { path, algorithm });
            };
            entries.push(TreeEntry { path: row.relpath, digest });
        }
        Self::new(algorithm, entries)
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
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        Some(&self.entries[at].digest)
    }

    /// Returns the manifest's bytes, the same for the same files.
    pub fn to_bytes(&self) -> Vec<u8> {
        let key = self.algorithm.key();
        let mut text = String::with_capacity(2 + self.entries.len() * 96);
        text.push('[');
        for (nth, entry) in self.entries.iter().enumerate() {
            if nth > 0 {
                text.push_str(", ");
            }
            let digest = entry.digest.to_hex();
            // The keys of an entry are sorted, so the digest stands before the path only under `md5`.
            if key < "relpath" {
                let _ = write!(text, "{{\"{key}\": \"{digest}\", \"relpath\": ");
                push_json_text(&mut text, &entry.path);
            } else {
                text.push_str("{\"relpath\": ");
                push_json_text(&mut text, &entry.path);
                let _ = write!(text, ", \"{key}\": \"{digest}\"");
            }
            text.push('}');
        }
        text.push(']');
        text.into_bytes()
    }

    /// Returns the name of the manifest in a store: the digest of its bytes.
    pub fn id(&self) -> ObjectId {
        ObjectId::tree(Digest::of(self.algorithm, &self.to_bytes()))
    }
}

fn is_safe(path: &str) -> bool {
    let foreign = cfg!(windows) && path.contains(['\\', ':']);
    let part_is_safe = |part: &str| !matches!(part, "" | "." | "..");
    !foreign && !path.contains('\0') && path.split('/').all(part_is_safe)
}

/// Appends `text` in quotes, with everything outside printable ASCII escaped as Python's `json` does.
fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}
