//! Where data is handed over: a directory, an S3 server, a bucket of it that keeps versions, an SSH server, a web server.

use std::fs;

use exp_tests::{Sandbox, Server, Skip};

use crate::Outcome;

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    S3,
    Versions,
    Ssh,
    Http,
}

/// A remote as both tools are told of it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    /// Options that everyone may know.
    pub(crate) options: Vec<(&'static str, String)>,
    /// Options of this user alone.
    pub(crate) secrets: Vec<(&'static str, String)>,
}

impl Place {
    /// Makes a place that nobody used before.
    pub(crate) fn new(
        kind: Kind,
        sandbox: &Sandbox,
    ) -> Result<Result<Place, Skip>, std::io::Error> {
        let name = sandbox.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = match kind {
            Kind::Directory => {
                let url = sandbox.path().join("far away").display().to_string();
                return Ok(Ok(Place { url, options: Vec::new(), secrets: Vec::new() }));
            }
            Kind::S3 => Server::find("s3", "EXP_TEST_S3"),
            Kind::Versions => Server::find("s3", "EXP_TEST_S3_VERSIONED"),
            Kind::Ssh => Server::find("ssh", "EXP_TEST_SSH"),
            Kind::Http => Server::find("http", "EXP_TEST_HTTP"),
        };
        let server = match found {
            Ok(server) => server,
            Err(skip) => return Ok(Err(skip)),
        };
        let fact = |name| server.fact(name).to_owned();
        if kind == Kind::Http {
            let url = format!("{}/handover-{name}", fact("EXP_TEST_HTTP"));
            return Ok(Ok(Place { url, options: Vec::new(), secrets: Vec::new() }));
        }
        if kind != Kind::Ssh {
            let mut options =
                vec![("endpointurl", fact("EXP_TEST_S3")), ("region", "us-east-1".into())];
            let bucket = if kind == Kind::Versions {
                options.push(("version_aware", "true".into()));
                fact("EXP_TEST_S3_VERSIONED")
            } else {
                fact("EXP_TEST_S3_BUCKET")
            };
            return Ok(Ok(Place {
                url: format!("s3://{bucket}/handover/{name}"),
                options,
                secrets: vec![
                    ("access_key_id", fact("EXP_TEST_S3_KEY")),
                    ("secret_access_key", fact("EXP_TEST_S3_SECRET")),
                ],
            }));
        }
        let home = sandbox.path().join("home/.ssh");
        fs::create_dir_all(&home)?;
        fs::copy(fact("EXP_TEST_SSH_KNOWN_HOSTS"), home.join("known_hosts"))?;
        let (user, host) = (fact("EXP_TEST_SSH_USER"), fact("EXP_TEST_SSH"));
        Ok(Ok(Place {
            url: format!("ssh://{user}@{host}{}/handover-{name}", fact("EXP_TEST_SSH_DIR")),
            options: Vec::new(),
            secrets: vec![("keyfile", fact("EXP_TEST_SSH_KEY"))],
        }))
    }
}

/// Runs a test in a place, or says why not.
pub(crate) fn in_place(
    kind: Kind,
    test: impl FnOnce(crate::people::Team, &Place) -> Outcome,
) -> Outcome {
    let sandbox = Sandbox::new()?;
    let place = match Place::new(kind, &sandbox)? {
        Ok(place) => place,
        Err(skip) => return skipped(&skip),
    };
    match crate::people::Team::new(sandbox)? {
        Ok(team) => test(team, &place),
        Err(skip) => skipped(&skip),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a test returns")]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped(skip: &Skip) -> Outcome {
    eprintln!("SKIPPED: {skip}");
    Ok(())
}
