//! Moving data together with the file that tracks it, and making it writable.

use std::fs;
use std::path::{Path, PathBuf};

use exp_core::{Ctx, DvcFile, Location, LockError, Pipeline, RelPath, Stage, StageId};

use super::DataError;
use super::remove::is_ours;
use crate::change::{Changes, Keep};
use crate::error::Error;
use crate::files::FileError;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::{ignore_output, unignore_output};
use crate::project::Project;
use crate::recover;
use crate::stage::StageError;
use crate::view::{Broken, View};

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveReport {
    /// Where the data was.
    pub from: RelPath,
    /// Where it is.
    pub to: RelPath,
    /// The `.dvc` file that tracks it now.
    pub file: RelPath,
    /// Whether nothing was at the old place, so that only what is recorded moved.
    pub is_absent: bool,
    /// The files that were written or removed, ordered.
    pub files: Vec<RelPath>,
}

/// A move that was looked at.
struct Move {
    stage: Stage,
    /// The output's path as the file writes it, before and after.
    written: (String, String),
    from: RelPath,
    to: RelPath,
    /// The `.dvc` file afterwards, and whether it goes where the data goes.
    file: RelPath,
    follows: bool,
}

impl Project {
    /// Moves tracked data to another path; when that is a directory, into it. Both paths are absolute.
    ///
    /// The `.dvc` file moves along if it is named after the data; what it says besides stays as it is. `.gitignore`
    /// changes on both sides. Nothing is overwritten. On failure everything is as it was; the operation can be undone.
    ///
    /// # Errors
    ///
    /// When the old path is not the whole output of a `.dvc` file, when something is at the new one or it is ignored,
    /// outside, overlaps with another output, or its directory does not exist.
    pub fn move_data(&self, ctx: &Ctx<'_>, from: &Path, to: &Path) -> Result<MoveReport, Error> {
        recover::recover(self, ctx)?;
        let _hold = Hold::brief(ctx, self)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let found = self.look_at_move(&view, from, to)?;
        let subject = format!("move {} {}", found.from, found.to);
        let mut changes = Changes::begin(self, OperationKind::Data, &subject);
        match self.perform_move(ctx, &mut changes, &found) {
            Ok(is_absent) => {
                let mut files: Vec<RelPath> =
                    changes.touched().iter().filter(|path| is_ours(path)).cloned().collect();
                files.sort();
                changes.finish(ctx)?;
                let Move { from, to, file, .. } = found;
                Ok(MoveReport { from, to, file, is_absent, files })
            }
            Err(error) => {
                recover::roll_back(self, ctx, changes.journal_path())?;
                Err(error)
            }
        }
    }

    fn look_at_move(&self, view: &View, from: &Path, to: &Path) -> Result<Move, Error> {
        let from = self.locate(from)?;
        let is_it = |location: &Location| location.workspace() == Some(&from);
        let stage = view.stages.iter().find(|one| one.outs.iter().any(|out| is_it(&out.location)));
        let Some(stage) = stage else {
            return Err(DataError::NotTracked { path: from }.into());
        };
        if !stage.is_data_source() {
            return Err(DataError::NotDataSource { stage: stage.id.clone() }.into());
        }
        let name = from.file_name().unwrap_or_default();
        let to = self.locate(&if to.is_dir() { to.join(name) } else { to.to_path_buf() })?;
        let (Some(new_name), Some(dir)) = (to.file_name(), to.parent()) else {
            return Err(DataError::Outside { path: to.under(self.root()) }.into());
        };
        let full_dir = dir.under(self.root());
        if !full_dir.is_dir() {
            return Err(StageError::NoDirectory { dir: full_dir }.into());
        }
        let stem = stage.id.file.file_name().and_then(|file| file.strip_suffix(".dvc"));
        let follows = stem == Some(name);
        let file =
            if follows { dir.join(&format!("{new_name}.dvc"))? } else { stage.id.file.clone() };
        let is_taken = |path: &RelPath| path.under(self.root()).symlink_metadata().is_ok();
        let mut in_the_way = vec![&to];
        in_the_way.extend((file != stage.id.file).then_some(&file));
        in_the_way.retain(|path| is_taken(path));
        if !in_the_way.is_empty() {
            return Err(Error::InTheWay { paths: in_the_way.into_iter().cloned().collect() });
        }
        let is_dir = from.under(self.root()).is_dir();
        if let Some(rule) = self.ignore().is_ignored(&to, is_dir) {
            return Err(DataError::Ignored { rule: rule.to_string(), path: to }.into());
        }
        let written = stage.outs.iter().find(|out| is_it(&out.location));
        let written = written.map(|out| out.path.clone()).unwrap_or_default();
        let new_written = if follows { new_name.to_owned() } else { to.relative_to(&stage.wdir) };
        let mut moved = stage.clone();
        moved.id = StageId::data(file.clone());
        for out in moved.outs.iter_mut().filter(|out| is_it(&out.location)) {
            out.location = Location::Workspace(to.clone());
        }
        let others = view.stages.iter().filter(|other| other.id != stage.id).cloned();
        Pipeline::new(others.chain([moved]).collect::<Vec<_>>())?;
        let stage = stage.clone();
        Ok(Move { stage, written: (written, new_written), from, to, file, follows })
    }

    /// Returns whether there was no data to move.
    fn perform_move(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        found: &Move,
    ) -> Result<bool, Error> {
        let Move { stage, written, from, to, file, follows } = found;
        let (old, new) = (from.under(self.root()), to.under(self.root()));
        let is_absent = old.symlink_metadata().is_err();
        let is_dir = old.is_dir();
        let wrong = |source: LockError| Error::Recorded { file: stage.id.file.clone(), source };
        let text = self.text(&stage.id.file)?.unwrap_or_default();
        let dir = file.parent().unwrap_or_else(RelPath::root);
        let dep = |path: &str| match Location::resolve(path, &stage.wdir, self.root()) {
            Location::Workspace(at) if *follows && !path.starts_with('/') => at.relative_to(&dir),
            _ => path.to_owned(),
        };
        let out = |path: &str| {
            if path == written.0 { written.1.clone() } else { dep(path) }
        };
        let after = DvcFile::relocate(&text, *follows, &out, &dep).map_err(wrong)?;
        changes.touch(ctx, [(from, Keep::Data), (to, Keep::Data)])?;
        if !is_absent {
            fs::rename(&old, &new).map_err(FileError::at("move", &old))?;
        }
        if *file != stage.id.file {
            changes.remove(ctx, &stage.id.file)?;
        }
        changes.write(ctx, file, after.as_bytes())?;
        unignore_output(self, ctx, changes, from)?;
        ignore_output(self, ctx, changes, to, is_dir)?;
        Ok(is_absent)
    }

    /// Makes files and directories ordinary writable ones: links to the store become copies. Paths are absolute.
    ///
    /// Each file is replaced atomically and its content stays, so there is nothing to undo.
    ///
    /// # Errors
    ///
    /// [`DataError::Absent`] when nothing is at a path, and when one is outside the project; nothing was changed then.
    pub fn unprotect_data(&self, ctx: &Ctx<'_>, paths: &[PathBuf]) -> Result<(), Error> {
        let mut found = Vec::with_capacity(paths.len());
        for path in paths {
            let path = self.locate(path)?;
            let full = path.under(self.root());
            if full.symlink_metadata().is_err() {
                return Err(DataError::Absent { path }.into());
            }
            found.push(full);
        }
        let _hold = Hold::brief(ctx, self)?;
        for full in found {
            self.cache().unprotect(ctx, &full)?;
        }
        Ok(())
    }
}
