//! `cargo xtask bench`: whole commands side by side with dvc, in one run, with ratios.
//!
//! Every figure is a median of wall times, process start and all. Repositories with many experiments are made through
//! `git fast-import`, so that both tools read what neither wrote.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fixture::{Place, write};
use crate::process::capture;
use crate::sides::Sides;

/// How often our command runs, and how often that of dvc, which takes its time.
const OUR_ROUNDS: usize = 15;
const DVC_ROUNDS: usize = 3;

/// The numbers of experiments in the table's repositories.
const SIZES: &[usize] = &[10, 500, 5_000];

/// And in the one where the index of rows is measured, which dvc does not have.
const MANY: usize = 10_000;

/// A line of the report.
struct Row {
    what: String,
    ours: Duration,
    dvc: Option<Duration>,
}

/// Builds, measures and prints.
pub(crate) fn run(switches: &[&str]) -> Result<(), String> {
    let (mut is_full, mut exp) = (false, None);
    let mut rest = switches.iter();
    while let Some(switch) = rest.next() {
        match *switch {
            "--full" => is_full = true,
            "--exp" => exp = rest.next().map(PathBuf::from),
            _ => return Err(format!("unknown switch {switch}")),
        }
    }
    let Sides { exp, dvc } = Sides::new(exp, true)?;
    let bench = Bench { place: Place::new("bench")?, exp, dvc };
    let mut rows =
        vec![bench.measure("start-up: --version", "", &["--version"], &["--version"], "")?];
    rows.extend(bench.pipeline()?);
    for &n_experiments in SIZES {
        let with_dvc = n_experiments <= 500 || is_full;
        rows.push(bench.table(n_experiments, with_dvc)?);
    }
    rows.extend(bench.index()?);
    report(&rows);
    Ok(())
}

struct Bench {
    place: Place,
    exp: PathBuf,
    dvc: Option<PathBuf>,
}

impl Bench {
    /// No-op run, run around an empty command, status, apply: in one small project for each tool.
    fn pipeline(&self) -> Result<Vec<Row>, String> {
        for tool in ["ours", "theirs"] {
            self.project(tool)?;
        }
        let mut rows = Vec::new();
        for (what, ours, theirs) in [
            ("repro, nothing to do", &["repro"][..], &["repro"][..]),
            ("status", &["status"], &["status"]),
            ("run, nothing to do", &["run"], &["exp", "run"]),
        ] {
            rows.push(self.measure(what, "project", ours, theirs, "")?);
        }
        rows.push(self.measure(
            "run -S around an empty command",
            "project",
            &["run", "-S", "n={round}", "-n", "e{round}"],
            &["exp", "run", "-S", "n={round}", "-n", "e{round}"],
            "",
        )?);
        rows.push(self.measure(
            "apply",
            "project",
            &["apply", "e1"],
            &["exp", "apply", "e1"],
            "",
        )?);
        Ok(rows)
    }

    fn table(&self, n_experiments: usize, with_dvc: bool) -> Result<Row, String> {
        for tool in ["ours", "theirs"] {
            self.crowd(tool, n_experiments)?;
        }
        let what = format!("show, {n_experiments} experiments");
        let drop_cache = "rm -rf .dvc/tmp";
        let only = if with_dvc { "" } else { "ours" };
        let dir = format!("crowd-{n_experiments}");
        let mut row = self.measure_with(
            &what,
            &dir,
            &["show"],
            &["exp", "show", "--no-pager"],
            only,
            drop_cache,
        )?;
        row.what.push_str(" (no cache)");
        Ok(row)
    }

    /// The table of ten thousand experiments: without its index, with it, and when one experiment is new, each with refs
    /// as files of their own and packed.
    fn index(&self) -> Result<Vec<Row>, String> {
        self.crowd("ours", MANY)?;
        let dir = format!("crowd-{MANY}");
        let new = "base=$(git rev-parse HEAD) && name=$(date +%s%N) && \
                   tree=$(git rev-parse \"$(git for-each-ref --count=1 --format='%(objectname)' refs/exps)^{tree}\") && \
                   git update-ref \"refs/exps/$(echo $base | cut -c1-2)/$(echo $base | cut -c3-)/new-$name\" \
                   \"$(git commit-tree -p $base -m $name $tree)\"";
        let mut rows = Vec::new();
        for refs in ["loose", "packed"] {
            if refs == "packed" {
                self.place.git(&format!("ours/{dir}"), &["pack-refs", "--all"])?;
            }
            for (how, before) in [
                ("no index", "rm -rf .dvc/tmp"),
                ("index", "true"),
                ("one is new", new),
                ("a condition", "true"),
                ("groups", "true"),
            ] {
                let what = format!("show, {MANY} experiments, {refs} refs ({how})");
                let ours: &[&str] = match how {
                    "a condition" => &["show", "--where", "accuracy>0.05 and model.depth!=3"],
                    "groups" => &["show", "--group", "model.depth"],
                    _ => &["show"],
                };
                rows.push(self.measure_with(&what, &dir, ours, &[], "ours", before)?);
            }
        }
        Ok(rows)
    }

    fn measure(
        &self,
        what: &str,
        dir: &str,
        ours: &[&str],
        theirs: &[&str],
        only: &str,
    ) -> Result<Row, String> {
        self.measure_with(what, dir, ours, theirs, only, "true")
    }

    /// Medians of both sides. `{round}` in an argument is the number of the round; `before` runs untimed.
    fn measure_with(
        &self,
        what: &str,
        dir: &str,
        ours: &[&str],
        theirs: &[&str],
        only: &str,
        before: &str,
    ) -> Result<Row, String> {
        println!("{what} …");
        let time = |program: &Path, side: &str, args: &[&str], n_rounds: usize| {
            let below = if dir.is_empty() { String::new() } else { format!("{side}/{dir}") };
            let mut times = Vec::new();
            for round in 1..=n_rounds {
                let args: Vec<String> =
                    args.iter().map(|arg| arg.replace("{round}", &round.to_string())).collect();
                let words: Vec<&str> = args.iter().map(String::as_str).collect();
                capture(&mut self.place.command(Path::new("sh"), &["-c", before], &below))?;
                let mut command = self.place.command(program, &words, &below);
                let start = Instant::now();
                capture(&mut command)?;
                times.push(start.elapsed());
            }
            times.sort_unstable();
            Ok::<_, String>(times[times.len() / 2])
        };
        let dvc = self.dvc.as_deref().filter(|_| only.is_empty());
        Ok(Row {
            what: what.to_owned(),
            ours: time(&self.exp, "ours", ours, OUR_ROUNDS)?,
            dvc: dvc.map(|dvc| time(dvc, "theirs", theirs, DVC_ROUNDS)).transpose()?,
        })
    }

    /// One stage that does nothing and depends on one parameter; already run and committed.
    fn project(&self, tool: &str) -> Result<(), String> {
        let dir = format!("{tool}/project");
        let path = self.place.path().join(&dir);
        write(&path.join("params.yaml"), "n: 0\n")?;
        write(
            &path.join("dvc.yaml"),
            "stages:\n  empty:\n    cmd: 'true'\n    params:\n    - n\n    deps:\n    - code.txt\n",
        )?;
        write(&path.join("code.txt"), "nothing\n")?;
        self.place.git(&dir, &["init", "-q"])?;
        let (program, grammar): (&Path, &[&[&str]]) = match (&self.dvc, tool) {
            (Some(dvc), "theirs") => (dvc, &[&["init", "-q"], &["repro", "-q"]]),
            _ => (&self.exp, &[&["init"], &["repro"]]),
        };
        for args in grammar {
            capture(&mut self.place.command(program, args, &dir))?;
        }
        self.place.git(&dir, &["add", "."])?;
        self.place.git(&dir, &["commit", "-qm", "Start"]).map(drop)
    }

    /// A repository with many experiments on one commit.
    fn crowd(&self, tool: &str, n_experiments: usize) -> Result<(), String> {
        let dir = format!("{tool}/crowd-{n_experiments}");
        let path = self.place.path().join(&dir);
        write(&path.join(".dvc/config"), "")?;
        write(&path.join(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")?;
        write(&path.join("params.yaml"), "lr: 0.1\nmodel:\n  depth: 3\n  name: base\n")?;
        write(&path.join("metrics.json"), "{\"accuracy\": 0.5, \"loss\": 1.0}\n")?;
        write(&path.join("code.txt"), "nothing\n")?;
        write(
            &path.join("dvc.yaml"),
            "stages:\n  train:\n    cmd: 'true'\n    deps:\n    - code.txt\n    params:\n    - lr\n    - model.depth\n    \
             metrics:\n    - metrics.json:\n        cache: false\n",
        )?;
        self.place.git(&dir, &["init", "-q"])?;
        self.place.git(&dir, &["add", "."])?;
        self.place.git(&dir, &["commit", "-qm", "Start"])?;
        let base = self.place.git(&dir, &["rev-parse", "HEAD"])?;
        let stream = stream(base.trim(), n_experiments);
        let mut command = self.place.command(Path::new("git"), &["fast-import", "--quiet"], &dir);
        let mut child =
            command.stdin(Stdio::piped()).spawn().map_err(|err| format!("no git: {err}"))?;
        let input = child.stdin.take().ok_or("git has no input")?;
        let written = { input }.write_all(stream.as_bytes());
        let status = child.wait().map_err(|err| format!("git fast-import: {err}"))?;
        match written {
            Ok(()) if status.success() => Ok(()),
            _ => Err(format!("git fast-import ended with {status}")),
        }
    }
}

/// The commits of many experiments in the language of `git fast-import`.
fn stream(base: &str, n_experiments: usize) -> String {
    let mut text = String::new();
    let (two, rest) = base.split_at(2);
    let data = |text: &mut String, content: &str| {
        let _infallible = writeln!(text, "data {}\n{content}", content.len());
    };
    for index in 0..n_experiments {
        let moment = 1_767_000_000 + index;
        let _infallible = write!(
            text,
            "commit refs/exps/{two}/{rest}/made-{index:05}\n\
             author Ada <ada@example.org> {moment} +0000\ncommitter Ada <ada@example.org> {moment} +0000\n"
        );
        data(&mut text, &format!("dvc: commit experiment {index:064x}"));
        let _infallible = write!(text, "from {base}\nM 100644 inline params.yaml\n");
        let depth = index % 9;
        data(&mut text, &format!("lr: 0.{index:05}1\nmodel:\n  depth: {depth}\n  name: base\n"));
        text.push_str("M 100644 inline metrics.json\n");
        data(&mut text, &format!("{{\"accuracy\": 0.{index:05}5, \"loss\": 1.{index:05}}}\n"));
        text.push('\n');
    }
    text
}

fn report(rows: &[Row]) {
    println!("\n{:<56} {:>12} {:>12} {:>8}", "median wall time", "exp", "dvc", "ratio");
    for row in rows {
        let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        let ratio =
            row.dvc.map(|dvc| format!("{:.0}×", dvc.as_secs_f64() / row.ours.as_secs_f64()));
        println!(
            "{:<56} {:>12} {:>12} {:>8}",
            row.what,
            millis(row.ours),
            row.dvc.map_or("–".to_owned(), millis),
            ratio.unwrap_or_else(|| "–".to_owned())
        );
    }
    println!("\n{OUR_ROUNDS} rounds of exp, {DVC_ROUNDS} of dvc, release build");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_experiments_that_git_finds_sound() -> Result<(), String> {
        let bench = Bench { place: Place::new("bench")?, exp: PathBuf::from("exp"), dvc: None };
        bench.crowd("ours", 12)?;
        let dir = "ours/crowd-12";
        let refs = bench.place.git(dir, &["for-each-ref", "--format=%(refname)", "refs/exps"])?;
        assert_eq!(refs.lines().filter(|name| name.split('/').count() == 5).count(), 12);
        bench.place.git(dir, &["fsck", "--strict", "--no-dangling"])?;
        let name = refs.lines().nth(11).unwrap_or_default();
        let params = bench.place.git(dir, &["show", &format!("{name}:params.yaml")])?;
        assert_eq!(params, "lr: 0.000111\nmodel:\n  depth: 2\n  name: base\n");
        Ok(())
    }
}
