//! Patches of a work tree in which somebody else works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use exp_refs::{OpenOptions, PatchOptions, Reverse, TreePath};

use crate::scratch::{Scratch, TestResult};

/// Says what git says when a file goes while it looks, as often as there are lines in a file, and is git then.
const HASTY_GIT: &str = "\
#!/bin/sh
if [ -s \"$HOME/left\" ]; then
  sed -i 1d \"$HOME/left\"
  echo \"fatal: stat 'metrics.json': No such file or directory\" >&2
  exit 128
fi
PATH=${PATH#*:} exec git \"$@\"
";

#[test]
fn a_file_that_goes_while_git_looks_is_looked_at_again() -> TestResult {
    let scratch = Scratch::new();
    scratch.write("params.yaml", "lr: 0.02\n");
    let bin = scratch.home().join("bin");
    fs::create_dir_all(&bin)?;
    fs::write(bin.join("git"), HASTY_GIT)?;
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755))?;
    let env = scratch.env();
    let path =
        env.get("PATH").and_then(|path| path.to_str().map(str::to_owned)).ok_or("no PATH")?;
    let env = env.with("PATH", format!("{}:{path}", bin.display()));
    let git = OpenOptions { env, ..OpenOptions::default() }.open(&scratch.root())?;
    let paths = [TreePath::new("params.yaml")?];
    let options = PatchOptions { paths: &paths, reverse: Reverse::No, colour: false };
    let asked = |n_failures: usize| {
        fs::write(scratch.home().join("left"), "x\n".repeat(n_failures)).expect("a file");
        git.diff_patch(scratch.rev("HEAD"), None, &options)
    };
    let text = String::from_utf8(asked(2)?)?;
    assert!(text.contains("+lr: 0.02\n"), "{text}");
    let error = asked(100).err().ok_or("it went on for ever")?;
    let said = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(said.contains("metrics.json"), "{error}: {said}");
    Ok(())
}
