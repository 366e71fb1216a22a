//! Changing the workspace and refs so that it can be taken back, whatever happens in between.
//!
//! A [`Changes`] is opened before the first change, told of each path before it is touched, and finished after the last
//! one. Until then it lies as a journal in `.dvc/tmp/exp/ops/`, where the next command finds it if this process dies.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use exp_cache::{NoFilter, Relink};
use exp_core::{Algorithm, Artifact, Ctx, ObjectId, RelPath};
use exp_refs::{CommitId, LeftOut, RefName, RunEnvironment};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{self, FileError};
use crate::operation::{FileChange, FileState, Operation, OperationKind, RefMove};
use crate::oplog;
use crate::process::Owner;
use crate::project::Project;
use crate::queue::JobEnd;
use crate::ranks::Ranks;

/// A larger file without a better place goes to the store instead of into a Git blob.
const LARGE: u64 = 1 << 20;

/// An operation under way.
#[derive(Debug)]
pub(crate) struct Changes {
    project: Project,
    root: PathBuf,
    journal: Journal,
    path: PathBuf,
    touched: HashSet<RelPath>,
    /// What the operation itself put in places where nothing was.
    placed: HashMap<RelPath, Artifact>,
    /// Whether files are noted.
    is_noted: bool,
    ranks: Ranks,
}

/// An operation under way, as it lies on disk: a line with all of it, and a line for each [`Entry`] since.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    /// The process that is at work.
    pub owner: Owner,
    /// The run that is under way, when it is one.
    pub run: Option<RunJournal>,
    /// What was changed so far: states before, none after.
    pub operation: Operation,
}

/// What came about since a journal was written as a whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry {
    /// Files are about to change; this is what they held.
    Touched(Vec<FileChange>),
    /// A stage's outputs are about to be cleared away.
    Begun(String),
    /// A stage ended well.
    Ended(String),
}

impl Entry {
    fn apply(self, journal: &mut Journal) {
        match (self, &mut journal.run) {
            (Self::Touched(files), _) => journal.operation.files.extend(files),
            (Self::Begun(stage), Some(run)) => run.begun.push(stage),
            (Self::Ended(stage), Some(run)) => run.unfinished.retain(|other| *other != stage),
            (Self::Begun(_) | Self::Ended(_), None) => {}
        }
    }
}

impl Journal {
    /// Reads a journal. A last line without its end was being written when the process died, and what it announces had
    /// not begun; it is left out.
    ///
    /// # Errors
    ///
    /// When a line is none of a journal's.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut journal: Self = serde_json::from_slice(lines.next().unwrap_or_default())?;
        for line in lines.filter(|line| line.ends_with(b"\n")) {
            serde_json::from_slice::<Entry>(line)?.apply(&mut journal);
        }
        Ok(journal)
    }
}

/// What is needed to record a run whose process died.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunJournal {
    /// The name that the experiment would have got.
    pub name: String,
    /// The commit that it started from.
    pub baseline: String,
    /// Where its files are, when not in the workspace.
    pub work_tree: Option<PathBuf>,
    /// When it began, in seconds since the epoch.
    pub started: i64,
    /// The changes of parameters that it was asked for.
    pub overrides: Vec<String>,
    /// The stages that are to run, those that ended well excepted, by address.
    pub unfinished: Vec<String>,
    /// The stages whose outputs were cleared away because their commands were about to run, by address.
    pub begun: Vec<String>,
    /// The directory with the output of the commands.
    pub logs: PathBuf,
    /// The job of the queue that it is, when it is one.
    #[serde(default)]
    pub job: Option<JobRef>,
    /// How the job ends if the ref that is announced has moved.
    #[serde(default)]
    pub ending: Option<JobEnd>,
    /// What it runs in.
    #[serde(default)]
    pub environment: Option<RunEnvironment>,
    /// Files that were there and are not part of it, and how many there are.
    #[serde(default)]
    pub left_out: (Vec<LeftOut>, u64),
}

/// An attempt at a job of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobRef {
    /// The job.
    pub number: u64,
    /// Which attempt, from 1.
    pub attempt: u32,
}

/// Where the content of a path is kept while it may have to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Text that people write: a Git blob.
    Text,
    /// Outputs: the store.
    Data,
}

impl Changes {
    /// Begins an operation; the journal exists from the first touched path on.
    pub(crate) fn begin(project: &Project, kind: OperationKind, subject: &str) -> Self {
        let at = project.now().seconds;
        let owner = Owner::this_process();
        let path = project.scratch().join("ops").join(format!("{}.json", owner.unique()));
        let operation = Operation::new(kind, subject, at);
        let journal = Journal { owner, run: None, operation };
        Self {
            project: project.clone(),
            root: project.root().to_path_buf(),
            journal,
            path,
            touched: HashSet::new(),
            placed: HashMap::new(),
            is_noted: true,
            ranks: Ranks::default(),
        }
    }

    /// Begins an operation whose files are nobody's work, such as those of a private work tree: only refs are noted.
    ///
    /// Files are written below `root`, the journal lies with `project`.
    pub(crate) fn of_refs_only(
        project: &Project,
        root: &Path,
        kind: OperationKind,
        subject: &str,
    ) -> Self {
        Self { is_noted: false, root: root.to_path_buf(), ..Self::begin(project, kind, subject) }
    }

    /// Says in which order the entries of files stand that stages append to.
    pub(crate) fn rank(&mut self, ranks: Ranks) {
        self.ranks = ranks;
    }

    /// Returns the order in which the entries of files stand that stages append to.
    pub(crate) fn ranks(&mut self) -> &mut Ranks {
        &mut self.ranks
    }

    /// Says that the operation takes another one back.
    pub(crate) fn undoes(&mut self, commit: CommitId) {
        self.journal.operation.undoes = Some(commit.to_string());
    }

    /// Notes what the paths hold, before they are changed. A path is noted once, whatever comes later.
    pub(crate) fn touch<'p>(
        &mut self,
        ctx: &Ctx<'_>,
        paths: impl IntoIterator<Item = (&'p RelPath, Keep)>,
    ) -> Result<(), Error> {
        let mut new = Vec::new();
        for (path, keep) in paths {
            if self.touched.insert(path.clone()) && self.is_noted {
                let before = capture(&self.project, ctx, path, keep)?;
                let path = path.as_str().to_owned();
                new.push(FileChange { path, before, after: None });
            }
        }
        if new.is_empty() { Ok(()) } else { self.note(Entry::Touched(new)) }
    }

    /// Notes a path and replaces its content.
    pub(crate) fn write(
        &mut self,
        ctx: &Ctx<'_>,
        path: &RelPath,
        bytes: &[u8],
    ) -> Result<(), Error> {
        self.touch(ctx, [(path, Keep::Text)])?;
        Ok(files::write(&path.under(&self.root), bytes)?)
    }

    /// Notes a path and removes the file there.
    pub(crate) fn remove(&mut self, ctx: &Ctx<'_>, path: &RelPath) -> Result<(), Error> {
        self.touch(ctx, [(path, Keep::Text)])?;
        Ok(files::remove(&path.under(&self.root))?)
    }

    /// Notes that a path where nothing was now holds exactly `artifact`, all of which is in the store, so that it need not
    /// be looked at again when the operation ends.
    pub(crate) fn placed(&mut self, path: &RelPath, artifact: Artifact) {
        if artifact.id.digest.algorithm() == self.project.algorithm() {
            self.placed.insert(path.clone(), artifact);
        }
    }

    /// Notes that a ref moved.
    pub(crate) fn moved_ref(
        &mut self,
        name: &RefName,
        before: Option<CommitId>,
        after: Option<CommitId>,
    ) {
        self.journal.operation.refs.push(RefMove {
            name: name.as_str().to_owned(),
            before: before.map(|id| id.to_string()),
            after: after.map(|id| id.to_string()),
        });
    }

    /// Notes that a ref is about to move, in place of what was noted last of the refs of a run.
    pub(crate) fn moving_ref(&mut self, name: &RefName, before: Option<CommitId>, after: CommitId) {
        self.journal.operation.refs.clear();
        self.moved_ref(name, before, Some(after));
    }

    /// Writes the journal, refs that are about to move included. Recovery keeps of them those that did move.
    pub(crate) fn announce(&self) -> Result<(), Error> {
        self.save()
    }

    /// Notes the run that is under way.
    pub(crate) fn set_run(&mut self, run: RunJournal) -> Result<(), Error> {
        self.journal.run = Some(run);
        self.save()
    }

    /// Changes what is noted of the run that is under way.
    pub(crate) fn update_run(&mut self, update: impl FnOnce(&mut RunJournal)) -> Result<(), Error> {
        if let Some(run) = &mut self.journal.run {
            update(run);
        }
        self.save()
    }

    /// Returns what is noted of the run that is under way.
    pub(crate) fn run(&self) -> Option<&RunJournal> {
        self.journal.run.as_ref()
    }

    /// Returns the name of the operation, which no other one on this machine has.
    pub(crate) fn id(&self) -> String {
        id_of(&self.path)
    }

    /// Returns the file of the journal, for who notes process groups beside it.
    pub(crate) fn journal_path(&self) -> &Path {
        &self.path
    }

    /// Returns the paths noted so far.
    pub(crate) fn touched(&self) -> &HashSet<RelPath> {
        &self.touched
    }

    /// Ends the operation: notes what the paths hold now and appends it to the log, unless nothing changed.
    ///
    /// Returns the commit of the operation.
    pub(crate) fn finish(mut self, ctx: &Ctx<'_>) -> Result<Option<CommitId>, Error> {
        let logged = finish(&self.project, ctx, &mut self.journal.operation, &self.placed)?;
        files::remove(&self.path)?;
        Ok(logged)
    }

    /// Forgets the operation, of which nothing was done.
    pub(crate) fn discard(self) -> Result<(), Error> {
        Ok(files::remove(&self.path)?)
    }

    /// Notes that a stage's outputs are about to be cleared away, when a run is under way.
    pub(crate) fn note_begun(&mut self, stage: String) -> Result<(), Error> {
        if self.journal.run.is_some() { self.note(Entry::Begun(stage)) } else { Ok(()) }
    }

    /// Notes that a stage ended well, when a run is under way.
    pub(crate) fn note_ended(&mut self, stage: String) -> Result<(), Error> {
        if self.journal.run.is_some() { self.note(Entry::Ended(stage)) } else { Ok(()) }
    }

    fn note(&mut self, entry: Entry) -> Result<(), Error> {
        // A line is appended, so that the thousandth stage costs what the first one does.
        let has_file = append(&self.path, &entry)?;
        entry.apply(&mut self.journal);
        if has_file { Ok(()) } else { self.save() }
    }

    fn save(&self) -> Result<(), Error> {
        save_journal(&self.path, &self.journal)
    }
}

/// Returns the name of the operation whose journal this is.
pub(crate) fn id_of(journal: &Path) -> String {
    journal.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Completes an operation with what its paths hold now, which is known of those that are `placed`, and appends it to the
/// log.
pub(crate) fn finish(
    project: &Project,
    ctx: &Ctx<'_>,
    operation: &mut Operation,
    placed: &HashMap<RelPath, Artifact>,
) -> Result<Option<CommitId>, Error> {
    for file in &mut operation.files {
        let path = RelPath::new(&file.path)?;
        if let Some(artifact) = placed.get(&path) {
            project.cache().pin(&[*artifact])?;
            file.after = Some(data(artifact));
            continue;
        }
        let keep = match file.before {
            Some(FileState::Data { .. }) => Keep::Data,
            _ if is_output(project, &path) => Keep::Data,
            _ => Keep::Text,
        };
        file.after = capture(project, ctx, &path, keep)?;
    }
    operation.files.retain(|file| file.before != file.after);
    // That an operation was taken back counts even when nothing was left to do.
    if operation.is_empty() && operation.undoes.is_none() {
        return Ok(None);
    }
    oplog::append(project.git(), operation, project.now()).map(Some)
}

/// Writes a journal in one step. It need not survive a power cut: then the process is gone as well as its changes.
pub(crate) fn save_journal(path: &Path, journal: &Journal) -> Result<(), Error> {
    let text = line(journal)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text).map_err(FileError::at("write", &temporary))?;
    fs::rename(&temporary, path).map_err(FileError::at("write", path))?;
    Ok(())
}

/// Appends to a journal; `false` when there is none yet.
fn append(path: &Path, entry: &Entry) -> Result<bool, Error> {
    let mut file = match fs::OpenOptions::new().append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FileError::at("open", path)(error).into()),
    };
    let before = file.metadata().map_err(FileError::at("look at", path))?.len();
    if let Err(error) = file.write_all(&line(entry)?) {
        // Half a line must not stand in front of the next one.
        file.set_len(before).ok();
        return Err(FileError::at("write", path)(error).into());
    }
    Ok(true)
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(value)
        .map_err(|source| Error::Corrupt { what: "a journal".to_owned(), source: source.into() })?;
    line.push(b'\n');
    Ok(line)
}

/// Returns what a path holds, and keeps a copy of it where it cannot get lost.
pub(crate) fn capture(
    project: &Project,
    ctx: &Ctx<'_>,
    path: &RelPath,
    keep: Keep,
) -> Result<Option<FileState>, Error> {
    let full = path.under(project.root());
    let Ok(metadata) = fs::symlink_metadata(&full) else { return Ok(None) };
    if metadata.is_symlink() {
        let target = fs::read_link(&full).map_err(FileError::at("read", &full))?;
        if !target.starts_with(project.cache().root()) {
            return Ok(Some(FileState::Link { target: target.to_string_lossy().into_owned() }));
        }
    } else if metadata.is_file() && (keep == Keep::Text && metadata.len() <= LARGE) {
        let bytes = fs::read(&full).map_err(FileError::at("read", &full))?;
        let id = project.git().write_blob(&bytes)?.to_string();
        return Ok(Some(FileState::Blob { id, exec: metadata.permissions().mode() & 0o100 != 0 }));
    }
    let Some(artifact) = project.cache().digest(ctx, &full, &NoFilter)? else { return Ok(None) };
    project.cache().pin(&[artifact])?;
    if !project.cache().has_all(&artifact)? {
        project.cache().add(ctx, &full, &NoFilter, Relink::No)?;
    }
    Ok(Some(data(&artifact)))
}

fn data(artifact: &Artifact) -> FileState {
    FileState::Data {
        algorithm: artifact.id.digest.algorithm().name().to_owned(),
        oid: artifact.id.to_string(),
        exec: artifact.is_exec,
    }
}

/// Returns whether a path holds what a state says. Nothing is kept on the way.
pub(crate) fn holds(
    project: &Project,
    ctx: &Ctx<'_>,
    path: &RelPath,
    state: Option<&FileState>,
) -> Result<bool, Error> {
    let full = path.under(project.root());
    let metadata = fs::symlink_metadata(&full).ok();
    let (Some(metadata), Some(state)) = (&metadata, state) else {
        return Ok(metadata.is_none() && state.is_none());
    };
    Ok(match state {
        FileState::Link { target } => {
            let found = fs::read_link(&full).ok();
            found.is_some_and(|found| found.to_string_lossy() == target.as_str())
        }
        FileState::Blob { id, exec } => {
            metadata.is_file()
                && (metadata.permissions().mode() & 0o100 != 0) == *exec
                && files::read(&full)?.unwrap_or_default() == oplog::blob(project.git(), id)?
        }
        state @ FileState::Data { .. } => {
            let wanted = artifact(state)?;
            let algorithm = wanted.id.digest.algorithm();
            let found = project.cache().digest_as(ctx, algorithm, &full, &NoFilter)?;
            found
                .is_some_and(|found| found.same_content(&wanted) && found.is_exec == wanted.is_exec)
        }
    })
}

/// Puts back what a path held.
pub(crate) fn restore(
    project: &Project,
    ctx: &Ctx<'_>,
    path: &RelPath,
    state: Option<&FileState>,
) -> Result<(), Error> {
    let full = path.under(project.root());
    match state {
        None => Ok(files::remove_all(&full)?),
        Some(FileState::Link { target }) => {
            files::remove_all(&full)?;
            std::os::unix::fs::symlink(target, &full).map_err(FileError::at("link", &full))?;
            Ok(())
        }
        Some(FileState::Blob { id, exec }) => {
            let bytes = oplog::blob(project.git(), id)?;
            // A link of the store must not be written through.
            if fs::symlink_metadata(&full)
                .is_ok_and(|found| !found.is_file() || found.permissions().readonly())
            {
                files::remove_all(&full)?;
            }
            files::write(&full, &bytes)?;
            set_exec(&full, *exec)
        }
        Some(state @ FileState::Data { .. }) => {
            let artifact = artifact(state)?;
            let plan = project.cache().plan_checkout(ctx, Some(&artifact), &full, &NoFilter)?;
            project.cache().checkout(ctx, plan)?;
            Ok(())
        }
    }
}

/// Returns what is stored of a path that held data.
pub(crate) fn artifact(state: &FileState) -> Result<Artifact, Error> {
    let corrupt = |source| Error::Corrupt { what: "an operation".to_owned(), source };
    let FileState::Data { algorithm, oid, exec } = state else {
        return Err(corrupt("a file is taken for data".into()));
    };
    let algorithm: Algorithm = algorithm.parse().map_err(|error| corrupt(Box::new(error)))?;
    let id = ObjectId::parse(algorithm, oid).map_err(|error| corrupt(Box::new(error)))?;
    Ok(Artifact { id, size: None, n_files: None, is_exec: *exec })
}

fn set_exec(path: &Path, exec: bool) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(FileError::at("look at", path))?;
    let mode = metadata.permissions().mode();
    let wanted = if exec { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
    if wanted != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(wanted))
            .map_err(FileError::at("change", path))?;
    }
    Ok(())
}

/// Returns whether a path that did not exist before is an output: a directory, or something Git does not look at.
fn is_output(project: &Project, path: &RelPath) -> bool {
    path.under(project.root()).is_dir()
        || project
            .git_path(path)
            .is_ok_and(|path| project.git().is_ignored(&path, false).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_reads_what_was_appended_and_leaves_out_half_a_line() {
        let run = |unfinished: &[&str], begun: &[&str]| RunJournal {
            name: "n".into(),
            baseline: "b".into(),
            work_tree: None,
            started: 1,
            overrides: Vec::new(),
            unfinished: unfinished.iter().map(|&stage| stage.to_owned()).collect(),
            begun: begun.iter().map(|&stage| stage.to_owned()).collect(),
            logs: PathBuf::from("l"),
            job: None,
            ending: None,
            environment: None,
            left_out: (Vec::new(), 0),
        };
        let journal = |run: RunJournal| Journal {
            owner: Owner::this_process(),
            run: Some(run),
            operation: Operation::new(OperationKind::Run, "n", 1),
        };
        let touched = FileChange { path: "m.json".into(), before: None, after: None };
        let mut bytes = line(&journal(run(&["a", "b"], &[]))).unwrap();
        for entry in [
            Entry::Touched(vec![touched.clone()]),
            Entry::Begun("a".into()),
            Entry::Ended("a".into()),
            Entry::Begun("b".into()),
        ] {
            bytes.extend(line(&entry).unwrap());
        }
        let whole = Journal::parse(&bytes).unwrap();
        let mut expected = journal(run(&["b"], &["a", "b"]));
        expected.operation.files.push(touched);
        assert_eq!(line(&whole).unwrap(), line(&expected).unwrap());

        bytes.truncate(bytes.len() - 3);
        let cut = Journal::parse(&bytes).unwrap();
        assert_eq!(cut.run.unwrap().begun, ["a"]);
        bytes.extend(b"\n");
        assert!(Journal::parse(&bytes).is_err(), "a whole line that is nothing");
        assert!(Journal::parse(b"").is_err());
    }
}
