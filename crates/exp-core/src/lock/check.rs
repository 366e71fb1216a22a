//! A second opinion on a record that is about to be written.
//!
//! Emitter and reader of this crate could share a misunderstanding of YAML, and a lock file that says something else than
//! what ran would be believed for ever. So the paths and digests of each record are read once more by another
//! implementation of YAML, as typed fields, before the text is handed out.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{LockEntry, StageLock};

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    deps: Vec<Entry>,
    #[serde(default)]
    outs: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    md5: Option<String>,
    sha256: Option<String>,
    size: Option<u64>,
    nfiles: Option<u64>,
    #[serde(default)]
    isexec: bool,
}

/// Returns whether `text`, the block of the stage `name` at the left margin, reads as something else than `lock`.
///
/// A text that the other implementation cannot read at all is no contradiction: it knows less of YAML than DVC does.
pub(super) fn contradicts(text: &str, name: &str, lock: &StageLock) -> bool {
    let Ok(read) = serde_yaml::from_str::<BTreeMap<String, Record>>(text) else { return false };
    let Some(record) = read.get(name) else { return true };
    !(agree(&record.deps, &lock.deps) && agree(&record.outs, &lock.outs))
}

fn agree(read: &[Entry], meant: &[LockEntry]) -> bool {
    read.len() == meant.len() && read.iter().zip(meant).all(|(read, meant)| same(read, meant))
}

fn same(read: &Entry, meant: &LockEntry) -> bool {
    if read.path != meant.path {
        return false;
    }
    // A record of others (etag, version, files in the cloud) says its content in other fields.
    let Some(artifact) = meant.artifact.filter(|_| meant.extra.is_empty()) else { return true };
    let digest = read.md5.as_ref().or(read.sha256.as_ref());
    digest.is_some_and(|digest| *digest == artifact.id.to_string())
        && read.size == artifact.size
        && read.nfiles == artifact.n_files
        && read.isexec == artifact.is_exec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Algorithm, Artifact, Digest, ObjectId};
    use crate::stage::Command;

    fn lock() -> StageLock {
        let id = ObjectId::file(Digest::of(Algorithm::Md5, b"x"));
        let artifact = Artifact { id, size: Some(1), n_files: None, is_exec: false };
        StageLock {
            cmd: Some(Command::Text("no".into())),
            deps: vec![LockEntry::new("1e3", Some(artifact))],
            params: Vec::new(),
            outs: vec![LockEntry::new("o: 'x'", Some(artifact))],
            extras: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_written_reads_as_it_was_meant() {
        let text = crate::yaml::emit_yaml(&crate::value::Value::Table(
            [("s".to_owned(), lock().to_value())].into_iter().collect(),
        ));
        assert!(!contradicts(&text, "s", &lock()), "{text}");
    }

    #[test]
    fn another_digest_path_or_stage_is_a_contradiction() {
        let text = crate::yaml::emit_yaml(&crate::value::Value::Table(
            [("s".to_owned(), lock().to_value())].into_iter().collect(),
        ));
        assert!(contradicts(&text, "t", &lock()));
        assert!(contradicts(&text.replace("1e3", "1e4"), "s", &lock()));
        assert!(contradicts(&text.replacen("9dd4", "0000", 1), "s", &lock()), "{text}");
        assert!(!contradicts("\t{", "s", &lock()), "what cannot be read is no contradiction");
    }
}
