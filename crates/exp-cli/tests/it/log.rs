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
    assert_eq!((all.code, &*all.err), (0, "good finished.\n"));
    let one = "> echo first; cp a b\nfirst\n";
    assert!(all.out.starts_with(&format!("== one ==\n{one}== ")), "{}", all.out);
    assert!(all.out.contains("== two ==\n> echo then; cp b c\nthen\n"), "{}", all.out);
    sandbox.check("exp log good --stage one", 0, one, "good finished.\n");
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
    sandbox.check(
        "exp log better",
        1,
        "",
        "better finished.\nIts logs are not kept, or no longer: those of the last 20 runs are, on the machine where they \
         ran.\n",
    );
    std::fs::remove_dir_all(root.join(".dvc/tmp/exp/logs"))?;
    let kept = sandbox.run("exp log good");
    assert_eq!((kept.code, &*kept.out), (0, "> echo no good; exit 3; cp a b\nno good\n"));
    let whole = sandbox.run("exp log good --stage one");
    assert!(whole.code == 2 && whole.err.contains("leave out `--stage`"), "{whole:?}");
    Ok(())
}
