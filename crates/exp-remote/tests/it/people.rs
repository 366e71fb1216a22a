//! Who may do what.

use std::ops::ControlFlow;

use exp_cache::{Depth, Storage, StorageError, StorageErrorKind};
use exp_core::{Ctx, RelPath};

use crate::basics::{read, size, write};
use crate::proxy::{Faults, Proxy};
use crate::servers::{Site, Who};
use crate::{Result, chain};

#[track_caller]
fn denied<T: std::fmt::Debug>(result: std::result::Result<T, StorageError>) {
    let err = result.unwrap_err();
    assert_eq!(err.kind, StorageErrorKind::Denied, "{}", chain(&err));
}

fn refuses_all(storage: &dyn Storage) {
    denied(read(storage, "there"));
    denied(write(storage, "new", b"x"));
    denied(size(storage, "there"));
    if storage.abilities().list {
        let root = RelPath::root();
        denied(storage.list(&Ctx::silent(), &root, Depth::All, &mut |_| ControlFlow::Continue(())));
    }
}

pub(crate) fn a_wrong_secret_is_denied(site: &Site) -> Result {
    write(&*site.open()?, "there", b"secret")?;
    refuses_all(&*site.open_as(Who::Stranger, Some(site.authority()?), "")?);
    Ok(())
}

pub(crate) fn a_right_that_is_over_is_denied(site: &Site) -> Result {
    write(&*site.open()?, "there", b"secret")?;
    refuses_all(&*site.open_as(Who::Expired, Some(site.authority()?), "")?);
    Ok(())
}

pub(crate) fn a_reader_reads_and_does_not_write(site: &Site) -> Result {
    write(&*site.open()?, "there", b"public")?;
    let storage = site.open_as(Who::Reader, Some(site.authority()?), "")?;
    assert_eq!(read(&*storage, "there")?, b"public");
    assert_eq!(size(&*storage, "not there")?, None);
    denied(write(&*storage, "there", b"changed"));
    assert_eq!(read(&*storage, "there")?, b"public");
    Ok(())
}

/// What a server says to whom it does not, or no longer, know; also where the one of the tests asks nobody.
pub(crate) fn a_refusal_is_denied(site: &Site) -> Result {
    write(&*site.open()?, "there", b"secret")?;
    let proxy = Proxy::new(site.authority()?)?;
    for head in ["HTTP/1.1 401 Unauthorized\r\n", "HTTP/1.1 403 Forbidden\r\n"] {
        let answer: &str =
            Box::leak(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").into());
        proxy.set(Faults { answer: Some(answer), ..Faults::default() });
        refuses_all(&*site.open_at(proxy.address())?);
        proxy.set(Faults::default());
    }
    assert_eq!(read(&*site.open_at(proxy.address())?, "there")?, b"secret");
    Ok(())
}

pub(crate) fn no_secret_is_shown(site: &Site) -> Result {
    let storage = site.open_as(Who::Stranger, Some(site.authority()?), "")?;
    let mut shown = format!("{} {storage:?}", storage.label());
    if let Err(err) = read(&*storage, "there") {
        shown = format!("{shown} {err:?} {}", chain(&err));
    }
    for name in [
        "EXP_TEST_S3_READER_SECRET",
        "EXP_TEST_S3_SECRET",
        "EXP_TEST_AZURE_KEY",
        "EXP_TEST_WEBDAV_PASSWORD",
        "EXP_TEST_HTTP_PASSWORD",
    ] {
        let secret = site.fact(name);
        assert!(secret.is_empty() || !shown.contains(secret), "{name} is in: {shown}");
    }
    assert!(!shown.contains("d3Jvbmctd3Jvbmct"), "the key is in: {shown}");
    Ok(())
}
