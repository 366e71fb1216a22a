//! Tests of the public API over real Git repositories. One module a use case; `support` makes the projects.
//! A file that is not declared here fails `cargo xtask tidy`.

mod apply;
mod data;
mod edit;
mod run;
mod selector;
mod show;
mod support;
mod sync;
mod undo;
