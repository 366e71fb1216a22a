//! Console blocks of `README.md` and `docs/guide.md` behind the line `<!-- tested -->` are run, one after the other in
//! one place, and have to print what stands there.
//!
//! A line that begins with `$ ` is a command for a shell; what follows up to the next one is what it prints, on both
//! streams. `…` within a line stands for any text, a line `…` by itself for any number of lines. The place holds a
//! copy of `examples/digits` as `digits`. Blanks at the ends of lines do not count.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use exp_tests::{Sandbox, Tool, run_shell, workspace_root};

type Outcome = Result<(), Box<dyn Error>>;

/// The line before a block that is run.
const TESTED: &str = "<!-- tested -->";

/// A command and the lines that it is said to print.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
}

#[test]
fn the_readme_prints_what_it_says() -> Outcome {
    check("README.md")
}

#[test]
fn the_guide_prints_what_it_says() -> Outcome {
    check("docs/guide.md")
}

#[test]
fn only_blocks_that_say_so_are_run() {
    let text = "```console\n$ a\n```\n<!-- tested -->\n```console\n$ b\nx\n\n$ c\n```\n";
    let said = |line, command: &str, output: &[&str]| Said {
        line,
        command: command.to_owned(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(blocks(text, TESTED), [said(6, "b", &["x", ""]), said(9, "c", &[])]);
}

#[test]
fn dots_stand_for_text_and_for_lines() {
    let agrees = |said: &[&str], found: &str| {
        let said: Vec<String> = said.iter().map(|line| (*line).to_owned()).collect();
        agree(&said, &found.lines().collect::<Vec<_>>())
    };
    assert!(agrees(&["took … ms, … files"], "took 12 ms, 3 files"));
    assert!(!agrees(&["took … ms"], "took 12 s"));
    assert!(agrees(&["a", "…", "z"], "a\nb\nc\nz"));
    assert!(agrees(&["…", "z"], "z"));
    assert!(!agrees(&["a"], "a\nb"));
    assert!(!agrees(&["a", "b"], "a"));
}

/// Runs the blocks of a document.
fn check(document: &str) -> Outcome {
    let root = workspace_root();
    let said = blocks(&fs::read_to_string(root.join(document))?, TESTED);
    assert!(!said.is_empty(), "{document} has no tested block");
    let sandbox = Sandbox::new()?;
    copy_dir(&root.join("examples/digits"), &sandbox.path().join("digits"))?;
    let bin = Tool::find_exp()?.parent().map(Path::to_path_buf).ok_or("exp lies nowhere")?;
    let mut env: BTreeMap<String, String> = sandbox.env("readme", &[bin]);
    env.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
    // What is printed as the age of an experiment is that of a real one.
    env.retain(|name, _| !name.ends_with("_DATE"));
    // The shell forgets its directory from line to line; a file remembers it.
    let mut dir = sandbox.path().to_path_buf();
    let mut wrong: Vec<String> = Vec::new();
    for Said { line, command, output } in said {
        let script = format!(
            "{{ {command}\n}} 2>&1; echo \"$? $PWD\" > \"{}/after\"",
            sandbox.path().display()
        );
        let answer = run_shell(&script, &dir, &env)?;
        let after = fs::read_to_string(sandbox.path().join("after"))?;
        if let Some((_, place)) = after.trim_end().split_once(' ') {
            dir = PathBuf::from(place);
        }
        let found: Vec<&str> = answer.stdout.lines().map(str::trim_end).collect();
        if !agree(&output, &found) {
            wrong.push(format!(
                "{document}:{line}: `{command}` prints\n{}\nand is said to print\n{}\n",
                found.join("\n"),
                output.join("\n"),
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Returns the commands of the blocks behind a line, in order. An empty line before the end of a block or before a command is
/// part of the output.
pub(crate) fn blocks(text: &str, marker: &str) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    let (mut is_next, mut is_inside) = (false, false);
    for (index, line) in text.lines().enumerate() {
        match (is_inside, line) {
            (false, line) if line == marker => is_next = true,
            (false, "```console") => is_inside = std::mem::take(&mut is_next),
            (true, "```") => is_inside = false,
            (true, line) => match (line.strip_prefix("$ "), said.last_mut()) {
                (Some(command), _) => {
                    said.push(Said {
                        line: index + 1,
                        command: command.to_owned(),
                        output: Vec::new(),
                    });
                }
                (None, Some(last)) => last.output.push(line.trim_end().to_owned()),
                (None, None) => {}
            },
            (false, _) => {}
        }
    }
    said
}

/// Whether lines are those that were announced.
pub(crate) fn agree(said: &[String], found: &[&str]) -> bool {
    match said.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=found.len()).any(|skipped| agree(rest, &found[skipped..]))
        }
        Some((first, rest)) => found
            .split_first()
            .is_some_and(|(line, others)| fits(first, line) && agree(rest, others)),
    }
}

/// Whether a line is the one that was announced, where `…` stands for any text.
fn fits(said: &str, found: &str) -> bool {
    match said.split_once('…') {
        None => said == found,
        Some((before, after)) => found.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| fits(after, &rest[at..]))
        }),
    }
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
