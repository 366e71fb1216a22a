//! Collecting what is shown of revisions.
//!
//! What makes it fast is not doing things twice: pipeline files are parsed once for each content they have, parameter
//! and metric files too, a directory is searched for pipeline files once for each content, and lock files are read only
//! when something in them is asked for. Revisions are spread over threads, each with a memory of its own. Of many
//! revisions most were read by an earlier command; what it found is in the [`index`].

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use exp_core::{Artifact, Ctx, ObjectId, RelPath};
use exp_refs::{CommitId, Reader, RunRecord};

use crate::error::Error;
use crate::project::Project;
use crate::revision::{
    DepData, FileData, Files as ShownFiles, OutData, Problem, RevisionData, RowData,
};
use crate::view::{Broken, View};

mod files;
mod index;
mod problem;
mod shape;

pub(crate) use problem::problem;
pub use shape::Params;

use files::{CommitFiles, Files, Memo, StoreMemo, WorkspaceFiles};
use index::Index;
use problem::{missing, no_record, not_recorded};
use shape::{Edge, Shape, Spec, Usage, Usages};

/// A thread is worth its start for so many revisions.
const PER_THREAD: usize = 32;
/// And for so many that are in the index.
const PER_THREAD_KNOWN: usize = 1_000;
/// Fewer revisions than this are read faster than the index.
const WORTH_THE_INDEX: usize = 32;
/// More threads than this wait for each other's memory more than they help.
const MAX_THREADS: usize = 8;

/// What is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectOptions<'t> {
    /// Whether dependencies and outputs are, which costs reading each lock file.
    pub edges: Edges,
    /// Which parameters are.
    pub params: Params,
    /// Files and directories that are read instead of the metric and parameter files that the pipeline declares. Of
    /// parameter files everything is taken.
    pub targets: Option<&'t [RelPath]>,
}

/// Whether dependencies and outputs are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edges {
    /// They are.
    #[default]
    Yes,
    /// They are not, and a broken lock file goes unnoticed.
    No,
}

/// Collects what is shown of the workspace.
///
/// A file that the workspace does not have is looked for in the store, as in a commit.
pub fn collect_workspace(project: &Project, options: CollectOptions<'_>) -> RowData {
    let source = project.workspace();
    let view =
        View::load(&source, project.root(), Broken::Note).map_err(|error| problem(&error))?;
    let shape = Shape::of(&view, options.params, &mut Usages::default());
    let mut files = WorkspaceFiles::new(&source);
    assemble(&shape, &mut files, &mut StoreMemo::new(project.cache()), options).map(Arc::new)
}

/// Returns the parameter files that a pipeline uses.
pub(crate) fn param_files(view: &View) -> Vec<RelPath> {
    let shape = Shape::of(view, Params::All, &mut Usages::default());
    shape.params.into_iter().map(|file| file.path).collect()
}

/// A commit whose row is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) commit: CommitId,
    /// Whether it is a run that did not finish, which has a record.
    pub(crate) is_run: bool,
}

/// What was collected of a commit.
#[derive(Debug, Clone)]
pub(crate) struct Collected {
    pub(crate) data: RowData,
    /// How the run ended that the commit is; `None` for every other commit.
    pub(crate) record: Option<Result<Box<RunRecord>, Arc<Problem>>>,
}

/// Collects what is shown of commits, in their order.
///
/// What cannot be read costs its cell or its row.
///
/// # Errors
///
/// Only when a stop was asked for.
pub fn collect_commits(
    ctx: &Ctx<'_>,
    project: &Project,
    commits: &[CommitId],
    options: CollectOptions<'_>,
) -> Result<Vec<RowData>, Error> {
    let wanted: Vec<Wanted> =
        commits.iter().map(|commit| Wanted { commit: *commit, is_run: false }).collect();
    let rows = collect_rows(ctx, project, &wanted, options)?;
    Ok(rows.into_iter().map(|row| row.data).collect())
}

/// Collects rows of commits, in their order: from the index, and from Git what is not there.
pub(crate) fn collect_rows(
    ctx: &Ctx<'_>,
    project: &Project,
    wanted: &[Wanted],
    options: CollectOptions<'_>,
) -> Result<Vec<Collected>, Error> {
    let index = (wanted.len() >= WORTH_THE_INDEX).then(|| Index::open(project, options)).flatten();
    let Some(index) = index else {
        let read = read_rows(ctx, project, wanted, options)?;
        return Ok(read.into_iter().map(|read| read.row).collect());
    };
    let known = |one: &Wanted| {
        // The same commit may have been asked for as something that has no record.
        index.get(one.commit).filter(|row| row.record.is_some() == one.is_run)
    };
    let found = in_threads(wanted, PER_THREAD_KNOWN, |part| {
        Ok(part.iter().map(known).collect::<Vec<Option<Collected>>>())
    })?;
    let open: Vec<Wanted> = (wanted.iter().zip(&found))
        .filter_map(|(one, found)| found.is_none().then_some(*one))
        .collect();
    let read = read_rows(ctx, project, &open, options)?;
    let lasting: Vec<(CommitId, &Collected)> = (open.iter().zip(&read))
        .filter_map(|(one, read)| read.is_lasting.then_some((one.commit, &read.row)))
        .collect();
    if !lasting.is_empty() {
        index.add(project, &lasting);
    }
    let mut read = read.into_iter();
    Ok((found.into_iter())
        .filter_map(|found| found.or_else(|| read.next().map(|read| read.row)))
        .collect())
}

/// A row as it was read from Git and the store.
struct ReadRow {
    row: Collected,
    /// Whether it will be the same whenever it is read.
    is_lasting: bool,
}

fn read_rows(
    ctx: &Ctx<'_>,
    project: &Project,
    wanted: &[Wanted],
    options: CollectOptions<'_>,
) -> Result<Vec<ReadRow>, Error> {
    let work = |wanted: &[Wanted]| -> Result<Vec<ReadRow>, Error> {
        let reader = project.git().reader();
        let mut memo = Memo::default();
        let mut store = StoreMemo::new(project.cache());
        let mut rows = Vec::with_capacity(wanted.len());
        for one in wanted {
            ctx.check()?;
            store.lacked = false;
            let memos = (&mut memo, &mut store);
            let data = collect_commit(project, &reader, memos, one.commit, options);
            let record = one.is_run.then(|| record(&reader, one.commit));
            let row = Collected { data, record };
            rows.push(ReadRow { row, is_lasting: !store.lacked });
        }
        Ok(rows)
    };
    in_threads(wanted, PER_THREAD, work)
}

/// Does the same with parts of a list, each in a thread of its own, and puts together what comes out.
fn in_threads<T: Sync, R: Send>(
    list: &[T],
    per_thread: usize,
    work: impl Fn(&[T]) -> Result<Vec<R>, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let available = thread::available_parallelism().map_or(1, NonZero::get);
    let n_threads = available.min(MAX_THREADS).min(list.len() / per_thread + 1);
    let mut parts = list.chunks(list.len().div_ceil(n_threads).max(1));
    let first = parts.next().unwrap_or_default();
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut made = work(first)?;
        for other in others {
            match other.join() {
                Ok(more) => made.extend(more?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(made)
    })
}

/// Returns how a run ended that did not finish.
fn record(reader: &Reader, commit: CommitId) -> Result<Box<RunRecord>, Arc<Problem>> {
    match exp_refs::read_record(reader, commit) {
        Ok(Some(record)) => Ok(Box::new(record)),
        Ok(None) => Err(no_record()),
        Err(error) => Err(problem(&error.into())),
    }
}

fn collect_commit(
    project: &Project,
    reader: &Reader,
    (memo, store): (&mut Memo, &mut StoreMemo<'_>),
    id: CommitId,
    options: CollectOptions<'_>,
) -> RowData {
    let commit = reader.commit(id).map_err(|error| problem(&error.into()))?;
    let mut files = CommitFiles { reader, tree: commit.tree, prefix: project.prefix(), memo };
    let shape = files.shape(project.root(), options.params).map_err(|error| problem(&error))?;
    let mut data = assemble(&shape, &mut files, store, options)?;
    data.timestamp = Some(commit.time);
    Ok(Arc::new(data))
}

/// Reads the files that a shape names.
fn assemble(
    shape: &Shape,
    files: &mut dyn Files,
    store: &mut StoreMemo<'_>,
    options: CollectOptions<'_>,
) -> Result<RevisionData, Arc<Problem>> {
    if let Some(problem) = &shape.problem {
        return Err(Arc::clone(problem));
    }
    let mut data = RevisionData::default();
    let targets: Vec<Spec> = options.targets.unwrap_or_default().iter().map(Spec::whole).collect();
    let params = if options.targets.is_some() { &targets } else { &shape.params };
    for Spec { path, shown, usage, is_optional } in params {
        let found = match files.data(path, usage) {
            Some(found) => found,
            None => match kept(shape, files, store, path) {
                Kept::File(id) => store.data(id, path.as_str(), usage),
                Kept::Broken(problem) => FileData::Error(problem),
                _ if *is_optional => continue,
                _ => FileData::Error(missing(path.as_str())),
            },
        };
        data.params.push((Arc::clone(shown), found));
    }
    for path in options.targets.unwrap_or(&shape.metrics) {
        let found = metrics_at(shape, files, store, path);
        for (path, found) in found {
            // A file may be named by itself and with its directory.
            if !data.metrics.iter().any(|(known, _)| *known == path) {
                data.metrics.push((path, found));
            }
        }
    }
    if options.edges == Edges::No {
        return Ok(data);
    }
    for file in &shape.pipelines {
        // A broken lock file is noticed whether or not anything in it is asked for.
        files.lock(file)?;
    }
    for edge in &shape.deps {
        let artifact = recorded(edge, files, Side::Dep)?;
        data.deps.push((Arc::clone(&edge.shown), DepData { artifact }));
    }
    for out in &shape.outs {
        let artifact = recorded(&out.edge, files, Side::Out)?;
        let (use_cache, is_data_source) = (out.use_cache, out.is_data_source);
        data.outs
            .push((Arc::clone(&out.edge.shown), OutData { artifact, use_cache, is_data_source }));
    }
    Ok(data)
}

/// Returns the metric files at a path: one, or those of a directory.
fn metrics_at(
    shape: &Shape,
    files: &mut dyn Files,
    store: &mut StoreMemo<'_>,
    path: &RelPath,
) -> ShownFiles {
    let named = |path: &RelPath, found| (Arc::from(path.as_str()), found);
    if let Some(found) = files.data(path, &Usage::metric(path.as_str())) {
        return vec![named(path, found)];
    }
    let below = files.below(path);
    if !below.is_empty() {
        let data =
            |path: &RelPath| Some(named(path, files.data(path, &Usage::metric(path.as_str()))?));
        return below.iter().filter_map(data).collect();
    }
    let one = |found| vec![named(path, found)];
    match kept(shape, files, store, path) {
        Kept::File(id) => one(store.data(id, path.as_str(), &Usage::metric(path.as_str()))),
        Kept::Dir(below) => {
            let mut data = |(path, id): &(RelPath, ObjectId)| {
                named(path, store.data(*id, path.as_str(), &Usage::metric(path.as_str())))
            };
            below.iter().map(&mut data).collect()
        }
        Kept::Unrecorded => one(FileData::Error(not_recorded(path.as_str()))),
        Kept::Nowhere => one(FileData::Error(missing(path.as_str()))),
        Kept::Broken(problem) => one(FileData::Error(problem)),
    }
}

/// Where the store keeps a path.
enum Kept {
    /// No output that the store keeps has it.
    Nowhere,
    /// An output should have it, but nothing was recorded of that.
    Unrecorded,
    /// It is a file.
    File(ObjectId),
    /// It is a directory with these files.
    Dir(Vec<(RelPath, ObjectId)>),
    /// That cannot be told.
    Broken(Arc<Problem>),
}

fn kept(shape: &Shape, files: &mut dyn Files, store: &mut StoreMemo<'_>, path: &RelPath) -> Kept {
    let Some((edge, inside)) = shape.stored(path) else { return Kept::Nowhere };
    let id = match recorded(edge, files, Side::Out) {
        Ok(Some(artifact)) => artifact.id,
        Ok(None) => return Kept::Unrecorded,
        Err(problem) => return Kept::Broken(problem),
    };
    if !id.is_tree() {
        return if inside.is_empty() { Kept::File(id) } else { Kept::Nowhere };
    }
    let manifest = match store.manifest(id) {
        Ok(manifest) => manifest,
        Err(problem) => return Kept::Broken(problem),
    };
    if let Some(digest) = manifest.get(inside) {
        return Kept::File(ObjectId::file(*digest));
    }
    let below: Vec<_> = (manifest.entries().iter())
        .filter_map(|entry| {
            let rest = entry.path.strip_prefix(inside)?;
            let rest = if inside.is_empty() { rest } else { rest.strip_prefix('/')? };
            Some((path.join(rest).ok()?, ObjectId::file(entry.digest)))
        })
        .collect();
    if below.is_empty() { Kept::Nowhere } else { Kept::Dir(below) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Dep,
    Out,
}

/// Returns what was recorded of a dependency or an output.
fn recorded(
    edge: &Edge,
    files: &mut dyn Files,
    side: Side,
) -> Result<Option<Artifact>, Arc<Problem>> {
    let Some(name) = &edge.stage.name else { return Ok(edge.recorded) };
    let Some(lock) = files.lock(&edge.stage.file)? else { return Ok(None) };
    let Some(stage) = lock.stages.get(name) else { return Ok(None) };
    let entry = match side {
        Side::Dep => stage.dep(&edge.written),
        Side::Out => stage.out(&edge.written),
    };
    Ok(entry.and_then(|entry| entry.artifact))
}
