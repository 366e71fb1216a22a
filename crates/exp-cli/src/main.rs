//! The `exp` program: real streams in, an exit code out.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Reading ten thousand stages is two fifths memory management with the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    exp_cli::run_process()
}
