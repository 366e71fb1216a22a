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
        // With the examples, it has the features that clippy had, and checks no third-party crate again.
        let targets = ["--lib", "--bins", "--examples"];
        let mut doc = cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
        shell(doc.args(targets).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    let absent = if may_skip() { test::Absent::Skip } else { test::Absent::Fail };
    step("test", || test::run(test::Extent::Whole, absent))?;
    for what in &skipped {
        println!("SKIPPED: {what}");
    }
    println!("ci: all checks passed in {}", seconds(start.elapsed()));
    Ok(())
}

/// Whether `EXP_ALLOW_SKIPS` is set: a machine without a network may go without servers.
#[expect(clippy::disallowed_methods, reason = "a task is told so")]
fn may_skip() -> bool {
    std::env::var_os("EXP_ALLOW_SKIPS").is_some_and(|value| !value.is_empty())
}
