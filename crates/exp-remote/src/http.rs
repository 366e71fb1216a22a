//! Files on a server that are reached by plain HTTP. They can be read and sent, but not listed.

use std::fmt;
use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use exp_cache::{
    Abilities, AddressError, Put, ReadFrom, ReadSeek, Storage, StorageAddress, StorageError,
    StorageStat,
};
use exp_core::{Ctx, RelPath};
use futures_util::stream::{self, StreamExt};
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use url::Url;

use self::failure::Failure;
use self::web::{Auth, Request, Web};
use crate::Surroundings;
use crate::given::{Given, refused};
use crate::runtime::Net;

pub(crate) mod failure;
pub(crate) mod options;
pub(crate) mod place;
pub(crate) mod web;

/// Without any progress for so long, a server counts as gone.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Requests about names that are under way at once.
const REQUESTS: usize = 32;

/// Opens `http://host[:port]/path`, or the same with `https`.
pub(crate) fn http(
    address: &StorageAddress,
    surroundings: &Surroundings,
    net: &Net,
) -> Result<Arc<dyn Storage>, AddressError> {
    let scheme = address.scheme();
    let mut url = options::parse(address, &scheme)?;
    let in_url = options::take_credentials(&mut url);
    url.set_fragment(None);
    let given = Given::new(&address.options);
    let auth = auth(&given, in_url)?;
    let method = match given.text("method").map(str::to_ascii_uppercase).as_deref() {
        // DVC's default.
        None | Some("POST") => Method::POST,
        Some("PUT") => Method::PUT,
        Some(_) => return Err(refused("method", "is either `POST` or `PUT`")),
    };
    let connect_timeout = given.seconds("connect_timeout")?;
    let patience = given.seconds("read_timeout")?.unwrap_or(PATIENCE);
    let client = options::build(options::client(&given, connect_timeout, surroundings)?)?;
    given.finish(&scheme)?;
    Ok(Arc::new(HttpStorage {
        label: place::shown(&url, &scheme),
        web: Web::new(client, auth, &url, patience),
        base: url,
        method,
        net: net.clone(),
    }))
}

fn auth(
    given: &Given<'_>,
    (url_user, url_password): (Option<String>, Option<String>),
) -> Result<Auth, AddressError> {
    let password = options::password(given, url_password)?;
    let user = given.text("user").map(str::to_owned).or(url_user);
    let header = given.text("custom_auth_header");
    match (given.text("auth").map(str::to_ascii_lowercase).as_deref(), header) {
        (Some("custom"), Some(header)) => match password {
            Some(password) => options::header(header, &password),
            None => Err(refused("password", "is the value of `custom_auth_header`; set it")),
        },
        (Some("custom"), None) => Err(refused("auth", "`custom` needs `custom_auth_header`")),
        (_, Some(_)) => Err(refused("custom_auth_header", "needs `auth = custom`")),
        (Some("digest"), _) => {
            Err(refused("auth", "`digest` is not supported, neither here nor by DVC; use `basic`"))
        }
        (None | Some("basic"), _) => match (user, password) {
            (Some(user), Some(password)) => Ok(Auth::Basic { user, password }),
            // As with a name in an address: the password is empty.
            (Some(user), None) if given.text("auth").is_none() => {
                Ok(Auth::Basic { user, password: String::new() })
            }
            (None, None) if given.text("auth").is_none() => Ok(Auth::Nobody),
            (Some(_), None) => Err(refused("password", "is needed with `auth = basic`")),
            (None, _) => Err(refused("user", "is needed with a password")),
        },
        (Some(_), _) => Err(refused("auth", "is one of `basic` and `custom`")),
    }
}

/// A storage behind plain HTTP.
struct HttpStorage {
    label: String,
    base: Url,
    web: Web,
    /// What things are sent with.
    method: Method,
    net: Net,
}

impl fmt::Debug for HttpStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStorage").field("label", &self.label).finish_non_exhaustive()
    }
}

impl HttpStorage {
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
}

impl Storage for HttpStorage {
    fn label(&self) -> &str {
        &self.label
    }

    fn abilities(&self) -> Abilities {
        Abilities { write: true, list: false, versions: false, is_near: false }
    }

    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        self.run(ctx, ("look at", &self.label), async {
            let mut stats = stream::iter(keys)
                .map(|key| stat(&self.web, place::below(&self.base, key)))
                .buffered(REQUESTS);
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
        let url = place::below(&self.base, from.key);
        let what = self.shown(from.key);
        self.run(ctx, ("read", &what), read(&self.web, (url, from.offset), into))
    }

    fn write(
        &self,
        ctx: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        let request = Request::new(self.method.clone(), place::below(&self.base, put.key));
        self.run(ctx, ("write", &self.shown(put.key)), async {
            let answer = self.web.upload(request, put.len, from).await?;
            let said = place::stat_of(answer.headers());
            Ok(StorageStat { size: Some(put.len), etag: said.etag, ..StorageStat::default() })
        })
    }
}

/// Asks what is at an address, without its bytes.
async fn stat(web: &Web, url: Url) -> Result<Option<StorageStat>, Failure> {
    let mut answer = web.send(Request::new(Method::HEAD, url.clone()), None).await?;
    // Some servers know only how to give the whole; it is let go of unread.
    if matches!(answer.status().as_u16(), 400 | 403 | 405 | 501) {
        answer = web.send(Request::new(Method::GET, url), None).await?;
    }
    match answer.status() {
        status if status.is_success() => Ok(Some(place::stat_of(answer.headers()))),
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        status => Err(Failure::of(status)),
    }
}

/// Writes what is at an address, from `offset` on, to `into`.
pub(crate) async fn read(
    web: &Web,
    (url, offset): (Url, u64),
    into: &mut dyn Write,
) -> Result<u64, Failure> {
    let mut request = Request::new(Method::GET, url.clone());
    if offset > 0 {
        let range = HeaderValue::from_str(&format!("bytes={offset}-")).map_err(Failure::other)?;
        request = request.with(RANGE, range);
    }
    let answer = web.send(request, None).await?;
    let short = || Failure::other(format!("it has less than {offset} bytes"));
    match answer.status() {
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
            let size = match range_of(answer.headers()) {
                (_, Some(size)) => Some(size),
                // Not every server says where the end is.
                (_, None) => stat(web, url).await?.and_then(|stat| stat.size),
            };
            match size {
                // There is nothing behind the end, which is no failure.
                Some(size) if size == offset => Ok(0),
                Some(size) if size < offset => Err(short()),
                _ => Err(Failure::of(StatusCode::RANGE_NOT_SATISFIABLE)),
            }
        }
        StatusCode::PARTIAL_CONTENT => match range_of(answer.headers()) {
            (Some(first), _) if first != offset => Err(Failure::other(format!(
                "the server gives what is from byte {first} on instead of {offset}"
            ))),
            _ => web.download(answer, 0, into).await?.ok_or_else(short),
        },
        // A server without ranges gives all of it.
        status if status.is_success() => {
            web.download(answer, offset, into).await?.ok_or_else(short)
        }
        status => Err(Failure::of(status)),
    }
}

/// Returns the first byte and the size of all that `Content-Range` tells: `bytes 5-9/10`, `bytes */10`.
fn range_of(headers: &HeaderMap) -> (Option<u64>, Option<u64>) {
    let text = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let range = text.trim().strip_prefix("bytes ").unwrap_or_default();
    let (range, size) = range.split_once('/').unwrap_or((range, ""));
    (range.split('-').next().and_then(|first| first.parse().ok()), size.parse().ok())
}
