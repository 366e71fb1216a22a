//! A corpus of `dvc.yaml` files: what dvc reads from each, recorded by `tests/oracle/corpus.py`, is what we read; what it
//! refuses, we refuse at the right place.
//!
//! `valid` is read by both, `broken` refused by both, `stricter` refused by us only, before anything runs: most of it
//! fails in dvc when it runs. `lenient` is refused by dvc only, by an accident of its own. All lie in one directory with the files of `files`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use exp_engine::core::{Command, OutKind, PipelineFile, RelPath, Stage, Table, Value};
use exp_engine::params::Format;
use exp_engine::{Broken, Error, Source, SourceEntry, SourceError, View};

use crate::support::Test;

/// The files of the corpus with one text as their `dvc.yaml`.
struct Case<'t> {
    text: &'t str,
}

impl Source for Case<'_> {
    fn read(&self, path: &RelPath) -> Result<Option<Vec<u8>>, SourceError> {
        if path.as_str() == "dvc.yaml" {
            return Ok(Some(self.text.as_bytes().to_vec()));
        }
        Ok(fs::read(path.under(&corpus().join("files"))).ok())
    }

    fn entries(&self, dir: &RelPath) -> Result<Vec<SourceEntry>, SourceError> {
        let name = || SourceEntry { name: "dvc.yaml".to_owned(), is_dir: false };
        Ok(dir.is_root().then(name).into_iter().collect())
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Returns the texts of a directory by the name of the file.
fn texts(kind: &str) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(corpus().join(kind))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a name")?;
        texts.insert(format!("{kind}/{name}"), fs::read_to_string(&path)?);
    }
    Ok(texts)
}

fn read(text: &str) -> Result<View, Error> {
    let view = View::load(&Case { text }, Path::new("/project"), Broken::Fail)?;
    view.pipeline()?;
    Ok(view)
}

fn verdicts() -> Result<Table, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(corpus().join("verdicts.json"))?;
    let verdicts = exp_engine::params::parse(Format::Json, &text)?;
    Ok(verdicts.as_table().ok_or("a map")?.clone())
}

#[test]
fn what_dvc_reads_from_a_file_is_what_we_read() -> Test {
    let verdicts = verdicts()?;
    let texts = texts("valid")?;
    assert!(texts.len() >= 100, "{} files", texts.len());
    let mut wrong = Vec::new();
    for (name, text) in &texts {
        let theirs = verdicts.get(name).ok_or_else(|| format!("no verdict: {name}"))?;
        match read(text) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(view) => {
                let ours = seen(view.files.first().ok_or("no file")?, &view.stages);
                if ours != *theirs {
                    wrong.push(format!("{name}:\n  dvc:  {theirs:?}\n  ours: {ours:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} are wrong", wrong.join("\n"), wrong.len());
    Ok(())
}

#[test]
fn what_dvc_refuses_is_refused_where_it_is_wrong() -> Test {
    let verdicts = verdicts()?;
    let mut texts = texts("broken")?;
    assert!(texts.len() >= 100, "{} files", texts.len());
    texts.extend(self::texts("stricter")?);
    let mut told = Vec::new();
    for (name, text) in &texts {
        let is_refused = verdicts.get(name).is_some_and(|theirs| theirs.child("error").is_some());
        assert_eq!(is_refused, name.starts_with("broken/"), "{name}");
        let said = match read(text) {
            Ok(_) => "READ".to_owned(),
            Err(error) => words(&error),
        };
        told.push(format!("{name}: {said}"));
    }
    let expected = fs::read_to_string(corpus().join("errors.txt"))?;
    let differ: Vec<String> = told
        .iter()
        .filter(|line| !expected.lines().any(|known| known == **line))
        .cloned()
        .collect();
    assert!(differ.is_empty(), "errors.txt does not have these lines:\n{}", differ.join("\n"));
    assert_eq!(told.len(), expected.lines().count(), "errors.txt has lines of no file");
    Ok(())
}

#[test]
fn what_dvc_refuses_by_accident_is_read() -> Test {
    let verdicts = verdicts()?;
    for (name, text) in &texts("lenient")? {
        assert!(verdicts.get(name).is_some_and(|theirs| theirs.child("error").is_some()), "{name}");
        read(text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// Says what is wrong in one line: the place, the message, what was meant.
fn words(error: &Error) -> String {
    let said = match error {
        Error::Values { source, .. } => format!("{error}: {source}"),
        Error::Pipeline(pipeline) => match pipeline.did_you_mean() {
            Some(meant) => format!("{error}; did you mean `{meant}`?"),
            None => error.to_string(),
        },
        error => error.to_string(),
    };
    said.replace('\n', " ")
}

/// Returns what was read, in the shape of the verdicts.
fn seen(file: &PipelineFile, stages: &[Stage]) -> Value {
    let texts = |paths: &[RelPath]| {
        Value::List(paths.iter().map(|path| Value::from(path.as_str())).collect())
    };
    let list_of = |value: &Value| match value {
        Value::Null => Value::List(Vec::new()),
        value => value.clone(),
    };
    map([
        ("stages", Value::List(stages.iter().map(stage).collect())),
        ("params", texts(&file.params)),
        ("metrics", texts(&file.metrics)),
        ("plots", Value::List(file.plots.clone())),
        ("artifacts", Value::Table(file.artifacts.clone())),
        ("datasets", list_of(&file.datasets)),
    ])
}

fn stage(stage: &Stage) -> Value {
    let mut params = Table::new();
    for param in &stage.params {
        let keys = params.entry(param.file.clone()).or_insert_with(|| Value::List(Vec::new()));
        if let (Value::List(keys), Some(key)) = (keys, &param.key) {
            keys.push(Value::from(key.to_string()));
        }
    }
    let mut outs: Vec<Value> = stage
        .outs
        .iter()
        .map(|out| {
            let kind = match out.kind {
                OutKind::Data => "data",
                OutKind::Metric => "metric",
                OutKind::Plot => "plot",
            };
            let mut seen = vec![
                ("path", Value::from(out.path.as_str())),
                ("kind", Value::from(kind)),
                ("cache", Value::from(out.cache)),
                ("persist", Value::from(out.persist)),
                ("push", Value::from(out.push)),
                ("extra", Value::Table(out.extra.clone())),
            ];
            seen.extend(out.remote.as_deref().map(|remote| ("remote", Value::from(remote))));
            map(seen)
        })
        .collect();
    outs.sort_by_key(|out| out.child("path").and_then(Value::as_text).map(str::to_owned));
    let mut tracked = Table::new();
    for (file, keys) in &stage.interpolated {
        let mut keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        keys.sort();
        let keys = keys.into_iter().map(Value::from).collect();
        tracked.insert(file.to_string(), Value::List(keys));
    }
    let deps = stage.deps.iter().map(|dep| Value::from(dep.path.as_str())).collect();
    map([
        ("address", Value::from(stage.id.to_string())),
        ("cmd", stage.cmd.as_ref().map_or(Value::Null, Command::to_value)),
        ("wdir", Value::from(stage.wdir.to_string())),
        ("deps", Value::List(deps)),
        ("params", Value::Table(params)),
        ("outs", Value::List(outs)),
        ("frozen", Value::from(stage.frozen)),
        ("always_changed", Value::from(stage.always_changed)),
        ("desc", stage.desc.as_deref().map_or(Value::Null, Value::from)),
        ("meta", stage.meta.clone()),
        ("tracked", Value::Table(tracked)),
    ])
}

fn map<'k>(items: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Table(items.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
