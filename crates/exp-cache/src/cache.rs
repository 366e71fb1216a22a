//! The store's handle: what is in it, and reading it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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
use crate::mount::is_in_place;
use crate::session::{Session, Temp, enter};
use crate::stock::Stock;
use crate::tree::{LARGEST, Tree, TreeEntry, TreeError};
use crate::walk::{Stat, is_absence};

/// How a store names, links and remembers.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// What names new objects.
    pub algorithm: Algorithm,
    /// How files come into the workspace, in order of preference.
    pub links: Vec<LinkKind>,
    /// Permissions of what the store makes.
    pub modes: Modes,
    /// The project's directory. Where links on the way from it to a path lead out of it, nothing is written there.
    pub workspace: Option<PathBuf>,
    /// The file of the stat memo, which saves reading unchanged files again; made when first needed, disposable.
    pub memo: Option<PathBuf>,
    /// The file that says which file system the store was found on; made when first needed, disposable. A store that has
    /// nothing in it, on another one, is not written to: its disk is not mounted.
    pub place: Option<PathBuf>,
}

impl CacheOptions {
    /// Returns DVC's defaults: reflink or copy, umask 022; and no memo.
    pub fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            links: vec![LinkKind::Reflink, LinkKind::Copy],
            modes: Modes::default(),
            workspace: None,
            memo: None,
            place: None,
        }
    }
}

/// A content-addressed store. Clones share it; any number of threads and processes may use one at a time.
///
/// Objects appear under their name wholly or not at all, and only when they are on disk. They are read-only, and an
/// object with mode 0444 is trusted unless it shows that it was written since it got its name; any other mode makes the
/// next user digest it first.
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
    /// One with another mode than 0444, or written since, is digested first; one that cannot be read or is corrupt counts
    /// as missing.
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
                let stock = Stock::new(self);
                let holds = |entry: &TreeEntry| stock.holds(&ObjectId::file(entry.digest));
                Ok(tree.entries().par_iter().with_min_len(64).all(holds))
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
        let path = self.object_path(id);
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if size > LARGEST {
            return Err(CacheError::Manifest { id: *id, source: TreeError::TooLarge { size } });
        }
        parse_tree(id, &self.read_bytes(id)?)
    }

    /// Makes sure that an object is there and has its bytes.
    ///
    /// What is in the store is put there by a rename, which changes its directory after its last byte was written. An
    /// object that is younger than its directory was written in its place, whatever its mode says: through a link to it,
    /// by someone whom no mode stops.
    pub(crate) fn verify(&self, id: &ObjectId) -> Result<(), CacheError> {
        let path = self.object_path(id);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Err(err) if !is_absence(&err) => return Err(io_error("look at", &path)(err)),
            _ => return Err(CacheError::Missing { id: *id }),
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let looks = Stat::of(&metadata);
        let shard = self.0.layout.shard(id);
        let named_at = fs::metadata(&shard).map_or(0, |shard| Stat::of(&shard).mtime);
        let is_written = is_written_since(looks.mtime, named_at);
        if mode == OBJECT_MODE && !is_written && looks.size > 0 {
            return Ok(());
        }
        let found = digest_file(&Ctx::silent(), id.digest.algorithm(), &path)?;
        if found != id.digest {
            return Err(CacheError::Corrupt { id: *id, found });
        }
        if is_written {
            // As below.
            let _ = self.0.disk.set_mtime(&path, named_at, &looks);
        }
        // Who makes a link to an object executable does that to the object, and would lose the bit before it is looked at.
        let may_be_linked =
            metadata.nlink() > 1 || self.0.options.links.contains(&LinkKind::Symlink);
        if mode == OBJECT_MODE || (mode & !0o111 == OBJECT_MODE && may_be_linked) {
            return Ok(());
        }
        // Someone else's object, or a store that is read-only here: it is digested again next time.
        let _ = self.0.disk.set_mode(&path, OBJECT_MODE);
        Ok(())
    }

    /// Takes away the trust in an object that was found to be corrupt: whoever needs it next, DVC too, digests it and has
    /// it brought again. It stays read-only for those who have links to it.
    pub(crate) fn distrust(&self, id: &ObjectId) {
        // Someone else's object, or a store that is read-only here.
        let _ = self.0.disk.set_mode(&self.object_path(id), OBJECT_MODE & !0o004);
    }

    /// Takes part in the store: no collector runs until the returned file is dropped.
    pub(crate) fn enter(&self) -> Result<File, CacheError> {
        self.check_place()?;
        enter(&self.0.layout, &self.0.disk)
    }

    /// Refuses to make a store anew whose disk is not there.
    pub(crate) fn check_place(&self) -> Result<(), CacheError> {
        match &self.0.options.place {
            Some(note) if !is_in_place(self.root(), note) => {
                Err(CacheError::NotMounted { root: self.root().to_path_buf() })
            }
            _ => Ok(()),
        }
    }

    /// Takes part in the store as one who adds to it.
    pub(crate) fn enter_to_add(&self) -> Result<File, CacheError> {
        let entered = self.enter();
        let begun = entered.and_then(|writer| self.session().map(|_| writer));
        begun.map_err(|err| match err {
            CacheError::Io { source, .. } if is_refusal(&source) => {
                CacheError::ReadOnly { root: self.root().to_path_buf(), source }
            }
            err => err,
        })
    }

    /// Takes part in the store as one who relies on what is in it. From a store that cannot be written nothing is
    /// collected by us either; then there is nothing to hold, and no place for unfinished files.
    pub(crate) fn enter_to_read(&self) -> Result<Option<File>, CacheError> {
        match self.enter() {
            Err(CacheError::Io { source, .. }) if is_refusal(&source) => Ok(None),
            entered => entered.map(Some),
        }
    }

    /// The place for unfinished files, or `None` in a store that cannot be written.
    pub(crate) fn corner(&self) -> Result<Option<Arc<Session>>, CacheError> {
        match self.session() {
            Err(CacheError::Io { source, .. }) if is_refusal(&source) => Ok(None),
            session => session.map(Some),
        }
    }

    /// A path for an unfinished file in the same directory as `path`.
    pub(crate) fn temp_beside(&self, path: &Path) -> Result<Temp, CacheError> {
        Ok(match self.corner()? {
            Some(session) => session.temp_beside(path),
            None => Temp::without_session(path, &self.0.disk),
        })
    }

    /// The place for unfinished files, made when first needed.
    pub(crate) fn session(&self) -> Result<Arc<Session>, CacheError> {
        let mut session = self.0.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        self.check_place()?;
        let started = Arc::new(Session::start(&self.0.layout, &self.0.disk)?);
        *session = Some(Arc::clone(&started));
        Ok(started)
    }
}

/// Returns whether an object with this mtime was written after its directory got it. Where directories have no times
/// nobody knows.
pub(crate) fn is_written_since(mtime: i64, named_at: i64) -> bool {
    named_at != 0 && mtime > named_at
}

/// Returns whether it failed because we may not write there.
fn is_refusal(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
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
