//! The marks by which services tell bytes apart, as DVC writes them down, and what they say of the bytes.

use std::fmt::Write as _;
use std::io::{self, Read as _, SeekFrom};

use exp_cache::{ReadSeek, StorageStat};
use exp_core::{Algorithm, Digest, Hasher};

/// How a service's marks are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    /// As they are, without quotation marks: S3.
    Plain,
    /// In hexadecimal instead of base64: Google.
    Hex,
    /// In quotation marks: Azure.
    Quoted,
}

impl Marks {
    /// Returns a mark as it is written down; `None` when there is none.
    pub(super) fn written(self, etag: &str) -> Option<String> {
        let bare = etag.trim_start_matches("W/").trim_matches('"');
        if bare.is_empty() {
            return None;
        }
        Some(match self {
            Self::Plain => bare.to_owned(),
            Self::Hex => base64(bare).map_or_else(|| bare.to_owned(), |bytes| hex(&bytes)),
            Self::Quoted => format!("\"{bare}\""),
        })
    }
}

/// Returns whether what a storage says of an object proves that it is these bytes, which are `len`: by their MD5, or by
/// that of the parts that an upload of ours has. Google and Azure tell no MD5 of what was sent in parts.
///
/// # Errors
///
/// When the bytes cannot be read.
pub(super) fn is_of(
    stat: &StorageStat,
    (len, part): (u64, Option<u64>),
    from: &mut dyn ReadSeek,
) -> io::Result<bool> {
    if stat.size != Some(len) {
        return Ok(false);
    }
    let told = stat.checksum.as_deref().and_then(base64);
    if let Some(told) = told.and_then(|told| Digest::from_bytes(Algorithm::Md5, &told)) {
        return Ok(md5(from, len)? == told);
    }
    let Some(etag) = stat.etag.as_deref() else { return Ok(false) };
    let Some((of_parts, n_parts)) = etag.split_once('-') else {
        return Ok(match Digest::from_hex(Algorithm::Md5, etag) {
            Ok(told) => md5(from, len)? == told,
            Err(_) => false,
        });
    };
    let lens = part.map(|part| parts(len, part)).unwrap_or_default();
    let (Ok(of_parts), Ok(n_parts)) =
        (Digest::from_hex(Algorithm::Md5, of_parts), n_parts.parse::<usize>())
    else {
        return Ok(false);
    };
    if lens.len() != n_parts {
        return Ok(false);
    }
    from.seek(SeekFrom::Start(0))?;
    let mut whole = Hasher::new(Algorithm::Md5);
    for len in lens {
        whole.update(next(from, len)?.as_bytes());
    }
    Ok(whole.finish() == of_parts)
}

/// Returns how long the parts are that `len` bytes are sent in: the last one is up to twice as long.
pub(super) fn parts(len: u64, part: u64) -> Vec<u64> {
    let mut lens = Vec::new();
    let mut left = len;
    while left > 0 {
        let size = if left < 2 * part { left } else { part };
        lens.push(size);
        left -= size;
    }
    lens
}

fn md5(from: &mut dyn ReadSeek, len: u64) -> io::Result<Digest> {
    from.seek(SeekFrom::Start(0))?;
    next(from, len)
}

/// Digests the next `len` bytes.
fn next(from: &mut dyn ReadSeek, len: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Md5);
    let mut piece = vec![0; 1 << 20];
    let mut left = from.take(len);
    loop {
        match left.read(&mut piece)? {
            0 => break,
            n => hasher.update(&piece[..n]),
        }
    }
    if left.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(hasher.finish())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads base64 (RFC 4648, section 4).
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut n) = (Vec::new(), 0_u32, 0);
    for c in text.trim().trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        n += 6;
        if n >= 8 {
            n -= 8;
            bytes.push(u8::try_from(bits >> n & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(base64("aGVsbG8=").as_deref(), Some(b"hello".as_slice()));
        assert_eq!(base64("/+8="), Some(vec![0xff, 0xef]));
        assert_eq!(base64("no no"), None);
    }

    #[test]
    fn marks_are_written_as_dvc_writes_them() {
        assert_eq!(Marks::Plain.written("\"abc\"").as_deref(), Some("abc"));
        assert_eq!(Marks::Hex.written("CJjqhJ3x").as_deref(), Some("0898ea849df1"));
        assert_eq!(Marks::Hex.written("no base64").as_deref(), Some("no base64"));
        assert_eq!(Marks::Quoted.written("0x8DA").as_deref(), Some("\"0x8DA\""));
        assert_eq!(Marks::Quoted.written("\"0x8DA\"").as_deref(), Some("\"0x8DA\""));
        assert_eq!(Marks::Quoted.written("\"\""), None);
    }

    #[test]
    fn parts_are_as_long_as_they_are_sent() {
        assert_eq!(parts(25, 8), [8, 8, 9]);
        assert_eq!(parts(16, 8), [8, 8]);
        assert_eq!(parts(15, 8), [15]);
        assert!(parts(0, 8).is_empty());
    }

    #[track_caller]
    fn check(etag: &str, checksum: Option<&str>, bytes: &[u8], expect: bool) {
        let stat = StorageStat {
            size: Some(5),
            etag: Some(etag.to_owned()),
            checksum: checksum.map(str::to_owned),
            ..StorageStat::default()
        };
        let asked = (bytes.len() as u64, Some(2));
        let found = is_of(&stat, asked, &mut Cursor::new(bytes)).unwrap();
        assert_eq!(found, expect, "{etag} {checksum:?}");
    }

    #[test]
    fn bytes_are_known_by_their_mark() {
        check("5d41402abc4b2a76b9719d911017c592", None, b"hello", true);
        check("5d41402abc4b2a76b9719d911017c592", None, b"hullo", false);
        check("5d41402abc4b2a76b9719d911017c592", None, b"hello!", false);
        check("0x8DA", Some("XUFAKrxLKna5cZ2REBfFkg=="), b"hello", true);
        check("0x8DA", Some("XUFAKrxLKna5cZ2REBfFkg=="), b"hullo", false);
        check("0x8DA", None, b"hello", false);
        // "he" and "llo".
        let both = [b"he".as_slice(), b"llo"].map(|part| Digest::of(Algorithm::Md5, part));
        let both = both.iter().flat_map(Digest::as_bytes).copied().collect::<Vec<u8>>();
        let both = Digest::of(Algorithm::Md5, &both).to_hex();
        check(&format!("{both}-2"), None, b"hello", true);
        check(&format!("{both}-2"), None, b"hullo", false);
        check(&format!("{both}-3"), None, b"hello", false);
    }
}
