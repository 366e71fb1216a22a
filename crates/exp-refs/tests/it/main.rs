//! The public API against real Git repositories; what is written is checked with the `git` program.

mod open;
mod scratch;
mod store;
