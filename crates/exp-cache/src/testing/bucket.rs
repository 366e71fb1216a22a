//! A bucket in memory that keeps versions.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use exp_core::{Algorithm, Ctx, Digest, RelPath};

use crate::storage::{
    Abilities, Depth, Listed, Put, ReadFrom, ReadSeek, Storage, StorageError, StorageErrorKind,
    StorageStat,
};

/// Versions by key, the newest last; `None` for a removal.
type Versions = BTreeMap<String, Vec<(String, Option<Vec<u8>>)>>;

/// A bucket in memory, with versions named `v0`, `v1` and so on, and marks as S3 makes them. Nothing can be removed from
/// it by way of [`Storage`].
#[derive(Debug, Default)]
pub struct Bucket {
    versions: Mutex<Versions>,
    n_versions: AtomicUsize,
    forgets: bool,
    n_looks: AtomicUsize,
    n_listings: AtomicUsize,
}

impl Bucket {
    /// A bucket that replaces what is there, as one does whose versioning is off.
    pub fn forgetful() -> Self {
        Self { forgets: true, ..Self::default() }
    }

    /// Puts bytes under a key, or removes what is there, and returns the new version.
    pub fn put(&self, key: &str, bytes: Option<&[u8]>) -> String {
        let id = format!("v{}", self.n_versions.fetch_add(1, Ordering::Relaxed));
        let mut all = self.all();
        let versions = all.entry(key.to_owned()).or_default();
        if self.forgets {
            versions.clear();
        }
        versions.push((id.clone(), bytes.map(<[u8]>::to_vec)));
        id
    }

    /// Returns every key with how many versions it has.
    pub fn counts(&self) -> Vec<(String, usize)> {
        self.all().iter().map(|(key, versions)| (key.clone(), versions.len())).collect()
    }

    /// Returns the newest bytes of a key; `None` when nothing is there.
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.all().get(key)?.last()?.1.clone()
    }

    /// Returns how many keys and versions were looked at one by one, and how many directories were listed.
    pub fn requests(&self) -> (usize, usize) {
        (self.n_looks.load(Ordering::Relaxed), self.n_listings.load(Ordering::Relaxed))
    }

    fn all(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, id: &str, bytes: &[u8]) -> StorageStat {
        StorageStat {
            size: Some(bytes.len() as u64),
            etag: Some(Digest::of(Algorithm::Md5, bytes).to_hex()),
            version: (!self.forgets).then(|| id.to_owned()),
            ..StorageStat::default()
        }
    }

    fn newest(&self, key: &str) -> Option<StorageStat> {
        let all = self.all();
        let (id, bytes) = all.get(key)?.last()?;
        Some(self.describe(id, bytes.as_ref()?))
    }
}

fn error(kind: StorageErrorKind, what: &str, source: &str) -> StorageError {
    StorageError { kind, action: "reach", what: what.to_owned(), source: source.into() }
}

impl Storage for Bucket {
    fn label(&self) -> &'static str {
        "bucket"
    }

    fn abilities(&self) -> Abilities {
        Abilities { write: true, list: true, versions: true, is_near: false }
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        self.n_looks.fetch_add(keys.len(), Ordering::Relaxed);
        Ok(keys.iter().map(|key| self.newest(key.as_str())).collect())
    }

    fn stat_versions(
        &self,
        _: &Ctx<'_>,
        versions: &[(RelPath, String)],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        self.n_looks.fetch_add(versions.len(), Ordering::Relaxed);
        let all = self.all();
        let one = |(key, wanted): &(RelPath, String)| {
            let found = all.get(key.as_str())?.iter().find(|(id, _)| id == wanted)?;
            Some(self.describe(&found.0, found.1.as_ref()?))
        };
        Ok(versions.iter().map(one).collect())
    }

    fn read(
        &self,
        _: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        let key = from.key.as_str();
        let absent = || error(StorageErrorKind::NotFound, key, "it is not there");
        let all = self.all();
        let mut versions = all.get(key).ok_or_else(absent)?.iter().rev();
        let found = versions.find(|(id, _)| from.version.is_none_or(|version| version == id));
        let bytes = found.and_then(|(_, bytes)| bytes.as_ref()).ok_or_else(absent)?;
        let rest = usize::try_from(from.offset).ok().and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        into.write_all(rest)
            .map_err(|err| error(StorageErrorKind::Other, key, &err.to_string()))?;
        Ok(rest.len() as u64)
    }

    fn write(
        &self,
        _: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)
            .map_err(|err| error(StorageErrorKind::Other, put.key.as_str(), &err.to_string()))?;
        let id = self.put(put.key.as_str(), Some(&bytes));
        Ok(self.describe(&id, &bytes))
    }

    fn list(
        &self,
        _: &Ctx<'_>,
        under: &RelPath,
        _: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.n_listings.fetch_add(1, Ordering::Relaxed);
        let keys: Vec<String> = self.all().keys().cloned().collect();
        for key in keys {
            let (Ok(path), Some(stat)) = (RelPath::new(&key), self.newest(&key)) else { continue };
            let is_below = path.starts_with(under) && path != *under;
            if is_below && found(Listed { key: path, is_dir: false, stat }).is_break() {
                break;
            }
        }
        Ok(())
    }
}
