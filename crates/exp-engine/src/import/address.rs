//! Opening an address that data comes from: a path, a URL, or a place on a configured remote.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exp_cache::{Depth, DirStorage, Incoming, Modes, Storage, StorageAddress, StorageStat};
use exp_core::{Ctx, RelPath};

use super::error::ImportError;
use crate::config::{Config, shown_url};
use crate::error::Error;
use crate::project::ProjectOptions;

/// What kind of place it is, as far as a record of it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// A path of this machine.
    Local,
    /// A server that is asked file by file; `checksum` is its mark.
    Http,
    /// A bucket or a WebDAV server; `etag` is its mark.
    Bucket,
    /// A place without marks, such as SSH: content is what tells.
    Content,
}

/// An address that data comes from.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: PlaceKind,
    pub(super) storage: Arc<dyn Storage>,
    /// For people, without a password.
    pub(super) shown: String,
    /// The path of this machine.
    pub(super) local: Option<PathBuf>,
}

/// What is at a place.
#[derive(Debug)]
pub(super) enum Content {
    /// A file.
    File(Incoming),
    /// A directory: its files by key.
    Dir(Vec<Incoming>),
}

impl Place {
    /// Returns what the other side says about the address itself; `None` when no file is there.
    pub(super) fn stat(&self, ctx: &Ctx<'_>) -> Result<Option<StorageStat>, Error> {
        let stat = self.storage.stat(ctx, &[RelPath::root()]).map_err(ImportError::from)?;
        Ok(stat.into_iter().next().flatten())
    }

    /// Returns whether it is a directory of this machine with nothing in it.
    pub(super) fn is_empty_dir(&self) -> bool {
        self.local.as_deref().is_some_and(Path::is_dir)
    }

    /// Returns what is there.
    ///
    /// # Errors
    ///
    /// When the other side is not reached, or has nothing there.
    pub(super) fn look(&self, ctx: &Ctx<'_>) -> Result<Content, Error> {
        let incoming = |key: RelPath, stat: StorageStat| Incoming { key, version: None, stat };
        if let Some(stat) = self.stat(ctx)? {
            return Ok(Content::File(incoming(RelPath::root(), stat)));
        }
        let mut files = Vec::new();
        if self.storage.abilities().list {
            let mut found = |listed: exp_cache::Listed| {
                if !listed.is_dir && !listed.key.is_root() {
                    files.push(incoming(listed.key, listed.stat));
                }
                ControlFlow::Continue(())
            };
            self.storage
                .list(ctx, &RelPath::root(), Depth::All, &mut found)
                .map_err(ImportError::from)?;
        }
        if files.is_empty() && !self.is_empty_dir() {
            return Err(ImportError::Absent { url: self.shown.clone() }.into());
        }
        files.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Content::Dir(files))
    }
}

/// Opens an address: `remote://name/path` by the configuration, any other URL by its scheme with `fs_config` as options,
/// anything else as a path relative to the first of `bases` where something is.
///
/// # Errors
///
/// When the remote is not configured, or the address cannot be used.
pub(super) fn open_place(
    (url, bases): (&str, &[PathBuf]),
    (config, fs_config): (&Config, &BTreeMap<String, String>),
    options: &ProjectOptions,
) -> Result<Place, Error> {
    let modes = Modes { umask: options.umask, group_shared: false };
    let (address, mut configured) = match url.strip_prefix("remote://") {
        Some(rest) => {
            let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
            let remote = config.remote(name)?;
            let base = remote.url.trim_end_matches('/');
            let address = if path.is_empty() { base.to_owned() } else { format!("{base}/{path}") };
            (address, remote.exposed())
        }
        None => (url.to_owned(), BTreeMap::new()),
    };
    let path = address.strip_prefix("file://").unwrap_or(&address);
    if !path.contains("://") {
        let candidates = || bases.iter().map(|base| base.join(path));
        let found = candidates().find(|path| path.exists()).or_else(|| candidates().next());
        let path = found.unwrap_or_else(|| PathBuf::from(path));
        return Ok(Place {
            kind: PlaceKind::Local,
            storage: Arc::new(DirStorage::new(&path, modes)),
            shown: shown_url(url),
            local: Some(path),
        });
    }
    configured.extend(fs_config.iter().map(|(key, value)| (key.clone(), value.clone())));
    let address = StorageAddress { url: address, options: configured, modes };
    let kind = match address.scheme().as_str() {
        "http" | "https" => PlaceKind::Http,
        "ssh" | "sftp" => PlaceKind::Content,
        _ => PlaceKind::Bucket,
    };
    let storage = options.storages.open(&address).map_err(ImportError::from)?;
    Ok(Place { kind, storage, shown: shown_url(url), local: None })
}
