//! The operation log: a chain of commits at `refs/exp/oplog`, newest first.
//!
//! Each commit's tree holds `operation.json` and, below `blobs/`, the contents it names, so that Git keeps them. Its
//! first parent is the operation before it, or a commit with an empty tree where the log begins; further parents are
//! commits that a ref was taken from, so that Git keeps those as well.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::thread;
use std::time::{Duration, Instant};

use exp_core::Timestamp;
use exp_refs::{
    BlobId, CommitId, Content, Expected, Git, GitError, RefName, TreeChange, TreeEdit, TreePath,
    UpdateError,
};

use crate::error::Error;
use crate::operation::{FileState, Operation, OperationKind, VERSION};

const REF: &str = "refs/exp/oplog";
const FILE: &str = "operation.json";

/// How long appending is tried when other processes append first. Each of them is one that is done, so with any number of
/// them it comes to an end; this is for a ref that can never be written.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest pause between two tries, in milliseconds.
const PAUSE: u64 = 50;

/// The part of an operation that every version has.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// An operation of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOperation {
    /// The commit that holds it.
    pub commit: CommitId,
    /// What was done.
    pub operation: Operation,
}

/// Appends an operation. It is on disk when this returns.
pub(crate) fn append(git: &Git, operation: &Operation, now: Timestamp) -> Result<CommitId, Error> {
    let name = ref_name();
    let text = serde_json::to_vec_pretty(operation).map_err(|source| Error::Corrupt {
        what: "an operation".to_owned(),
        source: source.into(),
    })?;
    let mut changes = vec![change(FILE, Content::Bytes(text))?];
    for file in &operation.files {
        for state in [&file.before, &file.after].into_iter().flatten() {
            if let FileState::Blob { id, .. } = state {
                let blob: BlobId = id.parse().map_err(|source| corrupt("an operation", source))?;
                changes.push(change(&format!("blobs/{id}"), Content::Blob(blob))?);
            }
        }
    }
    let tree = git.write_tree(git.empty_tree(), &changes)?;
    let message = format!("exp: {} {}\n", verb(operation.kind), operation.subject);
    let mut kept = Vec::new();
    for id in operation.refs.iter().filter_map(|moved| moved.before.as_ref()) {
        kept.push(id.parse::<CommitId>().map_err(|source| corrupt("an operation", source))?);
    }
    kept.retain(|commit| git.has_commit(*commit));
    kept.sort();
    kept.dedup();
    let start = Instant::now();
    for attempt in 1.. {
        let before = git.read_ref(&name)?;
        let previous = match before {
            Some(before) => before,
            None => git.write_record(git.empty_tree(), &[], "exp: operations\n", now)?,
        };
        let mut parents = vec![previous];
        parents.extend(kept.iter().filter(|commit| **commit != previous));
        let commit = git.write_record(tree, &parents, &message, now)?;
        let change = exp_refs::RefChange {
            name: name.clone(),
            new: Some(commit),
            expected: before.map_or(Expected::Missing, Expected::Is),
        };
        match git.update_refs(&[change]) {
            Ok(()) => return Ok(commit),
            Err(UpdateError::Raced { .. }) if start.elapsed() < PATIENCE => pause(attempt),
            Err(UpdateError::Raced { .. }) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Busy { what: "the operation log".to_owned() })
}

/// Lets others go first for a moment, each process and thread for another one.
fn pause(attempt: u64) {
    let mut hasher = DefaultHasher::new();
    (attempt, std::process::id(), thread::current().id()).hash(&mut hasher);
    let longest = (attempt * 4).min(PAUSE);
    thread::sleep(Duration::from_millis(hasher.finish() % longest));
}

/// Returns the newest `limit` operations, newest first.
pub(crate) fn read(git: &Git, limit: usize) -> Result<Vec<LoggedOperation>, Error> {
    let reader = git.reader();
    let mut next = git.read_ref(&ref_name())?;
    let mut operations = Vec::new();
    while let Some(commit) = next {
        if operations.len() >= limit {
            break;
        }
        let what = || format!("operation {}", commit.short(7));
        let info = reader.commit(commit)?;
        // The log begins with a commit that holds no operation.
        let Some(bytes) = reader.tree(info.tree).read(FILE)? else { break };
        // The version first: what a newer one says in other words is not damaged.
        let Versioned { version } =
            serde_json::from_slice(&bytes).map_err(|source| corrupt(&what(), source))?;
        if version > VERSION {
            return Err(Error::Newer { what: what() });
        }
        let operation: Operation =
            serde_json::from_slice(&bytes).map_err(|source| corrupt(&what(), source))?;
        next = info.parents.first().copied();
        operations.push(LoggedOperation { commit, operation });
    }
    Ok(operations)
}

/// Returns what `exp undo` would take back: the newest operation that is done and not undone.
pub(crate) fn undoable(operations: &[LoggedOperation]) -> Option<&LoggedOperation> {
    let undone = undone(operations);
    operations.iter().find(|logged| {
        logged.operation.undoes.is_none() && undone.get(&logged.commit.to_string()) != Some(&true)
    })
}

/// Returns what `exp undo --redo` would do again: the operation that was undone last and is still undone, unless
/// something else was done since.
pub(crate) fn redoable(operations: &[LoggedOperation]) -> Option<&LoggedOperation> {
    let undone = undone(operations);
    let target = (operations.iter())
        .take_while(|logged| logged.operation.undoes.is_some())
        .filter(|logged| logged.operation.kind == OperationKind::Undo)
        .filter_map(|logged| logged.operation.undoes.as_ref())
        .find(|target| undone.get(*target) == Some(&true))?;
    operations.iter().find(|logged| logged.commit.to_string() == *target)
}

/// Whether each operation that was ever undone is so now. The newest undo or redo of an operation decides.
pub(crate) fn undone(operations: &[LoggedOperation]) -> BTreeMap<String, bool> {
    let mut undone = BTreeMap::new();
    for logged in operations {
        if let Some(target) = &logged.operation.undoes {
            undone.entry(target.clone()).or_insert(logged.operation.kind == OperationKind::Undo);
        }
    }
    undone
}

/// The verb that stands in the log's commit messages.
fn verb(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Run => "run",
        OperationKind::Apply => "apply",
        OperationKind::Branch => "branch",
        OperationKind::Remove => "remove",
        OperationKind::Rename => "rename",
        OperationKind::Save => "save",
        OperationKind::Data => "data",
        OperationKind::Stage => "stage",
        OperationKind::Pull => "pull",
        OperationKind::Undo => "undo",
        OperationKind::Redo => "redo",
    }
}

fn ref_name() -> RefName {
    RefName::new(REF).expect("the name is a constant and valid")
}

fn change(path: &str, content: Content) -> Result<TreeChange, Error> {
    Ok(TreeChange {
        path: TreePath::new(path)?,
        edit: TreeEdit::Write { content, executable: false },
    })
}

fn corrupt(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Corrupt { what: what.to_owned(), source: source.into() }
}

/// Reads the bytes that a state names, for the blobs of the log.
pub(crate) fn blob(git: &Git, id: &str) -> Result<Vec<u8>, Error> {
    let id: BlobId = id.parse().map_err(|source| corrupt("an operation", source))?;
    git.blob(id).map_err(|error: GitError| error.into())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use exp_refs::OpenOptions;

    use super::*;

    #[test]
    fn however_many_append_at_once_each_of_them_does() {
        const N: usize = 24;
        const ROUNDS: usize = 8;
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new("git").args(["init", "-q"]).arg(dir.path()).status().unwrap();
        assert!(made.success());
        let (start, options) =
            (std::sync::Barrier::new(N), OpenOptions { durable: false, ..OpenOptions::default() });
        let git = options.open(dir.path()).unwrap();
        thread::scope(|scope| {
            for number in 0..N {
                let (start, git) = (&start, options.open(dir.path()).unwrap());
                scope.spawn(move || {
                    start.wait();
                    for round in 0..ROUNDS {
                        let operation = Operation {
                            version: VERSION,
                            kind: OperationKind::Save,
                            subject: format!("e{number}x{round}"),
                            at: 7,
                            undoes: None,
                            files: Vec::new(),
                            refs: Vec::new(),
                        };
                        append(&git, &operation, Timestamp::utc(7)).unwrap();
                    }
                });
            }
        });
        let mut subjects: Vec<String> = read(&git, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|logged| logged.operation.subject)
            .collect();
        subjects.sort();
        subjects.dedup();
        assert_eq!(subjects.len(), N * ROUNDS);
    }
}
