//! The queue: what is queued, who runs it, what becomes of it, and what bad days do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use exp_engine::core::{Cancel, CancelToken, Ctx, NullSink};
use exp_engine::params::Overrides;
use exp_engine::{
    EndCause, Error, Job, JobProblem, JobState, Moved, NewJob, Outcome, Project, Queue,
    QueueRequest, StopHow, WorkOptions, WorkReport,
};

use crate::support::{Sandbox, Test};

/// How long something is waited for that has to happen.
const PATIENCE: Duration = Duration::from_mins(2);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn asked(jobs: &[(&str, &[&str])]) -> Result<QueueRequest> {
    let mut request = QueueRequest::default();
    for (name, overrides) in jobs {
        let overrides = Overrides::parse(overrides)?.single().ok_or("a sweep")?;
        request.jobs.push(NewJob { name: Some((*name).to_owned()), overrides });
    }
    Ok(request)
}

fn queued(sandbox: &Sandbox, jobs: &[(&str, &[&str])]) -> Result<(Queue, Vec<Job>)> {
    let queue = sandbox.project()?.queue()?;
    let jobs = queue.add(&Ctx::silent(), &asked(jobs)?)?;
    Ok((queue, jobs))
}

fn work(queue: &Queue, options: &WorkOptions) -> Result<WorkReport> {
    Ok(queue.work(&Ctx::silent(), options, &|_| ())?)
}

fn states(queue: &Queue) -> Result<Vec<String>> {
    let jobs = queue.list()?;
    Ok(jobs.iter().map(|job| format!("{} {}", job.name, job.state.word())).collect())
}

fn job(queue: &Queue, name: &str) -> Result<Job> {
    let jobs = queue.list()?;
    Ok(Queue::find(&jobs, name).cloned().ok_or_else(|| format!("no job {name}"))?)
}

/// Waits until the file is there.
fn until(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "{} never came", path.display());
        thread::sleep(Duration::from_millis(5));
    }
}

/// A project whose stage writes the number of its process to `started` and then waits for `go`, both beside the project.
fn waiting() -> Result<Sandbox> {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "lr: 1\n"),
        (
            "dvc.yaml",
            "stages:\n  train:\n    cmd: 'echo partial; echo \"{\\\"acc\\\": 18}\" > m.json; echo $$ > $DVC_ROOT/../started; until [ -e $DVC_ROOT/../go ]; do sleep 0.01; done'\n    params: [lr]\n    metrics:\n    - m.json:\n        cache: false\n",
        ),
    ])?;
    Ok(sandbox)
}

fn beside(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    sandbox.root().join("..").join(name)
}

#[test]
fn a_job_is_what_the_workspace_was_and_queueing_touches_nothing() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.write("train.sh", &(sandbox.read("train.sh")? + "\n# edited\n"))?;
    sandbox.write("helper.txt", "untracked\n")?;
    sandbox.write(".env", "TOKEN=1\n")?;
    sandbox.write("staged.txt", "staged\n")?;
    sandbox.git(&["add", "staged.txt"])?;
    let before = sandbox.git_state()?;
    let (queue, jobs) = queued(&sandbox, &[("a", &["lr=0.2"]), ("b", &["lr=0.3", "fail=1"])])?;
    assert_eq!(sandbox.git_state()?, before);
    assert_eq!(sandbox.read("params.yaml")?, "lr: 0.1  # learning rate\nfail: 0\n");
    let show = |spec: &str| sandbox.git(&["show", spec]);
    assert_eq!(
        show(&format!("{}:params.yaml", jobs[0].commit))?,
        "lr: 0.2  # learning rate\nfail: 0\n"
    );
    assert_eq!(show(&format!("{}:helper.txt", jobs[0].commit))?, "untracked\n");
    assert_eq!(show(&format!("{}:staged.txt", jobs[1].commit))?, "staged\n");
    assert!(show(&format!("{}:train.sh", jobs[1].commit))?.contains("# edited"));
    assert!(show(&format!("{}:.env", jobs[1].commit)).is_err(), "a secret is not stored");
    let spec = queue.spec(&jobs[1])?;
    let left_out = &spec.left_out[..];
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert_eq!((left_out[0].path.as_str(), left_out[0].size), (".env", Some(8)));
    assert_eq!(left_out[0].digest, None, "not even a digest of a secret");
    assert_eq!(spec.overrides, ["lr=0.3", "fail=1"]);
    assert_eq!(states(&queue)?, ["a queued", "b queued"]);
    assert_eq!(jobs.iter().map(|job| job.number).collect::<Vec<_>>(), [1, 2]);
    sandbox.fsck()
}

#[test]
fn a_worker_runs_what_was_queued_and_not_what_the_workspace_is_now() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let (queue, _) = queued(&sandbox, &[("a", &["lr=0.2"]), ("b", &["lr=0.3"])])?;
    sandbox.write("train.sh", "exit 7\n")?;
    sandbox.write("params.yaml", "broken: [")?;
    let before = (sandbox.git_state()?, sandbox.read("params.yaml")?, sandbox.has("dvc.lock"));
    let report = work(&queue, &WorkOptions::default())?;
    assert_eq!(report.ran.len(), 2);
    assert_eq!(states(&queue)?, ["b done", "a done"]);
    let after = (sandbox.git_state()?, sandbox.read("params.yaml")?, sandbox.has("dvc.lock"));
    assert_eq!(before, after, "the workspace is as it was");
    let a = sandbox.project()?.experiments().find("a")?;
    let params = sandbox.git(&["show", &format!("{}:params.yaml", a.commit)])?;
    assert_eq!(params, "lr: 0.2  # learning rate\nfail: 0\n");
    let end = queue.end(&job(&queue, "a")?)?.ok_or("no end")?;
    assert_eq!((end.outcome, end.experiment()), (Outcome::Done, Some(a)));
    assert_eq!(sandbox.git(&["for-each-ref", "refs/exp/queue"])?, "", "nothing is left to run");
    let left = fs::read_dir(sandbox.root().join(".dvc/tmp/exp/work"))?.count();
    assert_eq!(left, 0, "work trees are removed");
    assert_eq!(fs::read_dir(sandbox.root().join(".dvc/tmp/exp/ops"))?.count(), 0);
    sandbox.fsck()
}

#[test]
fn a_failed_job_says_why_keeps_what_it_wrote_and_is_run_again() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.commit("results")?;
    let (queue, _) = queued(&sandbox, &[("bad", &["fail=3"]), ("good", &["lr=0.5"])])?;
    work(&queue, &WorkOptions::default())?;
    assert_eq!(states(&queue)?, ["good done", "bad failed"]);
    let bad = job(&queue, "bad")?;
    let end = queue.end(&bad)?.ok_or("no end")?;
    assert_eq!(end.cause, Some(EndCause::Exit(3)));
    assert_eq!(end.stage.as_deref(), Some("train"));
    let kept = end.experiment().ok_or("nothing kept")?;
    assert!(!kept.is_finished);
    let log = fs::read_to_string(queue.logs(&bad).join("train.log"))?;
    assert!(log.starts_with("> "), "{log}");
    let refused = queue.retry(&[job(&queue, "good")?]);
    let problem = JobProblem::NotFailed;
    assert!(matches!(refused, Err(Error::Job { problem: found, .. }) if found == problem));
    queue.retry(std::slice::from_ref(&bad))?;
    assert_eq!(states(&queue)?, ["bad queued", "good done"]);
    work(&queue, &WorkOptions::default())?;
    let bad = job(&queue, "bad")?;
    assert_eq!((bad.state, bad.attempt), (JobState::Failed, 2));
    assert_ne!(queue.end(&bad)?.and_then(|end| end.experiment()), Some(kept), "each is kept");
    sandbox.fsck()
}

#[test]
fn jobs_are_held_moved_and_removed() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let names = ["a", "b", "c", "d"];
    let (queue, jobs) = queued(&sandbox, &names.map(|name| (name, &[][..])))?;
    queue.hold(&jobs[..1])?;
    queue.reorder(&jobs[2..], Moved::First)?;
    assert_eq!(states(&queue)?, ["c queued", "d queued", "a held", "b queued"]);
    queue.reorder(&jobs[3..], Moved::First)?;
    queue.reorder(&jobs[2..3], Moved::Last)?;
    assert_eq!(states(&queue)?, ["d queued", "a held", "b queued", "c queued"]);
    queue.remove(&jobs[1..2])?;
    assert!(sandbox.git(&["for-each-ref", "refs/exp/queue"])?.lines().count() == 3);
    work(&queue, &WorkOptions::default())?;
    assert_eq!(states(&queue)?, ["a held", "d done", "c done"]);
    assert!(matches!(queue.hold(&[job(&queue, "d")?]), Err(Error::Job { .. })));
    assert!(matches!(queue.kill(&[job(&queue, "a")?]), Err(Error::Job { .. })));
    queue.release(&[job(&queue, "a")?])?;
    work(&queue, &WorkOptions::default())?;
    assert_eq!(job(&queue, "a")?.state, JobState::Done);
    let all = queue.list()?;
    queue.remove(&all)?;
    assert!(queue.list()?.is_empty());
    let next = queue.add(&Ctx::silent(), &asked(&[("e", &[])])?)?;
    assert_eq!(next[0].number, 5, "a number is given once");
    sandbox.fsck()
}

#[test]
fn a_name_is_given_once_among_what_may_still_run() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let (queue, _) = queued(&sandbox, &[("a", &[])])?;
    let again = queue.add(&Ctx::silent(), &asked(&[("x", &[]), ("a", &[])])?);
    assert!(matches!(again, Err(Error::Edit(_))), "{again:?}");
    let twice = queue.add(&Ctx::silent(), &asked(&[("x", &[]), ("x", &[])])?);
    assert!(matches!(twice, Err(Error::Edit(_))), "{twice:?}");
    let long = queue.add(&Ctx::silent(), &asked(&[(&"x".repeat(200), &[])])?);
    assert!(matches!(long, Err(Error::LongName { .. })), "{long:?}");
    let absent = queue.add(&Ctx::silent(), &asked(&[("y", &["none.at.all=1"])])?);
    assert!(absent.is_err());
    assert_eq!(states(&queue)?, ["a queued"], "all or none");
    work(&queue, &WorkOptions::default())?;
    let taken = queue.add(&Ctx::silent(), &asked(&[("a", &[])])?);
    assert!(matches!(taken, Err(Error::Edit(_))), "{taken:?}");
    let mut request = asked(&[("a", &["lr=7"])])?;
    request.replace = true;
    queue.add(&Ctx::silent(), &request)?;
    work(&queue, &WorkOptions::default())?;
    let a = sandbox.project()?.experiments().find("a")?;
    assert!(sandbox.git(&["show", &format!("{}:params.yaml", a.commit)])?.contains("lr: 7"));
    Ok(())
}

#[test]
fn a_result_takes_another_name_when_its_own_was_given_away_meanwhile() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let (queue, _) = queued(&sandbox, &[("a", &["lr=0.7"])])?;
    let mut request = crate::support::request(&["lr=0.9"])?;
    request.name = Some("a".to_owned());
    sandbox.project()?.run(&Ctx::silent(), &request)?;
    work(&queue, &WorkOptions::default())?;
    let end = queue.end(&job(&queue, "a")?)?.ok_or("no end")?;
    let kept = end.experiment().ok_or("nothing kept")?;
    assert_eq!((end.outcome, kept.name.as_str()), (Outcome::Done, "a-2"));
    Ok(())
}

#[test]
fn a_job_that_runs_is_killed_and_the_worker_goes_on() -> Test {
    let sandbox = waiting()?;
    let (queue, _) = queued(&sandbox, &[("long", &[]), ("next", &["lr=2"])])?;
    let report = thread::scope(|scope| -> Result<WorkReport> {
        let worker =
            scope.spawn(|| work(&queue, &WorkOptions::default()).map_err(|e| e.to_string()));
        until(&beside(&sandbox, "started"));
        let long = job(&queue, "long")?;
        assert_eq!(long.state, JobState::Running);
        let start = Instant::now();
        while !fs::read_to_string(queue.logs(&long).join("train.log"))?.ends_with("partial\n") {
            assert!(start.elapsed() < PATIENCE, "the log is written while it runs");
            thread::sleep(Duration::from_millis(5));
        }
        let workers = queue.workers()?;
        assert_eq!(workers.iter().map(|worker| worker.job).collect::<Vec<_>>(), [Some(1)]);
        assert!(matches!(queue.remove(std::slice::from_ref(&long)), Err(Error::Job { .. })));
        queue.reap(&Ctx::silent())?;
        fs::remove_file(beside(&sandbox, "started"))?;
        queue.kill(&[long])?;
        until(&beside(&sandbox, "started"));
        fs::write(beside(&sandbox, "go"), "")?;
        Ok(worker.join().map_err(|_| "the worker panicked")??)
    })?;
    let outcomes: Vec<Outcome> = report.ran.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [Outcome::Killed, Outcome::Done]);
    let long = job(&queue, "long")?;
    let end = queue.end(&long)?.ok_or("no end")?;
    assert_eq!((long.state, end.cause.clone()), (JobState::Killed, Some(EndCause::Killed)));
    let kept = end.experiment().ok_or("nothing kept")?;
    let metrics = sandbox.git(&["show", &format!("{}:m.json", kept.commit)])?;
    assert_eq!(metrics, "{\"acc\": 18}\n", "what it really wrote");
    assert!(queue.workers()?.is_empty());
    sandbox.fsck()
}

#[test]
fn a_worker_that_has_to_leave_gives_its_job_back() -> Test {
    let sandbox = waiting()?;
    let (queue, _) = queued(&sandbox, &[("a", &[])])?;
    let limited =
        WorkOptions { time_limit: Some(Duration::from_millis(300)), ..WorkOptions::default() };
    let report = work(&queue, &limited)?;
    assert_eq!(report.ran[0].1, Outcome::Again);
    let a = job(&queue, "a")?;
    assert_eq!((a.state, a.attempt), (JobState::Queued, 1));
    assert_eq!(queue.end(&a)?.and_then(|end| end.cause), Some(EndCause::Preempted));

    // So does one that is told to by its caller, or that may run so many jobs.
    fs::remove_file(beside(&sandbox, "started")).ok();
    let token = CancelToken::new();
    let report = thread::scope(|scope| -> Result<WorkReport> {
        let ctx = Ctx::new(&NullSink, token.clone());
        let queue = &queue;
        let worker = scope.spawn(move || queue.work(&ctx, &WorkOptions::default(), &|_| ()));
        until(&beside(&sandbox, "started"));
        token.cancel(Cancel::Stop);
        Ok(worker.join().map_err(|_| "the worker panicked")??)
    })?;
    assert_eq!(report.ran[0].1, Outcome::Again);
    fs::write(beside(&sandbox, "go"), "")?;
    queue.add(&Ctx::silent(), &asked(&[("b", &["lr=5"])])?)?;
    let report = work(&queue, &WorkOptions { max_jobs: Some(1), ..WorkOptions::default() })?;
    assert_eq!(report.ran.len(), 1);
    assert_eq!(states(&queue)?, ["b queued", "a done"]);
    Ok(())
}

#[test]
fn workers_are_stopped_after_their_jobs_or_at_once() -> Test {
    let sandbox = waiting()?;
    for (how, expect) in [(StopHow::Kill, Outcome::Killed), (StopHow::AfterJob, Outcome::Done)] {
        let name = format!("{expect:?}");
        let (queue, _) = queued(&sandbox, &[(&name, &[]), (&format!("{name}-next"), &[])])?;
        fs::remove_file(beside(&sandbox, "started")).ok();
        let keep = WorkOptions { keep: true, ..WorkOptions::default() };
        let report = thread::scope(|scope| -> Result<WorkReport> {
            let worker = scope.spawn(|| queue.work(&Ctx::silent(), &keep, &|_| ()));
            until(&beside(&sandbox, "started"));
            assert_eq!(queue.stop(how)?, 1);
            if how == StopHow::AfterJob {
                assert!(queue.workers()?.iter().all(|worker| worker.is_stopping));
                fs::write(beside(&sandbox, "go"), "")?;
            }
            Ok(worker.join().map_err(|_| "the worker panicked")??)
        })?;
        assert_eq!(report.ran.iter().map(|(_, end)| *end).collect::<Vec<_>>(), [expect]);
        let waiting: Vec<Job> =
            queue.list()?.into_iter().filter(|job| job.state.is_waiting()).collect();
        queue.remove(&waiting)?;
    }
    Ok(())
}

#[test]
fn of_many_workers_each_job_has_one() -> Test {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "n: 0\n"),
        (
            "dvc.yaml",
            "stages:\n  s:\n    cmd: cat params.yaml > out; cat params.yaml >> $DVC_ROOT/../ran\n    params: [n]\n    outs:\n    - out:\n        cache: false\n",
        ),
    ])?;
    let queue = sandbox.project()?.queue()?;
    let mut request = QueueRequest::default();
    for n in 1..=40 {
        let overrides = Overrides::parse(&[format!("n={n}")])?.single().ok_or("a sweep")?;
        request.jobs.push(NewJob { name: Some(format!("j{n}")), overrides });
    }
    queue.add(&Ctx::silent(), &request)?;
    let project: Vec<Project> =
        (0..6).map(|_| sandbox.project()).collect::<std::result::Result<_, _>>()?;
    let reports: Vec<WorkReport> = thread::scope(|scope| {
        let workers: Vec<_> = (project.iter())
            .map(|project| {
                scope.spawn(|| {
                    project.queue()?.work(&Ctx::silent(), &WorkOptions::default(), &|_| ())
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .map_err(|_| "a worker panicked".to_owned())?
                    .map_err(|e| format!("{e:?}"))
            })
            .collect::<std::result::Result<_, String>>()
    })?;
    let ran: Vec<u64> =
        reports.iter().flat_map(|report| &report.ran).map(|(job, _)| job.number).collect();
    assert_eq!((ran.len(), ran.iter().collect::<BTreeSet<_>>().len()), (40, 40));
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(beside(&sandbox, "ran"))?.lines() {
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    assert_eq!(lines.len(), 40);
    assert!(lines.values().all(|n| *n == 1), "each ran once: {lines:?}");
    assert!(queue.list()?.iter().all(|job| job.state == JobState::Done));
    assert_eq!(sandbox.project()?.experiments().list()?.len(), 40);
    sandbox.fsck()
}

#[test]
fn a_thousand_jobs_are_queued_at_once_and_share_their_files() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let names: Vec<String> = (0..1000).map(|n| format!("p-{n}")).collect();
    let mut request = QueueRequest::default();
    for (n, name) in names.iter().enumerate() {
        let overrides = Overrides::parse(&[format!("lr=0.{n}")])?.single().ok_or("a sweep")?;
        request.jobs.push(NewJob { name: Some(name.clone()), overrides });
    }
    let queue = sandbox.project()?.queue()?;
    let jobs = queue.add(&Ctx::silent(), &request)?;
    assert_eq!(queue.list()?, jobs, "in the order of the request");
    assert_eq!(jobs.iter().map(|job| job.commit).collect::<BTreeSet<_>>().len(), 1000);
    sandbox.fsck()
}

#[test]
fn without_its_directory_the_queue_is_what_git_knows() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let (queue, _) = queued(&sandbox, &[("done", &[]), ("bad", &["fail=1"]), ("c", &["lr=9"])])?;
    work(&queue, &WorkOptions { max_jobs: Some(2), ..WorkOptions::default() })?;
    let before: BTreeSet<(String, u64)> =
        queue.list()?.into_iter().map(|job| (job.name.to_string(), job.number)).collect();
    fs::remove_dir_all(sandbox.root().join(".dvc/tmp"))?;
    let queue = sandbox.project()?.queue()?;
    assert_eq!(states(&queue)?, ["bad queued", "c queued"], "what finished is not run again");
    for job in queue.list()? {
        assert!(before.contains(&(job.name.to_string(), job.number)));
    }
    work(&queue, &WorkOptions::default())?;
    assert_eq!(states(&queue)?, ["c done", "bad failed"]);
    let (queue, jobs) = queued(&sandbox, &[("d", &["lr=8"])])?;
    assert!(jobs[0].number > 3 && queue.list()?.len() == 3);
    Ok(())
}

#[test]
fn what_a_newer_version_queued_is_left_to_it() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let (queue, jobs) = queued(&sandbox, &[("new", &[]), ("old", &["lr=4"])])?;
    let message = sandbox.git(&["log", "-1", "--format=%B", &jobs[0].commit.to_string()])?;
    let newer = message.trim_end().replace("\"version\":1", "\"version\":9");
    let tree = format!("{}^{{tree}}", jobs[0].commit);
    let commit = sandbox.git(&["commit-tree", &tree, "-p", "main", "-m", &newer])?;
    let place = sandbox.git(&["for-each-ref", "--format=%(refname)", "refs/exp/queue"])?;
    let place = place.lines().next().ok_or("no ref")?;
    sandbox.git(&["update-ref", place, commit.trim()])?;
    fs::remove_dir_all(sandbox.root().join(".dvc/tmp"))?;
    let queue_now = sandbox.project()?.queue()?;
    drop(queue);
    let token = std::sync::Mutex::new(Vec::new());
    let report = queue_now.work(&Ctx::silent(), &WorkOptions::default(), &|event| {
        if let exp_engine::WorkerEvent::Skipped { job, error } = event {
            token.lock().unwrap().push((job.name.to_string(), error.to_string()));
        }
    })?;
    assert_eq!(report.ran.len(), 1, "the other one ran");
    let skipped = token.into_inner()?;
    assert_eq!(skipped.len(), 1);
    assert!(skipped[0].1.contains("newer version"), "{skipped:?}");
    assert_eq!(states(&queue_now)?, ["new queued", "old done"]);
    Ok(())
}

#[test]
fn a_job_survives_a_deleted_branch_and_a_garbage_collection_while_it_runs() -> Test {
    let sandbox = waiting()?;
    sandbox.git(&["checkout", "-q", "-b", "side"])?;
    sandbox.write("side.txt", "only here\n")?;
    sandbox.commit("side")?;
    let (queue, _) = queued(&sandbox, &[("a", &["lr=2"])])?;
    sandbox.git(&["checkout", "-q", "main"])?;
    sandbox.git(&["branch", "-q", "-D", "side"])?;
    sandbox.git(&["reflog", "expire", "--expire=now", "--all"])?;
    sandbox.git(&["gc", "-q", "--prune=now"])?;
    thread::scope(|scope| -> Test {
        let worker = scope.spawn(|| queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ()));
        until(&beside(&sandbox, "started"));
        sandbox.git(&["gc", "-q", "--prune=now"])?;
        fs::write(beside(&sandbox, "go"), "")?;
        let report = worker.join().map_err(|_| "the worker panicked")??;
        assert_eq!(report.ran[0].1, Outcome::Done);
        Ok(())
    })?;
    let a = sandbox.project()?.experiments().find("a")?;
    assert_eq!(sandbox.git(&["show", &format!("{}:side.txt", a.commit)])?, "only here\n");
    sandbox.fsck()
}

#[test]
fn a_work_tree_that_is_deleted_costs_its_job_and_no_other() -> Test {
    let sandbox = waiting()?;
    let (queue, _) = queued(&sandbox, &[("a", &[]), ("b", &["lr=2"])])?;
    thread::scope(|scope| -> Test {
        let worker = scope.spawn(|| queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ()));
        until(&beside(&sandbox, "started"));
        fs::remove_dir_all(sandbox.root().join(".dvc/tmp/exp/work"))?;
        fs::write(beside(&sandbox, "go"), "")?;
        worker.join().map_err(|_| "the worker panicked")??;
        Ok(())
    })?;
    assert_eq!(states(&queue)?, ["b done", "a failed"]);
    let end = queue.end(&job(&queue, "a")?)?.ok_or("no end")?;
    assert!(end.cause.is_some(), "{end:?}");
    assert_eq!(fs::read_dir(sandbox.root().join(".dvc/tmp/exp/ops"))?.count(), 0);
    sandbox.fsck()
}

#[test]
fn what_a_command_leaves_running_ends_with_its_job() -> Test {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "lr: 1\n"),
        (
            "dvc.yaml",
            "stages:\n  s:\n    cmd: 'setsid sh -c \"echo \\$\\$ > $DVC_ROOT/../pid; exec sleep 1000\" > /dev/null 2>&1 < /dev/null & until [ -s $DVC_ROOT/../pid ]; do sleep 0.01; done; echo 1 > out'\n    params: [lr]\n    outs: [out]\n",
        ),
    ])?;
    let (queue, _) = queued(&sandbox, &[("a", &[])])?;
    work(&queue, &WorkOptions::default())?;
    assert_eq!(states(&queue)?, ["a done"]);
    let pid = fs::read_to_string(beside(&sandbox, "pid"))?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let is_gone = stat.is_empty() || stat.contains(") Z ");
    assert!(is_gone, "{stat}");
    Ok(())
}

#[test]
fn what_a_stage_keeps_is_carried_to_its_next_attempt() -> Test {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "lr: 1\n"),
        (
            "dvc.yaml",
            "stages:\n  s:\n    cmd: 'mkdir -p checkpoint; echo step >> checkpoint/log; n=$(grep -c step checkpoint/log); [ $n -ge 3 ] || exit 1; echo $n > out'\n    params: [lr]\n    outs:\n    - checkpoint:\n        persist: true\n    - out:\n        cache: false\n",
        ),
    ])?;
    let (queue, _) = queued(&sandbox, &[("a", &[])])?;
    for expect in ["a failed", "a failed", "a done"] {
        work(&queue, &WorkOptions::default())?;
        assert_eq!(states(&queue)?, [expect]);
        if expect == "a failed" {
            queue.retry(&queue.list()?)?;
        }
    }
    let a = sandbox.project()?.experiments().find("a")?;
    assert_eq!(sandbox.git(&["show", &format!("{}:out", a.commit)])?, "3\n");
    assert!(!sandbox.has(".dvc/tmp/exp/queue/carry/1"));
    Ok(())
}

#[test]
fn what_is_missing_of_a_sweep_is_what_is_neither_done_nor_waiting() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let sweep = |sets: &[&[&str]]| -> Result<QueueRequest> {
        let mut request = QueueRequest::default();
        for set in sets {
            let overrides = Overrides::parse(set)?.single().ok_or("a sweep")?;
            request.jobs.push(NewJob { name: None, overrides });
        }
        Ok(request)
    };
    let all = sweep(&[&["lr=0.2"], &["lr=0.3", "fail=1"], &["lr=0.4"], &["lr=0.5"], &["lr=0.2"]])?;
    let queue = sandbox.project()?.queue()?;
    let missing = || queue.missing(&Ctx::silent(), &all);
    assert_eq!(missing()?, [0, 1, 2, 3], "a set has nothing twice");
    queue.add(&Ctx::silent(), &asked(&[("a", &["lr=0.2"]), ("b", &["lr=0.3", "fail=1"])])?)?;
    assert_eq!(missing()?, [2, 3], "what waits is not missing");
    work(&queue, &WorkOptions::default())?;
    assert_eq!(states(&queue)?, ["b failed", "a done"]);
    assert_eq!(missing()?, [1, 2, 3], "what failed is missing");
    // An experiment is one whoever ran it, and whatever else its parameter file says in comments and order.
    sandbox.run(&["lr=0.4"])?;
    sandbox.write("params.yaml", "# another order\nfail: 0\nlr: 0.1\n")?;
    assert_eq!(missing()?, [1, 3]);
    let a = sandbox.project()?.experiments().find("a")?;
    sandbox.project()?.experiments().remove(&[a])?;
    assert_eq!(missing()?, [0, 1, 3], "what was removed is missing");
    sandbox.write("params.yaml", "fail: 0\nlr: 0.1\nmore: 1\n")?;
    assert_eq!(missing()?, [0, 1, 2, 3], "other parameters are another experiment");
    sandbox.commit("more")?;
    assert_eq!(missing()?, [0, 1, 2, 3], "and so is another baseline");
    Ok(())
}
