//! Showing what is elsewhere: in a repository, or at an address.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use exp_cache::Depth;
use exp_core::{Ctx, RelPath};

use super::address::{Place, open_place};
use super::entry::{RepoEntry, Show};
use super::error::ImportError;
use super::external::{External, Opening, RepoRequest};
use crate::config::Config;
use crate::error::Error;
use crate::project::ProjectOptions;

/// What of a repository is to be listed.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// The repository.
    pub repo: RepoRequest,
    /// What a relative path of the repository is relative to, absolute.
    pub cwd: PathBuf,
    /// Where in it; empty for its top.
    pub path: String,
    /// Whether directories are looked into.
    pub recursive: bool,
    /// How deep, when they are: directories at that depth are listed themselves.
    pub depth: Option<usize>,
    /// Only what DVC tracks.
    pub data_only: bool,
}

/// A directory with what is in it, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNode<T> {
    /// What it is.
    pub entry: T,
    /// What is in it, by name; empty for a file, and where the depth ends.
    pub children: Vec<Self>,
}

/// A size of something in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskUsage {
    /// Where it is; empty for the top.
    pub path: RelPath,
    /// Its files together, in bytes, as far as that is known without asking a storage.
    pub size: u64,
}

/// Lists a repository: each entry with its path from what was asked for, ordered by path.
///
/// # Errors
///
/// When the repository is not reached, or nothing is there.
pub fn list(
    ctx: &Ctx<'_>,
    options: &ProjectOptions,
    request: &ListRequest,
) -> Result<Vec<(String, RepoEntry)>, Error> {
    let (external, top) = open(ctx, options, request)?;
    let show = Show { data_only: request.data_only, dvc_files: true };
    let depth = if request.recursive { request.depth } else { Some(1) };
    let mut found = BTreeMap::new();
    if depth == Some(0) || !top.is_dir {
        let name = request.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name = if name.is_empty() { "." } else { name };
        found.insert(name.to_owned(), top);
    } else {
        let mut todo = vec![(top.path.clone(), 1)];
        while let Some((dir, at)) = todo.pop() {
            for child in external.children(ctx, &dir, show)? {
                if child.is_dir && depth.is_none_or(|depth| at < depth) {
                    todo.push((child.path, at + 1));
                } else {
                    let name = child.path.strip_prefix(&top.path).unwrap_or_default().to_owned();
                    found.insert(name, child);
                }
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Lists a repository as a tree.
///
/// # Errors
///
/// As [`list`].
pub fn list_tree(
    ctx: &Ctx<'_>,
    options: &ProjectOptions,
    request: &ListRequest,
) -> Result<TreeNode<RepoEntry>, Error> {
    let (external, top) = open(ctx, options, request)?;
    let show = Show { data_only: request.data_only, dvc_files: true };
    grow(ctx, &external, (top, request.depth), show)
}

fn grow(
    ctx: &Ctx<'_>,
    external: &External<'_>,
    (entry, depth): (RepoEntry, Option<usize>),
    show: Show,
) -> Result<TreeNode<RepoEntry>, Error> {
    let mut children = Vec::new();
    if entry.is_dir && depth != Some(0) {
        for child in external.children(ctx, &entry.path, show)? {
            let below = depth.map(|depth| depth - 1);
            children.push(grow(ctx, external, (child, below), show)?);
        }
    }
    Ok(TreeNode { entry, children })
}

/// Returns the sizes of what is in a directory of a repository, ordered by path, and at last that of the directory; with
/// `summarize`, or for a file, only the last.
///
/// # Errors
///
/// As [`list`].
pub fn disk_usage(
    ctx: &Ctx<'_>,
    options: &ProjectOptions,
    (request, summarize): (&ListRequest, Summarize),
) -> Result<Vec<DiskUsage>, Error> {
    let (external, top) = open(ctx, options, request)?;
    let mut usage = Vec::new();
    if !top.is_dir || summarize == Summarize::Yes {
        let size = usage_of(ctx, &external, &top)?;
        return Ok(vec![DiskUsage { path: top.path, size }]);
    }
    for child in external.children(ctx, &top.path, Show::CONTENT)? {
        let size = usage_of(ctx, &external, &child)?;
        usage.push(DiskUsage { path: child.path, size });
    }
    let size = usage.iter().map(|one| one.size).sum();
    usage.push(DiskUsage { path: top.path, size });
    Ok(usage)
}

/// Whether only the whole is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summarize {
    /// Only the whole.
    Yes,
    /// What is in it, too.
    No,
}

fn usage_of(ctx: &Ctx<'_>, external: &External<'_>, entry: &RepoEntry) -> Result<u64, Error> {
    if !entry.is_dir {
        return Ok(entry.size.unwrap_or_default());
    }
    if let (false, Some(size)) = (entry.is_present, entry.recorded_size) {
        return Ok(size);
    }
    let mut size = 0;
    for child in external.children(ctx, &entry.path, Show::CONTENT)? {
        size += usage_of(ctx, external, &child)?;
    }
    Ok(size)
}

fn open<'o>(
    ctx: &Ctx<'_>,
    options: &'o ProjectOptions,
    request: &ListRequest,
) -> Result<(External<'o>, RepoEntry), Error> {
    let path = RelPath::new(&request.path)?;
    let bases = vec![request.cwd.clone()];
    let opening = Opening { options, scratch: None, store: None, bases, committed: false };
    let external = External::open(ctx, opening, &request.repo, &path)?;
    let top = external.must_have(ctx, &path, request.repo.rev.as_deref())?;
    Ok((external, top))
}

/// What is at an address, or in a directory there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlEntry {
    /// From the address on.
    pub path: RelPath,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// In bytes, if the other side says so.
    pub size: Option<u64>,
}

/// What at an address is to be listed.
#[derive(Debug, Clone, Default)]
pub struct ListUrlRequest {
    /// A URL, a path, or `remote://name/path`.
    pub url: String,
    /// What a relative path is relative to, absolute.
    pub cwd: PathBuf,
    /// Options of the storage.
    pub fs_config: BTreeMap<String, String>,
    /// Whether directories are looked into.
    pub recursive: bool,
    /// How deep, when they are.
    pub depth: Option<usize>,
}

/// What [`list_url`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlListing {
    /// A single file: the address itself.
    File(Option<u64>),
    /// What is in a directory, ordered by path.
    Dir(Vec<UrlEntry>),
}

/// Lists what is at an address. `config` is for `remote://name`.
///
/// # Errors
///
/// When the other side is not reached, cannot list, or has nothing there.
pub fn list_url(
    ctx: &Ctx<'_>,
    options: &ProjectOptions,
    config: &Config,
    request: &ListUrlRequest,
) -> Result<UrlListing, Error> {
    let bases = [request.cwd.clone()];
    let place = open_place((&request.url, &bases), (config, &request.fs_config), options)?;
    if let Some(stat) = place.stat(ctx)? {
        return Ok(UrlListing::File(stat.size));
    }
    if !place.storage.abilities().list {
        return Err(ImportError::Absent { url: place.shown }.into());
    }
    let depth = if request.recursive { request.depth } else { Some(1) };
    let mut entries = Vec::new();
    let mut todo = vec![(RelPath::root(), 1)];
    if request.recursive && depth.is_none() {
        todo.clear();
        read(ctx, &place, &RelPath::root(), Depth::All, &mut entries)?;
    }
    while let Some((dir, at)) = todo.pop() {
        let mut found = Vec::new();
        read(ctx, &place, &dir, Depth::One, &mut found)?;
        for entry in found {
            if entry.is_dir && depth.is_some_and(|depth| at < depth) {
                todo.push((entry.path, at + 1));
            } else {
                entries.push(entry);
            }
        }
    }
    if entries.is_empty() && !place.is_empty_dir() {
        return Err(ImportError::Absent { url: place.shown }.into());
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(UrlListing::Dir(entries))
}

fn read(
    ctx: &Ctx<'_>,
    place: &Place,
    dir: &RelPath,
    depth: Depth,
    entries: &mut Vec<UrlEntry>,
) -> Result<(), Error> {
    let mut found = |listed: exp_cache::Listed| {
        if !listed.key.is_root() {
            let (path, is_dir) = (listed.key, listed.is_dir);
            entries.push(UrlEntry { path, is_dir, size: listed.stat.size });
        }
        ControlFlow::Continue(())
    };
    place.storage.list(ctx, dir, depth, &mut found).map_err(ImportError::from)?;
    Ok(())
}

/// Returns the tree of a listing whose entries were asked for however deep.
pub fn url_tree(entries: &[UrlEntry], depth: Option<usize>) -> Vec<TreeNode<UrlEntry>> {
    level(entries, &RelPath::root(), depth)
}

fn level(entries: &[UrlEntry], dir: &RelPath, depth: Option<usize>) -> Vec<TreeNode<UrlEntry>> {
    if depth == Some(0) {
        return Vec::new();
    }
    let mut names: BTreeMap<&str, Option<&UrlEntry>> = BTreeMap::new();
    for entry in entries {
        let Some(rest) = entry.path.strip_prefix(dir).filter(|rest| !rest.is_empty()) else {
            continue;
        };
        match rest.split_once('/') {
            Some((name, _)) => names.entry(name).or_insert(None),
            None => names.entry(rest).or_insert(Some(entry)),
        };
    }
    let nodes = names.into_iter().filter_map(|(name, entry)| {
        let path = dir.join(name).ok()?;
        let Some(entry) = entry else {
            let children = level(entries, &path, depth.map(|depth| depth - 1));
            return Some(TreeNode { entry: UrlEntry { path, is_dir: true, size: None }, children });
        };
        Some(TreeNode { entry: entry.clone(), children: Vec::new() })
    });
    nodes.collect()
}

/// Returns the size that a directory itself has on disk, which DVC shows for local ones.
pub fn directory_size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir).map(|found| found.len())
}
