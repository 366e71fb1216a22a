//! Azure Blob Storage.

use std::sync::Arc;

use exp_cache::{AddressError, Storage, StorageAddress};
use opendal::services::{Azblob, AzblobConfig};
use opendal::{Configurator, Operator};
use tokio::sync::OnceCell;

use super::aim::{SharedKey, Versions};
use super::mark::Marks;
use super::options::{Options, place, wrong};
use super::storage::{BucketStorage, Region, Upload, shared};
use crate::Surroundings;
use crate::runtime::Net;

/// Opens `azure://container/prefix` with the options of DVC's `azure` remotes.
///
/// The account, and who we are, come from the options, else from `AZURE_STORAGE_…` of the surroundings: a connection
/// string, an account's key, or a shared access signature. Where there is none of these, the signer below looks by
/// itself, in the environment of the process and not in the surroundings: `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
/// `AZURE_CLIENT_SECRET`, workload and managed identities.
///
/// # Errors
///
/// When the address or an option is wrong, or no account is named.
pub(crate) fn open(
    address: &StorageAddress,
    around: &Surroundings,
    net: &Net,
) -> Result<Arc<dyn Storage>, AddressError> {
    let (container, prefix) = place(address)?;
    let mut options = Options::new(address, around);
    let is_aware = options.flag("version_aware")?;
    for (name, variable) in [
        ("tenant_id", "AZURE_TENANT_ID"),
        ("client_id", "AZURE_CLIENT_ID"),
        ("client_secret", "AZURE_CLIENT_SECRET"),
    ] {
        options.refuse(name, &format!("a service principal is taken from `{variable}` only"))?;
    }
    let mut wire = options.wire("connection_timeout", "read_timeout")?;
    if let Some(time) = options.seconds("timeout")? {
        wire.stall = wire.stall.min(time);
    }

    let config = account(&mut options, around)?;
    let is_found =
        config.skip_signature || config.account_key.is_some() || config.sas_token.is_some();
    // Nobody else is asked when there is a key.
    options.ignore(&[
        "exclude_visual_studio_code_credential",
        "exclude_shared_token_cache_credential",
    ]);
    for name in ["exclude_environment_credential", "exclude_managed_identity_credential"] {
        if is_found {
            options.ignore(&[name]);
        } else {
            options
                .refuse(name, "without a key, a signature or a connection string both are tried")?;
        }
    }
    options.finish()?;
    let versions = if is_aware { versions(&config)? } else { Versions::Off };

    let client = wire.client(around)?;
    let label = if prefix.is_empty() { container.clone() } else { format!("{container}/{prefix}") };
    let build = Box::new(move |_: &str| {
        let builder: Azblob = config.clone().into_builder();
        Operator::new(builder.container(&container))
    });
    Ok(shared(BucketStorage {
        label: format!("azure://{label}"),
        prefix,
        versions,
        marks: Marks::Quoted,
        upload: Upload::Parts,
        region: Region::Known(String::new()),
        build,
        client,
        wire,
        net: net.clone(),
        operator: OnceCell::new(),
    }))
}

/// Returns how old versions are asked for by who we are.
fn versions(config: &AzblobConfig) -> Result<Versions, AddressError> {
    // The library prefers a signature, which says nothing of versions.
    let key = config.account_key.as_deref();
    let Some(key) = key.filter(|_| config.sas_token.is_none() && !config.skip_signature) else {
        return Ok(Versions::OfBlobs(None));
    };
    match &config.account_name {
        Some(name) => Ok(Versions::OfBlobs(Some(SharedKey::new(name, key)))),
        None => Err(wrong("account_name", "is needed for `version_aware` with a key")),
    }
}

/// Takes the options about the account. Each of them wins over the connection string, and that over the environment.
fn account(options: &mut Options<'_>, around: &Surroundings) -> Result<AzblobConfig, AddressError> {
    let env = |names: &[&str]| {
        let mut values = names.iter().filter_map(|name| around.env.get(*name));
        values.find(|value| !value.is_empty()).map(String::as_str)
    };
    let string = options.text("connection_string");
    let name = options.text("account_name");
    let string = match (string, name) {
        (None, None) => env(&["AZURE_STORAGE_CONNECTION_STRING"]),
        (string, _) => string,
    };
    let mut config = match string {
        Some(string) => parse(string).ok_or_else(|| {
            wrong("connection_string", "is no connection string of a storage account")
        })?,
        None => AzblobConfig::default(),
    };
    let name = name.or_else(|| env(&["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"]));
    if let Some(name) = name.filter(|_| config.account_name.is_none() || string.is_none()) {
        config.account_name = Some(name.to_owned());
    }
    let is_bare = config.account_key.is_none() && config.sas_token.is_none();
    let key = options.text("account_key");
    let key = key
        .or_else(|| env(&["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"]).filter(|_| is_bare));
    if let Some(key) = key {
        config.account_key = Some(key.to_owned());
    }
    let token = options.text("sas_token");
    let token =
        token.or_else(|| env(&["AZURE_STORAGE_SAS_TOKEN"]).filter(|_| is_bare && key.is_none()));
    if let Some(token) = token {
        config.sas_token = Some(token.trim_start_matches('?').to_owned());
    }
    if options.flag("allow_anonymous_login")? && key.is_none() && token.is_none() && is_bare {
        config.skip_signature = true;
    }
    if config.endpoint.is_none() {
        let Some(name) = &config.account_name else {
            let reason = "no storage account is named: set it, or `connection_string`";
            return Err(wrong("account_name", reason));
        };
        config.endpoint = Some(format!("https://{name}.blob.core.windows.net"));
    }
    Ok(config)
}

/// Reads a connection string. Says nothing about why it cannot: it holds secrets.
fn parse(string: &str) -> Option<AzblobConfig> {
    let fields = string.split(';').filter_map(|field| field.trim().split_once('='));
    let field = |name: &str| {
        let mut fields = fields.clone();
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let mut config = AzblobConfig::default();
    if field("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        config.account_name = Some("devstoreaccount1".to_owned());
        // Known to everybody: the key of the emulator.
        config.account_key = Some(
            "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
                .to_owned(),
        );
        let host = field("DevelopmentStorageProxyUri");
        let host = host.unwrap_or_else(|| "http://127.0.0.1".to_owned());
        config.endpoint = Some(format!("{}:10000/devstoreaccount1", host.trim_end_matches('/')));
        return Some(config);
    }
    config.account_name = field("AccountName");
    config.account_key = field("AccountKey");
    config.sas_token =
        field("SharedAccessSignature").map(|token| token.trim_start_matches('?').to_owned());
    let scheme = field("DefaultEndpointsProtocol").unwrap_or_else(|| "https".to_owned());
    let suffix = field("EndpointSuffix").unwrap_or_else(|| "core.windows.net".to_owned());
    let by_name =
        config.account_name.as_ref().map(|name| format!("{scheme}://{name}.blob.{suffix}"));
    let endpoint = field("BlobEndpoint").or(by_name)?;
    config.endpoint = Some(endpoint.trim_end_matches('/').to_owned());
    Some(config)
}
