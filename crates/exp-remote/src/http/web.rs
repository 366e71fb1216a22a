//! Requests by HTTP: who asks, how long to wait, where redirects lead, and bodies in both directions.

use std::io::{SeekFrom, Write};
use std::time::Duration;

use exp_cache::ReadSeek;
use futures_util::stream;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use reqwest::{Body, Client, Method, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::{Origin, Url};

use super::failure::Failure;

/// Bytes that are handed over at once.
const PIECE: usize = 256 << 10;

/// Bytes that are sent again when a connection turns out to have ended.
const MAX_RESENT: u64 = 1 << 20;

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 10;

/// How we show who we are.
pub(crate) enum Auth {
    Nobody,
    Basic { user: String, password: String },
    Bearer(String),
    Header(HeaderName, HeaderValue),
}

/// A client of one server.
pub(crate) struct Web {
    client: Client,
    auth: Auth,
    /// Who may see who we are.
    origin: Origin,
    /// Without any progress for so long, a server counts as gone.
    patience: Duration,
}

/// A request without its body.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new() }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl Web {
    pub(crate) fn new(client: Client, auth: Auth, base: &Url, patience: Duration) -> Self {
        Self { client, auth, origin: base.origin(), patience }
    }

    /// Sends a request with a body that is small, or none, and returns the answer, whatever its status.
    pub(crate) async fn send(
        &self,
        mut request: Request,
        body: Option<&'static str>,
    ) -> Result<Response, Failure> {
        for _ in 0..MAX_REDIRECTS {
            let mut tried = self.send_once(&request, body).await;
            // Servers end idle connections at any time, also while a request is on its way (RFC 9112, section 9.3.1).
            let is_harmless =
                request.method.is_idempotent() || request.method.as_str() == "PROPFIND";
            if is_harmless && tried.as_ref().is_err_and(is_hung_up) {
                tried = self.send_once(&request, body).await;
            }
            let answer = tried?;
            let Some(url) = elsewhere(&answer, &request.url) else { return Ok(answer) };
            request.url = url;
        }
        Err(Failure::other("too many redirects"))
    }

    async fn send_once(
        &self,
        request: &Request,
        body: Option<&'static str>,
    ) -> Result<Response, Failure> {
        let mut ready = self.prepared(request);
        if let Some(body) = body {
            ready = ready.body(body);
        }
        Ok(timeout(self.patience, ready.send()).await.map_err(|_| silent())??)
    }

    /// As [`Web::send`], and a status that is no success is a failure.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, Failure> {
        succeeded(self.send(request, None).await?)
    }

    /// Sends the next `len` bytes of `from`.
    pub(crate) async fn upload(
        &self,
        mut request: Request,
        len: u64,
        from: &mut dyn ReadSeek,
    ) -> Result<Response, Failure> {
        let start = from.stream_position()?;
        for _ in 0..MAX_REDIRECTS {
            from.seek(SeekFrom::Start(start))?;
            let mut sent = self.upload_once(&request, len, from).await;
            // As in `send`; what is long is for the caller to send again.
            let is_harmless = request.method == Method::PUT && len <= MAX_RESENT;
            if is_harmless && sent.as_ref().is_err_and(is_hung_up) {
                from.seek(SeekFrom::Start(start))?;
                sent = self.upload_once(&request, len, from).await;
            }
            let answer = sent?;
            // What is to be seen elsewhere was taken.
            if answer.status() == StatusCode::SEE_OTHER {
                return Ok(answer);
            }
            let Some(url) = elsewhere(&answer, &request.url) else { return succeeded(answer) };
            request.url = url;
        }
        Err(Failure::other("too many redirects"))
    }

    async fn upload_once(
        &self,
        request: &Request,
        len: u64,
        from: &mut dyn ReadSeek,
    ) -> Result<Response, Failure> {
        let (sender, receiver) = mpsc::channel::<std::io::Result<Vec<u8>>>(1);
        let ready = self.prepared(request).header(CONTENT_LENGTH, len);
        let ready = if len == 0 {
            ready.body(Vec::new())
        } else {
            ready.body(Body::wrap_stream(stream::unfold(receiver, async |mut receiver| {
                receiver.recv().await.map(|piece| (piece, receiver))
            })))
        };
        let answer = ready.send();
        tokio::pin!(answer);
        let mut left = len;
        while left > 0 {
            let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
            if let Err(err) = from.read_exact(&mut piece) {
                // The body is cut off by this, so that the server does not take half of it for the whole.
                let _ = sender.try_send(Err(std::io::ErrorKind::UnexpectedEof.into()));
                return Err(err.into());
            }
            left -= piece.len() as u64;
            tokio::select! {
                // The server answers before it has heard all: it refuses.
                early = &mut answer => return refusal(early?),
                sent = timeout(self.patience, sender.send(Ok(piece))) => match sent {
                    Err(_) => return Err(silent()),
                    // Nobody wants more of it; the answer says why.
                    Ok(Err(_)) => {
                        let answer = timeout(self.patience, answer).await;
                        return refusal(answer.map_err(|_| silent())??);
                    }
                    Ok(Ok(())) => {}
                }
            }
        }
        drop(sender);
        // What was handed over is still on its way, and the server may have work with it: a second for each MiB.
        let patience = self.patience + Duration::from_secs(len >> 20);
        Ok(timeout(patience, answer).await.map_err(|_| silent())??)
    }

    /// Writes the body of an answer to `into`, but for its first `skip` bytes. Returns how many were written, `None` when
    /// there were not even those to skip.
    pub(crate) async fn download(
        &self,
        mut answer: Response,
        skip: u64,
        into: &mut dyn Write,
    ) -> Result<Option<u64>, Failure> {
        let (mut left, mut written) = (skip, 0);
        while let Some(piece) =
            timeout(self.patience, answer.chunk()).await.map_err(|_| silent())??
        {
            let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            left -= skipped as u64;
            into.write_all(&piece[skipped..])?;
            written += (piece.len() - skipped) as u64;
        }
        Ok((left == 0).then_some(written))
    }

    /// Returns the whole body of an answer as text, at most `max` bytes of it.
    pub(crate) async fn text(&self, mut answer: Response, max: usize) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        while let Some(piece) =
            timeout(self.patience, answer.chunk()).await.map_err(|_| silent())??
        {
            bytes.extend_from_slice(&piece);
            if bytes.len() > max {
                return Err(Failure::other("the answer is too long"));
            }
        }
        String::from_utf8(bytes).map_err(Failure::other)
    }

    fn prepared(&self, request: &Request) -> reqwest::RequestBuilder {
        let ready = self.client.request(request.method.clone(), request.url.clone());
        // Bytes are wanted as they are stored.
        let ready = ready.headers(request.headers.clone()).header(ACCEPT_ENCODING, "identity");
        if request.url.origin() != self.origin {
            return ready;
        }
        match &self.auth {
            Auth::Nobody => ready,
            Auth::Basic { user, password } => ready.basic_auth(user, Some(password)),
            Auth::Bearer(token) => match HeaderValue::from_str(&format!("Bearer {token}")) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    ready.header(AUTHORIZATION, value)
                }
                Err(_) => ready,
            },
            Auth::Header(name, value) => ready.header(name, value),
        }
    }
}

/// Returns where a redirect leads.
fn elsewhere(answer: &Response, from: &Url) -> Option<Url> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    from.join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Returns the answer to a body that was not wanted wholly. That is no success.
fn refusal(answer: Response) -> Result<Response, Failure> {
    if answer.status().is_success() {
        return Err(Failure::temporary("the server took only a part"));
    }
    Ok(answer)
}

fn succeeded(answer: Response) -> Result<Response, Failure> {
    if answer.status().is_success() { Ok(answer) } else { Err(Failure::of(answer.status())) }
}

/// Returns whether the connection ended before an answer came.
fn is_hung_up(failure: &Failure) -> bool {
    failure.has_cause("before message completed") || failure.has_cause("reset by peer")
}

fn silent() -> Failure {
    Failure::temporary("the server does not answer any more")
}
