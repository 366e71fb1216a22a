//! Git's index while a run is under way in the workspace.
//!
//! `DVCLive` adds what it logs in a run to the index, because DVC makes the experiment's commit of that. Ours has these files
//! without it, and the index is a person's: what was logged is taken out of it again. Whatever else was staged meanwhile
//! stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exp_core::RelPath;

use crate::error::Error;
use crate::files::{self, FileError};
use crate::project::Project;
use crate::view::{Broken, View};

/// The index as it was when the run began. Git replaces it by another file, so an open file is all that is kept.
#[derive(Debug)]
pub(super) struct Staged {
    index: PathBuf,
    before: Option<File>,
}

impl Staged {
    /// Notes the index as it is.
    pub(super) fn note(project: &Project) -> Self {
        let index = project.git().git_dir().join("index");
        let before = File::open(&index).ok();
        Self { index, before }
    }

    /// Gives files that were logged the entries back that they had, if the index was changed meanwhile.
    ///
    /// # Errors
    ///
    /// When `git` cannot be run or refuses; the index is as the commands of the stages left it then.
    pub(super) fn give_back(mut self, project: &Project) -> Result<(), Error> {
        if !self.has_changed() {
            return Ok(());
        }
        let paths = logged(project)?;
        if paths.is_empty() {
            return Ok(());
        }
        let now = entries(project, None, &paths)?;
        let copy = project.scratch().join(format!("index.{}", std::process::id()));
        let before = match &mut self.before {
            None => Ok(BTreeMap::new()),
            Some(file) => {
                let copied = File::create(&copy).and_then(|mut to| io::copy(file, &mut to));
                copied.map_err(FileError::at("write", &copy))?;
                entries(project, Some(&copy), &paths)
            }
        };
        files::remove(&copy)?;
        let before = before?;
        let names: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
        let mut lines = Vec::new();
        for name in names.into_iter().filter(|name| now.get(*name) != before.get(*name)) {
            let gone = || "0 0000000000000000000000000000000000000000 0".to_owned();
            let entry = before.get(name).cloned().unwrap_or_else(gone);
            lines.extend_from_slice(format!("{entry}\t{name}\0").as_bytes());
        }
        if lines.is_empty() {
            return Ok(());
        }
        run(project, None, &["update-index", "-z", "--index-info"], &[], &lines).map(drop)
    }

    fn has_changed(&self) -> bool {
        let now = fs::metadata(&self.index).ok();
        let before = self.before.as_ref().and_then(|file| file.metadata().ok());
        let told = |found: Option<fs::Metadata>| {
            found.map(|found| (found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        told(now) != told(before)
    }
}

/// Returns the files and directories that a `dvc.yaml` names at its top level, and the `dvc.yaml` files that name some; as Git
/// knows them.
fn logged(project: &Project) -> Result<Vec<String>, Error> {
    let view = View::load(&project.workspace(), project.root(), Broken::Note)?;
    let mut paths: BTreeSet<RelPath> = BTreeSet::new();
    for file in &view.files {
        let named: Vec<&RelPath> =
            file.params.iter().chain(&file.metrics).chain(&file.plot_paths).collect();
        if !named.is_empty() {
            paths.insert(file.file.clone());
            paths.extend(named.into_iter().cloned());
        }
    }
    paths.iter().map(|path| Ok(project.git_path(path)?.to_string())).collect()
}

/// Returns what an index has of paths: mode, blob and stage by file.
fn entries(
    project: &Project,
    index: Option<&Path>,
    paths: &[String],
) -> Result<BTreeMap<String, String>, Error> {
    let listed =
        run(project, index, &["--literal-pathspecs", "ls-files", "-s", "-z", "--"], paths, b"")?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let lines = listed.split('\0').filter_map(|line| line.split_once('\t'));
    Ok(lines.map(|(entry, name)| (name.to_owned(), entry.to_owned())).collect())
}

fn run(
    project: &Project,
    index: Option<&Path>,
    args: &[&str],
    paths: &[String],
    input: &[u8],
) -> Result<Vec<u8>, Error> {
    let failed = |message: String| Error::Index { message };
    let mut command = Command::new("git");
    command.args(args).args(paths).current_dir(project.git().root()).env_clear();
    command.envs(project.options().env.for_child());
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = (|| {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input)?;
        }
        child.wait_with_output()
    })();
    let output = done.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
