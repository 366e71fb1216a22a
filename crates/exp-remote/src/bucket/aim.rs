//! Requests that the library below does not make: for an old version on Google Cloud Storage and on Azure, and for what
//! a bucket is set to.
//!
//! The library makes and signs a request for the newest version, and the transport sends it elsewhere. A token and a
//! shared access signature say nothing about that; what an account's key signed is signed anew.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use opendal::raw::Operation;
use opendal::{Error, ErrorKind};
use reqsign_azure_storage::{Credential, RequestSigner};
use reqsign_core::{Context, SignRequest as _};

/// Where old versions are, when somebody wants them.
#[derive(Debug, Clone)]
pub(super) enum Versions {
    /// Nobody wants them, or there are none.
    Off,
    /// The library knows how to ask for them, and its listings name them.
    OfLibrary,
    /// Generations of Google's.
    Generations,
    /// Versions of Azure's blobs. The key of the account, where requests are signed with one.
    OfBlobs(Option<SharedKey>),
}

/// What signs the requests for an account of Azure.
#[derive(Clone)]
pub(super) struct SharedKey(Arc<Credential>);

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey")
    }
}

impl SharedKey {
    pub(super) fn new(account: &str, key: &str) -> Self {
        Self(Arc::new(Credential::with_shared_key(account, key)))
    }
}

/// Where a request goes instead of to the newest version.
#[derive(Debug, Clone)]
pub(super) enum Aim {
    /// To a version, by a parameter. What signs that anew, where something has to.
    Version { parameter: String, key: Option<SharedKey> },
    /// To what the bucket of the object is set to.
    Settings,
}

impl Versions {
    /// Returns whether somebody wants them.
    pub(super) fn are_wanted(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Returns how a version is asked for that the library cannot ask for; `None` for what is no name of a version here,
    /// and would be refused.
    pub(super) fn aim(&self, id: &str) -> Option<Aim> {
        let is_of = |more: &str| id.chars().all(|c| c.is_ascii_digit() || more.contains(c));
        match self {
            Self::Off | Self::OfLibrary => None,
            Self::Generations => (!id.is_empty() && is_of(""))
                .then(|| Aim::Version { parameter: format!("generation={id}"), key: None }),
            Self::OfBlobs(key) => (id.contains('T') && is_of("-:.TZ"))
                .then(|| Aim::Version { parameter: format!("versionid={id}"), key: key.clone() }),
        }
    }
}

impl Aim {
    /// Sends a request there, if it is one about an object: those by which the library finds out who we are pass here too.
    pub(super) async fn direct(&self, request: &mut Parts) -> opendal::Result<()> {
        if !matches!(request.extensions.get(), Some(Operation::Read | Operation::Stat)) {
            return Ok(());
        }
        let whole = request.uri.to_string();
        let uri = match self {
            Self::Version { parameter, .. } => {
                let joint = if request.uri.query().is_some() { '&' } else { '?' };
                format!("{whole}{joint}{parameter}")
            }
            Self::Settings => {
                let bucket = whole.rsplit_once("/o/").map_or(&*whole, |(bucket, _)| bucket);
                format!("{bucket}?fields=versioning")
            }
        };
        request.uri = uri.parse().map_err(|err| {
            Error::new(ErrorKind::Unexpected, "the address makes no sense").set_source(err)
        })?;
        let Self::Version { key: Some(SharedKey(key)), .. } = self else { return Ok(()) };
        request.headers.remove(AUTHORIZATION);
        request.headers.remove("x-ms-date");
        let (signer, context) = (RequestSigner::new(), Context::new());
        let done = signer.sign_request(&context, request, Some(key), None).await;
        // The words of the library, by which a failure to sign is known.
        done.map_err(|err| {
            Error::new(ErrorKind::Unexpected, "signing http request").set_source(err)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parameter(versions: &Versions, id: &str) -> Option<String> {
        versions.aim(id).map(|aim| match aim {
            Aim::Version { parameter, .. } => parameter,
            Aim::Settings => "settings".to_owned(),
        })
    }

    #[test]
    fn what_is_no_version_is_not_asked_for() {
        let blobs = Versions::OfBlobs(None);
        assert_eq!(
            parameter(&Versions::Generations, "1735689600000001").as_deref(),
            Some("generation=1735689600000001")
        );
        assert_eq!(
            parameter(&blobs, "2026-01-01T00:00:00.0000000Z").as_deref(),
            Some("versionid=2026-01-01T00:00:00.0000000Z")
        );
        for id in ["", "none of ours", "1&acl=public", "3HL4kqtJvjVBH40Nrjfkd"] {
            assert_eq!(parameter(&Versions::Generations, id), None, "{id}");
            assert_eq!(parameter(&blobs, id), None, "{id}");
        }
        assert_eq!(parameter(&Versions::Generations, "2026-01-01T00:00:00.0000000Z"), None);
        assert_eq!(parameter(&Versions::OfLibrary, "1"), None);
    }
}
