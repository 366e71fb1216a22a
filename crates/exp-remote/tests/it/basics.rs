//! Bytes under keys: put, get, replace, missing, empty, big.

use std::io::Cursor;
use std::sync::Arc;

use exp_cache::{Put, ReadFrom, Storage, StorageError, StorageErrorKind};
use exp_core::{Ctx, RelPath};

use crate::Result;
use crate::servers::{Kind, Site, Who};

pub(crate) fn key(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// Bytes that do not repeat and do not shrink.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub(crate) fn write(
    storage: &dyn Storage,
    name: &str,
    bytes: &[u8],
) -> std::result::Result<(), StorageError> {
    let key = key(name);
    let put = Put { key: &key, len: bytes.len() as u64, is_object: false };
    storage.write(&Ctx::silent(), &put, &mut Cursor::new(bytes)).map(|_| ())
}

pub(crate) fn read(
    storage: &dyn Storage,
    name: &str,
) -> std::result::Result<Vec<u8>, StorageError> {
    let mut found = Vec::new();
    let len = storage.read(&Ctx::silent(), &ReadFrom::start(&key(name)), &mut found)?;
    assert_eq!(len, found.len() as u64);
    Ok(found)
}

/// The size of what is under a key, if anything is.
pub(crate) fn size(
    storage: &dyn Storage,
    name: &str,
) -> std::result::Result<Option<u64>, StorageError> {
    let stat = storage.stat(&Ctx::silent(), &[key(name)])?;
    assert_eq!(stat.len(), 1);
    // Not every server tells the size of what it compresses, so it is read then.
    match &stat[0] {
        None => Ok(None),
        Some(stat) => match stat.size {
            Some(size) => Ok(Some(size)),
            None => Ok(Some(read(storage, name)?.len() as u64)),
        },
    }
}

pub(crate) fn what_is_written_is_read_and_replaced(site: &Site) -> Result {
    let storage = site.open()?;
    for text in ["first", "second, which is longer", "3rd"] {
        write(&*storage, "dir/sub/name", text.as_bytes())?;
        assert_eq!(size(&*storage, "dir/sub/name")?, Some(text.len() as u64));
        assert_eq!(read(&*storage, "dir/sub/name")?, text.as_bytes());
    }
    // Someone else sees the same.
    assert_eq!(read(&*site.open()?, "dir/sub/name")?, b"3rd");
    storage.flush(&Ctx::silent())?;
    assert!(storage.abilities().write);
    assert_eq!(storage.abilities().is_near, site.kind == Kind::Dir);
    Ok(())
}

pub(crate) fn what_is_missing_is_missing(site: &Site) -> Result {
    let (ctx, storage) = (Ctx::silent(), site.open()?);
    assert_eq!(size(&*storage, "nothing")?, None);
    let err = read(&*storage, "nothing").unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::NotFound, "{}", crate::chain(&err));
    write(&*storage, "dir/there", b"x")?;
    write(&*storage, "also", b"yz")?;
    let keys = ["dir/there", "nothing", "dir", "dir/there/below", "also"].map(key);
    let there: Vec<bool> = storage.stat(&ctx, &keys)?.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, false, false, true]);
    assert_eq!(storage.stat(&ctx, &[])?, []);
    if removes(&*storage)? {
        storage.remove(&ctx, &keys[..2])?;
        assert_eq!(size(&*storage, "dir/there")?, None);
        assert_eq!(size(&*storage, "also")?, Some(2));
    }
    Ok(())
}

/// Whether the storage can remove at all; plain HTTP may not.
pub(crate) fn removes(storage: &dyn Storage) -> Result<bool> {
    match storage.remove(&Ctx::silent(), &[key("never-there")]) {
        Ok(()) => Ok(true),
        Err(err) if err.kind == StorageErrorKind::Unsupported => Ok(false),
        Err(err) => Err(err.into()),
    }
}

pub(crate) fn a_read_begins_anywhere(site: &Site) -> Result {
    let storage = site.open()?;
    write(&*storage, "digits", b"0123456789")?;
    for offset in [0_u8, 1, 9, 10] {
        let mut found = Vec::new();
        let key = key("digits");
        let from = ReadFrom { key: &key, version: None, offset: offset.into() };
        let len = storage.read(&Ctx::silent(), &from, &mut found)?;
        assert_eq!(found, b"0123456789"[usize::from(offset)..], "from {offset}");
        assert_eq!(len, u64::from(10 - offset));
    }
    Ok(())
}

pub(crate) fn an_empty_object_is_there(site: &Site) -> Result {
    let storage = site.open()?;
    write(&*storage, "empty", b"")?;
    assert_eq!(size(&*storage, "empty")?, Some(0));
    assert_eq!(read(&*storage, "empty")?, b"");
    Ok(())
}

pub(crate) fn a_big_object_keeps_its_bytes(site: &Site) -> Result {
    let storage = site.open()?;
    // Larger than a part of any upload in parts, and not a multiple of one.
    let long = bytes((20 << 20) + 12_345);
    write(&*storage, "big", &long)?;
    assert_eq!(size(&*storage, "big")?, Some(long.len() as u64));
    assert!(read(&*storage, "big")? == long, "other bytes come back");
    let mut rest = Vec::new();
    let key = key("big");
    let from = ReadFrom { key: &key, version: None, offset: 15 << 20 };
    storage.read(&Ctx::silent(), &from, &mut rest)?;
    assert!(rest == long[15 << 20..], "other bytes come back");
    Ok(())
}

pub(crate) fn a_source_that_ends_early_leaves_nothing(site: &Site) -> Result {
    let storage = site.open()?;
    write(&*storage, "old", b"what was there")?;
    for (name, len) in [("new", 100), ("old", 100), ("new", 12 << 20)] {
        let key = key(name);
        let put = Put { key: &key, len, is_object: false };
        let mut half = Cursor::new(bytes(usize::try_from(len)? / 2));
        storage.write(&Ctx::silent(), &put, &mut half).unwrap_err();
    }
    assert_eq!(size(&*storage, "new")?, None);
    assert_eq!(read(&*storage, "old")?, b"what was there");
    Ok(())
}

pub(crate) fn an_address_may_name_one_file(site: &Site) -> Result {
    write(&*site.open()?, "dir/file.csv", b"a,b\n")?;
    let at = if site.kind == Kind::Dir { None } else { Some(site.authority()?) };
    let file = site.open_as(Who::Owner, at, "/dir/file.csv")?;
    let mut found = Vec::new();
    let itself = RelPath::root();
    file.read(&Ctx::silent(), &ReadFrom::start(&itself), &mut found)?;
    assert_eq!(found, b"a,b\n");
    assert!(file.stat(&Ctx::silent(), &[itself])?[0].is_some());
    Ok(())
}

pub(crate) fn many_threads_use_one_storage(site: &Site) -> Result {
    let storage = site.open()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let storage = Arc::clone(&storage);
                scope.spawn(move || -> std::result::Result<(), StorageError> {
                    for round in 0..4 {
                        let name = format!("shared/{thread}-{round}");
                        write(&*storage, &name, name.as_bytes())?;
                        assert_eq!(read(&*storage, &name)?, name.as_bytes());
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })
}
