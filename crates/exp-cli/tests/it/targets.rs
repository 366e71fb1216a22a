//! What people name on the command line, and files that are not what they should be.

use std::fs;

use crate::{Outcome, Sandbox};

const STAGE: &str = "stages:\n  a:\n    cmd: echo 1 > o\n    outs: [o]\n";

#[test]
fn an_absolute_path_of_the_project_is_a_target_everywhere() -> Outcome {
    let sandbox = Sandbox::project()?;
    let root = sandbox.root();
    fs::create_dir(root.join("sub"))?;
    fs::write(root.join("sub/dvc.yaml"), STAGE)?;
    fs::write(root.join("d"), "data\n")?;
    let (root, sub) = (root.display(), root.join("sub"));
    for line in [
        format!("exp data add {root}/d"),
        format!("exp repro {root}/sub/dvc.yaml:a"),
        format!("exp repro -R {root}/sub"),
        format!("exp status {root}/sub/dvc.yaml:a"),
        format!("exp status {root}/d.dvc"),
        format!("exp why {root}/sub/dvc.yaml:a"),
        format!("exp dag {root}/sub/dvc.yaml:a"),
        format!("exp stage list {root}/sub/dvc.yaml"),
        format!("exp data freeze {root}/sub/dvc.yaml:a"),
        format!("exp data unfreeze {root}/sub/dvc.yaml:a"),
        format!("exp data commit {root}/d"),
        format!("exp data checkout {root}/d"),
        format!("dvc diff --targets {root}/d"),
        format!("exp data remove {root}/d.dvc"),
    ] {
        for cwd in [sandbox.root(), &sub] {
            let ran = sandbox.run_in(cwd, &line);
            assert_eq!(ran.code, 0, "{line} in {}: {ran:?}", cwd.display());
            if line.starts_with("exp data remove") {
                break;
            }
        }
    }
    let elsewhere = sandbox.run("exp status /elsewhere/dvc.yaml:a");
    assert_ne!(elsewhere.code, 0);
    Ok(())
}

#[test]
fn addresses_are_those_of_who_stands_in_a_directory() -> Outcome {
    let sandbox = Sandbox::project()?;
    fs::create_dir(sandbox.root().join("sub"))?;
    for file in ["dvc.yaml", "sub/dvc.yaml"] {
        fs::write(sandbox.root().join(file), STAGE)?;
    }
    let sub = sandbox.root().join("sub");
    for command in ["exp status", "exp why"] {
        let out = sandbox.run_in(&sub, command).out;
        assert!(out.contains(" ● ../dvc.yaml:a "), "{out}");
        assert!(out.contains(" ● a "), "{out}");
    }
    let named = sandbox.run_in(&sub, "exp why ../dvc.yaml:a");
    assert!(named.code == 0 && named.out.contains(" ● ../dvc.yaml:a "), "{named:?}");
    Ok(())
}

#[test]
fn bytes_that_are_no_text_are_refused_by_the_files_name() -> Outcome {
    for (file, bytes, command) in [
        (
            "dvc.yaml",
            &b"stages:\n  a:\n    cmd: echo \"\xe9\" > o\n    outs: [o]\n"[..],
            "exp repro",
        ),
        ("y.dvc", b"outs:\n- path: na\xefve\n", "exp data checkout"),
        ("params.yaml", b"a: \xe9\n", "exp repro"),
    ] {
        let sandbox = Sandbox::project()?;
        let uses = STAGE.replace("    outs", "    params: [a]\n    outs");
        fs::write(sandbox.root().join("dvc.yaml"), uses)?;
        fs::write(sandbox.root().join(file), bytes)?;
        let ran = sandbox.run(command);
        assert!(ran.code != 0 && ran.err.contains(&format!("`{file}` is not UTF-8")), "{ran:?}");
        assert!(!sandbox.root().join("o").exists(), "{file}: nothing was run");
    }
    Ok(())
}

#[test]
fn a_dependency_that_cannot_be_looked_at_stops_no_look_at_others() -> Outcome {
    let sandbox = Sandbox::project()?;
    for extra in ["url: 'http://127.0.0.1:1/x'", "cmd: exit 3"] {
        let pipeline = format!(
            "stages:\n  a:\n    cmd: echo 1 > o\n    outs: [o]\n    meta: {{exp: {{deps: [{{{extra}}}]}}}}\n  \
             b:\n    cmd: echo 2 > p\n    outs: [p]\n"
        );
        fs::write(sandbox.root().join("dvc.yaml"), pipeline)?;
        for command in ["exp status", "exp why", "exp repro --dry"] {
            let ran = sandbox.run(command);
            assert_eq!(ran.code, 0, "{command}: {ran:?}");
            assert!(
                ran.out.contains(" b ") && ran.out.contains("cannot run"),
                "{command}: {ran:?}"
            );
        }
        let unrelated = sandbox.run("exp why b");
        assert!(unrelated.code == 0 && unrelated.out.contains("will run"), "{unrelated:?}");
    }
    Ok(())
}

#[test]
fn a_glob_of_everything_settles() -> Outcome {
    let sandbox = Sandbox::project()?;
    let pipeline = format!("{STAGE}    meta: {{exp: {{deps: [{{glob: '*'}}]}}}}\n");
    fs::write(sandbox.root().join("dvc.yaml"), pipeline)?;
    assert_eq!(sandbox.run("exp repro").code, 0);
    let again = sandbox.run("exp repro");
    assert!(again.code == 0 && again.out.contains("up to date"), "{again:?}");
    Ok(())
}

#[test]
fn a_command_without_its_group_is_found() -> Outcome {
    let sandbox = Sandbox::project()?;
    let told = "error: `exp verify` is not a command\nhint: did you mean `exp data verify`?\n";
    sandbox.check("exp verify", 2, "", told);
    Ok(())
}
