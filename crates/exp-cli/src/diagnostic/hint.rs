//! What to do about an error: commands, which the libraries do not know.

use std::path::Path;

use exp_engine::cache::{CacheError, TransferError};
use exp_engine::core::SelectError;
use exp_engine::params::{ApplyError, ComposeError};
use exp_engine::refs::{BranchError, CommitError, EditError, FindError, UpdateError};
use exp_engine::{
    ConfigError, DataError, Error, GcError, ImportError, JobProblem, SelectorError, SyncError,
};

/// Returns suggestions for an error, the best first.
pub(super) fn of(error: &Error) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match error {
        Error::NotInProject { .. } => one("run `exp init` to make a project here"),
        Error::NoCommit => {
            one("run `git add -A && git commit` first: experiments start from a commit")
        }
        Error::Commit(CommitError::NoIdentity { missing }) => {
            vec![format!("run `git config --global {missing} …`: a commit says who made it")]
        }
        Error::Pipeline(error) => {
            error.did_you_mean().map(|key| format!("did you mean `{key}`?")).into_iter().collect()
        }
        Error::Recorded { source, .. } => {
            source.did_you_mean().map(|key| format!("did you mean `{key}`?")).into_iter().collect()
        }
        Error::Config(error) => config(error),
        Error::Settings(exp_engine::SettingsError::Newer { .. }) => {
            one("this project was made by a newer `exp`; install that version")
        }
        Error::Busy { .. } => one("wait for the other command, or give `--wait-for-lock`"),
        Error::MissingData { .. } => {
            one("run `exp data pull`, or `exp pull NAME` for an experiment, then try again")
        }
        Error::NoSubmodule { .. } => one("run `git submodule update --init`, then try again"),
        Error::Unsaved { .. } => {
            one("leave out `--no-save`: what is replaced is kept for `exp undo`")
        }
        Error::InTheWay { .. } | Error::NotAFile { .. } => one("move it away, then try again"),
        Error::ChangedSince { refs, .. } if refs.is_empty() => {
            one("give `--force` to go over it; what it holds is kept")
        }
        Error::Job { name, problem } => job(name, *problem),
        Error::Select(SelectError::NoMatch { .. }) => one(
            "run `exp stage list` for the names; quote a pattern, so that the shell leaves it alone",
        ),
        Error::Find(error) => find(error),
        Error::Edit(EditError::Exists { .. }) => {
            one("choose another name, or give `--force` to replace it")
        }
        Error::Update(UpdateError::Locked { lock, .. })
        | Error::Edit(EditError::Update(UpdateError::Locked { lock, .. })) => {
            vec![format!(
                "if no Git command is running, it is of one that died: rm '{}'",
                lock.display()
            )]
        }
        Error::Branch(BranchError::Exists { .. }) => one("name another branch"),
        Error::Selector(SelectorError::NoDirection { metric, .. }) => {
            vec![format!("write `best:{metric}:min` or `best:{metric}:max`")]
        }
        Error::Selector(SelectorError::NoMetric { .. }) => {
            one("write `best:METRIC:min` or `best:METRIC:max`")
        }
        Error::Selector(SelectorError::None { .. }) => one("run `exp run` first"),
        Error::Apply { source, .. } => parameter(source),
        Error::Cache(CacheError::NotMounted { root }) => mount(root),
        Error::Cache(CacheError::Corrupt { .. } | CacheError::CorruptSource { .. }) => mend(),
        Error::Compose { source } => composed(source),
        Error::NotComposed { .. } => {
            one("give `--no-hydra`, or compose them with Hydra in a stage of the pipeline")
        }
        Error::Data(error) => data(error),
        Error::Sync(error) => sync(error),
        Error::Import(error) => import(error),
        Error::Gc(error) => gc(error),
        _ => Vec::new(),
    }
}

/// What to do about an object that has other bytes than its name says.
fn mend() -> Vec<String> {
    vec![
        "run `exp data verify --repair` to mend it from the workspace or a remote, or `exp data pull`"
            .to_owned(),
    ]
}

/// What to do about a directory of data that has nothing in it, on another file system than before.
fn mount(dir: &Path) -> Vec<String> {
    vec![
        "mount it and do the same again".to_owned(),
        format!("if it is to be made anew there: mkdir -p '{}/files'", dir.display()),
    ]
}

fn job(name: &str, problem: JobProblem) -> Vec<String> {
    vec![match problem {
        JobProblem::Unknown => "run `exp queue status --all` for what there is".to_owned(),
        JobProblem::Running => format!("run `exp queue kill {name}` to end it first"),
        JobProblem::NotStarted => "run `exp queue start` to start workers".to_owned(),
        _ => format!("run `exp queue show {name}` for where it stands"),
    }]
}

fn import(error: &ImportError) -> Vec<String> {
    let text = match error {
        ImportError::Exists { .. } => "give `--force` to replace it, or another place for it",
        ImportError::NotInRepository { .. } => "run `exp data list -R URL` for what is there",
        ImportError::NotData { .. } => "without `--show-url` it is fetched from Git",
        ImportError::MissingObjects { .. } => {
            "run `exp data push` where the data is, or name the remote that has it with `--remote`"
        }
        ImportError::ForeignDirectory { .. } => {
            "give `--remote-config url=ADDRESS` for where that remote is from here"
        }
        ImportError::NotAnImport { .. } => "run `exp data commit` to record data of this project",
        ImportError::RepositoryToRemote { .. } => "run `exp data update`, then `exp data push`",
        ImportError::NoRemote => "run `exp remote add --default NAME URL`, or give `--remote`",
        ImportError::Changed { .. } => "run `exp data update` to record what it is now",
        ImportError::Unlistable { .. } => "name a single file",
        ImportError::NoRepository { .. } => {
            "for data that is in no repository there are `exp data get-url` and `import-url`"
        }
        _ => return Vec::new(),
    };
    vec![text.to_owned()]
}

fn composed(error: &ComposeError) -> Vec<String> {
    let list = |names: &[String]| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    match error {
        ComposeError::NotFound { options, .. } if !options.is_empty() => {
            vec![format!("there is {}", list(options))]
        }
        ComposeError::Unchosen { key, options } => {
            vec![format!("choose one with `-S {key}=NAME`: {}", list(options))]
        }
        ComposeError::NotChosen { near, .. } if !near.is_empty() => {
            vec![format!("did you mean {}?", list(near))]
        }
        ComposeError::NotChosen { key, .. } => {
            vec![format!("write `+{key}=NAME` to add it to the defaults list")]
        }
        ComposeError::Apply(error) => parameter(error),
        ComposeError::Resolver { .. } => {
            vec!["write the value down, or pass it with `-S`".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn parameter(error: &ApplyError) -> Vec<String> {
    let ApplyError::NotFound { key, near } = error else { return Vec::new() };
    let near: Vec<String> = near.iter().map(|key| format!("`{key}`")).collect();
    let mut hints = Vec::new();
    if !near.is_empty() {
        hints.push(format!("did you mean {}?", near.join(" or ")));
    }
    hints.push(format!("write `+{key}=VALUE` to add it"));
    hints
}

fn find(error: &FindError) -> Vec<String> {
    match error {
        FindError::NotFound { near, .. } if !near.is_empty() => {
            let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
            vec![format!("did you mean {}?", near.join(" or "))]
        }
        FindError::NotFound { .. } => {
            vec!["run `exp list --all-commits` for what there is".to_owned()]
        }
        FindError::Ambiguous { candidates, .. } => {
            let refs: Vec<&str> =
                candidates.iter().take(10).map(|one| one.ref_name.as_str()).collect();
            vec![format!("write one of these in full: {}", refs.join(", "))]
        }
        _ => Vec::new(),
    }
}

/// Returns the paths and refs that an error is about and that its message only counts.
pub(super) fn listed(error: &Error) -> Vec<String> {
    match error {
        Error::MissingData { paths }
        | Error::Unsaved { paths }
        | Error::Data(DataError::Unsaved { paths })
        | Error::InTheWay { paths } => paths.iter().map(ToString::to_string).collect(),
        Error::ChangedSince { paths, refs } => {
            paths.iter().map(ToString::to_string).chain(refs.iter().cloned()).collect()
        }
        _ => Vec::new(),
    }
}

fn data(error: &DataError) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match error {
        DataError::DvcFile { .. } => one("name the data, not the file that tracks it"),
        DataError::PipelineOutput { .. } => {
            one("run the stage, or record its output with `exp data commit --force`")
        }
        DataError::NotAccepted { .. } => {
            one("run `exp repro`, or give `--force` to record them without running")
        }
        DataError::NotDvcFile { file, .. } => vec![format!("name `{file}`")],
        DataError::NotDataSource { .. } => one("change the path in dvc.yaml, then run `exp repro`"),
        DataError::Unusable {
            source:
                CacheError::Corrupt { .. }
                | CacheError::CorruptSource { .. }
                | CacheError::Manifest { .. },
            ..
        }
        | DataError::Damaged { .. } => mend(),
        DataError::Unsaved { .. } => {
            one("give `--force` to replace them; they are kept for `exp undo`")
        }
        DataError::NotTracked { .. } => {
            one("name the whole output of a .dvc file; run `git mv` for what Git tracks")
        }
        DataError::NothingTracked { .. } => {
            one("run `exp data status --unchanged` for what is tracked")
        }
        DataError::UnknownTarget { .. } | DataError::NoMatch { .. } => {
            one("run `exp stage list --all` for what there is")
        }
        _ => Vec::new(),
    }
}

fn sync(error: &SyncError) -> Vec<String> {
    match error {
        SyncError::NoRemote { .. } => vec![
            "run `exp remote add -d store ../store` to have a data remote".to_owned(),
            "give `--no-data` to push results only; others cannot apply them".to_owned(),
        ],
        SyncError::NoDefaultRemote { .. } => {
            vec![
                "run `exp remote add -d store ../store`, or name a remote with `--remote`"
                    .to_owned(),
            ]
        }
        SyncError::NotMounted { path, .. } => mount(path),
        SyncError::Transfer(error) => match &**error {
            TransferError::Cache(CacheError::NotMounted { root }) => mount(root),
            TransferError::NoVersions { .. } => vec![
                "turn the versioning of its bucket on, or unset `version_aware` of the remote"
                    .to_owned(),
            ],
            _ => Vec::new(),
        },
        SyncError::VersionedRemote { name, option } => {
            vec![format!("run `exp config --unset remote.{name}.{option}` to keep objects there")]
        }
        SyncError::OnlyVersions { .. } => vec![
            "`exp data push`, `fetch` and `pull` work with it; for the rest name another remote with `--remote`"
                .to_owned(),
        ],
        SyncError::VersionedRevisions { .. } => vec![
            "check the revision out and run `exp data push` there, or name another remote with `--remote`"
                .to_owned(),
        ],
        SyncError::MissingData { missing } => match missing.first() {
            Some(one) => vec![format!(
                "run `exp apply {}` where the data is, or give `--no-data` to push results only",
                one.experiment
            )],
            None => Vec::new(),
        },
        SyncError::NotMoved { .. } => {
            vec!["what was sent stays; the same command sends the rest".to_owned()]
        }
        SyncError::NotOnRemote { remote, .. } => {
            vec![format!("run `exp list {remote}` for what there is")]
        }
        _ => Vec::new(),
    }
}

fn gc(error: &GcError) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match error {
        GcError::Unreadable { .. } => {
            one("mend it, or give `--skip-failed`: what only that one needs is then removed")
        }
        GcError::Unlisted { .. } => one(
            "run `exp pull` or `exp data fetch` where it can come from, or give `--skip-failed`: its files may then be \
             removed",
        ),
        GcError::NoRemote => one("name a remote with `--remote`"),
        _ => Vec::new(),
    }
}

fn config(error: &ConfigError) -> Vec<String> {
    match error {
        ConfigError::UnknownSection { nearest: Some(nearest), .. } => {
            vec![format!("did you mean `{nearest}`?")]
        }
        ConfigError::UnknownOption { nearest: Some(nearest), key, .. } => {
            vec![format!("did you mean `{}.{nearest}`?", key.section)]
        }
        ConfigError::RemoteNotFound { nearest, .. } => match nearest {
            Some(nearest) => vec![format!("did you mean `{nearest}`?")],
            None => vec!["run `exp remote list` for the remotes".to_owned()],
        },
        ConfigError::DefaultNotFound(name) => {
            vec![format!("run `exp remote add {name} URL` first")]
        }
        ConfigError::RemoteExists(_) => vec!["give `--force` to replace it".to_owned()],
        ConfigError::BadName(_) => {
            vec!["write `section.option` or `remote.NAME.option`".to_owned()]
        }
        ConfigError::RemoteWithoutUrl { name } => {
            vec![format!("run `exp remote modify {name} url URL`")]
        }
        _ => Vec::new(),
    }
}

/// Returns the name most like `text`, if one begins like it or differs in a letter or two.
pub(super) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    exp_engine::nearest_name(text, names)
}
