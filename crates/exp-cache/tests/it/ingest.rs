//! Storing and digesting.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use exp_cache::{Cache, CacheError, CacheOptions, Filter, LinkKind, Modes, NoFilter, Relink};
use exp_core::{Algorithm, Ctx, ObjectId};

use crate::scratch::{Result, Scratch, add, mode, set_mode};

/// The example of DVC 3.67.1 made by `dvc add`.
const MANIFEST: &str = r#"[{"md5": "9d5ed678fe57bcca610140957afab571", "relpath": "B"}, {"md5": "fbade9e36a3f36d3d676c1b808451dd7", "relpath": "a.txt"}, {"md5": "dfda6361a5637a57cbffd42f1749ef5f", "relpath": "a/1"}, {"md5": "d41d8cd98f00b204e9800998ecf8427e", "relpath": "empty"}]"#;

#[test]
fn objects_and_modes_are_those_of_dvc() -> Result {
    // `dvc add d` and `dvc add e.sh` of DVC 3.67.1 on the same files made exactly these.
    let scratch = Scratch::new();
    let cache = scratch.cache();
    scratch.write("d/x", "hi\n");
    set_mode(&scratch.write("d/sub/y", "q"), 0o755);
    scratch.write("d/empty", "");
    let tool = scratch.write("e.sh", "run\n");
    set_mode(&tool, 0o755);

    let dir = add(&cache, &scratch.path("d"));
    assert_eq!(dir.id.to_string(), "c222b448eb073a86f7dc929fb7fc58cb.dir");
    assert_eq!((dir.size, dir.n_files, dir.is_exec), (Some(4), Some(3), false));
    let file = add(&cache, &tool);
    assert_eq!(file.id.to_string(), "b0f24e3d11bfe3d31529d1b9f2745cfd");
    assert_eq!((file.size, file.n_files, file.is_exec), (Some(4), None, true));

    drop(cache);
    let names: Vec<String> = scratch
        .list("cache/files")
        .into_iter()
        .map(|(path, what)| format!("{} {path}", what.split(' ').next().unwrap_or_default()))
        .filter(|line| !line.starts_with("dir"))
        .collect();
    assert_eq!(
        names,
        [
            "444 md5/76/4efa883dda1e11db47671c4a3bbd9e",
            "444 md5/76/94f4a66316e53c8cdd9d9954bd611d",
            "444 md5/b0/f24e3d11bfe3d31529d1b9f2745cfd",
            "444 md5/c2/22b448eb073a86f7dc929fb7fc58cb.dir",
            "444 md5/d4/1d8cd98f00b204e9800998ecf8427e",
        ]
    );
    assert_eq!(
        fs::read_dir(scratch.path("cache/tmp"))?.count(),
        1,
        "only the store's lock is left"
    );
    assert_eq!(mode(&tool), 0o755, "a copy stays the file that it was");
    Ok(())
}

#[test]
fn manifests_have_the_bytes_of_dvc() -> Result {
    let tree = exp_cache::Tree::parse(Algorithm::Md5, MANIFEST.as_bytes())?;
    assert_eq!(String::from_utf8(tree.to_bytes())?, MANIFEST);
    let scratch = Scratch::new();
    let cache = scratch.cache();
    fs::create_dir(scratch.path("none"))?;
    let empty = add(&cache, &scratch.path("none"));
    assert_eq!(empty.id.to_string(), "d751713988987e9331980363e24189ce.dir");
    assert_eq!((empty.size, empty.n_files), (Some(0), Some(0)));
    Ok(())
}

#[test]
fn digesting_agrees_with_adding_and_stores_nothing() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for nth in 0..20 {
        scratch.write(&format!("d/{nth}"), format!("content {nth}"));
    }
    scratch.write("big", vec![7; 3 << 20]);
    let ctx = Ctx::silent();
    for name in ["d", "big"] {
        let path = scratch.path(name);
        let seen = cache.digest(&ctx, &path, &NoFilter)?;
        assert!(!scratch.path("cache").exists() || name == "big");
        assert_eq!(seen, Some(add(&cache, &path)));
        assert_eq!(seen, cache.digest(&ctx, &path, &NoFilter)?);
        assert!(cache.has_all(&seen.ok_or("nothing")?)?);
    }
    assert_eq!(cache.digest(&ctx, &scratch.path("nothing"), &NoFilter)?, None);
    Ok(())
}

#[test]
fn a_changed_file_is_never_believed_unchanged() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    for nth in 0..10 {
        scratch.write(&format!("d/{nth}"), "0");
    }
    let mut before = cache.digest(&ctx, &scratch.path("d"), &NoFilter)?;
    // Written, looked at and written again within one tick of the clock, with the same size.
    for round in 1..100_u8 {
        scratch.write("d/5", [round]);
        let after = cache.digest(&ctx, &scratch.path("d"), &NoFilter)?;
        assert_ne!(before, after, "round {round}");
        before = after;
    }
    Ok(())
}

#[test]
fn a_damaged_memo_is_replaced_and_an_unwritable_one_ignored() -> Result {
    let scratch = Scratch::new();
    let ctx = Ctx::silent();
    for nth in 0..10 {
        scratch.write(&format!("d/{nth}"), format!("{nth}"));
    }
    let path = scratch.path("d");
    let expect = scratch.cache().digest(&ctx, &path, &NoFilter)?;
    for damage in [&b"no database at all, but long enough to be taken for one"[..], b"x", b""] {
        fs::remove_file(scratch.path("memo/stat.db-wal")).ok();
        fs::write(scratch.path("memo/stat.db"), damage)?;
        assert_eq!(scratch.cache().digest(&ctx, &path, &NoFilter)?, expect);
        assert!(fs::read(scratch.path("memo/stat.db"))?.starts_with(b"SQLite format 3"));
    }
    let options = CacheOptions {
        memo: Some(scratch.path("d/0/not/a/directory")),
        ..scratch.options(&[LinkKind::Copy])
    };
    let cache = Cache::open(&scratch.path("cache"), options)?;
    assert_eq!(cache.digest(&ctx, &path, &NoFilter)?, expect);
    Ok(())
}

#[test]
fn linked_files_count_by_content_and_become_files() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let outside = scratch.write("outside", "far");
    scratch.write("d/near", "near");
    symlink(&outside, scratch.path("d/link"))?;
    let artifact = add(&cache, &scratch.path("d"));
    assert_eq!(artifact.size, Some(7));
    assert!(!fs::symlink_metadata(scratch.path("d/link"))?.is_symlink());
    assert_eq!(scratch.read("d/link"), "far");
    assert_eq!(scratch.read("outside"), "far");
    Ok(())
}

#[test]
fn what_cannot_be_stored_is_refused_by_name() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    let add = |name: &str| cache.add(&ctx, &scratch.path(name), &NoFilter, Relink::No);
    assert!(matches!(add("nothing"), Err(CacheError::Absent { .. })));

    scratch.write("a/x", "x");
    symlink("nowhere", scratch.path("a/broken"))?;
    assert!(matches!(add("a"), Err(CacheError::BrokenLink { path }) if path.ends_with("a/broken")));

    scratch.write("b/x", "x");
    symlink("loop", scratch.path("b/loop"))?;
    assert!(matches!(add("b"), Err(CacheError::BrokenLink { .. })));

    scratch.write("c/x", "x");
    fs::write(scratch.path("c").join(std::ffi::OsStr::from_bytes(b"\xff")), "y")?;
    assert!(matches!(add("c"), Err(CacheError::NotUtf8 { .. })));

    scratch.write("e/x", "x");
    let _socket = std::os::unix::net::UnixListener::bind(scratch.path("e/socket"))?;
    assert!(matches!(add("e"), Err(CacheError::Special { .. })));

    scratch.write("f/x", "x");
    symlink("f", scratch.path("linked"))?;
    assert!(matches!(add("linked"), Err(CacheError::LinkedDirectory { .. })));
    assert_eq!(
        cache.digest(&ctx, &scratch.path("linked"), &NoFilter)?,
        cache.digest(&ctx, &scratch.path("f"), &NoFilter)?
    );
    Ok(())
}

#[test]
fn directories_behind_links_are_left_out_with_a_warning() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    scratch.write("d/x", "x");
    scratch.write("elsewhere/y", "y");
    let plain = add(&cache, &scratch.path("d"));
    symlink(scratch.path("elsewhere"), scratch.path("d/link"))?;
    let warnings = std::sync::Mutex::new(Vec::new());
    let sink = |event: exp_core::Event<'_>| {
        if let exp_core::Event::Warning(warning) = event {
            warnings.lock().unwrap().push(format!("{warning:?}"));
        }
    };
    let ctx = Ctx::new(&sink, exp_core::CancelToken::new());
    let seen = cache.digest(&ctx, &scratch.path("d"), &NoFilter)?.ok_or("nothing")?;
    assert_eq!(seen.id, plain.id);
    let warnings = warnings.into_inner()?;
    assert!(warnings.len() == 1 && warnings[0].contains("d/link"), "{warnings:?}");
    Ok(())
}

#[test]
fn ignored_files_are_neither_stored_nor_entered() -> Result {
    struct NoLogs;
    impl Filter for NoLogs {
        fn ignored(&self, path: &str, is_dir: bool) -> bool {
            assert!(!path.starts_with("tmp/"), "nothing below an ignored directory is asked for");
            (path == "tmp" && is_dir) || path.ends_with("log")
        }
    }
    let scratch = Scratch::new();
    let cache = scratch.cache();
    scratch.write("d/x", "x");
    let plain = add(&cache, &scratch.path("d"));
    scratch.write("d/sub/y.log", "y");
    scratch.write("d/tmp/z", "z");
    let seen = cache.add(&Ctx::silent(), &scratch.path("d"), &NoLogs, Relink::Yes)?;
    assert_eq!(seen.id, plain.id);
    Ok(())
}

#[test]
fn links_of_each_kind_are_made_and_undone() -> Result {
    for kind in [LinkKind::Hardlink, LinkKind::Symlink, LinkKind::Copy] {
        let scratch = Scratch::new();
        let cache = scratch.cache_with(&[kind]);
        scratch.write("d/x", "content");
        scratch.write("d/empty", "");
        set_mode(&scratch.write("d/tool", "tool"), 0o755);
        let artifact = add(&cache, &scratch.path("d"));
        assert_eq!(artifact, add(&cache, &scratch.path("d")), "adding again changes nothing");
        let object = |text: &str| {
            cache
                .object_path(&ObjectId::file(exp_core::Digest::of(Algorithm::Md5, text.as_bytes())))
        };
        let path = scratch.path("d/x");
        let is_symlink = fs::symlink_metadata(&path)?.is_symlink();
        let is_same = fs::metadata(&path)?.ino() == fs::metadata(object("content"))?.ino();
        match kind {
            LinkKind::Hardlink => assert!(is_same && !is_symlink),
            LinkKind::Symlink => assert_eq!(fs::read_link(&path)?, object("content")),
            _ => assert!(!is_same && !is_symlink),
        }
        assert_eq!(mode(&scratch.path("d/tool")), 0o755, "{kind}: an executable is not linked");
        assert_eq!(mode(&object("tool")), 0o444);

        cache.unprotect(&Ctx::silent(), &scratch.path("d"))?;
        fs::write(&path, "changed")?;
        assert_eq!(fs::read_to_string(object("content"))?, "content", "{kind}");
        assert_eq!(mode(&path), 0o644, "{kind}");
        assert_eq!(mode(&scratch.path("d/tool")), 0o755, "{kind}");
    }
    Ok(())
}

#[test]
fn a_shared_store_lets_the_group_write() -> Result {
    let scratch = Scratch::new();
    let options = CacheOptions {
        modes: Modes { umask: 0o077, group_shared: true },
        ..scratch.options(&[LinkKind::Copy])
    };
    let cache = Cache::open(&scratch.path("cache"), options)?;
    let artifact = add(&cache, &scratch.write("x", "x"));
    let object = cache.object_path(&artifact.id);
    assert_eq!(mode(&object), 0o444);
    assert_eq!(mode(object.parent().ok_or("no parent")?), 0o2775);
    Ok(())
}

#[test]
fn only_mode_0444_is_trusted() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let artifact = add(&cache, &scratch.write("x", "content"));
    let object = cache.object_path(&artifact.id);

    set_mode(&object, 0o644);
    assert!(cache.contains(&artifact.id));
    assert_eq!(mode(&object), 0o444, "verified once, trusted again");

    set_mode(&object, 0o644);
    fs::write(&object, "edited")?;
    assert!(!cache.contains(&artifact.id));
    assert!(matches!(cache.read(&artifact.id), Err(CacheError::Corrupt { .. })));

    add(&cache, &scratch.path("x"));
    assert_eq!(cache.read_bytes(&artifact.id)?, b"content", "adding heals");
    Ok(())
}

#[test]
fn sha256_projects_have_their_own_objects() -> Result {
    let scratch = Scratch::new();
    let cache = Cache::open(&scratch.path("cache"), CacheOptions::new(Algorithm::Sha256))?;
    scratch.write("d/x", "abc");
    let artifact = add(&cache, &scratch.path("d"));
    let manifest = String::from_utf8(cache.read_bytes(&artifact.id)?)?;
    assert_eq!(
        manifest,
        r#"[{"relpath": "x", "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]"#
    );
    assert!(cache.object_path(&artifact.id).starts_with(scratch.path("cache/files/sha256")));
    assert!(cache.has_all(&artifact)?);
    Ok(())
}

#[test]
fn two_stores_add_the_same_files_at_once() -> Result {
    let scratch = Scratch::new();
    for nth in 0..200 {
        scratch.write(&format!("d/{}/{nth}", nth % 7), format!("content {}", nth % 150));
    }
    let results: Vec<_> = std::thread::scope(|scope| {
        let add_all = |kind: LinkKind| {
            let cache = scratch.cache_with(&[kind]);
            cache.add(&Ctx::silent(), &scratch.path("d"), &NoFilter, Relink::No)
        };
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(move || add_all(LinkKind::Copy))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let cache = scratch.cache();
    for result in results {
        assert!(cache.has_all(&result?)?);
    }
    for (path, what) in scratch.list("cache/files") {
        assert!(what.starts_with("dir") || what.starts_with("444 "), "{path}: {what}");
    }
    Ok(())
}

#[test]
fn what_was_left_before_it_had_a_lock_is_cleaned_up() {
    let scratch = Scratch::new();
    let path = scratch.write("a", "a");
    // As a process leaves it that dies between making its directory and locking it.
    fs::create_dir_all(scratch.path("cache/tmp/wabcdef")).unwrap();
    let cache = scratch.cache();
    add(&cache, &path);
    drop(cache);
    let left: Vec<String> = scratch.list("cache/tmp").into_keys().collect();
    assert_eq!(left, ["lock"]);
}
