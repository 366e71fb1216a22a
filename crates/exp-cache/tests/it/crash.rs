//! Dying at every write, and a disk that fills up at every write.

use std::fs;
use std::sync::Arc;

use exp_cache::testing::Faults;
use exp_cache::{Cache, CacheOptions, LinkKind, NoFilter, Relink};
use exp_core::{Algorithm, Artifact, Ctx, Digest};

use crate::scratch::{Result, Scratch};

const FILES: [(&str, &str); 4] = [("d/a", "1"), ("d/b", "second"), ("d/sub/c", "3"), ("d/e", "")];

fn fill(scratch: &Scratch) {
    for (name, text) in FILES {
        scratch.write(name, text);
    }
    // Larger than what is staged from memory.
    scratch.write("d/large", vec![b'l'; (1 << 20) + 5]);
}

fn faulty(scratch: &Scratch, links: &[LinkKind], faults: &Arc<Faults>) -> Result<Cache> {
    let options =
        CacheOptions { links: links.to_vec(), memo: None, ..CacheOptions::new(Algorithm::Md5) };
    Ok(Cache::open_with_faults(&scratch.path("cache"), options, Arc::clone(faults))?)
}

fn add(cache: &Cache, scratch: &Scratch) -> std::result::Result<Artifact, exp_cache::CacheError> {
    cache.add(&Ctx::silent(), &scratch.path("d"), &NoFilter, Relink::Yes)
}

/// Every object that has a name has its bytes, and every manifest its members.
#[track_caller]
fn assert_store_is_whole(scratch: &Scratch, what: &str) {
    if !scratch.path("cache/files/md5").exists() {
        return;
    }
    let cache = scratch.cache();
    for (path, content) in scratch.list("cache/files/md5") {
        if content.starts_with("dir") {
            continue;
        }
        let bytes = fs::read(scratch.path("cache/files/md5").join(&path)).unwrap();
        let name = path.replace('/', "");
        let id = exp_core::ObjectId::parse(Algorithm::Md5, &name).unwrap();
        assert_eq!(Digest::of(Algorithm::Md5, &bytes), id.digest, "{what}: half object {path}");
        let artifact = Artifact { id, size: None, n_files: None, is_exec: false };
        assert!(cache.has_all(&artifact).unwrap(), "{what}: incomplete {path}");
    }
}

#[track_caller]
fn assert_workspace_is_whole(scratch: &Scratch, what: &str) {
    for (name, text) in FILES {
        assert_eq!(scratch.read(name), text, "{what}");
    }
    assert_eq!(scratch.read("d/large").len(), (1 << 20) + 5, "{what}");
    let names = scratch.list("d").len();
    assert_eq!(names, FILES.len() + 2, "{what}: something strange is in the workspace");
}

#[test]
fn dying_at_any_write_of_an_add_loses_nothing() -> Result {
    for links in [[LinkKind::Copy], [LinkKind::Hardlink], [LinkKind::Symlink]] {
        let mut n = 0;
        loop {
            let what = format!("{links:?} after {n} writes");
            let scratch = Scratch::new();
            fill(&scratch);
            let faults = Arc::new(Faults::crash_after(n));
            let result = add(&faulty(&scratch, &links, &faults)?, &scratch);
            assert_store_is_whole(&scratch, &what);
            assert_workspace_is_whole(&scratch, &what);

            let healthy = Arc::new(Faults::none());
            let cache = faulty(&scratch, &links, &healthy)?;
            let again = add(&cache, &scratch)?;
            assert!(cache.has_all(&again)?, "{what}");
            assert_workspace_is_whole(&scratch, &what);
            drop(cache);
            let left: Vec<String> = scratch.list("cache/tmp").into_keys().collect();
            assert_eq!(left, ["lock"], "{what}: the next one cleans up");
            if let Ok(artifact) = result {
                assert_eq!(artifact, again);
                break;
            }
            n += 1;
        }
        assert!(n > 10, "the writes are counted");
    }
    Ok(())
}

#[test]
fn a_full_disk_leaves_nothing_behind() -> Result {
    for n in 0.. {
        let scratch = Scratch::new();
        fill(&scratch);
        let faults = Arc::new(Faults::full_after(n));
        let cache = faulty(&scratch, &[LinkKind::Copy], &faults)?;
        let result = add(&cache, &scratch);
        if let Err(err) = &result {
            let cause = std::error::Error::source(err).map(ToString::to_string).unwrap_or_default();
            assert!(cause.contains("no storage space"), "{err}: {cause}");
        }
        if let Ok(tmp) = fs::read_dir(scratch.path("cache/tmp")) {
            for entry in tmp.flatten().filter(|entry| entry.path().is_dir()) {
                let left: Vec<_> = fs::read_dir(entry.path())?.flatten().collect();
                assert_eq!(left.len(), 1, "after {n} writes: only the lock is left: {left:?}");
            }
        }
        assert_store_is_whole(&scratch, "full disk");
        assert_workspace_is_whole(&scratch, "full disk");
        if result.is_ok() {
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn dying_at_any_write_of_a_checkout_leaves_old_or_new_files() -> Result {
    for n in 0.. {
        let scratch = Scratch::new();
        fill(&scratch);
        let ctx = Ctx::silent();
        let old = add(&scratch.cache(), &scratch)?;
        scratch.write("d/a", "other");
        scratch.write("d/more", "more");
        fs::remove_file(scratch.path("d/b"))?;
        let new = add(&scratch.cache(), &scratch)?;

        let faults = Arc::new(Faults::crash_after(n));
        let cache = faulty(&scratch, &[LinkKind::Copy], &faults)?;
        let path = scratch.path("d");
        let plan = cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?;
        let result = cache.checkout(&ctx, plan);
        assert!(["1", "other"].contains(&scratch.read("d/a").as_str()));
        assert!(!scratch.path("d/b").exists() || scratch.read("d/b") == "second");

        let cache = scratch.cache();
        let plan = cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?;
        assert!(plan.unsaved().is_empty(), "nothing half written is in the workspace");
        cache.checkout(&ctx, plan)?;
        assert_eq!(cache.digest(&ctx, &path, &NoFilter)?.ok_or("gone")?.id, old.id);
        assert_ne!(old, new);
        if result.is_ok() {
            assert!(n > 3);
            return Ok(());
        }
    }
    Ok(())
}
