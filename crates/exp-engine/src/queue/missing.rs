//! What of a sweep is missing. A sweep is a set of parameters that is declared; what is missing is that set without what is
//! done and what waits or runs.

use std::collections::{BTreeSet, HashMap};

use exp_core::{Ctx, RelPath, Value};
use exp_params::Format;
use exp_refs::{BlobId, CommitId, Reader};

use super::{Queue, QueueRequest};
use crate::collect::param_files;
use crate::error::Error;
use crate::files;
use crate::view::{Broken, View};

impl Queue {
    /// Returns which jobs of a request are missing, by their places in it: those with parameters that neither a finished
    /// experiment of `HEAD` has nor a job that waits or runs. Of jobs with the same parameters only the first is. Jobs that
    /// failed, were killed or lost do not count, and neither do experiments that were removed.
    ///
    /// Compared are the values of all parameter files, as they would be with the changes of the job in place; code is not.
    ///
    /// # Errors
    ///
    /// No commit, a parameter that does not exist, a broken pipeline.
    pub fn missing(&self, ctx: &Ctx<'_>, request: &QueueRequest) -> Result<Vec<usize>, Error> {
        let project = &self.project;
        let baseline = project.git().head()?.commit.ok_or(Error::NoCommit)?;
        let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
        let mut files: BTreeSet<RelPath> = param_files(&view).into_iter().collect();
        let mut overlays = Vec::new();
        for job in &request.jobs {
            ctx.check()?;
            let overlay = project.overridden(&job.overrides, &request.cwd, request.composition)?;
            files.extend(overlay.keys().cloned());
            overlays.push(overlay);
        }
        let files: Vec<RelPath> = files.into_iter().collect();
        let mut known = self.known(ctx, baseline, &files)?;
        let mut here = Vec::new();
        for file in &files {
            let bytes = files::read(&file.under(project.root()))?;
            here.push(bytes.map(|bytes| meaning(file, &bytes)));
        }
        let mut missing = Vec::new();
        for (at, overlay) in overlays.iter().enumerate() {
            let of = |(file, here): (&RelPath, &Option<String>)| match overlay.get(file) {
                Some(text) => Some(meaning(file, text.as_bytes())),
                None => here.clone(),
            };
            if known.insert(files.iter().zip(&here).map(of).collect()) {
                missing.push(at);
            }
        }
        Ok(missing)
    }

    /// Returns what the parameter files of finished experiments and of open jobs mean.
    fn known(
        &self,
        ctx: &Ctx<'_>,
        baseline: CommitId,
        files: &[RelPath],
    ) -> Result<BTreeSet<Vec<Option<String>>>, Error> {
        let reader = self.project.git().reader();
        let experiments = self.project.experiments().list()?.into_iter();
        let of_baseline = experiments.filter(|one| one.is_finished && one.baseline == baseline);
        let mut commits: Vec<CommitId> = of_baseline.map(|one| one.commit).collect();
        for job in self.list()?.into_iter().filter(|job| !job.state.is_final()) {
            let parents = reader.commit(job.commit).map(|commit| commit.parents);
            // One that cannot be read will not make what is asked for.
            if parents.is_ok_and(|parents| parents.first() == Some(&baseline)) {
                commits.push(job.commit);
            }
        }
        let mut memo: HashMap<(usize, BlobId), String> = HashMap::new();
        let mut known = BTreeSet::new();
        for commit in commits {
            ctx.check()?;
            known.insert(self.meanings(&reader, commit, files, &mut memo)?);
        }
        Ok(known)
    }

    fn meanings(
        &self,
        reader: &Reader,
        commit: CommitId,
        files: &[RelPath],
        memo: &mut HashMap<(usize, BlobId), String>,
    ) -> Result<Vec<Option<String>>, Error> {
        let tree = reader.tree_of(commit)?;
        let mut found = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let entry = tree.entry(self.project.git_path(file)?.as_bytes())?;
            let Some(blob) = entry.and_then(exp_refs::EntryKind::blob) else {
                found.push(None);
                continue;
            };
            let text = match memo.get(&(at, blob)) {
                Some(text) => text.clone(),
                None => meaning(file, &reader.blob(blob)?),
            };
            memo.insert((at, blob), text.clone());
            found.push(Some(text));
        }
        Ok(found)
    }
}

/// Returns the same text for files that mean the same, whatever their comments and the order of their keys.
fn meaning(file: &RelPath, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut meaning = String::new();
    match exp_params::parse(Format::of(file.as_str()), &text) {
        Ok(value) => write(&value, &mut meaning),
        // What cannot be read means only itself.
        Err(_) => meaning.push_str(&text),
    }
    meaning
}

fn write(value: &Value, into: &mut String) {
    match value {
        Value::Table(table) => {
            let mut members: Vec<_> = table.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            into.push('{');
            for (key, value) in members {
                let key = format!("{key:?}:");
                into.push_str(&key);
                write(value, into);
            }
            into.push('}');
        }
        Value::List(list) => {
            into.push('[');
            for value in list {
                write(value, into);
            }
            into.push(']');
        }
        other => {
            let text = format!("{other:?},");
            into.push_str(&text);
        }
    }
}
