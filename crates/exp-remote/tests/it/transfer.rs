//! Directories of a store that travel through a storage, as `push` and `pull` do it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use exp_cache::{
    Cache, CacheOptions, NoFilter, Put, Relink, Remote, Storage, TransferError, plan_pull,
    plan_push, pull, push,
};
use exp_core::{Algorithm, Ctx, Digest, ObjectId};

use crate::Result;
use crate::basics::{bytes, key, write};
use crate::proxy::{Direction, Faults, Proxy};
use crate::servers::Site;

const JOBS: NonZeroUsize = NonZeroUsize::new(4).unwrap();

fn cache(site: &Site, name: &str, algorithm: Algorithm) -> Result<Cache> {
    Ok(Cache::open(&site.path(name), CacheOptions::new(algorithm))?)
}

/// Adds a directory with whatever is awkward in one and returns its manifest.
fn add(site: &Site, cache: &Cache) -> Result<ObjectId> {
    let root = site.path("data");
    let files: [(&str, Vec<u8>); 6] = [
        ("nested/deeply/file", b"one".to_vec()),
        ("nested/same", b"one".to_vec()),
        ("empty", Vec::new()),
        ("with space/ünï.txt", b"two".to_vec()),
        ("big.bin", bytes((6 << 20) + 1)),
        ("50%#?.txt", b"three".to_vec()),
    ];
    for (name, content) in &files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        fs::write(path, content)?;
    }
    for n in 0..60 {
        fs::write(root.join(format!("many-{n}")), format!("number {n}"))?;
    }
    Ok(cache.add(&Ctx::silent(), &root, &NoFilter, Relink::No)?.id)
}

fn pull_all(cache: &Cache, remote: &Remote, wanted: &BTreeSet<ObjectId>) -> Result {
    let ctx = Ctx::silent();
    let stats = pull(&ctx, cache, remote, plan_pull(&ctx, cache, remote, wanted)?, JOBS)?;
    let failed: Vec<String> = stats.failed.iter().map(|(_, err)| crate::chain(err)).collect();
    assert_eq!((failed, stats.missing, stats.held_back), (Vec::new(), Vec::new(), Vec::new()));
    Ok(())
}

fn travel(site: &Site, storage: Arc<dyn Storage>, algorithm: Algorithm) -> Result {
    let (ctx, remote) = (Ctx::silent(), Remote::new(storage));
    let here = cache(site, "here", algorithm)?;
    let id = add(site, &here)?;
    let wanted = BTreeSet::from([id]);
    let plan = plan_push(&ctx, &here, &remote, &wanted)?;
    let n_objects = plan.objects().count();
    // Sixty, three texts, the empty one, the big one, the manifest.
    assert_eq!(n_objects, 66);
    let stats = push(&ctx, &here, &remote, plan, JOBS)?;
    let failed: Vec<String> = stats.failed.iter().map(|(_, err)| crate::chain(err)).collect();
    assert_eq!((failed, stats.moved), (Vec::new(), 66));

    let again = plan_push(&ctx, &here, &remote, &wanted)?;
    assert_eq!((again.objects().count(), again.missing().len()), (0, 0), "all of it is there");

    let there = cache(site, "there", algorithm)?;
    pull_all(&there, &remote, &wanted)?;
    let tree = here.read_tree(&id)?;
    assert_eq!(there.read_bytes(&id)?, here.read_bytes(&id)?);
    for entry in tree.entries() {
        let id = ObjectId::file(entry.digest);
        assert!(there.read_bytes(&id)? == here.read_bytes(&id)?, "{id} differs");
    }
    Ok(())
}

pub(crate) fn a_directory_travels(site: &Site) -> Result {
    travel(site, site.open()?, Algorithm::Md5)?;
    let other = Site::new(site.kind)?;
    travel(&other, other.open()?, Algorithm::Sha256)
}

pub(crate) fn a_directory_travels_over_a_bad_network(site: &Site) -> Result {
    let proxy = Proxy::new(site.authority()?)?;
    let storage = site.open_at(proxy.address())?;
    // Every connection that moves so much ends: now in this direction, now in the other.
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let directions = [Direction::ToServer, Direction::FromServer];
            for direction in directions.into_iter().cycle().take(4) {
                proxy.cut(direction, 1_500_000, 1);
                for _ in 0..60 {
                    if proxy.cuts_left() == 0 || is_over.load(std::sync::atomic::Ordering::SeqCst) {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            proxy.set(Faults::default());
        });
        let result = travel(site, storage, Algorithm::Md5).map_err(|err| crate::chain(&*err));
        is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        result
    })?;
    Ok(())
}

pub(crate) fn wrong_bytes_are_never_in_the_store(site: &Site) -> Result {
    let (ctx, storage) = (Ctx::silent(), site.open()?);
    let remote = Remote::new(Arc::clone(&storage));
    let here = cache(site, "here", Algorithm::Md5)?;
    let id_of = |text: &str| ObjectId::file(Digest::of(Algorithm::Md5, text.as_bytes()));
    let (right, wrong, short, longer) =
        (id_of("right"), id_of("wrong"), id_of("cut off"), id_of("longer"));
    for (id, content) in [(right, "right"), (wrong, "other"), (short, "cut"), (longer, "longer!")] {
        let hex = id.digest.to_hex();
        let key = key(&format!("files/md5/{}/{}", &hex[..2], &hex[2..]));
        let put = Put { key: &key, len: content.len() as u64, is_object: true };
        storage.write(&ctx, &put, &mut Cursor::new(content))?;
    }
    let wanted = BTreeSet::from([right, wrong, short, longer]);
    let plan = plan_pull(&ctx, &here, &remote, &wanted)?;
    let stats = pull(&ctx, &here, &remote, plan, JOBS)?;
    let failed: BTreeSet<ObjectId> = stats
        .failed
        .iter()
        .map(|(id, err)| {
            assert!(matches!(err, TransferError::Damaged { .. }), "{err:?}");
            *id
        })
        .collect();
    assert_eq!(failed, BTreeSet::from([wrong, short, longer]));
    let there = [right, wrong, short, longer].map(|id| here.contains(&id));
    assert_eq!(there, [true, false, false, false]);
    // Once the right bytes are there, they come.
    let hex = wrong.digest.to_hex();
    write(&*storage, &format!("files/md5/{}/{}", &hex[..2], &hex[2..]), b"wrong")?;
    pull_all(&here, &remote, &BTreeSet::from([wrong]))?;
    assert!(here.contains(&wrong));
    Ok(())
}
