//! What other machines and dead processes leave behind, made by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use exp_core::Ctx;
use exp_refs::{Draft, GitEnv};

use super::add::Adding;
use super::worker::{Claim, Note, testing};
use super::*;
use crate::process::Owner;
use crate::project::ProjectOptions;

type Test = Result<(), Box<dyn std::error::Error>>;

/// A project with one stage and a queue of jobs of these names.
fn project(dir: &Path, names: &[&str]) -> Result<Queue, Box<dyn std::error::Error>> {
    let root = dir.join("work");
    fs::create_dir_all(root.join(".dvc"))?;
    fs::write(root.join(".dvc/config"), "")?;
    fs::write(root.join(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")?;
    fs::write(root.join("dvc.yaml"), "stages:\n  a:\n    cmd: echo 1 > out\n    outs: [out]\n")?;
    let env = ["AUTHOR", "COMMITTER"].iter().fold(GitEnv::default(), |env, who| {
        env.with(&format!("GIT_{who}_NAME"), "T").with(&format!("GIT_{who}_EMAIL"), "t@e.x")
    });
    for args in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "first"]] {
        let status = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@e.x"])
            .args(args)
            .current_dir(&root)
            .status()?;
        assert!(status.success(), "{args:?}");
    }
    let options = ProjectOptions { env, durable: false, ..ProjectOptions::default() };
    let queue = Project::open(&root, options)?.queue()?;
    let jobs = names
        .iter()
        .map(|name| NewJob { name: Some((*name).to_owned()), overrides: Vec::new() })
        .collect();
    queue.add(&Ctx::silent(), &QueueRequest { jobs, ..QueueRequest::default() })?;
    Ok(queue)
}

fn state(queue: &Queue, name: &str) -> JobState {
    Queue::find(&queue.list().unwrap(), name).unwrap().state
}

/// A process of a machine that nobody here knows.
fn elsewhere() -> Owner {
    Owner {
        pid: 1,
        started: 2,
        boot: "another boot".into(),
        host: "another host".into(),
        space: String::new(),
    }
}

/// A process of this machine that is gone.
fn dead() -> Owner {
    let this = Owner::this_process();
    Owner { started: this.started + 1, ..this }
}

fn claim(queue: &Queue, number: u64, worker: &str, owner: &Owner) -> Test {
    let note = Note { owner: owner.clone() };
    queue.board.link(&format!("worker.{worker}"), &note)?;
    queue.board.replace(&format!("beat.{worker}"), &3)?;
    let claim = Claim { worker: worker.into(), owner: owner.clone(), at: 0 };
    assert!(queue.board.link(&format!("{number}.1.claim"), &claim)?);
    Ok(())
}

#[test]
fn a_worker_elsewhere_is_believed_until_its_beat_stands_still() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a"])?;
    claim(&queue, 1, "w", &elsewhere())?;
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "a"), JobState::Running, "seen for the first time");
    assert_eq!(queue.workers()?.len(), 1);
    testing::long_ago(&queue, "w", 2);
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "a"), JobState::Running, "it was raised since");
    testing::long_ago(&queue, "w", 3);
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "a"), JobState::Queued, "its command had not begun");
    assert!(queue.workers()?.is_empty());
    assert!(!queue.board.has("worker.w"));
    Ok(())
}

#[test]
fn numbers_that_were_taken_are_not_taken_again() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a"])?;
    // Somebody lists, and is slow.
    let listing = queue.listing()?;
    let mut all = vec![1];
    let add = |names: &[&str]| -> Result<Vec<u64>, Error> {
        let jobs = names
            .iter()
            .map(|name| NewJob { name: Some((*name).to_owned()), overrides: Vec::new() })
            .collect();
        let added = queue.add(&Ctx::silent(), &QueueRequest { jobs, ..QueueRequest::default() })?;
        Ok(added.iter().map(|job| job.number).collect())
    };
    for names in [&["b"][..], &["c", "d"], &["e"], &["f"]] {
        all.extend(add(names)?);
    }
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    assert_eq!(queue.try_take_numbers(1, &listing)?, None);
    // What a listing lacks that was made while files were listed.
    let mut torn = queue.listing()?;
    torn.blocks.retain(|first| *first < 3);
    assert_eq!(queue.try_take_numbers(1, &torn)?, None);
    torn.blocks.clear();
    torn.jobs.clear();
    assert_eq!(queue.try_take_numbers(1, &torn)?, None, "and so 7 stays unused");

    // An hour later the first blocks are gone, and who is still at it notices.
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(2);
    for first in [1, 2, 3, 5] {
        let block = fs::File::open(queue.board.path(&format!("block.{first}")))?;
        block.set_modified(long_ago)?;
    }
    queue.reap(&Ctx::silent())?;
    let blocks: Vec<u64> = queue.listing()?.blocks.into_iter().collect();
    assert_eq!(blocks, [6, 7], "the last two stay");
    assert_eq!(queue.try_take_numbers(1, &listing)?, None);
    assert_eq!(queue.try_take_numbers(1, &queue.listing()?)?, Some(8));
    Ok(())
}

#[test]
fn who_has_added_and_is_gone_loses_nothing_to_one_who_listed_before() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a"])?;
    let jobs = vec![NewJob { name: Some("b".into()), overrides: Vec::new() }];
    queue.add(&Ctx::silent(), &QueueRequest { jobs, ..QueueRequest::default() })?;
    // Who looks has read the note, and then its process ended.
    let adding = Adding { owner: dead(), n: 1 };
    reap::take_back(&queue, 2, &adding)?;
    assert_eq!(queue.refs()?.len(), 2, "it is done, so nothing is taken back");
    queue.board.link("adding.2", &adding)?;
    reap::take_back(&queue, 2, &adding)?;
    assert_eq!(queue.refs()?.len(), 2, "its file is there by now");
    assert!(!queue.board.has("adding.2"));
    Ok(())
}

#[test]
fn what_a_dead_worker_had_not_begun_is_queued_and_what_it_had_is_lost() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a", "b"])?;
    claim(&queue, 1, "w", &dead())?;
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "a"), JobState::Queued);

    claim(&queue, 2, "v", &dead())?;
    let job = JobRef { number: 2, attempt: 1 };
    let jobs = queue.list()?;
    let b = Queue::find(&jobs, "b").unwrap();
    let baseline = queue.project.git().commit(b.commit)?.parents[0];
    let journal = crate::change::Journal {
        owner: dead(),
        run: Some(crate::change::RunJournal {
            name: "b".into(),
            baseline: baseline.to_string(),
            work_tree: Some(dir.path().join("gone")),
            started: 7,
            overrides: Vec::new(),
            unfinished: vec!["a".into()],
            begun: vec!["a".into()],
            logs: queue.attempt_logs(job),
            job: Some(job),
            ending: None,
            environment: None,
            left_out: (Vec::new(), 0),
        }),
        operation: crate::operation::Operation::new(crate::OperationKind::Run, "b", 7),
    };
    let path = queue.project.scratch().join("ops/1-1.json");
    crate::change::save_journal(&path, &journal)?;
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "b"), JobState::Lost);
    let jobs = queue.list()?;
    let end = queue.end(Queue::find(&jobs, "b").unwrap())?.unwrap();
    assert_eq!((end.cause, end.stage.as_deref()), (Some(EndCause::Lost), Some("a")));
    assert!(!path.exists());
    Ok(())
}

#[test]
fn a_result_that_was_published_is_done_although_nobody_wrote_so() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a", "b"])?;
    let git = queue.project.git();
    for (number, is_published) in [(1, true), (2, false)] {
        claim(&queue, number, &format!("w{number}"), &dead())?;
        let jobs = queue.list()?;
        let job = jobs.iter().find(|job| job.number == number).unwrap();
        let baseline = git.commit(job.commit)?.parents[0];
        let draft = Draft {
            parent: baseline,
            base: None,
            changes: Vec::new(),
            message: "x".into(),
            author: None,
            time: queue.project.now(),
            record: None,
        };
        let commit = git.write_commit(&draft)?;
        let experiment = exp_refs::Experiment::new(baseline, job.name.clone(), commit, true);
        if is_published {
            queue.project.experiments().keep(&experiment, exp_refs::Expected::Missing)?;
        }
        let at = JobRef { number, attempt: 1 };
        let mut ending = JobEnd::new(Outcome::Done, None, 9);
        ending.keeps(&experiment);
        let mut operation =
            crate::operation::Operation::new(crate::OperationKind::Run, job.name.as_str(), 7);
        operation.refs.push(crate::RefMove {
            name: experiment.ref_name.as_str().to_owned(),
            before: None,
            after: Some(commit.to_string()),
        });
        let journal = crate::change::Journal {
            owner: dead(),
            run: Some(crate::change::RunJournal {
                name: job.name.to_string(),
                baseline: baseline.to_string(),
                work_tree: None,
                started: 7,
                overrides: Vec::new(),
                unfinished: Vec::new(),
                begun: Vec::new(),
                logs: queue.attempt_logs(at),
                job: Some(at),
                ending: Some(ending),
                environment: None,
                left_out: (Vec::new(), 0),
            }),
            operation,
        };
        crate::change::save_journal(
            &queue.project.scratch().join(format!("ops/1-{number}.json")),
            &journal,
        )?;
    }
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "a"), JobState::Done);
    assert_eq!(state(&queue, "b"), JobState::Queued);
    assert_eq!(queue.refs()?.len(), 1, "what is done is not run again");
    let left = fs::read_dir(queue.project.scratch().join("ops"))?.count();
    assert_eq!(left, 0);
    Ok(())
}

#[test]
fn what_was_not_wholly_queued_is_taken_back_or_completed() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a", "b", "c"])?;
    let all = queue.list()?;
    // Only refs: taken back. The first file of several: completed.
    queue.board.forget(&all.iter().map(|job| job.number).collect())?;
    queue.board.link("adding.1", &Adding { owner: Owner::this_process(), n: 3 })?;
    queue.reap(&Ctx::silent())?;
    assert_eq!(queue.refs()?.len(), 3, "who adds lives");
    queue.board.remove("adding.1")?;
    queue.board.link("adding.1", &Adding { owner: dead(), n: 3 })?;
    let first = &all[0];
    queue.board.mark(&file_of(1, first.queued.seconds, first.commit, &first.name))?;
    queue.reap(&Ctx::silent())?;
    assert_eq!(queue.list()?, all);
    queue.board.forget(&all.iter().map(|job| job.number).collect())?;
    queue.board.link("adding.1", &Adding { owner: dead(), n: 3 })?;
    queue.reap(&Ctx::silent())?;
    assert!(queue.list()?.is_empty() && queue.refs()?.is_empty());
    assert!(!queue.board.has("adding.1"));
    Ok(())
}

#[test]
fn an_attempt_ends_once_whoever_ends_it() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a"])?;
    claim(&queue, 1, "w", &Owner::this_process())?;
    let job = JobRef { number: 1, attempt: 1 };
    let ends: Vec<bool> = std::thread::scope(|scope| {
        let all: Vec<_> = [Outcome::Done, Outcome::Lost, Outcome::Killed, Outcome::Failed]
            .map(|outcome| {
                let queue = &queue;
                scope.spawn(move || queue.end_attempt(job, &JobEnd::new(outcome, None, 1)).unwrap())
            })
            .into_iter()
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(ends.iter().filter(|first| **first).count(), 1);
    // Without the name for listings the file is read, and the name is made again.
    let jobs = queue.list()?;
    let before = jobs[0].state;
    for outcome in [Outcome::Done, Outcome::Lost, Outcome::Killed, Outcome::Failed] {
        queue.board.remove(&format!("1.1.{}", outcome.word()))?;
    }
    assert_eq!(queue.list()?[0].state, before);
    assert_eq!(queue.list()?, queue.list()?);
    Ok(())
}

#[test]
fn a_clock_that_jumps_changes_nothing() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a", "b", "c"])?;
    // Jobs that were queued in the future and before the epoch are started in the order of queueing all the same.
    let all = queue.list()?;
    for (number, seconds) in [(1, i64::MAX), (2, -5), (3, 0)] {
        let job = all.iter().find(|job| job.number == number).unwrap();
        queue.board.remove(&file_of(number, job.queued.seconds, job.commit, &job.name))?;
        queue.board.mark(&file_of(number, seconds, job.commit, &job.name))?;
    }
    let order: Vec<u64> = queue.list()?.iter().map(|job| job.number).collect();
    assert_eq!(order, [1, 2, 3]);
    // A claim of tomorrow and one of 1970 are judged by their workers and not by the clock.
    for (number, at, owner) in [(1, i64::MAX, Owner::this_process()), (2, 0, elsewhere())] {
        let worker = format!("w{number}");
        queue.board.link(&format!("worker.{worker}"), &Note { owner: owner.clone() })?;
        queue.board.replace(&format!("beat.{worker}"), &3)?;
        let claim = Claim { worker, owner, at };
        assert!(queue.board.link(&format!("{number}.1.claim"), &claim)?);
    }
    for _ in 0..3 {
        queue.reap(&Ctx::silent())?;
        assert_eq!(
            (state(&queue, "a"), state(&queue, "b")),
            (JobState::Running, JobState::Running)
        );
    }
    // What counts is that the beat stands still, on a clock that never jumps.
    testing::long_ago(&queue, "w2", 3);
    queue.reap(&Ctx::silent())?;
    assert_eq!((state(&queue, "a"), state(&queue, "b")), (JobState::Running, JobState::Queued));
    Ok(())
}

#[test]
fn a_machine_that_dies_in_the_middle_of_a_job_loses_it_and_nothing_else() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a"])?;
    claim(&queue, 1, "w", &elsewhere())?;
    let job = JobRef { number: 1, attempt: 1 };
    let jobs = queue.list()?;
    let commit = queue.project.git().commit(jobs[0].commit)?;
    let tree = crate::worktree::PrivateTree::reserve(&queue.project);
    tree.fill(&queue.project, (commit.parents[0], commit.tree), &[])?;
    let journal = crate::change::Journal {
        owner: elsewhere(),
        run: Some(crate::change::RunJournal {
            name: "a".into(),
            baseline: commit.parents[0].to_string(),
            work_tree: Some(tree.root().to_path_buf()),
            started: 7,
            overrides: Vec::new(),
            unfinished: vec!["a".into()],
            begun: vec!["a".into()],
            logs: queue.attempt_logs(job),
            job: Some(job),
            ending: None,
            environment: None,
            left_out: (Vec::new(), 0),
        }),
        operation: crate::operation::Operation::new(crate::OperationKind::Run, "a", 7),
    };
    crate::change::save_journal(&queue.project.scratch().join("ops/1-1.json"), &journal)?;
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "a"), JobState::Running, "it may live");
    assert!(tree.root().is_dir(), "and work");
    testing::long_ago(&queue, "w", 3);
    queue.reap(&Ctx::silent())?;
    assert_eq!(state(&queue, "a"), JobState::Lost);
    let end = queue.end(&queue.list()?[0])?.unwrap();
    assert_eq!(
        (end.cause.as_ref(), end.host.as_deref()),
        (Some(&EndCause::Lost), Some("another host"))
    );
    let kept = end.experiment().ok_or("what it left is kept")?;
    let record = queue.project.experiments().record(&kept)?.ok_or("no record")?;
    assert_eq!(record.host.as_deref(), Some("another host"), "and not who found it");
    assert!(!tree.root().exists());
    queue.retry(&queue.list()?)?;
    assert_eq!(state(&queue, "a"), JobState::Queued);
    Ok(())
}

#[test]
fn a_lock_of_a_dead_git_is_neither_waited_for_nor_kept_secret() -> Test {
    let dir = tempfile::tempdir()?;
    let queue = project(dir.path(), &["a", "b"])?;
    let root = dir.path().join("work");
    let packed = Command::new("git").args(["pack-refs", "--all"]).current_dir(&root).status()?;
    assert!(packed.success());
    let lock = queue.project.git().packed_lock();
    fs::write(&lock, "")?;
    let start = std::time::Instant::now();
    let report = queue.work(&Ctx::silent(), &WorkOptions::default(), &|_| ())?;
    assert_eq!(report.ran.len(), 2);
    assert!(start.elapsed() < std::time::Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!((state(&queue, "a"), state(&queue, "b")), (JobState::Done, JobState::Done));
    assert_eq!(queue.undropped()?, Some((2, lock.clone())));
    assert_eq!(queue.refs()?.len(), 2);
    queue.reap(&Ctx::silent())?;
    fs::remove_file(&lock)?;
    queue.reap(&Ctx::silent())?;
    assert_eq!((queue.undropped()?, queue.refs()?.len()), (None, 0), "whoever looks next does it");
    Ok(())
}
