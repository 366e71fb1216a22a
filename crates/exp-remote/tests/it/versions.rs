//! Storages that keep old versions: S3, Google Cloud Storage, Azure.
//!
//! The first two against servers that keep versions. No emulator of Azure does: its server takes our signatures, and
//! what we ask and understand is seen by a server of our own that answers as Microsoft documents it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Cursor, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use exp_cache::{
    Cache, CacheOptions, Depth, Modes, NoFilter, OpenStorage as _, Put, ReadFrom, Relink, Remote,
    Storage, StorageAddress, StorageErrorKind, TransferError, Version, VersionedFile,
    VersionedStats, push_versions,
};
use exp_core::{Algorithm, Ctx, RelPath};
use exp_remote::{Storages, Surroundings};

use crate::basics::{bytes, key, read, write};
use crate::servers::{Kind, Site, Who};
use crate::{Result, chain};

const AWARE: &[(&str, &str)] = &[("version_aware", "true")];

/// Opens the place in a bucket that keeps versions.
fn open(site: &Site) -> Result<Arc<dyn Storage>> {
    let bucket = match site.kind {
        Kind::S3 => site.fact("EXP_TEST_S3_VERSIONED"),
        Kind::GcsVersions => site.fact("EXP_TEST_GCS_VERSIONS_ON"),
        kind => return Err(format!("{kind:?} keeps no versions").into()),
    };
    site.open_with(bucket, AWARE)
}

fn put(storage: &dyn Storage, key: &RelPath, bytes: &[u8]) -> Result<Option<String>> {
    let put = Put { key, len: bytes.len() as u64, is_object: false };
    Ok(storage.write(&Ctx::silent(), &put, &mut Cursor::new(bytes))?.version)
}

fn read_version(storage: &dyn Storage, key: &RelPath, version: &str) -> Result<Vec<u8>> {
    let mut got = Vec::new();
    let from = ReadFrom { key, version: Some(version), offset: 0 };
    storage.read(&Ctx::silent(), &from, &mut got)?;
    Ok(got)
}

pub(crate) fn old_versions_are_kept_and_read(site: &Site) -> Result {
    let (storage, ctx, key) = (open(site)?, Ctx::silent(), key("dir/fi le"));
    assert!(storage.keeps_versions(&ctx)?);
    let long = bytes(17 << 20);
    let contents: [&[u8]; 3] = [b"one", &long, b"three"];
    let mut versions = Vec::new();
    for content in contents {
        versions.push(put(&*storage, &key, content)?.ok_or("no version")?);
    }
    for (version, content) in versions.iter().zip(contents) {
        assert!(read_version(&*storage, &key, version)? == content, "{version}");
    }
    // A read that was cut goes on in the version where it was.
    let mut got = Vec::new();
    let from = ReadFrom { key: &key, version: Some(&versions[1]), offset: 16 << 20 };
    storage.read(&ctx, &from, &mut got)?;
    assert!(got == long[16 << 20..]);
    let stat = storage.stat(&ctx, std::slice::from_ref(&key))?.remove(0).ok_or("not there")?;
    assert_eq!(stat.version.as_ref(), versions.last());

    let old = versions.iter().map(|version| (key.clone(), version.clone()));
    let asked: Vec<_> = old.chain([(key.clone(), "none of ours".to_owned())]).collect();
    let found = storage.stat_versions(&ctx, &asked)?;
    let sizes: Vec<_> = found.iter().map(|stat| stat.as_ref().and_then(|one| one.size)).collect();
    assert_eq!(sizes, [Some(3), Some(17 << 20), Some(5), None]);
    let named: Vec<_> = found.into_iter().flatten().filter_map(|stat| stat.version).collect();
    assert_eq!(named, versions);

    // One of each is listed, the newest, and nothing that was removed.
    write(&*storage, "dir/gone", b"x")?;
    storage.remove(&ctx, &[crate::basics::key("dir/gone")])?;
    let mut found = Vec::new();
    storage.list(&ctx, &RelPath::root(), Depth::All, &mut |one| {
        found.push((one.key, one.stat.version));
        ControlFlow::Continue(())
    })?;
    assert_eq!(found, [(key.clone(), versions.last().cloned())]);

    // What was removed is still there as a version.
    storage.remove(&ctx, std::slice::from_ref(&key))?;
    assert_eq!(storage.stat(&ctx, std::slice::from_ref(&key))?, [None]);
    assert_eq!(read_version(&*storage, &key, &versions[2])?, b"three");
    for id in ["none of ours", "1", "2026-01-01T00:00:00.0000000Z"] {
        let from = ReadFrom { key: &key, version: Some(id), offset: 0 };
        let err = storage.read(&ctx, &from, &mut Vec::new()).unwrap_err();
        assert_eq!(err.kind, StorageErrorKind::NotFound, "{id}: {}", chain(&err));
    }
    Ok(())
}

/// A store with files of these contents, and what is to be where.
fn store(site: &Site, files: &[(&str, &[u8])]) -> Result<(Cache, Vec<VersionedFile>)> {
    let cache = Cache::open(&site.path("store"), CacheOptions::new(Algorithm::Md5))?;
    let mut wanted = Vec::new();
    for (name, content) in files {
        let path = site.path("file");
        fs::write(&path, content)?;
        let id = cache.add(&Ctx::silent(), &path, &NoFilter, Relink::No)?.id;
        fs::remove_file(&path)?;
        let len = content.len() as u64;
        wanted.push(VersionedFile { key: key(name), id, size: Some(len), known: None });
    }
    Ok((cache, wanted))
}

fn send(
    cache: &Cache,
    storage: Arc<dyn Storage>,
    files: &[VersionedFile],
) -> std::result::Result<VersionedStats, TransferError> {
    let jobs = NonZeroUsize::new(4).unwrap();
    push_versions(&Ctx::silent(), (cache, &Remote::new(storage)), (files, &[key("d")]), jobs)
}

fn known(files: &[VersionedFile], versions: &[Option<Version>]) -> Vec<VersionedFile> {
    let with = |(file, known): (&VersionedFile, &Option<Version>)| VersionedFile {
        known: known.clone(),
        ..file.clone()
    };
    files.iter().zip(versions).map(with).collect()
}

pub(crate) fn what_is_there_is_not_sent_again(site: &Site) -> Result {
    let storage = open(site)?;
    let long = bytes(25 << 20);
    let (cache, files) = store(site, &[("d/a", b"one"), ("d/b", b""), ("long", &long)])?;
    let first = send(&cache, storage.clone(), &files)?;
    assert_eq!((first.moved, first.already_there, first.failed.len()), (3, 0, 0));
    assert!(first.versions.iter().all(Option::is_some), "{:?}", first.versions);
    let again = send(&cache, storage.clone(), &known(&files, &first.versions))?;
    assert_eq!((again.moved, &again.versions), (0, &first.versions));
    // The record got lost: what is there shows by itself which bytes it is, however it was sent.
    let lost = send(&cache, storage.clone(), &files)?;
    assert_eq!((lost.moved, &lost.versions), (0, &first.versions));
    // Others of the same length are no reason to believe that.
    let mut other = long.clone();
    other[20 << 20] ^= 1;
    let (cache, files) = store(site, &[("d/a", b"two"), ("d/b", b""), ("long", &other)])?;
    let changed = send(&cache, storage.clone(), &files)?;
    assert_eq!((changed.moved, changed.already_there), (2, 1));
    let old = first.versions[2].as_ref().ok_or("no version")?;
    assert!(read_version(&*storage, &key("long"), &old.id)? == long, "it was replaced");
    Ok(())
}

pub(crate) fn a_bucket_without_versions_is_refused(site: &Site) -> Result {
    let bucket = match site.kind {
        Kind::S3 => site.fact("EXP_TEST_S3_BUCKET"),
        Kind::GcsVersions => site.fact("EXP_TEST_GCS_VERSIONS_OFF"),
        _ => site.fact("EXP_TEST_AZURE_CONTAINER"),
    };
    let storage = site.open_with(bucket, AWARE)?;
    write(&*storage, "a", b"precious")?;
    let (cache, files) = store(site, &[("a", b"new")])?;
    match send(&cache, storage.clone(), &files) {
        Err(TransferError::NoVersions { key, .. }) => assert_eq!(key.as_str(), "a"),
        other => panic!("{other:?}"),
    }
    assert_eq!(read(&*storage, "a")?, b"precious");
    Ok(())
}

pub(crate) fn azure_takes_the_signature_of_a_version(site: &Site) -> Result {
    let container = site.fact("EXP_TEST_AZURE_CONTAINER");
    let storage = site.open_with(container, AWARE)?;
    let key = key("fi le");
    let version = put(&*storage, &key, b"one")?;
    assert_eq!(version, None, "Azurite keeps versions now: run the other behaviours on it too");
    eprintln!("NOT PROVEN for Azure: Azurite keeps no versions, so nothing old is read from it");
    // It passes over the version that is asked for, but not over a signature that does not fit the request.
    let asked = [(key.clone(), "2026-01-01T00:00:00.0000000Z".to_owned())];
    let signature = site.fact("EXP_TEST_AZURE_SAS");
    let endpoint = format!("BlobEndpoint={}", site.fact("EXP_TEST_AZURE"));
    let by_signature = format!("{endpoint};SharedAccessSignature={signature}");
    let by_signature = [("version_aware", "true"), ("connection_string", &by_signature)];
    for storage in [storage, site.open_with(container, &by_signature)?] {
        let found = storage.stat_versions(&Ctx::silent(), &asked)?;
        assert_eq!(found.first().and_then(|one| one.as_ref()?.size), Some(3));
        assert_eq!(read_version(&*storage, &key, &asked[0].1)?, b"one");
    }
    let stranger = site.open_as(Who::Stranger, Some(site.authority()?), "")?;
    let err = stranger.stat(&Ctx::silent(), &[key]).unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Denied, "{}", chain(&err));
    Ok(())
}

/// A server that answers requests by what `answer` says of their first line: a status and headers, and a body.
struct Canned {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    fn new(answer: fn(&str) -> (String, &'static str)) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(std::result::Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || serve(&stream, answer, &seen).ok());
            }
        });
        Ok(Self { port, asked })
    }

    /// What was asked since the last time: methods and paths, without the name of the test's place.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn serve(
    stream: &TcpStream,
    answer: fn(&str) -> (String, &'static str),
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut len) = (String::new(), 0);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                len = text.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut reader.by_ref().take(len), &mut std::io::sink())?;
        let request = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        let (head, body) = answer(&request);
        seen.lock().unwrap().push(request.clone());
        let shown = if request.starts_with("HEAD") { "" } else { body };
        write!(&*stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{shown}", body.len())?;
    }
}

/// Answers as Microsoft's documentation of Put Blob, Get Blob, Get Blob Properties and List Blobs has it.
fn as_azure(request: &str) -> (String, &'static str) {
    const NEW: &str = "2026-02-02T00:00:00.0000000Z";
    const OLD: &str = "2026-01-01T00:00:00.0000000Z";
    let (_, query) = request.split_once('?').unwrap_or((request, ""));
    if query.contains("comp=list") {
        let list = "<EnumerationResults><Blobs><Blob><Name>p/d/a</Name><Properties>\
             <Last-Modified>Mon, 02 Feb 2026 00:00:00 GMT</Last-Modified><Etag>0x8DA</Etag>\
             <Content-Length>3</Content-Length></Properties></Blob></Blobs><NextMarker/>\
             </EnumerationResults>";
        return ("200 OK".to_owned(), list);
    }
    let version = query.split('&').find_map(|pair| pair.strip_prefix("versionid="));
    let (status, version, body) = match (request.starts_with("PUT"), version) {
        (true, _) => ("201 Created", NEW, ""),
        (_, None) => ("200 OK", NEW, "new"),
        (_, Some(OLD)) => ("200 OK", OLD, "was"),
        _ => ("404 The specified blob does not exist.", "", ""),
    };
    let head = format!(
        "{status}\r\nETag: \"0x8DA\"\r\nx-ms-version-id: {version}\r\n\
         Last-Modified: Mon, 02 Feb 2026 00:00:00 GMT\r\nx-ms-blob-type: BlockBlob"
    );
    (head, body)
}

fn canned(
    server: &Canned,
    (url, endpoint): (&str, &str),
    more: &[(&str, &str)],
) -> Result<Arc<dyn Storage>> {
    let endpoint = endpoint.replace("PORT", &server.port.to_string());
    let pairs = AWARE.iter().chain(more).copied();
    let options: BTreeMap<String, String> = pairs
        .map(|(name, value)| (name.to_owned(), value.replace("ENDPOINT", &endpoint)))
        .collect();
    let address = StorageAddress { url: url.to_owned(), options, modes: Modes::default() };
    Ok(Storages::new(Surroundings { env: BTreeMap::new(), home: None }).open(&address)?)
}

#[test]
fn versions_of_azure_are_asked_for_and_understood_as_documented() -> Result {
    let server = Canned::new(as_azure)?;
    let text = "BlobEndpoint=ENDPOINT;AccountName=me;AccountKey=a2V5";
    let at = ("azure://c/p", "http://127.0.0.1:PORT/me");
    let storage = canned(&server, at, &[("connection_string", text)])?;
    let (ctx, key) = (Ctx::silent(), key("d/a"));
    let old = "2026-01-01T00:00:00.0000000Z";

    assert_eq!(put(&*storage, &key, b"new")?.as_deref(), Some("2026-02-02T00:00:00.0000000Z"));
    assert_eq!(server.asked(), ["PUT /me/c/p/d/a"]);
    assert_eq!(read_version(&*storage, &key, old)?, b"was");
    assert_eq!(server.asked(), [format!("GET /me/c/p/d/a?versionid={old}")]);
    let gone = "2025-01-01T00:00:00.0000000Z";
    let asked = [(key.clone(), old.to_owned()), (key.clone(), gone.to_owned())];
    let found = storage.stat_versions(&ctx, &asked)?;
    let found: Vec<_> = found.into_iter().map(|stat| stat.and_then(|stat| stat.version)).collect();
    assert_eq!(found, [Some(old.to_owned()), None]);
    let mut requests = server.asked();
    requests.sort();
    assert_eq!(
        requests,
        [gone, old].map(|version| format!("HEAD /me/c/p/d/a?versionid={version}"))
    );
    // What this account calls its versions is nothing that others do.
    let foreign = [(key.clone(), "1735689600000001".to_owned())];
    assert_eq!(storage.stat_versions(&ctx, &foreign)?, [None]);
    assert!(server.asked().is_empty());
    // Listings of the library name no versions, so each file is asked for.
    let mut listed = Vec::new();
    storage.list(&ctx, &RelPath::root(), Depth::All, &mut |one| {
        listed.push((one.key, one.stat.etag, one.stat.version));
        ControlFlow::Continue(())
    })?;
    let (etag, version) = ("\"0x8DA\"".to_owned(), "2026-02-02T00:00:00.0000000Z".to_owned());
    assert_eq!(listed, [(key, Some(etag), Some(version))]);
    Ok(())
}

#[test]
fn who_may_not_see_the_settings_of_a_bucket_is_believed() -> Result {
    let server = Canned::new(|_| ("403 Forbidden".to_owned(), "{}"))?;
    let at = ("gs://bucket/p", "http://127.0.0.1:PORT");
    let options = [("endpointurl", "ENDPOINT"), ("allow_anonymous_login", "true")];
    assert!(canned(&server, at, &options)?.keeps_versions(&Ctx::silent())?);
    assert_eq!(server.asked(), ["GET /storage/v1/b/bucket?fields=versioning"]);
    Ok(())
}
