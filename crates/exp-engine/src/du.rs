//! What takes the room in the store: by output, or by revision; what only it needs, and what nobody does.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use exp_cache::StoredObject;
use exp_core::{Ctx, ObjectId};
use exp_refs::CommitId;

use crate::error::Error;
use crate::project::Project;
use crate::roots::{KeepScope, Reading, Revisions, Roots};

/// What the rows of [`StoreUsage`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Outputs by path, all their versions together.
    Output,
    /// The work trees, and each branch, tag and experiment.
    Revision,
}

/// How much of the store something needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The path, or the name of the revision.
    pub name: String,
    /// Stored objects that it needs.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The size of those that no other row needs.
    pub only_here: u64,
}

/// What takes the room in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// By what was asked for, the largest first.
    pub rows: Vec<UsageRow>,
    /// All objects.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Objects that nothing known here needs.
    pub unneeded: u64,
    /// Their size in bytes: what a collection without grace would free.
    pub unneeded_bytes: u64,
}

impl Project {
    /// Measures the store. What is shared counts for each that shares it, and once in the total.
    ///
    /// # Errors
    ///
    /// When the repository or the store cannot be read. What single revisions need that cannot be read counts as
    /// nothing.
    pub fn store_usage(&self, ctx: &Ctx<'_>, by: UsageBy) -> Result<StoreUsage, Error> {
        let mut sizes: HashMap<ObjectId, u64> = HashMap::new();
        let mut usage = StoreUsage::default();
        self.cache().each_object(ctx, &mut |object: StoredObject| {
            usage.objects += 1;
            usage.bytes += object.size;
            sizes.insert(object.id, object.size);
        })?;
        let mut all = Roots::new(self, Reading::Records);
        all.look(ctx, &KeepScope::Everything { undo: true })?;
        let keep = self.cache().keep(ctx, all.found().keys().copied())?;
        for (id, size) in &sizes {
            if !keep.contains(id) {
                usage.unneeded += 1;
                usage.unneeded_bytes += size;
            }
        }
        let holders = match by {
            UsageBy::Output => by_output(&all),
            UsageBy::Revision => self.by_revision(ctx)?,
        };
        let mut owners: HashMap<ObjectId, Option<usize>> = HashMap::new();
        let mut files: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
        for (at, (name, ids)) in holders.into_iter().enumerate() {
            ctx.check()?;
            let mut own: HashSet<ObjectId> = HashSet::new();
            for id in ids {
                own.insert(id);
                if id.is_tree() {
                    let listed = files.entry(id).or_insert_with(|| self.listed_in(&id));
                    own.extend(listed.iter().copied());
                }
            }
            own.retain(|id| sizes.contains_key(id));
            let bytes = own.iter().filter_map(|id| sizes.get(id)).sum();
            let objects = own.len() as u64;
            for id in own {
                owners
                    .entry(id)
                    .and_modify(|owner| *owner = owner.filter(|owner| *owner == at))
                    .or_insert(Some(at));
            }
            usage.rows.push(UsageRow { name, objects, bytes, only_here: 0 });
        }
        for (id, owner) in owners {
            if let (Some(at), Some(size)) = (owner, sizes.get(&id)) {
                usage.rows[at].only_here += size;
            }
        }
        usage.rows.retain(|row| row.objects > 0);
        usage.rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        Ok(usage)
    }

    fn listed_in(&self, id: &ObjectId) -> Vec<ObjectId> {
        let tree = self.cache().read_tree(id);
        tree.map_or_else(
            |_| Vec::new(),
            |tree| tree.entries().iter().map(|one| ObjectId::file(one.digest)).collect(),
        )
    }

    fn by_revision(&self, ctx: &Ctx<'_>) -> Result<BTreeMap<String, BTreeSet<ObjectId>>, Error> {
        let mut tips: Vec<(String, CommitId)> = Vec::new();
        let git = self.git();
        tips.extend(git.branches()?.into_iter().map(|one| (one.name, one.commit)));
        tips.extend(git.tags()?.into_iter().map(|one| (one.name, one.commit)));
        let experiments = self.experiments().list()?;
        tips.extend(experiments.into_iter().map(|one| (one.name.to_string(), one.commit)));
        let mut holders: BTreeMap<String, BTreeSet<ObjectId>> = BTreeMap::new();
        let mut work = Roots::new(self, Reading::Records);
        work.look(ctx, &KeepScope::Revisions(Revisions::default()))?;
        holders.insert("workspace".to_owned(), work.found().keys().copied().collect());
        for (name, commit) in tips {
            let found = Roots::of_commit(self, commit);
            holders.entry(name).or_default().extend(found);
        }
        Ok(holders)
    }
}

/// Returns the objects by the path that they were first found for.
fn by_output(roots: &Roots) -> BTreeMap<String, BTreeSet<ObjectId>> {
    let mut holders: BTreeMap<String, BTreeSet<ObjectId>> = BTreeMap::new();
    for (id, by) in roots.found() {
        holders.entry(by.path.clone()).or_default().insert(*id);
    }
    holders
}
