//! The four formats of parameter and metric files: which file has which, and text to values.

use exp_core::{Table, Value};

use crate::{json, python, toml, yaml};

/// How a parameter or metric file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML 1.2 with the scalar rules of DVC.
    Yaml,
    /// JSON as Python's `json` module reads it: `NaN` and `Infinity` are numbers.
    Json,
    /// TOML 1.0.
    Toml,
    /// Python source, of which literal assignments count.
    Python,
}

impl Format {
    /// Returns the format that DVC would read the file as: by the extension, whatever its case; YAML otherwise.
    pub fn of(path: &str) -> Self {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let extension = match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => extension.to_ascii_lowercase(),
            _ => String::new(),
        };
        match extension.as_str() {
            "json" => Self::Json,
            "toml" => Self::Toml,
            "py" => Self::Python,
            _ => Self::Yaml,
        }
    }

    /// Names the format in lower case: `yaml`, `json`, `toml`, `python`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Toml => "toml",
            Self::Python => "python",
        }
    }
}

/// Text that is not a file of its format.
///
/// The fields say where; [`ParseError::format`] is what a frontend needs to name DVC's class of error, for example
/// `YAMLFileCorruptedError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// The format that was expected.
    pub format: Format,
    /// Line of the problem, from 1.
    pub line: usize,
    /// Column of the problem in characters, from 1.
    pub column: usize,
    /// The text of that line.
    pub text: String,
    /// What is wrong, in lower case.
    pub message: String,
}

impl ParseError {
    /// Makes the error for the problem at byte `offset` of `text`; an offset beyond the end is the end.
    pub(crate) fn at(
        format: Format,
        text: &str,
        offset: usize,
        message: impl Into<String>,
    ) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let visible = before[line_start..].trim_start_matches('\u{feff}');
        Self {
            format,
            line: before.matches('\n').count() + 1,
            column: visible.chars().count() + 1,
            text: text[line_start..].lines().next().unwrap_or_default().to_owned(),
            message: message.into(),
        }
    }
}

/// Reads a parameter or metric file as DVC reads it.
///
/// An empty document, and in YAML and JSON every document that Python finds false (`null`, `0`, `[]`), is the empty
/// map. The rules of each format: YAML refuses duplicate keys, several documents and unknown tags; JSON takes the
/// last of duplicate keys and knows `NaN` and `Infinity`; of Python the literal assignments of the module, of class
/// bodies and of `self` in `__init__` count, and what is no literal is left out. A byte order mark is skipped, where
/// DVC does so in YAML only. Whole numbers beyond `i128` are refused (in TOML beyond `i64`).
pub fn parse(format: Format, text: &str) -> Result<Value, ParseError> {
    let value = match format {
        Format::Yaml => yaml::parse(text)?,
        Format::Json => json::parse(text)?.to_value(),
        Format::Toml => toml::parse(text)?,
        Format::Python => python::parse(text)?,
    };
    Ok(if value.is_false_in_python() { Value::Table(Table::new()) } else { value })
}
