//! Digests: what a piece of content is named by.
//!
//! DVC calls the hexadecimal text with an optional `.dir` suffix an *oid*; here that is [`ObjectId`], and
//! the digest inside it carries its own algorithm.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// A hash algorithm that content is addressed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// MD5 of the bytes, as DVC 3 uses it.
    Md5,
    /// SHA-256 of the bytes: the default of projects made by `exp init`.
    Sha256,
    /// MD5 after `\r\n` became `\n` in text, as DVC 2 used it. Read, never written.
    Md5Dos2Unix,
}

impl Algorithm {
    /// Returns the name as DVC's files spell it: `md5`, `sha256` or `md5-dos2unix`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
            Self::Md5Dos2Unix => "md5-dos2unix",
        }
    }

    /// Returns the key that carries the hexadecimal text in a lock entry: `md5` or `sha256`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Md5 | Self::Md5Dos2Unix => "md5",
            Self::Sha256 => "sha256",
        }
    }

    /// Returns the length of a digest in bytes.
    pub fn len(self) -> usize {
        match self {
            Self::Md5 | Self::Md5Dos2Unix => 16,
            Self::Sha256 => 32,
        }
    }

    /// Returns false: no algorithm has empty digests.
    pub fn is_empty(self) -> bool {
        false
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "md5" => Ok(Self::Md5),
            "sha256" => Ok(Self::Sha256),
            "md5-dos2unix" => Ok(Self::Md5Dos2Unix),
            _ => Err(DigestError { text: text.to_owned() }),
        }
    }
}

/// A text that is no digest or names no algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest")]
pub struct DigestError {
    /// The text as it was given.
    pub text: String,
}

/// The digest of a sequence of bytes, with its algorithm.
///
/// Ordered by algorithm, then by bytes. Two digests of different algorithms are never equal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: [u8; 32],
}

impl Digest {
    /// Digests `bytes` in one call.
    ///
    /// `Md5Dos2Unix` digests the bytes as they are: converting line ends is the business of who reads them.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Parses hexadecimal text of either case.
    ///
    /// # Errors
    ///
    /// When the length is not that of the algorithm or a character is not hexadecimal.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        let error = || DigestError { text: hex.to_owned() };
        let text = hex.as_bytes();
        if text.len() != algorithm.len() * 2 {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or_else(error)?;
            let low = char::from(pair[1]).to_digit(16).ok_or_else(error)?;
            *byte = u8::try_from(high * 16 + low).map_err(|_| error())?;
        }
        Ok(Self { algorithm, bytes })
    }

    /// Takes the bytes of a digest as they are; `None` when they are not as many as the algorithm has.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let mut whole = [0; 32];
        if bytes.len() != algorithm.len() {
            return None;
        }
        whole[..bytes.len()].copy_from_slice(bytes);
        Some(Self { algorithm, bytes: whole })
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the bytes, as many as the algorithm has.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.len()]
    }

    /// Returns lower-case hexadecimal text without the algorithm.
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(self.algorithm.len() * 2);
        for byte in self.as_bytes() {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_hex())
    }
}

/// Digests bytes that come in pieces.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

#[derive(Clone)]
enum State {
    Md5(md5::Md5),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// Starts a digest of no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Md5 | Algorithm::Md5Dos2Unix => State::Md5(md5::Md5::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
        };
        Self { algorithm, state }
    }

    /// Adds bytes at the end.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Md5(hasher) => hasher.update(bytes),
            State::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of everything added.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        match self.state {
            State::Md5(hasher) => bytes[..16].copy_from_slice(&hasher.finalize()),
            State::Sha256(hasher) => bytes.copy_from_slice(&hasher.finalize()),
        }
        Digest { algorithm: self.algorithm, bytes }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Whether an object is the bytes of a file or the manifest of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// The bytes of one file.
    File,
    /// A `.dir` manifest: the list of files below a directory.
    Tree,
}

/// The name of an object in the store: a digest and what it is the digest of.
///
/// Displayed as DVC writes it: hexadecimal text, with `.dir` behind it for a directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The digest of the object's bytes.
    pub digest: Digest,
    /// Whether these bytes are a file's or a manifest's.
    pub kind: ObjectKind,
}

impl ObjectId {
    /// Returns the id of a file's bytes.
    pub fn file(digest: Digest) -> Self {
        Self { digest, kind: ObjectKind::File }
    }

    /// Returns the id of a directory's manifest.
    pub fn tree(digest: Digest) -> Self {
        Self { digest, kind: ObjectKind::Tree }
    }

    /// Parses hexadecimal text with an optional `.dir`.
    ///
    /// # Errors
    ///
    /// When the text before `.dir` is not a digest of `algorithm`.
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<Self, DigestError> {
        let (hex, kind) = match text.strip_suffix(".dir") {
            Some(hex) => (hex, ObjectKind::Tree),
            None => (text, ObjectKind::File),
        };
        Ok(Self { digest: Digest::from_hex(algorithm, hex)?, kind })
    }

    /// Returns whether this is the manifest of a directory.
    pub fn is_tree(&self) -> bool {
        self.kind == ObjectKind::Tree
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.fmt(f)?;
        if self.is_tree() { f.write_str(".dir") } else { Ok(()) }
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.digest.algorithm)
    }
}

/// A file or directory by content: what a lock file records of a dependency or an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Artifact {
    /// What the content is stored under.
    pub id: ObjectId,
    /// Size in bytes; of a directory, the sum over its files. `None` where a record left it out.
    pub size: Option<u64>,
    /// Number of files of a directory; `None` for a file.
    pub n_files: Option<u64>,
    /// Whether the file may be executed. Always false for a directory.
    pub is_exec: bool,
}

impl Artifact {
    /// Returns whether both have the same content; sizes and executable bits are not looked at.
    pub fn same_content(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_agree_with_md5sum_and_sha256sum() {
        assert_eq!(Digest::of(Algorithm::Md5, b"").to_hex(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(
            Digest::of(Algorithm::Sha256, b"abc").to_hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_object_id_reads_what_it_writes_and_refuses_the_rest() {
        let text = "d751713988987e9331980363e24189ce.dir";
        let id = ObjectId::parse(Algorithm::Md5, text).unwrap();
        assert!(id.is_tree());
        assert_eq!(id.to_string(), text);
        for bad in [
            "",
            ".dir",
            "d751",
            "../../../../etc/passwd..........",
            "zz51713988987e9331980363e24189ce",
        ] {
            assert!(ObjectId::parse(Algorithm::Md5, bad).is_err(), "{bad}");
        }
    }
}
