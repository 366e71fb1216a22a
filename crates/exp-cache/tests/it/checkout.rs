//! Bringing the workspace to what a record says.

use std::fs;
use std::os::unix::fs::symlink;

use exp_cache::{CacheError, CheckoutStats, LinkKind, NoFilter, Relink};
use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId};

use crate::scratch::{Result, Scratch, add, mode, set_mode};

#[test]
fn a_directory_comes_back_exactly() -> Result {
    for kind in [LinkKind::Copy, LinkKind::Hardlink, LinkKind::Symlink] {
        let scratch = Scratch::new();
        let cache = scratch.cache_with(&[kind]);
        let ctx = Ctx::silent();
        let path = scratch.path("d");
        scratch.write("d/a", "1");
        scratch.write("d/sub/deep/b", "2");
        scratch.write("d/c", "");
        let old = add(&cache, &path);

        cache.unprotect(&ctx, &path)?;
        fs::remove_file(scratch.path("d/c"))?;
        scratch.write("d/a", "changed");
        scratch.write("d/more/x", "new");
        let new = add(&cache, &path);

        let plan = cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?;
        let writes: Vec<(&str, bool)> =
            plan.writes().iter().map(|w| (w.path.as_str(), w.is_new)).collect();
        assert_eq!(writes, [("a", false), ("c", true)]);
        assert_eq!(plan.removes(), ["more/x"]);
        assert!(plan.unsaved().is_empty() && plan.missing().is_empty());
        let stats = cache.checkout(&ctx, plan)?;
        assert_eq!(stats, CheckoutStats { added: 1, modified: 1, removed: 1 });
        assert!(!scratch.path("d/more").exists(), "an emptied directory goes");
        assert_eq!(cache.digest(&ctx, &path, &NoFilter)?.ok_or("gone")?.id, old.id);
        assert!(cache.plan_checkout(&ctx, Some(&old), &path, &NoFilter)?.is_empty());

        let plan = cache.plan_checkout(&ctx, Some(&new), &path, &NoFilter)?;
        cache.checkout(&ctx, plan)?;
        assert_eq!(cache.digest(&ctx, &path, &NoFilter)?.ok_or("gone")?.id, new.id);

        let plan = cache.plan_checkout(&ctx, None, &path, &NoFilter)?;
        cache.checkout(&ctx, plan)?;
        assert!(!path.exists());
        assert!(cache.plan_checkout(&ctx, None, &path, &NoFilter)?.is_empty());
        assert!(cache.has_all(&old)? && cache.has_all(&new)?);
    }
    Ok(())
}

#[test]
fn what_would_be_lost_is_named() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    scratch.write("d/a", "1");
    scratch.write("d/b", "2");
    let artifact = add(&cache, &scratch.path("d"));
    scratch.write("d/a", "my edit");
    scratch.write("d/b", "1");
    scratch.write("d/notes", "mine");
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &scratch.path("d"), &NoFilter)?;
    assert_eq!(plan.unsaved(), ["a", "notes"], "the new content of `b` is stored");
    let plan = cache.plan_checkout(&ctx, None, &scratch.path("d"), &NoFilter)?;
    assert_eq!(plan.unsaved(), ["a", "notes"]);
    Ok(())
}

#[test]
fn a_plan_acts_only_on_what_it_saw() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    let artifact = add(&cache, &scratch.write("x", "recorded"));
    scratch.write("x", "edited");
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &scratch.path("x"), &NoFilter)?;
    scratch.write("x", "edited again");
    assert!(matches!(cache.checkout(&ctx, plan), Err(CacheError::Changed { .. })));
    assert_eq!(scratch.read("x"), "edited again");

    fs::remove_file(scratch.path("x"))?;
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &scratch.path("x"), &NoFilter)?;
    scratch.write("x", "appeared");
    assert!(matches!(cache.checkout(&ctx, plan), Err(CacheError::Changed { .. })));
    assert_eq!(scratch.read("x"), "appeared");
    Ok(())
}

#[test]
fn missing_objects_leave_what_is_there() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    scratch.write("d/a", "1");
    scratch.write("d/b", "2");
    let artifact = add(&cache, &scratch.path("d"));
    let gone = ObjectId::file(Digest::of(Algorithm::Md5, b"1"));
    fs::remove_file(cache.object_path(&gone))?;
    scratch.write("d/a", "other");
    fs::remove_file(scratch.path("d/b"))?;
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &scratch.path("d"), &NoFilter)?;
    assert_eq!(plan.missing(), [gone]);
    assert!(plan.unsaved().is_empty());
    cache.checkout(&ctx, plan)?;
    assert_eq!((scratch.read("d/a"), scratch.read("d/b")), ("other".into(), "2".into()));

    let nowhere = Artifact { id: ObjectId::tree(Digest::of(Algorithm::Md5, b"?")), ..artifact };
    let plan = cache.plan_checkout(&ctx, Some(&nowhere), &scratch.path("d"), &NoFilter)?;
    assert_eq!(plan.missing(), [nowhere.id]);
    assert_eq!(cache.checkout(&ctx, plan)?, CheckoutStats::default());
    assert_eq!(scratch.read("d/a"), "other");
    Ok(())
}

#[test]
fn files_and_directories_take_each_others_place() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    let path = scratch.path("d");
    scratch.write("d/a/1", "1");
    scratch.write("d/b", "2");
    let one = add(&cache, &path);
    fs::remove_dir_all(&path)?;
    scratch.write("d/a", "3");
    scratch.write("d/b/c/4", "4");
    let two = add(&cache, &path);
    fs::remove_dir_all(&path)?;
    fs::write(&path, "5")?;
    let file = add(&cache, &path);
    for target in [one, two, file, two, one, file, one] {
        let plan = cache.plan_checkout(&ctx, Some(&target), &path, &NoFilter)?;
        assert!(plan.unsaved().is_empty());
        cache.checkout(&ctx, plan)?;
        assert_eq!(cache.digest(&ctx, &path, &NoFilter)?.ok_or("gone")?.id, target.id);
    }
    Ok(())
}

#[test]
fn nothing_is_written_through_a_link() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    scratch.write("d/sub/a", "1");
    let artifact = add(&cache, &scratch.path("d"));
    let victim = scratch.write("victim/a", "precious");

    fs::remove_dir_all(scratch.path("d/sub"))?;
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &scratch.path("d"), &NoFilter)?;
    symlink(scratch.path("victim"), scratch.path("d/sub"))?;
    assert!(cache.checkout(&ctx, plan).is_err(), "a link that appeared after the plan");

    fs::remove_dir_all(scratch.path("d"))?;
    symlink(scratch.path("victim"), scratch.path("d"))?;
    let planned = cache.plan_checkout(&ctx, Some(&artifact), &scratch.path("d"), &NoFilter);
    assert!(matches!(planned, Err(CacheError::LinkedDirectory { .. })));
    let plan = cache.plan_checkout(&ctx, None, &scratch.path("d"), &NoFilter)?;
    cache.checkout(&ctx, plan)?;
    assert!(fs::symlink_metadata(scratch.path("d")).is_err(), "the link itself may go");
    assert_eq!(fs::read_to_string(victim)?, "precious");
    Ok(())
}

#[test]
fn executable_files_come_back_executable() -> Result {
    for kind in [LinkKind::Copy, LinkKind::Hardlink, LinkKind::Symlink] {
        let scratch = Scratch::new();
        let cache = scratch.cache_with(&[kind]);
        let ctx = Ctx::silent();
        let path = scratch.write("tool", "#!/bin/sh\n");
        set_mode(&path, 0o755);
        let artifact = add(&cache, &path);
        assert!(artifact.is_exec);
        fs::remove_file(&path)?;
        let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
        cache.checkout(&ctx, plan)?;
        assert_eq!(mode(&path), 0o755, "{kind}");
        assert_eq!(mode(&cache.object_path(&artifact.id)), 0o444, "{kind}");

        set_mode(&path, 0o644);
        let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
        assert!(!plan.is_empty() && plan.writes().is_empty());
        assert_eq!(cache.checkout(&ctx, plan)?.modified, 1);
        assert_eq!(mode(&path), 0o755, "{kind}");
    }
    Ok(())
}

#[test]
fn objects_of_dvc_2_are_checked_out_and_recognized() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    // `md5-dos2unix` names the bytes after `\r\n` became `\n`; the object keeps them as they are.
    let digest = Digest::from_hex(
        Algorithm::Md5Dos2Unix,
        &Digest::of(Algorithm::Md5, b"one\ntwo\n").to_hex(),
    )?;
    let id = ObjectId::file(digest);
    let hex = id.to_string();
    let object = scratch.write(&format!("cache/{}/{}", &hex[..2], &hex[2..]), "one\r\ntwo\r\n");
    assert_eq!(cache.object_path(&id), object);
    assert!(cache.contains(&id));
    let artifact = Artifact { id, size: None, n_files: None, is_exec: false };
    let path = scratch.path("x");
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
    cache.checkout(&ctx, plan)?;
    assert_eq!(scratch.read("x"), "one\r\ntwo\r\n");
    let seen = cache.digest_as(&ctx, Algorithm::Md5Dos2Unix, &path, &NoFilter)?;
    assert_eq!(seen.ok_or("gone")?.id, id);
    assert!(cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?.is_empty());

    scratch.write("x", "kept as md5");
    cache.add(&ctx, &path, &NoFilter, Relink::No)?;
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
    assert!(plan.unsaved().is_empty(), "the content is stored under the project's algorithm");
    Ok(())
}

#[test]
fn links_to_directories_stay_unless_they_are_in_the_way() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    let path = scratch.path("d");
    scratch.write("d/a", "1");
    scratch.write("d/sub/b", "2");
    let artifact = add(&cache, &path);
    scratch.write("elsewhere/x", "far");
    symlink(scratch.path("elsewhere"), scratch.path("d/link"))?;
    assert!(cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?.is_empty());

    fs::remove_dir_all(scratch.path("d/sub"))?;
    symlink(scratch.path("elsewhere"), scratch.path("d/sub"))?;
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
    assert_eq!(
        (plan.removes(), plan.unsaved()),
        (&["sub".to_owned()][..], &["sub".to_owned()][..])
    );
    cache.checkout(&ctx, plan)?;
    assert_eq!(scratch.read("d/sub/b"), "2");

    let plan = cache.plan_checkout(&ctx, None, &path, &NoFilter)?;
    assert!(plan.unsaved().is_empty());
    cache.checkout(&ctx, plan)?;
    assert!(!path.exists());
    assert_eq!(scratch.read("elsewhere/x"), "far");
    Ok(())
}

#[test]
fn ignored_files_are_never_removed() -> Result {
    struct NoLogs;
    impl exp_cache::Filter for NoLogs {
        fn ignored(&self, path: &str, _: bool) -> bool {
            path.ends_with("log")
        }
    }
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let ctx = Ctx::silent();
    let path = scratch.path("d");
    let file = add(&cache, &scratch.write("x", "x"));
    scratch.write("d/a", "1");
    scratch.write("d/sub/run.log", "mine");
    cache.add(&ctx, &path, &NoLogs, Relink::Yes)?;
    let plan = cache.plan_checkout(&ctx, None, &path, &NoLogs)?;
    cache.checkout(&ctx, plan)?;
    assert!(!scratch.path("d/a").exists());
    assert_eq!(scratch.read("d/sub/run.log"), "mine");

    let plan = cache.plan_checkout(&ctx, Some(&file), &path, &NoLogs)?;
    assert!(matches!(cache.checkout(&ctx, plan), Err(CacheError::Occupied { .. })));
    assert_eq!(scratch.read("d/sub/run.log"), "mine");
    Ok(())
}
