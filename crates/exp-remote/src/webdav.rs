//! Files on a server that is reached by `WebDAV`, RFC 4918.

use std::fmt;
use std::future::Future;
use std::io::{SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use exp_cache::{
    Abilities, AddressError, Depth, Listed, Put, ReadFrom, ReadSeek, Storage, StorageAddress,
    StorageError, StorageErrorKind, StorageStat,
};
use exp_core::{Ctx, RelPath};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Identity, Method, StatusCode};
use url::Url;

use self::multistatus::Resource;
use self::tree::Known;
use crate::Surroundings;
use crate::given::{Given, refused};
use crate::http::failure::Failure;
use crate::http::web::{Auth, Request, Web};
use crate::http::{self, PATIENCE, options, place};
use crate::runtime::Net;
use crate::unfinished::{self, Marks};

mod multistatus;
mod tree;

/// Requests about names that are under way at once.
const REQUESTS: usize = 16;

/// So many bytes are not sent where nobody knows yet whether there is a collection for them.
const LONG: u64 = 256 << 10;

/// Opens `webdav://host[:port]/path`, or the same with `webdavs`.
pub(crate) fn webdav(
    address: &StorageAddress,
    surroundings: &Surroundings,
    net: &Net,
) -> Result<Arc<dyn Storage>, AddressError> {
    let scheme = address.scheme();
    let mut url = options::parse(address, if scheme == "webdavs" { "https" } else { "http" })?;
    let in_url = options::take_credentials(&mut url);
    url.set_query(None);
    url.set_fragment(None);
    let given = Given::new(&address.options);
    given.refuse(
        "bearer_token_command",
        "no command is run to get a token; run it yourself and set `token`",
    )?;
    let auth = auth(&given, in_url)?;
    let patience = given.seconds("timeout")?;
    // A shorter patience is one with connections too.
    let connect_timeout = patience.filter(|patience| *patience < PATIENCE);
    let mut builder = options::client(&given, connect_timeout, surroundings)?;
    if let Some(identity) = identity(&given, surroundings)? {
        builder = builder.identity(identity);
    }
    let client = options::build(builder)?;
    given.finish(&scheme)?;
    Ok(Arc::new(WebdavStorage {
        label: place::shown(&url, &scheme),
        web: Arc::new(Web::new(client, auth, &url, patience.unwrap_or(PATIENCE))),
        base: url,
        net: net.clone(),
        known: Known::default(),
        marks: Marks::default(),
    }))
}

/// Decides as DVC does: a token goes before a user, a user before a header.
fn auth(
    given: &Given<'_>,
    (url_user, url_password): (Option<String>, Option<String>),
) -> Result<Auth, AddressError> {
    let password = options::password(given, url_password)?;
    let user = given.text("user").map(str::to_owned).or(url_user);
    let header = given.text("custom_auth_header");
    match (given.text("token"), user, header) {
        (Some(token), _, _) => {
            if HeaderValue::from_str(token).is_err() {
                return Err(refused("token", "has characters that no header has"));
            }
            Ok(Auth::Bearer(token.to_owned()))
        }
        (None, Some(user), _) => Ok(Auth::Basic { user, password: password.unwrap_or_default() }),
        (None, None, Some(header)) => match password {
            Some(password) => options::header(header, &password),
            None => Err(refused("password", "is the value of `custom_auth_header`; set it")),
        },
        (None, None, None) if password.is_some() => {
            Err(refused("user", "is needed with a password"))
        }
        (None, None, None) => Ok(Auth::Nobody),
    }
}

/// Returns the certificate that shows who we are, with its key.
fn identity(
    given: &Given<'_>,
    surroundings: &Surroundings,
) -> Result<Option<Identity>, AddressError> {
    let read = |name: &'static str, path: &str| {
        let path = options::at_home(path, surroundings);
        std::fs::read(Path::new(&path)).map_err(|err| refused(name, &format!("{path}: {err}")))
    };
    let key = given.text("key_path");
    let Some(cert) = given.text("cert_path") else {
        return match key {
            Some(_) => Err(refused("key_path", "needs `cert_path`")),
            None => Ok(None),
        };
    };
    let mut pem = read("cert_path", cert)?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(read("key_path", key)?);
    }
    Identity::from_pem(&pem).map(Some).map_err(|_| {
        let reason =
            "is no certificate with a key in PEM; a key with a passphrase is not supported";
        refused("cert_path", reason)
    })
}

/// A storage behind `WebDAV`.
struct WebdavStorage {
    label: String,
    base: Url,
    web: Arc<Web>,
    net: Net,
    known: Known,
    marks: Marks,
}

impl fmt::Debug for WebdavStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebdavStorage").field("label", &self.label).finish_non_exhaustive()
    }
}

impl WebdavStorage {
    fn url(&self, key: &RelPath) -> Url {
        place::below(&self.base, key)
    }

    fn shown(&self, key: &RelPath) -> String {
        if key.is_root() { self.label.clone() } else { format!("{}/{key}", self.label) }
    }

    fn run<T>(
        &self,
        ctx: &Ctx<'_>,
        (action, what): (&'static str, &str),
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StorageError> {
        let done = async { work.await.map_err(|failure| failure.about(action, what)) };
        self.net.block(ctx, (action, what), done)
    }

    /// Returns what is said about a file; directories are nothing.
    async fn file(&self, key: &RelPath) -> Result<Option<StorageStat>, Failure> {
        let url = self.url(key);
        let there = match tree::look(&self.web, &url, "0").await {
            // Apache finds fault with a path that goes on behind a file.
            Err(failure) if failure.status == Some(StatusCode::BAD_REQUEST) => {
                let above = match tree::parent(&url) {
                    Some(above) => tree::look(&self.web, &tree::as_file(&above), "0").await,
                    None => Err(Failure::of(StatusCode::BAD_REQUEST)),
                };
                match above {
                    Ok(Some(above)) if above.iter().any(|one| one.is_dir) => return Err(failure),
                    Ok(_) => return Ok(None),
                    Err(_) => return Err(failure),
                }
            }
            there => there?,
        };
        let itself = there.into_iter().flatten().next();
        Ok(itself.filter(|one| !one.is_dir).map(|one| one.stat))
    }

    async fn store(&self, put: &Put<'_>, from: &mut dyn ReadSeek) -> Result<(), Failure> {
        let target = self.url(put.key);
        let Some(dir) = tree::parent(&target) else {
            return self.store_once(&target, put.len, from).await;
        };
        let start = from.stream_position()?;
        if put.len >= LONG {
            tree::make(&self.web, &self.known, &dir).await?;
        }
        let stored = self.store_once(&target, put.len, from).await;
        let is_nowhere = |failure: &Failure| {
            failure.status.is_some_and(|status| matches!(status.as_u16(), 404 | 409))
        };
        if !stored.as_ref().is_err_and(is_nowhere) {
            return stored;
        }
        // Servers do not make collections by themselves, and somebody may have removed one.
        if put.len >= LONG {
            self.known.forget();
        }
        tree::make(&self.web, &self.known, &dir).await?;
        from.seek(SeekFrom::Start(start))?;
        self.store_once(&target, put.len, from).await
    }

    /// Sends to a name of its own, and moves that.
    async fn store_once(
        &self,
        target: &Url,
        len: u64,
        from: &mut dyn ReadSeek,
    ) -> Result<(), Failure> {
        let mut temp = target.clone();
        // Some servers resolve quoted signs in the goal of a move before they take it apart, and would move it to, and
        // over, something else.
        let is_movable = !target.path().contains("%3F") && !target.path().contains(';');
        if !is_movable {
            self.web.upload(Request::new(Method::PUT, temp), len, from).await?;
            return Ok(());
        }
        if let Ok(mut parts) = temp.path_segments_mut() {
            parts.pop().push(&unfinished::name(&self.marks.next()));
        }
        let mut left_over = LeftOver { web: &self.web, url: Some(temp.clone()) };
        let sent = self.web.upload(Request::new(Method::PUT, temp.clone()), len, from).await;
        if sent.as_ref().is_err_and(|failure| failure.status.is_some()) {
            // It was refused, so nothing is there.
            left_over.url = None;
        }
        sent?;
        let to = HeaderValue::from_str(target.as_str()).map_err(Failure::other)?;
        let request = Request::new(tree::method("MOVE")?, temp)
            .with(HeaderName::from_static("destination"), to)
            .with(HeaderName::from_static("overwrite"), HeaderValue::from_static("T"));
        tree::done(self.web.ask(request).await?)?;
        left_over.url = None;
        Ok(())
    }

    /// Tells `found` what is below a collection.
    async fn walk(
        &self,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let read = |dir: RelPath| async move {
            let there = tree::look(&self.web, &tree::as_dir(&self.url(&dir)), "1").await;
            (dir, there)
        };
        let mut waiting = vec![under.clone()];
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < REQUESTS
                && let Some(dir) = waiting.pop()
            {
                under_way.push(read(dir));
            }
            let Some((dir, there)) = under_way.next().await else { return Ok(()) };
            let own = tree::names(tree::as_dir(&self.url(&dir)).path());
            for Resource { href, is_dir, stat } in there?.into_iter().flatten() {
                let url = self.base.join(&href).map_err(Failure::other)?;
                let mut names = tree::names(url.path());
                // The collection itself is in its listing.
                if names == own {
                    continue;
                }
                let Some(name) = names.pop() else { continue };
                let key = dir
                    .join(&name)
                    .map_err(|err| Failure::other(format!("`{name}` is no name: {err}")))?;
                if is_dir && depth == Depth::All {
                    waiting.push(key);
                } else if is_dir || !unfinished::is_unfinished(&name) {
                    let stat = if is_dir { StorageStat::default() } else { stat };
                    if found(Listed { key, is_dir, stat }).is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl Storage for WebdavStorage {
    fn label(&self) -> &str {
        &self.label
    }

    fn abilities(&self) -> Abilities {
        Abilities { write: true, list: true, versions: false, is_near: false }
    }

    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        self.run(ctx, ("look at", &self.label), async {
            let mut stats = stream::iter(keys).map(|key| self.file(key)).buffered(REQUESTS);
            let mut found = Vec::with_capacity(keys.len());
            while let Some(stat) = stats.next().await {
                found.push(stat?);
            }
            Ok(found)
        })
    }

    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        let what = self.shown(from.key);
        self.run(
            ctx,
            ("read", &what),
            http::read(&self.web, (self.url(from.key), from.offset), into),
        )
    }

    fn write(
        &self,
        ctx: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        self.run(ctx, ("write", &self.shown(put.key)), self.store(put, from))?;
        Ok(StorageStat { size: Some(put.len), ..StorageStat::default() })
    }

    fn list(
        &self,
        ctx: &Ctx<'_>,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.run(ctx, ("list", &self.shown(under)), self.walk(under, depth, found))
    }

    fn remove(&self, ctx: &Ctx<'_>, keys: &[RelPath]) -> Result<(), StorageError> {
        let what = if let [key] = keys { self.shown(key) } else { self.label.clone() };
        self.run(ctx, ("remove", &what), async {
            let mut removed = stream::iter(keys)
                .map(|key| async move {
                    // A collection would go with all that is in it.
                    if self.file(key).await?.is_none() {
                        return Ok(());
                    }
                    let request = Request::new(Method::DELETE, self.url(key));
                    match self.web.ask(request).await.and_then(tree::done) {
                        Err(failure) if failure.kind != StorageErrorKind::NotFound => Err(failure),
                        _ => Ok(()),
                    }
                })
                .buffer_unordered(REQUESTS);
            while let Some(removed) = removed.next().await {
                removed?;
            }
            Ok(())
        })
    }
}

/// What an upload leaves, removed in the background unless it was moved.
struct LeftOver<'a> {
    web: &'a Arc<Web>,
    url: Option<Url>,
}

impl Drop for LeftOver<'_> {
    fn drop(&mut self) {
        if let Some(url) = self.url.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let web = Arc::clone(self.web);
            runtime.spawn(async move { web.ask(Request::new(Method::DELETE, url)).await.is_ok() });
        }
    }
}
