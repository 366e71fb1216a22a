//! Connecting to a server: who it is, and who we are to it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use exp_cache::StorageErrorKind;
use russh::client::{AuthResult, Config, Handle, Handler, KeyboardInteractiveAuthResponse};
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{MethodKind, MethodSet, Preferred};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::known_hosts::{KnownHost, Verdict};
use super::problem::Problem;
use super::target::{Strangers, Target};

/// What may be on its way to us without an acknowledgement, in bytes.
const WINDOW: u32 = 8 << 20;

/// Between signs of life on a silent connection. The third that stays without an answer ends it.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// For the whole of a login; an agent may ask its owner.
const LOGIN_TIMEOUT: Duration = Duration::from_mins(1);

/// Connects and logs in. `env` is for the commands that connect in our place.
pub(super) async fn login(
    target: &Target,
    env: &BTreeMap<String, String>,
) -> Result<Handle<Host>, Problem> {
    let known = KnownHost::read(&target.known_hosts, &target.known_as, target.port);
    let config = Arc::new(Config {
        preferred: preferred(&known),
        window_size: WINDOW,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 3,
        nodelay: true,
        ..Config::default()
    });
    let host = Host {
        known,
        name: target.known_as.clone(),
        port: target.port,
        shown: match target.port {
            22 => target.host.clone(),
            port => format!("[{}]:{port}", target.host),
        },
        learn: match target.strangers {
            Strangers::Learn => target.known_hosts.first().cloned(),
            Strangers::Refuse => None,
        },
    };
    let connecting = async {
        let connected = if let Some(command) = &target.proxy {
            let stream = Piped::start(command, env)?;
            russh::client::connect_stream(config, stream, host).await
        } else {
            let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
            let stream = stream.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(Problem::cut)?;
            russh::client::connect_stream(config, stream, host).await
        };
        connected.map_err(|err| match err {
            HostError::Refused(reason) => Problem::denied(reason),
            HostError::Session(err) => err.into(),
        })
    };
    let mut handle = timeout(target.connect_timeout, connecting).await.map_err(|_| {
        let seconds = target.connect_timeout.as_secs_f64();
        Problem::cut(format!("no answer within {seconds} s"))
    })??;
    timeout(LOGIN_TIMEOUT, authenticate(&mut handle, target))
        .await
        .map_err(|_| Problem::cut("the login was not answered"))??;
    Ok(handle)
}

fn unreachable(err: std::io::Error) -> Problem {
    // Names that nobody knows are not worth another try; the resolver has no kind of its own for them.
    let text = err.to_string();
    if text.contains("not known") || text.contains("No address associated") {
        return Problem::new(StorageErrorKind::Other, err);
    }
    Problem::cut(err)
}

/// Returns the algorithms to ask for, those that the host is known by first: it may have several keys.
fn preferred(known: &KnownHost) -> Preferred {
    let mut preferred = Preferred::default();
    let known = known.algorithms();
    let is_known = |algorithm: &Algorithm| {
        known.iter().any(|known| match (known, algorithm) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (known, algorithm) => known == algorithm,
        })
    };
    let (mut first, others): (Vec<_>, Vec<_>) =
        preferred.key.iter().cloned().partition(|algorithm| is_known(algorithm));
    first.extend(others);
    preferred.key = first.into();
    preferred
}

/// The server's side of the conversation: it shows its key, and that is judged.
#[derive(Debug)]
pub(super) struct Host {
    known: KnownHost,
    name: String,
    port: u16,
    shown: String,
    /// Where keys of hosts that nothing is known about are written down.
    learn: Option<std::path::PathBuf>,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum HostError {
    Refused(String),
    Session(russh::Error),
}

impl From<russh::Error> for HostError {
    fn from(err: russh::Error) -> Self {
        Self::Session(err)
    }
}

impl Handler for Host {
    type Error = HostError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let key = shown.public_key();
        let (host, print) = (&self.shown, key.fingerprint(HashAlg::Sha256));
        match self.known.judge(&key) {
            Verdict::Known => Ok(true),
            Verdict::Unknown => match &self.learn {
                Some(file) => {
                    // A file that cannot be written is no reason to stop: its owner asked for no check.
                    let _ = russh::keys::known_hosts::learn_known_hosts_path(
                        &self.name, self.port, &key, file,
                    );
                    Ok(true)
                }
                None => Err(HostError::Refused(format!(
                    "the host key of {host} is not known ({print}): compare it, then connect once with `ssh`, or add \
                     what `ssh-keyscan` prints to ~/.ssh/known_hosts"
                ))),
            },
            Verdict::Changed(place) => Err(HostError::Refused(format!(
                "THE HOST KEY OF {host} HAS CHANGED, or somebody is in between: it shows {print}, {place} has another. \
                 If the change is genuine, remove the old one with `ssh-keygen -R '{host}'`"
            ))),
            Verdict::Revoked(place) => Err(HostError::Refused(format!(
                "the host key of {host} ({print}) is revoked by {place}"
            ))),
        }
    }
}

/// What became of the attempts to log in, for the reason of a refusal.
struct Attempts {
    offers: MethodSet,
    notes: Vec<String>,
}

impl Attempts {
    /// Returns whether an answer lets us in.
    fn is_in(&mut self, answer: AuthResult) -> bool {
        match answer {
            AuthResult::Success => true,
            AuthResult::Failure { remaining_methods, .. } => {
                self.offers = remaining_methods;
                false
            }
        }
    }
}

async fn authenticate(handle: &mut Handle<Host>, target: &Target) -> Result<(), Problem> {
    let user = &target.user;
    let mut attempts = Attempts { offers: MethodSet::empty(), notes: Vec::new() };
    // A server that lets in whoever comes says so; any other says what it wants.
    if attempts.is_in(handle.authenticate_none(user).await?) {
        return Ok(());
    }
    if target.offers_keys
        && attempts.offers.contains(&MethodKind::PublicKey)
        && (with_agent(handle, target, &mut attempts).await?
            || with_files(handle, target, &mut attempts).await?)
    {
        return Ok(());
    }
    if let Some(password) = &target.password {
        if attempts.offers.contains(&MethodKind::Password) {
            let answer = handle.authenticate_password(user, password).await?;
            if attempts.is_in(answer) {
                return Ok(());
            }
            attempts.notes.push("the password was not accepted".to_owned());
        }
        if attempts.offers.contains(&MethodKind::KeyboardInteractive)
            && with_questions(handle, target, password, &mut attempts).await?
        {
            return Ok(());
        }
    }
    let offers: Vec<&str> = attempts.offers.iter().map(<&str>::from).collect();
    if offers.is_empty() && handle.is_closed() {
        attempts.notes.push("the server closed the connection".to_owned());
    }
    let wants_password = attempts.offers.contains(&MethodKind::Password)
        || attempts.offers.contains(&MethodKind::KeyboardInteractive);
    for name in &target.would_ask {
        let instead = name.trim_start_matches("ask_");
        attempts.notes.push(format!("`{name}` asks nobody here; set `{instead}`"));
    }
    if wants_password && target.password.is_none() && target.would_ask.is_empty() {
        attempts.notes.push("a password can be set with the option `password`".to_owned());
    }
    let notes = attempts.notes.join("; ");
    let offers = offers.join(", ");
    Err(Problem::denied(format!("no login as `{user}` (the server takes {offers}): {notes}")))
}

/// Offers the keys of an agent.
#[cfg(unix)]
async fn with_agent(
    handle: &mut Handle<Host>,
    target: &Target,
    attempts: &mut Attempts,
) -> Result<bool, Problem> {
    use russh::keys::agent::client::AgentClient;

    let Some(socket) = &target.agent else { return Ok(false) };
    let mut agent = match AgentClient::connect_uds(socket).await {
        Ok(agent) => agent,
        Err(err) => {
            attempts.notes.push(format!("no agent at {}: {err}", socket.display()));
            return Ok(false);
        }
    };
    let identities = match agent.request_identities().await {
        Ok(identities) => identities,
        Err(err) => {
            attempts.notes.push(format!("the agent failed: {err}"));
            return Ok(false);
        }
    };
    if identities.is_empty() {
        attempts.notes.push("the agent holds no keys".to_owned());
    }
    for identity in identities {
        let key = identity.public_key().into_owned();
        let hash = rsa_hash(handle, &key).await?;
        match handle.authenticate_publickey_with(&target.user, key, hash, &mut agent).await {
            Ok(answer) => {
                if attempts.is_in(answer) {
                    return Ok(true);
                }
                let note = format!("the agent's key `{}` was not accepted", identity.comment());
                attempts.notes.push(note);
            }
            Err(err) => attempts.notes.push(format!("the agent did not sign: {err}")),
        }
    }
    Ok(false)
}

#[cfg(not(unix))]
async fn with_agent(_: &mut Handle<Host>, _: &Target, _: &mut Attempts) -> Result<bool, Problem> {
    Ok(false)
}

/// Offers the keys in files.
async fn with_files(
    handle: &mut Handle<Host>,
    target: &Target,
    attempts: &mut Attempts,
) -> Result<bool, Problem> {
    for file in &target.identities {
        let shown = file.display();
        if !target.is_chosen && !file.exists() {
            continue;
        }
        let passphrase = target.passphrase.as_deref();
        // A passphrase for a key that has none is not wrong.
        let key = russh::keys::load_secret_key(file, None).or_else(|err| {
            passphrase.map_or(Err(err), |p| russh::keys::load_secret_key(file, Some(p)))
        });
        let key = match key {
            Ok(key) => Arc::new(key),
            Err(russh::keys::Error::KeyIsEncrypted) if passphrase.is_none() => {
                attempts.notes.push(format!(
                    "{shown} has a passphrase: load it into an agent, or set the option `passphrase`"
                ));
                continue;
            }
            Err(err) => {
                attempts.notes.push(format!("{shown} cannot be used: {err}"));
                continue;
            }
        };
        let hash = rsa_hash(handle, key.public_key()).await?;
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let answer = handle.authenticate_publickey(&target.user, key).await?;
        if attempts.is_in(answer) {
            return Ok(true);
        }
        attempts.notes.push(format!("{shown} was not accepted"));
    }
    Ok(false)
}

/// Answers every question that is not echoed with the password: servers ask for it in this way too.
async fn with_questions(
    handle: &mut Handle<Host>,
    target: &Target,
    password: &str,
    attempts: &mut Attempts,
) -> Result<bool, Problem> {
    const MAX_ROUNDS: usize = 5;
    let start = handle.authenticate_keyboard_interactive_start(&target.user, None::<String>);
    let mut answer = start.await?;
    for _ in 0..MAX_ROUNDS {
        answer = match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => break,
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                if let Some(asked) = prompts.iter().find(|prompt| prompt.echo) {
                    let question = asked.prompt.trim();
                    attempts
                        .notes
                        .push(format!("the server asks `{question}`, which nobody answers here"));
                    return Ok(false);
                }
                let answers = vec![password.to_owned(); prompts.len()];
                handle.authenticate_keyboard_interactive_respond(answers).await?
            }
        };
    }
    attempts.notes.push("the password was not accepted".to_owned());
    Ok(false)
}

async fn rsa_hash(handle: &Handle<Host>, key: &PublicKey) -> Result<Option<HashAlg>, Problem> {
    if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        return Ok(None);
    }
    // A server that does not say is old enough for SHA-1 only, or forgot to; every one of the last ten years takes this.
    Ok(handle.best_supported_rsa_hash().await?.unwrap_or(Some(HashAlg::Sha256)))
}

/// A program whose input and output are the connection; it ends with it.
struct Piped {
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Piped {
    fn start(command: &str, env: &BTreeMap<String, String>) -> Result<Self, Problem> {
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .env_clear()
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self { _child: child, input, output }),
            _ => Err(Problem::new(StorageErrorKind::Other, "the proxy command has no pipes")),
        }
    }
}

impl AsyncRead for Piped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Piped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}
