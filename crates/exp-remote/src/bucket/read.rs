//! Reading an object: one stream, or ranges side by side when it is large.

use std::io::Write;

use exp_cache::{ReadFrom, StorageError, StorageErrorKind};
use exp_core::Ctx;
use futures_util::StreamExt;
use opendal::options::ReaderOptions;
use opendal::{Buffer, BufferStream, ErrorKind};

use super::fault::{because, failed};
use super::storage::BucketStorage;
use crate::runtime::Share;

/// Bytes of one of several ranges.
const RANGE: usize = 8 << 20;

/// Ranges on their way at a time.
const RANGES: usize = 4;

/// What is longer is read in ranges.
const LONG: u64 = 2 * RANGE as u64;

/// Bytes gathered before they are written.
const GATHERED: usize = 1 << 20;

/// An object that is being read.
struct Opened {
    stream: BufferStream,
    /// How many bytes are to come, where that is known.
    expected: Option<u64>,
    _share: Option<Share>,
}

impl BucketStorage {
    /// Writes an object to `into`, from an offset on.
    pub(super) fn read_into(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        let shown = self.shown(from.key);
        let at = ("read", shown.as_str());
        let path = self.path("read", from.key)?;
        let Some(mut opened) = self.net.block(ctx, at, self.start(&path, from, at))? else {
            return Ok(0);
        };
        let mut moved = 0;
        loop {
            // What came before a failure is written too: the next try goes on behind it.
            let mut gathered = Vec::new();
            let more = self.net.block(ctx, at, gather(&mut opened.stream, &mut gathered, at));
            for piece in gathered.into_iter().flatten() {
                into.write_all(&piece).map_err(|err| because(at, StorageErrorKind::Other, err))?;
                moved += piece.len() as u64;
            }
            if !more? {
                break;
            }
        }
        match opened.expected {
            Some(expected) if expected != moved => {
                let reason = format!("{moved} of {expected} bytes came");
                Err(because(at, StorageErrorKind::Temporary, reason))
            }
            _ => Ok(moved),
        }
    }

    /// Returns whether a reading failed because there is nothing at its offset. Each service says that differently.
    async fn ends_before(
        &self,
        path: &str,
        from: &ReadFrom<'_>,
        err: &StorageError,
    ) -> Result<bool, StorageError> {
        if from.version.is_some() || err.kind != StorageErrorKind::Other {
            return Ok(false);
        }
        let found = self.look(path, None, &err.what).await?;
        Ok(found.and_then(|found| found.size).is_some_and(|size| size <= from.offset))
    }

    /// Asks for an object. `None` when it ends before the offset.
    async fn start(
        &self,
        path: &str,
        from: &ReadFrom<'_>,
        at: (&'static str, &str),
    ) -> Result<Option<Opened>, StorageError> {
        let Some((operator, version)) = self.operator_at(from.version).await? else {
            let reason = "there is no version of this name";
            return Err(because(at, StorageErrorKind::NotFound, reason));
        };
        let version = version.map(str::to_owned);
        let mut options = ReaderOptions { version, ..ReaderOptions::default() };
        let reader = operator.reader_options(path, options.clone()).await;
        let reader = reader.map_err(|err| failed(at, &err))?;
        let stream = reader.into_stream(from.offset..).await;
        let mut stream = stream.map_err(|err| failed(at, &err))?;
        let metadata = match stream.metadata().await {
            Ok(metadata) => metadata,
            Err(err) if err.kind() == ErrorKind::Unsupported => {
                return Ok(Some(Opened { stream, expected: None, _share: None }));
            }
            Err(err) => {
                let err = failed(at, &err);
                return if self.ends_before(path, from, &err).await? { Ok(None) } else { Err(err) };
            }
        };
        if metadata.content_encoding().is_some() {
            return Ok(Some(Opened { stream, expected: None, _share: None }));
        }
        let total = metadata.content_length();
        let expected = total.saturating_sub(from.offset);
        let memory = (RANGES as u64 + 1) * RANGE as u64;
        if expected <= LONG {
            return Ok(Some(Opened { stream, expected: Some(expected), _share: None }));
        }
        let Some(share) = self.net.try_share(memory) else {
            return Ok(Some(Opened { stream, expected: Some(expected), _share: None }));
        };
        // All ranges are of the same bytes, or the reading fails.
        options.if_match =
            metadata.etag().filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        options.chunk = Some(RANGE);
        options.concurrent = RANGES;
        let reader = operator.reader_options(path, options).await;
        let reader = reader.map_err(|err| failed(at, &err))?;
        let stream = reader.into_stream(from.offset..total).await;
        let stream = stream.map_err(|err| failed(at, &err))?;
        Ok(Some(Opened { stream, expected: Some(expected), _share: Some(share) }))
    }
}

/// Takes what comes until it is worth writing; `false` at the end.
async fn gather(
    stream: &mut BufferStream,
    gathered: &mut Vec<Buffer>,
    at: (&'static str, &str),
) -> Result<bool, StorageError> {
    let mut n = 0;
    while n < GATHERED {
        match stream.next().await {
            None => return Ok(false),
            Some(Ok(piece)) => {
                n += piece.len();
                gathered.push(piece);
            }
            Some(Err(err)) => return Err(failed(at, &err)),
        }
    }
    Ok(true)
}
