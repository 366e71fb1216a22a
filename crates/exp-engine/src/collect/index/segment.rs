//! One file of the index: rows by commit, and the values that they share.
//!
//! ```text
//! "exp-rows"                                8 bytes
//! checksum of all that follows              8 bytes, little-endian
//! context                                   text: see [`super::Index`]
//! number of texts, texts                    paths of files, problems
//! number of values, values                  each with its length before it
//! number of rows, rows                      by commit: its name, its bytes
//! ```
//!
//! Numbers are written seven bits a byte, the lowest first, texts and bytes with their length before them. Opening looks
//! at lengths only; a value is decoded when the first row asks for it, and shared by the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use exp_core::{Timestamp, Value};
use exp_refs::{CommitId, RunRecord};

use super::bytes::{Cursor, Texts, Writer, checksum, class_number, class_of};
use crate::collect::Collected;
use crate::revision::{DepData, FileData, Files, OutData, Problem, RevisionData};

const MAGIC: &[u8; 8] = b"exp-rows";

/// A file of the index as it was read.
pub(super) struct Segment {
    bytes: Vec<u8>,
    texts: Vec<Arc<str>>,
    values: Vec<(Span, OnceLock<Option<Arc<Value>>>)>,
    /// Sorted by commit.
    rows: Vec<(CommitId, Span)>,
}

/// A part of the bytes.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Segment {
    /// Takes the bytes of a file; `None` when they are damaged, of another version, or of another context.
    pub(super) fn open(bytes: Vec<u8>, context: &str) -> Option<Self> {
        let mut cursor = Cursor(&bytes);
        if cursor.take(8)? != MAGIC || cursor.array().map(u64::from_le_bytes)? != checksum(cursor.0)
        {
            return None;
        }
        if cursor.text()? != context {
            return None;
        }
        let texts = (0..cursor.length()?)
            .map(|_| cursor.text().map(Arc::from))
            .collect::<Option<Vec<Arc<str>>>>()?;
        let n_bytes = bytes.len();
        let span = |cursor: &mut Cursor<'_>| {
            let length = cursor.bytes()?.len();
            let end = n_bytes - cursor.0.len();
            Some(Span { start: end - length, end })
        };
        let values = (0..cursor.length()?)
            .map(|_| Some((span(&mut cursor)?, OnceLock::new())))
            .collect::<Option<Vec<_>>>()?;
        let rows = (0..cursor.length()?)
            .map(|_| Some((CommitId::from_bytes(cursor.bytes()?).ok()?, span(&mut cursor)?)))
            .collect::<Option<Vec<_>>>()?;
        Some(Self { bytes, texts, values, rows })
    }

    /// Returns how many rows it has.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the row of a commit.
    pub(super) fn get(&self, commit: CommitId) -> Option<Collected> {
        let at = self.rows.binary_search_by(|(known, _)| known.cmp(&commit)).ok()?;
        self.row(self.rows[at].1)
    }

    /// Returns all rows that `is_wanted`.
    pub(super) fn rows(
        &self,
        is_wanted: impl Fn(CommitId) -> bool,
    ) -> impl Iterator<Item = (CommitId, Collected)> {
        let wanted = self.rows.iter().filter(move |(commit, _)| is_wanted(*commit));
        wanted.filter_map(|(commit, span)| Some((*commit, self.row(*span)?)))
    }

    fn row(&self, span: Span) -> Option<Collected> {
        let mut cursor = Cursor(&self.bytes[span.start..span.end]);
        let seconds = i64::from_le_bytes(cursor.array()?);
        let offset = i32::from_le_bytes(cursor.array()?);
        let data = RevisionData {
            timestamp: Some(Timestamp { seconds, offset }),
            params: self.files(&mut cursor)?,
            metrics: self.files(&mut cursor)?,
            deps: (0..cursor.length()?)
                .map(|_| {
                    let (path, mut dep) = (self.text(&mut cursor)?, DepData::default());
                    cursor.artifact(&mut dep.artifact)?;
                    Some((path, dep))
                })
                .collect::<Option<_>>()?,
            outs: (0..cursor.length()?)
                .map(|_| {
                    let (path, mut artifact) = (self.text(&mut cursor)?, None);
                    cursor.artifact(&mut artifact)?;
                    let flags = cursor.byte()?;
                    let (use_cache, is_data_source) = (flags & 1 != 0, flags & 2 != 0);
                    Some((path, OutData { artifact, use_cache, is_data_source }))
                })
                .collect::<Option<_>>()?,
        };
        let record = match cursor.bytes()? {
            [] => None,
            bytes => Some(Ok(Box::new(RunRecord::from_bytes(bytes).ok()?))),
        };
        Some(Collected { data: Ok(Arc::new(data)), record })
    }

    fn text(&self, cursor: &mut Cursor<'_>) -> Option<Arc<str>> {
        self.texts.get(usize::try_from(cursor.number()?).ok()?).map(Arc::clone)
    }

    fn files(&self, cursor: &mut Cursor<'_>) -> Option<Files> {
        (0..cursor.length()?)
            .map(|_| {
                let path = self.text(cursor)?;
                let found = match cursor.number()? {
                    0 => {
                        let at = usize::try_from(cursor.number()?).ok()?;
                        FileData::Value(self.value(at)?)
                    }
                    class => {
                        let class = class_of(class - 1)?;
                        let message = self.text(cursor)?.to_string();
                        FileData::Error(Arc::new(Problem { class, message }))
                    }
                };
                Some((path, found))
            })
            .collect()
    }

    fn value(&self, at: usize) -> Option<Arc<Value>> {
        let (span, value) = self.values.get(at)?;
        let decode = || Cursor(&self.bytes[span.start..span.end]).value().map(Arc::new);
        value.get_or_init(decode).clone()
    }
}

/// A file of the index while it is made.
#[derive(Default)]
pub(super) struct Draft {
    texts: Texts,
    values: Values,
    rows: BTreeMap<CommitId, Vec<u8>>,
}

/// Values, those that are the same once.
#[derive(Default)]
struct Values {
    by_address: HashMap<*const Value, u64>,
    by_bytes: HashMap<Vec<u8>, u64>,
    /// Keeps what `by_address` knows from being replaced by another value.
    held: Vec<Arc<Value>>,
    writer: Writer,
}

impl Values {
    fn number(&mut self, value: &Arc<Value>) -> Option<u64> {
        if let Some(number) = self.by_address.get(&Arc::as_ptr(value)) {
            return Some(*number);
        }
        let mut writer = Writer::default();
        writer.value(value)?;
        let next = self.by_bytes.len() as u64;
        let number = *self.by_bytes.entry(writer.0).or_insert_with_key(|bytes| {
            self.writer.bytes(bytes);
            next
        });
        self.by_address.insert(Arc::as_ptr(value), number);
        self.held.push(Arc::clone(value));
        Some(number)
    }
}

impl Draft {
    /// Returns how many rows it has.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a row. One whose data may be others another time is left out.
    pub(super) fn add(&mut self, commit: CommitId, row: &Collected) {
        if let Some(bytes) = self.row(row) {
            self.rows.insert(commit, bytes);
        }
    }

    fn row(&mut self, row: &Collected) -> Option<Vec<u8>> {
        let data = row.data.as_ref().ok()?;
        let mut writer = Writer::default();
        let time = data.timestamp?;
        writer.0.extend(time.seconds.to_le_bytes());
        writer.0.extend(time.offset.to_le_bytes());
        for files in [&data.params, &data.metrics] {
            writer.length(files.len());
            for (path, found) in files {
                writer.number(self.texts.number(path));
                match found {
                    FileData::Value(value) => {
                        writer.number(0);
                        writer.number(self.values.number(value)?);
                    }
                    FileData::Error(problem) => {
                        writer.number(class_number(problem.class)? + 1);
                        writer.number(self.texts.number(&Arc::from(problem.message.as_str())));
                    }
                }
            }
        }
        writer.length(data.deps.len());
        for (path, dep) in &data.deps {
            writer.number(self.texts.number(path));
            writer.artifact(dep.artifact)?;
        }
        writer.length(data.outs.len());
        for (path, out) in &data.outs {
            writer.number(self.texts.number(path));
            writer.artifact(out.artifact)?;
            writer.0.push(u8::from(out.use_cache) | (u8::from(out.is_data_source) << 1));
        }
        match &row.record {
            None => writer.bytes(&[]),
            Some(record) => writer.bytes(&record.as_ref().ok()?.to_bytes()),
        }
        Some(writer.0)
    }

    /// Returns the bytes of the file.
    pub(super) fn finish(self, context: &str) -> Vec<u8> {
        let mut body = Writer::default();
        body.text(context);
        body.length(self.texts.len());
        body.0.extend(self.texts.writer.0);
        body.length(self.values.by_bytes.len());
        body.0.extend(self.values.writer.0);
        body.length(self.rows.len());
        for (commit, row) in &self.rows {
            body.bytes(commit.as_bytes());
            body.bytes(row);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(checksum(&body.0).to_le_bytes());
        bytes.extend(body.0);
        bytes
    }
}
