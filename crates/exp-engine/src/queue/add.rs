//! Queueing jobs: what the workspace holds now, once for each of many sets of parameters.
//!
//! Numbers are taken first, then all commits and refs are made, then the files that list them. Until the refs are there
//! nothing is queued; if this process dies in between, whoever looks next takes back what was not finished.

use std::collections::{BTreeSet, HashMap, HashSet};

use exp_core::{Ctx, RelPath};
use exp_params::ParamChange;
use exp_refs::{
    CommitId, Content, Draft, EditError, ExpName, Expected, RefChange, TreeChange, TreeEdit,
};
use serde::{Deserialize, Serialize};

use super::board::Listing;
use super::{Job, JobSpec, Queue, file_of};
use crate::composition::Composition;
use crate::error::Error;
use crate::process::Owner;
use crate::run::{ReproRequest, name_generator};
use crate::snapshot;
use crate::submodule;
use crate::view::{Broken, View};

/// What is asked of the queue: by default every stage, nothing changed.
#[derive(Debug, Clone, Default)]
pub struct QueueRequest {
    /// What each job runs.
    pub repro: ReproRequest,
    /// The jobs.
    pub jobs: Vec<NewJob>,
    /// The directory, below the root, that paths of the request are relative to.
    pub cwd: RelPath,
    /// Whether each job's parameters are composed, of what the workspace holds now.
    pub composition: Composition,
    /// The message of the experiments' commits; DVC's when none is given.
    pub message: Option<String>,
    /// Whether experiments of the same names are replaced.
    pub replace: bool,
    /// Files and directories that Git does not track and the runs need, relative to `cwd`. They are copied when a job starts.
    pub copy: Vec<String>,
    /// What the jobs have in common, for people; `None` for one job alone.
    pub sweep: Option<String>,
    /// Whether they are held until they are released.
    pub held: bool,
}

/// One job to be queued.
#[derive(Debug, Clone, Default)]
pub struct NewJob {
    /// The name of its experiment; generated when none is given.
    pub name: Option<String>,
    /// Changes of parameters, in order.
    pub overrides: Vec<ParamChange>,
}

/// Numbers that are taken.
#[derive(Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) n: u64,
}

/// Who is adding jobs.
#[derive(Serialize, Deserialize)]
pub(super) struct Adding {
    pub(super) owner: Owner,
    pub(super) n: u64,
}

/// A longer name leaves no room for the rest of a file's name.
const LONGEST_NAME: usize = 128;

impl Queue {
    /// Queues jobs: all of them or none. Neither the workspace nor the index nor `HEAD` is touched; what the workspace holds
    /// now, edits and untracked files included, is what will run, whatever happens to it afterwards.
    ///
    /// Returns the jobs in the order of the request. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// When nothing was queued: no commit, no identity, a name that is taken, a parameter that does not exist, a broken
    /// pipeline.
    pub fn add(&self, ctx: &Ctx<'_>, request: &QueueRequest) -> Result<Vec<Job>, Error> {
        let project = &self.project;
        let git = project.git();
        let baseline = git.head()?.commit.ok_or(Error::NoCommit)?;
        git.author()?;
        if request.jobs.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.names(baseline, request)?;
        let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
        view.select(view.pipeline()?, &request.repro.selection)?;
        // Parameter files are part of a job whether Git knows them or not.
        let mut also = BTreeSet::new();
        let mut overlays = Vec::new();
        for job in &request.jobs {
            ctx.check()?;
            let overlay = project.overridden(&job.overrides, &request.cwd, request.composition)?;
            also.extend(overlay.keys().cloned());
            overlays.push(overlay);
        }
        let snapshot::Everything { changes, left_out, n_left_out } =
            snapshot::everything(ctx, project, &view, &also)?;
        let submodules = submodule::capture(project)?;
        let base = git.write_tree(git.commit(baseline)?.tree, &changes)?;
        let time = project.now();
        let mut drafts = Vec::new();
        for ((job, name), overlay) in request.jobs.iter().zip(&names).zip(overlays) {
            let spec = JobSpec {
                name: name.clone(),
                repro: request.repro.clone(),
                cwd: request.cwd.clone(),
                overrides: job.overrides.iter().map(ParamChange::to_text).collect(),
                message: request.message.clone(),
                replace: request.replace,
                copy: request.copy.clone(),
                sweep: request.sweep.clone(),
                left_out: left_out.clone(),
                n_left_out,
                submodules: submodules.clone(),
            };
            let mut changes = Vec::new();
            for (file, text) in overlay {
                let content = Content::Bytes(text.into_bytes());
                let edit = TreeEdit::Write { content, executable: false };
                changes.push(TreeChange { path: project.git_path(&file)?, edit });
            }
            let message = spec.to_message()?;
            drafts.push(Draft {
                parent: baseline,
                base: Some(base),
                changes,
                message,
                author: None,
                time,
                record: None,
            });
        }
        self.open()?;
        let first = self.take_numbers(u64::try_from(drafts.len()).unwrap_or(u64::MAX))?;
        let adding = format!("adding.{first}");
        let n = u64::try_from(drafts.len()).unwrap_or(u64::MAX);
        self.board.link(&adding, &Adding { owner: Owner::this_process(), n })?;
        let commits = match git.write_commits(&drafts) {
            Ok(commits) => commits,
            Err(error) => {
                self.board.remove(&adding)?;
                return Err(error.into());
            }
        };
        let change = |(at, commit): (u64, &CommitId)| RefChange {
            name: self.ref_name(at),
            new: Some(*commit),
            expected: Expected::Missing,
        };
        let refs: Vec<RefChange> = (first..).zip(&commits).map(change).collect();
        git.update_refs(&refs)?;
        let mut jobs = Vec::new();
        for ((number, commit), name) in (first..).zip(commits).zip(names) {
            if request.held {
                self.board.mark(&format!("{number}.held"))?;
            }
            self.board.mark(&file_of(number, time.seconds, commit, &name))?;
            let state = if request.held { super::JobState::Held } else { super::JobState::Queued };
            jobs.push(Job { number, name, commit, queued: time, priority: 0, state, attempt: 0 });
        }
        self.board.remove(&adding)?;
        Ok(jobs)
    }

    /// Decides the names of new jobs: no two jobs that may still run and no experiment of this baseline have the same.
    fn names(&self, baseline: CommitId, request: &QueueRequest) -> Result<Vec<ExpName>, Error> {
        let git = self.project.git();
        let existing = self.project.experiments().list()?;
        let finished: HashMap<&ExpName, CommitId> = (existing.iter())
            .filter(|other| other.is_finished && other.baseline == baseline)
            .map(|other| (&other.name, other.commit))
            .collect();
        let mut waiting: HashMap<ExpName, Vec<CommitId>> = HashMap::new();
        for job in self.list()?.into_iter().filter(|job| !job.state.is_final()) {
            waiting.entry(job.name).or_default().push(job.commit);
        }
        // Of another baseline the name is free.
        let is_of_baseline = |job: &&CommitId| {
            git.commit(**job).is_ok_and(|commit| commit.parents.first() == Some(&baseline))
        };
        let mut made = name_generator();
        let mut names: Vec<ExpName> = Vec::new();
        let mut taken: HashSet<ExpName> = HashSet::new();
        for job in &request.jobs {
            let name = match &job.name {
                Some(text) if text.len() > LONGEST_NAME => {
                    return Err(Error::LongName { name: text.clone(), most: LONGEST_NAME });
                }
                Some(text) => {
                    let name = ExpName::new(text)?;
                    let of_job = waiting.get(&name).into_iter().flatten().find(is_of_baseline);
                    let of_experiment = finished.get(&name).filter(|_| !request.replace);
                    let of_request = taken.contains(&name).then_some(&baseline);
                    if let Some(commit) = of_job.or(of_experiment).or(of_request).copied() {
                        return Err(EditError::Exists { name, commit }.into());
                    }
                    name
                }
                None => {
                    let is_free = |name: &ExpName| {
                        !waiting.contains_key(name)
                            && !taken.contains(name)
                            && existing.iter().all(|other| other.name != *name)
                    };
                    made.find(is_free).expect("the names never end")
                }
            };
            taken.insert(name.clone());
            names.push(name);
        }
        Ok(names)
    }

    /// Takes `n` numbers that follow each other and that no job has or had, and returns the first.
    fn take_numbers(&self, n: u64) -> Result<u64, Error> {
        loop {
            let listing = self.listing()?;
            if let Some(first) = self.try_take_numbers(n, &listing)? {
                return Ok(first);
            }
        }
    }

    /// Takes the numbers after the last ones of this listing; `None` when somebody else has them.
    ///
    /// A listing may be old before it is done, and may lack what came meanwhile. Each block begins where another one ends,
    /// so whatever it lacks, the first of two that begin at one number is the only one. That is why blocks stay: they are
    /// removed an hour later, and who is still slower sees that the block before is gone.
    pub(super) fn try_take_numbers(&self, n: u64, listing: &Listing) -> Result<Option<u64>, Error> {
        let before = listing.blocks.last().map(|first| (*first, format!("block.{first}")));
        let last = if let Some((first, name)) = &before {
            let block: Option<Block> = self.board.read(name)?;
            first + block.map_or(1, |block| block.n.max(1)) - 1
        } else {
            let of_refs = self.refs()?.iter().map(|(number, _)| *number).max();
            of_refs.max(listing.jobs.keys().next_back().copied()).unwrap_or(0)
        };
        let first = last + 1;
        if !self.board.link(&format!("block.{first}"), &Block { n })? {
            return Ok(None);
        }
        let is_ours = match before {
            Some((_, name)) => self.board.has(&name),
            None => self.listing()?.blocks.first() == Some(&first),
        };
        Ok(is_ours.then_some(first))
    }
}
