//! Parameter and metric files of `exp`: text in, values out, and changes that keep every byte they do not name.
//!
//! Four formats are read as DVC reads them ([`parse`]), changed in place ([`apply`]) by overrides in the grammar of
//! DVC's `--set-param` ([`Overrides`], [`ParamChange`]), and compared with DVC's rules ([`diff`], [`metrics`]). What a run
//! writes while it goes on is read piece by piece ([`LiveReader`]).
//!
//! ```
//! use exp_params::{Format, ParamChange, apply};
//!
//! let text = "train:\n  lr: 0.01   # tuned by hand\n  layers: [64, 32]\n";
//! let change: ParamChange = "train.lr=1e-4".parse()?;
//! let edited = apply(Format::Yaml, text, &[change.change])?;
//! assert_eq!(edited, "train:\n  lr: 1e-4   # tuned by hand\n  layers: [64, 32]\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows nothing of files, stages or revisions: whoever calls it reads and writes.

mod apply;
mod compose;
mod diff;
mod format;
mod json;
mod live;
mod metrics;
mod number;
mod overrides;
mod plan;
mod python;
mod text;
mod toml;
mod yaml;

pub use apply::{ApplyError, Obstacle, apply};
pub use compose::{ComposeError, ComposeFiles, compose};
pub use diff::{All, Change, diff};
pub use exp_core::{KeyPath, Table, Value};
pub use format::{Format, ParseError, parse};
pub use live::{LiveBoard, LiveError, LiveFormat, LiveReader, LiveSeries, live_document};
pub use metrics::{each_leaf, flatten, metrics};
pub use number::{Precision, python_cell, python_str};
pub use overrides::{Axis, Combinations, Literal, Override, OverrideError, Overrides, ParamChange};
