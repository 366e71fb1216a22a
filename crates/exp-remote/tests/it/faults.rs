//! A bad network, and servers that go away.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exp_cache::{Depth, ReadFrom, Storage, StorageError, StorageErrorKind};
use exp_core::{Cancel, CancelToken, Ctx, NullSink, RelPath};

use crate::basics::{bytes, key, read, size, write};
use crate::names::found;
use crate::proxy::{Direction, Faults, Proxy};
use crate::servers::{Kind, OwnServer, Site};
use crate::{Result, chain};

/// Tries again what is said to be temporary, as a transfer does.
pub(crate) fn persist<T>(
    mut attempt: impl FnMut() -> std::result::Result<T, StorageError>,
) -> std::result::Result<T, StorageError> {
    // A server that was killed takes its time on a busy machine, and thousands of objects take a minute for each try.
    let begun = Instant::now();
    let mut n_tries = 0;
    loop {
        n_tries += 1;
        match attempt() {
            Err(err)
                if err.kind == StorageErrorKind::Temporary
                    && (n_tries < 5 || begun.elapsed() < Duration::from_mins(1)) => {}
            result => return result,
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[track_caller]
fn temporary<T: std::fmt::Debug>(result: std::result::Result<T, StorageError>) {
    let err = result.unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Temporary, "{}", chain(&err));
}

pub(crate) fn a_slow_network_is_no_failure(site: &Site) -> Result {
    let proxy = Proxy::new(site.authority()?)?;
    let (latency, rate) = (Duration::from_millis(60), 100_000);
    proxy.set(Faults { latency, rate, ..Faults::default() });
    let storage = site.open_at(proxy.address())?;
    let long = bytes(100_000);
    write(&*storage, "slow", &long)?;
    assert_eq!(size(&*storage, "slow")?, Some(100_000));
    assert!(read(&*storage, "slow")? == long);
    assert!(proxy.n_connections() > 0, "it went another way");
    Ok(())
}

/// Reads on and on until all is there; each failure has to be temporary, and what came has to be the beginning.
fn read_on(storage: &dyn Storage, name: &str, expected: &[u8]) -> Result<u32> {
    let (key, mut got, mut n_failures) = (key(name), Vec::new(), 0);
    loop {
        let from = ReadFrom { key: &key, version: None, offset: got.len() as u64 };
        let result = storage.read(&Ctx::silent(), &from, &mut got);
        assert!(expected.starts_with(&got), "not the beginning: {} bytes came", got.len());
        match result {
            Ok(_) => {
                assert_eq!(got.len(), expected.len(), "it ended early and said nothing");
                return Ok(n_failures);
            }
            Err(err) if err.kind == StorageErrorKind::Temporary && n_failures < 8 => {
                n_failures += 1;
            }
            Err(err) => return Err(err.into()),
        }
    }
}

pub(crate) fn a_read_that_is_cut_goes_on(site: &Site) -> Result {
    let long = bytes(3 << 20);
    write(&*site.open()?, "long", &long)?;
    let proxy = Proxy::new(site.authority()?)?;
    let storage = site.open_at(proxy.address())?;
    for (after, times) in [(1 << 20, 1), (200_000, 3), (2 << 20, 1)] {
        proxy.cut(Direction::FromServer, after, times);
        read_on(&*storage, "long", &long)?;
        assert_eq!(proxy.cuts_left(), 0, "nothing was cut after {after}");
    }
    Ok(())
}

pub(crate) fn a_write_that_is_cut_leaves_nothing(site: &Site) -> Result {
    let direct = site.open()?;
    let proxy = Proxy::new(site.authority()?)?;
    let storage = site.open_at(proxy.address())?;
    let long = bytes(9 << 20);
    for after in [300_000, 2 << 20, 7 << 20] {
        let name = format!("cut/{after}");
        proxy.cut(Direction::ToServer, after, 1);
        match write(&*storage, &name, &long) {
            // It may have tried that part again.
            Ok(()) => assert!(read(&*direct, &name)? == long),
            Err(err) => {
                assert_eq!(err.kind, StorageErrorKind::Temporary, "{}", chain(&err));
                assert_eq!(size(&*direct, &name)?, None, "half of it is there");
            }
        }
        assert_eq!(proxy.cuts_left(), 0, "nothing was cut after {after}");
        persist(|| write(&*storage, &name, &long))?;
        assert!(read(&*direct, &name)? == long);
    }
    if direct.abilities().list {
        assert_eq!(found(&*direct, "", Depth::All)?.len(), 3, "something is left over");
    }
    Ok(())
}

pub(crate) fn a_removal_that_is_cut_is_done_again(site: &Site) -> Result {
    let direct = site.open()?;
    let names = ["gone/a", "gone/b", "gone/c"];
    for name in names {
        write(&*direct, name, b"x")?;
    }
    let proxy = Proxy::new(site.authority()?)?;
    let storage = site.open_at(proxy.address())?;
    assert_eq!(size(&*storage, names[0])?, Some(1));
    proxy.cut(Direction::FromServer, 1, 2);
    storage.remove(&Ctx::silent(), &names.map(key))?;
    assert_eq!(proxy.cuts_left(), 0, "nothing was cut");
    assert_eq!(found(&*direct, "gone", Depth::All)?.len(), 0);
    Ok(())
}

pub(crate) fn a_replacement_that_is_cut_leaves_what_was_there(site: &Site) -> Result {
    let direct = site.open()?;
    write(&*direct, "name", b"what was there")?;
    let proxy = Proxy::new(site.authority()?)?;
    let storage = site.open_at(proxy.address())?;
    let long = bytes(2 << 20);
    // Enough to catch tries that it makes by itself.
    proxy.cut(Direction::ToServer, 1 << 20, 50);
    temporary(write(&*storage, "name", &long));
    assert_eq!(read(&*direct, "name")?, b"what was there");
    proxy.set(Faults::default());
    persist(|| write(&*storage, "name", &long))?;
    assert!(read(&*direct, "name")? == long);
    Ok(())
}

pub(crate) fn a_refused_connection_is_temporary(site: &Site) -> Result {
    write(&*site.open()?, "there", b"x")?;
    let proxy = Proxy::new(site.authority()?)?;
    let storage = site.open_at(proxy.address())?;
    for _ in 0..2 {
        proxy.refuse();
        temporary(read(&*storage, "there"));
        temporary(size(&*storage, "there"));
        temporary(write(&*storage, "new", b"y"));
        proxy.accept();
        assert_eq!(persist(|| read(&*storage, "there"))?, b"x");
        // What was open then is closed, and the next use finds that out.
        proxy.hang_up();
        assert_eq!(persist(|| size(&*storage, "there"))?, Some(1));
    }
    Ok(())
}

pub(crate) fn a_server_in_trouble_is_temporary(site: &Site) -> Result {
    write(&*site.open()?, "there", b"x")?;
    let proxy = Proxy::new(site.authority()?)?;
    for head in [
        "HTTP/1.1 503 Service Unavailable\r\n",
        "HTTP/1.1 500 Internal Server Error\r\n",
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n",
    ] {
        let storage = site.open_at(proxy.address())?;
        let answer: &str =
            Box::leak(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").into());
        proxy.set(Faults { answer: Some(answer), ..Faults::default() });
        temporary(read(&*storage, "there"));
        temporary(write(&*storage, "new", b"y"));
        temporary(size(&*storage, "there"));
        proxy.set(Faults::default());
        assert_eq!(persist(|| read(&*storage, "there"))?, b"x");
    }
    Ok(())
}

/// What may be asked to stop.
type Operation = fn(&Ctx<'_>, &dyn Storage) -> std::result::Result<(), StorageError>;

pub(crate) fn a_stop_is_heard_while_the_server_stalls(site: &Site) -> Result {
    let long = Arc::new(bytes(4 << 20));
    write(&*site.open()?, "long", &long)?;
    let proxy = Proxy::new(site.authority()?)?;
    let operations: [(&str, Operation); 4] = [
        ("read", |ctx, storage| {
            let long = key("long");
            storage.read(ctx, &ReadFrom::start(&long), &mut Vec::new()).map(|_| ())
        }),
        ("stat", |ctx, storage| storage.stat(ctx, &[key("long"), key("x")]).map(|_| ())),
        ("write", |ctx, storage| {
            let (key, source) = (key("new"), bytes(4 << 20));
            let put = exp_cache::Put { key: &key, len: source.len() as u64, is_object: false };
            storage.write(ctx, &put, &mut std::io::Cursor::new(source)).map(|_| ())
        }),
        ("list", |ctx, storage| {
            let root = RelPath::root();
            storage.list(ctx, &root, Depth::All, &mut |_| ControlFlow::Continue(()))
        }),
    ];
    for (name, operation) in operations {
        for is_warm in [false, true] {
            let storage = site.open_at(proxy.address())?;
            if name == "list" && !storage.abilities().list {
                continue;
            }
            if is_warm {
                size(&*storage, "long")?;
            }
            proxy.set(Faults { is_stalled: true, ..Faults::default() });
            let token = CancelToken::new();
            let ctx = Ctx::new(&NullSink, token.clone());
            let asked = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                token.cancel(Cancel::Stop);
                Instant::now()
            });
            let err = operation(&ctx, &*storage).unwrap_err();
            let ended = Instant::now();
            let asked = asked.join().map_err(|_| "a thread panicked")?;
            let took = ended.saturating_duration_since(asked);
            proxy.set(Faults::default());
            assert_eq!(err.kind, StorageErrorKind::Cancelled, "{name}: {}", chain(&err));
            assert!(ended > asked, "{name}: it did not stall");
            assert!(took < Duration::from_secs(1), "{name}: it ended {took:?} later");
        }
    }
    // What was all handed over is not to be had back where one request is all there is.
    let left = size(&*site.open()?, "new")?;
    let is_one_request = matches!(site.kind, Kind::S3 | Kind::Gcs | Kind::Azure | Kind::Http);
    let is_whole = is_one_request && left == Some(4 << 20);
    assert!(left.is_none() || is_whole, "half of it is there: {left:?}");
    Ok(())
}

pub(crate) fn a_server_that_was_restarted_is_used_again(site: &Site) -> Result {
    let mut server = OwnServer::start(site.kind)?;
    let site = Site::with(site.kind, server.facts())?;
    let storage = site.open()?;
    let long = bytes(6 << 20);
    write(&*storage, "long", &long)?;

    // Between two operations.
    server.tell("stop")?;
    temporary(size(&*storage, "long"));
    server.tell("start")?;
    assert_eq!(persist(|| size(&*storage, "long"))?, Some(6 << 20));

    // Within one: slow enough that the server is gone in the middle.
    let proxy = Proxy::new(site.authority()?)?;
    proxy.set(Faults { rate: 1 << 20, ..Faults::default() });
    let slow = site.open_at(proxy.address())?;
    let (key, mut got) = (key("long"), Vec::new());
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            let killed = server.tell("kill").map_err(|err| err.to_string());
            // What the system still holds of its bytes would be enough.
            proxy.hang_up();
            killed
        });
        let from = ReadFrom::start(&key);
        temporary(slow.read(&Ctx::silent(), &from, &mut got));
        killer.join().map_err(|_| "a thread panicked".to_owned())?
    })?;
    assert!(long.starts_with(&got), "not the beginning: {} bytes came", got.len());
    server.tell("start")?;
    proxy.set(Faults::default());
    persist(|| {
        let offset = got.len() as u64;
        slow.read(&Ctx::silent(), &ReadFrom { key: &key, version: None, offset }, &mut got)
    })?;
    assert!(got == long, "other bytes came: {} of {}", got.len(), long.len());
    persist(|| write(&*storage, "after", b"x"))?;
    Ok(())
}
