//! Google Cloud Storage.

use std::sync::Arc;

use exp_cache::{AddressError, Storage, StorageAddress};
use opendal::services::GcsConfig;
use opendal::{Configurator, Operator};
use tokio::sync::OnceCell;

use super::aim::Versions;
use super::mark::Marks;
use super::options::{Options, expand, place};
use super::storage::{BucketStorage, Region, Upload, shared};
use crate::Surroundings;
use crate::runtime::Net;

/// Where `gcloud` keeps what `gcloud auth application-default login` made.
const WELL_KNOWN: &str = ".config/gcloud/application_default_credentials.json";

/// Opens `gs://bucket/prefix` with the options of DVC's `gs` remotes.
///
/// Credentials are `credentialpath`, else `GOOGLE_APPLICATION_CREDENTIALS` of the surroundings, else the file of
/// `gcloud`; where there is none, the signer below asks the machine's metadata server. `STORAGE_EMULATOR_HOST` of the
/// surroundings names a server that wants none. `projectname` is taken and makes no difference: it is for the making and
/// listing of buckets.
///
/// # Errors
///
/// When the address, an option or a file that an option names is wrong.
pub(crate) fn open(
    address: &StorageAddress,
    around: &Surroundings,
    net: &Net,
) -> Result<Arc<dyn Storage>, AddressError> {
    let (bucket, prefix) = place(address)?;
    let mut options = Options::new(address, around);
    let is_aware = options.flag("version_aware")?;
    let versions = if is_aware { Versions::Generations } else { Versions::Off };
    options.ignore(&["projectname"]);
    let wire = options.wire("connect_timeout", "read_timeout")?;
    let env =
        |name: &str| around.env.get(name).map(String::as_str).filter(|value| !value.is_empty());

    let mut config = GcsConfig::default();
    config.bucket.clone_from(&bucket);
    let emulator = env("STORAGE_EMULATOR_HOST");
    let endpoint = options.text("endpointurl").or(emulator);
    config.endpoint = endpoint.map(|endpoint| {
        let endpoint = endpoint.trim_end_matches('/');
        if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") }
    });
    // Parts side by side are of Google's other API, which nobody who imitates it has.
    let is_google = config.endpoint.as_ref().is_none_or(|url| url.contains("googleapis.com"));
    let upload = if is_google { Upload::Parts } else { Upload::Session };
    let credentials = options.file("credentialpath")?;
    let named = env("GOOGLE_APPLICATION_CREDENTIALS").map(|path| expand(path, around));
    let usual = around.home.as_ref().map(|home| home.join(WELL_KNOWN));
    let credentials = credentials.or(named).or(usual.filter(|path| path.is_file()));
    config.skip_signature =
        options.flag("allow_anonymous_login")? || (credentials.is_none() && emulator.is_some());
    config.credential_path = credentials.map(|path| path.display().to_string());
    options.finish()?;

    let client = wire.client(around)?;
    let build = Box::new(move |_: &str| Operator::new(config.clone().into_builder()));
    let label = if prefix.is_empty() { bucket } else { format!("{bucket}/{prefix}") };
    Ok(shared(BucketStorage {
        label: format!("gs://{label}"),
        prefix,
        versions,
        marks: Marks::Hex,
        upload,
        region: Region::Known(String::new()),
        build,
        client,
        wire,
        net: net.clone(),
        operator: OnceCell::new(),
    }))
}
