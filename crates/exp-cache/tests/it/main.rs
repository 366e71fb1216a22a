//! The store from outside, on real directories.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a test that cannot be run says so")]

mod checkout;
mod crash;
mod crash_whole;
mod executables;
mod far;
mod gc;
mod hostile;
mod ingest;
mod memo;
mod scratch;
mod transfer;
mod transfer_far;
mod tree;
mod trust;
mod verify;
mod versions;
