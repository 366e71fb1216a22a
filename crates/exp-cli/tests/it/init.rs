//! `init`: what is made, what is staged, what is refused.

use std::io::Cursor;

use exp_cli::{Environment, Io};

use crate::{Outcome, Ran, Sandbox};

/// What `train` is when every question is answered with its default.
const TRAIN: &str = "stages:
  train:
    cmd: python train.py
    deps:
    - data
    - src
    params:
    - params.yaml:
    outs:
    - models
    metrics:
    - metrics.json:
        cache: false
    plots:
    - plots:
        cache: false
";

/// Runs a command line whose questions are answered with `input`; without one there is nobody to ask.
fn converse(sandbox: &Sandbox, args: &[&str], input: Option<&str>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cwd = sandbox.root().to_path_buf();
    let env = Environment { cwd, vars: sandbox.vars(), ..Environment::default() };
    let mut io = Io::captured(&mut out, &mut err, env);
    io.can_ask = input.is_some();
    io.input = Box::new(Cursor::new(input.unwrap_or_default().to_owned()));
    let status = exp_cli::run(args, &mut io);
    drop(io);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: status.code(), out: text(&out), err: text(&err) }
}

/// Makes an empty Git repository.
fn repository() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::empty()?;
    sandbox.git(&["init", "--quiet"])?;
    Ok(sandbox)
}

/// Returns the names in the root, sorted.
fn names(sandbox: &Sandbox) -> Result<Vec<String>, std::io::Error> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(sandbox.root())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn our_init_touches_no_index_and_names_the_files() -> Outcome {
    let sandbox = Sandbox::empty()?;
    let refused = sandbox.run("exp init");
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(refused.err.contains("hint: run `git init` first"), "{}", refused.err);
    sandbox.git(&["init", "--quiet"])?;
    sandbox.check(
        "exp init",
        0,
        "",
        "Made a project; its content is addressed by sha256.\ncommit it: git add .dvc/.gitignore .dvc/config \
         .dvc/exp.toml .dvcignore && git commit\nnext: exp init -i, to describe the first stage\n",
    );
    assert_eq!(sandbox.read(".dvc/exp.toml")?, "version = 1\nhash = \"sha256\"\n");
    assert_eq!(sandbox.git(&["diff", "--cached", "--name-only"])?, "");
    let again = sandbox.run("exp init");
    assert_eq!(again.code, 5);
    assert!(again.err.contains("--force"), "{}", again.err);
    Ok(())
}

#[test]
fn dvcs_init_stages_what_dvc_stages() -> Outcome {
    let sandbox = Sandbox::empty()?;
    let refused = sandbox.run("dvc init");
    assert_eq!(refused.code, 1);
    assert!(refused.err.starts_with("ERROR: failed to initiate DVC - /"), "{}", refused.err);
    sandbox.git(&["init", "--quiet"])?;
    let ran = sandbox.run("dvc init");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with(
        "Initialized DVC repository.\n\nYou can now commit the changes to git.\n\nWhat's next?\n"
    ));
    assert_eq!(
        sandbox.git(&["diff", "--cached", "--name-only"])?,
        ".dvc/.gitignore\n.dvc/config\n.dvcignore\n"
    );
    assert!(!sandbox.root().join(".dvc/exp.toml").exists());
    sandbox.check(
        "dvc init",
        1,
        "",
        "ERROR: failed to initiate DVC - '.dvc' exists. Use `-f` to force.\n",
    );
    assert_eq!(sandbox.run("dvc init --no-scm -f").code, 1);
    Ok(())
}

#[test]
fn questions_are_asked_with_their_defaults() -> Outcome {
    let sandbox = repository()?;
    std::fs::create_dir(sandbox.root().join("src"))?;
    let ran = converse(&sandbox, &["exp", "init", "-i"], Some("\n python train.py \n\n\n\n\n\n\n"));
    assert_eq!((ran.code, &*ran.out), (0, ""), "{}", ran.err);
    assert_eq!(
        ran.err,
        "The defaults assume this layout:
├── data
├── metrics.json
├── models
├── params.yaml
├── plots
└── src

Command to run (n for no stage): Command to run (n for no stage): \
Path to a code file or directory [src, n to omit]: \
Path to a data file or directory [data, n to omit]: \
Path to a model file or directory [models, n to omit]: \
Path to a parameters file [params.yaml, n to omit]: \
Path to a metrics file [metrics.json, n to omit]: \
Path to a plots file or directory [plots, n to omit]: \
Made a project; its content is addressed by sha256.
Wrote stage `train` to dvc.yaml and .gitignore.
warning: the stage reads what does not exist yet: `data`, `params.yaml`
commit it: git add .dvc/.gitignore .dvc/config .dvc/exp.toml .dvcignore dvc.yaml .gitignore && git commit
next: exp run
"
    );
    assert_eq!(sandbox.read("dvc.yaml")?, TRAIN);
    assert_eq!(sandbox.read(".gitignore")?, "/models\n");
    assert_eq!(names(&sandbox)?, [".dvc", ".dvcignore", ".git", ".gitignore", "dvc.yaml", "src"]);
    assert_eq!(sandbox.git(&["diff", "--cached", "--name-only"])?, "");
    Ok(())
}

#[test]
fn answers_replace_defaults_and_n_omits() -> Outcome {
    let sandbox = repository()?;
    let args = ["exp", "init", "-i", "--data", "d/x.csv", "--name", "fit", "--plots", ""];
    let ran = converse(&sandbox, &args, Some("make fit\n./fit.py\nn\n n \nm.yaml\n"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.err.contains("Path to a data"), "what a flag answers is not asked: {}", ran.err);
    assert_eq!(
        sandbox.read("dvc.yaml")?,
        "stages:\n  fit:\n    cmd: make fit\n    deps:\n    - d/x.csv\n    - fit.py\n    metrics:\n    - m.yaml:\n        \
         cache: false\n"
    );
    assert!(!sandbox.root().join(".gitignore").exists(), "nothing is cached");
    Ok(())
}

#[test]
fn flags_describe_the_stage_without_a_question() -> Outcome {
    let sandbox = repository()?;
    let all = converse(&sandbox, &["exp", "init", "--command", "python train.py"], None);
    assert_eq!(all.code, 0, "{}", all.err);
    assert_eq!(sandbox.read("dvc.yaml")?, TRAIN);

    let args =
        ["exp", "init", "-i", "--command", "x", "--code", "n", "--data", "n", "--models", "n"];
    let more = ["--params", "n", "--metrics", "n", "--plots", "n", "--name", "bare"];
    let none = converse(&sandbox, &[&args[..], &more[..]].concat(), None);
    assert_eq!(
        none.code, 0,
        "nothing is left to ask, and the project is there already: {}",
        none.err
    );
    assert!(!none.err.contains("Made a project"), "{}", none.err);
    assert_eq!(sandbox.read("dvc.yaml")?, format!("{TRAIN}  bare:\n    cmd: x\n"));
    Ok(())
}

#[test]
fn nothing_is_made_when_the_stage_cannot_be() -> Outcome {
    let sandbox = repository()?;
    let check = |args: &[&str], input: Option<&str>, code: u8, text: &str| {
        let line = [&["exp", "init"], args].concat();
        let ran = converse(&sandbox, &line, input);
        assert!(ran.code == code && ran.err.contains(text), "{line:?}: {} {}", ran.code, ran.err);
        assert!(!sandbox.root().join(".dvc").exists(), "{line:?}");
    };
    check(
        &["-i"],
        None,
        2,
        "hint: answer with flags instead: --command, --code, --data, --models,",
    );
    check(&["-i", "--code", "a"], None, 2, "flags instead: --command, --data,");
    check(&["-i"], Some("python a.py\nsrc\n"), 130, "cancelled");
    check(&["--code", "a"], None, 2, "--code describes a stage");
    check(&["--command", "n", "--name", "a"], None, 2, "--name describes a stage");
    check(&["--command", "x", "--name", "a:b"], None, 2, "`a:b`");
    std::fs::write(sandbox.root().join("dvc.yaml"), "stages:\n  train:\n    cmd: a\n")?;
    check(&["--command", "x"], None, 5, "stage `train` already exists");
    std::fs::write(sandbox.root().join("dvc.yaml"), "stages: [\n")?;
    check(&["--command", "x"], None, 3, "dvc.yaml");
    assert_eq!(sandbox.read("dvc.yaml")?, "stages: [\n");
    Ok(())
}

#[test]
fn no_command_is_no_stage() -> Outcome {
    let sandbox = repository()?;
    let ran = converse(&sandbox, &["exp", "init", "-i"], Some("n\n"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(names(&sandbox)?, [".dvc", ".dvcignore", ".git"]);
    Ok(())
}

#[test]
fn an_existing_project_keeps_its_settings() -> Outcome {
    let sandbox = repository()?;
    assert_eq!(sandbox.run("exp init --hash md5").code, 0);
    std::fs::write(sandbox.root().join(".dvc/config"), "[core]\n    autostage = true\n")?;
    let refused = sandbox.run("exp init --hash sha256 --command x");
    assert_eq!(refused.code, 5, "{}", refused.err);
    let ran = sandbox.run("exp init --command x");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(sandbox.read(".dvc/config")?.contains("autostage"));
    assert!(!sandbox.root().join(".dvc/exp.toml").exists(), "still md5");
    let below = sandbox.root().join("sub");
    std::fs::create_dir(&below)?;
    let refused = sandbox.run_in(&below, "exp init");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("`--subdir`"), "{}", refused.err);
    assert_eq!(sandbox.run_in(&below, "exp init --subdir").code, 0);
    assert!(below.join(".dvc/config").is_file());
    Ok(())
}

#[test]
fn places_without_a_work_tree_are_refused() -> Outcome {
    let sandbox = Sandbox::empty()?;
    let top = sandbox.root();
    sandbox.git(&["init", "--quiet", "--bare", "bare.git"])?;
    sandbox.git(&["init", "--quiet", "work"])?;
    let check = |dir: &str, line: &str, code: u8, text: &str| {
        let ran = sandbox.run_in(&top.join(dir), line);
        assert!(ran.code == code && ran.err.contains(text), "{line}: {} {}", ran.code, ran.err);
    };
    check("bare.git", "exp init", 2, "is bare\nhint: clone it");
    check("bare.git", "dvc init", 1, "is bare");
    check("work/.git", "exp init", 2, "hint: run it in the work tree");
    check("work/.git", "exp init --subdir --command x", 2, "hint: run it in the work tree");
    check("none", "exp init", 7, "cannot open `");
    std::fs::write(top.join("work/.dvc"), "")?;
    check("work", "exp init", 5, "hint: give `--force`");
    check("work", "exp init --force", 7, "/work/.dvc/config`");
    Ok(())
}
