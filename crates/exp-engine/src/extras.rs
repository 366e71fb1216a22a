//! What a stage reads beside dependencies and parameters, as digests: SHA-256 of what counts of each.
//!
//! Only digests are kept, because a variable of the environment may be a secret.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};

use exp_cache::Filter;
use exp_core::{
    Algorithm, Ctx, Digest, Extra, Hasher, Location, RelPath, Stage, matches_glob_parts,
    may_match_glob_parts,
};
use regex::bytes::RegexBuilder;

use crate::error::Error;
use crate::files;
use crate::import;
use crate::ports::IgnoreBelow;
use crate::project::Project;
use crate::shell;

/// Something that a stage reads and that cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtraError {
    /// A command could not be started or failed.
    #[error("`{line}` {why}")]
    Command {
        /// The command.
        line: String,
        /// How it ended, and what it wrote to standard error.
        why: String,
    },
    /// A regular expression that is too large.
    #[error("`{pattern}` is too large an expression")]
    Expression {
        /// The expression.
        pattern: String,
    },
    /// A pattern whose directory is no place for files of a project.
    #[error("`{pattern}` does not lead to files of this machine")]
    Place {
        /// The pattern.
        pattern: String,
    },
}

/// Returns the digest of what `stage` reads of `extra` now; `None` when it is not there.
///
/// # Errors
///
/// When a file cannot be read, a command fails or a server does not answer.
pub(crate) fn digest(
    project: &Project,
    ctx: &Ctx<'_>,
    stage: &Stage,
    extra: &Extra,
) -> Result<Option<String>, Error> {
    let bytes: Option<Vec<u8>> = match extra {
        Extra::Variable(name) => variable(project, name),
        Extra::Interpreter(program) => version(project, stage, program),
        Extra::Packages(file) => read(project, &file.location)?,
        Extra::Glob { pattern, base, parts } => {
            return glob(project, ctx, stage, (pattern, base, parts));
        }
        Extra::Cmd(line) => Some(output(project, stage, line)?),
        Extra::Lines { file, from, to } => read(project, &file.location)?.map(|bytes| {
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            lines.skip(from - 1).take(to - from + 1).flatten().copied().collect()
        }),
        Extra::Regex { file, pattern } => match read(project, &file.location)? {
            Some(bytes) => Some(found(&bytes, pattern)?),
            None => None,
        },
        Extra::Url(url) => Some(import::mark_of(ctx, project, url)?.into_bytes()),
    };
    Ok(bytes.map(|bytes| Digest::of(Algorithm::Sha256, &bytes).to_hex()))
}

fn variable(project: &Project, name: &str) -> Option<Vec<u8>> {
    let options = project.options();
    let set = options.shell.env.iter().rfind(|(key, _)| key == name).map(|(_, value)| &**value);
    let value = set.or_else(|| options.env.get(name))?;
    Some(value.as_encoded_bytes().to_vec())
}

/// Returns what a program says of its version, also when it says that it does not know the question; `None` when it cannot
/// be started. Where it is does not count: that differs from machine to machine.
fn version(project: &Project, stage: &Stage, program: &str) -> Option<Vec<u8>> {
    let done = finished(project, stage, Process::new(program).arg("--version")).ok()?;
    Some([done.stdout, done.stderr].concat())
}

fn output(project: &Project, stage: &Stage, line: &str) -> Result<Vec<u8>, ExtraError> {
    let failed = |why: String| ExtraError::Command { line: line.to_owned(), why };
    let mut process = shell::through(&project.options().shell.shell, line);
    let done = finished(project, stage, &mut process)
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(failed(format!("ended with {}: {said}", done.status)))
}

fn finished(project: &Project, stage: &Stage, process: &mut Process) -> std::io::Result<Output> {
    let env = &project.options().shell.env;
    process
        .current_dir(stage.wdir.under(project.root()))
        .envs(env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .output()
}

fn read(project: &Project, location: &Location) -> Result<Option<Vec<u8>>, Error> {
    match path_of(project, location) {
        Some(path) => Ok(files::read(&path)?),
        None => Err(Error::UnsupportedLocation { location: location.to_string() }),
    }
}

fn path_of(project: &Project, location: &Location) -> Option<PathBuf> {
    match location {
        Location::Workspace(path) => Some(path.under(project.root())),
        Location::External(path) => Some(PathBuf::from(path)),
        _ => None,
    }
}

/// Returns what an expression finds: the groups if it has any, else the whole of each place, each with its length before it.
fn found(bytes: &[u8], pattern: &str) -> Result<Vec<u8>, ExtraError> {
    let regex = RegexBuilder::new(pattern).multi_line(true).build();
    let regex = regex.map_err(|_| ExtraError::Expression { pattern: pattern.to_owned() })?;
    let mut all = Vec::new();
    for captures in regex.captures_iter(bytes) {
        let first = usize::from(captures.len() > 1);
        for group in captures.iter().skip(first) {
            let text = group.map_or(&b""[..], |group| group.as_bytes());
            all.extend(format!("{}:", text.len()).bytes());
            all.extend(text);
        }
    }
    Ok(all)
}

/// Digests the paths and contents of the files that match, but for what the stage itself and its records write.
fn glob(
    project: &Project,
    ctx: &Ctx<'_>,
    stage: &Stage,
    (pattern, base, parts): (&str, &Location, &[String]),
) -> Result<Option<String>, Error> {
    let dir = path_of(project, base);
    let dir = dir.ok_or_else(|| ExtraError::Place { pattern: pattern.to_owned() })?;
    if !dir.is_dir() {
        return Ok(None);
    }
    let outs = stage.outs.iter().filter_map(|out| out.location.workspace());
    let own = match base.workspace() {
        Some(base) => outs.filter_map(|out| out.strip_prefix(base)).map(str::to_owned).collect(),
        None => BTreeSet::new(),
    };
    let rules = IgnoreBelow::at(project, base);
    let filter =
        Matching { parts, own, rules, at_root: base.workspace().is_some_and(RelPath::is_root) };
    let seen = project.cache().digest_tree_as(ctx, Algorithm::Sha256, &dir, &filter)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for entry in seen.and_then(|(_, tree)| tree).iter().flat_map(exp_cache::Tree::entries) {
        hasher.update(format!("{} {}\n", entry.digest.to_hex(), entry.path).as_bytes());
    }
    Ok(Some(hasher.finish().to_hex()))
}

/// What each run of a stage may write, which would make the next one run too.
const WRITTEN: [&str; 3] = ["dvc.lock", "exp.lock", ".gitignore"];

/// Leaves out what does not match.
struct Matching<'g> {
    parts: &'g [String],
    /// What the stage writes, relative to the base.
    own: BTreeSet<String>,
    rules: IgnoreBelow,
    at_root: bool,
}

impl Filter for Matching<'_> {
    fn ignored(&self, path: &str, is_dir: bool) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let matches = if is_dir {
            may_match_glob_parts(self.parts, &parts)
        } else {
            matches_glob_parts(self.parts, &parts)
        };
        let is_ours = (self.at_root && matches!(parts[0], ".git" | ".dvc"))
            || parts.last().is_some_and(|name| WRITTEN.contains(name));
        let is_own = || {
            Path::new(path)
                .ancestors()
                .any(|at| at.to_str().is_some_and(|at| self.own.contains(at)))
        };
        !matches || is_ours || is_own() || self.rules.ignored(path, is_dir)
    }

    fn refused(&self, _: &str) -> bool {
        false
    }
}
