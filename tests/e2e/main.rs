//! What one crate cannot prove: the binary on a real repository, checked with the real `git`.

mod git_state;
mod project;
mod sharing;
mod undo;
