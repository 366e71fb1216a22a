//! Looking at what is at a path: one file, or the files below a directory.
//!
//! Directories are listed level by level, in parallel; nothing is opened. Rules, where they differ from DVC's said:
//! a linked file counts as the file it leads to; a linked directory is left out, as in DVC, but with a warning;
//! broken links, sockets and the like, and names that are not UTF-8 are errors for whoever wants content.

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
    pub(crate) mtime: i128,
    pub(crate) ctime: i128,
    pub(crate) inode: u64,
    pub(crate) device: u64,
    pub(crate) mode: u32,
    pub(crate) n_links: u64,
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanos = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Self {
            size: metadata.len(),
            mtime: nanos(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanos(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
            mode: metadata.mode(),
            n_links: metadata.nlink(),
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
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) stat: Stat,
}

impl Found {
    pub(crate) fn under(&self, base: &Path) -> PathBuf {
        if self.path.is_empty() { base.to_path_buf() } else { base.join(&self.path) }
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
    Ok(Seen::One(Found { path: String::new(), kind, stat }))
}

/// Refuses what has no content, and leaves out linked directories with a warning.
pub(crate) fn only_content(
    ctx: &Ctx<'_>,
    base: &Path,
    found: Vec<Found>,
) -> Result<Vec<Found>, CacheError> {
    let mut kept = Vec::with_capacity(found.len());
    for one in found {
        match one.kind {
            Kind::File | Kind::LinkedFile => kept.push(one),
            Kind::LinkedDir => ctx.warn(&Warning::Unreadable {
                what: one.under(base).display().to_string(),
                why: "symbolic links to directories are not followed".to_owned(),
            }),
            Kind::BrokenLink => return Err(CacheError::BrokenLink { path: one.under(base) }),
            Kind::Special => return Err(CacheError::Special { path: one.under(base) }),
        }
    }
    Ok(kept)
}

/// Returns what is at `path` and whether it is a directory; `None` when nothing is.
fn inspect(path: &Path) -> Result<Option<(Kind, Stat, bool)>, CacheError> {
    let own = match fs::symlink_metadata(path) {
        Ok(own) => own,
        Err(err) if is_absence(&err) => return Ok(None),
        Err(err) => return Err(io_error("look at", path)(err)),
    };
    if !own.is_symlink() {
        let kind = if is_special(&own) { Kind::Special } else { Kind::File };
        return Ok(Some((kind, Stat::of(&own), own.is_dir())));
    }
    Ok(Some(match fs::metadata(path) {
        Ok(target) if target.is_dir() => (Kind::LinkedDir, Stat::of(&own), false),
        Ok(target) if is_special(&target) => (Kind::Special, Stat::of(&own), false),
        Ok(target) => (Kind::LinkedFile, Stat::of(&target), false),
        // A loop of links leads nowhere either.
        Err(_) => (Kind::BrokenLink, Stat::of(&own), false),
    }))
}

pub(crate) fn is_absence(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn is_special(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device()
}

fn list(ctx: &Ctx<'_>, base: &Path, filter: &dyn Filter) -> Result<Listing, CacheError> {
    let mut listing = Listing::default();
    let mut level = vec![String::new()];
    while !level.is_empty() {
        ctx.check()?;
        let parts: Vec<Listing> = level
            .par_iter()
            .map(|dir| list_one(base, dir, filter))
            .collect::<Result<_, CacheError>>()?;
        level.clear();
        for part in parts {
            listing.found.extend(part.found);
            level.extend(part.dirs);
        }
        listing.dirs.extend_from_slice(&level);
    }
    listing.found.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
    listing.dirs.sort_unstable();
    Ok(listing)
}

fn list_one(base: &Path, dir: &str, filter: &dyn Filter) -> Result<Listing, CacheError> {
    let at = if dir.is_empty() { base.to_path_buf() } else { base.join(dir) };
    let mut listing = Listing::default();
    let mut others = Vec::new();
    for entry in fs::read_dir(&at).map_err(io_error("list", &at))? {
        let entry = entry.map_err(io_error("list", &at))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(CacheError::NotUtf8 { path: entry.path() });
        };
        let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        let is_dir = entry.file_type().map_err(io_error("look at", &entry.path()))?.is_dir();
        if filter.ignored(&path, is_dir) {
        } else if is_dir {
            listing.dirs.push(path);
        } else {
            others.push(path);
        }
    }
    listing.found = others
        .into_par_iter()
        .with_min_len(64)
        .map(|path| {
            let at = base.join(&path);
            // A file that went away since the directory was listed was never there.
            Ok(inspect(&at)?.map(|(kind, stat, _)| Found { path, kind, stat }))
        })
        .filter_map(Result::transpose)
        .collect::<Result<_, CacheError>>()?;
    Ok(listing)
}
