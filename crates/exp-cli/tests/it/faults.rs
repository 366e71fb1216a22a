//! What is wrong with a pipeline or a command line is told where it stands, before anything runs (issue 4).

use std::fs;

use crate::{Outcome, Ran, Sandbox};

fn project(pipeline: &str) -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    fs::write(sandbox.root().join("dvc.yaml"), pipeline)?;
    Ok(sandbox)
}

#[track_caller]
fn says(ran: &Ran, code: u8, words: &[&str]) {
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{word:?} is not in {:?}", ran.err);
    }
}

#[test]
fn what_a_stage_lacks_is_shown_in_its_file() -> Outcome {
    let sandbox = project(
        "stages:
  dep:
    cmd: cat x
    deps:
      - x
  params:
    cmd: cat x
    params: [lr, other.yaml: [k]]
  key:
    cmd: cat x
    params:
      - p.yaml:
        - k
  wdir:
    wdir: nowhere
    cmd: echo
  program:
    cmd: echo
    meta: {exp: {env: {interpreter: no-such-program}}}
",
    )?;
    fs::write(sandbox.root().join("p.yaml"), "l: 1\n")?;
    for (stage, what, place) in [
        (
            "dep",
            "dependency `x` does not exist",
            "--> dvc.yaml:5:9\n  |\n5 |       - x\n  |         ^\n",
        ),
        ("params", "parameter file `params.yaml` does not exist", "--> dvc.yaml:8:14\n"),
        ("key", "parameter file `p.yaml` does not have `k`", "--> dvc.yaml:13:11\n"),
        ("wdir", "working directory `nowhere` does not exist", "--> dvc.yaml:15:11\n"),
        (
            "program",
            "interpreter `no-such-program` cannot be started, and its version counts",
            "--> dvc.yaml:19:37\n",
        ),
    ] {
        says(&sandbox.run(&format!("exp repro -s {stage}")), 1, &[what, place]);
    }
    let dry = sandbox.run("exp repro --dry program");
    assert!(dry.out.contains("cannot run: interpreter no-such-program is missing"), "{}", dry.out);
    let dvcs = sandbox.run("exp dvc repro -s wdir");
    says(
        &dvcs,
        255,
        &["failed to reproduce 'wdir': [Errno 2] No such file or directory: 'nowhere'"],
    );
    Ok(())
}

#[test]
fn a_params_file_that_is_no_map_is_named() -> Outcome {
    let sandbox = project("stages:\n  a:\n    cmd: echo\n")?;
    fs::write(sandbox.root().join("params.yaml"), "3\n")?;
    says(
        &sandbox.run("exp repro"),
        3,
        &[
            "error: `params.yaml` is an int and not a map of keys to values\n --> params.yaml:1:1\n  |\n1 | 3\n",
        ],
    );
    Ok(())
}

#[test]
fn a_pattern_that_is_none_is_refused_where_it_stands() -> Outcome {
    let sandbox = project(
        "stages:\n  a:\n    cmd: echo\n    meta:\n      exp:\n        deps:\n        - glob: 'data/[a'\n",
    )?;
    let words =
        ["error: `data/[a` is not a pattern: a `[` in it has no `]`", "--> dvc.yaml:7:11\n"];
    says(&sandbox.run("exp repro"), 3, &words);
    Ok(())
}

#[test]
fn a_pattern_without_a_match_is_an_error_of_ours() -> Outcome {
    let sandbox = project("stages:\n  a:\n    cmd: echo\n")?;
    let words = ["error: no stage of `dvc.yaml` matches `q*`\n", "hint: run `exp stage list`"];
    says(&sandbox.run("exp repro --glob q*"), 4, &words);
    says(&sandbox.run("exp repro --dry --glob q*"), 4, &words);
    sandbox.check("exp dvc repro --glob q*", 0, "Data and pipelines are up to date.\n", "");
    Ok(())
}

#[test]
fn a_flag_that_would_do_nothing_is_refused_in_our_grammar_only() -> Outcome {
    let sandbox = project("stages:\n  a:\n    cmd: echo\n")?;
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-qm", "base"])?;
    says(&sandbox.run("exp run -C big.bin"), 2, &["give `--temp` or `--queue` with it"]);
    let queued = "each job runs up to 2 stages at a time; -j of `queue start` is for jobs\n";
    says(&sandbox.run("exp run --queue -j 2"), 0, &[queued]);
    says(&sandbox.run("exp dvc exp run -C big.bin"), 0, &[]);
    says(&sandbox.run("exp dvc exp run --queue -j 2"), 0, &[]);
    Ok(())
}

#[test]
fn dvcs_init_says_nothing_when_it_is_to_be_quiet() -> Outcome {
    let sandbox = Sandbox::empty()?;
    sandbox.git(&["init", "--quiet"])?;
    sandbox.check("exp dvc init -q", 0, "", "");
    Ok(())
}

#[test]
fn a_secret_is_shown_to_nobody_but_who_speaks_dvc() -> Outcome {
    let sandbox = project("")?;
    fs::write(
        sandbox.root().join(".dvc/config.local"),
        "['remote \"s\"']\n    url = s3://b/x\n    secret_access_key = hunter2\n['remote \"w\"']\n    url = https://u:pw@h/x\n",
    )?;
    sandbox.check("exp config remote.s.secret_access_key", 0, "***\n", "");
    sandbox.check("exp config --local remote.s.secret_access_key", 0, "***\n", "");
    sandbox.check("exp config remote.s.url", 0, "s3://b/x\n", "");
    let url = sandbox.run("exp config remote.w.url");
    assert!(!url.out.contains("pw") && url.out.contains("h/x"), "{}", url.out);
    sandbox.check("exp dvc config remote.s.secret_access_key", 0, "hunter2\n", "");
    Ok(())
}

#[test]
fn a_slip_in_a_dvc_file_has_a_hint() -> Outcome {
    let sandbox = project("")?;
    fs::write(sandbox.root().join("a.dvc"), "outs:\n- path: a\n  cahce: true\n")?;
    says(&sandbox.run("exp status"), 3, &["--> a.dvc:3:3\n", "hint: did you mean `cache`?\n"]);
    Ok(())
}

#[test]
fn a_directory_in_place_of_the_lock_file_is_refused_before_anything_runs() -> Outcome {
    let sandbox = project("stages:\n  a:\n    cmd: touch ran\n")?;
    fs::create_dir(sandbox.root().join("dvc.lock"))?;
    let words = ["error: `dvc.lock` is a directory and no file\n", "hint: move it away"];
    says(&sandbox.run("exp repro"), 3, &words);
    assert!(!sandbox.root().join("ran").exists());
    Ok(())
}
