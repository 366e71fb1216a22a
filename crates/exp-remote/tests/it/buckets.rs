//! What is particular to object stores: options, who we are, versions, uploads in parts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exp_cache::{
    AddressError, Modes, OpenStorage as _, Put, Storage, StorageAddress, StorageErrorKind,
};
use exp_core::{Cancel, CancelToken, Ctx, NullSink};
use exp_remote::{Storages, Surroundings};

use crate::basics::{bytes, key, read, size, write};
use crate::proxy::{Faults, Proxy};
use crate::servers::{Kind, Site};
use crate::{Result, chain};

/// Opens an address with these options and this environment; the home directory is that of the site.
fn open(
    url: &str,
    options: &[(&str, &str)],
    env: &[(&str, &str)],
    home: Option<&Site>,
) -> std::result::Result<Arc<dyn Storage>, AddressError> {
    let owned = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let home = home.map(|site| site.path("home"));
    let (options, modes) = (owned(options), Modes::default());
    let address = StorageAddress { url: url.to_owned(), options, modes };
    Storages::new(Surroundings { env: owned(env), home }).open(&address)
}

#[track_caller]
fn refused(url: &str, options: &[(&str, &str)], name: &str) {
    match open(url, options, &[], None) {
        Err(AddressError::Option { name: found, reason }) => {
            assert_eq!(found, name, "{reason}");
            assert!(!reason.contains("hidden-secret"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_option_is_understood_or_refused_by_name() {
    refused("s3://b/p", &[("grant_read", "id=everybody")], "grant_read");
    refused("s3://b/p", &[("account_name", "a")], "account_name");
    refused("s3://b/p", &[("use_ssl", "maybe")], "use_ssl");
    refused("s3://b/p", &[("read_timeout", "-1")], "read_timeout");
    refused("s3://b/p", &[("access_key_id", "only half")], "access_key_id");
    refused("s3://b/p", &[("profile", "nobody")], "profile");
    refused("s3://b/p", &[("credentialpath", "/nowhere/at/all")], "credentialpath");
    refused("s3://b/p", &[("ssl_verify", "/nowhere/at/all")], "ssl_verify");
    refused("s3://b/p", &[("sse_customer_key", "not base64!")], "sse_customer_key");
    let both = [("sse_customer_key", "a2V5"), ("sse_kms_key_id", "k")];
    refused("s3://b/p", &both, "sse_customer_key");
    refused("gs://b/p", &[("version_aware", "perhaps")], "version_aware");
    refused("gs://b/p", &[("region", "here")], "region");
    refused("azure://c/p", &[], "account_name");
    refused("azure://c/p", &[("connection_string", "hidden-secret")], "connection_string");
    let principal = [("account_name", "a"), ("client_secret", "hidden-secret")];
    refused("azure://c/p", &principal, "client_secret");
    assert!(matches!(open("s3:///p", &[], &[], None), Err(AddressError::Url { .. })));
}

#[test]
fn options_of_dvc_are_taken() -> Result {
    let common = [("jobs", "4"), ("verify", "true"), ("worktree", "false"), ("url", "s3://b/p")];
    let mut s3 = common.to_vec();
    s3.extend([
        ("region", "eu-west-1"),
        ("endpointurl", "https://s3.example"),
        ("access_key_id", "a"),
        ("secret_access_key", "b"),
        ("session_token", "c"),
        ("use_ssl", "True"),
        ("ssl_verify", "false"),
        ("allow_anonymous_login", "false"),
        ("sse", "AES256"),
        ("acl", "private"),
        ("cache_regions", "true"),
        ("read_timeout", "30"),
        ("connect_timeout", "2.5"),
        ("version_aware", "true"),
    ]);
    let storage = open("s3://b/p/", &s3, &[], None)?;
    assert_eq!(storage.label(), "s3://b/p");
    assert!(storage.abilities().versions);
    let mut gs = common.to_vec();
    gs.extend([("projectname", "p"), ("allow_anonymous_login", "true"), ("version_aware", "true")]);
    let storage = open("gs://b", &gs, &[], None)?;
    assert_eq!((storage.label(), storage.abilities().versions), ("gs://b", true));
    let mut azure = common.to_vec();
    azure.extend([
        ("account_name", "a"),
        ("account_key", "a2V5"),
        ("exclude_environment_credential", "true"),
        ("timeout", "20"),
        ("version_aware", "true"),
    ]);
    let storage = open("azure://c/p/q", &azure, &[], None)?;
    assert_eq!((storage.label(), storage.abilities().versions), ("azure://c/p/q", true));
    Ok(())
}

#[test]
fn aws_is_asked_by_the_name_of_the_bucket_and_through_the_proxy() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let proxy = format!("http://{}", listener.local_addr()?);
    let seen = std::thread::spawn(move || -> std::io::Result<String> {
        let (stream, _) = listener.accept()?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        (&stream).write_all(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")?;
        Ok(line)
    });
    let options =
        [("region", "eu-west-1"), ("use_ssl", "false"), ("allow_anonymous_login", "true")];
    let storage = open("s3://bucket/a", &options, &[("http_proxy", &proxy)], None)?;
    let err = size(&*storage, "b").unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Denied, "{}", chain(&err));
    let seen = seen.join().map_err(|_| "a thread panicked")??;
    assert_eq!(seen.trim(), "HEAD http://bucket.s3.eu-west-1.amazonaws.com/a/b HTTP/1.1");
    Ok(())
}

/// An S3 server, as its facts say.
struct S3 {
    site: Site,
    at: SocketAddr,
}

impl S3 {
    fn new() -> Result<Option<Self>> {
        match Site::new(Kind::S3) {
            Ok(site) => Ok(Some(Self { at: site.authority()?, site })),
            Err(reason) => {
                eprintln!("SKIPPED: {reason}");
                Ok(None)
            }
        }
    }

    fn keys(&self) -> [(&str, &str); 2] {
        let fact = |name| self.site.fact(name);
        [
            ("access_key_id", fact("EXP_TEST_S3_KEY")),
            ("secret_access_key", fact("EXP_TEST_S3_SECRET")),
        ]
    }

    fn open(&self, at: SocketAddr, more: &[(&str, &str)]) -> Result<Arc<dyn Storage>> {
        let endpoint = format!("http://{at}");
        let mut options = self.keys().to_vec();
        options.push(("endpointurl", &endpoint));
        options.extend(more);
        let name = self.site.path("").display().to_string();
        Ok(open(&format!("s3://{}{name}", self.bucket()), &options, &[], None)?)
    }

    fn bucket(&self) -> &str {
        self.site.fact("EXP_TEST_S3_BUCKET")
    }

    /// Asks the server what no storage asks. `None` without a `curl` that can sign.
    fn ask(&self, verb: &str, path: &str, body: Option<(&str, &str)>) -> Result<Option<String>> {
        let [(_, id), (_, secret)] = self.keys();
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3"]);
        command.args(["--user", &format!("{id}:{secret}"), "-X", verb]);
        if let Some((body, digest)) = body {
            command.args(["-d", body, "-H", &format!("x-amz-content-sha256: {digest}")]);
        }
        let Ok(output) = command.arg(format!("http://{}/{path}", self.at)).output() else {
            return Ok(None);
        };
        if !output.status.success() {
            eprintln!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
            return Ok(None);
        }
        Ok(Some(String::from_utf8(output.stdout)?))
    }
}

#[test]
fn who_we_are_is_found_where_aws_keeps_it() -> Result {
    let Some(s3) = S3::new()? else { return Ok(()) };
    let [(_, id), (_, secret)] = s3.keys();
    let endpoint = format!("http://{}", s3.at);
    let url = format!("s3://{}/who", s3.bucket());
    let at = ("endpointurl", endpoint.as_str());
    let denied = |storage: &dyn Storage| {
        let err = size(storage, "x").unwrap_err();
        assert_eq!(err.kind, StorageErrorKind::Denied, "{}", chain(&err));
    };

    // Nobody knows us, and nobody is asked for long.
    let begun = Instant::now();
    denied(&*open(&url, &[at], &[], Some(&s3.site))?);
    assert!(begun.elapsed() < Duration::from_secs(5));

    let env = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
    assert_eq!(size(&*open(&url, &[at], &env, Some(&s3.site))?, "x")?, None);

    let aws = s3.site.path("home/.aws");
    fs::create_dir_all(&aws)?;
    let keys = format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    fs::write(aws.join("credentials"), format!("[lab]\n{keys}"))?;
    let lab = [at, ("profile", "lab")];
    assert_eq!(size(&*open(&url, &lab, &[], Some(&s3.site))?, "x")?, None);
    let env = [("AWS_PROFILE", "lab")];
    assert_eq!(size(&*open(&url, &[at], &env, Some(&s3.site))?, "x")?, None);

    // The endpoint may be there too, and the files elsewhere.
    let (config, other) = (s3.site.path("config"), s3.site.path("other"));
    fs::write(&config, format!("[profile lab]\nendpoint_url = {endpoint}\nregion = us-east-1\n"))?;
    fs::write(&other, format!("[lab]\n{keys}"))?;
    let (config, other) = (config.display().to_string(), other.display().to_string());
    let paths = [("configpath", &*config), ("credentialpath", &*other), ("profile", "lab")];
    assert_eq!(size(&*open(&url, &paths, &[], None)?, "x")?, None);

    denied(&*open(&url, &[at, ("allow_anonymous_login", "true")], &[], None)?);
    Ok(())
}

#[test]
fn an_upload_that_is_stopped_is_given_up() -> Result {
    let Some(s3) = S3::new()? else { return Ok(()) };
    let proxy = Proxy::new(s3.at)?;
    let storage = s3.open(proxy.address(), &[])?;
    let pending = || -> Result<Option<usize>> {
        let uploads = s3.ask("GET", &format!("{}?uploads=", s3.bucket()), None)?;
        let name = s3.site.path("").display().to_string();
        Ok(uploads.map(|uploads| uploads.matches(name.trim_matches('/')).count()))
    };
    proxy.set(Faults { rate: 4 << 20, ..Faults::default() });
    let token = CancelToken::new();
    let ctx = Ctx::new(&NullSink, token.clone());
    let long = bytes(40 << 20);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let key = key("long");
            let put = Put { key: &key, len: long.len() as u64, is_object: true };
            storage.write(&ctx, &put, &mut Cursor::new(&long))
        });
        std::thread::sleep(Duration::from_secs(2));
        let seen = pending();
        token.cancel(Cancel::Stop);
        let asked = Instant::now();
        let err = writer.join().map_err(|_| "a thread panicked")?.unwrap_err();
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        assert_eq!(err.kind, StorageErrorKind::Cancelled, "{}", chain(&err));
        if let Some(seen) = seen? {
            assert_eq!(seen, 1, "the stop came too early or too late for this test");
            assert_eq!(pending()?, Some(0), "parts are left over");
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    assert_eq!(size(&*s3.open(s3.at, &[])?, "long")?, None);
    Ok(())
}

#[test]
fn a_server_that_stands_still_is_left() -> Result {
    let Some(s3) = S3::new()? else { return Ok(()) };
    write(&*s3.open(s3.at, &[])?, "long", &bytes(20 << 20))?;
    let proxy = Proxy::new(s3.at)?;
    let storage = s3.open(proxy.address(), &[("read_timeout", "0.7")])?;
    // However slow it is, it does not stand still.
    proxy.set(Faults { rate: 300_000, ..Faults::default() });
    let short = bytes(600_000);
    write(&*storage, "short", &short)?;
    assert!(read(&*storage, "short")? == short);
    proxy.set(Faults { is_stalled: true, ..Faults::default() });
    let begun = Instant::now();
    for err in [
        read(&*storage, "long").unwrap_err(),
        size(&*storage, "long").unwrap_err(),
        write(&*storage, "new", b"x").unwrap_err(),
    ] {
        assert_eq!(err.kind, StorageErrorKind::Temporary, "{}", chain(&err));
        assert!(chain(&err).contains("nothing moved for 0.7"), "{}", chain(&err));
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    Ok(())
}
