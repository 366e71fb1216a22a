//! Tests of the public API over real Git repositories. One module a use case; `support` makes the projects.
//! A file that is not declared here fails `cargo xtask tidy`.

mod apply;
mod corpus;
mod data;
mod edit;
mod environment;
mod gc;
mod import;
mod live;
mod mounts;
mod parallel;
mod queue;
mod rows;
mod run;
mod selector;
mod settings;
mod show;
mod support;
mod sync;
mod trace;
mod track;
mod transfer;
mod undo;
mod verify;
mod versions;
