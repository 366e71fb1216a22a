//! Finishing what a process began that is gone.
//!
//! Every command that changes something calls [`recover`] first. A journal whose owner lives is left alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use exp_core::{Ctx, RelPath, Timestamp, Warning};
use exp_refs::{CommitId, Draft, ExpName, Experiment, RefName, RunEnd, RunRecord};
use rustix::process::Signal;

use crate::change::{self, Journal, RunJournal};
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::process::Owner;
use crate::project::Project;
use crate::shell::signal_group;
use crate::snapshot;
use crate::view::{Broken, View};

impl Project {
    /// Finishes what processes began that are gone: a run that was killed is recorded as died, with what it left. Every
    /// command that changes something does this first; who only looks may call it to see such runs at once.
    ///
    /// Does nothing while a run is under way or another process is doing the same.
    ///
    /// # Errors
    ///
    /// When something cannot be read or recorded; what was to be finished stays for the next attempt.
    pub fn recover(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        let is_journal =
            |path: PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let journals = fs::read_dir(self.scratch().join("ops"));
        if !journals.is_ok_and(|mut found| {
            found.any(|entry| entry.is_ok_and(|entry| is_journal(entry.path())))
        }) {
            return Ok(());
        }
        match Hold::idle(ctx, self) {
            Ok(_hold) => recover(self, ctx),
            Err(Error::Busy { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Finishes all operations whose process is gone: ends what is left of their commands, records a run as died, and
/// appends the operation to the log so that it can be undone.
///
/// A journal that cannot be read is moved aside, so that it stops nothing.
pub(crate) fn recover(project: &Project, ctx: &Ctx<'_>) -> Result<(), Error> {
    let dir = project.scratch().join("ops");
    let Ok(listing) = fs::read_dir(&dir) else { return Ok(()) };
    for entry in listing.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Some(journal) = read(&path)? else { continue };
        if !journal.owner.is_alive() {
            finish(project, ctx, &path, journal)?;
        }
    }
    Ok(())
}

/// Puts back everything that the operation with this journal has changed, and forgets the operation.
pub(crate) fn roll_back(project: &Project, ctx: &Ctx<'_>, journal: &Path) -> Result<(), Error> {
    if let Some(found) = read(journal)? {
        for file in found.operation.files.iter().rev() {
            change::restore(project, ctx, &RelPath::new(&file.path)?, file.before.as_ref())?;
        }
        if let Some(run) = &found.run {
            files::remove(&run.log)?;
        }
    }
    Ok(files::remove(journal)?)
}

/// Notes the process group of the command that runs now beside the journal of its operation.
pub(crate) fn note_group(journal: &Path, group: Option<u32>) {
    let path = group_file(journal);
    // Without the note a command may outlive a killed run; that must not stop the run itself.
    drop(match group {
        Some(group) => {
            let process = Owner::of(group);
            serde_json::to_vec(&process).map_err(Into::into).and_then(|text| fs::write(&path, text))
        }
        None => fs::remove_file(&path),
    });
}

fn group_file(journal: &Path) -> PathBuf {
    journal.with_extension("group")
}

fn read(path: &Path) -> Result<Option<Journal>, Error> {
    let Some(bytes) = files::read(path)? else { return Ok(None) };
    let journal = serde_json::from_slice(&bytes).ok();
    if journal.is_none() {
        fs::rename(path, path.with_extension("damaged")).ok();
    }
    Ok(journal)
}

fn finish(
    project: &Project,
    ctx: &Ctx<'_>,
    path: &Path,
    mut journal: Journal,
) -> Result<(), Error> {
    let group = group_file(path);
    if let Some(bytes) = files::read(&group)? {
        if let Ok(leader) = serde_json::from_slice::<Owner>(&bytes)
            && leader.is_alive()
        {
            signal_group(leader.pid, Signal::KILL);
        }
        files::remove(&group)?;
    }
    if let Some(run) = journal.run.take() {
        if let Some(experiment) = record(project, &run, &journal)? {
            journal.operation.refs.push(crate::operation::RefMove {
                name: experiment.ref_name.as_str().to_owned(),
                before: None,
                after: Some(experiment.commit.to_string()),
            });
            ctx.warn(&Warning::Recovered { experiment: experiment.name.to_string() });
        }
        files::remove(&run.log)?;
        if let Some(tree) = &run.work_tree {
            files::remove_all(tree)?;
        }
    }
    let refs = &mut journal.operation.refs;
    let mut moved = Vec::new();
    for change in refs.drain(..) {
        let now = project.git().read_ref(&RefName::new(&change.name)?)?.map(|id| id.to_string());
        if now == change.after && change.before != change.after {
            moved.push(change);
        }
    }
    *refs = moved;
    // Half of an operation taken back is an operation of its own: taking that back leads to where it began.
    journal.operation.undoes = None;
    change::finish(project, ctx, &mut journal.operation)?;
    Ok(files::remove(path)?)
}

/// Keeps what a run left that died; `None` when there is nothing to keep or it is kept already.
fn record(
    project: &Project,
    run: &RunJournal,
    journal: &Journal,
) -> Result<Option<Experiment>, Error> {
    let (Ok(baseline), Ok(name)) = (run.baseline.parse::<CommitId>(), ExpName::new(&run.name))
    else {
        return Ok(None);
    };
    let inside = match &run.work_tree {
        Some(root) if root.is_dir() => project.at_work_tree(root)?,
        Some(_) => return Ok(None),
        None => project.clone(),
    };
    // The run may have been recorded just before its process died.
    let existing = project.experiments().list()?;
    if existing.iter().any(|other| other.baseline == baseline && other.name == name) {
        return Ok(None);
    }
    let view = View::load(&inside.workspace(), inside.root(), Broken::Note)?;
    let touched: BTreeSet<RelPath> =
        journal.operation.files.iter().filter_map(|file| RelPath::new(&file.path).ok()).collect();
    let mut changes = snapshot::changes(&inside, &view, &touched)?;
    // Of stages that had yet to begin, what lies there is the baseline's. Those before the last one that began, and that
    // never began themselves, had nothing to do.
    let last = run.unfinished.iter().rposition(|stage| run.begun.contains(stage));
    let pending = &run.unfinished[last.unwrap_or(0)..];
    for stage in view.stages.iter().filter(|stage| pending.contains(&stage.id.to_string())) {
        if run.begun.contains(&stage.id.to_string()) {
            snapshot::add_partial(&inside, stage, &mut changes)?;
        } else {
            snapshot::leave_out(&inside, stage, &mut changes)?;
        }
    }
    snapshot::adopt(project, &inside, &changes)?;
    let record = RunRecord {
        end: RunEnd::Died,
        stage: run.begun.iter().rev().find(|stage| run.unfinished.contains(stage)).cloned(),
        exit_code: None,
        signal: None,
        message: None,
        started: Timestamp { seconds: run.started, offset: project.now().offset },
        took: None,
        host: crate::run::host(),
        overrides: run.overrides.clone(),
    };
    let message = format!("exp: run {name} died");
    let draft =
        Draft { parent: baseline, base: None, changes, message, author: None, time: project.now() };
    let log = files::read(&run.log)?;
    let experiment = project.experiments().save_run(&draft, &name, &record, log.as_deref())?;
    Ok(Some(experiment))
}
