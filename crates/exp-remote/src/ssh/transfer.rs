//! Moving bytes: several requests are under way at once, so that distance costs little.

use std::io::{self, SeekFrom, Write};
use std::sync::Arc;

use exp_cache::{ReadSeek, StorageErrorKind};
use futures_util::StreamExt;
use futures_util::future::try_join;
use futures_util::stream::FuturesOrdered;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};

use super::connection::{Connection, Lease};
use super::problem::Problem;

/// Requests of one transfer that are under way at once.
const PIECES: usize = 16;

/// A file that is open on the server. Dropped early, it is closed in the background.
pub(super) struct OpenFile {
    lease: Lease,
    handle: Option<String>,
}

impl OpenFile {
    pub(super) async fn open(
        connection: &Arc<Connection>,
        path: &str,
        flags: OpenFlags,
        mode: Option<u32>,
    ) -> Result<Self, Problem> {
        let lease = connection.lease().await?;
        let attrs = FileAttributes { permissions: mode, ..FileAttributes::default() };
        let handle = lease.ask(lease.sftp().open(path, flags, attrs)).await?.handle;
        Ok(Self { lease, handle: Some(handle) })
    }

    pub(super) async fn open_dir(
        connection: &Arc<Connection>,
        path: &str,
    ) -> Result<Self, Problem> {
        let lease = connection.lease().await?;
        let handle = lease.ask(lease.sftp().opendir(path)).await?.handle;
        Ok(Self { lease, handle: Some(handle) })
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(super) fn handle(&self) -> &str {
        self.handle.as_deref().unwrap_or_default()
    }

    pub(super) async fn attributes(&self) -> Result<FileAttributes, Problem> {
        Ok(self.lease.ask(self.lease.sftp().fstat(self.handle())).await?.attrs)
    }

    pub(super) async fn set_mode(&self, mode: u32) -> Result<(), Problem> {
        let attrs = FileAttributes { permissions: Some(mode), ..FileAttributes::default() };
        self.lease.ask(self.lease.sftp().fsetstat(self.handle(), attrs)).await.map(|_| ())
    }

    pub(super) async fn sync(&self) -> Result<(), Problem> {
        self.lease.ask(self.lease.sftp().fsync(self.handle())).await.map(|_| ())
    }

    pub(super) async fn close(mut self) -> Result<(), Problem> {
        let handle = self.handle.take().unwrap_or_default();
        self.lease.ask(self.lease.sftp().close(handle)).await.map(|_| ())
    }

    /// Reads up to `len` bytes at `at`; none at the end of the file.
    async fn piece(&self, at: u64, len: u32) -> Result<Vec<u8>, Problem> {
        match self.lease.ask(self.lease.sftp().read(self.handle(), at, len)).await {
            Ok(data) => Ok(data.data),
            Err(problem) if problem.status == Some(StatusCode::Eof) => Ok(Vec::new()),
            Err(problem) => Err(problem),
        }
    }

    /// Gives `each` the bytes of `range`, in order, until it breaks off; returns up to where they went. An open range
    /// ends with the file.
    pub(super) async fn read(
        &self,
        (begin, end): (u64, Option<u64>),
        mut each: impl FnMut(&[u8]) -> Result<bool, Problem>,
    ) -> Result<u64, Problem> {
        let piece = self.lease.traits().read_piece;
        let (mut at, mut asked) = (begin, begin);
        let mut under_way = FuturesOrdered::new();
        loop {
            while under_way.len() < PIECES && end.is_none_or(|end| asked < end) {
                let left = end.map_or(u64::from(piece), |end| end - asked);
                let len = u32::try_from(left).unwrap_or(piece).min(piece);
                let from = asked;
                under_way.push_back(async move { (len, self.piece(from, len).await) });
                asked += u64::from(len);
            }
            let Some((len, got)) = under_way.next().await else { return Ok(at) };
            let got = got?;
            if got.is_empty() {
                return Ok(at);
            }
            at += got.len() as u64;
            if !each(&got)? {
                return Ok(at);
            }
            if got.len() < len as usize {
                // Servers may give less than was asked for; what was asked for behind it leaves a hole.
                under_way = FuturesOrdered::new();
                asked = at;
            }
        }
    }

    /// Writes `len` bytes of `from` at `at`; tells `done` up to where all has arrived.
    async fn write(
        &self,
        (mut at, len): (u64, u64),
        from: &mut dyn ReadSeek,
        mut done: impl FnMut(u64),
    ) -> Result<(), Problem> {
        let piece = u64::from(self.lease.traits().write_piece);
        let (end, mut sent) = (at + len, at);
        let mut under_way = FuturesOrdered::new();
        loop {
            while under_way.len() < PIECES && sent < end {
                let mut bytes = vec![0; usize::try_from(piece.min(end - sent)).unwrap_or_default()];
                from.read_exact(&mut bytes)?;
                let (begin, n) = (sent, bytes.len() as u64);
                sent += n;
                let request = self.lease.sftp().write(self.handle(), begin, bytes);
                under_way.push_back(async move { self.lease.ask(request).await.map(|_| n) });
            }
            let Some(n) = under_way.next().await else { return Ok(()) };
            at += n?;
            done(at);
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let lease = self.lease.clone();
            runtime.spawn(async move { lease.ask(lease.sftp().close(handle)).await.map(|_| ()) });
        }
    }
}

/// Writes what is at `path` from `offset` on to `into`.
pub(super) async fn download(
    connection: &Arc<Connection>,
    (path, offset): (&str, u64),
    into: &mut dyn Write,
) -> Result<u64, Problem> {
    let file = OpenFile::open(connection, path, OpenFlags::READ, None).await?;
    let piece = file.lease.traits().read_piece;
    let (attributes, first) = match try_join(file.attributes(), file.piece(offset, piece)).await {
        // Reading a directory fails in many ways.
        Err(problem) if problem.status.is_some() && file.attributes().await?.is_dir() => {
            return Err(Problem::new(StorageErrorKind::NotFound, "it is a directory"));
        }
        both => both?,
    };
    into.write_all(&first)?;
    let size = attributes.size.filter(|size| *size > 0);
    let mut at = offset + first.len() as u64;
    if !first.is_empty() && size.is_none_or(|size| at < size) {
        let put = |bytes: &[u8]| into.write_all(bytes).map(|()| true).map_err(Problem::from);
        at = file.read((at, size), put).await?;
    }
    if let Some(size) = size.filter(|size| at < *size && offset < *size) {
        let reason = format!("it ends after {at} of {size} bytes");
        return Err(Problem::new(StorageErrorKind::Temporary, reason));
    }
    file.close().await?;
    Ok(at - offset)
}

/// Writes `len` bytes of `from`, which stands at its beginning, into an open file from `begin` on.
pub(super) async fn upload(
    file: &OpenFile,
    (begin, len): (u64, u64),
    from: &mut dyn ReadSeek,
    done: impl FnMut(u64),
) -> Result<(), Problem> {
    let start = from.stream_position()?;
    from.seek(SeekFrom::Start(start + begin))?;
    file.write((begin, len - begin), from, done).await
}

/// Returns how many bytes at the beginning of an open file are those of `from`, which stands where it stood after.
pub(super) async fn same_beginning(
    file: &OpenFile,
    size: u64,
    from: &mut dyn ReadSeek,
) -> Result<u64, Problem> {
    let start = from.stream_position()?;
    let mut same = 0;
    let mut own = Vec::new();
    let compare = |there: &[u8]| {
        own.resize(there.len(), 0);
        match from.read_exact(&mut own) {
            Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        let n = own.iter().zip(there).take_while(|(own, there)| own == there).count();
        same += n as u64;
        Ok(n == there.len())
    };
    file.read((0, Some(size)), compare).await?;
    from.seek(SeekFrom::Start(start))?;
    Ok(same)
}
