//! `remove`, `rename`, `clean`, `save`: the list of experiments.

use exp_engine::refs::{EditError, ExpName, Experiment, FindError, GitCli, RefName};
use exp_engine::{Baselines, Error, Job, Kept, OnExisting, Project, Queue, SaveRequest};

use super::apply::{BRIEF, ambiguous};
use super::sync::{push_after, push_after_as_dvc};
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::experiment::{CleanArgs, RemoveArgs, RenameArgs, SaveArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::change::{counted, listed, quoted};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: SaveArgs,
        run: save,
        exp: Some("save"),
        dvc: Some("exp save"),
        topic: Topic::Keep,
        about: "Save the workspace as an experiment without running anything",
        long: "Save the workspace as an experiment without running anything.\n\nOutputs go to the store, and dvc.lock and \
               .dvc files are brought up to date. Everything else stays as it is: HEAD, the index, your files.\n\n\
               Examples:\n  exp save -n by-hand -m \"tuned by hand\"\n  exp save -I notes.txt",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to save experiment" },
    },
    command! {
        args: RemoveArgs,
        run: remove,
        exp: Some("remove"),
        dvc: Some("exp remove"),
        topic: Topic::Keep,
        about: "Remove experiments",
        long: "Remove experiments.\n\nFiles and data stay. `exp undo` brings the experiments back.\n\nExamples:\n  exp \
               remove bold-yak calm-otter\n  exp remove --keep best\n  exp remove --rev main",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: RenameArgs,
        run: rename,
        exp: Some("rename"),
        dvc: Some("exp rename"),
        topic: Topic::Keep,
        about: "Give an experiment another name",
        long: "Give an experiment another name.\n\nExamples:\n  exp rename calm-otter lr-sweep-winner",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: CleanArgs,
        run: clean,
        exp: Some("clean"),
        dvc: Some("exp clean"),
        topic: Topic::Keep,
        about: "Remove what dead commands left in .dvc/tmp",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn save(session: &mut Session<'_, '_>, args: &SaveArgs) -> Outcome {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let inside = |path: &str| cwd.join(path).map_err(Error::from);
    let include = args.include_untracked.iter();
    let request = SaveRequest {
        name: args.name.clone(),
        message: args.message.clone(),
        existing: if args.force { OnExisting::Replace } else { OnExisting::Refuse },
        include: include.map(|path| inside(&path.to_string_lossy())).collect::<Result<_, _>>()?,
        targets: session.targets(&project, &args.targets),
        cwd: cwd.clone(),
    };
    let is_dvc = session.is_dvc();
    let saved = session.perform(BRIEF, |ctx| project.save(ctx, &request));
    let experiment = saved.map_err(|error| match error {
        Error::Edit(EditError::Exists { name, .. }) if is_dvc => Failure::Dvc {
            message: format!(
                "failed to save experiment - Experiment conflicts with existing experiment '{name}'. To overwrite the \
                 existing experiment run:\n\n\tdvc exp save -f ...\n"
            ),
            code: 1,
        },
        error => error.into(),
    })?;
    let kept = Kept::Experiment(experiment.clone());
    if args.json {
        session.say(&format!("{{\"ref\": \"{}\"}}", experiment.commit))?;
        push_after(session, &project, Some(&kept))?;
        return Ok(ExitStatus::DONE);
    }
    if is_dvc {
        push_after_as_dvc(session, &project, Some(&kept))?;
        session.note(&format!("Experiment has been saved as: {}", experiment.name))?;
    } else {
        let on = experiment.baseline.short(7);
        session.note(&format!("saved the workspace as {} on {on}", experiment.name))?;
        session.note("undo: exp undo")?;
        push_after(session, &project, Some(&kept))?;
    }
    Ok(ExitStatus::DONE)
}

fn remove(session: &mut Session<'_, '_>, args: &RemoveArgs) -> Outcome {
    let selects = args.all_commits || args.rev.is_some() || args.queue;
    if !selects && args.experiments.is_empty() {
        let message = "Either provide an `experiment` argument, or use the `--rev` or `--all-commits` or `--queue` flag.";
        return Err(if session.is_dvc() {
            Failure::Dvc { message: message.to_owned(), code: 255 }
        } else {
            Failure::text_usage("name experiments, or give `--rev`, `--all-commits` or `--queue`")
        });
    }
    let project = session.project()?;
    if let Some(remote) = &args.git_remote {
        return remove_remotely(session, &project, args, remote);
    }
    let is_dvc = session.is_dvc();
    let all = project.experiments_of(&Baselines::All)?;
    let mut chosen: Vec<Experiment> = Vec::new();
    if let Some(baselines) = baselines(&project, args)? {
        chosen.extend(project.experiments_of(&baselines)?);
    }
    let queue = project.queue()?;
    let mut jobs: Vec<Job> = queue.list()?;
    jobs.retain(|job| job.state.is_waiting());
    let mut unqueued: Vec<Job> = if args.queue { jobs.clone() } else { Vec::new() };
    for spec in &args.experiments {
        match one(session, &project, spec) {
            Ok(one) => chosen.push(one),
            // What waits in the queue has no experiment yet.
            Err(error) => match Queue::find(&jobs, spec) {
                Some(job) => unqueued.push(job.clone()),
                None => return Err(error),
            },
        }
    }
    if args.keep {
        chosen = all.into_iter().filter(|one| !chosen.contains(one)).collect();
    }
    if is_dvc {
        // DVC does not know runs that did not finish, so it never means them.
        chosen.retain(|one| {
            one.is_finished || args.experiments.iter().any(|spec| *spec == one.name.as_str())
        });
    }
    chosen.sort();
    chosen.dedup();
    queue.remove(&unqueued)?;
    session.perform(BRIEF, |ctx| project.remove(ctx, &chosen))?;
    let of_queue = unqueued.iter().map(|job| job.name.to_string());
    let names: Vec<String> =
        of_queue.chain(chosen.iter().map(|one| one.name.to_string())).collect();
    tell_removed(session, &names, "")?;
    if !is_dvc && !chosen.is_empty() {
        session.note("undo: exp undo")?;
    }
    Ok(ExitStatus::DONE)
}

fn tell_removed(
    session: &mut Session<'_, '_>,
    names: &[String],
    from: &str,
) -> Result<(), Failure> {
    match (session.is_dvc(), names.is_empty()) {
        (true, true) => session.note("No experiments to remove."),
        (true, false) => session.note(&format!("Removed experiments: {}", quoted(names))),
        (false, true) => session.note("Nothing to remove."),
        (false, false) => {
            let (n, names) = (counted(names.len(), "experiment"), listed(names, 10));
            session.note(&format!("removed {n}{from}: {names}"))
        }
    }
}

fn baselines(project: &Project, args: &RemoveArgs) -> Result<Option<Baselines>, Failure> {
    if args.all_commits {
        return Ok(Some(Baselines::All));
    }
    let Some(rev) = &args.rev else { return Ok(None) };
    let commit = project.git().resolve(rev).map_err(Error::from)?;
    let n = match args.num {
        None => Some(1),
        Some(n) => usize::try_from(n).ok(),
    };
    Ok(Some(Baselines::From(commit, n)))
}

/// Finds one experiment; in DVC's grammar by its whole name only, because a prefix is an error there.
fn one(
    session: &mut Session<'_, '_>,
    project: &Project,
    spec: &str,
) -> Result<Experiment, Failure> {
    let is_dvc = session.is_dvc();
    let invalid =
        || Failure::Dvc { message: format!("'{spec}' is not a valid experiment name"), code: 255 };
    let found = session.perform(BRIEF, |ctx| project.find_experiment(ctx, spec));
    match found {
        Ok(one) if !is_dvc => Ok(one),
        Ok(one) => {
            let commit = one.commit.to_string();
            let is_whole =
                [one.name.as_str(), one.ref_name.as_str(), commit.as_str()].contains(&spec);
            if is_whole { Ok(one) } else { Err(invalid()) }
        }
        Err(error @ Error::Find(FindError::Ambiguous { .. })) if is_dvc => Err(ambiguous(error)),
        Err(Error::Find(_) | Error::Revision(_) | Error::Selector(_)) if is_dvc => Err(invalid()),
        Err(error) => Err(error.into()),
    }
}

fn remove_remotely(
    session: &mut Session<'_, '_>,
    project: &Project,
    args: &RemoveArgs,
    remote: &str,
) -> Outcome {
    let cli = GitCli::new(project.git().clone());
    let is_dvc = session.is_dvc();
    let there =
        session.perform(BRIEF, |ctx| cli.list(ctx, remote, "refs/exps/")).map_err(Error::from)?;
    let there: Vec<RefName> = there.into_iter().map(|found| found.name).collect();
    let name_of =
        |found: &RefName| found.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let n_parts = |found: &RefName| found.as_str().split('/').count();
    let there: Vec<RefName> = there.into_iter().filter(|found| n_parts(found) == 5).collect();
    let mut chosen: Vec<RefName> = Vec::new();
    if args.all_commits {
        chosen.clone_from(&there);
    } else if let Some(baselines) = baselines(project, args)? {
        let Baselines::From(commit, n) = baselines else { return Ok(ExitStatus::DONE) };
        let commits =
            project.git().first_parents(commit, n.unwrap_or(usize::MAX)).map_err(Error::from)?;
        let prefixes: Vec<String> = commits
            .iter()
            .map(ToString::to_string)
            .map(|hex| format!("refs/exps/{}/{}/", &hex[..2], &hex[2..]))
            .collect();
        let is_of =
            |found: &&RefName| prefixes.iter().any(|prefix| found.as_str().starts_with(prefix));
        chosen.extend(there.iter().filter(is_of).cloned());
    }
    for spec in &args.experiments {
        let named = |found: &&RefName| found.as_str() == spec || name_of(found) == *spec;
        let matching: Vec<RefName> = there.iter().filter(named).cloned().collect();
        match matching.as_slice() {
            [] if is_dvc => {
                let message = format!("Experiment '{spec}' does not exist in '{remote}'");
                return Err(Failure::Dvc { message, code: 255 });
            }
            [] => {
                let near = there
                    .iter()
                    .map(name_of)
                    .filter(|name| name.starts_with(spec.as_str()))
                    .filter_map(|name| ExpName::new(&name).ok());
                let near = near.take(3).collect();
                return Err(Error::Find(FindError::NotFound { spec: spec.clone(), near }).into());
            }
            [found] => chosen.push(found.clone()),
            many => {
                let refs: Vec<&str> = many.iter().map(RefName::as_str).collect();
                let message = format!(
                    "Ambiguous name '{spec}' refers to multiple experiments. Use one of the following full refnames \
                     instead:\n\n\t{}",
                    refs.join("\n\t")
                );
                return Err(if is_dvc {
                    Failure::Dvc { message, code: 255 }
                } else {
                    Failure::text_usage(&format!(
                        "`{spec}` is ambiguous on {remote}: {}",
                        refs.join(", ")
                    ))
                });
            }
        }
    }
    if args.keep {
        chosen = there.into_iter().filter(|found| !chosen.contains(found)).collect();
    }
    let removed =
        session.perform(BRIEF, |ctx| cli.delete(ctx, remote, &chosen)).map_err(Error::from)?;
    let names: Vec<String> = removed.updated.iter().map(name_of).collect();
    tell_removed(session, &names, &format!(" from {remote}"))?;
    Ok(ExitStatus::DONE)
}

fn rename(session: &mut Session<'_, '_>, args: &RenameArgs) -> Outcome {
    let project = session.project()?;
    let is_dvc = session.is_dvc();
    if let Some(remote) = &args.git_remote {
        let cli = GitCli::new(project.git().clone());
        let there = session
            .perform(BRIEF, |ctx| cli.list(ctx, remote, "refs/exps/"))
            .map_err(Error::from)?;
        let ends = format!("/{}", args.experiment);
        if !there.iter().any(|found| found.name.as_str().ends_with(&ends)) {
            let message = format!("Experiment '{}' does not exist in '{remote}'", args.experiment);
            return Err(Failure::Dvc { message, code: 255 });
        }
    }
    let experiment = one(session, &project, &args.experiment)?;
    let to = ExpName::new(&args.name).map_err(|error| if is_dvc { Failure::Dvc {
            message: format!(
                "Invalid exp name {}, the exp name must follow rules in https://git-scm.com/docs/git-check-ref-format",
                args.name
            ),
            code: 255,
        } } else { Error::from(error).into() })?;
    let existing = if args.force { OnExisting::Replace } else { OnExisting::Refuse };
    let renamed = session.perform(BRIEF, |ctx| project.rename(ctx, &experiment, &to, existing));
    renamed.map_err(|error| match error {
        Error::Edit(EditError::Exists { name, .. }) if is_dvc => Failure::Dvc {
            message: format!(
                "Experiment conflicts with existing experiment '{name}'. To overwrite the existing experiment run:\n\n\
                 \tdvc exp rename -f ...\n"
            ),
            code: 255,
        },
        error => error.into(),
    })?;
    if is_dvc {
        session.note(&format!("Renamed experiments: '{}'", experiment.name))?;
    } else {
        session.note(&format!("renamed {} to {to}", experiment.name))?;
        session.note("undo: exp undo")?;
    }
    Ok(ExitStatus::DONE)
}

fn clean(session: &mut Session<'_, '_>, _: &CleanArgs) -> Outcome {
    let project = session.project()?;
    let report = session.perform(BRIEF, |ctx| project.clean(ctx))?;
    if session.is_dvc() {
        session.note("Cleaning up dvc-task messages...\nDone!")?;
        return Ok(ExitStatus::DONE);
    }
    let root = project.root().to_path_buf();
    for path in &report.removed {
        let shown = path.strip_prefix(&root).unwrap_or(path);
        session.say(&format!("- {}", shown.display()))?;
    }
    session.note(&match report.removed.len() {
        0 => "Nothing to clean.".to_owned(),
        n => format!("removed {} of dead commands", counted(n, "path")),
    })?;
    Ok(ExitStatus::DONE)
}
