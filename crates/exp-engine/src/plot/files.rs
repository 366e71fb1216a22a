//! The files of one revision: those of Git or of the workspace, and those that the store keeps.

use std::path::Path;

use exp_cache::{Cache, CacheError};
use exp_core::{Artifact, ObjectId, RelPath};
use exp_plots::PlotFault;

use crate::source::Source;
use crate::view::View;

/// The files of a revision, by names relative to a directory.
pub(super) struct RevisionFiles<'f> {
    source: &'f dyn Source,
    cache: &'f Cache,
    here: &'f RelPath,
    /// The root of the workspace, if it is one.
    root: Option<&'f Path>,
    /// Outputs that the store keeps, and what was recorded of them.
    stored: Vec<(RelPath, Option<Artifact>)>,
}

impl<'f> RevisionFiles<'f> {
    pub(super) fn new(
        source: &'f dyn Source,
        view: &View,
        cache: &'f Cache,
        here: &'f RelPath,
        root: Option<&'f Path>,
    ) -> Self {
        let mut stored = Vec::new();
        for stage in view.stages.iter() {
            let lock = view.recorded(&stage.id);
            for out in stage.outs.iter().filter(|out| out.cache) {
                let Some(path) = out.location.workspace() else { continue };
                let entry = lock.and_then(|lock| lock.out(&out.path));
                stored.push((path.clone(), entry.and_then(|entry| entry.artifact)));
            }
        }
        Self { source, cache, here, root, stored }
    }

    /// Returns where a name leads; `None` for outside of the project.
    pub(super) fn resolve(&self, name: &str) -> Option<RelPath> {
        if let (Some(root), true) = (self.root, name.starts_with('/')) {
            return RelPath::from_path(Path::new(name).strip_prefix(root).ok()?).ok();
        }
        self.here.join(name).ok()
    }

    /// Returns whether a file or directory has the name.
    pub(super) fn exists(&self, name: &str) -> bool {
        let Some(path) = self.resolve(name) else { return false };
        self.is_dir(&path)
            || matches!(self.source.read(&path), Ok(Some(_)))
            || self.stored.iter().any(|(out, _)| path.starts_with(out) && self.is_kept(&path))
    }

    /// Returns the files of a directory, sorted, or the name itself if it is none.
    pub(super) fn unpack(&self, name: &str) -> Vec<String> {
        let Some(path) = self.resolve(name).filter(|path| self.is_dir(path)) else {
            return vec![name.to_owned()];
        };
        let mut below = self.source.files_below(&path).unwrap_or_default();
        for (out, artifact) in &self.stored {
            match artifact.map(|artifact| artifact.id) {
                Some(id) if id.is_tree() => below.extend(self.tree(out, id)),
                _ => below.push(out.clone()),
            }
        }
        below.retain(|file| file.starts_with(&path) && !is_pipeline_file(file));
        below.sort();
        below.dedup();
        below
            .iter()
            .map(|file| format!("{name}/{}", file.strip_prefix(&path).unwrap_or_default()))
            .collect()
    }

    /// Reads a file: as it lies there, or else from the store.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, PlotFault> {
        let missing =
            |what: &str| PlotFault::new("FileNotFoundError", format!("[Errno 2] {what}: '{name}'"));
        let nowhere = || missing("No such file or directory");
        let path = self.resolve(name).ok_or_else(nowhere)?;
        match self.source.read(&path) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(error) => return Err(PlotFault::new("OSError", error.to_string())),
        }
        let Some((out, artifact)) = self.stored.iter().find(|(out, _)| path.starts_with(out))
        else {
            return Err(nowhere());
        };
        let id = artifact.ok_or_else(|| missing("No storage files available"))?.id;
        let id = self.object(out, id, &path).ok_or_else(nowhere)?;
        self.cache.read_bytes(&id).map_err(|error| match error {
            CacheError::Missing { .. } => missing("No storage files available"),
            error => PlotFault::new("OSError", error.to_string()),
        })
    }

    fn is_dir(&self, path: &RelPath) -> bool {
        if path.is_root() || self.root.is_some_and(|root| path.under(root).is_dir()) {
            return true;
        }
        if self.source.entries(path).is_ok_and(|entries| !entries.is_empty()) {
            return true;
        }
        // What lies there is what it is, whatever was recorded.
        if matches!(self.source.read(path), Ok(Some(_))) {
            return false;
        }
        self.stored.iter().any(|(out, artifact)| {
            let is_above = out.starts_with(path) && out != path;
            let is_inside = path.starts_with(out)
                && artifact.is_some_and(|artifact| {
                    artifact.id.is_tree()
                        && self
                            .tree(out, artifact.id)
                            .iter()
                            .any(|file| file != path && file.starts_with(path))
                });
            is_above || is_inside
        })
    }

    fn is_kept(&self, path: &RelPath) -> bool {
        self.stored.iter().any(|(out, artifact)| {
            artifact.is_some_and(|artifact| self.object(out, artifact.id, path).is_some())
        })
    }

    /// Returns the object of a file in an output.
    fn object(&self, out: &RelPath, id: ObjectId, path: &RelPath) -> Option<ObjectId> {
        let inside = path.strip_prefix(out)?;
        if !id.is_tree() {
            return inside.is_empty().then_some(id);
        }
        let manifest = self.cache.read_tree(&id).ok()?;
        manifest.get(inside).map(|digest| ObjectId::file(*digest))
    }

    fn tree(&self, out: &RelPath, id: ObjectId) -> Vec<RelPath> {
        let Ok(manifest) = self.cache.read_tree(&id) else { return Vec::new() };
        manifest.entries().iter().filter_map(|entry| out.join(&entry.path).ok()).collect()
    }
}

/// Files that DVC does not list as files of a directory.
fn is_pipeline_file(path: &RelPath) -> bool {
    let name = path.file_name().unwrap_or_default();
    matches!(name, "dvc.yaml" | "dvc.lock")
        || name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty())
}
