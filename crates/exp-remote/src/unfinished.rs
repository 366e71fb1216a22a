//! Names of what is still being written, beside what it will be: no listing shows them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const PREFIX: &str = ".exp-";
const SUFFIX: &str = ".tmp";

/// Returns the name of an unfinished file.
pub(crate) fn name(mark: &str) -> String {
    format!("{PREFIX}{mark}{SUFFIX}")
}

/// Returns whether a file is unfinished, by the last part of its name.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Makes marks that nobody else makes.
#[derive(Debug, Default)]
pub(crate) struct Marks(AtomicU64);

impl Marks {
    pub(crate) fn next(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        // Two storages of one process, or two processes at one time, differ by one of these.
        format!("{now:x}-{:x}-{:x}-{n}", std::process::id(), std::ptr::from_ref(self).addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_is_told_from_a_finished_one() {
        let marks = Marks::default();
        let (one, two) = (marks.next(), marks.next());
        assert!(one != two && is_unfinished(&name(&one)));
        assert!(!is_unfinished(".exp-x") && !is_unfinished("x.tmp"));
    }
}
