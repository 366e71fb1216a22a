//! A storage far away that counts its requests and fails when it is told to.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use exp_cache::{
    Abilities, Depth, Listed, Put, ReadFrom, ReadSeek, Storage, StorageError, StorageErrorKind,
    StorageStat,
};
use exp_core::{Ctx, RelPath};

type Answer<T> = Result<T, StorageError>;

/// Names in one answer to a listing.
const PAGE: usize = 1000;

/// Bytes under keys, in memory. A key that is asked for is one request, so is a page of a listing.
#[derive(Debug, Default)]
pub(crate) struct Far {
    pub(crate) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) requests: AtomicUsize,
    pub(crate) listings: AtomicUsize,
    /// The next so many requests fail for the moment.
    pub(crate) failures: AtomicUsize,
    /// Reads break off after so many bytes each, while this is not zero.
    pub(crate) cut: AtomicUsize,
    /// Where the reads began.
    pub(crate) offsets: Mutex<Vec<u64>>,
    /// Listing is not possible.
    pub(crate) no_list: AtomicBool,
}

fn error(kind: StorageErrorKind, what: &str) -> StorageError {
    StorageError { kind, action: "reach", what: what.to_owned(), source: "it was told to".into() }
}

impl Far {
    pub(crate) fn all(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap()
    }

    /// Returns how many requests there were since the last time.
    pub(crate) fn counted(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }

    fn request(&self, what: &str) -> Answer<()> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let fails =
            self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        match fails {
            Ok(_) => Err(error(StorageErrorKind::Temporary, what)),
            Err(_) => Ok(()),
        }
    }
}

impl Storage for Far {
    fn label(&self) -> &'static str {
        "far"
    }

    fn abilities(&self) -> Abilities {
        let list = !self.no_list.load(Ordering::Relaxed);
        Abilities { write: true, list, versions: false, is_near: false }
    }

    fn stat(&self, _: &Ctx<'_>, keys: &[RelPath]) -> Answer<Vec<Option<StorageStat>>> {
        let stat = |key: &RelPath| {
            self.request(key.as_str())?;
            let objects = self.all();
            let found = objects.get(key.as_str());
            Ok(found.map(|bytes| StorageStat {
                size: Some(bytes.len() as u64),
                ..StorageStat::default()
            }))
        };
        keys.iter().map(stat).collect()
    }

    fn read(&self, _: &Ctx<'_>, from: &ReadFrom<'_>, into: &mut dyn Write) -> Answer<u64> {
        self.request(from.key.as_str())?;
        self.offsets.lock().unwrap().push(from.offset);
        let bytes = self.all().get(from.key.as_str()).cloned();
        let bytes = bytes.ok_or_else(|| error(StorageErrorKind::NotFound, from.key.as_str()))?;
        let start = usize::try_from(from.offset).unwrap();
        let rest = bytes.get(start..).ok_or_else(|| error(StorageErrorKind::Other, "the range"))?;
        let failed = |err| StorageError {
            kind: StorageErrorKind::Other,
            action: "pass on",
            what: from.key.to_string(),
            source: Box::new(err),
        };
        let cut = self.cut.load(Ordering::Relaxed);
        if cut > 0 && rest.len() > cut {
            into.write_all(&rest[..cut]).map_err(failed)?;
            return Err(error(StorageErrorKind::Temporary, from.key.as_str()));
        }
        into.write_all(rest).map_err(failed)?;
        Ok(rest.len() as u64)
    }

    fn write(&self, _: &Ctx<'_>, put: &Put<'_>, from: &mut dyn ReadSeek) -> Answer<StorageStat> {
        self.request(put.key.as_str())?;
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(|err| StorageError {
            kind: StorageErrorKind::Other,
            action: "read",
            what: put.key.to_string(),
            source: Box::new(err),
        })?;
        assert_eq!(bytes.len() as u64, put.len);
        self.all().insert(put.key.as_str().to_owned(), bytes);
        Ok(StorageStat::default())
    }

    fn list(
        &self,
        _: &Ctx<'_>,
        under: &RelPath,
        _: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Answer<()> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{}/", under.as_str());
        let objects = self.all();
        let below = objects.range(prefix.clone()..).map(|(key, _)| key);
        let keys: Vec<String> = below.take_while(|key| key.starts_with(&prefix)).cloned().collect();
        drop(objects);
        for _ in 0..=keys.len() / PAGE {
            self.request(under.as_str())?;
        }
        for key in keys {
            let key = RelPath::new(&key).unwrap();
            let listed = Listed { key, is_dir: false, stat: StorageStat::default() };
            if found(listed).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn remove(&self, _: &Ctx<'_>, keys: &[RelPath]) -> Answer<()> {
        for key in keys {
            self.request(key.as_str())?;
            self.all().remove(key.as_str());
        }
        Ok(())
    }

    fn flush(&self, _: &Ctx<'_>) -> Answer<()> {
        Ok(())
    }
}
