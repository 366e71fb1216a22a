//! A cache outside of the project: made where there is none, and not made anew where its disk is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use exp_engine::cache::{CacheError, TransferError};
use exp_engine::core::Ctx;
use exp_engine::{DataTransferRequest, Error, SyncError, UnsavedData};

use crate::support::{Sandbox, Test};

const CONFIG: &str = "[cache]\n    dir = ../../store\n['remote \"r\"']\n    url = ../../remote\n[core]\n    remote = r\n";

fn is_refused<T>(result: Result<T, Error>) -> bool {
    match result {
        Err(Error::Cache(CacheError::NotMounted { .. })) => true,
        Err(Error::Sync(SyncError::Transfer(error))) => {
            matches!(*error, TransferError::Cache(CacheError::NotMounted { .. }))
        }
        _ => false,
    }
}

/// Adds, fetches and checks out below a mount point whose disk is gone.
fn check_refused(sandbox: &Sandbox, store: &Path) -> Test {
    sandbox.write("b", "b")?;
    assert!(is_refused(sandbox.add(&["b"])), "data was added to a store that is not there");
    let fetched = sandbox.open().fetch_data(&Ctx::silent(), &DataTransferRequest::default());
    assert!(is_refused(fetched), "data was fetched into a store that is not there");
    if sandbox.has("a") {
        fs::remove_file(sandbox.root().join("a"))?;
    }
    let restored = sandbox.checkout(&[], UnsavedData::Refuse);
    assert!(is_refused(restored), "it is said that there is no data");
    assert_eq!(fs::read_dir(store).map_or(0, Iterator::count), 0, "something was written");
    assert!(!sandbox.has("b.dvc"));
    Ok(())
}

fn with_store() -> Result<(Sandbox, PathBuf), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::new(&[(".dvc/config", CONFIG)])?;
    let store = sandbox.root().with_file_name("store");
    Ok((sandbox, store))
}

/// Adds something, which is on the remote, too.
fn fill(sandbox: &Sandbox) -> Test {
    sandbox.write("a", "a")?;
    sandbox.add(&["a"])?;
    sandbox.open().send_data(&Ctx::silent(), &DataTransferRequest::default())?;
    Ok(())
}

#[test]
fn a_cache_is_made_where_there_is_none_and_not_where_its_disk_is_gone() -> Test {
    let (sandbox, store) = with_store()?;
    fill(&sandbox)?;
    assert!(store.join("files").is_dir(), "a new clone makes its store");
    fs::remove_dir_all(&store)?;
    sandbox.write("a", "again")?;
    sandbox.add(&["a"])?;
    assert!(store.join("files").is_dir(), "a store that was deleted is made anew");

    // As if it had been on another disk.
    let notes = sandbox.root().join(".dvc/tmp/exp/stores");
    let note = fs::read_dir(notes)?.next().ok_or("no file system was noted")??.path();
    fs::write(&note, "1\n")?;
    sandbox.write("c", "c")?;
    sandbox.add(&["c"])?;
    assert_ne!(fs::read_to_string(&note)?, "1\n", "a disk that has another number now is the same");
    fs::write(&note, "1\n")?;
    fs::remove_dir_all(&store)?;
    check_refused(&sandbox, &store)?;
    fs::create_dir(&store)?;
    check_refused(&sandbox, &store)?;
    fs::create_dir(store.join("files"))?;
    sandbox.write("b", "b")?;
    sandbox.add(&["b"])?;
    Ok(())
}

/// A file system in memory that is mounted as long as this value lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where this machine allows no mounts.
    fn at(path: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=4m", "exp-tests"]).arg(path).output();
        mount.ok().filter(|output| output.status.success())?;
        Some(Self(path.to_path_buf()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn nothing_is_stored_below_a_mount_point_whose_disk_was_unmounted() -> Test {
    let (sandbox, store) = with_store()?;
    fs::create_dir(&store)?;
    let Some(mounted) = Mounted::at(&store) else {
        eprintln!("SKIPPED: no file system can be mounted here");
        return Ok(());
    };
    fill(&sandbox)?;
    drop(mounted);
    check_refused(&sandbox, &store)
}
