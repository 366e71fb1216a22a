//! A temporary project: a workspace and a store beside it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use exp_cache::{Cache, CacheOptions, LinkKind, NoFilter, Relink};
use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId};
use tempfile::TempDir;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

pub(crate) struct Scratch {
    dir: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn cache(&self) -> Cache {
        self.cache_with(&[LinkKind::Reflink, LinkKind::Copy])
    }

    pub(crate) fn cache_with(&self, links: &[LinkKind]) -> Cache {
        Cache::open(&self.path("cache"), self.options(links)).unwrap()
    }

    pub(crate) fn options(&self, links: &[LinkKind]) -> CacheOptions {
        CacheOptions {
            links: links.to_vec(),
            memo: Some(self.path("memo/stat.db")),
            ..CacheOptions::new(Algorithm::Md5)
        }
    }

    /// Everything below `name`: `type mode content` by path.
    pub(crate) fn list(&self, name: &str) -> BTreeMap<String, String> {
        let mut list = BTreeMap::new();
        let root = self.path(name);
        let mut open = vec![root.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                let key = path.strip_prefix(&root).unwrap().display().to_string();
                let mode = metadata.permissions().mode() & 0o7777;
                if metadata.is_symlink() {
                    let to = fs::read_link(&path).unwrap();
                    list.insert(key, format!("-> {}", to.display()));
                } else if metadata.is_dir() {
                    list.insert(key, format!("dir {mode:o}"));
                    open.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    list.insert(key, format!("{mode:o} {}", String::from_utf8_lossy(&bytes)));
                }
            }
        }
        list
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Gives an object other bytes and all the looks of one that nobody touched.
pub(crate) fn rot(object: &Path, bytes: impl AsRef<[u8]>) {
    let looks = fs::metadata(object).unwrap();
    set_mode(object, 0o644);
    fs::write(object, bytes).unwrap();
    set_written(object, looks.modified().unwrap());
    set_mode(object, looks.permissions().mode());
}

pub(crate) fn set_written(path: &Path, time: SystemTime) {
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

pub(crate) fn add(cache: &Cache, path: &Path) -> Artifact {
    cache.add(&Ctx::silent(), path, &NoFilter, Relink::Yes).unwrap()
}

/// Every object that has a name has its bytes, and every manifest its members.
#[track_caller]
pub(crate) fn assert_store_is_whole(scratch: &Scratch, what: &str) {
    if !scratch.path("cache/files/md5").exists() {
        return;
    }
    let cache = scratch.cache();
    for (path, content) in scratch.list("cache/files/md5") {
        if content.starts_with("dir") {
            continue;
        }
        let bytes = fs::read(scratch.path("cache/files/md5").join(&path)).unwrap();
        let name = path.replace('/', "");
        let id = ObjectId::parse(Algorithm::Md5, &name).unwrap();
        assert_eq!(Digest::of(Algorithm::Md5, &bytes), id.digest, "{what}: half object {path}");
        let artifact = Artifact { id, size: None, n_files: None, is_exec: false };
        assert!(cache.has_all(&artifact).unwrap(), "{what}: incomplete {path}");
    }
}
