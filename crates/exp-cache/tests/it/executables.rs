//! Executable files inside of directories: by SHA-256 their bits are kept, by MD5 they are the workspace's.

use std::fs;

use exp_cache::{Cache, CacheOptions, CheckoutStats, LinkKind, NoFilter, Relink};
use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId};

use crate::scratch::{Result, Scratch, add, mode, set_mode};

const KINDS: [LinkKind; 3] = [LinkKind::Copy, LinkKind::Hardlink, LinkKind::Symlink];

fn cache_by(algorithm: Algorithm, scratch: &Scratch, kind: LinkKind) -> Result<Cache> {
    let options = CacheOptions { algorithm, ..scratch.options(&[kind]) };
    Ok(Cache::open(&scratch.path("cache"), options)?)
}

fn sha256(scratch: &Scratch, kind: LinkKind) -> Result<Cache> {
    cache_by(Algorithm::Sha256, scratch, kind)
}

/// A directory with enough files for the memo.
fn with_files(scratch: &Scratch) {
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        scratch.write(&format!("d/{name}"), name);
    }
    scratch.write("d/sub/tool", "#!/bin/sh\n");
}

fn checkout(cache: &Cache, artifact: &Artifact, scratch: &Scratch) -> Result<CheckoutStats> {
    let ctx = Ctx::silent();
    let plan = cache.plan_checkout(&ctx, Some(artifact), &scratch.path("d"), &NoFilter)?;
    assert!(plan.unsaved().is_empty() && plan.missing().is_empty(), "{plan:?}");
    Ok(cache.checkout(&ctx, plan)?)
}

fn now(cache: &Cache, scratch: &Scratch) -> Result<ObjectId> {
    Ok(cache.digest(&Ctx::silent(), &scratch.path("d"), &NoFilter)?.ok_or("gone")?.id)
}

fn object_mode(cache: &Cache, text: &str) -> u32 {
    mode(&cache.object_path(&ObjectId::file(Digest::of(cache.algorithm(), text.as_bytes()))))
}

#[test]
fn the_bit_alone_makes_another_directory_and_comes_back() -> Result {
    for kind in KINDS {
        let scratch = Scratch::new();
        let cache = sha256(&scratch, kind)?;
        let tool = scratch.path("d/sub/tool");
        with_files(&scratch);
        let plain = add(&cache, &scratch.path("d"));
        assert_eq!(now(&cache, &scratch)?, plain.id, "{kind}");

        // Where the file is a link this makes the object executable, which must not get lost by looking at it.
        set_mode(&tool, mode(&tool) | 0o111);
        for _ in 0..2 {
            assert_ne!(now(&cache, &scratch)?, plain.id, "{kind}: the bit is seen");
            assert!(cache.has_all(&plain)?, "{kind}");
        }
        let set = add(&cache, &scratch.path("d"));
        assert_ne!(set.id, plain.id, "{kind}");
        assert_eq!((set.size, set.n_files, set.is_exec), (plain.size, plain.n_files, false));
        assert_eq!(mode(&tool) & 0o111, 0o111, "{kind}: it stays executable");
        assert_eq!(object_mode(&cache, "#!/bin/sh\n"), 0o444, "{kind}: its object is not");
        assert_eq!(add(&cache, &scratch.path("d")), set, "{kind}: adding again changes nothing");
        assert_eq!(now(&cache, &scratch)?, set.id, "{kind}");

        let one = CheckoutStats { modified: 1, ..CheckoutStats::default() };
        assert_eq!(checkout(&cache, &plain, &scratch)?, one, "{kind}");
        assert_eq!(mode(&tool) & 0o111, 0, "{kind}");
        assert_eq!(now(&cache, &scratch)?, plain.id, "{kind}");
        assert_eq!(checkout(&cache, &set, &scratch)?, one, "{kind}");
        assert_eq!(mode(&tool), 0o755, "{kind}: as umask allows");
        assert_eq!(now(&cache, &scratch)?, set.id, "{kind}");
        assert_eq!(checkout(&cache, &set, &scratch)?, CheckoutStats::default(), "{kind}");

        fs::remove_dir_all(scratch.path("d"))?;
        assert_eq!(checkout(&cache, &set, &scratch)?.added, 9, "{kind}");
        assert_eq!(mode(&tool), 0o755, "{kind}");
        assert!(!fs::symlink_metadata(&tool)?.is_symlink(), "{kind}: an executable is copied");
        assert_eq!(mode(&scratch.path("d/a")) & 0o111, 0, "{kind}");
        assert_eq!(now(&cache, &scratch)?, set.id, "{kind}");
        assert_eq!(object_mode(&cache, "#!/bin/sh\n"), 0o444, "{kind}");
    }
    Ok(())
}

#[test]
fn a_link_that_was_made_executable_loses_its_bit_to_nobody() -> Result {
    for kind in [LinkKind::Hardlink, LinkKind::Symlink] {
        for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
            let scratch = Scratch::new();
            let cache = cache_by(algorithm, &scratch, kind)?;
            let (ctx, path) = (Ctx::silent(), scratch.write("d/tool", "tool"));
            add(&cache, &scratch.path("d"));
            set_mode(&path, 0o555);
            cache.add(&ctx, &scratch.path("d"), &NoFilter, Relink::No)?;
            assert!(cache.contains(&ObjectId::file(Digest::of(algorithm, b"tool"))));
            assert_eq!(mode(&path), 0o555, "{kind}, {algorithm}: as it was");
            add(&cache, &scratch.path("d"));
            assert_eq!(mode(&path), 0o755, "{kind}, {algorithm}: a copy of its own");
            assert_eq!(object_mode(&cache, "tool"), 0o444, "{kind}, {algorithm}");
            fs::write(&path, "changed")?;
            assert_eq!(fs::read_to_string(&path)?, "changed");
            assert!(cache.contains(&ObjectId::file(Digest::of(algorithm, b"tool"))));

            let one = scratch.write("one", "one");
            add(&cache, &one);
            set_mode(&one, 0o555);
            let artifact = add(&cache, &one);
            assert!(artifact.is_exec && mode(&one) == 0o755, "{kind}, {algorithm}: one file");
            assert_eq!(object_mode(&cache, "one"), 0o444, "{kind}, {algorithm}");
        }
    }
    Ok(())
}

#[test]
fn an_executable_that_is_put_back_when_checked_out_keeps_what_it_was_recorded_with() -> Result {
    for kind in KINDS {
        let scratch = Scratch::new();
        let cache = sha256(&scratch, kind)?;
        let ctx = Ctx::silent();
        set_mode(&scratch.write("d/tool", "one"), 0o755);
        scratch.write("d/text", "one");
        let old = add(&cache, &scratch.path("d"));
        cache.unprotect(&ctx, &scratch.path("d"))?;
        set_mode(&scratch.write("d/tool", "two"), 0o644);
        set_mode(&scratch.write("d/text", "two"), 0o755);
        let new = add(&cache, &scratch.path("d"));
        let modes =
            || (mode(&scratch.path("d/tool")) & 0o111, mode(&scratch.path("d/text")) & 0o111);
        checkout(&cache, &old, &scratch)?;
        assert_eq!(modes(), (0o111, 0), "{kind}");
        checkout(&cache, &new, &scratch)?;
        assert_eq!(modes(), (0, 0o111), "{kind}");
        assert_eq!(now(&cache, &scratch)?, new.id, "{kind}");
    }
    Ok(())
}

#[test]
fn a_directory_by_md5_does_not_change_with_the_bit() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    with_files(&scratch);
    let plain = add(&cache, &scratch.path("d"));
    set_mode(&scratch.path("d/sub/tool"), 0o755);
    assert_eq!(now(&cache, &scratch)?, plain.id);
    assert_eq!(checkout(&cache, &plain, &scratch)?, CheckoutStats::default());
    assert_eq!(mode(&scratch.path("d/sub/tool")), 0o755, "the bit is the workspace's");
    // What DVC recorded stays comparable in a project of ours.
    let ours = Cache::open(
        &scratch.path("ours"),
        CacheOptions { algorithm: Algorithm::Sha256, ..scratch.options(&[LinkKind::Copy]) },
    )?;
    let seen = ours.digest_as(&Ctx::silent(), Algorithm::Md5, &scratch.path("d"), &NoFilter)?;
    assert_eq!(seen.ok_or("gone")?.id, plain.id);
    Ok(())
}
