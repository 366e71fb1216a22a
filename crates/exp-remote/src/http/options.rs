//! How a server is reached: the options and the surroundings that plain HTTP and WebDAV have in common.

use std::path::Path;
use std::time::Duration;

use exp_cache::{AddressError, StorageAddress};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy, redirect};
use url::Url;

use super::web::Auth;
use crate::Surroundings;
use crate::given::{Given, percent_decoded, refused};

/// Until a server answers at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Parses the address of a server; `scheme` is the one that its requests have.
pub(crate) fn parse(address: &StorageAddress, scheme: &str) -> Result<Url, AddressError> {
    let rest = address.url.split_once("://").map_or("", |(_, rest)| rest);
    let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|err| AddressError::Url {
        shown: format!("{}://…", address.scheme()),
        reason: err.to_string(),
    })?;
    Ok(url)
}

/// Takes the name and the password out of an address.
pub(crate) fn take_credentials(url: &mut Url) -> (Option<String>, Option<String>) {
    let user = Some(percent_decoded(url.username())).filter(|user| !user.is_empty());
    let password = url.password().map(percent_decoded);
    // These fail on addresses that have no host, which do not parse here.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (user, password)
}

/// Begins a client for one server. It follows no redirects, and reads no environment.
pub(crate) fn client(
    given: &Given<'_>,
    connect_timeout: Option<Duration>,
    surroundings: &Surroundings,
) -> Result<ClientBuilder, AddressError> {
    let mut builder = Client::builder()
        .user_agent(concat!("exp/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(connect_timeout.unwrap_or(CONNECT_TIMEOUT))
        .tcp_nodelay(true)
        .no_proxy();
    for proxy in proxies(surroundings)? {
        builder = builder.proxy(proxy);
    }
    match given.text("ssl_verify").map(|text| (text, text.to_ascii_lowercase())) {
        None => Ok(builder),
        Some((_, lower)) if lower == "true" => Ok(builder),
        Some((_, lower)) if lower == "false" => Ok(builder.tls_danger_accept_invalid_certs(true)),
        Some((path, _)) => {
            let path = at_home(path, surroundings);
            Ok(builder.tls_certs_merge(certificates(Path::new(&path))?))
        }
    }
}

/// Ends a client.
pub(crate) fn build(builder: ClientBuilder) -> Result<Client, AddressError> {
    builder
        .build()
        .map_err(|err| refused("ssl_verify", &format!("no client: {}", err.without_url())))
}

pub(crate) fn at_home(path: &str, surroundings: &Surroundings) -> String {
    match (path.strip_prefix("~/"), &surroundings.home) {
        (Some(rest), Some(home)) => home.join(rest).display().to_string(),
        _ => path.to_owned(),
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, AddressError> {
    let wrong = |reason: String| refused("ssl_verify", &format!("{}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|err| wrong(err.to_string()))?;
    let certificates =
        Certificate::from_pem_bundle(&bytes).map_err(|err| wrong(err.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// Returns what the variables of the environment say, the lower case ones first, as `curl` reads them.
fn proxies(surroundings: &Surroundings) -> Result<Vec<Proxy>, AddressError> {
    let set = |name: &'static str| {
        [name.to_ascii_lowercase(), name.to_owned()]
            .iter()
            .find_map(|name| surroundings.env.get(name))
            .filter(|value| !value.trim().is_empty())
            .map(|value| (name, value.as_str()))
    };
    let except = set("NO_PROXY").and_then(|(_, list)| NoProxy::from_string(list));
    let mut proxies = Vec::new();
    for own in ["HTTP_PROXY", "HTTPS_PROXY"] {
        let Some((name, value)) = set(own).or_else(|| set("ALL_PROXY")) else { continue };
        let proxy = if own == "HTTP_PROXY" { Proxy::http(value) } else { Proxy::https(value) };
        // Its value may hold a password.
        let proxy = proxy.map_err(|_| refused(name, "is no address of a proxy"))?;
        proxies.push(proxy.no_proxy(except.clone()));
    }
    Ok(proxies)
}

/// Returns a header that shows who we are.
pub(crate) fn header(name: &str, value: &str) -> Result<Auth, AddressError> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| refused("custom_auth_header", "is no name of a header"))?;
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| refused("password", "has characters that no header has"))?;
    value.set_sensitive(true);
    Ok(Auth::Header(name, value))
}

/// Returns the password; where a person was to be asked for it, the refusal.
pub(crate) fn password(
    given: &Given<'_>,
    in_url: Option<String>,
) -> Result<Option<String>, AddressError> {
    let asks = given.flag("ask_password")? == Some(true);
    match given.text("password").map(str::to_owned).or(in_url) {
        None if asks => Err(refused("ask_password", "asks nobody here; set `password` instead")),
        password => Ok(password),
    }
}
