//! Listing a bucket page by page.

use std::ops::ControlFlow;

use exp_cache::{Depth, Listed, StorageError, StorageErrorKind};
use exp_core::{Ctx, RelPath};
use futures_util::{StreamExt, TryStreamExt, stream};
use opendal::options::ListOptions;
use opendal::{Entry, Lister};

use super::aim::Versions;
use super::fault::{because, failed};
use super::storage::{BucketStorage, IN_FLIGHT};

/// Entries handed on at a time.
const PAGE: usize = 1000;

impl BucketStorage {
    /// Lists what is below `under`. Pages that nobody wants are not asked for.
    pub(super) fn list_below(
        &self,
        ctx: &Ctx<'_>,
        under: &RelPath,
        depth: Depth,
        found: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let shown = self.shown(under);
        let at = ("list", shown.as_str());
        let parts = [self.prefix.as_str(), under.as_str()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let dir = format!("{}/", parts.join("/"));
        let options = ListOptions {
            recursive: depth == Depth::All,
            versions: matches!(self.versions, Versions::OfLibrary),
            ..ListOptions::default()
        };
        let mut lister = self.net.block(ctx, at, async {
            let operator = self.operator().await?;
            operator.lister_options(&dir, options).await.map_err(|err| failed(at, &err))
        })?;
        loop {
            let page = self.net.block(ctx, at, page(&mut lister, at))?;
            if page.is_empty() {
                return Ok(());
            }
            let all = page.iter().filter_map(|one| self.listed(one, &dir, depth, at).transpose());
            let mut all = all.collect::<Result<Vec<_>, _>>()?;
            if matches!(self.versions, Versions::OfBlobs(_)) {
                all = self.net.block(ctx, at, self.with_versions(all))?;
            }
            for one in all {
                if found(one).is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Asks for each file which version it is: the library passes over what Azure's listings say of that.
    async fn with_versions(&self, listed: Vec<Listed>) -> Result<Vec<Listed>, StorageError> {
        let asked = listed.into_iter().map(|mut one| async {
            if !one.is_dir {
                let path = self.path("look at", &one.key)?;
                if let Some(stat) = self.look(&path, None, &self.shown(&one.key)).await? {
                    one.stat = stat;
                }
            }
            Ok(one)
        });
        stream::iter(asked).buffered(IN_FLIGHT).try_collect().await
    }

    /// Returns what an entry is to the caller: nothing, where it is the directory itself, a marker or an old version.
    fn listed(
        &self,
        entry: &Entry,
        dir: &str,
        depth: Depth,
        at: (&'static str, &str),
    ) -> Result<Option<Listed>, StorageError> {
        let metadata = entry.metadata();
        let is_dir = entry.path().ends_with('/');
        let is_old = self.versions.are_wanted()
            && (metadata.is_deleted() || metadata.is_current() == Some(false));
        let is_itself = entry.path() == dir || entry.path() == "/";
        if is_itself || is_old || (is_dir && depth == Depth::All) {
            return Ok(None);
        }
        let path = entry.path();
        let below = if self.prefix.is_empty() {
            Some(path)
        } else {
            path.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_prefix('/'))
        };
        let below = below.map(|below| below.trim_end_matches('/'));
        let key = below.and_then(|below| RelPath::new(below).ok().filter(|k| k.as_str() == below));
        let Some(key) = key else {
            let reason = format!("the name `{path}` is no path");
            return Err(because(at, StorageErrorKind::Unsupported, reason));
        };
        let size = (!is_dir).then(|| metadata.content_length());
        Ok(Some(Listed { key, is_dir, stat: self.described(metadata, size) }))
    }
}

/// Returns the next entries; none at the end.
async fn page(lister: &mut Lister, at: (&'static str, &str)) -> Result<Vec<Entry>, StorageError> {
    let mut page = Vec::new();
    while page.len() < PAGE {
        match lister.next().await {
            None => break,
            Some(entry) => page.push(entry.map_err(|err| failed(at, &err))?),
        }
    }
    Ok(page)
}
