//! YAML as values, by the reader that all of `exp` shares.

use exp_core::{SyntaxError, Value};

use crate::format::{Format, ParseError};

pub(crate) mod edit;
mod write;

/// Reads one YAML document.
pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    exp_core::parse_yaml(text).map_err(|err| error(text, err))
}

fn error(text: &str, err: SyntaxError) -> ParseError {
    let SyntaxError { line, column, message } = err;
    let text = line.checked_sub(1).and_then(|at| text.lines().nth(at)).unwrap_or_default();
    ParseError { format: Format::Yaml, line, column, text: text.to_owned(), message }
}
