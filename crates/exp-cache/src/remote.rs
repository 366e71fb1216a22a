//! Another place that holds objects and recorded runs, in DVC's layout.

use std::io::{self, Cursor, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use exp_core::{Algorithm, Ctx, Digest, ObjectId, RelPath};

use crate::layout::Layout;
use crate::runs::RunId;
use crate::storage::{
    Depth, Put, ReadFrom, ReadSeek, Storage, StorageError, StorageErrorKind, StorageStat,
};
use crate::transfer::Known;

/// Recorded runs are small texts; a longer one is not one.
const LONGEST_RUN: usize = 16 << 20;

/// A storage that holds objects and recorded runs, in DVC's layout. Clones share it.
///
/// Objects are never changed once they are there, so storing one twice is harmless, and so is a crash in between.
#[derive(Debug, Clone)]
pub struct Remote {
    storage: Arc<dyn Storage>,
    known: Known,
}

impl Remote {
    /// Uses a storage.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, known: Known::default() }
    }

    /// Remembers in `file`, between transfers, what was seen on the remote. The file is disposable: what it says is
    /// confirmed with a few requests before it is believed, and it saves all the others.
    #[must_use]
    pub fn remembered_in(self, file: &Path) -> Self {
        Self { known: Known::at(file), ..self }
    }

    /// Forgets what was seen on the remote, so that it is asked for everything.
    pub fn forget(&self) {
        self.known.forget();
    }

    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Returns where it keeps its bytes.
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// Returns the storage, to be seen as another one.
    pub fn shared_storage(&self) -> Arc<dyn Storage> {
        self.storage.clone()
    }

    /// Returns a name for people. Never holds a secret.
    pub fn label(&self) -> &str {
        self.storage.label()
    }

    /// Returns for each object whether it is there, in the order of `ids`.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn contains(&self, ctx: &Ctx<'_>, ids: &[ObjectId]) -> Result<Vec<bool>, StorageError> {
        let keys = ids.iter().map(object_key).collect::<Result<Vec<_>, _>>()?;
        Ok(self.storage.stat(ctx, &keys)?.iter().map(Option::is_some).collect())
    }

    /// Writes an object's bytes from `offset` on to `into` and returns how many. They are not digested here.
    ///
    /// # Errors
    ///
    /// When the storage fails; what `into` got is then the beginning of the bytes.
    pub fn fetch(
        &self,
        ctx: &Ctx<'_>,
        id: &ObjectId,
        offset: u64,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        let key = object_key(id)?;
        self.storage.read(ctx, &ReadFrom { key: &key, version: None, offset }, into)
    }

    /// Stores the `len` bytes of `from` as the object.
    ///
    /// # Errors
    ///
    /// When the storage fails; the object is not there then, or is there as it was.
    pub fn store(
        &self,
        ctx: &Ctx<'_>,
        id: &ObjectId,
        len: u64,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        let key = object_key(id)?;
        self.storage.write(ctx, &Put { key: &key, len, is_object: true }, from)
    }

    /// Tells `found` all objects named by `algorithm` whose names begin with `shard`, two hexadecimal digits or
    /// nothing, with their sizes, in any order. What has no object's name is passed over.
    ///
    /// # Errors
    ///
    /// When the storage fails or cannot list.
    pub fn list(
        &self,
        ctx: &Ctx<'_>,
        algorithm: Algorithm,
        shard: &str,
        found: &mut dyn FnMut(ObjectId, Option<u64>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let base = match algorithm {
            Algorithm::Md5Dos2Unix => RelPath::root(),
            algorithm => key(&format!("files/{}", algorithm.name()))?,
        };
        let under = base.join(shard).map_err(|err| invalid(shard, err))?;
        self.storage.list(ctx, &under, Depth::All, &mut |listed| {
            let name = listed.key.strip_prefix(&base).unwrap_or_default();
            match name.split_once('/') {
                Some((shard, rest)) if shard.len() == 2 => {
                    match ObjectId::parse(algorithm, &format!("{shard}{rest}")) {
                        Ok(id) => found(id, listed.stat.size),
                        Err(_) => ControlFlow::Continue(()),
                    }
                }
                _ => ControlFlow::Continue(()),
            }
        })
    }

    /// Removes objects. What is not there is fine.
    ///
    /// # Errors
    ///
    /// When the storage fails; some may be gone then.
    pub fn remove(&self, ctx: &Ctx<'_>, ids: &[ObjectId]) -> Result<(), StorageError> {
        let keys = ids.iter().map(object_key).collect::<Result<Vec<_>, _>>()?;
        self.storage.remove(ctx, &keys)
    }

    /// Makes durable what was stored so far.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn flush(&self, ctx: &Ctx<'_>) -> Result<(), StorageError> {
        self.storage.flush(ctx)
    }

    /// Returns the names of all recorded runs, ordered; none where the storage cannot list.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn runs(&self, ctx: &Ctx<'_>) -> Result<Vec<RunId>, StorageError> {
        let mut runs = Vec::new();
        if !self.storage.abilities().list {
            return Ok(runs);
        }
        self.storage.list(ctx, &key("runs")?, Depth::All, &mut |listed| {
            let parts: Vec<&str> = listed.key.parts().collect();
            if let ["runs", _, key, value] = parts[..] {
                let digest = |hex| Digest::from_hex(Algorithm::Sha256, hex);
                if let (Ok(key), Ok(value)) = (digest(key), digest(value)) {
                    runs.push(RunId { key, value });
                }
            }
            ControlFlow::Continue(())
        })?;
        runs.sort_unstable();
        Ok(runs)
    }

    /// Returns a recorded run.
    ///
    /// # Errors
    ///
    /// When the storage fails, or has something there that is no text.
    pub fn fetch_run(&self, ctx: &Ctx<'_>, id: &RunId) -> Result<String, StorageError> {
        let key = run_key(id)?;
        let mut text = Limited(Vec::new());
        self.storage.read(ctx, &ReadFrom::start(&key), &mut text)?;
        String::from_utf8(text.0).map_err(|err| invalid(key.as_str(), err))
    }

    /// Stores a recorded run, or leaves the one that is there.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    pub fn store_run(&self, ctx: &Ctx<'_>, id: &RunId, text: &str) -> Result<(), StorageError> {
        let key = run_key(id)?;
        let there = self.storage.stat(ctx, std::slice::from_ref(&key))?;
        if there.iter().any(Option::is_some) {
            return Ok(());
        }
        let put = Put { key: &key, len: text.len() as u64, is_object: false };
        self.storage.write(ctx, &put, &mut Cursor::new(text.as_bytes())).map(|_| ())
    }
}

/// Takes no more than a run may have.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_RUN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn object_key(id: &ObjectId) -> Result<RelPath, StorageError> {
    key(&Layout::key(id))
}

fn run_key(id: &RunId) -> Result<RelPath, StorageError> {
    let (key_hex, value) = (id.key.to_hex(), id.value.to_hex());
    key(&format!("runs/{}/{key_hex}/{value}", &key_hex[..2]))
}

fn key(text: &str) -> Result<RelPath, StorageError> {
    RelPath::new(text).map_err(|err| invalid(text, err))
}

pub(crate) fn invalid(
    what: &str,
    err: impl std::error::Error + Send + Sync + 'static,
) -> StorageError {
    StorageError {
        kind: StorageErrorKind::Other,
        action: "use",
        what: what.to_owned(),
        source: Box::new(err),
    }
}
