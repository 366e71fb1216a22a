//! Where imported data goes, and the `.dvc` file that records it.

use std::path::{Path, PathBuf};

use exp_core::{Artifact, Ctx, DvcFile, DvcOut, LockEntry, Pipeline, RelPath, Value};

use super::external::is_url;
use super::plan::Extent;
use crate::change::{Changes, Keep};
use crate::data::{DataError, new_stage, pipeline_stage_at};
use crate::error::Error;
use crate::files;
use crate::ports::IgnoreBelow;
use crate::project::Project;
use crate::view::View;

/// A place for imported data that is free, or that may be replaced.
#[derive(Debug)]
pub(super) struct Slot {
    /// The data.
    pub(super) path: RelPath,
    /// The `.dvc` file beside it.
    pub(super) file: RelPath,
    /// The root of the project, absolute.
    pub(super) root: PathBuf,
    /// What that file says now.
    before: Option<DvcFile>,
}

impl Slot {
    /// Looks at the place at the absolute path `target`.
    ///
    /// # Errors
    ///
    /// When it is outside, ignored, tracked by Git, or overlaps with an output.
    pub(super) fn at(project: &Project, view: &View, target: &Path) -> Result<Self, Error> {
        let path = project.locate(target)?;
        if path.is_root() {
            return Err(DataError::Outside { path: target.to_path_buf() }.into());
        }
        if let Some(rule) = project.ignore().is_ignored(&path, target.is_dir()) {
            return Err(DataError::Ignored { rule: rule.to_string(), path }.into());
        }
        if project.git().is_tracked(&project.git_path(&path)?)? {
            return Err(Error::TrackedByGit { path });
        }
        if let Some(stage) = pipeline_stage_at(view, &path) {
            return Err(DataError::PipelineOutput { stage: stage.clone(), path }.into());
        }
        let stage = new_stage(&path)?;
        let file = stage.id.file.clone();
        let others = view.stages.iter().filter(|other| other.id != stage.id).cloned();
        Pipeline::new(others.chain([stage.clone()]).collect::<Vec<_>>())?;
        let text = files::read(&file.under(project.root()))?;
        // One that cannot be read is replaced like any other.
        let before = text.and_then(|text| DvcFile::parse(&String::from_utf8_lossy(&text)).ok());
        Ok(Self { path, file, root: project.root().to_path_buf(), before })
    }

    /// Returns the directory of the `.dvc` file.
    fn dir(&self) -> RelPath {
        self.file.parent().unwrap_or_else(RelPath::root)
    }

    /// Returns the output of the `.dvc` file, with the notes that it has now.
    pub(super) fn entry(&self, artifact: Option<Artifact>) -> DvcOut {
        let mut entry = LockEntry::new(self.path.file_name().unwrap_or_default(), artifact);
        if artifact.is_none() {
            entry.extra.insert("hash".to_owned(), plain_hash());
        }
        let mut out = DvcOut::new(entry);
        let old = self.before.as_ref().and_then(|before| before.outs.first());
        if let Some(old) = old {
            out.extra.clone_from(&old.extra);
        }
        out
    }

    /// Returns the whole `.dvc` file.
    pub(super) fn record(&self, deps: Vec<LockEntry>, out: DvcOut, extent: Extent) -> DvcFile {
        let mut file = DvcFile { frozen: true, deps, outs: vec![out], ..DvcFile::default() };
        if let Some(before) = &self.before {
            file.desc.clone_from(&before.desc);
            file.meta = before.meta.clone();
        }
        if extent != Extent::Nothing {
            file.md5 = Some(file.stage_md5());
        }
        file
    }

    /// Writes the `.dvc` file.
    pub(super) fn write(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        file: &DvcFile,
    ) -> Result<(), Error> {
        changes.write(ctx, &self.file, file.to_text().as_bytes())
    }

    /// Returns an address as the `.dvc` file has it: a relative path from that file's directory, everything else as it
    /// was given.
    pub(super) fn dep_text(
        &self,
        project: &Project,
        (url, cwd): (&str, &Path),
        local: Option<&Path>,
    ) -> String {
        let Some(local) = local.filter(|_| !is_url(url)) else { return url.to_owned() };
        if let Ok(inside) = project.locate(local) {
            return inside.relative_to(&self.dir());
        }
        let cwd = project.relative(cwd);
        if url.starts_with('/') || cwd == self.dir() {
            return url.to_owned();
        }
        // From the directory of the file up to the root, and down to where the person is.
        let way = cwd.relative_to(&self.dir());
        format!("{way}/{url}")
    }
}

/// Brings stored data to its place. What is there is kept for undo.
pub(super) fn place(
    project: &Project,
    ctx: &Ctx<'_>,
    changes: &mut Changes,
    (path, artifact): (&RelPath, &Artifact),
) -> Result<(), Error> {
    project.require_inside(path)?;
    changes.touch(ctx, [(path, Keep::Data)])?;
    let full = path.under(project.root());
    let filter = IgnoreBelow::new(project, path);
    let is_other = std::fs::symlink_metadata(&full)
        .is_ok_and(|found| found.is_symlink() || found.is_dir() != artifact.id.is_tree());
    if is_other {
        files::remove_all(&full)?;
    }
    let plan = project.cache().plan_checkout(ctx, Some(artifact), &full, &filter)?;
    project.cache().checkout(ctx, plan)?;
    Ok(())
}

/// What stands for a digest that is not known yet.
pub(super) fn plain_hash() -> Value {
    Value::from("md5")
}
