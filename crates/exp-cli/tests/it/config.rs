//! `config` and `remote`: the texts of DVC 3.67.1 were taken from the real program.

use crate::{Outcome, Sandbox};

#[test]
fn dvc_remotes_print_and_write_what_dvc_does() -> Outcome {
    let sandbox = Sandbox::project()?;
    sandbox.check("dvc remote add foo ../y", 0, "", "");
    sandbox.check("dvc remote add -d bar s3://b/k", 0, "Setting 'bar' as a default remote.\n", "");
    assert_eq!(
        sandbox.read(".dvc/config")?,
        "[core]\n    remote = bar\n['remote \"foo\"']\n    url = ../../y\n['remote \"bar\"']\n    url = \
         s3://b/k\n"
    );
    let y = sandbox.root().with_file_name("y");
    let y = y.display();
    sandbox.check(
        "dvc remote list",
        0,
        &format!("{}bar     s3://b/k        (default)\n", tabbed(&format!("foo     {y}"))),
        "",
    );
    sandbox.check("dvc remote default", 0, "bar\n", "");
    sandbox.check(
        "dvc config --list --show-origin",
        0,
        &format!(
            ".dvc/config\tremote.foo.url={y}\n.dvc/config\tremote.bar.url=s3://b/k\n.dvc/config\tcore.remote=bar\n"
        ),
        "",
    );
    sandbox.check("dvc remote rename bar baz", 0, "", "");
    sandbox.check("dvc remote remove foo", 0, "", "");
    assert_eq!(
        sandbox.read(".dvc/config")?,
        "[core]\n    remote = baz\n['remote \"baz\"']\n    url = s3://b/k\n"
    );
    sandbox.check("dvc remote default -u", 0, "", "");
    sandbox.check("dvc remote default", 1, "No default remote set\n", "");
    Ok(())
}

/// A row without a default ends where its URL ends.
fn tabbed(row: &str) -> String {
    format!("{row}\n")
}

#[test]
fn dvc_errors_have_dvcs_words_and_codes() -> Outcome {
    let sandbox = Sandbox::project()?;
    sandbox.check("dvc remote add foo s3://b", 0, "", "");
    let before = sandbox.read(".dvc/config")?;
    for (line, code, message) in [
        (
            "remote add foo x",
            251,
            "configuration error - config file error: remote 'foo' already exists. Use `-f|--force` to \
             overwrite it.",
        ),
        (
            "config nope.x 1",
            251,
            "configuration error - config file error: extra keys not allowed @ data['nope']",
        ),
        (
            "config core.nope 1",
            251,
            "configuration error - config file error: extra keys not allowed @ data['core']['nope']",
        ),
        (
            "config cache.type foo",
            251,
            "configuration error - config file error: Unsupported cache type(s): foo for dictionary value @ \
             data['cache']['type']",
        ),
        (
            "config core.checksum_jobs abc",
            251,
            "configuration error - config file error: expected int for dictionary value @ \
             data['core']['checksum_jobs']",
        ),
        (
            "config core.autostage yes",
            251,
            "configuration error - config file error: expected true or false for dictionary value @ \
             data['core']['autostage']",
        ),
        (
            "config -u core.autostage",
            251,
            "configuration error - config file error: option 'autostage' doesn't exist in section 'core'",
        ),
        (
            "remote modify foo nope x",
            251,
            "configuration error - config file error: extra keys not allowed @ data['remote']['foo']['nope']",
        ),
        (
            "remote remove zzz",
            251,
            "configuration error - config file error: remote 'zzz' doesn't exist.",
        ),
        (
            "remote default zzz",
            251,
            "configuration error - config file error: default remote must be present in remote list.",
        ),
        (
            "remote add q foo://x/y",
            251,
            "configuration error - config file error: Unsupported URL type foo:// for dictionary value @ \
             data['remote']['q']",
        ),
        (
            "remote modify -u foo url",
            251,
            "configuration error - config file error: expected 'url' for dictionary value @ \
             data['remote']['foo']",
        ),
    ] {
        sandbox.check(&format!("dvc {line}"), code, "", &format!("ERROR: {message}\n"));
    }
    assert_eq!(sandbox.read(".dvc/config")?, before);
    let bad_name = sandbox.run("dvc config core");
    assert_eq!(bad_name.code, 254);
    assert!(bad_name.err.starts_with("ERROR: argument name: name argument should look like"));
    Ok(())
}

#[test]
fn our_errors_suggest_what_was_meant() -> Outcome {
    let sandbox = Sandbox::project()?;
    let ran = sandbox.run("exp config core.autostaeg true");
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            3,
            format!(
                "error: unknown option `core.autostaeg` in `{}/.dvc/config`\nhint: did you mean \
                 `core.autostage`?\n",
                sandbox.root().display()
            )
            .as_str()
        )
    );
    std::fs::write(sandbox.root().join(".dvc/config"), "[core]\n  remote\n")?;
    let ran = sandbox.run("exp remote list");
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains(".dvc/config:2:3\n  |\n2 |   remote\n  |   ^\n"), "{}", ran.err);
    Ok(())
}

#[test]
fn lists_hide_secrets_in_our_grammar() -> Outcome {
    let sandbox = Sandbox::project()?;
    sandbox.check("exp remote add store s3://b", 0, "", "Added remote `store`.\n");
    sandbox.check("exp remote modify --local store secret_access_key hunter2", 0, "", "");
    sandbox.check(
        "exp config --list",
        0,
        "remote.store.url=s3://b\nremote.store.secret_access_key=***\n",
        "",
    );
    sandbox.check("exp config remote.store.secret_access_key", 0, "***\n", "");
    Ok(())
}

#[test]
fn without_a_project_only_the_users_files_count() -> Outcome {
    let sandbox = Sandbox::empty()?;
    sandbox.check("dvc remote list", 0, "", "");
    sandbox.check(
        "dvc remote add a b",
        251,
        "",
        "ERROR: configuration error - config file error: Not inside a DVC repo\n",
    );
    sandbox.check("dvc config --global core.remote a", 0, "", "");
    sandbox.check("dvc config core.remote", 0, "a\n", "");
    Ok(())
}
