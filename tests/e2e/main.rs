//! What one crate cannot prove: the binary on a real repository, checked with the real `git`.

mod bad_days;
mod gc;
mod git_state;
mod mixed;
mod project;
mod queue;
mod sharing;
mod stopping;
mod torture;
mod undo;
mod watching;
