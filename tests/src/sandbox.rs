//! A hermetic place to run commands in: own home, own Git identity, fixed dates, no pager, no analytics.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::tool::Answer;

/// Git's configuration in every sandbox.
const GIT_CONFIG: &str = "[user]\n\tname = Ada Tester\n\temail = ada@example.org\n\
    [init]\n\tdefaultBranch = main\n[commit]\n\tgpgsign = false\n[gc]\n\tauto = 0\n\
    [advice]\n\tdetachedHead = false\n[protocol \"file\"]\n\tallow = always\n";

/// A temporary directory with a home of its own and the environment that belongs to it.
///
/// Everything below [`Sandbox::path`] is deleted on drop.
#[derive(Debug)]
pub struct Sandbox {
    root: TempDir,
}

impl Sandbox {
    /// Makes an empty sandbox with a home directory that holds a Git identity.
    pub fn new() -> io::Result<Sandbox> {
        let root = tempfile::Builder::new().prefix("exp-").tempdir()?;
        let home = root.path().join("home");
        fs::create_dir_all(&home)?;
        fs::write(home.join(".gitconfig"), GIT_CONFIG)?;
        Ok(Sandbox { root })
    }

    /// The absolute path of the sandbox.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The environment of every command: nothing is inherited but the search path.
    ///
    /// `site` names the directories for caches and for the user's configuration that DVC keeps outside of the
    /// repository, so that two twins never share one. Extra search directories come before those of the machine.
    pub fn env(&self, site: &str, search: &[PathBuf]) -> BTreeMap<String, String> {
        let home = self.path().join("home");
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut dirs: Vec<String> = search.iter().map(|dir| text(dir)).collect();
        dirs.push(machine_path());
        let date = date(0, 0);
        [
            ("PATH", dirs.join(":")),
            ("HOME", text(&home)),
            ("XDG_CONFIG_HOME", text(&home.join(".config"))),
            ("XDG_CACHE_HOME", text(&home.join(".cache"))),
            ("GIT_CONFIG_GLOBAL", text(&home.join(".gitconfig"))),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
            ("GIT_TERMINAL_PROMPT", "0".to_owned()),
            ("GIT_AUTHOR_DATE", date.clone()),
            ("GIT_COMMITTER_DATE", date),
            ("DVC_NO_ANALYTICS", "1".to_owned()),
            ("DVC_SITE_CACHE_DIR", text(&self.path().join("site").join(site))),
            ("DVC_SYSTEM_CONFIG_DIR", text(&self.path().join("system"))),
            ("DVC_GLOBAL_CONFIG_DIR", text(&self.path().join("user").join(site))),
            ("LC_ALL", "C".to_owned()),
            ("TZ", "UTC".to_owned()),
            ("TERM", "dumb".to_owned()),
            ("SHELL", "/bin/sh".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

/// The time that Git sees in step `step` of something that `depth` fixtures come before.
///
/// What is made later is later, so that orders by time are no accident; two runs see the same times.
pub(crate) fn date(depth: usize, step: usize) -> String {
    let (minute, second) = (step / 60 % 60, step % 60);
    format!("2026-01-02T{:02}:{minute:02}:{second:02}+00:00", (3 + depth) % 24)
}

/// Runs one line of shell in a directory and returns what it answered.
pub fn run_shell(line: &str, dir: &Path, env: &BTreeMap<String, String>) -> io::Result<Answer> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    Answer::of(command.current_dir(dir).env_clear().envs(env).stdin(Stdio::null()))
}

/// Runs `git` and returns its standard output; a failure is an error that carries what Git said.
pub fn git(dir: &Path, env: &BTreeMap<String, String>, args: &[&str]) -> io::Result<String> {
    let mut command = Command::new("git");
    let answer = Answer::of(command.args(args).current_dir(dir).env_clear().envs(env))?;
    if answer.code == 0 {
        Ok(answer.stdout)
    } else {
        Err(io::Error::other(format!(
            "git {} in {}: {}",
            args.join(" "),
            dir.display(),
            answer.stderr
        )))
    }
}

/// The root of the workspace that this crate was built in.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The search path of the machine.
fn machine_path() -> String {
    variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned())
}

/// Reads one variable of the environment that the tests were started with.
#[expect(clippy::disallowed_methods, reason = "the harness is the outermost layer of the tests")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a switch of a test from the environment that the tests were started with; `None` when it is not set or empty.
pub fn setting(name: &str) -> Option<String> {
    variable(name)
}

/// Reads the variables whose names begin with a prefix.
#[expect(clippy::disallowed_methods, reason = "the harness is the outermost layer of the tests")]
pub(crate) fn variables(prefix: &str) -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with(prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_steps_and_deeper_fixtures_are_later() {
        let dates = [date(0, 0), date(0, 59), date(0, 61), date(1, 0), date(2, 5)];
        assert!(dates.is_sorted(), "{dates:?}");
        assert_eq!(dates[2], "2026-01-02T03:01:01+00:00");
    }

    #[test]
    fn commands_see_the_home_of_the_sandbox_and_nothing_of_the_machine() -> io::Result<()> {
        let sandbox = Sandbox::new()?;
        let env = sandbox.env("one", &[]);
        let answer = run_shell(
            "echo $HOME; git config user.name; env | grep -c CARGO",
            sandbox.path(),
            &env,
        )?;
        let lines: Vec<&str> = answer.stdout.lines().collect();
        assert_eq!(
            lines,
            [sandbox.path().join("home").to_string_lossy().as_ref(), "Ada Tester", "0"]
        );
        Ok(())
    }
}
