//! A terminal that a test can look at: tmux without a screen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use exp_tests::{Sandbox, Tool, git, setting};

use crate::{Fails, Outcome};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal with a shell in a project.
pub(crate) struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
    pub(crate) sandbox: Sandbox,
    env: BTreeMap<String, String>,
}

impl Terminal {
    /// Opens a terminal of this size, in a directory with a Git repository; `None` where there is no tmux. Variables of
    /// `extra` are set in it.
    pub(crate) fn open(
        columns: usize,
        lines: usize,
        extra: &[(&str, &str)],
    ) -> Fails<Option<Terminal>> {
        let named = setting("EXP_TEST_TMUX").map(PathBuf::from);
        let usual = ["/usr/bin/tmux", "/usr/local/bin/tmux"].map(PathBuf::from);
        let Some(tmux) = named.into_iter().chain(usual).find(|path| path.is_file()) else {
            return Ok(None);
        };
        let sandbox = Sandbox::new()?;
        let exp = Tool::find_exp()?;
        let bin = exp.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut env = sandbox.env("terminal", &[bin]);
        env.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
        env.insert("PS1".to_owned(), "$ ".to_owned());
        env.insert("TERM".to_owned(), "screen-256color".to_owned());
        for (name, value) in extra {
            env.insert((*name).to_owned(), (*value).to_owned());
        }
        std::fs::create_dir_all(sandbox.path().join("repo"))?;
        let socket = sandbox.path().join("tmux");
        let terminal = Terminal { tmux, socket, sandbox, env };
        terminal.git(&["init", "-q"])?;
        let (columns, lines) = (columns.to_string(), lines.to_string());
        // `TERM` inside is tmux's own, whatever the terminal around says.
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &lines,
            "/bin/sh",
        ])?;
        terminal.tmux(&["set-option", "-g", "status", "off"])?;
        terminal.tmux(&["resize-window", "-x", &columns, "-y", &lines])?;
        Ok(Some(terminal))
    }

    /// Where the shell is.
    pub(crate) fn dir(&self) -> PathBuf {
        self.sandbox.path().join("repo")
    }

    /// Writes a file of the repository.
    pub(crate) fn write(&self, path: &str, text: &str) -> Outcome {
        let path = self.dir().join(path);
        std::fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        Ok(std::fs::write(path, text)?)
    }

    pub(crate) fn git(&self, args: &[&str]) -> Fails<String> {
        Ok(git(&self.dir(), &self.env, args)?)
    }

    /// Commits everything.
    pub(crate) fn commit(&self) -> Outcome {
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-qm", "all"]).map(drop)
    }

    /// Types a line.
    pub(crate) fn types(&self, line: &str) -> Outcome {
        self.tmux(&["send-keys", "-l", line])?;
        self.tmux(&["send-keys", "Enter"]).map(drop)
    }

    /// Presses a key by tmux's name for it.
    pub(crate) fn presses(&self, key: &str) -> Outcome {
        self.tmux(&["send-keys", key]).map(drop)
    }

    /// Makes it wider or narrower.
    pub(crate) fn resize(&self, columns: usize) -> Outcome {
        self.tmux(&["resize-window", "-x", &columns.to_string()]).map(drop)
    }

    /// Returns what is on the screen, without blanks at the ends of lines.
    pub(crate) fn screen(&self) -> Fails<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Returns the same with the sequences that colour it.
    pub(crate) fn screen_with_colors(&self) -> Fails<String> {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until a text is on the screen, and returns the screen and how long that took.
    pub(crate) fn sees(&self, text: &str) -> Fails<(String, Duration)> {
        self.sees_that(text, &|screen| screen.contains(text))
    }

    /// Waits until the screen is as it has to be.
    pub(crate) fn sees_that(
        &self,
        what: &str,
        is_so: &dyn Fn(&str) -> bool,
    ) -> Fails<(String, Duration)> {
        let start = Instant::now();
        loop {
            let screen = self.screen()?;
            if is_so(&screen) {
                return Ok((screen, start.elapsed()));
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("not seen: {what}\n{screen}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn tmux(&self, args: &[&str]) -> Fails<String> {
        let mut command = Command::new(&self.tmux);
        // Its own client speaks UTF-8 whatever the shell inside does.
        command.arg("-u").arg("-S").arg(&self.socket).args(args);
        command.current_dir(self.dir()).env_clear().envs(&self.env);
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("tmux {}: {said}", args.join(" ")).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell and what it runs end with it.
        let _gone = self.tmux(&["kill-server"]);
    }
}
