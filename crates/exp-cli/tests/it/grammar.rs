//! Words before handlers: grammars, help, usage errors, `--cd`.

use crate::{Outcome, Sandbox};

#[test]
fn the_program_decides_the_grammar() -> Outcome {
    let sandbox = Sandbox::project()?;
    for line in ["dvc --version", "/usr/bin/dvc -V", "exp dvc --version"] {
        sandbox.check(line, 0, "3.67.1\n", "");
    }
    sandbox.check("exp --version", 0, &format!("exp {}\n", env!("CARGO_PKG_VERSION")), "");
    Ok(())
}

#[test]
fn root_is_relative_to_where_one_is() -> Outcome {
    let sandbox = Sandbox::project()?;
    std::fs::create_dir_all(sandbox.root().join("a/b"))?;
    sandbox.check("dvc root", 0, ".\n", "");
    sandbox.check("dvc --cd a/b root", 0, "../..\n", "");
    assert_eq!(sandbox.run_in(&sandbox.root().join("a"), "exp root").out, "..\n");
    let outside = Sandbox::empty()?;
    outside.check(
        "dvc root",
        253,
        "",
        "ERROR: you are not inside of a DVC repository (checked up to mount point '/')\n",
    );
    let ran = outside.run("exp root");
    assert_eq!(ran.code, 4);
    assert!(ran.err.ends_with("hint: run `exp init` to make a project here\n"), "{}", ran.err);
    Ok(())
}

#[test]
fn long_flags_may_be_abbreviated() -> Outcome {
    let sandbox = Sandbox::project()?;
    sandbox.check("dvc remote add --def a s3://b", 0, "Setting 'a' as a default remote.\n", "");
    sandbox.check("dvc config --loc --uns core.remote", 251, "", "ERROR: configuration error - config file error: option 'remote' doesn't exist in section 'core'\n");
    Ok(())
}

#[test]
fn wrong_usage_is_told_with_its_own_code() -> Outcome {
    let sandbox = Sandbox::project()?;
    for (line, message) in [
        ("dvc remote list --bogus", "unrecognized arguments: --bogus"),
        ("dvc remote add x", "the following arguments are required: url"),
        ("dvc remote", "the following arguments are required: cmd"),
        ("dvc", "the following arguments are required: command"),
        ("dvc config --local --global", "argument --local: not allowed with argument --global"),
    ] {
        let ran = sandbox.run(line);
        assert_eq!(
            (ran.code, ran.err.lines().next()),
            (254, Some(&*format!("ERROR: {message}"))),
            "{line}"
        );
        assert!(ran.out.to_lowercase().contains("usage: dvc"), "{line}: {}", ran.out);
    }
    let ran = sandbox.run("dvc nonsense");
    assert_eq!(ran.code, 254);
    assert!(
        ran.err.starts_with("ERROR: argument command: invalid choice: 'nonsense' (choose from '")
    );
    let ran = sandbox.run("exp remtoe");
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (2, "error: `exp remtoe` is not a command\nhint: did you mean `exp remote`?\n")
    );
    let ran = sandbox.run("exp remote add x");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    Ok(())
}

#[test]
fn every_command_has_help_in_both_grammars() -> Outcome {
    let sandbox = Sandbox::empty()?;
    for program in ["exp", "dvc"] {
        let front = sandbox.run(&format!("{program} --help"));
        assert_eq!((front.code, front.err.as_str()), (0, ""));
        let mut n_commands = 0;
        for line in front.out.lines().filter(|line| line.starts_with("  ") && !line.contains("--"))
        {
            let Some(words) = line.trim().split("  ").next() else { continue };
            for asked in [format!("{program} {words} --help"), format!("{program} --help {words}")]
            {
                let help = sandbox.run(&asked);
                assert_eq!((help.code, help.err.as_str()), (0, ""), "{asked}");
                let about = line.trim().rsplit("  ").next().unwrap_or(line);
                let short = sandbox.run(&format!("{program} {words} -h"));
                for text in [&help.out, &short.out] {
                    assert!(text.starts_with(about), "{asked}: {text}");
                }
                assert!(
                    help.out.contains(&format!("Usage: {program} {words}")),
                    "{asked}: {}",
                    help.out
                );
            }
            n_commands += 1;
        }
        assert!(n_commands >= 9, "{}", front.out);
    }
    let group = sandbox.run("exp remote --help");
    assert!(group.out.starts_with("Usage: exp remote COMMAND"), "{}", group.out);
    Ok(())
}

#[test]
fn a_closed_pipe_is_no_failure() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for (line, code) in [("exp --help", 0), ("dvc --help", 141)] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = exp_cli::Io::captured(&mut out, &mut err, exp_cli::Environment::default());
        io.out = Box::new(Closed);
        assert_eq!(exp_cli::run(line.split(' '), &mut io).code(), code, "{line}");
        drop(io);
        assert!(err.is_empty());
    }
}

#[test]
fn dvcs_verbosity_is_taken_and_ours_has_none() -> Outcome {
    let sandbox = Sandbox::project()?;
    for line in ["dvc -v root", "dvc -vv root", "dvc root -v", "dvc root -vv", "dvc --verbose root"]
    {
        sandbox.check(line, 0, ".\n", "");
    }
    for line in ["exp -v root", "exp root -v", "exp root --verbose"] {
        assert_eq!(sandbox.run(line).code, 2, "{line}");
    }
    for line in ["exp --wait-for-lock root", "exp root --wait-for-lock", "dvc --wait-for-lock root"]
    {
        sandbox.check(line, 0, ".\n", "");
    }
    Ok(())
}
