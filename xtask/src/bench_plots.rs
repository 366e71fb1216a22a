//! `cargo xtask bench plots`: what is read with the eyes, beside dvc: curves of five revisions with 100,000 points each,
//! metrics, and what an editor asks for on each refresh.
//!
//! Every figure is a median of wall times, process start and all, with the answer going into a file as an editor's pipe
//! would take it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fixture::{Place, write};
use crate::process::step;
use crate::sides::Sides;

/// How often our command runs, and how often that of dvc.
const OUR_ROUNDS: usize = 9;
const DVC_ROUNDS: usize = 3;
/// Points of a revision's curve.
const N_POINTS: usize = 100_000;
const N_REVISIONS: usize = 5;
/// How much faster each line has to be.
const RATIO: f64 = 20.0;
/// What a refresh has to stay below.
const REFRESH: Duration = Duration::from_millis(150);

/// Commands that are run one after the other, as words.
type Commands<'c> = &'c [&'c [&'c str]];

/// A line of the report.
struct Row {
    what: String,
    ours: Duration,
    dvc: Option<Duration>,
    target: Option<Duration>,
}

/// Builds, measures and prints.
pub(crate) fn run(switches: &[&str]) -> Result<(), String> {
    let Sides { exp, dvc } = Sides::of_switches(switches)?;
    let bench = Bench { place: Place::new("bench-plots")?, exp, dvc };
    let mut rows = step("curves", || bench.curves())?;
    rows.extend(step("refresh", || bench.refresh())?);
    report(&rows)
}

struct Bench {
    place: Place,
    exp: PathBuf,
    dvc: Option<PathBuf>,
}

impl Bench {
    /// A project with a pipeline of two stages, a curve, an image-free set of plots, and metrics; `commit` makes the next
    /// revision of it.
    fn project(&self, name: &str) -> Result<(), String> {
        let root = self.place.path().join(name);
        write(&root.join(".dvc/config"), "")?;
        write(&root.join(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")?;
        write(&root.join("params.yaml"), "lr: 0.1\nmodel:\n  depth: 3\n")?;
        write(&root.join("data.txt"), "data\n")?;
        write(
            &root.join("dvc.yaml"),
            "stages:\n  prepare:\n    cmd: 'true'\n    deps:\n    - data.txt\n  train:\n    cmd: 'true'\n    deps:\n    \
             - data.txt\n    params:\n    - lr\n    metrics:\n    - metrics.json:\n        cache: false\nplots:\n- \
             curve.tsv:\n    x: step\n    y: loss\n- history.json:\n    x: step\n    y: loss\n",
        )?;
        self.place.git(name, &["init", "-q"]).map(drop)
    }

    fn commit(&self, name: &str, revision: usize, n_points: usize) -> Result<(), String> {
        let root = self.place.path().join(name);
        write(&root.join("curve.tsv"), &table(revision, n_points))?;
        write(&root.join("history.json"), &document(revision, n_points / 100))?;
        let mut metrics = String::from("{");
        for n in 0..200 {
            let _ = write!(metrics, "\"metric_{n}\": {}.{revision}{n}, ", n % 3);
        }
        let _ = write!(metrics, "\"acc\": 0.{revision}}}");
        write(&root.join("metrics.json"), &metrics)?;
        self.place.git(name, &["add", "."])?;
        self.place.git(name, &["commit", "-qm", &format!("Revision {revision}")])?;
        self.place.git(name, &["tag", &format!("r{revision}")]).map(drop)
    }

    fn curves(&self) -> Result<Vec<Row>, String> {
        self.project("curves")?;
        for revision in 0..N_REVISIONS {
            self.commit("curves", revision, N_POINTS)?;
        }
        let revs: Vec<String> = (0..N_REVISIONS).map(|n| format!("r{n}")).collect();
        let revs: Vec<&str> = revs.iter().map(String::as_str).collect();
        let plain = [&["plots", "diff"][..], &revs, &["--json"]].concat();
        let split = [&["plots", "diff"][..], &revs, &["--json", "--split"]].concat();
        Ok(vec![
            self.measure(
                "plots diff --json, 5 revisions × 100,000 points",
                "curves",
                &[&plain],
                None,
            )?,
            self.measure("the same with --split", "curves", &[&split], None)?,
            self.measure(
                "metrics diff, 201 metrics",
                "curves",
                &[&["metrics", "diff", "r0", "r4"]],
                None,
            )?,
            self.measure(
                "metrics show -T, 5 revisions",
                "curves",
                &[&["metrics", "show", "-T", "--json"]],
                None,
            )?,
        ])
    }

    /// The calls of an editor's refresh, in a project with curves of 200 points and three commits.
    fn refresh(&self) -> Result<Vec<Row>, String> {
        self.project("editor")?;
        let mut commits = Vec::new();
        for revision in 0..3 {
            self.commit("editor", revision, 200)?;
            commits.push(self.place.git("editor", &["rev-parse", "HEAD"])?.trim().to_owned());
        }
        write(&self.place.path().join("editor/params.yaml"), "lr: 0.2\nmodel:\n  depth: 3\n")?;
        let revs: Vec<&str> =
            commits.iter().rev().flat_map(|sha| ["--rev", sha.as_str()]).collect();
        let show = [&["exp", "show"][..], &revs, &["--json"]].concat();
        let calls: [&[&str]; 5] = [
            &show,
            &["data", "status", "--granular", "--unchanged", "--json"],
            &[
                "plots",
                "diff",
                "workspace",
                "main",
                "r0",
                "-o",
                ".dvc/tmp/plots",
                "--split",
                "--json",
            ],
            &["dag", "--md"],
            &["stage", "list"],
        ];
        let mut rows = vec![self.measure(
            "an editor's refresh, five calls",
            "editor",
            &calls,
            Some(REFRESH),
        )?];
        for call in calls {
            let what = format!("  of it: {}", call[..call.len().min(2)].join(" "));
            rows.push(self.measure(&what, "editor", &[call], None)?);
        }
        Ok(rows)
    }

    /// Times commands of dvc's grammar, one after the other.
    fn measure(
        &self,
        what: &str,
        name: &str,
        commands: Commands<'_>,
        target: Option<Duration>,
    ) -> Result<Row, String> {
        let ours = self.median(&self.exp, &["dvc"], name, commands, OUR_ROUNDS)?;
        let dvc = match &self.dvc {
            Some(dvc) => Some(self.median(dvc, &[], name, commands, DVC_ROUNDS)?),
            None => None,
        };
        Ok(Row { what: what.to_owned(), ours, dvc, target })
    }

    fn median(
        &self,
        program: &Path,
        before: &[&str],
        name: &str,
        commands: Commands<'_>,
        rounds: usize,
    ) -> Result<Duration, String> {
        let answer = self.place.path().join("answer");
        let mut times = Vec::new();
        for _ in 0..rounds {
            let mut took = Duration::ZERO;
            for words in commands {
                let args = [before, words].concat();
                let file = std::fs::File::create(&answer).map_err(|err| err.to_string())?;
                let mut command = self.place.command(program, &args, name);
                command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
                let start = Instant::now();
                let status =
                    command.status().map_err(|err| format!("{}: {err}", program.display()))?;
                took += start.elapsed();
                if !status.success() {
                    return Err(format!("{args:?} ended with {status}"));
                }
            }
            times.push(took);
        }
        times.sort();
        Ok(times[times.len() / 2])
    }
}

/// A curve as loggers write it.
fn table(revision: usize, n_points: usize) -> String {
    let mut text = String::from("step\tloss\tacc\n");
    for step in 0..n_points {
        let _ = writeln!(
            text,
            "{step}\t{}.{:06}\t0.{:06}",
            revision,
            (step * 7919) % 1_000_000,
            step % 999_983
        );
    }
    text
}

/// The same as JSON.
fn document(revision: usize, n_points: usize) -> String {
    let points: Vec<String> = (0..n_points)
        .map(|step| {
            format!("{{\"step\": {step}, \"loss\": {revision}.{:06}}}", (step * 7919) % 1_000_000)
        })
        .collect();
    format!("[{}]\n", points.join(",\n"))
}

fn report(rows: &[Row]) -> Result<(), String> {
    println!("\n{:<50} {:>12} {:>12} {:>7}", "median wall time", "exp", "dvc", "ratio");
    let mut missed = Vec::new();
    for row in rows {
        let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let ratio = row.dvc.map(|dvc| dvc.as_secs_f64() / row.ours.as_secs_f64());
        let is_slow = ratio.is_some_and(|ratio| ratio < RATIO)
            || row.target.is_some_and(|target| row.ours > target);
        if is_slow {
            missed.push(row.what.trim());
        }
        println!(
            "{:<50} {:>12} {:>12} {:>7}{}",
            row.what,
            millis(row.ours),
            row.dvc.map_or("–".to_owned(), millis),
            ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.0}×")),
            if is_slow { "  !" } else { "" }
        );
    }
    println!(
        "\n{OUR_ROUNDS} rounds of exp, {DVC_ROUNDS} of dvc; each {RATIO} times faster, a refresh below {REFRESH:?}"
    );
    if missed.is_empty() { Ok(()) } else { Err(format!("too slow: {}", missed.join(", "))) }
}
