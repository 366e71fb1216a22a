//! Names that need quoting somewhere, and listings.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use exp_cache::{Depth, Storage};
use exp_core::{Ctx, RelPath};

use crate::Result;
use crate::basics::{key, read, removes, size, write};
use crate::servers::{Kind, Site};

/// Names that are quoted wrongly by someone.
const AWKWARD: &[&str] = &[
    "with space",
    "two  spaces/and more",
    "ünï-cödé/日本語/🦀.txt",
    "e\u{301} is not é",
    "50%",
    "a%20b",
    "a+b=c&d",
    "what?",
    "#1",
    "semi;colon,comma",
    "it's \"quoted\"",
    "(round)[square]{curly}",
    "~tilde!$@^`",
    ".hidden/.file",
    "-dash",
    "under_score:colon",
];

pub(crate) fn found(
    storage: &dyn Storage,
    under: &str,
    depth: Depth,
) -> Result<BTreeSet<(String, bool)>> {
    let mut found = BTreeSet::new();
    let mut twice = Vec::new();
    let under = if under.is_empty() { RelPath::root() } else { key(under) };
    storage.list(&Ctx::silent(), &under, depth, &mut |listed| {
        let one = (listed.key.as_str().to_owned(), listed.is_dir);
        if !found.insert(one.clone()) {
            twice.push(one);
        }
        ControlFlow::Continue(())
    })?;
    assert!(twice.is_empty(), "listed twice: {twice:?}");
    Ok(found)
}

fn expected(names: &[(&str, bool)]) -> BTreeSet<(String, bool)> {
    names.iter().map(|(name, is_dir)| ((*name).to_owned(), *is_dir)).collect()
}

pub(crate) fn names_are_kept(site: &Site) -> Result {
    let storage = site.open()?;
    for name in AWKWARD {
        write(&*storage, name, name.as_bytes())?;
    }
    for name in AWKWARD {
        assert_eq!(read(&*storage, name)?, name.as_bytes(), "{name}");
        assert_eq!(size(&*storage, name)?, Some(name.len() as u64), "{name}");
    }
    // A name that is quoted twice, or not at all, is another one.
    for other in ["with%20space", "a b", "a%2520b", "what", "a+b=c"] {
        assert_eq!(size(&*storage, other)?, None, "{other}");
    }
    if storage.abilities().list {
        let all: Vec<(&str, bool)> = AWKWARD.iter().map(|name| (*name, false)).collect();
        assert_eq!(found(&*storage, "", Depth::All)?, expected(&all));
        let under = found(&*storage, "ünï-cödé", Depth::One)?;
        assert_eq!(under, expected(&[("ünï-cödé/日本語", true)]));
    }
    if removes(&*storage)? {
        let keys: Vec<RelPath> = AWKWARD.iter().map(|name| key(name)).collect();
        storage.remove(&Ctx::silent(), &keys)?;
        let left = storage.stat(&Ctx::silent(), &keys)?;
        assert!(left.iter().all(Option::is_none), "{left:?}");
    }
    Ok(())
}

pub(crate) fn listings_know_depth_and_borders(site: &Site) -> Result {
    let storage = site.open()?;
    if !storage.abilities().list {
        let listed = storage
            .list(&Ctx::silent(), &RelPath::root(), Depth::All, &mut |_| ControlFlow::Continue(()));
        return match listed {
            Ok(()) => Err("it lists what it says it cannot".into()),
            Err(_) => Ok(()),
        };
    }
    assert_eq!(found(&*storage, "", Depth::All)?, expected(&[]), "nothing is there yet");
    for name in ["a/1", "a/b/2", "a/b/c/3", "ab/4", "a.txt", "z"] {
        write(&*storage, name, name.as_bytes())?;
    }
    let all = ["a/1", "a/b/2", "a/b/c/3", "ab/4", "a.txt", "z"].map(|name| (name, false)).to_vec();
    assert_eq!(found(&*storage, "", Depth::All)?, expected(&all));
    assert_eq!(
        found(&*storage, "", Depth::One)?,
        expected(&[("a", true), ("ab", true), ("a.txt", false), ("z", false)])
    );
    assert_eq!(found(&*storage, "a", Depth::All)?, expected(&all[..3]), "`ab` is not below `a`");
    assert_eq!(found(&*storage, "a", Depth::One)?, expected(&[("a/1", false), ("a/b", true)]));
    assert_eq!(found(&*storage, "nothing", Depth::All)?, expected(&[]));
    assert_eq!(found(&*storage, "nothing", Depth::One)?, expected(&[]));

    let mut seen = 0;
    storage.list(&Ctx::silent(), &RelPath::root(), Depth::All, &mut |listed| {
        seen += 1;
        let sizes = [Some(listed.key.as_str().len() as u64), None];
        assert!(sizes.contains(&listed.stat.size), "{listed:?}");
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    assert_eq!(seen, 2, "it goes on after it was told to break off");
    assert!(site.kind == Kind::Dir || !storage.abilities().is_near);
    Ok(())
}
