//! Making a branch of an experiment.

use exp_core::Ctx;
use exp_refs::{CommitId, Descend, Draft, Experiment, TreeChange, TreeEdit, TreePath};

use crate::change::Changes;
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;

impl Project {
    /// Makes a branch that leads to an experiment. `HEAD` stays where it is. It can be undone.
    ///
    /// The branch of a finished experiment is its commit. A run that did not finish gets a commit without its record and
    /// its log. Returns the commit.
    ///
    /// # Errors
    ///
    /// When the name is none for a branch, or there is one of that name.
    pub fn branch(
        &self,
        ctx: &Ctx<'_>,
        experiment: &Experiment,
        name: &str,
    ) -> Result<CommitId, Error> {
        let _hold = Hold::brief(ctx, self)?;
        recover::recover(self, ctx)?;
        let commit = if experiment.is_finished {
            experiment.commit
        } else {
            self.without_record(experiment)?
        };
        let message = format!("dvc: Created from experiment '{}'", experiment.name);
        let mut changes = Changes::begin(self, OperationKind::Branch, name);
        let ref_name = self.git().create_branch(name, commit, &message, self.now())?;
        changes.moved_ref(&ref_name, None, Some(commit));
        changes.finish(ctx)?;
        Ok(commit)
    }

    fn without_record(&self, experiment: &Experiment) -> Result<CommitId, Error> {
        let reader = self.git().reader();
        let info = reader.commit(experiment.commit)?;
        let mut changes = Vec::new();
        reader.tree(info.tree).walk(&mut |path: &TreePath, _| {
            if exp_refs::is_record(path) {
                changes.push(TreeChange { path: path.clone(), edit: TreeEdit::Delete });
            }
            Descend::Enter
        })?;
        let draft = Draft {
            parent: experiment.baseline,
            base: Some(info.tree),
            changes,
            message: info.message,
            author: None,
            time: self.now(),
            record: None,
        };
        Ok(self.git().write_commit(&draft)?)
    }
}
