//! `.dvcignore`: which paths are no business of ours.
//!
//! The rules are those of DVC, which are nearly Git's: a file applies to its directory and below; a deeper file goes
//! before a higher one, a later line before an earlier; what is below an ignored directory stays ignored. Each
//! file's patterns become one set of regular expressions, so a path is read once however many patterns there are.
//! Where DVC stops with an exception we do as Git does: a lone backslash at the end of a line makes it mean nothing, one
//! before a space keeps the space.

mod pattern;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use regex::RegexSet;

use crate::path::RelPath;

/// Gives out what directories say about what is ignored. Asked once for each directory, from any thread, and never
/// about one that is ignored.
pub trait IgnoreFiles: Send + Sync {
    /// Looks into the directory `dir`, relative to the workspace's root; nothing for one that is not there.
    fn look(&self, dir: &RelPath) -> IgnoreDir;
}

/// What a directory says about what is ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoreDir {
    /// The text of its `.dvcignore`, if it has one.
    pub text: Option<String>,
    /// Whether it has a `.dvc` of its own: another project, which is ignored unless it is the root.
    pub is_project: bool,
}

/// The rules of all `.dvcignore` files of a workspace, and those that always hold: `.hg/`, `.git/`, `.git`, `.dvc/`, and
/// projects inside the project.
///
/// Questions may come from several threads. What a directory says is remembered from the first question about it or
/// anything in it, so a value of this type sees the files as they were then.
pub struct IgnoreRules {
    files: Option<Box<dyn IgnoreFiles>>,
    /// Texts that were given, by directory.
    given: HashMap<String, String>,
    dirs: RwLock<HashMap<Box<str>, Arc<Dir>>>,
}

/// A line that decides about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreRule {
    /// Where it stands.
    pub origin: IgnoreOrigin,
    /// The line, without the space around it; of a project inside the project, its name.
    pub pattern: String,
    /// Whether it ignores; `false` for a line that starts with `!`.
    pub ignores: bool,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IgnoreOrigin {
    /// Nowhere: it always holds.
    BuiltIn,
    /// In a file.
    File {
        /// The `.dvcignore`.
        file: RelPath,
        /// The number of the line, from 1.
        line: usize,
    },
    /// Nowhere: the directory is another project.
    Project,
}

impl fmt::Display for IgnoreRule {
    /// Writes the rule as DVC does: `.dvcignore:3:*.log`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            IgnoreOrigin::BuiltIn => write!(f, ":{}", self.pattern),
            IgnoreOrigin::File { file, line } => write!(f, "{file}:{line}:{}", self.pattern),
            IgnoreOrigin::Project => write!(f, "in sub_repo:{}", self.pattern),
        }
    }
}

/// A directory: the rules for what is in it. One that adds nothing is the same value as the one above.
struct Dir {
    own: Option<RuleFile>,
    above: Option<Arc<Dir>>,
    /// Why the directory is ignored, if it is.
    ignored: Option<IgnoreRule>,
}

impl IgnoreRules {
    /// Returns the rules that always hold.
    pub fn new() -> Self {
        Self { files: None, given: HashMap::new(), dirs: RwLock::default() }
    }

    /// Returns the rules of the directories that `files` knows. Each is looked at when it is first needed.
    pub fn reading(files: impl IgnoreFiles + 'static) -> Self {
        Self { files: Some(Box::new(files)), ..Self::new() }
    }

    /// Adds the `.dvcignore` with content `text` in the directory `dir`, relative to the workspace's root, whatever is
    /// read there. One that is itself ignored has no say. A second file for the same directory replaces the first.
    pub fn add_file(&mut self, dir: &RelPath, text: &str) {
        self.given.insert(dir.as_str().to_owned(), text.to_owned());
        self.dirs.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the rule that makes `path` ignored, its own or that of a directory above it; `None` when it is not
    /// ignored. The root is never ignored.
    pub fn is_ignored(&self, path: &RelPath, is_dir: bool) -> Option<IgnoreRule> {
        if path.is_root() {
            return None;
        }
        if is_dir {
            return self.dir(path.as_str()).ignored.clone();
        }
        let dir = self.dir(above(path.as_str()));
        if dir.ignored.is_some() {
            return dir.ignored.clone();
        }
        dir.own_rule(path.as_str(), false).filter(Rule::ignores).map(|(file, at)| file.rule(at))
    }

    /// Returns the rule that decides about `path`: the one that makes it ignored, else one (`!…`) that takes it back
    /// from being ignored; `None` when no rule matches. For explanations.
    pub fn deciding_rule(&self, path: &RelPath, is_dir: bool) -> Option<IgnoreRule> {
        if path.is_root() {
            return None;
        }
        self.is_ignored(path, is_dir).or_else(|| {
            let dir = self.dir(above(path.as_str()));
            dir.own_rule(path.as_str(), is_dir).map(|(file, at)| file.rule(at))
        })
    }

    /// Like [`IgnoreRules::is_ignored`] for whoever walks down from the root and enters no ignored directory: only
    /// `path` itself is looked at, not the directories above it.
    pub fn is_entry_ignored(&self, path: &RelPath, is_dir: bool) -> bool {
        let text = path.as_str();
        let dir = self.dir(above(text));
        if dir.own_rule(text, is_dir).is_some_and(|found| Rule::ignores(&found)) {
            return true;
        }
        // Whether it is a project of its own is known once it has been looked at.
        is_dir && !path.is_root() && dir.ignored.is_none() && self.dir(text).ignored.is_some()
    }

    /// Returns what holds in a directory, looking at it and those above it when that is new.
    fn dir(&self, path: &str) -> Arc<Dir> {
        let known = self.dirs.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(known) = known {
            return known;
        }
        let dir = self.look(path);
        let mut dirs = self.dirs.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster; its answer is the one that is out already.
        Arc::clone(dirs.entry(path.into()).or_insert(dir))
    }

    fn look(&self, path: &str) -> Arc<Dir> {
        let above = if path.is_empty() { Arc::new(Dir::built_in()) } else { self.dir(above(path)) };
        let ignored = match &above.ignored {
            Some(rule) => Some(rule.clone()),
            None if path.is_empty() => None,
            None => {
                let own = above.own_rule(path, true).filter(Rule::ignores);
                own.map(|(file, at)| file.rule(at))
            }
        };
        if ignored.is_some() {
            return above.ignored_below(ignored);
        }
        let Ok(dir) = RelPath::new(path) else { return above };
        let mut found = self.files.as_ref().map(|files| files.look(&dir)).unwrap_or_default();
        if let Some(text) = self.given.get(path) {
            found.text = Some(text.clone());
        }
        if found.is_project && !path.is_empty() {
            let rule = IgnoreRule {
                origin: IgnoreOrigin::Project,
                pattern: dir.file_name().unwrap_or_default().to_owned(),
                ignores: true,
            };
            return above.ignored_below(Some(rule));
        }
        let (Some(text), Ok(file)) = (found.text, dir.join(".dvcignore")) else { return above };
        if above.own_rule(file.as_str(), false).is_some_and(|found| Rule::ignores(&found)) {
            return above;
        }
        let before = above.files().next().and_then(RuleFile::last);
        let own = RuleFile::new(path, Some(file), &text, before);
        if own.rules.is_empty() {
            return above;
        }
        Arc::new(Dir { own: Some(own), above: Some(above), ignored: None })
    }
}

/// Returns the directory that a path lies in.
fn above(path: &str) -> &str {
    path.rfind('/').map_or("", |end| &path[..end])
}

impl Dir {
    fn built_in() -> Self {
        let own = RuleFile::new("", None, ".hg/\n.git/\n.git\n.dvc/", None);
        Self { own: Some(own), above: None, ignored: None }
    }

    fn ignored_below(self: &Arc<Self>, ignored: Option<IgnoreRule>) -> Arc<Self> {
        Arc::new(Self { own: None, above: Some(Arc::clone(self)), ignored })
    }

    /// Returns the files that apply here, the deepest first.
    fn files(&self) -> impl Iterator<Item = &RuleFile> {
        std::iter::successors(Some(self), |dir| dir.above.as_deref())
            .filter_map(|dir| dir.own.as_ref())
    }

    /// Asks the files from the deepest up; the first with an opinion decides. Where its group of rules goes on in the
    /// file above, the first rule of the group that matches is named, as DVC does.
    fn own_rule(&self, path: &str, is_dir: bool) -> Option<(&RuleFile, usize)> {
        let as_dir = is_dir.then(|| format!("{path}/"));
        let mut found: Option<(&RuleFile, usize)> = None;
        for file in self.files() {
            let group = found.map(|(file, at)| file.rules[at].group);
            if group.is_some() && file.last().map(|last| last.group) != group {
                break;
            }
            let from = if file.dir.is_empty() { 0 } else { file.dir.len() + 1 };
            let below = path.get(from..).unwrap_or_default();
            let as_dir = as_dir.as_deref().and_then(|path| path.get(from..));
            match file.opinion(below, as_dir) {
                Some(at) if group.is_none_or(|group| file.rules[at].group == group) => {
                    found = Some((file, at));
                }
                Some(_) => break,
                None => {}
            }
        }
        found
    }
}

impl Default for IgnoreRules {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for IgnoreRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IgnoreRules").field("given", &self.given.len()).finish_non_exhaustive()
    }
}

/// The rules of one file.
struct RuleFile {
    /// The directory; empty for the root.
    dir: Box<str>,
    /// The file; `None` for what always holds.
    path: Option<RelPath>,
    rules: Vec<Rule>,
    set: RegexSet,
}

struct Rule {
    line: usize,
    pattern: String,
    ignores: bool,
    only_dirs: bool,
    /// Neighbors that ignore, or that ignore only directories, are one group, across files too; of the last group that
    /// matches, the first rule is named. DVC does so, and `check-ignore` shows it.
    group: usize,
}

impl Rule {
    /// Returns whether a rule that was found ignores.
    fn ignores((file, at): &(&RuleFile, usize)) -> bool {
        file.rules[*at].ignores
    }
}

impl RuleFile {
    /// Reads a file. `before` is the last rule of the file above it.
    fn new(dir: &str, path: Option<RelPath>, text: &str, before: Option<&Rule>) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        let mut expressions: Vec<String> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = trimmed(line);
            let Some((expression, ignores)) = pattern::translate(line) else { continue };
            // An expression that the engine refuses is a class that holds nothing, such as `[z-a]`.
            if regex::Regex::new(&expression).is_err() {
                continue;
            }
            let only_dirs = line.ends_with('/');
            let group = rules.last().or(before).map_or(0, |last| {
                let same = ignores && last.ignores && last.only_dirs == only_dirs;
                last.group + usize::from(!same)
            });
            let pattern = line.to_owned();
            rules.push(Rule { line: at + 1, pattern, ignores, only_dirs, group });
            expressions.push(expression);
        }
        let set = RegexSet::new(&expressions).unwrap_or_else(|_| RegexSet::empty());
        Self { dir: dir.into(), path, rules, set }
    }

    fn last(&self) -> Option<&Rule> {
        self.rules.last()
    }

    fn rule(&self, at: usize) -> IgnoreRule {
        let rule = &self.rules[at];
        let origin = match &self.path {
            Some(file) => IgnoreOrigin::File { file: file.clone(), line: rule.line },
            None => IgnoreOrigin::BuiltIn,
        };
        IgnoreRule { origin, pattern: rule.pattern.clone(), ignores: rule.ignores }
    }

    /// Returns the rule of this file that decides about a path below its directory, given with a `/` at its end too
    /// when it is a directory; `None` when no rule matches.
    fn opinion(&self, path: &str, as_dir: Option<&str>) -> Option<usize> {
        // Whether anything matches is cheaper to ask than what, and mostly nothing does.
        if !self.set.is_match(path) && !as_dir.is_some_and(|path| self.set.is_match(path)) {
            return None;
        }
        let plain = self.set.matches(path);
        let is_dir = as_dir.is_some();
        let as_dir = as_dir.map(|path| self.set.matches(path));
        let hits = || {
            let plain = plain.iter();
            let as_dir = as_dir.iter().flat_map(regex::SetMatches::iter);
            plain.chain(as_dir).filter(|at| is_dir || !self.rules[*at].only_dirs)
        };
        let group = hits().map(|at| self.rules[at].group).max()?;
        hits().find(|at| self.rules[*at].group == group)
    }
}

/// Cuts the space around a line, as DVC does, but for one that a backslash before it keeps, where DVC stops.
fn trimmed(line: &str) -> &str {
    let end = line.trim_end().len();
    let is_kept = line[..end].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
        && line[end..].starts_with(' ');
    line[..end + usize::from(is_kept)].trim_start()
}
