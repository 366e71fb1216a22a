//! Which data experiments need, and where it goes.

use std::collections::{BTreeMap, BTreeSet};

use exp_core::{ObjectId, RelPath};
use exp_refs::{CommitId, ExpName, Experiment};

use super::{MissingObject, OpenRemote};
use crate::config::ConfigFiles;
use crate::error::Error;
use crate::project::Project;
use crate::source::{Source, TreeSource};
use crate::versions::VersionMap;
use crate::view::{Broken, View};

/// An output of an experiment that belongs on a data remote.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub(super) experiment: ExpName,
    pub(super) path: RelPath,
    pub(super) id: ObjectId,
    size: u64,
    /// The remote that the output names.
    remote: Option<String>,
}

/// The data of some experiments.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) all: Vec<Need>,
    /// Outputs that are kept from remotes: `push: false`.
    pub(super) kept_here: BTreeSet<RelPath>,
    /// Where remotes that keep versions have it.
    pub(super) versions: VersionMap,
    /// The configuration that each experiment carries; empty for one that carries none.
    configs: Vec<Vec<u8>>,
}

impl Needs {
    /// Reads what the experiments record.
    pub(super) fn of(project: &Project, experiments: &[Experiment]) -> Result<Self, Error> {
        let mut needs = Self::default();
        let mut seen: BTreeSet<CommitId> = BTreeSet::new();
        for experiment in experiments {
            if seen.insert(experiment.commit) {
                needs.read(project, experiment)?;
            }
        }
        Ok(needs)
    }

    fn read(&mut self, project: &Project, experiment: &Experiment) -> Result<(), Error> {
        let reader = project.git().reader();
        let tree = reader.tree_of(experiment.commit)?.id();
        let source = TreeSource::new(&reader, tree, project.prefix().clone());
        let view = View::load(&source, project.root(), Broken::Fail)?;
        let config = source.read(&RelPath::new(".dvc/config")?)?;
        self.configs.push(config.unwrap_or_default());
        for stage in view.stages.iter() {
            let Some(lock) = view.recorded(&stage.id) else { continue };
            // What was imported from another repository is fetched from there.
            if lock.deps.iter().any(|dep| dep.extra.contains_key("repo")) {
                continue;
            }
            for out in stage.outs.iter().filter(|out| out.cache) {
                let Some(path) = out.location.workspace() else { continue };
                let Some(entry) = lock.out(&out.path) else { continue };
                let Some(artifact) = entry.artifact else { continue };
                self.versions.note(path, entry)?;
                if !out.push {
                    self.kept_here.insert(path.clone());
                    continue;
                }
                self.all.push(Need {
                    experiment: experiment.name.clone(),
                    path: path.clone(),
                    id: artifact.id,
                    size: artifact.size.unwrap_or_default(),
                    remote: out.remote.clone(),
                });
            }
        }
        Ok(())
    }

    /// Returns how many distinct outputs there are, and their size.
    pub(super) fn extent(&self) -> (usize, u64) {
        let sizes: BTreeMap<ObjectId, u64> =
            self.all.iter().map(|need| (need.id, need.size)).collect();
        (sizes.len(), sizes.values().sum())
    }

    /// Returns the distinct outputs, each with an experiment that needs it.
    pub(super) fn outputs(&self) -> Vec<MissingObject> {
        let by_id: BTreeMap<ObjectId, &Need> =
            self.all.iter().map(|need| (need.id, need)).collect();
        let mut outputs: Vec<MissingObject> = (by_id.into_values())
            .map(|need| MissingObject {
                experiment: need.experiment.clone(),
                path: need.path.clone(),
                id: need.id,
            })
            .collect();
        outputs.sort();
        outputs
    }

    /// Parts the objects by the remote they belong to; `None` for those that have none.
    pub(super) fn by_remote(
        &self,
        project: &Project,
        asked: Option<&str>,
    ) -> BTreeMap<Option<String>, BTreeSet<ObjectId>> {
        let default = project.config().default_remote();
        let mut parts: BTreeMap<Option<String>, BTreeSet<ObjectId>> = BTreeMap::new();
        for need in &self.all {
            let name = asked.map(str::to_owned).or_else(|| need.remote.clone());
            parts.entry(name.or_else(|| default.clone())).or_default().insert(need.id);
        }
        parts
    }

    /// Names objects: outputs, and files in directories whose manifest is in the store.
    pub(super) fn name(&self, project: &Project, ids: &[ObjectId]) -> Vec<MissingObject> {
        let mut wanted: BTreeSet<ObjectId> = ids.iter().copied().collect();
        let mut named = Vec::new();
        for need in &self.all {
            let mut found = |id: ObjectId, path: RelPath| {
                if wanted.remove(&id) {
                    named.push(MissingObject { experiment: need.experiment.clone(), path, id });
                }
            };
            found(need.id, need.path.clone());
            if !need.id.is_tree() {
                continue;
            }
            let Ok(tree) = project.cache().read_tree(&need.id) else { continue };
            for entry in tree.entries() {
                if let Ok(path) = need.path.join(&entry.path) {
                    found(ObjectId::file(entry.digest), path);
                }
            }
        }
        named.sort();
        named
    }

    /// Returns whether the configuration that every experiment carries leads a clone to the remote: it has it with the
    /// same URL, and as the default where an output relies on that.
    pub(super) fn is_carried(
        &self,
        project: &Project,
        asked: Option<&str>,
        remote: &OpenRemote,
    ) -> bool {
        let name = &remote.config.name;
        let is_default =
            asked.is_none() && project.config().default_remote().as_ref() == Some(name);
        let by_default = is_default && self.all.iter().any(|need| need.remote.is_none());
        let carries = |bytes: &[u8]| {
            let path = project.root().join(".dvc/config");
            let files = ConfigFiles { project: Some(path), ..ConfigFiles::default() };
            let config = files.load_with_project(Some(bytes));
            config.is_ok_and(|config| {
                config.remote(name).is_ok_and(|one| one.url == remote.config.url)
                    && (!by_default || config.default_remote().as_ref() == Some(name))
            })
        };
        self.configs.iter().all(|config| carries(config))
    }
}

impl Project {
    /// Returns whether a clone of the last commit knows the data remote: with the same URL.
    pub fn is_remote_committed(&self, name: &str) -> bool {
        let Ok(Some(commit)) = self.git().head().map(|head| head.commit) else { return false };
        let Ok(file) = self.prefix().join(".dvc/config") else { return false };
        let Ok(Some(bytes)) = self.git().read(commit, file.as_str()) else { return false };
        let path = self.root().join(".dvc/config");
        let files = ConfigFiles { project: Some(path), ..ConfigFiles::default() };
        let committed = files.load_with_project(Some(&bytes)).ok();
        let committed = committed.and_then(|config| Some(config.remote(name).ok()?.url));
        committed.is_some() && committed == self.config().remote(name).ok().map(|one| one.url)
    }
}
