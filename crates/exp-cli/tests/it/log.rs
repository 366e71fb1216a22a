//! `log`: what the stages of a run wrote.

use crate::{Outcome, Sandbox};

const PIPELINE: &str = "\
stages:
  one:
    cmd: echo first; cp a b
    deps: [a]
    outs: [b]
  two:
    cmd: echo then; cp b c
    deps: [b]
    outs: [c]
";

#[test]
fn what_stages_wrote_is_shown_stage_by_stage_as_long_as_it_is_kept() -> Outcome {
    let sandbox = Sandbox::project()?;
    let root = sandbox.root();
    std::fs::create_dir(root.join("sub"))?;
    for (path, text) in [
        ("a", "1\n"),
        ("dvc.yaml", PIPELINE),
        ("sub/dvc.yaml", "stages:\n  far:\n    cmd: echo far\n    deps: [../b]\n"),
        (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
    ] {
        std::fs::write(root.join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    assert_eq!(sandbox.run("exp run -n good -P -j 1").code, 0);
    let all = sandbox.run("exp log good");
    assert_eq!(all.code, 0);
    let what_ran = all.err.clone();
    assert!(
        what_ran.starts_with("good finished after 0.") && what_ran.contains("\n  system    Linux ")
    );
    let one = "> echo first; cp a b\nfirst\n";
    assert!(all.out.starts_with(&format!("== one ==\n{one}== ")), "{}", all.out);
    assert!(all.out.contains("== two ==\n> echo then; cp b c\nthen\n"), "{}", all.out);
    sandbox.check("exp log good --stage one", 0, one, &what_ran);
    let far = sandbox.run("exp log good --stage far");
    assert_eq!((far.code, &*far.out), (0, "> echo far\nfar\n"), "{}", far.err);
    let none = sandbox.run("exp log good --stage three");
    assert_eq!((none.code, &*none.out), (2, ""));
    assert!(none.err.contains("no log of stage `three`; there is: one, "), "{}", none.err);

    // Another name does not part an experiment from its logs; another run of its old name does not give it others.
    assert_eq!(sandbox.run("exp rename good better").code, 0);
    assert_eq!(sandbox.run("exp log better --stage one").out, one);
    std::fs::write(root.join("dvc.yaml"), PIPELINE.replace("first", "no good; exit 3"))?;
    assert_eq!(sandbox.run("exp run -n good -P -j 1").code, 1);
    let failed = sandbox.run("exp log good --stage one");
    assert_eq!((failed.code, &*failed.out), (0, "> echo no good; exit 3; cp a b\nno good\n"));
    let none = format!(
        "{}Its logs are not kept, or no longer: those of the last 20 runs are, on the machine where they ran.\n",
        what_ran.replace("good", "better")
    );
    sandbox.check("exp log better", 1, "", &none);
    std::fs::remove_dir_all(root.join(".dvc/tmp/exp/logs"))?;
    let kept = sandbox.run("exp log good");
    assert_eq!((kept.code, &*kept.out), (0, "> echo no good; exit 3; cp a b\nno good\n"));
    let whole = sandbox.run("exp log good --stage one");
    assert!(whole.code == 2 && whole.err.contains("leave out `--stage`"), "{whole:?}");
    Ok(())
}

#[test]
fn what_ran_is_shown_and_compared() -> Outcome {
    let sandbox = Sandbox::project()?;
    let root = sandbox.root();
    for (path, text) in [
        ("params.yaml", "lr: 1\n"),
        ("uv.lock", "version = 1\n"),
        (".gitignore", "/secret.bin\n"),
        ("secret.bin", "12345"),
        ("dvc.yaml", "stages:\n  a:\n    cmd: echo 1 > out\n    params: [lr]\n    outs: [out]\n"),
        (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
    ] {
        std::fs::write(root.join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    for (name, lr) in [("one", 2), ("two", 3)] {
        assert_eq!(sandbox.run(&format!("exp run --temp -n {name} -S lr={lr}")).code, 0);
    }
    std::fs::write(root.join("uv.lock"), "version = 2\n")?;
    assert_eq!(sandbox.run("exp run --queue -n three -S lr=4").code, 0);
    assert_eq!(sandbox.run("exp worker -q").code, 0);
    let log = sandbox.run("exp log three").err;
    for part in [
        "three finished after 0.",
        "  with      lr=4\n",
        "  locks     uv.lock (",
        "  left out  secret.bin (5 B)\n",
    ] {
        assert!(log.contains(part), "{part}{log}");
    }
    let shown = sandbox.run("exp queue show three").out;
    assert!(shown.contains(" left out  secret.bin (5 B)\n"), "{shown}");
    let same = sandbox.run("exp diff one two").out;
    assert!(same.ends_with("\n env       same\n"), "{same}");
    let other = sandbox.run("exp diff one three").out;
    let line = other.lines().find(|line| line.starts_with(" env")).ok_or("no line")?;
    assert!(line.starts_with(" env       uv.lock  ") && line.contains(" → "), "{other}");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.run("exp diff one three --json").out)?;
    let file = &json["environment"]["lock_files"]["uv.lock"];
    assert!(file["old"] != file["new"] && file["new"].as_str().is_some_and(|new| new.len() == 64));
    // Of the commit that all started from nothing is known, so nothing is said.
    assert!(!sandbox.run("exp diff HEAD one").out.contains(" env"));
    let json: serde_json::Value = serde_json::from_str(&sandbox.run("exp show --json").out)?;
    let rows = json[1]["experiments"].as_array().ok_or("no rows")?;
    for row in rows {
        let run = &row["revs"][0]["data"]["meta"]["run"];
        assert!(
            run["took_ms"].is_u64() && run["environment"]["lock_files"]["uv.lock"].is_string(),
            "{row}"
        );
        assert_eq!(run["left_out"][0]["path"], "secret.bin");
    }
    // DVC's own JSON has no such thing.
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.run("exp dvc exp show --json").out)?;
    assert_eq!(json[1]["experiments"][0]["revs"][0]["data"]["meta"], serde_json::json!({}));
    Ok(())
}
