//! Commands with their time, and the places of the workspace.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where Cargo builds: `CARGO_TARGET_DIR` or `target`.
#[expect(clippy::disallowed_methods, reason = "a task reads what Cargo reads")]
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Cargo at the root of the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    command
}

/// Cargo on the whole workspace. Each other choice of packages has other features of third-party crates, and so builds
/// them once more.
pub(crate) fn everything<const N: usize>(args: [&str; N]) -> Command {
    let mut command = cargo(args);
    command.args(["--workspace", "--all-features"]);
    command
}

/// Runs a command whose output goes to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status =
        command.status().map_err(|err| format!("cannot start {}: {err}", text(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", text(command))) }
}

/// Runs a command and returns its standard output; on failure the error carries both streams.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|err| format!("cannot start {}: {err}", text(command)))?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let err = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` ended with {}\n{out}{err}", text(command), output.status))
}

/// Runs a command whose output goes to the terminal and is returned as well, with whether it succeeded.
pub(crate) fn tee(command: &mut Command) -> Result<(bool, String), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|err| format!("cannot start {}: {err}", text(command)))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let copied = std::thread::scope(|scope| {
        let out = scope.spawn(|| copy(out));
        let err = scope.spawn(|| copy(err));
        let mut both = out.join().unwrap_or_default();
        both.push_str(&err.join().unwrap_or_default());
        both
    });
    let status = child.wait().map_err(|err| format!("{}: {err}", text(command)))?;
    Ok((status.success(), copied))
}

fn copy(stream: Option<impl Read>) -> String {
    let mut seen = String::new();
    let Some(stream) = stream else { return seen };
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        println!("{line}");
        seen.push_str(&line);
        seen.push('\n');
    }
    let _flushed = std::io::stdout().flush();
    seen
}

/// A command as a person would type it.
pub(crate) fn text(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| {
        let arg = arg.to_string_lossy();
        if arg.contains([' ', '(', '$', '\'']) || arg.is_empty() {
            format!("{arg:?}")
        } else {
            arg.into_owned()
        }
    }));
    words.join(" ")
}

/// Whether a subcommand of Cargo is installed.
pub(crate) fn has_cargo(tool: &str) -> bool {
    let mut command = Command::new(format!("cargo-{tool}"));
    command.args([tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Prints a heading, runs a step, prints its time.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    println!("── {name}");
    let start = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    println!("── {name}: {verdict} ({})\n", seconds(start.elapsed()));
    result.map_err(|problem| format!("{name}: {problem}"))
}

/// A duration in seconds, or minutes and seconds.
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole >= 60 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", time.as_secs_f32())
    }
}
