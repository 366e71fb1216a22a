//! No longer tracking data, and removing stages.

use exp_core::{
    Ctx, EditError, LockFile, Reach, RelPath, SelectError, Stage, Target, remove_stage,
};

use super::DataError;
use crate::change::{Changes, Keep};
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::unignore_output;
use crate::project::Project;
use crate::recorded::lock_file_of;
use crate::stage::StageError;
use crate::view::{Broken, View};
use crate::{files, recover};

/// What is no longer to be tracked.
#[derive(Debug, Clone)]
pub struct UntrackRequest {
    /// `.dvc` files, stages, or files of stages, as someone in `cwd` writes them.
    pub targets: Vec<String>,
    /// Where that is, below the project's root.
    pub cwd: RelPath,
    /// What becomes of the data.
    pub outs: UntrackedOuts,
}

/// What becomes of data that is no longer tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UntrackedOuts {
    /// It stays, as ordinary files: links to the store become copies.
    #[default]
    Leave,
    /// It is removed; undoing brings it back.
    Remove,
}

/// What is no longer tracked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UntrackReport {
    /// The `.dvc` files and stages, by address, in the order they were named.
    pub removed: Vec<exp_core::StageId>,
    /// The data that was removed with them.
    pub outs: Vec<RelPath>,
    /// The files that were written or removed, ordered.
    pub files: Vec<RelPath>,
}

impl Project {
    /// Removes stages and `.dvc` files, what was recorded of them, and their entries in `.gitignore`.
    ///
    /// A `dvc.yaml` or `dvc.lock` without anything left goes as well, and so does an empty `.gitignore`. All targets are
    /// looked up before the first is touched, and on failure everything is as it was. The operation can be undone, data
    /// that was removed included.
    ///
    /// # Errors
    ///
    /// When a target does not exist, data is named in place of its `.dvc` file, or a stage comes from a template.
    pub fn untrack(&self, ctx: &Ctx<'_>, request: &UntrackRequest) -> Result<UntrackReport, Error> {
        recover::recover(self, ctx)?;
        let _hold = Hold::brief(ctx, self)?;
        let mut view = View::load(&self.workspace(), self.root(), Broken::Note)?;
        let mut stages: Vec<Stage> = Vec::new();
        for text in &request.targets {
            for stage in self.named(&mut view, &request.cwd, text)? {
                if !stages.iter().any(|known| known.id == stage.id) {
                    stages.push(stage);
                }
            }
        }
        let subject: Vec<String> = stages.iter().map(|stage| stage.id.to_string()).collect();
        let mut changes =
            Changes::begin(self, OperationKind::Data, &format!("remove {}", subject.join(" ")));
        let mut report = UntrackReport::default();
        for stage in &stages {
            match self.untrack_one(ctx, &mut changes, (stage, request.outs)) {
                Ok(outs) => report.outs.extend(outs),
                Err(error) => {
                    recover::roll_back(self, ctx, changes.journal_path())?;
                    return Err(error);
                }
            }
            report.removed.push(stage.id.clone());
        }
        report.files = changes.touched().iter().filter(|path| is_ours(path)).cloned().collect();
        report.files.sort();
        changes.finish(ctx)?;
        Ok(report)
    }

    /// Finds the stages that a target names.
    fn named(&self, view: &mut View, cwd: &RelPath, text: &str) -> Result<Vec<Stage>, Error> {
        let target = Target::parse(text, cwd)?;
        let file = match &target {
            Target::File(file) | Target::Stage { file, .. } => file.clone(),
            _ => RelPath::root(),
        };
        if let Some(at) = view.broken.iter().position(|(broken, _)| *broken == file) {
            return Err(view.broken.swap_remove(at).1);
        }
        let found = match super::stages(view, &target, Reach::Single, text) {
            // A name may stand for all that a template makes, which cannot be removed one by one.
            Ok(found) if matches!(&target, Target::Stage { name, .. } if !found.iter().any(|at| view.stages[*at].id.name.as_deref() == Some(name))) =>
            {
                let Target::Stage { name, .. } = target else { return Ok(Vec::new()) };
                let source = SelectError::UnknownStage { file, name, nearest: Vec::new() };
                let text = text.to_owned();
                return Err(DataError::UnknownTarget { text, source: Box::new(source) }.into());
            }
            Ok(found) => found,
            Err(error) => {
                let dvc_file = cwd.join(&format!("{text}.dvc")).ok();
                return Err(match dvc_file {
                    Some(file) if file.under(self.root()).is_file() => {
                        DataError::NotDvcFile { text: text.to_owned(), file }.into()
                    }
                    _ => error,
                });
            }
        };
        Ok(found.into_iter().map(|at| view.stages[at].clone()).collect())
    }

    fn untrack_one(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        (stage, outs): (&Stage, UntrackedOuts),
    ) -> Result<Vec<RelPath>, Error> {
        self.forget_stage(ctx, changes, stage)?;
        let mut removed = Vec::new();
        for out in &stage.outs {
            let Some(path) = out.location.workspace() else { continue };
            self.require_inside(path)?;
            let full = path.under(self.root());
            match outs {
                UntrackedOuts::Leave if out.cache => self.cache().unprotect(ctx, &full)?,
                UntrackedOuts::Leave => {}
                UntrackedOuts::Remove => {
                    if full.symlink_metadata().is_ok() {
                        let keep = if out.cache { Keep::Data } else { Keep::Text };
                        changes.touch(ctx, [(path, keep)])?;
                        files::remove_all(&full)?;
                        removed.push(path.clone());
                    }
                }
            }
            if out.cache {
                unignore_output(self, ctx, changes, path)?;
            }
        }
        Ok(removed)
    }

    /// Takes a stage out of its file and of what is recorded.
    fn forget_stage(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        stage: &Stage,
    ) -> Result<(), Error> {
        let file = &stage.id.file;
        let Some(name) = &stage.id.name else { return changes.remove(ctx, file) };
        let edit = |source| StageError::Edit { file: file.clone(), source };
        let Some(text) = self.text(file)? else { return Ok(()) };
        let after = remove_stage(&text, name).map_err(|error| match error {
            EditError::Unknown { name } => edit(EditError::Generated { name }),
            error => edit(error),
        })?;
        if is_blank(&after) {
            changes.remove(ctx, file)?;
        } else {
            changes.write(ctx, file, after.as_bytes())?;
        }
        let lock = lock_file_of(file);
        let Some(text) = self.text(&lock)? else { return Ok(()) };
        let wrong = |source| Error::Recorded { file: lock.clone(), source };
        let after = LockFile::remove_stage(&text, name).map_err(wrong)?;
        if after == text {
            return Ok(());
        }
        let left = LockFile::parse(&after).map_err(wrong)?;
        if left.stages.is_empty() {
            return changes.remove(ctx, &lock);
        }
        changes.write(ctx, &lock, after.as_bytes())
    }

    /// Reads a text file of the workspace.
    pub(super) fn text(&self, file: &RelPath) -> Result<Option<String>, Error> {
        let bytes = files::read(&file.under(self.root()))?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| Error::NotText { file: file.clone() })
    }
}

/// Returns whether nothing but comments is left of a text.
fn is_blank(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

/// Returns whether a path is a file that Git is to hear of.
pub(super) fn is_ours(path: &RelPath) -> bool {
    let name = path.file_name().unwrap_or_default();
    matches!(name, ".gitignore" | "dvc.yaml" | "dvc.lock") || name.strip_suffix(".dvc").is_some()
}
