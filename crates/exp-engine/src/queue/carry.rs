//! Outputs that a stage keeps from one run to the next (`persist`), carried from an attempt that did not finish to the
//! next one: a training script goes on from its own checkpoint, in another work tree and on another worker too.
//!
//! They are moved to `carry/<job>/` in the directory of the queue, and from there into the work tree of the next attempt.

use std::fs;
use std::path::{Path, PathBuf};

use super::Queue;
use crate::error::Error;
use crate::files::{self, FileError};
use crate::project::Project;
use crate::view::{Broken, View};

impl Queue {
    /// Takes such outputs out of the work tree of an attempt that did not finish.
    pub(crate) fn carry_out(&self, number: u64, inside: &Project) -> Result<(), Error> {
        for (path, kept) in self.carried(number, inside)? {
            if path.symlink_metadata().is_ok() {
                move_over(&path, &kept)?;
            }
        }
        Ok(())
    }

    /// Puts them into the work tree of the next attempt.
    pub(crate) fn carry_in(&self, number: u64, inside: &Project) -> Result<(), Error> {
        if !self.carry_dir(number).is_dir() {
            return Ok(());
        }
        for (path, kept) in self.carried(number, inside)? {
            if kept.symlink_metadata().is_ok() {
                move_over(&kept, &path)?;
            }
        }
        Ok(())
    }

    /// Forgets what is carried for a job.
    pub(super) fn drop_carried(&self, number: u64) -> Result<(), FileError> {
        files::remove_all(&self.carry_dir(number))
    }

    fn carry_dir(&self, number: u64) -> PathBuf {
        self.board.dir().join("carry").join(number.to_string())
    }

    /// Returns where each such output is in the work tree, and where it is kept.
    fn carried(&self, number: u64, inside: &Project) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let view = View::load(&inside.workspace(), inside.root(), Broken::Note)?;
        let kept = self.carry_dir(number);
        let outs = view.stages.iter().flat_map(|stage| &stage.outs);
        let paths = outs.filter(|out| out.persist).filter_map(|out| out.location.workspace());
        let mut found = Vec::new();
        for path in paths {
            // A link in the way must not lead the move out of the work tree.
            inside.require_inside(path)?;
            found.push((path.under(inside.root()), path.under(&kept)));
        }
        Ok(found)
    }
}

/// Moves a file or a directory in place of another one.
fn move_over(from: &Path, to: &Path) -> Result<(), FileError> {
    files::remove_all(to)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
    }
    fs::rename(from, to).map_err(FileError::at("move", from))
}
