//! `data import`, `data import-url`, `data update`, `data get`, `data get-url` and, in `list.rs`, `data list`,
//! `data list-url`, `data du`: what lies in other repositories and at addresses.

mod list;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use exp_engine::core::{Artifact, Ctx, RelPath};
use exp_engine::{
    DataScope, Destination, Error, Extent, GetReport, GetRequest, GetUrlRequest, ImportPlan,
    ImportRequest, ImportUrlRequest, Imported, Odd, OddKind, Project, RepoRequest, ToRemote,
    UpdateEffect, UpdateRequest, UpdateStep,
};

use super::data::words::quoted;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::import::{
    ExtentArgs, GetArgs, GetUrlArgs, ImportArgs, ImportUrlArgs, ListArgs, ListUrlArgs, RepoArgs,
    UpdateArgs, UsageArgs,
};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::size;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: ImportArgs,
        run: import,
        exp: Some("data import"),
        dvc: Some("import"),
        topic: Topic::Pipeline,
        about: "Track data of another repository",
        long: "Track data of another repository.\n\nThe data comes here, and a .dvc file records the repository and \
               the commit that it is from; `exp data update` fetches what is newer. Data that DVC tracks there comes \
               from its store or its remote, files that Git keeps work as well. Of a directory on this machine, what \
               is committed there counts.\n\nExamples:\n  exp data import https://github.com/org/data images\n  exp \
               data import ../data images --rev v1.2 -o raw",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: ImportUrlArgs,
        run: import_url,
        exp: Some("data import-url"),
        dvc: Some("import-url"),
        topic: Topic::Pipeline,
        about: "Track data of a directory, a bucket or a server",
        long: "Track data of a directory, a bucket or a server.\n\nThe data comes here, and a .dvc file records where \
               it is from and what it was; `exp data update` fetches it again when it changed.\n\nExamples:\n  exp data \
               import-url https://example.com/train.csv\n  exp data import-url s3://bucket/images data/images\n  exp \
               data import-url --to-remote /mnt/disk/images",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: UpdateArgs,
        run: update,
        exp: Some("data update"),
        dvc: Some("update"),
        topic: Topic::Pipeline,
        about: "Bring imports up to date with where they come from",
        long: "Bring imports up to date with where they come from.\n\nOnly what changed is fetched.\n\nExamples:\n  exp \
               data update images.dvc\n  exp data update --rev v2 images.dvc",
        dvc_failure: DvcFailure { code: 1, prefix: "failed update data" },
    },
    command! {
        args: GetArgs,
        run: get,
        exp: Some("data get"),
        dvc: Some("get"),
        topic: Topic::Pipeline,
        about: "Fetch data of another repository without tracking it",
        long: "Fetch data of another repository without tracking it.\n\nNo project is needed. A file is there wholly or \
               not at all.\n\nExamples:\n  exp data get https://github.com/org/data images\n  exp data get ../data \
               model.bin --rev bold-yak",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: GetUrlArgs,
        run: get_url,
        exp: Some("data get-url"),
        dvc: Some("get-url"),
        topic: Topic::Pipeline,
        about: "Fetch a file or directory from an address",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: ListArgs,
        run: list::list,
        exp: Some("data list"),
        dvc: Some("list"),
        topic: Topic::Pipeline,
        about: "List what a repository has, data included",
        long: "List what a repository has, data included.\n\nNo project is needed.\n\nExamples:\n  exp data list .\n  \
               exp data list -R https://github.com/org/data images",
        dvc_failure: DvcFailure { code: 1, prefix: "" },
    },
    command! {
        args: ListUrlArgs,
        run: list::list_url,
        exp: Some("data list-url"),
        dvc: Some("list-url"),
        topic: Topic::Pipeline,
        about: "List what is at an address",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: UsageArgs,
        run: list::usage,
        exp: Some("data du"),
        dvc: Some("du"),
        topic: Topic::Pipeline,
        about: "Show how large the files of a repository are",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn import(session: &mut Session<'_, '_>, args: &ImportArgs) -> Outcome {
    let project = session.project()?;
    let request = ImportRequest {
        repo: repo(session, &args.url, &args.repo),
        path: args.path.clone(),
        to: to(session, args.out.as_ref(), args.force),
        extent: extent(&args.extent),
        jobs: args.jobs,
    };
    let what = words::Asked::Import { path: &args.path, url: &args.url };
    let look = |ctx: &Ctx<'_>| project.plan_import(ctx, request);
    let plan =
        session.look(look).map_err(|error| words::worded(session, &project, (what, error)))?;
    perform(session, &project, (plan, !args.extent.no_exec), what)
}

fn import_url(session: &mut Session<'_, '_>, args: &ImportUrlArgs) -> Outcome {
    let what = words::Asked::ImportUrl { url: &args.url };
    let extent = extent(&args.extent);
    if args.to_remote && (extent != Extent::Data || args.version_aware) {
        return Err(refused(
            session,
            what,
            "--no-exec/--no-download/--version-aware cannot be combined with --to-remote",
        ));
    }
    if args.remote.is_some() && !args.to_remote {
        return Err(refused(session, what, "--remote can't be used without --to-remote"));
    }
    let project = session.project()?;
    let request = ImportUrlRequest {
        url: args.url.clone(),
        fs_config: args.storage.fs_config.iter().cloned().collect(),
        to: to(session, args.out.as_ref(), args.force),
        extent,
        to_remote: args.to_remote.then(|| ToRemote { remote: args.remote.clone() }),
        version_aware: args.version_aware,
        jobs: args.jobs,
    };
    let look = |ctx: &Ctx<'_>| project.plan_import_url(ctx, request);
    let plan =
        session.look(look).map_err(|error| words::worded(session, &project, (what, error)))?;
    perform(session, &project, (plan, !args.extent.no_exec && !args.to_remote), what)
}

fn perform(
    session: &mut Session<'_, '_>,
    project: &Project,
    (plan, is_told): (ImportPlan, bool),
    what: words::Asked<'_>,
) -> Outcome {
    let cwd = project.relative(session.cwd());
    if session.is_dvc() && is_told {
        let (source, target) = (plan.source(), plan.target().relative_to(&cwd));
        session.note(&format!("Importing '{source}' -> '{target}'"))?;
    }
    let result = session.look(|ctx| project.import(ctx, plan));
    let imported = result.map_err(|error| words::worded(session, project, (what, error)))?;
    tell_odd(session, &imported.odd)?;
    tell_import(session, &imported, &cwd)
}

fn tell_import(session: &mut Session<'_, '_>, imported: &Imported, cwd: &RelPath) -> Outcome {
    let mut files = vec![imported.file.clone()];
    files.extend(imported.ignore_files.iter().cloned());
    let add = format!("git add {}", quoted(&files, cwd));
    if session.is_dvc() {
        session.note(&format!(
            "\nTo track the changes with git, run:\n\n\t{add}\n\nTo enable auto staging, run:\n\n\tdvc config \
             core.autostage true"
        ))?;
        return Ok(ExitStatus::DONE);
    }
    let path = imported.path.relative_to(cwd);
    let line = match &imported.artifact {
        Some(artifact) => {
            let slash = if artifact.id.is_tree() { "/" } else { "" };
            format!("{path}{slash}  {}  imported", extent_of(artifact))
        }
        None => format!("{path}  recorded; `exp data pull` fetches it"),
    };
    session.note(&line)?;
    session.note(&format!("commit it: {add}   undo: exp undo"))?;
    Ok(ExitStatus::DONE)
}

fn update(session: &mut Session<'_, '_>, args: &UpdateArgs) -> Outcome {
    let what = words::Asked::Update;
    if args.remote.is_some() && !args.to_remote {
        return Err(refused(session, what, "--remote can't be used without --to-remote"));
    }
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    let request = UpdateRequest {
        scope: DataScope {
            targets: session.targets(&project, &args.targets),
            cwd: cwd.clone(),
            with_deps: false,
            recursive: args.recursive,
        },
        cwd: session.cwd().to_path_buf(),
        rev: args.rev.clone(),
        record_only: args.no_download,
        to_remote: args.to_remote.then(|| ToRemote { remote: args.remote.clone() }),
        jobs: args.jobs,
    };
    let mut heard: Vec<UpdateStep> = Vec::new();
    let result =
        session.look(|ctx| project.update(ctx, &request, &mut |step| heard.push(step.clone())));
    for step in &heard {
        tell_step(session, (step, args.to_remote), &cwd)?;
    }
    let steps = result.map_err(|error| words::worded(session, &project, (what, error)))?;
    for step in &steps {
        tell_odd(session, &step.odd)?;
    }
    let is_change =
        |step: &&UpdateStep| matches!(step.effect, UpdateEffect::Fetched | UpdateEffect::Recorded);
    let changed: Vec<RelPath> =
        steps.iter().filter(is_change).map(|step| step.file.clone()).collect();
    if !session.is_dvc() && !changed.is_empty() {
        let files = quoted(&changed, &cwd);
        session.note(&format!("commit it: git add {files}   undo: exp undo"))?;
    }
    Ok(ExitStatus::DONE)
}

fn tell_step(
    session: &mut Session<'_, '_>,
    (step, to_remote): (&UpdateStep, bool),
    cwd: &RelPath,
) -> Result<(), Failure> {
    let (file, path) = (step.file.relative_to(cwd), step.path.relative_to(cwd));
    if !session.is_dvc() {
        let state = match step.effect {
            UpdateEffect::Fetched => "updated",
            UpdateEffect::Recorded if to_remote => "sent to the remote",
            UpdateEffect::Recorded => "recorded; `exp data pull` fetches it",
            UpdateEffect::Unchanged => "unchanged",
            UpdateEffect::NoImport => "no import",
            UpdateEffect::Gone => "is not on its remote any more; left as it is",
        };
        return session.note(&format!("{path}  {state}"));
    }
    match step.effect {
        UpdateEffect::Recorded if to_remote => Ok(()),
        UpdateEffect::Fetched | UpdateEffect::Recorded => {
            session.note(&format!("Importing '{}' -> '{path}'", step.source))
        }
        UpdateEffect::Unchanged => session.note(&format!("'{file}' didn't change, skipping")),
        UpdateEffect::NoImport => session
            .warn(&format!("WARNING: Could not update '{path}', it was never pushed to a remote")),
        UpdateEffect::Gone => session
            .warn(&format!("WARNING: Could not update '{path}', it does not exist in the remote")),
    }
}

fn get(session: &mut Session<'_, '_>, args: &GetArgs) -> Outcome {
    let request = GetRequest {
        repo: repo(session, &args.url, &args.repo),
        path: args.path.clone(),
        to: to(session, args.out.as_ref(), args.force),
        jobs: args.jobs,
    };
    let options = session.project_options();
    if args.show_url {
        let result = session.look(|ctx| exp_engine::storage_url(ctx, &options, &request));
        let what = words::Asked::ShowUrl;
        let url = result.map_err(|error| words::apart(session, (what, error)))?;
        session.say(&url)?;
        return Ok(ExitStatus::DONE);
    }
    let result = session.look(|ctx| exp_engine::get(ctx, &options, &request));
    let what = words::Asked::Get { path: &args.path, url: &args.url };
    let report = result.map_err(|error| words::apart(session, (what, error)))?;
    tell_odd(session, &report.odd)?;
    tell_got(session, &report)
}

fn get_url(session: &mut Session<'_, '_>, args: &GetUrlArgs) -> Outcome {
    let request = GetUrlRequest {
        url: args.url.clone(),
        fs_config: args.storage.fs_config.iter().cloned().collect::<BTreeMap<_, _>>(),
        to: to(session, args.out.as_ref(), args.force),
        jobs: args.jobs,
    };
    let (options, config) = (session.project_options(), session.config_files().load()?);
    let result = session.look(|ctx| exp_engine::get_url(ctx, &options, &config, &request));
    let what = words::Asked::GetUrl { url: &args.url };
    let report = result.map_err(|error| words::apart(session, (what, error)))?;
    tell_got(session, &report)
}

fn tell_got(session: &mut Session<'_, '_>, report: &GetReport) -> Outcome {
    if !session.is_dvc() {
        let path = report.path.strip_prefix(session.cwd()).unwrap_or(&report.path);
        let files = if report.n_files == 1 { "file" } else { "files" };
        let line =
            format!("{}  {} {files}, {}", path.display(), report.n_files, size(report.bytes));
        session.note(&line)?;
    }
    Ok(ExitStatus::DONE)
}

/// Names the files that are not what their names promise.
fn tell_odd(session: &mut Session<'_, '_>, odd: &[Odd]) -> Result<(), Failure> {
    let sign = if session.is_dvc() { "WARNING:" } else { " !" };
    for one in odd {
        let text = match one.kind {
            OddKind::Link => {
                "is a symbolic link there; here it is a file with the name of its target"
            }
            OddKind::LfsPointer => {
                "is a pointer of Git LFS: its content is not in Git. Fetch it with `git lfs pull` in a clone"
            }
        };
        session.warn(&format!("{sign} `{}` {text}", one.path))?;
    }
    Ok(())
}

fn extent_of(artifact: &Artifact) -> String {
    let bytes = artifact.size.map(size).unwrap_or_default();
    match artifact.n_files {
        Some(1) => format!("1 file, {bytes}"),
        Some(n_files) => format!("{n_files} files, {bytes}"),
        None => bytes,
    }
}

fn repo(session: &Session<'_, '_>, url: &str, args: &RepoArgs) -> RepoRequest {
    RepoRequest {
        url: url.to_owned(),
        rev: args.rev.clone(),
        config: args.config.as_ref().map(|path| session.cwd().join(Path::new(path))),
        remote: args.remote.clone(),
        remote_config: args.remote_config.iter().cloned().collect(),
    }
}

fn to(session: &Session<'_, '_>, out: Option<&String>, force: bool) -> Destination {
    Destination { cwd: session.cwd().to_path_buf(), out: out.cloned(), force }
}

fn extent(args: &ExtentArgs) -> Extent {
    match (args.no_exec, args.no_download) {
        (true, _) => Extent::Nothing,
        (_, true) => Extent::Record,
        _ => Extent::Data,
    }
}

/// Refuses flags that do not go together.
fn refused(session: &Session<'_, '_>, what: words::Asked<'_>, text: &str) -> Failure {
    if session.is_dvc() {
        return Failure::Dvc { message: format!("{}{text}", what.prefix(None)), code: 1 };
    }
    Failure::text_usage(text)
}

/// Returns whether an error is that of a name that nothing has, for the words of it.
fn is_unknown_revision(error: &Error) -> bool {
    matches!(
        error,
        Error::Revision(_)
            | Error::Import(exp_engine::ImportError::Mirror(
                exp_engine::refs::MirrorError::Revision(_)
            ))
    )
}
