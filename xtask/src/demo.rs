//! `cargo xtask demo`: the main job on a real project, from nothing to a printed table and a restored experiment.
//!
//! The project is `examples/digits`. Each step prints its command and the command's own output, then checks what it
//! left behind; the first check that fails ends the demo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::fixture::{Place, copy_dir, read};
use crate::process::{capture, cargo, root, run as shell, seconds, step, target};

/// What becomes of the repositories that the demo made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// They stay, to look around in.
    Keep,
    /// They are deleted.
    Remove,
}

/// The experiments: a name and what each changes.
const EXPERIMENTS: &[(&str, &[&str])] = &[
    ("narrow", &["train.hidden=4", "train.learning_rate=0.02"]),
    ("wide", &["train.hidden=24", "train.learning_rate=0.02"]),
    ("wide-and-fast", &["train.hidden=24", "train.learning_rate=0.05"]),
    ("fast", &["train.hidden=8", "train.learning_rate=0.1"]),
];

/// Reads the switches, builds the release binary unless one is given, and walks.
pub(crate) fn run(switches: &[&str]) -> Result<(), String> {
    let mut after = After::Remove;
    let mut exp = None;
    let mut rest = switches.iter();
    while let Some(switch) = rest.next() {
        match (*switch, exp.is_none()) {
            ("--keep", _) => after = After::Keep,
            ("--exp", true) => exp = rest.next().map(PathBuf::from),
            _ => return Err(format!("unknown switch {switch}")),
        }
    }
    let exp = match exp {
        Some(exp) => exp,
        None => step("build", release)?,
    };
    walk(&exp, after)
}

/// Builds the release binary.
pub(crate) fn release() -> Result<PathBuf, String> {
    shell(&mut cargo(["build", "--release", "-p", "exp-cli"]))?;
    Ok(target().join("release/exp"))
}

/// Walks through the project with a binary.
pub(crate) fn walk(exp: &Path, after: After) -> Result<(), String> {
    let start = Instant::now();
    let mut place = Place::new("demo")?;
    if after == After::Keep {
        place.keep();
    }
    copy_dir(&root().join("examples/digits"), &place.path().join("digits"))?;
    let demo = Demo { place, exp: exp.to_path_buf() };
    demo.set_up()?;
    demo.run_experiments()?;
    let best = demo.compare_and_restore()?;
    demo.share(&best)?;
    println!(
        "demo: a pipeline, {} experiments, a table, one restored, promoted, shared and verified in {}",
        EXPERIMENTS.len(),
        seconds(start.elapsed())
    );
    if after == After::Keep {
        println!("demo: left in {}", demo.place.path().display());
    }
    Ok(())
}

struct Demo {
    place: Place,
    exp: PathBuf,
}

impl Demo {
    fn set_up(&self) -> Result<(), String> {
        title("A Git repository with a training script becomes a project");
        self.git("digits", &["init"])?;
        self.exp("digits", &["init"])?;
        self.expect_file("digits/.dvc/config")?;
        self.exp("digits", &["stage", "list"])?;
        self.exp("digits", &["data", "add", "data/digits.csv"])?;
        self.expect_file("digits/data/digits.csv.dvc")?;
        self.exp("digits", &["remote", "add", "-d", "store", "../store"])?;
        self.git("digits", &["add", "."])?;
        self.git("digits", &["commit", "-qm", "Digits: data, code and pipeline"])?;
        let tracked = self.place.git("digits", &["ls-files"])?;
        check(!tracked.lines().any(|path| path == "data/digits.csv"), "the data are not in Git")?;

        title("The baseline");
        self.exp("digits", &["repro"])?;
        self.expect_file("digits/metrics.json")?;
        self.git("digits", &["add", "."])?;
        self.git("digits", &["commit", "-qm", "Baseline"])?;
        let left = self.exp_quiet("digits", &["repro"])?;
        check(!left.contains("epoch"), "nothing changed, nothing runs")
    }

    fn run_experiments(&self) -> Result<(), String> {
        title("Four experiments; HEAD, the index and the branches stay where they are");
        let before = self.untouchable()?;
        for (name, changes) in EXPERIMENTS {
            let mut args = vec!["run", "-n", name];
            args.extend(changes.iter().flat_map(|change| ["-S", change]));
            self.exp("digits", &args)?;
        }
        check(
            before == self.untouchable()?,
            "HEAD, index and branches are as before, byte for byte",
        )?;
        let (_, changes) = EXPERIMENTS[EXPERIMENTS.len() - 1];
        let mut again = vec!["run"];
        again.extend(changes.iter().flat_map(|change| ["-S", change]));
        self.exp("digits", &again)?;
        self.git_quiet("digits", &["fsck", "--strict", "--no-dangling"])?;
        check(
            self.experiments()?.len() == EXPERIMENTS.len(),
            "each is a commit under refs/exps, the identical run made none",
        )?;
        let params = self
            .place
            .git("digits", &["show", &format!("{}:params.yaml", self.commit("fast")?)])?;
        check(
            params.contains("learning_rate: 0.1   #") || params.contains("learning_rate: 0.1  #"),
            "-S changed the value and kept the comment behind it",
        )
    }

    /// Returns the name of the best experiment.
    fn compare_and_restore(&self) -> Result<String, String> {
        title("The table");
        let table = self.exp("digits", &["show"])?;
        for (name, _) in EXPERIMENTS {
            check(table.contains(name), &format!("the table has {name}"))?;
        }
        self.exp("digits", &["diff", "narrow", "wide-and-fast"])?;

        title("The best one comes back");
        let best = self.best()?;
        self.exp("digits", &["apply", "best:accuracy"])?;
        let recorded = self
            .place
            .git("digits", &["show", &format!("{}:metrics.json", self.commit(&best)?)])?;
        check(
            read(&self.place.path().join("digits/metrics.json"))? == recorded,
            &format!("the workspace has the metrics of {best}, the highest accuracy of all"),
        )?;
        self.exp("digits", &["branch", &best, "winner"])?;
        let branch = self.place.git("digits", &["rev-parse", "winner"])?;
        check(branch.trim() == self.commit(&best)?, "the branch is the commit of the experiment")?;
        Ok(best)
    }

    fn share(&self, best: &str) -> Result<(), String> {
        title("Shared through a Git remote and a data remote, restored in a fresh clone");
        fs::create_dir_all(self.place.path().join("store"))
            .map_err(|err| format!("no store: {err}"))?;
        self.git("", &["init", "-q", "--bare", "team.git"])?;
        self.git("digits", &["remote", "add", "origin", "../team.git"])?;
        self.git("digits", &["push", "-q", "origin", "main"])?;
        self.exp("digits", &["push", "origin", best])?;
        self.git("", &["clone", "-q", "team.git", "clone"])?;
        self.exp("clone", &["pull", "origin", best])?;
        self.exp("clone", &["apply", best])?;
        for path in ["model.json", "metrics.json", "prepared/train.csv", "data/digits.csv"] {
            let digests = ["digits", "clone"].map(|below| self.sha256(below, path));
            let [Ok(here), Ok(there)] = &digests else {
                return Err(format!("cannot digest {path}: {digests:?}"));
            };
            check(
                here == there,
                &format!("{path} is the same here and there: sha256 {}…", &here[..16]),
            )?;
        }
        let original = read(&root().join("examples/digits/data/digits.csv"))?;
        let restored = read(&self.place.path().join("clone/data/digits.csv"))?;
        check(original == restored, "the data are those that were added")?;
        let left = self.exp_quiet("clone", &["repro"])?;
        check(!left.contains("epoch"), "in the clone nothing is left to run")
    }

    /// Prints and runs `exp`, prints its output, and returns it.
    fn exp(&self, below: &str, args: &[&str]) -> Result<String, String> {
        let output = show("exp", args, self.place.command(&self.exp, args, below))?;
        println!();
        Ok(output)
    }

    fn exp_quiet(&self, below: &str, args: &[&str]) -> Result<String, String> {
        capture(&mut self.place.command(&self.exp, args, below))
    }

    fn git(&self, below: &str, args: &[&str]) -> Result<(), String> {
        show("git", args, self.place.command(Path::new("git"), args, below)).map(drop)
    }

    fn git_quiet(&self, below: &str, args: &[&str]) -> Result<(), String> {
        self.place.git(below, args).map(drop)
    }

    fn expect_file(&self, path: &str) -> Result<(), String> {
        check(self.place.path().join(path).is_file(), &format!("{path} is there"))
    }

    /// `HEAD`, the index and the branches, as bytes.
    fn untouchable(&self) -> Result<(Vec<u8>, Vec<u8>, String), String> {
        let file = |name: &str| {
            let path = self.place.path().join("digits/.git").join(name);
            fs::read(&path).map_err(|err| format!("cannot read {}: {err}", path.display()))
        };
        Ok((
            file("HEAD")?,
            file("index")?,
            self.place.git("digits", &["for-each-ref", "refs/heads"])?,
        ))
    }

    /// Commits by name.
    fn experiments(&self) -> Result<BTreeMap<String, String>, String> {
        let refs = self
            .place
            .git("digits", &["for-each-ref", "--format=%(objectname) %(refname)", "refs/exps"])?;
        let mut found = BTreeMap::new();
        for line in refs.lines() {
            if let [id, _, "exps", _, rest, name] = line.split([' ', '/']).collect::<Vec<_>>()[..]
                && rest.len() == 38
            {
                found.insert(name.to_owned(), id.to_owned());
            }
        }
        Ok(found)
    }

    fn commit(&self, name: &str) -> Result<String, String> {
        self.experiments()?.remove(name).ok_or(format!("there is no experiment {name}"))
    }

    /// The name of the experiment with the highest accuracy, read with `git` and without `exp`.
    fn best(&self) -> Result<String, String> {
        let mut best = (f64::MIN, String::new());
        for (name, id) in self.experiments()? {
            let metrics = self.place.git("digits", &["show", &format!("{id}:metrics.json")])?;
            let value = metrics.split_once("\"accuracy\":").map(|(_, rest)| rest.trim_start());
            let number =
                value.and_then(|text| text.split([',', '}', '\n']).next()?.trim().parse().ok());
            let accuracy: f64 = number.ok_or(format!("{name} has no accuracy: {metrics}"))?;
            if accuracy > best.0 {
                best = (accuracy, name);
            }
        }
        Ok(best.1)
    }

    /// A digest made by someone else than the tool that is shown.
    fn sha256(&self, below: &str, path: &str) -> Result<String, String> {
        let script =
            "import hashlib,sys; print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())";
        let mut command = self.place.command(Path::new("python3"), &["-c", script, path], below);
        capture(&mut command).map(|line| line.trim().to_owned())
    }
}

fn title(text: &str) {
    println!("\n══ {text}\n");
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds {
        println!("  ✓ {what}");
        Ok(())
    } else {
        Err(format!("the demo's check failed: {what}"))
    }
}

/// Prints a command and its output.
fn show(name: &str, args: &[&str], mut command: Command) -> Result<String, String> {
    println!("$ {name} {}", args.join(" "));
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output().map_err(|err| {
        format!("cannot start {}: {err}", command.get_program().to_string_lossy())
    })?;
    let both = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    print!("{both}");
    if name == "exp" {
        println!("  ({})", seconds(start.elapsed()));
    }
    if output.status.success() {
        Ok(both.into_owned())
    } else {
        Err(format!("`{name} {}` ended with {}", args.join(" "), output.status))
    }
}
