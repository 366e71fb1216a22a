//! Events as words: one sink for each way of showing them.

mod dvc;
mod line;
mod live;
mod ndjson;
mod plain;

use exp_engine::core::{Cancel, EventSink};

pub(crate) use dvc::{DvcSink, failure_text};
pub(crate) use line::Line;
pub(crate) use live::{Passing, Size, Stages};
pub(crate) use ndjson::{NdjsonSink, ended, point};
pub(crate) use plain::PlainSink;

/// A sink that also says what a signal did.
pub(crate) trait Progress: Sync {
    /// Returns the sink.
    fn sink(&self) -> &dyn EventSink;

    /// Brings what is shown of running stages up to date; called now and then on a terminal.
    fn tick(&self) {}

    /// Says that the work was asked to end.
    fn cancelling(&self, wish: Cancel);
}
