//! Every template, drawn from our JSON and from that of the real `dvc`: the same data have to give the same marks.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use exp_tests::{Oracle, Sandbox, Tool, git, workspace_root};
use serde_json::{Value as Json, json};

use crate::browser::Browser;
use crate::{Fails, Outcome, skipped};

/// The columns that each template gets.
const TEMPLATES: [(&str, &str, &str); 9] = [
    ("simple", "step", "loss"),
    ("linear", "step", "loss"),
    ("smooth", "step", "loss"),
    ("scatter", "loss", "acc"),
    ("scatter_jitter", "kind", "loss"),
    ("bar_horizontal", "loss", "kind"),
    ("bar_horizontal_sorted", "loss", "kind"),
    ("confusion", "kind", "guess"),
    ("confusion_normalized", "kind", "guess"),
];

fn table(shift: i32) -> String {
    let mut text = String::from("step,loss,acc,kind,guess\n");
    for step in 0..24 {
        let kind = ["a", "b", "c"][step % 3];
        let guess = ["a", "b", "c"][(step + step / 5) % 3];
        let loss = f64::from(100 - i32::try_from(step).unwrap_or(0) * 3 + shift) / 100.0;
        let _infallible = writeln!(text, "{step},{loss},{},{kind},{guess}", 1.0 - loss / 2.0);
    }
    text
}

/// Returns the documents of plots that a command printed as JSON.
fn specs(text: &str) -> Fails<Vec<Json>> {
    let all: Json = serde_json::from_str(text)?;
    let plots = all["data"].as_object().ok_or(format!("no plots: {text}"))?;
    let specs = plots.values().flat_map(|items| items.as_array().into_iter().flatten());
    Ok(specs.map(|item| item["content"].clone()).collect())
}

#[test]
fn every_template_has_the_marks_of_dvc() -> Outcome {
    let browser = match Browser::find()? {
        Ok(browser) => browser,
        Err(why) => return skipped(&why),
    };
    let oracle = match Oracle::find() {
        Ok(oracle) => oracle,
        Err(skip) => return skipped(&skip.reason),
    };
    let sandbox = Sandbox::new()?;
    let env = sandbox.env("drawing", &[]);
    let dir = sandbox.path().join("repo");
    fs::create_dir_all(dir.join(".dvc"))?;
    fs::write(dir.join(".dvc/config"), "")?;
    fs::write(dir.join(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")?;
    fs::write(dir.join("t.csv"), table(0))?;
    git(&dir, &env, &["init", "-q"])?;
    git(&dir, &env, &["add", "-A"])?;
    git(&dir, &env, &["commit", "-qm", "all"])?;
    fs::write(dir.join("t.csv"), table(7))?;
    let exp = Tool::find_exp()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (template, x, y) in TEMPLATES {
        let args =
            ["plots", "diff", "--targets", "t.csv", "-t", template, "-x", x, "-y", y, "--json"];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let answer = Tool::ExpDvc(exp.clone()).run(&args, &dir, &env)?;
        assert_eq!(answer.code, 0, "{template}: {}", answer.both());
        ours.extend(specs(&answer.stdout)?);
        // The real one, in the same grammar.
        let answer = Tool::Exp(oracle.bin().join("dvc")).run(&args, &dir, &env)?;
        assert_eq!(answer.code, 0, "{template}: {}", answer.both());
        theirs.extend(specs(&answer.stdout)?);
    }
    assert_eq!((ours.len(), theirs.len()), (TEMPLATES.len(), TEMPLATES.len()));
    let assets = workspace_root().join("crates/exp-plots/assets");
    let scripts: Vec<PathBuf> =
        ["vega.min.js", "vega-lite.min.js"].iter().map(|name| assets.join(name)).collect();
    let seen = browser.draws(&scripts, &[ours, theirs].concat())?;
    let (ours, theirs) = seen.told.split_at(TEMPLATES.len());
    for (((template, ..), ours), theirs) in TEMPLATES.iter().zip(ours).zip(theirs) {
        let n = ours.as_array().map_or(0, Vec::len);
        assert!(n > 20, "{template} draws {n} marks: {ours}");
        // Jitter is chance.
        if *template == "scatter_jitter" {
            assert_eq!(Some(n), theirs.as_array().map(Vec::len), "{template}");
        } else {
            assert_eq!(ours, theirs, "{template}");
        }
    }
    assert_eq!(json!(seen.errors), json!([]));
    Ok(())
}
