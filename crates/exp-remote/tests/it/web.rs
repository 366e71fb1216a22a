//! Answers that no server of the tests gives: redirects, servers without ranges, pages instead of files.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use exp_cache::{
    AddressError, Modes, OpenStorage as _, Put, ReadFrom, Storage, StorageAddress, StorageErrorKind,
};
use exp_core::{Ctx, RelPath};
use exp_remote::{Storages, Surroundings};

use crate::Result;
use crate::basics::{key, read, size};

/// A server that answers as a test wants, and remembers what it was asked.
struct Canned {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    fn new(answer: impl Fn(&str) -> String + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no concern of the server.
                let _ = serve(stream, &answer, &seen);
            }
        });
        Ok(Self { address, heads })
    }

    fn open(&self, options: &[(&str, &str)]) -> Result<Arc<dyn Storage>> {
        Ok(open(&format!("http://{}/data", self.address), options, &[])?)
    }

    fn asked(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    answer: &impl Fn(&str) -> String,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    let lower = head.to_ascii_lowercase();
    let len = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; len.and_then(|len| len.trim().parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    seen.lock().unwrap().push(head.clone());
    let mut stream = stream;
    stream.write_all(answer(&head).as_bytes())
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn open(
    url: &str,
    options: &[(&str, &str)],
    env: &[(&str, &str)],
) -> std::result::Result<Arc<dyn Storage>, AddressError> {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let around = Surroundings { env: map(env), home: None };
    let address =
        StorageAddress { url: url.to_owned(), options: map(options), modes: Modes::default() };
    Storages::new(around).open(&address)
}

fn read_from(storage: &dyn Storage, name: &str, offset: u64) -> Result<Vec<u8>> {
    let (key, mut bytes) = (key(name), Vec::new());
    storage.read(&Ctx::silent(), &ReadFrom { key: &key, version: None, offset }, &mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_server_without_ranges_is_read_from_anywhere() -> Result {
    let server = Canned::new(|_| reply("200 OK", "", "0123456789"))?;
    let storage = server.open(&[])?;
    assert_eq!(read_from(&*storage, "x", 7)?, b"789");
    assert_eq!(read_from(&*storage, "x", 10)?, b"");
    assert!(read_from(&*storage, "x", 11).is_err());
    Ok(())
}

#[test]
fn a_wrong_range_is_refused() -> Result {
    let server = Canned::new(|_| {
        reply("206 Partial Content", "Content-Range: bytes 0-9/10\r\n", "0123456789")
    })?;
    assert!(read_from(&*server.open(&[])?, "x", 7).is_err());
    Ok(())
}

#[test]
fn who_we_are_is_told_to_nobody_else() -> Result {
    for options in [
        [("auth", "basic"), ("user", "me"), ("password", "hidden")],
        [("auth", "custom"), ("custom_auth_header", "X-Key"), ("password", "hidden")],
    ] {
        let other = Canned::new(|_| reply("200 OK", "", "bytes"))?;
        let location = format!("Location: http://{}/there\r\n", other.address);
        let first = Canned::new(move |_| reply("307 Temporary Redirect", &location, ""))?;
        let storage = first.open(&options)?;
        assert_eq!(read(&*storage, "x")?, b"bytes");
        let key = key("x");
        let put = Put { key: &key, len: 3, is_object: false };
        storage.write(&Ctx::silent(), &put, &mut Cursor::new(b"new"))?;
        let lower = |heads: Vec<String>| heads.join("").to_ascii_lowercase();
        let (told, leaked) = (lower(first.asked()), lower(other.asked()));
        assert!(told.contains("authorization: basic") || told.contains("x-key: hidden"), "{told}");
        assert!(leaked.contains("get /there") && leaked.contains("post /there"), "{leaked}");
        assert!(!leaked.contains("authorization") && !leaked.contains("x-key"), "{leaked}");
    }
    Ok(())
}

#[test]
fn a_page_about_an_error_is_no_file() -> Result {
    let server = Canned::new(|_| reply("403 Forbidden", "", "<html>go away</html>"))?;
    let err = read(&*server.open(&[])?, "x").unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Denied);
    Ok(())
}

#[test]
fn what_a_server_says_about_a_file_is_told() -> Result {
    let server = Canned::new(|head| {
        if head.starts_with("HEAD") {
            return reply("405 Method Not Allowed", "", "");
        }
        let headers = "ETag: \"mark\"\r\nContent-MD5: Q2hlY2s=\r\n\
                       Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        reply("200 OK", headers, "12345")
    })?;
    let storage = server.open(&[])?;
    let stat = storage.stat(&Ctx::silent(), &[RelPath::root()])?.remove(0).ok_or("nothing")?;
    assert_eq!(stat.size, Some(5));
    assert_eq!(stat.etag.as_deref(), Some("mark"));
    assert_eq!(stat.checksum.as_deref(), Some("Q2hlY2s="));
    assert_eq!(stat.modified, Some(784_111_777));
    Ok(())
}

#[test]
fn a_body_that_is_cut_off_is_temporary() -> Result {
    let server = Canned::new(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf".to_owned()
    })?;
    let err = read(&*server.open(&[])?, "x").unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Temporary);
    Ok(())
}

#[test]
fn a_proxy_is_used_but_for_exceptions() -> Result {
    let proxy = Canned::new(|_| reply("200 OK", "", "by proxy"))?;
    let to = format!("http://{}", proxy.address);
    let url = "http://somewhere.invalid/data";
    let storage = open(url, &[], &[("HTTP_PROXY", &to)])?;
    assert_eq!(read(&*storage, "x")?, b"by proxy");
    assert!(proxy.asked()[0].starts_with("GET http://somewhere.invalid/data/x "));
    let direct = Canned::new(|_| reply("200 OK", "", "direct"))?;
    let url = format!("http://{}/data", direct.address);
    let storage = open(&url, &[], &[("http_proxy", &to), ("no_proxy", "127.0.0.1")])?;
    assert_eq!(read(&*storage, "x")?, b"direct");
    Ok(())
}

#[test]
fn options_are_understood_or_refused_by_name() {
    let refused =
        |url: &str, options: &[(&str, &str)], expected: &str| match open(url, options, &[]) {
            Err(AddressError::Option { name, .. }) => assert_eq!(name, expected),
            other => panic!("{options:?}: {other:?}"),
        };
    refused("http://h/p", &[("auth", "digest"), ("user", "u"), ("password", "p")], "auth");
    refused("http://h/p", &[("ask_password", "true")], "ask_password");
    refused("http://h/p", &[("auth", "basic"), ("user", "u")], "password");
    refused("http://h/p", &[("custom_auth_header", "X")], "custom_auth_header");
    refused("http://h/p", &[("method", "PATCH")], "method");
    refused("http://h/p", &[("ssl_verify", "/no/such/file")], "ssl_verify");
    refused("http://h/p", &[("region", "x")], "region");
    refused("webdav://h/p", &[("bearer_token_command", "x")], "bearer_token_command");
    refused("webdav://h/p", &[("key_path", "x")], "key_path");
    refused("webdavs://h/p", &[("cert_path", "/no/such/file")], "cert_path");
    refused("webdav://h/p", &[("password", "x")], "user");
    assert!(open("https://h/p", &[("ssl_verify", "false"), ("read_timeout", "5")], &[]).is_ok());
}

#[test]
fn no_secret_of_an_address_is_shown() -> Result {
    let server = Canned::new(|_| reply("500 Internal Server Error", "", ""))?;
    let url = format!("http://me:hidden@{}/data?sig=hidden", server.address);
    let storage = open(&url, &[], &[])?;
    let err = size(&*storage, "x").unwrap_err();
    let text = format!("{} {storage:?} {err:?} {}", storage.label(), crate::chain(&err));
    assert!(!text.contains("hidden"), "{text}");
    Ok(())
}

#[test]
fn a_server_that_does_not_say_where_the_end_is_is_asked() -> Result {
    let server = Canned::new(|head| {
        if head.starts_with("HEAD") {
            return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n".to_owned();
        }
        reply("416 Range Not Satisfiable", "", "")
    })?;
    let storage = server.open(&[])?;
    assert_eq!(read_from(&*storage, "x", 10)?, b"");
    assert!(read_from(&*storage, "x", 11).is_err());
    Ok(())
}

/// What a `WebDAV` server says about one thing.
fn about(href: &str, kind: &str) -> String {
    let body = format!(
        "<multistatus xmlns='DAV:'><response><href>{href}</href><propstat><prop><resourcetype>{kind}</resourcetype>\
         </prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>"
    );
    reply("207 Multi-Status", "Content-Type: application/xml\r\n", &body)
}

#[test]
fn a_collection_is_never_removed() -> Result {
    let server = Canned::new(|head| match head.split(' ').next() {
        Some("PROPFIND") => about("/data/x/", "<collection/>"),
        _ => reply("204 No Content", "", ""),
    })?;
    let url = format!("webdav://{}/data", server.address);
    let storage = open(&url, &[("token", "abc")], &[])?;
    storage.remove(&Ctx::silent(), &[key("x")])?;
    let asked = server.asked();
    assert!(asked.iter().all(|head| !head.starts_with("DELETE")), "{asked:?}");
    assert!(asked[0].to_ascii_lowercase().contains("authorization: bearer abc"), "{asked:?}");
    Ok(())
}

#[test]
fn a_path_behind_a_file_is_nothing() -> Result {
    let server = Canned::new(|head| match head.split(' ').nth(1) {
        Some("/data/file/below") => reply("400 Bad Request", "", ""),
        _ => about("/data/file", ""),
    })?;
    let storage = open(&format!("webdav://{}/data", server.address), &[], &[])?;
    assert_eq!(size(&*storage, "file/below")?, None);
    Ok(())
}

#[test]
fn a_page_is_no_listing() -> Result {
    let server = Canned::new(|_| reply("200 OK", "", "<html>welcome</html>"))?;
    let storage = open(&format!("webdav://{}/data", server.address), &[], &[])?;
    let err = size(&*storage, "x").unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Unsupported);
    Ok(())
}
