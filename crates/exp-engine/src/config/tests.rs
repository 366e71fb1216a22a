//! Reading, merging and editing configuration, against what DVC writes.

use std::error::Error;

use super::*;

type Outcome = Result<(), Box<dyn Error>>;

struct Sandbox {
    dir: tempfile::TempDir,
    files: ConfigFiles,
}

fn sandbox() -> Result<Sandbox, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let dvc = dir.path().join("repo/.dvc");
    fs::create_dir_all(&dvc)?;
    let files = ConfigFiles {
        global: Some(dir.path().join("home/.config/dvc/config")),
        home: Some(dir.path().join("home")),
        ..ConfigFiles::default()
    };
    Ok(Sandbox { files: files.in_project(&dvc), dir })
}

impl Sandbox {
    fn root(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    fn write(&self, level: ConfigLevel, text: &str) -> Outcome {
        let path = self.files.path(level).ok_or("level")?;
        fs::create_dir_all(path.parent().ok_or("parent")?)?;
        Ok(fs::write(path, text)?)
    }

    fn project(&self) -> Result<String, io::Error> {
        fs::read_to_string(self.root().join(".dvc/config"))
    }

    fn add(&self, name: &str, url: &str, default: bool) -> Result<(), ConfigError> {
        let remote = RemoteAdd { name, url, base: &self.root(), default, replace: false };
        self.files.add_remote(ConfigLevel::Project, &remote)
    }
}

#[test]
fn a_stronger_level_decides_and_says_so() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.write(ConfigLevel::Global, "[core]\nremote = a\nautostage = True\n")?;
    sandbox.write(ConfigLevel::Project, "[core]\nremote = B\n")?;
    let config = sandbox.files.load()?;
    assert_eq!(config.default_remote().as_deref(), Some("b"));
    assert!(config.autostage());
    let entry = config.entry(&ConfigKey::plain("core", "remote")).ok_or("entry")?;
    assert_eq!(entry.level, ConfigLevel::Project);
    assert!(entry.path.ends_with(".dvc/config"));
    Ok(())
}

#[test]
fn paths_are_relative_to_their_file() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.add("store", "../y", true)?;
    assert_eq!(
        sandbox.project()?,
        "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../y\n"
    );
    let remote = sandbox.files.load()?.remote("STORE")?;
    assert_eq!(remote.directory(), Some(sandbox.dir.path().join("y").as_path()));
    assert!(remote.is_default);
    let key = ConfigKey::plain("cache", "dir");
    sandbox.files.set(ConfigLevel::Local, &key, "~/c", &sandbox.root())?;
    assert_eq!(
        fs::read_to_string(sandbox.root().join(".dvc/config.local"))?,
        "[cache]\n    dir = ~/c\n"
    );
    let config = sandbox.files.load()?;
    assert_eq!(config.cache_dir(), Some(sandbox.dir.path().join("home/c").as_path()));
    Ok(())
}

#[test]
fn what_the_schema_does_not_allow_is_named_and_changes_nothing() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.add("store", "s3://bucket/key", false)?;
    let before = sandbox.project()?;
    for (key, value, expect) in [
        ("core.autostaeg", "true", "unknown option `core.autostaeg`"),
        ("nope.x", "1", "unknown section `nope`"),
        ("core.autostage", "yes", "`core.autostage` is `yes`, expected true or false"),
        ("core.checksum_jobs", "0", "expected a value of at least 1"),
        ("cache.type", "foo", "`cache.type` is `foo`"),
        ("remote.store.port", "1", "unknown option `remote.store.port`"),
        ("remote.new.region", "1", "remote `new` has no url"),
        ("remote.bad.url", "gopher://host/x", "unsupported url `gopher://`"),
    ] {
        let key: ConfigKey = key.parse()?;
        let result = sandbox.files.set(ConfigLevel::Project, &key, value, &sandbox.root());
        let error = result.err().ok_or_else(|| format!("{key} was accepted"))?;
        assert!(error.to_string().contains(expect), "{key}: {error}");
        if let ConfigError::UnknownOption { nearest, .. } = error
            && key.option == "autostaeg"
        {
            assert_eq!(nearest.as_deref(), Some("autostage"));
        }
    }
    assert_eq!(sandbox.project()?, before);
    Ok(())
}

#[test]
fn the_default_follows_its_remote() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.add("a", "/a", true)?;
    sandbox.add("b", "/b", false)?;
    sandbox.write(ConfigLevel::Local, "# mine\n[core]\n    remote = a\n")?;
    assert!(matches!(sandbox.add("a", "/c", false), Err(ConfigError::RemoteExists(_))));
    sandbox.files.rename_remote(ConfigLevel::Project, "a", "c")?;
    assert_eq!(
        sandbox.project()?,
        "[core]\n    remote = c\n['remote \"b\"']\n    url = /b\n['remote \"c\"']\n    url = /a\n"
    );
    let local = || fs::read_to_string(sandbox.root().join(".dvc/config.local"));
    assert_eq!(local()?, "# mine\n[core]\n    remote = c\n");
    sandbox.files.remove_remote(ConfigLevel::Project, "c")?;
    assert_eq!(sandbox.project()?, "['remote \"b\"']\n    url = /b\n");
    assert_eq!(local()?, "# mine\n");
    Ok(())
}

#[test]
fn what_stronger_levels_add_to_a_remote_goes_with_it() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.add("a", "s3://bucket/a", false)?;
    let secret = |name: &str| format!("# mine\n['remote \"{name}\"']\n    secret_access_key = x\n");
    sandbox.write(ConfigLevel::Local, &secret("a"))?;
    let local = || fs::read_to_string(sandbox.root().join(".dvc/config.local"));
    sandbox.files.rename_remote(ConfigLevel::Project, "a", "b")?;
    assert_eq!(local()?, secret("b"));
    sandbox.files.load()?;
    sandbox.files.remove_remote(ConfigLevel::Project, "b")?;
    assert_eq!(local()?, "# mine\n");
    sandbox.files.load()?;

    // One that is there by itself stays, and so does one of which a weaker level has another.
    sandbox.add("c", "/c", false)?;
    let own = "['remote \"c\"']\n    url = /mine\n";
    sandbox.write(ConfigLevel::Local, own)?;
    sandbox.files.remove_remote(ConfigLevel::Project, "c")?;
    assert_eq!(local()?, own);
    Ok(())
}

#[test]
fn unset_tells_what_is_not_set() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.write(ConfigLevel::Project, "[core]\n    remote = a\n")?;
    let unset = |key: &str| -> Result<String, Box<dyn Error>> {
        let result = sandbox.files.unset(ConfigLevel::Project, &key.parse()?);
        Ok(result.err().map(|err| err.to_string()).unwrap_or_default())
    };
    assert_eq!(unset("core.autostage")?, "option `core.autostage` is not set");
    assert_eq!(unset("remote.x.url")?, "section `x` is not set");
    assert_eq!(unset("core.remote")?, "");
    assert_eq!(sandbox.project()?, "");
    Ok(())
}

#[test]
fn secrets_are_never_shown() -> Outcome {
    let sandbox = sandbox()?;
    let text = "['remote \"s\"']\n    url = s3://b\n    secret_access_key = hunter2\n";
    sandbox.write(ConfigLevel::Local, text)?;
    let config = sandbox.files.load()?;
    let remote = config.remote("s")?;
    assert!(!format!("{config:?} {remote:?}").contains("hunter2"));
    assert_eq!(remote.option("secret_access_key"), None);
    assert_eq!(remote.secret("secret_access_key").ok_or("secret")?.expose(), "hunter2");
    assert_eq!(shown_url("https://me:hunter2@host/p"), "https://me:***@host/p");
    assert_eq!(shown_url("ssh://me@host:22/p@x"), "ssh://me@host:22/p@x");
    Ok(())
}

#[test]
fn another_revision_has_its_own_project_level() -> Outcome {
    let sandbox = sandbox()?;
    sandbox.write(ConfigLevel::Project, "[core]\n    remote = now\n")?;
    let then = sandbox.files.load_with_project(Some(b"[core]\nremote = then\n"))?;
    assert_eq!(then.default_remote().as_deref(), Some("then"));
    assert_eq!(sandbox.files.load_with_project(None)?.default_remote(), None);
    Ok(())
}
