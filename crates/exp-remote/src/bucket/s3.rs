//! Amazon S3 and what speaks like it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use exp_cache::{AddressError, Storage, StorageAddress};
use opendal::services::{S3, S3Config};
use opendal::{Configurator, Operator};
use tokio::sync::OnceCell;

use super::aim::Versions;
use super::mark::{Marks, base64};
use super::options::{Options, expand, place, wrong};
use super::profile::Profiles;
use super::storage::{BucketStorage, Region, Upload, shared};
use crate::Surroundings;
use crate::runtime::Net;

/// Opens `s3://bucket/prefix` with the options of DVC's `s3` remotes.
///
/// Who we are is looked for as `boto3` does it: the options; unless a profile is named, `AWS_ACCESS_KEY_ID` and its like
/// of the surroundings; the profile in the files `credentials` and `config` of AWS, also one that takes on a role by the
/// keys of another. Where there is nothing of that kind, the signer below looks by itself, in the environment of the
/// process and not in the surroundings: web identity, single sign-on, `credential_process`, container and machine roles.
///
/// An endpoint is spoken to with the bucket in the path, AWS with the bucket in the host.
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
    let versions = if is_aware { Versions::OfLibrary } else { Versions::Off };
    let wire = options.wire("connect_timeout", "read_timeout")?;
    options.ignore(&["cache_regions"]);
    for name in ["grant_read", "grant_read_acp", "grant_write_acp", "grant_full_control"] {
        options.refuse(name, "single grants are not sent; use `acl`, or a policy of the bucket")?;
    }

    let mut config = S3Config::default();
    config.bucket.clone_from(&bucket);
    let who = Who::find(&mut options, around)?;
    who.apply(&mut config);

    let use_ssl = options.switch("use_ssl")?.unwrap_or(true);
    let endpoint = options.text("endpointurl").or_else(|| env(around, "AWS_ENDPOINT_URL_S3"));
    let endpoint = endpoint.or_else(|| env(around, "AWS_ENDPOINT_URL"));
    let endpoint = endpoint.or_else(|| who.setting("endpoint_url"));
    let scheme = if use_ssl { "https" } else { "http" };
    let endpoint = endpoint.map(|endpoint| {
        if endpoint.contains("://") {
            endpoint.to_owned()
        } else {
            format!("{scheme}://{endpoint}")
        }
    });
    let region = options.text("region").or_else(|| env(around, "AWS_REGION"));
    let region = region.or_else(|| env(around, "AWS_DEFAULT_REGION"));
    let region = match (region.or_else(|| who.setting("region")), &endpoint) {
        (Some(region), _) => Region::Known(region.to_owned()),
        (None, Some(_)) => Region::Known("us-east-1".to_owned()),
        (None, None) => Region::OfBucket(bucket.clone()),
    };
    let is_compatible = endpoint.as_deref().is_some_and(|url| !url.contains("amazonaws.com"));
    config.enable_virtual_host_style = !bucket.contains('.')
        && match who.setting("s3.addressing_style") {
            Some("path") => false,
            Some("virtual") => true,
            _ => endpoint.is_none(),
        };
    let off = env(around, "AWS_EC2_METADATA_DISABLED");
    config.disable_ec2_metadata |=
        is_compatible || off.is_some_and(|off| off.eq_ignore_ascii_case("true"));

    // Buckets with locks want a checksum; not everybody who imitates S3 takes one.
    config.checksum_algorithm = (!is_compatible).then(|| "crc32c".to_owned());
    config.default_acl = options.text("acl").map(str::to_owned);
    let customer_key = encryption(&mut options, &mut config)?;
    options.finish()?;

    let (client, wire) = (wire.client(around)?, wire);
    let build = Box::new(move |region: &str| {
        let mut config = config.clone();
        config.region = Some(region.to_owned());
        config.endpoint = Some(match &endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("{scheme}://s3.{region}.{}", domain(region)),
        });
        let mut builder: S3 = config.into_builder();
        if let Some((algorithm, key)) = &customer_key {
            builder = builder.server_side_encryption_with_customer_key(algorithm, key);
        }
        Operator::new(builder)
    });
    let label = if prefix.is_empty() { bucket } else { format!("{bucket}/{prefix}") };
    Ok(shared(BucketStorage {
        label: format!("s3://{label}"),
        prefix,
        versions,
        marks: Marks::Plain,
        upload: Upload::Parts,
        region,
        build,
        client,
        wire,
        net: net.clone(),
        operator: OnceCell::new(),
    }))
}

/// Returns the domain of a region's endpoints.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// Takes the options about encryption at rest. Returns the algorithm and the key, where the key is the user's own.
fn encryption(
    options: &mut Options<'_>,
    config: &mut S3Config,
) -> Result<Option<(String, Vec<u8>)>, AddressError> {
    config.server_side_encryption = options.text("sse").map(str::to_owned);
    config.server_side_encryption_aws_kms_key_id =
        options.text("sse_kms_key_id").map(str::to_owned);
    let algorithm = options.text("sse_customer_algorithm");
    let Some(key) = options.text("sse_customer_key") else {
        return match algorithm {
            Some(_) => Err(wrong("sse_customer_algorithm", "needs `sse_customer_key`")),
            None => Ok(None),
        };
    };
    if config.server_side_encryption_aws_kms_key_id.is_some() {
        return Err(wrong("sse_customer_key", "cannot be used together with `sse_kms_key_id`"));
    }
    match base64(key) {
        Some(key) => Ok(Some((algorithm.unwrap_or("AES256").to_owned(), key))),
        None => Err(wrong("sse_customer_key", "is not base64")),
    }
}

/// Who we are, as far as it is known without asking anybody.
#[derive(Debug)]
struct Who {
    identity: Identity,
    profile: String,
    /// The name was given, not assumed.
    is_named: bool,
    files: Profiles,
}

enum Identity {
    Nobody,
    Keys(Keys),
    Role { arn: String, keys: Keys },
    Unknown,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Keys(_) => "Keys",
            Self::Role { .. } => "Role",
            Self::Unknown => "Unknown",
        })
    }
}

struct Keys {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Keys {
    fn new(id: &str, secret: &str, token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        Self { id: id.to_owned(), secret: secret.to_owned(), token }
    }

    fn of(files: &Profiles, profile: &str) -> Option<Self> {
        let get = |key: &str| files.get(profile, key);
        let token = get("aws_session_token");
        Some(Self::new(get("aws_access_key_id")?, get("aws_secret_access_key")?, token))
    }
}

impl Who {
    fn find(options: &mut Options<'_>, around: &Surroundings) -> Result<Self, AddressError> {
        let named = options.text("profile");
        let assumed = env(around, "AWS_PROFILE").or_else(|| env(around, "AWS_DEFAULT_PROFILE"));
        let profile = named.or(assumed).unwrap_or("default").to_owned();
        // As in DVC, a path in the environment wins over one in the configuration.
        let file = |option: Option<PathBuf>, variable: &str, usual: &str| {
            let path = env(around, variable).map(|path| expand(path, around)).or(option);
            path.or_else(|| Some(around.home.as_ref()?.join(usual)))
        };
        let credentials = options.file("credentialpath")?;
        let credentials = file(credentials, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        let config = file(options.file("configpath")?, "AWS_CONFIG_FILE", ".aws/config");
        let read = |path: Option<PathBuf>| {
            let text = path.and_then(|path| fs::read_to_string(path).ok());
            Profiles::parse(&text.unwrap_or_default())
        };
        let files = read(credentials).with(read(config));
        if let Some(named) = named.filter(|named| !files.has(named)) {
            return Err(wrong("profile", &format!("there is no profile `{named}`")));
        }

        let is_anonymous = options.flag("allow_anonymous_login")?;
        let (id, secret) = (options.text("access_key_id"), options.text("secret_access_key"));
        let token = options.text("session_token");
        let identity = match (id, secret) {
            (Some(id), Some(secret)) => Identity::Keys(Keys::new(id, secret, token)),
            (Some(_), None) => return Err(wrong("access_key_id", "needs `secret_access_key`")),
            (None, Some(_)) => return Err(wrong("secret_access_key", "needs `access_key_id`")),
            (None, None) if is_anonymous => Identity::Nobody,
            (None, None) => {
                let by_env = if named.is_some() { None } else { environment(around) };
                by_env.map_or_else(|| stored(&files, &profile), Identity::Keys)
            }
        };
        let is_named = named.or(assumed).is_some();
        Ok(Self { identity, profile, is_named, files })
    }

    /// Returns a setting of the profile.
    fn setting(&self, key: &str) -> Option<&str> {
        self.files.get(&self.profile, key)
    }

    fn apply(&self, config: &mut S3Config) {
        let keys = match &self.identity {
            Identity::Nobody => {
                config.skip_signature = true;
                return;
            }
            Identity::Unknown => {
                config.profile = self.is_named.then(|| self.profile.clone());
                return;
            }
            Identity::Keys(keys) => keys,
            Identity::Role { arn, keys } => {
                let setting = |key: &str| self.setting(key).map(str::to_owned);
                config.role_arn = Some(arn.clone());
                config.external_id = setting("external_id");
                config.role_session_name = setting("role_session_name");
                config.assume_role_duration_seconds =
                    self.setting("duration_seconds").and_then(|seconds| seconds.parse().ok());
                keys
            }
        };
        config.access_key_id = Some(keys.id.clone());
        config.secret_access_key = Some(keys.secret.clone());
        config.session_token.clone_from(&keys.token);
        config.disable_config_load = true;
        config.disable_ec2_metadata = true;
    }
}

/// Returns who the environment says that we are.
fn environment(around: &Surroundings) -> Option<Keys> {
    let id = env(around, "AWS_ACCESS_KEY_ID")?;
    let secret = env(around, "AWS_SECRET_ACCESS_KEY")?;
    let token = env(around, "AWS_SESSION_TOKEN").or_else(|| env(around, "AWS_SECURITY_TOKEN"));
    Some(Keys::new(id, secret, token))
}

/// Returns who the files say that we are.
fn stored(files: &Profiles, profile: &str) -> Identity {
    let source = files.get(profile, "source_profile");
    let role = files.get(profile, "role_arn").zip(source.and_then(|from| Keys::of(files, from)));
    if let Some((arn, keys)) = role {
        return Identity::Role { arn: arn.to_owned(), keys };
    }
    Keys::of(files, profile).map_or(Identity::Unknown, Identity::Keys)
}

/// Returns a variable of the surroundings that is set to something.
fn env<'a>(around: &'a Surroundings, name: &str) -> Option<&'a str> {
    around.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
}
