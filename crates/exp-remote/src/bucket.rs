//! Object stores with buckets: S3 and its compatibles, Google Cloud Storage, Azure Blob Storage.
//!
//! One storage over an `opendal` operator serves all of them; what is different is how the operator is built from the
//! options of DVC's configuration. The HTTP below it is ours, so that a server that stands still is noticed.

mod aim;
mod azure;
mod fault;
mod gcs;
mod list;
mod mark;
mod options;
mod profile;
mod read;
mod s3;
mod storage;
mod transport;
mod write;

pub(crate) use azure::open as azure;
pub(crate) use gcs::open as gcs;
pub(crate) use s3::open as s3;
