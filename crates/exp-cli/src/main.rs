//! The `exp` program: real streams in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    exp_cli::run_process()
}
