//! YAML as values, by the reader that all of `exp` shares.

use exp_core::{SyntaxError, Value};

use crate::format::{Format, ParseError};

pub(crate) mod edit;
mod write;

/// Reads one YAML document.
pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    exp_core::parse_yaml(text).map_err(error)
}

fn error(err: SyntaxError) -> ParseError {
    ParseError { format: Format::Yaml, line: err.line, column: err.column, message: err.message }
}
