//! `run --json`: events for programs, and nothing else on standard output.

use serde_json::Value as Json;

use crate::{Outcome, Ran, Sandbox};

const PIPELINE: &str = "\
stages:
  one:
    cmd: echo first; cp a b
    deps: [a]
    outs: [b]
";

/// Reads standard output, of which every line has to be an object with `event`.
fn events(ran: &Ran) -> Result<Vec<Json>, Box<dyn std::error::Error>> {
    let mut events = Vec::new();
    for line in ran.out.lines() {
        let event: Json = serde_json::from_str(line).map_err(|why| format!("{line}: {why}"))?;
        assert!(event["event"].is_string(), "{line}");
        events.push(event);
    }
    Ok(events)
}

#[test]
fn a_run_for_programs_writes_events_only() -> Outcome {
    let sandbox = Sandbox::project()?;
    let root = sandbox.root();
    for (path, text) in
        [("a", "1\n"), ("dvc.yaml", PIPELINE), (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")]
    {
        std::fs::write(root.join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    let ran = sandbox.run("exp run --json -n good -j 3");
    assert_eq!((ran.code, &*ran.err), (0, ""));
    let all = events(&ran)?;
    let names: Vec<&str> = all.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names.first(), Some(&"run"));
    let at_once: Vec<u64> = all.iter().filter_map(|event| event["at_once"].as_u64()).collect();
    assert_eq!(at_once, [1], "there is one stage: {names:?}");
    let last = all.last().ok_or("no event")?;
    assert_eq!((&last["event"], &last["how"]), (&"ended".into(), &"complete".into()), "{last}");
    assert_eq!((&last["kept"], &last["name"]), (&"experiment".into(), &"good".into()), "{last}");
    let commit = sandbox.git(&["for-each-ref", "--format=%(objectname)", "refs/exps"])?;
    assert_eq!(last["commit"].as_str(), Some(commit.trim()));

    let same = events(&sandbox.run("exp run --json -q"))?;
    assert_eq!(same.last().map(|event| &event["kept"]), Some(&"same".into()));
    std::fs::write(root.join("dvc.yaml"), PIPELINE.replace("cp a b", "exit 3"))?;
    for (line, code) in [("exp run --json -n bad", 1), ("dvc exp run --json -n bad", 255)] {
        let failed = sandbox.run(line);
        let last = events(&failed)?.pop().ok_or("no event")?;
        assert_eq!((failed.code, &last["how"]), (code, &"failed".into()), "{line}: {last}");
        assert_eq!(last["kept"], "unfinished", "{line}");
    }
    Ok(())
}

#[test]
fn values_of_metrics_are_events_too() -> Outcome {
    let sandbox = Sandbox::project()?;
    let root = sandbox.root();
    let pipeline = "stages:\n  one:\n    cmd: printf 'step,acc\\n1,0.5\\n2,nan\\n' > log.csv\n    deps: [a]\n    \
                    plots: [{log.csv: {cache: false}}]\n";
    for (path, text) in
        [("a", "1\n"), ("dvc.yaml", pipeline), (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")]
    {
        std::fs::write(root.join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    let all = events(&sandbox.run("exp run --json"))?;
    let names: Vec<&str> = all.iter().filter_map(|event| event["event"].as_str()).collect();
    let at = names.iter().position(|name| *name == "metrics").ok_or("no metrics")?;
    assert!(names[..at].contains(&"started") && names[at..].contains(&"finished"), "{names:?}");
    assert_eq!(all[at]["stage"], "one");
    let expect = serde_json::json!([
        {"name": "acc", "step": 1, "value": 0.5},
        {"name": "acc", "step": 2, "value": "nan"},
    ]);
    assert_eq!(all[at]["points"], expect);
    Ok(())
}
