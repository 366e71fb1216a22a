//! The store from outside, on real directories.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod checkout;
mod crash;
mod ingest;
mod scratch;
mod transfer;
mod tree;
