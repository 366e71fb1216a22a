//! Files that are there when an experiment runs and that its commit does not have: what Git ignores, and what it does not
//! know and nobody declared. They are named in the record, with what they held, so that it can be told what a result may
//! depend on.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use exp_cache::NoFilter;
use exp_core::{Ctx, RelPath};
use exp_refs::{LeftOut, LeftOutCause, StatusEntry, TreePath, Untracked};

use crate::error::Error;
use crate::project::Project;
use crate::snapshot::{is_scratch, is_secret};
use crate::view::View;

/// So many are named.
const NAMED: usize = 100;

/// Of so many bytes together it is said what they held; unchanged files are not read again.
const DIGESTED: u64 = 256 << 20;

/// What tools write for themselves, and environments, which the record has by their packages.
const OF_TOOLS: [&str; 10] = [
    "__pycache__",
    ".venv",
    "venv",
    "node_modules",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".DS_Store",
    ".pixi",
];

/// Files that are left out, as they are found.
pub(crate) struct LeftOuts<'a> {
    ctx: &'a Ctx<'a>,
    project: &'a Project,
    room: u64,
    pub(crate) named: Vec<LeftOut>,
    pub(crate) n: u64,
}

impl<'a> LeftOuts<'a> {
    pub(crate) fn new(ctx: &'a Ctx<'a>, project: &'a Project) -> Self {
        Self { ctx, project, room: DIGESTED, named: Vec::new(), n: 0 }
    }

    /// Notes a file or a directory.
    pub(crate) fn add(&mut self, listed: &TreePath, why: LeftOutCause) -> Result<(), Error> {
        let full = self.project.git().root().join(OsStr::from_bytes(listed.as_bytes()));
        // Gone since it was listed is not left out.
        let Ok(found) = fs::symlink_metadata(&full) else { return Ok(()) };
        self.n += 1;
        if self.named.len() >= NAMED {
            return Ok(());
        }
        let mut path = listed.to_string();
        if found.is_dir() {
            if !path.ends_with('/') {
                path.push('/');
            }
            self.named.push(LeftOut { path, why, size: None, digest: None });
            return Ok(());
        }
        let mut digest = None;
        // A short secret could be guessed from its digest.
        if found.is_file() && !is_secret(listed) && found.len() <= self.room {
            self.room -= found.len();
            let artifact = self.project.cache().digest(self.ctx, &full, &NoFilter);
            self.ctx.check()?;
            // One that cannot be read has no digest.
            digest = artifact.ok().flatten().map(|artifact| {
                let digest = artifact.id.digest;
                format!("{}:{}", digest.algorithm().name(), digest.to_hex())
            });
        }
        self.named.push(LeftOut { path, why, size: Some(found.len()), digest });
        Ok(())
    }

    /// Notes what Git ignores.
    pub(crate) fn add_ignored(
        &mut self,
        view: &View,
        entries: &[StatusEntry],
    ) -> Result<(), Error> {
        let stored = Stored::of(view);
        for entry in entries.iter().filter(|entry| entry.is_ignored) {
            if !self.is_nobodys_input(&entry.path, &stored) {
                self.add(&entry.path, LeftOutCause::Ignored)?;
            }
        }
        Ok(())
    }

    /// Returns whether a path is ours, a tool's, or recorded as an output.
    fn is_nobodys_input(&self, path: &TreePath, stored: &Stored<'_>) -> bool {
        let is_of_tool = path.parts().any(|part| {
            OF_TOOLS.iter().any(|name| part == name.as_bytes()) || part.ends_with(b".pyc")
        });
        let below = self.project.from_git_path(path);
        let is_own = below.as_ref().is_some_and(|path| path.as_str() == ".dvc/config.local");
        is_of_tool
            || is_own
            || is_scratch(self.project, path)
            || below.is_some_and(|path| stored.has(&path))
    }
}

/// The outputs that the store keeps.
pub(crate) struct Stored<'v>(BTreeSet<&'v RelPath>);

impl<'v> Stored<'v> {
    pub(crate) fn of(view: &'v View) -> Self {
        let outs = view.stages.iter().flat_map(|stage| &stage.outs);
        Self(outs.filter(|out| out.cache).filter_map(|out| out.location.workspace()).collect())
    }

    /// Returns whether a path is one of them or below one.
    pub(crate) fn has(&self, path: &RelPath) -> bool {
        std::iter::successors(Some(path.clone()), RelPath::parent).any(|at| self.0.contains(&at))
    }
}

/// Returns what the workspace has and a commit does not that has what Git tracks and the files of `kept`; named, and how
/// many there are.
///
/// # Errors
///
/// When Git fails or a stop was asked for.
pub(crate) fn beside(
    ctx: &Ctx<'_>,
    project: &Project,
    view: &View,
    kept: &BTreeSet<TreePath>,
) -> Result<(Vec<LeftOut>, u64), Error> {
    let entries = project.git().status(Untracked::ListIgnored)?;
    let stored = Stored::of(view);
    let mut found = LeftOuts::new(ctx, project);
    for entry in entries.iter().filter(|entry| entry.is_untracked) {
        if !kept.contains(&entry.path) && !found.is_nobodys_input(&entry.path, &stored) {
            let is_secret = is_secret(&entry.path);
            let why = if is_secret { LeftOutCause::Secret } else { LeftOutCause::Untracked };
            found.add(&entry.path, why)?;
        }
    }
    found.add_ignored(view, &entries)?;
    Ok((found.named, found.n))
}
