//! The contract of DVC's extension for VS Code 1.2: each call that it makes, with its JSON, exit code, streams and side
//! effects, and the files that it watches. `tests/scenarios/editor.scn` compares the same calls with the real `dvc`.

mod live;
mod read;
mod write;

use crate::stand::Stand;
use crate::{Fails, Outcome};

const PIPELINE: &str = "\
stages:
  train:
    cmd: sh train.sh
    deps:
    - data.txt
    - train.sh
    params:
    - lr
    outs:
    - model.txt
    metrics:
    - metrics.json:
        cache: false
plots:
- loss.tsv:
    x: step
    y: loss
- img
";

/// Waits for the file `go` when the file `slow` is there.
const TRAIN: &str = "\
set -e
lr=$(sed -n 's/^lr: *//p' params.yaml)
[ \"$lr\" != 9 ]
if [ -e \"$DVC_ROOT/../slow\" ]; then
  echo $$ > \"$DVC_ROOT/../started\"
  until [ -e \"$DVC_ROOT/../go\" ]; do sleep 0.05; done
fi
echo \"model $lr\" > model.txt
printf 'step\\tloss\\n0\\t1.0\\n1\\t%s\\n' \"$lr\" > loss.tsv
echo \"{\\\"acc\\\": $lr, \\\"nan\\\": NaN}\" > metrics.json
";

/// An image of one pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T',
    0x78, 0x9c, 0x63, 0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I', b'E', b'N',
    b'D', 0xae, 0x42, 0x60, 0x82,
];

/// A project that ran once, with two commits and the environment of the extension.
fn project() -> Fails<Stand> {
    let mut stand = Stand::new()?;
    for (name, value) in [("DVC_NO_ANALYTICS", "true"), ("DVCLIVE_OPEN", "false")] {
        stand.env.insert(name.to_owned(), value.to_owned());
    }
    stand.done(&["init", "-q"])?;
    stand.write(&[
        ("dvc.yaml", PIPELINE),
        ("train.sh", TRAIN),
        ("params.yaml", "lr: 1\nlayers: [1, 2]\n"),
        ("data.txt", "alpha\n"),
        (".gitignore", "/loss.tsv\n"),
    ])?;
    std::fs::create_dir(stand.at("img"))?;
    std::fs::write(stand.at("img/0.png"), PNG)?;
    stand.done(&["add", "-q", "data.txt"])?;
    stand.shell("sed -i /loss.tsv/d .gitignore")?;
    stand.commit("Pipeline")?;
    stand.done(&["repro", "-q"])?;
    stand.commit("Results")?;
    Ok(stand)
}

/// The full names of commits, newest first.
fn commits(stand: &Stand) -> Fails<Vec<String>> {
    Ok(stand.git(&["log", "--format=%H"])?.lines().map(str::to_owned).collect())
}

/// What has to be so whatever is done: `HEAD` and the branches are where they were, `.dvc/tmp` is nothing to Git.
fn untouched(stand: &Stand, before: &str) -> Outcome {
    assert_eq!(state(stand)?, before, "HEAD or a branch moved");
    let status = stand.git(&["status", "--porcelain", "-uall"])?;
    assert!(!status.contains(".dvc/tmp"), "{status}");
    Ok(())
}

fn state(stand: &Stand) -> Fails<String> {
    let head = stand.read(".git/HEAD")?;
    Ok(head + &stand.git(&["for-each-ref", "refs/heads", "refs/tags"])?)
}
