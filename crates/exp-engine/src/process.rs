//! Which process is at work, told so that a recycled number is not mistaken for it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A process by number, start and boot, so that another one with its number is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    /// The process number.
    pub pid: u32,
    /// When it started, in the system's ticks since boot; 0 where the system does not tell.
    pub started: u64,
    /// The boot that both belong to; empty where the system does not tell.
    pub boot: String,
    /// The machine, by name.
    #[serde(default)]
    pub host: String,
    /// Whose process numbers these are, for containers of one machine; empty where the system does not tell.
    #[serde(default)]
    pub space: String,
}

/// What can be said of a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs.
    Alive,
    /// It is gone.
    Dead,
    /// It belongs to another machine, or to another container; from here nobody can tell.
    Elsewhere,
}

impl Owner {
    /// Returns this process.
    pub(crate) fn this_process() -> Self {
        Self::of(std::process::id())
    }

    /// Returns the process with this number.
    pub(crate) fn of(pid: u32) -> Self {
        let (host, space) = (crate::run::host().unwrap_or_default(), space());
        Self { pid, started: start_of(pid).unwrap_or(0), boot: boot(), host, space }
    }

    /// Returns whether the process still runs, as far as that can be told.
    pub(crate) fn life(&self) -> Life {
        let is_other = |theirs: &str, ours: &str| !theirs.is_empty() && theirs != ours;
        let host = crate::run::host().unwrap_or_default();
        if is_other(&self.boot, &boot()) && is_other(&self.host, &host) {
            return Life::Elsewhere;
        }
        if self.boot == boot() && is_other(&self.space, &space()) {
            return Life::Elsewhere;
        }
        if self.is_alive() { Life::Alive } else { Life::Dead }
    }

    /// Returns whether the process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        if self.started == 0 {
            // Without `/proc` only the number is known.
            return (i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw))
                .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
        }
        self.boot == boot() && start_of(self.pid) == Some(self.started)
    }

    /// Returns a name that no other operation has at this moment.
    pub(crate) fn unique(&self) -> String {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        format!("{}-{nanos}", self.pid)
    }
}

/// Returns the start of a process from `/proc`; `None` when there is no such process.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the command stands in parentheses and may hold anything, so fields are counted from its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    // A zombie has ended; only its parent has not noticed yet.
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

/// Returns what tells the process numbers of one container from those of another.
fn space() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_and_its_number_alone_is_not_enough() {
        let owner = Owner::this_process();
        assert!(owner.is_alive());
        assert!(owner.started > 0);
        let another = Owner { started: owner.started + 1, ..owner.clone() };
        assert!(!another.is_alive());
        let rebooted = Owner { boot: "x".into(), ..owner.clone() };
        assert!(!rebooted.is_alive());
        assert_eq!((owner.life(), rebooted.life()), (Life::Alive, Life::Dead));
        let elsewhere = Owner { host: "x".into(), ..rebooted.clone() };
        assert_eq!(elsewhere.life(), Life::Elsewhere);
        let contained = Owner { space: "pid:[1]".into(), ..another.clone() };
        assert_eq!(contained.life(), Life::Elsewhere);
        assert_ne!(owner.unique(), owner.unique());
    }
}
