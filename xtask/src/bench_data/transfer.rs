//! Push and pull to a real S3 server on this machine, beside `rclone` with as many transfers, and beside dvc.
//!
//! All talk to the same server and bucket, each round under a prefix of its own. What `exp` does beyond a copy is in its
//! time: it digests every byte both ways, keeps what it pulls in the store, and puts it into the workspace.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::services::{Attended, rclone};

use super::Extent;
use super::gauge::{Gauge, Line, Run};
use super::place::Yard;

/// Transfers at a time, for all.
const JOBS: &str = "16";

/// How a line of HTTP that asks for something ends.
const REQUEST: &[u8] = b" HTTP/1.1\r\n";

/// A push with nothing to do may ask this often.
const MOST_REQUESTS: usize = 20;

/// The server and how to reach it.
struct Server {
    _up: Attended,
    url: String,
    bucket: String,
    key: String,
    secret: String,
}

impl Server {
    fn start() -> Result<Self, String> {
        let up = Attended::start(&["s3"])?;
        if let Some(problem) = up.failed.first() {
            return Err(problem.clone());
        }
        let find = |name: &str| {
            let found = up.env.iter().find(|(told, _)| told == name);
            found.map(|(_, value)| value.clone()).ok_or_else(|| format!("no {name} was told"))
        };
        Ok(Self {
            url: find("EXP_TEST_S3")?,
            bucket: find("EXP_TEST_S3_BUCKET")?,
            key: find("EXP_TEST_S3_KEY")?,
            secret: find("EXP_TEST_S3_SECRET")?,
            _up: up,
        })
    }

    /// Makes a prefix of the bucket the default remote of a project, reached at `endpoint`.
    fn remote(
        &self,
        yard: &Yard,
        project: &str,
        prefix: &str,
        endpoint: &str,
    ) -> Result<(), String> {
        let Self { bucket, key, secret, .. } = self;
        let text = format!(
            "[core]\n    remote = far\n['remote \"far\"']\n    url = s3://{bucket}/{prefix}\n    \
             endpointurl = {endpoint}\n    access_key_id = {key}\n    secret_access_key = {secret}\n"
        );
        yard.write(&format!("{project}/.dvc/config.local"), &text)
    }

    /// A script of rclone's `copy`, with the prefix as `from` or `to`.
    fn rclone(&self, yard: &Yard, from: &str, to: &str) -> Result<Run, String> {
        let Self { url, bucket, key, secret, .. } = self;
        let text = format!(
            "[far]\ntype = s3\nprovider = Other\naccess_key_id = {key}\nsecret_access_key = {secret}\n\
             endpoint = {url}\nregion = us-east-1\nno_check_bucket = true\n"
        );
        yard.write("rclone.conf", &text)?;
        let [from, to] = [from, to].map(|side| side.replace("far:", &format!("far:{bucket}/")));
        Ok(Run::sh(&format!(
            "{} --config rclone.conf copy --transfers {JOBS} --checkers {JOBS} {from} {to}",
            rclone()?.display()
        )))
    }
}

/// Pushes and pulls of many small files and of a large one, and a push with nothing to do.
pub(super) fn transfers(yard: &Yard, extent: Extent) -> Result<Vec<Line>, String> {
    let server = Server::start()?;
    let mut lines = Vec::new();
    yard.tree("files/data", extent.n_sent, 10_000)?;
    lines.extend(both_ways(yard, &server, extent, "files", &format!("{} × 10 KB", extent.n_sent))?);
    yard.sh(&yard.aside(&["files"]))?;
    yard.large("one/data/large", extent.sent)?;
    let what = format!("one object of {} MB", extent.sent >> 20);
    lines.extend(both_ways(yard, &server, extent, "one", &what)?);
    // Few files, and large ones.
    yard.sh("rm -rf one; find aside -type f -size +64M -delete")?;
    lines.extend(nothing_to_do(yard, &server, extent)?);
    lines.extend(beside_dvc(yard, &server, extent)?);
    Ok(lines)
}

/// Push and pull of `DIR/data`, and rclone's copies of it.
fn both_ways(
    yard: &Yard,
    server: &Server,
    extent: Extent,
    dir: &str,
    what: &str,
) -> Result<Vec<Line>, String> {
    yard.project(dir, "hardlink")?;
    yard.once(dir, &Run::exp(&["dvc", "add", "-q", "data"]))?;
    let config = format!("{dir}/.dvc/config");
    let linking = |kind: &str| yard.write(&config, &format!("[cache]\n    type = {kind}\n"));
    let gone = yard.aside(
        &[".dvc/cache", ".dvc/tmp", "data"]
            .map(|one| format!("{dir}/{one}"))
            .each_ref()
            .map(String::as_str),
    );
    let (mut sides, mut floors) = (<[Vec<Gauge>; 3]>::default(), <[Vec<Gauge>; 3]>::default());
    for round in 0..extent.rounds {
        let prefix = format!("{dir}-{round}");
        server.remote(yard, dir, &format!("ours-{prefix}"), &server.url)?;
        sides[0].push(yard.once(dir, &Run::exp(&["dvc", "push", "-q", "-j", JOBS]))?);
        for (kind, side) in [("hardlink", 1), ("copy", 2)] {
            linking(kind)?;
            yard.sh(&gone)?;
            sides[side].push(yard.once(dir, &Run::exp(&["dvc", "pull", "-q", "-j", JOBS]))?);
        }
        let far = format!("far:theirs-{prefix}");
        floors[0].push(yard.once("", &server.rclone(yard, &format!("{dir}/data"), &far)?)?);
        let pulled = yard.once("", &server.rclone(yard, &far, "copied")?)?;
        floors[1].push(pulled);
        let copied = yard.once("", &Run::sh("cp -r copied again"))?;
        floors[2].push(pulled.plus(&copied));
        yard.sh(&format!("diff -r {dir}/data again"))?;
        yard.sh(&yard.aside(&["copied", "again"]))?;
    }
    let mut lines = Vec::new();
    for ((verb, name), (ours, floor)) in [
        ("push", "rclone copy"),
        ("pull, hard links", "rclone copy"),
        ("pull, copies", "rclone copy + cp -r"),
    ]
    .into_iter()
    .zip(sides.into_iter().zip(floors))
    {
        let (ours, floor) = (Gauge::median(ours), Gauge::median(floor));
        println!("{verb}, {what}: {ours}; {name} {floor}");
        lines.push(Line::new(format!("{verb}, {what}"), ours, name, floor, 1.0));
    }
    Ok(lines)
}

/// What a push asks for when everything, or everything but one file, is there.
fn nothing_to_do(yard: &Yard, server: &Server, extent: Extent) -> Result<Vec<Line>, String> {
    let n = extent.n_there;
    yard.project("there", "reflink,copy")?;
    yard.tree("there/data", n, 0)?;
    yard.once("there", &Run::exp(&["dvc", "add", "-q", "data"]))?;
    let counter = Counter::before(&server.url)?;
    server.remote(yard, "there", "there", &counter.url)?;
    let push = Run::exp(&["dvc", "push", "-q", "-j", JOBS]);
    let first = yard.once("there", &push)?;
    println!("the first push of {n} objects: {first}, {} requests", counter.take());
    let mut all = Vec::new();
    let mut most = 0;
    for _ in 0..extent.rounds {
        all.push(yard.once("there", &push)?);
        most = most.max(counter.take());
    }
    let nothing = Gauge::median(all);
    yard.sh("echo changed >> there/data/0/0")?;
    yard.once("there", &Run::exp(&["dvc", "add", "-q", "data"]))?;
    let changed = yard.once("there", &push)?;
    let asked = counter.take();
    yard.sh(&yard.aside(&["there"]))?;
    Ok(vec![
        Line::count(format!("push, {n} objects, nothing to do"), nothing, most, MOST_REQUESTS),
        Line::count(format!("push, {n} objects, one changed"), changed, asked, MOST_REQUESTS),
    ])
}

/// Both tools on the same files, in MD5 projects.
fn beside_dvc(yard: &Yard, server: &Server, extent: Extent) -> Result<Vec<Line>, String> {
    if yard.dvc().is_none() {
        return Ok(Vec::new());
    }
    let n = extent.n_dvc;
    let mut sides = Vec::new();
    for side in ["ours", "theirs"] {
        yard.dvc_project(side)?;
        yard.tree(&format!("{side}/data"), n, 4096)?;
        let run = |words: &[&str]| match side {
            "ours" => Run::exp(&[&["dvc"], words].concat()),
            _ => Run::dvc(words),
        };
        yard.once(side, &run(&["add", "-q", "data"]))?;
        server.remote(yard, side, &format!("beside-{side}"), &server.url)?;
        let push = run(&["push", "-q", "-j", JOBS]);
        let new = yard.once(side, &push)?;
        let again = yard.rounds(extent, side, &[], &push)?;
        let gone = ["cache", "tmp"].map(|one| format!("{side}/.dvc/{one}"));
        yard.sh(&yard.aside(&[&gone[0], &gone[1], &format!("{side}/data"), "site"]))?;
        let pull = yard.once(side, &run(&["pull", "-q", "-j", JOBS]))?;
        sides.push([new, again, pull]);
    }
    yard.sh(&yard.aside(&["ours", "theirs"]))?;
    let [ours, theirs] = sides[..] else { return Ok(Vec::new()) };
    let names = [("push", 5.0), ("push, nothing to do", 20.0), ("pull", 5.0)];
    let pairs = names.into_iter().zip(ours.into_iter().zip(theirs));
    let line = |((what, least), (ours, theirs)): ((&str, f64), (Gauge, Gauge))| {
        Line::new(format!("{what}, {n} × 4 KB, MD5"), ours, "dvc", theirs, 1.0 / least)
    };
    Ok(pairs.map(line).collect())
}

/// Stands before a server, hands everything on, and counts requests.
struct Counter {
    url: String,
    count: Arc<AtomicUsize>,
}

impl Counter {
    fn before(url: &str) -> Result<Self, String> {
        let fail = |err: std::io::Error| format!("cannot stand before {url}: {err}");
        let far = url.strip_prefix("http://").unwrap_or(url);
        let far: SocketAddr = far.parse().map_err(|err| format!("{url}: {err}"))?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(fail)?;
        let url = format!("http://{}", listener.local_addr().map_err(fail)?);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        // Lives as long as the task, which is ended by its process.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(far) else { continue };
                let (Ok(back_from), Ok(back_to)) = (far.try_clone(), near.try_clone()) else {
                    continue;
                };
                let counted = Arc::clone(&counted);
                thread::spawn(move || {
                    hand_on(near, far, |n| {
                        counted.fetch_add(n, Ordering::SeqCst);
                    });
                });
                thread::spawn(move || hand_on(back_from, back_to, |_| {}));
            }
        });
        Ok(Self { url, count })
    }

    /// Returns how many requests came since it was asked last.
    fn take(&self) -> usize {
        self.count.swap(0, Ordering::SeqCst)
    }
}

/// Copies one direction of a connection to its end, telling of every request line in it.
fn hand_on(mut from: TcpStream, mut to: TcpStream, mut tell: impl FnMut(usize)) {
    let mut piece = vec![0; 64 << 10];
    // The end of the last piece, in which a line may have begun.
    let mut tail: Vec<u8> = Vec::new();
    while let Ok(n) = from.read(&mut piece) {
        if n == 0 || to.write_all(&piece[..n]).is_err() {
            break;
        }
        tail.extend_from_slice(&piece[..n]);
        tell(tail.windows(REQUEST.len()).filter(|bytes| *bytes == REQUEST).count());
        let begun = tail.len().saturating_sub(REQUEST.len() - 1);
        tail.drain(..begun);
    }
    let _closed = to.shutdown(Shutdown::Write);
    let _closed = from.shutdown(Shutdown::Read);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every line, and says how many it got.
    fn echo() -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(b"bye").unwrap();
            all
        });
        (at, served)
    }

    #[test]
    fn requests_are_counted_and_handed_on() {
        let (at, served) = echo();
        let counter = Counter::before(&format!("http://{at}")).unwrap();
        let mut stream = TcpStream::connect(counter.url.strip_prefix("http://").unwrap()).unwrap();
        let text = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n";
        // In portions, so that a line comes in two of them.
        for portion in text.chunks(9) {
            stream.write_all(portion).unwrap();
            stream.flush().unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!((served.join().unwrap().as_slice(), answer.as_str()), (&text[..], "bye"));
        assert_eq!((counter.take(), counter.take()), (2, 0));
    }
}
