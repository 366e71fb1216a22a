//! One command at work: its streams, its grammar, its flags, and how it reports.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use exp_engine::core::{CancelToken, Consent, Ctx, FailurePolicy, NullSink, RelPath};
use exp_engine::refs::GitEnv;
use exp_engine::{ConfigFiles, Project, ProjectOptions, ShellOptions};

use crate::consent::Asker;
use crate::diagnostic::Failure;
use crate::grammar::Grammar;
use crate::io::Io;
use crate::progress::{DvcSink, Line, NdjsonSink, PlainSink, Progress, Questions, Size};
use crate::signals::{self, Patience};
use crate::view::live::Reference;
use crate::zone;

/// How often what is shown of running stages is brought up to date although they write nothing.
const TICK: Duration = Duration::from_millis(100);

/// Flags that every command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Common {
    /// Say only what was asked for.
    pub(crate) quiet: bool,
    /// Wait for another process instead of giving up.
    pub(crate) wait_for_lock: bool,
}

/// How something long is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Perform {
    /// What the first Ctrl-C asks for.
    pub(crate) patience: Patience,
    /// What a failed stage is in DVC's words.
    pub(crate) on_failure: FailurePolicy,
    /// Whether events go to standard output as JSON instead, one a line.
    pub(crate) json_events: bool,
    /// Whether it is asked before each stage.
    pub(crate) asks: bool,
}

/// What a handler is given.
#[derive(Debug)]
pub(crate) struct Session<'s, 'io> {
    /// The streams and the environment.
    pub(crate) io: &'s mut Io<'io>,
    /// Whose words are spoken.
    pub(crate) grammar: Grammar,
    /// The flags that every command has.
    pub(crate) common: Common,
}

impl Session<'_, '_> {
    /// Returns whether DVC's grammar is spoken.
    pub(crate) fn is_dvc(&self) -> bool {
        self.grammar == Grammar::Dvc
    }

    /// Returns the current directory, absolute.
    pub(crate) fn cwd(&self) -> &Path {
        &self.io.env.cwd
    }

    /// Returns targets as someone writes them who names paths of the project from the current directory on: absolute ones
    /// become relative, also with a stage's name behind them. Others stay, whatever they are.
    pub(crate) fn targets(&self, project: &Project, targets: &[String]) -> Vec<String> {
        let cwd = project.relative(self.cwd());
        let relative = |text: &String| {
            let name = text.rfind('/').and_then(|slash| Some(slash + text[slash..].find(':')?));
            let (path, rest) = text.split_at(name.unwrap_or(text.len()));
            let below = Path::new(path).is_absolute().then(|| project.locate(Path::new(path)));
            match below {
                Some(Ok(below)) => format!("{}{rest}", below.relative_to(&cwd)),
                _ => text.clone(),
            }
        };
        targets.iter().map(relative).collect()
    }

    /// Returns the root of the project around the current directory.
    pub(crate) fn project_root(&self) -> Result<PathBuf, Failure> {
        match self.io.env.project_root() {
            Some(root) => Ok(root.to_path_buf()),
            None => Err(exp_engine::Error::NotInProject { dir: self.cwd().to_path_buf() }.into()),
        }
    }

    /// Returns where the configuration files are, those of the project included if there is one.
    pub(crate) fn config_files(&self) -> ConfigFiles {
        let files = self.io.env.config_files();
        match self.io.env.project_root() {
            Some(root) => files.in_project(&root.join(".dvc")),
            None => files,
        }
    }

    /// Opens the project around the current directory, with the environment of this process.
    ///
    /// New commits show the clock of the machine.
    pub(crate) fn project(&self) -> Result<Project, Failure> {
        Ok(Project::discover(self.cwd(), self.project_options())?)
    }

    /// Returns what a project is opened with, or what works without one.
    pub(crate) fn project_options(&self) -> ProjectOptions {
        let env = &self.io.env;
        let mut shell = ShellOptions::default();
        if let Some(path) = env.var("SHELL") {
            shell.shell = path.into();
        }
        ProjectOptions {
            env: GitEnv::new(env.vars.clone()),
            config: env.config_files(),
            umask: env.umask,
            shell,
            utc_offset: zone::utc_offset(env, SystemTime::now()),
            wait_for_lock: self.common.wait_for_lock,
            machine: env.machine(),
            storages: Arc::new(exp_remote::Storages::new(env.surroundings())),
            ..ProjectOptions::default()
        }
    }

    /// Returns at which column lines of the answer are cut: nowhere unless someone looks at a terminal or says how wide
    /// it is.
    pub(crate) fn line_width(&self) -> usize {
        let is_asked = self.io.env.var("COLUMNS").is_some();
        if self.io.out_is_terminal || is_asked { self.io.width } else { usize::MAX }
    }

    /// Writes a line of the answer.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.io.out, "{line}").map_err(Failure::Output)
    }

    /// Writes text of the answer as it is.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.io.out.write_all(text.as_bytes()).map_err(Failure::Output)
    }

    /// Writes a line about what was done: to standard error in `exp`, to standard output in DVC's grammar; nothing
    /// with `--quiet`.
    pub(crate) fn note(&mut self, line: &str) -> Result<(), Failure> {
        if self.common.quiet {
            return Ok(());
        }
        let out = if self.is_dvc() { &mut self.io.out } else { &mut self.io.err };
        writeln!(out, "{line}").map_err(Failure::Output)
    }

    /// Writes a line on standard error, whatever the grammar; DVC's has no warnings with `--quiet`.
    pub(crate) fn warn(&mut self, line: &str) -> Result<(), Failure> {
        if self.common.quiet && self.is_dvc() {
            return Ok(());
        }
        writeln!(self.io.err, "{line}").map_err(Failure::Output)
    }

    /// Looks at something, which may take long and is stopped by the first signal.
    pub(crate) fn look<T>(&mut self, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
        let (patience, on_failure) = (Patience::Stop, FailurePolicy::default());
        self.perform(Perform { patience, on_failure, json_events: false, asks: false }, work)
    }

    /// Does something long: events are shown as the grammar shows them, and signals end it as `how` says.
    pub(crate) fn perform<T>(&mut self, how: Perform, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
        self.perform_beside(how, Reference::default(), work)
    }

    /// Returns whether running stages are redrawn in place.
    pub(crate) fn draws_stages(&self) -> bool {
        let is_dumb = self.io.env.var("TERM").is_some_and(|term| term == "dumb");
        self.io.err_is_terminal && !is_dumb && !self.common.quiet && !self.is_dvc()
    }

    /// As [`Session::perform`]; stages that run are compared with `reference`.
    pub(crate) fn perform_beside<T>(
        &mut self,
        how: Perform,
        reference: Reference,
        work: impl FnOnce(&Ctx<'_>) -> T,
    ) -> T {
        let token = CancelToken::new();
        let handles_signals = self.io.handles_signals;
        let (unicode, quiet) = (self.io.unicode, self.common.quiet);
        let from = (self.io.env.project_root())
            .and_then(|root| RelPath::from_path(self.cwd().strip_prefix(root).ok()?).ok())
            .unwrap_or_default();
        let root = self.io.env.project_root().map(Path::to_path_buf);
        let is_dumb = self.io.env.var("TERM").is_some_and(|term| term == "dumb");
        let shows_line = self.io.err_is_terminal && !is_dumb && !quiet;
        // Where somebody said how wide the terminal is, nobody asks it.
        let is_asked = handles_signals && self.io.env.var("COLUMNS").is_none();
        let size: Size = if is_asked { stderr_width } else { || None };
        let width = shows_line.then_some(self.io.width);
        let (can_ask, input) = (self.io.can_ask, &mut *self.io.input);
        let (out, err) = (&mut *self.io.out, &mut *self.io.err);
        let (dvc, plain, ndjson);
        let (progress, questions): (Option<&dyn Progress>, &dyn Questions) = match self.grammar {
            _ if how.json_events => {
                ndjson = NdjsonSink::new(out);
                plain = PlainSink::new(err, unicode);
                (Some(&ndjson), &plain)
            }
            Grammar::Dvc => {
                dvc = DvcSink::new(out, err, how.on_failure)
                    .seen_from(from)
                    .quietly(quiet)
                    .with_line(width.map(Line::new));
                (Some(&dvc), &dvc)
            }
            Grammar::Exp if quiet => {
                plain = PlainSink::new(err, unicode);
                (None, &plain)
            }
            Grammar::Exp => {
                plain = PlainSink::new(err, unicode)
                    .on_terminal(width)
                    .beside(reference, size)
                    .in_project(root);
                (Some(&plain), &plain)
            }
        };
        let asker = how.asks.then(|| Asker::new(questions, input, can_ask, handles_signals));
        let consent = asker.as_ref().map(|asker| asker as &dyn Consent);
        let run = |sink| {
            let ctx = Ctx::new(sink, token.clone()).asking(consent);
            let notice = |wish| {
                if let Some(progress) = progress {
                    progress.cancelling(wish);
                }
            };
            let ticking = progress.filter(|_| shows_line);
            signals::guarded(handles_signals, &token, how.patience, &notice, || {
                ticked(ticking, || work(&ctx))
            })
        };
        match progress {
            Some(progress) => run(progress.sink()),
            None => run(&NullSink),
        }
    }
}

/// Returns how wide the terminal behind standard error is now.
fn stderr_width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stderr()).map(|(width, _)| width.0.into())
}

/// Does `work` while `progress`, if there is any, is told again and again that time goes by.
fn ticked<T>(progress: Option<&dyn Progress>, work: impl FnOnce() -> T) -> T {
    let Some(progress) = progress else { return work() };
    thread::scope(|scope| {
        // Dropping the sender ends the thread, also when the work panics.
        let (_working, ended) = channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                progress.tick();
            }
        });
        work()
    })
}
