//! What DVC itself has queued. It keeps a stash of what waits and runs and one of what failed, and only it runs them; here
//! they are shown and never touched.

use std::path::PathBuf;

use exp_core::Timestamp;
use exp_refs::{CommitId, ExpName};
use serde::Deserialize;

use super::{JobState, Queue};
use crate::error::Error;
use crate::files;

/// The stash of what waits and of what runs.
const WAITING: &str = "refs/exps/celery/stash";

/// The stash of what failed.
const FAILED: &str = "refs/exps/celery/failed";

/// An experiment that DVC has queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DvcTask {
    /// The name that it gets.
    pub name: ExpName,
    /// The entry of the stash, which is DVC's name for the task.
    pub commit: CommitId,
    /// The commit that it starts from.
    pub baseline: CommitId,
    /// When it was queued.
    pub queued: Timestamp,
    /// Queued, running or failed.
    pub state: JobState,
    /// The process that runs it or ran it, as far as DVC tells.
    pub pid: Option<u32>,
    /// The directory that it runs in.
    pub root: Option<PathBuf>,
    /// What its commands write.
    pub log: Option<PathBuf>,
}

/// What DVC writes of the process of a task.
#[derive(Deserialize)]
struct Process {
    pid: u32,
    returncode: Option<i32>,
}

/// What DVC writes of where a task runs.
#[derive(Deserialize)]
struct Place {
    root_dir: Option<PathBuf>,
}

impl Queue {
    /// Returns what DVC itself has queued, what waits and runs in the order of queueing, then what failed.
    ///
    /// # Errors
    ///
    /// When the log of a stash cannot be read.
    pub fn of_dvc(&self) -> Result<Vec<DvcTask>, Error> {
        let mut tasks = Vec::new();
        for (stash, state) in [(WAITING, JobState::Queued), (FAILED, JobState::Failed)] {
            for entry in self.project.git().ref_log(stash)? {
                let Some((baseline, name)) = parse(&entry.message) else { continue };
                let name = ExpName::new(name).or_else(|_| ExpName::new(&entry.commit.short(7)));
                let Ok(name) = name else { continue };
                let task = DvcTask {
                    name,
                    commit: entry.commit,
                    baseline,
                    queued: entry.time,
                    state,
                    pid: None,
                    root: None,
                    log: None,
                };
                tasks.push(self.looked_at(task)?);
            }
        }
        Ok(tasks)
    }

    /// Completes a task by what its worker wrote.
    fn looked_at(&self, mut task: DvcTask) -> Result<DvcTask, Error> {
        let rev = task.commit.to_string();
        let dir = self.project.root().join(".dvc/tmp/exps/run").join(&rev);
        let Some(process) = files::read(&dir.join(format!("{rev}.json")))? else { return Ok(task) };
        let Ok(process) = serde_json::from_slice::<Process>(&process) else { return Ok(task) };
        task.pid = Some(process.pid);
        task.log = Some(dir.join(format!("{rev}.out"))).filter(|log| log.exists());
        let lives = (i32::try_from(process.pid).ok().and_then(rustix::process::Pid::from_raw))
            .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
        if task.state == JobState::Queued && process.returncode.is_none() && lives {
            task.state = JobState::Running;
            let place = files::read(&dir.join(format!("{rev}.run")))?;
            let place = place.and_then(|bytes| serde_json::from_slice::<Place>(&bytes).ok());
            task.root = place.and_then(|place| place.root_dir).filter(|root| root.is_dir());
        }
        Ok(task)
    }
}

/// Reads `commit: dvc-exp:<head>:<baseline>:<name>[:<branch>]`.
fn parse(message: &str) -> Option<(CommitId, &str)> {
    let (_, rest) = message.split_once("dvc-exp:")?;
    let mut parts = rest.split(':').skip(1);
    Some((parts.next()?.parse().ok()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_the_stash_says_what_a_task_is() {
        let (head, baseline) = ("ab".repeat(20), "cd".repeat(20));
        for (message, expect) in [
            (format!("commit: dvc-exp:{head}:{baseline}:q1"), Some("q1")),
            (format!("dvc-exp:{head}:{baseline}:q1:branch"), Some("q1")),
            (format!("dvc-exp:{head}:{baseline}"), None),
            (format!("dvc-exp:{head}:none:q1"), None),
            ("WIP on main".to_owned(), None),
        ] {
            let found = parse(&message);
            assert_eq!(found.map(|(_, name)| name), expect, "{message}");
            assert!(found.is_none_or(|(commit, _)| commit.to_string() == baseline));
        }
    }
}
