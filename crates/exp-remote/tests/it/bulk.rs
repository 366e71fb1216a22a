//! Many objects.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use exp_cache::{Depth, StorageError};
use exp_core::{Ctx, RelPath};

use crate::Result;
use crate::basics::{key, removes, write};
use crate::faults::persist;
use crate::names::found;
use crate::servers::{Kind, Site};

/// How many are in flight at once.
const WORKERS: usize = 16;

pub(crate) fn many_objects_are_written_listed_and_removed(site: &Site) -> Result {
    // More than a page of any listing, which for Azure has 5,000; Azurite needs minutes for twice as many.
    let n = match site.kind {
        Kind::Azure => 5_500,
        _ => 10_000,
    };
    let (ctx, storage) = (Ctx::silent(), site.open()?);
    let names: Vec<String> = (0..n).map(|n| format!("files/md5/{:02x}/{n:06}", n % 256)).collect();
    let mut begun = Instant::now();
    let mut took = |what: &str| {
        let text = format!("{what} {:.1} s", begun.elapsed().as_secs_f32());
        begun = Instant::now();
        text
    };
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| -> std::result::Result<(), StorageError> {
                    while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                        // Of so many requests some are answered badly, as in a transfer.
                        persist(|| write(&*storage, name, name.as_bytes()))?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| {
                thread.join().map_err(|_| "a thread panicked")?.map_err(Into::into)
            })
            .map_err(|err: Box<dyn std::error::Error>| crate::chain(&*err))
    })?;
    let mut times = vec![took("written")];

    let keys: Vec<RelPath> = names.iter().map(|name| key(name)).collect();
    let there = persist(|| storage.stat(&ctx, &keys))?;
    assert_eq!(there.iter().filter(|stat| stat.is_some()).count(), n);
    times.push(took("looked up"));

    if storage.abilities().list {
        let listed = found(&*storage, "files", Depth::All)?;
        assert!(listed.iter().map(|(name, _)| name).eq({
            let mut names: Vec<&String> = names.iter().collect();
            names.sort();
            names
        }));
        times.push(took("listed"));
        assert_eq!(found(&*storage, "files/md5", Depth::One)?.len(), 256);
        let mut seen = 0;
        storage.list(&ctx, &key("files"), Depth::All, &mut |_| {
            seen += 1;
            if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        assert_eq!(seen, 5);
        times.push(took("listed by directory"));
    }
    if removes(&*storage)? {
        persist(|| storage.remove(&ctx, &keys))?;
        times.push(took("removed"));
        if storage.abilities().list {
            assert_eq!(found(&*storage, "files", Depth::All)?.len(), 0);
        }
    }
    eprintln!("{:?}: {n} objects: {}", site.kind, times.join(", "));
    Ok(())
}
