//! How the process ends: documented codes.

use std::process::ExitCode;

use exp_engine::ErrorKind;

/// The exit code of a command.
///
/// The grammar of `exp` uses the constants here; DVC's grammar uses DVC's codes (0, 1, 251 to 255).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus(u8);

impl ExitStatus {
    /// Done.
    pub const DONE: Self = Self(0);
    /// A stage failed, or what was asked is not so.
    pub const FAILED: Self = Self(1);
    /// The command line is wrong.
    pub const USAGE: Self = Self(2);
    /// Configuration or pipeline files are wrong.
    pub const CONFIG: Self = Self(3);
    /// Something named does not exist.
    pub const NOT_FOUND: Self = Self(4);
    /// Something is in the way.
    pub const CONFLICT: Self = Self(5);
    /// Something stored is damaged.
    pub const CORRUPT: Self = Self(6);
    /// The machine: files, permissions, Git, space.
    pub const ENVIRONMENT: Self = Self(7);
    /// Stopped on request.
    pub const CANCELLED: Self = Self(130);

    /// DVC: standard output was closed.
    pub(crate) const DVC_PIPE: Self = Self(141);
    /// DVC: the configuration is wrong.
    pub(crate) const DVC_CONFIG: Self = Self(251);
    /// DVC: interrupted.
    pub(crate) const DVC_INTERRUPTED: Self = Self(252);
    /// DVC: not inside a project.
    pub(crate) const DVC_NO_PROJECT: Self = Self(253);
    /// DVC: the command line is wrong.
    pub(crate) const DVC_USAGE: Self = Self(254);
    /// DVC: anything else.
    pub(crate) const DVC_ERROR: Self = Self(255);

    /// Returns the number.
    pub fn code(self) -> u8 {
        self.0
    }

    /// Returns a status with this number.
    pub(crate) fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// Returns the code of the `exp` grammar for a kind of failure.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Self::USAGE,
            ErrorKind::Config => Self::CONFIG,
            ErrorKind::NotFound => Self::NOT_FOUND,
            ErrorKind::Conflict => Self::CONFLICT,
            ErrorKind::Corrupt => Self::CORRUPT,
            ErrorKind::Cancelled => Self::CANCELLED,
            _ => Self::ENVIRONMENT,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.0)
    }
}
