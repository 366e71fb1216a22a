//! Who a server is, and who we are to it: logging in by SSH.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use exp_cache::{
    Modes, OpenStorage as _, Put, Storage, StorageAddress, StorageError, StorageErrorKind,
};
use exp_core::Ctx;
use exp_remote::{Storages, Surroundings};

use crate::basics::{bytes, key, read, size};
use crate::proxy::{Direction, Proxy};
use crate::servers::{Kind, Site};
use crate::{Result, chain};

/// A home directory with what `ssh` finds there, and a way to the test's server.
struct Home<'a> {
    site: &'a Site,
    env: BTreeMap<String, String>,
}

impl<'a> Home<'a> {
    fn new(site: &'a Site, config: &str, known_hosts: &str) -> Result<Self> {
        let dir = site.path("home/.ssh");
        fs::write(dir.join("config"), config)?;
        fs::write(dir.join("known_hosts"), known_hosts)?;
        Ok(Self {
            site,
            env: BTreeMap::from([("USER".into(), site.fact("EXP_TEST_SSH_USER").into())]),
        })
    }

    fn open(&self, host: &str, options: &[(&str, &str)]) -> Result<Arc<dyn Storage>> {
        let dir = self.site.path("home");
        let name = dir.parent().and_then(Path::file_name).ok_or("no name")?.display();
        let url = format!("ssh://{host}{}/{name}", self.site.fact("EXP_TEST_SSH_DIR"));
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let around = Surroundings { env: self.env.clone(), home: Some(dir) };
        let address = StorageAddress { url, options, modes: Modes::default() };
        Ok(Storages::new(around).open(&address)?)
    }
}

/// Runs a test where there is a server.
fn on_a_server(test: impl FnOnce(&Site) -> Result) -> Result {
    match Site::new(Kind::Ssh) {
        Ok(site) => test(&site),
        Err(reason) => {
            eprintln!("SKIPPED: {reason}");
            Ok(())
        }
    }
}

fn known(site: &Site) -> Result<String> {
    Ok(fs::read_to_string(site.fact("EXP_TEST_SSH_KNOWN_HOSTS"))?)
}

#[track_caller]
fn denied<T: std::fmt::Debug>(result: std::result::Result<T, StorageError>, why: &str) {
    let err = result.unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Denied, "{}", chain(&err));
    assert!(chain(&err).contains(why), "{}", chain(&err));
}

#[test]
fn an_unknown_host_is_refused_and_the_way_to_trust_it_told() -> Result {
    on_a_server(|site| {
        let home = Home::new(site, "", "# nobody\n")?;
        let key = site.fact("EXP_TEST_SSH_KEY");
        let storage = home.open(site.fact("EXP_TEST_SSH"), &[("keyfile", key)])?;
        denied(size(&*storage, "x"), "ssh-keyscan");
        Ok(())
    })
}

#[test]
fn a_host_with_another_key_than_before_is_refused() -> Result {
    on_a_server(|site| {
        let other =
            fs::read_to_string(Path::new(site.fact("EXP_TEST_SSH_KEY")).with_extension("pub"))?;
        let (host, key) = (site.fact("EXP_TEST_SSH"), site.fact("EXP_TEST_SSH_KEY"));
        let known = format!("[127.0.0.1]:{} {other}", site.authority()?.port());
        // Not even with this.
        let home = Home::new(site, "StrictHostKeyChecking no\n", &known)?;
        denied(size(&*home.open(host, &[("keyfile", key)])?, "x"), "HAS CHANGED");
        Ok(())
    })
}

#[test]
fn a_stranger_is_learned_where_that_is_asked_for() -> Result {
    on_a_server(|site| {
        let home = Home::new(site, "Host *\n  StrictHostKeyChecking accept-new\n", "")?;
        let (host, key) = (site.fact("EXP_TEST_SSH"), site.fact("EXP_TEST_SSH_KEY"));
        assert_eq!(size(&*home.open(host, &[("keyfile", key)])?, "x")?, None);
        let learned = fs::read_to_string(site.path("home/.ssh/known_hosts"))?;
        assert_eq!(learned.trim(), known(site)?.trim());
        Ok(())
    })
}

#[test]
fn the_configuration_of_ssh_tells_where_a_host_is_and_who_we_are() -> Result {
    on_a_server(|site| {
        let at = site.authority()?;
        let config = format!(
            "Host lab\n  HostName {}\n  Port {}\n  User {}\n  IdentityFile {}\n",
            at.ip(),
            at.port(),
            site.fact("EXP_TEST_SSH_USER"),
            site.fact("EXP_TEST_SSH_KEY_RSA"),
        );
        let mut home = Home::new(site, &config, &known(site)?)?;
        home.env.clear();
        assert_eq!(size(&*home.open("lab", &[])?, "x")?, None);
        Ok(())
    })
}

#[test]
fn a_hashed_host_is_known_and_default_identities_are_tried() -> Result {
    on_a_server(|site| {
        let home = Home::new(site, "", &known(site)?)?;
        let dir = site.path("home/.ssh");
        let hash = Command::new("ssh-keygen")
            .args(["-q", "-H", "-f"])
            .arg(dir.join("known_hosts"))
            .output()?;
        assert!(hash.status.success());
        assert!(fs::read_to_string(dir.join("known_hosts"))?.starts_with("|1|"));
        fs::copy(site.fact("EXP_TEST_SSH_KEY_STRANGER"), dir.join("id_ed25519"))?;
        fs::copy(site.fact("EXP_TEST_SSH_KEY_RSA"), dir.join("id_rsa"))?;
        assert_eq!(size(&*home.open(site.fact("EXP_TEST_SSH"), &[])?, "x")?, None);
        Ok(())
    })
}

#[test]
fn a_missing_password_is_told_by_the_name_of_its_option() -> Result {
    on_a_server(|site| {
        let home = Home::new(site, "", &known(site)?)?;
        let host = site.fact("EXP_TEST_SSH");
        denied(size(&*home.open(host, &[("ask_password", "true")])?, "x"), "set `password`");
        let key = site.path("locked");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "secret words", "-f"])
            .arg(&key)
            .output()?;
        assert!(made.status.success());
        let key = key.display().to_string();
        denied(size(&*home.open(host, &[("keyfile", &key)])?, "x"), "option `passphrase`");
        // The right words open it, and the server does not know it.
        let options = [("keyfile", key.as_str()), ("passphrase", "secret words")];
        denied(size(&*home.open(host, &options)?, "x"), "was not accepted");
        Ok(())
    })
}

#[test]
fn an_agent_signs() -> Result {
    on_a_server(|site| {
        let mut home = Home::new(site, "", &known(site)?)?;
        let socket = site.path("agent");
        let mut agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()?;
        for _ in 0..100 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        home.env.insert("SSH_AUTH_SOCK".into(), socket.display().to_string());
        let mut add = Command::new("ssh-add");
        let added = add.arg("-q").arg(site.fact("EXP_TEST_SSH_KEY")).env("SSH_AUTH_SOCK", &socket);
        let added = added.output()?;
        let host = site.fact("EXP_TEST_SSH");
        let with = home.open(host, &[]).map(|storage| size(&*storage, "x"));
        let without =
            home.open(host, &[("allow_agent", "false")]).map(|storage| size(&*storage, "x"));
        agent.kill()?;
        agent.wait()?;
        assert!(added.status.success(), "{added:?}");
        assert_eq!(with??, None);
        denied(without?, "no login");
        Ok(())
    })
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a program is looked for")]
fn a_proxy_command_is_the_way() -> Result {
    on_a_server(|site| {
        let at = site.authority()?;
        let config = format!(
            "Host far\n  HostName 127.0.0.1\n  Port {}\n  ProxyCommand ssh -F {} -W %h:%p tests\n",
            at.port(),
            site.fact("EXP_TEST_SSH_CONFIG")
        );
        let mut home = Home::new(site, &config, &known(site)?)?;
        home.env.insert("PATH".into(), std::env::var("PATH")?);
        let key = site.fact("EXP_TEST_SSH_KEY");
        assert_eq!(size(&*home.open("far", &[("keyfile", key)])?, "x")?, None);
        Ok(())
    })
}

#[test]
fn a_large_object_goes_on_where_it_broke_off() -> Result {
    on_a_server(|site| {
        let host = site.fact("EXP_TEST_SSH").to_owned();
        let user = site.fact("EXP_TEST_SSH_KEY");
        let proxy = Proxy::new(site.authority()?)?;
        let through = format!("127.0.0.1:{}", proxy.address().port());
        let line = known(site)?;
        let (_, host_key) = line.split_once(' ').ok_or("no key")?;
        let home = Home::new(site, "", &format!("[127.0.0.1]:* {host_key}"))?;
        let long = bytes(24 << 20);
        let (key, ctx) = (key("files/md5/ab/cd"), Ctx::silent());
        let put = Put { key: &key, len: long.len() as u64, is_object: true };

        // Within one run, and by another one.
        for is_new_run in [false, true] {
            let mut storage = home.open(&through, &[("keyfile", user)])?;
            proxy.cut(Direction::ToServer, 20 << 20, 1);
            let err = storage.write(&ctx, &put, &mut Cursor::new(&long)).unwrap_err();
            assert_eq!(err.kind, StorageErrorKind::Temporary, "{}", chain(&err));
            if is_new_run {
                storage = home.open(&through, &[("keyfile", user)])?;
            }
            // So much is not sent again.
            proxy.cut(Direction::ToServer, 12 << 20, 1);
            storage.write(&ctx, &put, &mut Cursor::new(&long))?;
            proxy.set(crate::proxy::Faults::default());
            let direct = home.open(&host, &[("keyfile", user)])?;
            assert!(read(&*direct, "files/md5/ab/cd")? == long);
            direct.remove(&ctx, std::slice::from_ref(&key))?;
        }

        // Other bytes than ours are not gone on with.
        let dir = site.path("home");
        let name = dir.parent().and_then(Path::file_name).ok_or("no name")?;
        let dir = Path::new(site.fact("EXP_TEST_SSH_DIR")).join(name).join("files/md5/ab");
        fs::write(dir.join(".exp-cd.tmp"), vec![b'x'; 9 << 20])?;
        let direct = home.open(&host, &[("keyfile", user)])?;
        direct.write(&ctx, &put, &mut Cursor::new(&long))?;
        assert!(read(&*direct, "files/md5/ab/cd")? == long);
        let names: Vec<_> = fs::read_dir(&dir)?.filter_map(|e| Some(e.ok()?.file_name())).collect();
        assert_eq!(names, ["cd"]);
        Ok(())
    })
}
