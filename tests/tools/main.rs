//! The tools that sit on top of `dvc`, with our binary in its place: its extension for VS Code, and `DVCLive`.

mod dvclive;
mod editor;
mod logging;
mod stand;

use std::error::Error;

/// What tests return.
pub(crate) type Outcome = Fails<()>;

/// What may fail with a sentence.
pub(crate) type Fails<T> = Result<T, Box<dyn Error>>;
