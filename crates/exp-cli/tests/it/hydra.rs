//! Runs whose parameters are composed: what is written, and what is said when that cannot be.

use crate::{Outcome, Sandbox};

const PIPELINE: &str = "stages:\n  train:\n    cmd: cp params.yaml m.yaml\n    params: [lr, db]\n    metrics: [m.yaml: {cache: false}]\n";

fn sandbox(config: &str) -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    sandbox.git(&["checkout", "-q", "-b", "main"])?;
    for (path, text) in [
        (".dvc/config", config),
        (".dvc/.gitignore", "/tmp\n/cache\n"),
        ("conf/config.yaml", "defaults:\n- db: mysql\n- _self_\nlr: 1\nname: ${db.driver}\n"),
        ("conf/db/mysql.yaml", "driver: mysql\n"),
        ("conf/db/pg.yaml", "driver: pg\n"),
        ("params.yaml", "lr: 5\ndb: 1\n"),
        ("dvc.yaml", PIPELINE),
    ] {
        let path = sandbox.root().join(path);
        std::fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        std::fs::write(path, text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "x"])?;
    Ok(sandbox)
}

#[test]
fn a_run_composes_its_parameters() -> Outcome {
    let sandbox = sandbox("[hydra]\nenabled = true\n")?;
    assert_eq!(sandbox.run("exp run -q -n one -S db=pg -S lr=2").code, 0);
    assert_eq!(sandbox.read("params.yaml")?, "db:\n  driver: pg\nlr: 2\nname: pg\n");
    assert_eq!(sandbox.run("exp run -q -n two").code, 0, "without a change they are composed too");
    assert_eq!(sandbox.read("m.yaml")?, "db:\n  driver: mysql\nlr: 1\nname: mysql\n");
    assert_eq!(sandbox.run("exp run -q -n three --no-hydra -S lr=7").code, 0);
    assert_eq!(sandbox.read("params.yaml")?, "db:\n  driver: mysql\nlr: 7\nname: mysql\n");
    assert_eq!(sandbox.run("exp repro -q").code, 0);
    assert_eq!(sandbox.read("params.yaml")?, "db:\n  driver: mysql\nlr: 7\nname: mysql\n");
    Ok(())
}

#[test]
fn what_cannot_be_composed_is_told_with_a_way_out() -> Outcome {
    let sandbox = sandbox("[hydra]\nenabled = true\n")?;
    for (args, expect) in [
        (
            "-S db=nope",
            "error: cannot compose the parameters\n  in `config`: there is no configuration `db/nope`\n\
             hint: there is `mysql`, `pg`\n",
        ),
        (
            "-S db@other=pg",
            "error: cannot compose the parameters\n  nothing chooses `db@other`, so that it cannot be overridden\n\
             hint: did you mean `db`?\n",
        ),
        (
            "-S name=${oc.env:HOME}",
            "error: cannot compose the parameters\n  `${oc.env:HOME}` at `name` needs the resolver `oc.env`, which is not \
             supported\nhint: write the value down, or pass it with `-S`\n",
        ),
    ] {
        let ran = sandbox.run(&format!("exp run {args}"));
        assert_eq!((ran.code, ran.err.as_str()), (2, expect), "{args}");
    }
    assert_eq!(sandbox.read("params.yaml")?, "lr: 5\ndb: 1\n", "nothing was changed");
    Ok(())
}

#[test]
fn what_needs_python_is_refused_by_name() -> Outcome {
    for option in ["config_module", "plugins_path"] {
        let sandbox = sandbox(&format!("[hydra]\nenabled = true\n{option} = x\n"))?;
        let ran = sandbox.run("exp run");
        assert_eq!(ran.code, 2);
        let expect = format!("error: `hydra.{option}` is not supported");
        assert!(ran.err.starts_with(&expect), "{}", ran.err);
        assert!(ran.err.contains("--no-hydra"), "{}", ran.err);
    }
    Ok(())
}

#[test]
fn groups_are_of_composed_parameters_only() -> Outcome {
    let sandbox = sandbox("")?;
    let ran = sandbox.run("exp run -S db/engine=pg");
    assert_eq!((ran.code, ran.err.as_str()), (2, "error: `db/engine` is a configuration group\n"));
    Ok(())
}
