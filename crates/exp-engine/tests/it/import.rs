//! Data from elsewhere: from a stranger's repository, and from a storage that breaks off.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use exp_engine::cache::{
    Abilities, AddressError, OpenStorage, ReadFrom, Storage, StorageAddress, StorageError,
    StorageErrorKind, StorageStat,
};
use exp_engine::core::{Ctx, RelPath};
use exp_engine::{
    DataScope, Destination, Error, Extent, GetRequest, GetUrlRequest, ImportError, ImportRequest,
    ImportUrlRequest, ListRequest, ProjectOptions, RepoRequest, UpdateEffect, UpdateRequest, get,
    get_url, list,
};

use crate::support::{Sandbox, Test};

/// A project that tracks `data` (two files) beside `plain.txt`, which Git keeps.
fn source() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let source = Sandbox::new(&[("plain.txt", "plain\n")])?;
    source.write("data/a", "1\n")?;
    source.write("data/b/c", "22\n")?;
    source.project()?.add(
        &Ctx::silent(),
        &exp_engine::AddRequest {
            targets: vec![source.root().join("data")],
            commit: true,
            relink: exp_engine::cache::Relink::Yes,
        },
    )?;
    source.commit("data")?;
    Ok(source)
}

fn url(source: &Sandbox) -> String {
    format!("file://{}", source.root().display())
}

fn to(dir: &Path, out: &str) -> Destination {
    Destination { cwd: dir.to_path_buf(), out: Some(out.to_owned()), force: false }
}

fn get_request(url: &str, path: &str, dir: &Path) -> GetRequest {
    GetRequest {
        repo: RepoRequest { url: url.to_owned(), ..RepoRequest::default() },
        path: path.to_owned(),
        to: to(dir, "out"),
        jobs: None,
    }
}

/// Names of what lies in a directory, hidden ones too.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_clone_is_made_once_and_asked_only_for_what_it_lacks() -> Test {
    let (source, here) = (source()?, Sandbox::new(&[])?);
    let (project, ctx) = (here.project()?, Ctx::silent());
    let head = source.git(&["rev-parse", "HEAD"])?;
    let store = source.root().join(".dvc/cache").display().to_string();
    let repo = RepoRequest {
        url: url(&source),
        remote_config: [("url".to_owned(), store)].into(),
        ..RepoRequest::default()
    };
    let request = ImportRequest {
        repo,
        path: "data".to_owned(),
        to: to(&here.root(), "got"),
        ..ImportRequest::default()
    };
    let plan = project.plan_import(&ctx, request)?;
    project.import(&ctx, plan)?;
    assert_eq!(here.read("got/b/c")?, "22\n");
    let record = here.read("got.dvc")?;
    assert!(record.contains(&format!("rev_lock: {}", head.trim())), "{record}");
    assert!(here.read(".gitignore")?.contains("/got"));

    // The commit is known, so the repository itself is not needed to fetch its data again.
    fs::remove_dir_all(here.root().join("got"))?;
    fs::remove_dir_all(here.root().join(".dvc/cache"))?;
    fs::rename(source.root().join(".git"), source.root().join("hidden"))?;
    let fetched = here.project()?.fetch_imports(&ctx, &DataScope::default())?;
    assert!(fetched.failed.is_empty(), "{:?}", fetched.failed);
    assert!(fetched.moved >= 2);
    fs::rename(source.root().join("hidden"), source.root().join(".git"))?;

    // Something new there: only asking for it brings it.
    source.write("plain.txt", "newer\n")?;
    source.commit("newer")?;
    let scope = DataScope { targets: vec!["got.dvc".to_owned()], ..DataScope::default() };
    let update = UpdateRequest { scope, cwd: here.root(), ..UpdateRequest::default() };
    let steps = here.project()?.update(&ctx, &update, &mut |_| {})?;
    assert_eq!(steps[0].effect, UpdateEffect::Fetched);
    let again = here.project()?.update(&ctx, &update, &mut |_| {})?;
    assert_eq!(again[0].effect, UpdateEffect::Unchanged);
    Ok(())
}

#[test]
fn an_import_can_be_taken_back() -> Test {
    let (source, here) = (source()?, Sandbox::new(&[])?);
    let (project, ctx) = (here.project()?, Ctx::silent());
    let repo = RepoRequest { url: source.root().display().to_string(), ..RepoRequest::default() };
    let request = ImportRequest {
        repo,
        path: "data".to_owned(),
        to: to(&here.root(), "got"),
        ..ImportRequest::default()
    };
    let plan = project.plan_import(&ctx, request)?;
    project.import(&ctx, plan)?;
    let plan = project.plan_undo(&ctx, exp_engine::Direction::Undo)?;
    project.undo(&ctx, plan.ok_or("nothing to undo")?)?;
    assert!(!here.has("got") && !here.has("got.dvc"), "the import is gone");
    Ok(())
}

#[test]
fn names_that_lead_out_of_a_tree_are_not_written() -> Test {
    let (source, here) = (Sandbox::new(&[])?, tempfile::tempdir()?);
    source.write("x", "hi\n")?;
    let blob = source.git(&["hash-object", "-w", "x"])?;
    let blob = blob.trim();
    let tree = |text: &str| -> Result<String, Box<dyn std::error::Error>> {
        source.write("listing", text)?;
        let shell = std::process::Command::new("sh")
            .args(["-c", "git mktree < listing"])
            .current_dir(source.root())
            .output()?;
        Ok(String::from_utf8(shell.stdout)?.trim().to_owned())
    };
    let inner = tree(&format!("100644 blob {blob}\tconfig\n"))?;
    let top = tree(&format!(
        "040000 tree {inner}\t..\n040000 tree {inner}\t.dvc\n040000 tree {inner}\t.git\n100644 blob \
         {blob}\tok\n"
    ))?;
    let commit = source.git(&["commit-tree", "-m", "odd", &top])?;
    source.git(&["update-ref", "refs/heads/odd", commit.trim()])?;
    let mut request = get_request(&url(&source), ".", here.path());
    request.repo.rev = Some("odd".to_owned());
    get(&Ctx::silent(), &source.options(), &request)?;
    assert_eq!(names(&here.path().join("out")), ["ok"]);
    assert_eq!(names(here.path()), ["out"], "nothing else is left");
    let inside = get_request(&url(&source), ".git/config", here.path());
    let refused = get(&Ctx::silent(), &source.options(), &inside);
    assert!(matches!(refused, Err(Error::Import(ImportError::Unsafe { .. }))), "{refused:?}");
    Ok(())
}

#[test]
fn a_manifest_that_would_make_a_git_directory_is_refused() -> Test {
    let (source, here) = (Sandbox::new(&[])?, tempfile::tempdir()?);
    let project = source.project()?;
    let file = project.cache().add_bytes(b"[core]\nfsmonitor = touch /tmp/owned\n")?;
    let text = format!("[{{\"md5\": \"{}\", \"relpath\": \".git/config\"}}]", file.digest.to_hex());
    let tree = project.cache().add_bytes(text.as_bytes())?;
    let id = format!("{}.dir", tree.digest.to_hex());
    let from = project.cache().object_path(&tree);
    fs::rename(&from, from.with_extension("dir"))?;
    source.write("d.dvc", &format!("outs:\n- md5: {id}\n  hash: md5\n  path: d\n"))?;
    source.commit("evil")?;
    let request = get_request(&source.root().display().to_string(), "d", here.path());
    let refused = get(&Ctx::silent(), &source.options(), &request);
    assert!(matches!(refused, Err(Error::Import(ImportError::Unsafe { .. }))), "{refused:?}");
    assert!(names(here.path()).is_empty());
    Ok(())
}

#[test]
fn outputs_and_pipelines_that_lead_out_are_refused() -> Test {
    for path in ["../../etc/passwd", "/etc/passwd"] {
        let (source, here) = (Sandbox::new(&[])?, tempfile::tempdir()?);
        let text = format!(
            "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  hash: md5\n  path: {path}\n"
        );
        source.write("d.dvc", &text)?;
        source.commit("evil")?;
        let request = get_request(&url(&source), ".", here.path());
        // Refused, or left out; in no case written.
        let _ = get(&Ctx::silent(), &source.options(), &request);
        assert!(names(here.path()).iter().all(|name| name == "out"), "{path}");
        let passwd = here.path().join("out/etc/passwd");
        assert!(!passwd.exists() && !here.path().join("out/passwd").exists());
    }
    Ok(())
}

#[test]
fn links_out_of_a_repository_are_not_followed() -> Test {
    let (source, here) = (source()?, tempfile::tempdir()?);
    let secret = here.path().join("secret");
    fs::write(&secret, "secret\n")?;
    std::os::unix::fs::symlink(&secret, source.root().join("link"))?;
    std::os::unix::fs::symlink(here.path(), source.root().join("up"))?;
    for path in ["link", "up/secret"] {
        let request = get_request(&source.root().display().to_string(), path, here.path());
        let refused = get(&Ctx::silent(), &source.options(), &request);
        let is_refused = matches!(refused, Err(Error::Import(ImportError::NotInRepository { .. })));
        assert!(is_refused, "{path}: {refused:?}");
    }
    // In a commit a link is the name of its target, and that is said.
    source.commit("links")?;
    let report =
        get(&Ctx::silent(), &source.options(), &get_request(&url(&source), "link", here.path()))?;
    assert_eq!(fs::read_to_string(&report.path)?, secret.display().to_string());
    assert_eq!(report.odd.len(), 1);
    Ok(())
}

#[test]
fn a_clone_cannot_name_directories_that_are_relative_to_nothing() -> Test {
    let (source, here) = (source()?, tempfile::tempdir()?);
    source.write(
        ".dvc/config",
        "[core]\n    remote = r\n['remote \"r\"']\n    url = ../../store\n",
    )?;
    source.commit("remote")?;
    let request = get_request(&url(&source), "data", here.path());
    let refused = get(&Ctx::silent(), &source.options(), &request);
    let is_refused = matches!(refused, Err(Error::Import(ImportError::ForeignDirectory { .. })));
    assert!(is_refused, "{refused:?}");
    // What Git keeps needs no remote.
    let listing = ListRequest {
        repo: RepoRequest { url: url(&source), ..RepoRequest::default() },
        cwd: here.path().to_path_buf(),
        ..ListRequest::default()
    };
    let listed = list(&Ctx::silent(), &source.options(), &listing)?;
    assert!(listed.iter().any(|(name, entry)| name == "data" && entry.is_out));
    Ok(())
}

#[test]
fn addresses_that_run_commands_are_refused() -> Test {
    let (source, here) = (source()?, tempfile::tempdir()?);
    let owned = here.path().join("owned");
    for url in [
        format!("ext::sh -c touch% {}", owned.display()),
        format!("--upload-pack=touch {}", owned.display()),
        format!("ext://touch {}", owned.display()),
    ] {
        let request = get_request(&url, "data", here.path());
        assert!(get(&Ctx::silent(), &source.options(), &request).is_err(), "{url}");
        assert!(!owned.exists(), "{url}");
    }
    Ok(())
}

#[test]
fn a_pointer_of_lfs_is_named() -> Test {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    let (source, here) = (Sandbox::new(&[("big.bin", pointer)])?, tempfile::tempdir()?);
    let request = get_request(&url(&source), "big.bin", here.path());
    let report = get(&Ctx::silent(), &source.options(), &request)?;
    assert_eq!(report.odd[0].kind, exp_engine::OddKind::LfsPointer);
    Ok(())
}

/// A storage with one file, which breaks off in the middle of a read and may change in between.
#[derive(Debug)]
struct Flaky {
    versions: Vec<Vec<u8>>,
    now: AtomicUsize,
    /// How many bytes each read gives at most.
    portion: usize,
    changes_after: Option<usize>,
    offsets: Mutex<Vec<u64>>,
}

impl Flaky {
    fn new(versions: &[&[u8]], changes_after: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            versions: versions.iter().map(|bytes| bytes.to_vec()).collect(),
            now: AtomicUsize::new(0),
            portion: 40_000,
            changes_after,
            offsets: Mutex::default(),
        })
    }

    fn bytes(&self) -> &[u8] {
        &self.versions[self.now.load(Ordering::SeqCst)]
    }

    fn error(kind: StorageErrorKind) -> StorageError {
        let source = "it broke off".into();
        StorageError { kind, action: "read", what: "file".to_owned(), source }
    }
}

impl Storage for Flaky {
    fn label(&self) -> &'static str {
        "flaky"
    }

    fn abilities(&self) -> Abilities {
        Abilities { write: false, list: false, versions: false, is_near: false }
    }

    fn stat(
        &self,
        _: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        let stat = StorageStat {
            size: Some(self.bytes().len() as u64),
            etag: Some(format!("v{}", self.now.load(Ordering::SeqCst))),
            ..StorageStat::default()
        };
        Ok(keys.iter().map(|_| Some(stat.clone())).collect())
    }

    fn read(
        &self,
        _: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        let n_reads = {
            let mut offsets =
                self.offsets.lock().map_err(|_| Self::error(StorageErrorKind::Other))?;
            offsets.push(from.offset);
            offsets.len()
        };
        let bytes = self.bytes();
        let at = usize::try_from(from.offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = (at + self.portion).min(bytes.len());
        into.write_all(&bytes[at..end]).map_err(|_| Self::error(StorageErrorKind::Other))?;
        let is_all = end == bytes.len();
        if self.changes_after == Some(n_reads) {
            self.now.store(1, Ordering::SeqCst);
        }
        if is_all { Ok((end - at) as u64) } else { Err(Self::error(StorageErrorKind::Temporary)) }
    }
}

#[derive(Debug)]
struct Opens(Arc<Flaky>);

impl OpenStorage for Opens {
    fn open(&self, _: &StorageAddress) -> Result<Arc<dyn Storage>, AddressError> {
        Ok(self.0.clone())
    }
}

fn options(here: &Sandbox, flaky: &Arc<Flaky>) -> ProjectOptions {
    ProjectOptions { storages: Arc::new(Opens(Arc::clone(flaky))), ..here.options() }
}

#[test]
fn a_download_goes_on_where_it_broke_off() -> Test {
    let here = Sandbox::new(&[])?;
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let flaky = Flaky::new(&[&bytes], None);
    let project = exp_engine::Project::discover(&here.root(), options(&here, &flaky))?;
    let request = ImportUrlRequest {
        url: "http://example.com/x.bin".to_owned(),
        to: Destination { cwd: here.root(), ..Destination::default() },
        ..ImportUrlRequest::default()
    };
    let plan = project.plan_import_url(&Ctx::silent(), request)?;
    project.import(&Ctx::silent(), plan)?;
    assert_eq!(fs::read(here.root().join("x.bin"))?, bytes);
    let offsets = flaky.offsets.lock().map_err(|_| "poisoned")?.clone();
    assert_eq!(offsets, [0, 40_000, 80_000]);
    let record = here.read("x.bin.dvc")?;
    assert!(record.contains("checksum: '\"v0\"'"), "{record}");

    // Nothing changed there, so nothing is read.
    let scope = DataScope { targets: vec!["x.bin.dvc".to_owned()], ..DataScope::default() };
    let update = UpdateRequest { scope, cwd: here.root(), ..UpdateRequest::default() };
    let steps = project.update(&Ctx::silent(), &update, &mut |_| {})?;
    assert_eq!(steps[0].effect, UpdateEffect::Unchanged);
    assert_eq!(flaky.offsets.lock().map_err(|_| "poisoned")?.len(), 3);
    Ok(())
}

#[test]
fn a_file_that_changes_meanwhile_is_read_anew() -> Test {
    let here = Sandbox::new(&[])?;
    let (old, new) = (vec![1; 100_000], vec![2; 90_000]);
    let flaky = Flaky::new(&[&old, &new], Some(2));
    let request = GetUrlRequest {
        url: "http://example.com/x.bin".to_owned(),
        to: Destination { cwd: here.root(), ..Destination::default() },
        ..GetUrlRequest::default()
    };
    let config = exp_engine::Config::default();
    get_url(&Ctx::silent(), &options(&here, &flaky), &config, &request)?;
    assert_eq!(fs::read(here.root().join("x.bin"))?, new, "never put together from two");
    Ok(())
}

#[test]
fn what_breaks_off_for_good_leaves_nothing() -> Test {
    let here = Sandbox::new(&[])?;
    let mut flaky = Flaky::new(&[&vec![1; 100_000]], None);
    Arc::get_mut(&mut flaky).ok_or("shared")?.portion = 0;
    let project = exp_engine::Project::discover(&here.root(), options(&here, &flaky))?;
    let before = names(&here.root());
    let to = Destination { cwd: here.root(), ..Destination::default() };
    let url = "http://example.com/x.bin".to_owned();
    let request =
        ImportUrlRequest { url: url.clone(), to: to.clone(), ..ImportUrlRequest::default() };
    let plan = project.plan_import_url(&Ctx::silent(), request)?;
    assert!(project.import(&Ctx::silent(), plan).is_err());
    let request = GetUrlRequest { url, to, ..GetUrlRequest::default() };
    let config = exp_engine::Config::default();
    assert!(get_url(&Ctx::silent(), project.options(), &config, &request).is_err());
    assert_eq!(names(&here.root()), before);
    Ok(())
}

#[test]
fn an_import_that_is_only_written_down_asks_nobody() -> Test {
    let here = Sandbox::new(&[])?;
    let project = here.project()?;
    let request = ImportRequest {
        repo: RepoRequest { url: "https://nowhere.invalid/x".to_owned(), ..RepoRequest::default() },
        path: "data".to_owned(),
        to: to(&here.root(), "got"),
        extent: Extent::Nothing,
        jobs: None,
    };
    let plan = project.plan_import(&Ctx::silent(), request)?;
    project.import(&Ctx::silent(), plan)?;
    assert!(here.read("got.dvc")?.contains("url: https://nowhere.invalid/x"));
    Ok(())
}
