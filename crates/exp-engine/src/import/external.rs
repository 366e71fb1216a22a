//! Somebody else's repository, opened at a revision: its files, the data that it tracks, and where that data is.
//!
//! Who wrote the other repository is a stranger. Of its configuration only the remotes count, and of those neither
//! options that name files or commands of ours, nor directories relative to a clone. Data is taken by digest only, so
//! that a remote cannot be made to hand out something else; names that would leave the place where they go to, or that
//! would become part of a Git directory, are refused.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use exp_cache::{Cache, Modes, Remote, StorageAddress, Tree};
use exp_core::{Algorithm, Artifact, Ctx, Digest, IgnoreRules, ObjectId, RelPath};
use exp_refs::{CommitId, EntryKind, Git, Mirror, OpenOptions};

use super::corner::Corner;
use super::error::ImportError;
use super::files::{Files, Kind, Seen};
use crate::config::{Config, ConfigError, ConfigFiles, ConfigText, shown_url};
use crate::error::Error;
use crate::files::FileError;
use crate::project::ProjectOptions;
use crate::view::{Broken, View};

/// Somebody else's repository, and how its data is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepoRequest {
    /// A Git URL, or the path of a directory.
    pub url: String,
    /// Which revision; without, what a person would see there: the files of a directory, the default branch of a clone.
    pub rev: Option<String>,
    /// A configuration file that is laid over the repository's, absolute.
    pub config: Option<PathBuf>,
    /// The data remote that counts as its default one.
    pub remote: Option<String>,
    /// Options of that remote, over its own.
    pub remote_config: BTreeMap<String, String>,
}

/// What a repository is opened with.
pub(super) struct Opening<'o> {
    pub(super) options: &'o ProjectOptions,
    /// Where copies of repositories are kept; without, in a temporary directory.
    pub(super) scratch: Option<PathBuf>,
    /// The store in which objects may be already.
    pub(super) store: Option<Cache>,
    /// What a relative path may be relative to, absolute; the first where something is counts.
    pub(super) bases: Vec<PathBuf>,
    /// Whether only what is committed counts.
    pub(super) committed: bool,
}

/// The URL of a remote and its options.
type Address = (String, BTreeMap<String, String>);

/// An output of the other repository.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) path: RelPath,
    pub(super) artifact: Artifact,
    pub(super) remote: Option<String>,
}

/// Somebody else's repository at a revision.
pub(super) struct External<'o> {
    options: &'o ProjectOptions,
    request: RepoRequest,
    /// The address for people.
    pub(super) label: String,
    pub(super) files: Files,
    pub(super) commit: Option<CommitId>,
    /// The directory that it is, when it is no clone.
    base: Option<PathBuf>,
    /// The project in it that was asked about.
    prefix: RelPath,
    pub(super) outs: Vec<Tracked>,
    pub(super) ignore: Arc<IgnoreRules>,
    store: Option<Cache>,
    trees: RefCell<BTreeMap<ObjectId, Rc<Tree>>>,
    /// Goes with the copy that it holds.
    _temporary: Option<Corner>,
}

impl<'o> External<'o> {
    /// Opens a repository, and in it the project that `path` belongs to. A repository without one has files only.
    ///
    /// # Errors
    ///
    /// When it is not reached, has no such revision, or the project in it cannot be read.
    pub(super) fn open(
        ctx: &Ctx<'_>,
        opening: Opening<'o>,
        request: &RepoRequest,
        path: &RelPath,
    ) -> Result<Self, Error> {
        let mut one = Self::reach(ctx, opening, request)?;
        one.prefix = one.project_of(path)?;
        let mut rules = IgnoreRules::new();
        let bytes = one.files.read(&one.prefix.join(".dvcignore")?)?;
        rules.add_file(&one.prefix, &String::from_utf8_lossy(&bytes));
        one.ignore = Arc::new(rules);
        if one.files.look(&one.prefix.join(".dvc")?)?.is_some_and(|seen| seen.kind == Kind::Dir) {
            one.read_outs()?;
        }
        Ok(one)
    }

    fn reach(ctx: &Ctx<'_>, opening: Opening<'o>, request: &RepoRequest) -> Result<Self, Error> {
        let Opening { options, scratch, store, bases, committed } = opening;
        if let Some(config) = &request.config {
            std::fs::File::open(config).map_err(FileError::at("open", config))?;
        }
        let label = shown_url(&request.url);
        let local = if is_url(&request.url) { None } else { local(&request.url, &bases) };
        let (files, commit, base, temporary) = if let Some(dir) = local {
            let (top, git) = around(&dir, options)?;
            if committed || request.rev.is_some() {
                let git = git.ok_or_else(|| ImportError::NoRepository { url: label.clone() })?;
                let revision = request.rev.as_deref().unwrap_or("HEAD");
                let commit = resolve(&git, revision)?;
                let inside = inside(&git, &top);
                (at_commit(&git, commit, &inside)?, Some(commit), Some(top), None)
            } else {
                let git = git.filter(|git| git.root() == top);
                (Files::Disk { root: top.clone(), git }, None, Some(top), None)
            }
        } else {
            if !is_url(&request.url) {
                return Err(ImportError::NoRepository { url: label }.into());
            }
            let temporary = match &scratch {
                Some(_) => None,
                None => Some(Corner::temporary(options)?),
            };
            let home = scratch.or_else(|| Some(temporary.as_ref()?.path().to_path_buf()));
            let name = Digest::of(Algorithm::Md5, request.url.as_bytes()).to_hex();
            let dir = home.unwrap_or_default().join(name);
            let mut mirror = Mirror::open(ctx, &dir, (&request.url, &label), &options.env)
                .map_err(ImportError::from)?;
            let commit = mirror.resolve(ctx, request.rev.as_deref()).map_err(ImportError::from)?;
            (at_commit(mirror.git(), commit, &RelPath::root())?, Some(commit), None, temporary)
        };
        Ok(Self {
            options,
            request: request.clone(),
            label,
            files,
            commit,
            base,
            prefix: RelPath::root(),
            outs: Vec::new(),
            ignore: Arc::new(IgnoreRules::new()),
            store,
            trees: RefCell::default(),
            _temporary: temporary,
        })
    }

    /// Returns the directory of the innermost project that `path` lies in; the root when there is none.
    fn project_of(&self, path: &RelPath) -> Result<RelPath, Error> {
        let mut dir = Some(path.clone());
        while let Some(at) = dir {
            let seen = self.files.look(&at.join(".dvc")?)?;
            if seen.is_some_and(|seen| seen.kind == Kind::Dir) {
                return Ok(at);
            }
            dir = at.parent();
        }
        Ok(RelPath::root())
    }

    fn read_outs(&mut self) -> Result<(), Error> {
        let source = self.files.source(&self.prefix, Arc::clone(&self.ignore));
        let root = self.base.clone().unwrap_or_else(|| PathBuf::from("/"));
        let view = View::load(&*source, &self.prefix.under(&root), Broken::Fail)?;
        for stage in view.stages.iter() {
            let Some(lock) = view.recorded(&stage.id) else { continue };
            for out in stage.outs.iter().filter(|out| out.cache) {
                let (Some(path), Some(artifact)) = (
                    out.location.workspace(),
                    lock.out(&out.path).and_then(|entry| entry.artifact),
                ) else {
                    continue;
                };
                let path = self.prefix.join(path.as_str())?;
                check_safe(&path)?;
                self.outs.push(Tracked { path, artifact, remote: out.remote.clone() });
            }
        }
        Ok(())
    }

    /// Returns the output that `path` is or lies in.
    pub(super) fn out_of(&self, path: &RelPath) -> Option<&Tracked> {
        self.outs.iter().find(|out| path.starts_with(&out.path))
    }

    /// Returns the files of a directory that the other repository tracks.
    ///
    /// # Errors
    ///
    /// When its manifest is nowhere, or names files that must not be written.
    pub(super) fn tree(&self, ctx: &Ctx<'_>, out: &Tracked) -> Result<Rc<Tree>, Error> {
        let id = out.artifact.id;
        if let Some(tree) = self.trees.borrow().get(&id) {
            return Ok(Rc::clone(tree));
        }
        let known = self.store.as_ref().and_then(|store| store.read_tree(&id).ok());
        let tree = match known {
            Some(tree) => tree,
            None => self.receive_tree(ctx, out)?,
        };
        for entry in tree.entries() {
            check_safe(&RelPath::new(&entry.path)?)?;
        }
        let tree = Rc::new(tree);
        self.trees.borrow_mut().insert(id, Rc::clone(&tree));
        Ok(tree)
    }

    fn receive_tree(&self, ctx: &Ctx<'_>, out: &Tracked) -> Result<Tree, Error> {
        let id = out.artifact.id;
        let mut file = Corner::temporary(self.options)?.spool()?;
        self.receive_object(ctx, (&id, out.remote.as_deref()), &out.path, &mut file)?;
        let mut bytes = Vec::new();
        std::io::Seek::rewind(&mut file)
            .and_then(|()| std::io::Read::read_to_end(&mut file, &mut bytes))
            .map_err(FileError::at("read", Path::new(out.path.as_str())))?;
        let parsed = Tree::parse(id.digest.algorithm(), &bytes);
        Ok(parsed.map_err(|source| exp_cache::CacheError::Manifest { id, source })?)
    }

    /// Writes an object to the empty file `into`, from the first place that has it, and returns its size.
    ///
    /// # Errors
    ///
    /// When no place has it. `path` is what it is for.
    pub(super) fn receive_object(
        &self,
        ctx: &Ctx<'_>,
        (id, remote): (&ObjectId, Option<&str>),
        path: &RelPath,
        into: &mut fs::File,
    ) -> Result<u64, Error> {
        super::receive_from(ctx, &self.remotes(remote)?, (id, &self.label, path), into)
    }

    /// Returns the places where the data of an output may be, which names its remote or none: the repository's own store
    /// when it is a directory, then a remote.
    ///
    /// # Errors
    ///
    /// When the remote's address or options cannot be used.
    pub(super) fn remotes(&self, named: Option<&str>) -> Result<Vec<Remote>, Error> {
        let config = self.config()?;
        let modes = Modes { umask: self.options.umask, group_shared: false };
        let mut remotes = Vec::new();
        if let Some(base) = &self.base {
            let own = self.prefix.under(base).join(".dvc/cache");
            let dir = config.cache_dir().map_or(own, Path::to_path_buf);
            let url = dir.to_string_lossy().into_owned();
            let address = StorageAddress { url, options: BTreeMap::new(), modes };
            let storage = exp_cache::OpenStorage::open(&exp_cache::OpenDirectories, &address);
            remotes.push(Remote::new(storage.map_err(ImportError::from)?));
        }
        if let Some((url, options)) = self.remote_address(&config, named)? {
            let address = StorageAddress { url, options, modes };
            let storage = self.options.storages.open(&address).map_err(ImportError::from)?;
            remotes.push(Remote::new(storage));
        }
        Ok(remotes)
    }

    /// Returns the places of an object for people, in the order in which they are asked.
    pub(super) fn labels(&self, named: Option<&str>) -> Result<Vec<String>, Error> {
        Ok(self.remotes(named)?.iter().map(|remote| remote.label().to_owned()).collect())
    }

    fn remote_address(
        &self,
        config: &Config,
        named: Option<&str>,
    ) -> Result<Option<Address>, Error> {
        let over = &self.request.remote_config;
        let default = self.request.remote.clone().or_else(|| config.default_remote());
        let name = named.map(str::to_owned).or(default);
        let (url, mut options) = match &name {
            None => (None, BTreeMap::new()),
            Some(name) => match config.remote(name) {
                Ok(remote) => {
                    let mut options = remote.exposed();
                    if self.base.is_none() {
                        options.retain(|key, _| !is_ours(key));
                    }
                    (Some(remote.url), options)
                }
                Err(ConfigError::RemoteNotFound { .. }) if over.contains_key("url") => {
                    (None, BTreeMap::new())
                }
                Err(error) => return Err(error.into()),
            },
        };
        options.extend(over.iter().map(|(key, value)| (key.clone(), value.clone())));
        let Some(url) = over.get("url").cloned().or(url) else { return Ok(None) };
        options.insert("url".to_owned(), url.clone());
        Ok(Some((url, options)))
    }

    /// Returns the configuration of the project that was asked about. A directory's is that of its files; a clone's is
    /// the committed one, in which a directory relative to nothing is no remote.
    fn config(&self) -> Result<Config, Error> {
        let mut sources = ConfigFiles {
            system: self.options.config.system.clone(),
            global: self.options.config.global.clone(),
            home: self.options.config.home.clone(),
            ..ConfigFiles::default()
        };
        if let Some(base) = &self.base {
            sources = sources.in_project(&self.prefix.under(base).join(".dvc"));
        } else {
            // A place that is nowhere; what would be relative to it is taken out below.
            sources.project = Some(PathBuf::from("/.dvc/config"));
        }
        if let Some(config) = &self.request.config {
            sources.local = Some(config.clone());
        }
        if self.base.is_some() && self.commit.is_none() {
            return Ok(sources.load()?);
        }
        let file = self.prefix.join(".dvc/config")?;
        if let Some(base) = &self.base
            && file.under(base).is_file()
        {
            return Ok(sources.load()?);
        }
        let bytes = self.files.read(&file)?;
        if self.base.is_none() {
            self.refuse_relative(&bytes)?;
        }
        Ok(sources.load_with_project(Some(&bytes))?)
    }

    /// Refuses remotes of a clone that are directories relative to it, or to a home directory: they mean something only
    /// to who wrote them.
    fn refuse_relative(&self, bytes: &[u8]) -> Result<(), Error> {
        let Ok(text) = ConfigText::parse(&String::from_utf8_lossy(bytes)) else { return Ok(()) };
        for (key, value) in text.options() {
            let Some(value) = value.as_text() else { continue };
            let is_remote = key.section.group == "remote" && key.option == "url";
            if is_remote && !value.contains("://") && !value.starts_with('/') {
                let name = key.section.name.clone().unwrap_or_default();
                if self.request.remote_config.contains_key("url") {
                    continue;
                }
                let repo = self.label.clone();
                return Err(
                    ImportError::ForeignDirectory { repo, name, dir: value.to_owned() }.into()
                );
            }
        }
        Ok(())
    }

    /// Returns whether a path of the repository is hidden: ignored, of Git or DVC itself, or another project.
    pub(super) fn is_hidden(&self, path: &RelPath, seen: &Seen) -> Result<bool, Error> {
        let is_dir = seen.kind == Kind::Dir;
        let name = path.file_name().unwrap_or_default();
        if is_dir && (name == ".dvc" || name == ".git") {
            return Ok(true);
        }
        if self.ignore.is_ignored(path, is_dir).is_some() {
            return Ok(true);
        }
        // Other projects are looked at by themselves.
        Ok(is_dir
            && !self.prefix.starts_with(path)
            && self.files.look(&path.join(".dvc")?)?.is_some_and(|seen| seen.kind == Kind::Dir))
    }
}

impl std::fmt::Debug for External<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("External").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Returns whether an option of a stranger's remote would make us use files or commands of ours.
fn is_ours(option: &str) -> bool {
    ["command", "path", "file"].iter().any(|part| option.contains(part))
}

/// Refuses a path of which a part would be the directory of a repository where it is written.
pub(super) fn check_safe(path: &RelPath) -> Result<(), ImportError> {
    if path.in_repository() { Err(ImportError::Unsafe { path: path.clone() }) } else { Ok(()) }
}

/// Returns whether text is the address of a repository elsewhere: it has a scheme, or is `host:path`.
pub(super) fn is_url(text: &str) -> bool {
    if text.contains("://") {
        return true;
    }
    match text.split_once(':') {
        Some((host, _)) => !host.is_empty() && !host.contains('/'),
        None => false,
    }
}

fn local(url: &str, bases: &[PathBuf]) -> Option<PathBuf> {
    bases.iter().map(|base| base.join(url)).find(|path| path.is_dir())?.canonicalize().ok()
}

/// Returns the top of the project or the repository that a directory lies in, the directory itself when it lies in none,
/// and the repository.
fn around(dir: &Path, options: &ProjectOptions) -> Result<(PathBuf, Option<Git>), Error> {
    let open = OpenOptions { env: options.env.clone(), durable: false };
    let git = match open.open(dir) {
        Ok(git) => Some(git),
        Err(exp_refs::OpenError::NotARepository { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(project) = dir.ancestors().find(|dir| dir.join(".dvc").is_dir()) {
        return Ok((project.to_path_buf(), git));
    }
    let top = match &git {
        Some(git) if dir.starts_with(git.root()) => git.root().to_path_buf(),
        _ => dir.to_path_buf(),
    };
    Ok((top, git))
}

/// Returns where a directory lies in the work tree of a repository.
fn inside(git: &Git, dir: &Path) -> RelPath {
    let below = dir.strip_prefix(git.root()).ok();
    below.and_then(|below| RelPath::from_path(below).ok()).unwrap_or_default()
}

fn resolve(git: &Git, revision: &str) -> Result<CommitId, Error> {
    match git.resolve(revision) {
        Ok(commit) => Ok(commit),
        Err(unknown) => match exp_refs::ExperimentStore::new(git.clone()).find(revision) {
            Ok(found) => Ok(found.commit),
            Err(_) => Err(unknown.into()),
        },
    }
}

fn at_commit(git: &Git, commit: CommitId, inside: &RelPath) -> Result<Files, Error> {
    let reader = git.reader();
    let top = reader.tree_of(commit)?.id();
    let tree = match reader.tree(top).entry(inside.as_str().as_bytes())? {
        Some(EntryKind::Tree(tree)) => tree,
        _ => git.empty_tree(),
    };
    Ok(Files::Commit { reader: Box::new(reader), tree })
}

/// Returns whether something lies at an absolute path, a broken link too.
pub(super) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
