//! Experiments: listing, saving, renaming, removing.

use std::collections::BTreeSet;

use crate::error::{CommitError, GitError, UpdateError};
use crate::find::{self, FindError};
use crate::id::CommitId;
use crate::layout::{self, FINISHED, RefName, UNFINISHED};
use crate::name::{ExpName, TreePath};
use crate::record::{HEADER, LOG, RECORD, RecordError, RunRecord};
use crate::repo::{Content, Draft, Expected, Git, Reader, Ref, RefChange, TreeChange, TreeEdit};
use crate::words::Names;

/// The experiments of a repository.
///
/// Readers take no locks and see each experiment wholly or not at all. Writers of different experiments do not
/// wait for each other; of two that save the same name for the same baseline, one wins and the other is told.
#[derive(Debug, Clone)]
pub struct ExperimentStore {
    git: Git,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Experiment {
    /// The commit that it started from.
    pub baseline: CommitId,
    /// Unique among those of its baseline that finished, and among those that did not.
    pub name: ExpName,
    /// What it left.
    pub commit: CommitId,
    /// The ref that keeps it.
    pub ref_name: RefName,
    /// Whether it finished; if not, [`ExperimentStore::record`] says how it ended.
    pub is_finished: bool,
}

impl Experiment {
    /// Returns the experiment that a ref keeps, here or on a remote; `None` for any other ref.
    pub fn of_ref(found: &Ref) -> Option<Self> {
        let (is_finished, baseline, name) = layout::parse(found.name.as_str())?;
        let (commit, ref_name) = (found.commit, found.name.clone());
        Some(Self { baseline, name, commit, ref_name, is_finished })
    }

    /// Returns the experiment of that name for that baseline, whose commit is `commit`.
    pub fn new(baseline: CommitId, name: ExpName, commit: CommitId, is_finished: bool) -> Self {
        let ref_name = if is_finished {
            RefName::experiment(baseline, &name)
        } else {
            RefName::run(baseline, &name)
        };
        Self { baseline, name, commit, ref_name, is_finished }
    }
}

/// Why a change of experiments was not made. None of what was asked for was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is an experiment of that name for that baseline.
    #[error("experiment `{name}` exists")]
    Exists {
        /// The name.
        name: ExpName,
        /// What it is.
        commit: CommitId,
    },
    /// The experiment was changed or removed by someone else in the meantime.
    #[error("experiment `{name}` was changed by another process")]
    Raced {
        /// The name.
        name: ExpName,
        /// What it is now; `None` when it is gone.
        found: Option<CommitId>,
    },
    /// The commit was not made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The ref was not changed.
    #[error(transparent)]
    Update(UpdateError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Why the record of a run was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadRecordError {
    /// It is not understood.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl ExperimentStore {
    /// Looks at the experiments of a repository.
    pub fn new(git: Git) -> Self {
        Self { git }
    }

    /// Returns the repository.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Returns all experiments, by baseline, then name, then those that finished first.
    ///
    /// Only refs are read, no object; packed ones several times faster than loose ones.
    pub fn list(&self) -> Result<Vec<Experiment>, GitError> {
        let mut list = Vec::new();
        for prefix in [FINISHED, UNFINISHED] {
            list.extend(self.git.list_refs(prefix)?.iter().filter_map(Experiment::of_ref));
        }
        list.sort_by(|a, b| {
            (a.baseline, &a.name, !a.is_finished).cmp(&(b.baseline, &b.name, !b.is_finished))
        });
        Ok(list)
    }

    /// Finds one experiment by what a person writes: full ref name, name, commit or its first four digits or
    /// more, or the beginning of a name. The first of these ways that matches anything decides.
    ///
    /// A name that several baselines have means the one of `HEAD`, and a finished one before one that is not.
    pub fn find(&self, spec: &str) -> Result<Experiment, FindError> {
        let head = self.git.head()?.commit;
        find::find(&self.list()?, head, spec)
    }

    /// Makes the commit of a finished experiment and the ref that keeps it, or neither.
    ///
    /// `expected` tells what the ref must be: [`Expected::Missing`] for a new name, [`Expected::Is`] to replace
    /// what was seen. Both are on disk when this returns. `HEAD`, index, stash and branches stay as they are.
    pub fn save(
        &self,
        draft: &Draft,
        name: &ExpName,
        expected: Expected,
    ) -> Result<Experiment, EditError> {
        let ref_name = RefName::experiment(draft.parent, name);
        self.publish(draft, name, ref_name, expected)
    }

    /// Keeps a run that did not finish, with its record and what its commands wrote, out of DVC's sight.
    ///
    /// Promises what [`ExperimentStore::save`] does.
    pub fn save_run(
        &self,
        draft: &Draft,
        name: &ExpName,
        record: &RunRecord,
        log: Option<&[u8]>,
    ) -> Result<Experiment, EditError> {
        let draft = Self::draft_of_run(draft, record, log);
        let ref_name = RefName::run(draft.parent, name);
        self.publish(&draft, name, ref_name, Expected::Missing)
    }

    /// Returns the commit to be made of a run that did not finish: `draft` with its record and its log.
    pub fn draft_of_run(draft: &Draft, record: &RunRecord, log: Option<&[u8]>) -> Draft {
        let mut draft = draft.clone();
        let mut add = |path: &str, bytes: Vec<u8>| {
            let path = TreePath::listed(path.as_bytes());
            let content = Content::Bytes(bytes);
            draft
                .changes
                .push(TreeChange { path, edit: TreeEdit::Write { content, executable: false } });
        };
        add(RECORD, record.to_bytes());
        if let Some(log) = log {
            add(LOG, log.to_vec());
        }
        draft
    }

    /// Makes the ref that keeps a commit which is made already, as [`ExperimentStore::save`] and, when it did not
    /// finish, [`ExperimentStore::save_run`] do. So a caller can write down what is about to appear.
    ///
    /// `experiment.commit` is the commit; [`Git::write_commit`] made it with the baseline as its parent.
    pub fn keep(&self, experiment: &Experiment, expected: Expected) -> Result<(), EditError> {
        let name = experiment.ref_name.clone();
        let changes = [RefChange { name, new: Some(experiment.commit), expected }];
        self.git.update_refs(&changes).map_err(|error| edit_error(error, &changes))
    }

    /// Returns what is known of a run; `None` for an experiment that DVC or an older version made, or that was saved and not
    /// run.
    pub fn record(&self, experiment: &Experiment) -> Result<Option<RunRecord>, ReadRecordError> {
        read_record(&self.git.reader(), experiment.commit)
    }

    /// Returns what the commands of a run wrote that did not finish; `None` when nothing is kept.
    pub fn log(&self, experiment: &Experiment) -> Result<Option<Vec<u8>>, GitError> {
        self.git.read(experiment.commit, LOG)
    }

    /// Removes experiments: all of these, or none when one of them is no longer what it was.
    ///
    /// The commits stay until Git collects them, so [`ExperimentStore::restore`] can bring them back.
    pub fn remove(&self, experiments: &[Experiment]) -> Result<(), EditError> {
        let changes: Vec<_> = distinct(experiments)
            .map(|experiment| RefChange {
                name: experiment.ref_name.clone(),
                new: None,
                expected: Expected::Is(experiment.commit),
            })
            .collect();
        self.git.update_refs(&changes).map_err(|error| edit_error(error, &changes))
    }

    /// Brings removed experiments back: all of these, or none when one of the names is taken.
    pub fn restore(&self, experiments: &[Experiment]) -> Result<(), EditError> {
        let changes: Vec<_> = distinct(experiments)
            .map(|experiment| RefChange {
                name: experiment.ref_name.clone(),
                new: Some(experiment.commit),
                expected: Expected::Missing,
            })
            .collect();
        self.git.update_refs(&changes).map_err(|error| edit_error(error, &changes))
    }

    /// Gives an experiment another name. `expected` tells what that name must be now: usually
    /// [`Expected::Missing`].
    pub fn rename(
        &self,
        experiment: &Experiment,
        to: &ExpName,
        expected: Expected,
    ) -> Result<Experiment, EditError> {
        if *to == experiment.name {
            return Ok(experiment.clone());
        }
        let ref_name = if experiment.is_finished {
            RefName::experiment(experiment.baseline, to)
        } else {
            RefName::run(experiment.baseline, to)
        };
        let changes = [
            RefChange { name: ref_name.clone(), new: Some(experiment.commit), expected },
            RefChange {
                name: experiment.ref_name.clone(),
                new: None,
                expected: Expected::Is(experiment.commit),
            },
        ];
        self.git.update_refs(&changes).map_err(|error| edit_error(error, &changes))?;
        Ok(Experiment { name: to.clone(), ref_name, ..experiment.clone() })
    }

    /// Returns a generated name that no experiment of `baseline` has, the same for the same `seed` and the same
    /// experiments. It is not reserved.
    pub fn free_name(&self, baseline: CommitId, seed: u64) -> Result<ExpName, GitError> {
        let taken: BTreeSet<_> = self
            .list()?
            .into_iter()
            .filter(|experiment| experiment.baseline == baseline)
            .map(|experiment| experiment.name)
            .collect();
        let mut names = Names::new(seed);
        loop {
            let name = names.draw_name();
            if !taken.contains(&name) {
                return Ok(name);
            }
        }
    }

    fn publish(
        &self,
        draft: &Draft,
        name: &ExpName,
        ref_name: RefName,
        expected: Expected,
    ) -> Result<Experiment, EditError> {
        // Looked at before the work; what counts is what is found under the ref's lock.
        if expected == Expected::Missing
            && let Some(commit) = self.git.read_ref(&ref_name)?
        {
            return Err(EditError::Exists { name: name.clone(), commit });
        }
        let commit = self.git.write_commit(draft)?;
        let is_finished = ref_name.as_str().starts_with(FINISHED);
        let experiment = Experiment {
            baseline: draft.parent,
            name: name.clone(),
            commit,
            ref_name,
            is_finished,
        };
        self.keep(&experiment, expected)?;
        Ok(experiment)
    }
}

/// Returns what is known of the run that a commit is, for many of them through one reader; `None` when it has no record.
pub fn read_record(
    reader: &Reader,
    commit: CommitId,
) -> Result<Option<RunRecord>, ReadRecordError> {
    let found = match reader.header(commit, HEADER)? {
        Some(line) => Some(line),
        None => reader.tree_of(commit)?.read(RECORD)?,
    };
    Ok(found.map(|bytes| RunRecord::from_bytes(&bytes)).transpose()?)
}

fn distinct(experiments: &[Experiment]) -> impl Iterator<Item = &Experiment> {
    let mut seen = BTreeSet::new();
    experiments.iter().filter(move |experiment| seen.insert(&experiment.ref_name))
}

/// Says it in terms of experiments.
fn edit_error(error: UpdateError, changes: &[RefChange]) -> EditError {
    match error {
        UpdateError::Raced { name: ref_name, found } => {
            let was_new = changes
                .iter()
                .any(|change| change.name == ref_name && change.expected == Expected::Missing);
            match (layout::parse(ref_name.as_str()), found) {
                (Some((_, _, name)), Some(commit)) if was_new => EditError::Exists { name, commit },
                (Some((_, _, name)), found) => EditError::Raced { name, found },
                (None, found) => EditError::Update(UpdateError::Raced { name: ref_name, found }),
            }
        }
        UpdateError::Git(error) => EditError::Git(error),
        other => EditError::Update(other),
    }
}
