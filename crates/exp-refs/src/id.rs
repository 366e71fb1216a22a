//! Names of Git objects.

use std::fmt;
use std::str::FromStr;

/// The bytes of an object name: 20 in a SHA-1 repository, 32 in a SHA-256 one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RawId {
    len: u8,
    bytes: [u8; 32],
}

/// A text or byte string that is no object name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an object name")]
pub struct IdError {
    /// What was given; bytes are shown in hexadecimal.
    pub text: String,
}

impl RawId {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, IdError> {
        if !matches!(bytes.len(), 20 | 32) {
            return Err(IdError { text: hex(bytes) });
        }
        let mut all = [0; 32];
        all[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { len: if bytes.len() == 20 { 20 } else { 32 }, bytes: all })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn parse(text: &str) -> Result<Self, IdError> {
        let error = || IdError { text: text.to_owned() };
        if !matches!(text.len(), 40 | 64) {
            return Err(error());
        }
        let mut bytes = Vec::with_capacity(32);
        for pair in text.as_bytes().chunks_exact(2) {
            let high = digit(pair[0]).ok_or_else(error)?;
            let low = digit(pair[1]).ok_or_else(error)?;
            bytes.push(high << 4 | low);
        }
        Self::new(&bytes)
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

macro_rules! object_id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("Names a ", $what, ". Written and parsed as 40 or 64 hexadecimal digits.")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) RawId);

        impl $name {
            /// Makes a name of 20 or 32 bytes, without asking whether such an object exists.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
                RawId::new(bytes).map(Self)
            }

            /// Returns the 20 or 32 bytes.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// Returns the first `digits` hexadecimal digits, all when there are fewer.
            pub fn short(&self, digits: usize) -> String {
                let mut text = self.to_string();
                text.truncate(digits);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(self.as_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                RawId::parse(text).map(Self)
            }
        }
    };
}

object_id!(CommitId, "commit");
object_id!(TreeId, "tree, which is a directory");
object_id!(BlobId, "blob, which is a file's bytes");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_in_both_lengths() {
        for text in ["15b7e4cf6862b90452907ad5234d592b88a413a8".to_owned(), "0f".repeat(32)] {
            let id: CommitId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(CommitId::from_bytes(id.as_bytes()).unwrap(), id);
            assert_eq!(id.short(7), text[..7]);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "15b7e4c", &"g".repeat(40), &"ä".repeat(20), &"0".repeat(41)] {
            assert!(text.parse::<CommitId>().is_err(), "{text}");
        }
        assert!(TreeId::from_bytes(&[0; 19]).is_err());
    }
}
