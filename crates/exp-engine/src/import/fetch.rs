//! Fetching imported data again from where it came from: it is on no remote of this project.

use exp_core::{Artifact, Ctx, RelPath};

use super::JOBS;
use super::bring::into_store;
use super::error::ImportError;
use super::external::RepoRequest;
use super::update::Import;
use super::url::{open, take};
use crate::data::{DataScope, pick};
use crate::error::Error;
use crate::project::Project;
use crate::view::{Broken, View};

/// What was fetched from the sources of imports.
#[derive(Debug, Default)]
pub struct FetchedImports {
    /// Objects that the store lacked.
    pub moved: u64,
    /// Imports whose content was not recorded, because only their source was: what they are. A checkout that goes by
    /// records does not know them.
    pub unrecorded: Vec<(RelPath, Artifact)>,
    /// Imports whose data the store lacks and that were not fetched, each with the reason: by path.
    pub failed: Vec<(RelPath, Error)>,
}

/// An import from a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryImport {
    /// The file that records it.
    pub file: RelPath,
    /// Path and repository that it comes from, without secrets.
    pub source: String,
    /// Whether the branch, tag or commit that it follows is another commit than the one that is recorded; `None` when
    /// that was not asked.
    pub is_newer: Option<bool>,
}

impl Project {
    /// Returns those of `files` that record imports from repositories. With `asks` the repositories are asked what is
    /// newest there: what is far away is fetched for that.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a repository that is asked is not reached.
    pub fn repository_imports(
        &self,
        ctx: &Ctx<'_>,
        files: &[RelPath],
        asks: bool,
    ) -> Result<Vec<RepositoryImport>, Error> {
        let mut found = Vec::new();
        for file in files {
            ctx.check()?;
            let Some(import) = Import::read(self, file)? else { continue };
            let Some(repo) = import.repo() else { continue };
            let is_newer = if asks {
                let path = RelPath::new(&import.dep.path)?;
                let external = self.open_external(ctx, &repo, (&path, import.bases(self, None)))?;
                let commit = external.commit.map(|commit| commit.to_string());
                // What was only written down is not behind anything.
                Some(import.lock().is_some() && commit.as_deref() != import.lock())
            } else {
                None
            };
            let source = import.source(self);
            found.push(RepositoryImport { file: file.clone(), source, is_newer });
        }
        Ok(found)
    }

    /// Brings the data of imports into the store, from where it came from and as it was recorded. What the store has is
    /// not asked for. The workspace stays as it is.
    ///
    /// Imports from addresses are fetched only when nothing but their source is recorded, or when their data is never
    /// sent to remotes: other data of theirs is on a remote. A source that has changed since has not the recorded data
    /// any more; that is a failure of this import and not of the whole.
    ///
    /// # Errors
    ///
    /// When the project cannot be read, a target does not exist, or the work was asked to stop.
    pub fn fetch_imports(
        &self,
        ctx: &Ctx<'_>,
        targets: &DataScope,
    ) -> Result<FetchedImports, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let mut fetched = FetchedImports::default();
        let mut seen: Vec<RelPath> = Vec::new();
        for picked in pick(&view, targets)? {
            let stage = &view.stages[picked.stage];
            let file = &stage.id.file;
            if !stage.is_data_source() || stage.deps.is_empty() || seen.contains(file) {
                continue;
            }
            seen.push(file.clone());
            let Some(import) = Import::read(self, file)? else { continue };
            let is_pushed = stage.outs.first().is_some_and(|out| out.push);
            match self.fetch_import(ctx, &import, is_pushed, &mut fetched) {
                Ok(()) => {}
                Err(Error::Cancelled(cancelled)) => return Err(cancelled.into()),
                Err(error) => fetched.failed.push((import.path.clone(), error)),
            }
        }
        Ok(fetched)
    }

    fn fetch_import(
        &self,
        ctx: &Ctx<'_>,
        import: &Import,
        is_pushed: bool,
        fetched: &mut FetchedImports,
    ) -> Result<(), Error> {
        let recorded = import.out.artifact;
        if let Some(artifact) = &recorded
            && self.cache().has_all(artifact)?
        {
            return Ok(());
        }
        let bases = import.bases(self, None);
        let (artifact, moved) = match import.repo() {
            Some(repo) => {
                let path = RelPath::new(&import.dep.path)?;
                let rev = import.lock().map(str::to_owned).or_else(|| repo.rev.clone());
                let locked = RepoRequest { rev, ..repo };
                let external = self.open_external(ctx, &locked, (&path, bases))?;
                let asked = (&path, locked.rev.as_deref());
                let brought = into_store(ctx, (self, &external), asked, JOBS)?;
                (brought.artifact, brought.moved.max(1))
            }
            None if recorded.is_some() && is_pushed => return Ok(()),
            None => {
                let fs_config = import.fs_config();
                let place = open(self, &import.dep.path, &bases, &fs_config)?;
                // What has a version is read as it was, whatever is there by now.
                let content = import.pinned().map_or_else(|| place.look(ctx), Ok)?;
                let artifact = take(ctx, self, (&place, &content), JOBS)?;
                (artifact, artifact.n_files.unwrap_or(1))
            }
        };
        match recorded {
            Some(recorded) if !recorded.same_content(&artifact) => {
                return Err(ImportError::Changed { source_of: import.path.clone() }.into());
            }
            Some(_) => {}
            None => fetched.unrecorded.push((import.path.clone(), artifact)),
        }
        fetched.moved += moved;
        Ok(())
    }
}
