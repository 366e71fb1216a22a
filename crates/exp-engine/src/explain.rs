//! Why each stage is what it is: the reasons of the forecast with their details, and since when nothing changed.

use std::collections::{HashMap, HashSet};

use exp_core::{
    Artifact, Change, Ctx, DvcFile, LockFile, PlanOptions, Reach, Reason, RelPath, Selection,
    StageId, StageLock, Timestamp, Verdict, select,
};
use exp_refs::{CommitId, EntryKind};

use crate::data::DataDiffEntry;
use crate::error::Error;
use crate::files;
use crate::forecast::{ForecastRequest, StageForecast};
use crate::project::Project;
use crate::recorded::lock_file_of;
use crate::status::StatusRequest;
use crate::view::{Broken, View};

/// How far back it is looked for when something was recorded, in commits.
const FAR: usize = 1_000;

/// Which stages are to be explained; by default every one.
#[derive(Debug, Clone, Default)]
pub struct ExplainRequest {
    /// Stages, files of stages and outputs, as someone in `cwd` writes them; none means every stage of the project.
    pub targets: Vec<String>,
    /// The directory, below the root, that targets are relative to.
    pub cwd: RelPath,
    /// How a run would look at the stages.
    pub options: PlanOptions,
}

/// A stage and everything that explains it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What a run would do with it.
    pub forecast: StageForecast,
    /// The reasons with their details, in the order of [`changes()`](exp_core::changes); empty unless it is stale.
    pub causes: Vec<Cause>,
    /// Since when it is as it is recorded; `None` unless it is up to date, and where nothing is committed.
    pub since: Option<Since>,
}

/// A reason with its details.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The reason.
    pub reason: Reason,
    /// Of a directory that differs, its files that do, ordered by path and relative to the root. Empty for anything else
    /// and where one side's files are not known.
    pub files: Vec<DataDiffEntry>,
}

/// Since when a stage is recorded as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The last commit has another record of it, or none.
    Uncommitted,
    /// This commit, along first parents, recorded it.
    Commit {
        /// The commit.
        commit: CommitId,
        /// When it was made.
        at: Timestamp,
        /// Whether it may be even older: nobody looked further back.
        is_at_least: bool,
    },
}

/// Returns whether two records are the same in a lock file, where extras do not stand.
fn is_same_text(a: &StageLock, b: &StageLock) -> bool {
    (&a.cmd, &a.deps, &a.params, &a.outs) == (&b.cmd, &b.deps, &b.params, &b.outs)
}

impl Project {
    /// Explains stages, in the order of execution.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken or a target does not exist.
    pub fn explain(
        &self,
        ctx: &Ctx<'_>,
        request: &ExplainRequest,
    ) -> Result<Vec<Explanation>, Error> {
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let whole = ForecastRequest { options: request.options, ..ForecastRequest::default() };
        let mut forecast = self.forecast_of(ctx, &view, &whole, HashMap::new())?;
        if !request.targets.is_empty() {
            let pipeline = view.pipeline()?;
            let targets = self.status_targets(
                &view,
                pipeline,
                &StatusRequest {
                    targets: request.targets.clone(),
                    cwd: request.cwd.clone(),
                    ..StatusRequest::default()
                },
            )?;
            let reach = Reach::Single;
            let wanted = select(pipeline, &Selection::Targets { targets, reach })?;
            let wanted: HashSet<StageId> = wanted.into_iter().collect();
            forecast.stages.retain(|stage| wanted.contains(&stage.id));
        }
        let fresh = forecast.stages.iter().filter(|stage| stage.verdict == Verdict::Fresh);
        let since = self.recorded_since(ctx, &view, fresh.map(|stage| &stage.id).collect())?;
        let mut explanations = Vec::with_capacity(forecast.stages.len());
        for stage in forecast.stages {
            ctx.check()?;
            let reasons = match &stage.verdict {
                Verdict::Stale(reasons) => reasons.as_slice(),
                _ => &[],
            };
            let causes = reasons
                .iter()
                .map(|reason| {
                    let files = self.changed_files(ctx, reason)?;
                    Ok(Cause { reason: reason.clone(), files })
                })
                .collect::<Result<_, Error>>()?;
            let since = since.get(&stage.id).copied();
            explanations.push(Explanation { forecast: stage, causes, since });
        }
        Ok(explanations)
    }

    /// Returns which files of a directory differ.
    fn changed_files(&self, ctx: &Ctx<'_>, reason: &Reason) -> Result<Vec<DataDiffEntry>, Error> {
        let (Reason::Dep { location, change, was, now, .. }
        | Reason::Out { location, change, was, now, .. }) = reason
        else {
            return Ok(Vec::new());
        };
        let is_dir = |artifact: &Option<Artifact>| artifact.is_some_and(|one| one.id.is_tree());
        match (location.workspace(), was) {
            (Some(path), Some(was))
                if *change == Change::Modified && was.id.is_tree() && is_dir(now) =>
            {
                self.directory_diff(ctx, path, was)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Finds since when stages are recorded as they are now.
    fn recorded_since(
        &self,
        ctx: &Ctx<'_>,
        view: &View,
        ids: Vec<&StageId>,
    ) -> Result<HashMap<StageId, Since>, Error> {
        let mut since = HashMap::new();
        let Some(head) = self.git().head()?.commit.filter(|_| !ids.is_empty()) else {
            return Ok(since);
        };
        let commits = self.git().first_parents(head, FAR)?;
        let mut by_file: HashMap<RelPath, Vec<&StageId>> = HashMap::new();
        for &id in &ids {
            let file = if id.name.is_some() { lock_file_of(&id.file) } else { id.file.clone() };
            by_file.entry(file).or_default().push(id);
        }
        let reader = self.git().reader();
        for (file, mut open) in by_file {
            let path = self.git_path(&file)?;
            let current = files::read(&file.under(self.root()))?;
            // The blob of the commit looked at last, and the oldest commit whose records are those of `open`.
            let (mut last, mut oldest) = (None, None);
            let mut settle = |ids: &[&StageId], oldest: Option<CommitId>, is_at_least| {
                let Some(commit) = oldest else { return Ok::<_, Error>(()) };
                let at = reader.commit(commit)?.time;
                let found = Since::Commit { commit, at, is_at_least };
                since.extend(ids.iter().map(|id| ((*id).clone(), found)));
                Ok(())
            };
            for commit in &commits {
                ctx.check()?;
                let entry = reader.tree_of(*commit)?.entry(path.as_bytes())?;
                let blob = entry.and_then(EntryKind::blob);
                if blob.is_none() || blob != last {
                    let bytes = blob.map(|blob| reader.blob(blob)).transpose()?;
                    if bytes.is_none() || bytes != current {
                        // Read once for all stages of the file, which may be thousands.
                        let then = bytes.map(|bytes| self.entries(&file, &bytes));
                        let is_as_now = |id: &&StageId| {
                            let then = then.as_ref().and_then(|then| then.get(&id.name));
                            // What stands in `exp.lock` is not looked at: it changes with a record of its stage.
                            match (then, view.recorded(id)) {
                                (Some(then), Some(now)) => is_same_text(then, now),
                                _ => false,
                            }
                        };
                        let (same, others) = open.into_iter().partition(is_as_now);
                        open = same;
                        settle(&others, oldest, false)?;
                    }
                    last = blob;
                }
                if open.is_empty() {
                    break;
                }
                oldest = Some(*commit);
            }
            settle(&open, oldest, commits.len() == FAR)?;
        }
        for id in ids {
            since.entry(id.clone()).or_insert(Since::Uncommitted);
        }
        Ok(since)
    }

    /// Reads what a lock file records of its stages, by name, or a `.dvc` file of its one; nothing when it cannot be read.
    fn entries(&self, file: &RelPath, bytes: &[u8]) -> HashMap<Option<String>, StageLock> {
        let text = String::from_utf8_lossy(bytes);
        if file.file_name() == Some("dvc.lock") {
            let stages = LockFile::parse(&text).map(|lock| lock.stages).unwrap_or_default();
            return stages.into_iter().map(|(name, lock)| (Some(name), lock)).collect();
        }
        let data = DvcFile::parse_at(&text, file, self.root()).map(|data| data.recorded());
        data.ok().map(|lock| (None, lock)).into_iter().collect()
    }
}
