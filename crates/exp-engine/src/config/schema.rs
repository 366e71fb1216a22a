//! Which sections and options exist and what they take: DVC's schema, section 12 of the format notes.

use super::key::{ConfigKey, ConfigSection, ConfigValue};

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Text that is never shown.
    Secret,
    /// A path, relative to the directory of the file that holds it.
    Path,
    Bool,
    /// `true`, `false` or any text, which then is a path.
    BoolOrText,
    Int,
    /// A whole number of at least 1.
    Count,
    Number,
    Choice(&'static [&'static str]),
    /// A list of link types.
    Links,
}

type Options = &'static [(&'static str, Kind)];

use Kind::{Bool, BoolOrText, Choice, Count, Int, Links, Number, Path, Secret, Text};

const PLAIN: &[(&str, Options)] = &[
    (
        "core",
        &[
            ("remote", Text),
            ("checksum_jobs", Count),
            ("interactive", Bool),
            ("analytics", Bool),
            ("hardlink_lock", Bool),
            ("no_scm", Bool),
            ("autostage", Bool),
            ("experiments", Bool),
            ("check_update", Bool),
            ("site_cache_dir", Text),
            ("machine", Text),
        ],
    ),
    (
        "cache",
        &[
            ("local", Text),
            ("s3", Text),
            ("gs", Text),
            ("hdfs", Text),
            ("webhdfs", Text),
            ("ssh", Text),
            ("azure", Text),
            ("dir", Path),
            ("type", Links),
            ("protected", Bool),
            ("shared", Choice(&["group"])),
            ("slow_link_warning", Bool),
            ("verify", Bool),
        ],
    ),
    ("state", &[("dir", Text), ("row_limit", Count), ("row_cleanup_quota", Int)]),
    ("index", &[("dir", Text)]),
    ("plots", &[("html_template", Text), ("auto_open", Bool), ("out_dir", Text)]),
    (
        "exp",
        &[
            ("code", Text),
            ("data", Text),
            ("models", Text),
            ("metrics", Text),
            ("params", Text),
            ("plots", Text),
            ("live", Text),
            ("auto_push", Bool),
            ("git_remote", Text),
        ],
    ),
    (
        "parsing",
        &[
            ("bool", Choice(&["store_true", "boolean_optional"])),
            ("list", Choice(&["nargs", "append"])),
        ],
    ),
    (
        "hydra",
        &[
            ("enabled", Bool),
            ("config_dir", Text),
            ("config_module", Text),
            ("config_name", Text),
            ("plugins_path", Text),
        ],
    ),
    ("studio", &[("token", Secret), ("url", Text), ("repo_url", Text), ("offline", Bool)]),
];

const MACHINE: Options = &[
    ("cloud", Choice(&["aws", "azure"])),
    ("region", Choice(&["us-west", "us-east", "eu-west", "eu-north"])),
    ("image", Text),
    ("spot", Bool),
    ("spot_price", Number),
    ("instance_hdd_size", Int),
    ("instance_type", Text),
    ("instance_gpu", Text),
    ("ssh_private", Secret),
    ("startup_script", Path),
    ("setup_script", Path),
];

const DB: Options = &[("url", Secret), ("username", Text), ("password", Secret)];

const REMOTE: Options = &[
    ("url", Path),
    ("checksum_jobs", Count),
    ("jobs", Count),
    ("worktree", Bool),
    ("no_traverse", Bool),
    ("version_aware", Bool),
];

const LOCAL: Options = &[
    ("type", Links),
    ("protected", Bool),
    ("shared", Choice(&["group"])),
    ("slow_link_warning", Bool),
    ("verify", Bool),
];

const HTTP: Options = &[
    ("auth", Choice(&["basic", "digest", "custom"])),
    ("custom_auth_header", Secret),
    ("user", Text),
    ("password", Secret),
    ("ask_password", Bool),
    ("ssl_verify", BoolOrText),
    ("method", Text),
    ("connect_timeout", Number),
    ("read_timeout", Number),
    ("verify", Bool),
];

const WEBDAV: Options = &[
    ("user", Text),
    ("password", Secret),
    ("ask_password", Bool),
    ("token", Secret),
    ("bearer_token_command", Text),
    ("custom_auth_header", Secret),
    ("cert_path", Path),
    ("key_path", Path),
    ("timeout", Int),
    ("ssl_verify", BoolOrText),
    ("verify", Bool),
];

/// Options of a remote beside [`REMOTE`], by the scheme of its URL; the empty one is a path.
const SCHEMES: &[(&str, Options)] = &[
    ("", LOCAL),
    (
        "s3",
        &[
            ("region", Text),
            ("profile", Text),
            ("credentialpath", Path),
            ("configpath", Path),
            ("endpointurl", Text),
            ("access_key_id", Secret),
            ("secret_access_key", Secret),
            ("session_token", Secret),
            ("listobjects", Bool),
            ("use_ssl", Bool),
            ("allow_anonymous_login", Bool),
            ("ssl_verify", BoolOrText),
            ("sse", Text),
            ("sse_kms_key_id", Text),
            ("sse_customer_algorithm", Text),
            ("sse_customer_key", Secret),
            ("acl", Text),
            ("grant_read", Text),
            ("grant_read_acp", Text),
            ("grant_write_acp", Text),
            ("grant_full_control", Text),
            ("cache_regions", Bool),
            ("read_timeout", Int),
            ("connect_timeout", Int),
            ("verify", Bool),
        ],
    ),
    (
        "gs",
        &[
            ("projectname", Text),
            ("credentialpath", Path),
            ("endpointurl", Text),
            ("verify", Bool),
            ("allow_anonymous_login", Bool),
        ],
    ),
    (
        "ssh",
        &[
            ("type", Links),
            ("port", Int),
            ("user", Text),
            ("password", Secret),
            ("ask_password", Bool),
            ("passphrase", Secret),
            ("ask_passphrase", Bool),
            ("keyfile", Path),
            ("timeout", Int),
            ("gss_auth", Bool),
            ("allow_agent", Bool),
            ("max_sessions", Int),
            ("verify", Bool),
        ],
    ),
    ("hdfs", &[("user", Text), ("kerb_ticket", Text), ("replication", Int)]),
    (
        "webhdfs",
        &[
            ("kerberos", Bool),
            ("kerberos_principal", Text),
            ("proxy_to", Text),
            ("ssl_verify", BoolOrText),
            ("token", Secret),
            ("use_https", Bool),
            ("user", Text),
            ("password", Secret),
            ("data_proxy_target", Text),
            ("verify", Bool),
        ],
    ),
    (
        "azure",
        &[
            ("connection_string", Secret),
            ("sas_token", Secret),
            ("account_name", Text),
            ("account_key", Secret),
            ("tenant_id", Text),
            ("client_id", Text),
            ("client_secret", Secret),
            ("allow_anonymous_login", Bool),
            ("exclude_environment_credential", Bool),
            ("exclude_visual_studio_code_credential", Bool),
            ("exclude_shared_token_cache_credential", Bool),
            ("exclude_managed_identity_credential", Bool),
            ("verify", Bool),
            ("timeout", Int),
            ("read_timeout", Int),
            ("connection_timeout", Int),
        ],
    ),
    (
        "oss",
        &[
            ("oss_key_id", Secret),
            ("oss_key_secret", Secret),
            ("oss_endpoint", Text),
            ("verify", Bool),
        ],
    ),
    (
        "gdrive",
        &[
            ("profile", Text),
            ("gdrive_use_service_account", Bool),
            ("gdrive_client_id", Text),
            ("gdrive_client_secret", Secret),
            ("gdrive_user_credentials_file", Path),
            ("gdrive_service_account_user_email", Text),
            ("gdrive_service_account_json_file_path", Path),
            ("gdrive_trash_only", Bool),
            ("gdrive_acknowledge_abuse", Bool),
            ("verify", Bool),
        ],
    ),
    ("http", HTTP),
    ("https", HTTP),
    ("webdav", WEBDAV),
    ("webdavs", WEBDAV),
];

/// Where an option stands in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Kind(Kind),
    /// Not checked: a section of experimental features, or a remote that points to another one.
    Unchecked,
    NoSection,
    NoOption,
}

/// Returns the scheme that decides over a remote's options; empty for a path.
///
/// As Python's `urlparse` sees it: without something between `//` and the next `/` it is a path.
pub(super) fn scheme(url: &str) -> &str {
    match url.split_once("://") {
        Some((scheme, rest)) if !rest.is_empty() && !rest.starts_with('/') => scheme,
        _ => "",
    }
}

/// Returns whether remotes may have this scheme.
pub(super) fn is_supported(scheme: &str) -> bool {
    scheme == "remote" || SCHEMES.iter().any(|(known, _)| *known == scheme)
}

/// Looks an option up. `url` is that of the remote which has it; without one any remote's option is accepted.
pub(super) fn find(key: &ConfigKey, url: Option<&str>) -> Found {
    let of = |options: Options| {
        let found = options.iter().find(|(name, _)| *name == key.option);
        found.map_or(Found::NoOption, |(_, kind)| Found::Kind(*kind))
    };
    match (key.section.group.as_str(), &key.section.name) {
        ("feature", None) => Found::Unchecked,
        ("machine", Some(_)) => of(MACHINE),
        ("db", Some(_)) => of(DB),
        ("remote", Some(_)) => match of(REMOTE) {
            Found::NoOption => match url.map(scheme) {
                Some("remote") => Found::Unchecked,
                Some(scheme) => SCHEMES
                    .iter()
                    .find(|(known, _)| *known == scheme)
                    .map_or(Found::NoOption, |(_, options)| of(options)),
                None => SCHEMES
                    .iter()
                    .map(|(_, options)| of(options))
                    .find(|found| matches!(found, Found::Kind(_)))
                    .unwrap_or(Found::NoOption),
            },
            found => found,
        },
        (group, None) => PLAIN
            .iter()
            .find(|(known, _)| *known == group)
            .map_or(Found::NoSection, |(_, options)| of(options)),
        _ => Found::NoSection,
    }
}

/// Returns whether a path relative to the configuration's directory is what the option takes.
pub(super) fn is_path(key: &ConfigKey) -> bool {
    find(key, None) == Found::Kind(Path)
}

/// Returns whether the option's value must not be shown.
pub(super) fn is_secret(key: &ConfigKey) -> bool {
    find(key, None) == Found::Kind(Secret)
}

/// Returns the names of all sections, for a suggestion.
pub(super) fn sections() -> Vec<&'static str> {
    PLAIN.iter().map(|(name, _)| *name).chain(["remote", "db", "machine", "feature"]).collect()
}

/// Returns the names of the options of `section`, for a suggestion.
pub(super) fn options(section: &ConfigSection, url: Option<&str>) -> Vec<&'static str> {
    let names = |options: Options| options.iter().map(|(name, _)| *name);
    match (section.group.as_str(), &section.name) {
        ("machine", Some(_)) => names(MACHINE).collect(),
        ("db", Some(_)) => names(DB).collect(),
        ("remote", Some(_)) => names(REMOTE)
            .chain(
                SCHEMES
                    .iter()
                    .filter(|(known, _)| url.is_none_or(|url| scheme(url) == *known))
                    .flat_map(|(_, options)| names(options)),
            )
            .collect(),
        (group, _) => PLAIN
            .iter()
            .filter(|(known, _)| *known == group)
            .flat_map(|(_, options)| names(options))
            .collect(),
    }
}

/// Says what is expected instead of `value`, in DVC's words; `None` when the value is fine.
pub(super) fn complaint(kind: Kind, value: &ConfigValue) -> Option<String> {
    let text = match value {
        ConfigValue::Text(text) => text.as_str(),
        ConfigValue::List(_) if kind == Links => "",
        ConfigValue::List(_) => return Some("str".to_owned()),
    };
    let lower = text.to_lowercase();
    match kind {
        Text | Secret | Path | BoolOrText => None,
        Bool => (!matches!(lower.as_str(), "true" | "false")).then(|| "true or false".to_owned()),
        Int => text.trim().parse::<i64>().is_err().then(|| "int".to_owned()),
        Count => match text.trim().parse::<i64>() {
            Err(_) => Some("int".to_owned()),
            Ok(number) => (number < 1).then(|| "a value of at least 1".to_owned()),
        },
        Number => text.trim().parse::<f64>().is_err().then(|| "float".to_owned()),
        Choice(names) => {
            (!names.contains(&lower.as_str())).then(|| format!("one of {}", names.join(", ")))
        }
        Links => {
            let known = ["reflink", "hardlink", "symlink", "copy"];
            value
                .items()
                .iter()
                .any(|item| !known.contains(item))
                .then(|| format!("some of {}", known.join(", ")))
        }
    }
}

/// Returns the name most like `text`, if one is alike: at most a third of its characters differ.
pub fn nearest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    names
        .into_iter()
        .map(|name| (exp_core::edit_distance(text, name), name))
        .filter(|(far, name)| *far * 3 <= name.chars().count().max(3))
        .min()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_belongs_to_its_scheme() {
        let key = |text: &str| text.parse::<ConfigKey>().unwrap();
        assert_eq!(find(&key("remote.x.region"), Some("s3://b")), Found::Kind(Text));
        assert_eq!(find(&key("remote.x.region"), Some("/tmp")), Found::NoOption);
        assert_eq!(find(&key("remote.x.region"), None), Found::Kind(Text));
        assert_eq!(find(&key("core.nope"), None), Found::NoOption);
        assert_eq!(find(&key("nope.x"), None), Found::NoSection);
        assert!(is_secret(&key("remote.x.password")) && !is_secret(&key("remote.x.user")));
    }

    #[test]
    fn suggestions_are_alike_or_absent() {
        for (text, expect) in [
            ("autostaeg", Some("autostage")),
            ("remot", Some("remote")),
            ("zzz", None),
            ("no_smc", Some("no_scm")),
        ] {
            let found = nearest(text, options(&ConfigSection::plain("core"), None));
            assert_eq!(found.as_deref(), expect, "{text}");
        }
    }
}
