//! Submodules of a work tree: which commit each is at and what is edited in it, so that a private work tree has them too.
//!
//! Edits of files that the submodule tracks are stored in its own repository, under a ref of ours that keeps Git from
//! collecting them: `refs/exp/edits/<tree>`. Untracked files in submodules, and submodules of submodules, stay behind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use exp_refs::{CommitId, Expected, Git, RefChange, RefName, SubmoduleState, TreeId, TreePath};

use crate::error::Error;
use crate::project::Project;
use crate::worktree;

/// Returns what the submodules of the workspace are at, by path; of those that are not there nothing.
pub(crate) fn capture(project: &Project) -> Result<Vec<SubmoduleState>, Error> {
    let mut found = Vec::new();
    // Most projects have none, and need not read the index for that.
    if !project.git().root().join(".gitmodules").exists() {
        return Ok(found);
    }
    for path in project.git().submodules()? {
        let Some(module) = open(project, &path) else { continue };
        let Some(commit) = module.head()?.commit else { continue };
        let changes = module.worktree_changes()?;
        let mut edits = None;
        if !changes.is_empty() {
            let tree = module.write_tree(module.commit(commit)?.tree, &changes)?;
            let message = "exp: edits of a submodule";
            let kept = module.write_record(tree, &[commit], message, project.now())?;
            let name = RefName::new(&format!("refs/exp/edits/{tree}"))?;
            let change = RefChange { name, new: Some(kept), expected: Expected::Any };
            module.update_refs(&[change])?;
            edits = Some(tree.to_string());
        }
        found.push(SubmoduleState { path: path.to_string(), commit: commit.to_string(), edits });
    }
    Ok(found)
}

/// Puts submodules into a private work tree, as they were.
pub(crate) fn fill(
    project: &Project,
    root: &Path,
    submodules: &[SubmoduleState],
) -> Result<(), Error> {
    for state in submodules {
        let gone = || Error::NoSubmodule { path: state.path.clone(), commit: state.commit.clone() };
        let path = TreePath::new(state.path.as_bytes())?;
        let commit: CommitId = state.commit.parse().map_err(|_| gone())?;
        let module = open(project, &path).filter(|git| git.has_commit(commit)).ok_or_else(gone)?;
        let tree: TreeId = match &state.edits {
            Some(tree) => tree.parse().map_err(|_| gone())?,
            None => module.commit(commit)?.tree,
        };
        let at = root.join(OsStr::from_bytes(path.as_bytes()));
        worktree::fill(&at, &module, project.options(), (commit, tree))?;
    }
    Ok(())
}

/// Opens a submodule of the workspace; `None` when it is not there.
fn open(project: &Project, path: &TreePath) -> Option<Git> {
    let root = project.git().root().join(OsStr::from_bytes(path.as_bytes()));
    let options = project.options();
    let options = exp_refs::OpenOptions { env: options.env.clone(), durable: options.durable };
    let git = options.discover(&root).ok()?;
    // Where it is missing, the repository around it is found.
    let is_own = git.root().canonicalize().ok()? == root.canonicalize().ok()?;
    is_own.then_some(git)
}
