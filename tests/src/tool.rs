//! The commands that tests run: `exp`, `exp` in DVC's grammar, and the oracle.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::{variable, workspace_root};

/// What a command answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Exit code; 128 plus the number of the signal when one ended it.
    pub code: i32,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Answer {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> io::Result<Answer> {
        let output = command.stdin(Stdio::null()).output()?;
        Ok(Answer {
            code: exit_code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Both streams, for messages and for texts that may be on either.
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A program under test.
#[derive(Clone, Debug)]
pub enum Tool {
    /// Our binary in its own grammar.
    Exp(PathBuf),
    /// Our binary in DVC's grammar: `exp dvc …`.
    ExpDvc(PathBuf),
}

impl Tool {
    /// Finds our binary: `EXP_BIN`, or `exp` beside the directory of the running test.
    ///
    /// # Errors
    ///
    /// A sentence that says what to build.
    pub fn find_exp() -> Result<PathBuf, String> {
        if let Some(path) = variable("EXP_BIN") {
            let path = PathBuf::from(path);
            return if path.is_file() {
                Ok(path)
            } else {
                Err(format!("EXP_BIN names `{}`, which is no file", path.display()))
            };
        }
        let beside = std::env::current_exe()
            .ok()
            .and_then(|test| test.ancestors().nth(2).map(|dir| dir.join("exp")))
            .filter(|path| path.is_file());
        let built = workspace_root().join("target/debug/exp");
        beside.or_else(|| built.is_file().then_some(built)).ok_or_else(|| {
            "the binary `exp` is not built: run `cargo build -p exp-cli` or `cargo xtask test`"
                .to_owned()
        })
    }

    /// Runs the tool with arguments in a directory.
    pub fn run(
        &self,
        args: &[String],
        dir: &Path,
        env: &BTreeMap<String, String>,
    ) -> io::Result<Answer> {
        let mut command = match self {
            Tool::Exp(path) => Command::new(path),
            Tool::ExpDvc(path) => {
                let mut command = Command::new(path);
                command.arg("dvc");
                command
            }
        };
        Answer::of(command.args(args).current_dir(dir).env_clear().envs(env))
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
