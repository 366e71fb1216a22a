//! How the runs of stages went: how long they took, and whether the last one failed.
//!
//! This only feeds estimates and marks, so it is kept where everything may be deleted, in `.dvc/tmp/exp/times.jsonl`:
//! the run cache has DVC's layout and no place for it, and the message of an experiment's commit would not know of
//! `exp repro`. Each line is one run of one stage; lines that cannot be read are left out. Processes append at the same
//! time; what one of them loses while another shortens the file costs an estimate and nothing else.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use exp_core::{Event, StageEvent, StageId};
use serde::{Deserialize, Serialize};

use crate::project::Project;

/// How many runs of a stage an estimate is made of.
const CONSIDERED: usize = 5;

/// When the file has grown to so many bytes, its older half goes.
const MOST: u64 = 1 << 20;

/// What is known of the earlier runs of a stage on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PastRuns {
    /// How long it usually takes: the median of the last five runs that succeeded. `None` when none did.
    pub typical: Option<Duration>,
    /// Whether the last run failed.
    pub last_failed: bool,
}

/// The notes of one project.
#[derive(Debug, Clone)]
pub(crate) struct History {
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Line {
    stage: String,
    failed: bool,
    ms: u64,
    at: u64,
}

impl Project {
    /// Returns how long stages usually take on this machine, by address; those that never ran to their end are not there.
    pub fn typical_times(&self) -> HashMap<String, Duration> {
        let known = History::of(self).read().into_iter();
        known.filter_map(|(stage, past)| Some((stage, past.typical?))).collect()
    }
}

impl History {
    /// Returns the notes of `project`; of a private work tree nothing is left, so ask for those of the workspace.
    pub(crate) fn of(project: &Project) -> Self {
        Self { file: project.scratch().join("times.jsonl") }
    }

    /// Notes the end of a stage; other events are nothing to it. That it cannot be written stops nothing.
    pub(crate) fn note(&self, event: &Event<'_>) {
        let Event::Stage { stage, what } = event else { return };
        let (failed, took) = match what {
            StageEvent::Finished { success: true, took } => (false, *took),
            StageEvent::Failed { .. } => (true, Duration::ZERO),
            _ => return,
        };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let line = Line { stage: stage.to_string(), failed, ms, at };
        let Ok(mut text) = serde_json::to_string(&line) else { return };
        text.push('\n');
        let _ = self.append(&text);
    }

    fn append(&self, text: &str) -> std::io::Result<()> {
        if let Some(parent) = self.file.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::options().create(true).append(true).open(&self.file)?;
        // One call, so that lines of several processes do not mix.
        file.write_all(text.as_bytes())?;
        if file.metadata()?.len() > MOST {
            self.shorten()?;
        }
        Ok(())
    }

    fn shorten(&self) -> std::io::Result<()> {
        let text = read_text(&self.file)?;
        let half = text.len() / 2;
        let start = text.as_bytes()[half..].iter().position(|byte| *byte == b'\n');
        let rest = start.map_or("", |at| &text[half + at + 1..]);
        let temporary = self.file.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&temporary, rest)?;
        fs::rename(&temporary, &self.file)
    }

    /// Returns what is known, by the address of the stage.
    pub(crate) fn read(&self) -> HashMap<String, PastRuns> {
        let text = read_text(&self.file).unwrap_or_default();
        let mut runs: HashMap<String, (Vec<u64>, bool)> = HashMap::new();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            let (taken, last_failed) = runs.entry(line.stage).or_default();
            *last_failed = line.failed;
            if !line.failed {
                taken.push(line.ms);
            }
        }
        let known = runs.into_iter().map(|(stage, (taken, last_failed))| {
            let mut last = taken[taken.len().saturating_sub(CONSIDERED)..].to_vec();
            last.sort_unstable();
            let typical = last.get(last.len() / 2).copied().map(Duration::from_millis);
            (stage, PastRuns { typical, last_failed })
        });
        known.collect()
    }
}

/// Returns what is known of one stage.
pub(crate) fn of_stage(known: &HashMap<String, PastRuns>, id: &StageId) -> PastRuns {
    if known.is_empty() {
        return PastRuns::default();
    }
    known.get(&id.to_string()).copied().unwrap_or_default()
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use exp_core::{Failure, RelPath};

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn history(dir: &Path) -> History {
        History { file: dir.join("below/times.jsonl") }
    }

    fn note(history: &History, id: &StageId, took: Option<u64>) {
        let failure = Failure::MissingData { paths: Vec::new() };
        let what = match took {
            Some(ms) => StageEvent::Finished { success: true, took: Duration::from_millis(ms) },
            None => StageEvent::Failed { failure: &failure },
        };
        history.note(&Event::Stage { stage: id, what });
    }

    #[test]
    fn an_estimate_is_the_median_of_the_last_runs() -> Outcome {
        let dir = tempfile::tempdir()?;
        let history = history(dir.path());
        let id = StageId::named(RelPath::new("dvc.yaml")?, "train");
        assert_eq!(of_stage(&history.read(), &id), PastRuns::default());
        for ms in [90_000, 10, 30, 20, 500, 40] {
            note(&history, &id, Some(ms));
        }
        let past = of_stage(&history.read(), &id);
        assert_eq!((past.typical, past.last_failed), (Some(Duration::from_millis(30)), false));
        note(&history, &id, None);
        let past = of_stage(&history.read(), &id);
        assert_eq!((past.typical, past.last_failed), (Some(Duration::from_millis(30)), true));
        Ok(())
    }

    #[test]
    fn a_damaged_line_is_left_out_and_a_long_file_is_shortened() -> Outcome {
        let dir = tempfile::tempdir()?;
        let history = history(dir.path());
        let id = StageId::named(RelPath::new("dvc.yaml")?, "train");
        note(&history, &id, Some(7));
        let line = fs::read_to_string(&history.file)?;
        let long = line.repeat(usize::try_from(MOST)? / line.len() + 1);
        fs::write(&history.file, format!("{{\"stage\": é\n{long}"))?;
        note(&history, &id, Some(9));
        assert!(fs::metadata(&history.file)?.len() < MOST);
        let text = fs::read_to_string(&history.file)?;
        assert!(text.lines().all(|line| serde_json::from_str::<Line>(line).is_ok()), "whole lines");
        assert!(text.ends_with('\n'));
        let past = of_stage(&history.read(), &id);
        assert_eq!(past.typical, Some(Duration::from_millis(7)));
        Ok(())
    }
}
