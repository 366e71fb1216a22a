//! Digesting files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use exp_core::{Algorithm, Ctx, Digest, Hasher};

use crate::error::{CacheError, io_error};

/// DVC's size of a piece. For `md5-dos2unix` it is part of the definition: each piece is text or not by itself.
const PIECE: usize = 1 << 20;

/// Files from this size on are read by one thread and digested by another.
const AHEAD_FROM: u64 = 16 << 20;

/// Pieces that are read and not digested yet.
const N_AHEAD: usize = 4;

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

/// Fills `piece` from where `from` is; returns how many bytes there were, fewer only at the end.
fn fill(from: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < piece.len() {
        match from.read(&mut piece[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(len)
}

/// Hands the content of `file` on in pieces of [`PIECE`] bytes, the last one shorter and perhaps empty.
fn in_turn(
    file: &mut File,
    expected: u64,
    failed: impl Fn(io::Error) -> CacheError,
    mut into: impl FnMut(&[u8]) -> Result<(), CacheError>,
) -> Result<(), CacheError> {
    // One byte more than expected, so that the end of a small file shows in one read.
    let expected = usize::try_from(expected).unwrap_or(PIECE);
    let mut piece = vec![0; expected.saturating_add(1).min(PIECE)];
    loop {
        let mut len = fill(file, &mut piece).map_err(&failed)?;
        if len == piece.len() && len < PIECE {
            // The file is larger than it was said to be.
            piece.resize(PIECE, 0);
            len += fill(file, &mut piece[len..]).map_err(&failed)?;
        }
        into(&piece[..len])?;
        if len < PIECE {
            return Ok(());
        }
    }
}

/// As [`in_turn`], but the next pieces are read by a second thread meanwhile.
fn ahead(
    file: &mut File,
    failed: impl Fn(io::Error) -> CacheError,
    mut into: impl FnMut(&[u8]) -> Result<(), CacheError>,
) -> Result<(), CacheError> {
    let (pieces, to_use) = mpsc::sync_channel::<io::Result<Vec<u8>>>(N_AHEAD);
    let (used, free) = mpsc::channel::<Vec<u8>>();
    for _ in 0..N_AHEAD {
        let _ = used.send(vec![0; PIECE]);
    }
    thread::scope(|scope| {
        // Gone when this side gives up, so that the other one waits for no piece that never comes back.
        let used = used;
        scope.spawn(move || {
            // Nobody listens any more when the other side has given up.
            for mut piece in free {
                let read = fill(file, &mut piece);
                let is_last = !read.as_ref().is_ok_and(|len| *len == PIECE);
                let piece = read.map(|len| {
                    piece.truncate(len);
                    piece
                });
                if pieces.send(piece).is_err() || is_last {
                    return;
                }
            }
        });
        for piece in to_use {
            let piece = piece.map_err(&failed)?;
            into(&piece)?;
            let _ = used.send(piece);
        }
        Ok(())
    })
}

/// Digests an open file of about `expected` bytes, handing each piece to `into`, the last of which may be empty; `path`
/// is for errors.
pub(crate) fn digest_open(
    ctx: &Ctx<'_>,
    algorithm: Algorithm,
    (file, path, expected): (&mut File, &Path, u64),
    mut into: impl FnMut(&[u8]) -> Result<(), CacheError>,
) -> Result<(Digest, u64), CacheError> {
    let mut hasher = ContentHasher::new(algorithm);
    let mut total = 0;
    let failed = |err| io_error("read", path)(err);
    let take = |piece: &[u8]| {
        ctx.check()?;
        hasher.update(piece);
        total += piece.len() as u64;
        into(piece)
    };
    if expected < AHEAD_FROM {
        in_turn(file, expected, failed, take)?;
    } else {
        ahead(file, failed, take)?;
    }
    Ok((hasher.finish(), total))
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
    fn a_large_file_is_digested_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let bytes: Vec<u8> =
            (0..AHEAD_FROM + 12_345).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let ctx = Ctx::silent();
        for expected in [0, 100, bytes.len() as u64] {
            let mut file = File::open(&path).unwrap();
            let (mut again, source) = (Vec::new(), (&mut file, path.as_path(), expected));
            let (digest, total) = digest_open(&ctx, Algorithm::Sha256, source, |piece| {
                again.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
            assert_eq!(digest, Digest::of(Algorithm::Sha256, &bytes), "{expected}");
            assert_eq!(total, bytes.len() as u64);
            assert!(again == bytes, "the pieces are the file");
        }
        let mut file = File::open(&path).unwrap();
        let stopped =
            digest_open(&ctx, Algorithm::Sha256, (&mut file, &path, bytes.len() as u64), |_| {
                Err(CacheError::Absent { path: path.clone() })
            });
        assert!(matches!(stopped, Err(CacheError::Absent { .. })));
    }

    #[test]
    fn giving_up_ends_a_reader_that_is_far_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        File::create(&path).unwrap().set_len(AHEAD_FROM).unwrap();
        let mut file = File::open(&path).unwrap();
        let source = (&mut file, path.as_path(), AHEAD_FROM);
        let stopped = digest_open(&Ctx::silent(), Algorithm::Md5, source, |_| {
            // All pieces are read by then.
            thread::sleep(std::time::Duration::from_millis(200));
            Err(CacheError::Absent { path: path.clone() })
        });
        assert!(matches!(stopped, Err(CacheError::Absent { .. })));
    }

    #[test]
    fn a_pair_across_two_pieces_is_not_folded() {
        let mut bytes = vec![b'x'; PIECE - 1];
        bytes.extend_from_slice(b"\r\ny");
        assert_eq!(dos2unix(&bytes), Digest::of(Algorithm::Md5, &bytes).to_hex());
    }
}
