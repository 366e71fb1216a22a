//! `cargo xtask bench pipeline`: whole pipelines beside dvc, in one run, against the targets that they have.
//!
//! Every figure is a wall time, process start and all. dvc takes its time, so it runs once for each line, and where a target
//! is a number of seconds only we run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fixture::{Place, write};
use crate::process::{capture, step};
use crate::sides::Sides;

/// A line of the report.
struct Row {
    what: String,
    ours: Duration,
    dvc: Option<Duration>,
    /// What it has to stay below.
    target: Option<Duration>,
}

/// Builds, measures and prints.
pub(crate) fn run(switches: &[&str]) -> Result<(), String> {
    let Sides { exp, dvc } = Sides::of_switches(switches)?;
    let bench = Bench { place: Place::new("bench-pipeline")?, exp, dvc };
    let mut rows = step("matrix", || bench.matrix())?;
    rows.push(step("at once", || bench.at_once())?);
    rows.extend(step("many", || bench.many())?);
    rows.extend(step("chain", || bench.chain())?);
    report(&rows);
    let missed = rows.iter().filter(|row| row.target.is_some_and(|target| row.ours > target));
    match missed.count() {
        0 => Ok(()),
        n => Err(format!("{n} targets are missed")),
    }
}

struct Bench {
    place: Place,
    exp: PathBuf,
    dvc: Option<PathBuf>,
}

impl Bench {
    /// A project with this `dvc.yaml`; `files` lie beside it.
    fn project(&self, name: &str, pipeline: &str, files: &[(&str, &str)]) -> Result<(), String> {
        let root = self.place.path().join(name);
        write(&root.join("dvc.yaml"), pipeline)?;
        for (path, text) in files {
            write(&root.join(path), text)?;
        }
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
        let status = command.status().map_err(|err| format!("{}: {err}", program.display()))?;
        let took = start.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(format!("{args:?} in {name} ended with {status}"))
        }
    }

    fn ours(&self, args: &[&str], name: &str) -> Result<Duration, String> {
        self.time(&self.exp, args, name)
    }

    fn theirs(&self, args: &[&str], name: &str) -> Result<Option<Duration>, String> {
        self.dvc.as_ref().map(|dvc| self.time(dvc, args, name)).transpose()
    }

    /// 343 stages of `echo`: from nothing, and with nothing to do.
    fn matrix(&self) -> Result<Vec<Row>, String> {
        let pipeline = "stages:\n  m:\n    matrix:\n      a: [1, 2, 3, 4, 5, 6, 7]\n      b: [1, 2, 3, 4, 5, 6, 7]\n      \
                        c: [1, 2, 3, 4, 5, 6, 7]\n    cmd: echo ${item.a} ${item.b} ${item.c} > o/${item.a}-${item.b}-${item.c}\n    \
                        deps: [x]\n    outs:\n    - o/${item.a}-${item.b}-${item.c}\n";
        let files = [("x", "1\n"), ("o/.keep", "")];
        self.project("matrix-ours", pipeline, &files)?;
        self.project("matrix-theirs", pipeline, &files)?;
        let mut rows = Vec::new();
        for what in ["343 stages of echo, from nothing", "343 stages of echo, nothing to do"] {
            let ours = self.ours(&["repro", "-q"], "matrix-ours")?;
            let dvc = self.theirs(&["repro", "-q"], "matrix-theirs")?;
            rows.push(Row { what: what.to_owned(), ours, dvc, target: None });
        }
        Ok(rows)
    }

    /// Eight stages of a second each, all at once.
    fn at_once(&self) -> Result<Row, String> {
        let mut pipeline = "stages:\n".to_owned();
        for n in 0..8 {
            let _ =
                write!(pipeline, "  s{n}:\n    cmd: sleep 1; echo {n} > o{n}\n    outs: [o{n}]\n");
        }
        self.project("at-once", &pipeline, &[])?;
        let ours = self.ours(&["repro", "-q", "-j", "8"], "at-once")?;
        let (what, target) =
            ("8 stages of a second, -j 8".to_owned(), Some(Duration::from_millis(1_500)));
        Ok(Row { what, ours, dvc: None, target })
    }

    /// Ten thousand stages: reading the pipeline and comparing it with its records.
    fn many(&self) -> Result<Vec<Row>, String> {
        const N: usize = 10_000;
        let (mut pipeline, mut lock) =
            ("stages:\n".to_owned(), "schema: '2.0'\nstages:\n".to_owned());
        for n in 0..N {
            let _ = write!(
                pipeline,
                "  s{n}:\n    cmd: cp x o{n}\n    deps:\n    - x\n    outs:\n    - o{n}:\n        cache: false\n"
            );
            let _ = write!(
                lock,
                "  s{n}:\n    cmd: cp x o{n}\n    deps:\n    - path: x\n      hash: md5\n      \
                 md5: b026324c6904b2a9cb4b88d6d61c81d1\n      size: 2\n    outs:\n    - path: o{n}\n      hash: md5\n      \
                 md5: b026324c6904b2a9cb4b88d6d61c81d1\n      size: 2\n"
            );
        }
        // The outputs are small and Git keeps them, so they are there before the project is committed.
        for n in 0..N {
            write(&self.place.path().join(format!("many/o{n}")), "1\n")?;
        }
        self.project("many", &pipeline, &[("x", "1\n"), ("dvc.lock", &lock)])?;
        let target = Some(Duration::from_millis(300));
        // The first look digests ten thousand files, which is not what is asked about.
        let first = self.ours(&["status"], "many")?;
        let mut rows = vec![Row {
            what: "10,000 stages: first status".into(),
            ours: first,
            dvc: None,
            target: None,
        }];
        for (what, args) in [
            ("10,000 stages: list", &["stage", "list", "--name-only"][..]),
            ("10,000 stages: status", &["status"]),
            ("10,000 stages: status as dvc", &["dvc", "status"]),
        ] {
            let mut best = Duration::MAX;
            for _ in 0..5 {
                best = best.min(self.ours(args, "many")?);
            }
            rows.push(Row { what: what.to_owned(), ours: best, dvc: None, target });
        }
        Ok(rows)
    }

    /// A chain: twice as long may take twice as long, and half as much again for the noise.
    fn chain(&self) -> Result<Vec<Row>, String> {
        let mut rows: Vec<Row> = Vec::new();
        for n in [250, 500, 1_000] {
            let name = format!("chain-{n}");
            let mut pipeline = "stages:\n".to_owned();
            for at in 0..n {
                let next = at + 1;
                let _ = write!(
                    pipeline,
                    "  s{at}:\n    cmd: cp o/{at} o/{next}\n    deps: [o/{at}]\n    outs: [o/{next}]\n"
                );
            }
            self.project(&name, &pipeline, &[("o/0", "1\n")])?;
            let ours = self.ours(&["repro", "-q"], &name)?;
            let target = rows.last().map(|before| before.ours * 3);
            rows.push(Row { what: format!("a chain of {n} stages"), ours, dvc: None, target });
        }
        Ok(rows)
    }
}

fn report(rows: &[Row]) {
    println!("\n{:<36} {:>10} {:>10} {:>7} {:>10}", "", "exp", "dvc", "ratio", "target");
    for row in rows {
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        let dvc = row.dvc.map(seconds).unwrap_or_default();
        let ratio =
            row.dvc.map(|dvc| format!("{:.0}x", dvc.as_secs_f64() / row.ours.as_secs_f64()));
        let target = row.target.map(|target| {
            let mark = if row.ours > target { "!" } else { "" };
            format!("{mark}{}", seconds(target))
        });
        println!(
            "{:<36} {:>10} {dvc:>10} {:>7} {:>10}",
            row.what,
            seconds(row.ours),
            ratio.unwrap_or_default(),
            target.unwrap_or_default()
        );
    }
}
