//! What was tracked in this workspace, so that a checkout can remove what no longer is.
//!
//! A line for each output, the latest counts: algorithm, object and path, separated by spaces, in
//! `.dvc/tmp/exp/outs`. A cache: without it nothing is removed, and what it says is checked against the data first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

use exp_core::{Algorithm, Artifact, ObjectId, RelPath, Stage, StageLock};

use crate::project::Project;

/// Notes what is recorded of the outputs of a stage. That it cannot be written is no failure.
pub(crate) fn note(project: &Project, stage: &Stage, lock: &StageLock) {
    let mut lines = String::new();
    for out in stage.outs.iter().filter(|out| out.cache) {
        let artifact = lock.out(&out.path).and_then(|entry| entry.artifact);
        if let (Some(path), Some(artifact)) = (out.location.workspace(), artifact) {
            push(&mut lines, path, artifact.id);
        }
    }
    if lines.is_empty() || fs::create_dir_all(project.scratch()).is_err() {
        return;
    }
    let file = OpenOptions::new().create(true).append(true).open(project.scratch().join("outs"));
    if let Ok(mut file) = file {
        let _ = file.write_all(lines.as_bytes());
    }
}

/// Returns what was tracked, by path.
pub(super) fn known(project: &Project) -> BTreeMap<RelPath, Artifact> {
    let text = fs::read_to_string(project.scratch().join("outs")).unwrap_or_default();
    let mut known = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ' ');
        let (Some(algorithm), Some(id), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let id = algorithm.parse::<Algorithm>().ok().and_then(|one| ObjectId::parse(one, id).ok());
        if let (Some(id), Ok(path)) = (id, RelPath::new(path)) {
            known.insert(path, Artifact { id, size: None, n_files: None, is_exec: false });
        }
    }
    known
}

/// Replaces what is noted.
pub(super) fn replace(project: &Project, outs: &BTreeMap<RelPath, Artifact>) {
    let mut lines = String::new();
    for (path, artifact) in outs {
        push(&mut lines, path, artifact.id);
    }
    let file = project.scratch().join("outs");
    if fs::create_dir_all(project.scratch()).is_ok()
        && !fs::read_to_string(&file).is_ok_and(|text| text == lines)
    {
        let _ = fs::write(file, lines);
    }
}

fn push(lines: &mut String, path: &RelPath, id: ObjectId) {
    // A name with a line break in it is not worth a format of its own.
    if !path.as_str().contains('\n') {
        let _ = writeln!(lines, "{} {id} {}", id.digest.algorithm().name(), path.as_str());
    }
}
