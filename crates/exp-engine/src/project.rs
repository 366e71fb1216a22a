//! A project: the directory with `.dvc`, the Git repository around it, and the store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use exp_cache::{Cache, CacheOptions, LinkKind, Modes, OpenDirectories, OpenStorage};
use exp_core::{Algorithm, IgnoreRules, RelPath, Timestamp};
use exp_refs::{ExperimentStore, Git, GitEnv, TreePath};

use crate::config::{Config, ConfigFiles, LinkType, ProjectSettings};
use crate::error::Error;
use crate::files;
use crate::machine::Machine;
use crate::shell::ShellOptions;
use crate::source::{WorkspaceIgnore, WorkspaceSource};
use crate::sync::mount;

/// What a project is opened with. Everything that a library may not look up by itself comes in here.
#[derive(Debug, Clone)]
pub struct ProjectOptions {
    /// The environment for Git: identity, home, configuration.
    pub env: GitEnv,
    /// Where the configuration files of the user and the machine are.
    pub config: ConfigFiles,
    /// The file mode bits that new files do not get, as `umask` says; usually `0o022`.
    pub umask: u32,
    /// How commands of stages are run.
    pub shell: ShellOptions,
    /// Seconds east of UTC of the clock that new commits show.
    pub utc_offset: i32,
    /// Whether Git objects and refs are synced to disk before a command says that it is done.
    pub durable: bool,
    /// Whether what another process holds is waited for as long as it takes. Otherwise a run is not waited for and
    /// another command for some seconds.
    pub wait_for_lock: bool,
    /// What stages may claim of the machine.
    pub machine: Machine,
    /// Opens data remotes and the sources of imports; usually `exp_remote`. By default directories only.
    pub storages: Arc<dyn OpenStorage>,
}

impl Default for ProjectOptions {
    fn default() -> Self {
        Self {
            env: GitEnv::default(),
            config: ConfigFiles::default(),
            umask: 0o022,
            shell: ShellOptions::default(),
            utc_offset: 0,
            durable: true,
            wait_for_lock: false,
            machine: Machine::default(),
            storages: Arc::new(OpenDirectories),
        }
    }
}

/// A project, shared by its clones and usable from any thread. Two projects can be open at once.
///
/// Nothing is cached about the workspace: each call sees the files as they are then.
#[derive(Clone)]
pub struct Project(Arc<Inner>);

struct Inner {
    root: PathBuf,
    prefix: RelPath,
    git: Git,
    cache: Cache,
    config: Config,
    settings: ProjectSettings,
    options: ProjectOptions,
    ignore: Mutex<Option<Arc<IgnoreRules>>>,
}

impl Project {
    /// Opens the project that the absolute path `dir` lies in, going up until a `.dvc` directory is found.
    ///
    /// # Errors
    ///
    /// No project, no Git repository around it, or a configuration that cannot be read.
    pub fn discover(dir: &Path, options: ProjectOptions) -> Result<Self, Error> {
        let root = dir
            .ancestors()
            .find(|candidate| candidate.join(".dvc").is_dir())
            .ok_or_else(|| Error::NotInProject { dir: dir.to_path_buf() })?;
        Self::open(root, options)
    }

    /// Opens the project whose `.dvc` directory lies directly in the absolute path `root`.
    pub fn open(root: &Path, mut options: ProjectOptions) -> Result<Self, Error> {
        let git = exp_refs::OpenOptions { env: options.env.clone(), durable: options.durable }
            .discover(root)?;
        let dvc_dir = root.join(".dvc");
        options.config = options.config.in_project(&dvc_dir);
        let config = options.config.load()?;
        let settings = ProjectSettings::load(&dvc_dir)?;
        Self::assemble(root, git, config, settings, options)
    }

    /// Opens a private work tree of this project: its files and its Git directory are at `root`, store and settings are
    /// shared.
    pub(crate) fn at_work_tree(&self, root: &Path) -> Result<Self, Error> {
        let options = self.0.options.clone();
        let git = exp_refs::OpenOptions { env: options.env.clone(), durable: options.durable }
            .discover(root)?;
        let root = self.0.prefix.under(root);
        let prefix = self.0.prefix.clone();
        let inner = Inner {
            root,
            prefix,
            git,
            cache: self.0.cache.clone(),
            config: self.0.config.clone(),
            settings: self.0.settings.clone(),
            options,
            ignore: Mutex::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    fn assemble(
        root: &Path,
        git: Git,
        config: Config,
        settings: ProjectSettings,
        options: ProjectOptions,
    ) -> Result<Self, Error> {
        let top = git.root().to_path_buf();
        let real = root.canonicalize().map_err(files::FileError::at("open", root))?;
        let real_top = top.canonicalize().map_err(files::FileError::at("open", &top))?;
        let prefix = real
            .strip_prefix(&real_top)
            .ok()
            .and_then(|prefix| RelPath::from_path(prefix).ok())
            .ok_or_else(|| Error::NotInProject { dir: root.to_path_buf() })?;
        let cache_dir =
            config.cache_dir().map_or_else(|| root.join(".dvc/cache"), Path::to_path_buf);
        let links = (config.cache_types().iter())
            .map(|link| match link {
                LinkType::Reflink => LinkKind::Reflink,
                LinkType::Hardlink => LinkKind::Hardlink,
                LinkType::Symlink => LinkKind::Symlink,
                LinkType::Copy => LinkKind::Copy,
            })
            .collect();
        let cache = Cache::open(
            &cache_dir,
            CacheOptions {
                algorithm: settings.hash,
                links,
                modes: Modes { umask: options.umask, group_shared: config.cache_shared() },
                workspace: Some(root.to_path_buf()),
                memo: Some(root.join(".dvc/tmp/exp/memo.db")),
                // One inside is where the project is, wherever that is taken.
                place: (config.cache_dir()).map(|dir| {
                    mount::note(&root.join(".dvc/tmp/exp/stores"), &dir.to_string_lossy())
                }),
            },
        )?;
        let root = root.to_path_buf();
        let ignore = Mutex::default();
        Ok(Self(Arc::new(Inner { root, prefix, git, cache, config, settings, options, ignore })))
    }

    /// Returns the directory that holds `.dvc`, absolute.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Returns where the project lies in the Git repository; the root path when it is at its top.
    pub fn prefix(&self) -> &RelPath {
        &self.0.prefix
    }

    /// Returns the Git repository around the project.
    pub fn git(&self) -> &Git {
        &self.0.git
    }

    /// Returns the experiments of the repository.
    pub fn experiments(&self) -> ExperimentStore {
        ExperimentStore::new(self.0.git.clone())
    }

    /// Returns the store.
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// Returns the configuration as it was when the project was opened.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Returns the algorithm that new content is addressed by.
    pub fn algorithm(&self) -> Algorithm {
        self.0.settings.hash
    }

    /// Returns what the project was opened with.
    pub fn options(&self) -> &ProjectOptions {
        &self.0.options
    }

    /// Returns the directory of everything that may be deleted at any time; it need not exist.
    pub fn scratch(&self) -> PathBuf {
        self.0.root.join(".dvc/tmp/exp")
    }

    /// Returns the path that Git knows a path of the project by.
    pub fn git_path(&self, path: &RelPath) -> Result<TreePath, Error> {
        let path = self.0.prefix.join(path.as_str())?;
        Ok(TreePath::new(path.as_str())?)
    }

    /// Returns the path below the project's root of a path that Git lists; `None` when it lies outside or is not UTF-8.
    pub fn from_git_path(&self, path: &TreePath) -> Option<RelPath> {
        let path = path.to_rel()?;
        path.strip_prefix(&self.0.prefix).and_then(|below| RelPath::new(below).ok())
    }

    /// Returns where `dir`, an absolute path, lies below the root; the root when it lies elsewhere.
    pub fn relative(&self, dir: &Path) -> RelPath {
        let real = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
        let root = self.0.root.canonicalize().unwrap_or_else(|_| self.0.root.clone());
        (real.strip_prefix(&root).ok())
            .and_then(|below| RelPath::from_path(below).ok())
            .unwrap_or_else(RelPath::root)
    }

    /// Returns the files of the workspace. The rules of `.dvcignore` are read anew.
    pub fn workspace(&self) -> WorkspaceSource {
        let git = Some(self.0.git.clone());
        let rules = self.read_ignore();
        *self.0.ignore.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&rules));
        WorkspaceSource::new(&self.0.root, self.0.prefix.clone(), git, rules)
            .with_arguments(self.config().argument_style())
    }

    /// Returns the rules of the `.dvcignore` files, those of the last look at the workspace. A file is read when the
    /// first question about its directory comes.
    pub fn ignore(&self) -> Arc<IgnoreRules> {
        let mut ignore = self.0.ignore.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(ignore.get_or_insert_with(|| self.read_ignore()))
    }

    fn read_ignore(&self) -> Arc<IgnoreRules> {
        Arc::new(IgnoreRules::reading(WorkspaceIgnore { root: self.0.root.clone() }))
    }

    /// Returns the moment, on the clock that new commits show.
    pub fn now(&self) -> Timestamp {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Timestamp {
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            offset: self.0.options.utc_offset,
        }
    }
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project").field("root", &self.0.root).finish_non_exhaustive()
    }
}
