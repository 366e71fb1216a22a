//! Importing: look first, then fetch, record and place.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use exp_core::{Artifact, Ctx, DvcFile, LockEntry, RelPath, Table, Value};

use super::JOBS;
use super::address::{Content, PlaceKind};
use super::bring::into_store;
use super::error::ImportError;
use super::external::{External, Opening, RepoRequest, is_url};
use super::get::{Destination, Odd, is_dvc_file, resolve_output};
use super::record::{Slot, place, plain_hash};
use super::to_remote::send;
use super::url::{dep_of, digest_of, open, take};
use crate::change::Changes;
use crate::config::shown_url;
use crate::error::Error;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::ports::ignore_output;
use crate::project::Project;
use crate::recover;
use crate::view::{Broken, View};

/// How much of an import is done now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    /// Data comes into the store and the workspace.
    #[default]
    Data,
    /// Only what the source is now is recorded; the data comes with the next pull.
    Record,
    /// Only where the data would come from is written down. Nobody is asked.
    Nothing,
}

/// What of a repository is to be imported.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    /// The repository. Of a directory what is committed counts, as it is what can be recorded.
    pub repo: RepoRequest,
    /// The path in it.
    pub path: String,
    /// Where it goes.
    pub to: Destination,
    /// How much is done now.
    pub extent: Extent,
    /// How many files are received at once; without, 8.
    pub jobs: Option<NonZeroUsize>,
}

/// What at an address is to be imported.
#[derive(Debug, Clone, Default)]
pub struct ImportUrlRequest {
    /// A URL, a path, or `remote://name/path`.
    pub url: String,
    /// Options of the storage. They are recorded.
    pub fs_config: BTreeMap<String, String>,
    /// Where it goes.
    pub to: Destination,
    /// How much is done now.
    pub extent: Extent,
    /// Whether the data goes to a remote and not here.
    pub to_remote: Option<ToRemote>,
    /// Whether the version is recorded and fetched again from there, on a storage that keeps old ones. The data is not
    /// sent to remotes then.
    pub version_aware: bool,
    /// How many files are received at once; without, 8.
    pub jobs: Option<NonZeroUsize>,
}

/// Data goes to a data remote and not into the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToRemote {
    /// Which remote; without, the default one.
    pub remote: Option<String>,
}

/// An import that was looked at. Nothing was asked of the other side.
#[derive(Debug)]
pub struct ImportPlan {
    what: What,
    slot: Slot,
}

#[derive(Debug)]
enum What {
    Repo(ImportRequest),
    Url(ImportUrlRequest),
}

impl ImportPlan {
    /// Returns where the data comes from, for people: `path (repository)`, a URL, or an absolute path.
    pub fn source(&self) -> String {
        match &self.what {
            What::Repo(request) => format!("{} ({})", request.path, shown_url(&request.repo.url)),
            What::Url(request) if is_url(&request.url) => shown_url(&request.url),
            What::Url(request) => {
                let full = crate::data::normal(&request.to.cwd.join(&request.url));
                match full.strip_prefix(&self.slot.root) {
                    Ok(inside) => inside.display().to_string(),
                    Err(_) => full.display().to_string(),
                }
            }
        }
    }

    /// Returns where it goes.
    pub fn target(&self) -> &RelPath {
        &self.slot.path
    }
}

/// What was imported.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The `.dvc` file.
    pub file: RelPath,
    /// Where the data is, or will be.
    pub path: RelPath,
    /// The `.gitignore` files that were changed.
    pub ignore_files: Vec<RelPath>,
    /// What it is; `None` when it was left where it is.
    pub artifact: Option<Artifact>,
    /// Files that are not what their names promise.
    pub odd: Vec<Odd>,
}

impl Project {
    /// Looks at an import from a repository. Nothing is changed.
    ///
    /// # Errors
    ///
    /// When something is in the way, or data cannot be there.
    pub fn plan_import(&self, ctx: &Ctx<'_>, request: ImportRequest) -> Result<ImportPlan, Error> {
        let slot = self.look_for_slot(ctx, (&request.path, &request.to))?;
        Ok(ImportPlan { what: What::Repo(request), slot })
    }

    /// Looks at an import from an address. Nothing is changed.
    ///
    /// # Errors
    ///
    /// When something is in the way, data cannot be there, or the remote is not configured.
    pub fn plan_import_url(
        &self,
        ctx: &Ctx<'_>,
        request: ImportUrlRequest,
    ) -> Result<ImportPlan, Error> {
        let slot = self.look_for_slot(ctx, (&request.url, &request.to))?;
        if let Some(rest) = request.url.strip_prefix("remote://") {
            self.config().remote(rest.split('/').next().unwrap_or_default())?;
        }
        Ok(ImportPlan { what: What::Url(request), slot })
    }

    fn look_for_slot(
        &self,
        ctx: &Ctx<'_>,
        (source, to): (&str, &Destination),
    ) -> Result<Slot, Error> {
        recover::recover(self, ctx)?;
        let target = resolve_output(source, to)?;
        if is_dvc_file(&target) {
            let path = super::error::shown(&target, &to.cwd);
            return Err(ImportError::DvcFile { path }.into());
        }
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        Slot::at(self, &view, &target)
    }

    /// Imports: data into the store and the workspace, its record into a `.dvc` file, an entry into `.gitignore`.
    ///
    /// The files of the project change last and can be taken back. When fetching breaks off, what the store got by then
    /// stays, and the next try goes on from there.
    ///
    /// # Errors
    ///
    /// When the other side is not reached or has nothing there, or the store or the workspace cannot be written.
    pub fn import(&self, ctx: &Ctx<'_>, plan: ImportPlan) -> Result<Imported, Error> {
        let ImportPlan { what, slot } = plan;
        let mut odd = Vec::new();
        let (file, artifact, to_workspace) = match &what {
            What::Repo(request) => self.of_repository(ctx, &slot, request, &mut odd)?,
            What::Url(request) => self.of_url(ctx, &slot, request)?,
        };
        let _hold = Hold::brief(ctx, self)?;
        let subject = format!("import {}", slot.path);
        let mut changes = Changes::begin(self, OperationKind::Data, &subject);
        let done = (|| {
            if let (Some(artifact), true) = (&artifact, to_workspace) {
                place(self, ctx, &mut changes, (&slot.path, artifact))?;
            }
            let is_dir = artifact.is_some_and(|artifact| artifact.id.is_tree());
            ignore_output(self, ctx, &mut changes, &slot.path, is_dir)?;
            slot.write(ctx, &mut changes, &file)
        })();
        if let Err(error) = done {
            recover::roll_back(self, ctx, changes.journal_path())?;
            return Err(error);
        }
        let mut ignore_files: Vec<RelPath> = (changes.touched().iter())
            .filter(|path| path.file_name() == Some(".gitignore"))
            .cloned()
            .collect();
        ignore_files.sort();
        changes.finish(ctx)?;
        let (path, file) = (slot.path, slot.file);
        Ok(Imported { file, path, ignore_files, artifact, odd })
    }

    fn of_repository(
        &self,
        ctx: &Ctx<'_>,
        slot: &Slot,
        request: &ImportRequest,
        odd: &mut Vec<Odd>,
    ) -> Result<(DvcFile, Option<Artifact>, bool), Error> {
        let mut dep = LockEntry::new(request.path.trim_end_matches('/'), None);
        let mut lock = None;
        let mut artifact = None;
        if request.extent != Extent::Nothing {
            let path = RelPath::new(&request.path)?;
            let external =
                self.open_external(ctx, &request.repo, (&path, vec![request.to.cwd.clone()]))?;
            lock = external.commit.map(|commit| commit.to_string());
            let rev = request.repo.rev.as_deref();
            if request.extent == Extent::Data {
                let jobs = request.jobs.unwrap_or(JOBS);
                let brought = into_store(ctx, (self, &external), (&path, rev), jobs)?;
                odd.extend(brought.odd);
                artifact = Some(brought.artifact);
            } else {
                external.must_have(ctx, &path, rev)?;
            }
        }
        dep.extra.insert("repo".to_owned(), repo_value(&request.repo, lock.as_deref()));
        let out = slot.entry(artifact);
        Ok((slot.record(vec![dep], out, request.extent), artifact, true))
    }

    fn of_url(
        &self,
        ctx: &Ctx<'_>,
        slot: &Slot,
        request: &ImportUrlRequest,
    ) -> Result<(DvcFile, Option<Artifact>, bool), Error> {
        let mut options = request.fs_config.clone();
        if request.version_aware {
            options.insert("version_aware".to_owned(), "true".to_owned());
        }
        let place = open(self, &request.url, std::slice::from_ref(&request.to.cwd), &options)?;
        let text = slot.dep_text(self, (&request.url, &request.to.cwd), place.local.as_deref());
        let jobs = request.jobs.unwrap_or(JOBS);
        let mut dep = LockEntry::new(text, None);
        let mut artifact = None;
        if request.extent == Extent::Nothing {
            dep.extra.insert("hash".to_owned(), plain_hash());
        } else {
            let mut content = place.look(ctx)?;
            if request.version_aware {
                pin(&mut content);
            }
            let known = if let Some(to) = &request.to_remote {
                Some(send(ctx, (self, to), (&place, &content))?)
            } else if request.extent == Extent::Data {
                Some(take(ctx, self, (&place, &content), jobs)?)
            } else {
                None
            };
            let of_source = match (known, place.kind) {
                (Some(known), _) => Some(known),
                (None, PlaceKind::Local | PlaceKind::Content) => {
                    Some(digest_of(ctx, self, &place, &content)?)
                }
                (None, _) => None,
            };
            dep = dep_of(&place, &content, &dep.path, of_source.as_ref());
            // That a file may be executed is a fact of the source; what comes here is data.
            artifact = known.map(|known| Artifact { is_exec: false, ..known });
        }
        let mut fs_config: Table = (request.fs_config.iter())
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
            .collect();
        if request.version_aware {
            fs_config.insert("version_aware".to_owned(), Value::Bool(true));
        }
        if !fs_config.is_empty() {
            dep.extra.insert("fs_config".to_owned(), Value::Table(fs_config));
        }
        let mut out = slot.entry(artifact);
        // What old versions are read of is fetched from there again; as in DVC, a path is no such source.
        let is_kept_there = request.version_aware && place.storage.abilities().versions;
        out.push = !is_kept_there || request.extent == Extent::Nothing;
        let record = slot.record(vec![dep], out, request.extent);
        Ok((record, artifact, request.to_remote.is_none()))
    }

    /// Opens a repository that data of this project comes from. A relative path is relative to one of `bases`.
    pub(super) fn open_external(
        &self,
        ctx: &Ctx<'_>,
        repo: &RepoRequest,
        (path, bases): (&RelPath, Vec<std::path::PathBuf>),
    ) -> Result<External<'_>, Error> {
        let scratch = self.scratch().join("repos");
        let opening = Opening {
            options: self.options(),
            scratch: Some(scratch),
            store: Some(self.cache().clone()),
            bases,
            committed: true,
        };
        External::open(ctx, opening, repo, path)
    }
}

/// Names the versions that were found, so that exactly these are read.
pub(super) fn pin(content: &mut Content) {
    let files = match content {
        Content::File(file) => std::slice::from_mut(file),
        Content::Dir(files) => files,
    };
    for file in files {
        file.version.clone_from(&file.stat.version);
    }
}

/// Returns what a `.dvc` file says of the repository that data comes from.
pub(super) fn repo_value(repo: &RepoRequest, lock: Option<&str>) -> Value {
    let mut table = Table::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), value);
        }
    };
    let map = |options: &BTreeMap<String, String>| -> Table {
        options.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect()
    };
    let nested = |key: &str, value: Value| -> Value {
        Value::Table([(key.to_owned(), value)].into_iter().collect())
    };
    set("url", Some(Value::from(repo.url.as_str())));
    set("rev", repo.rev.as_deref().map(Value::from));
    set("rev_lock", lock.map(Value::from));
    let config = repo.config.as_ref().map(|path| Value::from(path.to_string_lossy().as_ref()));
    match (&repo.remote, repo.remote_config.is_empty()) {
        (Some(remote), false) => {
            let Value::Table(mut both) =
                nested("core", nested("remote", Value::from(remote.as_str())))
            else {
                return Value::Null;
            };
            let options = Value::Table(map(&repo.remote_config));
            both.insert("remote".to_owned(), nested(remote, options));
            set("config", Some(Value::Table(both)));
        }
        (remote, true) => {
            set("config", config);
            set("remote", remote.as_deref().map(Value::from));
        }
        (None, false) => {
            set("config", config);
            set("remote", Some(Value::Table(map(&repo.remote_config))));
        }
    }
    Value::Table(table)
}
