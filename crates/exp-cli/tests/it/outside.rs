//! Stages that depend on what is outside of the project.

use crate::{Outcome, Sandbox};

/// Answers requests for one file with its bytes and a mark that is made of them, until the test ends.
fn web_server(text: &'static std::sync::Mutex<String>) -> std::io::Result<String> {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/x.txt", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let body = text.lock().map(|text| text.clone()).unwrap_or_default();
            let head = format!(
                "HTTP/1.1 200 OK\r\nETag: \"mark-{}\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.trim(),
                body.len()
            );
            let body = if request.starts_with("HEAD") { String::new() } else { body };
            let _sent = (&stream).write_all(format!("{head}{body}").as_bytes());
        }
    });
    Ok(url)
}

#[test]
fn a_stage_depends_on_what_is_at_a_url_by_its_mark() -> Outcome {
    static TEXT: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());
    let set = |text: &str| TEXT.lock().map(|mut now| *now = text.to_owned());
    set("one\n").map_err(|_| "poisoned")?;
    let (sandbox, url) = (Sandbox::project()?, web_server(&TEXT)?);
    let pipeline =
        format!("stages:\n  s:\n    cmd: echo hi > o\n    deps: ['{url}']\n    outs: [o]\n");
    std::fs::write(sandbox.root().join("dvc.yaml"), pipeline)?;
    assert_eq!(sandbox.run("dvc repro -q").code, 0);
    let recorded = |mark: &str| {
        format!(
            "    - path: {url}\n      hash: md5\n      checksum: '\"mark-{mark}\"'\n      size: 4\n"
        )
    };
    let lock = sandbox.read("dvc.lock")?;
    assert!(lock.contains(&recorded("one")), "{lock}");
    sandbox.check("dvc status --json", 0, "{}\n", "");
    set("two\n").map_err(|_| "poisoned")?;
    let status = format!("{{\"s\": [{{\"changed deps\": {{\"{url}\": \"modified\"}}}}]}}\n");
    sandbox.check("dvc status --json", 0, &status, "");
    assert_eq!(sandbox.run("dvc repro -q").code, 0);
    let lock = sandbox.read("dvc.lock")?;
    assert!(lock.contains(&recorded("two")), "{lock}");
    Ok(())
}
