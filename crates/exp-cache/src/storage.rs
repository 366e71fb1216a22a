//! Places that hold bytes under names: a directory, a bucket, a server.

use std::error::Error;
use std::fmt;
use std::io::{Read, Seek, Write};
use std::ops::ControlFlow;

use exp_core::{Ctx, RelPath};

mod dir;
mod open;

pub use dir::DirStorage;
pub use open::{AddressError, OpenDirectories, OpenStorage, StorageAddress};

/// What is read more than once when a transfer is tried again.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// A place that holds bytes under names. Remotes keep their objects in one, imports come from one.
///
/// A key is relative to the address that the storage was opened with; the empty key is that address itself, for an
/// address that names a single file. Every method may be called from several threads at once. A call ends soon, within
/// a fraction of a second, after its context was told to stop, with [`StorageErrorKind::Cancelled`].
///
/// Nobody trusts what a storage says: callers digest the bytes that they get. An implementation tries again nothing by
/// itself that the caller could not tell apart from one slow try; it says [`StorageErrorKind::Temporary`], and the caller
/// decides.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Returns the address for people, without secrets: `s3://bucket/prefix`.
    fn label(&self) -> &str;

    /// Returns what this storage can do. Asks nobody.
    fn abilities(&self) -> Abilities;

    /// Returns what is under each key, in their order; `None` where nothing is. Directories are nothing.
    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError>;

    /// Returns what is there of each version of a key, in their order; `None` for a version that is gone, or that only says
    /// that the key was removed.
    ///
    /// A storage that keeps no versions cannot say.
    fn stat_versions(
        &self,
        ctx: &Ctx<'_>,
        versions: &[(RelPath, String)],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        ctx.check().map_err(|cancelled| StorageError {
            kind: StorageErrorKind::Cancelled,
            action: "look at",
            what: self.label().to_owned(),
            source: cancelled.into(),
        })?;
        if versions.is_empty() {
            return Ok(Vec::new());
        }
        Err(unsupported(self.label(), "look at versions on"))
    }

    /// Returns whether what is replaced stays there as a version. Asked before anything is replaced, of a storage that can
    /// tell versions; one that cannot say beforehand says yes, and the first write shows whether it has a version.
    fn keeps_versions(&self, _ctx: &Ctx<'_>) -> Result<bool, StorageError> {
        Ok(self.abilities().versions)
    }

    /// Returns whether `stat`, which this storage said of something, proves that it is the `len` bytes of `from`. What a
    /// storage says may prove nothing; then the answer is no.
    ///
    /// Reads `from`, and asks nobody. Fails only when that does.
    fn proves(
        &self,
        _stat: &StorageStat,
        _len: u64,
        _from: &mut dyn ReadSeek,
    ) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Writes what is under a key to `into` and returns how many bytes those were.
    ///
    /// After an error, what `into` got is the beginning of it, so that the next try can go on behind.
    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError>;

    /// Stores the `put.len` bytes of `from` under a key, replacing what is there.
    ///
    /// They appear under their key when all of them are there, and not before. A source that ends early is an error.
    ///
    /// Refused, unless a storage can be written.
    fn write(
        &self,
        _ctx: &Ctx<'_>,
        _put: &Put<'_>,
        _from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        Err(unsupported(self.label(), "write to"))
    }

    /// Tells `found` what is below `under`, in any order, until it breaks off. Nothing there is an empty list.
    ///
    /// Refused, unless a storage can be listed.
    fn list(
        &self,
        _ctx: &Ctx<'_>,
        _under: &RelPath,
        _depth: Depth,
        _found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        Err(unsupported(self.label(), "list"))
    }

    /// Removes what is under the keys. What is not there is fine.
    ///
    /// Refused, unless there are no keys or a storage can remove.
    fn remove(&self, _ctx: &Ctx<'_>, keys: &[RelPath]) -> Result<(), StorageError> {
        if keys.is_empty() { Ok(()) } else { Err(unsupported(self.label(), "remove from")) }
    }

    /// Makes durable what was stored so far, where a storage does not do so by itself.
    fn flush(&self, _ctx: &Ctx<'_>) -> Result<(), StorageError> {
        Ok(())
    }
}

/// Returns the refusal of what this kind of storage cannot do.
fn unsupported(label: &str, action: &'static str) -> StorageError {
    StorageError {
        kind: StorageErrorKind::Unsupported,
        action,
        what: label.to_owned(),
        source: "this kind of storage has no way to do that".into(),
    }
}

/// What a storage can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent abilities")]
pub struct Abilities {
    /// It can be written, and what is in it removed.
    pub write: bool,
    /// It can be listed.
    pub list: bool,
    /// It keeps old versions, and [`StorageStat::version`] names them.
    pub versions: bool,
    /// Looking something up costs no trip over a network.
    pub is_near: bool,
}

/// What a storage says about what it holds. Whatever it does not know is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageStat {
    /// In bytes.
    pub size: Option<u64>,
    /// The storage's own mark of these bytes, written as DVC records it. Says nothing about a digest.
    pub etag: Option<String>,
    /// The version, on a storage that keeps old ones.
    pub version: Option<String>,
    /// A checksum that the storage promises, as it writes it: HTTP's `Content-MD5`.
    pub checksum: Option<String>,
    /// Seconds since the epoch.
    pub modified: Option<i64>,
}

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub struct ReadFrom<'a> {
    /// Under which key.
    pub key: &'a RelPath,
    /// Which version; without, the newest.
    pub version: Option<&'a str>,
    /// From which byte on.
    pub offset: u64,
}

impl<'a> ReadFrom<'a> {
    /// Returns the newest of what is under `key`, from its beginning.
    pub fn start(key: &'a RelPath) -> Self {
        Self { key, version: None, offset: 0 }
    }
}

/// What is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Put<'a> {
    /// Under which key.
    pub key: &'a RelPath,
    /// How many bytes.
    pub len: u64,
    /// These bytes never change: where there are permissions, nobody may write them.
    pub is_object: bool,
}

/// How deep a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What is directly there, directories too.
    One,
    /// All files, however deep; no directories.
    All,
}

/// One thing in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, from the storage's address on.
    pub key: RelPath,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// What is said about it.
    pub stat: StorageStat,
}

/// What kind of failure it is, as far as going on depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// It is not there.
    NotFound,
    /// Who we are may not do this, or it is not known who we are.
    Denied,
    /// Trying again may help.
    Temporary,
    /// The work was asked to stop.
    Cancelled,
    /// This storage cannot do that.
    Unsupported,
    /// Trying again does not help.
    Other,
}

/// A storage that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{what}`")]
pub struct StorageError {
    /// Whether to try again.
    pub kind: StorageErrorKind,
    /// What was tried: a verb, "read".
    pub action: &'static str,
    /// On what: a key, or an address without secrets.
    pub what: String,
    /// Why it did not work.
    pub source: Box<dyn Error + Send + Sync>,
}
