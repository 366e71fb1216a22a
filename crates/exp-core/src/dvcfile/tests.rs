//! Tests against files that DVC wrote.

use super::*;
use crate::digest::{Artifact, ObjectId};

const IMPORT: &str = "md5: 285507b6a25cf420cd24427c0b76491c
frozen: true
deps:
- md5: 764efa883dda1e11db47671c4a3bbd9e
  size: 3
  hash: md5
  path: /home/u/ext.txt
outs:
- md5: 764efa883dda1e11db47671c4a3bbd9e
  size: 3
  hash: md5
  path: ext.txt
";

fn lock(path: &str, md5: &str, size: u64) -> StageLock {
    let id = ObjectId::parse(Algorithm::Md5, md5).unwrap();
    let artifact = Artifact { id, size: Some(size), n_files: None, is_exec: false };
    StageLock { outs: vec![LockEntry::new(path, Some(artifact))], ..StageLock::empty() }
}

#[test]
fn files_of_dvc_are_written_as_they_were_read() {
    for text in [
        IMPORT,
        "outs:\n- md5: b1946ac92492d2347c6235b4d2611184\n  size: 6\n  hash: md5\n  path: f.txt\n",
        "outs:\n- md5: 76d3cc4db26322c2eb31ab674c52515c.dir\n  size: 10\n  nfiles: 6\n  hash: md5\n  path: d\n",
        "outs:\n- md5: b1946ac92492d2347c6235b4d2611184\n  size: 6\n  isexec: true\n  hash: md5\n  path: f.sh\n",
        "outs:\n- md5: b1946ac92492d2347c6235b4d2611184\n  size: 6\n  path: legacy.txt\n",
        "frozen: true\ndeps:\n- path: b\n  repo:\n    url: /home/u/src\nouts:\n- hash: md5\n  path: bb\n",
        "outs:\n- md5: b1946ac92492d2347c6235b4d2611184\n  size: 6\n  hash: md5\n  path: f\n  desc: words\n  cache: false\n  remote: r\n  push: false\n",
    ] {
        let file = DvcFile::parse(text).unwrap();
        assert_eq!(file.to_text(), text);
        assert_eq!(DvcFile::update(Some(text), &file.recorded()).unwrap(), text, "unchanged");
    }
}

#[test]
fn new_content_changes_its_lines_only() {
    let text = "# mine\nouts:\n- path: f.txt # here\n  md5: b1946ac92492d2347c6235b4d2611184 # old\n  hash: md5\n  size: 6\nmeta:\n  a: 1\n";
    let new = DvcFile::update(Some(text), &lock("f.txt", "764efa883dda1e11db47671c4a3bbd9e", 3));
    let expect = text
        .replace("b1946ac92492d2347c6235b4d2611184", "764efa883dda1e11db47671c4a3bbd9e")
        .replace("size: 6", "size: 3");
    assert_eq!(new.unwrap(), expect);
    let fresh = DvcFile::update(None, &lock("f.txt", "764efa883dda1e11db47671c4a3bbd9e", 3));
    let expect =
        "outs:\n- md5: 764efa883dda1e11db47671c4a3bbd9e\n  size: 3\n  hash: md5\n  path: f.txt\n";
    assert_eq!(fresh.unwrap(), expect);
}

#[test]
fn an_import_carries_the_digest_of_its_definition() {
    let file = DvcFile::parse("md5: 0\nfrozen: true\ndeps:\n- path: ddir\n  repo:\n    url: /s\n    rev_lock: abc\nouts:\n- md5: d751713988987e9331980363e24189ce.dir\n  size: 4\n  nfiles: 2\n  hash: md5\n  path: ddir\n").unwrap();
    let json = r#"{"deps": [{"path": "ddir", "repo": {"rev_lock": "abc", "url": "/s"}}], "outs": [{"hash": "md5", "md5": "d751713988987e9331980363e24189ce.dir", "path": "ddir"}]}"#;
    assert_eq!(file.stage_md5(), Digest::of(Algorithm::Md5, json.as_bytes()).to_hex());
    let stage = file.to_stage(&RelPath::new("s/ddir.dvc").unwrap(), Path::new("/w")).unwrap();
    assert!(stage.frozen && stage.is_data_source());
    assert_eq!(stage.deps[0].location, Location::Url("/s".to_owned()));
    assert_eq!(stage.outs[0].location.to_string(), "s/ddir");
}

#[test]
fn a_slip_in_a_key_has_the_one_that_was_meant() {
    for (text, meant) in [
        ("out:\n- path: f\n", Some("outs")),
        ("outs:\n- path: f\n  mdf5: abc\n", Some("md5")),
        ("outs:\n- path: f\n  cahce: true\n", Some("cache")),
        ("outs:\n- path: f\n  whatever: true\n", None),
    ] {
        let error = DvcFile::parse(text).expect_err(text);
        assert_eq!(error.did_you_mean(), meant, "{text}");
    }
}

#[test]
fn what_is_no_dvc_file_is_refused_with_its_place() {
    for (text, line, column) in [
        ("cmd: x\n", 1, 1),
        ("outs:\n- md5: zz\n  hash: md5\n  path: f\n", 2, 3),
        ("outs:\n- path: f\n  metric: true\n", 3, 3),
        ("outs:\n- md5: ''\n", 2, 3),
        ("frozen: 1\n", 1, 1),
        ("outs: {}\n", 1, 1),
    ] {
        match DvcFile::parse(text) {
            Err(LockError::Invalid { line: at, column: c, .. }) => {
                assert_eq!((at, c), (line, column), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}
