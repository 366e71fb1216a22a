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
use std::sync::{PoisonError, RwLock};

use regex::RegexSet;

use crate::path::RelPath;

/// The rules of all `.dvcignore` files of a workspace, and those that always hold: `.hg/`, `.git/`, `.git`, `.dvc/`.
///
/// Questions may come from several threads. Answers about directories are remembered, one entry for each directory
/// that was asked about or below which something was.
pub struct IgnoreRules {
    built_in: RuleFile,
    files: HashMap<String, RuleFile>,
    dirs: RwLock<HashMap<RelPath, Option<RuleAt>>>,
}

/// A line that decides about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoreRule<'r> {
    /// The `.dvcignore`; `None` for a rule that always holds.
    pub file: Option<&'r RelPath>,
    /// The number of the line in that file, from 1.
    pub line: usize,
    /// The line, without the space around it.
    pub pattern: &'r str,
    /// Whether it ignores; `false` for a line that starts with `!`.
    pub ignores: bool,
}

impl fmt::Display for IgnoreRule<'_> {
    /// Writes the rule as DVC does: `.dvcignore:3:*.log`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            Some(file) => write!(f, "{file}:{}:{}", self.line, self.pattern),
            None => write!(f, ":{}", self.pattern),
        }
    }
}

/// Which rule decided: the directory of its file (`None` for what always holds) and its place there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RuleAt {
    dir: Option<String>,
    rule: usize,
}

impl IgnoreRules {
    /// Returns the rules that always hold.
    pub fn new() -> Self {
        let built_in = RuleFile::new(RelPath::root(), ".hg/\n.git/\n.git\n.dvc/");
        Self { built_in, files: HashMap::new(), dirs: RwLock::default() }
    }

    /// Adds the `.dvcignore` with content `text` in the directory `dir`, relative to the workspace's root.
    ///
    /// Files are added from the root down: one that is itself ignored by those before it is left out. A second file
    /// for the same directory replaces the first.
    pub fn add_file(&mut self, dir: &RelPath, text: &str) {
        let Ok(path) = dir.join(".dvcignore") else { return };
        self.files.remove(dir.as_str());
        self.dirs.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        if self.is_ignored(&path, false).is_none() {
            self.files.insert(dir.as_str().to_owned(), RuleFile::new(path, text));
        }
        self.dirs.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the rule that makes `path` ignored, its own or that of a directory above it; `None` when it is not
    /// ignored. The root is never ignored.
    pub fn is_ignored(&self, path: &RelPath, is_dir: bool) -> Option<IgnoreRule<'_>> {
        self.decide(path, is_dir).map(|at| self.rule(&at))
    }

    /// Returns the rule that decides about `path`: the one that makes it ignored, else one (`!…`) that takes it back
    /// from being ignored; `None` when no rule matches. For explanations.
    pub fn deciding_rule(&self, path: &RelPath, is_dir: bool) -> Option<IgnoreRule<'_>> {
        if path.is_root() {
            return None;
        }
        let decided = self.decide(path, is_dir).or_else(|| self.own_rule(path, is_dir));
        decided.map(|at| self.rule(&at))
    }

    /// Like [`IgnoreRules::is_ignored`] for whoever walks down from the root and enters no ignored directory: only
    /// `path` itself is looked at, not the directories above it.
    pub fn is_entry_ignored(&self, path: &RelPath, is_dir: bool) -> bool {
        self.own_rule(path, is_dir).is_some_and(|at| self.rule(&at).ignores)
    }

    fn decide(&self, path: &RelPath, is_dir: bool) -> Option<RuleAt> {
        if path.is_root() {
            return None;
        }
        if is_dir {
            let known = self.dirs.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
            if let Some(known) = known {
                return known;
            }
        }
        let above = path.parent().and_then(|parent| self.decide(&parent, true));
        let own = || self.own_rule(path, is_dir).filter(|at| self.rule(at).ignores);
        let decided = above.or_else(own);
        if is_dir {
            let mut dirs = self.dirs.write().unwrap_or_else(PoisonError::into_inner);
            dirs.insert(path.clone(), decided.clone());
        }
        decided
    }

    /// Asks the files from the deepest up; the first with an opinion decides.
    fn own_rule(&self, path: &RelPath, is_dir: bool) -> Option<RuleAt> {
        let text = path.as_str();
        let mut end = text.len();
        while end > 0 && !self.files.is_empty() {
            end = text[..end].rfind('/').unwrap_or(0);
            let (dir, below) = (&text[..end], text[end..].trim_start_matches('/'));
            let file = self.files.get(dir);
            if let Some(rule) = file.and_then(|file| file.opinion(below, is_dir)) {
                return Some(RuleAt { dir: Some(dir.to_owned()), rule });
            }
        }
        self.built_in.opinion(text, is_dir).map(|rule| RuleAt { dir: None, rule })
    }

    fn rule(&self, at: &RuleAt) -> IgnoreRule<'_> {
        let (file, path) = match at.dir.as_ref().and_then(|dir| self.files.get(dir)) {
            Some(file) => (file, Some(&file.path)),
            None => (&self.built_in, None),
        };
        let rule = &file.rules[at.rule];
        IgnoreRule { file: path, line: rule.line, pattern: &rule.pattern, ignores: rule.ignores }
    }
}

impl Default for IgnoreRules {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for IgnoreRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IgnoreRules").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// The rules of one file.
struct RuleFile {
    path: RelPath,
    rules: Vec<Rule>,
    set: RegexSet,
}

struct Rule {
    line: usize,
    pattern: String,
    ignores: bool,
    only_dirs: bool,
    /// Neighbors that ignore, or that ignore only directories, are one group; of the last group that matches, the
    /// first rule is named. DVC does so, and `check-ignore` shows it.
    group: usize,
}

impl RuleFile {
    fn new(path: RelPath, text: &str) -> Self {
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
            let group = rules.last().map_or(0, |last| {
                let same = ignores && last.ignores && last.only_dirs == only_dirs;
                last.group + usize::from(!same)
            });
            let pattern = line.to_owned();
            rules.push(Rule { line: at + 1, pattern, ignores, only_dirs, group });
            expressions.push(expression);
        }
        let set = RegexSet::new(&expressions).unwrap_or_else(|_| RegexSet::empty());
        Self { path, rules, set }
    }

    /// Returns the rule of this file that decides about a path below its directory; `None` when no rule matches.
    fn opinion(&self, path: &str, is_dir: bool) -> Option<usize> {
        // Whether anything matches is cheaper to ask than what, and mostly nothing does.
        let as_dir = is_dir.then(|| format!("{path}/"));
        if !self.set.is_match(path) && !as_dir.as_ref().is_some_and(|path| self.set.is_match(path))
        {
            return None;
        }
        let plain = self.set.matches(path);
        let as_dir = as_dir.map(|path| self.set.matches(&path));
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
