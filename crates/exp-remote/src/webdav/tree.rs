//! Requests about collections and what is in them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use exp_cache::StorageErrorKind;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::multistatus::{PROPERTIES, Resource, parse};
use crate::given::percent_decoded;
use crate::http::failure::Failure;
use crate::http::web::{Request, Web};

/// Bytes of a listing of one collection; more than a million names.
const MAX_LISTING: usize = 1 << 30;

/// Which collections are known to be there.
#[derive(Debug, Default)]
pub(super) struct Known {
    urls: Mutex<BTreeSet<Url>>,
    /// Held by whoever makes collections: servers do not like it done twice at once.
    making: tokio::sync::Mutex<()>,
}

impl Known {
    fn has(&self, url: &Url) -> bool {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner).contains(url)
    }

    fn add(&self, url: &Url) {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone());
    }

    /// Forgets everything: somebody removed one.
    pub(super) fn forget(&self) {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Returns a method of `WebDAV`.
pub(super) fn method(name: &str) -> Result<Method, Failure> {
    Method::from_bytes(name.as_bytes()).map_err(Failure::other)
}

/// Returns the address of a collection.
pub(super) fn as_dir(url: &Url) -> Url {
    let mut url = url.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().push("");
    }
    url
}

/// Returns an address as that of a file.
pub(super) fn as_file(url: &Url) -> Url {
    let mut url = url.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty();
    }
    url
}

/// Returns the address of the collection that something is in; `None` for the root of a server.
pub(super) fn parent(url: &Url) -> Option<Url> {
    let mut url = url.clone();
    url.path_segments_mut().ok()?.pop_if_empty().pop();
    let is_root = names(url.path()).is_empty();
    (!is_root).then(|| as_dir(&url))
}

/// Returns the names that a path goes along, from its root on.
pub(super) fn names(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect()
}

/// Returns what is at an address, and with `depth` 1 what is in it; `None` where nothing is.
pub(super) async fn look(
    web: &Web,
    url: &Url,
    depth: &'static str,
) -> Result<Option<Vec<Resource>>, Failure> {
    let request = Request::new(method("PROPFIND")?, url.clone())
        .with(HeaderName::from_static("depth"), HeaderValue::from_static(depth))
        .with(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    let answer = web.send(request, Some(PROPERTIES)).await?;
    match answer.status() {
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        StatusCode::MULTI_STATUS => {
            let text = web.text(answer, MAX_LISTING).await?;
            parse(&text).map(Some).map_err(Failure::other)
        }
        // A page instead of a listing: this is something else than WebDAV.
        status if status.is_success() => Err(Failure::new(
            StorageErrorKind::Unsupported,
            format!("the server answers {status} to PROPFIND; it is no WebDAV server there"),
        )),
        status => Err(Failure::of(status)),
    }
}

/// Makes the collection at `url`, and those above it, unless they are there.
pub(super) async fn make(web: &Web, known: &Known, url: &Url) -> Result<(), Failure> {
    if known.has(url) {
        return Ok(());
    }
    let _held = known.making.lock().await;
    let mut missing = Vec::new();
    let mut next = Some(url.clone());
    while let Some(url) = next.take().filter(|url| !known.has(url)) {
        if make_one(web, known, &url).await? {
            break;
        }
        next = parent(&url);
        missing.push(url);
    }
    for url in missing.iter().rev() {
        if !make_one(web, known, url).await? {
            return Err(Failure::other("the server makes no collection there"));
        }
    }
    Ok(())
}

/// Makes a collection; false when those above it are not there.
async fn make_one(web: &Web, known: &Known, url: &Url) -> Result<bool, Failure> {
    let answer = web.send(Request::new(method("MKCOL")?, url.clone()), None).await?;
    match answer.status() {
        status if status.is_success() => {}
        // It is there.
        StatusCode::METHOD_NOT_ALLOWED => {}
        StatusCode::CONFLICT | StatusCode::NOT_FOUND => return Ok(false),
        // Some servers say other things when it is there, and many to who may not make one.
        status => match look(web, url, "0").await {
            Ok(Some(there)) if there.iter().any(|one| one.is_dir) => {}
            _ => return Err(Failure::of(status)),
        },
    }
    known.add(url);
    Ok(true)
}

/// Returns the answer if it says that all was done: 207 tells of what was not.
pub(super) fn done(answer: Response) -> Result<Response, Failure> {
    match answer.status() {
        status if status.is_success() && status != StatusCode::MULTI_STATUS => Ok(answer),
        status => Err(Failure::of(status)),
    }
}
