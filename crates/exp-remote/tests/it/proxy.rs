//! A proxy between a storage and a real server that makes a network bad, in ways that a test chooses while it runs.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two looks at what is wanted.
const TICK: Duration = Duration::from_millis(5);

/// What is wrong with the network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Each piece of up to 16 KiB comes so much later.
    pub(crate) latency: Duration,
    /// Bytes a second of each connection in each direction; 0 is no limit.
    pub(crate) rate: u64,
    /// Nothing goes through and nothing is closed.
    pub(crate) is_stalled: bool,
    /// New connections get this instead of the server.
    pub(crate) answer: Option<&'static str>,
    /// Connections end after so many bytes, counted from when this was set.
    pub(crate) cut: Option<Cut>,
}

/// A connection that ends too early.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Bytes in which direction.
    pub(crate) direction: Direction,
    /// After how many.
    pub(crate) after: u64,
    /// How often that happens.
    pub(crate) times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    FromServer,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    faults: Mutex<(u64, Faults)>,
    open: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
    is_deaf: AtomicBool,
    n_connections: AtomicU64,
}

/// A running proxy. Ends with this value.
#[derive(Debug)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    listener: Option<JoinHandle<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Stands in front of a server.
    pub(crate) fn new(target: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", 0))?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            faults: Mutex::default(),
            open: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            n_connections: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let listener = Some(thread::spawn(move || listen(&theirs, socket, address)));
        Ok(Self { shared, address, listener })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what is wrong, for open connections too.
    pub(crate) fn set(&self, faults: Faults) {
        let mut now = locked(&self.shared.faults);
        *now = (now.0 + 1, faults);
    }

    /// Ends connections after so many bytes.
    pub(crate) fn cut(&self, direction: Direction, after: u64, times: u32) {
        self.set(Faults { cut: Some(Cut { direction, after, times }), ..Faults::default() });
    }

    /// Refuses connections, and ends those that are open.
    pub(crate) fn refuse(&self) {
        self.shared.is_deaf.store(true, Ordering::SeqCst);
        thread::sleep(TICK * 4);
        self.hang_up();
    }

    /// Takes connections again.
    pub(crate) fn accept(&self) {
        self.shared.is_deaf.store(false, Ordering::SeqCst);
        thread::sleep(TICK * 4);
    }

    /// Ends all open connections.
    pub(crate) fn hang_up(&self) {
        for stream in locked(&self.shared.open).drain(..) {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// How often a cut is still to happen.
    pub(crate) fn cuts_left(&self) -> u32 {
        locked(&self.shared.faults).1.cut.map_or(0, |cut| cut.times)
    }

    /// How many connections were taken.
    pub(crate) fn n_connections(&self) -> u64 {
        self.shared.n_connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.hang_up();
        if let Some(listener) = self.listener.take() {
            let _ended = listener.join();
        }
    }
}

fn listen(shared: &Arc<Shared>, socket: TcpListener, address: SocketAddr) {
    let mut socket = Some(socket);
    while !shared.is_over.load(Ordering::SeqCst) {
        if shared.is_deaf.load(Ordering::SeqCst) {
            // Only a closed port refuses.
            socket = None;
            thread::sleep(TICK);
            continue;
        }
        if socket.is_none() {
            socket = TcpListener::bind(address).ok();
        }
        let Some(socket) = &socket else { continue };
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        match socket.accept() {
            Ok((client, _)) => {
                shared.n_connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(shared);
                thread::spawn(move || {
                    let _over = serve(&shared, client);
                });
            }
            Err(_) => thread::sleep(TICK),
        }
    }
}

fn serve(shared: &Arc<Shared>, mut client: TcpStream) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let answer = locked(&shared.faults).1.answer;
    if let Some(answer) = answer {
        // All of the request is taken first: bytes that nobody reads would end the connection before the answer.
        client.set_read_timeout(Some(Duration::from_millis(150)))?;
        let mut piece = [0; 16 << 10];
        while client.read(&mut piece).is_ok_and(|len| len > 0) {}
        client.write_all(answer.as_bytes())?;
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(shared.target)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        locked(&shared.open).push(stream.try_clone()?);
    }
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let theirs = Arc::clone(shared);
    let up = thread::spawn(move || pump(&theirs, Direction::ToServer, from_client, to_server));
    pump(shared, Direction::FromServer, server, client);
    let _ended = up.join();
    Ok(())
}

/// Moves bytes in one direction until one side ends, then ends both.
fn pump(shared: &Shared, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 16 << 10];
    let (mut since, mut count) = (0, 0);
    while let Ok(len @ 1..) = from.read(&mut piece) {
        let mut faults = locked(&shared.faults).clone();
        while faults.1.is_stalled && !shared.is_over.load(Ordering::SeqCst) {
            thread::sleep(TICK);
            faults = locked(&shared.faults).clone();
        }
        let (generation, faults) = faults;
        if since != generation {
            (since, count) = (generation, 0);
        }
        let mut wait = faults.latency;
        if let Some(needed) = (len as u64 * 1_000_000).checked_div(faults.rate) {
            wait += Duration::from_micros(needed);
        }
        thread::sleep(wait);
        count += len as u64;
        let mut is_cut = false;
        let mut last = len;
        {
            let mut now = locked(&shared.faults);
            if let Some(cut) = &mut now.1.cut
                && generation == since
                && cut.direction == direction
                && cut.times > 0
                && count >= cut.after
            {
                cut.times -= 1;
                is_cut = true;
                last = len - usize::try_from(count - cut.after).unwrap_or(len).min(len);
            }
        }
        if to.write_all(&piece[..last]).is_err() || is_cut {
            break;
        }
    }
    for stream in [&from, &to] {
        let _closed = stream.shutdown(Shutdown::Both);
    }
}
