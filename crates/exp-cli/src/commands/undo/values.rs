//! `log KEY=VALUE`: values of a step, logged from a script.

use exp_engine::core::Value;
use exp_engine::params::{Format, parse};
use exp_engine::{Error, StepLog, StepLogError};

use super::Outcome;
use crate::args::experiment::LogArgs;
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;

/// The Python module that logs the same way.
pub(super) const MODULE: &str = include_str!("../../../python/exp_log.py");

/// The directory that `DVCLive` writes to.
const DIR: &str = "dvclive";

pub(super) fn log(session: &mut Session<'_, '_>, args: &LogArgs) -> Outcome {
    let mut values = Vec::new();
    for word in &args.words {
        let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Failure::TextUsage(format!("`{word}` is not KEY=VALUE")));
        };
        let value = if args.values.params { param(value) } else { metric(value) };
        values.push((key.to_owned(), value));
    }
    if values.is_empty() && !args.values.clear {
        return Err(Failure::text_usage("give what is to be logged: KEY=VALUE"));
    }
    let dir = args.values.dir.clone().unwrap_or_else(|| DIR.into());
    let log = StepLog::at(&session.cwd().join(&dir));
    if args.values.clear {
        log.clear().map_err(Error::from)?;
    }
    if values.is_empty() {
        return Ok(ExitStatus::DONE);
    }
    let is_new = log.is_new();
    let logged = if args.values.params {
        log.params(&values)
    } else {
        log.metrics(args.values.step, &values)
    };
    logged.map_err(Error::from)?;
    if session.io.env.project_root().is_none() {
        if is_new {
            let dir = dir.display();
            session.note(&format!(
                "logging to {dir}/, which is in no project: no experiment will have it (exp init makes a project)"
            ))?;
        }
        return Ok(ExitStatus::DONE);
    }
    if let Err(error) = log.track_in(&session.cwd().join("dvc.yaml")) {
        if !matches!(error, StepLogError::Edit { .. } | StepLogError::Broken { .. }) {
            return Err(Error::from(error).into());
        }
        // The values are logged; that nobody can be told of them does not stop a training.
        let why = chain(&error).join(": ");
        session.warn(&format!("warning: what was logged is not named in dvc.yaml: {why}"))?;
    }
    Ok(ExitStatus::DONE)
}

/// Reads a metric: a number where the text is one, else the text.
fn metric(text: &str) -> Value {
    match parse(Format::Yaml, text) {
        Ok(value @ (Value::Int(_) | Value::Float(_))) => value,
        _ => Value::from(text),
    }
}

/// Reads a parameter as a parameter file would: numbers, truth values, lists and maps in brackets.
fn param(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Null;
    }
    parse(Format::Yaml, text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_numbers_or_texts_and_parameters_anything() {
        for (text, number) in [("0.9", 0.9), ("1e-5", 1e-5), ("-3", -3.0)] {
            assert_eq!(metric(text).as_f64(), Some(number), "{text}");
        }
        for text in ["nan", "true", "[1]", "2026-01-02", "a: b", ""] {
            assert_eq!(metric(text), Value::from(text));
        }
        assert_eq!((param("true"), param("")), (Value::Bool(true), Value::Null));
        assert_eq!(param("[1, 2]").as_list().map(<[Value]>::len), Some(2));
        assert_eq!(param("a: ["), Value::from("a: ["));
    }
}
