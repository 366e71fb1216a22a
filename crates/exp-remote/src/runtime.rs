//! The private runtime: the storage libraries are asynchronous, nothing outside of this crate is.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use exp_cache::{StorageError, StorageErrorKind};
use exp_core::Ctx;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often a waiting call looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

/// Threads that drive connections. Callers bring threads of their own, which only wait.
const WORKERS: usize = 2;

/// Kibibytes that the pieces of large transfers may take at a time, over all threads and storages.
const MEMORY: u32 = 128 << 10;

/// A runtime, started when first needed. Clones share it; the last one ends it, without waiting for what still runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Net(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    runtime: OnceLock<Result<Runtime, String>>,
    memory: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        let memory = Arc::new(Semaphore::new(MEMORY as usize));
        Self { runtime: OnceLock::new(), memory }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A name that is being looked up cannot be called off; nobody waits for it.
        if let Some(Ok(runtime)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A share of the memory for transfers, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Net {
    /// Returns the runtime.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub(crate) fn runtime(&self) -> Result<&Runtime, StorageError> {
        let started = self.0.runtime.get_or_init(|| {
            Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .thread_name("exp-remote")
                .enable_all()
                .build()
                .map_err(|err| err.to_string())
        });
        started.as_ref().map_err(|reason| StorageError {
            kind: StorageErrorKind::Other,
            action: "start",
            what: "the network runtime".to_owned(),
            source: reason.clone().into(),
        })
    }

    /// Waits for a share of the memory for transfers: `bytes`, or all of it where that is less.
    pub(crate) async fn share(&self, bytes: u64) -> Share {
        let permit = Arc::clone(&self.0.memory).acquire_many_owned(kibibytes(bytes)).await;
        Share { _permit: permit.ok() }
    }

    /// Returns a share of the memory for transfers when there is as much now.
    pub(crate) fn try_share(&self, bytes: u64) -> Option<Share> {
        let permit = Arc::clone(&self.0.memory).try_acquire_many_owned(kibibytes(bytes)).ok()?;
        Some(Share { _permit: Some(permit) })
    }

    /// Waits for `work`, or for the wish to stop: then `work` is dropped where it waits.
    ///
    /// # Errors
    ///
    /// As `work`; [`StorageErrorKind::Cancelled`] about `what` after a stop.
    pub(crate) fn block<T>(
        &self,
        ctx: &Ctx<'_>,
        (action, what): (&'static str, &str),
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        self.runtime()?.block_on(async {
            tokio::pin!(work);
            loop {
                if let Err(err) = ctx.check() {
                    return Err(StorageError {
                        kind: StorageErrorKind::Cancelled,
                        action,
                        what: what.to_owned(),
                        source: Box::new(err),
                    });
                }
                tokio::select! {
                    done = &mut work => return done,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        })
    }
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(MEMORY).min(MEMORY)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use exp_core::{Cancel, CancelToken, NullSink};

    use super::*;

    #[test]
    fn a_stop_ends_a_wait() {
        let token = CancelToken::new();
        let ctx = Ctx::new(&NullSink, token.clone());
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                token.cancel(Cancel::Stop);
            });
            let waited: Result<(), _> = Net::default().block(
                &ctx,
                ("read", "x"),
                std::future::pending::<Result<(), StorageError>>(),
            );
            assert!(matches!(waited, Err(err) if err.kind == StorageErrorKind::Cancelled));
        });
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn large_transfers_share_one_memory() {
        let net = Net::default();
        let all = net.try_share(1 << 40);
        assert!(all.is_some(), "more than there is means all");
        assert!(net.clone().try_share(1024).is_none());
        drop(all);
        assert!(net.clone().try_share(1024).is_some());
    }
}
