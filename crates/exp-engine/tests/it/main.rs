//! Tests of the public API over real Git repositories. One module a use case; `support` makes the projects.
//! A file that is not declared here fails `cargo xtask tidy`.

mod run;
mod support;
