//! All processes that come from a command, also those that left its process group.
//!
//! A command is told what it is in the environment variable [`MARK`], and whatever it starts inherits that. So a child
//! that makes itself a session of its own (`setsid`, `nohup … &`, a worker pool) is found too, by looking through
//! `/proc`, and so is one whose parents are gone. Only a process that leaves the group, outlives its parents and clears
//! its environment is out of reach. Where there is no `/proc`, it is the group alone.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

use crate::process::Owner;

/// The variable with the mark of a command: those of the commands around it, outermost first, separated by `/`.
pub(crate) const MARK: &str = "EXP_COMMAND";

/// The processes of a command, or of all commands of an operation.
#[derive(Debug)]
pub(crate) struct Family {
    /// The process group; `None` for those of a whole operation.
    group: Option<u32>,
    /// What a part of the variable is, or begins with.
    mark: String,
}

/// Returns the value of the variable for a command inside of another one.
pub(crate) fn nested(around: Option<&str>, mark: &str) -> String {
    around.map_or_else(|| mark.to_owned(), |around| format!("{around}/{mark}"))
}

impl Family {
    /// The command that leads the process group `group` and has this mark.
    pub(crate) fn new(group: u32, mark: String) -> Self {
        Self { group: Some(group), mark }
    }

    /// Every command of the operation `id`.
    pub(crate) fn of_operation(id: &str) -> Self {
        Self { group: None, mark: format!("{id}.") }
    }

    /// Sends `signal` to all of them; none left is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            signal_group(group, signal);
        }
        for process in self.members() {
            // Its number may belong to another one by now.
            if process.is_alive()
                && let Some(pid) = pid(process.pid)
            {
                kill_process(pid, signal).ok();
            }
        }
    }

    /// Asks all of them to end, and kills those that have not after `grace`.
    pub(crate) fn end(&self, grace: Duration) {
        const PAUSE: Duration = Duration::from_millis(20);
        if self.is_gone() {
            return;
        }
        self.signal(Signal::TERM);
        let start = Instant::now();
        while !self.is_gone() {
            if start.elapsed() > grace {
                self.signal(Signal::KILL);
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Returns whether none is left.
    pub(crate) fn is_gone(&self) -> bool {
        let group = self.group.and_then(pid);
        group.is_none_or(|group| test_kill_process_group(group).is_err())
            && self.members().is_empty()
    }

    /// Returns those that carry the mark or descend from one that does or from the leader, and are not in the group.
    fn members(&self) -> Vec<Owner> {
        let all: Vec<Seen> = (fs::read_dir("/proc").into_iter().flatten().flatten())
            .filter_map(|entry| Seen::of(entry.file_name().to_str()?.parse().ok()?))
            .collect();
        let mut found: BTreeSet<u32> =
            all.iter().filter(|seen| self.is_marked(seen.pid)).map(|seen| seen.pid).collect();
        found.extend(self.group);
        loop {
            let n_before = found.len();
            found.extend(
                all.iter()
                    .filter(|seen| found.contains(&seen.parent))
                    .map(|seen| seen.pid)
                    .collect::<Vec<_>>(),
            );
            if found.len() == n_before {
                break;
            }
        }
        let outside = all.iter().filter(|seen| found.contains(&seen.pid));
        outside
            .filter(|seen| Some(seen.group) != self.group)
            .map(|seen| Owner::of(seen.pid))
            .collect()
    }

    fn is_marked(&self, pid: u32) -> bool {
        // Of other users nothing can be read, and nothing is ours.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| {
            let value = std::str::from_utf8(variable).ok().and_then(|text| text.strip_prefix(MARK));
            let value = value.and_then(|text| text.strip_prefix('='));
            value.is_some_and(|marks| marks.split('/').any(|mark| self.has(mark)))
        })
    }

    fn has(&self, mark: &str) -> bool {
        if self.group.is_some() { mark == self.mark } else { mark.starts_with(&self.mark) }
    }
}

/// A process as the system lists it.
struct Seen {
    pid: u32,
    parent: u32,
    group: u32,
}

impl Seen {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the command stands in parentheses and may hold anything, so fields are counted from its end.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        // One that has ended and whose parent has not noticed is gone.
        if fields.next()? == "Z" {
            return None;
        }
        Some(Self {
            pid,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

/// Sends `signal` to the process group `group`; a group that is gone is no error.
fn signal_group(group: u32, signal: Signal) {
    if let Some(pid) = pid(group) {
        kill_process_group(pid, signal).ok();
    }
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_left_the_group_is_found_by_its_mark() {
        let mark = format!("{}.7", Owner::this_process().unique());
        let child = Command::new("setsid")
            .args(["sleep", "1000"])
            .env(MARK, nested(Some("1-1.0"), &mark))
            .stdin(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        // A group that does not exist: only the mark leads there.
        let family = Family::new(u32::MAX >> 2, mark.clone());
        let start = Instant::now();
        while family.is_gone() {
            assert!(start.elapsed() < Duration::from_mins(1), "it is never found");
            thread::sleep(Duration::from_millis(10));
        }
        let operation = mark.rsplit_once('.').unwrap().0;
        assert!(!Family::of_operation(operation).is_gone());
        assert!(Family::of_operation("1-2").is_gone());
        Family::of_operation(operation).signal(Signal::KILL);
        child.wait().unwrap();
        assert!(family.is_gone());
    }
}
