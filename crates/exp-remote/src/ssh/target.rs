//! Which server, who we are there, and by what it is known: the address, its options, and `~/.ssh/config`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use exp_cache::{AddressError, StorageAddress};

use super::config_file::HostConfig;
use crate::Surroundings;
use crate::given::{Given, percent_decoded, refused};

/// Until a server answers at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Channels on one connection; `sshd` allows ten unless told otherwise.
const CHANNELS: usize = 8;

/// Names of identities in `~/.ssh` when none are named.
const IDENTITIES: [&str; 3] = ["id_ed25519", "id_rsa", "id_ecdsa"];

/// What to do about a host that nothing is known about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strangers {
    /// Refuse it.
    Refuse,
    /// Write its key down and trust it from now on.
    Learn,
}

/// Everything that a login needs. Not for printing: it holds secrets.
pub(super) struct Target {
    /// As the address names it.
    pub(super) alias: String,
    /// Where to connect.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// Under which name the host is known.
    pub(super) known_as: String,
    pub(super) known_hosts: Vec<PathBuf>,
    pub(super) strangers: Strangers,
    pub(super) password: Option<String>,
    pub(super) passphrase: Option<String>,
    /// Names of options that wanted a person to be asked.
    pub(super) would_ask: Vec<&'static str>,
    /// Files of private keys, in the order to try them.
    pub(super) identities: Vec<PathBuf>,
    /// The identities were chosen; a file that cannot be read is an error.
    pub(super) is_chosen: bool,
    /// Whether to offer public keys at all: not when all that was given is a password.
    pub(super) offers_keys: bool,
    /// The socket of an agent.
    pub(super) agent: Option<PathBuf>,
    /// A command whose input and output are the connection.
    pub(super) proxy: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) max_channels: usize,
}

/// An address taken apart.
pub(super) struct Parsed {
    pub(super) target: Target,
    /// The path on the server, absolute; empty for the directory that a login starts in.
    pub(super) path: String,
    /// The address without secrets.
    pub(super) label: String,
}

/// Takes an address apart.
pub(super) fn parse(
    address: &StorageAddress,
    surroundings: &Surroundings,
) -> Result<Parsed, AddressError> {
    let wrong = |shown: &str, reason: &str| AddressError::Url {
        shown: shown.to_owned(),
        reason: reason.to_owned(),
    };
    let rest = address.url.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (who, place) = authority.rsplit_once('@').map_or((None, authority), |(w, p)| (Some(w), p));
    let (url_user, url_password) = match who.map(|who| who.split_once(':').unwrap_or((who, ""))) {
        Some((user, password)) => (percent_decoded(user), percent_decoded(password)),
        None => (String::new(), String::new()),
    };
    let (alias, url_port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let shown_who = if url_user.is_empty() { String::new() } else { format!("{url_user}@") };
    let label = format!("ssh://{shown_who}{place}{path}");
    if alias.is_empty() {
        return Err(wrong(&label, "it names no host"));
    }
    // Names end up in commands that `~/.ssh/config` wants run.
    if alias.starts_with('-') || !alias.chars().all(|c| c.is_alphanumeric() || "._-:%".contains(c))
    {
        return Err(wrong(&label, "its host has characters that no host name has"));
    }
    let url_port: Option<u16> = match url_port.filter(|port| !port.is_empty()) {
        Some(port) => Some(port.parse().map_err(|_| wrong(&label, "its port is no number"))?),
        None => None,
    };

    let given = Given::new(&address.options);
    given.refuse_true(
        "gss_auth",
        "logging in with GSSAPI is not supported; use a key, an agent, or a password",
    )?;
    let config = match &surroundings.home {
        Some(home) => HostConfig::read(home, alias),
        None => HostConfig::default(),
    };
    let port = match given.number("port")? {
        Some(port) => Some(u16::try_from(port).map_err(|_| refused("port", "is no port"))?),
        None => url_port.or_else(|| config.text("port")?.parse().ok()),
    };
    let env = |name: &str| surroundings.env.get(name).filter(|value| !value.is_empty()).cloned();
    let user = given
        .text("user")
        .map(str::to_owned)
        .or_else(|| Some(url_user.clone()).filter(|user| !user.is_empty()))
        .or_else(|| config.text("user").map(str::to_owned))
        .or_else(|| env("USER"))
        .or_else(|| env("LOGNAME"))
        .ok_or_else(|| refused("user", "it is not known who to log in as; set it"))?;
    if user.starts_with('-')
        || user.contains(|c: char| c.is_control() || "'`\"$\\;&<>|(){}".contains(c))
    {
        return Err(refused("user", "has characters that no name of a user has"));
    }
    let host = config.text("hostname").map_or_else(|| alias.to_owned(), |h| h.replace("%h", alias));
    let words = Words {
        home: surroundings.home.as_deref(),
        host: &host,
        port: port.unwrap_or(22),
        user: &user,
    };

    let keyfile = given.text("keyfile").map(|file| words.path(file));
    let passphrase = given.text("passphrase").map(str::to_owned);
    let password = given.text("password").map(str::to_owned);
    let password = password.or_else(|| Some(url_password).filter(|text| !text.is_empty()));
    let mut would_ask = Vec::new();
    for (name, has) in
        [("ask_password", password.is_some()), ("ask_passphrase", passphrase.is_some())]
    {
        if given.flag(name)? == Some(true) && !has {
            would_ask.push(name);
        }
    }
    let offers_keys = keyfile.is_some() || passphrase.is_some() || password.is_none();
    let (identities, is_chosen) = match keyfile {
        Some(file) => (vec![file], true),
        None if !config.all("identityfile").is_empty() => {
            (config.all("identityfile").iter().map(|file| words.path(file)).collect(), false)
        }
        None => {
            let dir = surroundings.home.as_ref().map(|home| home.join(".ssh"));
            (dir.iter().flat_map(|dir| IDENTITIES.map(|name| dir.join(name))).collect(), false)
        }
    };
    let only = |word: &str| config.text(word).is_some_and(|text| text.eq_ignore_ascii_case("yes"));
    let agent = match (given.flag("allow_agent")?, config.text("identityagent")) {
        (Some(false), _) | (None, Some("none")) => None,
        _ if is_chosen || only("identitiesonly") => None,
        (_, Some(path)) if path != "SSH_AUTH_SOCK" && path != "none" => {
            Some(words.path(path.trim_start_matches('$')))
        }
        _ => env("SSH_AUTH_SOCK").map(PathBuf::from),
    };
    let max_channels = match given.number("max_sessions")? {
        None => CHANNELS,
        Some(0) => return Err(refused("max_sessions", "is at least 1")),
        Some(n) => usize::try_from(n).unwrap_or(CHANNELS).min(CHANNELS),
    };
    let in_config = || config.text("connecttimeout")?.parse().ok().map(Duration::from_secs);
    let connect_timeout = given.seconds("timeout")?.or_else(in_config).unwrap_or(CONNECT_TIMEOUT);
    given.finish("ssh")?;

    let strangers =
        match config.text("stricthostkeychecking").map(str::to_ascii_lowercase).as_deref() {
            Some("accept-new" | "no" | "off") => Strangers::Learn,
            _ => Strangers::Refuse,
        };
    let target = Target {
        alias: alias.to_owned(),
        known_as: config.text("hostkeyalias").unwrap_or(&host).to_owned(),
        known_hosts: known_hosts(&config, &words),
        strangers,
        password,
        passphrase,
        would_ask,
        identities,
        is_chosen,
        offers_keys,
        agent,
        proxy: proxy(&config, &words),
        connect_timeout,
        max_channels,
        port: words.port,
        user: user.clone(),
        host,
    };
    Ok(Parsed { target, path: path.to_owned(), label })
}

fn known_hosts(config: &HostConfig, words: &Words<'_>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        config.all("userknownhostsfile").iter().map(|file| words.path(file)).collect();
    if let (Some(home), true) = (words.home, files.is_empty()) {
        files.extend(["known_hosts", "known_hosts2"].map(|name| home.join(".ssh").join(name)));
    }
    match config.all("globalknownhostsfile") {
        [] => files.push(PathBuf::from("/etc/ssh/ssh_known_hosts")),
        global => files.extend(global.iter().map(|file| words.path(file))),
    }
    files
}

/// Returns the command that connects instead of us. A jump is left to `ssh`, which knows its own configuration.
fn proxy(config: &HostConfig, words: &Words<'_>) -> Option<String> {
    let set = |word| config.text(word).filter(|text| !text.eq_ignore_ascii_case("none"));
    if let Some(command) = set("proxycommand") {
        return Some(words.expanded(command));
    }
    let jump = set("proxyjump")?;
    let (before, last) = jump.rsplit_once(',').map_or((None, jump), |(b, last)| (Some(b), last));
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let through = before.map_or(String::new(), |before| format!("-J {} ", quoted(before)));
    let last = if last.contains("://") { last.to_owned() } else { format!("ssh://{last}") };
    Some(format!(
        "ssh -o BatchMode=yes {through}-W {} {}",
        quoted(&format!("[{}]:{}", words.host, words.port)),
        quoted(&last)
    ))
}

/// What stands for what in paths and commands of `~/.ssh/config`.
struct Words<'a> {
    home: Option<&'a Path>,
    host: &'a str,
    port: u16,
    user: &'a str,
}

impl Words<'_> {
    fn path(&self, text: &str) -> PathBuf {
        let text = self.expanded(text);
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ if text.starts_with('/') => PathBuf::from(text),
            // Relative ones in the configuration of a remote were made absolute by whoever read it.
            (None, Some(home)) => home.join(text),
            _ => PathBuf::from(text),
        }
    }

    fn expanded(&self, text: &str) -> String {
        let home = self.home.and_then(Path::to_str).unwrap_or("~");
        let mut expanded = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match (c, if c == '%' { rest.next() } else { None }) {
                ('%', Some('h' | 'n')) => expanded.push_str(self.host),
                ('%', Some('p')) => expanded.push_str(&self.port.to_string()),
                ('%', Some('r' | 'u')) => expanded.push_str(self.user),
                ('%', Some('d')) => expanded.push_str(home),
                ('%', Some('%')) => expanded.push('%'),
                ('%', Some(other)) => expanded.extend(['%', other]),
                (c, _) => expanded.push(c),
            }
        }
        expanded
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use exp_cache::Modes;

    use super::*;

    fn address(url: &str, options: &[(&str, &str)]) -> StorageAddress {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        StorageAddress { url: url.to_owned(), options, modes: Modes::default() }
    }

    fn around(config: &str) -> (tempfile::TempDir, Surroundings) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(home.path().join(".ssh/config"), config).unwrap();
        let env = BTreeMap::from([("USER".to_owned(), "someone".to_owned())]);
        let surroundings = Surroundings { env, home: Some(home.path().to_path_buf()) };
        (home, surroundings)
    }

    #[test]
    fn options_go_before_the_address_and_the_address_before_the_file() {
        let (_home, around) = around("Host lab\n HostName 10.1.1.1\n Port 5\n User file\n");
        let parsed = parse(&address("ssh://u:p%40ss@lab:7/a b/c", &[]), &around).ok().unwrap();
        assert_eq!(parsed.label, "ssh://u@lab:7/a b/c");
        assert_eq!((parsed.target.host.as_str(), parsed.target.port), ("10.1.1.1", 7));
        assert_eq!(parsed.target.password.as_deref(), Some("p@ss"));
        assert_eq!(parsed.path, "/a b/c");
        let parsed = parse(&address("ssh://lab/x", &[("user", "me")]), &around).ok().unwrap();
        assert_eq!((parsed.target.user.as_str(), parsed.target.port), ("me", 5));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let (_home, around) = around("");
        for (name, value) in [("gss_auth", "true"), ("port", "x"), ("nope", "1"), ("timeout", "0")]
        {
            match parse(&address("ssh://h/p", &[(name, value)]), &around) {
                Err(AddressError::Option { name: refused, .. }) => assert_eq!(refused, name),
                _ => panic!("{name} was not refused"),
            }
        }
        assert!(parse(&address("ssh://h/p", &[("gss_auth", "false")]), &around).is_ok());
    }

    #[test]
    fn a_jump_is_left_to_ssh() {
        let (_home, around) = around("Host lab\n ProxyJump me@jump:2200\n");
        let parsed = parse(&address("ssh://lab/x", &[]), &around).ok().unwrap();
        let command = parsed.target.proxy.unwrap();
        assert_eq!(command, "ssh -o BatchMode=yes -W '[lab]:22' 'ssh://me@jump:2200'");
    }
}
