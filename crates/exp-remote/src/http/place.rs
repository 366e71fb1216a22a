//! Addresses of what is below an address, and what answers say about it.

use exp_cache::StorageStat;
use exp_core::RelPath;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
};
use url::Url;

/// Returns the address of `key` below `base`; the query of an address is kept.
pub(crate) fn below(base: &Url, key: &RelPath) -> Url {
    let mut url = base.clone();
    if !key.is_root()
        && let Ok(mut parts) = url.path_segments_mut()
    {
        parts.pop_if_empty().extend(key.parts());
    }
    url
}

/// Returns an address for people: without secrets, which may be in its query too.
pub(crate) fn shown(url: &Url, scheme: &str) -> String {
    let mut url = url.clone();
    // These fail on addresses that have no host, which are none of ours.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    let text = url.as_str();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let path = crate::given::percent_decoded(rest);
    format!("{scheme}://{}", path.trim_end_matches('/'))
}

/// Returns what the headers of an answer say.
pub(crate) fn stat_of(headers: &HeaderMap) -> StorageStat {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    // What is compressed on the way has another length.
    let is_encoded = text(CONTENT_ENCODING).is_some_and(|text| text != "identity");
    StorageStat {
        size: text(CONTENT_LENGTH).filter(|_| !is_encoded).and_then(|text| text.parse().ok()),
        etag: text(ETAG).map(unquoted),
        version: None,
        checksum: text(HeaderName::from_static("content-md5")).map(str::to_owned),
        modified: text(LAST_MODIFIED).and_then(seconds),
    }
}

/// Returns a mark without its quotation marks; a weak one stays recognizable.
pub(crate) fn unquoted(etag: &str) -> String {
    match etag.strip_prefix("W/") {
        Some(weak) => format!("W/{}", weak.trim_matches('"')),
        None => etag.trim_matches('"').to_owned(),
    }
}

/// Reads a date as HTTP writes it (RFC 9110, section 5.6.7), in seconds since the epoch.
pub(crate) fn seconds(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = date.split_once(", ")?;
    let mut words = date.split_ascii_whitespace();
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok().filter(|year| (1..=9999).contains(year))?;
    let mut clock = words.next()?.splitn(3, ':').map(|number| number.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Days since the epoch in a year that begins in March, so that the leap day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn names_are_quoted_once_and_queries_kept() -> Result<(), Box<dyn std::error::Error>> {
        let base = Url::parse("http://u:p@h:1/a%20b/?sig=secret")?;
        let key = RelPath::new("50%/ü?#")?;
        let url = below(&base, &key);
        assert_eq!(url.as_str(), "http://u:p@h:1/a%20b/50%25/%C3%BC%3F%23?sig=secret");
        assert_eq!(below(&base, &RelPath::root()), base);
        assert_eq!(shown(&base, "webdav"), "webdav://h:1/a b");
        Ok(())
    }
}
