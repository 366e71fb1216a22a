//! Data at an address: taking it in, and recording what it was there.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use exp_cache::{CacheError, Incoming, NoFilter, Relink, StorageStat, Tree, TreeEntry};
use exp_core::{
    Algorithm, Artifact, Ctx, Digest, KeyOrder, LockEntry, ObjectId, Table, Value, python_json,
};

use super::address::{Content, Place, PlaceKind, open_place};
use super::corner::Corner;
use super::error::ImportError;
use super::external::check_safe;
use super::record::plain_hash;
use crate::error::Error;
use crate::files::FileError;
use crate::project::Project;

/// Opens an address that data of this project comes from.
pub(super) fn open(
    project: &Project,
    url: &str,
    bases: &[PathBuf],
    fs_config: &BTreeMap<String, String>,
) -> Result<Place, Error> {
    open_place((url, bases), (project.config(), fs_config), project.options())
}

/// Returns the marks by which a change of what is at an address is noticed; its content where there are none.
///
/// # Errors
///
/// When it cannot be reached, or nothing is there.
pub(crate) fn mark_of(ctx: &Ctx<'_>, project: &Project, url: &str) -> Result<String, Error> {
    let place = open(project, url, &[project.root().to_path_buf()], &BTreeMap::new())?;
    let content = place.look(ctx)?;
    let artifact = match place.kind {
        PlaceKind::Local | PlaceKind::Content => Some(digest_of(ctx, project, &place, &content)?),
        PlaceKind::Http | PlaceKind::Bucket => None,
    };
    let dep = dep_of(&place, &content, url, artifact.as_ref());
    Ok(python_json(&dep.to_value(), KeyOrder::Sorted))
}

/// What is at a URL, as far as a record says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AtUrl {
    /// Content that can be digested, or the listing of a directory with the marks of its files.
    Content(Artifact),
    /// Marks of the other side, in the order of a lock file.
    Marks(Table),
}

/// Looks at what is at a URL; `None` when nothing is there.
///
/// # Errors
///
/// When it cannot be reached.
pub(crate) fn look_at(ctx: &Ctx<'_>, project: &Project, url: &str) -> Result<Option<AtUrl>, Error> {
    let place = open(project, url, &[project.root().to_path_buf()], &BTreeMap::new())?;
    let content = match place.look(ctx) {
        Ok(content) => content,
        Err(Error::Import(ImportError::Absent { .. })) => return Ok(None),
        Err(error) => return Err(error),
    };
    if matches!(place.kind, PlaceKind::Local | PlaceKind::Content) {
        return Ok(Some(AtUrl::Content(digest_of(ctx, project, &place, &content)?)));
    }
    let told = dep_of(&place, &content, url, None);
    if let Some(listing) = told.artifact {
        return Ok(Some(AtUrl::Content(listing)));
    }
    let told = told.extra;
    let mut marks = Table::from([("hash".to_owned(), plain_hash())]);
    marks.extend(told.into_iter().filter(|(key, _)| key != "hash"));
    Ok(Some(AtUrl::Marks(marks)))
}

/// Stores what is at an address.
///
/// # Errors
///
/// When it cannot be read or stored; what was stored by then stays.
pub(super) fn take(
    ctx: &Ctx<'_>,
    project: &Project,
    (place, content): (&Place, &Content),
    jobs: NonZeroUsize,
) -> Result<Artifact, Error> {
    let cache = project.cache();
    if let Some(path) = &place.local {
        let path = path.canonicalize().map_err(FileError::at("open", path))?;
        return Ok(cache.add(ctx, &path, &NoFilter, Relink::No)?);
    }
    let files = files_of(content)?;
    let taken = exp_cache::take_in(ctx, cache, &*place.storage, files, jobs);
    let taken = taken.map_err(ImportError::from)?;
    let (artifact, tree) = artifact_of(cache.algorithm(), content, &taken)?;
    if let Some(tree) = tree {
        cache.add_tree(&tree)?;
    }
    Ok(artifact)
}

/// Returns the files at an address, whose names are fit for a directory of ours.
pub(super) fn files_of(content: &Content) -> Result<&[Incoming], Error> {
    let files = match content {
        Content::File(file) => std::slice::from_ref(file),
        Content::Dir(files) => files,
    };
    for file in files {
        check_safe(&file.key)?;
    }
    Ok(files)
}

/// Returns what files are together, by their digests and sizes.
pub(super) fn artifact_of(
    algorithm: Algorithm,
    content: &Content,
    taken: &[(Digest, u64)],
) -> Result<(Artifact, Option<Tree>), Error> {
    let size = taken.iter().map(|(_, size)| size).sum();
    let (id, n_files, tree) = match (content, taken) {
        (Content::File(_), [(digest, _)]) => (ObjectId::file(*digest), None, None),
        (Content::File(file), _) => {
            return Err(ImportError::Absent { url: file.key.to_string() }.into());
        }
        (Content::Dir(files), _) => {
            let entries = files.iter().zip(taken).map(|(file, (digest, _))| TreeEntry {
                path: file.key.as_str().to_owned(),
                digest: *digest,
                is_exec: false,
            });
            let tree = Tree::new(algorithm, entries.collect());
            let tree =
                tree.map_err(|source| CacheError::Unlistable { path: ".".into(), source })?;
            (tree.id(), Some(files.len() as u64), Some(tree))
        }
    };
    Ok((Artifact { id, size: Some(size), n_files, is_exec: false }, tree))
}

/// Returns what is at an address without storing it.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn digest_of(
    ctx: &Ctx<'_>,
    project: &Project,
    place: &Place,
    content: &Content,
) -> Result<Artifact, Error> {
    let cache = project.cache();
    if let Some(path) = &place.local {
        let found = cache.digest(ctx, path, &NoFilter)?;
        return found.ok_or_else(|| ImportError::Absent { url: place.shown.clone() }.into());
    }
    let mut taken = Vec::new();
    for file in files_of(content)? {
        let mut into = Corner::inside(&project.scratch())?.spool()?;
        let asked = (file, cache.algorithm());
        let read = exp_cache::download(ctx, &*place.storage, asked, &mut into);
        taken.push(read.map_err(ImportError::from)?);
    }
    Ok(artifact_of(cache.algorithm(), content, &taken)?.0)
}

/// Returns the record of what is at an address: by content where `artifact` is what tells, else by the marks of the other
/// side. `path` is the address as the `.dvc` file has it.
pub(super) fn dep_of(
    place: &Place,
    content: &Content,
    path: &str,
    artifact: Option<&Artifact>,
) -> LockEntry {
    if matches!(place.kind, PlaceKind::Local | PlaceKind::Content) {
        return LockEntry::new(path, artifact.copied());
    }
    let mut dep = LockEntry::new(path, None);
    let key = if place.kind == PlaceKind::Http { "checksum" } else { "etag" };
    let mut set = |key: &str, value: Value| dep.extra.insert(key.to_owned(), value);
    match content {
        Content::File(file) => {
            set(key, Value::from(mark(place.kind, &file.stat).as_str()));
            let size = file.stat.size.or_else(|| artifact.and_then(|artifact| artifact.size));
            if let Some(size) = size {
                set("size", Value::from(size));
            }
            if let Some(version) = &file.version {
                set("version_id", Value::from(version.as_str()));
            }
        }
        Content::Dir(files)
            if !files.is_empty() && files.iter().all(|file| file.version.is_some()) =>
        {
            let rows = files.iter().map(|file| {
                let mut row = Table::new();
                let mut set = |name: &str, value: Value| row.insert(name.to_owned(), value);
                set("relpath", Value::from(file.key.as_str()));
                set(key, Value::from(mark(place.kind, &file.stat).as_str()));
                if let Some(size) = file.stat.size {
                    set("size", Value::from(size));
                }
                set("version_id", Value::from(file.version.as_deref().unwrap_or_default()));
                Value::Table(row)
            });
            set("files", Value::List(rows.collect()));
        }
        Content::Dir(files) => {
            let rows = files.iter().map(|file| {
                let row: Table = [
                    (key.to_owned(), Value::from(mark(place.kind, &file.stat).as_str())),
                    ("relpath".to_owned(), Value::from(file.key.as_str())),
                ]
                .into_iter()
                .collect();
                Value::Table(row)
            });
            let text = python_json(&Value::List(rows.collect()), KeyOrder::Sorted);
            // DVC names the digest of a listing `md5`, whatever the marks in it are.
            let id = ObjectId::tree(Digest::of(Algorithm::Md5, text.as_bytes()));
            let size = files.iter().map(|file| file.stat.size).sum();
            let n_files = Some(files.len() as u64);
            return LockEntry::new(path, Some(Artifact { id, size, n_files, is_exec: false }));
        }
    }
    set("hash", plain_hash());
    dep
}

/// Returns the mark by which a change is noticed. A server without any has at least a size and a time.
fn mark(kind: PlaceKind, stat: &StorageStat) -> String {
    match (kind, &stat.etag, &stat.checksum) {
        // DVC keeps the header as it is.
        (PlaceKind::Http, Some(etag), _) if !etag.starts_with(['"', 'W']) => format!("\"{etag}\""),
        (_, Some(etag), _) => etag.clone(),
        (_, None, Some(checksum)) => checksum.clone(),
        (_, None, None) => {
            let text = format!("{:?} {:?}", stat.size, stat.modified);
            Digest::of(Algorithm::Md5, text.as_bytes()).to_hex()
        }
    }
}
