//! Commands of stages as processes.
//!
//! Every command gets a process group of its own, so that a frontend decides who hears a Ctrl-C, and its standard
//! input is empty. Output is handed on as it comes and copied into the log of the run.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use exp_core::{Cancel, Ctx, Event, Exit, Stage, StageEvent, StageExecutor, StageOutcome, Stream};
use rustix::process::{Pid, Signal, kill_process_group};

/// How often a wish to end is looked for while a command runs.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// How long output may still come after the command itself has ended.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Runs commands of stages through a shell, in the directory of the stage.
pub struct ShellExecutor {
    root: PathBuf,
    options: ShellOptions,
    log: Option<Mutex<File>>,
    watch: Option<GroupWatch>,
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

/// Called with the process group of each command just after it started, and with `None` after it ended.
pub type GroupWatch = Box<dyn Fn(Option<u32>) + Send + Sync>;

impl Default for ShellOptions {
    fn default() -> Self {
        Self { shell: PathBuf::from("/bin/sh"), env: Vec::new(), grace: Duration::from_secs(10) }
    }
}

impl ShellExecutor {
    /// Runs commands below the absolute path `root`.
    pub fn new(root: &Path, options: ShellOptions) -> Self {
        Self { root: root.to_path_buf(), options, log: None, watch: None }
    }

    /// Copies all output into `log` too, each command preceded by a line `> command`.
    #[must_use]
    pub fn with_log(mut self, log: File) -> Self {
        self.log = Some(Mutex::new(log));
        self
    }

    /// Tells `watch` of each process group, so that a later start can end what this process left behind.
    #[must_use]
    pub fn with_watch(mut self, watch: GroupWatch) -> Self {
        self.watch = Some(watch);
        self
    }

    fn write_log(&self, bytes: &[u8]) {
        if let Some(log) = &self.log
            && let Ok(mut log) = log.lock()
        {
            // A log that cannot be written must not end a training run; the experiment's record has what there is.
            drop(log.write_all(bytes));
        }
    }

    fn spawn(&self, stage: &Stage, line: &str) -> std::io::Result<Child> {
        let mut process = Process::new(&self.options.shell);
        let name = self.options.shell.file_name().map(|name| name.to_string_lossy().into_owned());
        match name.as_deref() {
            Some("bash") => process.args(["--noprofile", "--norc", "-c"]),
            Some("zsh") => process.args(["--no-rcs", "-c"]),
            Some("fish") => process.args(["--no-config", "-c"]),
            _ => process.arg("-c"),
        };
        process
            .arg(line)
            .current_dir(stage.wdir.under(&self.root))
            .envs(self.options.env.iter().map(|(key, value)| (key, value)))
            .env("DVC_STAGE", stage.id.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    }

    fn run_line(&self, ctx: &Ctx<'_>, stage: &Stage, line: &str) -> Exit {
        let emit = |what| ctx.emit(Event::Stage { stage: &stage.id, what });
        emit(StageEvent::Command { line });
        self.write_log(format!("> {line}\n").as_bytes());
        let mut child = match self.spawn(stage, line) {
            Ok(child) => child,
            Err(error) => {
                return Exit::NotStarted { line: line.to_owned(), why: error.to_string() };
            }
        };
        let group = child.id();
        self.watch(Some(group));
        let (sender, messages) = channel();
        let readers = [
            child.stdout.take().map(|pipe| read_pipe(pipe, Stream::Out, sender.clone())),
            child.stderr.take().map(|pipe| read_pipe(pipe, Stream::Err, sender.clone())),
        ];
        let open = readers.iter().flatten().count();
        thread::spawn(move || drop(sender.send(Message::Exited(child.wait()))));
        let status = self.follow(ctx, stage, &messages, Pipes { open, group });
        self.watch(None);
        match status {
            Followed::Cancelled => Exit::Cancelled,
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

    /// Hands output on until the command has ended, and ends it when that is asked for.
    fn follow(
        &self,
        ctx: &Ctx<'_>,
        stage: &Stage,
        messages: &Receiver<Message>,
        mut pipes: Pipes,
    ) -> Followed {
        let mut exited: Option<(Result<ExitStatus, String>, Instant)> = None;
        let mut stopping: Option<Instant> = None;
        loop {
            match messages.recv_timeout(HEARTBEAT) {
                Ok(Message::Output(stream, bytes)) => {
                    self.write_log(&bytes);
                    let what = StageEvent::Output { stream, bytes: &bytes };
                    ctx.emit(Event::Stage { stage: &stage.id, what });
                }
                Ok(Message::Closed) => pipes.open -= 1,
                Ok(Message::Exited(status)) => {
                    exited = Some((status.map_err(|error| error.to_string()), Instant::now()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => pipes.open = 0,
            }
            if let Some((status, since)) = &exited
                && (pipes.open == 0 || since.elapsed() > AFTERMATH)
            {
                if stopping.is_some() {
                    // What the command left behind in its group goes with it.
                    signal_group(pipes.group, Signal::KILL);
                    return Followed::Cancelled;
                }
                return match status {
                    Ok(status) => Followed::Exited(*status),
                    Err(why) => Followed::Lost(why.clone()),
                };
            }
            if ctx.cancel_token().requested() == Some(Cancel::Stop) {
                match stopping {
                    None => {
                        signal_group(pipes.group, Signal::TERM);
                        stopping = Some(Instant::now());
                    }
                    Some(since) if since.elapsed() > self.options.grace => {
                        signal_group(pipes.group, Signal::KILL);
                    }
                    Some(_) => {}
                }
            }
        }
    }

    fn watch(&self, group: Option<u32>) {
        if let Some(watch) = &self.watch {
            watch(group);
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
        let start = Instant::now();
        let mut exit = Exit::Success;
        for line in stage.cmd.iter().flat_map(exp_core::Command::lines) {
            if ctx.check().is_err() {
                exit = Exit::Cancelled;
            } else {
                exit = self.run_line(ctx, stage, line);
            }
            if exit != Exit::Success {
                break;
            }
        }
        StageOutcome { exit, took: start.elapsed() }
    }
}

struct Pipes {
    open: usize,
    group: u32,
}

enum Followed {
    Exited(ExitStatus),
    Cancelled,
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
    sender: Sender<Message>,
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

/// Sends `signal` to the process group `group`; a group that is gone is no error.
pub(crate) fn signal_group(group: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        kill_process_group(pid, signal).ok();
    }
}
