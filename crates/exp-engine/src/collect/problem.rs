//! Why something cannot be shown: our errors with the names of the exceptions that DVC would meet.

use std::error::Error as StdError;
use std::sync::Arc;

use exp_core::{LockError, PipelineFault};
use exp_params::{Format, ParseError};

use crate::error::{Error, chain};
use crate::revision::Problem;

/// Says why a revision cannot be shown.
pub(crate) fn problem(error: &Error) -> Arc<Problem> {
    let class = match error {
        Error::Pipeline(error) => class_of(&error.fault),
        Error::Recorded {
            source: LockError::Syntax { .. } | LockError::Conflict { .. }, ..
        } => "YAMLSyntaxError",
        Error::Recorded { .. } => "YAMLValidationError",
        Error::Values { source, .. } => corrupted(source),
        _ => "DvcException",
    };
    Arc::new(Problem { class, message: chain(error) })
}

/// Says why a parameter or metric file cannot be read.
pub(crate) fn unreadable(path: &str, error: &ParseError) -> Arc<Problem> {
    Arc::new(Problem { class: corrupted(error), message: format!("cannot read '{path}': {error}") })
}

/// Says that a file is not text.
pub(crate) fn no_text(path: &str) -> Arc<Problem> {
    let message = format!("cannot read '{path}': it is not UTF-8 text");
    Arc::new(Problem { class: "EncodingError", message })
}

/// Says that a file is not there, in the words of Python.
pub(crate) fn missing(path: &str) -> Arc<Problem> {
    let message = format!("[Errno 2] No such file or directory: '{path}'");
    Arc::new(Problem { class: "FileNotFoundError", message })
}

/// Says that a file that the store should keep was never recorded, in the words of DVC.
pub(crate) fn not_recorded(path: &str) -> Arc<Problem> {
    let message = format!("[Errno 2] No storage files available: '{path}'");
    Arc::new(Problem { class: "FileNotFoundError", message })
}

/// Says that a run did not finish and that nothing tells how it ended.
pub(crate) fn no_record() -> Arc<Problem> {
    let message = "the record of the run is missing".to_owned();
    Arc::new(Problem { class: "DvcException", message })
}

/// Says that an object cannot be read.
pub(crate) fn failed(error: &dyn StdError) -> Arc<Problem> {
    Arc::new(Problem { class: "OSError", message: chain(error) })
}

fn class_of(fault: &PipelineFault) -> &'static str {
    match fault {
        PipelineFault::Syntax { .. } | PipelineFault::Conflict => "YAMLSyntaxError",
        PipelineFault::Load { .. } => "YAMLFileCorruptedError",
        PipelineFault::UnknownKey { .. }
        | PipelineFault::WrongType { .. }
        | PipelineFault::Missing { .. } => "YAMLValidationError",
        _ => "ResolveError",
    }
}

fn corrupted(error: &ParseError) -> &'static str {
    match error.format {
        Format::Yaml => "YAMLFileCorruptedError",
        Format::Json => "JSONFileCorruptedError",
        Format::Toml => "TOMLFileCorruptedError",
        Format::Python => "PythonFileCorruptedError",
    }
}
