//! The store from outside, on real directories.

mod checkout;
mod crash;
mod ingest;
mod scratch;
mod transfer;
mod tree;
