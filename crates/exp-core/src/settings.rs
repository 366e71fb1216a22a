//! What `exp` adds to a stage, under `meta: {exp: …}`, where DVC does not look.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::path::Location;
use crate::port::Exit;
use crate::select::matches_pattern;

/// The settings of a stage. Without any, a stage is what DVC makes of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageSettings {
    /// How long all commands of a try may take together.
    pub timeout: Option<Duration>,
    /// What happens when a try fails.
    pub retry: Retry,
    /// What of the machine it needs for itself while it runs.
    pub claims: Claims,
    /// What else it reads, beside dependencies and parameters, in the order of the file.
    pub extras: Vec<Extra>,
}

/// How often a stage is tried, and why again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retry {
    /// How many further tries there are after the first.
    pub max: u32,
    /// How long the first of them waits; each one after it waits twice as long as the one before, up to an hour.
    pub backoff: Duration,
    /// What is tried again; empty for any failure of a command.
    pub on: Vec<Cause>,
}

/// Why a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A command exited with a status other than 0.
    Exit,
    /// A command exited with this status.
    Code(i32),
    /// A command was ended by a signal.
    Signal,
    /// The commands took too long.
    Timeout,
}

impl Retry {
    /// Returns how long to wait before the try after `n_tries` that failed, the last of them with `exit`; `None` when it
    /// is not tried again.
    pub fn pause(&self, n_tries: u32, exit: &Exit) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_hours(1);
        let is_cause = |cause: &Cause| match (cause, exit) {
            (Cause::Code(wanted), Exit::Code { code, .. }) => wanted == code,
            (Cause::Exit, Exit::Code { .. })
            | (Cause::Signal, Exit::Signal { .. })
            | (Cause::Timeout, Exit::TimedOut { .. }) => true,
            _ => false,
        };
        let any = [Cause::Exit, Cause::Signal, Cause::Timeout];
        let causes = if self.on.is_empty() { &any[..] } else { &self.on };
        if n_tries > self.max || !causes.iter().any(is_cause) {
            return None;
        }
        let factor = 2_u32.saturating_pow(n_tries.saturating_sub(1));
        Some(self.backoff.saturating_mul(factor).min(LONGEST))
    }
}

/// What a stage needs for itself while it runs. Nothing of a kind means that it does not care.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Cores.
    pub cpu: u32,
    /// Bytes of memory.
    pub mem: u64,
    /// Graphics processors.
    pub gpu: u32,
    /// Names of which each is held by one stage at a time, on the whole machine.
    pub mutex: BTreeSet<String>,
}

/// How much of each kind there is to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Cores.
    pub cpu: u32,
    /// Bytes of memory.
    pub mem: u64,
    /// Graphics processors.
    pub gpu: u32,
}

impl Capacity {
    /// More than anybody claims.
    pub const ENDLESS: Self = Self { cpu: u32::MAX, mem: u64::MAX, gpu: u32::MAX };
}

impl Claims {
    /// Returns whether these fit beside what is claimed already. More cores or memory than there are count as all of them,
    /// so that such a stage runs alone.
    pub fn fit(&self, beside: &Self, capacity: Capacity) -> bool {
        let fits = |want: u64, taken: u64, all: u64| {
            want == 0 || want.min(all) <= all.saturating_sub(taken)
        };
        fits(self.cpu.into(), beside.cpu.into(), capacity.cpu.into())
            && fits(self.mem, beside.mem, capacity.mem)
            && fits(self.gpu.into(), beside.gpu.into(), capacity.gpu.into())
            && self.mutex.is_disjoint(&beside.mutex)
    }

    /// Adds the claims of another stage that runs at the same time.
    pub fn add(&mut self, other: &Self) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.mem = self.mem.saturating_add(other.mem);
        self.gpu = self.gpu.saturating_add(other.gpu);
        self.mutex.extend(other.mutex.iter().cloned());
    }

    /// Returns whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Something that a stage depends on and that DVC has no word for.
#[derive(Debug, Clone, PartialEq)]
pub enum Extra {
    /// The value of an environment variable.
    Variable(String),
    /// The version that a program tells of itself.
    Interpreter(String),
    /// A file that says which packages are installed.
    Packages(ExtraFile),
    /// The files whose path matches a pattern, and what they hold.
    Glob {
        /// The pattern, relative to the working directory.
        pattern: String,
        /// The directory that they are all in.
        base: Location,
        /// The pattern relative to that, by directories.
        parts: Vec<String>,
    },
    /// What a command writes to its standard output.
    Cmd(String),
    /// Some lines of a file.
    Lines {
        /// The file.
        file: ExtraFile,
        /// The first one, from 1.
        from: usize,
        /// The last one.
        to: usize,
    },
    /// What a regular expression finds in a file: its groups if it has any, else all that matches.
    Regex {
        /// The file.
        file: ExtraFile,
        /// The expression; `^` and `$` are the ends of lines.
        pattern: String,
    },
    /// What is at a URL, by what its server tells of it.
    Url(String),
}

/// A file that is not looked at as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtraFile {
    /// The path as the stage writes it.
    pub path: String,
    /// Where that is.
    pub location: Location,
}

impl Extra {
    /// Returns what it is recorded by: its kind and how it is written.
    pub fn key(&self) -> String {
        match self {
            Self::Variable(name) => format!("env {name}"),
            Self::Interpreter(program) => format!("interpreter {program}"),
            Self::Packages(file) => format!("lock {}", file.path),
            Self::Glob { pattern, .. } => format!("glob {pattern}"),
            Self::Cmd(line) => format!("cmd {line}"),
            Self::Lines { file, from, to } => format!("lines {from}-{to} of {}", file.path),
            Self::Regex { file, pattern } => format!("regex {pattern} in {}", file.path),
            Self::Url(url) => format!("url {url}"),
        }
    }

    /// Returns the file that it is read from, if it is one.
    pub fn file(&self) -> Option<&ExtraFile> {
        match self {
            Self::Packages(file) | Self::Lines { file, .. } | Self::Regex { file, .. } => {
                Some(file)
            }
            _ => None,
        }
    }
}

/// Returns whether the path below the base of a glob matches its parts, each of which is a shell pattern for a name; `**`
/// stands for any number of directories.
pub fn matches_glob_parts(parts: &[String], path: &[&str]) -> bool {
    match (parts.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((part, rest)), _) if part == "**" => {
            matches_glob_parts(rest, path)
                || (path.split_first()).is_some_and(|(_, below)| matches_glob_parts(parts, below))
        }
        (Some((part, rest)), Some((name, below))) => {
            matches_pattern(part, name) && matches_glob_parts(rest, below)
        }
        _ => false,
    }
}

/// Returns whether something at the path, or below it if it is a directory, may match the parts of a glob.
pub fn may_match_glob_parts(parts: &[String], path: &[&str]) -> bool {
    match (parts.split_first(), path.split_first()) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((part, _)), _) if part == "**" => true,
        (Some((part, rest)), Some((name, below))) => {
            matches_pattern(part, name) && may_match_glob_parts(rest, below)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_fit_while_something_is_left() {
        let capacity = Capacity { cpu: 4, mem: 100, gpu: 1 };
        let cpu = |cpu| Claims { cpu, ..Claims::default() };
        let name = |name: &str| Claims { mutex: [name.to_owned()].into(), ..Claims::default() };
        let mut taken = cpu(3);
        assert!(cpu(1).fit(&taken, capacity) && cpu(0).fit(&taken, capacity));
        assert!(!cpu(2).fit(&taken, capacity) && !cpu(64).fit(&taken, capacity));
        assert!(cpu(64).fit(&Claims::default(), capacity), "alone it may have all there is");
        taken.add(&Claims { gpu: 1, mem: 200, ..name("db") });
        assert!(!name("db").fit(&taken, capacity) && name("x").fit(&taken, capacity));
        assert!(!Claims { mem: 1, ..Claims::default() }.fit(&taken, capacity));
        assert!(!Claims { gpu: 1, ..Claims::default() }.fit(&taken, capacity));
        assert!(Claims::default().fit(&taken, capacity));
    }

    #[test]
    fn a_glob_crosses_directories_only_where_it_says_so() {
        let check = |pattern: &str, path: &str, is: (bool, bool)| {
            let parts: Vec<String> = pattern.split('/').map(str::to_owned).collect();
            let path: Vec<&str> = path.split('/').collect();
            let found = (matches_glob_parts(&parts, &path), may_match_glob_parts(&parts, &path));
            assert_eq!(found, is, "{pattern} {path:?}");
        };
        check("*.csv", "a.csv", (true, true));
        check("*.csv", "d/a.csv", (false, false));
        check("**/*.csv", "a.csv", (true, true));
        check("**/*.csv", "d/e/a.csv", (true, true));
        check("**/*.csv", "d/e", (false, true));
        check("d?/x/*", "d1/x", (false, true));
        check("d?/x/*", "e1/x", (false, false));
        check("d?/x/*", "d1/y/z", (false, false));
    }

    #[test]
    fn a_try_is_repeated_for_its_causes_and_later_each_time() {
        let line = String::new;
        let code = |code| Exit::Code { code, line: line() };
        let seconds = |n| Some(Duration::from_secs(n));
        let mut retry = Retry { max: 2, backoff: Duration::from_secs(10), on: Vec::new() };
        assert_eq!(retry.pause(1, &code(1)), seconds(10));
        assert_eq!(retry.pause(2, &Exit::Signal { signal: 9, line: line() }), seconds(20));
        assert_eq!(retry.pause(3, &code(1)), None);
        assert_eq!(retry.pause(1, &Exit::Cancelled), None);
        assert_eq!(retry.pause(1, &Exit::NotStarted { line: line(), why: line() }), None);
        retry.on = vec![Cause::Code(75), Cause::Timeout];
        assert_eq!(retry.pause(1, &code(1)), None);
        assert_eq!(retry.pause(1, &code(75)), seconds(10));
        retry.max = u32::MAX;
        assert_eq!(retry.pause(u32::MAX, &code(75)), seconds(3_600));
        assert_eq!(Retry::default().pause(1, &code(1)), None);
    }
}
