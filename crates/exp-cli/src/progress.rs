//! Events as words: one sink for each way of showing them.

mod dvc;
mod line;
mod live;
mod ndjson;
mod plain;

use exp_engine::core::{Cancel, EventSink, Reason, StageId};

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

/// What puts a question where everything else is shown.
pub(crate) trait Questions: Sync {
    /// Asks whether a stage that is due for these reasons may be done; the answer is typed behind it.
    fn ask(&self, stage: &StageId, reasons: &[Reason]);

    /// Says that an answer was typed, which ended the line.
    fn answered(&self) {}
}
