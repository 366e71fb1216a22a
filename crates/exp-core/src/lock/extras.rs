//! `exp.lock`: what stages read that `dvc.lock` beside it has no place for.

use std::collections::BTreeMap;

use crate::digest::{Algorithm, Digest};
use crate::value::{Table, Value};
use crate::yaml::emit_yaml;

use super::{Fault, LockError, StageLock, document, invalid};

/// An `exp.lock`, by stage name: digests of environment, globs, lines and the like.
///
/// Each entry names the record of `dvc.lock` that it goes with. When DVC runs the stage, that record becomes another one,
/// and the entry stands for nothing: nobody knows what the stage read then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtrasFile {
    stages: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    of: Digest,
    extras: BTreeMap<String, String>,
}

/// The version that is written; others are not read.
const SCHEMA: &str = "1";

impl ExtrasFile {
    /// Reads the text of a file. An empty text has no stages.
    ///
    /// # Errors
    ///
    /// For broken YAML, conflict markers, a version that is not known, and entries of another form.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let top = document(text)?;
        if top.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |fault: Fault| invalid(text, fault);
        if top.get("schema").and_then(Value::as_text) != Some(SCHEMA) {
            return Err(wrong(Fault::new("expected version 1").below("schema")));
        }
        let mut file = Self::default();
        for (name, entry) in top.get("stages").and_then(Value::as_table).into_iter().flatten() {
            let entry = Entry::read(entry);
            let entry = entry.map_err(|fault| wrong(fault.below(name.as_str()).below("stages")))?;
            file.stages.insert(name.clone(), entry);
        }
        Ok(file)
    }

    /// Returns the text of the file, stages and what they read in order; `None` when there is nothing to say.
    pub fn to_text(&self) -> Option<String> {
        if self.stages.is_empty() {
            return None;
        }
        let stages = self.stages.iter().map(|(name, entry)| {
            let extras = entry.extras.iter().map(|(key, is)| (key.clone(), is.as_str().into()));
            let entry = Table::from([
                ("of".to_owned(), Value::from(entry.of.to_hex())),
                ("read".to_owned(), Value::Table(extras.collect())),
            ]);
            (name.clone(), Value::Table(entry))
        });
        Some(emit_yaml(&Value::Table(Table::from([
            ("schema".to_owned(), Value::from(SCHEMA)),
            ("stages".to_owned(), Value::Table(stages.collect())),
        ]))))
    }

    /// Returns what the stage read when it was recorded as `lock`; nothing when that is another record.
    pub fn of(&self, name: &str, lock: &StageLock) -> BTreeMap<String, String> {
        let entry = self.stages.get(name).filter(|entry| entry.of == lock.run_value());
        entry.map(|entry| entry.extras.clone()).unwrap_or_default()
    }

    /// Notes what the stage read, or that it read nothing of the kind.
    pub fn set(&mut self, name: &str, lock: &StageLock) {
        if lock.extras.is_empty() {
            self.stages.remove(name);
        } else {
            let entry = Entry { of: lock.run_value(), extras: lock.extras.clone() };
            self.stages.insert(name.to_owned(), entry);
        }
    }
}

impl Entry {
    fn read(value: &Value) -> Result<Self, Fault> {
        let of = value.child("of").and_then(Value::as_text).unwrap_or_default();
        let of = Digest::from_hex(Algorithm::Sha256, of)
            .map_err(|_| Fault::new("expected a digest").below("of"))?;
        let wrong = || Fault::new("expected a map of texts").below("read");
        let read = value.child("read").and_then(Value::as_table).ok_or_else(wrong)?;
        let extras = read.iter().map(|(key, is)| Some((key.clone(), is.as_text()?.to_owned())));
        Ok(Self { of, extras: extras.collect::<Option<_>>().ok_or_else(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use crate::stage::Command;

    use super::*;

    fn lock(cmd: &str, extras: &[(&str, &str)]) -> StageLock {
        let extras = extras.iter().map(|(key, is)| ((*key).to_owned(), (*is).to_owned()));
        StageLock {
            cmd: Some(Command::Text(cmd.to_owned())),
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
            extras: extras.collect(),
        }
    }

    #[test]
    fn extras_belong_to_one_record_of_the_stage() {
        let mut file = ExtrasFile::default();
        assert_eq!(file.to_text(), None);
        let first = lock("a", &[("env LANG", "x"), ("cmd a: b # c", "-")]);
        file.set("train", &first);
        let text = file.to_text().unwrap();
        assert_eq!(ExtrasFile::parse(&text).as_ref(), Ok(&file), "{text}");
        assert!(text.starts_with("schema: '1'\nstages:\n  train:\n    of: "), "{text}");
        assert_eq!(file.of("train", &lock("a", &[])), first.extras);
        assert!(file.of("train", &lock("b", &[])).is_empty(), "DVC ran it with another command");
        assert!(file.of("other", &first).is_empty());
        for (broken, expect) in [
            ("schema: '2'\nstages: {}\n", "line 1, column 1: expected version 1 at `schema`"),
            ("schema: '1'\n<<<<<<< HEAD\nstages:\n=======\n", "line 2: merge conflict"),
            (
                "schema: '1'\nstages: {a: {of: x}}\n",
                "line 2, column 14: expected a digest at `stages.a.of`",
            ),
        ] {
            assert_eq!(ExtrasFile::parse(broken).unwrap_err().to_string(), expect);
        }
        assert_eq!(ExtrasFile::parse(""), Ok(ExtrasFile::default()));
        file.set("train", &lock("a", &[]));
        assert_eq!(file.to_text(), None);
    }
}
