//! Private work trees: the code of the workspace in a directory of its own, with a small Git repository around it that
//! borrows the objects of the project's.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use exp_core::{Ctx, RelPath};
use exp_refs::{
    CommitId, Content, Git, LeftOut, OpenOptions, SubmoduleState, TreeChange, TreeEdit, TreeId,
};

use crate::error::Error;
use crate::files::{self, FileError};
use crate::left_out;
use crate::process::Owner;
use crate::project::{Project, ProjectOptions};
use crate::snapshot;
use crate::submodule;
use crate::view::{Broken, View};

/// A private work tree. Dropping it leaves it; [`PrivateTree::remove`] removes it, and so does recovery when the process
/// that made it is gone.
#[derive(Debug)]
pub(crate) struct PrivateTree {
    root: PathBuf,
}

/// Stores what the workspace holds now, with the texts of `overlay` in place of some files. Returns the tree, and which
/// files it does not have.
pub(crate) fn workspace_tree(
    ctx: &Ctx<'_>,
    project: &Project,
    baseline: CommitId,
    overlay: &HashMap<RelPath, String>,
) -> Result<(TreeId, (Vec<LeftOut>, u64)), Error> {
    let git = project.git();
    let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
    let mut changes = snapshot::changes(project, &view, &overlay.keys().cloned().collect())?;
    for (file, text) in overlay {
        let path = project.git_path(file)?;
        let executable = false;
        let content = Content::Bytes(text.clone().into_bytes());
        changes.push(TreeChange { path, edit: TreeEdit::Write { content, executable } });
    }
    let kept = changes.iter().map(|change| change.path.clone()).collect();
    let left_out = left_out::beside(ctx, project, &view, &kept)?;
    Ok((git.write_tree(git.commit(baseline)?.tree, &changes)?, left_out))
}

impl PrivateTree {
    /// Chooses a place that no other work tree has. Nothing is made there yet, so that it can be written down before.
    pub(crate) fn reserve(project: &Project) -> Self {
        Self { root: project.scratch().join("work").join(Owner::this_process().unique()) }
    }

    /// Makes the work tree, of the files of `tree` and these submodules. It is nobody's work and need not survive a power cut.
    pub(crate) fn fill(
        &self,
        project: &Project,
        (baseline, tree): (CommitId, TreeId),
        submodules: &[SubmoduleState],
    ) -> Result<(), Error> {
        fill(&self.root, project.git(), project.options(), (baseline, tree))?;
        submodule::fill(project, &self.root, submodules)?;
        let inside = project.prefix().under(&self.root);
        let local = project.root().join(".dvc/config.local");
        let local = files::read(&local)?
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let cache = project.cache().root().display();
        let dvc_dir = inside.join(".dvc");
        fs::create_dir_all(&dvc_dir).map_err(FileError::at("create", &dvc_dir))?;
        write(&dvc_dir.join("config.local"), format!("{local}\n[cache]\n    dir = {cache}\n"))
    }

    /// Returns the top of the work tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Copies files and directories that Git does not track from the workspace.
    pub(crate) fn copy(
        &self,
        project: &Project,
        cwd: &RelPath,
        paths: &[String],
    ) -> Result<(), Error> {
        let inside = project.prefix().under(&self.root);
        for path in paths {
            let path = cwd.join(path)?;
            copy_tree(&path.under(project.root()), &path.under(&inside))?;
        }
        Ok(())
    }

    /// Removes the work tree.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        Ok(files::remove_all(&self.root)?)
    }
}

/// Fills an empty directory with the files of `tree`, and with a Git directory whose `HEAD` is `commit` and which borrows the
/// objects of `git`.
pub(crate) fn fill(
    root: &Path,
    git: &Git,
    options: &ProjectOptions,
    (commit, tree): (CommitId, TreeId),
) -> Result<(), Error> {
    let git_dir = root.join(".git");
    for dir in ["objects/info", "objects/pack", "refs/heads"] {
        let dir = git_dir.join(dir);
        fs::create_dir_all(&dir).map_err(FileError::at("create", &dir))?;
    }
    write(&git_dir.join("HEAD"), format!("{commit}\n"))?;
    let objects = git.common_dir().join("objects");
    write(&git_dir.join("objects/info/alternates"), format!("{}\n", objects.display()))?;
    // The repository's own configuration has the identity and the filters; the work tree is this one.
    let config = files::read(&git.common_dir().join("config"))?.unwrap_or_default();
    let config = String::from_utf8_lossy(&config);
    write(
        &git_dir.join("config"),
        format!("{config}\n[core]\n\tbare = false\n\tworktree = {}\n", root.display()),
    )?;
    let options = OpenOptions { env: options.env.clone(), durable: options.durable };
    Ok(options.discover(root)?.fill_work_tree(tree)?)
}

fn write(path: &Path, text: String) -> Result<(), Error> {
    Ok(fs::write(path, text).map_err(FileError::at("write", path))?)
}

/// Copies a file, a link or a directory with everything below it.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    let metadata = fs::symlink_metadata(from).map_err(FileError::at("copy", from))?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
    }
    if metadata.is_symlink() {
        let target = fs::read_link(from).map_err(FileError::at("read", from))?;
        files::remove_all(to)?;
        symlink(target, to).map_err(FileError::at("link", to))?;
    } else if metadata.is_dir() {
        fs::create_dir_all(to).map_err(FileError::at("create", to))?;
        for entry in fs::read_dir(from).map_err(FileError::at("list", from))? {
            let entry = entry.map_err(FileError::at("list", from))?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to).map_err(FileError::at("copy", from))?;
    }
    Ok(())
}
