//! Other places that hold objects.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use exp_core::ObjectId;
use rayon::prelude::*;

use crate::disk::{Disk, Modes, OBJECT_MODE};
use crate::error::CacheError;
use crate::layout::Layout;
use crate::runs::{RunId, list_runs};
use crate::walk::is_absence;

/// Another place that holds objects and recorded runs, in DVC's layout.
///
/// Called by [`push`](crate::push) and [`pull`](crate::pull), from several threads at once, in any order. Objects are
/// never changed once they are there, so storing one twice is harmless, and so is a crash in between: an
/// implementation lets an object appear only when it is whole. Nobody trusts what `fetch` yields.
pub trait Remote: Send + Sync + fmt::Debug {
    /// Returns a name for people. Never holds a secret.
    fn label(&self) -> &str;

    /// Returns for each object whether it is there, in the order of `ids`.
    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, RemoteError>;

    /// Writes an object's bytes to `into` and returns how many.
    fn fetch(&self, id: &ObjectId, into: &mut dyn Write) -> Result<u64, RemoteError>;

    /// Stores the `len` bytes of `from` as the object.
    fn store(&self, id: &ObjectId, len: u64, from: &mut dyn Read) -> Result<(), RemoteError>;

    /// Makes durable what was stored so far. Called before manifests are stored, and at the end.
    fn flush(&self) -> Result<(), RemoteError>;

    /// Returns the names of all recorded runs; none where the remote cannot list.
    fn runs(&self) -> Result<Vec<RunId>, RemoteError>;

    /// Returns a recorded run.
    fn fetch_run(&self, id: &RunId) -> Result<String, RemoteError>;

    /// Stores a recorded run, or leaves the one that is there.
    fn store_run(&self, id: &RunId, text: &str) -> Result<(), RemoteError>;
}

/// What kind of failure it is, as far as going on depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteErrorKind {
    /// The object is not there.
    NotFound,
    /// Who we are may not do this.
    Denied,
    /// Trying again may help.
    Temporary,
    /// Trying again does not help.
    Other,
}

/// A remote that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{what}`")]
pub struct RemoteError {
    /// Whether to try again.
    pub kind: RemoteErrorKind,
    /// What was tried.
    pub action: &'static str,
    /// On what: an object's name or an address without secrets.
    pub what: String,
    /// Why it did not work.
    pub source: Box<dyn Error + Send + Sync>,
}

/// A remote in a directory: another disk, a network mount.
#[derive(Debug)]
pub struct DirRemote {
    layout: Layout,
    label: String,
    disk: Disk,
}

impl DirRemote {
    /// Uses the directory at `path`, an absolute path; it is made when something is stored.
    pub fn new(path: &Path, modes: Modes) -> Self {
        let label = path.display().to_string();
        Self { layout: Layout::new(path), label, disk: Disk::new(modes) }
    }

    fn open(&self, id: &ObjectId) -> Result<File, RemoteError> {
        File::open(self.layout.object(id)).map_err(failed("read", id))
    }

    /// Lets a file appear under its name when `fill` is done with it.
    fn create(
        &self,
        path: &Path,
        mode: u32,
        fill: &mut dyn FnMut(&mut File) -> io::Result<()>,
    ) -> Result<(), RemoteError> {
        let dir = path.parent().unwrap_or(path);
        self.disk.create_dir(dir).map_err(|err| from_cache("create", path, err))?;
        let mut temp = tempfile::Builder::new()
            .prefix(".exp-")
            .suffix(".tmp")
            .tempfile_in(dir)
            .map_err(failed("create", &path.display()))?;
        fill(temp.as_file_mut()).map_err(failed("write", &path.display()))?;
        let chmod = self.disk.set_mode(temp.path(), mode);
        chmod.map_err(failed("set the mode of", &path.display()))?;
        temp.persist(path).map_err(|err| failed("create", &path.display())(err.error))?;
        Ok(())
    }

    fn run_path(&self, id: &RunId) -> PathBuf {
        self.layout.runs(&id.key).join(id.value.to_hex())
    }
}

impl Remote for DirRemote {
    fn label(&self) -> &str {
        &self.label
    }

    fn contains(&self, ids: &[ObjectId]) -> Result<Vec<bool>, RemoteError> {
        ids.par_iter()
            .map(|id| match fs::metadata(self.layout.object(id)) {
                Ok(metadata) => Ok(metadata.is_file()),
                Err(err) if is_absence(&err) => Ok(false),
                Err(err) => Err(failed("look for", id)(err)),
            })
            .collect()
    }

    fn fetch(&self, id: &ObjectId, into: &mut dyn Write) -> Result<u64, RemoteError> {
        io::copy(&mut self.open(id)?, into).map_err(failed("read", id))
    }

    fn store(&self, id: &ObjectId, len: u64, from: &mut dyn Read) -> Result<(), RemoteError> {
        self.create(&self.layout.object(id), OBJECT_MODE, &mut |file| {
            let copied = io::copy(from, file)?;
            if copied == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        })
    }

    fn flush(&self) -> Result<(), RemoteError> {
        let root = self.layout.root();
        if !root.is_dir() {
            return Ok(());
        }
        self.disk.sync_everything(root).map_err(failed("flush", &self.label))
    }

    fn runs(&self) -> Result<Vec<RunId>, RemoteError> {
        list_runs(&self.layout)
            .map_err(|err| from_cache("list the runs of", self.layout.root(), err))
    }

    fn fetch_run(&self, id: &RunId) -> Result<String, RemoteError> {
        fs::read_to_string(self.run_path(id)).map_err(failed("read the run", &id.value))
    }

    fn store_run(&self, id: &RunId, text: &str) -> Result<(), RemoteError> {
        let path = self.run_path(id);
        if path.is_file() {
            return Ok(());
        }
        self.create(&path, self.disk.modes.plain(), &mut |file| file.write_all(text.as_bytes()))
    }
}

fn failed<'a>(
    action: &'static str,
    what: &'a dyn fmt::Display,
) -> impl FnOnce(io::Error) -> RemoteError + use<'a> {
    move |err| {
        let kind = match err.kind() {
            io::ErrorKind::NotFound => RemoteErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                RemoteErrorKind::Denied
            }
            io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::StaleNetworkFileHandle => RemoteErrorKind::Temporary,
            _ => RemoteErrorKind::Other,
        };
        RemoteError { kind, action, what: what.to_string(), source: Box::new(err) }
    }
}

fn from_cache(action: &'static str, path: &Path, err: CacheError) -> RemoteError {
    let what = path.display().to_string();
    RemoteError { kind: RemoteErrorKind::Other, action, what, source: Box::new(err) }
}
