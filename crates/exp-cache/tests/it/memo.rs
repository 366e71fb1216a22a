//! What is remembered of files, so that they need not be read again.

use std::fs;
use std::time::Duration;

use exp_cache::{NoFilter, Tree};
use exp_core::{Algorithm, Ctx};
use rusqlite::Connection;

use crate::scratch::{Result, Scratch};

/// Long enough for a file to be older than what its times can tell apart.
const SETTLED: Duration = Duration::from_millis(50);

fn fill(scratch: &Scratch, n: usize) {
    for nth in 0..n {
        scratch.write(&format!("d/{}/{nth}", nth % 7), format!("content {nth}"));
    }
    std::thread::sleep(SETTLED);
}

fn rows(scratch: &Scratch) -> Result<i64> {
    let memo = Connection::open(scratch.path("memo/stat.db"))?;
    Ok(memo.query_row("SELECT count(*) FROM memo", [], |row| row.get(0))?)
}

fn tree(scratch: &Scratch) -> Result<Tree> {
    let path = scratch.path("d");
    let seen = scratch.cache().digest_tree_as(&Ctx::silent(), Algorithm::Md5, &path, &NoFilter)?;
    Ok(seen.and_then(|(_, tree)| tree).ok_or("no directory")?)
}

#[test]
fn a_known_file_is_not_opened() -> Result {
    // One by one, and in one pass over all of them.
    for n in [20, 1000] {
        let scratch = Scratch::new();
        fill(&scratch, n);
        let before = tree(&scratch)?;
        assert_eq!(rows(&scratch)?, i64::try_from(n)?);
        // Whoever believes the memo tells what it says.
        let memo = Connection::open(scratch.path("memo/stat.db"))?;
        let lie = [7_u8; 16];
        let path = scratch.path("d/3/10");
        let path = path.as_os_str().as_encoded_bytes();
        assert_eq!(memo.execute("UPDATE memo SET digest = ?1 WHERE path = ?2", (lie, path))?, 1);
        drop(memo);
        let after = tree(&scratch)?;
        let told = after.get("3/10").ok_or("not there")?;
        assert_eq!(told.as_bytes(), lie, "{n} files");
        let differ = before.entries().iter().zip(after.entries()).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 1);
    }
    Ok(())
}

#[test]
fn a_changed_file_is_read_and_the_others_are_not() -> Result {
    let scratch = Scratch::new();
    fill(&scratch, 1000);
    tree(&scratch)?;
    scratch.write("d/3/10", "content!!!");
    scratch.write("d/0/0.5", "new");
    scratch.write("d/8/new", "new");
    fs::remove_file(scratch.path("d/1/1"))?;
    fs::rename(scratch.path("d/2/2"), scratch.path("d/2/two"))?;
    let seen = tree(&scratch)?;
    let digest = |text: &str| exp_core::Digest::of(Algorithm::Md5, text.as_bytes());
    for (path, text) in [
        ("3/10", "content!!!"),
        ("0/0.5", "new"),
        ("8/new", "new"),
        ("2/two", "content 2"),
        ("5/999", "content 999"),
        ("0/0", "content 0"),
    ] {
        assert_eq!(seen.get(path), Some(&digest(text)), "{path}");
    }
    assert_eq!(seen.entries().len(), 1001);
    Ok(())
}

#[test]
fn files_that_are_gone_are_forgotten() -> Result {
    let scratch = Scratch::new();
    fill(&scratch, 700);
    scratch.write("da", "not below the directory");
    tree(&scratch)?;
    assert_eq!(rows(&scratch)?, 700);
    fs::remove_dir_all(scratch.path("d/3"))?;
    tree(&scratch)?;
    assert_eq!(rows(&scratch)?, 600);
    Ok(())
}

#[test]
fn an_older_memo_is_replaced() -> Result {
    let scratch = Scratch::new();
    fill(&scratch, 20);
    fs::create_dir(scratch.path("memo"))?;
    let memo = Connection::open(scratch.path("memo/stat.db"))?;
    memo.execute_batch("CREATE TABLE memo (path BLOB); PRAGMA user_version = 1;")?;
    drop(memo);
    tree(&scratch)?;
    assert_eq!(rows(&scratch)?, 20);
    Ok(())
}
