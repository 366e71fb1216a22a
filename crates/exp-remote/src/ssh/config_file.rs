//! What `~/.ssh/config` says about a host: the part of `ssh_config(5)` that reaching a server needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::pattern;

/// How deep files may include others.
const MAX_DEPTH: usize = 8;

/// What was said about one host. Of a word that is said twice the first counts, but files of identities add up.
#[derive(Debug, Default)]
pub(super) struct HostConfig {
    values: BTreeMap<String, Vec<String>>,
}

impl HostConfig {
    /// Reads `.ssh/config` of a home directory for what it says about `host`; a file that is not there says nothing.
    pub(super) fn read(home: &Path, host: &str) -> Self {
        let mut config = Self::default();
        let dir = home.join(".ssh");
        config.add_file(&dir.join("config"), (&dir, host), 0);
        config
    }

    fn add_file(&mut self, file: &Path, (dir, host): (&Path, &str), depth: usize) {
        let Ok(bytes) = std::fs::read(file) else { return };
        if depth < MAX_DEPTH {
            self.add(&String::from_utf8_lossy(&bytes), (dir, host), depth);
        }
    }

    fn add(&mut self, text: &str, (dir, host): (&Path, &str), depth: usize) {
        let mut applies = true;
        for line in text.lines() {
            let Some((word, values)) = parsed(line) else { continue };
            match word.as_str() {
                "host" => applies = pattern::matches_list(values.iter().map(String::as_str), host),
                "match" => applies = self.is_match(&values, host),
                _ if !applies => {}
                "include" => {
                    for included in values.iter().flat_map(|value| included(value, dir)) {
                        self.add_file(&included, (dir, host), depth + 1);
                    }
                }
                "identityfile" | "certificatefile" => {
                    self.values.entry(word).or_default().extend(values);
                }
                _ => {
                    self.values.entry(word).or_insert(values);
                }
            }
        }
    }

    /// Returns whether a `Match` line is about `host`. Conditions that would run a program, or that speak of more than
    /// the host, are not met.
    fn is_match(&self, conditions: &[String], host: &str) -> bool {
        let mut conditions = conditions.iter();
        let mut is_met = false;
        while let Some(condition) = conditions.next() {
            is_met = match condition.to_ascii_lowercase().as_str() {
                "all" => true,
                name @ ("host" | "originalhost") => {
                    let host = match name {
                        "host" => self.text("hostname").unwrap_or(host),
                        _ => host,
                    };
                    conditions
                        .next()
                        .is_some_and(|list| pattern::matches_list(list.split(','), host))
                }
                _ => false,
            };
            if !is_met {
                return false;
            }
        }
        is_met
    }

    /// Returns what was said with a word, written in lower case.
    pub(super) fn text(&self, word: &str) -> Option<&str> {
        self.values.get(word)?.first().map(String::as_str)
    }

    /// Returns everything that was said with a word.
    pub(super) fn all(&self, word: &str) -> &[String] {
        self.values.get(word).map_or(&[], Vec::as_slice)
    }
}

/// Returns the word of a line in lower case, and what follows it; `None` for comments.
fn parsed(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    let word = word.to_ascii_lowercase();
    // A command goes to the end of the line, quotation marks and all.
    let values = match word.as_str() {
        "proxycommand" => vec![rest.to_owned()],
        _ => split(rest),
    };
    Some((word, values))
}

/// Splits at white space outside of quotation marks.
fn split(text: &str) -> Vec<String> {
    let (mut values, mut value, mut is_quoted, mut is_begun) =
        (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                is_begun = true;
            }
            c if c.is_whitespace() && !is_quoted => {
                if is_begun {
                    values.push(std::mem::take(&mut value));
                }
                is_begun = false;
            }
            '#' if !is_quoted && !is_begun => break,
            c => {
                value.push(c);
                is_begun = true;
            }
        }
    }
    if is_begun {
        values.push(value);
    }
    values
}

/// Returns the files that an `Include` names, in order; only the last part of a path may be a pattern.
fn included(value: &str, dir: &Path) -> Vec<PathBuf> {
    let path = match value.strip_prefix("~/") {
        Some(rest) => dir.parent().unwrap_or(dir).join(rest),
        None => dir.join(value),
    };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    if !name.contains(['*', '?']) {
        return vec![path];
    }
    let entries = path.parent().and_then(|dir| std::fs::read_dir(dir).ok());
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(|own| pattern::matches(&name, own)))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
User everyone  # at the top: for all
Host lab lab2
    HostName = 10.0.0.1
    User me
    Port 2222
    IdentityFile \"~/my keys/id\"
    IdentityFile ~/.ssh/other
Host * !lab
    Port 1
Match exec \"test -e x\"
    HostName no
Match originalhost lab
    HostName second
    ProxyCommand ssh -W \"%h:%p\" jump
";

    #[test]
    fn the_first_word_about_a_host_counts() {
        let mut config = HostConfig::default();
        config.add(TEXT, (Path::new("/h/.ssh"), "lab"), 0);
        assert_eq!(config.text("user"), Some("everyone"));
        assert_eq!(config.text("hostname"), Some("10.0.0.1"));
        assert_eq!(config.text("port"), Some("2222"));
        assert_eq!(config.all("identityfile"), ["~/my keys/id", "~/.ssh/other"]);
        assert_eq!(config.text("proxycommand"), Some("ssh -W \"%h:%p\" jump"));
    }

    #[test]
    fn a_host_that_no_section_names_gets_what_is_for_all() {
        let mut config = HostConfig::default();
        config.add(TEXT, (Path::new("/h/.ssh"), "elsewhere"), 0);
        assert_eq!((config.text("port"), config.text("hostname")), (Some("1"), None));
    }

    #[test]
    fn included_files_count_where_they_are_named() -> std::io::Result<()> {
        let home = tempfile::tempdir()?;
        let dir = home.path().join(".ssh");
        std::fs::create_dir_all(dir.join("config.d"))?;
        std::fs::write(dir.join("config"), "Include config.d/*.conf\nHost *\n Port 3\n")?;
        std::fs::write(dir.join("config.d/a.conf"), "Host lab\n Port 4\n")?;
        assert_eq!(HostConfig::read(home.path(), "lab").text("port"), Some("4"));
        assert_eq!(HostConfig::read(home.path(), "other").text("port"), Some("3"));
        Ok(())
    }
}
