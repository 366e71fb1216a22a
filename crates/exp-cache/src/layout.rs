//! Where objects and recorded runs live below a root.
//!
//! The same for a store and for a remote; DVC's layout:
//!
//! ```text
//! files/md5/ab/cdef…        a file's bytes          files/sha256/ab/cdef…
//! files/md5/ab/cdef….dir    a directory's manifest  files/sha256/ab/cdef….dir
//! ab/cdef…[.dir]            both, as DVC 2 stored them (md5-dos2unix)
//! runs/<k2>/<key>/<value>   a recorded run
//! ```

use std::path::{Path, PathBuf};

use exp_core::{Algorithm, Digest, ObjectId};

/// A root that holds objects in DVC's layout.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn object(&self, id: &ObjectId) -> PathBuf {
        self.root.join(Self::key(id))
    }

    /// The directory that the object is in.
    pub(crate) fn shard(&self, id: &ObjectId) -> PathBuf {
        let mut path = self.object(id);
        path.pop();
        path
    }

    /// The key of the object in a storage that has this layout.
    pub(crate) fn key(id: &ObjectId) -> String {
        let name = id.to_string();
        let (shard, rest) = name.split_at(2);
        match id.digest.algorithm() {
            Algorithm::Md5Dos2Unix => format!("{shard}/{rest}"),
            algorithm => format!("files/{}/{shard}/{rest}", algorithm.name()),
        }
    }

    /// The directory of the runs recorded under `key`.
    pub(crate) fn runs(&self, key: &Digest) -> PathBuf {
        let name = key.to_hex();
        self.all_runs().join(&name[..2]).join(&name)
    }

    pub(crate) fn all_runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Where a store keeps its locks and unfinished files. DVC skips the name: it has not two letters.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Where beginnings of large objects wait for the rest; files named as objects are.
    pub(crate) fn partial(&self) -> PathBuf {
        self.temporary().join("partial")
    }
}
