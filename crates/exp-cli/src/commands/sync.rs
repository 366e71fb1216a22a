//! `push` and `pull`: experiments and their data, to and from other people.

mod dvc;

use std::path::Path;

use exp_engine::core::RelPath;
use exp_engine::refs::{Experiment, OnDiverged};
use exp_engine::{
    AutoPush, ConfigKey, ConfigLevel, DataSync, DataSyncOptions, Error, Kept, MissingObject,
    Project, PullReport, PullRequest, PushCheck, PushReport, PushRequest, RemoteSelection,
};

use super::data::words::listed;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::sync::{DvcSyncArgs, HowArgs, PullArgs, PushArgs, WhichArgs};
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::change::counted;
use crate::view::summary::ascii;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: PushArgs,
        run: push,
        exp: Some("push"),
        dvc: None,
        topic: Topic::First,
        about: "Send experiments and their data, so that others can apply them",
        long: "Send experiments and their data, so that others can apply them.\n\nData goes to the data remote \
               first, then the experiment to the Git remote: what others see, they can apply. What is missing is \
               named, and nothing is sent then. The first word is the Git remote if it is the name of one, a path or \
               a URL; else every word is an experiment.\n\nExamples:\n  exp push bold-yak\n  exp push origin best\n  \
               exp push --all\n  exp push --check bold-yak\n  exp push --auto",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: PullArgs,
        run: pull,
        exp: Some("pull"),
        dvc: None,
        topic: Topic::First,
        about: "Receive experiments and their data",
        long: "Receive experiments and their data.\n\nWithout a name, all experiments of HEAD. The workspace stays \
               as it is; `exp apply` brings an experiment into it.\n\nExamples:\n  exp pull\n  exp pull bold-yak\n  \
               exp pull -A",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DvcSyncArgs,
        run: dvc::push,
        exp: None,
        dvc: Some("exp push"),
        topic: Topic::Settings,
        about: "Push a local experiment to a Git remote",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DvcSyncArgs,
        run: dvc::pull,
        exp: None,
        dvc: Some("exp pull"),
        topic: Topic::Settings,
        about: "Pull an experiment from a Git remote",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

/// Makes runs send their experiments from now on, on this machine.
fn push_always(session: &mut Session<'_, '_>) -> Outcome {
    let (files, cwd) = (session.config_files(), session.cwd().to_path_buf());
    let key: ConfigKey = "exp.auto_push".parse()?;
    files.set(ConfigLevel::Local, &key, "true", &cwd)?;
    let remote = session.project()?.default_git_remote();
    session.note(&format!(
        "Each experiment is pushed to {remote} when its run finishes.\nno more: exp config --local exp.auto_push false"
    ))?;
    Ok(ExitStatus::DONE)
}

fn push(session: &mut Session<'_, '_>, args: &PushArgs) -> Outcome {
    let project = session.project()?;
    if args.auto {
        return push_always(session);
    }
    let (git_remote, words) =
        remote_and_words(session, &project, (args.git_remote.as_deref(), &args.experiments));
    let experiments = if words.is_empty() {
        if !args.all
            && !args.which.all_commits
            && args.which.rev.is_none()
            && args.which.num.is_none()
        {
            return Err(Failure::text_usage(
                "no experiment is named\nhint: name experiments (`exp push last`), or give --all for all of HEAD",
            ));
        }
        of_baselines(&project, &args.which)?
    } else {
        session.look(|ctx| {
            let find = |word: &String| project.find_experiment(ctx, word);
            words.iter().map(find).collect::<Result<Vec<_>, Error>>()
        })?
    };
    if experiments.is_empty() {
        session.note("No experiments to push.")?;
        return Ok(ExitStatus::DONE);
    }
    if args.check {
        return check(session, &project, (&git_remote, args.how.remote.as_deref()), &experiments);
    }
    let data = if args.no_data { DataSync::Leave } else { DataSync::Move(options(&args.how)) };
    let on_diverged = diverged(args.force);
    let request = PushRequest { git_remote: git_remote.clone(), experiments, on_diverged, data };
    let report = session.look(|ctx| project.push(ctx, &request))?;
    tell_push(session, &git_remote, &report)
}

/// Says what came of sending an experiment after its run.
pub(super) fn pushed(name: &str, push: &AutoPush) -> String {
    let remote = &push.git_remote;
    match &push.result {
        Err(error) => {
            let why = chain(error).join(": ");
            format!(" ! {name} was not pushed to {remote}: {why}   again: exp push {name}")
        }
        Ok(report) if !report.diverged.is_empty() => {
            format!(" ! {name} was not pushed: {remote} has another one of that name")
        }
        Ok(report) if report.pushed.is_empty() => format!(" ✓ {remote} has {name}"),
        Ok(report) => {
            let n: u64 = report.data.iter().map(|one| one.moved).sum();
            let n = counted(usize::try_from(n).unwrap_or(usize::MAX), "object");
            format!(" ✓ {name} pushed to {remote}, {n} of data")
        }
    }
}

/// Sends an experiment that was just made if the configuration asks for it, and says so. Nothing that happens here makes the
/// command fail.
pub(super) fn push_after(
    session: &mut Session<'_, '_>,
    project: &Project,
    kept: Option<&Kept>,
) -> Result<(), Failure> {
    let Some((experiment, git_remote)) = asked_for(project, kept) else { return Ok(()) };
    let result = session.look(|ctx| project.push_finished(ctx, experiment, &git_remote));
    let has_failed = !matches!(&result, Ok(report) if report.diverged.is_empty());
    let line = pushed(experiment.name.as_str(), &AutoPush { git_remote, result });
    let line = if session.io.unicode { line } else { ascii(&line) };
    match (has_failed, session.is_dvc()) {
        (true, _) => session.warn(&line),
        (false, false) => session.note(&line),
        // What DVC notes stands among its answers, where this is no place for it.
        (false, true) => Ok(()),
    }
}

/// Does the same in DVC's words.
pub(super) fn push_after_as_dvc(
    session: &mut Session<'_, '_>,
    project: &Project,
    kept: Option<&Kept>,
) -> Result<(), Failure> {
    let Some((experiment, git_remote)) = asked_for(project, kept) else { return Ok(()) };
    session.note(&format!(
        "Pushing experiment to '{git_remote}'. Cancel with CTRL+C. See \
         <https://dvc.org/doc/user-guide/experiment-management/sharing-experiments> for more info."
    ))?;
    let result = session.look(|ctx| project.push_finished(ctx, experiment, &git_remote));
    match result {
        Err(error) => session.warn(&format!(
            "WARNING: Something went wrong while auto pushing experiment to the remote '{git_remote}': {}",
            chain(&error).join(": ")
        )),
        Ok(_) => Ok(()),
    }
}

/// Returns the experiment that is to be sent, and where to.
fn asked_for<'k>(project: &Project, kept: Option<&'k Kept>) -> Option<(&'k Experiment, String)> {
    match kept? {
        Kept::Experiment(experiment) => Some((experiment, project.auto_push_remote()?)),
        _ => None,
    }
}

fn tell_push(session: &mut Session<'_, '_>, git_remote: &str, report: &PushReport) -> Outcome {
    for one in &report.data {
        session.note(&super::transfer::line(one, "sent"))?;
    }
    for (list, what) in [(&report.pushed, "sent"), (&report.up_to_date, "was there")] {
        for one in list {
            session.note(&format!(" git   {git_remote}  {}  {what}", one.name))?;
        }
    }
    let sent = report.pushed.iter().chain(&report.up_to_date);
    let names: Vec<String> = sent.map(|one| format!("`exp apply {}`", one.name)).collect();
    if !names.is_empty() && report.can_apply() {
        session.note(&format!(
            " {} a fresh clone can {}",
            symbol(session, true),
            listed(&names)
        ))?;
    } else if !names.is_empty() && report.is_complete() {
        session.note(&format!(
            " ! a fresh clone cannot apply this yet: {}",
            commit_config(&report.uncommitted_remotes)
        ))?;
    } else if !names.is_empty() {
        let n = report.n_left.max(report.missing.len());
        let outputs = if n == 1 { "1 output was" } else { &format!("{n} outputs were") };
        session
            .note(&format!(" ! incomplete: {outputs} not sent; nobody else can apply this yet"))?;
    }
    if report.diverged.is_empty() {
        return Ok(ExitStatus::DONE);
    }
    for one in &report.diverged {
        session.warn(&format!("error: `{}` is another commit on `{git_remote}`", one.name))?;
    }
    session.warn("hint: `exp rename` yours, or give --force to replace the other")?;
    Ok(ExitStatus::CONFLICT)
}

fn check(
    session: &mut Session<'_, '_>,
    project: &Project,
    (git_remote, remote): (&str, Option<&str>),
    experiments: &[Experiment],
) -> Outcome {
    let mut status = ExitStatus::DONE;
    for experiment in experiments {
        let found = session.look(|ctx| project.check_push(ctx, git_remote, experiment, remote))?;
        let name = &experiment.name;
        let mark = symbol(session, found.can_apply());
        if found.can_apply() {
            session.say(&format!("{mark} {name}: a fresh clone can apply it"))?;
        } else {
            session.say(&format!("{mark} {name}: a fresh clone cannot apply it"))?;
            status = ExitStatus::FAILED;
        }
        for line in check_lines(&found, git_remote) {
            session.say(&format!("  {line}"))?;
        }
    }
    Ok(status)
}

/// Says what is missing when only this machine knows the data remotes.
fn commit_config(remotes: &[String]) -> String {
    let names: Vec<String> = remotes.iter().map(|name| format!("`{name}`")).collect();
    let noun = if names.len() == 1 { "remote" } else { "remotes" };
    format!("commit .dvc/config so that a clone knows the {noun} {}", names.join(", "))
}

fn check_lines(found: &PushCheck, git_remote: &str) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(match found.remote_commit {
        Some(commit) if commit == found.experiment.commit => format!("git   {git_remote} has it"),
        Some(commit) => {
            format!("git   {git_remote} has another commit of that name, {}", commit.short(7))
        }
        None => format!("git   {git_remote} does not have it"),
    });
    let baseline = found.experiment.baseline.short(7);
    lines.push(if found.baseline_is_published {
        format!("git   a branch of {git_remote} leads to its baseline {baseline}")
    } else {
        format!("git   no known branch of {git_remote} leads to its baseline {baseline}; it comes with the experiment")
    });
    let objects = |n: u64| if n == 1 { "1 object".to_owned() } else { format!("{n} objects") };
    lines.push(format!("data  {} found, {} missing", objects(found.n_found), found.missing.len()));
    lines.extend(found.missing.iter().map(|one| format!("data  missing: {}", one.path)));
    if !found.uncommitted_remotes.is_empty() {
        lines.push(format!("data  {}", commit_config(&found.uncommitted_remotes)));
    }
    let kept = found.kept_here.iter();
    lines
        .extend(kept.map(|path: &RelPath| format!("data  kept from remotes by its stage: {path}")));
    lines
}

fn pull(session: &mut Session<'_, '_>, args: &PullArgs) -> Outcome {
    let project = session.project()?;
    let (git_remote, words) =
        remote_and_words(session, &project, (args.git_remote.as_deref(), &args.experiments));
    let which = selection(&project, &args.which, words)?;
    let data = if args.no_data { DataSync::Leave } else { DataSync::Move(options(&args.how)) };
    let on_diverged = diverged(args.force);
    let request = PullRequest { git_remote: git_remote.clone(), which, on_diverged, data };
    let report = session.look(|ctx| project.pull(ctx, &request))?;
    tell_pull(session, &git_remote, &report)
}

fn tell_pull(session: &mut Session<'_, '_>, git_remote: &str, report: &PullReport) -> Outcome {
    for (list, what) in [(&report.pulled, "received"), (&report.up_to_date, "was here")] {
        for one in list {
            session.note(&format!(" git   {git_remote}  {}  {what}", one.name))?;
        }
    }
    for one in &report.data {
        session.note(&super::transfer::line(one, "received"))?;
    }
    if report.pulled.is_empty() && report.up_to_date.is_empty() && report.diverged.is_empty() {
        session.note("No experiments to pull.")?;
    }
    if let Some(one) = report.pulled.first() {
        session.note(&format!("apply: exp apply {}   undo: exp undo", one.name))?;
    }
    let mut status = ExitStatus::DONE;
    let named = |missing: &[&MissingObject]| {
        let name = |one: &&MissingObject| format!("`{}` of {}", one.path, one.experiment);
        let mut paths: Vec<String> = missing.iter().map(name).collect();
        paths.dedup();
        paths
    };
    let (homeless, unsent): (Vec<&MissingObject>, Vec<&MissingObject>) =
        report.missing.iter().partition(|one| report.without_remote.contains(one));
    if !homeless.is_empty() {
        session.warn(&format!(
            "error: no data remote is configured here, so this data was not received: {}\nhint: run `exp remote add -d \
             store URL` with the URL that it was pushed to, then `exp pull` again",
            listed(&named(&homeless))
        ))?;
        status = ExitStatus::FAILED;
    }
    if let Some(first) = unsent.first() {
        let paths = named(&unsent);
        session.warn(&format!(
            "error: data that nobody pushed: {}\nhint: who has it runs `exp push --check {}` and `exp push {}`",
            listed(&paths),
            first.experiment,
            first.experiment
        ))?;
        status = ExitStatus::FAILED;
    }
    if report.diverged.is_empty() {
        return Ok(status);
    }
    for one in &report.diverged {
        session.warn(&format!(
            "error: `{}` is another commit here than on `{git_remote}`",
            one.name
        ))?;
    }
    session.warn(
        "hint: `exp rename` yours, or give --force to replace it; `exp undo` brings it back",
    )?;
    Ok(ExitStatus::CONFLICT)
}

fn symbol(session: &Session<'_, '_>, is_good: bool) -> &'static str {
    match (session.io.unicode, is_good) {
        (true, true) => "✓",
        (true, false) => "✗",
        (false, true) => "+",
        (false, false) => "x",
    }
}

fn options(how: &HowArgs) -> DataSyncOptions {
    DataSyncOptions {
        remote: how.remote.clone(),
        run_cache: how.run_cache && !how.no_run_cache,
        allow_missing: false,
        jobs: how.jobs,
    }
}

fn diverged(force: bool) -> OnDiverged {
    if force { OnDiverged::Overwrite } else { OnDiverged::Keep }
}

/// Parts the words into the Git remote and the experiments.
fn remote_and_words<'w>(
    session: &Session<'_, '_>,
    project: &Project,
    (asked, words): (Option<&str>, &'w [String]),
) -> (String, &'w [String]) {
    if let Some(asked) = asked {
        return (located(session.cwd(), asked), words);
    }
    let is_remote = |word: &String| {
        word.contains(['/', ':']) && !word.starts_with("refs/") && !word.starts_with("best:")
            || project.git().config(&format!("remote.{word}.url")).is_some()
    };
    match words.split_first() {
        Some((first, rest)) if is_remote(first) => (located(session.cwd(), first), rest),
        _ => (project.default_git_remote(), words),
    }
}

/// Makes a relative path to a Git remote absolute; Git would start at the top of the repository.
fn located(cwd: &Path, remote: &str) -> String {
    let path = cwd.join(remote);
    if remote.contains('/') && !remote.contains("://") && path.is_dir() {
        return path.display().to_string();
    }
    remote.to_owned()
}

/// Returns the finished experiments of the commits that are meant: of HEAD, when nothing is said.
fn of_baselines(project: &Project, which: &WhichArgs) -> Result<Vec<Experiment>, Failure> {
    let all = project.experiments().list().map_err(Error::from)?;
    let finished = all.into_iter().filter(|one| one.is_finished);
    Ok(match selection(project, which, &[])? {
        RemoteSelection::Baselines(commits) => {
            finished.filter(|one| commits.contains(&one.baseline)).collect()
        }
        _ => finished.collect(),
    })
}

fn selection(
    project: &Project,
    which: &WhichArgs,
    words: &[String],
) -> Result<RemoteSelection, Failure> {
    if !words.is_empty() {
        return Ok(RemoteSelection::Names(words.to_vec()));
    }
    if which.all_commits {
        return Ok(RemoteSelection::All);
    }
    let commit =
        project.git().resolve(which.rev.as_deref().unwrap_or("HEAD")).map_err(Error::from)?;
    let limit = match which.num {
        None => 1,
        Some(n) if n < 0 => usize::MAX,
        Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
    };
    Ok(RemoteSelection::Baselines(project.git().first_parents(commit, limit).map_err(Error::from)?))
}
