//! What work trees and operations under way need.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exp_core::{Algorithm, Ctx, IgnoreRules, ObjectId, RelPath};
use exp_refs::{CommitId, Git};

use super::{Holder, Reading, Roots, is_record};
use crate::change::Journal;
use crate::error::Error;
use crate::files::{self, FileError};
use crate::project::Project;
use crate::source::{Source, WorkspaceSource};
use crate::view::{Broken, View};

impl Roots {
    /// Looks at all work trees of the repository, what is staged in them, and what is under way in them.
    pub(super) fn look_at_work(&mut self, ctx: &Ctx<'_>) -> Result<(), Error> {
        let prefix = self.project.prefix().clone();
        let own = self.project.root().to_path_buf();
        self.look_at_project(ctx, &self.project.clone())?;
        for top in self.project.git().work_trees()? {
            ctx.check()?;
            let root = prefix.under(&top);
            if root.canonicalize().ok() == own.canonicalize().ok() {
                continue;
            }
            let options = self.project.options().clone();
            if root.join(".dvc").is_dir() {
                match Project::open(&root, options) {
                    Ok(project) => self.look_at_project(ctx, &project)?,
                    Err(error) => self.note(&Holder::WorkTree(root), "", error),
                }
            } else {
                let opening = exp_refs::OpenOptions { env: options.env, durable: false };
                match opening.open(&top) {
                    Ok(git) => self.look_at_index(&git),
                    Err(error) => self.note(&Holder::WorkTree(top), "", error),
                }
            }
        }
        Ok(())
    }

    fn look_at_project(&mut self, ctx: &Ctx<'_>, project: &Project) -> Result<(), Error> {
        self.look_at_journals(project)?;
        let holder = Holder::WorkTree(project.root().to_path_buf());
        let looked = match self.reading {
            Reading::Records => {
                self.look_at_files(ctx, project.root(), &project.workspace(), &holder)
            }
            Reading::Pipelines => View::load(&project.workspace(), project.root(), Broken::Fail)
                .map(|view| {
                    self.look_at_view(&view, &holder);
                    for stage in view.stages.iter() {
                        let paths = stage.outs.iter().filter_map(|out| out.location.workspace());
                        paths.for_each(|path| self.look_at_link(&path.under(project.root())));
                    }
                }),
        };
        match looked {
            Err(Error::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => self.note(&holder, "", error),
            Ok(()) => {}
        }
        self.look_at_index(project.git());
        // Private work trees of ours and of DVC, which may be half made: without their repository.
        for home in [project.scratch().join("work"), project.root().join(".dvc/tmp/exps")] {
            for top in directories(&home)? {
                let root = project.prefix().under(&top);
                let ignore = Arc::new(IgnoreRules::new());
                let source = WorkspaceSource::new(&root, project.prefix().clone(), None, ignore)
                    .with_arguments(project.config().argument_style());
                self.look_at_files(ctx, &root, &source, &Holder::WorkTree(top))?;
            }
        }
        self.look_at_journals(project)
    }

    fn look_at_index(&mut self, git: &Git) {
        let holder = Holder::Index(git.root().to_path_buf());
        if self.reading == Reading::Pipelines {
            return;
        }
        let staged = match git.staged(&is_record) {
            Ok(staged) => staged,
            Err(error) => return self.note(&holder, "", error),
        };
        for (path, blob) in staged {
            if self.blobs.contains(&blob) {
                continue;
            }
            match git.blob(blob) {
                Ok(bytes) => {
                    self.blobs.insert(blob);
                    self.look_at_record(&path.to_string(), &bytes, &holder);
                }
                Err(error) => self.note(&holder, &path.to_string(), error),
            }
        }
    }

    /// Looks at all records below a directory. Directories that are outputs are not looked into.
    fn look_at_files(
        &mut self,
        ctx: &Ctx<'_>,
        root: &Path,
        source: &dyn Source,
        holder: &Holder,
    ) -> Result<(), Error> {
        let mut todo = vec![RelPath::root()];
        while let Some(dir) = todo.pop() {
            ctx.check()?;
            let entries = source.entries(&dir)?;
            let mut outs = BTreeSet::new();
            for entry in entries.iter().filter(|entry| !entry.is_dir) {
                let Ok(path) = dir.join(&entry.name) else { continue };
                if !is_record(entry.name.as_bytes()) {
                    continue;
                }
                if let Some(bytes) = source.read(&path)? {
                    outs.extend(self.look_at_record(path.as_str(), &bytes, holder));
                }
            }
            for path in &outs {
                self.look_at_link(&root.join(path));
            }
            for entry in entries.iter().filter(|entry| entry.is_dir) {
                let Ok(below) = dir.join(&entry.name) else { continue };
                if !outs.contains(below.as_str()) && entry.name != ".dvc" && entry.name != ".git" {
                    todo.push(below);
                }
            }
        }
        Ok(())
    }

    /// Keeps objects that an output consists of by symbolic links, recorded or not: without them it is gone.
    fn look_at_link(&mut self, path: &Path) {
        let Ok(metadata) = fs::symlink_metadata(path) else { return };
        if metadata.is_symlink() {
            if let Some(id) = fs::read_link(path).ok().and_then(|target| self.linked(&target)) {
                let holder = Holder::WorkTree(self.project.root().to_path_buf());
                self.need(id, path.to_string_lossy().into_owned(), &holder);
            }
        } else if metadata.is_dir() {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_symlink() || kind.is_dir()) {
                    self.look_at_link(&entry.path());
                }
            }
        }
    }

    /// Returns the object that a link leads to.
    fn linked(&self, target: &Path) -> Option<ObjectId> {
        let cache = self.project.cache().root();
        let canonical = cache.canonicalize().ok();
        let below = target.strip_prefix(cache).ok();
        let below = below.or_else(|| target.strip_prefix(canonical?).ok())?;
        let parts: Vec<&str> = below.iter().filter_map(|part| part.to_str()).collect();
        match parts[..] {
            ["files", "md5", shard, rest] => {
                ObjectId::parse(Algorithm::Md5, &format!("{shard}{rest}")).ok()
            }
            ["files", "sha256", shard, rest] => {
                ObjectId::parse(Algorithm::Sha256, &format!("{shard}{rest}")).ok()
            }
            [shard, rest] => {
                ObjectId::parse(Algorithm::Md5Dos2Unix, &format!("{shard}{rest}")).ok()
            }
            _ => None,
        }
    }

    /// Looks at what operations under way may have to put back, those of dead processes included.
    fn look_at_journals(&mut self, project: &Project) -> Result<(), Error> {
        let home = project.scratch().join("ops");
        for path in files_in(&home)? {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Some(bytes) = files::read(&path)? else { continue };
            match Journal::parse(&bytes) {
                Ok(journal) => {
                    let found = self.look_at_operation(&journal.operation, &Holder::Running);
                    self.running.extend(found);
                    let run = journal.run;
                    let baseline = run.and_then(|run| run.baseline.parse::<CommitId>().ok());
                    self.running.extend(baseline);
                }
                Err(source) => {
                    let what = format!("`{}`", path.display());
                    let error = Error::Corrupt { what, source: source.into() };
                    self.note(&Holder::Running, "", error);
                }
            }
        }
        Ok(())
    }
}

fn entries(home: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let listing = match fs::read_dir(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(FileError::at("list", home))?,
    };
    Ok(listing.collect::<Result<_, _>>().map_err(FileError::at("list", home))?)
}

fn directories(home: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries(home)?.into_iter().filter(is_dir).map(|entry| entry.path()).collect())
}

fn files_in(home: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(home)?.into_iter().map(|entry| entry.path()).collect())
}
