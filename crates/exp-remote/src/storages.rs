//! Opening a storage by its address.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use exp_cache::{AddressError, OpenDirectories, OpenStorage, Storage, StorageAddress};

use crate::bucket;
use crate::http;
use crate::runtime::Net;
use crate::ssh;
use crate::webdav;

/// What of the process around may be used to reach storages. A library does not look it up by itself.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment variables, for the credentials and proxies that they may name.
    pub env: BTreeMap<String, String>,
    /// The home directory, for the configuration files of `ssh`, AWS and others.
    pub home: Option<PathBuf>,
}

/// Opens directories and the storage services of this crate. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Storages {
    surroundings: Arc<Surroundings>,
    net: Net,
}

impl Storages {
    /// Opens storages with what the surroundings have.
    pub fn new(surroundings: Surroundings) -> Self {
        Self { surroundings: Arc::new(surroundings), net: Net::default() }
    }

    /// Returns what was given.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }
}

impl OpenStorage for Storages {
    fn open(&self, address: &StorageAddress) -> Result<Arc<dyn Storage>, AddressError> {
        let (around, net) = (&*self.surroundings, &self.net);
        match address.scheme().as_str() {
            "" => OpenDirectories.open(address),
            "s3" => bucket::s3(address, around, net),
            "gs" | "gcs" => bucket::gcs(address, around, net),
            "azure" => bucket::azure(address, around, net),
            "ssh" | "sftp" => ssh::ssh(address, around, net),
            "http" | "https" => http::http(address, around, net),
            "webdav" | "webdavs" => webdav::webdav(address, around, net),
            scheme => Err(AddressError::Scheme { scheme: scheme.to_owned() }),
        }
    }
}
