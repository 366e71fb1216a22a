//! A content-addressed store in DVC's layout: objects, directory manifests, recorded runs, remotes.
//!
//! It knows nothing of Git, of stages and of the files that name its objects: paths and digests come in, files and
//! digests go out.
//!
//! ```
//! use exp_cache::{Cache, CacheOptions, NoFilter, Relink};
//! use exp_core::{Algorithm, Ctx};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let data = dir.path().join("data");
//! std::fs::create_dir(&data)?;
//! std::fs::write(data.join("a.txt"), "hello")?;
//!
//! let ctx = Ctx::silent();
//! let cache = Cache::open(&dir.path().join("cache"), CacheOptions::new(Algorithm::Md5))?;
//! let artifact = cache.add(&ctx, &data, &NoFilter, Relink::Yes)?;
//! std::fs::remove_dir_all(&data)?;
//!
//! let plan = cache.plan_checkout(&ctx, Some(&artifact), &data, &NoFilter)?;
//! assert_eq!(plan.writes().len(), 1);
//! cache.checkout(&ctx, plan)?;
//! assert_eq!(std::fs::read_to_string(data.join("a.txt"))?, "hello");
//! # Ok(())
//! # }
//! ```

mod cache;
mod checkout;
mod content;
mod disk;
mod error;
mod gc;
mod ingest;
mod intake;
mod layout;
mod link;
mod look;
mod memo;
mod migrate;
mod mount;
mod pins;
mod place;
mod remote;
mod runs;
mod session;
mod stage;
mod stock;
mod storage;
#[cfg(feature = "testing")]
pub mod testing;
mod transfer;
mod tree;
mod verify;
mod walk;

pub use cache::{Cache, CacheOptions};
pub use checkout::{CheckoutPlan, CheckoutStats, CheckoutWrite};
pub use disk::Modes;
pub use error::CacheError;
pub use gc::{GcOptions, GcPlan, GcStats, Keep, StoredObject};
pub use ingest::Relink;
pub use intake::{Incoming, download, download_object, take_in};
pub use link::{LinkKind, LinkKindError};
pub use migrate::Migration;
pub use mount::is_in_place;
pub use remote::Remote;
pub use runs::{RunCache, RunEntry, RunId};
pub use storage::{
    Abilities, AddressError, Depth, DirStorage, Listed, OpenDirectories, OpenStorage, Put,
    ReadFrom, ReadSeek, Storage, StorageAddress, StorageError, StorageErrorKind, StorageStat,
};
pub use transfer::{
    Comparison, TransferError, TransferPlan, TransferStats, Version, VersionedFile,
    VersionedObjects, VersionedStats, Wanted, compare, plan_pull, plan_pull_parts, plan_push,
    plan_push_parts, pull, pull_runs, push, push_path, push_runs, push_versions,
};
pub use tree::{Tree, TreeEntry, TreeError, keeps_exec};
pub use walk::{Filter, NoFilter};
