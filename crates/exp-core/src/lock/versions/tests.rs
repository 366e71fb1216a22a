//! Tests against files that DVC wrote after it had sent their data to a remote that keeps versions.

use super::*;
use crate::dvcfile::DvcFile;
use crate::lock::{LockFile, StageLock};

const FILE: &str = "outs:\n- md5: 5bbf5a52328e7439ae6e719dfe712200\n  size: 4\n  hash: md5\n  path: f.txt\n  cloud:\n    up:\n      etag: 5bbf5a52328e7439ae6e719dfe712200\n      version_id: 67130cfc8718aa36\n";

const DIR: &str = "\
outs:
- hash: md5
  path: d
  files:
  - relpath: empty
    md5: d41d8cd98f00b204e9800998ecf8427e
    size: 0
    cloud:
      up:
        etag: d41d8cd98f00b204e9800998ecf8427e
        version_id: 67130cfc86b90ee1b143b7e93a710159
  - relpath: n/y
    md5: 009520053b00386d1173f3988c55d192
    size: 2
    cloud:
      up:
        etag: 009520053b00386d1173f3988c55d192
        version_id: 67130cfc86b9e3e44f5bbead52064e33
  - relpath: x
    md5: 401b30e3b8b5d629635a5c613cdb7919
    size: 2
    cloud:
      up:
        etag: 401b30e3b8b5d629635a5c613cdb7919
        version_id: 67130cfc86b98c5741be11e553e52ca9
";

const LOCK: &str = "\
schema: '2.0'
stages:
  s:
    cmd: make
    deps:
    - path: d
      hash: md5
      files:
      - relpath: empty
        md5: d41d8cd98f00b204e9800998ecf8427e
      - relpath: n/y
        md5: 009520053b00386d1173f3988c55d192
      - relpath: x
        md5: 401b30e3b8b5d629635a5c613cdb7919
    outs:
    - path: o.txt
      hash: md5
      md5: 5bbf5a52328e7439ae6e719dfe712200
      size: 4
      cloud:
        up:
          etag: 5bbf5a52328e7439ae6e719dfe712200
          version_id: 67130cfc8873fb0a97060e41c4c1f84e
    - path: od
      hash: md5
      files:
      - relpath: q
        md5: 5bbf5a52328e7439ae6e719dfe712200
        size: 4
        cloud:
          up:
            etag: 5bbf5a52328e7439ae6e719dfe712200
            version_id: 67130cfc86b948dbe684dc7d64b2820c
";

/// What DVC had recorded of `d` before it was sent.
const WHOLE: &str = "6d907f346e311945ec68ea078a95e30e.dir";

fn entry(text: &str) -> LockEntry {
    DvcFile::parse(text).unwrap().recorded().outs.remove(0)
}

fn version(id: &str) -> FileVersion {
    FileVersion { remote: Some("up".to_owned()), id: id.to_owned(), etag: None }
}

#[test]
fn a_list_of_files_is_the_directory_that_it_was_before() {
    let artifact = entry(DIR).artifact.unwrap();
    assert_eq!(artifact.id.to_string(), WHOLE);
    assert_eq!((artifact.size, artifact.n_files), (Some(4), Some(3)));
    let files = entry(DIR).files();
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["empty", "n/y", "x"]);
    let last = files[2].version.clone().unwrap();
    assert_eq!(last.remote.as_deref(), Some("up"));
    assert_eq!(last.id, "67130cfc86b98c5741be11e553e52ca9");
    assert_eq!(last.etag.as_deref(), Some("401b30e3b8b5d629635a5c613cdb7919"));
    let file = entry(FILE);
    assert_eq!(file.version().unwrap().id, "67130cfc8718aa36");
    assert!(file.files().is_empty());

    let lock = &LockFile::parse(LOCK).unwrap().stages["s"];
    let dep = lock.dep("d").unwrap().artifact.unwrap();
    assert_eq!((dep.id.to_string(), dep.size), (WHOLE.to_owned(), None));
    assert!(lock.out("od").unwrap().files()[0].version.is_some());
}

#[test]
fn what_dvc_wrote_is_written_again_byte_for_byte() {
    for text in [FILE, DIR] {
        let file = DvcFile::parse(text).unwrap();
        assert_eq!(DvcFile::update(Some(text), &file.recorded()).unwrap(), text);
    }
    let lock = &LockFile::parse(LOCK).unwrap().stages["s"];
    assert_eq!(LockFile::set_stage(None, "s", lock).unwrap(), LOCK);
    assert_eq!(LockFile::set_stage(Some(LOCK), "s", lock).unwrap(), LOCK);
}

#[test]
fn versions_are_added_to_a_record_as_dvc_adds_them() {
    let plain =
        "outs:\n- md5: 5bbf5a52328e7439ae6e719dfe712200\n  size: 4\n  hash: md5\n  path: f.txt\n";
    let mut lock = DvcFile::parse(plain).unwrap().recorded();
    let version = entry(FILE).version();
    lock.outs = vec![lock.outs.remove(0).with_version(version.as_ref())];
    assert_eq!(DvcFile::update(Some(plain), &lock).unwrap(), FILE);

    let plain = format!("outs:\n- md5: {WHOLE}\n  size: 4\n  nfiles: 3\n  hash: md5\n  path: d\n");
    let mut lock = DvcFile::parse(&plain).unwrap().recorded();
    let mut files = entry(DIR).files();
    files.reverse();
    lock.outs = vec![lock.outs.remove(0).with_files(files)];
    assert_eq!(DvcFile::update(Some(&plain), &lock).unwrap(), DIR);
}

#[test]
fn versions_of_every_service_stay_texts() {
    // As DVC writes those of Google and of Azure.
    for (id, etag) in
        [("'1735689600000001'", "0898ea849df1"), ("'2026-01-01T00:00:00.0000000Z'", "'\"0x8DA\"'")]
    {
        let text = FILE
            .replace("67130cfc8718aa36", id)
            .replace("etag: 5bbf5a52328e7439ae6e719dfe712200", &format!("etag: {etag}"));
        let version = entry(&text).version().unwrap();
        assert_eq!(version.id, id.trim_matches('\''));
        assert_eq!(version.etag.as_deref(), Some(etag.trim_matches('\'')));
        let plain = "outs:\n- md5: 5bbf5a52328e7439ae6e719dfe712200\n  size: 4\n  hash: md5\n  path: f.txt\n";
        let mut lock = DvcFile::parse(plain).unwrap().recorded();
        lock.outs = vec![lock.outs.remove(0).with_version(Some(&version))];
        assert_eq!(DvcFile::update(Some(plain), &lock).unwrap(), text);
    }
}

#[test]
fn another_content_has_no_version() {
    let other = Digest::of(Algorithm::Md5, b"other");
    let id = ObjectId::file(other);
    let artifact = Artifact { id, size: Some(5), n_files: None, is_exec: false };
    let lock =
        StageLock { outs: vec![LockEntry::new("f.txt", Some(artifact))], ..StageLock::empty() };
    let text = DvcFile::update(Some(FILE), &lock).unwrap();
    assert_eq!(
        text,
        format!("outs:\n- md5: {other}\n  size: 5\n  hash: md5\n  path: f.txt\n"),
        "the version of the old content must not stand beside the new one"
    );
    let id = ObjectId::tree(other);
    let artifact = Artifact { id, size: Some(5), n_files: Some(1), is_exec: false };
    let lock = StageLock { outs: vec![LockEntry::new("d", Some(artifact))], ..lock };
    let text = DvcFile::update(Some(DIR), &lock).unwrap();
    assert!(!text.contains("  files:") && text.contains(&format!("md5: {other}.dir")), "{text}");
}

#[test]
fn what_a_run_is_called_does_not_depend_on_where_its_data_was_sent() {
    let sent = &LockFile::parse(LOCK).unwrap().stages["s"];
    let mut plain = sent.clone();
    for entry in plain.deps.iter_mut().chain(&mut plain.outs) {
        entry.extra.clear();
    }
    assert_eq!(sent.run_key(), plain.run_key());
    assert_eq!(sent.run_value(), plain.run_value());
    assert!(!sent.run_text().contains("version_id"), "{}", sent.run_text());
    assert!(sent.run_text().contains(WHOLE), "{}", sent.run_text());
}

#[test]
fn executable_files_are_recorded_by_sha256_and_part_of_the_digest() {
    let digest = Digest::of(Algorithm::Sha256, b"");
    let manifest = format!(
        r#"[{{"isexec": true, "relpath": "a", "sha256": "{digest}"}}, {{"relpath": "b", "sha256": "{digest}"}}]"#
    );
    let id = ObjectId::tree(Digest::of(Algorithm::Sha256, manifest.as_bytes()));
    let artifact = Artifact { id, size: Some(0), n_files: Some(2), is_exec: false };
    let file = |path: &str, is_exec| RecordedFile {
        path: path.to_owned(),
        digest,
        size: Some(0),
        version: None,
        is_exec,
    };
    let entry = LockEntry::new("d", Some(artifact));
    let entry = entry.with_files(vec![file("a", true), file("b", false)]);
    let text = DvcFile::update(None, &StageLock { outs: vec![entry], ..StageLock::empty() });
    let text = text.unwrap();
    assert_eq!(text.matches("isexec: true").count(), 1, "{text}");
    let read = DvcFile::parse(&text).unwrap().recorded();
    assert_eq!(read.outs[0].artifact.unwrap().id, id, "{text}");
    let bits: Vec<bool> = read.outs[0].files().iter().map(|file| file.is_exec).collect();
    assert_eq!(bits, [true, false]);
    assert!(read.outs[0].clone().with_files(read.outs[0].files()) == read.outs[0]);
}

#[test]
fn no_files_and_no_version_leave_the_digest() {
    let artifact = entry(DIR).artifact;
    let plain = LockEntry::new("d", artifact).with_files(Vec::new());
    assert_eq!(plain, LockEntry::new("d", artifact));
    let file = entry(FILE);
    let moved =
        file.clone().with_version(Some(&version("2"))).with_version(file.version().as_ref());
    assert_eq!(moved, file);
    assert!(file.with_version(None).extra.is_empty());
}

/// What `dvc import-url --version-aware` wrote.
const IMPORT: &str = "\
md5: 7be6a3a8fada07036849d19ff9dc3ca3
frozen: true
deps:
- hash: md5
  path: remote://up/src/d
  fs_config:
    version_aware: true
  files:
  - relpath: a
    etag: b35d7b69dc762611c6a48128c1036d9a
    size: 3
    version_id: 67130c7e28c7abb787ef5acf9addf231
  - relpath: n/b
    etag: 9d3d9048db16a7eee539e93e3618cbe7
    size: 2
    version_id: 67130c81382a5c62aa4f08d3f628920a
outs:
- md5: d52c1844c2c36bb2314ab89e76b7ab0f.dir
  size: 5
  nfiles: 2
  hash: md5
  path: dd
  push: false
";

#[test]
fn an_import_of_versions_is_written_as_dvc_writes_it() {
    let file = DvcFile::parse(IMPORT).unwrap();
    assert_eq!(file.to_text(), IMPORT);
    assert_eq!(file.md5, Some(file.stage_md5()));
}

#[test]
fn lists_that_are_none_are_told_with_their_place() {
    for (list, at) in [
        ("files: 3", "outs.0.files"),
        ("files:\n  - md5: d41d8cd98f00b204e9800998ecf8427e", "outs.0.files.0"),
        ("files:\n  - relpath: [x]", "outs.0.files.0.relpath"),
        ("files:\n  - relpath: x\n    md5: ../../etc", "outs.0.files.0.md5"),
        ("files:\n  - relpath: x\n    md5: 12345", "outs.0.files.0.md5"),
    ] {
        let error = DvcFile::parse(&format!("outs:\n- hash: md5\n  path: d\n  {list}\n"));
        let text = error.unwrap_err().to_string();
        assert!(text.ends_with(&format!("at `{at}`")), "{list}: {text}");
    }
    let row =
        format!("- relpath: x\n    sha256: {}\n    isexec: 1", Digest::of(Algorithm::Sha256, b""));
    let error = DvcFile::parse(&format!("outs:\n- hash: sha256\n  path: d\n  files:\n  {row}\n"));
    let text = error.unwrap_err().to_string();
    assert!(text.ends_with("at `outs.0.files.0.isexec`"), "{text}");
    // The source of an import that is known by marks alone is no content.
    let source = "deps:\n- hash: md5\n  path: s3://b/d\n  files:\n  - relpath: a\n    etag: x\n    version_id: v\nouts:\n- hash: md5\n  path: d\n";
    let parsed = DvcFile::parse(source).unwrap();
    assert_eq!(parsed.deps[0].artifact, None);
    assert_eq!(DvcFile::update(Some(source), &parsed.recorded()).unwrap(), source);
}
