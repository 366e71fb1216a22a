//! `run --dry`: refused where the run itself would be.

use crate::{Outcome, Sandbox};

#[test]
fn a_dry_run_is_refused_as_the_run_is() -> Outcome {
    let sandbox = Sandbox::project()?;
    let pipeline = "stages:\n  one:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n";
    std::fs::write(sandbox.root().join("dvc.yaml"), pipeline)?;
    std::fs::write(sandbox.root().join("a"), "1\n")?;
    let same = |line: &str| {
        let (real, dry) = (sandbox.run(line), sandbox.run(&format!("{line} --dry")));
        assert_ne!(real.code, 0, "{line}");
        assert_eq!((dry.code, dry.out, dry.err), (real.code, real.out, real.err), "{line}");
    };
    same("exp run");
    sandbox.git(&["add", "dvc.yaml", "a"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    assert_eq!(sandbox.run("exp run -n taken").code, 0);
    same("exp run -n taken");
    same("exp run -n a..b");
    assert_eq!(sandbox.run("exp run -n taken -f --dry").code, 0, "it would be replaced");
    assert_eq!(sandbox.run("exp run -n free --dry").code, 0);
    Ok(())
}
