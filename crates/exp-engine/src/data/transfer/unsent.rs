//! What is recorded in the workspace and not on its remote.

use std::collections::{BTreeMap, BTreeSet};

use exp_cache::{Tree, compare};
use exp_core::{Ctx, ObjectId, RelPath};

use super::DataTransferRequest;
use super::wanted::{DataWants, Direction};
use crate::data::Granularity;
use crate::error::Error;
use crate::project::Project;
use crate::sync::SyncError;

impl Project {
    /// Returns what is recorded in the workspace and not on its remote, ordered by path; directories end in `/`. What
    /// has no remote is on none. Outputs that are kept from remotes do not count.
    ///
    /// Only `paths` and what lies below them are looked at; everything when there are none.
    ///
    /// # Errors
    ///
    /// When a pipeline file cannot be read, or a remote fails.
    pub fn not_in_remote(
        &self,
        ctx: &Ctx<'_>,
        (paths, granularity): (&[RelPath], Granularity),
        remote: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        if remote.is_some() {
            self.any_remote(remote)?;
        }
        let request = DataTransferRequest::default();
        let wants = DataWants::of(self, &request, Direction::Send)?;
        let mut absent: BTreeSet<ObjectId> = BTreeSet::new();
        let mut trees: BTreeMap<ObjectId, Tree> = BTreeMap::new();
        for (name, wanted) in wants.by_remote(self, remote) {
            if let Some(open) = self.opened(name.as_deref(), &request)? {
                let keeps_versions = open.keeps_versions();
                let open = open.with_versions(&wants.versions);
                let found =
                    compare(ctx, self.cache(), &open.remote, &wanted).map_err(SyncError::from)?;
                let gone = found.objects.iter().filter(|(_, _, there)| !there);
                absent.extend(gone.map(|(id, _, _)| *id));
                if keeps_versions {
                    // It has no manifests: a directory is there when its files are.
                    let lacks = |tree: &Tree| {
                        tree.entries()
                            .iter()
                            .any(|one| absent.contains(&ObjectId::file(one.digest)))
                    };
                    let parts: Vec<ObjectId> = found
                        .trees
                        .iter()
                        .filter(|(_, tree)| lacks(tree))
                        .map(|(id, _)| *id)
                        .collect();
                    absent.extend(parts);
                }
                trees.extend(found.trees);
                continue;
            }
            for id in wanted.roots() {
                absent.insert(id);
                if let Ok(tree) = self.cache().read_tree(&id) {
                    absent.extend(wanted.members(&id, &tree));
                    trees.insert(id, tree);
                }
            }
        }
        let mut unsent = BTreeSet::new();
        let is_shown =
            |path: &RelPath| paths.is_empty() || paths.iter().any(|one| path.starts_with(one));
        for (piece, _) in wants.places() {
            if absent.contains(&piece.id) && is_shown(&piece.path) {
                let slash = if piece.id.is_tree() { "/" } else { "" };
                unsent.insert(format!("{}{slash}", piece.path));
            }
            let tree = trees.get(&piece.id).filter(|_| granularity == Granularity::Files);
            for entry in tree.into_iter().flat_map(Tree::entries) {
                let path = piece.path.join(&entry.path)?;
                if absent.contains(&ObjectId::file(entry.digest)) && is_shown(&path) {
                    unsent.insert(path.to_string());
                }
            }
        }
        Ok(unsent.into_iter().collect())
    }
}
