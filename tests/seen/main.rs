//! What people see: pages in a real browser, and the terminal through tmux.
//!
//! Chromium, Playwright and tmux come by `cargo xtask screens`, which `cargo xtask test` does first. Where they cannot be had
//! the tests say `SKIPPED`, and the summary of `cargo xtask test` does too.

mod browser;
mod drawing;
mod page;
mod report;
mod terminal;
mod tmux;

use std::error::Error;

/// What tests return.
pub(crate) type Outcome = Fails<()>;

/// What may fail with a sentence.
pub(crate) type Fails<T> = Result<T, Box<dyn Error>>;

/// Ends a test that cannot run here.
#[expect(clippy::unnecessary_wraps, reason = "it is what a test returns")]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skipped(why: &str) -> Outcome {
    eprintln!("SKIPPED: {why}");
    Ok(())
}
