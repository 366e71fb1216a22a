//! Changes in a file that leave every other byte as it was.
//!
//! Each step (see `plan`) becomes one splice: a range of bytes and the text that takes its place. The splice is
//! made, the file is read again, and only if it then says exactly what was asked is the splice kept. So an editor
//! that does not know some corner of a format makes an error, never a wrong file.

use std::ops::Range;

use exp_core::{KeyPath, Value};

use crate::format::{Format, ParseError, parse};
use crate::overrides::Override;
use crate::plan::{Step, identical, steps};
use crate::{json, python, toml, yaml};

/// Bytes of a file and what is written instead of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Splice {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

impl Splice {
    pub(crate) fn new(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { range, text: text.into() }
    }

    pub(crate) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::new(at..at, text)
    }
}

/// A change that was not made. The file is as it was.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Parse(#[from] ParseError),
    /// A key that is not there.
    #[error("`{key}` does not exist")]
    NotFound {
        /// The key.
        key: KeyPath,
        /// Keys that are there and look similar, best first, at most three.
        near: Vec<KeyPath>,
    },
    /// A key that is to be added and is there.
    #[error("`{key}` already exists")]
    Exists {
        /// The key.
        key: KeyPath,
    },
    /// A value that is to be removed and is another one.
    #[error("the value of `{key}` is another one")]
    NotEqual {
        /// The key.
        key: KeyPath,
        /// Its value.
        found: Value,
    },
    /// A list for a map, or a map for a list.
    #[error("`{key}` is a {found}, not a {given}")]
    Mismatch {
        /// The key.
        key: KeyPath,
        /// The type of the value that is there, `map` or `list`.
        found: &'static str,
        /// The type of the value that was given.
        given: &'static str,
    },
    /// An item of a list that is to be added or removed; items can only be changed.
    #[error("`{key}` is an item of a list")]
    ListItem {
        /// The key.
        key: KeyPath,
    },
    /// A change that cannot be made without touching something else.
    #[error("`{key}` cannot be changed in place: {why}")]
    CannotEdit {
        /// The key.
        key: KeyPath,
        /// What is in the way.
        why: Obstacle,
    },
}

/// What is in the way of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// The value is shared: it is inside an anchor, an alias or a merge key.
    #[error("other values refer to it or it refers to them")]
    Shared,
    /// The format has no way to write the value.
    #[error("the format cannot hold the value")]
    NoSpelling,
    /// The value is written in a way that this crate does not change.
    #[error("the way in which it is written is not supported")]
    Layout,
    /// The changed file would not say what was asked.
    #[error("the result would not say what was asked")]
    Verification,
}

/// Makes changes in the text of a file and leaves every byte that they do not name as it was.
///
/// Comments, quotes, blank lines, flow style, anchors, line ends, a byte order mark and a missing last newline stay.
/// The changes are made one after the other; each sees what the ones before it did. If one cannot be made, none is.
///
/// A value that is already as asked is not touched: `lr=1e-3` leaves `0.001`.
pub fn apply(format: Format, text: &str, overrides: &[Override]) -> Result<String, ApplyError> {
    let mut text = text.to_owned();
    let mut value = parse(format, &text)?;
    for change in overrides {
        for step in steps(&value, change)? {
            step.perform(&mut value);
            text = perform(format, &text, &step, &value)?;
        }
    }
    Ok(text)
}

/// Makes one step and checks that the file then is `expected`.
fn perform(
    format: Format,
    text: &str,
    step: &Step,
    expected: &Value,
) -> Result<String, ApplyError> {
    let cannot = |why| ApplyError::CannotEdit { key: step.path(), why };
    let splice = match format {
        Format::Yaml => yaml::edit::splice(text, step),
        Format::Json => json::edit::splice(text, step),
        Format::Toml => toml::edit::splice(text, step),
        Format::Python => python::edit::splice(text, step),
    }
    .map_err(cannot)?;
    let (Some(before), Some(after)) =
        (text.get(..splice.range.start), text.get(splice.range.end..))
    else {
        return Err(cannot(Obstacle::Layout));
    };
    let edited = [before, &splice.text, after].concat();
    match parse(format, &edited) {
        Ok(value) if identical(&value, expected) => Ok(edited),
        _ => Err(cannot(Obstacle::Verification)),
    }
}
