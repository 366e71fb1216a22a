//! What directories that stages read held, file by file, so that a later look can say which files differ.
//!
//! The store has such lists of outputs; of a directory that only is read, Git or nobody has the content. They explain
//! and decide nothing, so they lie in `.dvc/tmp/exp/trees/`, named by their digest, where everything may be deleted.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use exp_cache::Tree;
use exp_core::{Ctx, ObjectId, Stage, StageLock};

use crate::files;
use crate::ports::IgnoreBelow;
use crate::project::Project;

/// How many lists are kept.
const MOST: usize = 100;

/// Keeps the lists of the directories that a stage was recorded to read. That one cannot be kept stops nothing.
pub(crate) fn keep(project: &Project, ctx: &Ctx<'_>, stage: &Stage, lock: &StageLock) {
    for dep in &stage.deps {
        let recorded = lock.dep(&dep.path).and_then(|entry| entry.artifact);
        let (Some(path), Some(artifact)) = (dep.location.workspace(), recorded) else { continue };
        let id = artifact.id;
        if !id.is_tree() || project.cache().contains(&id) || place(project, &id).exists() {
            continue;
        }
        let (full, filter) = (path.under(project.root()), IgnoreBelow::new(project, path));
        let algorithm = id.digest.algorithm();
        let found = project.cache().digest_tree_as(ctx, algorithm, &full, &filter);
        // If the directory changed meanwhile, its list is not the recorded one.
        if let Ok(Some((now, Some(tree)))) = found
            && now.id == id
        {
            let _ = files::write(&place(project, &id), &tree.to_bytes());
            tidy(project);
        }
    }
}

/// Returns the files of a directory: from the store, or as they were noted.
pub(crate) fn read(project: &Project, id: &ObjectId) -> Option<Tree> {
    if let Ok(tree) = project.cache().read_tree(id) {
        return Some(tree);
    }
    let bytes = files::read(&place(project, id)).ok()??;
    Tree::parse(id.digest.algorithm(), &bytes).ok().filter(|tree| tree.id() == *id)
}

fn dir(project: &Project) -> PathBuf {
    project.scratch().join("trees")
}

fn place(project: &Project, id: &ObjectId) -> PathBuf {
    dir(project).join(format!("{}-{id}", id.digest.algorithm().name()))
}

/// Removes the oldest lists, when there are too many.
fn tidy(project: &Project) {
    let listing = fs::read_dir(dir(project)).into_iter().flatten().flatten();
    let mut found: Vec<(SystemTime, PathBuf)> = listing
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    for (_, path) in found.iter().take(found.len().saturating_sub(MOST)) {
        let _ = files::remove(path);
    }
}
