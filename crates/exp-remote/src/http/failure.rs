//! What goes wrong with requests by HTTP, and whether to try again.

use std::error::Error;
use std::fmt;
use std::io;

use exp_cache::{StorageError, StorageErrorKind};
use reqwest::StatusCode;

/// A failure before it is known what it happened to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: StorageErrorKind,
    source: Box<dyn Error + Send + Sync>,
    /// What the server answered, when it did.
    pub(crate) status: Option<StatusCode>,
}

impl Failure {
    pub(crate) fn new(
        kind: StorageErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: source.into(), status: None }
    }

    pub(crate) fn temporary(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(StorageErrorKind::Temporary, reason)
    }

    pub(crate) fn other(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(StorageErrorKind::Other, reason)
    }

    /// Returns the failure that an answer is. Its body is of no use: it may be a page about something else.
    pub(crate) fn of(status: StatusCode) -> Self {
        let kind = match status.as_u16() {
            404 | 410 => StorageErrorKind::NotFound,
            401 | 402 | 403 | 407 | 451 => StorageErrorKind::Denied,
            405 | 501 => StorageErrorKind::Unsupported,
            // Too early, locked, too many: all of them pass. A full disk does not.
            408 | 423 | 425 | 429 | 500 | 502..=504 | 506 | 508..=599 => {
                StorageErrorKind::Temporary
            }
            _ => StorageErrorKind::Other,
        };
        Self { status: Some(status), ..Self::new(kind, format!("the server answers {status}")) }
    }

    /// Returns whether `text` is in what is said about the failure or its causes.
    pub(crate) fn has_cause(&self, text: &str) -> bool {
        has_cause(&*self.source, text)
    }

    /// Returns this as the storage's error about `what`.
    pub(crate) fn about(self, action: &'static str, what: impl fmt::Display) -> StorageError {
        StorageError { kind: self.kind, action, what: what.to_string(), source: self.source }
    }
}

fn has_cause(err: &(dyn Error + 'static), text: &str) -> bool {
    let mut next = Some(err);
    while let Some(cause) = next {
        if cause.to_string().contains(text) {
            return true;
        }
        next = cause.source();
    }
    false
}

impl From<reqwest::Error> for Failure {
    fn from(err: reqwest::Error) -> Self {
        // Addresses may hold secrets.
        let err = err.without_url();
        // Neither a name that nobody knows nor a certificate that nobody trusts gets better by trying again.
        let lasts = ["not known", "No address associated", "certificate", "invalid peer"];
        let is_lasting = lasts.iter().any(|text| has_cause(&err, text));
        let kind = match () {
            () if err.is_builder() || err.is_redirect() || is_lasting => StorageErrorKind::Other,
            () => StorageErrorKind::Temporary,
        };
        Self::new(kind, err)
    }
}

/// Reading what is sent, or writing what is got, fails on this side.
impl From<io::Error> for Failure {
    fn from(err: io::Error) -> Self {
        let kind = match err.kind() {
            io::ErrorKind::PermissionDenied => StorageErrorKind::Denied,
            _ => StorageErrorKind::Other,
        };
        Self::new(kind, err)
    }
}
