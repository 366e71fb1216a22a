//! Dying at every write, and a disk that fills up at every write.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;

use exp_cache::testing::Faults;
use exp_cache::{
    Cache, CacheOptions, DirStorage, LinkKind, Modes, NoFilter, Relink, Remote, plan_pull,
    plan_push, pull, push,
};
use exp_core::{Algorithm, Artifact, Ctx};

use crate::scratch::{Result, Scratch, assert_store_is_whole};

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
                let mut left: Vec<_> = fs::read_dir(entry.path())?.flatten().collect();
                left.retain(|one| one.file_name() != "pins");
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

#[test]
fn dying_at_any_write_of_a_checkout_by_links_leaves_old_or_new_files() -> Result {
    for link in [LinkKind::Hardlink, LinkKind::Symlink] {
        for n in 0.. {
            let scratch = Scratch::new();
            fill(&scratch);
            let ctx = Ctx::silent();
            let healthy = Arc::new(Faults::none());
            let old = add(&faulty(&scratch, &[link], &healthy)?, &scratch)?;
            fs::remove_file(scratch.path("d/a"))?;
            fs::remove_file(scratch.path("d/sub/c"))?;
            let faults = Arc::new(Faults::crash_after(n));
            let cache = faulty(&scratch, &[link], &faults)?;
            let path = scratch.path("d");
            let plan = cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?;
            let result = cache.checkout(&ctx, plan);
            assert!(!scratch.path("d/a").exists() || scratch.read("d/a") == "1");
            assert!(!scratch.path("d/sub/c").exists() || scratch.read("d/sub/c") == "3");
            assert_store_is_whole(&scratch, "checkout by links");

            let cache = faulty(&scratch, &[link], &healthy)?;
            let plan = cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?;
            assert!(plan.unsaved().is_empty());
            cache.checkout(&ctx, plan)?;
            assert_workspace_is_whole(&scratch, "checkout by links");
            if result.is_ok() {
                break;
            }
        }
    }
    Ok(())
}

#[test]
fn a_full_disk_during_a_checkout_leaves_old_or_new_files() -> Result {
    for n in 0.. {
        let scratch = Scratch::new();
        fill(&scratch);
        let ctx = Ctx::silent();
        let old = add(&scratch.cache(), &scratch)?;
        scratch.write("d/a", "other");
        let new = add(&scratch.cache(), &scratch)?;
        let faults = Arc::new(Faults::full_after(n));
        let cache = faulty(&scratch, &[LinkKind::Copy], &faults)?;
        let path = scratch.path("d");
        let plan = cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?;
        let result = cache.checkout(&ctx, plan);
        let found = cache.digest(&ctx, &path, &NoFilter)?.ok_or("gone")?;
        let expect = if result.is_ok() { old.id } else { new.id };
        assert_eq!(found.id, expect, "nothing but one file was to change");
        assert_eq!(scratch.list("d").len(), FILES.len() + 2);
        if result.is_ok() {
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn dying_at_any_write_of_a_pull_leaves_no_half_object() -> Result {
    let jobs = NonZeroUsize::new(2).ok_or("zero")?;
    for n in 0.. {
        let scratch = Scratch::new();
        fill(&scratch);
        let ctx = Ctx::silent();
        let source = Cache::open(&scratch.path("source"), CacheOptions::new(Algorithm::Md5))?;
        let artifact = source.add(&ctx, &scratch.path("d"), &NoFilter, Relink::No)?;
        let ids = BTreeSet::from([artifact.id]);
        let storage = DirStorage::new(&scratch.path("remote"), Modes::default());
        let remote = Remote::new(Arc::new(storage));
        let plan = plan_push(&ctx, &source, &remote, &ids)?;
        push(&ctx, &source, &remote, plan, jobs)?;

        let faults = Arc::new(Faults::crash_after(n));
        let cache = faulty(&scratch, &[LinkKind::Copy], &faults)?;
        let receive = |cache: &Cache| {
            let plan = plan_pull(&ctx, cache, &remote, &ids)?;
            pull(&ctx, cache, &remote, plan, jobs)
        };
        let result = receive(&cache);
        drop(cache);
        assert_store_is_whole(&scratch, &format!("pull after {n} writes"));
        let cache = scratch.cache();
        receive(&cache)?;
        assert!(cache.has_all(&artifact)?);
        if result.is_ok_and(|stats| stats.failed.is_empty() && stats.held_back.is_empty()) {
            assert!(n > 5, "the writes are counted");
            return Ok(());
        }
    }
    Ok(())
}
