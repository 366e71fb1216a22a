//! `report`: one file with table, changes and curves.

use crate::{Outcome, Sandbox};

const PIPELINE: &str = "\
stages:
  train:
    cmd: sh train.sh
    deps: [train.sh]
    params: [lr]
    metrics:
    - metrics.json:
        cache: false
    plots:
    - loss.csv:
        cache: false
        x: step
        y: loss
";

const TRAIN: &str = "\
lr=$(sed -n 's/^lr: *//p' params.yaml)
echo \"{\\\"acc\\\": $lr, \\\"loss\\\": 1}\" > metrics.json
printf 'step,loss\\n0,1\\n1,%s\\n' \"$lr\" > loss.csv
";

/// A project with two experiments, the second with the better accuracy.
fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    sandbox.git(&["checkout", "-q", "-b", "main"])?;
    let root = sandbox.root();
    for (path, text) in [
        ("dvc.yaml", PIPELINE),
        ("train.sh", TRAIN),
        ("params.yaml", "lr: 0.1\nseed: 1\n"),
        (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
    ] {
        std::fs::write(root.join(path), text)?;
    }
    assert_eq!(sandbox.run("exp repro").code, 0);
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    assert_eq!(sandbox.run("exp run -n dull -S lr=0.2").code, 0);
    std::fs::write(root.join("train.sh"), format!("{TRAIN}# better\n"))?;
    assert_eq!(sandbox.run("exp run -n <b>bright</b> -S lr=0.9").code, 2, "a name is a ref");
    assert_eq!(sandbox.run("exp run -n bright -S lr=0.9").code, 0);
    Ok(sandbox)
}

#[test]
fn markdown_has_the_table_the_changes_of_the_best_and_its_curves() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp report");
    assert_eq!((ran.code, &*ran.err), (0, ""), "{}", ran.out);
    let text = ran.out;
    assert!(text.starts_with("# Experiments of repo\n\n## Experiments\n\n| Experiment"), "{text}");
    let header = text.lines().find(|line| line.starts_with("| Experiment")).unwrap_or_default();
    assert!(
        header.contains("acc ↑") && header.contains("| lr ") && !header.contains("seed"),
        "{text}"
    );
    for row in ["| main (", "| dull ", "| bright ★ "] {
        assert!(text.contains(row), "{row}: {text}");
    }
    for part in [
        "## bright beside main: metrics\n\n| Metric",
        "| acc      | 0.1    | 0.9      | ▲ +0.8 better |",
        "## bright beside main: parameters\n\n| Parameter",
        "## bright beside main: code\n\n| File",
        "| train.sh | +1 −0   |",
        "## Curves\n\n```text\n",
        "● main  ▲ bright",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("```").count() % 2, 0, "{text}");
    assert!(!text.contains("dull beside"), "{text}");
    Ok(())
}

#[test]
fn named_revisions_are_compared_with_what_is_asked_for() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp report dull workspace --base bright");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("## dull beside bright: metrics\n"), "{}", ran.out);
    assert!(ran.out.contains("## workspace beside bright\n\nNothing differs.\n"), "{}", ran.out);
    assert!(ran.out.contains("| workspace "), "{}", ran.out);
    let none = sandbox.run("exp report nobody");
    assert_eq!((none.code, &*none.out), (4, ""), "{}", none.err);
    Ok(())
}

#[test]
fn a_page_is_one_file_with_tables_and_curves() -> Outcome {
    let sandbox = sandbox()?;
    let ran = sandbox.run("exp report bright -o out/report.html");
    assert_eq!((ran.code, &*ran.out), (0, ""), "{}", ran.err);
    assert!(ran.err.starts_with("wrote out/report.html ("), "{}", ran.err);
    let html = sandbox.read("out/report.html")?;
    assert!(html.starts_with("<!DOCTYPE html>"), "{}", &html[..100]);
    assert!(html.contains("<th>acc ↑</th>") && html.contains("<td>0.9</td>"));
    assert!(html.contains("<h2>bright beside main: code</h2>"));
    assert!(html.contains("data-place=\"plot-"), "the curve is drawn");
    assert!(!html.contains("src=\"http") && !html.contains("<link"), "nothing is loaded");
    Ok(())
}

#[test]
fn without_experiments_the_workspace_is_reported() -> Outcome {
    let sandbox = Sandbox::project()?;
    std::fs::write(sandbox.root().join("a"), "1\n")?;
    let unborn = sandbox.run("exp report");
    assert_eq!(unborn.code, 4, "{}", unborn.err);
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    let ran = sandbox.run("exp report");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("## workspace beside HEAD\n\nNothing differs.\n"), "{}", ran.out);
    Ok(())
}
