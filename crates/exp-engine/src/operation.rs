//! What a command changed, as data: the entries of the operation log and of the journal.
//!
//! Stored as JSON with a version; a reader refuses a version that it does not know. See
//! `docs/design/0003-records.md`.

use serde::{Deserialize, Serialize};

/// The version of the stored form.
pub(crate) const VERSION: u32 = 1;

/// Something that a command did to the workspace and to refs, with what is needed to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The version of this form.
    pub version: u32,
    /// What kind of command it was.
    pub kind: OperationKind,
    /// The experiment or branch that it was about, or what else tells it from others of its kind.
    pub subject: String,
    /// When it began, in seconds since the epoch.
    pub at: i64,
    /// The operation that this one takes back, by commit.
    pub undoes: Option<String>,
    /// Files that changed, by path below the project's root, in the order they were first touched.
    pub files: Vec<FileChange>,
    /// Refs that changed.
    pub refs: Vec<RefMove>,
}

/// The commands that leave an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OperationKind {
    /// An experiment or a reproduction was run.
    Run,
    /// An experiment was applied to the workspace.
    Apply,
    /// A branch was made.
    Branch,
    /// Experiments were removed.
    Remove,
    /// An experiment was renamed.
    Rename,
    /// The workspace was saved as an experiment.
    Save,
    /// Data was added, committed or checked out.
    Data,
    /// A stage was written, frozen or unfrozen.
    Stage,
    /// Experiments were received.
    Pull,
    /// An operation was taken back.
    Undo,
    /// An operation that was taken back was done again.
    Redo,
}

/// One file before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileChange {
    /// The path below the project's root.
    pub path: String,
    /// What was there; `None` for nothing.
    pub before: Option<FileState>,
    /// What is there since; `None` for nothing.
    pub after: Option<FileState>,
}

/// What a path held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FileState {
    /// A file whose bytes are a Git blob.
    Blob {
        /// The blob.
        id: String,
        /// Whether it may be executed.
        exec: bool,
    },
    /// A file or directory whose content is in the store.
    Data {
        /// The name of the algorithm, as DVC spells it.
        algorithm: String,
        /// The digest, with `.dir` for a directory.
        oid: String,
        /// Whether the file may be executed.
        exec: bool,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
}

/// One ref before and after, by commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefMove {
    /// The full name.
    pub name: String,
    /// Where it pointed; `None` when it did not exist.
    pub before: Option<String>,
    /// Where it points since; `None` when it is gone.
    pub after: Option<String>,
}

impl Operation {
    /// Starts an operation that has changed nothing yet.
    pub fn new(kind: OperationKind, subject: impl Into<String>, at: i64) -> Self {
        Self {
            version: VERSION,
            kind,
            subject: subject.into(),
            at,
            undoes: None,
            files: Vec::new(),
            refs: Vec::new(),
        }
    }

    /// Returns the operation that takes this one back, or does it again: files and refs the other way round.
    #[must_use]
    pub fn inverse(&self, kind: OperationKind, commit: &str, at: i64) -> Self {
        Self {
            version: VERSION,
            kind,
            subject: self.subject.clone(),
            at,
            undoes: Some(commit.to_owned()),
            files: (self.files.iter().rev())
                .map(|file| FileChange {
                    path: file.path.clone(),
                    before: file.after.clone(),
                    after: file.before.clone(),
                })
                .collect(),
            refs: (self.refs.iter().rev())
                .map(|change| RefMove {
                    name: change.name.clone(),
                    before: change.after.clone(),
                    after: change.before.clone(),
                })
                .collect(),
        }
    }

    /// Returns whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.refs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_reads_what_it_writes_and_its_inverse_is_its_own() {
        let mut operation = Operation::new(OperationKind::Apply, "bold-yak", 7);
        operation.files.push(FileChange {
            path: "params.yaml".into(),
            before: Some(FileState::Blob { id: "ab".into(), exec: false }),
            after: None,
        });
        operation.refs.push(RefMove {
            name: "refs/x".into(),
            before: None,
            after: Some("cd".into()),
        });
        let text = serde_json::to_string(&operation).unwrap();
        assert_eq!(serde_json::from_str::<Operation>(&text).unwrap(), operation);
        let back =
            operation.inverse(OperationKind::Undo, "1", 8).inverse(OperationKind::Redo, "2", 9);
        assert_eq!((back.files, back.refs), (operation.files, operation.refs));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let text = r#"{"version":1,"kind":"run","subject":"","at":0,"undoes":null,"files":[],"refs":[],"new":1}"#;
        assert!(serde_json::from_str::<Operation>(text).is_err());
    }
}
