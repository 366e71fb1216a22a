//! Data from elsewhere: other repositories, directories, buckets and servers.
//!
//! What is imported is recorded in a `.dvc` file with where it came from ([`Project::import`]), brought up to date when
//! asked ([`Project::update`]) and fetched again from there ([`Project::fetch_imports`]); it never goes to a remote. What
//! is only fetched or listed needs no project ([`get`], [`get_url`], [`list`], [`list_url`]).
//!
//! How a stranger's repository is read, and what of it is not trusted, stands in `external.rs`.

mod address;
mod bring;
mod corner;
mod entry;
mod error;
mod external;
mod fetch;
mod files;
mod get;
mod list;
mod plan;
mod record;
mod to_remote;
mod update;
mod url;
mod worktree;

pub use entry::RepoEntry;
pub use error::{ImportError, OfImportsOnly};
pub use external::RepoRequest;
pub use fetch::{FetchedImports, RepositoryImport};
pub use get::{
    Destination, GetReport, GetRequest, GetUrlRequest, Odd, OddKind, get, get_url, storage_url,
};
pub use list::{
    DiskUsage, ListRequest, ListUrlRequest, Summarize, TreeNode, UrlEntry, UrlListing,
    directory_size, disk_usage, list, list_tree, list_url, url_tree,
};
pub use plan::{Extent, ImportPlan, ImportRequest, ImportUrlRequest, Imported, ToRemote};
pub use update::{UpdateEffect, UpdateRequest, UpdateStep};
pub(crate) use url::{AtUrl, look_at, mark_of};

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::Path;

use exp_cache::{Remote, StorageErrorKind, TransferError};
use exp_core::{Ctx, ObjectId, RelPath};

use crate::error::Error;
#[cfg(doc)]
use crate::project::Project;

/// Files that are received at once when nobody says otherwise.
const JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// How every pointer of Git LFS begins, and how long one is at most.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";
const LFS_MAX: u64 = 1024;

/// Writes an object to the empty file `into`, from the first of `remotes` that has it, and returns its size.
fn receive_from(
    ctx: &Ctx<'_>,
    remotes: &[Remote],
    (id, url, path): (&ObjectId, &str, &RelPath),
    into: &mut File,
) -> Result<u64, Error> {
    let mut last = None;
    for remote in remotes {
        match exp_cache::download_object(ctx, remote, id, into) {
            Ok(size) => return Ok(size),
            Err(TransferError::Remote { source, .. })
                if source.kind == StorageErrorKind::NotFound => {}
            Err(TransferError::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => last = Some(error),
        }
    }
    let missing = || ImportError::MissingObjects { url: url.to_owned(), paths: vec![path.clone()] };
    Err(last.map_or_else(missing, ImportError::from).into())
}

/// Returns whether the file at `path`, of `size` bytes, is a pointer of Git LFS.
fn lfs_pointer(path: &Path, size: u64) -> bool {
    let mut begin = vec![0; LFS.len()];
    size <= LFS_MAX
        && File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
        && begin == LFS
}
