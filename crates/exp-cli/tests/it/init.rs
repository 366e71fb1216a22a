//! `init`: what is made, what is staged, what is refused.

use crate::{Outcome, Sandbox};

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
         .dvc/exp.toml .dvcignore && git commit\n",
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
