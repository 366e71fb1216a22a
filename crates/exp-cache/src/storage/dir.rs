//! A directory as storage: another disk, a network mount.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use exp_core::{Cancelled, Ctx, RelPath};
use rayon::prelude::*;

use super::{
    Abilities, Depth, Listed, Put, ReadFrom, ReadSeek, Storage, StorageError, StorageErrorKind,
    StorageStat,
};
use crate::disk::{Disk, Modes, OBJECT_MODE};
use crate::walk::is_absence;

/// Bytes moved between two looks at the wish to stop.
const PIECE: usize = 1 << 20;

/// A storage in a directory: another disk, a network mount.
///
/// The empty key is the directory's path itself, which may be a file to read.
#[derive(Debug)]
pub struct DirStorage {
    root: PathBuf,
    label: String,
    disk: Disk,
}

impl DirStorage {
    /// Uses the directory at `path`, an absolute path; it is made when something is stored.
    pub fn new(path: &Path, modes: Modes) -> Self {
        let label = path.display().to_string();
        Self { root: path.to_path_buf(), label, disk: Disk::new(modes) }
    }

    /// Uses a directory whose writes fail as `faults` says.
    #[cfg(feature = "testing")]
    pub fn with_faults(
        path: &Path,
        modes: Modes,
        faults: std::sync::Arc<crate::testing::Faults>,
    ) -> Self {
        Self { disk: Disk { modes, faults: Some(faults) }, ..Self::new(path, modes) }
    }

    fn at(&self, key: &RelPath) -> PathBuf {
        key.under(&self.root)
    }

    fn walk(
        &self,
        ctx: &Ctx<'_>,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StorageError> {
        let dir = self.at(under);
        ctx.check().map_err(|err| stopped("list", &self.label, err))?;
        let entries = match fs::read_dir(&dir) {
            Err(err) if is_absence(&err) => return Ok(ControlFlow::Continue(())),
            entries => entries.map_err(failed("list", &dir.display()))?,
        };
        let mut dirs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("list", &dir.display()))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let err = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8");
                return Err(failed("list", &entry.path().display())(err));
            };
            let key = under.join(name).map_err(|err| {
                failed("list", &entry.path().display())(io::Error::other(err.to_string()))
            })?;
            // What a link leads to counts; one that leads nowhere is nothing.
            let metadata = match fs::metadata(entry.path()) {
                Err(err) if is_absence(&err) => continue,
                metadata => metadata.map_err(failed("look at", &entry.path().display()))?,
            };
            if metadata.is_dir() {
                let is_linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                match depth {
                    Depth::All if !is_linked => dirs.push(key),
                    Depth::All => {}
                    Depth::One => {
                        let stat = StorageStat::default();
                        if found(Listed { key, is_dir: true, stat }).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            } else if metadata.is_file() && !is_unfinished(name) {
                let listed = Listed { key, is_dir: false, stat: stat_of(&metadata) };
                if found(listed).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        for dir in dirs {
            if self.walk(ctx, &dir, depth, found)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Storage for DirStorage {
    fn label(&self) -> &str {
        &self.label
    }

    fn abilities(&self) -> Abilities {
        Abilities { write: true, list: true, versions: false, is_near: true }
    }

    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        ctx.check().map_err(|err| stopped("look at", &self.label, err))?;
        keys.par_iter()
            .map(|key| match fs::metadata(self.at(key)) {
                Ok(metadata) if metadata.is_file() => Ok(Some(stat_of(&metadata))),
                Ok(_) => Ok(None),
                Err(err) if is_absence(&err) => Ok(None),
                Err(err) => Err(failed("look for", key)(err)),
            })
            .collect()
    }

    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        let path = self.at(from.key);
        let shown = path.display();
        let mut file = File::open(&path).map_err(failed("read", &shown))?;
        file.seek(SeekFrom::Start(from.offset)).map_err(failed("read", &shown))?;
        move_bytes(ctx, ("read", &path), &mut file, into)
    }

    fn write(
        &self,
        ctx: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        let path = self.at(put.key);
        let shown = path.display();
        let dir = path.parent().unwrap_or(&path);
        self.disk.create_dir(dir).map_err(|err| StorageError {
            kind: StorageErrorKind::Other,
            action: "create",
            what: path.display().to_string(),
            source: Box::new(err),
        })?;
        let mut temp = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(dir)
            .map_err(failed("create", &shown))?;
        let moved = move_bytes(ctx, ("write", &path), from, temp.as_file_mut())?;
        if moved != put.len {
            return Err(failed("write", &shown)(io::ErrorKind::UnexpectedEof.into()));
        }
        let mode = if put.is_object { OBJECT_MODE } else { self.disk.modes.plain() };
        self.disk.set_mode(temp.path(), mode).map_err(failed("set the mode of", &shown))?;
        let file = temp.persist(&path).map_err(|err| failed("create", &shown)(err.error))?;
        file.metadata().map(|metadata| stat_of(&metadata)).map_err(failed("look at", &shown))
    }

    fn list(
        &self,
        ctx: &Ctx<'_>,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.walk(ctx, under, depth, found).map(|_| ())
    }

    fn remove(&self, ctx: &Ctx<'_>, keys: &[RelPath]) -> Result<(), StorageError> {
        for key in keys {
            ctx.check().map_err(|err| stopped("remove", &self.label, err))?;
            match self.disk.remove_file(&self.at(key)) {
                Err(err) if !is_absence(&err) => return Err(failed("remove", key)(err)),
                _ => {}
            }
        }
        Ok(())
    }

    fn flush(&self, _ctx: &Ctx<'_>) -> Result<(), StorageError> {
        if !self.root.is_dir() {
            return Ok(());
        }
        self.disk.sync_everything(&self.root).map_err(failed("flush", &self.label))
    }
}

const PREFIX: &str = ".exp-";
const SUFFIX: &str = ".tmp";

fn is_unfinished(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

fn stat_of(metadata: &Metadata) -> StorageStat {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    StorageStat {
        size: Some(metadata.len()),
        modified: modified.and_then(|since| i64::try_from(since.as_secs()).ok()),
        ..StorageStat::default()
    }
}

fn move_bytes(
    ctx: &Ctx<'_>,
    (action, path): (&'static str, &Path),
    from: &mut dyn Read,
    into: &mut dyn Write,
) -> Result<u64, StorageError> {
    let shown = path.display();
    let mut piece = vec![0; PIECE];
    let mut moved = 0;
    loop {
        ctx.check().map_err(|err| stopped(action, &shown, err))?;
        let n = match from.read(&mut piece) {
            Ok(0) => return Ok(moved),
            Ok(n) => n,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(failed(action, &shown)(err)),
        };
        into.write_all(&piece[..n]).map_err(failed(action, &shown))?;
        moved += n as u64;
    }
}

fn stopped(action: &'static str, what: &dyn std::fmt::Display, err: Cancelled) -> StorageError {
    let (kind, what) = (StorageErrorKind::Cancelled, what.to_string());
    StorageError { kind, action, what, source: Box::new(err) }
}

fn failed<'a>(
    action: &'static str,
    what: &'a dyn std::fmt::Display,
) -> impl FnOnce(io::Error) -> StorageError + use<'a> {
    move |err| {
        let kind = match err.kind() {
            io::ErrorKind::NotFound => StorageErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StorageErrorKind::Denied
            }
            io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::StaleNetworkFileHandle => StorageErrorKind::Temporary,
            _ => StorageErrorKind::Other,
        };
        StorageError { kind, action, what: what.to_string(), source: Box::new(err) }
    }
}
