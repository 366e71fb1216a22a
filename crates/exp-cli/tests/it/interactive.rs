//! `--interactive` (issue 4): each stage is asked about in its turn, and what ran before stays.

use std::fs;
use std::io::Cursor;

use exp_cli::{Environment, Io};

use crate::{Outcome, Ran, Sandbox};

const CHAIN: &str = "stages:
  a: {cmd: echo a > a.txt, outs: [a.txt]}
  b: {cmd: cat a.txt > b.txt, deps: [a.txt], outs: [b.txt]}
  c: {cmd: cat b.txt > c.txt, deps: [b.txt], outs: [c.txt]}
";

/// Runs a command line at a terminal where these answers are typed.
fn answered(sandbox: &Sandbox, line: &str, answers: &str) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cwd = sandbox.root().to_path_buf();
    let env = Environment { cwd, vars: sandbox.vars(), ..Environment::default() };
    let mut io = Io::captured(&mut out, &mut err, env);
    io.can_ask = true;
    io.input = Box::new(Cursor::new(answers.to_owned()));
    let status = exp_cli::run(line.split(' '), &mut io);
    drop(io);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: status.code(), out: text(&out), err: text(&err) }
}

fn chain() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    fs::write(sandbox.root().join("dvc.yaml"), CHAIN)?;
    fs::write(sandbox.root().join("params.yaml"), "lr: 1\n")?;
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-qm", "base"])?;
    Ok(sandbox)
}

#[test]
fn dvc_asks_for_each_in_its_turn_and_keeps_what_ran() -> Outcome {
    let sandbox = chain()?;
    let ran = answered(&sandbox, "exp dvc repro -i", "Yes\nmaybe\nn\n");
    assert_eq!(ran.code, 255, "{}{}", ran.out, ran.err);
    assert_eq!(
        ran.out,
        "Running stage 'a':\n> echo a > a.txt\nGenerating lock file 'dvc.lock'\nUpdating lock file 'dvc.lock'\n\n"
    );
    let question = |name| {
        format!("Going to reproduce stage: '{name}'. Are you sure you want to continue? [y/n] ")
    };
    assert_eq!(
        ran.err,
        format!(
            "{}{}{}ERROR: failed to reproduce 'b': reproduction aborted by the user\n",
            question("a"),
            question("b"),
            question("b")
        )
    );
    let lock = sandbox.read("dvc.lock")?;
    assert!(lock.contains("  a:\n") && !lock.contains("  b:\n"), "{lock}");
    Ok(())
}

#[test]
fn ours_asks_with_the_reason_and_says_what_was_declined() -> Outcome {
    let sandbox = chain()?;
    let ran = answered(&sandbox, "exp repro -i -j 4", "y\nn\n");
    assert_eq!(ran.code, 130, "{}{}", ran.out, ran.err);
    for words in [" ? a           never ran: run it? [y/n] ", " ○ b           not done: declined"]
    {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    assert!(ran.out.contains("stages: 1 run, 1 declined, 1 left out\n"), "{}", ran.out);
    assert!(sandbox.read("dvc.lock")?.contains("  a:\n"));
    let nobody = sandbox.run("exp repro -i");
    assert_eq!(nobody.code, 2, "{}", nobody.err);
    assert!(nobody.err.contains("`--interactive` needs a terminal to ask at"), "{}", nobody.err);
    Ok(())
}

#[test]
fn a_run_of_which_the_first_stage_is_declined_leaves_nothing() -> Outcome {
    for (line, code, said) in [
        ("exp run -i -S lr=2", 130, "error: stage `a` was declined, so nothing was run\n"),
        (
            "exp dvc exp run -i -S lr=2",
            255,
            "ERROR: failed to reproduce 'a': reproduction aborted by the user\n",
        ),
    ] {
        let sandbox = chain()?;
        let ran = answered(&sandbox, line, "n\n");
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
        assert!(ran.err.ends_with(said), "{}", ran.err);
        assert_eq!(sandbox.read("params.yaml")?, "lr: 1\n");
        assert_eq!(sandbox.git(&["for-each-ref", "refs/exp", "refs/exps"])?, "");
    }
    let sandbox = chain()?;
    let ran = answered(&sandbox, "exp run -i -q -n half -S lr=2", "y\nn\n");
    assert_eq!(ran.code, 130, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("run it? [y/n] "), "{}", ran.err);
    assert!(sandbox.git(&["for-each-ref", "refs/exp"])?.contains("half"));
    Ok(())
}
