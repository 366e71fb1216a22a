//! `run --queue`, `queue …` and `worker` at the terminal.

use crate::{Outcome, Ran, Sandbox};

const PIPELINE: &str = "\
stages:
  train:
    cmd: 'echo training; grep -q \"lr: 3\" params.yaml && exit 4; echo \"{\\\"acc\\\": 18}\" > metrics.json'
    params: [lr]
    metrics:
    - metrics.json:
        cache: false
";

fn project() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    for (path, text) in [
        ("params.yaml", "lr: 1\n"),
        ("dvc.yaml", PIPELINE),
        (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
    ] {
        std::fs::write(sandbox.root().join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    Ok(sandbox)
}

#[track_caller]
fn refused(ran: &Ran, code: u8, err: &str) {
    assert_eq!((ran.code, &*ran.out), (code, ""), "{}", ran.err);
    assert!(ran.err.contains(err), "{}", ran.err);
}

#[test]
fn a_grid_is_queued_run_looked_at_and_run_again() -> Outcome {
    let sandbox = project()?;
    sandbox.check(
        "exp queue status",
        0,
        "",
        "Nothing is queued. Queue experiments with: exp run --queue -S KEY=VALUE,…\n",
    );
    sandbox.check(
        "exp run --queue -n g -S lr=2,3,4",
        0,
        "",
        "queued 3 jobs, 1 to 3: g-1, g-2, g-3\nrun: exp queue start -j N\n",
    );
    sandbox.check("exp queue hold g-3", 0, "", "held 1 job: g-3\n");
    let status = sandbox.run("exp queue status");
    assert!(status.out.contains(" ○    1  g-1   queued  now"), "{}", status.out);
    assert!(status.out.contains(" ○    3  g-3   held    now"), "{}", status.out);
    assert!(status.out.ends_with(" 2 queued · 1 held · no worker\n   run: exp queue start -j N\n"));
    let worked = sandbox.run("exp worker");
    assert_eq!((worked.code, &*worked.out), (0, ""));
    assert!(worked.err.starts_with(" ● g-1 (job 1) started\n ✓ g-1 done"), "{}", worked.err);
    assert!(worked.err.contains(": exit status 4 in train   log: exp queue logs g-2\n"));
    assert!(worked.err.ends_with(" 2 jobs run, 1 of them not finished\n"), "{}", worked.err);
    sandbox.check("exp queue logs g-1", 0, &log(false), "");
    let logged = sandbox.run("exp log g-1");
    assert_eq!((logged.code, logged.out), (0, log(false)));
    assert!(logged.err.starts_with("g-1 finished after 0."), "{}", logged.err);
    let failed = sandbox.run("exp queue logs g-2");
    assert!(failed.out.ends_with("training\n"), "{}", failed.out);
    let waited = sandbox.run("exp queue wait g-1 g-2");
    assert_eq!(waited.code, 1);
    assert!(waited.err.ends_with("1 job of 2 did not finish; again: exp queue retry --failed\n"));
    sandbox.check("exp queue wait g-1", 0, "", "1 job done\n");
    let shown = sandbox.run("exp queue show g-2");
    for line in [
        " job       2 g-2\n",
        " state     failed\n",
        " why       exit status 4 in train\n",
        " set       lr=3\n",
        " sweep     g\n",
    ] {
        assert!(shown.out.contains(line), "{line}{}", shown.out);
    }
    let json = sandbox.run("exp queue status --json");
    let json: serde_json::Value = serde_json::from_str(&json.out)?;
    assert_eq!(json["jobs"][1]["name"], "g-2");
    assert_eq!(json["jobs"][1]["cause"], "exit");
    assert_eq!(json["workers"], serde_json::json!([]));
    sandbox.check("exp queue retry --failed --cause oom", 0, "", "No job failed like that.\n");
    let again = sandbox.run("exp queue retry --failed --cause exit,lost");
    assert!(again.err.starts_with("queued again 1 job: g-2\n"), "{}", again.err);
    sandbox.check("exp queue move g-2 --last", 0, "", "moved to the end 1 job: g-2\n");
    sandbox.check("exp queue release 3", 0, "", "released 1 job: g-3\n");
    sandbox.check("exp queue remove g-2", 0, "", "removed 1 job: g-2\n");
    sandbox.check("exp worker -q --max-jobs 1", 0, "", "");
    sandbox.check("exp queue remove --success", 0, "", "removed 2 jobs: g-3, g-1\n");
    let list = sandbox.run("exp list --name-only").out;
    assert!(list.contains("g-3\n") && list.contains("g-1\n") && !list.contains("g-2"), "{list}");
    Ok(())
}

fn log(failed: bool) -> String {
    let cmd = "echo training; grep -q \"lr: 3\" params.yaml && exit 4; echo \"{\\\"acc\\\": 18}\" > metrics.json";
    format!("> {cmd}\ntraining\n{}", if failed { "no\n" } else { "" })
}

#[test]
fn what_cannot_be_is_said_with_what_helps() -> Outcome {
    let sandbox = project()?;
    refused(&sandbox.run("exp run -S lr=1,2"), 2, "give `--queue`, then `exp queue start -j N`");
    refused(&sandbox.run("exp run --queue --dry"), 2, "neither --dry nor --interactive");
    refused(&sandbox.run("exp run --queue --temp"), 2, "cannot be used with");
    sandbox.check(
        "exp queue start -j x",
        2,
        "",
        "error: invalid value 'x' for '--jobs <N>': write a whole number\nhint: run `exp queue start --help`\n",
    );
    refused(&sandbox.run("exp queue start -j 0"), 2, "write a number from 1\nhint: run");
    refused(&sandbox.run("exp queue kill"), 2, "`exp stop` ends all of them");
    refused(&sandbox.run("exp queue remove"), 2, "name jobs, or give");
    refused(&sandbox.run("exp queue retry --failed --cause bad"), 2, "`bad` is no cause");
    refused(&sandbox.run("exp worker --time-limit soon"), 2, "is no length of time");
    let unknown = sandbox.run("exp queue show nobody");
    refused(&unknown, 4, "job `nobody` is not in the queue");
    assert!(unknown.err.contains("hint: run `exp queue status --all`"), "{}", unknown.err);
    assert_eq!(sandbox.run("exp run --queue -n a").code, 0);
    refused(&sandbox.run("exp queue logs a"), 5, "job `a` has not been started");
    refused(&sandbox.run("exp queue kill a"), 5, "job `a` is not running");
    refused(&sandbox.run("exp queue release a"), 5, "job `a` is not held");
    refused(&sandbox.run("exp run --queue -n a"), 5, "experiment `a` exists");
    refused(&sandbox.run("exp queue start"), 2, "workers cannot be started from here");
    sandbox.check("exp attach", 0, "", "No job is running.\n");
    sandbox.check("exp stop", 0, "", "No job is running.\n");
    sandbox.check("exp queue stop", 0, "", "No worker is running.\n");
    sandbox.check("exp remove --queue", 0, "", "removed 1 experiment: a\n");
    Ok(())
}

#[test]
fn jobs_are_rows_of_the_table() -> Outcome {
    let sandbox = project()?;
    assert_eq!(sandbox.run("exp run -n first -S lr=7").code, 0);
    assert_eq!(sandbox.run("exp run --queue -n q -S lr=5,3").code, 0);
    let table = sandbox.run("exp show");
    assert!(
        table.out.lines().any(|line| line.contains("q-1") && line.contains("queued")),
        "{}",
        table.out
    );
    let hidden = sandbox.run("exp show --hide-queued");
    assert!(!hidden.out.contains("q-1"), "{}", hidden.out);
    let json = sandbox.run("exp dvc exp show --json");
    let json: serde_json::Value = serde_json::from_str(&json.out)?;
    let rows = json[1]["experiments"].as_array().ok_or("no experiments")?;
    let states: Vec<&str> =
        rows.iter().map(|row| row["executor"]["state"].as_str().unwrap_or("none")).collect();
    assert_eq!(states, ["none", "queued", "queued"]);
    assert_eq!(rows[1]["name"], "q-1");
    assert_eq!(rows[1]["executor"]["local"]["task_id"], rows[1]["revs"][0]["rev"]);
    assert_eq!(rows[1]["revs"][0]["data"]["metrics"], serde_json::json!({}));
    assert_eq!(rows[1]["revs"][0]["data"]["params"]["params.yaml"]["data"]["lr"], 5);
    assert_eq!(sandbox.run("exp worker -q").code, 0);
    let json = sandbox.run("exp dvc exp show --json");
    let json: serde_json::Value = serde_json::from_str(&json.out)?;
    let rows = json[1]["experiments"].as_array().ok_or("no experiments")?;
    let failed: Vec<_> = rows.iter().filter(|row| row["executor"]["state"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["name"], "q-2");
    assert_eq!(failed[0]["revs"][0]["error"]["msg"], "Experiment run failed");
    let hidden = sandbox.run("exp dvc exp show --json --hide-failed");
    assert!(!hidden.out.contains("q-2"), "{}", hidden.out);
    let csv = sandbox.run("exp dvc exp show --csv");
    assert!(csv.out.contains("q-2"), "{}", csv.out);
    Ok(())
}

#[test]
fn runs_are_pushed_when_it_is_asked_for_and_say_so() -> Outcome {
    let sandbox = project()?;
    let told = sandbox.run("exp push --auto");
    assert_eq!((told.code, told.out.as_str()), (0, ""), "{}", told.err);
    assert!(told.err.starts_with("Each experiment is pushed to origin when its run finishes.\n"));
    assert!(sandbox.read(".dvc/config.local")?.contains("auto_push = true"));
    // There is no such remote: the run is as good as without.
    let alone = sandbox.run("exp run -n alone -S lr=5");
    assert_eq!(alone.code, 0, "{}", alone.err);
    assert!(alone.err.contains(" alone was not pushed to origin: "), "{}", alone.err);
    assert!(alone.err.contains("again: exp push alone"), "{}", alone.err);
    sandbox.git(&["init", "-q", "--bare", "../origin.git"])?;
    sandbox.git(&["remote", "add", "origin", "../origin.git"])?;
    let temp = sandbox.run("exp run --temp -n temp -S lr=6");
    assert!(temp.err.contains(" temp pushed to origin"), "{}", temp.err);
    assert_eq!(sandbox.run("exp run --queue -n queued -S lr=7").code, 0);
    let worked = sandbox.run("exp worker");
    assert!(worked.err.contains(" queued pushed to origin"), "{}", worked.err);
    let dvc = sandbox.run("exp dvc exp run -n dvc -S lr=8");
    assert!(dvc.out.contains("Pushing experiment to 'origin'. Cancel with CTRL+C."), "{}", dvc.out);
    let failed = sandbox.run("exp run -n failed -S lr=3");
    assert_eq!(failed.code, 1, "what failed is not pushed: {}", failed.err);
    let there = sandbox.git(&["ls-remote", "origin", "refs/exps/*"])?;
    let mut names: Vec<&str> = there.lines().filter_map(|line| line.rsplit('/').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["dvc", "queued", "temp"]);
    assert_eq!(sandbox.run("exp config --local exp.auto_push false").code, 0);
    let quiet = sandbox.run("exp run -n later -S lr=9");
    assert!(!quiet.err.contains("pushed"), "{}", quiet.err);
    Ok(())
}

/// Puts an entry into one of DVC's stashes, as DVC does.
fn stash(sandbox: &Sandbox, which: &str, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    let head = head.trim();
    let message = format!("dvc-exp:{head}:{head}:{name}");
    let tree = sandbox.git(&["rev-parse", "HEAD^{tree}"])?;
    let commit = sandbox.git(&["commit-tree", tree.trim(), "-p", head, "-m", &message])?;
    let commit = commit.trim().to_owned();
    let full = format!("refs/exps/celery/{which}");
    let reason = format!("commit: {message}");
    sandbox.git(&["update-ref", "--create-reflog", "-m", &reason, &full, &commit])?;
    Ok(commit)
}

#[test]
fn what_dvc_has_queued_is_shown_as_its_own_and_left_alone() -> Outcome {
    let sandbox = project()?;
    let waiting = stash(&sandbox, "stash", "theirs")?;
    let failed = stash(&sandbox, "failed", "broken")?;
    let before = sandbox.git(&["for-each-ref", "refs/exps/celery"])?;
    let status = sandbox.run("exp queue status");
    assert!(status.out.contains("-  theirs  queued  now     DVC's own\n"), "{}", status.out);
    assert!(status.out.contains("-  broken  failed  now     DVC's own\n"), "{}", status.out);
    assert!(status.err.contains("2 experiments in DVC's own queue"), "{}", status.err);
    assert_eq!(sandbox.run("exp run --queue -n ours -S lr=5").code, 0);
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.run("exp queue status --json").out)?;
    assert_eq!(json["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (json["dvc"][0]["name"].as_str(), json["dvc"][0]["commit"].as_str()),
        (Some("theirs"), Some(&*waiting))
    );
    let table = sandbox.run("exp show").out;
    let theirs = table.lines().find(|line| line.contains("theirs")).ok_or("no row")?;
    assert!(theirs.contains("queued by DVC"), "{table}");
    let broken = table.lines().find(|line| line.contains("broken")).ok_or("no row")?;
    assert!(broken.contains("failed in DVC's queue"), "{table}");
    let dvcs = sandbox.run("exp dvc queue status").out;
    assert!(dvcs.contains(&format!("{}  theirs", &waiting[..7])), "{dvcs}");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.run("exp dvc exp show --json").out)?;
    let rows = json[1]["experiments"].as_array().ok_or("no rows")?;
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).ok_or(format!("no {name}"));
    assert_eq!(row("theirs")?["executor"]["state"], "queued");
    assert_eq!(row("theirs")?["revs"][0]["rev"], *waiting);
    assert_eq!(row("theirs")?["revs"][0]["data"]["metrics"], serde_json::json!({}));
    assert_eq!(row("broken")?["executor"]["local"]["task_id"], *failed);
    assert_eq!(row("broken")?["revs"][0]["error"]["msg"], "Experiment run failed");
    // No verb of ours touches it.
    refused(&sandbox.run("exp queue remove theirs"), 4, "job `theirs` is not in the queue");
    assert_eq!(sandbox.run("exp queue remove --all").code, 0);
    assert_eq!(sandbox.run("exp run --queue -n ours -S lr=6").code, 0);
    assert!(sandbox.run("exp worker").err.ends_with(" 1 job done\n"));
    assert_eq!(sandbox.run("exp queue retry --failed").code, 0);
    assert_eq!(sandbox.run("exp queue stop").code, 0);
    assert_eq!(sandbox.git(&["for-each-ref", "refs/exps/celery"])?, before);
    Ok(())
}

#[test]
fn what_finished_in_the_queue_says_so_as_dvc_does_as_long_as_its_log_is_there() -> Outcome {
    let sandbox = project()?;
    assert_eq!(sandbox.run("exp run --temp -n alone -S lr=6").code, 0);
    assert_eq!(sandbox.run("exp run --queue -n q -S lr=5").code, 0);
    assert_eq!(sandbox.run("exp worker -q").code, 0);
    let executor = |name: &str| -> Result<serde_json::Value, Box<dyn std::error::Error>> {
        let json: serde_json::Value =
            serde_json::from_str(&sandbox.run("exp dvc exp show --json").out)?;
        let rows = json[1]["experiments"].as_array().ok_or("no rows")?;
        let row = rows.iter().find(|row| row["name"] == name).ok_or("no row")?;
        Ok(row["executor"].clone())
    };
    let done = executor("q")?;
    assert_eq!(
        (done["state"].as_str(), done["name"].as_str()),
        (Some("success"), Some("dvc-task"))
    );
    assert_eq!(done["local"]["returncode"], 0);
    assert_eq!(done["local"]["root"], serde_json::Value::Null);
    assert!(done["local"]["log"].as_str().is_some_and(|log| std::path::Path::new(log).exists()));
    assert_eq!(executor("alone")?, serde_json::Value::Null);
    let csv = sandbox.run("exp dvc exp show --csv").out;
    assert!(
        csv.lines().any(|line| line.starts_with("q,") && line.contains(",Success,Dvc-task,")),
        "{csv}"
    );
    assert_eq!(sandbox.run("exp queue remove q").code, 0);
    assert_eq!(executor("q")?, serde_json::Value::Null, "its log went with it");
    Ok(())
}
