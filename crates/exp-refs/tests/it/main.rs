//! The public API against real Git repositories; what is written is checked with the `git` program.

mod history;
mod open;
mod scratch;
mod store;
mod transport;
mod worktree;
