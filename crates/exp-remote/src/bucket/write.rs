//! Writing an object: one request, or parts side by side when it is large.

use std::io::{self, Read};
use std::time::Duration;

use exp_cache::{Put, ReadSeek, StorageError, StorageErrorKind, StorageStat};
use exp_core::Ctx;
use opendal::options::WriteOptions;
use opendal::{Buffer, ErrorKind, Metadata, Writer};

use super::fault::{because, failed};
use super::mark;
use super::storage::{BucketStorage, Upload, WAITS};
use crate::runtime::Share;

/// Bytes of a part. The last one is up to twice as long, so that no part is too short for the service.
const PART: u64 = 8 << 20;

/// Parts that services take for one object.
const PARTS: u64 = 10_000;

/// Parts on their way at a time, when there is memory.
const IN_FLIGHT: u64 = 4;

/// Parts in memory beside those on their way: the next to go, and the one being read.
const BESIDE: u64 = 2;

/// How long giving an upload up may take.
const GIVE_UP: Duration = Duration::from_secs(10);

/// The same after a stop, which shall end soon.
const GIVE_UP_SOON: Duration = Duration::from_millis(500);

impl BucketStorage {
    /// Stores `put.len` bytes of `from`.
    pub(super) fn write_from(
        &self,
        ctx: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        let shown = self.shown(put.key);
        let at = ("write", shown.as_str());
        let path = self.path("write", put.key)?;
        let metadata = match part_of(put.len) {
            None => self.write_whole(ctx, &path, put.len, from, at)?,
            Some(part) => self.write_parts(ctx, &path, (put.len, part), from, at)?,
        };
        Ok(self.described(&metadata, Some(put.len)))
    }

    fn write_whole(
        &self,
        ctx: &Ctx<'_>,
        path: &str,
        len: u64,
        from: &mut dyn ReadSeek,
        at: (&'static str, &str),
    ) -> Result<Metadata, StorageError> {
        let _share = self.net.block(ctx, at, async { Ok(self.net.share(len).await) })?;
        let bytes = take(from, len, at)?;
        self.net.block(ctx, at, async {
            let operator = self.operator().await?;
            match operator.write(path, bytes.clone()).await {
                // A connection that the server had closed meanwhile is no reason to say so.
                Err(err) if err.is_temporary() => operator.write(path, bytes).await,
                written => written,
            }
            .map_err(|err| failed(at, &err))
        })
    }

    /// Stores a large object. Nothing of it is seen before all parts are there.
    fn write_parts(
        &self,
        ctx: &Ctx<'_>,
        path: &str,
        (len, part): (u64, u64),
        from: &mut dyn ReadSeek,
        at: (&'static str, &str),
    ) -> Result<Metadata, StorageError> {
        let (_share, in_flight) = self.net.block(ctx, at, async { Ok(self.room(part).await) })?;
        let mut writer = self.net.block(ctx, at, async {
            let operator = self.operator().await?;
            let mut options = WriteOptions { concurrent: in_flight, ..WriteOptions::default() };
            if self.upload == Upload::Session {
                match operator.stat(path).await {
                    Ok(found) => options.if_version_match = found.version().map(str::to_owned),
                    Err(err) if err.kind() == ErrorKind::NotFound => options.if_not_exists = true,
                    Err(err) => return Err(failed(at, &err)),
                }
            }
            operator.writer_options(path, options).await.map_err(|err| failed(at, &err))
        })?;
        let written = self.feed(ctx, &mut writer, (len, part), from, at);
        if let Err(err) = &written {
            self.give_up(&mut writer, err.kind);
        }
        let metadata = written?;
        let found = self.net.block(ctx, at, self.look(path, None, at.1))?;
        match found.and_then(|found| found.size) {
            Some(size) if size != len => {
                let reason = format!("{size} of {len} bytes are there");
                Err(because(at, StorageErrorKind::Temporary, reason))
            }
            _ => Ok(metadata),
        }
    }

    /// Hands the parts over and completes the object.
    fn feed(
        &self,
        ctx: &Ctx<'_>,
        writer: &mut Writer,
        (len, part): (u64, u64),
        from: &mut dyn ReadSeek,
        at: (&'static str, &str),
    ) -> Result<Metadata, StorageError> {
        for size in mark::parts(len, part) {
            let bytes = take(from, size, at)?;
            self.net.block(ctx, at, send(writer, bytes, at))?;
        }
        self.net.block(ctx, at, complete(writer, at))
    }

    /// Waits for memory for an upload; says how many parts may be on their way.
    async fn room(&self, part: u64) -> (Share, usize) {
        for in_flight in [IN_FLIGHT, 2] {
            if let Some(share) = self.net.try_share((in_flight + BESIDE) * part) {
                return (share, usize::try_from(in_flight).unwrap_or(1));
            }
        }
        (self.net.share((1 + BESIDE) * part).await, 1)
    }

    /// Tells the service that nothing more comes, so that it keeps no parts. What it answers changes nothing.
    fn give_up(&self, writer: &mut Writer, kind: StorageErrorKind) {
        let is_stop = kind == StorageErrorKind::Cancelled;
        let time = if is_stop { GIVE_UP_SOON } else { GIVE_UP };
        if let Ok(runtime) = self.net.runtime() {
            let _ = runtime.block_on(async { tokio::time::timeout(time, writer.abort()).await });
        }
    }
}

/// Returns how long the parts are that an object is sent in; `None` when it is sent as a whole.
pub(super) fn part_of(len: u64) -> Option<u64> {
    let part = PART.max(len.div_ceil(PARTS).next_multiple_of(1 << 20));
    (len >= 2 * PART).then_some(part)
}

/// Hands a part over; a part that fails for the moment, this or an earlier one, is sent again.
async fn send(
    writer: &mut Writer,
    bytes: Buffer,
    at: (&'static str, &str),
) -> Result<(), StorageError> {
    let mut waits = WAITS.iter();
    loop {
        match writer.write(bytes.clone()).await {
            Ok(()) => return Ok(()),
            Err(err) => match waits.next() {
                Some(wait) if err.is_temporary() => tokio::time::sleep(*wait).await,
                _ => return Err(failed(at, &err)),
            },
        }
    }
}

/// Waits for the last parts and completes the object.
async fn complete(writer: &mut Writer, at: (&'static str, &str)) -> Result<Metadata, StorageError> {
    let mut waits = WAITS.iter();
    let mut is_again = false;
    loop {
        match writer.close().await {
            Ok(metadata) => return Ok(metadata),
            // Completed by a try whose answer got lost, or given up by the service: the caller begins anew.
            Err(err) if is_again && err.kind() == ErrorKind::NotFound => {
                let mut err = failed(at, &err);
                err.kind = StorageErrorKind::Temporary;
                return Err(err);
            }
            Err(err) => match waits.next() {
                Some(wait) if err.is_temporary() => tokio::time::sleep(*wait).await,
                _ => return Err(failed(at, &err)),
            },
        }
        is_again = true;
    }
}

/// Reads exactly `len` bytes.
fn take(
    from: &mut dyn ReadSeek,
    len: u64,
    at: (&'static str, &str),
) -> Result<Buffer, StorageError> {
    let other = |err: io::Error| because(at, StorageErrorKind::Other, err);
    let size = usize::try_from(len).map_err(|_| other(io::ErrorKind::OutOfMemory.into()))?;
    let mut bytes = Vec::with_capacity(size);
    let n = from.take(len).read_to_end(&mut bytes).map_err(other)?;
    if n != size {
        return Err(other(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Buffer::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_the_service_takes_all_of_them() {
        assert_eq!(part_of(2 * PART - 1), None);
        assert_eq!(part_of(1 << 30), Some(PART));
        for len in [80 << 30, 1 << 40, 5 << 40] {
            assert!(part_of(len).is_some_and(|part| len / part <= PARTS), "{len}");
        }
    }
}
