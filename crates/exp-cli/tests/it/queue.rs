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
    sandbox.check("exp log g-1", 0, &log(false), "g-1 finished.\n");
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
