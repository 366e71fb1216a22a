//! From what a stage did to what it should declare.

use std::collections::{BTreeMap, BTreeSet};

use exp_core::{
    Ctx, Location, OutDefinition, OutKind, RelPath, Stage, StageAdditions, StageId, Value,
    extend_stage,
};
use exp_params::Format;

use super::{Accesses, TraceMethod, Tracer};
use crate::change::Changes;
use crate::error::Error;
use crate::files;
use crate::hold::Hold;
use crate::operation::OperationKind;
use crate::project::Project;
use crate::recover;
use crate::stage::StageError;
use crate::view::{Broken, View};

/// From how many files of one directory on the directory is named instead.
const MANY: usize = 4;

/// How large a file may be that is read to find out whether it holds metrics, in bytes.
const SMALL: u64 = 1 << 16;

/// What a stage declares, compared with what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct StageTrace {
    /// The stage.
    pub id: StageId,
    /// How it was watched.
    pub method: TraceMethod,
    /// What it read or wrote and does not declare: paths relative to its working directory, as they are.
    pub additions: StageAdditions,
    /// Dependencies and parameter files that it declares and did not open, as it writes them. None with
    /// [`TraceMethod::Python`], because other programs may have opened them.
    pub unused: Vec<String>,
    /// Whether nothing at all of what it opened was seen.
    pub saw_nothing: bool,
}

/// Why commands cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// `strace` is not there or may not trace, and nothing that was seen came from Python.
    #[error("nothing was seen of what the command opens: `strace` is not there or may not trace")]
    NothingSeen,
}

impl StageTrace {
    /// Returns whether the stage declares what it did.
    pub fn is_complete(&self) -> bool {
        self.additions.is_empty()
    }
}

impl Project {
    /// Compares what the watched stages did with what they declare now, or declared in their private work tree. Nothing is
    /// changed.
    ///
    /// # Errors
    ///
    /// When the pipeline cannot be read.
    pub fn traces(&self, tracer: &Tracer) -> Result<Vec<StageTrace>, Error> {
        if let Some(kept) = tracer.kept() {
            return Ok(kept);
        }
        let view = View::load(&self.workspace(), self.root(), Broken::Fail)?;
        let mut found = Vec::new();
        for id in tracer.stages() {
            let stage = view.stages.iter().find(|stage| stage.id == id);
            if let (Some(stage), Some(accesses)) = (stage, tracer.accesses(&id)) {
                found.push(self.advise(stage, &accesses, tracer.method())?);
            }
        }
        Ok(found)
    }

    /// Writes what traces found into their `dvc.yaml` files; comments stay. It can be undone.
    ///
    /// Returns the files that were written, each once.
    ///
    /// # Errors
    ///
    /// [`Error::Stage`] when a stage comes from a template or its file cannot be changed; then none is.
    pub fn declare(&self, ctx: &Ctx<'_>, traces: &[StageTrace]) -> Result<Vec<RelPath>, Error> {
        let _hold = Hold::brief(ctx, self)?;
        recover::recover(self, ctx)?;
        let mut texts: BTreeMap<RelPath, String> = BTreeMap::new();
        for trace in traces.iter().filter(|trace| !trace.is_complete()) {
            let (file, Some(name)) = (&trace.id.file, &trace.id.name) else { continue };
            let text = if let Some(text) = texts.remove(file) {
                text
            } else {
                let bytes = files::read(&file.under(self.root()))?.unwrap_or_default();
                String::from_utf8(bytes).map_err(|_| Error::NotText { file: file.clone() })?
            };
            let extended = extend_stage(&text, name, &trace.additions.verbatim())
                .map_err(|source| StageError::Edit { file: file.clone(), source })?;
            texts.insert(file.clone(), extended);
        }
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let mut changes = Changes::begin(self, OperationKind::Stage, "trace");
        for (file, text) in &texts {
            changes.write(ctx, file, text.as_bytes())?;
        }
        changes.finish(ctx)?;
        Ok(texts.into_keys().collect())
    }

    /// Says what a stage lacks and what it has too much.
    pub(crate) fn advise(
        &self,
        stage: &Stage,
        accesses: &Accesses,
        method: TraceMethod,
    ) -> Result<StageTrace, Error> {
        let is_file = |path: &&RelPath| path.under(self.root()).is_file();
        let reads = declared(stage);
        let is_read = |path: &RelPath| reads.iter().any(|known| path.starts_with(known));
        let outs: Vec<&RelPath> =
            stage.outs.iter().filter_map(|out| out.location.workspace()).collect();
        let is_out = |path: &RelPath| outs.iter().any(|out| path.starts_with(out));
        let is_news = |path: &&RelPath| !is_noise(path) && !is_read(path) && !is_out(path);

        let written: BTreeSet<RelPath> =
            accesses.written.iter().filter(is_file).filter(is_news).cloned().collect();
        let read: BTreeSet<RelPath> = accesses
            .read
            .iter()
            .filter(|path| !accesses.written.contains(*path))
            .filter(is_file)
            .filter(is_news)
            .cloned()
            .collect();
        let (params, deps): (Vec<RelPath>, Vec<RelPath>) =
            read.into_iter().partition(is_param_file);
        let mut additions = StageAdditions::default();
        let written_as = |path: &RelPath| path.relative_to(&stage.wdir);
        let taken = |dir: &RelPath| {
            reads.iter().chain(&outs).any(|known| known.starts_with(dir))
                || stage.id.file.starts_with(dir)
                || written.iter().any(|path| path.starts_with(dir))
        };
        additions.deps = grouped(&deps, &taken).iter().map(written_as).collect();
        additions.params = params.iter().map(|file| (written_as(file), Vec::new())).collect();
        for path in whole(&written, &accesses.made) {
            let kind = self.kind_of(&path);
            let cache = kind == OutKind::Data && !self.git().is_tracked(&self.git_path(&path)?)?;
            let out = OutDefinition::new(written_as(&path), kind);
            additions.outs.push(OutDefinition { cache, ..out });
        }

        let opened = |place: &RelPath| {
            [&accesses.read, &accesses.listed, &accesses.written]
                .iter()
                .any(|set| set.iter().any(|path| path.starts_with(place)))
        };
        let mut unused = Vec::new();
        let deps = stage.deps.iter().map(|dep| (&dep.path, &dep.location));
        let params = stage.params.iter().map(|param| (&param.file, &param.location));
        for (path, location) in deps.chain(params) {
            let is_unused = location.workspace().is_some_and(|place| !opened(place));
            if method == TraceMethod::Strace && is_unused && !unused.contains(path) {
                unused.push(path.clone());
            }
        }
        let saw_nothing = accesses.is_empty();
        Ok(StageTrace { id: stage.id.clone(), method, additions, unused, saw_nothing })
    }

    /// Tells by name and content what an output is for.
    fn kind_of(&self, path: &RelPath) -> OutKind {
        let full = path.under(self.root());
        let name = path.file_name().unwrap_or_default();
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        if matches!(ending, "json" | "yaml" | "yml" | "toml")
            && full.metadata().is_ok_and(|data| data.is_file() && data.len() <= SMALL)
            && let Ok(text) = std::fs::read_to_string(&full)
            && let Ok(value) = exp_params::parse(Format::of(path.as_str()), &text)
            && (name.contains("metric") || is_numbers(&value))
        {
            return OutKind::Metric;
        }
        let is_plot = path.as_str().split('/').any(|part| part.starts_with("plot"));
        if is_plot { OutKind::Plot } else { OutKind::Data }
    }
}

/// Returns what a stage says it reads, as far as it lies in the project.
fn declared(stage: &Stage) -> Vec<&RelPath> {
    let deps = stage.deps.iter().map(|dep| &dep.location);
    let params = stage.params.iter().map(|param| &param.location);
    deps.chain(params).filter_map(Location::workspace).collect()
}

/// Returns whether a file belongs to tools and not to a pipeline: hidden ones, packages, what Python compiles, files of
/// the pipeline itself.
fn is_noise(path: &RelPath) -> bool {
    const PARTS: [&str; 3] = ["__pycache__", "node_modules", "site-packages"];
    let name = path.file_name().unwrap_or_default();
    path.as_str().split('/').any(|part| part.starts_with('.') || PARTS.contains(&part))
        || matches!(name, "dvc.yaml" | "dvc.lock" | "nohup.out")
        || name.strip_suffix(".dvc").is_some_and(|stem| !stem.is_empty())
        || name.strip_suffix(".pyc").is_some()
}

/// Returns whether a file is one that holds parameters, by its name.
pub(crate) fn is_param_file(path: &RelPath) -> bool {
    let name = path.file_name().unwrap_or_default();
    matches!(name, "params.yaml" | "params.yml" | "params.json" | "params.toml" | "params.py")
}

/// Names a directory instead of its files when there are many, and nothing else is declared in it.
fn grouped(files: &[RelPath], taken: &dyn Fn(&RelPath) -> bool) -> Vec<RelPath> {
    let mut by_dir: BTreeMap<RelPath, Vec<&RelPath>> = BTreeMap::new();
    for file in files {
        by_dir.entry(file.parent().unwrap_or_else(RelPath::root)).or_default().push(file);
    }
    let is_whole = |dir: &RelPath, n: usize| n >= MANY && !dir.is_root() && !taken(dir);
    let dirs: Vec<&RelPath> = by_dir
        .iter()
        .filter(|(dir, files)| is_whole(dir, files.len()))
        .map(|(dir, _)| dir)
        .collect();
    let mut found: BTreeSet<RelPath> = BTreeSet::new();
    for file in files {
        let dir = dirs.iter().find(|dir| file.starts_with(dir));
        found.insert(dir.map_or(file, |dir| dir).clone());
    }
    found.into_iter().collect()
}

/// Names a directory that the stage made instead of what it wrote there.
fn whole(files: &BTreeSet<RelPath>, made: &BTreeSet<RelPath>) -> Vec<RelPath> {
    let outermost = |file: &RelPath| {
        let around = made.iter().filter(|dir| file.starts_with(dir));
        around.min_by_key(|dir| dir.as_str().len()).unwrap_or(file).clone()
    };
    let found: BTreeSet<RelPath> = files.iter().map(outermost).collect();
    found.into_iter().collect()
}

/// Returns whether a document is a map of maps and numbers, with a number in it.
fn is_numbers(value: &Value) -> bool {
    match value {
        Value::Table(table) => !table.is_empty() && table.values().all(is_numbers),
        Value::Int(_) | Value::Float(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn paths(names: &[&str]) -> Result<Vec<RelPath>, exp_core::PathError> {
        names.iter().map(|name| RelPath::new(name)).collect()
    }

    #[test]
    fn many_files_of_a_directory_are_the_directory() -> Outcome {
        let files = paths(&["a/1", "a/2", "a/3", "a/4", "b/1", "c"])?;
        assert_eq!(grouped(&files, &|_| false), paths(&["a", "b/1", "c"])?);
        assert_eq!(grouped(&files, &|_| true), files);
        Ok(())
    }

    #[test]
    fn a_directory_that_was_made_is_one_output() -> Outcome {
        let files = paths(&["out/a/1", "out/b", "log"])?.into_iter().collect();
        let made = paths(&["out", "out/a"])?.into_iter().collect();
        assert_eq!(whole(&files, &made), paths(&["log", "out"])?);
        Ok(())
    }

    #[test]
    fn files_of_tools_are_noise() -> Outcome {
        let all = paths(&[
            ".venv/x.py",
            "a/__pycache__/b.pyc",
            "dvc.lock",
            "d.dvc",
            "src/.x",
            "src/x.py",
        ])?;
        let kept: Vec<&RelPath> = all.iter().filter(|path| !is_noise(path)).collect();
        assert_eq!(kept, [&RelPath::new("src/x.py")?]);
        Ok(())
    }
}
