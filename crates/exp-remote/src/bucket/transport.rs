//! HTTP for the object stores: one pool of connections for each storage, and an end for what stands still.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exp_cache::AddressError;
use futures_util::{Stream, StreamExt, stream};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method, Request, Response};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, HttpTransporter};
use reqwest::{Body, Certificate, Client, NoProxy, Proxy};
use tokio::time::{Instant, sleep_until, timeout};

use super::aim::Aim;
use super::fault;
use crate::Surroundings;

/// Bytes of a body handed on at a time: what counts as progress.
const PIECE: usize = 256 << 10;

/// Bytes that the system may hold of what it was given to send.
const HELD: usize = 4 << 20;

/// Bytes in a second of the slowest network that is waited for.
const SLOWEST: u32 = 128 << 10;

/// How servers are reached.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    /// How long a connection may take.
    pub(super) connect: Duration,
    /// How long nothing may move, in either direction.
    pub(super) stall: Duration,
    /// Whose certificates are believed.
    pub(super) trust: Trust,
}

impl Default for Wire {
    fn default() -> Self {
        let trust = Trust::System;
        Self { connect: Duration::from_secs(10), stall: Duration::from_mins(1), trust }
    }
}

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// Those that the system believes.
    System,
    /// These too: a file of PEM certificates. Named by the option.
    File(PathBuf),
    /// All.
    Everybody,
}

impl Wire {
    /// Makes a client. Proxies are those of the surroundings.
    ///
    /// # Errors
    ///
    /// When the file of certificates, or a proxy, cannot be used.
    pub(super) fn client(&self, around: &Surroundings) -> Result<Client, AddressError> {
        let mut builder = Client::builder()
            .http1_only()
            .connect_timeout(self.connect)
            .pool_max_idle_per_host(64)
            .pool_idle_timeout(Duration::from_secs(20))
            .tcp_nodelay(true)
            .no_proxy();
        builder = match &self.trust {
            Trust::System => builder,
            Trust::Everybody => builder.tls_danger_accept_invalid_certs(true),
            Trust::File(path) => {
                let wrong = |reason: String| AddressError::Option {
                    name: "ssl_verify".to_owned(),
                    reason: format!("`{}`: {reason}", path.display()),
                };
                let pem = fs::read(path).map_err(|err| wrong(err.to_string()))?;
                let certificates = Certificate::from_pem_bundle(&pem)
                    .map_err(|_| wrong("not a file of PEM certificates".to_owned()))?;
                builder.tls_certs_merge(certificates)
            }
        };
        for proxy in proxies(around)? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|err| AddressError::Option {
            name: "ssl_verify".to_owned(),
            reason: fault::chain(&err.without_url()),
        })
    }
}

/// Reads the proxies from the environment, as `curl` does.
fn proxies(around: &Surroundings) -> Result<Vec<Proxy>, AddressError> {
    let variable = |names: [&'static str; 2]| {
        let named = names.into_iter().find_map(|name| Some((name, around.env.get(name)?)));
        named.filter(|(_, value)| !value.is_empty())
    };
    let except = variable(["no_proxy", "NO_PROXY"]);
    let mut found = Vec::new();
    for names in
        [["https_proxy", "HTTPS_PROXY"], ["http_proxy", "HTTP_PROXY"], ["all_proxy", "ALL_PROXY"]]
    {
        let Some((name, url)) = variable(names) else { continue };
        let proxy = match names[0] {
            "https_proxy" => Proxy::https(url),
            "http_proxy" => Proxy::http(url),
            _ => Proxy::all(url),
        };
        let proxy = proxy.map_err(|_| AddressError::Option {
            name: name.to_owned(),
            reason: "is no address of a proxy".to_owned(),
        })?;
        let except = except.and_then(|(_, list)| NoProxy::from_string(list));
        found.push(proxy.no_proxy(except));
    }
    Ok(found)
}

/// What `opendal` sends its requests through.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client,
    stall: Duration,
    /// Where requests go that the library cannot make.
    aim: Option<Aim>,
}

impl Transport {
    /// Makes one of a client.
    pub(super) fn over(client: Client, wire: &Wire, aim: Option<Aim>) -> HttpTransporter {
        HttpTransporter::new(Self { client, stall: wire.stall, aim })
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        let (mut parts, body) = request.into_parts();
        if let Some(aim) = &self.aim {
            aim.direct(&mut parts).await?;
        }
        let is_head = parts.method == Method::HEAD;
        let progress = Progress::new(self.stall + unsent(body.len()));
        let body = if body.len() <= PIECE {
            (!body.is_empty()).then(|| Body::from(body.to_bytes()))
        } else {
            // Its length is in the header; without, it would be sent in chunks, which S3 refuses.
            parts.headers.insert(CONTENT_LENGTH, body.len().into());
            let progress = progress.clone();
            Some(Body::wrap_stream(stream::unfold((body, 0), move |(body, at)| {
                progress.note();
                let end = (at + PIECE).min(body.len());
                let piece = (at < end).then(|| body.slice(at..end).to_bytes());
                async move { Some((Ok::<_, Infallible>(piece?), (body, end))) }
            })))
        };
        let mut request = self
            .client
            .request(parts.method, parts.uri.to_string())
            .version(parts.version)
            .headers(parts.headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut answer = progress
            .watch(request.send())
            .await?
            .map_err(|err| broken("send http request", err))?;
        let length = if is_head { None } else { length(answer.headers()) };
        let mut response = Response::builder().status(answer.status()).version(answer.version());
        if let Some(headers) = response.headers_mut() {
            std::mem::swap(headers, answer.headers_mut());
        }
        let stream = watched(answer.bytes_stream(), self.stall);
        let response = response.body(HttpBody::new(Box::pin(stream), length));
        response.map_err(|err| {
            Error::new(ErrorKind::Unexpected, "the answer makes no sense").set_source(err)
        })
    }
}

/// Returns the length that the body shall have, where it is told for the body as it comes out.
fn length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Passes an answer on, and breaks off when nothing came for too long.
fn watched<B: Into<Buffer>>(
    answer: impl Stream<Item = reqwest::Result<B>> + Send + Sync + 'static,
    stall: Duration,
) -> impl Stream<Item = opendal::Result<Buffer>> + Send + Sync + 'static {
    stream::unfold(Some(Box::pin(answer)), move |answer| async move {
        let mut answer = answer?;
        match timeout(stall, answer.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece.into()), Some(answer))),
            Ok(Some(Err(err))) => Some((Err(broken("read http answer", err)), None)),
            Err(_) => Some((Err(stalled(stall)), None)),
        }
    })
}

/// Returns how much longer to wait for an answer, since the system holds what it took and has not sent.
fn unsent(len: usize) -> Duration {
    let held = u32::try_from(len.min(HELD)).unwrap_or(u32::MAX);
    Duration::from_secs(1) * held / SLOWEST
}

/// When something last moved.
#[derive(Debug, Clone)]
struct Progress {
    last: Arc<Mutex<Instant>>,
    stall: Duration,
}

impl Progress {
    fn new(stall: Duration) -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())), stall }
    }

    fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn limit(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) + self.stall
    }

    /// Waits for `work` as long as something moves.
    async fn watch<T>(&self, work: impl Future<Output = T>) -> opendal::Result<T> {
        tokio::pin!(work);
        loop {
            let limit = self.limit();
            tokio::select! {
                done = &mut work => return Ok(done),
                () = sleep_until(limit) => {}
            }
            if self.limit() <= Instant::now() {
                return Err(stalled(self.stall));
            }
        }
    }
}

/// Says that it was waited long enough. The caller may try again; nobody below does, which would multiply the wait.
fn stalled(stall: Duration) -> Error {
    let message = format!("nothing moved for {} seconds", stall.as_secs_f64());
    Error::new(ErrorKind::Unexpected, message).set_persistent()
}

fn broken(what: &'static str, err: reqwest::Error) -> Error {
    // A request that cannot even be built is not mended by trying again, nor is a certificate.
    let is_hopeless = err.is_builder() || err.is_redirect() || is_about_trust(&err);
    Error::new(ErrorKind::Unexpected, what)
        .with_temporary(!is_hopeless)
        .set_source(err.without_url())
}

/// Returns whether the server's certificate is the trouble.
fn is_about_trust(err: &reqwest::Error) -> bool {
    fault::chain(err).contains("certificate")
}
