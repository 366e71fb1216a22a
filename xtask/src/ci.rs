//! `cargo xtask ci`: everything that CI runs, cheapest first.

use std::time::Instant;

use crate::process::{cargo, has_cargo, run as shell, seconds, step};
use crate::{codegen, layers, test, tidy};

/// Runs all checks and stops at the first that fails.
pub(crate) fn run() -> Result<(), String> {
    let start = Instant::now();
    let mut skipped = Vec::new();
    step("format", || shell(&mut cargo(["fmt", "--all", "--", "--check"])))?;
    step("layers", layers::run)?;
    step("tidy", tidy::run)?;
    step("generated documents", || codegen::run(codegen::Mode::Check))?;
    if has_cargo("deny") {
        step("licences", || shell(&mut cargo(["deny", "check", "licenses", "bans", "sources"])))?;
    } else {
        skipped.push("licences (cargo-deny is not installed)");
    }
    step("clippy", || {
        shell(&mut cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    step("documentation", || {
        let mut doc = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
        shell(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("test", || test::run(test::Extent::Whole))?;
    for what in &skipped {
        println!("SKIPPED: {what}");
    }
    println!("ci: all checks passed in {}", seconds(start.elapsed()));
    Ok(())
}
