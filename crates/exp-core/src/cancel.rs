//! Asking work to end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How urgently work is asked to end. It only ever grows more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cancel {
    /// Start nothing new; what runs may finish.
    Drain,
    /// Abandon at the next safe point.
    Stop,
}

/// The work was asked to stop. Never a failure, never logged as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// A wish to end that any thread may voice and any thread may hear. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wish: Mutex<Option<Cancel>>,
    changed: Condvar,
}

impl CancelToken {
    /// Returns a token that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the end. A weaker wish after a stronger one changes nothing.
    pub fn cancel(&self, how: Cancel) {
        let mut wish = self.lock();
        *wish = (*wish).max(Some(how));
        self.0.changed.notify_all();
    }

    /// Returns what was asked for so far.
    pub fn requested(&self) -> Option<Cancel> {
        *self.lock()
    }

    /// Goes on unless a stop was asked for.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] after [`Cancel::Stop`]; [`Cancel::Drain`] lets running work go on.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.requested() == Some(Cancel::Stop) { Err(Cancelled) } else { Ok(()) }
    }

    /// Waits for `timeout` or until a wish is voiced or grows, and returns what is asked for then.
    pub fn sleep(&self, timeout: Duration) -> Option<Cancel> {
        let wish = self.lock();
        let before = *wish;
        let (wish, _) = self
            .0
            .changed
            .wait_timeout_while(wish, timeout, |now| *now == before)
            .unwrap_or_else(PoisonError::into_inner);
        *wish
    }

    fn lock(&self) -> MutexGuard<'_, Option<Cancel>> {
        self.0.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drain_never_weakens_stop() {
        let token = CancelToken::new();
        assert_eq!(token.requested(), None);
        token.cancel(Cancel::Drain);
        assert_eq!(token.check(), Ok(()));
        token.cancel(Cancel::Stop);
        token.cancel(Cancel::Drain);
        assert_eq!(token.check(), Err(Cancelled));
    }
}
