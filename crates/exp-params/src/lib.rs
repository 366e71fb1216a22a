//! Parameter and metric files of `exp`: read, changed in place, compared.

mod diff;
mod format;
mod json;
mod metrics;
mod number;
mod python;
mod toml;
mod yaml;

pub use diff::{All, Change, diff};
pub use format::{Format, ParseError, parse};
pub use metrics::{flatten, metrics};
pub use number::{Precision, python_cell, python_str};
