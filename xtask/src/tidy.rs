//! `cargo xtask tidy`: rules of the style guide that clippy cannot check, line by line.

use std::fs;
use std::path::Path;

use crate::process::root;

/// The longest file.
const MAX_LINES: usize = 600;

/// Crates whose types stay out of the public signatures of libraries.
const FOREIGN: &[&str] = &["gix", "serde_yaml", "toml", "toml_edit", "sha2", "serde_json", "clap"];

/// Names that only one crate may say.
const OWNED: &[(&str, &str)] = &[("gix", "crates/exp-refs/"), ("serde_yaml", "crates/exp-core/")];

/// Checks every Rust file of the workspace.
pub(crate) fn run() -> Result<(), String> {
    let mut problems = Vec::new();
    let mut n_files = 0;
    for path in sources()? {
        let full = root().join(&path);
        let text = fs::read_to_string(&full).map_err(|err| format!("cannot read {path}: {err}"))?;
        n_files += 1;
        problems.extend(
            check(&path, &text).into_iter().map(|(line, what)| format!("{path}:{line}: {what}")),
        );
        if path.ends_with("tests/it/main.rs")
            || matches!(path.as_str(), "tests/e2e/main.rs" | "tests/seen/main.rs")
        {
            problems.extend(undeclared(&full, &text)?.into_iter().map(|name| {
                format!("{path}:1: `{name}.rs` is not declared and never runs: add `mod {name};`")
            }));
        }
    }
    println!("{n_files} files");
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Whatever is wrong with one file, by line.
fn check(path: &str, text: &str) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    let n_lines = text.lines().count();
    if n_lines > MAX_LINES {
        problems
            .push((n_lines, format!("{n_lines} lines, {MAX_LINES} is the end: split by concept")));
    }
    if !text.starts_with("//!") {
        problems.push((1, "a file opens with `//!`: its responsibility in a sentence".into()));
    }
    let is_library = path.starts_with("crates/")
        && path.contains("/src/")
        && !path.starts_with("crates/exp-cli/");
    let is_tidy = path == "xtask/src/tidy.rs";
    let mut signature: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let code = line.split("//").next().unwrap_or(line);
        for (name, home) in OWNED {
            if !path.starts_with(home) && !is_tidy && path_of(code, name) {
                problems.push((number, format!("`{name}` is only known in {home}")));
            }
        }
        for word in ["TODO", "FIXME"] {
            if !is_tidy && is_word(line, word) && !line.contains(&format!("{word}(#")) {
                problems.push((number, format!("{word} without the number of an issue")));
            }
        }
        let opens =
            ["pub fn ", "pub struct ", "pub enum ", "pub type ", "pub trait ", "pub const "];
        if is_library && opens.iter().any(|open| code.trim_start().starts_with(open)) {
            signature = Some((number, String::new()));
        }
        if let Some((start, mut whole)) = signature.take() {
            whole.push_str(code);
            whole.push(' ');
            if code.contains(['{', ';']) {
                for name in FOREIGN.iter().filter(|name| path_of(&whole, name)) {
                    problems.push((start, format!("a type of `{name}` in a public signature")));
                }
            } else {
                signature = Some((start, whole));
            }
        }
    }
    problems
}

/// Whether code names a crate as the start of a path (`name::`) or imports it whole.
fn path_of(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let starts =
            before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':');
        starts
            && (after.starts_with("::")
                || (code.trim_start().starts_with("use ") && after.starts_with([';', ' ', ','])))
    })
}

/// Whether a line has a word by itself, outside of quotes and code.
fn is_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        before.is_none_or(|letter| letter == ' ' || letter == '/')
            && after.is_none_or(|letter| matches!(letter, ' ' | ':' | '('))
    })
}

/// Files beside the `main.rs` of a test binary that it does not declare.
fn undeclared(main: &Path, text: &str) -> Result<Vec<String>, String> {
    let dir = main.parent().unwrap_or(main);
    let entries =
        fs::read_dir(dir).map_err(|err| format!("cannot read {}: {err}", dir.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)
        })
        .filter(|name| {
            name != "main" && !text.lines().any(|line| line.trim() == format!("mod {name};"))
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Every Rust file of the workspace, relative and sorted.
fn sources() -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut waiting: Vec<String> =
        ["crates", "examples", "tests", "xtask"].map(str::to_owned).to_vec();
    while let Some(below) = waiting.pop() {
        let dir = root().join(&below);
        for entry in
            fs::read_dir(&dir).map_err(|err| format!("cannot read {}: {err}", dir.display()))?
        {
            let entry = entry.map_err(|err| format!("cannot read {}: {err}", dir.display()))?;
            let path = format!("{below}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                waiting.push(path);
            } else if entry.path().extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &str, text: &str, expected: &[(usize, &str)]) {
        let found = check(path, text);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, what), (at, part)) in found.iter().zip(expected) {
            assert!(line == at && what.contains(part), "{found:?}");
        }
    }

    #[test]
    fn each_rule_refuses_what_it_names() {
        let lib = "crates/exp-params/src/lib.rs";
        refused(lib, "//! Doc.\n", &[]);
        refused(lib, "fn a() {}\n", &[(1, "opens with")]);
        refused(lib, "//! Doc.\nuse gix::bstr;\n", &[(2, "only known in")]);
        refused(lib, "//! Doc.\n// gix::bstr is not for us\n", &[]);
        refused(lib, "//! Doc.\nuse serde_yaml as y;\n", &[(2, "only known in")]);
        refused("crates/exp-core/src/a.rs", "//! Doc.\nuse serde_yaml as y;\n", &[]);
        refused(
            lib,
            "//! Doc.\npub fn a(\n    b: serde_json::Value,\n) {}\n",
            &[(2, "public signature")],
        );
        refused(lib, "//! Doc.\npub(crate) fn a(b: serde_json::Value) {}\n", &[]);
        refused("crates/exp-cli/src/a.rs", "//! Doc.\npub fn a(b: clap::Command) {}\n", &[]);
        refused(lib, "//! Doc.\n// TODO: later\n", &[(2, "TODO")]);
        refused(lib, "//! Doc.\n// TODO(#12): later\n", &[]);
        refused(lib, &format!("//! Doc.\n{}", "\n".repeat(600)), &[(601, "split")]);
    }
}
