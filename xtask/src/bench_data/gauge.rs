//! Times and peak memory of whole commands, and the table they end in.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A command that is measured.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) tool: Tool,
    pub(super) words: Vec<String>,
}

/// Whose command it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Exp,
    Dvc,
    Shell,
}

impl Run {
    fn new(tool: Tool, words: &[&str]) -> Self {
        Self { tool, words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    pub(super) fn exp(words: &[&str]) -> Self {
        Self::new(Tool::Exp, words)
    }

    pub(super) fn dvc(words: &[&str]) -> Self {
        Self::new(Tool::Dvc, words)
    }

    pub(super) fn sh(script: &str) -> Self {
        Self::new(Tool::Shell, &["-c", script])
    }

    /// SHA-256 of every file below a directory, on all cores.
    pub(super) fn digest_all(dir: &str) -> Self {
        Self::sh(&format!(
            "find {dir} -type f -print0 | xargs -0 -n 512 -P $(nproc) sha256sum > /dev/null"
        ))
    }
}

/// What a command took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gauge {
    pub(super) wall: Duration,
    /// Time of all its threads in the kernel and outside.
    pub(super) cpu: Duration,
    /// The most memory that it held, in bytes.
    pub(super) peak: u64,
}

impl Gauge {
    /// Both one after the other.
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            peak: self.peak.max(other.peak),
        }
    }

    /// The same, some seconds longer.
    pub(super) fn later(&self, seconds: f64) -> Self {
        Self { wall: self.wall + Duration::from_secs_f64(seconds), ..*self }
    }

    /// The one in the middle by wall time.
    pub(super) fn median(mut all: Vec<Self>) -> Self {
        all.sort_unstable_by_key(|one| one.wall);
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}

impl fmt::Display for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [wall, cpu] = [self.wall, self.cpu].map(|time| time.as_secs_f64());
        write!(f, "{wall:.2} s ({cpu:.2} s of processors), {} MB", self.peak >> 20)
    }
}

/// Runs a command, which writes its figures into a file as `time -f '%U %S %M'` does, to its end.
pub(super) fn measure(command: &mut Command, figures: &PathBuf) -> Result<Gauge, String> {
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|err| format!("cannot start {}: {err}", crate::process::text(command)))?;
    let wall = start.elapsed();
    if !output.status.success() {
        let err = String::from_utf8_lossy(&output.stderr);
        let text = crate::process::text(command);
        return Err(format!("`{text}` ended with {}\n{err}", output.status));
    }
    let text = fs::read_to_string(figures).map_err(|err| format!("no figures: {err}"))?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, system, kilobytes] = numbers[..] else {
        return Err(format!("figures that are none: {text}"));
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a memory size")]
    let peak = (kilobytes * 1024.0) as u64;
    Ok(Gauge { wall, cpu: Duration::from_secs_f64(user + system), peak })
}

/// A line of the report.
#[derive(Debug)]
pub(super) struct Line {
    what: String,
    ours: Gauge,
    floor: Floor,
}

/// What a command is measured by.
#[derive(Debug)]
enum Floor {
    /// Another command, and how many times its wall time ours may take.
    Time { name: String, gauge: Gauge, limit: f64 },
    /// Requests to a server: how many there were, and may be.
    Requests { n: usize, limit: usize },
}

/// What no measured command may hold in memory.
const MOST_MEMORY: u64 = 300 << 20;

impl Line {
    pub(super) fn new(what: String, ours: Gauge, name: &str, gauge: Gauge, limit: f64) -> Self {
        let name = name.to_owned();
        Self { what, ours, floor: Floor::Time { name, gauge, limit } }
    }

    /// A line about how often a server was asked.
    pub(super) fn count(what: String, ours: Gauge, n: usize, limit: usize) -> Self {
        Self { what, ours, floor: Floor::Requests { n, limit } }
    }

    fn is_met(&self) -> bool {
        let within = match &self.floor {
            Floor::Time { gauge, limit, .. } => ratio(&self.ours, gauge) <= *limit,
            Floor::Requests { n, limit } => n <= limit,
        };
        within && self.ours.peak <= MOST_MEMORY
    }
}

fn ratio(ours: &Gauge, floor: &Gauge) -> f64 {
    ours.wall.as_secs_f64() / floor.wall.as_secs_f64().max(1e-9)
}

/// Prints the table.
pub(super) fn report(lines: &[Line], rounds: usize) {
    println!(
        "\n{:<46} {:>9} {:>7}  {:<26} {:>9} {:>8} {:>8}",
        "median wall time", "exp", "peak", "floor", "", "ratio", "limit"
    );
    let seconds = |gauge: &Gauge| format!("{:.2} s", gauge.wall.as_secs_f64());
    for line in lines {
        let (name, floor, found, limit) = match &line.floor {
            Floor::Time { name, gauge, limit } => {
                let found = format!("{:.3}×", ratio(&line.ours, gauge));
                (name.as_str(), seconds(gauge), found, format!("{limit:.3}×"))
            }
            Floor::Requests { n, limit } => {
                ("requests", String::new(), n.to_string(), limit.to_string())
            }
        };
        println!(
            "{:<46} {:>9} {:>7}  {name:<26} {floor:>9} {found:>8} {limit:>8}  {}",
            line.what,
            seconds(&line.ours),
            format!("{} MB", line.ours.peak >> 20),
            if line.is_met() { "met" } else { "NOT MET" }
        );
    }
    println!("\n{rounds} rounds each, release build, warm sources, flushed before each round");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(wall: u64, peak: u64) -> Gauge {
        Gauge { wall: Duration::from_secs(wall), cpu: Duration::ZERO, peak }
    }

    #[test]
    fn a_line_is_met_by_time_and_memory() {
        let floor = seconds(2, 0);
        let line = |ours| Line::new(String::new(), ours, "", floor, 1.5);
        assert!(line(seconds(3, 1)).is_met());
        assert!(!line(seconds(4, 1)).is_met(), "too slow");
        assert!(!line(seconds(1, 301 << 20)).is_met(), "too large");
        let asks = |n| Line::count(String::new(), seconds(9, 1), n, 20);
        assert!(asks(20).is_met() && !asks(21).is_met());
    }

    #[test]
    fn the_median_is_the_middle_by_wall_time() {
        let all = vec![seconds(9, 1), seconds(1, 2), seconds(5, 3)];
        assert_eq!(Gauge::median(all).peak, 3);
        assert_eq!(Gauge::median(Vec::new()).wall, Duration::ZERO);
    }
}
