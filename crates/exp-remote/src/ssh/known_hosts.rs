//! Which key a host is known by: the format of `known_hosts`, sshd(8).

use std::path::PathBuf;

use russh::keys::{Algorithm, PublicKey};

use super::hashed_name::hmac_sha1;
use super::pattern;

/// What files of known hosts say about one host.
#[derive(Debug, Default)]
pub(super) struct KnownHost {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: PublicKey,
    is_revoked: bool,
    /// It is about this port; not about the host whatever the port.
    is_exact: bool,
    /// Where it is written, for people.
    place: String,
}

/// What is to be made of the key that a host shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the host's.
    Known,
    /// Nothing is known about the host.
    Unknown,
    /// The host is known by other keys; one is written at this place.
    Changed(String),
    /// The key was revoked at this place.
    Revoked(String),
}

impl KnownHost {
    /// Reads what `files` say about `host` at `port`. Files that are not there say nothing.
    pub(super) fn read(files: &[PathBuf], host: &str, port: u16) -> Self {
        let mut known = Self::default();
        for file in files {
            if let Ok(bytes) = std::fs::read(file) {
                known.add(
                    &String::from_utf8_lossy(&bytes),
                    &file.display().to_string(),
                    (host, port),
                );
            }
        }
        known
    }

    fn add(&mut self, text: &str, file: &str, (host, port): (&str, u16)) {
        let host = host.to_ascii_lowercase();
        // Like `ssh`: with a port of its own first, then the host as such.
        let names = [if port == 22 { host.clone() } else { format!("[{host}]:{port}") }, host];
        for (at, line) in text.lines().enumerate() {
            let mut fields = line.split_ascii_whitespace();
            let Some(first) = fields.next().filter(|first| !first.starts_with('#')) else {
                continue;
            };
            let (marker, hosts) = match first.strip_prefix('@') {
                Some(marker) => (Some(marker), fields.next()),
                None => (None, Some(first)),
            };
            // Certificates are not asked for, so authorities vouch for nobody.
            let is_revoked = match marker {
                None => false,
                Some("revoked") => true,
                Some(_) => continue,
            };
            let (Some(hosts), Some(_), Some(key)) = (hosts, fields.next(), fields.next()) else {
                continue;
            };
            let is_exact = is_named(hosts, &names[0]);
            if !is_exact && !is_named(hosts, &names[1]) {
                continue;
            }
            if let Ok(key) = russh::keys::parse_public_key_base64(key) {
                let place = format!("{file}:{}", at + 1);
                self.entries.push(Entry { key, is_revoked, is_exact, place });
            }
        }
    }

    /// Returns the algorithms of the keys that the host is known by, to be asked for first.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        self.entries.iter().filter(|e| !e.is_revoked).map(|entry| entry.key.algorithm()).collect()
    }

    /// Judges the key that the host shows.
    pub(super) fn judge(&self, key: &PublicKey) -> Verdict {
        let same = |entry: &&Entry| entry.key.key_data() == key.key_data();
        if let Some(entry) = self.entries.iter().find(|e| e.is_revoked && same(e)) {
            return Verdict::Revoked(entry.place.clone());
        }
        let mut trusted = self.entries.iter().filter(|entry| !entry.is_revoked);
        match trusted.clone().find(same) {
            Some(_) => Verdict::Known,
            None => trusted
                .find(|entry| entry.is_exact)
                .map_or(Verdict::Unknown, |other| Verdict::Changed(other.place.clone())),
        }
    }
}

fn is_named(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        let Some((salt, hash)) = hashed.split_once('|') else { return false };
        return match (base64(salt), base64(hash)) {
            (Some(salt), Some(hash)) => hmac_sha1(&salt, name.as_bytes()).as_slice() == hash,
            _ => false,
        };
    }
    pattern::matches_list(hosts.split(','), name)
}

/// Decodes base64 of the standard alphabet, RFC 4648.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut n_bits) = (0_u32, 0);
    for symbol in text.trim_end_matches('=').bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const B: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    #[track_caller]
    fn check(text: &str, (host, port): (&str, u16), key: &str, expected: &Verdict) {
        let mut known = KnownHost::default();
        known.add(text, "f", (host, port));
        let key = russh::keys::parse_public_key_base64(key).unwrap();
        assert_eq!(known.judge(&key), *expected, "{host}:{port} in {text}");
    }

    #[test]
    fn a_host_is_found_by_its_name_and_port() {
        let text = format!("# c\nother,example.com ssh-ed25519 {A} comment\n");
        check(&text, ("Example.com", 22), A, &Verdict::Known);
        check(&text, ("example.com", 2222), A, &Verdict::Known);
        check(&text, ("example.org", 22), A, &Verdict::Unknown);
        check(&format!("[h]:2222\tssh-ed25519\t{A}\n"), ("h", 2222), A, &Verdict::Known);
        check(&format!("[h]:2222 ssh-ed25519 {A}\n"), ("h", 22), A, &Verdict::Unknown);
    }

    #[test]
    fn a_hashed_name_is_recognized() {
        let hashed = "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak=";
        check(&format!("{hashed} ssh-ed25519 {B}\n"), ("example.com", 22), B, &Verdict::Known);
        check(&format!("{hashed} ssh-ed25519 {B}\n"), ("example.net", 22), B, &Verdict::Unknown);
    }

    #[test]
    fn another_key_than_the_known_one_is_a_change() {
        let text = format!("h ssh-ed25519 {A}\n");
        check(&text, ("h", 22), B, &Verdict::Changed("f:1".to_owned()));
        check(&text, ("h", 2222), B, &Verdict::Unknown);
        let both = format!("{text}h ssh-ed25519 {B}\n");
        check(&both, ("h", 22), B, &Verdict::Known);
    }

    #[test]
    fn a_revoked_key_is_never_known() {
        let text = format!("* ssh-ed25519 {A}\n@revoked * ssh-ed25519 {A}\n");
        check(&text, ("h", 22), A, &Verdict::Revoked("f:2".to_owned()));
    }

    #[test]
    fn patterns_and_exceptions_count() {
        let text = format!("*.example.com,!bad.example.com ssh-ed25519 {A}\n");
        check(&text, ("a.example.com", 22), A, &Verdict::Known);
        check(&text, ("bad.example.com", 22), A, &Verdict::Unknown);
    }
}
