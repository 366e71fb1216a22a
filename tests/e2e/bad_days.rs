//! What happens to the queue on bad days that only real processes, disks and machines have: a disk that is full, two
//! machines on one directory, a job that prints without end, a command that is stopped while it queues.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use exp_tests::setting;
use serde_json::Value as Json;

use crate::project::{Outcome, Project};

const PATIENCE: Duration = Duration::from_mins(2);

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

/// A project with this script in a directory `below` the sandbox.
fn scripted(project: &Project, below: &str, train: &str) -> Outcome {
    let dir = project.dir(below);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("dvc.yaml"), PIPELINE)?;
    fs::write(dir.join("params.yaml"), "lr: 0\n")?;
    fs::write(dir.join("train.sh"), train)?;
    project.git_in(below, &["init", "-q"])?;
    project.done(below, &["init"])?;
    project.git_in(below, &["add", "."])?;
    project.git_in(below, &["commit", "-qm", "Pipeline"])?;
    Ok(())
}

fn states(project: &Project, below: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let answer = project.exp(below, &["queue", "status", "--json"])?;
    let status: Json = serde_json::from_str(&answer.stdout).map_err(|_| answer.both())?;
    let jobs = status["jobs"].as_array().ok_or("no jobs")?;
    Ok(jobs.iter().map(|job| job["state"].as_str().unwrap_or_default().to_owned()).collect())
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped(why: &str) -> Outcome {
    if setting("EXP_REQUIRE_MOUNTS").is_some() {
        return Err(why.into());
    }
    eprintln!("SKIPPED: {why}");
    Ok(())
}

/// A small disk, which goes with this.
struct Disk(PathBuf);

impl Disk {
    fn new(at: &Path, megabytes: u32) -> std::io::Result<Option<Self>> {
        fs::create_dir_all(at)?;
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "none"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        Ok(mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_path_buf())))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Fills the disk when it is told to: before its outputs are written, or after.
const FILLING: &str = "\
set -e
lr=$(sed -n 's/^lr: *\\([^ ]*\\).*/\\1/p' params.yaml)
fill() { cat /dev/zero > $DVC_ROOT/../ballast 2> /dev/null || true; }
[ ! -e $DVC_ROOT/../early ] || fill
echo \"$lr\" > model.txt
echo \"{\\\"accuracy\\\": $lr}\" > metrics.json
[ ! -e $DVC_ROOT/../late ] || fill
";

#[test]
fn a_full_disk_costs_nothing_but_another_try() -> Outcome {
    let project = Project::new()?;
    let disk = project.dir("disk");
    let Some(_disk) = Disk::new(&disk, 40)? else {
        return skipped("no file system can be mounted here");
    };
    scripted(&project, "disk/work", FILLING)?;
    let before = fs::read(disk.join("work/params.yaml"))?;
    for (when, sweep) in [("early", "lr=1,2,3"), ("late", "lr=4,5,6")] {
        let name = format!("on-{when}");
        project.done("disk/work", &["run", "--queue", "-n", &name, "-S", sweep])?;
        fs::write(disk.join(when), "")?;
        let worked = project.exp("disk/work", &["worker"])?;
        assert!(!worked.both().contains("panicked"), "{}", worked.both());
        assert!(
            worked.both().contains("No space left") || worked.both().contains("not finished"),
            "it is said: {}",
            worked.both()
        );
        // Who looks is told what there is, although nothing can be written.
        let n = if when == "early" { 3 } else { 6 };
        assert_eq!(states(&project, "disk/work")?.len(), n);
        fs::remove_file(disk.join(when))?;
        fs::remove_file(disk.join("ballast"))?;
        let again = project.exp("disk/work", &["queue", "retry", "--failed"])?;
        assert_eq!(again.code, 0, "{}", again.both());
        project.done("disk/work", &["worker"])?;
        let seen = states(&project, "disk/work")?;
        assert!(seen.iter().all(|state| state == "done"), "{when}: {seen:?}");
    }
    let refs =
        project.git_in("disk/work", &["for-each-ref", "--format=%(refname)", "refs/exps"])?;
    let mut names: Vec<&str> = refs.lines().filter_map(|name| name.rsplit('/').next()).collect();
    names.sort_unstable();
    let expected =
        ["on-early-1", "on-early-2", "on-early-3", "on-late-1", "on-late-2", "on-late-3"];
    assert_eq!(names, expected, "each once");
    assert_eq!(fs::read(disk.join("work/params.yaml"))?, before);
    project.git_in("disk/work", &["fsck", "--strict", "--no-dangling"])?;
    Ok(())
}

/// Says that it ran, and takes some hundredths of a second.
const TELLING: &str = "\
set -e
lr=$(sed -n 's/^lr: *\\([^ ]*\\).*/\\1/p' params.yaml)
echo \"$lr $(uname -n)\" >> $DVC_ROOT/../ran
[ ! -e $DVC_ROOT/../wait-$(uname -n) ] || sleep 1000
sleep 0.03
echo \"$lr\" > model.txt
echo \"{\\\"accuracy\\\": $lr}\" > metrics.json
";

/// Starts a worker on another machine, as far as it can tell: with another name, another boot and other process numbers.
fn elsewhere(project: &Project, host: &str) -> std::io::Result<Child> {
    let boot = project.dir(host);
    fs::write(&boot, format!("boot-of-{host}\n"))?;
    let script = format!(
        "hostname {host} && mount --bind {} /proc/sys/kernel/random/boot_id && exec {} worker",
        boot.display(),
        project.program().display()
    );
    let args = ["--uts", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "sh", "-c"];
    project.command("unshare", "shared").args(args).arg(script).stderr(Stdio::null()).spawn()
}

#[test]
fn two_machines_share_a_queue_and_one_may_vanish() -> Outcome {
    let project = Project::new()?;
    let can = Command::new("unshare")
        .args(["--uts", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-c"])
        .arg("hostname x && mount --bind /proc/self/status /proc/sys/kernel/random/boot_id")
        .stderr(Stdio::null())
        .status();
    if !can.is_ok_and(|status| status.success()) {
        return skipped("nothing can be made to look like another machine here");
    }
    scripted(&project, "shared", TELLING)?;
    project.done("shared", &["run", "--queue", "-n", "j", "-S", "lr=range(1,25)"])?;
    let mut machines = [elsewhere(&project, "one")?, elsewhere(&project, "two")?];
    for machine in &mut machines {
        assert!(machine.wait()?.success(), "a worker ends well when nothing is left");
    }
    let seen = states(&project, "shared")?;
    assert_eq!(seen, vec!["done"; 24]);
    let ran = fs::read_to_string(project.dir("ran"))?;
    let mut by_job: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_host: BTreeMap<&str, usize> = BTreeMap::new();
    for line in ran.lines() {
        let (job, host) = line.split_once(' ').ok_or("no host")?;
        *by_job.entry(job).or_default() += 1;
        *by_host.entry(host).or_default() += 1;
    }
    assert_eq!((by_job.len(), by_host.len()), (24, 2), "both worked: {by_host:?}");
    assert!(by_job.values().all(|n| *n == 1), "each ran once: {ran}");

    // A machine that vanishes is believed as long as its beat may still come; what it had is nobody else's meanwhile.
    fs::write(project.dir("wait-one"), "")?;
    project.done("shared", &["run", "--queue", "-n", "k", "-S", "lr=31,32"])?;
    let mut one = elsewhere(&project, "one")?;
    let start = Instant::now();
    while !fs::read_to_string(project.dir("ran"))?.contains("31 one") {
        assert!(start.elapsed() < PATIENCE, "the job never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    one.kill()?;
    one.wait()?;
    project.done("shared", &["worker"])?;
    let answer = project.exp("shared", &["queue", "status", "--json"])?;
    let status: Json = serde_json::from_str(&answer.stdout)?;
    let of = |name: &str| -> Option<&str> {
        let jobs = status["jobs"].as_array()?;
        jobs.iter().find(|job| job["name"] == name)?["state"].as_str()
    };
    assert_eq!((of("k-1"), of("k-2")), (Some("running"), Some("done")));
    assert_eq!(status["workers"][0]["host"], "one", "{status}");
    project.git_in("shared", &["fsck", "--strict", "--no-dangling"])?;
    Ok(())
}

#[test]
fn a_job_that_prints_without_end_costs_neither_memory_nor_disk() -> Outcome {
    let project = Project::new()?;
    let megabytes: u64 = setting("EXP_PRINTED_MB").and_then(|text| text.parse().ok()).unwrap_or(96);
    let script = format!(
        "yes 'a line of what a training script prints' | head -c {megabytes}M\necho the end\n\
         echo 1 > model.txt\necho '{{\"accuracy\": 1}}' > metrics.json\n[ ! -e $DVC_ROOT/../bad ] || exit 3\n"
    );
    scripted(&project, "loud", &script)?;
    project.done("loud", &["run", "--queue", "-n", "good"])?;
    let program = project.program();
    for (name, expect) in [("good", "done"), ("bad", "failed")] {
        if name == "bad" {
            fs::write(project.dir("bad"), "")?;
            project.done("loud", &["run", "--queue", "-n", "bad", "-S", "lr=2"])?;
        }
        let mut worker = project
            .command(&program.display().to_string(), "loud")
            .args(["worker", "-q"])
            .stdout(Stdio::null())
            .spawn()?;
        let mut most = 0;
        while worker.try_wait()?.is_none() {
            most = most.max(memory_of(worker.id()));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(most > 0 && most < 160 << 10, "{most} kB of memory for {name}");
        let log = project.exp("loud", &["queue", "logs", name])?;
        assert!(log.stdout.ends_with("the end\n"), "the end is kept");
        assert!(log.stdout.len() < 16 << 20, "{} bytes are kept", log.stdout.len());
        assert!(states(&project, "loud")?.contains(&expect.to_owned()));
    }
    let size = Command::new("du")
        .args(["-sk", ".dvc/tmp", ".git"])
        .current_dir(project.dir("loud"))
        .output()?;
    let size = String::from_utf8(size.stdout)?;
    let kilobytes: u64 =
        size.lines().filter_map(|line| line.split('\t').next()?.parse::<u64>().ok()).sum();
    assert!(kilobytes < 64 << 10, "{size}");
    Ok(())
}

/// Returns the most memory that a process ever had, in kilobytes; 0 when it is gone.
fn memory_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn who_is_stopped_while_queueing_has_queued_all_or_nothing() -> Outcome {
    let project = Project::new()?;
    scripted(&project, "sweep", TELLING)?;
    let program = project.program();
    let mut n_all = 0;
    for (round, signal) in ["-INT", "-KILL", "-TERM"].iter().cycle().take(12).enumerate() {
        let name = format!("s{round}");
        let mut adding = project
            .command(&program.display().to_string(), "sweep")
            .args(["run", "--queue", "-q", "-n", &name, "-S", "lr=range(1,201)"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(20 * u64::try_from(round)?));
        Command::new("kill")
            .args([*signal, &adding.id().to_string()])
            .stderr(Stdio::null())
            .status()?;
        adding.wait()?;
        let seen = states(&project, "sweep")?;
        assert!(seen.iter().all(|state| state == "queued"), "{seen:?}");
        let n = seen.len() - n_all;
        assert!(n == 0 || n == 200, "{n} of 200 after {signal}");
        n_all += n;
    }
    let refs = project.git_in("sweep", &["for-each-ref", "refs/exp/queue"])?;
    assert_eq!(refs.lines().count(), n_all, "no ref is left of what was taken back");
    project.git_in("sweep", &["fsck", "--strict", "--no-dangling"])?;
    Ok(())
}
