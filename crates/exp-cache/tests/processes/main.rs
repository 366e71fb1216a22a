//! Several real processes on one store, and real deaths.
//!
//! The processes are this test program again, told by a variable of the environment to be a worker. It is a program of
//! its own because a process that is being started holds for a moment whatever locks its parent holds.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::print_stderr, reason = "a test that cannot be run says so")]

#[path = "../it/scratch.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod scratch;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use exp_cache::{Cache, CacheOptions, LinkKind, Modes, NoFilter, Relink};
use exp_core::{Algorithm, Artifact, Ctx, Digest, ObjectId};

use scratch::{Result, Scratch, assert_store_is_whole, set_mode};

const WORKER: &str = "EXP_CACHE_TEST_WORKER";

/// Below a megabyte files are staged from memory, above in pieces.
const LARGE: usize = (5 << 20) + 17;

fn cache(root: &Path, link: LinkKind) -> Result<Cache> {
    let memo = Some(root.join("memo/stat.db"));
    let links = vec![link, LinkKind::Copy];
    let modes = Modes { group_shared: root.join("shared").exists(), ..Modes::default() };
    let options = CacheOptions { links, modes, memo, ..CacheOptions::new(Algorithm::Md5) };
    Ok(Cache::open(&root.join("cache"), options)?)
}

/// Does what the variable says: `<action> <link> <root> <name>`. Without it there is nothing to do.
#[test]
#[expect(clippy::disallowed_methods, reason = "how a worker is told what to do")]
fn worker() -> Result {
    let Ok(task) = std::env::var(WORKER) else { return Ok(()) };
    let words: Vec<&str> = task.splitn(4, ' ').collect();
    let [action, link, name, root] = words[..] else { return Err("four words".into()) };
    let (ctx, path) = (Ctx::silent(), Path::new(root).join(name));
    let cache = cache(Path::new(root), link.parse()?)?;
    if action == "add" {
        cache.add(&ctx, &path, &NoFilter, Relink::Yes)?;
        return Ok(());
    }
    let id = ObjectId::parse(Algorithm::Md5, action)?;
    let artifact = Artifact { id, size: None, n_files: None, is_exec: false };
    let plan = cache.plan_checkout(&ctx, Some(&artifact), &path, &NoFilter)?;
    cache.checkout(&ctx, plan)?;
    Ok(())
}

fn start(scratch: &Scratch, action: &str, link: LinkKind, name: &str) -> Result<Child> {
    Ok(command(scratch, action, link, name)?.spawn()?)
}

fn command(scratch: &Scratch, action: &str, link: LinkKind, name: &str) -> Result<Command> {
    let root = scratch.path("");
    let root = root.to_str().ok_or("a path that is text")?.trim_end_matches('/');
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--exact", "worker", "--nocapture"])
        .env(WORKER, format!("{action} {link} {name} {root}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Ok(command)
}

#[track_caller]
fn assert_ends_well(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn fill(scratch: &Scratch, name: &str) {
    for nth in 0..60_u8 {
        scratch.write(&format!("{name}/{}/{nth}", nth % 3), vec![nth; 2000 + usize::from(nth)]);
    }
    scratch.write(&format!("{name}/large"), vec![b'l'; LARGE]);
    scratch.write(&format!("{name}/empty"), "");
}

#[track_caller]
fn assert_is_filled(scratch: &Scratch, name: &str, what: &str) {
    for nth in 0..60_u8 {
        let path = scratch.path(&format!("{name}/{}/{nth}", nth % 3));
        assert_eq!(fs::read(path).unwrap(), vec![nth; 2000 + usize::from(nth)], "{what}: {nth}");
    }
    assert_eq!(fs::read(scratch.path(&format!("{name}/large"))).unwrap(), vec![b'l'; LARGE]);
    assert_eq!(scratch.list(name).len(), 60 + 3 + 2, "{what}: something strange in the workspace");
}

#[test]
fn two_processes_add_the_same_content_at_once() -> Result {
    for link in [LinkKind::Copy, LinkKind::Hardlink, LinkKind::Symlink] {
        for round in 0..3 {
            let scratch = Scratch::new();
            fill(&scratch, "a");
            fill(&scratch, "b");
            let both = [start(&scratch, "add", link, "a")?, start(&scratch, "add", link, "b")?];
            both.into_iter().for_each(assert_ends_well);
            let what = format!("{link}, round {round}");
            assert_store_is_whole(&scratch, &what);
            assert_is_filled(&scratch, "a", &what);
            assert_is_filled(&scratch, "b", &what);
            let (ctx, cache) = (Ctx::silent(), cache(&scratch.path(""), link)?);
            let [a, b] = ["a", "b"].map(|name| cache.digest(&ctx, &scratch.path(name), &NoFilter));
            assert_eq!(a?, b?, "{what}");
        }
    }
    Ok(())
}

#[test]
fn two_processes_add_the_same_path_at_once() -> Result {
    for round in 0..3 {
        let scratch = Scratch::new();
        fill(&scratch, "a");
        let both = [LinkKind::Copy, LinkKind::Copy].map(|link| start(&scratch, "add", link, "a"));
        both.into_iter().try_for_each(|child| child.map(assert_ends_well))?;
        assert_store_is_whole(&scratch, "the same path");
        assert_is_filled(&scratch, "a", &format!("round {round}"));
    }
    Ok(())
}

#[test]
fn a_process_killed_at_any_moment_leaves_all_whole() -> Result {
    for link in [LinkKind::Copy, LinkKind::Hardlink] {
        for round in 0..8_u32 {
            let what = format!("{link}, round {round}");
            let scratch = Scratch::new();
            fill(&scratch, "d");
            kill_after(start(&scratch, "add", link, "d")?, round)?;
            assert_store_is_whole(&scratch, &what);
            assert_is_filled(&scratch, "d", &what);

            assert_ends_well(start(&scratch, "add", link, "d")?);
            assert_store_is_whole(&scratch, &what);
            assert_is_filled(&scratch, "d", &what);
            let left: Vec<String> = scratch.list("cache/tmp").into_keys().collect();
            assert_eq!(left, ["lock"], "{what}: the next one cleans up");

            let (ctx, path) = (Ctx::silent(), scratch.path("d"));
            let cache = cache(&scratch.path(""), link)?;
            let id = cache.digest(&ctx, &path, &NoFilter)?.ok_or("gone")?.id.to_string();
            fs::remove_dir_all(scratch.path("d/1"))?;
            kill_after(start(&scratch, &id, link, "d")?, round)?;
            for entry in fs::read_dir(scratch.path("d/1")).into_iter().flatten() {
                let entry = entry?;
                let nth: u8 = entry.file_name().to_string_lossy().parse()?;
                let bytes = fs::read(entry.path())?;
                assert_eq!(bytes, vec![nth; 2000 + usize::from(nth)], "{what}: half a file");
            }
            assert_ends_well(start(&scratch, &id, link, "d")?);
            assert_is_filled(&scratch, "d", &what);
            let found = cache.digest(&ctx, &path, &NoFilter)?.ok_or("gone")?;
            assert_eq!(found.id.to_string(), id);
        }
    }
    Ok(())
}

/// Kills without warning, a little later each round, from before the first write until all is done.
fn kill_after(mut child: Child, round: u32) -> Result {
    std::thread::sleep(Duration::from_micros(u64::from(round) * 2500));
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Lets another user see the scratch directory; `None` when we may not start processes of other users.
fn with_another_user(scratch: &Scratch) -> Result<Option<u32>> {
    const NOBODY: u32 = 65_534;
    set_mode(&scratch.path(""), 0o755);
    let probe = Command::new(std::env::current_exe()?)
        .args(["--exact", "worker"])
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if probe.is_ok_and(|status| status.success()) {
        return Ok(Some(NOBODY));
    }
    eprintln!("SKIPPED: no process of another user can be started here");
    Ok(None)
}

#[test]
fn from_a_store_that_cannot_be_written_is_read() -> Result {
    let scratch = Scratch::new();
    let Some(user) = with_another_user(&scratch)? else { return Ok(()) };
    fill(&scratch, "d");
    assert_ends_well(start(&scratch, "add", LinkKind::Copy, "d")?);
    let cache = cache(&scratch.path(""), LinkKind::Copy)?;
    let found = cache.digest(&Ctx::silent(), &scratch.path("d"), &NoFilter)?.ok_or("gone")?;

    scratch.write("theirs/new", "not stored yet");
    chown(scratch.path("theirs"), Some(user), Some(user))?;
    let run = |action: &str, link, name: &str| -> Result<_> {
        let mut command = command(&scratch, action, link, name)?;
        Ok(command.current_dir("/").uid(user).gid(user).output()?)
    };
    let refused = run("add", LinkKind::Copy, "theirs/new")?;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("ReadOnly"), "{text}");
    for (nth, link) in [LinkKind::Copy, LinkKind::Symlink].into_iter().enumerate() {
        let name = format!("theirs/{nth}");
        let done = run(&found.id.to_string(), link, &name)?;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let seen = cache.digest(&Ctx::silent(), &scratch.path(&name), &NoFilter)?;
        assert_eq!(seen.ok_or("gone")?.id, found.id, "{link}");
    }
    let left = scratch.list("theirs").into_keys().filter(|name| name.contains(".exp-")).count();
    assert_eq!(left, 0, "no unfinished file stays");
    Ok(())
}

#[test]
fn users_of_one_group_share_a_store() -> Result {
    let scratch = Scratch::new();
    let Some(user) = with_another_user(&scratch)? else { return Ok(()) };
    let group = fs::metadata(scratch.path(""))?.gid();
    scratch.write("shared", "");
    fill(&scratch, "ours");
    assert_ends_well(start(&scratch, "add", LinkKind::Copy, "ours")?);
    // The same, and one file more; and an object that is to be verified but is not theirs to protect again.
    fill(&scratch, "theirs");
    scratch.write("theirs/more", "more");
    chown(scratch.path("theirs"), Some(user), Some(group))?;
    let object = ObjectId::file(Digest::of(Algorithm::Md5, &vec![b'l'; LARGE]));
    let object = cache(&scratch.path(""), LinkKind::Copy)?.object_path(&object);
    set_mode(&object, 0o644);

    let done = command(&scratch, "add", LinkKind::Copy, "theirs")?
        .current_dir("/")
        .uid(user)
        .gid(group)
        .output()?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_store_is_whole(&scratch, "shared");
    let mut owners = BTreeSet::new();
    for (path, what) in scratch.list("cache/files") {
        let metadata = fs::metadata(scratch.path("cache/files").join(&path))?;
        assert_eq!(metadata.gid(), group, "{path}");
        let what = what.split(' ').take(2).collect::<Vec<_>>();
        match what[..] {
            ["dir", mode] => assert_eq!(mode, "2775", "{path}"),
            _ => drop(owners.insert(metadata.uid())),
        }
        if metadata.is_file() {
            assert_eq!(metadata.mode() & 0o7777, 0o444, "{path}");
        }
    }
    assert!(owners.len() == 2 && owners.contains(&user), "{owners:?}");
    Ok(())
}

#[test]
fn an_object_is_what_its_name_says_whoever_reads_first() -> Result {
    let scratch = Scratch::new();
    fill(&scratch, "d");
    let child = start(&scratch, "add", LinkKind::Copy, "d")?;
    // A reader beside the writer: what has a name is whole.
    let large = ObjectId::file(Digest::of(Algorithm::Md5, &vec![b'l'; LARGE]));
    let reader = cache(&scratch.path(""), LinkKind::Copy)?;
    let mut is_seen = false;
    for _ in 0..2000 {
        match reader.read_bytes(&large) {
            Ok(bytes) => {
                assert_eq!(bytes.len(), LARGE);
                is_seen = true;
                break;
            }
            Err(exp_cache::CacheError::Missing { .. }) => {}
            Err(err) => return Err(err.into()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_ends_well(child);
    assert!(is_seen);
    Ok(())
}
