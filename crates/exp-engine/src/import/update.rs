//! Bringing imports up to date with where they come from. Only what changed is fetched.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use exp_cache::{Incoming, NoFilter, Remote, StorageStat};
use exp_core::{Artifact, Ctx, DvcFile, LockEntry, RelPath, StageLock, Table, Value};

use super::JOBS;
use super::address::{Content, PlaceKind};
use super::bring::into_store;
use super::error::{ImportError, OfImportsOnly};
use super::external::{RepoRequest, is_url};
use super::get::Odd;
use super::plan::{ToRemote, repo_value};
use super::record::{place, plain_hash};
use super::to_remote::send;
use super::url::{dep_of, digest_of, open, take};
use crate::change::Changes;
use crate::config::shown_url;
use crate::data::{DataScope, pick};
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;
use crate::view::{Broken, View};

/// Which imports are to be brought up to date, and how.
#[derive(Debug, Clone, Default)]
pub struct UpdateRequest {
    /// `.dvc` files, or what they track.
    pub scope: DataScope,
    /// The directory that a person is in, absolute: what a relative path of a repository may be relative to.
    pub cwd: PathBuf,
    /// Another revision, which is recorded as the one to follow.
    pub rev: Option<String>,
    /// Whether only the record changes; the data comes with the next pull.
    pub record_only: bool,
    /// Whether the data goes to a remote and not here.
    pub to_remote: Option<ToRemote>,
    /// How many files are received at once; without, 8.
    pub jobs: Option<NonZeroUsize>,
}

impl UpdateRequest {
    /// Returns what of it means nothing to data that is no import.
    fn of_imports_only(&self) -> Option<OfImportsOnly> {
        let asked = [
            (self.rev.is_some(), OfImportsOnly::Revision),
            (self.record_only, OfImportsOnly::Record),
            (self.to_remote.is_some(), OfImportsOnly::Remote),
        ];
        asked.into_iter().find_map(|(is_asked, what)| is_asked.then_some(what))
    }
}

/// One import that is brought up to date.
#[derive(Debug, Clone)]
pub struct UpdateStep {
    /// The `.dvc` file.
    pub file: RelPath,
    /// The data.
    pub path: RelPath,
    /// Where it comes from, for people.
    pub source: String,
    /// What happens to it.
    pub effect: UpdateEffect,
    /// Files that are not what their names promise. Known only when it is over.
    pub odd: Vec<Odd>,
}

/// What bringing up to date comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateEffect {
    /// It is fetched again.
    Fetched,
    /// Only its record changes, or its data goes elsewhere.
    Recorded,
    /// The source is what it was, and so is the data.
    Unchanged,
    /// It is data of this project and comes from nowhere.
    NoImport,
    /// It is data of this project, and its remote does not have it any more. It stays as it is.
    Gone,
}

/// An import as its file has it.
pub(super) struct Import {
    pub(super) file: RelPath,
    pub(super) path: RelPath,
    pub(super) dep: LockEntry,
    pub(super) out: LockEntry,
    text: String,
}

impl Import {
    /// Reads a `.dvc` file; `None` when it records no import.
    pub(super) fn read(project: &Project, file: &RelPath) -> Result<Option<Self>, Error> {
        let bytes = files::read(&file.under(project.root()))?.unwrap_or_default();
        let text = files::text(file, &bytes)?.to_owned();
        let wrong = |source| Error::Recorded { file: file.clone(), source };
        let parsed = DvcFile::parse(&text).map_err(wrong)?;
        let stage = parsed.to_stage(file, project.root()).map_err(wrong)?;
        let path = stage.outs.first().and_then(|out| out.location.workspace()).cloned();
        let (Some(dep), Some(out), Some(path)) =
            (parsed.deps.first().cloned(), parsed.outs.first(), path)
        else {
            return Ok(None);
        };
        if dep.extra.contains_key("db") {
            return Ok(None);
        }
        Ok(Some(Self { file: file.clone(), path, dep, out: out.entry.clone(), text }))
    }

    /// Returns the repository that it comes from; `None` when it comes from an address.
    pub(super) fn repo(&self) -> Option<RepoRequest> {
        let repo = self.dep.extra.get("repo")?;
        let text = |key| repo.child(key).and_then(Value::as_text).map(str::to_owned);
        let map = |value: &Value| -> BTreeMap<String, String> {
            let Value::Table(table) = value else { return BTreeMap::new() };
            (table.iter())
                .filter_map(|(key, value)| Some((key.clone(), value.as_text()?.to_owned())))
                .collect()
        };
        let mut request = RepoRequest {
            url: text("url")?,
            rev: text("rev"),
            config: text("config").map(PathBuf::from),
            remote: text("remote"),
            remote_config: repo.child("remote").map(map).unwrap_or_default(),
        };
        if let Some(config) = repo.child("config") {
            let named = config.child("core").and_then(|core| core.child("remote"));
            if let Some(name) = named.and_then(Value::as_text) {
                request.remote = Some(name.to_owned());
                let options = config.child("remote").and_then(|all| all.child(name));
                request.remote_config = options.map(map).unwrap_or_default();
            }
        }
        Some(request)
    }

    /// Returns the commit that is recorded.
    pub(super) fn lock(&self) -> Option<&str> {
        self.dep.extra.get("repo")?.child("rev_lock")?.as_text()
    }

    /// Returns where a relative path may begin: in the directory of the file, where a person is, at the top.
    pub(super) fn bases(&self, project: &Project, cwd: Option<&PathBuf>) -> Vec<PathBuf> {
        let dir = self.file.parent().unwrap_or_default().under(project.root());
        let mut bases = if self.repo().is_some() { Vec::new() } else { vec![dir.clone()] };
        bases.extend(cwd.cloned());
        bases.extend([project.root().to_path_buf(), dir]);
        bases
    }

    /// Returns the options of the storage that it comes from.
    pub(super) fn fs_config(&self) -> BTreeMap<String, String> {
        let Some(Value::Table(table)) = self.dep.extra.get("fs_config") else {
            return BTreeMap::new();
        };
        let mut options: BTreeMap<String, String> = (table.iter())
            .filter_map(|(key, value)| Some((key.clone(), value.as_text()?.to_owned())))
            .collect();
        if self.is_version_aware() {
            options.insert("version_aware".to_owned(), "true".to_owned());
        }
        options
    }

    /// Returns the versions that are recorded of the source; `None` when not all of it has one.
    pub(super) fn pinned(&self) -> Option<Content> {
        let text = |fields: &Table, key: &str| fields.get(key)?.as_text().map(str::to_owned);
        let incoming = |key: RelPath, fields: &Table| {
            let version = Some(text(fields, "version_id")?);
            let size = match fields.get("size") {
                Some(Value::Int(size)) => u64::try_from(*size).ok(),
                _ => None,
            };
            let etag = text(fields, "etag");
            let stat = StorageStat { size, etag, version: version.clone(), ..Default::default() };
            Some(Incoming { key, version, stat })
        };
        let Some(rows) = self.dep.extra.get("files") else {
            return incoming(RelPath::root(), &self.dep.extra).map(Content::File);
        };
        let rows = rows.as_list()?.iter().map(|row| {
            let Value::Table(fields) = row else { return None };
            incoming(RelPath::new(&text(fields, "relpath")?).ok()?, fields)
        });
        rows.collect::<Option<Vec<_>>>().map(Content::Dir)
    }

    fn is_version_aware(&self) -> bool {
        self.dep.extra.contains_key("version_id")
            || (self.dep.extra.get("fs_config"))
                .and_then(|config| config.child("version_aware"))
                .is_some_and(|truth| *truth == Value::Bool(true))
    }

    /// Returns where it comes from, for people.
    pub(super) fn source(&self, project: &Project) -> String {
        match self.repo() {
            Some(repo) => format!("{} ({})", self.dep.path, shown_url(&repo.url)),
            None if is_url(&self.dep.path) => shown_url(&self.dep.path),
            None => {
                let dir = self.file.parent().unwrap_or_default().under(project.root());
                let full = crate::data::normal(&dir.join(&self.dep.path));
                match full.strip_prefix(project.root()) {
                    Ok(inside) => inside.display().to_string(),
                    Err(_) => full.display().to_string(),
                }
            }
        }
    }
}

/// What an import becomes.
struct Renewed {
    dep: LockEntry,
    /// `None` for what is not known until the next pull.
    artifact: Option<Artifact>,
    to_workspace: bool,
    odd: Vec<Odd>,
}

impl Project {
    /// Brings imports up to date, one after the other; `say` hears of each before it is fetched.
    ///
    /// What is up to date, and is in the workspace as it is recorded, is left alone. All of it is one operation, which
    /// can be taken back; on failure the imports that were done before stay done.
    ///
    /// # Errors
    ///
    /// When a source is not reached, or has no such revision or path any more. Before anything is done, when something is
    /// asked for that data of this project cannot do.
    pub fn update(
        &self,
        ctx: &Ctx<'_>,
        request: &UpdateRequest,
        say: &mut dyn FnMut(&UpdateStep),
    ) -> Result<Vec<UpdateStep>, Error> {
        recover::recover(self, ctx)?;
        let _hold = Hold::brief(ctx, self)?;
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let mut files: Vec<RelPath> = Vec::new();
        for picked in pick(&view, &request.scope)? {
            let stage = &view.stages[picked.stage];
            if stage.is_data_source() && !files.contains(&stage.id.file) {
                if let (true, Some(asked)) = (stage.deps.is_empty(), request.of_imports_only()) {
                    let file = stage.id.file.clone();
                    return Err(ImportError::OfImportsOnly { file, asked }.into());
                }
                files.push(stage.id.file.clone());
            }
        }
        let subject: Vec<&str> = files.iter().map(RelPath::as_str).collect();
        let mut changes =
            Changes::begin(self, OperationKind::Data, &format!("update {}", subject.join(" ")));
        let mut steps = Vec::new();
        for file in &files {
            match self.update_one(ctx, &mut changes, (file, request), say) {
                Ok(step) => steps.push(step),
                Err(error) => {
                    changes.finish(ctx)?;
                    return Err(error);
                }
            }
        }
        changes.finish(ctx)?;
        Ok(steps)
    }

    fn update_one(
        &self,
        ctx: &Ctx<'_>,
        changes: &mut Changes,
        (file, request): (&RelPath, &UpdateRequest),
        say: &mut dyn FnMut(&UpdateStep),
    ) -> Result<UpdateStep, Error> {
        let mut step = UpdateStep {
            file: file.clone(),
            path: RelPath::root(),
            source: String::new(),
            effect: UpdateEffect::NoImport,
            odd: Vec::new(),
        };
        let Some(import) = Import::read(self, file)? else {
            let name = file.as_str().strip_suffix(".dvc").unwrap_or(file.as_str());
            step.path = RelPath::new(name)?;
            name.clone_into(&mut step.source);
            step.effect = self.update_from_remote(ctx, changes, (file, request))?;
            say(&step);
            return Ok(step);
        };
        step.path = import.path.clone();
        step.source = import.source(self);
        let is_intact = self.is_intact(ctx, &import)?;
        let mut heard = |effect| {
            step.effect = effect;
            say(&step);
        };
        let renewed = match import.repo() {
            Some(repo) => self.renew_repo(ctx, (&import, repo, is_intact), request, &mut heard)?,
            None => self.renew_url(ctx, (&import, is_intact), request, &mut heard)?,
        };
        let Some(renewed) = renewed else { return Ok(step) };
        if let (Some(artifact), true) = (&renewed.artifact, renewed.to_workspace) {
            place(self, ctx, changes, (&import.path, artifact))?;
        }
        let mut out = LockEntry::new(import.out.path.clone(), renewed.artifact);
        if renewed.artifact.is_none() {
            out.extra.insert("hash".to_owned(), plain_hash());
        }
        let lock = StageLock { deps: vec![renewed.dep], outs: vec![out], ..StageLock::empty() };
        let wrong = |source| Error::Recorded { file: file.clone(), source };
        let text = DvcFile::update(Some(&import.text), &lock).map_err(wrong)?;
        if text != import.text {
            changes.write(ctx, file, text.as_bytes())?;
        }
        step.odd = renewed.odd;
        Ok(step)
    }

    fn renew_repo(
        &self,
        ctx: &Ctx<'_>,
        (import, mut repo, is_intact): (&Import, RepoRequest, bool),
        request: &UpdateRequest,
        heard: &mut dyn FnMut(UpdateEffect),
    ) -> Result<Option<Renewed>, Error> {
        if request.to_remote.is_some() {
            return Err(ImportError::RepositoryToRemote { file: import.file.clone() }.into());
        }
        if let Some(rev) = &request.rev {
            repo.rev = Some(rev.clone());
        }
        let path = RelPath::new(&import.dep.path)?;
        let bases = import.bases(self, Some(&request.cwd));
        let external = self.open_external(ctx, &repo, (&path, bases))?;
        let lock = external.commit.map(|commit| commit.to_string());
        let is_same = lock.as_deref() == import.lock();
        let mut dep = LockEntry::new(import.dep.path.clone(), None);
        dep.extra.insert("repo".to_owned(), repo_value(&repo, lock.as_deref()));
        let mut odd = Vec::new();
        let artifact = if is_same && is_intact {
            heard(UpdateEffect::Unchanged);
            if dep.extra == import.dep.extra {
                return Ok(None);
            }
            import.out.artifact
        } else if request.record_only {
            heard(UpdateEffect::Recorded);
            external.must_have(ctx, &path, repo.rev.as_deref())?;
            None
        } else {
            heard(UpdateEffect::Fetched);
            let jobs = request.jobs.unwrap_or(JOBS);
            let asked = (&path, repo.rev.as_deref());
            let brought = into_store(ctx, (self, &external), asked, jobs)?;
            odd = brought.odd;
            Some(brought.artifact)
        };
        let to_workspace = !(is_same && is_intact);
        Ok(Some(Renewed { dep, artifact, to_workspace, odd }))
    }

    fn renew_url(
        &self,
        ctx: &Ctx<'_>,
        (import, is_intact): (&Import, bool),
        request: &UpdateRequest,
        heard: &mut dyn FnMut(UpdateEffect),
    ) -> Result<Option<Renewed>, Error> {
        let fs_config = import.fs_config();
        let bases = import.bases(self, Some(&request.cwd));
        let place = open(self, &import.dep.path, &bases, &fs_config)?;
        let mut content = place.look(ctx)?;
        if import.is_version_aware() {
            super::plan::pin(&mut content);
        }
        let of_source = match place.kind {
            PlaceKind::Local | PlaceKind::Content => Some(digest_of(ctx, self, &place, &content)?),
            PlaceKind::Http | PlaceKind::Bucket => None,
        };
        let mut dep = dep_of(&place, &content, &import.dep.path, of_source.as_ref());
        if let Some(config) = import.dep.extra.get("fs_config") {
            dep.extra.insert("fs_config".to_owned(), config.clone());
        }
        if is_same_source(&dep, &import.dep) && is_intact && request.to_remote.is_none() {
            heard(UpdateEffect::Unchanged);
            return Ok(None);
        }
        let jobs = request.jobs.unwrap_or(JOBS);
        let (artifact, to_workspace) = if let Some(to) = &request.to_remote {
            heard(UpdateEffect::Recorded);
            (Some(send(ctx, (self, to), (&place, &content))?), false)
        } else if request.record_only {
            heard(UpdateEffect::Recorded);
            (None, false)
        } else {
            heard(UpdateEffect::Fetched);
            let taken = take(ctx, self, (&place, &content), jobs)?;
            (Some(Artifact { is_exec: false, ..taken }), true)
        };
        Ok(Some(Renewed { dep, artifact, to_workspace, odd: Vec::new() }))
    }

    /// Returns whether the workspace has what an import records.
    fn is_intact(&self, ctx: &Ctx<'_>, import: &Import) -> Result<bool, Error> {
        let Some(artifact) = import.out.artifact else { return Ok(false) };
        let full = import.path.under(self.root());
        let algorithm = artifact.id.digest.algorithm();
        let found = self.cache().digest_as(ctx, algorithm, &full, &NoFilter)?;
        Ok(found.is_some_and(|found| found.same_content(&artifact)))
    }

    /// Opens the data remote that imported data goes to directly.
    pub(super) fn remote_of_import(&self, name: Option<&str>) -> Result<Remote, Error> {
        Ok(self.data_remote(name)?.ok_or(ImportError::NoRemote)?.remote().clone())
    }
}

/// Returns whether two records say that a source is the same.
fn is_same_source(a: &LockEntry, b: &LockEntry) -> bool {
    let marks = |entry: &LockEntry| -> Table {
        let is_mark = |key: &str| matches!(key, "etag" | "checksum" | "version_id" | "files");
        let marks = entry.extra.iter().filter(|(key, _)| is_mark(key));
        marks.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    match (&a.artifact, &b.artifact) {
        (Some(a), Some(b)) => a.same_content(b),
        (None, None) => !marks(a).is_empty() && marks(a) == marks(b),
        _ => false,
    }
}
