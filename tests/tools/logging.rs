//! `exp log` and the Python module that the binary brings: the same files as those of `DVCLive`, for the same calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exp_tests::Skip;

use crate::stand::{Stand, skipped};
use crate::{Fails, Outcome};

/// A project with the module in it, whose `python` is any.
fn project() -> Fails<Stand> {
    let stand = Stand::new()?;
    stand.exp(&["init", "-q"])?;
    let python = stand.shell("command -v python3")?;
    stand.with_python(Path::new(python.trim()))?;
    stand.shell("exp log --python > exp_log.py")?;
    stand.commit("Start")?;
    Ok(stand)
}

/// All files below a directory of the repository, by path.
fn files(stand: &Stand, dir: &str) -> Fails<BTreeMap<String, String>> {
    let root = stand.at(dir);
    let (mut found, mut waiting) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
                found.insert(name, String::from_utf8_lossy(&fs::read(&path)?).into_owned());
            }
        }
    }
    Ok(found)
}

/// The calls, in `DVCLive`.
const LIVE: &str = "\
from dvclive import Live
with Live(save_dvc_exp=False) as live:
    live.log_params({'lr': 0.1, 'seed': 3, 'name': 'a b', 'on': True, 'none': None, 'small': 1e-05})
    live.log_params({'layers': [64, 32], 'opt': {'name': 'adam', 'betas': [0.9, 0.999]}, 'word': 'yes', 'colon': 'a: b'})
    for step in range(3):
        live.log_metric('loss', 1 / (step + 1))
        live.log_metric('train/acc', 0.5 + step)
        live.log_metric('n (%)', step)
        live.log_metric('odd', float('nan'))
        live.log_metric('text', 'a\\tb \"c\"')
        live.step = step
        live.make_summary()
        live.next_step()
    live.log_metric('best', 1e-05, plot=False)
";

/// The same calls, in our module.
const OURS: &str = "\
import exp_log
exp_log.clear()
exp_log.log_params({'lr': 0.1, 'seed': 3, 'name': 'a b', 'on': True, 'none': None, 'small': 1e-05})
exp_log.log_params({'layers': [64, 32], 'opt': {'name': 'adam', 'betas': [0.9, 0.999]}, 'word': 'yes', 'colon': 'a: b'})
for step in range(3):
    exp_log.log({'loss': 1 / (step + 1), 'train/acc': 0.5 + step, 'n (%)': step, 'odd': float('nan'), 'text': 'a\\tb \"c\"'}, step)
exp_log.log({'best': 1e-05})
";

/// The same calls in a shell.
const SHELL: &str = "\
set -e
exp log --clear --params lr=0.1 seed=3 'name=a b' on=true none= small=1e-05
exp log --params 'layers=[64, 32]' 'opt={name: adam, betas: [0.9, 0.999]}' 'word=\"yes\"' 'colon=\"a: b\"'
exp log --step 0 loss=1.0 train/acc=0.5 'n (%)=0' odd=nan 'text=a\tb \"c\"'
exp log --step 1 loss=0.5 train/acc=1.5 'n (%)=1' odd=nan 'text=a\tb \"c\"'
exp log --step 2 loss=0.3333333333333333 train/acc=2.5 'n (%)=2' odd=nan 'text=a\tb \"c\"'
exp log best=1e-05
";

#[test]
fn three_ways_to_log_write_the_same_files() -> Outcome {
    let stand = project()?;
    let live = match Stand::python() {
        Ok(live) => live,
        Err(skip) => return skipped(&skip),
    };
    stand.write(&[("ours.py", OURS), ("live.py", LIVE), ("log.sh", SHELL)])?;
    stand.shell(&format!("'{}' live.py", live.display()))?;
    let expect = files(&stand, "dvclive")?;
    let pipeline = stand.read("dvc.yaml")?;
    assert!(expect.len() == 7 && pipeline.contains("dvclive/metrics.json"), "{expect:?}");
    for command in ["python ours.py", "sh log.sh"] {
        fs::remove_dir_all(stand.at("dvclive"))?;
        fs::remove_file(stand.at("dvc.yaml"))?;
        stand.shell(command)?;
        let found = files(&stand, "dvclive")?;
        for (name, text) in &expect {
            assert_eq!(found.get(name), Some(text), "{command}: {name}");
        }
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expect.keys().collect::<Vec<_>>(),
            "{command}"
        );
        assert_eq!(stand.read("dvc.yaml")?, pipeline, "{command}");
    }
    Ok(())
}

#[test]
fn a_pipeline_keeps_its_bytes_and_gets_the_names_that_are_missing() -> Outcome {
    let stand = project()?;
    let stages =
        "# Mine.\nstages:\n  a:\n    cmd: echo 1  # once\nmetrics:\n  - other.json # hand-made\n";
    let named = "  - dvclive/metrics.json\nplots:\n- dvclive/plots/metrics:\n    x: step\n";
    for command in
        ["exp log acc=1 --step 0", "python -c \"import exp_log; exp_log.log({'acc': 1}, 0)\""]
    {
        stand.write(&[("dvc.yaml", stages)])?;
        for _ in 0..2 {
            stand.shell(command)?;
            assert_eq!(stand.read("dvc.yaml")?, format!("{stages}{named}"), "{command}");
        }
        stand.shell("exp log --clear")?;
        // What a stage names needs no other name.
        let own = "stages:\n  a:\n    cmd: x\n    metrics:\n    - dvclive/metrics.json:\n        cache: false\n    plots:\n    - \
                   dvclive/plots/metrics\n";
        stand.write(&[("dvc.yaml", own)])?;
        stand.shell(command)?;
        assert_eq!(stand.read("dvc.yaml")?, own, "{command}");
        stand.shell("exp log --clear")?;
    }
    Ok(())
}

#[test]
fn processes_that_log_at_a_time_lose_nothing() -> Outcome {
    let stand = project()?;
    let python = "import exp_log, sys\nfor step in range(30): exp_log.log({f'm{sys.argv[1]}': step, 'all': 1}, step)\n";
    let shell = "for step in $(seq 0 29); do exp log m$1=$step all=1 --step $step; done\n";
    stand.write(&[("log.py", python), ("log.sh", shell)])?;
    let mut children = Vec::new();
    for n in 0..4 {
        let program = if n % 2 == 0 { "python log.py" } else { "sh log.sh" };
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{program} {n}")).current_dir(stand.root());
        children.push(command.env_clear().envs(&stand.env).stdin(Stdio::null()).spawn()?);
    }
    for mut child in children {
        assert!(child.wait()?.success());
    }
    let found = files(&stand, "dvclive")?;
    let all = &found["plots/metrics/all.tsv"];
    assert_eq!((all.lines().count(), all.matches("step").count()), (121, 1), "{all}");
    for n in 0..4 {
        let own = &found[&format!("plots/metrics/m{n}.tsv")];
        assert_eq!(own.lines().count(), 31, "{own}");
        assert!(
            found["metrics.json"].contains(&format!("\"m{n}\": 29")),
            "{}",
            found["metrics.json"]
        );
    }
    assert!(found.keys().all(|name| !name.contains(".tmp")), "{:?}", found.keys());
    let names = stand.read("dvc.yaml")?;
    assert_eq!(names.matches("dvclive/metrics.json").count(), 1, "{names}");
    Ok(())
}

#[test]
fn what_is_logged_in_a_run_belongs_to_its_experiment() -> Outcome {
    let stand = project()?;
    let script = "exp log --clear\nfor step in 0 1 2; do exp log loss=0.$step --step $step; done\n\
                  python -c \"import exp_log; exp_log.log({'acc': 0.9}, 0)\"\n";
    stand.write(&[("params.yaml", "lr: 1\n"), ("train.sh", script)])?;
    stand.write(&[(
        "dvc.yaml",
        "stages:\n  train:\n    cmd: sh train.sh\n    deps: [train.sh]\n    params: [lr]\n",
    )])?;
    stand.commit("Pipeline")?;
    stand.exp(&["run", "-n", "here"])?;
    stand.exp(&["run", "--temp", "-n", "there", "-S", "lr=2"])?;
    let table = stand.json(&["exp", "show", "--json"])?;
    for name in ["here", "there"] {
        let rows = table[1]["experiments"].as_array().ok_or("no rows")?;
        let row = rows.iter().find(|row| row["name"] == name).ok_or(name)?;
        let metrics = &row["revs"][0]["data"]["metrics"]["dvclive/metrics.json"]["data"];
        assert_eq!((&metrics["loss"], &metrics["acc"]), (&0.2.into(), &0.9.into()), "{row}");
    }
    assert!(stand.exp(&["plots", "diff", "here", "there"])?.contains("loss.tsv"));
    // Run again, the curve is not twice as long.
    stand.exp(&["run", "-n", "again", "-S", "lr=3"])?;
    assert_eq!(stand.read("dvclive/plots/metrics/loss.tsv")?.lines().count(), 4);
    Ok(())
}

#[test]
fn outside_of_a_project_files_are_written_and_it_is_said_once() -> Outcome {
    let stand = Stand::new()?;
    let said = stand.shell("exp log acc=1 --step 0 2>&1; exp log acc=2 --step 1 2>&1")?;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("in no project") && said.contains("exp init"), "{said}");
    assert_eq!(stand.read("dvclive/plots/metrics/acc.tsv")?, "step\tacc\n0\t1\n1\t2\n");
    assert!(!stand.at("dvc.yaml").exists());
    for (line, problem) in [
        ("exp log acc --step 1", "not KEY=VALUE"),
        ("exp log --step 1", "give what is to be logged"),
        ("exp log ../x=1", "cannot be the name"),
        ("exp log acc/top=1", "cannot both have a value"),
    ] {
        let Err(error) = stand.shell(line) else { return Err(format!("{line} is taken").into()) };
        assert!(error.to_string().contains(problem), "{line}: {error}");
    }
    Ok(())
}

#[test]
fn images_and_artifacts_are_logged_without_any_library() -> Outcome {
    let stand = project()?;
    stand.write(&[("model.bin", "weights\n"), ("one.png", "\u{89}PNG\r\n")])?;
    let script = "\
import exp_log
exp_log.log_image('sample/0.png', 'one.png')
exp_log.log_image('bytes.png', b'x')
class Figure:
    def savefig(self, path): open(path, 'w').write('figure')
exp_log.log_image('figure.png', Figure())
exp_log.log_artifact('model.bin', type='model', name='net', desc='The net: small', labels=['a', 'b'], meta={'n': 1})
exp_log.log_artifact('model.bin', name='net', desc='The net', cache=False)
for wrong in (lambda: exp_log.log_image('x.txt', b''), lambda: exp_log.log_image('x.png', 3), lambda: exp_log.log({'a': []}, 0)):
    try: wrong()
    except (TypeError, ValueError): continue
    raise SystemExit('taken')
";
    stand.write(&[("log.py", script)])?;
    stand.shell("python log.py")?;
    for (name, text) in
        [("sample/0.png", "\u{89}PNG\r\n"), ("bytes.png", "x"), ("figure.png", "figure")]
    {
        assert_eq!(stand.read(&format!("dvclive/plots/images/{name}"))?, text, "{name}");
    }
    assert!(stand.read("model.bin.dvc")?.contains("path: model.bin"));
    let named = "plots:\n- dvclive/plots/images\nartifacts:\n  net:\n    path: model.bin\n    desc: The net\n";
    assert_eq!(stand.read("dvc.yaml")?, named);
    Ok(())
}

#[test]
fn artifacts_are_described_as_dvclive_describes_them() -> Outcome {
    let stand = project()?;
    let live: Result<PathBuf, Skip> = Stand::python();
    let live = match live {
        Ok(live) => live,
        Err(skip) => return skipped(&skip),
    };
    let call = "log_artifact('model.bin', type='model', name='net', desc='The net: small', labels=['a', 'b'], meta={'n': 1}, cache=False)";
    stand.write(&[("model.bin", "weights\n")])?;
    let python = format!("'{}'", live.display());
    stand.shell(&format!(
        "{python} -c \"from dvclive import Live\nwith Live(save_dvc_exp=False) as live:\n  live.log_metric('a', 1); live.{call}\""
    ))?;
    let expect = stand.read("dvc.yaml")?;
    fs::remove_file(stand.at("dvc.yaml"))?;
    stand.shell(&format!(
        "python -c \"import exp_log; exp_log.clear(); exp_log.log({{'a': 1}}, 0); exp_log.{call}\""
    ))?;
    assert_eq!(stand.read("dvc.yaml")?, expect);
    Ok(())
}
