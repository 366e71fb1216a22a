//! The public API against real Git repositories; what is written is checked with the `git` program.

mod history;
mod list;
mod open;
mod patch;
mod scratch;
mod store;
mod tips;
mod transport;
mod worktree;
