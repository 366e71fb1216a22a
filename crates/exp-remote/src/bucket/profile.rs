//! The configuration files of AWS: profiles with keys and values.

use std::collections::BTreeMap;

/// The profiles of one file, by name.
///
/// Source of the format: the user guide of the AWS command line, "Configuration and credential file settings". In
/// `config` a section is `[profile name]` or `[default]`, in `credentials` it is `[name]`. A key without a value opens a
/// table; its lines are indented, and are found here as `s3.addressing_style`.
#[derive(Debug, Clone, Default)]
pub(super) struct Profiles(BTreeMap<String, BTreeMap<String, String>>);

impl Profiles {
    /// Reads the text of a file. Lines that make no sense are skipped, as AWS skips them.
    pub(super) fn parse(text: &str) -> Self {
        let mut profiles = Self::default();
        let (mut section, mut table) = (None, String::new());
        for line in text.lines() {
            let bare = line.trim();
            if bare.is_empty() || bare.starts_with(['#', ';']) {
                continue;
            }
            if let Some(head) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let name = head.0.trim();
                let name = name.strip_prefix("profile ").unwrap_or(name);
                section = Some(name.trim().trim_matches(['"', '\'']).to_owned());
                table.clear();
                continue;
            }
            let (Some(section), Some((key, value))) = (&section, bare.split_once('=')) else {
                continue;
            };
            let (mut key, value) = (key.trim().to_ascii_lowercase(), uncommented(value.trim()));
            if line.starts_with([' ', '\t']) && !table.is_empty() {
                key = format!("{table}.{key}");
            } else {
                table.clear();
                if value.is_empty() {
                    table = key;
                    continue;
                }
            }
            let profile = profiles.0.entry(section.clone()).or_default();
            profile.insert(key, value.to_owned());
        }
        profiles
    }

    /// Adds what `other` has and this has not, profile by profile.
    pub(super) fn with(mut self, other: Self) -> Self {
        for (name, values) in other.0 {
            let profile = self.0.entry(name).or_default();
            for (key, value) in values {
                profile.entry(key).or_insert(value);
            }
        }
        self
    }

    /// Returns whether there is such a profile.
    pub(super) fn has(&self, profile: &str) -> bool {
        self.0.contains_key(profile)
    }

    /// Returns a value of a profile.
    pub(super) fn get(&self, profile: &str, key: &str) -> Option<&str> {
        self.0.get(profile)?.get(key).map(String::as_str)
    }
}

fn uncommented(value: &str) -> &str {
    match value.find(" #").into_iter().chain(value.find(" ;")).min() {
        Some(at) => value[..at].trim_end(),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_as_aws_reads_them() {
        let config = Profiles::parse(
            "# mine\n[default]\nregion = eu-west-1 # here\n\n[profile \"lab\"]\ns3 =\n  addressing_style = path\n\
             role_arn=arn:aws:iam::1:role/x\n",
        );
        let credentials =
            Profiles::parse("[lab]\naws_access_key_id = AK\nAWS_SECRET_ACCESS_KEY=S#K\n");
        let all = credentials.with(config);
        assert_eq!(all.get("default", "region"), Some("eu-west-1"));
        assert_eq!(all.get("lab", "s3.addressing_style"), Some("path"));
        assert_eq!(all.get("lab", "role_arn"), Some("arn:aws:iam::1:role/x"));
        assert_eq!(all.get("lab", "aws_access_key_id"), Some("AK"));
        assert_eq!(all.get("lab", "aws_secret_access_key"), Some("S#K"));
        assert!(!all.has("other"));
    }
}
