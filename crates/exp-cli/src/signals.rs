//! Signals become wishes to end: the first Ctrl-C drains, the second stops.

use std::thread;

use exp_engine::core::{Cancel, CancelToken};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the first Ctrl-C asks for. SIGTERM always stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Let what runs finish; a second Ctrl-C stops it.
    Drain,
    /// Stop at once.
    Stop,
}

/// Does `work` while signals to the process cancel `token`, and tells `notice` of each.
///
/// When signals cannot be received, or `enabled` is false, the work is done without.
pub(crate) fn guarded<T>(
    enabled: bool,
    token: &CancelToken,
    patience: Patience,
    notice: &(dyn Fn(Cancel) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let Some(mut signals) = enabled.then(|| Signals::new([SIGINT, SIGTERM]).ok()).flatten() else {
        return work();
    };
    let handle = signals.handle();
    thread::scope(|scope| {
        scope.spawn(move || {
            for signal in signals.forever() {
                let wish = wish(signal, patience, token.requested());
                token.cancel(wish);
                notice(wish);
            }
        });
        // Closes the thread also when the work panics; the scope would wait for it for ever.
        let _closed = CloseOnDrop(&handle);
        work()
    })
}

struct CloseOnDrop<'h>(&'h signal_hook::iterator::Handle);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn wish(signal: i32, patience: Patience, before: Option<Cancel>) -> Cancel {
    match (signal, patience, before) {
        (SIGINT, Patience::Drain, None) => Cancel::Drain,
        _ => Cancel::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_interrupt_drains_and_the_second_stops() {
        use Cancel::{Drain, Stop};
        assert_eq!(wish(SIGINT, Patience::Drain, None), Drain);
        assert_eq!(wish(SIGINT, Patience::Drain, Some(Drain)), Stop);
        assert_eq!(wish(SIGTERM, Patience::Drain, None), Stop);
        assert_eq!(wish(SIGINT, Patience::Stop, None), Stop);
    }
}
