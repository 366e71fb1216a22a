//! The options that an address was given with.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exp_cache::AddressError;

/// Options that mean the same for every remote; whoever uses the storage heeds them. A connection has nothing to do
/// with them. `type` spoke about links from remote caches, which are gone from DVC as well.
const OF_EVERY_REMOTE: [&str; 8] =
    ["url", "jobs", "checksum_jobs", "verify", "worktree", "version_aware", "no_traverse", "type"];

/// The options of an address. What nobody asked for is refused by [`Given::finish`], not ignored.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    options: &'a BTreeMap<String, String>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Given<'a> {
    pub(crate) fn new(options: &'a BTreeMap<String, String>) -> Self {
        Self { options, asked: RefCell::default() }
    }

    /// Returns the text of an option; an empty one is none.
    pub(crate) fn text(&self, name: &'static str) -> Option<&'a str> {
        self.asked.borrow_mut().insert(name);
        self.options.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Returns an option that is true or false, as DVC reads them.
    pub(crate) fn flag(&self, name: &'static str) -> Result<Option<bool>, AddressError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(refused(name, "is either `true` or `false`")),
        }
    }

    /// Returns an option that is a whole number.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, AddressError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| refused(name, "is no whole number"))
    }

    /// Returns an option that is a time in seconds, which may have a fraction.
    pub(crate) fn seconds(&self, name: &'static str) -> Result<Option<Duration>, AddressError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let seconds = text.trim().parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
        match seconds {
            Some(time) if !time.is_zero() => Ok(Some(time)),
            _ => Err(refused(name, "is no time in seconds")),
        }
    }

    /// Refuses an option, wherever it is set, for a reason.
    pub(crate) fn refuse(&self, name: &'static str, reason: &str) -> Result<(), AddressError> {
        self.text(name).map_or(Ok(()), |_| Err(refused(name, reason)))
    }

    /// Refuses a flag that is set to true; false asks for nothing.
    pub(crate) fn refuse_true(&self, name: &'static str, reason: &str) -> Result<(), AddressError> {
        if self.flag(name)? == Some(true) { Err(refused(name, reason)) } else { Ok(()) }
    }

    /// Refuses whatever was not asked for.
    pub(crate) fn finish(self, scheme: &str) -> Result<(), AddressError> {
        let asked = self.asked.into_inner();
        let left = self.options.keys().map(String::as_str);
        match left.into_iter().find(|name| !asked.contains(name) && !OF_EVERY_REMOTE.contains(name))
        {
            None => Ok(()),
            Some(name) => Err(refused(name, &format!("means nothing to `{scheme}://`"))),
        }
    }
}

/// Returns the refusal of an option.
pub(crate) fn refused(name: &str, reason: &str) -> AddressError {
    AddressError::Option { name: name.to_owned(), reason: reason.to_owned() }
}

/// Returns text with its `%XX` resolved; what is no UTF-8 then stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_is_refused_by_name() {
        let options = BTreeMap::from([
            ("jobs".to_owned(), "4".to_owned()),
            ("colour".to_owned(), "blue".to_owned()),
        ]);
        let given = Given::new(&options);
        let err = given.finish("ssh").unwrap_err().to_string();
        assert_eq!(err, "option `colour`: means nothing to `ssh://`");
    }

    #[test]
    fn percent_signs_are_resolved_where_they_encode() {
        assert_eq!(percent_decoded("a%20b%C3%A9%zz%"), "a bé%zz%");
    }
}
