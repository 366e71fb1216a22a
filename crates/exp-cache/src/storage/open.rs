//! Opening a storage by its address.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{DirStorage, Storage};
use crate::disk::Modes;

/// Where a storage is, and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageAddress {
    /// A URL of any scheme, or the absolute path of a directory.
    pub url: String,
    /// Options by their names in DVC's configuration, secrets among them: `region`, `password`.
    pub options: BTreeMap<String, String>,
    /// Permissions of what is made, where there are permissions.
    pub modes: Modes,
}

impl fmt::Debug for StorageAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both the address and the values may hold secrets.
        f.debug_struct("StorageAddress")
            .field("scheme", &self.scheme())
            .field("options", &self.options.keys())
            .finish_non_exhaustive()
    }
}

impl StorageAddress {
    /// Returns the scheme of the URL in lower case; empty for a directory.
    pub fn scheme(&self) -> String {
        match self.url.split_once("://") {
            Some((scheme, _)) => scheme.to_ascii_lowercase(),
            None => String::new(),
        }
    }
}

/// Why an address cannot be used. Nobody was asked yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing here knows this kind of address.
    #[error("addresses that begin with `{scheme}://` are not supported")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The address itself is wrong.
    #[error("`{shown}` is no address of this kind: {reason}")]
    Url {
        /// The address without secrets.
        shown: String,
        /// What is wrong.
        reason: String,
    },
    /// An option is wrong, or missing.
    #[error("option `{name}`: {reason}")]
    Option {
        /// Its name.
        name: String,
        /// What is wrong. Never the value of a secret.
        reason: String,
    },
}

/// Opens storages by address. Opening asks nobody; the first use of the storage does.
pub trait OpenStorage: Send + Sync + fmt::Debug {
    /// Opens the storage at `address`.
    fn open(&self, address: &StorageAddress) -> Result<Arc<dyn Storage>, AddressError>;
}

/// Opens directories and nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenDirectories;

impl OpenStorage for OpenDirectories {
    fn open(&self, address: &StorageAddress) -> Result<Arc<dyn Storage>, AddressError> {
        match address.scheme().as_str() {
            "" => Ok(Arc::new(DirStorage::new(Path::new(&address.url), address.modes))),
            scheme => Err(AddressError::Scheme { scheme: scheme.to_owned() }),
        }
    }
}
