//! `.dvc/exp.toml`: settings of the project that DVC has no place for.

use std::path::{Path, PathBuf};
use std::{fs, io};

use exp_core::Algorithm;

/// What `.dvc/exp.toml` says. Committed with the project.
///
/// Version 1 has `version` and `hash`. A program that knows only version 1 refuses any other one and
/// any other key, so nothing is lost when an older program meets a newer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSettings {
    /// What new content is addressed by.
    pub hash: Algorithm,
}

/// A `.dvc/exp.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A file-system operation that failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Not TOML, or not the keys of version 1.
    #[error("`{}` line {line}, column {column}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A file of a version that this program does not know.
    #[error("`{}` has version {version}, this program knows up to {}", path.display(), ProjectSettings::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version it has.
        version: i64,
    },
    /// A hash algorithm that content cannot be addressed by.
    #[error("`{}` has hash `{hash}`, known are `md5` and `sha256`", path.display())]
    UnknownHash {
        /// The file.
        path: PathBuf,
        /// What stands there.
        hash: String,
    },
}

#[derive(serde::Deserialize)]
struct VersionOnly {
    version: i64,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    #[serde(rename = "version")]
    _version: i64,
    hash: String,
}

impl ProjectSettings {
    /// The newest version of the file that this program reads, and the one it writes.
    pub const VERSION: i64 = 1;
    /// The name of the file in the `.dvc` directory.
    pub const FILE: &'static str = "exp.toml";

    /// Reads the settings of the project whose `.dvc` directory is `dvc_dir`.
    ///
    /// Without the file the project is DVC's: its content is addressed by MD5.
    pub fn load(dvc_dir: &Path) -> Result<Self, SettingsError> {
        let path = dvc_dir.join(Self::FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(SettingsError::Io { action: "read", path, source }),
        }
    }

    /// Parses the text of the file; `path` is named in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let broken = |err: &toml::de::Error| {
            let before = &text[..err.span().map_or(0, |span| span.start.min(text.len()))];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            SettingsError::Syntax {
                path: path.to_path_buf(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                problem: err.message().to_owned(),
            }
        };
        let version = toml::from_str::<VersionOnly>(text).map_err(|err| broken(&err))?.version;
        if version != Self::VERSION {
            return Err(SettingsError::Newer { path: path.to_path_buf(), version });
        }
        let file = toml::from_str::<Version1>(text).map_err(|err| broken(&err))?;
        match file.hash.as_str() {
            "md5" => Ok(Self { hash: Algorithm::Md5 }),
            "sha256" => Ok(Self { hash: Algorithm::Sha256 }),
            _ => Err(SettingsError::UnknownHash { path: path.to_path_buf(), hash: file.hash }),
        }
    }

    /// Returns the text of the file.
    pub fn to_text(&self) -> String {
        format!("version = {}\nhash = \"{}\"\n", Self::VERSION, self.hash.key())
    }
}

impl Default for ProjectSettings {
    /// A project without the file: MD5, as DVC has it.
    fn default() -> Self {
        Self { hash: Algorithm::Md5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProjectSettings, String> {
        ProjectSettings::parse(text, Path::new("exp.toml")).map_err(|err| err.to_string())
    }

    #[test]
    fn what_is_written_is_read_back() {
        for hash in [Algorithm::Md5, Algorithm::Sha256] {
            let text = ProjectSettings { hash }.to_text();
            assert_eq!(parse(&text), Ok(ProjectSettings { hash }));
        }
    }

    #[test]
    fn a_newer_or_broken_file_is_refused() {
        for (text, expect) in [
            ("version = 2\nfuture = 1\n", "`exp.toml` has version 2, this program knows up to 1"),
            (
                "version = 1\nhash = \"sha1\"",
                "`exp.toml` has hash `sha1`, known are `md5` and `sha256`",
            ),
            ("version = 1\nhash = ", "line 2, column 8"),
            ("version = 1\nhash = \"md5\"\nx = 1", "line 3, column 1: unknown field `x`"),
            ("", "missing field `version`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        }
    }

    #[test]
    fn a_project_without_the_file_is_dvcs() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        assert_eq!(ProjectSettings::load(dir.path())?.hash, Algorithm::Md5);
        Ok(())
    }
}
