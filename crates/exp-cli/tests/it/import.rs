//! `data import-url`, `data update`, `data get-url`, `data list` in our grammar; data from a real web server.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Outcome, Sandbox};

/// Python's web server on a free port; it has no marks for files, only sizes and times.
struct Server(Child, String);

impl Server {
    fn start(dir: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let port = line.split(" port ").nth(1).and_then(|rest| rest.split(' ').next());
        let url = format!("http://127.0.0.1:{}", port.ok_or("no port")?);
        Ok(Self(child, url))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn data_of_a_web_server_is_imported_and_updated() -> Outcome {
    let sandbox = Sandbox::project()?;
    let there = sandbox.root().join("../there");
    fs::create_dir(&there)?;
    fs::write(there.join("a.txt"), "abc\n")?;
    let server = Server::start(&there)?;
    sandbox.check(
        &format!("exp data import-url {}/a.txt", server.1),
        0,
        "",
        "a.txt  4 B  imported\ncommit it: git add a.txt.dvc .gitignore   undo: exp undo\n",
    );
    assert_eq!(sandbox.read("a.txt")?, "abc\n");
    sandbox.check("exp data update a.txt.dvc", 0, "", "a.txt  unchanged\n");
    fs::write(there.join("a.txt"), "abcdef\n")?;
    sandbox.check(
        "exp data update a.txt.dvc",
        0,
        "",
        "a.txt  updated\ncommit it: git add a.txt.dvc   undo: exp undo\n",
    );
    assert_eq!(sandbox.read("a.txt")?, "abcdef\n");
    let ran = sandbox.run(&format!("exp data get-url {}/none", server.1));
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.starts_with("error: nothing is at"), "{}", ran.err);
    assert!(!sandbox.root().join("none").exists());
    Ok(())
}

#[test]
fn what_is_in_the_way_is_named_with_what_helps() -> Outcome {
    let sandbox = Sandbox::project()?;
    fs::write(sandbox.root().join("../x"), "1\n")?;
    fs::write(sandbox.root().join("x"), "2\n")?;
    sandbox.check(
        "exp data get-url ../x",
        5,
        "",
        "error: `x` exists already\nhint: give `--force` to replace it, or another place for it\n",
    );
    sandbox.check("exp data get-url -f ../x", 0, "", "x  1 file, 2 B\n");
    assert_eq!(sandbox.read("x")?, "1\n");
    Ok(())
}

#[test]
fn listings_are_sorted_and_can_be_read_by_programs() -> Outcome {
    let sandbox = Sandbox::empty()?;
    let there = sandbox.root().join("there/s");
    fs::create_dir_all(&there)?;
    fs::write(there.join("b"), "1\n")?;
    fs::write(there.join("a"), "22\n")?;
    sandbox.check("exp data list there -R", 0, "s/a\ns/b\n", "");
    sandbox.check(
        "exp data list-url there/s --json",
        0,
        "[{\"path\": \"a\", \"isdir\": false, \"size\": 3}, {\"path\": \"b\", \"isdir\": false, \"size\": 2}]\n",
        "",
    );
    sandbox.check("exp data du there s", 0, "3  s/a\n2  s/b\n5  s\n", "");
    Ok(())
}
