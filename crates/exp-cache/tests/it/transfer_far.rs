//! Transfers over a network: few requests, and no damage when it fails.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use exp_cache::{
    Cache, CacheError, CacheOptions, Remote, TransferError, TransferStats, Tree, TreeEntry, Wanted,
    compare, plan_pull, plan_pull_parts, plan_push, plan_push_parts, pull, push,
};
use exp_core::{Algorithm, CancelToken, Ctx, Digest, Event, ObjectId, TaskEvent};

use crate::far::Far;
use crate::scratch::{Result, Scratch, add, rot, set_mode};

const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

fn id_of(bytes: &[u8]) -> ObjectId {
    ObjectId::file(Digest::of(Algorithm::Md5, bytes))
}

fn key_of(id: &ObjectId) -> String {
    let name = id.to_string();
    format!("files/md5/{}/{}", &name[..2], &name[2..])
}

/// A far storage, and the remote in it that remembers in a file.
fn far(scratch: &Scratch) -> (Arc<Far>, Remote) {
    let far = Arc::new(Far::default());
    let remote = reopened(scratch, &far);
    (far, remote)
}

/// The remote as the next process opens it.
fn reopened(scratch: &Scratch, far: &Arc<Far>) -> Remote {
    Remote::new(Arc::<Far>::clone(far)).remembered_in(&scratch.path("index"))
}

fn send(cache: &Cache, remote: &Remote, ids: &[ObjectId]) -> Result<TransferStats> {
    let ids = ids.iter().copied().collect();
    let ctx = Ctx::silent();
    let plan = plan_push(&ctx, cache, remote, &ids)?;
    Ok(push(&ctx, cache, remote, plan, JOBS)?)
}

fn receive(cache: &Cache, remote: &Remote, ids: &[ObjectId]) -> Result<TransferStats> {
    let ids = ids.iter().copied().collect();
    let ctx = Ctx::silent();
    let plan = plan_pull(&ctx, cache, remote, &ids)?;
    Ok(pull(&ctx, cache, remote, plan, JOBS)?)
}

fn second(scratch: &Scratch) -> Result<Cache> {
    Ok(Cache::open(&scratch.path("second"), CacheOptions::new(Algorithm::Md5))?)
}

/// A directory of files that have their number, `changed` of them another one.
fn directory(n_files: usize, changed: &[usize]) -> Tree {
    let entries = (0..n_files).map(|n| {
        let text = if changed.contains(&n) { format!("new {n}") } else { n.to_string() };
        let digest = Digest::of(Algorithm::Md5, text.as_bytes());
        TreeEntry { path: format!("f{n}"), digest, is_exec: false }
    });
    Tree::new(Algorithm::Md5, entries.collect()).unwrap()
}

/// Puts a directory there as if it had been sent.
fn place(far: &Far, tree: &Tree) {
    let mut objects = far.all();
    for entry in tree.entries() {
        objects.insert(key_of(&ObjectId::file(entry.digest)), Vec::new());
    }
    objects.insert(key_of(&tree.id()), tree.to_bytes());
}

#[test]
fn a_push_of_a_hundred_thousand_objects_with_nothing_to_do_takes_few_requests() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    let tree = directory(100_000, &[]);
    let id = cache.add_tree(&tree)?;
    place(&far, &tree);
    // Nothing is remembered: the remote is listed shard by shard, which is cheaper than a look at each object.
    assert_eq!(send(&cache, &remote, &[id])?.already_there, 100_001);
    let n_first = far.counted();
    assert!(n_first < 1_500, "{n_first} requests");

    let stats = send(&cache, &reopened(&scratch, &far), &[id])?;
    assert_eq!((stats.moved, stats.already_there), (0, 100_001));
    let n_again = far.counted();
    assert!(n_again <= 20, "{n_again} requests");
    assert_eq!(far.listings.load(Ordering::Relaxed), 256);
    Ok(())
}

#[test]
fn a_push_of_one_changed_file_does_not_list_the_remote() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    let before = directory(5_000, &[]);
    let id = cache.add_tree(&before)?;
    place(&far, &before);
    send(&cache, &remote, &[id])?;
    let n_listings = far.listings.load(Ordering::Relaxed);
    far.counted();

    let after = directory(5_000, &[7]);
    let changed = cache.add_tree(&after)?;
    cache.add_bytes(b"new 7")?;
    let stats = send(&cache, &reopened(&scratch, &far), &[changed])?;
    assert_eq!((stats.moved, stats.missing.len()), (2, 0));
    let n_requests = far.counted();
    assert!(n_requests <= 20, "{n_requests} requests");
    assert_eq!(far.listings.load(Ordering::Relaxed), n_listings);
    assert!(far.all().contains_key(&key_of(&changed)));
    Ok(())
}

#[test]
fn what_was_deleted_on_the_far_side_is_sent_again() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    for n in 0..40 {
        scratch.write(&format!("d/{n}"), format!("file {n}"));
    }
    let dir = add(&cache, &scratch.path("d")).id;
    assert_eq!(send(&cache, &remote, &[dir])?.moved, 41);
    assert_eq!(send(&cache, &reopened(&scratch, &far), &[dir])?.moved, 0);

    far.all().clear();
    assert_eq!(send(&cache, &reopened(&scratch, &far), &[dir])?.moved, 41, "the whole remote");

    far.all().remove(&key_of(&dir));
    far.all().remove(&key_of(&id_of(b"file 3")));
    assert_eq!(send(&cache, &reopened(&scratch, &far), &[dir])?.moved, 2, "the manifest");

    far.all().retain(|key, _| *key == key_of(&dir));
    assert_eq!(send(&cache, &reopened(&scratch, &far), &[dir])?.moved, 40, "all files");

    far.all().remove(&key_of(&id_of(b"file 3")));
    let remote = reopened(&scratch, &far);
    remote.forget();
    assert_eq!(send(&cache, &remote, &[dir])?.moved, 1, "one file, after a refresh");
    Ok(())
}

#[test]
fn a_pull_that_misses_a_file_ends_what_was_remembered() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    for n in 0..40 {
        scratch.write(&format!("d/{n}"), format!("file {n}"));
    }
    let dir = add(&cache, &scratch.path("d")).id;
    send(&cache, &remote, &[dir])?;
    let gone = id_of(b"file 3");
    far.all().remove(&key_of(&gone));
    let stats = receive(&second(&scratch)?, &reopened(&scratch, &far), &[dir])?;
    assert_eq!((stats.missing, stats.held_back), (vec![gone], vec![dir]));
    assert_eq!(send(&cache, &reopened(&scratch, &far), &[dir])?.moved, 1);
    Ok(())
}

#[test]
fn a_manifest_that_somebody_else_sent_vouches_for_nothing() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    scratch.write("d/a", "1");
    scratch.write("d/b", "2");
    let dir = add(&cache, &scratch.path("d")).id;
    far.all().insert(key_of(&dir), cache.read_bytes(&dir)?);
    let stats = send(&cache, &remote, &[dir])?;
    assert_eq!((stats.moved, stats.already_there), (2, 1));
    Ok(())
}

#[test]
fn a_read_goes_on_where_it_broke_off() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let id = id_of(&bytes);
    far.all().insert(key_of(&id), bytes.clone());
    far.cut.store(1_100_000, Ordering::Relaxed);
    let stats = receive(&cache, &remote, &[id])?;
    assert_eq!((stats.moved, stats.bytes), (1, 5_000_000));
    assert_eq!(cache.read_bytes(&id)?, bytes);
    let offsets = far.offsets.lock().unwrap().clone();
    assert_eq!(offsets, [0, 1_100_000, 2_200_000, 3_300_000, 4_400_000]);
    Ok(())
}

#[test]
fn the_next_process_goes_on_with_a_large_object() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 241) as u8).collect();
    let id = id_of(&bytes);
    far.all().insert(key_of(&id), bytes.clone());
    let partial = format!("cache/tmp/partial/md5-{id}");
    let begin = |bytes: &[u8]| {
        fs::create_dir_all(scratch.path("cache/tmp/partial")).unwrap();
        fs::write(scratch.path(&partial), bytes).unwrap();
    };
    begin(&bytes[..2_000_000]);
    assert_eq!(receive(&cache, &remote, &[id])?.moved, 1);
    assert_eq!(*far.offsets.lock().unwrap(), [2_000_000]);
    assert_eq!(cache.read_bytes(&id)?, bytes);
    assert!(!scratch.path(&partial).exists());

    // What is there may be of something else, and longer than the object.
    for rubbish in [vec![1; 10_000], vec![1; 4_000_000]] {
        set_mode(&cache.object_path(&id), 0o644);
        fs::remove_file(cache.object_path(&id))?;
        begin(&rubbish);
        assert_eq!(receive(&cache, &remote, &[id])?.moved, 1);
        assert_eq!(cache.read_bytes(&id)?, bytes);
    }
    Ok(())
}

#[test]
fn two_at_once_receive_the_same_object_whole() -> Result {
    let scratch = Scratch::new();
    let (far, _) = far(&scratch);
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 239) as u8).collect();
    let id = id_of(&bytes);
    far.all().insert(key_of(&id), bytes.clone());
    far.cut.store(1_500_000, Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let remote = Remote::new(Arc::<Far>::clone(&far));
                let stats = receive(&scratch.cache(), &remote, &[id]).unwrap();
                assert_eq!(stats.failed.len(), 0);
            });
        }
    });
    assert_eq!(scratch.cache().read_bytes(&id)?, bytes);
    Ok(())
}

#[test]
fn only_what_fails_for_the_moment_is_tried_again() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    let id = add(&cache, &scratch.write("x", "x")).id;
    far.failures.store(2, Ordering::Relaxed);
    assert_eq!(send(&cache, &remote, &[id])?.moved, 1);
    far.counted();
    far.failures.store(2, Ordering::Relaxed);
    let gone = id_of(b"gone");
    assert_eq!(receive(&second(&scratch)?, &remote, &[gone])?.missing, [gone]);
    assert_eq!(far.counted(), 3);
    Ok(())
}

#[test]
fn wrong_bytes_are_neither_received_nor_sent() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    let id = add(&cache, &scratch.write("x", "right")).id;
    far.all().insert(key_of(&id), b"wrong".to_vec());
    let other = second(&scratch)?;
    let stats = receive(&other, &remote, &[id])?;
    assert!(matches!(&stats.failed[..], [(_, TransferError::Damaged { .. })]));
    assert!(!other.contains(&id));

    far.all().clear();
    rot(&cache.object_path(&id), "rot");
    let stats = send(&cache, &remote, &[id])?;
    assert!(
        matches!(&stats.failed[..], [(_, TransferError::Cache(CacheError::Corrupt { .. }))]),
        "{:?}",
        stats.failed
    );
    assert!(far.all().is_empty());
    Ok(())
}

#[test]
fn parts_of_a_directory_travel_and_its_manifest_comes_with_them() -> Result {
    let scratch = Scratch::new();
    let (cache, (far, remote)) = (scratch.cache(), far(&scratch));
    let ctx = Ctx::silent();
    for path in ["d/a", "d/sub/b", "d/sub/c"] {
        scratch.write(path, path);
    }
    let dir = add(&cache, &scratch.path("d")).id;
    let part = |below: &str| {
        let mut wanted = Wanted::default();
        wanted.add_part(dir, below);
        wanted
    };
    let send = |below: &str| -> Result<TransferStats> {
        let plan = plan_push_parts(&ctx, &cache, &remote, &part(below))?;
        Ok(push(&ctx, &cache, &remote, plan, JOBS)?)
    };
    let stats = send("sub")?;
    assert_eq!((stats.moved, stats.held_back), (2, vec![dir]), "a file of it is not there yet");
    let stats = send("a")?;
    assert_eq!((stats.moved, stats.held_back.len()), (2, 0), "with it the directory is whole");
    assert_eq!(far.all().len(), 4);

    let other = second(&scratch)?;
    let plan = plan_pull_parts(&ctx, &other, &remote, &part("sub/b"))?;
    assert_eq!(pull(&ctx, &other, &remote, plan, JOBS)?.moved, 2);
    assert!(other.contains(&dir) && other.contains(&id_of(b"d/sub/b")));
    assert!(!other.contains(&id_of(b"d/a")));
    let found = compare(&ctx, &other, &remote, &Wanted::whole(&BTreeSet::from([dir])))?;
    let n_here = found.objects.iter().filter(|(_, here, _)| *here).count();
    assert_eq!((found.objects.len(), n_here), (4, 2));
    Ok(())
}

#[test]
fn a_pull_says_how_many_bytes_it_expects() -> Result {
    let scratch = Scratch::new();
    let (cache, (_, remote)) = (scratch.cache(), far(&scratch));
    scratch.write("d/a", "0123456789");
    scratch.write("d/b", "abcdefghij");
    let dir = add(&cache, &scratch.path("d")).id;
    send(&cache, &remote, &[dir])?;
    let other = second(&scratch)?;
    other.add_bytes(b"0123456789")?;
    let mut wanted = Wanted::whole(&BTreeSet::from([dir]));
    wanted.expect(dir, 20);
    let sized = Mutex::new(Vec::new());
    let sink = |event: Event<'_>| {
        if let Event::Task { what: TaskEvent::Sized { bytes }, .. } = event {
            sized.lock().unwrap().push(bytes);
        }
    };
    let ctx = Ctx::new(&sink, CancelToken::new());
    let plan = plan_pull_parts(&ctx, &other, &remote, &wanted)?;
    pull(&ctx, &other, &remote, plan, JOBS)?;
    assert_eq!(*sized.lock().unwrap(), [10]);
    Ok(())
}
