//! What goes wrong on the way to a server, and whether to try again.

use std::error::Error;
use std::fmt;
use std::io;

use exp_cache::{StorageError, StorageErrorKind};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::StatusCode;

/// A failure before it is known what it happened to.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) kind: StorageErrorKind,
    source: Box<dyn Error + Send + Sync>,
    /// Whether the connection is of no use any more.
    pub(super) is_cut: bool,
    /// What the server answered, when it did.
    pub(super) status: Option<StatusCode>,
}

impl Problem {
    pub(super) fn new(
        kind: StorageErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: source.into(), is_cut: false, status: None }
    }

    /// Who we are, or who the server is, is not settled.
    pub(super) fn denied(reason: impl Into<String>) -> Self {
        Self::new(StorageErrorKind::Denied, reason.into())
    }

    /// The server, or the way to it, does not work now.
    pub(super) fn cut(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_cut: true, ..Self::new(StorageErrorKind::Temporary, source) }
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.kind == StorageErrorKind::NotFound
    }

    /// Returns this as the storage's error about `what`.
    pub(super) fn about(self, action: &'static str, what: impl fmt::Display) -> StorageError {
        StorageError { kind: self.kind, action, what: what.to_string(), source: self.source }
    }
}

impl From<SftpError> for Problem {
    fn from(err: SftpError) -> Self {
        let SftpError::Status(status) = &err else { return Self::cut(err) };
        let code = status.status_code;
        let kind = match code {
            StatusCode::NoSuchFile => StorageErrorKind::NotFound,
            StatusCode::PermissionDenied => StorageErrorKind::Denied,
            StatusCode::NoConnection | StatusCode::ConnectionLost => StorageErrorKind::Temporary,
            StatusCode::OpUnsupported => StorageErrorKind::Unsupported,
            _ => StorageErrorKind::Other,
        };
        let is_cut = kind == StorageErrorKind::Temporary;
        Self { kind, source: Box::new(err), is_cut, status: Some(code) }
    }
}

impl From<russh::Error> for Problem {
    fn from(err: russh::Error) -> Self {
        use russh::Error as E;
        match err {
            E::Disconnect
            | E::HUP
            | E::IO(_)
            | E::ConnectionTimeout
            | E::KeepaliveTimeout
            | E::InactivityTimeout
            | E::SendError
            | E::RecvError
            | E::Elapsed(_)
            | E::ChannelOpenFailure(_) => Self::cut(err),
            err => Self { is_cut: true, ..Self::new(StorageErrorKind::Other, err) },
        }
    }
}

/// Reading what is sent, or writing what is got, fails on this side.
impl From<io::Error> for Problem {
    fn from(err: io::Error) -> Self {
        let kind = match err.kind() {
            io::ErrorKind::PermissionDenied => StorageErrorKind::Denied,
            _ => StorageErrorKind::Other,
        };
        Self::new(kind, err)
    }
}
