//! Manifests and workspaces that mean harm, and stores in unusual places.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;
use std::time::{Duration, Instant};

use exp_cache::testing::Faults;
use exp_cache::{Cache, CacheError, CacheOptions, LinkKind, NoFilter, Relink, Tree, TreeError};
use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId};

use crate::scratch::{Result, Scratch, add, mode, set_mode};

const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// Puts bytes into the store as the manifest that they are said to be.
fn plant(scratch: &Scratch, bytes: &[u8]) -> Artifact {
    let id = ObjectId::tree(Digest::of(Algorithm::Md5, bytes));
    let path = scratch.cache().object_path(&id);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    set_mode(&path, 0o444);
    Artifact { id, size: None, n_files: None, is_exec: false }
}

#[test]
fn a_strangers_manifest_writes_nothing_outside() -> Result {
    for bad in ["/abs", "../up", "a/../../up", "a/./b", "a//b", "a\\u0000"] {
        let scratch = Scratch::new();
        let cache = scratch.cache();
        cache.add_bytes(b"")?;
        let text = format!(r#"[{{"md5": "{EMPTY}", "relpath": "{bad}"}}]"#);
        let artifact = plant(&scratch, text.as_bytes());
        let planned =
            cache.plan_checkout(&Ctx::silent(), Some(&artifact), &scratch.path("d"), &NoFilter);
        match planned {
            Err(CacheError::Manifest { id, source: TreeError::Path { path } }) => {
                assert_eq!(id, artifact.id);
                assert!(path.contains(bad.trim_end_matches("\\u0000")), "{path} names {bad}");
            }
            other => panic!("{bad}: {other:?}"),
        }
        assert!(!scratch.path("d").exists());
    }
    Ok(())
}

#[test]
fn names_that_differ_in_case_only_are_told_where_they_are_one() -> Result {
    for (one, other) in [("README", "Readme"), ("Sub/a", "sub/b")] {
        let scratch = Scratch::new();
        let ctx = Ctx::silent();
        scratch.cache().add_bytes(b"")?;
        let row = |path| format!(r#"{{"md5": "{EMPTY}", "relpath": "{path}"}}"#);
        let artifact = plant(&scratch, format!("[{}, {}]", row(one), row(other)).as_bytes());
        let faults = Arc::new(Faults::folded_case());
        let options = scratch.options(&[LinkKind::Copy]);
        let folding = Cache::open_with_faults(&scratch.path("cache"), options, faults)?;
        let dest = scratch.path("d");
        let plan = folding.plan_checkout(&ctx, Some(&artifact), &dest, &NoFilter)?;
        match folding.checkout(&ctx, plan) {
            Err(CacheError::SameName { one: a, other: b }) => {
                assert_eq!((a, b), (dest.join(one), dest.join(other)));
            }
            other => panic!("{other:?}"),
        }
        assert!(!dest.exists(), "something was written");
        // This machine tells them apart, unless its file system does not.
        let cache = scratch.cache();
        let plan = cache.plan_checkout(&ctx, Some(&artifact), &dest, &NoFilter)?;
        match cache.checkout(&ctx, plan) {
            Ok(stats) => assert_eq!((stats.added, dest.join(other).exists()), (2, true)),
            Err(error) => assert!(matches!(error, CacheError::SameName { .. }), "{error:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_manifest_under_another_name_is_corrupt() -> Result {
    let scratch = Scratch::new();
    let artifact = plant(&scratch, b"[]");
    let path = scratch.cache().object_path(&artifact.id);
    fs::remove_file(&path)?;
    fs::write(&path, format!(r#"[{{"md5": "{EMPTY}", "relpath": "evil"}}]"#))?;
    set_mode(&path, 0o444);
    let planned = scratch.cache().plan_checkout(
        &Ctx::silent(),
        Some(&artifact),
        &scratch.path("d"),
        &NoFilter,
    );
    assert!(matches!(planned, Err(CacheError::Corrupt { .. })), "protected or not");
    Ok(())
}

#[test]
fn nested_paths_cost_no_more_than_their_bytes() {
    let start = Instant::now();
    let way = "a/".repeat(1900);
    let rows: Vec<String> = (0..2000)
        .map(|nth| format!(r#"{{"md5": "{EMPTY}", "relpath": "{way}{nth:05}"}}"#))
        .collect();
    let text = format!("[{}]", rows.join(", "));
    let tree = Tree::parse(Algorithm::Md5, text.as_bytes()).unwrap();
    assert_eq!(tree.entries().len(), 2000);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());

    let long = "a/".repeat(10_000_000);
    let text = format!(r#"[{{"md5": "{EMPTY}", "relpath": "{long}a"}}]"#);
    match Tree::parse(Algorithm::Md5, text.as_bytes()) {
        Err(TreeError::Path { path }) => assert!(path.len() <= 4096),
        other => panic!("{:?}", other.map(|tree| tree.entries().len())),
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_manifest_of_gigabytes_is_not_read() -> Result {
    let scratch = Scratch::new();
    let artifact = plant(&scratch, b"[]");
    let path = scratch.cache().object_path(&artifact.id);
    fs::remove_file(&path)?;
    File::create(&path)?.set_len(3 << 30)?;
    set_mode(&path, 0o444);
    let read = scratch.cache().read_tree(&artifact.id);
    assert!(matches!(
        read,
        Err(CacheError::Manifest { source: TreeError::TooLarge { size }, .. }) if size == 3 << 30
    ));
    Ok(())
}

#[test]
fn a_link_on_the_way_leads_nothing_out_of_the_project() -> Result {
    let scratch = Scratch::new();
    let workspace = scratch.path("project");
    fs::create_dir_all(workspace.join("real"))?;
    fs::create_dir(scratch.path("outside"))?;
    symlink(scratch.path("outside"), workspace.join("out"))?;
    symlink("real", workspace.join("in"))?;
    let options =
        CacheOptions { workspace: Some(workspace.clone()), ..scratch.options(&[LinkKind::Copy]) };
    let cache = Cache::open(&scratch.path("cache"), options)?;
    let ctx = Ctx::silent();
    let id = cache.add_bytes(b"keys")?;
    let artifact = Artifact { id, size: None, n_files: None, is_exec: false };
    for below in ["out/keys", "out/deeper/keys"] {
        let planned = cache.plan_checkout(&ctx, Some(&artifact), &workspace.join(below), &NoFilter);
        assert!(
            matches!(&planned, Err(CacheError::LeadsOutside { link }) if *link == workspace.join("out")),
            "{below}: {planned:?}"
        );
    }
    assert_eq!(fs::read_dir(scratch.path("outside"))?.count(), 0);
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &workspace.join("in/keys"), &NoFilter)?;
    cache.checkout(&ctx, plan)?;
    assert_eq!(scratch.read("project/real/keys"), "keys", "a link within the project is fine");
    Ok(())
}

#[test]
fn manifests_of_dvc_2_are_read_where_it_left_them() -> Result {
    let scratch = Scratch::new();
    let (cache, ctx) = (scratch.cache(), Ctx::silent());
    let text = "one\r\ntwo\r\n";
    let folded = Digest::of(Algorithm::Md5, b"one\ntwo\n").to_hex();
    let manifest = format!(r#"[{{"md5": "{folded}", "relpath": "sub/x"}}]"#);
    let name = Digest::of(Algorithm::Md5, manifest.as_bytes()).to_hex();
    scratch.write(&format!("cache/{}/{}", &folded[..2], &folded[2..]), text);
    scratch.write(&format!("cache/{}/{}.dir", &name[..2], &name[2..]), &manifest);
    let id = ObjectId::parse(Algorithm::Md5Dos2Unix, &format!("{name}.dir"))?;
    let artifact = Artifact { id, size: None, n_files: None, is_exec: false };
    assert!(cache.has_all(&artifact)?);
    let path = scratch.path("d");
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
    cache.checkout(&ctx, plan)?;
    assert_eq!(scratch.read("d/sub/x"), text);
    // Line ends of another system are no change to DVC 2.
    scratch.write("d/sub/x", "one\ntwo\n");
    let seen = cache.digest_as(&ctx, Algorithm::Md5Dos2Unix, &path, &NoFilter)?;
    assert_eq!(seen.ok_or("gone")?.id, id);
    Ok(())
}

#[test]
fn a_store_on_another_file_system_falls_back_to_what_works() -> Result {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("SKIPPED: there is no second file system at /dev/shm");
        return Ok(());
    };
    let scratch = Scratch::new();
    if fs::metadata(elsewhere.path())?.dev() == fs::metadata(scratch.path(""))?.dev() {
        eprintln!("SKIPPED: /dev/shm is on the file system of temporary files");
        return Ok(());
    }
    let ctx = Ctx::silent();
    for links in [
        &[LinkKind::Reflink, LinkKind::Hardlink, LinkKind::Copy][..],
        &[LinkKind::Hardlink, LinkKind::Symlink],
        &[LinkKind::Hardlink, LinkKind::Copy],
    ] {
        let scratch = Scratch::new();
        let root = tempfile::tempdir_in(elsewhere.path())?;
        let cache = Cache::open(&root.path().join("cache"), scratch.options(links))?;
        scratch.write("d/a", "1");
        scratch.write("d/large", vec![b'l'; (1 << 20) + 5]);
        set_mode(&scratch.write("d/tool", "run"), 0o755);
        let artifact = add(&cache, &scratch.path("d"));
        assert!(cache.has_all(&artifact)?);
        fs::remove_dir_all(scratch.path("d"))?;
        let plan = cache.plan_checkout(&ctx, Some(&artifact), &scratch.path("d"), &NoFilter)?;
        cache.checkout(&ctx, plan)?;
        assert_eq!(scratch.read("d/a"), "1", "{links:?}");
        let is_symlink = fs::symlink_metadata(scratch.path("d/a"))?.is_symlink();
        assert_eq!(is_symlink, links.contains(&LinkKind::Symlink), "{links:?}");
        assert_eq!(
            cache.digest(&ctx, &scratch.path("d"), &NoFilter)?.ok_or("gone")?.id,
            artifact.id
        );
    }
    let cache = Cache::open(elsewhere.path(), scratch.options(&[LinkKind::Hardlink]))?;
    let artifact = add_without_links(&cache, &scratch)?;
    let path = scratch.path("y");
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
    let refused = cache.checkout(&ctx, plan);
    assert!(matches!(refused, Err(CacheError::NoLinkKind { path: at }) if at == path));
    Ok(())
}

fn add_without_links(cache: &Cache, scratch: &Scratch) -> Result<Artifact> {
    Ok(cache.add(&Ctx::silent(), &scratch.write("x", "x"), &NoFilter, Relink::No)?)
}

#[test]
fn a_file_of_a_directory_keeps_its_executable_bit_when_its_content_changes() -> Result {
    for kind in [LinkKind::Copy, LinkKind::Hardlink, LinkKind::Symlink] {
        let scratch = Scratch::new();
        let cache = scratch.cache_with(&[kind]);
        let (ctx, path) = (Ctx::silent(), scratch.path("d"));
        set_mode(&scratch.write("d/tool", "one"), 0o755);
        scratch.write("d/text", "one");
        let old = add(&cache, &path);
        cache.unprotect(&ctx, &path)?;
        scratch.write("d/tool", "two");
        scratch.write("d/text", "two");
        add(&cache, &path);
        assert_eq!(mode(&scratch.path("d/tool")), 0o755, "{kind}");
        let plan = cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?;
        cache.checkout(&ctx, plan)?;
        assert_eq!((scratch.read("d/tool"), scratch.read("d/text")), ("one".into(), "one".into()));
        assert_eq!(mode(&scratch.path("d/tool")), 0o755, "{kind}");
        assert_eq!(mode(&scratch.path("d/text")) & 0o111, 0, "{kind}");
        let object = cache.object_path(&ObjectId::file(Digest::of(Algorithm::Md5, b"one")));
        assert_eq!(mode(&object), 0o444, "{kind}");
    }
    Ok(())
}
