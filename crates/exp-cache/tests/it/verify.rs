//! Damage in the store is found, set aside and mended.

use std::fs;

use exp_cache::CacheError;
use exp_core::{Ctx, ObjectId};

use crate::scratch::{Result, Scratch, add, set_mode};

fn damage(scratch: &Scratch, id: &ObjectId) -> Result {
    let path = scratch.cache().object_path(id);
    set_mode(&path, 0o644);
    fs::write(&path, "damaged")?;
    // Trusted by its mode, so that nobody but a check notices.
    set_mode(&path, 0o444);
    Ok(())
}

#[test]
fn damage_is_found_set_aside_and_mended_from_a_file() -> Result {
    let scratch = Scratch::new();
    scratch.write("data/a", "first");
    scratch.write("data/b", "second");
    let tree = add(&scratch.cache(), &scratch.path("data")).id;
    let (cache, ctx) = (scratch.cache(), Ctx::silent());
    let files: Vec<ObjectId> =
        cache.read_tree(&tree)?.entries().iter().map(|one| ObjectId::file(one.digest)).collect();
    let all = [tree, files[0], files[1]];
    assert!(cache.check(&ctx, &all)?.is_empty());

    damage(&scratch, &files[0])?;
    fs::remove_file(cache.object_path(&files[1]))?;
    let defects = cache.check(&ctx, &all)?;
    assert!(matches!(
        defects[..],
        [(a, CacheError::Corrupt { .. }), (b, CacheError::Missing { .. })] if (a, b) == (files[0], files[1])
    ));

    let aside = cache.set_aside(&files[0])?.ok_or("it was there")?;
    assert_eq!(fs::read_to_string(&aside)?, "damaged");
    assert!(aside.starts_with(scratch.path("cache/quarantine")));
    assert_eq!(cache.set_aside(&files[0])?, None);
    assert!(!cache.restore_from(&ctx, &files[0], &scratch.path("data/b"))?, "other bytes");
    assert!(!cache.restore_from(&ctx, &files[0], &scratch.path("none"))?);
    assert!(cache.restore_from(&ctx, &files[0], &scratch.path("data/a"))?);
    assert!(cache.restore_from(&ctx, &files[1], &scratch.path("data/b"))?);
    assert!(cache.check(&ctx, &all)?.is_empty());
    assert_eq!(scratch.read("data/a"), "first");

    damage(&scratch, &files[0])?;
    let again = cache.set_aside(&files[0])?.ok_or("it was there")?;
    assert_ne!(again, aside, "nothing in quarantine is replaced");
    Ok(())
}

#[test]
fn a_manifest_that_leads_outside_is_a_defect() -> Result {
    let scratch = Scratch::new();
    let text = r#"[{"md5": "d41d8cd98f00b204e9800998ecf8427e", "relpath": "../x"}]"#;
    let id = ObjectId::tree(exp_core::Digest::of(exp_core::Algorithm::Md5, text.as_bytes()));
    let cache = scratch.cache();
    let path = cache.object_path(&id);
    fs::create_dir_all(path.parent().ok_or("a parent")?)?;
    fs::write(&path, text)?;
    let defects = cache.check(&Ctx::silent(), &[id])?;
    assert!(matches!(defects[..], [(_, CacheError::Manifest { .. })]));
    Ok(())
}
