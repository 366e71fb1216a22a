//! Events as words: one sink for each way of showing them.

mod dvc;
mod ndjson;
mod plain;

use exp_engine::core::{Cancel, EventSink};

pub(crate) use dvc::{DvcSink, failure_text};
pub(crate) use ndjson::NdjsonSink;
pub(crate) use plain::PlainSink;

/// A sink that also says what a signal did.
pub(crate) trait Progress: Sync {
    /// Returns the sink.
    fn sink(&self) -> &dyn EventSink;

    /// Says that the work was asked to end.
    fn cancelling(&self, wish: Cancel);
}
