//! Where the files of one revision come from, and what is remembered from one revision to the next.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use exp_cache::{Cache, CacheError, Tree as Manifest};
use exp_core::{LockFile, ObjectId, RelPath};
use exp_refs::{BlobId, EntryKind, Reader, TreeId};

use crate::collect::problem::{failed, missing, no_text, unreadable};
use crate::collect::shape::{Params, Shape, Usage, Usages};
use crate::error::Error;
use crate::recorded::lock_file_of;
use crate::revision::{FileData, Problem};
use crate::source::{Source, SourceEntry, SourceError};
use crate::view::{Broken, View};

/// The files of one revision.
pub(super) trait Files {
    /// Returns what a file holds; `None` when there is no such file.
    fn data(&mut self, path: &RelPath, usage: &Usage) -> Option<FileData>;

    /// Returns the files below a directory, sorted; none when it is no directory.
    fn below(&mut self, dir: &RelPath) -> Vec<RelPath>;

    /// Returns what was recorded of the stages of a `dvc.yaml`; `None` when nothing was.
    fn lock(&mut self, file: &RelPath) -> MaybeLock;
}

/// Parses the bytes of a file.
pub(super) fn parse(path: &str, bytes: &[u8], usage: &Usage) -> FileData {
    let Ok(text) = std::str::from_utf8(bytes) else { return FileData::Error(no_text(path)) };
    match exp_params::parse(usage.format, text) {
        Ok(value) => FileData::Value(Arc::new(usage.take(value))),
        Err(error) => FileData::Error(unreadable(path, &error)),
    }
}

fn parse_lock(file: &RelPath, bytes: &[u8]) -> Result<Arc<LockFile>, Arc<Problem>> {
    let parsed = crate::files::text(file, bytes).and_then(|text| {
        LockFile::parse(text).map_err(|source| Error::Recorded { file: file.clone(), source })
    });
    parsed.map(Arc::new).map_err(|error| super::problem::problem(&error))
}

/// What one thread remembers of Git. Nothing here outlives a collection.
#[derive(Default)]
pub(super) struct Memo {
    usages: Usages,
    /// The pipeline files below a directory, by its content.
    dirs: HashMap<TreeId, Rc<[PipelineBlob]>>,
    /// What pipeline files declare, by their content.
    shapes: HashMap<Vec<PipelineBlob>, ShapesOf>,
    values: HashMap<(BlobId, usize), FileData>,
    locks: HashMap<BlobId, Result<Arc<LockFile>, Arc<Problem>>>,
}

/// A pipeline file by its path, below the directory it was found from, and its content.
type PipelineBlob = (Rc<str>, BlobId);

/// What the same pipeline files declare with different values in their templates.
#[derive(Default)]
struct ShapesOf {
    /// Other files that were read, such as `params.yaml`. Which ones are read may depend on what is in them.
    reads: Vec<Vec<RelPath>>,
    shapes: HashMap<(usize, Vec<Option<BlobId>>), Arc<Shape>>,
}

/// What one thread remembers of the store.
pub(super) struct StoreMemo<'c> {
    cache: &'c Cache,
    /// Set when something could not be had of the store; it may be there another time.
    pub(super) lacked: bool,
    objects: HashMap<(ObjectId, usize), FileData>,
    manifests: HashMap<ObjectId, Result<Arc<Manifest>, Arc<Problem>>>,
}

impl<'c> StoreMemo<'c> {
    pub(super) fn new(cache: &'c Cache) -> Self {
        Self { cache, lacked: false, objects: HashMap::new(), manifests: HashMap::new() }
    }

    /// Returns the manifest of a directory.
    pub(super) fn manifest(&mut self, id: ObjectId) -> Result<Arc<Manifest>, Arc<Problem>> {
        let read = || self.cache.read_tree(&id).map(Arc::new).map_err(|error| failed(&error));
        let manifest = self.manifests.entry(id).or_insert_with(read).clone();
        self.lacked |= manifest.is_err();
        manifest
    }

    /// Returns what a file holds.
    pub(super) fn data(&mut self, id: ObjectId, path: &str, usage: &Usage) -> FileData {
        let read = || match self.cache.read_bytes(&id) {
            Ok(bytes) => parse(path, &bytes, usage),
            Err(CacheError::Missing { .. }) => FileData::Error(missing(path)),
            Err(error) => FileData::Error(failed(&error)),
        };
        let data = self.objects.entry((id, usage.id)).or_insert_with(read).clone();
        self.lacked |= data.value().is_none();
        data
    }
}

/// The files of a commit.
pub(super) struct CommitFiles<'m, 'r> {
    pub(super) reader: &'r Reader,
    pub(super) tree: TreeId,
    pub(super) prefix: &'r RelPath,
    pub(super) memo: &'m mut Memo,
}

impl CommitFiles<'_, '_> {
    /// Returns what the pipeline files of this commit declare.
    pub(super) fn shape(&mut self, root: &Path, params: Params) -> Result<Arc<Shape>, Error> {
        let mut key = Vec::new();
        if let Some(EntryKind::Tree(top)) =
            entry(self.reader, self.tree, self.prefix, &RelPath::root())?
        {
            // The top is different in every experiment, so it is not remembered.
            self.pipeline_files(top, "", &mut key)?;
        }
        if let Some(known) = self.memo.shapes.get(&key) {
            for (which, paths) in known.reads.iter().enumerate() {
                let blobs: Vec<_> =
                    paths.iter().map(|path| self.blob(path)).collect::<Result<_, _>>()?;
                if let Some(shape) = known.shapes.get(&(which, blobs)) {
                    return Ok(Arc::clone(shape));
                }
            }
        }
        let source = ShapeSource {
            reader: self.reader,
            tree: self.tree,
            prefix: self.prefix,
            reads: RefCell::default(),
        };
        let view = View::load(&source, root, Broken::Note)?;
        let shape = Arc::new(Shape::of(&view, params, &mut self.memo.usages));
        let (paths, blobs): (Vec<RelPath>, Vec<Option<BlobId>>) =
            source.reads.into_inner().into_iter().unzip();
        let known = self.memo.shapes.entry(key).or_default();
        let which = known.reads.iter().position(|reads| *reads == paths).unwrap_or_else(|| {
            known.reads.push(paths);
            known.reads.len() - 1
        });
        known.shapes.insert((which, blobs), Arc::clone(&shape));
        Ok(shape)
    }

    /// Adds the pipeline files below a directory to `found`.
    fn pipeline_files(
        &mut self,
        dir: TreeId,
        prefix: &str,
        found: &mut Vec<PipelineBlob>,
    ) -> Result<(), Error> {
        for item in self.reader.tree(dir).entries()?.iter() {
            let Ok(name) = std::str::from_utf8(&item.name) else { continue };
            match item.kind {
                EntryKind::File { blob, .. } if is_pipeline_file(name) => {
                    found.push((Rc::from(format!("{prefix}{name}")), blob));
                }
                EntryKind::Tree(tree) if name != ".dvc" => {
                    if !self.memo.dirs.contains_key(&tree) {
                        let mut below = Vec::new();
                        self.pipeline_files(tree, "", &mut below)?;
                        self.memo.dirs.insert(tree, below.into());
                    }
                    let Some(below) = self.memo.dirs.get(&tree) else { continue };
                    let added = below
                        .iter()
                        .map(|(path, blob)| (Rc::from(format!("{prefix}{name}/{path}")), *blob));
                    found.extend(added);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn blob(&self, path: &RelPath) -> Result<Option<BlobId>, Error> {
        match entry(self.reader, self.tree, self.prefix, path)? {
            Some(EntryKind::File { blob, .. }) => Ok(Some(blob)),
            _ => Ok(None),
        }
    }
}

impl Files for CommitFiles<'_, '_> {
    fn data(&mut self, path: &RelPath, usage: &Usage) -> Option<FileData> {
        let blob = match self.blob(path) {
            Ok(blob) => blob?,
            Err(error) => return Some(FileData::Error(failed(&error))),
        };
        if let Some(known) = self.memo.values.get(&(blob, usage.id)) {
            return Some(known.clone());
        }
        let data = match self.reader.blob(blob) {
            Ok(bytes) => parse(path.as_str(), &bytes, usage),
            Err(error) => FileData::Error(failed(&error)),
        };
        // A problem names the path, which the same content may have several of.
        if data.value().is_some() {
            self.memo.values.insert((blob, usage.id), data.clone());
        }
        Some(data)
    }

    fn below(&mut self, dir: &RelPath) -> Vec<RelPath> {
        let source = ShapeSource {
            reader: self.reader,
            tree: self.tree,
            prefix: self.prefix,
            reads: RefCell::default(),
        };
        match entry(self.reader, self.tree, self.prefix, dir) {
            Ok(Some(EntryKind::Tree(_))) => source.files_below(dir).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn lock(&mut self, file: &RelPath) -> MaybeLock {
        let file = lock_file_of(file);
        let Some(blob) = self.blob(&file).map_err(|error| failed(&error))? else { return Ok(None) };
        if let Some(known) = self.memo.locks.get(&blob) {
            return known.clone().map(Some);
        }
        let bytes = self.reader.blob(blob).map_err(|error| failed(&error))?;
        let lock = parse_lock(&file, &bytes);
        self.memo.locks.insert(blob, lock.clone());
        lock.map(Some)
    }
}

fn is_pipeline_file(name: &str) -> bool {
    name == "dvc.yaml" || name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty())
}

fn entry(
    reader: &Reader,
    tree: TreeId,
    prefix: &RelPath,
    path: &RelPath,
) -> Result<Option<EntryKind>, SourceError> {
    let top = reader.tree(tree);
    if prefix.is_root() {
        return Ok(top.entry(path.as_str().as_bytes())?);
    }
    let Ok(path) = prefix.join(path.as_str()) else { return Ok(None) };
    Ok(top.entry(path.as_str().as_bytes())?)
}

/// A commit as [`View::load`] sees it: without lock files, which are read when they are needed, and with a note of
/// everything else that is read.
struct ShapeSource<'r> {
    reader: &'r Reader,
    tree: TreeId,
    prefix: &'r RelPath,
    reads: RefCell<Vec<(RelPath, Option<BlobId>)>>,
}

impl Source for ShapeSource<'_> {
    fn read(&self, path: &RelPath) -> Result<Option<Vec<u8>>, SourceError> {
        let name = path.file_name().unwrap_or_default();
        if name == "dvc.lock" {
            return Ok(None);
        }
        let blob = match entry(self.reader, self.tree, self.prefix, path)? {
            Some(EntryKind::File { blob, .. }) => Some(blob),
            _ => None,
        };
        if !is_pipeline_file(name) && !self.reads.borrow().iter().any(|(known, _)| known == path) {
            self.reads.borrow_mut().push((path.clone(), blob));
        }
        Ok(blob.map(|blob| self.reader.blob(blob)).transpose()?)
    }

    fn entries(&self, dir: &RelPath) -> Result<Vec<SourceEntry>, SourceError> {
        let Some(EntryKind::Tree(tree)) = entry(self.reader, self.tree, self.prefix, dir)? else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for item in self.reader.tree(tree).entries()?.iter() {
            let Ok(name) = String::from_utf8(item.name.clone()) else { continue };
            if name != ".dvc" || !dir.is_root() {
                entries.push(SourceEntry { name, is_dir: matches!(item.kind, EntryKind::Tree(_)) });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

/// The files of the workspace.
pub(super) struct WorkspaceFiles<'w> {
    source: &'w dyn Source,
    locks: HashMap<RelPath, MaybeLock>,
}

/// A lock file, nothing, or why it cannot be read.
type MaybeLock = Result<Option<Arc<LockFile>>, Arc<Problem>>;

impl<'w> WorkspaceFiles<'w> {
    pub(super) fn new(source: &'w dyn Source) -> Self {
        Self { source, locks: HashMap::new() }
    }
}

impl Files for WorkspaceFiles<'_> {
    fn data(&mut self, path: &RelPath, usage: &Usage) -> Option<FileData> {
        match self.source.read(path) {
            Ok(bytes) => bytes.map(|bytes| parse(path.as_str(), &bytes, usage)),
            Err(error) => Some(FileData::Error(failed(&error))),
        }
    }

    fn below(&mut self, dir: &RelPath) -> Vec<RelPath> {
        self.source.files_below(dir).unwrap_or_default()
    }

    fn lock(&mut self, file: &RelPath) -> MaybeLock {
        let file = lock_file_of(file);
        if let Some(known) = self.locks.get(&file) {
            return known.clone();
        }
        let lock = match self.source.read(&file) {
            Ok(bytes) => bytes.map(|bytes| parse_lock(&file, &bytes)).transpose(),
            Err(error) => Err(failed(&error)),
        };
        self.locks.insert(file, lock.clone());
        lock
    }
}
