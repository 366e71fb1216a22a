//! The command line of `exp`: two grammars over one engine.
//!
//! This crate chooses the words and is the only one that reads the environment; what a command does is the engine's.
//! It knows nothing of Git objects, of the layout of the store, or of the syntax of any file.
//!
//! ```
//! let (mut out, mut err) = (Vec::new(), Vec::new());
//! let mut io = exp_cli::Io::captured(&mut out, &mut err, exp_cli::Environment::default());
//! let status = exp_cli::run(["exp", "version", "--short"], &mut io);
//! drop(io);
//! assert_eq!((status.code(), out), (0, format!("{}\n", env!("CARGO_PKG_VERSION")).into_bytes()));
//! ```

#![expect(clippy::format_push_string, reason = "short texts for people, not a hot loop")]

mod args;
mod commands;
mod consent;
mod diagnostic;
mod exit;
mod grammar;
mod io;
mod progress;
mod session;
mod settings;
mod signals;
mod view;
mod zone;

use std::ffi::OsString;
use std::process::ExitCode;

pub use exit::ExitStatus;
pub use io::Io;
pub use settings::Environment;

/// Runs one command line, the name of the program included, and returns how the process is to end.
///
/// A program called `dvc`, or a first argument `dvc`, selects DVC's grammar. Nothing is printed but through `io`.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString>>, io: &mut Io<'_>) -> ExitStatus {
    grammar::run(args.into_iter().map(Into::into).collect(), io)
}

/// Runs the command line of this process with its streams and its environment.
pub fn run_process() -> ExitCode {
    let (args, mut io) = settings::from_process();
    run(args, &mut io).into()
}
