//! The options of an address: each is taken by name, and what is left over is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use exp_cache::{AddressError, StorageAddress};

use super::transport::{Trust, Wire};
use crate::Surroundings;

/// Options that mean something to others: the transfer, the configuration.
const COMMON: [&str; 6] = ["url", "jobs", "checksum_jobs", "verify", "worktree", "no_traverse"];

/// What is left of the options of one address. Empty values count as not given.
#[derive(Debug)]
pub(super) struct Options<'a> {
    left: BTreeMap<&'a str, &'a str>,
    around: &'a Surroundings,
}

impl<'a> Options<'a> {
    pub(super) fn new(address: &'a StorageAddress, around: &'a Surroundings) -> Self {
        let given = address.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let left =
            given.filter(|(name, value)| !COMMON.contains(name) && !value.is_empty()).collect();
        Self { left, around }
    }

    /// Takes an option.
    pub(super) fn text(&mut self, name: &str) -> Option<&'a str> {
        self.left.remove(name)
    }

    /// Takes an option that is `true` or `false`; not given is `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, AddressError> {
        Ok(self.switch(name)?.unwrap_or(false))
    }

    /// Takes an option that is `true` or `false`.
    pub(super) fn switch(&mut self, name: &str) -> Result<Option<bool>, AddressError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match truth(value) {
            Some(truth) => Ok(Some(truth)),
            None => Err(wrong(name, "is `true` or `false`")),
        }
    }

    /// Takes an option in seconds, which may have a fraction.
    pub(super) fn seconds(&mut self, name: &str) -> Result<Option<Duration>, AddressError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let seconds = value.trim().parse().ok().filter(|seconds| *seconds > 0.0);
        match seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok()) {
            Some(duration) => Ok(Some(duration)),
            None => Err(wrong(name, "is a number of seconds above 0")),
        }
    }

    /// Takes the path of a file, which must be there. `~` is the home directory.
    pub(super) fn file(&mut self, name: &str) -> Result<Option<PathBuf>, AddressError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let path = expand(value, self.around);
        if path.is_file() {
            return Ok(Some(path));
        }
        Err(wrong(name, &format!("there is no file `{}`", path.display())))
    }

    /// Takes an option that cannot be had.
    ///
    /// # Errors
    ///
    /// When it is given and not `false`.
    pub(super) fn refuse(&mut self, name: &str, reason: &str) -> Result<(), AddressError> {
        match self.text(name) {
            Some(value) if truth(value) != Some(false) => Err(wrong(name, reason)),
            _ => Ok(()),
        }
    }

    /// Takes options that make no difference here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Takes how servers are reached: times by these names, and `ssl_verify`.
    pub(super) fn wire(&mut self, connect: &str, stall: &str) -> Result<Wire, AddressError> {
        let mut wire = Wire::default();
        if let Some(time) = self.seconds(connect)? {
            wire.connect = time;
        }
        if let Some(time) = self.seconds(stall)? {
            wire.stall = time;
        }
        wire.trust = match self.text("ssl_verify") {
            None => Trust::System,
            Some(value) => match truth(value) {
                Some(true) => Trust::System,
                Some(false) => Trust::Everybody,
                None => Trust::File(expand(value, self.around)),
            },
        };
        Ok(wire)
    }

    /// Ends the taking.
    ///
    /// # Errors
    ///
    /// When something is left: options that this kind of storage does not know.
    pub(super) fn finish(self) -> Result<(), AddressError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(wrong(name, "is not an option of this kind of storage")),
        }
    }
}

/// Says what is wrong with an option.
pub(super) fn wrong(name: &str, reason: &str) -> AddressError {
    AddressError::Option { name: name.to_owned(), reason: reason.to_owned() }
}

fn truth(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Returns the path that is meant by `text`; `~` is the home directory.
pub(super) fn expand(text: &str, around: &Surroundings) -> PathBuf {
    match (text.strip_prefix("~/"), &around.home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

/// Splits `scheme://bucket/prefix` into bucket and prefix; the prefix has no slashes at its ends.
///
/// # Errors
///
/// When there is no bucket.
pub(super) fn place(address: &StorageAddress) -> Result<(String, String), AddressError> {
    let (scheme, rest) = address.url.split_once("://").unwrap_or_default();
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(AddressError::Url {
            shown: format!("{scheme}://"),
            reason: "it names no bucket".to_owned(),
        });
    }
    Ok((bucket.to_owned(), prefix.trim_matches('/').to_owned()))
}
