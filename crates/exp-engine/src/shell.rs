//! Commands of stages as processes.
//!
//! Every command gets a process group of its own, so that a frontend decides who hears a Ctrl-C, and its standard
//! input is empty. Output is handed on as it comes and copied into the log of its stage.

pub(crate) mod family;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use exp_core::{Cancel, Ctx, Event, Exit, Stage, StageEvent, StageExecutor, StageOutcome, Stream};
use rustix::process::Signal;

use crate::logs::{LogFile, Logs};
use crate::process::Owner;
use crate::trace::Tracer;
use family::Family;

/// How often a wish to end is looked for while a command runs.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// How long output may still come after the command itself has ended.
const AFTERMATH: Duration = Duration::from_millis(500);

/// How long killed processes are waited for; one that is stuck in the kernel must not keep the run.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How many pieces of output wait for who shows them, until the command has to.
const BACKLOG: usize = 64;

/// Runs commands of stages through a shell, in the directory of the stage.
pub struct ShellExecutor {
    root: PathBuf,
    options: ShellOptions,
    logs: Option<Logs>,
    watch: Option<GroupWatch>,
    tracer: Option<Tracer>,
    /// What the marks of the commands begin with.
    id: String,
    /// The mark of the command that this process is part of, if any.
    around: Option<String>,
    n_commands: AtomicU64,
}

/// How commands are run.
#[derive(Debug, Clone)]
pub struct ShellOptions {
    /// The shell, usually what `SHELL` says; `/bin/sh` by default.
    pub shell: PathBuf,
    /// Variables set for every command, on top of the environment of this process.
    pub env: Vec<(OsString, OsString)>,
    /// How long a command may take to end after TERM, before it is killed.
    pub grace: Duration,
}

/// What happened to the process group of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupEvent {
    /// It just started.
    Started,
    /// Its command ended.
    Ended,
}

/// Told of the process group of each command, by number; from the threads that run stages.
pub type GroupWatch = Box<dyn Fn(u32, GroupEvent) + Send + Sync>;

impl Default for ShellOptions {
    fn default() -> Self {
        Self { shell: PathBuf::from("/bin/sh"), env: Vec::new(), grace: Duration::from_secs(10) }
    }
}

impl ShellExecutor {
    /// Runs commands below the absolute path `root`.
    pub fn new(root: &Path, options: ShellOptions) -> Self {
        Self {
            root: root.to_path_buf(),
            options,
            logs: None,
            watch: None,
            tracer: None,
            id: Owner::this_process().unique(),
            around: None,
            n_commands: AtomicU64::new(0),
        }
    }

    /// Copies all output into logs too, each command preceded by a line `> command`.
    #[must_use]
    pub(crate) fn with_logs(mut self, logs: Logs) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Tells `watch` of each process group, so that a later start can end what this process left behind.
    #[must_use]
    pub fn with_watch(mut self, watch: GroupWatch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Watches which files the commands open.
    #[must_use]
    pub(crate) fn with_tracer(mut self, tracer: Option<Tracer>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Marks commands as those of the operation `id`, which runs inside of the command marked `around` if there is one.
    #[must_use]
    pub(crate) fn marked(mut self, id: &str, around: Option<&str>) -> Self {
        id.clone_into(&mut self.id);
        self.around = around.map(str::to_owned);
        self
    }

    fn spawn(&self, run: &Run<'_>, line: &str, mark: &str) -> std::io::Result<Child> {
        let stage = run.stage;
        // Empty as well, and it says that the stage lives.
        let keeper = run.launch.keeper.as_ref().and_then(|file| file.try_clone().ok());
        let shell = &self.options.shell;
        let process = match &self.tracer {
            Some(tracer) => tracer.process(shell, &self.root, stage),
            None => Process::new(shell),
        };
        given(process, shell, line)
            .current_dir(stage.wdir.under(&self.root))
            .envs(self.options.env.iter().map(|(key, value)| (key, value)))
            .envs(run.launch.env.iter().map(|(key, value)| (key, value)))
            .env("DVC_STAGE", stage.id.to_string())
            .env(family::MARK, family::nested(self.around.as_deref(), mark))
            .stdin(keeper.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    }

    /// Runs the commands of a stage with what only it gets.
    pub(crate) fn run_with(&self, ctx: &Ctx<'_>, stage: &Stage, launch: &Launch) -> StageOutcome {
        let start = Instant::now();
        let mut exit = Exit::Success;
        let mut log = self.logs.as_ref().and_then(|logs| logs.open(&stage.id).ok());
        let run = Run { stage, launch, start };
        for line in stage.cmd.iter().flat_map(exp_core::Command::lines) {
            if ctx.check().is_err() {
                exit = Exit::Cancelled;
            } else {
                exit = self.run_line(ctx, &run, line, &mut log);
            }
            if exit != Exit::Success {
                break;
            }
        }
        StageOutcome { exit, took: start.elapsed() }
    }

    fn run_line(
        &self,
        ctx: &Ctx<'_>,
        run: &Run<'_>,
        line: &str,
        log: &mut Option<LogFile>,
    ) -> Exit {
        let stage = run.stage;
        ctx.emit(Event::Stage { stage: &stage.id, what: StageEvent::Command { line } });
        write_log(log, format!("> {line}\n").as_bytes());
        let mark = format!("{}.{}", self.id, self.n_commands.fetch_add(1, Ordering::Relaxed));
        let mut child = match self.spawn(run, line, &mark) {
            Ok(child) => child,
            Err(error) => {
                return Exit::NotStarted { line: line.to_owned(), why: error.to_string() };
            }
        };
        let group = child.id();
        self.watch(group, GroupEvent::Started);
        let (sender, messages) = sync_channel(BACKLOG);
        let readers = [
            child.stdout.take().map(|pipe| read_pipe(pipe, Stream::Out, sender.clone())),
            child.stderr.take().map(|pipe| read_pipe(pipe, Stream::Err, sender.clone())),
        ];
        let n_open = readers.iter().flatten().count();
        thread::spawn(move || drop(sender.send(Message::Exited(child.wait()))));
        let family = Family::new(group, mark);
        let (stopping, killed, is_late) = (None, None, false);
        let status = Following { executor: self, run, family, n_open, stopping, killed, is_late }
            .follow(ctx, &messages, log);
        self.watch(group, GroupEvent::Ended);
        match status {
            Followed::Cancelled => Exit::Cancelled,
            Followed::TimedOut => Exit::TimedOut {
                line: line.to_owned(),
                limit: run.launch.limit.unwrap_or_default(),
            },
            Followed::Lost(why) => Exit::NotStarted { line: line.to_owned(), why },
            Followed::Exited(status) if status.success() => Exit::Success,
            Followed::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code { code, line: line.to_owned() },
                (None, signal) => {
                    Exit::Signal { signal: signal.unwrap_or(0), line: line.to_owned() }
                }
            },
        }
    }

    fn watch(&self, group: u32, what: GroupEvent) {
        if let Some(watch) = &self.watch {
            watch(group, what);
        }
    }
}

impl fmt::Debug for ShellExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellExecutor").field("root", &self.root).finish_non_exhaustive()
    }
}

impl StageExecutor for ShellExecutor {
    fn run(&self, ctx: &Ctx<'_>, stage: &Stage) -> StageOutcome {
        self.run_with(ctx, stage, &Launch::default())
    }
}

/// What the commands of one stage get beside what all get.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    /// Further variables.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// An empty file that they have open as their standard input.
    pub(crate) keeper: Option<File>,
    /// How long all of them may take together.
    pub(crate) limit: Option<Duration>,
}

/// A stage whose commands run.
struct Run<'r> {
    stage: &'r Stage,
    launch: &'r Launch,
    start: Instant,
}

/// Returns a process that runs `line` through the shell, without the files that a person's shell reads at its start.
pub(crate) fn through(shell: &Path, line: &str) -> Process {
    given(Process::new(shell), shell, line)
}

/// Gives `line` to a process that starts `shell`.
fn given(mut process: Process, shell: &Path, line: &str) -> Process {
    match shell.file_name().map(|name| name.to_string_lossy()).as_deref() {
        Some("bash") => process.args(["--noprofile", "--norc", "-c"]),
        Some("zsh") => process.args(["--no-rcs", "-c"]),
        Some("fish") => process.args(["--no-config", "-c"]),
        _ => process.arg("-c"),
    };
    process.arg(line);
    process
}

/// A command that runs.
struct Following<'f> {
    executor: &'f ShellExecutor,
    run: &'f Run<'f>,
    family: Family,
    /// How many of its pipes may still bring something.
    n_open: usize,
    /// Since when it is asked to end.
    stopping: Option<Instant>,
    /// Since when it is killed.
    killed: Option<Instant>,
    /// Whether it ends because it took too long.
    is_late: bool,
}

impl Following<'_> {
    /// Hands output on until the command has ended, and ends it when that is asked for.
    fn follow(
        mut self,
        ctx: &Ctx<'_>,
        messages: &Receiver<Message>,
        log: &mut Option<LogFile>,
    ) -> Followed {
        let mut exited: Option<(Result<ExitStatus, String>, Instant)> = None;
        loop {
            match messages.recv_timeout(HEARTBEAT) {
                Ok(Message::Output(stream, bytes)) => {
                    write_log(log, &bytes);
                    let what = StageEvent::Output { stream, bytes: &bytes };
                    ctx.emit(Event::Stage { stage: &self.run.stage.id, what });
                }
                Ok(Message::Closed) => self.n_open -= 1,
                Ok(Message::Exited(status)) => {
                    exited = Some((status.map_err(|error| error.to_string()), Instant::now()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.n_open = 0,
            }
            let has_exited = exited.is_some();
            if self.stopping.is_none()
                && let Some((status, since)) = &exited
                && (self.n_open == 0 || since.elapsed() > AFTERMATH)
            {
                return match status {
                    Ok(status) => Followed::Exited(*status),
                    Err(why) => Followed::Lost(why.clone()),
                };
            }
            let is_stopped = ctx.cancel_token().requested() == Some(Cancel::Stop);
            let is_over =
                self.run.launch.limit.is_some_and(|limit| self.run.start.elapsed() > limit);
            self.is_late |= is_over && !is_stopped && self.stopping.is_none();
            if (is_stopped || self.is_late) && self.has_stopped(has_exited) {
                return if self.is_late { Followed::TimedOut } else { Followed::Cancelled };
            }
        }
    }

    /// Asks everything that the command started to end, and makes it after a while; returns whether it has.
    fn has_stopped(&mut self, has_exited: bool) -> bool {
        let Some(since) = self.stopping else {
            self.stopping = Some(Instant::now());
            self.family.signal(Signal::TERM);
            return false;
        };
        if has_exited && self.family.is_gone() {
            return true;
        }
        if since.elapsed() > self.executor.options.grace {
            self.killed.get_or_insert_with(Instant::now);
            self.family.signal(Signal::KILL);
        }
        self.killed.is_some_and(|since| since.elapsed() > LAST_WORDS)
    }
}

enum Followed {
    Exited(ExitStatus),
    Cancelled,
    TimedOut,
    Lost(String),
}

enum Message {
    Output(Stream, Vec<u8>),
    Closed,
    Exited(std::io::Result<ExitStatus>),
}

fn read_pipe(
    mut pipe: impl Read + Send + 'static,
    stream: Stream,
    sender: SyncSender<Message>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            if sender.send(Message::Output(stream, buffer[..read].to_vec())).is_err() {
                return;
            }
        }
        drop(sender.send(Message::Closed));
    })
}

fn write_log(log: &mut Option<LogFile>, bytes: &[u8]) {
    if let Some(log) = log {
        // A log that cannot be written must not end a training run; the experiment's record has what there is.
        drop(log.write(bytes));
    }
}
