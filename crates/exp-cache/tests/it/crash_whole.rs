//! Dying at every write of what changes the store as a whole: collecting, migrating, mending; and of a push to a
//! directory.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use exp_cache::testing::Faults;
use exp_cache::{
    Cache, CacheError, CacheOptions, DirStorage, GcOptions, LinkKind, Modes, NoFilter, Relink,
    Remote, plan_pull, plan_push, pull, push,
};
use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId};

use crate::scratch::{Result, Scratch, add, assert_store_is_whole, set_mode};

fn fill(scratch: &Scratch) {
    for (name, text) in [("d/a", "1"), ("d/b", "second"), ("d/sub/c", "3"), ("d/e", "")] {
        scratch.write(name, text);
    }
    // Larger than what is staged from memory.
    scratch.write("d/large", vec![b'l'; (1 << 20) + 5]);
}

fn dying(scratch: &Scratch, n: u64) -> Result<Cache> {
    let options = scratch.options(&[LinkKind::Copy]);
    let faults = Arc::new(Faults::crash_after(n));
    Ok(Cache::open_with_faults(&scratch.path("cache"), options, faults)?)
}

/// The next one to write cleans up after the dead.
#[track_caller]
fn assert_nothing_is_left(scratch: &Scratch, what: &str) {
    scratch.write("another", "another");
    add(&scratch.cache(), &scratch.path("another"));
    let left: Vec<String> = scratch.list("cache/tmp").into_keys().collect();
    assert_eq!(left, ["lock"], "{what}");
}

#[test]
fn dying_at_any_write_of_an_add_of_one_file_loses_nothing() -> Result {
    for (link, len) in [
        (LinkKind::Copy, 5),
        (LinkKind::Copy, (1 << 20) + 5),
        (LinkKind::Hardlink, 5),
        (LinkKind::Hardlink, (1 << 20) + 5),
        (LinkKind::Symlink, (1 << 20) + 5),
    ] {
        for n in 0.. {
            let what = format!("{link} of {len} bytes after {n} writes");
            let scratch = Scratch::new();
            let path = scratch.write("file", vec![b'x'; len]);
            let options = scratch.options(&[link]);
            let faults = Arc::new(Faults::crash_after(n));
            let cache = Cache::open_with_faults(&scratch.path("cache"), options, faults)?;
            let result = cache.add(&Ctx::silent(), &path, &NoFilter, Relink::Yes);
            drop(cache);
            assert_eq!(fs::read(&path)?.len(), len, "{what}");
            assert_store_is_whole(&scratch, &what);
            let cache = scratch.cache_with(&[link]);
            let again = add(&cache, &path);
            assert!(cache.has_all(&again)?, "{what}");
            assert_eq!(fs::read(&path)?, vec![b'x'; len], "{what}");
            drop(cache);
            assert_nothing_is_left(&scratch, &what);
            if result.is_ok() {
                assert!(n > 3, "the writes are counted");
                break;
            }
        }
    }
    Ok(())
}

#[test]
fn dying_at_any_write_of_a_collection_keeps_what_is_needed() -> Result {
    for n in 0.. {
        let what = format!("after {n} writes");
        let scratch = Scratch::new();
        fill(&scratch);
        let ctx = Ctx::silent();
        let kept = add(&scratch.cache(), &scratch.path("d"));
        let mut doomed = Vec::new();
        for nth in 0..3 {
            scratch.write("d/a", format!("garbage {nth}"));
            doomed.push(add(&scratch.cache(), &scratch.path("d")));
        }
        let run = |cache: &Cache| -> std::result::Result<usize, CacheError> {
            let keep = cache.keep(&ctx, [kept.id])?;
            let options = GcOptions { grace: Duration::ZERO, now: SystemTime::now() };
            let plan = cache.plan_gc(&ctx, &keep, &options)?;
            let stats = cache.gc::<CacheError>(&ctx, plan, &mut || cache.keep(&ctx, [kept.id]))?;
            match stats.failed.into_iter().next() {
                Some((_, err)) => Err(err),
                None => Ok(stats.removed.len()),
            }
        };
        let result = run(&dying(&scratch, n)?);
        assert_store_is_whole(&scratch, &what);
        let cache = scratch.cache();
        assert!(cache.has_all(&kept)?, "{what}");
        // Whoever adds the garbage again meanwhile has all of it.
        scratch.write("d/a", "garbage 1");
        let again = add(&cache, &scratch.path("d"));
        assert!(cache.has_all(&again)?, "{what}");
        drop(cache);
        run(&scratch.cache())?;
        assert!(scratch.cache().has_all(&kept)?, "{what}");
        for one in doomed {
            assert!(!scratch.cache().contains(&one.id), "{what}: the next one removes the rest");
        }
        assert_nothing_is_left(&scratch, &what);
        if result.is_ok_and(|n_removed| n_removed == 6) {
            assert!(n >= 6, "the writes are counted");
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn dying_at_any_write_of_a_migration_keeps_old_and_makes_whole_new_names() -> Result {
    let text = b"one\r\ntwo\r\n";
    let folded = Digest::of(Algorithm::Md5, b"one\ntwo\n").to_hex();
    let manifest = format!(r#"[{{"md5": "{folded}", "relpath": "sub/x"}}]"#);
    let name = Digest::of(Algorithm::Md5, manifest.as_bytes()).to_hex();
    let old = ObjectId::parse(Algorithm::Md5Dos2Unix, &format!("{name}.dir"))?;
    let old = Artifact { id: old, size: None, n_files: None, is_exec: false };
    for n in 0.. {
        let what = format!("after {n} writes");
        let scratch = Scratch::new();
        let ctx = Ctx::silent();
        scratch.write(&format!("cache/{}/{}", &folded[..2], &folded[2..]), text);
        scratch.write(&format!("cache/{}/{}.dir", &name[..2], &name[2..]), &manifest);
        let result = dying(&scratch, n)?.migrate(&ctx);
        assert_store_is_whole(&scratch, &what);
        assert!(scratch.cache().has_all(&old)?, "{what}: the old names stay");

        let cache = scratch.cache();
        let done = cache.migrate(&ctx)?;
        assert!(done.left.is_empty(), "{what}: {:?}", done.left);
        let new = Artifact { id: done.names[&old.id], ..old };
        assert!(cache.has_all(&new)? && cache.has_all(&old)?, "{what}");
        let tree = cache.read_tree(&new.id)?;
        let file = ObjectId::file(*tree.get("sub/x").ok_or("not listed")?);
        assert_eq!(cache.read_bytes(&file)?, text, "{what}");
        drop(cache);
        assert_nothing_is_left(&scratch, &what);
        if result.is_ok() {
            assert!(n > 6, "the writes are counted");
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn dying_at_any_write_of_a_push_leaves_a_remote_of_whole_objects() -> Result {
    let jobs = NonZeroUsize::new(2).ok_or("zero")?;
    for n in 0.. {
        let what = format!("after {n} writes");
        let scratch = Scratch::new();
        fill(&scratch);
        let ctx = Ctx::silent();
        let cache = scratch.cache();
        let artifact = add(&cache, &scratch.path("d"));
        let ids = BTreeSet::from([artifact.id]);
        let send = |storage: DirStorage| {
            let remote = Remote::new(Arc::new(storage));
            let plan = plan_push(&ctx, &cache, &remote, &ids)?;
            push(&ctx, &cache, &remote, plan, jobs)
        };
        let at = scratch.path("far");
        let faults = Arc::new(Faults::crash_after(n));
        let result = send(DirStorage::with_faults(&at, Modes::default(), faults));

        // Whoever pulls now gets whole objects, and a manifest only with all of its files.
        let near = |name: &str| Cache::open(&scratch.path(name), CacheOptions::new(Algorithm::Md5));
        let remote = || Remote::new(Arc::new(DirStorage::new(&at, Modes::default())));
        let (other, from) = (near("other")?, remote());
        let stats = pull(&ctx, &other, &from, plan_pull(&ctx, &other, &from, &ids)?, jobs)?;
        assert!(stats.failed.is_empty(), "{what}: {:?}", stats.failed);
        if other.contains(&artifact.id) {
            assert!(other.has_all(&artifact)?, "{what}");
        }
        let again = send(DirStorage::new(&at, Modes::default()))?;
        assert!(again.failed.is_empty() && again.missing.is_empty(), "{what}");
        let (third, from) = (near("third")?, remote());
        pull(&ctx, &third, &from, plan_pull(&ctx, &third, &from, &ids)?, jobs)?;
        assert!(third.has_all(&artifact)?, "{what}");
        if result.is_ok_and(|stats| stats.failed.is_empty() && stats.held_back.is_empty()) {
            assert!(n > 6, "the writes are counted");
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn dying_at_any_write_of_a_repair_loses_no_right_bytes() -> Result {
    for n in 0.. {
        let what = format!("after {n} writes");
        let scratch = Scratch::new();
        let ctx = Ctx::silent();
        let path = scratch.write("file", "right");
        let id = add(&scratch.cache(), &path).id;
        let object = scratch.cache().object_path(&id);
        set_mode(&object, 0o644);
        fs::write(&object, "wrong")?;
        set_mode(&object, 0o444);
        let mend = |cache: &Cache| -> std::result::Result<bool, CacheError> {
            cache.set_aside(&id)?;
            cache.restore_from(&ctx, &id, &path)
        };
        let result = mend(&dying(&scratch, n)?);
        assert_eq!(scratch.read("file"), "right", "{what}");
        match fs::read_to_string(&object) {
            // Not yet set aside, not there, or mended: never half of it.
            Ok(text) => assert!(["wrong", "right"].contains(&text.as_str()), "{what}: {text}"),
            Err(err) => assert_eq!(err.kind(), std::io::ErrorKind::NotFound, "{what}"),
        }
        assert!(mend(&scratch.cache())?, "{what}");
        assert_eq!(scratch.cache().read_bytes(&id)?, b"right", "{what}");
        assert_nothing_is_left(&scratch, &what);
        if result.is_ok() {
            return Ok(());
        }
    }
    Ok(())
}
