//! The calls that change something.

use std::fs;

use regex::Regex;

use super::{commits, project, state, untouched};
use crate::stand::Stand;
use crate::{Fails, Outcome};

/// Runs a call that has to succeed and to print something on standard output, as an extension waits for.
#[track_caller]
fn says(stand: &Stand, argv: &[&str]) -> Fails<String> {
    let text = stand.done(argv)?;
    assert!(!text.trim().is_empty(), "{argv:?} prints nothing");
    Ok(text)
}

/// A call is refused with the sentence that makes the extension offer to force it, and succeeds with `-f`.
#[track_caller]
fn forced(stand: &Stand, argv: &[&str]) -> Outcome {
    let answer = stand.dvc(argv)?;
    let sentence = Regex::new("Use [`'](-f|--force)[`'] to force\\.")?;
    assert!(answer.code != 0, "{argv:?} is not refused");
    assert!(sentence.is_match(&answer.stderr), "{argv:?}: {}", answer.stderr);
    stand.done(&[argv, &["-f"]].concat())?;
    Ok(())
}

#[test]
fn a_project_is_made_in_a_folder() -> Outcome {
    let stand = project()?;
    fs::create_dir(stand.at("sub"))?;
    let answer = stand.dvc_in("sub", &["init", "--subdir"])?;
    assert_eq!(answer.code, 0, "{}", answer.both());
    let ignored = stand.read("sub/.dvc/.gitignore")?;
    for name in ["/config.local", "/tmp", "/cache"] {
        assert!(ignored.lines().any(|line| line == name), "{name}: {ignored}");
    }
    assert!(stand.at("sub/.dvc/config").is_file());
    assert_eq!(stand.dvc_in("sub", &["root"])?.stdout, ".\n");
    Ok(())
}

#[test]
fn data_is_added_changed_and_removed() -> Outcome {
    let stand = project()?;
    let before = state(&stand)?;
    stand.write(&[("more.txt", "more\n"), ("dir/a.txt", "a\n")])?;
    stand.done(&["add", "more.txt"])?;
    stand.done(&["add", "dir"])?;
    assert!(stand.read("more.txt.dvc")?.contains("hash: md5"));
    assert!(stand.read(".gitignore")?.contains("/more.txt\n"));

    // A change that is saved nowhere is not lost without being asked for.
    fs::remove_file(stand.at("more.txt"))?;
    stand.write(&[("more.txt", "changed\n")])?;
    forced(&stand, &["checkout", "more.txt"])?;
    assert_eq!(stand.read("more.txt")?, "more\n");
    fs::remove_file(stand.at("more.txt"))?;
    stand.write(&[("more.txt", "changed\n")])?;
    stand.done(&["commit", "more.txt", "-f"])?;
    let status = stand.json(&["data", "status", "--granular", "--unchanged", "--json"])?;
    assert!(status.get("uncommitted").is_none(), "{status}");
    stand.done(&["commit", "-f"])?;
    stand.done(&["checkout"])?;
    stand.done(&["remove", "more.txt.dvc"])?;
    assert!(!stand.at("more.txt.dvc").exists() && stand.at("more.txt").exists());
    untouched(&stand, &before)
}

#[test]
fn data_goes_to_a_remote_and_back() -> Outcome {
    let stand = project()?;
    let store = stand.at("../store").display().to_string();
    fs::create_dir(&store)?;
    stand.done(&["remote", "add", "-d", "--project", "store", &store])?;
    stand.done(&["push", "data.txt.dvc"])?;
    stand.done(&["push"])?;
    for path in ["data.txt", "model.txt"] {
        fs::remove_file(stand.at(path))?;
    }
    fs::remove_dir_all(stand.at(".dvc/cache/files"))?;
    stand.done(&["pull", "data.txt.dvc"])?;
    assert_eq!(stand.read("data.txt")?, "alpha\n");
    stand.done(&["pull"])?;
    assert_eq!(stand.read("model.txt")?, "model 1\n");
    fs::remove_file(stand.at("data.txt"))?;
    stand.write(&[("data.txt", "unsaved\n")])?;
    forced(&stand, &["pull", "data.txt.dvc"])?;
    assert_eq!(stand.read("data.txt")?, "alpha\n");
    Ok(())
}

#[test]
fn remotes_and_settings_are_changed_where_it_is_said() -> Outcome {
    let stand = project()?;
    stand.done(&["remote", "add", "-d", "--project", "one", "/tmp/one"])?;
    stand.done(&["remote", "rename", "--project", "one", "two"])?;
    stand.done(&["remote", "modify", "--project", "two", "url", "/tmp/two"])?;
    assert_eq!(
        stand.done(&["remote", "list"])?.split_whitespace().collect::<Vec<_>>(),
        ["two", "/tmp/two", "(default)"]
    );
    stand.done(&["remote", "add", "--local", "mine", "/tmp/mine"])?;
    stand.done(&["remote", "rename", "--local", "mine", "ours"])?;
    stand.done(&["remote", "modify", "--local", "ours", "url", "/tmp/ours"])?;
    assert!(stand.done(&["remote", "list", "--local"])?.starts_with("ours"));
    stand.done(&["remote", "remove", "--project", "two"])?;
    let second = stand.dvc(&["remote", "remove", "--local", "two"])?;
    assert!(second.code != 0 && second.stderr.starts_with("ERROR: "), "{second:?}");
    assert_eq!(stand.done(&["remote", "list", "--project"])?, "");

    for (key, value) in
        [("studio.token", "t"), ("studio.url", "https://x"), ("studio.offline", "true")]
    {
        stand.done(&["config", "--global", key, value])?;
        assert_eq!(stand.done(&["config", key])?, format!("{value}\n"));
        stand.done(&["config", "--global", "--unset", key])?;
        assert_eq!(stand.dvc(&["config", key])?.stdout, "");
    }
    stand.done(&["config", "--local", "studio.offline", "true"])?;
    stand.done(&["config", "--local", "--unset", "studio.offline"])?;
    Ok(())
}

#[test]
fn an_experiment_is_run_applied_renamed_branched_pushed_and_removed() -> Outcome {
    let stand = project()?;
    stand.shell("git init -q --bare ../origin.git && git remote add origin ../origin.git")?;
    let before = state(&stand)?;
    let head = commits(&stand)?.remove(0);
    let prefix = format!("refs/exps/{}/{}/", &head[..2], &head[2..]);

    says(&stand, &["exp", "run"])?;
    says(&stand, &["exp", "run", "-S", "lr=2"])?;
    says(&stand, &["exp", "run", "-S", "params.yaml:layers=[3, 4]", "-S", "params.yaml:lr=3"])?;
    let refs = stand.loose_refs()?;
    assert_eq!(refs.len(), 2, "each experiment is a file that is watched: {refs:?}");
    assert!(refs.iter().all(|name| name.starts_with(&prefix)), "{refs:?}");
    let name = |at: usize| refs[at].rsplit('/').next().unwrap_or_default().to_owned();
    untouched(&stand, &before)?;

    stand.done(&["exp", "apply", &name(0)])?;
    let said = says(&stand, &["exp", "rename", &name(0), "renamed"])?;
    assert!(said.contains("renamed") || said.contains(&name(0)), "{said}");
    assert!(stand.loose_refs()?.contains(&format!("{prefix}renamed")));
    untouched(&stand, &before)?;
    let said = says(&stand, &["exp", "push", "origin", "renamed", &name(1)])?;
    assert!(said.contains("renamed"), "{said}");
    let there = stand.git(&["ls-remote", "origin", "refs/exps/*"])?;
    assert_eq!(there.lines().count(), 2, "{there}");
    says(&stand, &["exp", "branch", "renamed", "kept"])?;
    assert_eq!(stand.git(&["branch", "--format=%(refname:short)"])?, "kept\nmain\n");
    stand.done(&["exp", "remove", "renamed", &name(1)])?;
    assert_eq!(stand.loose_refs()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn experiments_are_queued_run_logged_killed_and_removed() -> Outcome {
    let stand = project()?;
    let before = state(&stand)?;
    stand.write(&[("../slow", "")])?;
    says(&stand, &["exp", "run", "--queue", "-S", "lr=2"])?;
    says(&stand, &["exp", "run", "--queue", "-S", "lr=choice(3,9)"])?;
    says(&stand, &["exp", "run", "--queue", "-S", "lr=range(4,6)"])?;
    let queued = ranges(&stand)?;
    assert_eq!(queued.len(), 5, "{queued:?}");
    assert!(queued.iter().all(|one| one.state == "queued" && one.executor == "dvc-task"));

    let start = std::time::Instant::now();
    says(&stand, &["queue", "start", "-j", "1"])?;
    assert!(start.elapsed().as_secs() < 20, "the workers are waited for");
    let running = || ranges(&stand).map(|all| all.into_iter().find(|one| one.state == "running"));
    stand.wait("a job starts", |_| Ok(running()?.is_some()))?;
    let first = running()?.ok_or("nothing runs")?;
    assert_eq!(first.executor, "dvc-task");
    let first = first.name;
    let mut follow = stand.start(&["queue", "logs", &first, "--follow"])?;
    stand.wait("its command starts", |stand| Ok(stand.at("../started").exists()))?;
    says(&stand, &["queue", "kill", &first])?;
    follow.wait()?;
    stand.write(&[("../go", "")])?;
    let is_over = |stand: &Stand| {
        Ok(ranges(stand)?.iter().all(|one| one.state != "queued" && one.state != "running"))
    };
    stand.wait("the queue is done", is_over)?;
    let ended = ranges(&stand)?;
    let failed: Vec<_> = ended.iter().filter(|one| one.state == "failed").collect();
    assert_eq!(failed.len(), 2, "the killed one, and the one that fails: {ended:?}");
    assert!(
        failed.iter().all(|one| one.executor.is_empty() && one.code == Some(255)),
        "{failed:?}"
    );
    assert_eq!(stand.loose_refs()?.len(), 3, "{ended:?}");
    says(&stand, &["exp", "run", "--queue", "-S", "lr=7"])?;
    stand.done(&["exp", "remove", "--queue"])?;
    assert!(ranges(&stand)?.iter().all(|one| one.state != "queued"));
    for argv in [&["queue", "stop"][..], &["queue", "stop", "--kill"]] {
        says(&stand, argv)?;
    }
    untouched(&stand, &before)
}

/// An experiment that has an executor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) executor: String,
    pub(super) code: Option<i64>,
}

/// Returns the experiments that have an executor.
pub(super) fn ranges(stand: &Stand) -> Fails<Vec<Range>> {
    let head = commits(stand)?.remove(0);
    let table = stand.json(&["exp", "show", "--rev", &head, "--json"])?;
    let mut found = Vec::new();
    for row in table.as_array().into_iter().flatten() {
        super::read::check_row(row)?;
        for range in row["experiments"].as_array().into_iter().flatten() {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let executor = &range["executor"];
            if !executor.is_null() {
                found.push(Range {
                    name: text(&range["name"]),
                    state: text(&executor["state"]),
                    executor: text(&executor["name"]),
                    code: executor["local"]["returncode"].as_i64(),
                });
            }
        }
    }
    Ok(found)
}
