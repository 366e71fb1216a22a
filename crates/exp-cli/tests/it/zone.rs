//! The clock of the machine: what commits of experiments carry.

use exp_cli::{Environment, Io};

use crate::{Outcome, Sandbox};

#[test]
fn experiments_carry_the_offset_that_git_would_write() -> Outcome {
    let sandbox = Sandbox::empty()?;
    sandbox.git(&["init", "--quiet"])?;
    let run = |args: &[&str], tz: &str| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut vars = sandbox.vars();
        vars.insert("TZ".into(), tz.into());
        let cwd = sandbox.root().to_path_buf();
        let env = Environment { cwd, vars, ..Environment::default() };
        let mut io = Io::captured(&mut out, &mut err, env);
        let status = exp_cli::run(args, &mut io);
        drop(io);
        assert_eq!(status.code(), 0, "{args:?}: {}", String::from_utf8_lossy(&err));
    };
    let stage = ["exp", "init", "--command", "echo", "--code", "n", "--data", "n", "--models", "n"];
    run(&[&stage[..], &["--params", "n", "--metrics", "n", "--plots", "n"]].concat(), "UTC0");
    sandbox.git(&["add", "--all"])?;
    sandbox.git(&["commit", "--quiet", "--message", "first"])?;
    for (tz, offset) in [("<+0545>-5:45", "+0545"), ("NST3:30", "-0330"), ("", "+0000")] {
        run(&["exp", "run", "--force", "--name", &format!("at{}", &offset[1..])], tz);
        let refs = format!("refs/exps/*/*/at{}", &offset[1..]);
        let shown = sandbox.git(&["for-each-ref", "--format=%(committerdate:raw)", &refs])?;
        assert_eq!(shown.split_whitespace().nth(1), Some(offset), "{tz}: {shown}");
    }
    Ok(())
}
