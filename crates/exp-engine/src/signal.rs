//! The files by which `DVCLive` tells editors that a run without a pipeline is under way, and that a step has ended.
//!
//! `DVCLive` removes them itself. After a crash they stay, and an editor shows a run that is none.

use std::fs;

use serde_json::Value;

use crate::files;
use crate::process::Owner;
use crate::project::Project;

/// Where they are, below the project's root.
const FILES: [&str; 2] =
    [".dvc/tmp/exps/run/DVCLIVE_ONLY", ".dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED"];

/// Removes those whose process is gone. What cannot be read or removed is left: nothing of ours depends on it.
pub(crate) fn forget_dead(project: &Project) {
    for file in FILES {
        let path = project.root().join(file);
        let pid = fs::read(&path).ok().and_then(|text| pid_of(&text));
        if pid.is_some_and(|pid| !Owner::of(pid).is_alive()) {
            files::remove(&path).ok();
        }
    }
}

/// Reads the number of the process: a map that has it, or the number alone.
fn pid_of(text: &[u8]) -> Option<u32> {
    let value: Value = serde_json::from_slice(text).ok()?;
    value.get("pid").unwrap_or(&value).as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_in_a_map_or_alone() {
        assert_eq!(pid_of(b"{\"pid\": 12, \"step\": 3}"), Some(12));
        assert_eq!(pid_of(b" 12\n"), Some(12));
        for none in ["", "{", "{}", "-1", "\"12\"", "99999999999"] {
            assert_eq!(pid_of(none.as_bytes()), None, "{none}");
        }
    }
}
