//! Runs that are under way here, as somebody sees them who did not start them.
//!
//! A run is found by its journal, which also names its work tree and its logs. Its files are followed as in the process that
//! runs it; what it prints is read from the logs of its stages.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use exp_core::{MetricPoint, Stage, Timestamp};
use exp_params::{LiveBoard, LiveFormat};
use exp_refs::CommitId;

use super::place::places;
use super::{Follower, Since};
use crate::change::RunJournal;
use crate::error::Error;
use crate::history::History;
use crate::logs::{Logs, beside};
use crate::project::Project;
use crate::recover;
use crate::view::{Broken, View};

/// How often runs are looked for, beside when one begins or ends.
const SEARCH: Duration = Duration::from_secs(1);

/// The runs of a project that are under way: in the workspace, in private work trees, and those of workers.
#[derive(Debug)]
pub struct LiveRuns {
    project: Project,
    /// When runs were looked for, and the time that their directory had.
    searched: Option<(SystemTime, Option<SystemTime>)>,
    runs: Vec<Watched>,
}

/// A run that is under way.
#[derive(Debug, Clone)]
pub struct LiveRun {
    /// The name that its experiment will get.
    pub name: String,
    /// The commit that it started from; `None` when its journal names none.
    pub baseline: Option<CommitId>,
    /// When it began.
    pub started: Timestamp,
    /// The number of the job that it is, when it is one of the queue.
    pub job: Option<u64>,
    /// Whether it runs in a private work tree.
    pub is_private: bool,
    /// The stage whose commands run, by address; `None` between two.
    pub stage: Option<String>,
    /// When that stage began.
    pub stage_began: Option<SystemTime>,
    /// How long that stage usually takes.
    pub typical: Option<Duration>,
    /// What it has written so far.
    pub board: LiveBoard,
    /// What came with the last look.
    pub news: Vec<MetricPoint>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    journal: RunJournal,
    run: LiveRun,
    follower: Option<Follower>,
}

impl LiveRuns {
    /// Watches the runs of a project. Nothing is read yet.
    pub fn of(project: &Project) -> Self {
        Self { project: project.clone(), searched: None, runs: Vec::new() }
    }

    /// Looks at what was written since the last look; tells whether something is new. To be called some times a second.
    ///
    /// # Errors
    ///
    /// When the journals of runs cannot be read. A file of a run that cannot is left out.
    pub fn look(&mut self) -> Result<bool, Error> {
        let mut is_new = self.search()?;
        for watched in &mut self.runs {
            is_new |= watched.look(&self.project);
        }
        Ok(is_new)
    }

    /// Returns the runs, in the order in which they began.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = &LiveRun> {
        self.runs.iter().map(|watched| &watched.run)
    }

    /// Finds runs that have begun or ended; tells whether there were any.
    fn search(&mut self) -> Result<bool, Error> {
        let now = SystemTime::now();
        let dir = self.project.scratch().join("ops");
        let modified = fs::metadata(dir).and_then(|found| found.modified()).ok();
        let is_known = self.searched.is_some_and(|(at, seen)| {
            seen == modified && now.duration_since(at).is_ok_and(|since| since < SEARCH)
        });
        if is_known {
            return Ok(false);
        }
        self.searched = Some((now, modified));
        let mut found = recover::under_way(&self.project)?;
        found.sort_by(|(a_path, a), (b_path, b)| (a.started, a_path).cmp(&(b.started, b_path)));
        let mut old = std::mem::take(&mut self.runs);
        let mut is_new = false;
        for (path, journal) in found {
            let at = old.iter().position(|watched| watched.path == path);
            is_new |= at.is_none();
            let watched = if let Some(at) = at {
                Watched { journal, ..old.remove(at) }
            } else {
                Watched::new(path, journal)
            };
            self.runs.push(watched);
        }
        Ok(is_new || !old.is_empty())
    }
}

impl Watched {
    fn new(path: PathBuf, journal: RunJournal) -> Self {
        let run = LiveRun {
            name: journal.name.clone(),
            baseline: journal.baseline.parse().ok(),
            started: Timestamp::utc(journal.started),
            job: journal.job.map(|job| job.number),
            is_private: journal.work_tree.is_some(),
            stage: None,
            stage_began: None,
            typical: None,
            board: LiveBoard::default(),
            news: Vec::new(),
        };
        Self { path, journal, run, follower: None }
    }

    fn look(&mut self, project: &Project) -> bool {
        self.run.news.clear();
        let is_new = self.look_at_stage(project);
        if let Some(follower) = &mut self.follower {
            // What is wrong with a file is told where the run is.
            self.run.news = follower.look().points;
        }
        for point in &self.run.news {
            self.run.board.add(point);
        }
        is_new || !self.run.news.is_empty()
    }

    /// Notes which stage runs; tells whether it is another one.
    fn look_at_stage(&mut self, project: &Project) -> bool {
        let RunJournal { begun, unfinished, logs, .. } = &self.journal;
        let stage = begun.iter().rev().find(|stage| unfinished.contains(stage)).cloned();
        if stage == self.run.stage {
            return false;
        }
        let logs = Logs::at(logs);
        if let Some(stage) = &stage {
            // Its commands run when it has a log, and what is older is not of it.
            let Some(began) = began(&logs.file(stage)) else { return false };
            if self.follower.is_none() {
                self.follower = self.follow(project, began);
            }
            if let Some(follower) = &mut self.follower {
                let log = logs.file(stage);
                let tail = beside(&log, "tail");
                follower.follow(log, LiveFormat::Log);
                follower.follow(tail, LiveFormat::Log);
            }
            let known = History::of(project).read();
            self.run.typical = known.get(stage).and_then(|past| past.typical);
            self.run.stage_began = Some(began);
        } else {
            (self.run.typical, self.run.stage_began) = (None, None);
        }
        self.run.stage = stage;
        true
    }

    /// Follows the files of all stages of the run that are yet to end.
    fn follow(&self, project: &Project, since: SystemTime) -> Option<Follower> {
        let inside = match &self.journal.work_tree {
            Some(root) => project.at_work_tree(root).ok()?,
            None => project.clone(),
        };
        let view = View::load(&inside.workspace(), inside.root(), Broken::Note).ok()?;
        let is_meant = |stage: &&Stage| self.journal.unfinished.contains(&stage.id.to_string());
        let stages = view.stages.iter().filter(is_meant);
        let places = places(inside.root(), &view.files, stages);
        Some(Follower::new(places, Since::Time(since)))
    }
}

/// Returns when a file was made, or last changed where that is not known; `None` when there is none.
fn began(path: &Path) -> Option<SystemTime> {
    let found = fs::metadata(path).ok()?;
    found.created().or_else(|_| found.modified()).ok()
}
