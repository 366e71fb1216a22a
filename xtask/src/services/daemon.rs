//! Servers as processes: started in a group of their own, known by process id and start time, stopped by nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a server may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(3);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A process that cannot be mistaken for a later one with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    pid: u32,
    /// Ticks between the start of the machine and that of the process.
    started: String,
}

impl Known {
    /// A process that runs now.
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Threads outlive the process that is dead by its state, and hold its ports as long.
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        let is_over = matches!(*fields.first()?, "Z" | "X") && threads <= 1;
        (!is_over).then_some(Self { pid, started: (*fields.get(19)?).to_owned() })
    }

    fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, unless the process is over.
    fn signal(&self, name: &str) {
        if self.is_alive() {
            let line = format!("kill -{name} {}", self.pid);
            let mut kill = Command::new("/bin/sh");
            // One that ended in between is what was wanted.
            let _sent = kill.args(["-c", &line]).stderr(Stdio::null()).status();
        }
    }

    fn children(&self) -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid| parent(*pid) == Some(self.pid)).filter_map(Self::of).collect()
    }

    /// The process and everything that it started, the process first.
    fn family(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        let mut next = 0;
        while let Some(one) = all.get(next).cloned() {
            all.extend(one.children());
            next += 1;
        }
        all
    }
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether the server whose state is in `dir` runs.
pub(super) fn is_running(dir: &Path) -> bool {
    recorded(dir).is_some_and(|known| known.is_alive())
}

fn recorded(dir: &Path) -> Option<Known> {
    let text = fs::read_to_string(dir.join("running")).ok()?;
    let (pid, started) = text.trim_end().split_once(' ')?;
    Some(Known { pid: pid.parse().ok()?, started: started.to_owned() })
}

/// Starts a server and waits until `ready` says yes. One that does not come up is ended.
pub(super) fn start(
    dir: &Path,
    command: &mut Command,
    ready: &mut dyn FnMut() -> bool,
) -> Result<(), String> {
    let log = dir.join("log");
    let open = || OpenOptions::new().create(true).append(true).open(&log);
    let (out, err) = match (open(), open()) {
        (Ok(out), Ok(err)) => (out, err),
        (Err(err), _) | (_, Err(err)) => {
            return Err(format!("cannot write {}: {err}", log.display()));
        }
    };
    // A group of its own: Ctrl-C in the terminal is for us, and we end the server in order.
    command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = command
        .spawn()
        .map_err(|err| format!("cannot start {}: {err}", command.get_program().display()))?;
    let Some(known) = Known::of(child.id()) else {
        return Err(format!("it ended at once\n{}", tail(&log)));
    };
    let record = dir.join("running");
    let text = format!("{} {}\n", known.pid, known.started);
    if let Err(err) = fs::write(&record, text) {
        known.signal("KILL");
        return Err(format!("cannot write {}: {err}", record.display()));
    }
    let begun = Instant::now();
    while !ready() {
        if let Ok(Some(status)) = child.try_wait() {
            let _gone = fs::remove_file(&record);
            return Err(format!("it ended with {status}\n{}", tail(&log)));
        }
        if begun.elapsed() > PATIENCE {
            stop(dir);
            return Err(format!("no answer after {} s\n{}", PATIENCE.as_secs(), tail(&log)));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Ends the server whose state is in `dir`, and whatever it started. Its files stay.
pub(super) fn stop(dir: &Path) {
    end(dir, FAREWELL);
}

/// Ends it without a farewell, in the middle of whatever it does.
pub(super) fn kill(dir: &Path) {
    end(dir, Duration::ZERO);
}

fn end(dir: &Path, farewell: Duration) {
    if let Some(known) = recorded(dir).filter(Known::is_alive) {
        let family = known.family();
        let begun = Instant::now();
        if !farewell.is_zero() {
            known.signal("TERM");
        }
        while known.is_alive() && begun.elapsed() < farewell {
            std::thread::sleep(PAUSE);
        }
        for one in &family {
            one.signal("KILL");
        }
        while family.iter().any(Known::is_alive) && begun.elapsed() < FAREWELL * 2 {
            std::thread::sleep(PAUSE);
        }
    }
    let _gone = fs::remove_file(dir.join("running"));
}

/// The end of a log.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Ports for a server: those that it had before when they are free, so that whoever knows them finds it again.
pub(super) fn ports(dir: &Path, count: usize) -> Result<Vec<u16>, String> {
    let path = dir.join("ports");
    let before: Vec<u16> = fs::read_to_string(&path)
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|port| port.parse().ok())
        .collect();
    if before.len() == count && hold(&before).is_some() {
        return Ok(before);
    }
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let mut state = u64::from(seed) ^ (u64::from(std::process::id()) << 20) | 1;
    for _ in 0..200 {
        // Below the ports that systems give to connections, so that none of those takes one in between.
        let found: Vec<u16> = (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                u16::try_from(18_000 + state % 14_000).unwrap_or(18_000)
            })
            .collect();
        if hold(&found).is_some() {
            let text = found.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
            fs::write(&path, text)
                .map_err(|err| format!("cannot write {}: {err}", path.display()))?;
            return Ok(found);
        }
    }
    Err(format!("no {count} free ports"))
}

/// Takes all the ports, or none.
fn hold(ports: &[u16]) -> Option<Vec<TcpListener>> {
    ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).ok()).collect()
}

/// Asks an HTTP server and returns the status and the head of its answer.
pub(super) fn ask(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(len) => answer.extend_from_slice(&piece[..len]),
        }
    }
    let head = String::from_utf8_lossy(&answer).into_owned();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, head))
}

/// The first bytes that a server sends by itself.
pub(super) fn greeting(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut piece = [0; 64];
    let len = stream.read(&mut piece).ok()?;
    Some(String::from_utf8_lossy(&piece[..len]).into_owned())
}

/// Waits for the right to do something that only one process may do at a time; ends with the file.
pub(super) fn lock(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(|err| format!("cannot write {}: {err}", path.display()))?;
    file.lock().map_err(|err| format!("cannot lock {}: {err}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_number() {
        let me = Known::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(!Known { started: "1".into(), ..me }.is_alive());
    }

    #[test]
    fn ports_are_kept_while_they_are_free() {
        let dir = std::env::temp_dir().join(format!("exp-ports-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let first = ports(&dir, 3).unwrap();
        assert_eq!(ports(&dir, 3).unwrap(), first);
        let _taken = TcpListener::bind(("127.0.0.1", first[1])).unwrap();
        assert_ne!(ports(&dir, 3).unwrap(), first);
        fs::remove_dir_all(&dir).unwrap();
    }
}
