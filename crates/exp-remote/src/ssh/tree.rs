//! Directories and names on the server.

use std::ops::ControlFlow;
use std::sync::Arc;

use exp_cache::{Depth, Listed, StorageErrorKind, StorageStat};
use exp_core::RelPath;
use futures_util::future::join_all;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, Packet, StatusCode};

use super::connection::{Connection, POSIX_RENAME};
use super::problem::Problem;
use super::transfer::OpenFile;
use crate::unfinished;

/// Directories that are read at once.
const DIRS: usize = 32;

/// Requests for names of one directory that are under way at once.
const PAGES: usize = 4;

/// Returns the path of an unfinished file beside `path`.
pub(super) fn unfinished(path: &str, mark: &str) -> String {
    let dir = path.rfind('/').map_or("", |slash| &path[..=slash]);
    format!("{dir}{}", unfinished::name(mark))
}

/// Returns what a server says about a file; `None` for what is no file.
pub(super) fn stat_of(attributes: &FileAttributes) -> Option<StorageStat> {
    // Servers need not tell the kind of a thing.
    let is_file = attributes.permissions.is_none_or(|mode| mode & 0o170_000 == 0)
        || attributes.file_type().is_file();
    is_file.then(|| StorageStat {
        size: attributes.size,
        modified: attributes.mtime.map(i64::from),
        ..StorageStat::default()
    })
}

/// Returns what is at `path`, links followed.
pub(super) async fn stat(
    connection: &Arc<Connection>,
    path: &str,
) -> Result<Option<FileAttributes>, Problem> {
    let lease = connection.lease().await?;
    match lease.ask(lease.sftp().stat(path)).await {
        Ok(attrs) => Ok(Some(attrs.attrs)),
        Err(problem) if problem.is_not_found() => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Removes a file; one that is not there is fine.
pub(super) async fn remove(connection: &Arc<Connection>, path: &str) -> Result<(), Problem> {
    let lease = connection.lease().await?;
    match lease.ask(lease.sftp().remove(path)).await {
        Err(problem) if !problem.is_not_found() => Err(problem),
        _ => Ok(()),
    }
}

/// Makes the directory that `path` is in, and those above it; open to its group when `is_shared`.
pub(super) async fn make_parents(
    connection: &Arc<Connection>,
    path: &str,
    is_shared: bool,
) -> Result<(), Problem> {
    let mut missing = Vec::new();
    let mut dir = path;
    while let Some((above, _)) = dir.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        dir = above;
        match make_dir(connection, dir, is_shared).await {
            // There is nothing above it yet.
            Err(problem) if problem.is_not_found() => missing.push(dir),
            made => {
                made?;
                break;
            }
        }
    }
    for dir in missing.into_iter().rev() {
        make_dir(connection, dir, is_shared).await?;
    }
    Ok(())
}

async fn make_dir(connection: &Arc<Connection>, dir: &str, is_shared: bool) -> Result<(), Problem> {
    let lease = connection.lease().await?;
    match lease.ask(lease.sftp().mkdir(dir, FileAttributes::default())).await {
        Ok(_) if is_shared => {
            let open = FileAttributes { permissions: Some(0o2775), ..FileAttributes::default() };
            lease.ask(lease.sftp().setstat(dir, open)).await.map(|_| ())
        }
        Ok(_) => Ok(()),
        Err(problem) if problem.is_cut || problem.is_not_found() => Err(problem),
        // What is there already is refused in many words.
        Err(problem) => match stat(connection, dir).await? {
            Some(there) if there.is_dir() => Ok(()),
            _ => Err(problem),
        },
    }
}

/// Renames over what may be there.
pub(super) async fn rename(
    connection: &Arc<Connection>,
    (from, to): (&str, &str),
) -> Result<(), Problem> {
    let lease = connection.lease().await?;
    if lease.traits().renames_over {
        let mut data = Vec::new();
        for path in [from, to] {
            let len = u32::try_from(path.len()).unwrap_or(u32::MAX);
            data.extend_from_slice(&len.to_be_bytes());
            data.extend_from_slice(path.as_bytes());
        }
        let request = async {
            match lease.sftp().extended(POSIX_RENAME, data).await? {
                Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
                Packet::Status(status) => Err(SftpError::Status(status)),
                _ => Err(SftpError::UnexpectedPacket),
            }
        };
        return lease.ask(request).await;
    }
    // The protocol's own rename refuses what is there.
    match lease.ask(lease.sftp().rename(from, to)).await {
        Err(problem) if problem.status == Some(StatusCode::Failure) => {
            remove(connection, to).await?;
            lease.ask(lease.sftp().rename(from, to)).await.map(|_| ())
        }
        renamed => renamed.map(|_| ()),
    }
}

/// One thing in a directory: its name, and what it is with links followed. A link to a directory is not gone into.
struct Entry {
    name: String,
    attributes: FileAttributes,
    is_link: bool,
}

/// Tells `found` what is below a directory.
pub(super) async fn list(
    connection: &Arc<Connection>,
    (path_of, under): (impl Fn(&RelPath) -> String, &RelPath),
    depth: Depth,
    found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
) -> Result<(), Problem> {
    let read = |dir: RelPath| {
        let path = path_of(&dir);
        async move { (dir, read_dir(connection, &path).await) }
    };
    let mut waiting = vec![under.clone()];
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < DIRS
            && let Some(dir) = waiting.pop()
        {
            under_way.push(read(dir));
        }
        let Some((dir, entries)) = under_way.next().await else { return Ok(()) };
        for entry in entries? {
            let key = dir.join(&entry.name).map_err(|err| {
                Problem::new(StorageErrorKind::Other, format!("`{}` is no name: {err}", entry.name))
            })?;
            let (is_dir, stat) = match stat_of(&entry.attributes) {
                Some(_) if unfinished::is_unfinished(&entry.name) => continue,
                Some(stat) => (false, stat),
                None if !entry.attributes.file_type().is_dir() => continue,
                None => (true, StorageStat::default()),
            };
            if is_dir && depth == Depth::All {
                if !entry.is_link {
                    waiting.push(key);
                }
            } else if found(Listed { key, is_dir, stat }).is_break() {
                return Ok(());
            }
        }
    }
}

async fn read_dir(connection: &Arc<Connection>, path: &str) -> Result<Vec<Entry>, Problem> {
    let path = if path.is_empty() { "." } else { path };
    let dir = match OpenFile::open_dir(connection, path).await {
        Ok(dir) => dir,
        Err(problem) if problem.is_not_found() => return Ok(Vec::new()),
        Err(problem) => return Err(problem),
    };
    let mut entries = Vec::new();
    'pages: loop {
        let page = || dir.lease().ask(dir.lease().sftp().readdir(dir.handle()));
        for page in join_all((0..PAGES).map(|_| page())).await {
            let page = match page {
                Err(problem) if problem.status == Some(StatusCode::Eof) => break 'pages,
                page => page?,
            };
            for file in page.files.into_iter().filter(|f| f.filename != "." && f.filename != "..") {
                if file.filename.contains(char::REPLACEMENT_CHARACTER) {
                    let reason = format!("the name `{}` in `{path}` is not UTF-8", file.filename);
                    return Err(Problem::new(StorageErrorKind::Other, reason));
                }
                let is_link = file.attrs.file_type().is_symlink();
                entries.push(Entry { name: file.filename, attributes: file.attrs, is_link });
            }
        }
    }
    dir.close().await?;
    follow_links(connection, path, entries).await
}

/// Finds out what links lead to; those that lead nowhere are left out.
async fn follow_links(
    connection: &Arc<Connection>,
    path: &str,
    entries: Vec<Entry>,
) -> Result<Vec<Entry>, Problem> {
    let (links, mut entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| e.is_link);
    let mut followed = stream::iter(links)
        .map(|link| async move {
            let at = format!("{}/{}", path.trim_end_matches('/'), link.name);
            let attributes = stat(connection, &at).await?;
            Ok::<_, Problem>(attributes.map(|attributes| Entry { attributes, ..link }))
        })
        .buffer_unordered(DIRS);
    while let Some(entry) = followed.next().await {
        entries.extend(entry?);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_is_beside_the_finished_one() {
        assert_eq!(unfinished("/a/b/c", "c"), "/a/b/.exp-c.tmp");
        assert_eq!(unfinished("c", "x"), ".exp-x.tmp");
        assert_eq!(unfinished("/c", "x"), "/.exp-x.tmp");
    }
}
