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
