//! Objects with other bytes than their names say do not come into the workspace unseen.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use exp_cache::{Cache, CacheError, CheckoutStats, LinkKind, NoFilter};
use exp_core::{Artifact, Ctx, ObjectId};

use crate::scratch::{Result, Scratch, add, mode, rot, set_mode, set_written};

/// Plans and performs a checkout of `artifact` at `name`.
fn bring(
    scratch: &Scratch,
    cache: &Cache,
    (artifact, name): (&Artifact, &str),
) -> std::result::Result<CheckoutStats, CacheError> {
    let ctx = Ctx::silent();
    let plan = cache.plan_checkout(&ctx, Some(artifact), &scratch.path(name), &NoFilter)?;
    cache.checkout(&ctx, plan)
}

#[track_caller]
fn assert_refused(
    brought: std::result::Result<CheckoutStats, CacheError>,
    (scratch, id, name): (&Scratch, &ObjectId, &str),
) {
    match brought {
        Err(CacheError::CorruptSource { path, source }) => {
            assert_eq!(path, scratch.path(name));
            assert!(matches!(*source, CacheError::Corrupt { id: found, .. } if found == *id));
        }
        other => panic!("{other:?}"),
    }
    assert!(!scratch.cache().contains(id), "it is trusted no more");
}

#[test]
fn rotten_bytes_are_not_copied() -> Result {
    let large = "0123456789abcdef".repeat(1 << 17);
    for (text, rotten) in [("right", "wrong"), (&large, &large[1..])] {
        let scratch = Scratch::new();
        let cache = scratch.cache_with(&[LinkKind::Copy]);
        scratch.write("d/sub/a", text);
        scratch.write("d/b", "other");
        let artifact = add(&cache, &scratch.path("d"));
        let file = add(&cache, &scratch.path("d/sub/a"));
        let object = cache.object_path(&file.id);
        rot(&object, rotten);
        assert!(cache.contains(&file.id), "nothing shows");

        scratch.write("d/sub/a", "mine");
        let refused = bring(&scratch, &cache, (&artifact, "d"));
        assert_refused(refused, (&scratch, &file.id, "d/sub/a"));
        assert_eq!(scratch.read("d/sub/a"), "mine", "the file is as it was");
        assert_eq!(mode(&object) & 0o222, 0, "read-only for those who have links to it");
        assert_refused(bring(&scratch, &cache, (&file, "new")), (&scratch, &file.id, "new"));
        assert!(!scratch.path("new").exists());

        scratch.write("right", text);
        add(&cache, &scratch.path("right"));
        bring(&scratch, &cache, (&artifact, "d"))?;
        assert_eq!(scratch.read("d/sub/a"), text, "adding heals");
    }
    Ok(())
}

#[test]
fn an_object_that_was_written_in_its_place_is_digested_first() -> Result {
    for kind in [LinkKind::Hardlink, LinkKind::Symlink, LinkKind::Copy] {
        let scratch = Scratch::new();
        let cache = scratch.cache_with(&[kind]);
        let artifact = add(&cache, &scratch.write("a", "right"));
        let object = cache.object_path(&artifact.id);
        let later = SystemTime::now() + Duration::from_hours(1);
        fs::remove_file(scratch.path("a"))?;

        // Touched, and as it was: that is found out once.
        set_written(&object, later);
        assert!(cache.contains(&artifact.id), "{kind}");
        let shard = object.parent().ok_or("no parent")?;
        assert_eq!(fs::metadata(&object)?.mtime(), fs::metadata(shard)?.mtime(), "{kind}");
        bring(&scratch, &cache, (&artifact, "a"))?;
        assert_eq!(scratch.read("a"), "right", "{kind}");
        fs::remove_file(scratch.path("a"))?;

        rot(&object, "wrong");
        set_written(&object, later);
        assert_refused(bring(&scratch, &cache, (&artifact, "a")), (&scratch, &artifact.id, "a"));
        assert!(scratch.path("a").symlink_metadata().is_err(), "{kind}");
    }
    Ok(())
}

#[test]
fn an_object_that_lost_its_bytes_is_corrupt() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache_with(&[LinkKind::Hardlink]);
    let artifact = add(&cache, &scratch.write("a", "right"));
    let nothing = add(&cache, &scratch.write("empty", ""));
    fs::remove_file(scratch.path("a"))?;
    rot(&cache.object_path(&artifact.id), "");
    assert_refused(bring(&scratch, &cache, (&artifact, "a")), (&scratch, &artifact.id, "a"));
    assert_eq!(bring(&scratch, &cache, (&nothing, "more"))?.added, 1, "empty as it is to be");
    Ok(())
}

#[test]
fn a_link_that_was_edited_in_place_is_not_brought_back_from_itself() {
    for kind in [LinkKind::Hardlink, LinkKind::Symlink] {
        let scratch = Scratch::new();
        let cache = scratch.cache_with(&[kind]);
        scratch.write("d/a", "right");
        scratch.write("d/b", "other");
        let artifact = add(&cache, &scratch.path("d"));
        let id = add(&cache, &scratch.path("d/a")).id;
        rot(&cache.object_path(&id), "edited");
        assert_eq!(scratch.read("d/a"), "edited", "{kind}: one file with two names");
        let refused = bring(&scratch, &cache, (&artifact, "d"));
        assert_refused(refused, (&scratch, &id, "d/a"));
        assert_eq!(scratch.read("d/a"), "edited", "{kind}");

        // Whoever made it executable did not change its bytes.
        let other = add(&cache, &scratch.path("d/b")).id;
        set_mode(&scratch.path("d/b"), 0o544);
        assert!(cache.contains(&other), "{kind}");
    }
}
