//! The store's handle: what is in it, and reading it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId};
use rayon::prelude::*;

use crate::content::digest_file;
use crate::disk::{Disk, Modes, OBJECT_MODE};
use crate::error::{CacheError, io_error};
use crate::layout::Layout;
use crate::link::{LinkKind, Verdicts};
use crate::memo::Memo;
use crate::session::Session;
use crate::tree::Tree;
use crate::walk::is_absence;

/// How a store names, links and remembers.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// What names new objects.
    pub algorithm: Algorithm,
    /// How files come into the workspace, in order of preference.
    pub links: Vec<LinkKind>,
    /// Permissions of what the store makes.
    pub modes: Modes,
    /// The file of the stat memo, which saves reading unchanged files again; made when first needed, disposable.
    pub memo: Option<PathBuf>,
}

impl CacheOptions {
    /// Returns DVC's defaults: reflink or copy, umask 022; and no memo.
    pub fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            links: vec![LinkKind::Reflink, LinkKind::Copy],
            modes: Modes::default(),
            memo: None,
        }
    }
}

/// A content-addressed store. Clones share it; any number of threads and processes may use one at a time.
///
/// Objects appear under their name wholly or not at all, and only when they are on disk. They are read-only, and an
/// object with mode 0444 is trusted; any other mode makes the next user digest it first.
#[derive(Debug, Clone)]
pub struct Cache(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) options: CacheOptions,
    pub(crate) disk: Disk,
    pub(crate) memo: Memo,
    pub(crate) verdicts: Verdicts,
    /// Set once a file could not be renamed from the store into the workspace although both say that they are on one
    /// device, as with bind mounts.
    pub(crate) is_apart: AtomicBool,
    session: Mutex<Option<Arc<Session>>>,
}

impl Cache {
    /// Opens the store at `root`, an absolute path, usually `.dvc/cache`. Touches nothing until something is added.
    ///
    /// # Errors
    ///
    /// When new objects cannot be named by the algorithm.
    pub fn open(root: &Path, options: CacheOptions) -> Result<Self, CacheError> {
        let disk = Disk::new(options.modes);
        Self::open_on(root, options, disk)
    }

    /// Opens a store whose writes fail as `faults` says.
    ///
    /// # Errors
    ///
    /// As [`Cache::open`].
    #[cfg(feature = "testing")]
    pub fn open_with_faults(
        root: &Path,
        options: CacheOptions,
        faults: Arc<crate::testing::Faults>,
    ) -> Result<Self, CacheError> {
        let disk = Disk { modes: options.modes, faults: Some(faults) };
        Self::open_on(root, options, disk)
    }

    fn open_on(root: &Path, options: CacheOptions, disk: Disk) -> Result<Self, CacheError> {
        if options.algorithm == Algorithm::Md5Dos2Unix {
            return Err(CacheError::ReadOnlyAlgorithm { algorithm: options.algorithm });
        }
        Ok(Self(Arc::new(Inner {
            layout: Layout::new(root),
            memo: Memo::new(options.memo.as_deref()),
            options,
            disk,
            verdicts: Verdicts::default(),
            is_apart: AtomicBool::new(false),
            session: Mutex::new(None),
        })))
    }

    /// Returns where the store is.
    pub fn root(&self) -> &Path {
        self.0.layout.root()
    }

    /// Returns what names new objects.
    pub fn algorithm(&self) -> Algorithm {
        self.0.options.algorithm
    }

    /// Returns where the object `id` is, or would be.
    pub fn object_path(&self, id: &ObjectId) -> PathBuf {
        self.0.layout.object(id)
    }

    /// Returns whether the object is there and can be trusted.
    ///
    /// One with another mode than 0444 is digested first; one that cannot be read or is corrupt counts as missing.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.verify(id).is_ok()
    }

    /// Returns whether everything is there that a checkout of `artifact` needs: of a directory, every file.
    ///
    /// # Errors
    ///
    /// When a manifest is there but cannot be used.
    pub fn has_all(&self, artifact: &Artifact) -> Result<bool, CacheError> {
        if !artifact.id.is_tree() {
            return Ok(self.contains(&artifact.id));
        }
        match self.read_tree(&artifact.id) {
            Ok(tree) => {
                Ok(tree.entries().par_iter().all(|e| self.contains(&ObjectId::file(e.digest))))
            }
            Err(CacheError::Missing { .. }) => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// Opens an object for reading.
    ///
    /// # Errors
    ///
    /// When it is missing, corrupt or unreadable.
    pub fn read(&self, id: &ObjectId) -> Result<File, CacheError> {
        self.verify(id)?;
        let path = self.object_path(id);
        File::open(&path).map_err(io_error("open", &path))
    }

    /// Reads an object into memory.
    ///
    /// # Errors
    ///
    /// As [`Cache::read`].
    pub fn read_bytes(&self, id: &ObjectId) -> Result<Vec<u8>, CacheError> {
        let mut bytes = Vec::new();
        let path = self.object_path(id);
        self.read(id)?.read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        Ok(bytes)
    }

    /// Reads a directory's manifest. Its bytes are digested in any case: they decide where files go.
    ///
    /// # Errors
    ///
    /// When it is missing, corrupt, or would lead outside the directory.
    pub fn read_tree(&self, id: &ObjectId) -> Result<Tree, CacheError> {
        parse_tree(id, &self.read_bytes(id)?)
    }

    /// Makes sure that an object is there and has its bytes.
    fn verify(&self, id: &ObjectId) -> Result<(), CacheError> {
        let path = self.object_path(id);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Err(err) if !is_absence(&err) => return Err(io_error("look at", &path)(err)),
            _ => return Err(CacheError::Missing { id: *id }),
        };
        if metadata.permissions().mode() & 0o7777 == OBJECT_MODE {
            return Ok(());
        }
        let found = digest_file(&Ctx::silent(), id.digest.algorithm(), &path)?;
        if found != id.digest {
            return Err(CacheError::Corrupt { id: *id, found });
        }
        // Someone else's object, or a store that is read-only here: it is digested again next time.
        let _ = self.0.disk.set_mode(&path, OBJECT_MODE);
        Ok(())
    }

    /// The place for unfinished files, made when first needed.
    pub(crate) fn session(&self) -> Result<Arc<Session>, CacheError> {
        let mut session = self.0.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let started = Arc::new(Session::start(&self.0.layout, &self.0.disk)?);
        *session = Some(Arc::clone(&started));
        Ok(started)
    }
}

/// Parses the bytes of the manifest `id`, which must be its.
pub(crate) fn parse_tree(id: &ObjectId, bytes: &[u8]) -> Result<Tree, CacheError> {
    let algorithm = id.digest.algorithm();
    let found = Digest::of(algorithm, bytes);
    if found != id.digest {
        return Err(CacheError::Corrupt { id: *id, found });
    }
    Tree::parse(algorithm, bytes).map_err(|source| CacheError::Manifest { id: *id, source })
}
