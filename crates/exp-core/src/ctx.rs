//! What every long operation is handed first.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cancel::{CancelToken, Cancelled};
use crate::event::{Event, EventSink, NullSink, TaskEvent, TaskId, TaskLabel, Unit, Warning};
use crate::port::Consent;

/// An event sink and a cancel token, whom to ask before stages are done, and the numbers of the tasks under them.
pub struct Ctx<'s> {
    sink: &'s dyn EventSink,
    cancel: CancelToken,
    consent: Option<&'s dyn Consent>,
    next_task: AtomicU64,
}

impl<'s> Ctx<'s> {
    /// Reports to `sink` and listens to `cancel`.
    pub fn new(sink: &'s dyn EventSink, cancel: CancelToken) -> Self {
        Self { sink, cancel, consent: None, next_task: AtomicU64::new(0) }
    }

    /// Asks before each stage that is not up to date. Then stages are done one at a time.
    #[must_use]
    pub fn asking(self, consent: Option<&'s dyn Consent>) -> Self {
        Self { consent, ..self }
    }

    /// Reports to nobody and cannot be cancelled.
    pub fn silent() -> Ctx<'static> {
        Ctx::new(&NullSink, CancelToken::new())
    }

    /// Tells the sink.
    pub fn emit(&self, event: Event<'_>) {
        self.sink.emit(event);
    }

    /// Tells the sink of something that stops nothing.
    pub fn warn(&self, warning: &Warning) {
        self.sink.emit(Event::Warning(warning));
    }

    /// Goes on unless a stop was asked for.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] after a stop.
    pub fn check(&self) -> Result<(), Cancelled> {
        self.cancel.check()
    }

    /// Returns the token, to wait on it or to hand it on.
    pub fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Returns whom to ask before a stage is done; `None` when nobody wants to be.
    pub fn consent(&self) -> Option<&'s dyn Consent> {
        self.consent
    }

    /// Starts a task; it ends when the returned guard is dropped.
    pub fn task(&self, label: TaskLabel, total: Option<u64>, unit: Unit) -> Task<'_> {
        let id = TaskId(self.next_task.fetch_add(1, Ordering::Relaxed));
        self.emit(Event::Task { id, what: TaskEvent::Started { label, total, unit } });
        Task { sink: self.sink, id }
    }
}

impl fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// A piece of countable work; dropping it ends it.
pub struct Task<'c> {
    sink: &'c dyn EventSink,
    id: TaskId,
}

impl Task<'_> {
    /// Says that `by` more is done.
    pub fn advance(&self, by: u64) {
        self.sink.emit(Event::Task { id: self.id, what: TaskEvent::Advanced { by } });
    }
}

impl Task<'_> {
    /// Says that there are `bytes` to move in all.
    pub fn size(&self, bytes: u64) {
        self.sink.emit(Event::Task { id: self.id, what: TaskEvent::Sized { bytes } });
    }

    /// Says that `bytes` more went over the line.
    pub fn moved(&self, bytes: u64) {
        self.sink.emit(Event::Task { id: self.id, what: TaskEvent::Moved { bytes } });
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.sink.emit(Event::Task { id: self.id, what: TaskEvent::Finished });
    }
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id).finish_non_exhaustive()
    }
}
