//! The queue when processes are killed: workers and commands, at any instant.
//!
//! `cargo xtask torture queue` does it with a hundred jobs and two hundred kills; here it is a fifth of that, or what
//! `EXP_TORTURE_KILLS` says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use exp_tests::setting;
use serde_json::Value as Json;

use crate::project::{Outcome, Project};

/// How long the whole may take that is left to do after the last kill.
const PATIENCE: Duration = Duration::from_mins(10);

const PIPELINE: &str = "\
stages:
  train:
    cmd: sh train.sh
    params:
    - lr
    deps:
    - train.sh
    outs:
    - model.txt
    metrics:
    - metrics.json:
        cache: false
";

/// Takes some tenths of a second, in a child that left the group of its command. It fails when any part of it is killed.
const TRAIN: &str = "\
set -e
lr=$(sed -n 's/^lr: *\\([^ ]*\\).*/\\1/p' params.yaml)
setsid sh -c 'sleep 0.2; exit 0' &
wait $!
echo \"$lr\" > model.txt
sleep 0.$((lr % 4))
echo \"{\\\"accuracy\\\": $lr}\" > metrics.json
";

/// Numbers that look random; the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
}

#[test]
fn whatever_is_killed_every_job_ends_once() -> Outcome {
    let n_kills: u64 =
        setting("EXP_TORTURE_KILLS").and_then(|text| text.parse().ok()).unwrap_or(40);
    let n_jobs = (n_kills / 2).clamp(10, 100);
    let seed = setting("EXP_TORTURE_SEED").and_then(|text| text.parse().ok()).unwrap_or(7);
    let mut dice = Dice(seed);
    let project = Project::new()?;
    project.write("dvc.yaml", PIPELINE)?;
    project.write("train.sh", TRAIN)?;
    project.write("params.yaml", "lr: 1\n")?;
    project.write("untracked.txt", "mine\n")?;
    let sweep = format!("lr=range(1,{})", n_jobs + 1);
    project.done("repo", &["run", "--queue", "-n", "k", "-S", &sweep])?;
    let before = bytes(&project.dir("repo"))?;
    let mut n_killed = 0;
    while n_killed < n_kills {
        project.done("repo", &["queue", "start", "-j", "3"])?;
        let mut n_dry = 0;
        while n_killed < n_kills && n_dry < 20 {
            std::thread::sleep(Duration::from_millis(dice.below(60)));
            let victims = processes(&project);
            if victims.is_empty() {
                n_dry += 1;
                continue;
            }
            let at = usize::try_from(dice.below(victims.len() as u64))?;
            kill(victims[at].0);
            n_killed += 1;
            check(&project, n_jobs)?;
            if dice.below(3) == 0 {
                break;
            }
        }
        if n_dry > 0 && n_killed < n_kills {
            // Nothing is left to kill: what was lost is queued again.
            let said = project.exp("repo", &["queue", "retry", "--failed"])?;
            if said.both().contains("No job failed") {
                break;
            }
        }
    }
    assert!(n_killed >= n_kills / 2, "{n_killed} of {n_kills}");
    // One restart, and nothing is open any more.
    settle(&project)?;
    project.done("repo", &["worker"])?;
    let states = states(&project)?;
    assert_eq!(states.len() as u64, n_jobs);
    for (name, state) in &states {
        assert!(matches!(state.as_str(), "done" | "failed" | "lost"), "{name} is {state}");
    }
    let start = Instant::now();
    while states_with(&project, "done")? < n_jobs {
        assert!(start.elapsed() < PATIENCE, "{:?}", self::states(&project)?);
        project.done("repo", &["queue", "retry", "--failed"])?;
        project.done("repo", &["worker"])?;
    }
    let mut expected: Vec<String> = (1..=n_jobs).map(|n| format!("k-{n}")).collect();
    expected.sort();
    let mut found = project.experiments()?;
    found.sort();
    assert_eq!(found, expected, "each finished once");
    for n in 1..=n_jobs {
        let metrics = project.git(&["for-each-ref", "--format=%(refname)", "refs/exps"])?;
        let suffix = format!("/k-{n}");
        let name = metrics.lines().find(|line| line.ends_with(&suffix)).ok_or("no ref")?;
        let text = project.git(&["show", &format!("{name}:metrics.json")])?;
        assert_eq!(text.trim(), format!("{{\"accuracy\": {n}}}"));
    }
    assert!(processes(&project).is_empty(), "{:?}", processes(&project));
    assert_eq!(bytes(&project.dir("repo"))?, before, "the workspace is as it was");
    let work = project.dir("repo").join(".dvc/tmp/exp/work");
    assert_eq!(fs::read_dir(work)?.count(), 0, "no work tree is left");
    project.git_check().fsck()?;
    Ok(())
}

/// Waits until no worker lives any more.
fn settle(project: &Project) -> Outcome {
    project.done("repo", &["queue", "stop"])?;
    let start = Instant::now();
    while processes(project).iter().any(|(_, is_worker)| *is_worker) {
        assert!(start.elapsed() < PATIENCE, "a worker does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// After any command no job runs without a live process, and no command runs without its worker.
fn check(project: &Project, n_jobs: u64) -> Outcome {
    let status = status(project)?;
    let jobs = status["jobs"].as_array().ok_or("no jobs")?;
    assert_eq!(jobs.len() as u64, n_jobs, "no job is lost");
    // A worker may end, and a job begin, after it was looked at: only what is so twice in a row counts.
    let orphans = |all: &[(u32, bool)]| -> Vec<u32> {
        let commands = all.iter().filter(|(_, is_worker)| !is_worker).map(|(pid, _)| *pid);
        commands.filter(|pid| owner(*pid).is_some_and(|owner| !is_alive(owner))).collect()
    };
    let first = orphans(&processes(project));
    if !first.is_empty() {
        self::status(project)?;
        let second = orphans(&processes(project));
        assert!(!second.iter().any(|pid| first.contains(pid)), "orphans: {second:?}");
    }
    let running = |status: &Json| -> Result<Vec<u64>, Box<dyn std::error::Error>> {
        let jobs = status["jobs"].as_array().ok_or("no jobs")?;
        let busy: Vec<&Json> = status["workers"]
            .as_array()
            .ok_or("no workers")?
            .iter()
            .filter(|worker| {
                worker["pid"].as_u64().is_some_and(|pid| u32::try_from(pid).is_ok_and(is_alive))
            })
            .map(|worker| &worker["job"])
            .collect();
        let alone =
            jobs.iter().filter(|job| job["state"] == "running" && !busy.contains(&&job["number"]));
        Ok(alone.filter_map(|job| job["number"].as_u64()).collect())
    };
    let first = running(&status)?;
    if !first.is_empty() {
        let second = running(&self::status(project)?)?;
        assert!(!second.iter().any(|job| first.contains(job)), "without a worker: {second:?}");
    }
    Ok(())
}

fn status(project: &Project) -> Result<Json, Box<dyn std::error::Error>> {
    let answer = project.exp("repo", &["queue", "status", "--json"])?;
    if answer.code != 0 {
        return Err(answer.both().into());
    }
    Ok(serde_json::from_str(&answer.stdout)?)
}

fn states(project: &Project) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let status = status(project)?;
    let jobs = status["jobs"].as_array().ok_or("no jobs")?;
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    Ok(jobs.iter().map(|job| (text(&job["name"]), text(&job["state"]))).collect())
}

fn states_with(project: &Project, state: &str) -> Result<u64, Box<dyn std::error::Error>> {
    Ok(states(project)?.values().filter(|found| *found == state).count() as u64)
}

/// Returns workers of the project and commands of its jobs, by number, and whether each is a worker.
fn processes(project: &Project) -> Vec<(u32, bool)> {
    let root = project.dir("repo");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(cwd) = fs::read_link(format!("/proc/{pid}/cwd")) else { continue };
        if !cwd.starts_with(&root) || !is_alive(pid) {
            continue;
        }
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(" worker --detached") {
            found.push((pid, true));
        } else if owner(pid).is_some() {
            found.push((pid, false));
        }
    }
    found
}

/// Returns the process that runs the command which this process belongs to.
fn owner(pid: u32) -> Option<u32> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mark = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| std::str::from_utf8(variable).ok()?.strip_prefix("EXP_COMMAND="))?;
    mark.split('-').next()?.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn kill(pid: u32) {
    // It may have ended just now.
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .ok();
}

/// Returns every file of the workspace that people see, with its bytes, and `HEAD` and the index.
fn bytes(root: &Path) -> Result<BTreeMap<String, Vec<u8>>, Box<dyn std::error::Error>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_file() {
            files.insert(path.display().to_string(), fs::read(&path)?);
        }
    }
    for name in ["HEAD", "index", "config"] {
        files.insert(name.to_owned(), fs::read(root.join(".git").join(name))?);
    }
    Ok(files)
}
