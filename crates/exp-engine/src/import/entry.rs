//! What a repository shows: the files that Git keeps and the data that DVC tracks, as one tree.

use std::collections::BTreeMap;
use std::path::Path;

use exp_core::{Ctx, ObjectId, RelPath};

use super::error::ImportError;
use super::external::{External, check_safe};
use super::files::{Kind, Seen};
use super::get::is_dvc_file;
use crate::error::Error;

/// A file or directory of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a file")]
pub struct RepoEntry {
    /// Where it is, from the top of the repository.
    pub path: RelPath,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it is data: an output, or a part of one.
    pub is_out: bool,
    /// Whether its owner may execute it, as far as Git, the file system or the record of its directory says so.
    pub is_exec: bool,
    /// In bytes, as far as it is known without asking a storage.
    pub size: Option<u64>,
    /// The recorded content; of a directory only when it is a whole output.
    pub id: Option<ObjectId>,
    /// Whether it lies there by itself and not only in a store.
    pub(super) is_present: bool,
    /// Whether it is a link whose bytes are its target.
    pub(super) is_link: bool,
    /// The size of a whole output.
    pub(super) recorded_size: Option<u64>,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Show {
    /// Only what DVC tracks.
    pub(super) data_only: bool,
    /// Also the files that say what is tracked: `.dvc`, `dvc.yaml`, `.dvcignore`.
    pub(super) dvc_files: bool,
}

impl Show {
    /// What is taken when data is wanted.
    pub(super) const CONTENT: Self = Self { data_only: false, dvc_files: false };
}

/// What DVC knows about a path.
#[derive(Debug, Clone, Copy, Default)]
struct Data {
    is_out: bool,
    is_dir: bool,
    size: Option<u64>,
    id: Option<ObjectId>,
    is_exec: bool,
}

impl External<'_> {
    /// Returns what is at `path`; `None` for nothing.
    ///
    /// # Errors
    ///
    /// When the files cannot be read, or a manifest that tells is nowhere.
    pub(super) fn entry(&self, ctx: &Ctx<'_>, path: &RelPath) -> Result<Option<RepoEntry>, Error> {
        check_safe(path)?;
        let mut seen = self.files.look(path)?;
        if let Some(found) = seen
            && !path.is_root()
            && self.ignore.is_ignored(path, found.kind == Kind::Dir).is_some()
        {
            seen = None;
        }
        let data = self.data_at(ctx, path)?;
        Ok(merged(path, seen, data))
    }

    /// Returns the entry at `path`.
    ///
    /// # Errors
    ///
    /// Also when nothing is there.
    pub(super) fn must_have(
        &self,
        ctx: &Ctx<'_>,
        path: &RelPath,
        rev: Option<&str>,
    ) -> Result<RepoEntry, Error> {
        self.entry(ctx, path)?.ok_or_else(|| {
            let (path, url, rev) = (path.clone(), self.label.clone(), rev.map(str::to_owned));
            ImportError::NotInRepository { path, url, rev }.into()
        })
    }

    /// Returns what is directly in a directory, by name.
    pub(super) fn children(
        &self,
        ctx: &Ctx<'_>,
        dir: &RelPath,
        show: Show,
    ) -> Result<Vec<RepoEntry>, Error> {
        ctx.check()?;
        let mut found: BTreeMap<String, (Option<Seen>, Option<Data>)> = BTreeMap::new();
        if !show.data_only {
            for (name, seen) in self.files.list(dir)? {
                if !self.is_hidden(&dir.join(&name)?, &seen)? {
                    found.entry(name).or_default().0 = Some(seen);
                }
            }
        }
        for (name, data) in self.data_in(ctx, dir)? {
            found.entry(name).or_default().1 = Some(data);
        }
        let mut children = Vec::with_capacity(found.len());
        for (name, (seen, data)) in found {
            let is_dvc_file =
                is_dvc_file(Path::new(&name)) || name == ".dvcignore" || name == ".dvc";
            let path = dir.join(&name)?;
            if (is_dvc_file && !show.dvc_files) || check_safe(&path).is_err() {
                continue;
            }
            children.extend(merged(&path, seen, data));
        }
        Ok(children)
    }

    /// Returns all files below a directory, or the file itself, in the order of their directories.
    pub(super) fn leaves(&self, ctx: &Ctx<'_>, top: &RepoEntry) -> Result<Vec<RepoEntry>, Error> {
        if !top.is_dir {
            return Ok(vec![top.clone()]);
        }
        let (mut leaves, mut todo) = (Vec::new(), vec![top.path.clone()]);
        while let Some(dir) = todo.pop() {
            for child in self.children(ctx, &dir, Show::CONTENT)? {
                if child.is_dir { todo.push(child.path) } else { leaves.push(child) }
            }
        }
        Ok(leaves)
    }

    fn data_at(&self, ctx: &Ctx<'_>, path: &RelPath) -> Result<Option<Data>, Error> {
        if let Some(out) = self.out_of(path) {
            let below = path.strip_prefix(&out.path).unwrap_or_default();
            if below.is_empty() {
                return Ok(Some(whole(out)));
            }
            if !out.artifact.id.is_tree() {
                return Ok(None);
            }
            let tree = self.tree(ctx, out)?;
            if let Some(entry) = tree.entry(below) {
                let (id, is_exec) = (Some(ObjectId::file(entry.digest)), entry.is_exec);
                return Ok(Some(Data { is_out: true, id, is_exec, ..Data::default() }));
            }
            let inside = format!("{below}/");
            let is_dir = tree.entries().iter().any(|entry| entry.path.starts_with(&inside));
            return Ok(is_dir.then_some(Data { is_out: true, is_dir, ..Data::default() }));
        }
        let leads = self.outs.iter().any(|out| out.path.starts_with(path));
        Ok(leads.then_some(Data { is_dir: true, ..Data::default() }))
    }

    fn data_in(&self, ctx: &Ctx<'_>, dir: &RelPath) -> Result<BTreeMap<String, Data>, Error> {
        let mut found = BTreeMap::new();
        if let Some(out) = self.out_of(dir).filter(|out| out.artifact.id.is_tree()) {
            let below = dir.strip_prefix(&out.path).unwrap_or_default();
            let inside = if below.is_empty() { String::new() } else { format!("{below}/") };
            for entry in self.tree(ctx, out)?.entries() {
                let Some(rest) = entry.path.strip_prefix(&inside) else { continue };
                let is_dir = rest.contains('/');
                let name = rest.split('/').next().unwrap_or_default();
                let id = (!is_dir).then(|| ObjectId::file(entry.digest));
                let is_exec = !is_dir && entry.is_exec;
                let data = Data { is_dir, id, is_exec, ..Data::default() };
                found.insert(name.to_owned(), Data { is_out: true, ..data });
            }
            return Ok(found);
        }
        for out in &self.outs {
            let Some(rest) = out.path.strip_prefix(dir).filter(|rest| !rest.is_empty()) else {
                continue;
            };
            match rest.split_once('/') {
                Some((name, _)) => {
                    let dir = Data { is_dir: true, ..Data::default() };
                    found.entry(name.to_owned()).or_insert(dir);
                }
                None => {
                    found.insert(rest.to_owned(), whole(out));
                }
            }
        }
        Ok(found)
    }
}

fn whole(out: &super::external::Tracked) -> Data {
    Data {
        is_out: true,
        is_dir: out.artifact.id.is_tree(),
        size: out.artifact.size,
        id: Some(out.artifact.id),
        is_exec: false,
    }
}

fn merged(path: &RelPath, seen: Option<Seen>, data: Option<Data>) -> Option<RepoEntry> {
    if seen.is_none() && data.is_none() {
        return None;
    }
    let recorded = data.unwrap_or_default();
    Some(RepoEntry {
        path: path.clone(),
        is_dir: seen.map_or(recorded.is_dir, |seen| seen.kind == Kind::Dir),
        is_out: recorded.is_out,
        is_exec: seen.map_or(recorded.is_exec, |seen| seen.is_exec),
        size: seen.map_or(recorded.size, |seen| seen.size),
        id: recorded.id,
        is_present: seen.is_some(),
        is_link: seen.is_some_and(|seen| seen.kind == Kind::Link),
        recorded_size: recorded.size,
    })
}
