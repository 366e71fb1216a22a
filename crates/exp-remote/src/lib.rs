//! Storage services that hold objects: S3 and its compatibles, Google Cloud Storage, Azure Blob Storage, SSH, HTTP and
//! WebDAV, behind [`exp_cache::Storage`].

mod bucket;
mod given;
mod http;
mod runtime;
mod ssh;
mod storages;
mod unfinished;
mod webdav;

pub use storages::{Storages, Surroundings};
