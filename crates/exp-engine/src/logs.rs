//! What commands of stages write, kept in a file for each stage: `.dvc/tmp/exp/logs/<run>/<stage>.log`.
//!
//! They are kept after the run until newer ones push them out, and beside them `run.json` says which experiment came of
//! it. Of a run that does not finish they are part of its record too.
//!
//! Of a stage that writes more than some megabytes the beginning and the end are kept: what comes behind the beginning
//! goes to `<stage>.log.tail`, which is begun anew whenever it is full, its last filling being kept as `….tail.old`, and
//! `….cut` says how many bytes there were in between.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use exp_core::StageId;
use exp_refs::{CommitId, Experiment};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::files::{self, FileError};
use crate::project::Project;

/// How many runs keep their logs.
const N_KEPT: usize = 20;

/// The file that tells whose the logs beside it are. No log has that name.
const NOTE: &str = "run.json";

/// The logs of one run.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    dir: PathBuf,
}

/// Whose the logs of a directory are.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The commit of the experiment.
    commit: String,
    /// The stages of the run, by address, in the order of execution.
    stages: Vec<String>,
}

/// What the commands of a stage wrote, each after a line `> command`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageLog {
    /// The stage, by address; `None` when only the output of all stages together is kept.
    pub stage: Option<String>,
    /// The bytes as they came.
    pub text: Vec<u8>,
}

impl Project {
    /// Returns what the commands of a run wrote, in the order of execution: by stage as long as the logs of the run are
    /// kept on this machine, and later, of a run that did not finish, all in one. Stages that ran no command have none.
    ///
    /// `None` when nothing is kept: the run is not one of the last twenty here and no job of the queue, was made elsewhere,
    /// or ran no command that is known of.
    ///
    /// # Errors
    ///
    /// A file or a Git object that cannot be read.
    pub fn run_log(&self, experiment: &Experiment) -> Result<Option<Vec<StageLog>>, Error> {
        let dirs = fs::read_dir(self.scratch().join("logs")).into_iter().flatten().flatten();
        let queue = self.queue()?;
        let jobs = queue.list()?.into_iter();
        // A job that took another name for its result begins with its own.
        let jobs = jobs.filter(|job| experiment.name.as_str().starts_with(job.name.as_str()));
        let of_jobs = jobs.flat_map(|job| queue.all_logs(&job));
        for dir in dirs.map(|entry| entry.path()).chain(of_jobs) {
            let logs = Logs::at(&dir);
            let note = files::read(&dir.join(NOTE))?;
            let note = note.and_then(|text| serde_json::from_slice::<Note>(&text).ok());
            let Some(note) = note.filter(|note| note.commit == experiment.commit.to_string())
            else {
                continue;
            };
            let mut parts = Vec::new();
            for stage in note.stages {
                if let Some(text) = logs.read(&stage)? {
                    parts.push(StageLog { stage: Some(stage), text });
                }
            }
            return Ok(Some(parts));
        }
        let whole = self.experiments().log(experiment)?;
        Ok(whole.map(|text| vec![StageLog { stage: None, text }]))
    }
}

impl Logs {
    /// Returns those in this directory, which need not exist.
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// Makes room for a run: its directory is empty, and of others the newest are kept.
    pub(crate) fn begin(&self) -> Result<(), FileError> {
        files::remove_all(&self.dir)?;
        let Some(parent) = self.dir.parent() else { return Ok(()) };
        let mut others: Vec<(SystemTime, PathBuf)> =
            (fs::read_dir(parent).into_iter().flatten().flatten())
                .filter_map(|entry| {
                    let modified = entry.metadata().ok()?.modified().ok()?;
                    Some((modified, entry.path()))
                })
                .collect();
        others.sort();
        let n_old = others.len().saturating_sub(N_KEPT - 1);
        for (_, path) in &others[..n_old] {
            files::remove_all(path)?;
        }
        fs::create_dir_all(&self.dir).map_err(FileError::at("create", &self.dir))
    }

    /// Opens the log of a stage, to write at its end.
    pub(crate) fn open(&self, stage: &StageId) -> Result<LogFile, FileError> {
        let path = self.file(&stage.to_string());
        fs::create_dir_all(&self.dir).map_err(FileError::at("create", &self.dir))?;
        let file = append(&path).map_err(FileError::at("open", &path))?;
        let size = file.metadata().map_err(FileError::at("look at", &path))?.len();
        Ok(LogFile { path, file, size, most: MOST, tail: None, cut: 0 })
    }

    /// Returns the stages that have a log, by address, in the order of execution as far as that is known.
    pub(crate) fn stages(&self) -> Vec<String> {
        let note = files::read(&self.dir.join(NOTE)).ok().flatten();
        let note = note.and_then(|text| serde_json::from_slice::<Note>(&text).ok());
        let mut stages = note.map(|note| note.stages).unwrap_or_default();
        let mut others: Vec<(SystemTime, String)> = (fs::read_dir(&self.dir).into_iter().flatten())
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let stage = name.strip_suffix(".log")?.replace("%2F", "/").replace("%25", "%");
                Some((entry.metadata().ok()?.modified().ok()?, stage))
            })
            .collect();
        others.sort();
        let others = others.into_iter().map(|(_, stage)| stage);
        let new: Vec<String> = others.filter(|stage| !stages.contains(stage)).collect();
        stages.retain(|stage| self.file(stage).exists());
        stages.extend(new);
        stages
    }

    /// Returns what is kept of the log of a stage, by address; `None` when it wrote nothing.
    pub(crate) fn read(&self, stage: &str) -> Result<Option<Vec<u8>>, FileError> {
        let path = self.file(stage);
        let Some(mut text) = files::read(&path)? else { return Ok(None) };
        if let Some(cut) = files::read(&beside(&path, "cut"))? {
            let cut = String::from_utf8_lossy(&cut);
            text.extend(format!("\n[{} bytes are left out here]\n", cut.trim()).into_bytes());
        }
        for part in ["tail.old", "tail"] {
            text.extend(files::read(&beside(&path, part))?.unwrap_or_default());
        }
        Ok(Some(text))
    }

    /// Returns the logs of stages, by address, one after the other; `None` when nothing was written.
    pub(crate) fn gather<'a>(
        &self,
        stages: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Vec<u8>>, FileError> {
        let mut all: Option<Vec<u8>> = None;
        for stage in stages {
            let Some(log) = self.read(stage)? else { continue };
            let all = all.get_or_insert_default();
            if all.last().is_some_and(|last| *last != b'\n') {
                all.push(b'\n');
            }
            all.extend(log);
        }
        Ok(all)
    }

    /// Notes which experiment came of the run, and its stages, by address, in the order of execution.
    pub(crate) fn note(&self, commit: CommitId, stages: Vec<String>) {
        let note = Note { commit: commit.to_string(), stages };
        // Without the note the logs are not found; what the run did must not be lost for that.
        drop(
            serde_json::to_vec(&note)
                .map_err(std::io::Error::other)
                .and_then(|text| fs::write(self.dir.join(NOTE), text)),
        );
    }

    /// Removes all of them.
    pub(crate) fn remove(&self) -> Result<(), FileError> {
        files::remove_all(&self.dir)
    }

    /// Returns the file of a stage. What a name cannot hold stands as `%` and two digits.
    pub(crate) fn file(&self, stage: &str) -> PathBuf {
        let mut name = String::new();
        for character in stage.chars() {
            match character {
                '/' => name.push_str("%2F"),
                '%' => name.push_str("%25"),
                character => name.push(character),
            }
        }
        self.dir.join(format!("{name}.log"))
    }
}

/// So many bytes are kept of the beginning of a log, and at least as many of its end.
const MOST: u64 = 4 << 20;

/// The log of a stage that is being written.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// What is written to: the log itself, or its tail.
    file: File,
    /// How many bytes that file has.
    size: u64,
    /// How many bytes a file may have.
    most: u64,
    /// Whether the beginning is full, and how many bytes the tail's last filling had.
    tail: Option<u64>,
    /// How many bytes are left out.
    cut: u64,
}

impl LogFile {
    /// Writes at the end.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            if self.size >= self.most {
                self.turn()?;
            }
            let room = usize::try_from(self.most - self.size).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.file.write_all(now)?;
            self.size += u64::try_from(now.len()).unwrap_or(0);
            bytes = later;
        }
        Ok(())
    }

    /// Begins the tail, anew when it is full.
    fn turn(&mut self) -> std::io::Result<()> {
        let (tail, old) = (beside(&self.path, "tail"), beside(&self.path, "tail.old"));
        if let Some(last) = self.tail {
            self.cut += last;
            fs::rename(&tail, &old)?;
            if self.cut > 0 {
                fs::write(beside(&self.path, "cut"), self.cut.to_string())?;
            }
            self.tail = Some(self.size);
        } else {
            self.tail = Some(0);
        }
        self.file = append(&tail)?;
        self.size = 0;
        Ok(())
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// Returns the path with `.` and an ending behind its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use exp_core::RelPath;

    use super::*;

    #[test]
    fn logs_of_stages_are_gathered_in_the_order_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::at(&dir.path().join("calm-otter"));
        logs.begin().unwrap();
        assert_eq!(logs.gather(["a"]).unwrap(), None);
        let stage = |file: &str, name: &str| StageId::named(RelPath::new(file).unwrap(), name);
        let a = stage("dvc.yaml", "a@x/y");
        let b = stage("sub/dvc.yaml", "b");
        logs.open(&b).unwrap().write(b"two").unwrap();
        logs.open(&a).unwrap().write(b"one\n").unwrap();
        logs.open(&a).unwrap().write(b"more\n").unwrap();
        let order = [b.to_string(), "none".to_owned(), a.to_string()];
        let all = logs.gather(order.iter().map(String::as_str)).unwrap();
        assert_eq!(all.as_deref(), Some(&b"two\none\nmore\n"[..]));
        assert!(dir.path().join("calm-otter/sub%2Fdvc.yaml:b.log").is_file());
        for n in 0..2 * N_KEPT {
            Logs::at(&dir.path().join(format!("r{n}"))).begin().unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), N_KEPT);
        logs.remove().unwrap();
    }

    #[test]
    fn of_a_long_log_the_beginning_and_the_end_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::at(dir.path());
        let id = StageId::named(RelPath::new("dvc.yaml").unwrap(), "a");
        let mut log = logs.open(&id).unwrap();
        log.most = 10;
        let text = |n: u32| {
            (0..n).fold(String::new(), |mut text, n| {
                let _ = write!(text, "{n:03};");
                text
            })
        };
        let mut written = 0;
        for n in 0..200 {
            log.write(format!("{n:03};").as_bytes()).unwrap();
            written += 4;
            let kept = logs.read(&id.to_string()).unwrap().unwrap();
            let kept = String::from_utf8(kept).unwrap();
            let (head, tail) = kept.split_at(kept.find("\n[").unwrap_or(kept.len()));
            let whole = text(n + 1);
            assert!(whole.starts_with(head), "{kept}");
            let Some((cut, tail)) = tail.split_once(" bytes are left out here]\n") else {
                assert_eq!(kept, whole);
                continue;
            };
            assert!(whole.ends_with(tail) && tail.len() >= 10, "{kept}");
            let cut: usize = cut.trim_start_matches("\n[").parse().unwrap();
            assert_eq!(head.len() + cut + tail.len(), written);
        }
        let size: u64 = fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(size <= 35, "{size}");
    }
}
