//! `data add`, `data checkout`, `data commit`, `data status` and their like: data that Git does not keep.

mod diff;
mod ignore;
mod track;
pub(super) mod words;

use std::io::{BufRead as _, Write as _};
use std::num::NonZeroUsize;

use exp_engine::cache::Relink;
use exp_engine::core::{Recorded, RelPath};
use exp_engine::{
    AddCopyRequest, AddReport, AddRequest, AddToRemoteRequest, CheckoutReport, CommitStep,
    DataError, DataScope, DataStatusRequest, Error, Granularity, OutChange, OutEffect, Project,
    SyncError, UnsavedData, matching_paths,
};

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::data::{
    AddArgs, CheckIgnoreArgs, CheckoutArgs, CommitArgs, DiffArgs, MoveArgs, RemoveArgs, StatusArgs,
    UnprotectArgs,
};
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::{data, json, size};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: AddArgs,
        run: add,
        exp: Some("data add"),
        dvc: None,
        topic: Topic::Pipeline,
        about: "Track files or directories that are too large for Git",
        long: "Track files or directories that are too large for Git.\n\nThe content goes into the store, a .dvc \
               file beside the data records it, and .gitignore keeps the data out of Git. All targets are checked \
               before the first is touched.\n\nExamples:\n  exp data add data/train.csv\n  exp data add images\n  exp data add --glob 'data/**/*.csv'\n  \
               exp data add /mnt/scans --out scans\n  exp data add /mnt/video --to-remote --out video",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: AddArgs,
        run: dvc_add,
        exp: None,
        dvc: Some("add"),
        topic: Topic::Pipeline,
        about: "Track data files or directories with DVC",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: CheckoutArgs,
        run: checkout,
        exp: Some("data checkout"),
        dvc: Some("checkout"),
        topic: Topic::Pipeline,
        about: "Bring data to what the workspace's files record",
        long: "Bring data to what the workspace's files record.\n\nFiles with content that is stored nowhere are \
               not replaced without --force, which keeps them for `exp undo`.\n\nExamples:\n  exp data checkout\n  \
               exp data checkout images/a.png",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: CommitArgs,
        run: commit,
        exp: Some("data commit"),
        dvc: Some("commit"),
        topic: Topic::Pipeline,
        about: "Record data and outputs as they are in the workspace",
        long: "Record data and outputs as they are in the workspace.\n\nA stage that has changed is only recorded \
               after a question, or with --force: nobody has run it.\n\nExamples:\n  exp data commit images.dvc\n  \
               exp data commit --force train",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to commit" },
    },
    command! {
        args: StatusArgs,
        run: status,
        exp: Some("data status"),
        dvc: Some("data status"),
        topic: Topic::Pipeline,
        about: "Show how data differs from what is recorded",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DiffArgs,
        run: diff::diff,
        exp: Some("data diff"),
        dvc: Some("diff"),
        topic: Topic::Pipeline,
        about: "Compare the data of two commits, or of a commit and the workspace",
        long: "Compare the data of two commits, or of a commit and the workspace.\n\nDirectories end in / and are listed \
               with their files. Experiments are named like commits.\n\nExamples:\n  exp data diff\n  exp data diff \
               main~1 main --json\n  exp data diff --targets images",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to get diff" },
    },
    command! {
        args: RemoveArgs,
        run: track::remove,
        exp: Some("data remove"),
        dvc: Some("remove"),
        topic: Topic::Pipeline,
        about: "Stop tracking data, or remove stages",
        long: "Stop tracking data, or remove stages.\n\nThe .dvc file or the stage goes, what was recorded of it, and its \
               entries in .gitignore. The data stays unless --outs is given; `exp undo` brings it back also then.\n\n\
               Examples:\n  exp data remove images.dvc\n  exp data remove --outs train",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: MoveArgs,
        run: track::relocate,
        exp: Some("data move"),
        dvc: Some("move"),
        topic: Topic::Pipeline,
        about: "Move or rename tracked data",
        long: "Move or rename tracked data.\n\nIts .dvc file and .gitignore follow. Nothing is overwritten, and data that \
               a stage makes is refused: the stage would make it at the old path again.\n\nExamples:\n  exp data move \
               images photos\n  exp data move train.csv data/",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: UnprotectArgs,
        run: track::unprotect,
        exp: Some("data unprotect"),
        dvc: Some("unprotect"),
        topic: Topic::Pipeline,
        about: "Make tracked files writable where they are links to the store",
        long: "Make tracked files writable where they are links to the store.\n\nHard and symbolic links become copies. \
               With copies and reflinks, the default, there is nothing to do.\n\nExamples:\n  exp data unprotect images",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: CheckIgnoreArgs,
        run: ignore::check,
        exp: Some("data check-ignore"),
        dvc: Some("check-ignore"),
        topic: Topic::Pipeline,
        about: "Tell which files .dvcignore leaves out",
        long: "Tell which files .dvcignore leaves out.\n\nPrints the paths that are ignored, and exits with 1 when none \
               is.\n\nExamples:\n  exp data check-ignore images/*\n  exp data check-ignore --details --non-matching \
               images/a.tmp",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn add(session: &mut Session<'_, '_>, args: &AddArgs) -> Outcome {
    let report = perform_add(session, args)?;
    let cwd = session.project()?.relative(session.cwd());
    for one in &report.added {
        let is_dir = one.artifact.id.is_tree();
        let slash = if is_dir { "/" } else { "" };
        let mut what = one.artifact.size.map(size).unwrap_or_default();
        if let Some(n_files) = one.artifact.n_files {
            let files = if n_files == 1 { "file" } else { "files" };
            what = format!("{n_files} {files}, {what}");
        }
        let state = if one.recorded == Recorded::Unchanged { "unchanged" } else { "tracked" };
        session.note(&format!("{}{slash}  {what}  {state}", one.path.relative_to(&cwd)))?;
    }
    let changed = report.added.iter().filter(|one| one.recorded != Recorded::Unchanged);
    let mut files: Vec<RelPath> =
        changed.map(|one| one.file.clone()).chain(report.ignore_files).collect();
    files.dedup();
    if !files.is_empty() {
        session.note(&format!(
            "commit it: git add {}   undo: exp undo",
            words::quoted(&files, &cwd)
        ))?;
    }
    Ok(ExitStatus::DONE)
}

fn dvc_add(session: &mut Session<'_, '_>, args: &AddArgs) -> Outcome {
    let report = perform_add(session, args)?;
    let cwd = session.project()?.relative(session.cwd());
    let mut files: Vec<RelPath> = report.added.into_iter().map(|one| one.file).collect();
    files.extend(report.ignore_files);
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    let project = session.project()?;
    if project.config().autostage() {
        project.add_to_index(&files)?;
        return Ok(ExitStatus::DONE);
    }
    session.note(&format!(
        "\nTo track the changes with git, run:\n\n\tgit add {}\n\nTo enable auto staging, run:\n\n\tdvc config \
         core.autostage true",
        words::quoted(&files, &cwd)
    ))?;
    Ok(ExitStatus::DONE)
}

fn perform_add(session: &mut Session<'_, '_>, args: &AddArgs) -> Result<AddReport, Failure> {
    let project = session.project()?;
    if let Some(message) = add_misuse(args) {
        return Err(refused(session, message));
    }
    if args.to_remote {
        return add_to_remote(session, &project, args);
    }
    let targets = if args.glob {
        let cwd = session.cwd();
        let found = args.targets.iter().flat_map(|pattern| matching_paths(cwd, pattern));
        let found: Vec<String> = found.collect();
        if found.is_empty() {
            let patterns: Vec<String> =
                args.targets.iter().map(|pattern| format!("'{pattern}'")).collect();
            let message = format!("Glob [{}] has no matches.", patterns.join(", "));
            return Err(refused(session, message));
        }
        found
    } else {
        args.targets.clone()
    };
    let full = |path: &str| session.cwd().join(path);
    let relink = relink(args.no_relink);
    let result = if let (Some(out), Some(source)) = (&args.out, targets.first()) {
        let (source, to) = (full(source), full(out));
        let request = AddCopyRequest { source, to, replace: args.force, relink };
        session.look(|ctx| project.add_copy(ctx, &request))
    } else {
        let targets = targets.iter().map(|target| full(target)).collect();
        let request = AddRequest { targets, commit: !args.no_commit, relink };
        session.look(|ctx| project.add(ctx, &request))
    };
    result.map_err(|error| words::worded(session, &project, error))
}

/// Sends the only target to a remote and says what was sent.
fn add_to_remote(
    session: &mut Session<'_, '_>,
    project: &Project,
    args: &AddArgs,
) -> Result<AddReport, Failure> {
    let source = session.cwd().join(args.targets.first().map_or("", String::as_str));
    let to = match &args.out {
        Some(out) => session.cwd().join(out),
        None => session.cwd().join(source.file_name().unwrap_or_default()),
    };
    let jobs = args.remote_jobs.and_then(NonZeroUsize::new);
    let (remote, force) = (args.remote.clone(), args.force);
    let request = AddToRemoteRequest { source, to, force, remote, jobs };
    let result = session.look(|ctx| project.track_on_remote(ctx, &request));
    let (report, sent) = match result {
        Ok(done) => done,
        Err(error @ Error::Sync(SyncError::OnlyVersions { .. })) => {
            return Err(words::worded(session, project, error));
        }
        Err(error) if session.is_dvc() => {
            return Err(super::transfer::worded(session, project, ("", error)));
        }
        Err(error) => return Err(error.into()),
    };
    if !session.is_dvc() {
        session.note(&super::transfer::line(&sent, "sent"))?;
    }
    Ok(report)
}

/// Returns what is wrong with the flags together, as DVC says it.
fn add_misuse(args: &AddArgs) -> Option<String> {
    let message = |what: &str, with: &str| Some(format!("{what} can't be used {with}"));
    if args.to_remote || args.out.is_some() {
        let with = if args.to_remote { "with --to-remote" } else { "with --out" };
        return match args {
            AddArgs { targets, .. } if targets.len() != 1 => message("multiple targets", with),
            AddArgs { glob: true, .. } => message("--glob option", with),
            AddArgs { no_commit: true, .. } => message("--no-commit option", with),
            _ => None,
        };
    }
    match args {
        AddArgs { remote: Some(_), .. } => message("--remote", "without --to-remote"),
        AddArgs { remote_jobs: Some(_), .. } => message("--remote-jobs", "without --to-remote"),
        _ => None,
    }
}

fn refused(session: &Session<'_, '_>, message: String) -> Failure {
    if session.is_dvc() { Failure::Dvc { message, code: 1 } } else { Failure::TextUsage(message) }
}

fn checkout(session: &mut Session<'_, '_>, args: &CheckoutArgs) -> Outcome {
    let project = session.project()?;
    let scope = scope(session, &project, (&args.targets, args.with_deps, args.recursive));
    let unsaved = match (args.force, session.is_dvc()) {
        (false, _) => UnsavedData::Refuse,
        (true, true) => UnsavedData::Drop,
        (true, false) => UnsavedData::Keep,
    };
    let result = session.look(|ctx| {
        let plan = project.plan_data_checkout(ctx, &scope)?;
        project.checkout_data(ctx, plan, unsaved)
    });
    let report = match result {
        Ok(report) => report,
        Err(Error::Data(DataError::UnknownTarget { text, source })) if session.is_dvc() => {
            let target = text.clone();
            let error = DataError::UnknownTarget { text, source }.into();
            return Err(words::did_you_mean_git(words::worded(session, &project, error), &target));
        }
        Err(error) => return Err(words::worded(session, &project, error)),
    };
    let cwd = project.relative(session.cwd());
    if args.summary {
        let text = summary(&report);
        if !text.is_empty() {
            say(session, &text)?;
        } else if session.is_dvc() {
            say(session, "No changes.")?;
        }
    } else {
        for change in &report.changed {
            say(session, &line(change, &cwd))?;
        }
    }
    if !session.is_dvc() && !args.summary && !report.changed.is_empty() {
        session.note(&format!("{}   undo: exp undo", summary(&report)))?;
    }
    for path in &report.unrecorded {
        let text = if session.is_dvc() {
            let full = path.under(project.root());
            format!(
                "WARNING: No file hash info found for '{}'. It won't be created.",
                full.display()
            )
        } else {
            format!(" ! `{}` was never recorded", path.relative_to(&cwd))
        };
        session.warn(&text)?;
    }
    if args.relink {
        session
            .look(|ctx| project.relink_data(ctx, &scope))
            .map_err(|error| words::worded(session, &project, error))?;
    }
    if !session.is_dvc() {
        refuse_damaged(session, report.damaged)?;
    }
    let mut missing = report.missing;
    if session.is_dvc() {
        let is_absent = |path: &RelPath| path.under(project.root()).symlink_metadata().is_err();
        missing.extend(report.unrecorded.into_iter().filter(is_absent));
    }
    if missing.is_empty() || args.allow_missing {
        if args.relink {
            session.note("Relinked successfully")?;
        }
        return Ok(ExitStatus::DONE);
    }
    Err(words::worded(session, &project, Error::MissingData { paths: missing }))
}

/// Fails with the first of the outputs that could not be brought because the store has other bytes; the others are told.
pub(super) fn refuse_damaged(
    session: &mut Session<'_, '_>,
    damaged: Vec<DataError>,
) -> Result<(), Failure> {
    let mut damaged = damaged.into_iter();
    let Some(first) = damaged.next() else { return Ok(()) };
    for error in damaged {
        session.warn(&format!(" ! {}", chain(&error).join(": ")))?;
    }
    Err(Error::Data(first).into())
}

/// Writes a line about a change, which `--quiet` leaves out.
pub(super) fn say(session: &mut Session<'_, '_>, text: &str) -> Result<(), Failure> {
    if session.common.quiet { Ok(()) } else { session.say(text) }
}

pub(super) fn line(change: &OutChange, cwd: &RelPath) -> String {
    let letter = match change.effect {
        OutEffect::Added => 'A',
        OutEffect::Modified => 'M',
        OutEffect::Deleted => 'D',
    };
    let slash = if change.is_dir { "/" } else { "" };
    format!("{letter}       {}{slash}", change.path.relative_to(cwd))
}

pub(super) fn summary(report: &CheckoutReport) -> String {
    let parts: Vec<String> = [
        (report.files_modified, "modified"),
        (report.files_added, "added"),
        (report.files_removed, "deleted"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} file{} {what}", if n == 1 { "" } else { "s" }))
    .collect();
    words::listed(&parts)
}

fn commit(session: &mut Session<'_, '_>, args: &CommitArgs) -> Outcome {
    let project = session.project()?;
    let scope = scope(session, &project, (&args.targets, args.with_deps, args.recursive));
    let is_dvc = session.is_dvc();
    let failed = |session: &Session<'_, '_>, error| {
        let failure = words::worded(session, &project, error);
        if is_dvc { words::failed_to_commit(failure, &args.targets) } else { failure }
    };
    let plan = match session.look(|ctx| project.plan_commit(ctx, &scope)) {
        Ok(plan) => plan,
        Err(error) => return Err(failed(session, error)),
    };
    let mut accepted = Vec::new();
    for step in plan.changed() {
        let is_wanted = args.force || (step.is_data_source && !is_dvc) || ask(session, step)?;
        if is_wanted {
            accepted.push(step.stage.clone());
        }
    }
    let relink = relink(args.no_relink);
    let result = session.look(|ctx| {
        project.commit_data(ctx, plan, relink, &mut |step| accepted.contains(&step.stage))
    });
    let report = match result {
        Ok(report) => report,
        Err(error) => return Err(failed(session, error)),
    };
    let cwd = project.relative(session.cwd());
    for (stage, recorded) in &report.recorded {
        if !is_dvc {
            session.note(&format!("recorded `{}`", stage.address(&cwd)))?;
        } else if stage.name.is_some() {
            let verb = if *recorded == Recorded::Created { "Generating" } else { "Updating" };
            let lock = stage.file.relative_to(&cwd);
            let lock = lock.strip_suffix("dvc.yaml").unwrap_or(&lock);
            session.note(&format!("{verb} lock file '{lock}dvc.lock'"))?;
        }
    }
    if !is_dvc {
        match report.recorded.len() {
            0 => session.note("Everything is as recorded.")?,
            _ => session.note("undo: exp undo")?,
        }
    }
    Ok(ExitStatus::DONE)
}

/// Asks whether a changed stage is to be recorded; without a terminal the answer is no.
fn ask(session: &mut Session<'_, '_>, step: &CommitStep) -> Result<bool, Failure> {
    if !session.io.can_ask {
        return Ok(false);
    }
    write!(session.io.err, "`{}` changed and was not run. Record it as it is? [y/n] ", step.stage)
        .and_then(|()| session.io.err.flush())
        .map_err(Failure::Output)?;
    let mut answer = String::new();
    session.io.input.read_line(&mut answer).map_err(Failure::Output)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn status(session: &mut Session<'_, '_>, args: &StatusArgs) -> Outcome {
    let project = session.project()?;
    let mut paths = Vec::new();
    for target in &args.targets {
        paths.push(project.locate(&session.cwd().join(target))?);
    }
    let request = DataStatusRequest {
        paths,
        granularity: if args.granular { Granularity::Files } else { Granularity::Outputs },
        untracked: args.untracked_files == "all",
        unchanged: args.unchanged,
        look_at_git: !args.json,
        // DVC says nothing of them.
        refuse_untracked: !session.is_dvc(),
    };
    let found = session.look(|ctx| {
        let unsent = if args.not_in_remote {
            let what = (&request.paths[..], request.granularity);
            project.not_in_remote(ctx, what, args.remote.as_deref())?
        } else {
            Vec::new()
        };
        Ok::<_, Error>((project.data_status(ctx, &request)?, unsent))
    });
    let (status, unsent) = found.map_err(|error| words::worded(session, &project, error))?;
    if session.common.quiet {
        let is_clean = status.is_clean() && unsent.is_empty();
        let is_failed = !is_clean && !session.is_dvc();
        return Ok(if is_failed { ExitStatus::FAILED } else { ExitStatus::DONE });
    }
    let text = if args.json {
        json::line(&data::status_json((&status, &unsent), args.unchanged))
    } else {
        data::status_text((&status, &unsent), args.unchanged, session.grammar)
    };
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

fn relink(no_relink: bool) -> Relink {
    if no_relink { Relink::No } else { Relink::Yes }
}

fn scope(
    session: &Session<'_, '_>,
    project: &Project,
    (targets, with_deps, recursive): (&[String], bool, bool),
) -> DataScope {
    let cwd = project.relative(session.cwd());
    DataScope { targets: session.targets(project, targets), cwd, with_deps, recursive }
}
