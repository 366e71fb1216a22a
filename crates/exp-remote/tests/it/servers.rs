//! The storages under test: how each is reached, as whom, and a place of its own for every test.
//!
//! `cargo xtask services` starts the servers and says where they are, in `EXP_TEST_…` or in `target/services`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use exp_cache::{AddressError, Modes, OpenStorage as _, Storage, StorageAddress};
use exp_remote::{Storages, Surroundings};
use tempfile::TempDir;

use crate::Result;

/// A kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dir,
    S3,
    Gcs,
    /// One that keeps generations, and forgets everything when it stops.
    GcsVersions,
    Azure,
    Ssh,
    Http,
    Webdav,
}

/// Who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Someone who may do everything.
    Owner,
    /// Someone who may only read.
    Reader,
    /// Someone with a wrong secret.
    Stranger,
    /// Someone whose right to be here is over.
    Expired,
}

impl Kind {
    /// What `cargo xtask services` calls its server, and the variable with its address.
    fn server(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Dir => return None,
            Self::S3 => ("s3", "EXP_TEST_S3"),
            Self::Gcs => ("gcs", "EXP_TEST_GCS"),
            Self::GcsVersions => ("gcs-versions", "EXP_TEST_GCS_VERSIONS"),
            Self::Azure => ("azure", "EXP_TEST_AZURE"),
            Self::Ssh => ("ssh", "EXP_TEST_SSH"),
            Self::Http => ("http", "EXP_TEST_HTTP"),
            Self::Webdav => ("webdav", "EXP_TEST_WEBDAV"),
        })
    }
}

/// What is known of one server: variables and values.
type Facts = BTreeMap<String, String>;

/// A place of its own in a storage, for one test.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) kind: Kind,
    facts: Facts,
    prefix: String,
    scratch: TempDir,
}

impl Site {
    /// A new place; the reason when there is no server.
    pub(crate) fn new(kind: Kind) -> std::result::Result<Self, String> {
        let facts = match kind.server() {
            None => Facts::new(),
            Some((name, variable)) => {
                let facts = facts(name);
                if !facts.contains_key(variable) {
                    return Err(format!("no {variable}: run `cargo xtask services start {name}`"));
                }
                facts
            }
        };
        Self::with(kind, facts).map_err(|err| err.to_string())
    }

    /// A new place on a certain server.
    pub(crate) fn with(kind: Kind, facts: Facts) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("exp-site-").tempdir()?;
        // The name of the temporary directory is new each time, so it serves on the servers too.
        let name = scratch.path().file_name().ok_or("no name")?.to_string_lossy().into_owned();
        fs::create_dir_all(scratch.path().join("home/.ssh"))?;
        Ok(Self { kind, facts, prefix: format!("{name}/with space"), scratch })
    }

    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    /// A path of the test on this machine.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Where the server listens.
    pub(crate) fn authority(&self) -> Result<SocketAddr> {
        let (_, variable) = self.kind.server().ok_or("a directory has no server")?;
        let address = self.fact(variable);
        let address = address.strip_prefix("http://").unwrap_or(address);
        Ok(address.split('/').next().unwrap_or_default().parse()?)
    }

    /// Opens the place as its owner, without anything in between.
    pub(crate) fn open(&self) -> Result<Arc<dyn Storage>> {
        let at = if self.kind == Kind::Dir { None } else { Some(self.authority()?) };
        Ok(self.open_as(Who::Owner, at, "")?)
    }

    /// Opens the place as its owner, in this bucket and with these options more.
    pub(crate) fn open_with(
        &self,
        bucket: &str,
        more: &[(&str, &str)],
    ) -> Result<Arc<dyn Storage>> {
        let mut address = self.address(Who::Owner, self.authority()?.port(), "");
        let (scheme, rest) = address.url.split_once("://").ok_or("no URL")?;
        let (_, name) = rest.split_once('/').ok_or("no bucket")?;
        address.url = format!("{scheme}://{bucket}/{name}");
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        address.options.extend(more);
        let around = Surroundings { env: BTreeMap::new(), home: Some(self.path("home")) };
        Ok(Storages::new(around).open(&address)?)
    }

    /// Opens the place as its owner, through a proxy.
    pub(crate) fn open_at(&self, at: SocketAddr) -> Result<Arc<dyn Storage>> {
        Ok(self.open_as(Who::Owner, Some(at), "")?)
    }

    /// Opens what is `below` the place.
    pub(crate) fn open_as(
        &self,
        who: Who,
        at: Option<SocketAddr>,
        below: &str,
    ) -> std::result::Result<Arc<dyn Storage>, AddressError> {
        let port = at.map_or(0, |at| at.port());
        let known = self.fact("EXP_TEST_SSH_KNOWN_HOSTS");
        if !known.is_empty() {
            let line = fs::read_to_string(known).unwrap_or_default();
            let key = line.split_once(' ').map_or("", |(_, key)| key);
            let path = self.path("home/.ssh/known_hosts");
            fs::write(path, format!("[127.0.0.1]:* {key}")).unwrap();
        }
        let around =
            Surroundings { env: BTreeMap::new(), home: Some(self.scratch.path().join("home")) };
        Storages::new(around).open(&self.address(who, port, below))
    }

    fn address(&self, who: Who, port: u16, below: &str) -> StorageAddress {
        let prefix = format!("{}{below}", self.prefix);
        let http = format!("http://127.0.0.1:{port}");
        let either = |right: &str, wrong: &str| {
            self.fact(if who == Who::Stranger { wrong } else { right }).to_owned()
        };
        let (url, options): (String, Vec<(&str, String)>) = match self.kind {
            Kind::Dir => (self.path("storage").display().to_string() + below, Vec::new()),
            Kind::S3 => {
                let (key, secret) = match who {
                    Who::Reader => ("EXP_TEST_S3_READER_KEY", "EXP_TEST_S3_READER_SECRET"),
                    Who::Stranger => ("EXP_TEST_S3_KEY", "EXP_TEST_S3_READER_SECRET"),
                    _ => ("EXP_TEST_S3_KEY", "EXP_TEST_S3_SECRET"),
                };
                let mut options = vec![
                    ("endpointurl", http),
                    ("region", "us-east-1".to_owned()),
                    ("access_key_id", self.fact(key).to_owned()),
                    ("secret_access_key", self.fact(secret).to_owned()),
                ];
                if who == Who::Expired {
                    options.push(("session_token", "FwoGZXIvYXdzEBYaDExpired".to_owned()));
                }
                (format!("s3://{}/{prefix}", self.fact("EXP_TEST_S3_BUCKET")), options)
            }
            Kind::Gcs | Kind::GcsVersions => {
                let bucket = match self.kind {
                    Kind::Gcs => "EXP_TEST_GCS_BUCKET",
                    _ => "EXP_TEST_GCS_VERSIONS_ON",
                };
                (
                    format!("gs://{}/{prefix}", self.fact(bucket)),
                    vec![("endpointurl", http), ("allow_anonymous_login", "true".to_owned())],
                )
            }
            Kind::Azure => {
                let account = self.fact("EXP_TEST_AZURE_ACCOUNT");
                let secret = match who {
                    Who::Expired => {
                        format!("SharedAccessSignature={}", self.fact("EXP_TEST_AZURE_SAS_EXPIRED"))
                    }
                    Who::Stranger => format!(
                        "AccountName={account};AccountKey=d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc="
                    ),
                    _ => format!(
                        "AccountName={account};AccountKey={}",
                        self.fact("EXP_TEST_AZURE_KEY")
                    ),
                };
                let text = format!(
                    "DefaultEndpointsProtocol=http;BlobEndpoint={http}/{account};{secret};"
                );
                let container = self.fact("EXP_TEST_AZURE_CONTAINER");
                (format!("azure://{container}/{prefix}"), vec![("connection_string", text)])
            }
            Kind::Ssh => {
                let (user, dir) = (self.fact("EXP_TEST_SSH_USER"), self.fact("EXP_TEST_SSH_DIR"));
                let key = match who {
                    Who::Reader => "EXP_TEST_SSH_KEY_READER",
                    Who::Expired => "EXP_TEST_SSH_KEY_LATE",
                    Who::Stranger => "EXP_TEST_SSH_KEY_STRANGER",
                    Who::Owner => "EXP_TEST_SSH_KEY",
                };
                let key = self.fact(key).to_owned();
                (
                    format!("ssh://{user}@127.0.0.1:{port}{dir}/{prefix}"),
                    vec![("keyfile", key), ("allow_agent", "false".to_owned())],
                )
            }
            Kind::Http => (
                format!("{http}/private/{}", prefix.replace(' ', "%20")),
                vec![
                    ("auth", "basic".to_owned()),
                    (
                        "user",
                        match who {
                            // As the server knows them.
                            Who::Reader => "reader".to_owned(),
                            Who::Expired => "late".to_owned(),
                            _ => self.fact("EXP_TEST_HTTP_USER").to_owned(),
                        },
                    ),
                    ("password", either("EXP_TEST_HTTP_PASSWORD", "EXP_TEST_HTTP")),
                    ("method", "PUT".to_owned()),
                ],
            ),
            Kind::Webdav => (
                format!(
                    "webdav://127.0.0.1:{port}{}/{}",
                    // A share of the same directory.
                    if who == Who::Reader { "/read-only" } else { "" },
                    prefix.replace(' ', "%20")
                ),
                vec![
                    ("user", self.fact("EXP_TEST_WEBDAV_USER").to_owned()),
                    ("password", either("EXP_TEST_WEBDAV_PASSWORD", "EXP_TEST_WEBDAV")),
                ],
            ),
        };
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        StorageAddress { url, options, modes: Modes::default() }
    }
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

#[expect(clippy::disallowed_methods, reason = "tests are told where servers are")]
fn facts(name: &str) -> Facts {
    let file = workspace().join(format!("target/services/{name}/env"));
    let mut facts = parse(&fs::read_to_string(file).unwrap_or_default());
    facts.extend(std::env::vars().filter(|(name, _)| name.starts_with("EXP_TEST_")));
    facts
}

fn parse(text: &str) -> Facts {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A server that only one test uses, because it stops it. Ends with this value.
#[derive(Debug)]
pub(crate) struct OwnServer {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    name: &'static str,
    facts: Facts,
    _dir: TempDir,
}

impl OwnServer {
    /// Starts one; the reason when that is not possible.
    pub(crate) fn start(kind: Kind) -> std::result::Result<Self, String> {
        let (name, _) = kind.server().ok_or("a directory has no server")?;
        let told = facts(name).get("EXP_TEST_XTASK").map(PathBuf::from);
        let program = told.unwrap_or_else(|| workspace().join("target/debug/xtask"));
        let dir = tempfile::Builder::new()
            .prefix("exp-server-")
            .tempdir()
            .map_err(|err| err.to_string())?;
        let mut child = Command::new(&program)
            .args(["services", "run", "--at"])
            .arg(dir.path())
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|err| format!("cannot start {}: {err}", program.display()))?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut server = Self { child, requests, answers, name, facts: Facts::new(), _dir: dir };
        let mut text = String::new();
        loop {
            let line = server.line()?;
            if line.trim().is_empty() {
                break;
            }
            text.push_str(&line);
        }
        if let Some(problem) = text.lines().find_map(|line| line.strip_prefix("FAILED ")) {
            return Err(problem.to_owned());
        }
        server.facts = parse(&text);
        Ok(server)
    }

    pub(crate) fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn line(&mut self) -> std::result::Result<String, String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|err| err.to_string())?;
        Ok(line)
    }

    /// Says `stop`, `kill` or `start`.
    pub(crate) fn tell(&mut self, verb: &str) -> Result {
        let requests = self.requests.as_mut().ok_or("it has ended")?;
        writeln!(requests, "{verb} {}", self.name)?;
        requests.flush()?;
        let answer = self.line()?;
        if answer.trim() == "done" { Ok(()) } else { Err(answer.into()) }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.requests = None;
        let _ended = self.child.wait();
    }
}
