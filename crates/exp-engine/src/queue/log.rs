//! What the commands of a job wrote: as a whole, and what came since the last look.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Job, Queue};
use crate::error::Error;
use crate::files::FileError;
use crate::logs::{Logs, StageLog};

/// How far the logs of an attempt were read.
#[derive(Debug, Default)]
pub struct LogCursor {
    attempt: u32,
    read: BTreeMap<PathBuf, u64>,
}

impl Queue {
    /// Returns what the commands of a job's last attempt wrote so far, in the order of execution; `None` when no command
    /// ran.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn log(&self, job: &Job) -> Result<Option<Vec<StageLog>>, Error> {
        let logs = Logs::at(&self.logs(job));
        let mut parts = Vec::new();
        for stage in logs.stages() {
            if let Some(text) = logs.read(&stage)? {
                parts.push(StageLog { stage: Some(stage), text });
            }
        }
        Ok((!parts.is_empty()).then_some(parts))
    }

    /// Returns what the commands of a job's last attempt wrote since the last call with this cursor. Of a log that is
    /// longer than what is kept of one, pieces may be missing.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn follow(&self, job: &Job, cursor: &mut LogCursor) -> Result<Vec<u8>, Error> {
        if cursor.attempt != job.attempt {
            *cursor = LogCursor { attempt: job.attempt, read: BTreeMap::new() };
        }
        let dir = self.logs(job);
        let mut found: Vec<(SystemTime, PathBuf)> = (fs::read_dir(&dir).into_iter().flatten())
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let ending = path.extension()?.to_str()?;
                let is_log = matches!(ending, "log" | "tail");
                let modified = fs::metadata(&path).ok()?.modified().ok()?;
                is_log.then_some((modified, path))
            })
            .collect();
        found.sort();
        let mut text = Vec::new();
        for (_, path) in found {
            // It may have been renamed since it was listed.
            let Ok(mut file) = File::open(&path) else { continue };
            let size = file.metadata().map_err(FileError::at("look at", &path))?.len();
            let from = cursor.read.get(&path).copied().unwrap_or(0);
            let from = if from > size { 0 } else { from };
            file.seek(SeekFrom::Start(from)).map_err(FileError::at("read", &path))?;
            let n = file
                .take(size - from)
                .read_to_end(&mut text)
                .map_err(FileError::at("read", &path))?;
            cursor.read.insert(path, from + u64::try_from(n).unwrap_or(0));
        }
        Ok(text)
    }
}
