//! Finishing what a process began that is gone.
//!
//! Every command that changes something calls [`recover`] first. A journal whose owner lives is left alone.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use exp_core::{Ctx, Pipeline, RelPath, Timestamp, Warning};
use exp_refs::{CommitId, Draft, ExpName, Experiment, RefName, RunEnd, RunRecord};
use rustix::process::Signal;

use crate::change::{self, JobRef, Journal, RunJournal};
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::logs::Logs;
use crate::process::{Life, Owner};
use crate::project::Project;
use crate::queue::{EndCause, JobEnd, Outcome};
use crate::shell::GroupEvent;
use crate::shell::family::Family;
use crate::signal;
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
    signal::forget_dead(project);
    for (path, journal) in journals(project)? {
        if is_over(&journal) {
            finish_once(project, ctx, &path)?;
        }
    }
    Ok(())
}

/// Finishes an attempt at a job whose worker is known to be gone, wherever it ran.
pub(crate) fn recover_job(project: &Project, ctx: &Ctx<'_>, job: JobRef) -> Result<(), Error> {
    for (path, journal) in journals(project)? {
        if journal.run.is_some_and(|run| run.job == Some(job)) {
            finish_once(project, ctx, &path)?;
        }
    }
    Ok(())
}

/// Finishes all attempts at jobs whose process on this machine is gone, also those that have ended and left their work
/// tree.
pub(crate) fn recover_jobs(project: &Project, ctx: &Ctx<'_>) -> Result<(), Error> {
    for (path, journal) in journals(project)? {
        if is_over(&journal) && journal.run.is_some_and(|run| run.job.is_some()) {
            finish_once(project, ctx, &path)?;
        }
    }
    Ok(())
}

/// Returns the work tree of an attempt at a job that is under way.
pub(crate) fn work_tree_of(project: &Project, job: JobRef) -> Option<PathBuf> {
    let runs = journals(project).ok()?.into_iter().filter_map(|(_, journal)| journal.run);
    runs.filter(|run| run.job == Some(job)).find_map(|run| run.work_tree)
}

/// Returns the run that is under way in the workspace, with the number of its process.
pub(crate) fn workspace_run(project: &Project) -> Option<(RunJournal, u32)> {
    let journals = journals(project).ok()?.into_iter().map(|(_, journal)| journal);
    let mut alive = journals.filter(|journal| !is_over(journal));
    alive.find_map(|journal| {
        let run = journal.run.filter(|run| run.work_tree.is_none())?;
        Some((run, journal.owner.pid))
    })
}

/// Returns the runs that are under way, each with the name of its journal. On another machine only those in private work
/// trees are known.
pub(crate) fn under_way(project: &Project) -> Result<Vec<(PathBuf, RunJournal)>, Error> {
    let journals = journals(project)?.into_iter().filter(|(_, journal)| !is_over(journal));
    Ok(journals.filter_map(|(path, journal)| Some((path, journal.run?))).collect())
}

fn journals(project: &Project) -> Result<Vec<(PathBuf, Journal)>, Error> {
    let dir = project.scratch().join("ops");
    let Ok(listing) = fs::read_dir(&dir) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in listing.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(journal) = read(&path)?
        {
            found.push((path, journal));
        }
    }
    Ok(found)
}

/// Returns whether nobody works at an operation any more. Of a private run on another machine that cannot be told from
/// here; if it is a job, the queue watches its worker.
fn is_over(journal: &Journal) -> bool {
    let is_private = journal.run.as_ref().is_some_and(|run| run.work_tree.is_some());
    match journal.owner.life() {
        Life::Alive => false,
        Life::Dead => true,
        Life::Elsewhere => !is_private,
    }
}

/// Finishes an operation, unless another process is doing that or has done it.
fn finish_once(project: &Project, ctx: &Ctx<'_>, path: &Path) -> Result<(), Error> {
    let lock = project.scratch().join("recover.lock");
    let guard = crate::machine::open(&lock)?;
    // Where files cannot be locked, each step looks whether it is done already.
    guard.lock().ok();
    match read(path)? {
        Some(journal) => finish(project, ctx, path, journal),
        None => Ok(()),
    }
}

/// Puts back everything that the operation with this journal has changed, and forgets the operation.
pub(crate) fn roll_back(project: &Project, ctx: &Ctx<'_>, journal: &Path) -> Result<(), Error> {
    if let Some(found) = read(journal)? {
        for file in found.operation.files.iter().rev() {
            change::restore(project, ctx, &RelPath::new(&file.path)?, file.before.as_ref())?;
        }
        if let Some(run) = &found.run {
            Logs::at(&run.logs).remove()?;
        }
    }
    Ok(files::remove(journal)?)
}

/// Notes the process group of a command that runs beside the journal of its operation.
pub(crate) fn note_group(journal: &Path, group: u32, what: GroupEvent) {
    let path = journal.with_extension(format!("{group}.group"));
    // Without the note a command may outlive a killed run; that must not stop the run itself.
    drop(match what {
        GroupEvent::Started => {
            let process = Owner::of(group);
            serde_json::to_vec(&process).map_err(Into::into).and_then(|text| fs::write(&path, text))
        }
        GroupEvent::Ended => fs::remove_file(&path),
    });
}

/// Kills what commands of a dead operation left running, and forgets their process groups.
fn end_commands(journal: &Path) -> Result<(), Error> {
    let id = change::id_of(journal);
    let Some(dir) = journal.parent() else { return Ok(()) };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let note = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(&format!("{id}."));
        if !is_ours || note.extension().is_none_or(|extension| extension != "group") {
            continue;
        }
        let leader: Option<Owner> =
            files::read(&note)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(leader) = leader.filter(Owner::is_alive) {
            Family::new(leader.pid, id.clone()).signal(Signal::KILL);
        }
        files::remove(&note)?;
    }
    Family::of_operation(&id).signal(Signal::KILL);
    Ok(())
}

fn read(path: &Path) -> Result<Option<Journal>, Error> {
    let Some(bytes) = files::read(path)? else { return Ok(None) };
    let journal = Journal::parse(&bytes).ok();
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
    end_commands(path)?;
    if let Some(run) = journal.run.take() {
        if run.job.is_some() {
            return finish_job(project, ctx, path, &run, &journal);
        }
        if let Some(experiment) = record(project, &run, &journal)? {
            journal.operation.refs.push(crate::operation::RefMove {
                name: experiment.ref_name.as_str().to_owned(),
                before: None,
                after: Some(experiment.commit.to_string()),
            });
            ctx.warn(&Warning::Recovered { experiment: experiment.name.to_string() });
            Logs::at(&run.logs).note(experiment.commit, run.begun.clone());
        }
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
    change::finish(project, ctx, &mut journal.operation, &HashMap::new())?;
    Ok(files::remove(path)?)
}

/// Ends the attempt at a job whose worker died: it is done when its result was published, lost when its commands had
/// begun, and queued again otherwise.
fn finish_job(
    project: &Project,
    ctx: &Ctx<'_>,
    path: &Path,
    run: &RunJournal,
    journal: &Journal,
) -> Result<(), Error> {
    let Some(job) = run.job else { return Ok(()) };
    let queue = project.queue()?;
    let mut published = false;
    for moved in &journal.operation.refs {
        let name = RefName::new(&moved.name)?;
        let now = project.git().read_ref(&name)?.map(|id| id.to_string());
        published |= now.is_some() && now == moved.after;
        // It died while it wrote the ref, which nobody else writes.
        if now != moved.after {
            project.git().break_lock(&name)?;
        }
    }
    let now = project.now().seconds;
    let end = match &run.ending {
        Some(ending) if published => ending.clone(),
        _ if run.begun.is_empty() => JobEnd::new(Outcome::Again, Some(EndCause::Lost), now),
        _ => {
            let mut end = JobEnd::new(Outcome::Lost, Some(EndCause::Lost), now);
            end.started = Some(run.started);
            end.stage = last_begun(run);
            end.host = Some(journal.owner.host.clone()).filter(|host| !host.is_empty());
            end.pid = Some(journal.owner.pid);
            if !queue.has_ended(job)
                && let Some(experiment) = record(project, run, journal)?
            {
                ctx.warn(&Warning::Recovered { experiment: experiment.name.to_string() });
                end.keeps(&experiment);
            }
            end
        }
    };
    if end.outcome != Outcome::Done
        && !run.begun.is_empty()
        && !queue.has_ended(job)
        && let Some(tree) = run.work_tree.as_deref().filter(|tree| tree.is_dir())
        && let Ok(inside) = project.at_work_tree(tree)
    {
        // Before the end, because the next attempt may begin right after it.
        queue.carry_out(job.number, &inside)?;
    }
    queue.end_attempt(job, &end)?;
    if published && end.outcome == Outcome::Done {
        // It may have died while it did this.
        queue.forget_ref(job)?;
    }
    if let Some(tree) = &run.work_tree {
        files::remove_all(tree)?;
    }
    Ok(files::remove(path)?)
}

/// Returns the stage that was running when a run died, by address.
fn last_begun(run: &RunJournal) -> Option<String> {
    run.begun.iter().rev().find(|stage| run.unfinished.contains(stage)).cloned()
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
        // Before its first command a private run has nothing to keep, and its work tree may be half of one.
        Some(root) if root.is_dir() && !run.begun.is_empty() => match project.at_work_tree(root) {
            Ok(inside) => inside,
            Err(_) => return Ok(None),
        },
        Some(_) => return Ok(None),
        None => project.clone(),
    };
    let existing = project.experiments().list()?;
    // The run may have been recorded just before its process died.
    let name = match run.job {
        None if existing.iter().any(|other| other.baseline == baseline && other.name == name) => {
            return Ok(None);
        }
        None => name,
        Some(_) => {
            let unfinished =
                || existing.iter().filter(|other| other.baseline == baseline && !other.is_finished);
            for other in unfinished() {
                let record = project.experiments().record(other).ok().flatten();
                if record.is_some_and(|record| {
                    record.started.seconds == run.started && record.overrides == run.overrides
                }) && other.name.as_str().starts_with(name.as_str())
                {
                    return Ok(Some(other.clone()));
                }
            }
            let is_free = |name: &ExpName| unfinished().all(|other| other.name != *name);
            let variants = (2..u32::MAX).filter_map(|n| ExpName::new(&format!("{name}-{n}")).ok());
            std::iter::once(name.clone()).chain(variants).find(is_free).unwrap_or(name)
        }
    };
    let view = View::load(&inside.workspace(), inside.root(), Broken::Note)?;
    let touched: BTreeSet<RelPath> =
        journal.operation.files.iter().filter_map(|file| RelPath::new(&file.path).ok()).collect();
    let mut changes = snapshot::changes(&inside, &view, &touched)?;
    let pending = pending(&view, run);
    // Of stages that had yet to begin, what lies there is the baseline's.
    for stage in view.stages.iter() {
        let address = stage.id.to_string();
        if !run.unfinished.contains(&address) {
            continue;
        }
        if run.begun.contains(&address) {
            snapshot::add_partial(&inside, stage, &mut changes)?;
        } else if pending.contains(&address) {
            snapshot::leave_out(&inside, stage, &mut changes)?;
        }
    }
    snapshot::adopt(project, &inside, &changes)?;
    let started = Timestamp { seconds: run.started, offset: project.now().offset };
    let record = RunRecord {
        stage: last_begun(run),
        host: Some(journal.owner.host.clone()).filter(|host| !host.is_empty()),
        overrides: run.overrides.clone(),
        environment: run.environment.clone(),
        left_out: run.left_out.0.clone(),
        n_left_out: run.left_out.1,
        ..RunRecord::new(RunEnd::Died, started)
    };
    let message = format!("exp: run {name} died");
    let time = project.now();
    let draft =
        Draft { parent: baseline, base: None, changes, message, author: None, time, record: None };
    let log = Logs::at(&run.logs).gather(run.begun.iter().map(String::as_str))?;
    let experiment = project.experiments().save_run(&draft, &name, &record, log.as_deref())?;
    Ok(Some(experiment))
}

/// Returns the stages, by address, that would still have run: those that wait for one that began and did not end well,
/// and those behind the last one that began. Others that never began had nothing to do.
fn pending(view: &View, run: &RunJournal) -> BTreeSet<String> {
    let is_cut_off = |stage: &str| run.unfinished.iter().any(|other| other == stage);
    let last = run.unfinished.iter().rposition(|stage| run.begun.contains(stage));
    let mut pending: BTreeSet<String> =
        run.unfinished[last.unwrap_or(0)..].iter().cloned().collect();
    let pipeline = Pipeline::unchecked(view.stages.clone());
    let stages = pipeline.stages();
    let begun: Vec<usize> = (0..stages.len())
        .filter(|at| {
            let address = stages[*at].id.to_string();
            run.begun.contains(&address) && is_cut_off(&address)
        })
        .collect();
    let waiting = pipeline.graph().downstream(&begun);
    pending.extend(waiting.into_iter().map(|at| stages[at].id.to_string()));
    pending
}
