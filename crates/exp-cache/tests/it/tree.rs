//! Manifests: their bytes, and hostile ones.

use exp_cache::{Tree, TreeEntry, TreeError};
use exp_core::{Algorithm, Digest};
use proptest::prelude::*;

/// Made by `dvc add` of DVC 3.67.1 from files with awkward names; the digest is the manifest's name there.
const AWKWARD: &[u8] = include_bytes!("../data/awkward.dir");
const AWKWARD_NAME: &str = include_str!("../data/awkward.name");

#[test]
fn awkward_names_are_written_as_dvc_writes_them() {
    let tree = Tree::parse(Algorithm::Md5, AWKWARD).unwrap();
    assert_eq!(tree.to_bytes(), AWKWARD);
    assert_eq!(tree.id().to_string(), AWKWARD_NAME.trim());
    assert!(tree.entries().len() >= 10);
}

#[test]
fn hostile_manifests_are_refused() {
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    let paths = |paths: &[&str]| {
        let rows: Vec<String> =
            paths.iter().map(|p| format!(r#"{{"md5": "{md5}", "relpath": "{p}"}}"#)).collect();
        Tree::parse(Algorithm::Md5, format!("[{}]", rows.join(",")).as_bytes())
    };
    for bad in [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        "..",
        ".",
        "a/./b",
        "",
        "a//b",
        "a/",
        "/",
        "a\\u0000b",
    ] {
        assert!(matches!(paths(&[bad]), Err(TreeError::Path { .. })), "{bad}");
    }
    assert!(matches!(paths(&["a", "b", "a"]), Err(TreeError::Duplicate { path }) if path == "a"));
    for files in [&["a", "a/b"][..], &["a/b", "a"], &["a", "a.txt", "a/b"], &["a/b", "a/b/c/d"]] {
        assert!(matches!(paths(files), Err(TreeError::Collision { .. })), "{files:?}");
    }
    assert!(paths(&["a", "a.txt", "ab/c", "...", "..a", "a b"]).is_ok());
    for bad in [
        "",
        "{}",
        "[1]",
        "[",
        r#"[{"relpath": 1, "md5": "d41d8cd98f00b204e9800998ecf8427e"}]"#,
        r#"[{"md5": "d41d8cd98f00b204e9800998ecf8427e"}]"#,
        r#"[{"relpath": "\ud800", "md5": "d41d8cd98f00b204e9800998ecf8427e"}]"#,
        "\u{fffd}[",
    ] {
        assert!(
            matches!(Tree::parse(Algorithm::Md5, bad.as_bytes()), Err(TreeError::Syntax { .. })),
            "{bad}"
        );
    }
    let deep = "[".repeat(1_000_000);
    assert!(matches!(Tree::parse(Algorithm::Md5, deep.as_bytes()), Err(TreeError::Syntax { .. })));
    for bad in [
        r#"[{"relpath": "a"}]"#,
        r#"[{"relpath": "a", "md5": "../../../../../etc/passwd......."}]"#,
        r#"[{"relpath": "a", "md5": "d41d"}]"#,
        r#"[{"relpath": "a", "sha256": "d41d8cd98f00b204e9800998ecf8427e"}]"#,
    ] {
        assert!(
            matches!(Tree::parse(Algorithm::Md5, bad.as_bytes()), Err(TreeError::Digest { .. })),
            "{bad}"
        );
    }
}

#[test]
fn order_and_further_keys_do_not_matter() {
    let a = r#"[{"size": 3, "md5": "d41d8cd98f00b204e9800998ecf8427e", "relpath": "b", "meta": {"x": []}},
                {"relpath": "a", "md5": "D41D8CD98F00B204E9800998ECF8427E"}]"#;
    let tree = Tree::parse(Algorithm::Md5, a.as_bytes()).unwrap();
    let paths: Vec<&str> = tree.entries().iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "b"]);
}

#[test]
fn executable_files_are_part_of_a_manifest_by_sha256_only() {
    let tree = |algorithm, is_exec| {
        let digest = Digest::of(algorithm, b"");
        let entry = |path: &str, is_exec| TreeEntry { path: path.to_owned(), digest, is_exec };
        Tree::new(algorithm, vec![entry("run", is_exec), entry("text", false)]).unwrap()
    };
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = |isexec: &str| {
        format!(
            r#"[{{{isexec}"relpath": "run", "sha256": "{sha256}"}}, {{"relpath": "text", "sha256": "{sha256}"}}]"#
        )
    };
    let parse = |text: &str| Tree::parse(Algorithm::Sha256, text.as_bytes());
    let (set, plain) = (text(r#""isexec": true, "#), text(""));
    assert_eq!(tree(Algorithm::Sha256, true).to_bytes(), set.as_bytes());
    assert_eq!(tree(Algorithm::Sha256, false).to_bytes(), plain.as_bytes());
    assert_eq!(parse(&set).unwrap(), tree(Algorithm::Sha256, true));
    assert!(parse(&set).unwrap().entry("run").unwrap().is_exec);
    assert_eq!(parse(&plain).unwrap(), tree(Algorithm::Sha256, false));
    assert_eq!(parse(&text(r#""isexec": false, "#)).unwrap(), tree(Algorithm::Sha256, false));
    for bad in ["1", "null", r#""true""#, "[]", r#"{"a": true}"#] {
        let read = parse(&text(&format!(r#""isexec": {bad}, "#)));
        assert!(matches!(&read, Err(TreeError::Executable { path }) if path == "run"), "{read:?}");
    }

    // DVC's have none, whatever stands there.
    let plain = tree(Algorithm::Md5, false);
    assert_eq!(tree(Algorithm::Md5, true), plain);
    let rows = String::from_utf8(plain.to_bytes()).unwrap();
    for odd in ["true", "1", "{}"] {
        let rows = rows.replacen('{', &format!(r#"{{"isexec": {odd}, "#), 1);
        assert_eq!(Tree::parse(Algorithm::Md5, rows.as_bytes()).unwrap(), plain);
    }
}

fn part() -> impl Strategy<Value = String> {
    "[^/\u{0}]{1,6}".prop_filter("a name", |part| part != "." && part != "..")
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        parts in prop::collection::vec((prop::collection::vec(part(), 1..4), any::<u64>()), 0..12),
        is_sha256 in any::<bool>(),
    ) {
        let algorithm = if is_sha256 { Algorithm::Sha256 } else { Algorithm::Md5 };
        let entries: Vec<TreeEntry> = parts
            .iter()
            .map(|(parts, seed)| TreeEntry {
                path: parts.join("/"),
                digest: Digest::of(algorithm, &seed.to_le_bytes()),
                is_exec: seed % 2 == 0,
            })
            .collect();
        let Ok(tree) = Tree::new(algorithm, entries.clone()) else { return Ok(()) };
        let bytes = tree.to_bytes();
        prop_assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
        prop_assert_eq!(&Tree::parse(algorithm, &bytes).unwrap(), &tree);
        for entry in &entries {
            prop_assert_eq!(tree.get(&entry.path), Some(&entry.digest));
            let is_exec = tree.entry(&entry.path).is_some_and(|read| read.is_exec);
            prop_assert_eq!(is_exec, is_sha256 && entry.is_exec);
        }
        let mut reversed = entries;
        reversed.reverse();
        prop_assert_eq!(Tree::new(algorithm, reversed).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tree::parse(Algorithm::Md5, &bytes);
    }
}
