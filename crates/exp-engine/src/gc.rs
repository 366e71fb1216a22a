//! Removing from the store, and from a remote, what nobody needs.
//!
//! Planned, looked at, performed. Performing takes the store alone, reads again what is needed and removes what still is
//! not; see `exp_cache::Cache::gc` for what holds when others add meanwhile. Nothing is removed on partial knowledge:
//! a commit or file that cannot be read, and a directory whose manifest is nowhere, stop the collection unless the
//! caller says otherwise.

mod cloud;
mod runs;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use exp_cache::{GcOptions, Keep, RunId, StoredObject};
use exp_core::{Ctx, ObjectId};

pub use cloud::{CloudGc, CloudScope, RemoteObject};

use crate::error::{Error, ErrorKind};
use crate::hold::Hold;
use crate::project::Project;
use crate::roots::{Holder, KeepScope, NeededBy, Reading, Roots, Unreadable};
use cloud::CloudPlan;

/// What is to be collected.
#[derive(Debug, Clone)]
pub struct GcRequest {
    /// What stays.
    pub scope: KeepScope,
    /// How records are read.
    pub reading: Reading,
    /// Other projects that use the store, by absolute path; the scope is theirs too.
    pub others: Vec<PathBuf>,
    /// What came to the store less than this ago stays.
    pub grace: Duration,
    /// What becomes of recorded runs.
    pub runs: RunsGc,
    /// What remotes have to do with it.
    pub cloud: CloudScope,
    /// What happens when something is not known.
    pub doubt: Doubt,
}

/// What becomes of recorded runs, which bring back outputs without running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsGc {
    /// Those whose outputs go, go too.
    Follow,
    /// All stay, and their outputs.
    Keep,
    /// All stay, whatever becomes of their outputs, as with DVC.
    Leave,
}

/// What happens when it is not known what something needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// A revision or file that cannot be read.
    pub unreadable: OnDoubt,
    /// A directory whose manifest is neither in the store nor on a remote.
    pub unlisted: OnDoubt,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDoubt {
    /// Nothing is removed.
    Refuse,
    /// It is taken to need nothing more.
    Skip,
}

/// Why nothing was collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GcError {
    /// What something needs cannot be read.
    #[error("cannot tell what {} needs", place(holder, path))]
    Unreadable {
        /// Whose the first such thing is.
        holder: Holder,
        /// Its path; empty for a work tree or commit as a whole.
        path: String,
        /// How many there are.
        n: usize,
        /// Why the first cannot be read.
        source: Box<Error>,
    },
    /// A manifest of a directory that is needed is nowhere, so which files it needs is not known.
    #[error(
        "cannot tell which files `{}` of {} needs: its list {} is neither in the store nor on a remote",
        needed.path, place(&needed.holder, ""), id
    )]
    Unlisted {
        /// The first such manifest.
        id: ObjectId,
        /// Who needs it.
        needed: NeededBy,
        /// How many there are.
        n: usize,
    },
    /// A project that is said to share the store is not there.
    #[error("there is no directory `{}`", path.display())]
    NoSuchProject {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A remote is to be collected, and there is none.
    #[error("no data remote is set")]
    NoRemote,
    /// Objects that could not be removed.
    #[error("{n} {} not removed", if *n == 1 { "object was" } else { "objects were" })]
    NotRemoved {
        /// How many.
        n: usize,
        /// The first reason.
        source: Box<exp_cache::CacheError>,
    },
    /// A remote that cannot be listed, or from which objects cannot be removed.
    #[error("remote `{name}` cannot be collected")]
    Remote {
        /// Its name.
        name: String,
        /// Why not.
        source: exp_cache::StorageError,
    },
}

impl GcError {
    /// Returns what kind of failure this is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreadable { source, .. } => source.kind(),
            Self::Unlisted { .. } | Self::NoSuchProject { .. } => ErrorKind::NotFound,
            Self::NoRemote => ErrorKind::Config,
            _ => ErrorKind::Environment,
        }
    }
}

/// What a collection would remove. Made by [`Project::plan_gc`], used up by [`Project::gc`].
pub struct GcPlan {
    store: exp_cache::GcPlan,
    runs: Vec<RunId>,
    cloud: Option<CloudPlan>,
    names: BTreeMap<ObjectId, String>,
    roots: Vec<Roots>,
    keep: Keep,
    known: BTreeSet<ObjectId>,
    settled: BTreeSet<ObjectId>,
    on_remote: HashSet<ObjectId>,
    request: GcRequest,
    skipped: Vec<Unreadable>,
    /// The store lies outside of the project and no other project was named: others may use it.
    pub is_shared: bool,
}

impl std::fmt::Debug for GcPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GcPlan").field("doomed", &self.store.doomed().len()).finish_non_exhaustive()
    }
}

impl GcPlan {
    /// Returns the objects of the store that would go, in the order of removal.
    pub fn doomed(&self) -> &[StoredObject] {
        self.store.doomed()
    }

    /// Returns their size in bytes.
    pub fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    /// Returns how many objects are needed.
    pub fn kept(&self) -> u64 {
        self.store.kept()
    }

    /// Returns how many objects stay only because they came a short while ago, and their size in bytes.
    pub fn young(&self) -> (u64, u64) {
        self.store.young()
    }

    /// Returns the path that an object was made for, as far as a recorded run tells.
    pub fn name_of(&self, id: &ObjectId) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Returns how many recorded runs would go.
    pub fn n_runs(&self) -> usize {
        self.runs.len()
    }

    /// Returns what would go from the remote: its name, and each object with its size as far as that is known.
    pub fn cloud(&self) -> Option<(&str, &[RemoteObject])> {
        self.cloud.as_ref().map(|plan| (plan.name(), plan.doomed()))
    }

    /// Returns what could not be read and was skipped because the request said so.
    pub fn skipped(&self) -> &[Unreadable] {
        &self.skipped
    }

    /// Returns whether nothing would go.
    pub fn is_empty(&self) -> bool {
        self.doomed().is_empty()
            && self.runs.is_empty()
            && self.cloud.as_ref().is_none_or(|plan| plan.doomed().is_empty())
    }
}

/// What a collection did.
#[derive(Debug, Default)]
pub struct GcReport {
    /// Objects that went from the store.
    pub removed: Vec<ObjectId>,
    /// Their size in bytes.
    pub bytes: u64,
    /// Objects of the plan that stayed because they were needed by then.
    pub spared: u64,
    /// Recorded runs that went.
    pub n_runs: usize,
    /// What went from the remote.
    pub cloud: Option<CloudGc>,
}

impl Project {
    /// Plans a collection. Looks only, except that runs whose process died are recorded first.
    ///
    /// # Errors
    ///
    /// [`GcError`], and when the repository, the store or a remote cannot be read.
    pub fn plan_gc(&self, ctx: &Ctx<'_>, request: GcRequest) -> Result<GcPlan, Error> {
        self.recover(ctx)?;
        let mut roots = vec![Roots::new(self, request.reading)];
        for other in &request.others {
            // One that is not there is a mistake, and not to be looked for above: what it needs would go.
            if !other.is_dir() {
                return Err(GcError::NoSuchProject { path: other.clone() }.into());
            }
            let project = Self::discover(other, self.options().clone())?;
            project.recover(ctx)?;
            roots.push(Roots::new(&project, request.reading));
        }
        let (mut needed, skipped) = look(ctx, &mut roots, &request)?;
        let runs = runs::outputs(self.cache())?;
        if request.runs == RunsGc::Keep {
            needed.extend(runs::needed(&runs));
        }
        let mut keep = self.cache().keep(ctx, needed.keys().copied())?;
        let on_remote = match &request.cloud {
            CloudScope::SpareMissing { remote } => {
                let remote = self.gc_remote(remote.as_deref())?;
                Self::objects_on(ctx, &remote, &keep)?
            }
            _ => HashSet::new(),
        };
        keep.release(&on_remote);
        let now = SystemTime::now();
        let options = GcOptions { grace: request.grace, now };
        let mut store = self.cache().plan_gc(ctx, &keep, &options)?;
        let settled = keep.unlisted().clone();
        if !settled.is_empty() && store.doomed().iter().any(|object| !object.id.is_tree()) {
            self.learn(ctx, &mut keep)?;
            if request.doubt.unlisted == OnDoubt::Refuse {
                refuse_unlisted(keep.unlisted(), &needed)?;
            }
            keep.release(&on_remote);
            store.spare(&keep);
        }
        let doomed: HashSet<ObjectId> = store.doomed().iter().map(|object| object.id).collect();
        let has_remote = !self.config().remotes().is_empty();
        let lost = |run: &runs::RunOuts| {
            let is_gone = |id: &ObjectId| {
                doomed.contains(id) || (!has_remote && !self.cache().object_path(id).exists())
            };
            request.runs == RunsGc::Follow && run.outs.iter().any(|(_, id)| is_gone(id))
        };
        let lost: Vec<RunId> = runs.iter().filter(|run| lost(run)).map(|run| run.id).collect();
        let cloud = match &request.cloud {
            CloudScope::Collect { remote } => {
                let remote = self.gc_remote(remote.as_deref())?;
                let plan = CloudPlan::new(ctx, remote, &keep, (&needed, request.doubt))?;
                Some(plan)
            }
            _ => None,
        };
        let names = runs::names(&runs, &doomed);
        let is_shared = request.others.is_empty() && !is_inside(self.cache().root(), self.root());
        let (known, runs) = (needed.into_keys().collect(), lost);
        Ok(GcPlan {
            store,
            runs,
            cloud,
            names,
            roots,
            keep,
            known,
            settled,
            on_remote,
            request,
            skipped,
            is_shared,
        })
    }

    /// Removes what is planned and nobody needs by now.
    ///
    /// # Errors
    ///
    /// [`GcError`]: nothing was removed, except with [`GcError::NotRemoved`] and [`GcError::Remote`].
    pub fn gc(&self, ctx: &Ctx<'_>, plan: GcPlan) -> Result<GcReport, Error> {
        let GcPlan { store, runs, cloud, roots, keep, known, settled, on_remote, request, .. } =
            plan;
        let mut again = Again { roots, known, settled, on_remote, request, keep };
        // A program that does not know the store's lock takes this one.
        let hold = Hold::brief(ctx, self)?;
        let mut stats = self.cache().gc(ctx, store, &mut || again.look(ctx, self))?;
        self.cache().remove_runs(&runs)?;
        drop(hold);
        if !stats.failed.is_empty() {
            let n = stats.failed.len();
            let (_, source) = stats.failed.swap_remove(0);
            return Err(GcError::NotRemoved { n, source: Box::new(source) }.into());
        }
        let mut report = GcReport {
            removed: stats.removed,
            bytes: stats.bytes,
            spared: stats.spared,
            n_runs: runs.len(),
            cloud: None,
        };
        if let Some(cloud) = cloud {
            let keep = again.look(ctx, self)?;
            report.cloud = Some(cloud.perform(ctx, &keep)?);
        }
        Ok(report)
    }
}

/// The second look, which adds to what the first one found.
struct Again {
    roots: Vec<Roots>,
    known: BTreeSet<ObjectId>,
    settled: BTreeSet<ObjectId>,
    on_remote: HashSet<ObjectId>,
    request: GcRequest,
    keep: Keep,
}

impl Again {
    fn look(&mut self, ctx: &Ctx<'_>, project: &Project) -> Result<Keep, Error> {
        let (mut needed, _) = look(ctx, &mut self.roots, &self.request)?;
        if self.request.runs == RunsGc::Keep {
            needed.extend(runs::needed(&runs::outputs(project.cache())?));
        }
        needed.retain(|id, _| !self.known.contains(id));
        let mut new = project.cache().keep(ctx, needed.keys().copied())?;
        if self.request.doubt.unlisted == OnDoubt::Refuse {
            let unknown = new.unlisted().difference(&self.settled).copied().collect();
            refuse_unlisted(&unknown, &needed)?;
        }
        new.release(&self.on_remote);
        // A remote is looked at after the store.
        let is_last = !matches!(self.request.cloud, CloudScope::Collect { .. });
        let mut keep = if is_last { std::mem::take(&mut self.keep) } else { self.keep.clone() };
        keep.merge(new);
        Ok(keep)
    }
}

/// Looks at everything in scope of all projects.
fn look(
    ctx: &Ctx<'_>,
    roots: &mut [Roots],
    request: &GcRequest,
) -> Result<(BTreeMap<ObjectId, NeededBy>, Vec<Unreadable>), Error> {
    let mut needed = BTreeMap::new();
    let mut skipped = Vec::new();
    for one in roots {
        one.look(ctx, &request.scope)?;
        let mut unreadable = one.take_unreadable();
        if !unreadable.is_empty() && request.doubt.unreadable == OnDoubt::Refuse {
            let n = unreadable.len();
            let Unreadable { holder, path, source } = unreadable.swap_remove(0);
            return Err(GcError::Unreadable { holder, path, n, source: Box::new(source) }.into());
        }
        skipped.append(&mut unreadable);
        for (id, by) in one.found() {
            needed.entry(*id).or_insert_with(|| by.clone());
        }
    }
    Ok((needed, skipped))
}

/// Refuses to go on when the files of some directory are not known.
fn refuse_unlisted(
    unknown: &BTreeSet<ObjectId>,
    needed: &BTreeMap<ObjectId, NeededBy>,
) -> Result<(), GcError> {
    let first = unknown.iter().find_map(|id| Some((*id, needed.get(id)?.clone())));
    match first {
        Some((id, needed)) => Err(GcError::Unlisted { id, needed, n: unknown.len() }),
        None => Ok(()),
    }
}

fn is_inside(path: &Path, root: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    real(path).starts_with(real(root))
}

fn place(holder: &Holder, path: &str) -> String {
    let whose = match holder {
        Holder::WorkTree(root) => format!("`{}`", root.display()),
        Holder::Index(root) => format!("the index of `{}`", root.display()),
        Holder::Commit(id) => format!("commit {}", id.short(7)),
        Holder::Undo => "the operation log".to_owned(),
        Holder::Running => "an operation under way".to_owned(),
        Holder::Run => "a recorded run".to_owned(),
    };
    if path.is_empty() { whose } else { format!("`{path}` of {whose}") }
}
