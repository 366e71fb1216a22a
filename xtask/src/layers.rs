//! `cargo xtask layers`: which crate may import which, as `ARCHITECTURE.md` draws it.
//!
//! A dependency that is not in the table is refused. A new one needs a line here and its reason in
//! `docs/design/0002-dependencies.md`; a new edge between our crates needs a design note first.

use std::collections::BTreeSet;

use crate::process::{capture, cargo, root};

/// A crate of ours and what it may import: ours, then others. Names as on the registry.
struct Row {
    name: &'static str,
    ours: &'static [&'static str],
    others: &'static [&'static str],
}

/// The layers from the bottom up. `yaml_serde` is the package behind the name `serde_yaml`.
const TABLE: &[Row] = &[
    Row {
        name: "exp-core",
        ours: &[],
        others: &[
            "granit-parser",
            "indexmap",
            "md-5",
            "regex",
            "ryu",
            "serde",
            "sha2",
            "thiserror",
            "yaml_serde",
        ],
    },
    Row {
        name: "exp-cache",
        ours: &["exp-core"],
        others: &[
            "rayon",
            "reflink-copy",
            "rusqlite",
            "rustix",
            "serde",
            "serde_json",
            "tempfile",
            "thiserror",
        ],
    },
    Row {
        name: "exp-params",
        ours: &["exp-core"],
        others: &[
            "granit-parser",
            "indexmap",
            "ruff_python_ast",
            "ruff_python_parser",
            "ruff_text_size",
            "ryu",
            "serde",
            "serde_json",
            "thiserror",
            "toml",
            "toml_edit",
        ],
    },
    Row {
        name: "exp-plots",
        ours: &["exp-core"],
        others: &["indexmap", "plotters", "unicode-width"],
    },
    Row {
        name: "exp-refs",
        ours: &["exp-core"],
        others: &["gix", "serde", "serde_json", "thiserror"],
    },
    Row {
        name: "exp-engine",
        ours: &["exp-cache", "exp-core", "exp-params", "exp-plots", "exp-refs"],
        others: &[
            "indexmap",
            "regex",
            "rusqlite",
            "rustix",
            "serde",
            "serde_json",
            "thiserror",
            "toml",
        ],
    },
    Row {
        name: "exp-remote",
        ours: &["exp-cache", "exp-core"],
        others: &[
            "futures-util",
            "http",
            "opendal",
            "quick-xml",
            "reqsign-azure-storage",
            "reqsign-core",
            "reqwest",
            "russh",
            "russh-sftp",
            "serde_json",
            "thiserror",
            "tokio",
            "url",
        ],
    },
    Row {
        name: "exp-cli",
        ours: &["exp-engine", "exp-remote"],
        others: &[
            "clap",
            "jiff",
            "mimalloc",
            "regex",
            "rustix",
            "serde_json",
            "signal-hook",
            "tabled",
            "terminal_size",
            "thiserror",
        ],
    },
];

/// Packages of ours that see everything below and that nobody may see.
const OUTSIDE: &[&str] = &["exp-examples", "exp-tests", "xtask"];

/// Checks each crate against the table.
pub(crate) fn run() -> Result<(), String> {
    let mut problems = Vec::new();
    let members = members()?;
    for name in &members {
        let row = TABLE.iter().find(|row| row.name == name);
        if row.is_none() && !OUTSIDE.contains(&name.as_str()) {
            problems.push(format!("{name} is in no layer: add it to xtask/src/layers.rs"));
            continue;
        }
        let imports = imports(name)?;
        for import in &imports {
            let is_ours = members.contains(import);
            let allowed = match row {
                Some(row) if is_ours => row.ours.contains(&import.as_str()),
                Some(row) => row.others.contains(&import.as_str()),
                None if name == "xtask" => false,
                None => !OUTSIDE.contains(&import.as_str()),
            };
            if !allowed {
                problems.push(format!("{name} may not import {import}"));
            }
        }
        println!("{name}: {}", imports.iter().cloned().collect::<Vec<_>>().join(" "));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The packages of the workspace.
fn members() -> Result<BTreeSet<String>, String> {
    let here = root();
    let lines = capture(&mut cargo([
        "tree",
        "--workspace",
        "--offline",
        "--depth",
        "0",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let ours = format!("({}", here.display());
    Ok(lines.lines().filter(|line| line.contains(&ours)).filter_map(name_of).collect())
}

/// What a package imports directly, not counting what only its tests import.
fn imports(package: &str) -> Result<BTreeSet<String>, String> {
    let lines = capture(&mut cargo([
        "tree",
        "--package",
        package,
        "--offline",
        "--all-features",
        "--edges",
        "normal,build",
        "--depth",
        "1",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    Ok(lines.lines().skip(1).filter_map(name_of).collect())
}

fn name_of(line: &str) -> Option<String> {
    line.split_whitespace().next().map(str::to_owned)
}
