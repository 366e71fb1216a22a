//! Digesting files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use exp_core::{Algorithm, Ctx, Digest, Hasher};

use crate::error::{CacheError, io_error};

/// DVC's size of a piece. For `md5-dos2unix` it is part of the definition: each piece is text or not by itself.
const PIECE: usize = 1 << 20;

/// How much of a piece decides whether it is text.
const PROBE: usize = 512;

/// Digests as `algorithm` defines it, line ends included.
pub(crate) struct ContentHasher {
    hasher: Hasher,
    algorithm: Algorithm,
}

impl ContentHasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self { hasher: Hasher::new(algorithm), algorithm }
    }

    /// Adds a piece; all but the last one have [`PIECE`] bytes.
    fn update(&mut self, piece: &[u8]) {
        if self.algorithm != Algorithm::Md5Dos2Unix || !is_text(&piece[..piece.len().min(PROBE)]) {
            return self.hasher.update(piece);
        }
        let mut rest = piece;
        while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
            self.hasher.update(&rest[..at]);
            self.hasher.update(b"\n");
            rest = &rest[at + 2..];
        }
        self.hasher.update(rest);
    }

    fn finish(self) -> Digest {
        self.hasher.finish()
    }
}

/// DVC's test: no NUL, and at most 30 % outside printable ASCII and its white space.
fn is_text(probe: &[u8]) -> bool {
    let is_other =
        |byte: &&u8| !matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t' | b'\x0c' | b'\x08');
    !probe.contains(&0) && probe.iter().filter(is_other).count() * 10 <= probe.len() * 3
}

/// Digests what `from` yields, handing each piece to `into`.
///
/// The pieces are as large as the content allows; `advance` hears of each.
fn pump(
    ctx: &Ctx<'_>,
    algorithm: Algorithm,
    from: &mut dyn Read,
    expected: u64,
    mut into: impl FnMut(&[u8]) -> Result<(), CacheError>,
    failed: impl Fn(io::Error) -> CacheError,
) -> Result<(Digest, u64), CacheError> {
    let mut hasher = ContentHasher::new(algorithm);
    // One byte more than expected, so that the end of a small file shows in one read.
    let expected = usize::try_from(expected).unwrap_or(PIECE);
    let mut piece = vec![0; expected.saturating_add(1).min(PIECE)];
    let mut total = 0;
    loop {
        ctx.check()?;
        let mut len = 0;
        loop {
            match from.read(&mut piece[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(failed(err)),
            }
            if len == piece.len() {
                if len == PIECE {
                    break;
                }
                // The file is larger than it was said to be.
                piece.resize(PIECE, 0);
            }
        }
        if len > 0 {
            hasher.update(&piece[..len]);
            into(&piece[..len])?;
            total += len as u64;
        }
        if len < piece.len() {
            return Ok((hasher.finish(), total));
        }
    }
}

/// Digests an open file of about `expected` bytes, handing each piece to `into`; `path` is for errors.
pub(crate) fn digest_open(
    ctx: &Ctx<'_>,
    algorithm: Algorithm,
    (file, path, expected): (&mut File, &Path, u64),
    into: impl FnMut(&[u8]) -> Result<(), CacheError>,
) -> Result<(Digest, u64), CacheError> {
    pump(ctx, algorithm, file, expected, into, |err| io_error("read", path)(err))
}

/// Digests the whole content of a file, at most one piece.
pub(crate) fn digest_bytes(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = ContentHasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// Digests the file at `path`, following links.
pub(crate) fn digest_file(
    ctx: &Ctx<'_>,
    algorithm: Algorithm,
    path: &Path,
) -> Result<Digest, CacheError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let expected = file.metadata().map_err(io_error("look at", path))?.len();
    Ok(digest_open(ctx, algorithm, (&mut file, path, expected), |_| Ok(()))?.0)
}

/// Digests bytes that come in any portions, in pieces as `md5-dos2unix` wants them.
pub(crate) struct RunningDigest {
    hasher: ContentHasher,
    /// The beginning of a piece; empty for algorithms that have none.
    piece: Vec<u8>,
    total: u64,
}

impl RunningDigest {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self { hasher: ContentHasher::new(algorithm), piece: Vec::new(), total: 0 }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if self.hasher.algorithm != Algorithm::Md5Dos2Unix {
            return self.hasher.update(bytes);
        }
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(taken);
            if self.piece.len() == PIECE {
                self.hasher.update(&self.piece);
                self.piece.clear();
            }
            bytes = rest;
        }
    }

    /// Returns how many bytes it got.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn finish(mut self) -> Digest {
        self.hasher.update(&self.piece);
        self.hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dos2unix(bytes: &[u8]) -> String {
        let mut digest = RunningDigest::new(Algorithm::Md5Dos2Unix);
        for portion in bytes.chunks(1000) {
            digest.update(portion);
        }
        digest.finish().to_hex()
    }

    #[test]
    fn legacy_digests_fold_line_ends_in_text_only() {
        assert_eq!(dos2unix(b"a\r\nb\r\n"), Digest::of(Algorithm::Md5, b"a\nb\n").to_hex());
        assert_eq!(dos2unix(b"a\r\n\0"), Digest::of(Algorithm::Md5, b"a\r\n\0").to_hex());
        assert_eq!(dos2unix(b"a\rb"), Digest::of(Algorithm::Md5, b"a\rb").to_hex());
        assert_eq!(dos2unix(b""), Digest::of(Algorithm::Md5, b"").to_hex());
        let binary = b"\xff\xfe\xfd\r\n";
        assert_eq!(dos2unix(binary), Digest::of(Algorithm::Md5, binary).to_hex());
    }

    #[test]
    fn a_pair_across_two_pieces_is_not_folded() {
        let mut bytes = vec![b'x'; PIECE - 1];
        bytes.extend_from_slice(b"\r\ny");
        assert_eq!(dos2unix(&bytes), Digest::of(Algorithm::Md5, &bytes).to_hex());
    }
}
