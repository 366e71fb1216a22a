//! `cargo xtask bench queue`: queueing and running empty jobs, beside dvc where it does the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{Place, write};
use crate::process::{capture, step};
use crate::sides::Sides;

const PIPELINE: &str = "stages:\n  s:\n    cmd: echo {} > metrics.json\n    params: [n]\n    metrics:\n    - metrics.json:\n        \
                        cache: false\n";

/// So many times faster than dvc in queueing and in running.
const FASTER: u32 = 30;

/// A command that takes longer hangs.
const LONGEST: Duration = Duration::from_mins(5);

/// Builds, measures and prints.
pub(crate) fn run(switches: &[&str]) -> Result<(), String> {
    let Sides { exp, dvc } = Sides::of_switches(switches)?;
    let bench = Bench { place: Place::new("bench-queue")?, exp, dvc };
    let mut rows = step("beside dvc", || bench.beside())?;
    rows.push(step("500 jobs", || bench.five_hundred())?);
    rows.extend(step("10,000 jobs", || bench.ten_thousand())?);
    report(&rows)
}

/// A line of the report.
struct Row {
    what: &'static str,
    ours: Duration,
    dvc: Option<Duration>,
    target: Option<Duration>,
}

struct Bench {
    place: Place,
    exp: PathBuf,
    dvc: Option<PathBuf>,
}

impl Bench {
    fn project(&self, name: &str) -> Result<(), String> {
        let root = self.place.path().join(name);
        write(&root.join("dvc.yaml"), PIPELINE)?;
        write(&root.join("params.yaml"), "n: 0\n")?;
        self.place.git(name, &["init", "-q"])?;
        capture(&mut self.place.command(&self.exp, &["init", "-q", "--hash", "md5"], name))?;
        self.place.git(name, &["add", "-A"])?;
        self.place.git(name, &["commit", "-qm", "first"])?;
        Ok(())
    }

    fn time(&self, program: &Path, args: &[&str], name: &str) -> Result<Duration, String> {
        let mut command = self.place.command(program, args, name);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let mut child = command.spawn().map_err(|err| format!("{}: {err}", program.display()))?;
        let status = loop {
            match child.try_wait().map_err(|err| err.to_string())? {
                Some(status) => break status,
                None if start.elapsed() > LONGEST => {
                    let _gone = child.kill().and_then(|()| child.wait());
                    return Err(format!("{args:?} in {name} hangs"));
                }
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        let took = start.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(format!("{args:?} in {name} ended with {status}"))
        }
    }

    /// Counts finished experiments and fails when there are not so many.
    fn finished(&self, name: &str, n: usize) -> Result<(), String> {
        let refs = self.place.git(name, &["for-each-ref", "--format=%(refname)", "refs/exps"])?;
        let found = refs.lines().filter(|line| line.split('/').count() == 5).count();
        if found == n { Ok(()) } else { Err(format!("{found} of {n} jobs finished in {name}")) }
    }

    /// A hundred jobs queued, each by a command of its own, and twenty run by four workers.
    fn beside(&self) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        for (what, queue_first) in
            [("queue 100 experiments, one command each", 100), ("run 20 empty jobs, 4 workers", 20)]
        {
            let runs_them = queue_first == 20;
            let one = |program: &Path, prefix: &[&str], name: &str| -> Result<Duration, String> {
                self.project(name)?;
                let mut took = Duration::ZERO;
                for n in 1..=queue_first {
                    let change = format!("n={n}");
                    let args = [prefix, &["exp", "run", "--queue", "-q", "-S", &change]].concat();
                    took += self.time(program, &args, name)?;
                }
                if runs_them {
                    let args = [prefix, &["exp", "run", "--run-all", "-j", "4"]].concat();
                    took = self.time(program, &args, name)?;
                    self.finished(name, queue_first)?;
                }
                Ok(took)
            };
            let ours = one(&self.exp, &["dvc"], &format!("ours-{queue_first}"))?;
            let theirs = |dvc: &PathBuf| one(dvc, &[], &format!("theirs-{queue_first}"));
            let dvc = self.dvc.as_ref().map(theirs).transpose()?;
            rows.push(Row { what, ours, dvc, target: dvc.map(|dvc| dvc / FASTER) });
        }
        Ok(rows)
    }

    fn five_hundred(&self) -> Result<Row, String> {
        self.project("many")?;
        self.time(&self.exp, &["run", "--queue", "-q", "-n", "m", "-S", "n=range(1,501)"], "many")?;
        let ours = self.time(&self.exp, &["run", "--run-all", "-q", "-j", "8"], "many")?;
        self.finished("many", 500)?;
        Ok(Row { what: "run 500 empty jobs, 8 workers", ours, dvc: None, target: None })
    }

    fn ten_thousand(&self) -> Result<Vec<Row>, String> {
        self.project("large")?;
        let queue = ["run", "--queue", "-q", "-n", "a", "-S", "n=range(1,1001)"];
        let target = Some(Duration::from_secs(2));
        let ours = self.time(&self.exp, &queue, "large")?;
        let mut rows =
            vec![Row { what: "queue 1,000 experiments at once", ours, dvc: None, target }];
        let queue = ["run", "--queue", "-q", "-n", "b", "-S", "n=range(1001,10001)"];
        self.time(&self.exp, &queue, "large")?;
        let mut best = Duration::MAX;
        for _ in 0..5 {
            best = best.min(self.time(&self.exp, &["queue", "status"], "large")?);
        }
        let target = Some(Duration::from_millis(100));
        rows.push(Row { what: "status of 10,000 jobs", ours: best, dvc: None, target });
        Ok(rows)
    }
}

fn report(rows: &[Row]) -> Result<(), String> {
    let mut text = format!("{:<42}{:>10}{:>10}{:>8}{:>10}\n", "", "exp", "dvc", "ratio", "target");
    let mut n_missed = 0;
    for row in rows {
        let seconds = |took: Duration| format!("{:.3} s", took.as_secs_f64());
        let ratio = row.dvc.map(|dvc| dvc.as_secs_f64() / row.ours.as_secs_f64());
        let missed = row.target.is_some_and(|target| row.ours > target);
        n_missed += usize::from(missed);
        let _ = writeln!(
            text,
            "{:<42}{:>10}{:>10}{:>8}{:>10}{}",
            row.what,
            seconds(row.ours),
            row.dvc.map(seconds).unwrap_or_default(),
            ratio.map(|ratio| format!("{ratio:.0}×")).unwrap_or_default(),
            row.target.map(seconds).unwrap_or_default(),
            if missed { "  missed" } else { "" }
        );
    }
    println!("{text}");
    if n_missed == 0 { Ok(()) } else { Err(format!("{n_missed} targets are missed")) }
}
