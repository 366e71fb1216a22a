//! Values that a script logs while it runs, in the files that `DVCLive` writes.
//!
//! Below one directory, usually `dvclive`: `metrics.json` has the latest values, nested by the `/` in their names, and the
//! step; `plots/metrics/<name>.tsv` has a line for each step; `params.yaml` has the parameters. The bytes are those of
//! `DVCLive` 3, so that its readers, and ours, see no difference.
//!
//! Any number of processes may log at a time: each call holds a lock on the directory itself, so that there is no lock file
//! that somebody would commit. Where the file system has no locks, a call may lose another one's value in `metrics.json`;
//! a line of a `.tsv` is one write at the end of the file in any case. `metrics.json` and `params.yaml` are replaced, so that a
//! reader never sees half of one.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use exp_core::{
    EditError, Table, TrackedFile, TrackedSection, Value, emit_yaml, indented_python_json,
    python_float, track_files,
};
use exp_params::{Format, ParseError, parse};

use crate::files::{self, FileError};

/// What an earlier run may have left, by the names that `DVCLive` gives.
const LEFT: [&str; 8] = [
    "plots/metrics",
    "plots/images",
    "plots/custom",
    "plots/sklearn",
    "metrics.json",
    "params.yaml",
    "report.html",
    "report.md",
];

/// Something that cannot be logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepLogError {
    /// A name that cannot be that of a file: empty, absolute, with `..` or a control character.
    #[error("`{name}` cannot be the name of a metric")]
    Name {
        /// The name.
        name: String,
    },
    /// A value is to be logged below a name that has a value itself, or the other way round.
    #[error("`{name}` and a part of it cannot both have a value")]
    Nested {
        /// The name.
        name: String,
    },
    /// A file that is there and cannot be read as what it has to be.
    #[error("`{}` is not valid", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; `None` when it is no map.
        source: Option<ParseError>,
    },
    /// The `dvc.yaml` that is to name the files cannot be changed.
    #[error("cannot change `{}`", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: EditError,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A directory that values are logged to.
#[derive(Debug, Clone)]
pub struct StepLog {
    dir: PathBuf,
}

impl StepLog {
    /// Logs below the absolute path `dir`, which is made with the first value.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// Returns whether nothing was logged yet.
    pub fn is_new(&self) -> bool {
        !self.metrics_file().exists() && !self.params_file().exists()
    }

    /// Logs metrics: numbers and texts by name, `/` in a name making groups. With a step each also gets a line in its own
    /// table; without, only the latest values change.
    ///
    /// NaN and the infinities become the texts `nan`, `inf` and `-inf`, which JSON can hold.
    ///
    /// # Errors
    ///
    /// Nothing is written when a name or `metrics.json` is wrong.
    pub fn metrics(
        &self,
        step: Option<u64>,
        values: &[(String, Value)],
    ) -> Result<(), StepLogError> {
        let mut logged = Vec::new();
        for (name, value) in values {
            let parts = parts(name)?;
            logged.push((name, parts, finite(value)));
        }
        self.locked(|| {
            let path = self.metrics_file();
            let mut summary = read_table(&path, Format::Json)?;
            for (name, parts, value) in &logged {
                if !set_in(&mut summary, parts, value) {
                    return Err(StepLogError::Nested { name: (*name).clone() });
                }
            }
            if let Some(step) = step {
                for (_, parts, value) in &logged {
                    self.append(parts, step, value)?;
                }
                summary.insert("step".to_owned(), Value::from(step));
            }
            let text = format!("{}\n", indented_python_json(&Value::Table(summary)));
            Ok(files::write(&path, text.as_bytes())?)
        })
    }

    /// Logs parameters: any values, by name. Those that were logged before stay.
    ///
    /// # Errors
    ///
    /// Nothing is written when `params.yaml` is wrong.
    pub fn params(&self, values: &[(String, Value)]) -> Result<(), StepLogError> {
        self.locked(|| {
            let path = self.params_file();
            let mut params = read_table(&path, Format::Yaml)?;
            params.extend(values.iter().cloned());
            Ok(files::write(&path, emit_yaml(&Value::Table(params)).as_bytes())?)
        })
    }

    /// Removes what was logged before, as `DVCLive` does when a run begins. What else lies in the directory stays.
    pub fn clear(&self) -> Result<(), StepLogError> {
        if !self.dir.exists() {
            return Ok(());
        }
        self.locked(|| {
            for name in LEFT {
                files::remove_all(&self.dir.join(name))?;
            }
            Ok(())
        })
    }

    /// Names what was logged at the top level of the `dvc.yaml` at this absolute path, as `DVCLive` does, so that tables and
    /// plots show it. What the file or one of its stages names already is not named again, and a file that does not need to
    /// change is not written. Does nothing when the directory is not below that of the file.
    pub fn track_in(&self, file: &Path) -> Result<(), StepLogError> {
        let Some(dir) = file.parent().and_then(|parent| self.dir.strip_prefix(parent).ok()) else {
            return Ok(());
        };
        let Some(dir) = dir.to_str().filter(|dir| !dir.is_empty()) else { return Ok(()) };
        let step = Table::from([("x".to_owned(), Value::from("step"))]);
        let tracked = [
            (TrackedSection::Params, "params.yaml", Table::new()),
            (TrackedSection::Metrics, "metrics.json", Table::new()),
            (TrackedSection::Plots, "plots/metrics", step),
            (TrackedSection::Plots, "plots/images", Table::new()),
        ];
        let tracked: Vec<TrackedFile> = (tracked.into_iter())
            .filter(|(_, name, _)| self.dir.join(name).exists())
            .map(|(section, name, props)| TrackedFile {
                section,
                path: format!("{dir}/{name}"),
                props,
            })
            .collect();
        self.locked(|| {
            let bytes = files::read(file)?;
            let broken = || StepLogError::Broken { path: file.to_path_buf(), source: None };
            let text = bytes.map(String::from_utf8).transpose().map_err(|_| broken())?;
            let edited = track_files(text.as_deref(), &tracked)
                .map_err(|source| StepLogError::Edit { path: file.to_path_buf(), source })?;
            if text.as_deref().unwrap_or_default() != edited {
                files::write(file, edited.as_bytes())?;
            }
            Ok(())
        })
    }

    fn metrics_file(&self) -> PathBuf {
        self.dir.join("metrics.json")
    }

    fn params_file(&self) -> PathBuf {
        self.dir.join("params.yaml")
    }

    /// Does `work` while no other process logs here.
    fn locked<T>(&self, work: impl FnOnce() -> Result<T, StepLogError>) -> Result<T, StepLogError> {
        fs::create_dir_all(&self.dir).map_err(FileError::at("create", &self.dir))?;
        let dir = File::open(&self.dir).map_err(FileError::at("open", &self.dir))?;
        // Not every file system can; the lock ends with the file.
        let _held = dir.lock();
        work()
    }

    /// Adds a line to the table of a metric, as Python's `csv` module writes it.
    fn append(&self, parts: &[&str], step: u64, value: &Value) -> Result<(), StepLogError> {
        let path = self.dir.join("plots/metrics").join(format!("{}.tsv", parts.join("/")));
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(FileError::at("create", parent))?;
        let write = || {
            let mut file = File::options().read(true).append(true).create(true).open(&path)?;
            let mut line = String::new();
            let begin = begin_of(&mut file)?;
            if begin.is_empty() {
                let name = parts.last().copied().unwrap_or_default();
                let _infallible = writeln!(line, "step\t{}", field(name));
            } else if last_of(&mut file)? != b'\n' {
                // Whoever wrote it was stopped in the middle.
                line.push('\n');
            }
            if begin == b"timestamp\t" {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let _infallible = write!(line, "{}\t", now.as_millis());
            }
            let _infallible = writeln!(line, "{step}\t{}", field(&shown(value)));
            file.write_all(line.as_bytes())
        };
        Ok(write().map_err(FileError::at("write", &path))?)
    }
}

/// Returns the first bytes of a file, enough to tell how its table begins.
fn begin_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    file.take("timestamp\t".len() as u64).read_to_end(&mut begin)?;
    Ok(begin)
}

/// Returns the last byte of a file that is not empty.
fn last_of(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

/// Splits the name of a metric into the parts of a path.
fn parts(name: &str) -> Result<Vec<&str>, StepLogError> {
    let parts: Vec<&str> =
        name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let is_wrong = parts.is_empty()
        || name.starts_with('/')
        || parts.contains(&"..")
        || name.chars().any(char::is_control);
    if is_wrong { Err(StepLogError::Name { name: name.to_owned() }) } else { Ok(parts) }
}

/// Makes a text of a number that JSON does not have.
fn finite(value: &Value) -> Value {
    match value {
        Value::Float(number) if number.is_nan() => Value::from("nan"),
        Value::Float(number) if number.is_infinite() => {
            Value::from(if *number > 0.0 { "inf" } else { "-inf" })
        }
        value => value.clone(),
    }
}

/// Sets a value inside of maps, which are made; `false` when a part of the way, or the end of it, is of the other kind.
fn set_in(table: &mut Table, parts: &[&str], value: &Value) -> bool {
    match parts {
        [] => false,
        [name] => match table.get_mut(*name) {
            Some(Value::Table(_)) => false,
            Some(old) => {
                *old = value.clone();
                true
            }
            None => table.insert((*name).to_owned(), value.clone()).is_none(),
        },
        [name, rest @ ..] => match table.entry((*name).to_owned()).or_insert_with(Value::table) {
            Value::Table(inner) => set_in(inner, rest, value),
            _ => false,
        },
    }
}

/// Reads a map from a file; an empty one when nothing is there.
fn read_table(path: &Path, format: Format) -> Result<Table, StepLogError> {
    let broken = |source| StepLogError::Broken { path: path.to_path_buf(), source };
    let Some(bytes) = files::read(path)? else { return Ok(Table::new()) };
    let text = String::from_utf8(bytes).map_err(|_| broken(None))?;
    match parse(format, &text).map_err(|error| broken(Some(error)))? {
        Value::Table(table) => Ok(table),
        Value::Null => Ok(Table::new()),
        _ => Err(broken(None)),
    }
}

/// Writes a value as Python's `str` does.
fn shown(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Float(number) => python_float(*number),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Text(text) | Value::Date(text) => text.clone(),
        _ => String::new(),
    }
}

/// Writes a field of a table, between quotes if a reader would misunderstand it.
fn field(text: &str) -> String {
    if text.contains(['\t', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn log() -> Result<(tempfile::TempDir, StepLog), std::io::Error> {
        let dir = tempfile::tempdir()?;
        let log = StepLog::at(&dir.path().join("live"));
        Ok((dir, log))
    }

    fn values(pairs: &[(&str, Value)]) -> Vec<(String, Value)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn steps_go_to_tables_and_the_latest_values_to_a_document() -> Outcome {
        let (dir, log) = log()?;
        assert!(log.is_new());
        log.metrics(Some(0), &values(&[("train/acc", Value::Float(0.5)), ("n", Value::Int(3))]))?;
        log.metrics(Some(1), &values(&[("train/acc", Value::Float(1e-5))]))?;
        log.metrics(None, &values(&[("best", Value::Float(f64::NAN))]))?;
        let read = |path: &str| fs::read_to_string(dir.path().join("live").join(path));
        assert_eq!(read("plots/metrics/train/acc.tsv")?, "step\tacc\n0\t0.5\n1\t1e-05\n");
        assert_eq!(read("plots/metrics/n.tsv")?, "step\tn\n0\t3\n");
        assert!(!dir.path().join("live/plots/metrics/best.tsv").exists());
        assert_eq!(
            read("metrics.json")?,
            "{\n    \"train\": {\n        \"acc\": 1e-05\n    },\n    \"n\": 3,\n    \"step\": 1,\n    \"best\": \"nan\"\n}\n"
        );
        assert!(!log.is_new());
        log.clear()?;
        assert!(log.is_new());
        assert!(!dir.path().join("live/plots/metrics").exists());
        Ok(())
    }

    #[test]
    fn parameters_stay_and_are_replaced_by_name() -> Outcome {
        let (dir, log) = log()?;
        log.params(&values(&[("lr", Value::Float(0.1)), ("name", Value::from("a: b"))]))?;
        log.params(&values(&[("lr", Value::Float(0.2)), ("seed", Value::Int(1))]))?;
        let text = fs::read_to_string(dir.path().join("live/params.yaml"))?;
        assert_eq!(text, "lr: 0.2\nname: 'a: b'\nseed: 1\n");
        Ok(())
    }

    #[test]
    fn a_table_goes_on_as_it_was_begun() -> Outcome {
        let (dir, log) = log()?;
        let table = dir.path().join("live/plots/metrics/acc.tsv");
        fs::create_dir_all(table.parent().ok_or("no parent")?)?;
        fs::write(&table, "timestamp\tstep\tacc\n17\t0\t0.1\n18\t1\t0.")?;
        log.metrics(Some(2), &values(&[("acc", Value::Float(0.3))]))?;
        let text = fs::read_to_string(&table)?;
        let line = text.lines().last().unwrap_or_default();
        assert!(line.ends_with("\t2\t0.3") && line.split('\t').count() == 3, "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
        Ok(())
    }

    #[test]
    fn what_cannot_be_logged_leaves_everything_as_it_was() -> Outcome {
        let (dir, log) = log()?;
        for name in ["", "/x", "a/../b", "a\nb", "."] {
            let refused = log.metrics(Some(0), &values(&[(name, Value::Int(1))]));
            assert!(matches!(refused, Err(StepLogError::Name { .. })), "{name:?}");
        }
        assert!(!dir.path().join("live").exists());
        log.metrics(Some(0), &values(&[("acc", Value::Int(1))]))?;
        let refused = log.metrics(Some(1), &values(&[("acc/top", Value::Int(1))]));
        assert!(matches!(refused, Err(StepLogError::Nested { .. })));
        assert!(!dir.path().join("live/plots/metrics/acc").exists());
        let metrics = dir.path().join("live/metrics.json");
        fs::write(&metrics, "{\"acc\": ")?;
        let refused = log.metrics(Some(1), &values(&[("acc", Value::Int(1))]));
        assert!(matches!(refused, Err(StepLogError::Broken { source: Some(_), .. })));
        assert_eq!(fs::read_to_string(&metrics)?, "{\"acc\": ");
        Ok(())
    }

    #[test]
    fn fields_are_quoted_as_python_quotes_them() {
        assert_eq!(field("a b%"), "a b%");
        assert_eq!(field("a\t\"b\""), "\"a\t\"\"b\"\"\"");
    }

    #[test]
    fn a_file_that_names_everything_is_not_written() -> Outcome {
        let (dir, log) = log()?;
        log.metrics(Some(0), &values(&[("acc", Value::Int(1))]))?;
        let file = dir.path().join("dvc.yaml");
        log.track_in(&file)?;
        assert_eq!(
            fs::read_to_string(&file)?,
            "metrics:\n- live/metrics.json\nplots:\n- live/plots/metrics:\n    x: step\n"
        );
        let before = fs::metadata(&file)?.modified()?;
        log.metrics(Some(1), &values(&[("acc", Value::Int(2))]))?;
        log.track_in(&file)?;
        assert_eq!(fs::metadata(&file)?.modified()?, before);
        Ok(())
    }

    #[test]
    fn threads_that_log_at_a_time_lose_nothing() -> Outcome {
        let (dir, log) = log()?;
        std::thread::scope(|scope| {
            for thread in 0..4_i64 {
                let log = &log;
                scope.spawn(move || {
                    for step in 0..20 {
                        let name = format!("m{thread}");
                        let both = [(name, Value::from(thread)), ("all".into(), Value::Int(1))];
                        log.metrics(Some(step), &both).unwrap();
                    }
                });
            }
        });
        let read = |path: &str| fs::read_to_string(dir.path().join("live").join(path));
        assert_eq!(read("plots/metrics/all.tsv")?.lines().count(), 81);
        let summary = read_table(&dir.path().join("live/metrics.json"), Format::Json)?;
        let names: Vec<&str> = summary.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        Ok(())
    }
}
