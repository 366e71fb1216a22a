//! `run`, `repro`, `status`, `dag`, `stage add`, `stage list`, in both grammars.

use crate::{Outcome, Sandbox};

const PIPELINE: &str = "\
stages:
  one:
    cmd: cp a b
    deps: [a]
    params: [p]
    outs: [b]
  two:
    cmd: cp b m.json
    deps: [b]
    metrics:
    - m.json: {cache: false}
";

fn project() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    sandbox.git(&["checkout", "-q", "-B", "main"])?;
    for (path, text) in [
        ("dvc.yaml", PIPELINE),
        ("a", "{\"loss\": 0.5}\n"),
        ("params.yaml", "p: 1  # one\n"),
        (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
    ] {
        std::fs::write(sandbox.root().join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    Ok(sandbox)
}

/// Leaves out what differs from run to run: times.
fn steady(text: &str) -> String {
    let is_time = |word: &str| {
        word.trim_end_matches(';').ends_with('s') && word.starts_with(|c: char| c.is_ascii_digit())
    };
    let line = |line: &str| {
        line.split(' ')
            .map(|word| if is_time(word) { "TIME" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn status_says_why_in_dvcs_words_and_in_ours() -> Outcome {
    let sandbox = project()?;
    let text = "one:\n\tchanged deps:\n\t\tmodified:           a\n\t\tnew:                params.yaml\n\tchanged outs:\n\t\t\
                deleted:            b\ntwo:\n\tchanged deps:\n\t\tdeleted:            b\n\tchanged outs:\n\t\t\
                deleted:            m.json\n";
    sandbox.check("dvc status", 0, text, "");
    sandbox.check(
        "dvc status --json two",
        0,
        "{\"two\": [{\"changed deps\": {\"b\": \"deleted\"}}, {\"changed outs\": {\"m.json\": \"deleted\"}}]}\n",
        "",
    );
    sandbox.check("dvc status -q", 1, "", "");
    sandbox.check(
        "dvc status nope",
        1,
        "",
        "ERROR: 'nope' does not exist as an output or a stage name in 'dvc.yaml': Stage 'nope' not found inside \
         'dvc.yaml' file\n",
    );
    sandbox.check(
        "exp status",
        0,
        " ● one  will run: never ran\n ● two  will run: never ran\n The workspace is as the last commit has it.\n",
        "",
    );
    let json = sandbox.run("exp status --json").out;
    assert!(
        json.starts_with("{\"schema\": 1, \"stages\": [{\"stage\": \"one\", \"state\": \"stale\""),
        "{json}"
    );
    Ok(())
}

#[test]
fn status_works_on_a_pipeline_whose_stages_do_not_fit_together() -> Outcome {
    let sandbox = project()?;
    let text = format!("{PIPELINE}  three:\n    cmd: cp a b\n    outs: [b]\n");
    std::fs::write(sandbox.root().join("dvc.yaml"), text)?;
    assert_eq!(sandbox.run("dvc status").code, 0);
    assert_eq!(sandbox.run("exp status").code, 0);
    let ran = sandbox.run("dvc repro");
    assert_eq!((ran.code, &*ran.out), (255, ""));
    assert!(ran.err.starts_with("ERROR: output 'b' is specified in:\n\t- "), "{}", ran.err);
    assert!(!sandbox.root().join("b").exists(), "nothing was run");
    Ok(())
}

#[test]
fn a_reproduction_is_told_as_dvc_tells_it() -> Outcome {
    let sandbox = project()?;
    sandbox.check(
        "dvc repro",
        0,
        "Running stage 'one':\n> cp a b\nGenerating lock file 'dvc.lock'\nUpdating lock file 'dvc.lock'\n\nRunning stage \
         'two':\n> cp b m.json\nUpdating lock file 'dvc.lock'\n\nTo track the changes with git, run:\n\n\tgit add \
         .gitignore dvc.lock\n\nTo enable auto staging, run:\n\n\tdvc config core.autostage true\nUse `dvc push` to send \
         your updates to remote storage.\n",
        "",
    );
    sandbox.check(
        "dvc repro",
        0,
        "Stage 'one' didn't change, skipping\nStage 'two' didn't change, skipping\nData and pipelines are up to \
         date.\n",
        "",
    );
    std::fs::create_dir(sandbox.root().join("sub"))?;
    let ran = sandbox.run_in(&sandbox.root().join("sub"), "dvc repro ../dvc.yaml:one -f");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("Running stage '../dvc.yaml:one':\n> cp a b\n"), "{}", ran.out);
    sandbox.check(
        "dvc repro nope",
        255,
        "",
        "ERROR: Stage 'nope' not found inside 'dvc.yaml' file\n",
    );
    let aborted = "ERROR: failed to reproduce 'one': reproduction aborted by the user\n";
    sandbox.check("dvc repro -i -f", 255, "", aborted);
    Ok(())
}

#[test]
fn a_failure_keeps_going_or_is_ignored_as_in_dvc() -> Outcome {
    let sandbox = project()?;
    std::fs::write(sandbox.root().join("dvc.yaml"), PIPELINE.replace("cp a b", "exit 3"))?;
    let line = "Running stage 'one':\n> exit 3\n";
    let error = "ERROR: failed to reproduce 'one': failed to run: exit 3, exited with 3\n";
    sandbox.check("dvc repro", 255, line, error);
    sandbox.check(
        "dvc repro -k",
        255,
        line,
        "WARNING: failed to run: exit 3, exited with 3\nWARNING: Stage 'two' will be skipped due to this \
         failure\nERROR: failed to reproduce 'one'\n",
    );
    Ok(())
}

#[test]
fn autostage_adds_what_was_written() -> Outcome {
    let sandbox = project()?;
    std::fs::write(sandbox.root().join(".dvc/config"), "[core]\n    autostage = true\n")?;
    let ran = sandbox.run("dvc repro");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.out.contains("git add"), "{}", ran.out);
    let staged = sandbox.git(&["diff", "--cached", "--name-only"])?;
    assert_eq!(staged, ".gitignore\ndvc.lock\n");
    Ok(())
}

#[test]
fn a_run_ends_with_its_metrics_beside_the_baselines() -> Outcome {
    let sandbox = project()?;
    assert_eq!(sandbox.run("dvc repro").code, 0);
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "second"])?;
    std::fs::write(sandbox.root().join("a"), "{\"loss\": 0.25}\n")?;
    let ran = sandbox.run("exp run -n better -S p=2");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        steady(&ran.out),
        " ✓ better      TIME · stages: 2 run\n          main   better\n   loss   0.5    0.25    ▼ −0.25 better\n   p      \
         1      2\n The workspace now holds better.\n   compare: exp diff   keep: exp branch better   undo: \
         exp undo\n"
    );
    let short = sandbox.git(&["rev-parse", "--short=7", "HEAD"])?;
    let err = steady(&ran.err);
    assert!(
        err.starts_with(&format!(
            " better  on {}  p=2\n ● one         a changed, params.yaml:p 1 → 2\n   $ cp a b\n ✓ one         TIME\n",
            short.trim()
        )),
        "{err}"
    );
    assert_eq!(sandbox.read("params.yaml")?, "p: 2  # one\n");

    let again = sandbox.run("exp run");
    assert_eq!((again.code, again.err.as_str()), (0, ""), "{}", again.out);
    let line = " = identical to better (code, parameters, data): nothing to run (";
    assert!(again.out.starts_with(line) && again.out.lines().count() == 1, "{}", again.out);
    assert!(sandbox.run("exp status").out.contains("The workspace is better."));
    Ok(())
}

#[test]
fn a_failed_run_says_where_it_is_kept_and_its_log_can_be_read() -> Outcome {
    let sandbox = project()?;
    let text = PIPELINE.replace("cp a b", "echo no good >&2; exit 3");
    std::fs::write(sandbox.root().join("dvc.yaml"), text)?;
    let ran = sandbox.run("exp run -n bad");
    assert_eq!(ran.code, 1);
    assert_eq!(
        steady(&ran.out),
        " ✗ one failed after TIME the run is kept as bad\n   log: exp log bad   undo: exp undo\n"
    );
    assert!(ran.err.contains("no good\n"), "{}", ran.err);
    let log = sandbox.run("exp log bad");
    assert_eq!((log.code, log.out.contains("no good")), (0, true), "{log:?}");
    assert_eq!(sandbox.run("dvc exp list").out, "", "DVC does not see it");
    Ok(())
}

#[test]
fn an_experiment_is_told_as_dvc_tells_it() -> Outcome {
    let sandbox = project()?;
    let ran = sandbox.run("dvc exp run -n e1 -S p=5");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out.starts_with("Reproducing experiment 'e1'\nRunning stage 'one':\n> cp a b\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.ends_with(
            "\nRan experiment(s): e1\nExperiment results have been applied to your workspace.\n"
        ),
        "{}",
        ran.out
    );
    sandbox.check(
        "dvc exp run -n e1",
        255,
        "",
        "ERROR: Experiment conflicts with existing experiment 'e1'. To overwrite the existing experiment \
         run:\n\n\tdvc exp run -f ...\n\n\n",
    );
    let sweep = "ERROR: Sweep overrides can't be used without `--queue`\n";
    sandbox.check("dvc exp run -S p=1,2", 255, "", sweep);
    Ok(())
}

#[test]
fn the_graph_is_drawn_and_written() -> Outcome {
    let sandbox = project()?;
    sandbox.check(
        "dvc dag --dot",
        0,
        "strict digraph {\n\"one\";\n\"two\";\n\"one\" -> \"two\";\n}\n\n",
        "",
    );
    sandbox.check(
        "dvc dag --md -o",
        0,
        "```mermaid\nflowchart TD\n\tnode1[\"b\"]\n\tnode2[\"m.json\"]\n\tnode1-->node2\n```\n",
        "",
    );
    sandbox.check("exp dag", 0, "● one  never ran\n└─ ● two  never ran\n\n● 2 will run\n", "");
    sandbox.check("dvc dag --dot one", 0, "strict digraph {\n\"one\";\n}\n\n", "");
    Ok(())
}

#[test]
fn a_stage_is_written_only_when_it_can_be() -> Outcome {
    let sandbox = project()?;
    let before = sandbox.read("dvc.yaml")?;
    let refused = [
        (
            "dvc stage add -n one echo",
            "ERROR: Stage 'one' already exists in 'dvc.yaml'. Use '--force' to overwrite.\n",
        ),
        ("dvc stage add -n a@b echo", "ERROR: Stage name cannot contain punctuation characters.\n"),
        ("dvc stage add -n new", "ERROR: command is not specified\n"),
        (
            "dvc stage add -n new -o b echo",
            "ERROR: output 'b' is already specified in stage: 'one'.\nUse `dvc remove one` to stop tracking the \
             overlapping output.\n",
        ),
        (
            "dvc stage add -n new -o a echo",
            "ERROR:  output 'a' is already tracked by SCM (e.g. Git).\n    You can remove it from Git, then add to \
             DVC.\n        To stop tracking from Git:\n            git rm -r --cached 'a'\n            git commit -m \
             \"stop tracking a\" \n",
        ),
    ];
    for (line, error) in refused {
        sandbox.check(line, 255, "", error);
        assert_eq!(sandbox.read("dvc.yaml")?, before, "{line}");
    }
    sandbox.check(
        "dvc stage add -n three -d b -p p,q -o out -M mm.json echo hi",
        0,
        "Added stage 'three' in 'dvc.yaml'\n\nTo track the changes with git, run:\n\n\tgit add dvc.yaml .gitignore\n\nTo \
         enable auto staging, run:\n\n\tdvc config core.autostage true\n",
        "",
    );
    let added = "  three:\n    cmd: echo hi\n    deps:\n    - b\n    params:\n    - p\n    - q\n    outs:\n    - out\n    \
                 metrics:\n    - mm.json:\n        cache: false\n";
    assert_eq!(sandbox.read("dvc.yaml")?, format!("{before}{added}"));
    assert_eq!(sandbox.read(".gitignore")?, "/out\n");
    sandbox.check(
        "dvc stage list",
        0,
        "one    Outputs b\ntwo    Reports m.json\nthree  Outputs out; Reports mm.json\n",
        "",
    );
    sandbox.check("dvc freeze three", 0, "Modifying stage 'three' in 'dvc.yaml'\n", "");
    assert!(sandbox.read("dvc.yaml")?.ends_with("    frozen: true\n"));
    sandbox.check("dvc unfreeze three", 0, "Modifying stage 'three' in 'dvc.yaml'\n", "");
    assert_eq!(sandbox.read("dvc.yaml")?, format!("{before}{added}"));
    Ok(())
}

#[test]
fn a_mistyped_key_is_told_with_its_place_and_the_right_one() -> Outcome {
    let sandbox = project()?;
    std::fs::write(sandbox.root().join("dvc.yaml"), PIPELINE.replace("outs: [b]", "ouds: [b]"))?;
    sandbox.check(
        "exp run",
        3,
        "",
        "error: unknown key `ouds` at `stages.one.ouds`\n --> dvc.yaml:6:5\n  |\n6 |     ouds: [b]\n  |     ^\n\
         hint: did you mean `outs`?\n",
    );
    Ok(())
}

#[test]
fn what_is_wrong_in_a_file_of_the_pipeline_is_shown_with_its_line() -> Outcome {
    let sandbox = project()?;
    let file = |name: &str, text: &str| std::fs::write(sandbox.root().join(name), text);
    file("dvc.yaml", "stages:\n  s:\n    cmd: echo ${p} ${nope}\n")?;
    sandbox.check(
        "exp status",
        3,
        "",
        "error: `nope` has no value at `stages.s.cmd`\n --> dvc.yaml:3:20\n  |\n3 |     cmd: echo ${p} ${nope}\n  |\
         \u{20}                   ^\n",
    );
    file(
        "dvc.yaml",
        "stages:\n  s:\n    cmd: a\n    outs: [x]\n  t:\n    cmd: b\n    outs: [y, x]\n",
    )?;
    sandbox.check(
        "exp repro",
        3,
        "",
        "error: output `x` is declared by `s`, `t`\n --> dvc.yaml:7:15\n  |\n7 |     outs: [y, x]\n  |               ^\n",
    );
    file("dvc.yaml", PIPELINE)?;
    file("dvc.lock", "schema: '2.0'\nstages:\n  one:\n    command: x\n")?;
    let told = sandbox.run("exp status");
    assert!(
        told.err.contains(" --> dvc.lock:4:5\n  |\n4 |     command: x\n  |     ^\n"),
        "{}",
        told.err
    );
    std::fs::remove_file(sandbox.root().join("dvc.lock"))?;
    file("params.yaml", "lr: [1\n")?;
    file("dvc.yaml", "stages:\n  s:\n    cmd: echo ${p}\n")?;
    let told = sandbox.run("exp status");
    assert!(
        told.err.contains(" --> params.yaml:1:5\n  |\n1 | lr: [1\n  |     ^\n"),
        "{}",
        told.err
    );
    Ok(())
}

#[test]
fn every_stage_is_explained_with_old_and_new() -> Outcome {
    let sandbox = project()?;
    sandbox.check(
        "exp why",
        0,
        " ● one  will run\n   never ran: nothing is recorded\n ● two  will run\n   never ran: nothing is recorded\n",
        "",
    );
    assert_eq!(sandbox.run("dvc repro").code, 0);
    let fresh = " ✓ one  unchanged since it ran; not committed yet\n";
    sandbox.check("exp why one", 0, fresh, "");
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "ran"])?;
    let head = sandbox.git(&["rev-parse", "--short=7", "HEAD"])?;
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "another"])?;
    let ran = sandbox.run("exp why two");
    let since = format!(" ✓ two  unchanged since {} (", head.trim());
    assert!(ran.out.starts_with(&since), "{}", ran.out);

    std::fs::write(sandbox.root().join("a"), "{\"loss\": 0.25}\n")?;
    std::fs::write(sandbox.root().join("params.yaml"), "p: 2  # one\n")?;
    let text = PIPELINE.replace("cp a b", "cp a b && true");
    std::fs::write(sandbox.root().join("dvc.yaml"), text)?;
    sandbox.check(
        "exp why b two",
        0,
        " ● one  will run\n   command\n     - cp a b\n     + cp a b && true\n   a              87a32a1 → \
         52336d1\n   params.yaml:p  1 → 2\n ○ two  follows one\n",
        "",
    );
    let ran = sandbox.run("exp run --dry -S p=1");
    assert_eq!(
        steady(&ran.out.replace('~', "")),
        " ● one  TIME  will run: its command changed, a changed\n ○ two  TIME  follows one\n at most 2 stages would run · \
         about TIME\n"
    );
    assert_eq!(sandbox.read("params.yaml")?, "p: 2  # one\n", "nothing was changed");
    let json = sandbox.run("exp why --json one").out;
    assert!(
        json.contains("{\"kind\": \"param\", \"text\": \"params.yaml:p 1 \\u2192 2\", \"file\": \"params.yaml\", \
                       \"key\": \"p\", \"change\": \"modified\", \"was\": 1, \"now\": 2}"),
        "{json}"
    );
    assert_eq!(sandbox.run("exp why nobody").code, 4);
    Ok(())
}

#[test]
fn the_files_of_a_directory_that_a_stage_reads_are_told_apart() -> Outcome {
    let sandbox = project()?;
    std::fs::create_dir(sandbox.root().join("in"))?;
    for name in ["x", "y"] {
        std::fs::write(sandbox.root().join("in").join(name), name)?;
    }
    let text = "stages:\n  all:\n    cmd: cat in/* > all\n    deps: [in]\n    outs: [all]\n";
    std::fs::write(sandbox.root().join("dvc.yaml"), text)?;
    assert_eq!(sandbox.run("exp repro").code, 0);
    std::fs::write(sandbox.root().join("in/x"), "z")?;
    std::fs::rename(sandbox.root().join("in/y"), sandbox.root().join("in/z"))?;
    let ran = sandbox.run("exp why");
    assert_eq!(
        ran.out,
        " ● all  will run\n   in  9c6c3f9/ → 0e0259a/\n     ~ in/x  9dd4e46 → fbade9e\n     - in/y  4152907\n     + in/z  \
         4152907\n"
    );
    std::fs::remove_dir_all(sandbox.root().join(".dvc/tmp/exp"))?;
    assert!(!sandbox.run("exp why").out.contains("in/x"), "what is not known is not guessed");
    Ok(())
}

#[test]
fn a_dry_run_knows_what_earlier_runs_took_and_what_is_restored() -> Outcome {
    let sandbox = project()?;
    assert_eq!(sandbox.run("exp repro").code, 0);
    std::fs::write(sandbox.root().join("params.yaml"), "p: 2\n")?;
    assert_eq!(sandbox.run("exp repro").code, 0);
    std::fs::write(sandbox.root().join("params.yaml"), "p: 1\n")?;
    let ran = sandbox.run("exp repro --dry");
    assert_eq!(
        steady(&ran.out.replace('~', "")),
        " ↻ one         will be restored from the run cache: params.yaml:p 2 → 1\n ○ two  TIME  follows one\n at most 1 \
         stage would run · about TIME\n"
    );
    std::fs::write(sandbox.root().join("dvc.yaml"), PIPELINE.replace("cp a b", "exit 4"))?;
    assert_eq!(sandbox.run("exp repro").code, 1);
    let ran = sandbox.run("exp dag");
    assert!(ran.out.starts_with("✗ one  its command changed, "), "{}", ran.out);
    assert!(ran.out.ends_with("\n\n○ 1 follows · ✗ 1 failed last time\n"), "{}", ran.out);
    Ok(())
}

#[test]
fn a_command_becomes_a_stage_in_a_repository_without_a_project() -> Outcome {
    let sandbox = Sandbox::empty()?;
    sandbox.git(&["init", "-q", "-b", "main"])?;
    for (path, text) in [
        ("params.yaml", "lr: 2\n"),
        ("train.sh", "sed 's/lr: /{\"score\": /; s/$/}/' params.yaml > metrics.json\n"),
    ] {
        std::fs::write(sandbox.root().join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    let refused = sandbox.run("exp run train -- sh train.sh");
    assert_eq!((refused.code, sandbox.root().join(".dvc").exists()), (2, false), "{}", refused.err);

    let ran = sandbox.run("exp run -n one -- sh train.sh");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let head = " ✓ made a project in .dvc/, addressed by sha256\n ✓ wrote stage `train` to dvc.yaml; edit it any time   undo: \
                exp undo\n   reads    train.sh\n   params   params.yaml (lr)\n   metrics  metrics.json\n";
    assert!(ran.err.starts_with(head), "{}", ran.err);
    assert_eq!(sandbox.read("metrics.json")?, "{\"score\": 2}\n");
    assert!(ran.out.contains("The workspace now holds one."), "{}", ran.out);
    let text = sandbox.read("dvc.yaml")?;
    let again = sandbox.run("exp run -- sh train.sh");
    assert!(again.out.starts_with(" = identical to one"), "{}{}", again.out, again.err);
    assert_eq!(sandbox.read("dvc.yaml")?, text);
    let ran = sandbox.run("dvc exp run -- nobody");
    assert!(ran.err.contains("'nobody'"), "DVC's grammar has targets there: {}", ran.err);
    Ok(())
}

#[test]
fn a_trace_is_told_and_written_and_can_be_undone() -> Outcome {
    let sandbox = project()?;
    let text = PIPELINE.replace("cp a b", "python3 one.py");
    std::fs::write(sandbox.root().join("dvc.yaml"), &text)?;
    std::fs::write(sandbox.root().join("one.py"), "import shutil\nshutil.copyfile('a', 'b')\n")?;
    let ran = sandbox.run("exp repro --trace one");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains(" trace: one\n   + deps     one.py\n"), "{}", ran.out);
    // Where only Python is watched, nobody knows what else opened.
    let unused = ran.out.contains("   ? params.yaml  declared and not opened\n");
    let is_blind = ran.out.contains("   only Python was watched");
    assert!(unused != is_blind, "{}", ran.out);
    assert_eq!(sandbox.read("dvc.yaml")?, text);
    let ran = sandbox.run("exp repro --trace one");
    assert!(ran.out.contains(" trace: no stage ran"), "{}", ran.out);
    let ran = sandbox.run("exp repro -f --trace --write one");
    assert!(ran.out.contains("   wrote: dvc.yaml   undo: exp undo\n"), "{}", ran.out);
    assert_eq!(
        sandbox.read("dvc.yaml")?,
        text.replace("deps: [a]", "deps:\n    - a\n    - one.py")
    );
    let ran = sandbox.run("exp undo");
    assert!(format!("{}{}", ran.out, ran.err).contains("undid 'stage trace': 1 file"), "{ran:?}");
    assert_eq!(sandbox.read("dvc.yaml")?, text);
    assert_eq!(sandbox.run("exp repro --write").code, 2);
    Ok(())
}

#[test]
fn a_project_is_made_with_a_stage_for_a_command_and_nothing_is_run() -> Outcome {
    let sandbox = Sandbox::empty()?;
    sandbox.git(&["init", "-q", "-b", "main"])?;
    std::fs::write(sandbox.root().join("train.sh"), "cp params.json metrics.json\n")?;
    std::fs::write(sandbox.root().join("params.json"), "{\"lr\": 1}\n")?;
    let ran = sandbox.run("exp init --from ./train.sh");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("   params   params.json (lr)\n   metrics  metrics.json\n"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("commit it: git add .dvc/.gitignore") && ran.err.contains("dvc.yaml"),
        "{}",
        ran.err
    );
    assert_eq!(
        sandbox.read("dvc.yaml")?,
        "stages:\n  train:\n    cmd: ./train.sh\n    deps:\n    - train.sh\n    params:\n    - params.json:\n      - lr\n    \
         metrics:\n    - metrics.json:\n        cache: false\n"
    );
    assert!(!sandbox.root().join("metrics.json").exists());
    assert_eq!(sandbox.run("exp init --from x -i").code, 2);
    Ok(())
}

#[test]
fn hundreds_of_stages_stay_readable() -> Outcome {
    let sandbox = project()?;
    let text = "\
stages:
  prepare:
    cmd: cp a b
    deps: [a]
    outs: [b]
  train:
    matrix:
      x: [1, 2, 3, 4, 5, 6, 7]
      y: [1, 2, 3, 4, 5, 6, 7]
    cmd: cp b m-${item.x}-${item.y}
    deps: [b]
    outs:
    - m-${item.x}-${item.y}
";
    std::fs::write(sandbox.root().join("dvc.yaml"), text)?;
    sandbox.check(
        "exp dag",
        0,
        "● prepare  never ran\n└─ ● train  × 49: ● 49 will run\n\n● 50 will run\n",
        "",
    );
    assert_eq!(sandbox.run("exp dag --expand").out.lines().count(), 52);
    assert_eq!(sandbox.run("exp dag train@1-1").out.lines().count(), 4);
    let ascii = sandbox.run("exp dag --md").out;
    assert!(ascii.starts_with("```mermaid\nflowchart TD\n") && ascii.contains("train@7-7"));
    Ok(())
}
