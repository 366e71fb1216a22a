//! What went wrong, in our terms: whether to go on, and why it failed, without secrets.

use std::error::Error;

use exp_cache::{StorageError, StorageErrorKind};
use opendal::ErrorKind;

/// The longest reason that is passed on, in characters.
const LONGEST: usize = 400;

/// What a service answered, or why it did not.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct ServiceFault {
    reason: String,
}

/// Makes an error of what the service did.
pub(super) fn failed((action, what): (&'static str, &str), err: &opendal::Error) -> StorageError {
    let source = ServiceFault { reason: reason(err) };
    StorageError { kind: kind(err), action, what: what.to_owned(), source: source.into() }
}

/// Makes an error of a reason of our own.
pub(super) fn because(
    (action, what): (&'static str, &str),
    kind: StorageErrorKind,
    reason: impl Into<Box<dyn Error + Send + Sync>>,
) -> StorageError {
    StorageError { kind, action, what: what.to_owned(), source: reason.into() }
}

/// Returns an error and its causes on one line, none of them twice.
pub(super) fn chain(err: &(dyn Error + 'static)) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

fn kind(err: &opendal::Error) -> StorageErrorKind {
    if is_about_signing(err) {
        return StorageErrorKind::Denied;
    }
    match err.kind() {
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
            return StorageErrorKind::NotFound;
        }
        ErrorKind::PermissionDenied => return StorageErrorKind::Denied,
        ErrorKind::Unsupported => return StorageErrorKind::Unsupported,
        // A condition that is not met is one of ours: what is there was replaced meanwhile.
        ErrorKind::RateLimited | ErrorKind::ConditionNotMatch | ErrorKind::Conflict => {
            return StorageErrorKind::Temporary;
        }
        _ => {}
    }
    let (code, _) = told(err.message());
    match code.as_deref().unwrap_or_default() {
        "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestTimeTooSkewed"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "AccessDenied"
        | "AuthenticationFailed"
        | "InvalidAuthenticationInfo"
        | "NoAuthenticationInformation" => {
            return StorageErrorKind::Denied;
        }
        "RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable" | "ServerBusy"
        | "OperationTimedOut" | "IncompleteBody" | "OperationAborted" => {
            return StorageErrorKind::Temporary;
        }
        _ => {}
    }
    match status(err) {
        Some(401 | 403) => StorageErrorKind::Denied,
        Some(307 | 408 | 429 | 500 | 502..=504) => StorageErrorKind::Temporary,
        _ if err.is_temporary() || err.is_persistent() => StorageErrorKind::Temporary,
        _ => StorageErrorKind::Other,
    }
}

/// Returns whether no credentials were found, or none that can sign.
fn is_about_signing(err: &opendal::Error) -> bool {
    err.message() == "signing http request"
}

/// Returns the status of the answer, which is part of the description only.
fn status(err: &opendal::Error) -> Option<u16> {
    let text = err.to_string();
    let (_, rest) = text.split_once("Parts { status: ")?;
    rest.get(..3)?.parse().ok()
}

fn reason(err: &opendal::Error) -> String {
    let caused = err.source().map(chain);
    let text = if is_about_signing(err) {
        format!("no credentials that work: {}", caused.unwrap_or_default())
    } else {
        match (told(err.message()), caused) {
            ((Some(code), Some(said)), _) if !said.is_empty() => format!("{code}: {said}"),
            ((Some(code), _), _) => code,
            ((None, Some(said)), _) => said,
            ((None, None), Some(caused)) => caused,
            ((None, None), None) if !err.message().is_empty() => err.message().to_owned(),
            ((None, None), None) => status(err)
                .map_or_else(|| err.kind().to_string(), |status| format!("HTTP {status}")),
        }
    };
    tidy(&text)
}

/// Finds the code and the message in the description of a service's answer.
fn told(text: &str) -> (Option<String>, Option<String>) {
    let field = |name: &str| {
        let (_, rest) = text.split_once(&format!("{name}: \""))?;
        let value = rest.split_once("\", ").or_else(|| rest.split_once('"'))?.0;
        (!value.is_empty()).then(|| value.to_owned())
    };
    (field("code"), field("message"))
}

/// Shortens a reason to one line without what comes behind `?` in addresses, where signatures are.
fn tidy(text: &str) -> String {
    let line = text.split("\\n").next().unwrap_or_default().lines().next().unwrap_or_default();
    let words: Vec<&str> = line
        .split(' ')
        .map(|word| match word.split_once('?') {
            Some((address, query)) if query.contains('=') => address,
            _ => word,
        })
        .collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expect: (StorageErrorKind, &str)) {
        let err = opendal::Error::new(ErrorKind::Unexpected, message);
        let err = failed(("read", "s3://b/k"), &err);
        assert_eq!((err.kind, err.source.to_string().as_str()), expect);
    }

    #[test]
    fn a_services_answer_becomes_a_kind_and_a_reason() {
        check(
            r#"S3Error { code: "ExpiredToken", message: "The provided token has expired.", resource: "" }"#,
            (StorageErrorKind::Denied, "ExpiredToken: The provided token has expired."),
        );
        check(
            r#"S3Error { code: "SlowDown", message: "", resource: "" }"#,
            (StorageErrorKind::Temporary, "SlowDown"),
        );
        check("the moon is full", (StorageErrorKind::Other, "the moon is full"));
    }

    #[test]
    fn signatures_are_not_passed_on() {
        check(
            "error sending request for https://a.example/c/k?sv=1&sig=secret to there",
            (StorageErrorKind::Other, "error sending request for https://a.example/c/k to there"),
        );
    }
}
