//! The oracle: the real `dvc`, installed by `cargo xtask setup` under `target/oracle`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::json;

use crate::sandbox::{variable, workspace_root};
use crate::tool::Answer;

/// The version of DVC that decides.
pub const DVC_VERSION: &str = "3.67.1";

/// Why tests against the oracle cannot run here. Whoever gets one counts and prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// One sentence.
    pub reason: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// An installed DVC of the right version.
#[derive(Clone, Debug)]
pub struct Oracle {
    bin: PathBuf,
}

impl Oracle {
    /// Finds the oracle: the directory in `EXP_ORACLE` (with `dvc` and `python`), or `target/oracle/dvc/bin`.
    pub fn find() -> Result<Oracle, Skip> {
        let bin = variable("EXP_ORACLE")
            .map_or_else(|| workspace_root().join("target/oracle/dvc/bin"), PathBuf::from);
        if !bin.join("dvc").is_file() {
            return Err(Skip {
                reason: format!("no dvc in {}: run `cargo xtask setup`", bin.display()),
            });
        }
        let answer = Answer::of(
            Command::new(bin.join("python"))
                .args(["-c", "import importlib.metadata as m; print(m.version('dvc'))"]),
        );
        match answer {
            Ok(answer) if answer.stdout.trim() == DVC_VERSION => Ok(Oracle { bin }),
            Ok(answer) => Err(Skip {
                reason: format!(
                    "the dvc in {} is not {DVC_VERSION}: {}",
                    bin.display(),
                    answer.both().trim()
                ),
            }),
            Err(err) => {
                Err(Skip { reason: format!("cannot start python in {}: {err}", bin.display()) })
            }
        }
    }

    /// The directory with `dvc`, for the search path of commands that start `dvc` themselves.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Starts a server that answers commands one after the other, quicker than fresh processes.
    pub fn serve(
        &self,
        env: &BTreeMap<String, String>,
        scratch: &Path,
    ) -> io::Result<OracleServer> {
        let script = workspace_root().join("tests/oracle/server.py");
        let mut child = Command::new(self.bin.join("python"))
            .arg(script)
            .env_clear()
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the oracle has no streams"));
        };
        fs::create_dir_all(scratch)?;
        let mut server = OracleServer {
            child,
            requests: Some(requests),
            answers: BufReader::new(answers),
            scratch: scratch.to_path_buf(),
        };
        let greeting = server.line()?;
        if greeting == "ready" {
            Ok(server)
        } else {
            Err(io::Error::other(format!("the oracle did not start: {greeting:?}")))
        }
    }
}

/// A running oracle. Ends with its last handle.
#[derive(Debug)]
pub struct OracleServer {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    scratch: PathBuf,
}

impl OracleServer {
    /// Runs `dvc` with arguments in a directory.
    pub fn run(
        &mut self,
        args: &[String],
        dir: &Path,
        env: &BTreeMap<String, String>,
    ) -> io::Result<Answer> {
        let (out, err) = (self.scratch.join("stdout"), self.scratch.join("stderr"));
        let request = json!({ "argv": args, "cwd": dir, "env": env, "stdout": out, "stderr": err });
        let requests = self.requests.as_mut().ok_or_else(|| io::Error::other("closed"))?;
        writeln!(requests, "{request}")?;
        requests.flush()?;
        let code = self.line()?;
        let read =
            |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Answer {
            code: code.parse().map_err(|_| io::Error::other(format!("oracle: {code:?}")))?,
            stdout: read(&out)?,
            stderr: read(&err)?,
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the oracle ended"));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for OracleServer {
    fn drop(&mut self) {
        // Without requests the server ends by itself; a wait that fails leaves nothing to do.
        self.requests = None;
        let _ended = self.child.wait();
    }
}
