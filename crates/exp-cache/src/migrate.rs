//! From the layout of DVC 2 to today's: every object also under the digest of its bytes as they are.
//!
//! DVC 2 named text by its MD5 with line ends changed. Migrating reads each such object, checks it against its old name,
//! and links it to the name that the store gives new objects. Manifests are written anew, for they list old names. The
//! old names stay: other revisions use them.

use std::collections::BTreeMap;

use exp_core::{Algorithm, Ctx, ObjectId, TaskLabel, Unit};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::content::digest_file;
use crate::error::{CacheError, io_error};
use crate::ingest::Staged;
use crate::tree::{Tree, TreeEntry};

/// Objects that become durable together.
const PART: usize = 256;

/// What a migration did.
#[derive(Debug, Default)]
pub struct Migration {
    /// The new name of each old object.
    pub names: BTreeMap<ObjectId, ObjectId>,
    /// How many of the new names were not there before.
    pub n_new: u64,
    /// Old objects that stay as they are, each with the reason: damaged, or a directory of which files are missing.
    pub left: Vec<(ObjectId, CacheError)>,
}

impl Cache {
    /// Returns the objects that have names as DVC 2 gave them, ordered.
    ///
    /// # Errors
    ///
    /// When the store cannot be listed.
    pub fn old_objects(&self, ctx: &Ctx<'_>) -> Result<Vec<ObjectId>, CacheError> {
        let mut ids = Vec::new();
        self.each_object(ctx, &mut |object| {
            if object.id.digest.algorithm() == Algorithm::Md5Dos2Unix {
                ids.push(object.id);
            }
        })?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Gives all old objects new names, too. Doing it again does nothing.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written; what was named until then stays.
    pub fn migrate(&self, ctx: &Ctx<'_>) -> Result<Migration, CacheError> {
        let old = self.old_objects(ctx)?;
        let (trees, files): (Vec<ObjectId>, Vec<_>) = old.into_iter().partition(ObjectId::is_tree);
        let total = (trees.len() + files.len()) as u64;
        let task = ctx.task(TaskLabel::Hash, Some(total), Unit::Files);
        let mut done = Migration::default();
        let _writer = self.enter()?;
        for part in files.chunks(PART) {
            let named: Vec<_> =
                part.par_iter().map(|id| (*id, self.rename_file(ctx, id))).collect();
            let mut staged = Vec::new();
            for (id, named) in named {
                match named {
                    Ok((new, one)) => {
                        done.names.insert(id, new);
                        staged.extend(one);
                    }
                    Err(CacheError::Cancelled(cancelled)) => return Err(cancelled.into()),
                    Err(err @ (CacheError::Corrupt { .. } | CacheError::Missing { .. })) => {
                        done.left.push((id, err));
                    }
                    Err(err) => return Err(err),
                }
            }
            self.pin_entered(staged.iter().map(|one| one.id))?;
            done.n_new += staged.len() as u64;
            self.publish(staged)?;
            task.advance(part.len() as u64);
        }
        for id in trees {
            ctx.check()?;
            match self.rename_tree(&id, &done.names) {
                Ok(tree) => {
                    let new = tree.id();
                    done.n_new += u64::from(!self.contains(&new));
                    self.store_tree(&tree)?;
                    done.names.insert(id, new);
                }
                Err(
                    err @ (CacheError::Corrupt { .. }
                    | CacheError::Missing { .. }
                    | CacheError::Manifest { .. }),
                ) => done.left.push((id, err)),
                Err(err) => return Err(err),
            }
            task.advance(1);
        }
        Ok(done)
    }

    fn rename_file(
        &self,
        ctx: &Ctx<'_>,
        id: &ObjectId,
    ) -> Result<(ObjectId, Option<Staged>), CacheError> {
        let path = self.object_path(id);
        let found = digest_file(ctx, id.digest.algorithm(), &path)?;
        if found != id.digest {
            return Err(CacheError::Corrupt { id: *id, found });
        }
        let new = ObjectId::file(digest_file(ctx, self.algorithm(), &path)?);
        if self.contains(&new) {
            return Ok((new, None));
        }
        let temp = self.session()?.temp();
        if self.0.disk.hard_link(&path, temp.path()).is_err() {
            crate::link::copy(&self.0.disk, &path, temp.path()).map_err(io_error("copy", &path))?;
        }
        self.make_read_only(&temp)?;
        Ok((new, Some(Staged { id: new, temp })))
    }

    fn rename_tree(
        &self,
        id: &ObjectId,
        names: &BTreeMap<ObjectId, ObjectId>,
    ) -> Result<Tree, CacheError> {
        let old = self.read_tree(id)?;
        let rename = |one: &TreeEntry| {
            let file = ObjectId::file(one.digest);
            let new = names.get(&file).ok_or(CacheError::Missing { id: file })?;
            Ok(TreeEntry { digest: new.digest, ..one.clone() })
        };
        let entries: Result<Vec<TreeEntry>, CacheError> =
            old.entries().iter().map(rename).collect();
        let tree = Tree::new(self.algorithm(), entries?);
        tree.map_err(|source| CacheError::Manifest { id: *id, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CacheOptions;
    use crate::content::digest_bytes;
    use exp_core::Digest;
    use std::fs;

    /// As DVC 2 named it: with line ends changed.
    fn old_name(bytes: &[u8]) -> Digest {
        digest_bytes(Algorithm::Md5Dos2Unix, bytes)
    }

    #[test]
    fn old_objects_get_new_names_and_keep_the_old_ones() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), CacheOptions::new(Algorithm::Md5)).unwrap();
        let put = |id: &ObjectId, bytes: &[u8]| {
            let path = cache.object_path(id);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let text = b"a\r\nb\r\n";
        let file = ObjectId::file(old_name(text));
        put(&file, text);
        let manifest = format!("[{{\"md5\": \"{}\", \"relpath\": \"t\"}}]", file.digest.to_hex());
        let tree = ObjectId::tree(old_name(manifest.as_bytes()));
        put(&tree, manifest.as_bytes());
        let damaged = ObjectId::file(old_name(b"x"));
        put(&damaged, b"y");

        let ctx = Ctx::silent();
        let done = cache.migrate(&ctx).unwrap();
        assert_eq!((done.names.len(), done.n_new, done.left.len()), (2, 2, 1));
        let new = ObjectId::file(Digest::of(Algorithm::Md5, text));
        assert_eq!(done.names[&file], new);
        assert_eq!(cache.read_bytes(&new).unwrap(), text);
        let listed = cache.read_tree(&done.names[&tree]).unwrap();
        assert_eq!(listed.get("t"), Some(&new.digest));
        assert!(cache.contains(&file) && cache.contains(&tree));
        assert_eq!(cache.migrate(&ctx).unwrap().n_new, 0);
    }
}
