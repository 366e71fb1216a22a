//! Each block of `docs/remotes.md` behind a line `<!-- tested: NAME -->` is run in a project of its own, against a real
//! server, and what it pushed is pulled again.
//!
//! A block is written for people: names such as `s3.example.com` and `MY-SECRET` stand for those of the test's server.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use exp_tests::{Sandbox, Server, Skip, Tool, run_shell, workspace_root};

use crate::readme::{agree, blocks};

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn directory() -> Outcome {
    check("directory", |sandbox| {
        let dir = sandbox.path().join("team");
        Ok(vec![("/mnt/team", dir.display().to_string())])
    })
}

#[test]
fn s3() -> Outcome {
    check("s3", |sandbox| {
        let server = Server::find("s3", "EXP_TEST_S3")?;
        let fact = |name: &str| server.fact(name).to_owned();
        Ok(vec![
            ("my-bucket/", format!("{}/docs{}/", fact("EXP_TEST_S3_BUCKET"), unique(sandbox))),
            ("https://s3.example.com", fact("EXP_TEST_S3")),
            ("MY-KEY-ID", fact("EXP_TEST_S3_KEY")),
            ("MY-SECRET", fact("EXP_TEST_S3_SECRET")),
        ])
    })
}

#[test]
fn versions() -> Outcome {
    check("versions", |sandbox| {
        let server = Server::find("s3", "EXP_TEST_S3_VERSIONED")?;
        let fact = |name: &str| server.fact(name).to_owned();
        Ok(vec![
            ("my-bucket/", format!("{}/docs{}/", fact("EXP_TEST_S3_VERSIONED"), unique(sandbox))),
            ("https://s3.example.com", fact("EXP_TEST_S3")),
            ("MY-KEY-ID", fact("EXP_TEST_S3_KEY")),
            ("MY-SECRET", fact("EXP_TEST_S3_SECRET")),
        ])
    })
}

#[test]
fn gcs() -> Outcome {
    check("gcs", |sandbox| {
        let server = Server::find("gcs", "EXP_TEST_GCS")?;
        let bucket = server.fact("EXP_TEST_GCS_BUCKET");
        Ok(vec![
            ("my-bucket/", format!("{bucket}/docs{}/", unique(sandbox))),
            // Google is not asked; this is how its own programs are told.
            ("exp data", format!("STORAGE_EMULATOR_HOST={} exp data", server.fact("EXP_TEST_GCS"))),
        ])
    })
}

#[test]
fn azure() -> Outcome {
    check("azure", |sandbox| {
        let server = Server::find("azure", "EXP_TEST_AZURE")?;
        let fact = |name| server.fact(name);
        let string = format!(
            "DefaultEndpointsProtocol=http;AccountName={};AccountKey={};BlobEndpoint={};",
            fact("EXP_TEST_AZURE_ACCOUNT"),
            fact("EXP_TEST_AZURE_KEY"),
            fact("EXP_TEST_AZURE")
        );
        let container = fact("EXP_TEST_AZURE_CONTAINER");
        Ok(vec![
            ("my-container/", format!("{container}/docs{}/", unique(sandbox))),
            ("MY-CONNECTION-STRING", string),
        ])
    })
}

#[test]
fn ssh() -> Outcome {
    check("ssh", |sandbox| {
        let server = Server::find("ssh", "EXP_TEST_SSH")?;
        let home = sandbox.path().join("home/.ssh");
        let known = server.fact("EXP_TEST_SSH_KNOWN_HOSTS");
        fs::create_dir_all(&home)
            .and_then(|()| fs::copy(known, home.join("known_hosts")))
            .map_err(|err| Skip { reason: format!("{known}: {err}") })?;
        let (user, host) = (server.fact("EXP_TEST_SSH_USER"), server.fact("EXP_TEST_SSH"));
        let dir = format!("{}/docs{}", server.fact("EXP_TEST_SSH_DIR"), unique(sandbox));
        Ok(vec![
            ("me@data.example.com/srv", format!("{user}@{host}{dir}")),
            ("~/.ssh/id_project", server.fact("EXP_TEST_SSH_KEY").to_owned()),
        ])
    })
}

#[test]
fn http() -> Outcome {
    check("http", |sandbox| {
        let server = Server::find("http", "EXP_TEST_HTTP")?;
        let place = format!("{}/private/docs{}", server.fact("EXP_TEST_HTTP"), unique(sandbox));
        Ok(vec![
            ("https://data.example.com", place),
            ("MY-NAME", server.fact("EXP_TEST_HTTP_USER").to_owned()),
            ("MY-PASSWORD", server.fact("EXP_TEST_HTTP_PASSWORD").to_owned()),
        ])
    })
}

#[test]
fn webdav() -> Outcome {
    check("webdav", |sandbox| {
        let server = Server::find("webdav", "EXP_TEST_WEBDAV")?;
        let place = server.fact("EXP_TEST_WEBDAV").replace("http://", "webdav://");
        Ok(vec![
            ("webdavs://cloud.example.com", format!("{place}/docs{}", unique(sandbox))),
            ("MY-NAME", server.fact("EXP_TEST_WEBDAV_USER").to_owned()),
            ("MY-PASSWORD", server.fact("EXP_TEST_WEBDAV_PASSWORD").to_owned()),
        ])
    })
}

/// A name that no other run uses on the same server.
fn unique(sandbox: &Sandbox) -> String {
    sandbox.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What stands in a block and what it stands for.
type Stands = Result<Vec<(&'static str, String)>, Skip>;

/// Runs a block.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn check(name: &str, stands: impl FnOnce(&Sandbox) -> Stands) -> Outcome {
    let text = fs::read_to_string(workspace_root().join("docs/remotes.md"))?;
    let said = blocks(&text, &format!("<!-- tested: {name} -->"));
    assert!(!said.is_empty(), "docs/remotes.md has no block `{name}`");
    let sandbox = Sandbox::new()?;
    let stands = match stands(&sandbox) {
        Ok(stands) => stands,
        Err(skip) => {
            eprintln!("SKIPPED: {skip}");
            return Ok(());
        }
    };
    let with_server = |text: &str| {
        stands.iter().fold(text.to_owned(), |text, (name, real)| text.replace(name, real))
    };
    let bin = Tool::find_exp()?.parent().map(Path::to_path_buf).ok_or("exp lies nowhere")?;
    let mut env: BTreeMap<String, String> = sandbox.env("remotes", &[bin]);
    env.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
    let dir = sandbox.path().join("project");
    fs::create_dir(&dir)?;
    let run = |command: &str| -> Result<String, Box<dyn Error>> {
        let answer = run_shell(&format!("{{ {command}\n}} 2>&1"), &dir, &env)?;
        assert_eq!(answer.code, 0, "`{command}` fails:\n{}", answer.stdout);
        Ok(answer.stdout)
    };
    run(
        "git init -q && exp init && mkdir -p 'images/a b' && echo 1 > 'images/a b/1' && : > images/2 && \
         exp data add images && git add . && git commit -qm Data",
    )?;
    for said in said {
        let found = run(&with_server(&said.command))?;
        let lines: Vec<&str> = found.lines().map(str::trim_end).collect();
        let output: Vec<String> = said.output.iter().map(|line| with_server(line)).collect();
        assert!(
            output.is_empty() || agree(&output, &lines),
            "docs/remotes.md:{}: `{}` prints\n{found}",
            said.line,
            said.command
        );
    }
    // What it pushed is all that is needed.
    run("rm -rf images .dvc/cache .dvc/tmp")?;
    run(&with_server("exp data pull"))?;
    assert_eq!(run("cat 'images/a b/1' images/2")?, "1\n");
    assert_eq!(run("git status --porcelain -- images images.dvc .dvc/config.local")?, "");
    Ok(())
}
