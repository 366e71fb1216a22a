//! `cargo xtask`: the development tasks of this workspace.

fn main() {}
