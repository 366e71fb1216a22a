//! What of a workspace belongs to an experiment's commit.
//!
//! All changes of files that Git tracks, staged or not; and, whether tracked or not, what the pipeline declares and Git
//! does not ignore: parameter files, pipeline and lock files, `.dvc` files, dependencies that are no data, outputs that
//! Git keeps, and the `.gitignore` files beside outputs. Never anything below `.dvc/tmp`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;

use exp_core::{Ctx, Extra, OutKind, RelPath, Stage};
use exp_refs::{Content, LeftOut, LeftOutCause, TreeChange, TreeEdit, TreePath, Untracked};

use crate::error::Error;
use crate::files::FileError;
use crate::left_out::{LeftOuts, Stored};
use crate::project::Project;
use crate::recorded::{extras_file_of, lock_file_of};
use crate::source::Source;
use crate::view::View;

/// Brings the blobs that `changes` name into the repository of `project`. A private work tree stores what it reads in
/// an object database of its own, which goes with the tree.
pub(crate) fn adopt(
    project: &Project,
    inside: &Project,
    changes: &[TreeChange],
) -> Result<(), Error> {
    if inside.root() == project.root() {
        return Ok(());
    }
    let reader = project.git().reader();
    for change in changes {
        let (TreeEdit::Write { content: Content::Blob(id), .. }
        | TreeEdit::Symlink { target: Content::Blob(id) }) = &change.edit
        else {
            continue;
        };
        if reader.blob_size(*id).is_err() {
            project.git().write_blob(&inside.git().blob(*id)?)?;
        }
    }
    Ok(())
}

/// Returns how the workspace differs from `HEAD`, as far as it belongs to an experiment.
///
/// `also` are paths that belong to it whatever declares them, such as files that were written by this run.
pub(crate) fn changes(
    project: &Project,
    view: &View,
    also: &BTreeSet<RelPath>,
) -> Result<Vec<TreeChange>, Error> {
    completed(project, view, also, project.git().worktree_changes()?)
}

/// Completes what Git finds different by what it does not know.
pub(crate) fn completed(
    project: &Project,
    view: &View,
    also: &BTreeSet<RelPath>,
    mut changes: Vec<TreeChange>,
) -> Result<Vec<TreeChange>, Error> {
    changes.retain(|change| !is_scratch(project, &change.path));
    // A file that is gone from the index and lies there all the same is looked at below.
    let is_gone = |change: &&TreeChange| matches!(change.edit, TreeEdit::Delete);
    let gone: BTreeSet<TreePath> =
        changes.iter().filter(is_gone).map(|change| change.path.clone()).collect();
    let known: BTreeSet<TreePath> = changes.iter().map(|change| change.path.clone()).collect();
    let source = project.workspace();
    let mut ignores = project.git().ignores()?;
    let tracked = project.git().tracked()?;
    for path in declared(view).union(also) {
        for path in source.files_below(path)? {
            let git_path = project.git_path(&path)?;
            if (known.contains(&git_path) && !gone.contains(&git_path))
                || tracked.contains(&git_path)
                || is_scratch(project, &git_path)
                || ignores.is_ignored(&git_path, false)?
            {
                continue;
            }
            let full = path.under(project.root());
            let metadata = fs::symlink_metadata(&full).map_err(FileError::at("look at", &full))?;
            let edit = if metadata.is_symlink() {
                let target = fs::read_link(&full).map_err(FileError::at("read", &full))?;
                TreeEdit::Symlink {
                    target: Content::Bytes(target.into_os_string().into_encoded_bytes()),
                }
            } else {
                let bytes = fs::read(&full).map_err(FileError::at("read", &full))?;
                let executable = metadata.permissions().mode() & 0o100 != 0;
                TreeEdit::Write { content: Content::Bytes(bytes), executable }
            };
            changes.retain(|change| change.path != git_path);
            changes.push(TreeChange { path: git_path, edit });
        }
    }
    Ok(changes)
}

/// A larger file that Git does not know is not part of a job.
const LARGE_UNTRACKED: u64 = 10 << 20;

/// All untracked files of a job together are not larger.
const MOST_UNTRACKED: u64 = 100 << 20;

/// All that a workspace holds and a job has or has not.
pub(crate) struct Everything {
    /// How the workspace differs from `HEAD`, files that Git neither knows nor ignores included.
    pub(crate) changes: Vec<TreeChange>,
    /// Files that are not part of that: ignored, too large, or likely with a secret; of many some.
    pub(crate) left_out: Vec<LeftOut>,
    /// How many there are.
    pub(crate) n_left_out: u64,
}

/// Returns all that the workspace holds.
pub(crate) fn everything(
    ctx: &Ctx<'_>,
    project: &Project,
    view: &View,
    also: &BTreeSet<RelPath>,
) -> Result<Everything, Error> {
    let mut changes = changes(project, view, also)?;
    let known: BTreeSet<TreePath> = changes.iter().map(|change| change.path.clone()).collect();
    let stored = Stored::of(view);
    let mut files = project.git().files()?;
    let (mut left_out, mut room) = (LeftOuts::new(ctx, project), MOST_UNTRACKED);
    let entries = project.git().status(Untracked::ListIgnored)?;
    for entry in entries.iter().filter(|entry| entry.is_untracked) {
        let path = &entry.path;
        if known.contains(path) || is_scratch(project, path) {
            continue;
        }
        if project.from_git_path(path).is_some_and(|path| stored.has(&path)) {
            continue;
        }
        let full = project.git().root().join(OsStr::from_bytes(path.as_bytes()));
        let Ok(metadata) = fs::symlink_metadata(&full) else { continue };
        if metadata.is_dir() {
            continue;
        }
        if is_secret(path) {
            left_out.add(path, LeftOutCause::Secret)?;
        } else if metadata.len() > LARGE_UNTRACKED.min(room) {
            left_out.add(path, LeftOutCause::Large)?;
        } else if let Some(edit) = files.store(path)? {
            room = room.saturating_sub(metadata.len());
            changes.push(TreeChange { path: path.clone(), edit });
        }
    }
    left_out.add_ignored(view, &entries)?;
    Ok(Everything { changes, left_out: left_out.named, n_left_out: left_out.n })
}

/// Returns whether a file is usually one with passwords or keys.
pub(crate) fn is_secret(path: &TreePath) -> bool {
    let name = path.parts().last().map(String::from_utf8_lossy).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    name == ".env"
        || name.starts_with(".env.")
        || [".netrc", ".pypirc", ".npmrc", "credentials", "credentials.json"].contains(&&*name)
        || name.starts_with("id_rsa")
        || name.starts_with("id_ed25519")
        || ending.is_some_and(|ending| ["pem", "key", "p12", "pfx", "keystore"].contains(&ending))
}

/// A larger partial result is not kept.
const LARGE: u64 = 1 << 20;

/// Adds the metrics and plots that a stage had written when it ended badly, those that would go to the store included.
pub(crate) fn add_partial(
    project: &Project,
    stage: &Stage,
    changes: &mut Vec<TreeChange>,
) -> Result<(), Error> {
    let source = project.workspace();
    for out in stage.outs.iter().filter(|out| out.kind != OutKind::Data && out.cache) {
        let Some(path) = out.location.workspace() else { continue };
        for path in source.files_below(path)? {
            let full = path.under(project.root());
            if fs::metadata(&full).is_ok_and(|metadata| metadata.len() <= LARGE) {
                let bytes = fs::read(&full).map_err(FileError::at("read", &full))?;
                let edit = TreeEdit::Write { content: Content::Bytes(bytes), executable: false };
                changes.push(TreeChange { path: project.git_path(&path)?, edit });
            }
        }
    }
    Ok(())
}

/// Takes out what Git keeps of a stage's outputs.
pub(crate) fn leave_out(
    project: &Project,
    stage: &Stage,
    changes: &mut Vec<TreeChange>,
) -> Result<(), Error> {
    for out in stage.outs.iter().filter(|out| !out.cache) {
        let Some(path) = out.location.workspace() else { continue };
        let path = project.git_path(path)?;
        changes.retain(|change| change.path != path);
        changes.push(TreeChange { path, edit: TreeEdit::Delete });
    }
    Ok(())
}

/// Returns the paths that a pipeline declares and that Git is to keep.
fn declared(view: &View) -> BTreeSet<RelPath> {
    let mut paths = BTreeSet::new();
    let stored: BTreeSet<&RelPath> = (view.stages.iter())
        .flat_map(|stage| &stage.outs)
        .filter(|out| out.cache)
        .filter_map(|out| out.location.workspace())
        .collect();
    let texts: BTreeSet<&str> = stored.iter().map(|out| out.as_str()).collect();
    let is_stored = |path: &RelPath| {
        let mut around = std::iter::successors(Some(path.clone()), RelPath::parent);
        let below = format!("{path}/");
        around.any(|at| stored.contains(&at))
            || texts.range(below.as_str()..).next().is_some_and(|out| out.starts_with(&below))
    };
    for stage in view.stages.iter() {
        paths.insert(stage.id.file.clone());
        if stage.cmd.is_some() {
            paths.insert(lock_file_of(&stage.id.file));
        }
        let extras = &stage.settings.extras;
        if !extras.is_empty() {
            paths.insert(extras_file_of(&stage.id.file));
        }
        let read = (stage.deps.iter().map(|dep| &dep.location))
            .chain(stage.params.iter().map(|param| &param.location))
            .chain(extras.iter().filter_map(Extra::file).map(|file| &file.location));
        let kept = stage.outs.iter().filter(|out| !out.cache).map(|out| &out.location);
        paths.extend(read.filter_map(|at| at.workspace()).filter(|path| !is_stored(path)).cloned());
        paths.extend(kept.filter_map(|at| at.workspace()).cloned());
    }
    // The entries that keep outputs out of Git belong to who has the outputs.
    paths.extend(stored.iter().filter_map(|out| out.parent()?.join(".gitignore").ok()));
    for file in &view.files {
        paths.extend(file.params.iter().chain(&file.metrics).chain(&file.plot_paths).cloned());
    }
    paths.retain(|path| !path.is_root());
    paths
}

/// Returns whether a path is ours or DVC's own business and never part of an experiment.
pub(crate) fn is_scratch(project: &Project, path: &TreePath) -> bool {
    project.from_git_path(path).is_some_and(|path| {
        [".dvc/tmp", ".dvc/cache"].iter().any(|own| path.as_str().starts_with(own))
    }) || exp_refs::is_record(path)
}
