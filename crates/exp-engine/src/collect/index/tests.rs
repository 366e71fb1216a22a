//! The index: what it remembers, and that nothing of it is believed when it is damaged.

use std::sync::Arc;
use std::time::Duration;

use exp_core::{Algorithm, Artifact, Digest, ObjectId, Timestamp, Value};
use exp_refs::{CommitId, RunEnd, RunRecord};

use super::segment::{Draft, Segment};
use crate::collect::Collected;
use crate::revision::{DepData, FileData, OutData, Problem, RevisionData};

fn commit(n: u8) -> CommitId {
    CommitId::from_bytes(&[n; 20]).unwrap()
}

fn problem(class: &'static str) -> FileData {
    FileData::Error(Arc::new(Problem { class, message: format!("{class} there") }))
}

/// A row with one of everything.
fn row(params: FileData) -> Collected {
    let path = |text: &str| -> Arc<str> { Arc::from(text) };
    let artifact = Artifact {
        id: ObjectId::tree(Digest::of(Algorithm::Md5, b"x")),
        size: Some(1 << 40),
        n_files: Some(3),
        is_exec: false,
    };
    let file = Artifact {
        id: ObjectId::file(Digest::of(Algorithm::Sha256, b"y")),
        size: None,
        n_files: None,
        is_exec: true,
    };
    let data = RevisionData {
        timestamp: Some(Timestamp { seconds: -5, offset: -3_600 }),
        params: vec![(path("params.yaml"), params)],
        metrics: vec![(path("m.json"), problem("JSONFileCorruptedError"))],
        deps: vec![
            (path("data"), DepData { artifact: Some(artifact) }),
            (path("new"), DepData::default()),
        ],
        outs: vec![(
            path("model"),
            OutData { artifact: Some(file), use_cache: true, is_data_source: false },
        )],
    };
    let record = RunRecord {
        stage: Some("train".to_owned()),
        exit_code: Some(3),
        took: Some(Duration::from_millis(12)),
        ..RunRecord::new(RunEnd::Failed, Timestamp::utc(7))
    };
    Collected { data: Ok(Arc::new(data)), record: Some(Ok(Box::new(record))) }
}

fn value(n: i64) -> FileData {
    FileData::Value(Arc::new(Value::List(vec![Value::from(n)])))
}

#[test]
fn a_row_comes_back_as_it_was_and_rows_share_their_values() {
    let mut draft = Draft::default();
    for n in 0..10 {
        draft.add(commit(n), &row(value(i64::from(n % 2))));
    }
    let segment = Segment::open(draft.finish("here"), "here").unwrap();
    assert_eq!(segment.len(), 10);
    let read: Vec<Collected> = (0..10).map(|n| segment.get(commit(n)).unwrap()).collect();
    for (n, read) in (0..).zip(&read) {
        let expect = row(value(n % 2));
        assert_eq!(read.data, expect.data);
        assert_eq!(read.record, expect.record);
    }
    let shared = |n: usize| match &read[n].data.as_ref().unwrap().params[0].1 {
        FileData::Value(value) => Arc::clone(value),
        FileData::Error(problem) => panic!("{problem:?}"),
    };
    assert!(Arc::ptr_eq(&shared(0), &shared(2)));
    assert!(!Arc::ptr_eq(&shared(0), &shared(1)));
    assert!(segment.get(commit(10)).is_none());
}

#[test]
fn what_may_pass_is_not_remembered() {
    let mut draft = Draft::default();
    draft.add(commit(1), &row(problem("OSError")));
    let broken = problem("YAMLSyntaxError");
    let FileData::Error(broken) = broken else { panic!("it is a problem") };
    draft.add(commit(2), &Collected { data: Err(Arc::clone(&broken)), record: None });
    draft.add(commit(3), &Collected { record: Some(Err(broken)), ..row(value(1)) });
    assert_eq!(draft.len(), 0);
}

#[test]
fn a_file_that_is_damaged_or_of_something_else_is_no_segment() {
    let bytes = || {
        let mut draft = Draft::default();
        draft.add(commit(1), &row(value(1)));
        draft.finish("here")
    };
    assert!(Segment::open(bytes(), "here").is_some());
    assert!(Segment::open(bytes(), "there").is_none());
    let n = bytes().len();
    for length in 0..n {
        assert!(Segment::open(bytes()[..length].to_vec(), "here").is_none(), "cut to {length}");
    }
    for at in 0..n {
        let mut damaged = bytes();
        damaged[at] ^= 0x10;
        assert!(Segment::open(damaged, "here").is_none(), "byte {at}");
    }
}
