//! Fetching data from elsewhere without tracking it. No project is needed.
//!
//! Everything is received beside the place where it goes to and renamed when it is complete, so that a file is there
//! wholly or not at all, and a new directory too.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use exp_cache::Incoming;
use exp_core::{Algorithm, Ctx, RelPath, TaskLabel, Unit};

use super::address::{Content, open_place};
use super::corner::Corner;
use super::entry::RepoEntry;
use super::error::{ImportError, shown};
use super::external::{External, Opening, RepoRequest, check_safe, is_there};
use super::{JOBS, lfs_pointer};
use crate::config::Config;
use crate::error::Error;
use crate::files::FileError;
use crate::project::ProjectOptions;

/// Where fetched data goes.
#[derive(Debug, Clone, Default)]
pub struct Destination {
    /// The directory that a person is in, absolute.
    pub cwd: PathBuf,
    /// The file or directory to make, relative to it; an existing directory means inside of it. Without, the name that
    /// the data has on the other side.
    pub out: Option<String>,
    /// Whether what is there is replaced. Files of a directory that the data does not have stay.
    pub force: bool,
}

/// What of a repository is to be fetched.
#[derive(Debug, Clone, Default)]
pub struct GetRequest {
    /// The repository.
    pub repo: RepoRequest,
    /// The path in it.
    pub path: String,
    /// Where it goes.
    pub to: Destination,
    /// How many files are received at once; without, 8.
    pub jobs: Option<NonZeroUsize>,
}

/// What at an address is to be fetched.
#[derive(Debug, Clone, Default)]
pub struct GetUrlRequest {
    /// A URL, a path, or `remote://name/path`.
    pub url: String,
    /// Options of the storage.
    pub fs_config: BTreeMap<String, String>,
    /// Where it goes.
    pub to: Destination,
    /// How many files are received at once; without, 8.
    pub jobs: Option<NonZeroUsize>,
}

/// What was fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GetReport {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Files.
    pub n_files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Files that are not what their names promise, from the top of what was fetched: symbolic links, of which the text
    /// of the target was written, and pointers of Git LFS.
    pub odd: Vec<Odd>,
}

/// A file that is not what its name promises.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Odd {
    /// The path in the other repository.
    pub path: RelPath,
    /// What it is.
    pub kind: OddKind,
}

/// What a file is that is not what its name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OddKind {
    /// A symbolic link; its bytes are its target.
    Link,
    /// A pointer of Git LFS; its bytes name the content, which Git does not have.
    LfsPointer,
}

/// Fetches a file or directory of a repository.
///
/// # Errors
///
/// When the repository is not reached, nothing is there, or something is in the way.
pub fn get(
    ctx: &Ctx<'_>,
    options: &ProjectOptions,
    request: &GetRequest,
) -> Result<GetReport, Error> {
    let target = resolve_output(&request.path, &request.to)?;
    if is_dvc_file(&target) {
        return Err(ImportError::DvcFile { path: shown(&target, &request.to.cwd) }.into());
    }
    let path = RelPath::new(&request.path)?;
    let bases = vec![request.to.cwd.clone()];
    let opening = Opening { options, scratch: None, store: None, bases, committed: false };
    let external = External::open(ctx, opening, &request.repo, &path)?;
    let top = external.must_have(ctx, &path, request.repo.rev.as_deref())?;
    let leaves = external.leaves(ctx, &top)?;
    let mode = 0o666 & !options.umask;
    let jobs = request.jobs.unwrap_or(JOBS);
    let mut report = GetReport { path: target.clone(), ..GetReport::default() };
    deliver((&target, &request.to), top.is_dir, |at| {
        report.bytes =
            fill(ctx, &external, (&leaves, &top.path), (at, mode, jobs), &mut report.odd)?;
        Ok(())
    })?;
    report.n_files = leaves.len() as u64;
    Ok(report)
}

/// Returns the address that the storage of a file or directory of a repository is at: that of its object, in the store
/// of a directory or on the remote. A directory's is that of its manifest.
///
/// # Errors
///
/// When only Git tracks it, or no remote is set.
pub fn storage_url(
    ctx: &Ctx<'_>,
    options: &ProjectOptions,
    request: &GetRequest,
) -> Result<String, Error> {
    let path = RelPath::new(&request.path)?;
    let bases = vec![request.to.cwd.clone()];
    let opening = Opening { options, scratch: None, store: None, bases, committed: false };
    let external = External::open(ctx, opening, &request.repo, &path)?;
    let entry = external.entry(ctx, &path)?;
    let not_data = || ImportError::NotData { path: path.clone(), url: external.label.clone() };
    let id = entry.and_then(|entry| entry.id).ok_or_else(not_data)?;
    let remote = external.out_of(&path).and_then(|out| out.remote.clone());
    let mut labels = external.labels(remote.as_deref())?;
    // The remote is what others can reach; the store of a directory stands in for one that has none.
    let label = labels.pop().ok_or(ImportError::NoRemote)?;
    let name = id.to_string();
    let (shard, rest) = name.split_at(2);
    let label = label.trim_end_matches('/');
    Ok(match id.digest.algorithm() {
        Algorithm::Md5Dos2Unix => format!("{label}/{shard}/{rest}"),
        algorithm => format!("{label}/files/{}/{shard}/{rest}", algorithm.name()),
    })
}

/// Fetches a file or directory from an address. `config` is for `remote://name`.
///
/// # Errors
///
/// When the other side is not reached, nothing is there, or something is in the way here.
pub fn get_url(
    ctx: &Ctx<'_>,
    options: &ProjectOptions,
    config: &Config,
    request: &GetUrlRequest,
) -> Result<GetReport, Error> {
    let target = resolve_output(&request.url, &request.to)?;
    let bases = [request.to.cwd.clone()];
    let place = open_place((&request.url, &bases), (config, &request.fs_config), options)?;
    let content = place.look(ctx)?;
    let (files, is_dir) = match content {
        Content::File(file) => (vec![file], false),
        Content::Dir(files) => (files, true),
    };
    for file in &files {
        check_safe(&file.key).map_err(Error::from)?;
    }
    let mode = 0o666 & !options.umask;
    let mut report = GetReport { path: target.clone(), ..GetReport::default() };
    let jobs = request.jobs.unwrap_or(JOBS);
    report.n_files = files.len() as u64;
    deliver((&target, &request.to), is_dir, |at| {
        let one = |file: &Incoming| {
            let into = &mut create(&file.key.under(at))?;
            let asked = (file, Algorithm::Md5);
            let (_, size) = exp_cache::download(ctx, &*place.storage, asked, into)
                .map_err(ImportError::from)?;
            settle(into, &file.key.under(at), mode)?;
            Ok(size)
        };
        report.bytes = parallel(ctx, &files, jobs, &one)?;
        Ok(())
    })?;
    Ok(report)
}

/// Writes the files of a repository below `at`, or to `at` itself for a file, and returns how many bytes those are.
pub(super) fn fill(
    ctx: &Ctx<'_>,
    external: &External<'_>,
    (leaves, top): (&[RepoEntry], &RelPath),
    (at, mode, jobs): (&Path, u32, NonZeroUsize),
    odd: &mut Vec<Odd>,
) -> Result<u64, Error> {
    let place = |leaf: &RepoEntry| {
        let below = leaf.path.strip_prefix(top).unwrap_or_default();
        if below.is_empty() { at.to_path_buf() } else { at.join(below) }
    };
    let mut bytes = 0;
    // Git's objects are read by one thread.
    let (present, stored): (Vec<&RepoEntry>, Vec<&RepoEntry>) =
        leaves.iter().partition(|leaf| leaf.is_present);
    for leaf in present {
        ctx.check()?;
        let path = place(leaf);
        let mut file = create(&path)?;
        if leaf.is_link {
            odd.push(Odd { path: leaf.path.clone(), kind: OddKind::Link });
        }
        let size = external.files.copy(&leaf.path, &mut file)?;
        if lfs_pointer(&path, size) {
            odd.push(Odd { path: leaf.path.clone(), kind: OddKind::LfsPointer });
        }
        bytes += size;
        settle(&file, &path, mode)?;
    }
    let mut wanted = Vec::with_capacity(stored.len());
    for leaf in stored {
        let Some(id) = leaf.id else { continue };
        let remote = external.out_of(&leaf.path).and_then(|out| out.remote.clone());
        wanted.push((id, remote, leaf.path.clone(), place(leaf)));
    }
    let mut places = BTreeMap::new();
    for (_, remote, ..) in &wanted {
        if !places.contains_key(remote) {
            places.insert(remote.clone(), external.remotes(remote.as_deref())?);
        }
    }
    let url = external.label.clone();
    let one = |(id, remote, path, full): &(_, Option<String>, RelPath, PathBuf)| {
        let mut file = create(full)?;
        let remotes = places.get(remote).map(Vec::as_slice).unwrap_or_default();
        let size = super::receive_from(ctx, remotes, (id, &url, path), &mut file)?;
        settle(&file, full, mode)?;
        Ok(size)
    };
    Ok(bytes + parallel(ctx, &wanted, jobs, &one)?)
}

/// Does something for each of `items` with several threads, until the first failure, and returns the sum.
fn parallel<T: Sync>(
    ctx: &Ctx<'_>,
    items: &[T],
    jobs: NonZeroUsize,
    one: &(dyn Fn(&T) -> Result<u64, Error> + Sync),
) -> Result<u64, Error> {
    let task = ctx.task(TaskLabel::Pull, Some(items.len() as u64), Unit::Files);
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Ok(0));
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(items.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let done = ctx.check().map_err(Error::from).and_then(|()| one(item));
                    task.advance(1);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *sum, done) {
                        (Ok(sum), Ok(size)) => *sum += size,
                        (Ok(_), Err(error)) => *sum = Err(error),
                        (Err(_), _) => return,
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn create(path: &Path) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
    }
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true).open(path);
    Ok(file.map_err(FileError::at("create", path))?)
}

fn settle(file: &File, path: &Path, mode: u32) -> Result<(), Error> {
    let permissions = Permissions::from_mode(mode);
    Ok(file.set_permissions(permissions).map_err(FileError::at("change", path))?)
}

/// Lets `fill` make the file or directory in a corner beside `target`, and moves it there when it is complete.
fn deliver(
    (target, to): (&Path, &Destination),
    is_dir: bool,
    fill: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let parent = target.parent().unwrap_or(Path::new("/"));
    let corner = Corner::inside(parent)?;
    let made = corner.path().join("new");
    if is_dir {
        fs::create_dir(&made).map_err(FileError::at("create", &made))?;
    }
    fill(&made)?;
    let in_the_way = |is_dir| {
        let path = shown(target, &to.cwd);
        Error::from(ImportError::Exists { path, is_dir })
    };
    match fs::symlink_metadata(target) {
        Ok(found) if !to.force || found.is_dir() != is_dir => {
            return Err(in_the_way(found.is_dir()));
        }
        Ok(found) if found.is_dir() => return merge(&made, target),
        _ => {}
    }
    Ok(fs::rename(&made, target).map_err(FileError::at("create", target))?)
}

/// Moves the files of a directory into another one, over what is there. Links on the way are not followed.
fn merge(from: &Path, into: &Path) -> Result<(), Error> {
    let listing = fs::read_dir(from).map_err(FileError::at("list", from))?;
    for entry in listing {
        let entry = entry.map_err(FileError::at("list", from))?;
        let (made, target) = (entry.path(), into.join(entry.file_name()));
        let is_dir = made.is_dir();
        match fs::symlink_metadata(&target) {
            Ok(found) if found.is_dir() && is_dir => merge(&made, &target)?,
            Ok(found) if found.is_dir() != is_dir => {
                let path = target.display().to_string();
                return Err(ImportError::Exists { path, is_dir: found.is_dir() }.into());
            }
            _ => fs::rename(&made, &target).map_err(FileError::at("create", &target))?,
        }
    }
    Ok(())
}

/// Returns where data with a name on the other side goes, as DVC finds it.
///
/// # Errors
///
/// When something is there and is not to be replaced.
pub(super) fn resolve_output(source: &str, to: &Destination) -> Result<PathBuf, Error> {
    let name = name_of(source);
    let target = match &to.out {
        None => to.cwd.join(&name),
        Some(out) => {
            let path = to.cwd.join(out);
            if path.is_dir() { path.join(&name) } else { path }
        }
    };
    let target: PathBuf = target.components().collect();
    if target.file_name().is_none() || name.is_empty() && to.out.is_none() {
        return Err(ImportError::Absent { url: source.to_owned() }.into());
    }
    if is_there(&target) && !to.force {
        let path = shown(&target, &to.cwd);
        return Err(ImportError::Exists { path, is_dir: target.is_dir() }.into());
    }
    Ok(target)
}

/// Returns the last part of the path of an address, without query and fragment.
pub(super) fn name_of(source: &str) -> String {
    let path = match source.split_once("://") {
        Some((_, rest)) => {
            let rest = rest.split(['?', '#']).next().unwrap_or_default();
            rest.split_once('/').map_or("", |(_, path)| path)
        }
        None => source,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.pop().unwrap_or_default().to_owned()
}

/// Returns whether a path is that of a file that says what data is.
pub(super) fn is_dvc_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "dvc")
        || path.file_name().is_some_and(|name| name == "dvc.yaml")
}
