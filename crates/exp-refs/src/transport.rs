//! Sending and receiving refs, with the `git` program.
//!
//! gix cannot push. `git` brings the user's credentials, proxies and SSH set-up with it. It gets an argument vector
//! and never a shell, the handed-in environment without the variables that would point it elsewhere, no
//! terminal to ask on, and English messages, which is how failures are told apart. Hooks do not run, as in DVC.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use exp_core::{Cancelled, Ctx};

use crate::env::GitEnv;
use crate::error::GitError;
use crate::layout::RefName;
use crate::repo::{Git, Ref};

/// So many refs are sent with one command line, which has a limited length.
const REFS_AT_ONCE: usize = 500;
/// So long between two looks at whether to stop.
const POLL: Duration = Duration::from_millis(20);

/// The `git` program, run in a repository.
#[derive(Debug, Clone)]
pub struct GitCli {
    git: Git,
    program: PathBuf,
}

/// What to do about a ref that has another value on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDiverged {
    /// Leave it and report it.
    Keep,
    /// Overwrite it.
    Overwrite,
}

/// What became of refs that were sent or received. Each is in one list, in the order that they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferReport {
    /// New or changed on the receiving side.
    pub updated: Vec<RefName>,
    /// Equal on both sides before.
    pub up_to_date: Vec<RefName>,
    /// Different on both sides and left so.
    pub diverged: Vec<RefName>,
}

/// Why refs were not sent or received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A remote that begins with `-` or is empty: it would be read as an option.
    #[error("`{remote}` is not a valid remote")]
    InvalidRemote {
        /// As it was given.
        remote: String,
    },
    /// There is no such remote, or no repository at its address.
    #[error("there is no Git repository at remote `{remote}`")]
    Missing {
        /// The remote.
        remote: String,
        /// What Git said.
        stderr: String,
    },
    /// The other side does not let us.
    #[error("remote `{remote}` denies access")]
    Denied {
        /// The remote.
        remote: String,
        /// What Git said.
        stderr: String,
    },
    /// The other side was not reached.
    #[error("remote `{remote}` cannot be reached")]
    Network {
        /// The remote.
        remote: String,
        /// What Git said.
        stderr: String,
    },
    /// Git failed in another way.
    #[error("git {action} failed for remote `{remote}` ({status})")]
    Failed {
        /// `push`, `fetch` or `ls-remote`.
        action: &'static str,
        /// The remote.
        remote: String,
        /// How it exited.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// The program did not start.
    #[error("cannot run `{}`", program.display())]
    Program {
        /// Which program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Someone asked to stop. What was transferred by then stays.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Git failed on this side.
    #[error(transparent)]
    Git(#[from] GitError),
}

pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Which program is run, where, and with what environment.
pub(crate) struct Invocation<'a> {
    pub(crate) program: &'a Path,
    pub(crate) dir: &'a Path,
    pub(crate) env: &'a GitEnv,
}

impl GitCli {
    /// Uses `git` as it is found through the `PATH` of the repository's environment.
    pub fn new(git: Git) -> Self {
        Self { git, program: PathBuf::from("git") }
    }

    /// Uses another program.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// Returns the refs of a remote whose names begin with `prefix`, which ends in `/`.
    pub fn list(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        prefix: &str,
    ) -> Result<Vec<Ref>, TransportError> {
        let args = ["ls-remote", "--refs", "--", remote, &format!("{prefix}*")];
        let ran = self.run(ctx, remote, &args, "")?;
        if !ran.status.success() {
            return Err(explain("ls-remote", remote, &ran));
        }
        let refs = ran.stdout.lines().filter_map(|line| {
            let (commit, name) = line.split_once('\t')?;
            // The pattern may match in the middle of a name, too.
            let name = name.starts_with(prefix).then(|| RefName::new(name).ok())??;
            Some(Ref { name, commit: commit.parse().ok()? })
        });
        Ok(refs.collect())
    }

    /// Sends refs under their own names.
    ///
    /// Refs that diverged do not hinder the others. On another failure some may have been sent.
    pub fn push(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        refs: &[RefName],
        on_diverged: OnDiverged,
    ) -> Result<TransferReport, TransportError> {
        let plus = if on_diverged == OnDiverged::Overwrite { "+" } else { "" };
        let specs = refs.iter().map(|name| format!("{plus}{name}:{name}")).collect::<Vec<_>>();
        self.send(ctx, remote, &specs)
    }

    /// Removes refs from a remote. One that is not there counts as up to date.
    pub fn delete(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        refs: &[RefName],
    ) -> Result<TransferReport, TransportError> {
        // Git refuses to delete what is not there, together with all the rest; so look first.
        let mut there: Vec<Ref> = self.list(ctx, remote, "refs/exps/")?;
        there.extend(self.list(ctx, remote, "refs/exp/")?);
        let (present, absent): (Vec<_>, Vec<_>) =
            refs.iter().cloned().partition(|name| there.iter().any(|found| found.name == *name));
        let specs = present.iter().map(|name| format!(":{name}")).collect::<Vec<_>>();
        let mut report = self.send(ctx, remote, &specs)?;
        report.up_to_date.extend(absent);
        Ok(report)
    }

    /// Receives refs, as [`GitCli::list`] found them, under their own names.
    ///
    /// A ref that exists here with another value is left or overwritten, as `on_diverged` says. No tag comes
    /// along, and `FETCH_HEAD` is not written.
    pub fn fetch(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        refs: &[Ref],
        on_diverged: OnDiverged,
    ) -> Result<TransferReport, TransportError> {
        let mut report = TransferReport::default();
        let mut specs = String::new();
        for Ref { name, commit } in refs {
            match self.git.read_ref(name)? {
                Some(here) if here == *commit => report.up_to_date.push(name.clone()),
                Some(_) if on_diverged == OnDiverged::Keep => report.diverged.push(name.clone()),
                _ => {
                    specs.extend(["+", name.as_str(), ":", name.as_str(), "\n"]);
                    report.updated.push(name.clone());
                }
            }
        }
        if specs.is_empty() {
            return Ok(report);
        }
        let args = [
            "fetch",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--quiet",
            "--refmap=",
            "--stdin",
            "--",
            remote,
        ];
        let ran = self.run(ctx, remote, &args, &specs)?;
        if ran.status.success() { Ok(report) } else { Err(explain("fetch", remote, &ran)) }
    }

    fn send(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        specs: &[String],
    ) -> Result<TransferReport, TransportError> {
        let mut report = TransferReport::default();
        for some in specs.chunks(REFS_AT_ONCE) {
            let mut args =
                vec!["push", "--porcelain", "--no-verify", "--no-follow-tags", "--", remote];
            args.extend(some.iter().map(String::as_str));
            let ran = self.run(ctx, remote, &args, "")?;
            let rejected = read_push(&ran.stdout, &mut report);
            // Git exits with 1 when it rejected a ref; what it did with the others is in its report.
            if !ran.status.success() && (rejected > 0 || !ran.stdout.contains("[rejected]")) {
                return Err(explain("push", remote, &ran));
            }
        }
        Ok(report)
    }

    fn run(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        args: &[&str],
        stdin: &str,
    ) -> Result<Ran, TransportError> {
        let at = Invocation { program: &self.program, dir: self.git.root(), env: self.git.env() };
        at.run(ctx, remote, args, stdin)
    }
}

impl Invocation<'_> {
    /// Runs `git` with `args` and waits for it. `remote` is for errors, and must not look like an option.
    pub(crate) fn run(
        &self,
        ctx: &Ctx<'_>,
        remote: &str,
        args: &[&str],
        stdin: &str,
    ) -> Result<Ran, TransportError> {
        ctx.check()?;
        if remote.is_empty() || remote.starts_with('-') {
            return Err(TransportError::InvalidRemote { remote: remote.to_owned() });
        }
        let mut command = Command::new(self.program);
        command
            .current_dir(self.dir)
            .args(args)
            .env_clear()
            .envs(self.env.for_child())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(if stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed =
            |source| TransportError::Program { program: self.program.to_path_buf(), source };
        let mut child = command.spawn().map_err(failed)?;
        let (given, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            let out = scope.spawn(move || read_all(out));
            let err = scope.spawn(move || read_all(err));
            scope.spawn(move || {
                // A child that ends early says why itself.
                given.map(|mut given| given.write_all(stdin.as_bytes()).ok())
            });
            let status = wait(ctx, &mut child, failed)?;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let stdout = text(out.join().unwrap_or_default());
            let stderr = text(err.join().unwrap_or_default());
            Ok(Ran { status, stdout, stderr })
        })
    }
}

fn wait(
    ctx: &Ctx<'_>,
    child: &mut Child,
    failed: impl Fn(io::Error) -> TransportError,
) -> Result<ExitStatus, TransportError> {
    loop {
        if let Some(status) = child.try_wait().map_err(&failed)? {
            return Ok(status);
        }
        if let Err(cancelled) = ctx.check() {
            child.kill().map_err(&failed)?;
            child.wait().map_err(&failed)?;
            return Err(cancelled.into());
        }
        ctx.cancel_token().sleep(POLL);
    }
}

fn read_all(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What came before a broken pipe is still worth having.
        stream.read_to_end(&mut bytes).ok();
    }
    bytes
}

/// Reads `git push --porcelain`: lines of a flag, `from:to` and a summary, separated by tabs.
/// Returns how many refs were refused for another reason than having diverged.
fn read_push(stdout: &str, report: &mut TransferReport) -> usize {
    let mut refused = 0;
    for line in stdout.lines() {
        let mut fields = line.split('\t');
        let (Some(flag), Some(refs), Some(summary)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let Some((_, to)) = refs.rsplit_once(':') else { continue };
        let Ok(name) = RefName::new(to) else { continue };
        match flag {
            "=" => report.up_to_date.push(name),
            "!" if [
                "non-fast-forward",
                "fetch first",
                "already exists",
                "needs force",
                "stale info",
            ]
            .iter()
            .any(|reason| summary.contains(reason)) =>
            {
                report.diverged.push(name);
            }
            "!" => refused += 1,
            _ => report.updated.push(name),
        }
    }
    refused
}

/// Tells failures apart by what Git says in English; what is not known stays `Failed` with its text.
pub(crate) fn explain(action: &'static str, remote: &str, ran: &Ran) -> TransportError {
    let (remote, stderr) = (remote.to_owned(), ran.stderr.trim_end().to_owned());
    let says = |texts: &[&str]| {
        let lower = stderr.to_ascii_lowercase();
        texts.iter().any(|text| lower.contains(text))
    };
    if says(&[
        "permission denied",
        "authentication failed",
        "could not read username",
        "could not read password",
        "error: 401",
        "error: 403",
        "access denied",
        "host key verification failed",
        "remote rejected",
        "insufficient permission",
    ]) {
        TransportError::Denied { remote, stderr }
    } else if says(&[
        "could not resolve host",
        "connection refused",
        "connection timed out",
        "connection reset",
        "network is unreachable",
        "no route to host",
        "operation timed out",
        "failed to connect",
        "couldn't connect",
        "the remote end hung up",
        "early eof",
    ]) {
        TransportError::Network { remote, stderr }
    } else if says(&["does not appear to be a git repository", "repository not found", "not found"])
    {
        TransportError::Missing { remote, stderr }
    } else {
        TransportError::Failed { action, remote, status: ran.status.to_string(), stderr }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_a_push_is_understood() {
        let mut report = TransferReport::default();
        let stdout = "To ../remote\n=\trefs/exps/a:refs/exps/a\t[up to date]\n\
                      *\trefs/exps/b:refs/exps/b\t[new reference]\n\
                      !\trefs/exps/c:refs/exps/c\t[rejected] (non-fast-forward)\n\
                      !\trefs/exps/d:refs/exps/d\t[remote rejected] (hook declined)\nDone\n";
        assert_eq!(read_push(stdout, &mut report), 1);
        let name = |text| vec![RefName::new(text).unwrap()];
        assert_eq!(report.up_to_date, name("refs/exps/a"));
        assert_eq!(report.updated, name("refs/exps/b"));
        assert_eq!(report.diverged, name("refs/exps/c"));
    }
}
