//! Looking at what is at a path: one file, or the files below a directory.
//!
//! Directories are listed level by level, in parallel; nothing is opened. Rules, where they differ from DVC's said:
//! a linked file counts as the file it leads to; a linked directory is left out, as in DVC, but with a warning;
//! broken links, sockets and the like, and names that are not UTF-8 are errors for whoever wants content.

use std::cmp::Ordering;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use exp_core::{Ctx, Warning};
use rayon::prelude::*;

use crate::error::{CacheError, io_error};

/// Says what is not part of a directory. Called from several threads.
pub trait Filter: Sync {
    /// Returns whether the file or directory at `path` is left out; nothing below an ignored directory is asked for.
    ///
    /// `path` is relative to the directory that is looked at, separated by `/`, never empty.
    fn ignored(&self, path: &str, is_dir: bool) -> bool;

    /// Returns whether the file at `path`, which is not ignored, must not be there at all.
    fn refused(&self, _path: &str) -> bool {
        false
    }
}

/// Ignores nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFilter;

impl Filter for NoFilter {
    fn ignored(&self, _: &str, _: bool) -> bool {
        false
    }
}

/// What the file system says of a file without reading it. Equal facts mean an unchanged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    /// Nanoseconds since the epoch. Times after the year 2262 are folded; they can still be compared.
    pub(crate) mtime: i64,
    /// As `mtime`.
    pub(crate) ctime: i64,
    pub(crate) inode: u64,
    pub(crate) device: u64,
    pub(crate) mode: u32,
    /// How many names it has, as far as 32 bits go.
    pub(crate) n_links: u32,
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanos = |s: i64, ns: i64| s.wrapping_mul(1_000_000_000).wrapping_add(ns);
        Self {
            size: metadata.len(),
            mtime: nanos(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanos(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
            mode: metadata.mode(),
            n_links: u32::try_from(metadata.nlink()).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn is_exec(&self) -> bool {
        self.mode & 0o100 != 0
    }

    /// Returns whether this is the same file, not written in between; its mode and its names may have changed.
    pub(crate) fn is_unwritten(&self, since: &Self) -> bool {
        self.is_same_file(since) && (self.size, self.mtime) == (since.size, since.mtime)
    }

    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// What is found under a name that is no directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    /// A link to a file; the [`Stat`] is the file's.
    LinkedFile,
    LinkedDir,
    BrokenLink,
    Special,
}

#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Below the path that was looked at; empty for that path itself.
    pub(crate) path: Box<str>,
    pub(crate) kind: Kind,
    pub(crate) stat: Stat,
}

impl Found {
    pub(crate) fn under(&self, base: &Path) -> PathBuf {
        if self.path.is_empty() { base.to_path_buf() } else { base.join(&*self.path) }
    }

    pub(crate) fn has_content(&self) -> bool {
        matches!(self.kind, Kind::File | Kind::LinkedFile)
    }
}

#[derive(Debug)]
pub(crate) enum Seen {
    Nothing,
    One(Found),
    Dir(Listing),
}

#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Ordered by path.
    pub(crate) found: Vec<Found>,
    /// Directories below the one looked at, ordered by path.
    pub(crate) dirs: Vec<String>,
    /// Whether the directory itself was reached through a link.
    pub(crate) is_linked: bool,
}

/// Looks at `path`; a link at `path` itself is followed.
pub(crate) fn look(ctx: &Ctx<'_>, path: &Path, filter: &dyn Filter) -> Result<Seen, CacheError> {
    let Some((kind, stat, is_dir)) = inspect(path)? else { return Ok(Seen::Nothing) };
    if is_dir || kind == Kind::LinkedDir {
        let mut listing = list(ctx, path, filter)?;
        listing.is_linked = !is_dir;
        return Ok(Seen::Dir(listing));
    }
    Ok(Seen::One(Found { path: Box::default(), kind, stat }))
}

/// Refuses what has no content, and leaves out linked directories with a warning.
pub(crate) fn only_content(
    ctx: &Ctx<'_>,
    base: &Path,
    mut found: Vec<Found>,
) -> Result<Vec<Found>, CacheError> {
    for one in found.iter().filter(|one| !one.has_content()) {
        match one.kind {
            Kind::File | Kind::LinkedFile => {}
            Kind::LinkedDir => ctx.warn(&Warning::Unreadable {
                what: one.under(base).display().to_string(),
                why: "symbolic links to directories are not followed".to_owned(),
            }),
            Kind::BrokenLink => return Err(CacheError::BrokenLink { path: one.under(base) }),
            Kind::Special => return Err(CacheError::Special { path: one.under(base) }),
        }
    }
    found.retain(Found::has_content);
    Ok(found)
}

/// Returns what is at `path` and whether it is a directory; `None` when nothing is.
fn inspect(path: &Path) -> Result<Option<(Kind, Stat, bool)>, CacheError> {
    match fs::symlink_metadata(path) {
        Ok(own) => Ok(Some(classify(&own, path))),
        Err(err) if is_absence(&err) => Ok(None),
        Err(err) => Err(io_error("look at", path)(err)),
    }
}

/// Says what a file is, with the facts that count, and whether it is a directory.
fn classify(own: &Metadata, path: &Path) -> (Kind, Stat, bool) {
    if !own.is_symlink() {
        let kind = if is_special(own) { Kind::Special } else { Kind::File };
        return (kind, Stat::of(own), own.is_dir());
    }
    match fs::metadata(path) {
        Ok(target) if target.is_dir() => (Kind::LinkedDir, Stat::of(own), false),
        Ok(target) if is_special(&target) => (Kind::Special, Stat::of(own), false),
        Ok(target) => (Kind::LinkedFile, Stat::of(&target), false),
        // A loop of links leads nowhere either.
        Err(_) => (Kind::BrokenLink, Stat::of(own), false),
    }
}

pub(crate) fn is_absence(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn is_special(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device()
}

/// A directory as it was listed, in the order of a manifest: by the bytes of whole paths, so that `a.b` comes before
/// `a/b`.
struct Node {
    /// Empty for the directory that is looked at.
    path: Box<str>,
    items: Vec<Item>,
}

enum Item {
    File(Found),
    Dir(Node),
}

fn list(ctx: &Ctx<'_>, base: &Path, filter: &dyn Filter) -> Result<Listing, CacheError> {
    let top = list_one(ctx, base, Box::default(), filter)?;
    let mut listing = Listing::default();
    listing.found.reserve_exact(top.count());
    top.unfold(&mut listing);
    Ok(listing)
}

impl Node {
    fn count(&self) -> usize {
        let count = |item: &Item| match item {
            Item::File(_) => 1,
            Item::Dir(node) => node.count(),
        };
        self.items.iter().map(count).sum()
    }

    fn unfold(self, into: &mut Listing) {
        for item in self.items {
            match item {
                Item::File(found) => into.found.push(found),
                Item::Dir(node) => {
                    into.dirs.push(node.path.clone().into());
                    node.unfold(into);
                }
            }
        }
    }
}

fn list_one(
    ctx: &Ctx<'_>,
    base: &Path,
    dir: Box<str>,
    filter: &dyn Filter,
) -> Result<Node, CacheError> {
    ctx.check()?;
    let at = if dir.is_empty() { base.to_path_buf() } else { base.join(&*dir) };
    let mut entries = Vec::new();
    for entry in fs::read_dir(&at).map_err(io_error("list", &at))? {
        let entry = entry.map_err(io_error("list", &at))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(CacheError::NotUtf8 { path: entry.path() });
        };
        let mut path = String::with_capacity(dir.len() + 1 + name.len());
        if !dir.is_empty() {
            path.push_str(&dir);
            path.push('/');
        }
        path.push_str(name);
        let is_dir = entry.file_type().map_err(io_error("look at", &entry.path()))?.is_dir();
        if filter.ignored(&path, is_dir) {
            continue;
        }
        if !is_dir && filter.refused(&path) {
            return Err(CacheError::Refused { path: entry.path() });
        }
        entries.push((path.into_boxed_str(), is_dir, entry));
    }
    entries.sort_unstable_by(|a, b| order((&a.0, a.1), (&b.0, b.1)));
    // Facts are asked for relative to the open directory, which the entries keep open.
    let looked: Vec<Option<Item>> = (entries.into_par_iter())
        .with_min_len(128)
        .map(|(path, is_dir, entry)| {
            if is_dir {
                return Ok(Some(Item::Dir(Node { path, items: Vec::new() })));
            }
            let own = match entry.metadata() {
                Ok(own) => own,
                // A file that went away since the directory was listed was never there.
                Err(err) if is_absence(&err) => return Ok(None),
                Err(err) => return Err(io_error("look at", &entry.path())(err)),
            };
            let (kind, stat, _) =
                if own.is_symlink() { classify(&own, &entry.path()) } else { classify(&own, &at) };
            Ok(Some(Item::File(Found { path, kind, stat })))
        })
        .collect::<Result<_, CacheError>>()?;
    let mut items: Vec<Item> = looked.into_iter().flatten().collect();
    items.par_iter_mut().try_for_each(|item| {
        if let Item::Dir(node) = item {
            *node = list_one(ctx, base, std::mem::take(&mut node.path), filter)?;
        }
        Ok::<_, CacheError>(())
    })?;
    Ok(Node { path: dir, items })
}

/// Compares two paths of one directory, each with whether it is a directory, as if those ended in a slash.
fn order((a, a_is_dir): (&str, bool), (b, b_is_dir): (&str, bool)) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let n = a.len().min(b.len());
    let next = |path: &[u8], is_dir: bool| path.get(n).copied().or(is_dir.then_some(b'/'));
    a[..n].cmp(&b[..n]).then_with(|| next(a, a_is_dir).cmp(&next(b, b_is_dir)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_whole_paths() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/b", "a.txt", "a", "b/c/d", "b-/x", "b0", "b/c.d", "é", "z"] {
            let path = dir.path().join(if path == "a" { "a0" } else { path });
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let listing = list(&Ctx::silent(), dir.path(), &NoFilter).unwrap();
        let paths: Vec<&str> = listing.found.iter().map(|found| &*found.path).collect();
        assert_eq!(paths, ["a.txt", "a/b", "a0", "b-/x", "b/c.d", "b/c/d", "b0", "z", "é"]);
        assert!(paths.is_sorted());
        assert_eq!(listing.dirs, ["a", "b-", "b", "b/c"]);
    }
}
