//! One connection with several channels of SFTP, shared by all threads, and made anew after a cut.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use exp_cache::StorageErrorKind;
use russh::ChannelMsg;
use russh::client::Handle;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::rawsession::Limits;
use russh_sftp::client::{Config, RawSftpSession};
use tokio::sync::Mutex;

use super::login::{Host, login};
use super::problem::Problem;
use super::target::Target;

/// Without an answer to anything for so long, a server counts as gone.
const PATIENCE: Duration = Duration::from_mins(1);

/// Bytes in one request where the server does not say; every server takes so many.
const PIECE: u32 = 32 << 10;

/// Bytes in one request where the server allows more: what OpenSSH allows.
const LARGE_PIECE: u32 = 255 << 10;

/// Renames over what is there, which the protocol's own rename refuses.
pub(super) const POSIX_RENAME: &str = "posix-rename@openssh.com";
const FSYNC: &str = "fsync@openssh.com";

/// The connection to a server, made when first needed.
pub(super) struct Line {
    target: Target,
    env: BTreeMap<String, String>,
    now: Mutex<Option<Arc<Connection>>>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("host", &self.target.alias).finish_non_exhaustive()
    }
}

impl Line {
    pub(super) fn new(target: Target, env: BTreeMap<String, String>) -> Self {
        Self { target, env, now: Mutex::default() }
    }

    /// Returns the connection, made when there is none that works.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, Problem> {
        let mut now = self.now.lock().await;
        if let Some(connection) = now.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        *now = None;
        let handle = login(&self.target, &self.env).await?;
        let connection = Connection::new(handle, self.target.max_channels).await?;
        Ok(Arc::clone(now.insert(Arc::new(connection))))
    }

    /// Runs `work` on the connection; one that turns out to be cut is forgotten.
    pub(super) async fn with<T, F>(
        &self,
        work: impl FnOnce(Arc<Connection>) -> F,
    ) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        let connection = self.connection().await?;
        let done = tokio::select! {
            done = work(Arc::clone(&connection)) => done,
            () = connection.silence() => Err(Problem::cut("the server does not answer any more")),
        };
        if done.as_ref().is_err_and(|problem| problem.is_cut) {
            let mut now = self.now.lock().await;
            if now.as_ref().is_some_and(|now| Arc::ptr_eq(now, &connection)) {
                *now = None;
            }
        }
        done
    }
}

/// A connection that we are logged in on.
pub(super) struct Connection {
    handle: Handle<Host>,
    channels: RwLock<Vec<Arc<Channel>>>,
    /// Held by whoever opens another channel; how many there may be.
    opening: Mutex<usize>,
    begun: Instant,
    /// Milliseconds from `begun` to the last answer.
    answered: AtomicU64,
    pub(super) traits: Traits,
}

/// What the server said that it can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    pub(super) renames_over: bool,
    pub(super) syncs: bool,
    /// Bytes in one request.
    pub(super) read_piece: u32,
    pub(super) write_piece: u32,
}

/// A channel and how many work on it.
struct Channel {
    sftp: RawSftpSession,
    users: AtomicUsize,
}

/// One user's hold on a channel.
pub(super) struct Lease {
    channel: Arc<Channel>,
    connection: Arc<Connection>,
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.channel.users.fetch_add(1, Ordering::Relaxed);
        Self { channel: Arc::clone(&self.channel), connection: Arc::clone(&self.connection) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.channel.users.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lease {
    pub(super) fn sftp(&self) -> &RawSftpSession {
        &self.channel.sftp
    }

    pub(super) fn traits(&self) -> Traits {
        self.connection.traits
    }

    /// Waits for the answer to a request, and notes that one came.
    pub(super) async fn ask<T>(
        &self,
        request: impl Future<Output = Result<T, SftpError>>,
    ) -> Result<T, Problem> {
        let answer = request.await;
        if matches!(answer, Ok(_) | Err(SftpError::Status(_))) {
            self.connection.note_answer();
        }
        answer.map_err(Problem::from)
    }
}

impl Connection {
    async fn new(handle: Handle<Host>, max_channels: usize) -> Result<Self, Problem> {
        let (first, traits) = open_channel(&handle).await?;
        Ok(Self {
            handle,
            channels: RwLock::new(vec![Arc::new(first)]),
            opening: Mutex::new(max_channels),
            begun: Instant::now(),
            answered: AtomicU64::new(0),
            traits,
        })
    }

    fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    fn note_answer(&self) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered.fetch_max(since, Ordering::Relaxed);
    }

    /// Ends when nothing was answered for too long, from now on.
    async fn silence(&self) {
        let entered = self.begun.elapsed();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
            if self.begun.elapsed().saturating_sub(answered.max(entered)) > PATIENCE {
                return;
            }
        }
    }

    fn idlest(&self) -> Option<(Arc<Channel>, usize, usize)> {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        let of = |channel: &Arc<Channel>| channel.users.load(Ordering::Relaxed);
        let idlest = channels.iter().min_by_key(|channel| of(channel))?;
        Some((Arc::clone(idlest), of(idlest), channels.len()))
    }

    /// Returns the channel with the least to do, opened for this when all others have something.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, Problem> {
        loop {
            let Some((channel, users, n_channels)) = self.idlest() else {
                return Err(Problem::cut("the connection has no channels"));
            };
            // Whoever opens a channel lets the others go on with those that are there.
            if users > 0
                && let Ok(mut max) = self.opening.try_lock()
                && n_channels < *max
            {
                match open_channel(&self.handle).await {
                    Ok((channel, _)) => {
                        let mut channels =
                            self.channels.write().unwrap_or_else(PoisonError::into_inner);
                        channels.push(Arc::new(channel));
                    }
                    // Servers limit the channels of a connection; what there are is enough.
                    Err(_) => *max = n_channels,
                }
                continue;
            }
            channel.users.fetch_add(1, Ordering::Relaxed);
            return Ok(Lease { channel, connection: Arc::clone(self) });
        }
    }
}

async fn open_channel(handle: &Handle<Host>) -> Result<(Channel, Traits), Problem> {
    let opened = tokio::time::timeout(PATIENCE, begin_sftp(handle)).await;
    opened.map_err(|_| Problem::cut("the server does not begin with SFTP"))?
}

async fn begin_sftp(handle: &Handle<Host>) -> Result<(Channel, Traits), Problem> {
    let none = || Problem::new(StorageErrorKind::Unsupported, "the server offers no SFTP");
    let mut channel = handle.channel_open_session().await?;
    channel.request_subsystem(true, "sftp").await?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            Some(_) => return Err(none()),
            None => return Err(Problem::cut(russh::Error::Disconnect)),
        }
    }
    // Time is kept for the connection as a whole: on a slow line one request waits for many others.
    let config = Config { request_timeout_secs: u64::MAX, ..Config::default() };
    let mut sftp = RawSftpSession::new_with_config(channel.into_stream(), config);
    let version = sftp.init().await?;
    let has = |name: &str| version.extensions.contains_key(name);
    let mut piece = (PIECE, PIECE);
    if has("limits@openssh.com")
        && let Ok(limits) = sftp.limits().await
    {
        let limits = Limits::from(limits);
        let of = |limit: Option<u64>| {
            limit
                .map_or(PIECE, |limit| u32::try_from(limit).unwrap_or(LARGE_PIECE).min(LARGE_PIECE))
        };
        piece = (of(limits.read_len), of(limits.write_len));
        sftp.set_limits(Limits { open_handles: None, ..limits });
    }
    let traits = Traits {
        renames_over: has(POSIX_RENAME),
        syncs: has(FSYNC),
        read_piece: piece.0,
        write_piece: piece.1,
    };
    Ok((Channel { sftp, users: AtomicUsize::new(0) }, traits))
}
