//! Remotes that keep versions of files instead of objects.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;

use exp_cache::testing::Bucket;
use exp_cache::{
    Cache, CacheOptions, Remote, TransferError, TransferStats, Tree, Version, VersionedFile,
    VersionedObjects, VersionedStats, compare, plan_pull, pull, push_versions,
};
use exp_core::{Algorithm, Ctx, Digest, ObjectId, RelPath};

use crate::scratch::{Result, Scratch, add};

const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

fn id_of(bytes: &[u8]) -> ObjectId {
    ObjectId::file(Digest::of(Algorithm::Md5, bytes))
}

fn key(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn file(path: &str, bytes: &[u8], known: Option<&Version>) -> VersionedFile {
    let size = Some(bytes.len() as u64);
    VersionedFile { key: key(path), id: id_of(bytes), size, known: known.cloned() }
}

fn send(
    cache: &Cache,
    bucket: &Arc<Bucket>,
    files: &[VersionedFile],
    dirs: &[RelPath],
) -> std::result::Result<VersionedStats, TransferError> {
    let remote = Remote::new(Arc::<Bucket>::clone(bucket));
    push_versions(&Ctx::silent(), (cache, &remote), (files, dirs), JOBS)
}

fn receive(cache: &Cache, objects: VersionedObjects, ids: &[ObjectId]) -> Result<TransferStats> {
    let remote = Remote::new(Arc::new(objects));
    let ids: BTreeSet<ObjectId> = ids.iter().copied().collect();
    let ctx = Ctx::silent();
    let plan = plan_pull(&ctx, cache, &remote, &ids)?;
    Ok(pull(&ctx, cache, &remote, plan, JOBS)?)
}

fn second(scratch: &Scratch) -> Result<Cache> {
    Ok(Cache::open(&scratch.path("second"), CacheOptions::new(Algorithm::Md5))?)
}

#[test]
fn a_file_is_sent_once_and_keeps_its_version() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for bytes in ["one", "two"] {
        fs::write(scratch.path(bytes), bytes)?;
        add(&cache, &scratch.path(bytes));
    }
    let bucket = Arc::new(Bucket::default());
    let sent = send(&cache, &bucket, &[file("d/a", b"one", None)], &[])?;
    assert_eq!((sent.moved, sent.bytes, sent.already_there), (1, 3, 0));
    let first = sent.versions[0].clone().ok_or("no version")?;
    assert_eq!(first.etag.as_deref(), Some(&*id_of(b"one").digest.to_hex()));

    let again = send(&cache, &bucket, &[file("d/a", b"one", Some(&first))], &[])?;
    assert_eq!((again.moved, again.already_there), (0, 1));
    assert_eq!(again.versions[0].as_ref(), Some(&first));

    // Another content is another version; the first is still there, and is what a record of it goes on to name.
    let other = send(&cache, &bucket, &[file("d/a", b"two", None)], &[])?;
    assert_eq!(other.moved, 1);
    let back = send(&cache, &bucket, &[file("d/a", b"one", Some(&first))], &[])?;
    assert_eq!((back.moved, back.versions[0].as_ref()), (0, Some(&first)));
    assert_eq!(bucket.counts(), [("d/a".to_owned(), 2)]);

    // A version that is gone is sent again.
    let gone = Version { id: "v99".to_owned(), etag: None };
    let sent = send(&cache, &bucket, &[file("d/a", b"one", Some(&gone))], &[])?;
    assert_eq!(sent.moved, 1);
    Ok(())
}

#[test]
fn what_was_sent_and_not_recorded_is_found_again() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let bucket = Arc::new(Bucket::default());
    let names: Vec<String> = (0..100).map(|n| format!("d/{n}")).collect();
    let mut files = Vec::new();
    for name in &names {
        fs::write(scratch.path("one"), name)?;
        add(&cache, &scratch.path("one"));
        fs::remove_file(scratch.path("one"))?;
        files.push(file(name, name.as_bytes(), None));
    }
    let sent = send(&cache, &bucket, &files, &[key("d")])?;
    assert_eq!(sent.moved, 100);
    let again = send(&cache, &bucket, &files, &[key("d")])?;
    assert_eq!((again.moved, again.already_there), (0, 100));
    assert_eq!(again.versions, sent.versions);
    assert_eq!(bucket.requests(), (0, 2), "a directory is listed");
    // The mark is that of other bytes: it is not what is meant.
    bucket.put("d/7", Some(b"x/7"));
    let again = send(&cache, &bucket, &files, &[key("d")])?;
    assert_eq!((again.moved, again.already_there), (1, 99));
    Ok(())
}

#[test]
fn a_bucket_without_versions_is_noticed_before_it_loses_anything() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    fs::write(scratch.path("one"), "one")?;
    add(&cache, &scratch.path("one"));
    let bucket = Arc::new(Bucket::forgetful());
    bucket.put("a", Some(b"theirs"));
    bucket.put("b", Some(b"theirs"));
    let files = [file("a", b"one", None), file("b", b"one", None)];
    let refused = send(&cache, &bucket, &files, &[]).unwrap_err();
    assert!(matches!(&refused, TransferError::NoVersions { key, .. } if key.as_str() == "a"));
    let files = [file("a", b"one", None), file("new", b"one", None), file("b", b"one", None)];
    let refused = send(&cache, &bucket, &files, &[]).unwrap_err();
    assert!(matches!(&refused, TransferError::NoVersions { key, .. } if key.as_str() == "new"));
    for theirs in ["a", "b"] {
        assert_eq!(bucket.bytes(theirs).as_deref(), Some(b"theirs".as_slice()), "{theirs}");
    }
    Ok(())
}

#[test]
fn what_is_missing_and_what_is_damaged_does_not_stop_the_others() -> Result {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    for bytes in ["one", "two"] {
        fs::write(scratch.path(bytes), bytes)?;
        add(&cache, &scratch.path(bytes));
    }
    let bucket = Arc::new(Bucket::default());
    let files = [file("a", b"one", None), file("gone", b"gone", None), file("b", b"two", None)];
    let sent = send(&cache, &bucket, &files, &[])?;
    assert_eq!((sent.moved, sent.missing), (2, vec![1]));
    assert!(sent.versions[1].is_none());
    assert_eq!(bucket.counts(), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    Ok(())
}

#[test]
fn versions_are_received_as_the_objects_that_they_are() -> Result {
    let scratch = Scratch::new();
    let cache = second(&scratch)?;
    let bucket = Arc::new(Bucket::default());
    let old = bucket.put("d/a", Some(b"old"));
    bucket.put("d/a", Some(b"new"));
    bucket.put("d/a", None);
    let other = bucket.put("d/b", Some(b"other"));
    let tree = Tree::parse(
        Algorithm::Md5,
        format!(
            "[{{\"md5\": \"{}\", \"relpath\": \"a\"}}, {{\"md5\": \"{}\", \"relpath\": \"b\"}}]",
            id_of(b"old").digest,
            id_of(b"other").digest
        )
        .as_bytes(),
    )?;
    let mut objects = VersionedObjects::new(bucket.clone());
    objects.add(&id_of(b"old"), key("elsewhere"), "v77".to_owned());
    objects.add(&id_of(b"old"), key("d/a"), old);
    objects.add_tree(&tree);
    assert!(!objects.is_recorded(&id_of(b"other")));
    objects.add(&id_of(b"other"), key("d/b"), other);

    let remote = Remote::new(Arc::new(objects));
    let wanted = exp_cache::Wanted::whole(&BTreeSet::from([tree.id()]));
    let compared = compare(&Ctx::silent(), &cache, &remote, &wanted)?;
    assert!(compared.objects.iter().all(|(_, here, there)| !here && *there), "{compared:?}");
    let ctx = Ctx::silent();
    let plan = plan_pull(&ctx, &cache, &remote, &BTreeSet::from([tree.id()]))?;
    let got = pull(&ctx, &cache, &remote, plan, JOBS)?;
    assert_eq!((got.moved, got.bytes), (3, 8));
    assert_eq!(fs::read(cache.object_path(&id_of(b"old")))?, b"old");
    assert_eq!(cache.read_tree(&tree.id())?, tree);
    Ok(())
}

#[test]
fn a_version_with_other_bytes_never_becomes_the_object() -> Result {
    let scratch = Scratch::new();
    let cache = second(&scratch)?;
    let bucket = Arc::new(Bucket::default());
    let wrong = bucket.put("a", Some(b"wrong"));
    let mut objects = VersionedObjects::new(bucket.clone());
    objects.add(&id_of(b"right"), key("a"), wrong);
    objects.add(&id_of(b"gone"), key("a"), "v9".to_owned());
    let got = receive(&cache, objects, &[id_of(b"right"), id_of(b"gone"), id_of(b"never")])?;
    let mut missing = vec![id_of(b"gone"), id_of(b"never")];
    missing.sort();
    assert_eq!(got.missing, missing);
    assert!(
        matches!(&got.failed[..], [(id, TransferError::Damaged { .. })] if *id == id_of(b"right"))
    );
    assert!(!cache.object_path(&id_of(b"right")).exists());
    Ok(())
}
