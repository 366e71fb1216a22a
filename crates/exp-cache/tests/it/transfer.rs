//! Runs, remotes, and moving objects between store and remote.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use exp_cache::{
    Abilities, Cache, CacheOptions, Depth, DirStorage, Listed, Modes, Put, ReadFrom, ReadSeek,
    Remote, RunId, Storage, StorageError, StorageErrorKind, StorageStat, TransferError, plan_pull,
    plan_push, pull, pull_runs, push, push_runs,
};
use exp_core::{Algorithm, Cancel, CancelToken, Ctx, Digest, NullSink, ObjectId, RelPath};

use crate::scratch::{Result, Scratch, add, mode, set_mode};

const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

fn storage(scratch: &Scratch) -> DirStorage {
    DirStorage::new(&scratch.path("remote"), Modes::default())
}

fn remote(scratch: &Scratch) -> Remote {
    Remote::new(Arc::new(storage(scratch)))
}

fn second(scratch: &Scratch) -> Result<Cache> {
    Ok(Cache::open(&scratch.path("second"), CacheOptions::new(Algorithm::Md5))?)
}

fn id_of(text: &str) -> ObjectId {
    ObjectId::file(Digest::of(Algorithm::Md5, text.as_bytes()))
}

fn objects(scratch: &Scratch, root: &str) -> Vec<String> {
    let list = scratch.list(&format!("{root}/files/md5"));
    list.into_iter()
        .filter(|(_, what)| !what.starts_with("dir"))
        .map(|(path, what)| format!("{} {path}", what.split(' ').next().unwrap_or_default()))
        .collect()
}

/// A directory remote whose calls fail now and then.
#[derive(Debug)]
struct Flaky {
    inner: DirStorage,
    calls: AtomicU32,
}

impl Flaky {
    fn maybe(&self) -> std::result::Result<(), StorageError> {
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            let kind = StorageErrorKind::Temporary;
            let source = "connection reset".into();
            return Err(StorageError { kind, action: "reach", what: "it".to_owned(), source });
        }
        Ok(())
    }
}

impl Storage for Flaky {
    fn label(&self) -> &'static str {
        "flaky"
    }
    fn abilities(&self) -> Abilities {
        self.inner.abilities()
    }
    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> std::result::Result<Vec<Option<StorageStat>>, StorageError> {
        self.maybe()?;
        self.inner.stat(ctx, keys)
    }
    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> std::result::Result<u64, StorageError> {
        // Half of the bytes arrive before the line breaks.
        let mut bytes = Vec::new();
        self.inner.read(ctx, from, &mut bytes)?;
        into.write_all(&bytes[..bytes.len() / 2]).unwrap();
        self.maybe()?;
        into.write_all(&bytes[bytes.len() / 2..]).unwrap();
        Ok(bytes.len() as u64)
    }
    fn write(
        &self,
        ctx: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> std::result::Result<StorageStat, StorageError> {
        self.maybe()?;
        self.inner.write(ctx, put, from)
    }
    fn list(
        &self,
        ctx: &Ctx<'_>,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> std::result::Result<(), StorageError> {
        self.inner.list(ctx, under, depth, found)
    }
    fn remove(&self, ctx: &Ctx<'_>, keys: &[RelPath]) -> std::result::Result<(), StorageError> {
        self.inner.remove(ctx, keys)
    }
    fn flush(&self, ctx: &Ctx<'_>) -> std::result::Result<(), StorageError> {
        self.inner.flush(ctx)
    }
}

#[test]
fn a_directory_travels_through_a_remote_with_dvcs_layout() -> Result {
    let scratch = Scratch::new();
    let (cache, remote, ctx) = (scratch.cache(), remote(&scratch), Ctx::silent());
    scratch.write("d/x", "hi\n");
    scratch.write("d/sub/y", "q");
    scratch.write("d/empty", "");
    let dir = add(&cache, &scratch.path("d"));
    let file = add(&cache, &scratch.write("e.sh", "run\n"));
    let ids = BTreeSet::from([dir.id, file.id]);

    let plan = plan_push(&ctx, &cache, &remote, &ids)?;
    assert_eq!(plan.objects().count(), 5);
    assert!(plan.objects().last().is_some_and(ObjectId::is_tree), "manifests go last");
    let stats = push(&ctx, &cache, &remote, plan, JOBS)?;
    assert_eq!((stats.moved, stats.bytes, stats.already_there), (5, 8, 0));
    assert!(stats.missing.is_empty() && stats.failed.is_empty());
    // What `dvc push` of DVC 3.67.1 made of the same project.
    assert_eq!(
        objects(&scratch, "remote"),
        [
            "444 76/4efa883dda1e11db47671c4a3bbd9e",
            "444 76/94f4a66316e53c8cdd9d9954bd611d",
            "444 b0/f24e3d11bfe3d31529d1b9f2745cfd",
            "444 c2/22b448eb073a86f7dc929fb7fc58cb.dir",
            "444 d4/1d8cd98f00b204e9800998ecf8427e",
        ]
    );
    let again = plan_push(&ctx, &cache, &remote, &ids)?;
    assert_eq!((again.objects().count(), again.already_there()), (0, 5));

    let second = second(&scratch)?;
    let plan = plan_pull(&ctx, &second, &remote, &ids)?;
    assert_eq!(pull(&ctx, &second, &remote, plan, JOBS)?.moved, 5);
    assert!(second.has_all(&dir)? && second.has_all(&file)?);
    assert_eq!(objects(&scratch, "second"), objects(&scratch, "remote"));
    assert_eq!(plan_pull(&ctx, &second, &remote, &ids)?.already_there(), 5);
    Ok(())
}

#[test]
fn a_manifest_never_travels_before_its_files() -> Result {
    let scratch = Scratch::new();
    let (cache, remote, ctx) = (scratch.cache(), remote(&scratch), Ctx::silent());
    scratch.write("d/a", "1");
    scratch.write("d/b", "2");
    let dir = add(&cache, &scratch.path("d"));
    let ids = BTreeSet::from([dir.id]);
    fs::remove_file(cache.object_path(&id_of("1")))?;
    let stats = push(&ctx, &cache, &remote, plan_push(&ctx, &cache, &remote, &ids)?, JOBS)?;
    assert_eq!(stats.missing, [id_of("1")]);
    assert_eq!((stats.moved, stats.held_back), (1, vec![dir.id]));
    assert_eq!(remote.contains(&Ctx::silent(), &[dir.id, id_of("2")])?, [false, true]);

    add(&cache, &scratch.path("d"));
    push(&ctx, &cache, &remote, plan_push(&ctx, &cache, &remote, &ids)?, JOBS)?;
    let hex = id_of("2").to_string();
    fs::remove_file(scratch.path(&format!("remote/files/md5/{}/{}", &hex[..2], &hex[2..])))?;
    let second = second(&scratch)?;
    let stats = pull(&ctx, &second, &remote, plan_pull(&ctx, &second, &remote, &ids)?, JOBS)?;
    assert_eq!((stats.missing, stats.held_back), (vec![id_of("2")], vec![dir.id]));
    assert!(second.contains(&id_of("1")) && !second.contains(&dir.id));
    Ok(())
}

#[test]
fn a_remote_is_not_believed() -> Result {
    let scratch = Scratch::new();
    let (cache, remote, ctx) = (scratch.cache(), remote(&scratch), Ctx::silent());
    scratch.write("d/a", "1");
    scratch.write("d/b", "2");
    let dir = add(&cache, &scratch.path("d"));
    let ids = BTreeSet::from([dir.id]);
    push(&ctx, &cache, &remote, plan_push(&ctx, &cache, &remote, &ids)?, JOBS)?;
    let at = |id: &ObjectId| {
        let name = id.to_string();
        scratch.path(&format!("remote/files/md5/{}/{}", &name[..2], &name[2..]))
    };
    let forge = |path: &Path, text: &str| {
        set_mode(path, 0o644);
        fs::write(path, text).unwrap();
    };
    forge(&at(&id_of("1")), "forged");
    let second = second(&scratch)?;
    let stats = pull(&ctx, &second, &remote, plan_pull(&ctx, &second, &remote, &ids)?, JOBS)?;
    assert!(
        matches!(&stats.failed[..], [(id, TransferError::Damaged { .. })] if *id == id_of("1"))
    );
    assert_eq!(stats.held_back, [dir.id]);
    assert_eq!(objects(&scratch, "second").len(), 1);

    forge(&at(&dir.id), "[]");
    let planned = plan_pull(&ctx, &second, &remote, &ids);
    assert!(matches!(planned, Err(TransferError::Damaged { .. })));
    Ok(())
}

#[test]
fn an_interrupted_fetch_is_tried_again_from_the_start() -> Result {
    let scratch = Scratch::new();
    let (cache, ctx) = (scratch.cache(), Ctx::silent());
    scratch.write("d/a", "first content");
    scratch.write("d/b", "second content");
    let dir = add(&cache, &scratch.path("d"));
    let ids = BTreeSet::from([dir.id]);
    let plan = plan_push(&ctx, &cache, &remote(&scratch), &ids)?;
    push(&ctx, &cache, &remote(&scratch), plan, JOBS)?;
    let flaky = Flaky { inner: storage(&scratch), calls: AtomicU32::new(0) };
    let flaky = Remote::new(Arc::new(flaky));
    let second = second(&scratch)?;
    let plan = plan_pull(&ctx, &second, &flaky, &ids)?;
    let one = NonZeroUsize::MIN;
    let stats = pull(&ctx, &second, &flaky, plan, one)?;
    assert_eq!((stats.moved, stats.failed.len()), (3, 0));
    assert!(second.has_all(&dir)?);
    Ok(())
}

#[test]
fn a_cancelled_transfer_starts_nothing_new() -> Result {
    let scratch = Scratch::new();
    let (cache, remote) = (scratch.cache(), remote(&scratch));
    let file = add(&cache, &scratch.write("x", "x"));
    let ids = BTreeSet::from([file.id]);
    let plan = plan_push(&Ctx::silent(), &cache, &remote, &ids)?;
    let token = CancelToken::new();
    token.cancel(Cancel::Drain);
    let ctx = Ctx::new(&NullSink, token);
    let sent = push(&ctx, &cache, &remote, plan, JOBS);
    assert!(matches!(sent, Err(TransferError::Cancelled(_))));
    assert_eq!(remote.contains(&Ctx::silent(), &[file.id])?, [false]);
    Ok(())
}

#[test]
fn a_manifest_that_is_not_canonical_keeps_its_bytes() -> Result {
    let scratch = Scratch::new();
    let (cache, remote, ctx) = (scratch.cache(), remote(&scratch), Ctx::silent());
    let text = format!(r#"[{{"relpath":"x","md5":"{}","size":1}}]"#, id_of("x"));
    let id = ObjectId::tree(Digest::of(Algorithm::Md5, text.as_bytes()));
    for (id, text) in [(id_of("x"), "x"), (id, &text)] {
        remote.store(&ctx, &id, text.len() as u64, &mut Cursor::new(text))?;
    }
    let plan = plan_pull(&ctx, &cache, &remote, &BTreeSet::from([id]))?;
    assert_eq!(pull(&ctx, &cache, &remote, plan, JOBS)?.moved, 2);
    assert_eq!(cache.read_bytes(&id)?, text.as_bytes());
    assert_eq!(cache.read_tree(&id)?.entries().len(), 1);
    Ok(())
}

#[test]
fn objects_of_dvc_2_are_read_from_remotes() -> Result {
    let scratch = Scratch::new();
    let digest =
        Digest::from_hex(Algorithm::Md5Dos2Unix, &Digest::of(Algorithm::Md5, b"one\n").to_hex())?;
    let id = ObjectId::file(digest);
    let hex = id.to_string();
    scratch.write(&format!("remote/{}/{}", &hex[..2], &hex[2..]), "one\r\n");
    let (cache, remote, ctx) = (scratch.cache(), remote(&scratch), Ctx::silent());
    let plan = plan_pull(&ctx, &cache, &remote, &BTreeSet::from([id]))?;
    assert_eq!(pull(&ctx, &cache, &remote, plan, JOBS)?.moved, 1);
    assert_eq!(cache.read_bytes(&id)?, b"one\r\n");
    Ok(())
}

#[test]
fn runs_are_found_newest_first_and_travel() -> Result {
    let scratch = Scratch::new();
    let (cache, remote, ctx) = (scratch.cache(), remote(&scratch), Ctx::silent());
    let digest = |text: &str| Digest::of(Algorithm::Sha256, text.as_bytes());
    let key = digest("key");
    assert!(cache.runs().entries(&key)?.is_empty());
    let (old, new) = (RunId { key, value: digest("z") }, RunId { key, value: digest("a") });
    cache.runs().save(&old, "cmd: old\n")?;
    cache.runs().save(&new, "cmd: new\n")?;
    cache.runs().save(&old, "never written")?;
    let hex = key.to_hex();
    let at =
        |id: &RunId| scratch.path(&format!("cache/runs/{}/{hex}/{}", &hex[..2], id.value.to_hex()));
    assert_eq!(mode(&at(&old)), 0o644);
    fs::File::open(at(&old))?.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
    scratch.write(&format!("cache/runs/{}/{hex}/notes.txt", &hex[..2]), "not ours");
    let texts: Vec<String> =
        cache.runs().entries(&key)?.into_iter().map(|entry| entry.text).collect();
    assert_eq!(texts, ["cmd: new\n", "cmd: old\n"]);

    assert_eq!(push_runs(&ctx, &cache, &remote)?, 2);
    assert_eq!(push_runs(&ctx, &cache, &remote)?, 0);
    let second = second(&scratch)?;
    assert_eq!(pull_runs(&ctx, &second, &remote)?, 2);
    assert_eq!(second.runs().list()?, cache.runs().list()?);
    Ok(())
}
