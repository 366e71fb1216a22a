//! `cargo xtask bench live`: what it costs to show 16 runs that write 100 points a second each, in processor time of the
//! process that shows them, over ten seconds.
//!
//! What a run costs whether somebody looks or not is told beside it: the same 16 stages without a terminal.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{Place, write};
use crate::process::{capture, step};
use crate::sides::Sides;

/// How many runs there are, and how many points a second each writes.
const N_RUNS: usize = 16;
const RATE: usize = 100;
/// How long is measured, and how long is waited before.
const LENGTH: Duration = Duration::from_secs(10);
const BEFORE: Duration = Duration::from_secs(4);
/// The share of a core that showing may cost.
const TARGET: f64 = 0.01;

/// Writes points until it is ended, by a file beside it.
const SCRIPT: &str = "\
import os, sys, time
name, rate, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
start = time.monotonic()
with open(name, 'w', buffering=1) as file:
    file.write('step,acc,loss\\n')
    step = 0
    while not os.path.exists(stop):
        file.write(f'{step},{step / 1000:.6f},{1 / (step + 1):.6f}\\n')
        step += 1
        time.sleep(max(0.0, start + step / rate - time.monotonic()))
";

/// Builds, measures and prints.
pub(crate) fn run(switches: &[&str]) -> Result<(), String> {
    let switches: Vec<&str> = switches.iter().copied().chain(["--no-dvc"]).collect();
    let exp = Sides::of_switches(&switches)?.exp;
    let place = Place::new("bench-live")?;
    let plain = step("stages without a terminal", || stages(&place, &exp, "plain", false))?;
    let drawn = step("stages on a terminal", || stages(&place, &exp, "drawn", true))?;
    let watch = step("exp show --watch", || jobs(&place, &exp, "watch"))?;
    let rows = [
        ("exp run, 16 stages, nobody looks", plain, None),
        ("exp run, 16 stages, on a terminal", drawn, None),
        ("  of it: for showing", (drawn - plain).max(0.0), Some(TARGET)),
        ("exp show --watch, 16 jobs", watch, Some(TARGET)),
    ];
    println!("\n{:<40} {:>14} {:>9}", "share of a core", "", "target");
    let mut missed = Vec::new();
    for (what, share, target) in rows {
        let is_missed = target.is_some_and(|target| share > target);
        let target = target.map_or(String::new(), |target| format!("{:.1} %", target * 100.0));
        println!(
            "{what:<40} {:>12.2} % {target:>9}{}",
            share * 100.0,
            if is_missed { "  !" } else { "" }
        );
        missed.extend(is_missed.then_some(what.trim()));
    }
    println!("\n{N_RUNS} runs with {RATE} points a second each, {LENGTH:?}");
    if missed.is_empty() { Ok(()) } else { Err(format!("too dear: {}", missed.join(", "))) }
}

/// A project whose stages write points.
fn project(place: &Place, exp: &Path, name: &str, n_stages: usize) -> Result<(), String> {
    let root = place.path().join(name);
    let stop = place.path().join(format!("{name}.stop"));
    let mut pipeline = String::from("stages:\n");
    for n in 0..n_stages {
        let _infallible = write!(
            pipeline,
            "  s{n}:\n    cmd: exec python3 write.py s{n}.csv {RATE} {}\n    params: [n]\n    plots:\n    - s{n}.csv:\n        \
             cache: false\n        x: step\n",
            stop.display()
        );
    }
    write(&root.join("dvc.yaml"), &pipeline)?;
    write(&root.join("params.yaml"), "n: 0\n")?;
    write(&root.join("write.py"), SCRIPT)?;
    place.git(name, &["init", "-q"])?;
    capture(&mut place.command(exp, &["init", "-q"], name))?;
    place.git(name, &["add", "-A"])?;
    place.git(name, &["commit", "-qm", "first"]).map(drop)
}

fn stages(place: &Place, exp: &Path, name: &str, on_terminal: bool) -> Result<f64, String> {
    project(place, exp, name, N_RUNS)?;
    let jobs = N_RUNS.to_string();
    let args = ["run", "-f", "-j", &jobs];
    let share = if on_terminal {
        measured_on_terminal(place, exp, &args, name)
    } else {
        let mut command = place.command(exp, &args, name);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|err| err.to_string())?;
        let share = measured(child.id());
        stop(place, name)?;
        ended(&mut child)?;
        share
    };
    stop(place, name)?;
    share
}

fn jobs(place: &Place, exp: &Path, name: &str) -> Result<f64, String> {
    project(place, exp, name, 1)?;
    let n = format!("n=range(1,{})", N_RUNS + 1);
    capture(&mut place.command(exp, &["run", "--queue", "-q", "-S", &n], name))?;
    capture(&mut place.command(exp, &["queue", "start", "-j", &N_RUNS.to_string()], name))?;
    let share = measured_on_terminal(place, exp, &["show", "--watch"], name);
    stop(place, name)?;
    capture(&mut place.command(exp, &["queue", "wait"], name))?;
    share
}

/// Lets the scripts of a project end.
fn stop(place: &Place, name: &str) -> Result<(), String> {
    write(&place.path().join(format!("{name}.stop")), "")
}

/// Runs `exp` on a terminal of `script`'s and measures it.
fn measured_on_terminal(
    place: &Place,
    exp: &Path,
    args: &[&str],
    name: &str,
) -> Result<f64, String> {
    let line = format!("exec {} {}", exp.display(), args.join(" "));
    let mut command = place.command(Path::new("script"), &["-qec", &line, "/dev/null"], name);
    command.env("TERM", "xterm").env("COLUMNS", "100").env("LC_ALL", "C.UTF-8");
    // The end of its input would be a key.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|err| format!("no `script`: {err}"))?;
    let inside = inside(child.id());
    let share = inside.as_ref().map_err(Clone::clone).and_then(|pid| measured(*pid));
    stop(place, name)?;
    if let Ok(pid) = inside {
        let _gone = Command::new("kill").args(["-INT", &pid.to_string()]).status();
    }
    ended(&mut child)?;
    share
}

/// Returns the process that `script` runs, once it does.
fn inside(script: u32) -> Result<u32, String> {
    let start = Instant::now();
    while start.elapsed() < BEFORE {
        let children = fs::read_to_string(format!("/proc/{script}/task/{script}/children"));
        if let Some(pid) =
            children.ok().and_then(|text| text.split_whitespace().next()?.parse().ok())
        {
            return Ok(pid);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err("`script` runs nothing".into())
}

/// Returns the share of a core that a process uses over a while.
fn measured(pid: u32) -> Result<f64, String> {
    thread::sleep(BEFORE);
    let start = Instant::now();
    let before = used(pid)?;
    thread::sleep(LENGTH);
    Ok(used(pid)?.saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64())
}

/// Returns the processor time of a process, its children not among it.
fn used(pid: u32) -> Result<Duration, String> {
    // In nanoseconds; ticks of a hundredth of a second are too coarse for this.
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .map_err(|err| format!("process {pid} is gone: {err}"))?;
    let nanos = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(Duration::from_nanos(nanos.sum()))
}

/// Waits for a process, and ends it when it does not end.
fn ended(child: &mut Child) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if child.try_wait().map_err(|err| err.to_string())?.is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().and_then(|()| child.wait()).map(drop).map_err(|err| err.to_string())
}
