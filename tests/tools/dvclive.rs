//! The unmodified `DVCLive` from `PyPI`, which brings the real `dvc` as a library: inside of our runs, and beside them.

use crate::stand::{Stand, skipped};
use crate::{Fails, Outcome};

/// Logs three steps. `fail` in the parameters makes it end badly after the second.
const SCRIPT: &str = "\
import os, sys
from dvclive import Live
lr = float(next(line for line in open('params.yaml') if line.startswith('lr:'))[3:])
open('model.txt', 'w').write(f'model {lr}')
with Live(save_dvc_exp=True, exp_name=os.environ.get('NAME'), resume='RESUME' in os.environ) as live:
    live.log_param('lr', lr)
    live.log_params({'opt': {'name': 'adam', 'betas': [0.9, 0.999]}})
    for _ in range(3):
        live.log_metric('train/loss', lr / (live.step + 1))
        live.log_metric('acc (%)', lr * live.step)
        live.log_image(f'sample/{live.step}.png', 'one.png')
        live.next_step()
        if live.step == 2 and 'FAIL' in os.environ:
            sys.exit(3)
    live.log_metric('best', float('nan'), plot=False)
    live.log_artifact('model.txt', type='model', name='net', desc='The net')
";

const PIPELINE: &str = "\
stages:
  train:
    cmd: python train.py
    deps:
    - train.py
    params:
    - lr
    outs:
    - model.txt
";

/// How the project addresses its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Md5,
    Sha256,
}

const BOTH: [Kind; 2] = [Kind::Md5, Kind::Sha256];

/// Does something in a project of each kind; says why not where `DVCLive` is not to be had.
fn each(pipeline: Option<&str>, work: impl Fn(&Stand, Kind) -> Outcome) -> Outcome {
    for kind in BOTH {
        let mut stand = Stand::new()?;
        let python = match Stand::python() {
            Ok(python) => python,
            Err(skip) => return skipped(&skip),
        };
        stand.with_python(&python)?;
        stand.env.insert("DVCLIVE_LOGLEVEL".to_owned(), "WARNING".to_owned());
        match kind {
            Kind::Md5 => drop(stand.done(&["init", "-q"])?),
            Kind::Sha256 => drop(stand.exp(&["init", "-q"])?),
        }
        stand.write(&[("params.yaml", "lr: 0.5\n"), ("train.py", SCRIPT)])?;
        stand
            .shell("python -c \"from PIL import Image; Image.new('L', (2, 2)).save('one.png')\"")?;
        if let Some(pipeline) = pipeline {
            stand.write(&[("dvc.yaml", pipeline)])?;
        }
        stand.commit("Start")?;
        work(&stand, kind).map_err(|error| format!("{kind:?}: {error}"))?;
        stand.git(&["fsck", "--strict"])?;
    }
    Ok(())
}

/// What belongs to an experiment that `DVCLive` logged.
const LOGGED: [&str; 7] = [
    "dvc.yaml",
    "dvclive/metrics.json",
    "dvclive/params.yaml",
    "dvclive/plots/images/sample/0.png",
    "dvclive/plots/images/sample/2.png",
    "dvclive/plots/metrics/acc (%).tsv",
    "dvclive/plots/metrics/train/loss.tsv",
];

/// Checks the commit of an experiment, and that the table shows what was logged.
fn check(stand: &Stand, name: &str, lr: f64) -> Outcome {
    let refs = stand.loose_refs()?;
    let full = refs.iter().find(|full| full.ends_with(&format!("/{name}")));
    let full = full.ok_or_else(|| format!("no experiment {name}: {refs:?}"))?;
    let files = stand.git(&["-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", full])?;
    for file in LOGGED {
        assert!(files.lines().any(|line| line == file), "{file} is not in {name}:\n{files}");
    }
    let table = stand.json(&["exp", "show", "--json"])?;
    let ranges = table[1]["experiments"].as_array().ok_or_else(|| table.to_string())?;
    let row = ranges.iter().find(|range| range["name"] == name).ok_or("no row")?;
    let data = &row["revs"][0]["data"];
    let metrics = &data["metrics"]["dvclive/metrics.json"]["data"];
    assert_eq!(metrics["train"]["loss"], lr / 3.0, "{data}");
    assert_eq!(metrics["step"], 2, "{data}");
    assert_eq!(metrics["best"], "nan", "{data}");
    assert_eq!(data["params"]["dvclive/params.yaml"]["data"]["opt"]["betas"][1], 0.999, "{data}");
    let curve = stand.git(&["show", &format!("{full}:dvclive/plots/metrics/train/loss.tsv")])?;
    assert_eq!(curve.lines().count(), 4, "{curve}");
    assert!(stand.exp(&["show", "--cols", "all"])?.contains(name));
    let plots = stand.exp(&["plots", "diff", "HEAD", name])?;
    assert!(plots.contains("loss.tsv"), "{plots}");
    Ok(())
}

#[test]
fn a_stage_logs_in_the_workspace_elsewhere_and_in_the_queue() -> Outcome {
    each(Some(PIPELINE), |stand, _| {
        stand.write(&[("mine.txt", "staged by hand\n")])?;
        stand.git(&["add", "mine.txt"])?;
        stand.exp(&["run", "-n", "here", "-S", "lr=1"])?;
        check(stand, "here", 1.0)?;
        let staged = stand.git(&["diff", "--cached", "--name-only"])?;
        assert_eq!(staged, "mine.txt\n", "DVCLive adds files to the index of its run");
        assert!(!stand.at(".dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED").exists());
        // The file that was written meanwhile is part of the experiment, and no reason to run again.
        let again = stand.exp(&["run"])?;
        assert!(again.contains("identical to here"), "{again}");
        stand.exp(&["run", "--temp", "-n", "there", "-S", "lr=2"])?;
        check(stand, "there", 2.0)?;
        stand.exp(&["run", "--queue", "-n", "later", "-S", "lr=3"])?;
        stand.exp(&["worker"])?;
        check(stand, "later", 3.0)?;
        stand.exp(&["apply", "there"])?;
        assert!(stand.read("dvclive/metrics.json")?.contains("\"step\": 2"));
        Ok(())
    })
}

#[test]
fn what_a_stage_logged_before_it_failed_is_kept() -> Outcome {
    let pipeline = PIPELINE.replace("python train.py", "FAIL=1 python train.py");
    each(Some(&pipeline), |stand, _| {
        assert!(stand.exp(&["run", "-n", "bad", "-S", "lr=1"]).is_err());
        let table = stand.exp(&["show", "--json"])?;
        assert!(table.contains("\"bad\""), "{table}");
        let files = stand.git(&["for-each-ref", "--format=%(refname)", "refs/exp/runs"])?;
        let full = files.lines().next().ok_or("no run is kept")?;
        let metrics = stand.git(&["show", &format!("{full}:dvclive/metrics.json")])?;
        assert!(metrics.contains("\"step\": 2") || metrics.contains("\"step\": 1"), "{metrics}");
        Ok(())
    })
}

#[test]
fn a_script_by_itself_saves_an_experiment_of_dvcs_own() -> Outcome {
    each(None, |stand, _| {
        stand.write(&[(".gitignore", "/model.txt\n")])?;
        stand.commit("Ignore")?;
        let head = stand.git(&["rev-parse", "HEAD"])?;
        stand.shell("NAME=alone python train.py")?;
        check(stand, "alone", 0.5)?;
        assert!(!stand.at(".dvc/tmp/exps/run/DVCLIVE_ONLY").exists());
        assert_eq!(stand.git(&["rev-parse", "HEAD"])?, head);
        assert!(stand.exp(&["list"])?.contains("alone"));
        let diff = stand.exp(&["diff", "HEAD", "alone"])?;
        assert!(diff.contains("train.loss"), "{diff}");
        stand.shell("git init -q --bare ../origin.git && git remote add origin ../origin.git")?;
        stand.exp(&["push", "alone", "--no-data"]).or_else(|_| stand.exp(&["push", "alone"]))?;
        assert!(stand.git(&["ls-remote", "origin"])?.contains("/alone"));
        // What the script left lies in the workspace; the experiment is applied over it.
        stand.exp(&["apply", "alone"])?;
        Ok(())
    })
}

/// DVC's own code saves the experiment then, and it refuses what is recorded with SHA-256.
#[test]
fn a_script_beside_a_recorded_pipeline_saves_where_dvc_can_read_the_record() -> Outcome {
    let copy = "stages:\n  copy:\n    cmd: cp params.yaml copied\n    deps: [params.yaml]\n    outs: [copied]\n";
    each(Some(copy), |stand, kind| {
        stand.exp(&["repro"])?;
        stand.commit("Results")?;
        let said = stand.shell("NAME=alone python train.py 2>&1")?;
        if kind == Kind::Sha256 {
            assert!(said.contains("dvc.lock' validation failed"), "{said}");
            assert_eq!(stand.loose_refs()?, Vec::<String>::new());
            stand.exp(&["save", "-n", "alone", "-I", "dvclive"])?;
        }
        check(stand, "alone", 0.5)
    })
}

#[test]
fn a_script_goes_on_where_it_stopped() -> Outcome {
    each(None, |stand, _| {
        stand.shell("NAME=first python train.py")?;
        stand.shell("NAME=second RESUME=1 python train.py")?;
        let curve = stand.read("dvclive/plots/metrics/train/loss.tsv")?;
        assert_eq!(curve.lines().count(), 7, "{curve}");
        let list = stand.exp(&["list"])?;
        assert!(list.contains("first") && list.contains("second"), "{list}");
        let table = stand.json(&["exp", "show", "--json"])?;
        assert!(table.to_string().contains("\"step\":5"), "{table}");
        Ok(())
    })
}

#[test]
fn a_killed_script_is_forgotten() -> Outcome {
    each(Some(PIPELINE), |stand, _| {
        let script = "import os, signal; from dvclive import Live; live = Live(); live.log_metric('a', 1); live.next_step(); \
                      os.kill(os.getpid(), signal.SIGKILL)";
        stand.write(&[("killed.py", script)])?;
        assert!(stand.shell("python killed.py").is_err());
        let signals = ["DVCLIVE_ONLY", "DVCLIVE_STEP_COMPLETED"];
        let is_there = |name: &str| stand.at(".dvc/tmp/exps/run").join(name).exists();
        assert!(signals.iter().all(|name| is_there(name)), "DVCLive leaves its signals");
        stand.exp(&["run", "-n", "after"])?;
        assert!(signals.iter().all(|name| !is_there(name)), "they are gone");
        Ok(())
    })
}

#[test]
fn the_signal_of_a_step_comes_to_the_project_from_wherever_it_runs() -> Outcome {
    let waiting = SCRIPT.replace(
        "        live.next_step()\n",
        "        live.next_step()\n        open(os.environ['DVC_ROOT'] + '/../step', 'w').close()\n        while not \
         os.path.exists(os.environ['DVC_ROOT'] + '/../go'): __import__('time').sleep(0.02)\n",
    );
    each(Some(PIPELINE), |stand, _| {
        stand.write(&[("train.py", &waiting)])?;
        stand.exp(&["run", "--queue", "-n", "seen"])?;
        stand.exp(&["queue", "start"])?;
        stand.wait("a step ends", |stand| Ok(stand.at("../step").exists()))?;
        let signal: Fails<String> = stand.read(".dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED");
        assert!(signal?.contains("\"step\": 0"));
        // The row of the job has what it logged so far.
        let table = stand.json(&["exp", "show", "--json"])?;
        let row = &table[1]["experiments"][0];
        assert_eq!(row["executor"]["state"], "running", "{table}");
        let metrics = &row["revs"][0]["data"]["metrics"]["dvclive/metrics.json"]["data"];
        assert_eq!(metrics["step"], 0, "{row}");
        stand.write(&[("../go", "")])?;
        stand.exp(&["queue", "wait"])?;
        check(stand, "seen", 0.5)
    })
}
