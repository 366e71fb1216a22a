//! Collecting: what goes, what stays, and what happens when others work meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use exp_cache::testing::Faults;
use exp_cache::{Cache, CacheError, GcOptions, GcPlan, GcStats, Keep, NoFilter, Relink};
use exp_core::{Artifact, Ctx, ObjectId};
use proptest::prelude::*;

use crate::scratch::{Result, Scratch, add};

const AT_ONCE: Duration = Duration::ZERO;

fn options(grace: Duration) -> GcOptions {
    GcOptions { grace, now: SystemTime::now() }
}

fn plan(cache: &Cache, keep: &[Artifact], grace: Duration) -> GcPlan {
    let ctx = Ctx::silent();
    let keep = cache.keep(&ctx, keep.iter().map(|one| one.id)).unwrap();
    cache.plan_gc(&ctx, &keep, &options(grace)).unwrap()
}

fn collect(cache: &Cache, keep: &[Artifact], plan: GcPlan) -> GcStats {
    let ctx = Ctx::silent();
    let mut again = || cache.keep(&ctx, keep.iter().map(|one| one.id));
    cache.gc::<CacheError>(&ctx, plan, &mut again).unwrap()
}

/// A store with two directories that share a file, whose writers are gone.
fn two(scratch: &Scratch) -> (Artifact, Artifact) {
    scratch.write("a/x", "shared");
    scratch.write("a/y", "only a");
    scratch.write("b/x", "shared");
    scratch.write("b/z", "only b");
    (add(&scratch.cache(), &scratch.path("a")), add(&scratch.cache(), &scratch.path("b")))
}

#[test]
fn only_what_nobody_needs_goes_and_manifests_go_first() -> Result {
    let scratch = Scratch::new();
    let (a, b) = two(&scratch);
    let cache = scratch.cache();
    let planned = plan(&cache, &[a], AT_ONCE);
    assert_eq!(planned.doomed().len(), 2);
    assert!(planned.doomed()[0].id.is_tree());
    assert_eq!(planned.kept(), 3);
    let stats = collect(&cache, &[a], planned);
    assert_eq!((stats.removed.len(), stats.spared, stats.failed.len()), (2, 0, 0));
    assert!(cache.has_all(&a)?);
    assert!(!cache.contains(&b.id));
    assert!(plan(&cache, &[a], AT_ONCE).doomed().is_empty());
    Ok(())
}

#[test]
fn what_is_young_stays_out_of_the_plan() {
    let scratch = Scratch::new();
    let (a, _) = two(&scratch);
    let planned = plan(&scratch.cache(), &[a], Duration::from_hours(1));
    assert!(planned.doomed().is_empty());
    assert_eq!(planned.young().0, 2);
}

#[test]
fn what_a_living_writer_found_in_the_store_stays_until_it_ends() -> Result {
    let scratch = Scratch::new();
    let (a, b) = two(&scratch);
    let collector = scratch.cache();
    let planned = plan(&collector, &[a], AT_ONCE);
    // Another program finds the old objects there and stores nothing new.
    let writer = scratch.cache();
    assert_eq!(add(&writer, &scratch.path("b")).id, b.id);
    assert_eq!(collect(&collector, &[a], planned).removed, []);
    assert!(collector.has_all(&b)?);
    drop(writer);
    let planned = plan(&collector, &[a], AT_ONCE);
    assert_eq!(collect(&collector, &[a], planned).removed.len(), 2);
    Ok(())
}

#[test]
fn a_pin_keeps_what_a_run_found_and_its_files() -> Result {
    let scratch = Scratch::new();
    let (_, b) = two(&scratch);
    let runner = scratch.cache();
    runner.pin(&[b])?;
    let planned = plan(&scratch.cache(), &[], AT_ONCE);
    collect(&scratch.cache(), &[], planned);
    assert!(runner.has_all(&b)?);
    Ok(())
}

#[test]
fn what_is_needed_by_the_second_look_stays() -> Result {
    let scratch = Scratch::new();
    let (a, b) = two(&scratch);
    let cache = scratch.cache();
    let stats = collect(&cache, &[a, b], plan(&cache, &[], AT_ONCE));
    assert_eq!((stats.removed.len(), stats.spared), (0, 5));
    assert!(cache.has_all(&a)? && cache.has_all(&b)?);
    Ok(())
}

#[test]
fn a_second_look_that_fails_removes_nothing() -> Result {
    let scratch = Scratch::new();
    let (a, _) = two(&scratch);
    let (cache, ctx) = (scratch.cache(), Ctx::silent());
    let planned = plan(&cache, &[], AT_ONCE);
    let fail = || -> std::result::Result<Keep, CacheError> {
        Err(CacheError::Absent { path: "x".into() })
    };
    assert!(cache.gc::<CacheError>(&ctx, planned, &mut { fail }).is_err());
    assert!(cache.has_all(&a)?);
    Ok(())
}

#[test]
fn a_directory_without_its_manifest_is_told() -> Result {
    let scratch = Scratch::new();
    let (a, _) = two(&scratch);
    let cache = scratch.cache();
    std::fs::remove_file(cache.object_path(&a.id))?;
    let keep = cache.keep(&Ctx::silent(), [a.id])?;
    assert_eq!(keep.unlisted().iter().collect::<Vec<_>>(), [&a.id]);
    Ok(())
}

#[test]
fn a_collection_that_dies_leaves_no_manifest_without_its_files() -> Result {
    for n in 0..12 {
        let scratch = Scratch::new();
        let (a, b) = two(&scratch);
        let faults = Arc::new(Faults::crash_after(n));
        let options = scratch.options(&[exp_cache::LinkKind::Copy]);
        let dying = Cache::open_with_faults(&scratch.path("cache"), options, faults)?;
        let planned = plan(&dying, &[], AT_ONCE);
        let ctx = Ctx::silent();
        let mut again = || dying.keep(&ctx, []);
        drop(dying.gc::<CacheError>(&ctx, planned, &mut again));
        let cache = scratch.cache();
        for one in [a, b] {
            if cache.contains(&one.id) {
                assert!(cache.has_all(&one)?, "after {n} writes");
            }
        }
    }
    Ok(())
}

#[test]
fn writers_and_a_collector_at_once_lose_nothing_that_is_written_down() -> Result {
    let scratch = Scratch::new();
    let ctx = Ctx::silent();
    // Each writer goes on for this many rounds, and until something was collected meanwhile.
    let (least, most) = (60, 5_000);
    // What each writer has written down: it takes a line back before it writes the next one there.
    let needed = Mutex::new(BTreeMap::<(usize, usize), ObjectId>::new());
    let (is_done, removed) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            while !is_done.load(Ordering::SeqCst) {
                let cache = scratch.cache();
                let read = || needed.lock().unwrap().values().copied().collect::<Vec<_>>();
                let keep = cache.keep(&ctx, read()).unwrap();
                let planned = cache.plan_gc(&ctx, &keep, &options(AT_ONCE)).unwrap();
                let mut again = || cache.keep(&ctx, read());
                let gone = cache.gc::<CacheError>(&ctx, planned, &mut again).unwrap().removed;
                removed.fetch_add(gone.len(), Ordering::SeqCst);
            }
        });
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (scratch, needed, ctx, removed) = (&scratch, &needed, &ctx, &removed);
                scope.spawn(move || {
                    for round in 0..most {
                        if round >= least && removed.load(Ordering::SeqCst) > 0 {
                            break;
                        }
                        // Few contents, so that they are garbage and needed again by turns.
                        let text = format!("content {}", (round * 7 + writer) % 5);
                        let path = scratch.write(&format!("w{writer}/data/{}", round % 3), text);
                        let cache = scratch.cache();
                        let dir = path.parent().unwrap();
                        let artifact = cache.add(ctx, dir, &NoFilter, Relink::No).unwrap();
                        std::thread::yield_now();
                        needed.lock().unwrap().insert((writer, round % 3), artifact.id);
                        drop(cache);
                        assert!(scratch.cache().has_all(&artifact).unwrap());
                        needed.lock().unwrap().remove(&(writer, (round + 1) % 3));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::SeqCst);
        collector.join().unwrap();
    });
    assert!(removed.into_inner() > 0, "nothing was ever collected");
    let cache = scratch.cache();
    for id in needed.into_inner()?.into_values() {
        let tree = cache.read_tree(&id)?;
        assert!(tree.entries().iter().all(|one| cache.contains(&ObjectId::file(one.digest))));
    }
    Ok(())
}

/// What happens beside a collection, in the order in which it happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A program adds a directory, of few contents, so that what is garbage is needed again by turns.
    Add { writer: usize, content: u8 },
    /// It writes down what it added last.
    Note(usize),
    /// It ends.
    End(usize),
    /// Something that was written down is no longer needed.
    Forget(usize),
    /// A collector looks.
    Plan,
    /// It removes what it saw then.
    Perform,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_usize, 0..4_u8).prop_map(|(writer, content)| Step::Add { writer, content }),
        2 => (0..3_usize).prop_map(Step::Note),
        1 => (0..3_usize).prop_map(Step::End),
        1 => (0..4_usize).prop_map(Step::Forget),
        2 => Just(Step::Plan),
        3 => Just(Step::Perform),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn in_no_order_of_events_goes_what_is_needed(steps in prop::collection::vec(step(), 1..40)) {
        let scratch = Scratch::new();
        let mut writers: [Option<Cache>; 3] = [None, None, None];
        let mut added: [Vec<Artifact>; 3] = Default::default();
        let mut noted: Vec<Artifact> = Vec::new();
        let mut planned: Option<GcPlan> = None;
        let collector = scratch.cache();
        for step in steps {
            match step {
                Step::Add { writer, content } => {
                    let name = format!("{writer}/d");
                    let path = scratch.write(&format!("{name}/x"), format!("content {content}"));
                    scratch.write(&format!("{name}/shared"), "shared");
                    let cache = writers[writer].get_or_insert_with(|| scratch.cache());
                    added[writer].push(add(cache, path.parent().unwrap()));
                }
                Step::Note(writer) => noted.extend(added[writer].last()),
                Step::End(writer) => {
                    writers[writer] = None;
                    added[writer].clear();
                }
                Step::Forget(nth) if nth < noted.len() => drop(noted.remove(nth)),
                Step::Forget(_) => {}
                Step::Plan => planned = Some(plan(&collector, &noted, AT_ONCE)),
                Step::Perform => {
                    if let Some(plan) = planned.take() {
                        collect(&collector, &noted, plan);
                    }
                }
            }
            let living = added.iter().flatten().chain(&noted);
            for one in living {
                prop_assert!(collector.has_all(one).unwrap(), "{one:?} is gone after {step:?}");
            }
        }
        // When all is quiet, what nobody needs goes, and nothing else.
        writers.fill_with(|| None);
        collect(&collector, &noted, plan(&collector, &noted, AT_ONCE));
        for one in &noted {
            prop_assert!(collector.has_all(one).unwrap());
        }
        prop_assert!(plan(&collector, &noted, AT_ONCE).doomed().is_empty());
    }
}
