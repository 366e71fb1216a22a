//! A directory on a server that is reached by SSH: SFTP on one connection.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exp_cache::{
    Abilities, AddressError, Depth, Listed, Put, ReadFrom, ReadSeek, Storage, StorageAddress,
    StorageError, StorageErrorKind, StorageStat,
};
use exp_core::{Ctx, RelPath};
use futures_util::stream::{self, StreamExt};
use russh_sftp::protocol::{OpenFlags, StatusCode};

use self::connection::{Connection, Line};
use self::problem::Problem;
use self::transfer::OpenFile;
use crate::Surroundings;
use crate::runtime::Net;
use crate::unfinished::Marks;

mod config_file;
mod connection;
mod hashed_name;
mod known_hosts;
mod login;
mod pattern;
mod problem;
mod target;
mod transfer;
mod tree;

/// Requests about names that are under way at once.
const REQUESTS: usize = 128;

/// Objects of so many bytes are gone on with where an earlier try broke off.
const RESUMED_FROM: u64 = 4 << 20;

/// Nobody may write an object; the mode of the store's own objects.
const OBJECT_MODE: u32 = 0o444;

/// Opens `ssh://[user@]host[:port]/path`.
pub(crate) fn ssh(
    address: &StorageAddress,
    surroundings: &Surroundings,
    net: &Net,
) -> Result<Arc<dyn Storage>, AddressError> {
    let parsed = target::parse(address, surroundings)?;
    Ok(Arc::new(SshStorage {
        root: parsed.path,
        label: parsed.label,
        line: Line::new(parsed.target, surroundings.env.clone()),
        net: net.clone(),
        is_shared: address.modes.group_shared,
        begun: Mutex::default(),
        written: Mutex::default(),
        marks: Marks::default(),
    }))
}

/// A storage in a directory of a server.
#[derive(Debug)]
struct SshStorage {
    /// Absolute; empty for the directory that a login starts in.
    root: String,
    label: String,
    line: Line,
    net: Net,
    /// Directories that are made are open to their group.
    is_shared: bool,
    /// Up to where unfinished files hold what this very storage wrote, by path.
    begun: Mutex<BTreeMap<String, u64>>,
    /// What was written since the last flush.
    written: Mutex<Vec<String>>,
    /// Makes names of unfinished files differ.
    marks: Marks,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SshStorage {
    fn path(&self, key: &RelPath) -> String {
        match (self.root.as_str(), key.as_str()) {
            (root, "") => root.to_owned(),
            ("", key) => key.to_owned(),
            (root, key) => format!("{}/{key}", root.trim_end_matches('/')),
        }
    }

    fn shown(&self, key: &RelPath) -> String {
        if key.is_root() {
            return self.label.clone();
        }
        format!("{}/{key}", self.label.trim_end_matches('/'))
    }

    fn run<T, F>(
        &self,
        ctx: &Ctx<'_>,
        (action, what): (&'static str, String),
        work: impl FnOnce(Arc<Connection>) -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        let done = async { self.line.with(work).await.map_err(|p| p.about(action, &what)) };
        self.net.block(ctx, (action, &what), done)
    }

    async fn store(
        &self,
        connection: &Arc<Connection>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<(), Problem> {
        let path = self.path(put.key);
        if put.is_object && put.len >= RESUMED_FROM {
            self.store_resumed(connection, (&path, put.len), from).await?;
        } else {
            self.store_afresh(connection, (&path, put), from).await?;
        }
        locked(&self.written).push(path);
        Ok(())
    }

    /// Writes to a name of its own, and renames that.
    async fn store_afresh(
        &self,
        connection: &Arc<Connection>,
        (path, put): (&str, &Put<'_>),
        from: &mut dyn ReadSeek,
    ) -> Result<(), Problem> {
        let mode = put.is_object.then_some(OBJECT_MODE);
        let temp = Unfinished::new(connection, tree::unfinished(path, &self.marks.next()));
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUDE;
        let file = self.open_beside(connection, &temp.path, flags, mode).await?;
        transfer::upload(&file, (0, put.len), from, |_| ()).await?;
        file.close().await?;
        tree::rename(connection, (&temp.path, path)).await?;
        temp.keep();
        Ok(())
    }

    /// Writes to a name that the next try finds again, and renames that. Everybody who writes there writes the same
    /// bytes; it is never made shorter.
    async fn store_resumed(
        &self,
        connection: &Arc<Connection>,
        (path, len): (&str, u64),
        from: &mut dyn ReadSeek,
    ) -> Result<(), Problem> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let temp = tree::unfinished(path, name);
        let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
        let mut opened = self.open_beside(connection, &temp, flags, None).await;
        let size = match &opened {
            Ok(file) => file.attributes().await?.size.unwrap_or(0),
            Err(_) => 0,
        };
        let is_denied = opened.as_ref().is_err_and(|err| err.kind == StorageErrorKind::Denied);
        if size > len || is_denied {
            // It is finished but for its name, or nothing of ours.
            tree::remove(connection, &temp).await?;
            locked(&self.begun).remove(&temp);
            opened = self.open_beside(connection, &temp, flags, None).await;
        }
        let file = opened?;
        let size = if size > len { 0 } else { size };
        let sure = locked(&self.begun).get(&temp).copied();
        let begin = match sure {
            Some(sure) if sure <= size => sure,
            // Another run began it. Its bytes may have been others, or lost by the server's crash.
            _ if size > 0 => transfer::same_beginning(&file, size, from).await?,
            _ => 0,
        };
        let note = |done| {
            locked(&self.begun).insert(temp.clone(), done);
        };
        transfer::upload(&file, (begin, len), from, note).await?;
        let size = file.attributes().await?.size;
        if size.is_some_and(|size| size != len) {
            tree::remove(connection, &temp).await?;
            return Err(Problem::new(StorageErrorKind::Temporary, "somebody else wrote there too"));
        }
        file.set_mode(OBJECT_MODE).await?;
        file.close().await?;
        let renamed = tree::rename(connection, (&temp, path)).await;
        locked(&self.begun).remove(&temp);
        match renamed {
            // Somebody else who writes the same was quicker.
            Err(problem) if problem.is_not_found() => {
                let there = tree::stat(connection, path).await?;
                match there.and_then(|there| there.size) {
                    Some(size) if size == len => Ok(()),
                    _ => Err(Problem::new(StorageErrorKind::Temporary, "it was removed")),
                }
            }
            renamed => renamed,
        }
    }

    /// Opens a file; makes its directory when there is none.
    async fn open_beside(
        &self,
        connection: &Arc<Connection>,
        path: &str,
        flags: OpenFlags,
        mode: Option<u32>,
    ) -> Result<OpenFile, Problem> {
        match OpenFile::open(connection, path, flags, mode).await {
            Err(problem) if problem.is_not_found() => {
                tree::make_parents(connection, path, self.is_shared).await?;
                OpenFile::open(connection, path, flags, mode).await
            }
            opened => opened,
        }
    }
}

impl Storage for SshStorage {
    fn label(&self) -> &str {
        &self.label
    }

    fn abilities(&self) -> Abilities {
        Abilities { write: true, list: true, versions: false, is_near: false }
    }

    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.run(ctx, ("look at", self.label.clone()), async |connection| {
            let mut stats = stream::iter(keys.iter().map(|key| self.path(key)))
                .map(|path| {
                    let connection = &connection;
                    async move {
                        tree::stat(connection, if path.is_empty() { "." } else { &path }).await
                    }
                })
                .buffered(REQUESTS);
            let mut found = Vec::with_capacity(keys.len());
            while let Some(attributes) = stats.next().await {
                found.push(attributes?.as_ref().and_then(tree::stat_of));
            }
            Ok(found)
        })
    }

    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        let path = self.path(from.key);
        self.run(ctx, ("read", self.shown(from.key)), async |connection| {
            transfer::download(&connection, (&path, from.offset), into).await
        })
    }

    fn write(
        &self,
        ctx: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        self.run(ctx, ("write", self.shown(put.key)), async |connection| {
            self.store(&connection, put, from).await
        })?;
        Ok(StorageStat { size: Some(put.len), ..StorageStat::default() })
    }

    fn list(
        &self,
        ctx: &Ctx<'_>,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.run(ctx, ("list", self.shown(under)), async |connection| {
            tree::list(&connection, (|dir: &RelPath| self.path(dir), under), depth, found).await
        })
    }

    fn remove(&self, ctx: &Ctx<'_>, keys: &[RelPath]) -> Result<(), StorageError> {
        if keys.is_empty() {
            return Ok(());
        }
        let what = if let [key] = keys { self.shown(key) } else { self.label.clone() };
        self.run(ctx, ("remove", what), async |connection| {
            let mut removed = stream::iter(keys.iter().map(|key| self.path(key)))
                .map(|path| {
                    let connection = &connection;
                    async move { tree::remove(connection, &path).await }
                })
                .buffer_unordered(REQUESTS);
            while let Some(removed) = removed.next().await {
                removed?;
            }
            Ok(())
        })
    }

    fn flush(&self, ctx: &Ctx<'_>) -> Result<(), StorageError> {
        let written = std::mem::take(&mut *locked(&self.written));
        if written.is_empty() {
            return Ok(());
        }
        let flushed = self.run(ctx, ("flush", self.label.clone()), async |connection| {
            let mut synced = stream::iter(&written)
                .map(|path| sync(&connection, path))
                .buffer_unordered(REQUESTS / 4);
            while let Some(synced) = synced.next().await {
                synced?;
            }
            Ok(())
        });
        if flushed.is_err() {
            locked(&self.written).extend(written);
        }
        flushed
    }
}

/// Makes a file durable, where the server knows how to. One that is gone again needs nothing.
async fn sync(connection: &Arc<Connection>, path: &str) -> Result<(), Problem> {
    if !connection.traits.syncs {
        return Ok(());
    }
    let done = async {
        let file = OpenFile::open(connection, path, OpenFlags::READ, None).await?;
        file.sync().await?;
        file.close().await
    };
    match done.await {
        Err(problem) if problem.is_not_found() => Ok(()),
        Err(problem) if problem.status == Some(StatusCode::OpUnsupported) => Ok(()),
        done => done,
    }
}

/// An unfinished file, removed in the background unless it is kept.
struct Unfinished {
    connection: Arc<Connection>,
    path: String,
    is_kept: bool,
}

impl Unfinished {
    fn new(connection: &Arc<Connection>, path: String) -> Self {
        Self { connection: Arc::clone(connection), path, is_kept: false }
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (connection, path) = (Arc::clone(&self.connection), std::mem::take(&mut self.path));
            runtime.spawn(async move { tree::remove(&connection, &path).await.is_ok() });
        }
    }
}
