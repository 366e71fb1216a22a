//! One storage for all object stores.

use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use exp_cache::{
    Abilities, Depth, Listed, Put, ReadFrom, ReadSeek, Storage, StorageError, StorageErrorKind,
    StorageStat,
};
use exp_core::{Ctx, RelPath};
use futures_util::{StreamExt, TryStreamExt, stream};
use opendal::options::StatOptions;
use opendal::{ErrorKind, Metadata, OperationContext, Operator};
use reqwest::Client;
use tokio::sync::OnceCell;

use super::aim::{Aim, Versions};
use super::fault::{because, failed};
use super::mark::{self, Marks};
use super::transport::{Transport, Wire};
use super::write::part_of;
use crate::runtime::Net;

/// Requests in flight for one call about many keys.
pub(super) const IN_FLIGHT: usize = 32;

/// Keys in one request to remove them, where a service takes so many.
const BATCH: usize = 1000;

/// Waits before a request that failed for the moment is sent again.
pub(super) const WAITS: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];

/// Makes an operator, given the region of the bucket.
pub(super) type Build = Box<dyn Fn(&str) -> opendal::Result<Operator> + Send + Sync>;

/// The region that requests are signed for.
#[derive(Debug)]
pub(super) enum Region {
    /// It is known, or there is none.
    Known(String),
    /// AWS is asked where this bucket is.
    OfBucket(String),
}

/// How a large object gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    /// In parts side by side, which are put together at the end.
    Parts,
    /// In one session, piece after piece, on the condition that nobody else writes the object meanwhile.
    Session,
}

/// A prefix in a bucket.
///
/// The operator is made at the first use, since that may need to ask where the bucket is.
pub(super) struct BucketStorage {
    pub(super) label: String,
    /// Without slashes at its ends.
    pub(super) prefix: String,
    pub(super) versions: Versions,
    pub(super) marks: Marks,
    pub(super) upload: Upload,
    pub(super) region: Region,
    pub(super) build: Build,
    pub(super) client: Client,
    pub(super) wire: Wire,
    pub(super) net: Net,
    pub(super) operator: OnceCell<Operator>,
}

impl fmt::Debug for BucketStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketStorage").field("label", &self.label).finish_non_exhaustive()
    }
}

impl BucketStorage {
    /// Returns the operator, which is made when first needed.
    pub(super) async fn operator(&self) -> Result<&Operator, StorageError> {
        self.operator
            .get_or_try_init(|| async {
                let region = match &self.region {
                    Region::Known(region) => region.clone(),
                    Region::OfBucket(bucket) => self.region_of(bucket).await?,
                };
                let operator =
                    (self.build)(&region).map_err(|err| failed(("open", &self.label), &err))?;
                Ok(operator.with_context(self.context(None)))
            })
            .await
    }

    fn context(&self, aim: Option<Aim>) -> OperationContext {
        let transport = Transport::over(self.client.clone(), &self.wire, aim);
        OperationContext::new().with_http_transport(transport)
    }

    /// Returns the operator for a version, and what it is still to be told: the version, where the library knows them.
    /// `None` for what cannot be a version here.
    pub(super) async fn operator_at<'v>(
        &self,
        version: Option<&'v str>,
    ) -> Result<Option<(Operator, Option<&'v str>)>, StorageError> {
        let operator = self.operator().await?.clone();
        let Some(id) = version else { return Ok(Some((operator, None))) };
        match (&self.versions, self.versions.aim(id)) {
            (Versions::Off | Versions::OfLibrary, _) => Ok(Some((operator, version))),
            (_, None) => Ok(None),
            (_, aim) => Ok(Some((operator.with_context(self.context(aim)), None))),
        }
    }

    /// Asks AWS where a bucket is. It tells everybody, with any status.
    async fn region_of(&self, bucket: &str) -> Result<String, StorageError> {
        let asked = self.client.head(format!("https://s3.amazonaws.com/{bucket}"));
        let answer = asked.timeout(self.wire.stall).send().await.map_err(|err| {
            let reason = super::fault::chain(&err.without_url());
            because(("find", &self.label), StorageErrorKind::Temporary, reason)
        })?;
        let region = answer.headers().get("x-amz-bucket-region");
        let region = region.and_then(|region| region.to_str().ok());
        Ok(region.unwrap_or("us-east-1").to_owned())
    }

    /// Returns the address of a key for people.
    pub(super) fn shown(&self, key: &RelPath) -> String {
        if key.is_root() { self.label.clone() } else { format!("{}/{key}", self.label) }
    }

    /// Returns the name of the object under a key.
    ///
    /// # Errors
    ///
    /// For the bucket itself, and for names that the library would change.
    pub(super) fn path(&self, action: &'static str, key: &RelPath) -> Result<String, StorageError> {
        let path = match (self.prefix.is_empty(), key.is_root()) {
            (true, _) => key.as_str().to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}/{key}", self.prefix),
        };
        let shown = self.shown(key);
        if path.is_empty() {
            let reason = "it is a bucket";
            return Err(because((action, &shown), StorageErrorKind::NotFound, reason));
        }
        if path.trim() != path {
            let reason = "its name begins or ends with white space";
            return Err(because((action, &shown), StorageErrorKind::Unsupported, reason));
        }
        Ok(path)
    }

    /// Returns what the service said about an object.
    pub(super) fn described(&self, metadata: &Metadata, size: Option<u64>) -> StorageStat {
        let is_wanted = self.versions.are_wanted();
        let version = metadata.version().filter(|version| is_wanted && *version != "null");
        StorageStat {
            size,
            etag: metadata.etag().and_then(|etag| self.marks.written(etag)),
            version: version.map(str::to_owned),
            checksum: metadata.content_md5().map(str::to_owned),
            modified: metadata.last_modified().map(|time| time.into_inner().as_second()),
        }
    }

    /// Looks at one object, the newest or a version; tries again what fails for the moment.
    pub(super) async fn look(
        &self,
        path: &str,
        version: Option<&str>,
        what: &str,
    ) -> Result<Option<StorageStat>, StorageError> {
        let Some((operator, version)) = self.operator_at(version).await? else { return Ok(None) };
        let options = StatOptions { version: version.map(str::to_owned), ..StatOptions::default() };
        match patiently(|| operator.stat_options(path, options.clone())).await {
            Ok(metadata) if metadata.is_dir() => Ok(None),
            Ok(metadata) => Ok(Some(self.described(&metadata, Some(metadata.content_length())))),
            Err(err) if err.kind() == ErrorKind::NotFound => Ok(None),
            Err(err) => Err(failed(("look at", what), &err)),
        }
    }

    /// Asks Google whether a bucket keeps what is replaced: its objects have generations in any case.
    async fn settings_say_versions(&self) -> Result<bool, StorageError> {
        let at = ("look at the settings of", self.label.as_str());
        let operator = self.operator().await?.clone();
        let operator = operator.with_context(self.context(Some(Aim::Settings)));
        let text = match patiently(|| operator.read("settings")).await {
            Ok(text) => text.to_bytes(),
            Err(err) => match failed(at, &err) {
                // Not everybody who may write may see that. Whoever set the option will know.
                err if err.kind == StorageErrorKind::Denied => return Ok(true),
                err => return Err(err),
            },
        };
        let settings: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|err| because(at, StorageErrorKind::Other, err))?;
        Ok(settings["versioning"]["enabled"] == true)
    }

    /// Removes objects by one request, or by one each where the service has no such request; tries again what fails for the
    /// moment, because thousands of others would have to be removed once more.
    async fn remove_batch(&self, paths: &[String]) -> Result<(), StorageError> {
        let operator = self.operator().await?;
        let batch = patiently(|| operator.delete_iter(paths.to_vec())).await;
        let Err(err) = batch else { return Ok(()) };
        if err.is_temporary() || err.kind() == ErrorKind::PermissionDenied || paths.len() < 2 {
            return Err(failed(("remove objects from", &self.label), &err));
        }
        stream::iter(paths)
            .map(|path| patiently(move || operator.delete(path)))
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<()>()
            .await
            .map_err(|err| failed(("remove objects from", &self.label), &err))
    }
}

/// Does something again, after a pause, when it failed for the moment.
async fn patiently<T, F: Future<Output = opendal::Result<T>>>(
    attempt: impl Fn() -> F,
) -> opendal::Result<T> {
    for wait in WAITS {
        match attempt().await {
            Err(err) if err.is_temporary() => tokio::time::sleep(wait).await,
            done => return done,
        }
    }
    attempt().await
}

impl Storage for BucketStorage {
    fn label(&self) -> &str {
        &self.label
    }

    fn abilities(&self) -> Abilities {
        Abilities { write: true, list: true, versions: self.versions.are_wanted(), is_near: false }
    }

    fn stat(
        &self,
        ctx: &Ctx<'_>,
        keys: &[RelPath],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        let looks = keys.iter().map(|key| async {
            if self.prefix.is_empty() && key.is_root() {
                return Ok(None);
            }
            self.look(&self.path("look at", key)?, None, &self.shown(key)).await
        });
        let looks = stream::iter(looks).buffered(IN_FLIGHT).try_collect();
        self.net.block(ctx, ("look at", &self.label), looks)
    }

    fn stat_versions(
        &self,
        ctx: &Ctx<'_>,
        versions: &[(RelPath, String)],
    ) -> Result<Vec<Option<StorageStat>>, StorageError> {
        let looks = versions.iter().map(|(key, version)| async {
            let path = self.path("look at", key)?;
            self.look(&path, Some(version), &self.shown(key)).await
        });
        let looks = stream::iter(looks).buffered(IN_FLIGHT).try_collect();
        self.net.block(ctx, ("look at", &self.label), looks)
    }

    fn keeps_versions(&self, ctx: &Ctx<'_>) -> Result<bool, StorageError> {
        if !matches!(self.versions, Versions::Generations) {
            return Ok(self.versions.are_wanted());
        }
        self.net.block(ctx, ("look at", &self.label), self.settings_say_versions())
    }

    fn proves(
        &self,
        stat: &StorageStat,
        len: u64,
        from: &mut dyn ReadSeek,
    ) -> Result<bool, StorageError> {
        let part = (self.upload == Upload::Parts).then(|| part_of(len)).flatten();
        let found = mark::is_of(stat, (len, part), from);
        found.map_err(|err| because(("recognize", &self.label), StorageErrorKind::Other, err))
    }

    fn read(
        &self,
        ctx: &Ctx<'_>,
        from: &ReadFrom<'_>,
        into: &mut dyn Write,
    ) -> Result<u64, StorageError> {
        self.read_into(ctx, from, into)
    }

    fn write(
        &self,
        ctx: &Ctx<'_>,
        put: &Put<'_>,
        from: &mut dyn ReadSeek,
    ) -> Result<StorageStat, StorageError> {
        self.write_from(ctx, put, from)
    }

    fn list(
        &self,
        ctx: &Ctx<'_>,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.list_below(ctx, under, depth, found)
    }

    fn remove(&self, ctx: &Ctx<'_>, keys: &[RelPath]) -> Result<(), StorageError> {
        let paths = keys.iter().map(|key| self.path("remove", key));
        let paths = paths.collect::<Result<Vec<_>, _>>()?;
        let batches = async {
            let most = self.operator().await?.info().capability().delete_max_size;
            stream::iter(paths.chunks(most.unwrap_or(BATCH).clamp(1, BATCH)))
                .map(|batch| self.remove_batch(batch))
                .buffer_unordered(4)
                .try_collect::<()>()
                .await
        };
        self.net.block(ctx, ("remove objects from", &self.label), batches)
    }
}

/// Puts the parts of a storage together.
pub(super) fn shared(storage: BucketStorage) -> Arc<dyn Storage> {
    Arc::new(storage)
}
