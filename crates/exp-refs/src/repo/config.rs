//! Configuration of the system and of the user, found through the environment that the caller hands in.
//!
//! gix would read the process's environment; instead it is denied that, and the files are read here, put before
//! the repository's own configuration, and paths that depend on the home directory are made absolute.

use std::path::{Path, PathBuf};

use gix::bstr::{BString, ByteSlice};
use gix::config::{File, Source, file};

use crate::env::GitEnv;

/// What the files of the system and the user say, least important first.
pub(super) struct Files(Option<File>);

/// Lets gix read the repository and nothing else.
pub(super) fn permissions() -> gix::open::Permissions {
    let mut permissions = gix::open::Permissions::isolated();
    permissions.config.includes = true;
    permissions
}

/// Returns the directory of refs and objects that belongs to a git directory.
pub(super) fn common_dir(git_dir: &Path) -> PathBuf {
    match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim_end_matches(['\n', '\r'])),
        Err(_) => git_dir.to_owned(),
    }
}

/// Returns the repository's own configuration file, `None` when it cannot be read or parsed.
pub(super) fn local(common_dir: &Path) -> Option<File> {
    File::from_path_no_includes(common_dir.join("config"), Source::Local).ok()
}

impl Files {
    pub(super) fn read(env: &GitEnv, git_dir: &Path) -> gix::Result<Self> {
        let home = env.home();
        let mut paths = Vec::new();
        if !env.text("GIT_CONFIG_NOSYSTEM").is_some_and(is_true) {
            // Without a home nothing but the repository is to be read; `GIT_CONFIG_SYSTEM` asks explicitly.
            match env.get("GIT_CONFIG_SYSTEM") {
                Some(path) => paths.push((PathBuf::from(path), Source::System)),
                None if home.is_some() => paths.push(("/etc/gitconfig".into(), Source::System)),
                None => {}
            }
        }
        if let Some(path) = env.get("GIT_CONFIG_GLOBAL") {
            paths.push((PathBuf::from(path), Source::User));
        } else {
            paths.extend(env.xdg_git().map(|dir| (dir.join("config"), Source::Git)));
            paths.extend(home.as_ref().map(|home| (home.join(".gitconfig"), Source::User)));
        }
        let branch = branch(git_dir);
        let interpolate = gix::config::path::interpolate::Context {
            git_install_dir: None,
            home_dir: home.as_deref(),
            home_for_user: None,
        };
        let conditional = file::includes::conditional::Context {
            git_dir: Some(git_dir),
            branch_name: branch.as_ref().map(AsRef::as_ref),
        };
        let options = file::init::Options {
            includes: file::includes::Options::follow(interpolate, conditional),
            ignore_io_errors: true,
            ..Default::default()
        };
        let mut metas = paths.into_iter().map(|(path, source)| {
            file::Metadata::from(source).at(path).with(gix::sec::Trust::Full)
        });
        File::from_paths_metadata_buf(&mut metas, &mut Vec::new(), false, options).map(Self)
    }

    /// Returns whether `safe.directory` names the directory, which another user owns.
    pub(super) fn is_safe(&self, dir: &Path) -> bool {
        let Some(file) = &self.0 else { return false };
        let mut safe = false;
        for value in file.strings("safe.directory").unwrap_or_default() {
            // An empty value takes back all that came before it.
            if value.is_empty() {
                safe = false;
                continue;
            }
            let Ok(value) = value.to_str() else { continue };
            safe |= value == "*"
                || match value.strip_suffix("/*") {
                    Some(base) => dir.starts_with(base),
                    None => dir == Path::new(value),
                };
        }
        safe
    }

    /// Puts these files before the repository's configuration.
    pub(super) fn apply(self, env: &GitEnv, repo: &mut gix::Repository) -> gix::Result<()> {
        let mut snapshot = repo.config_snapshot_mut();
        if let Some(mut merged) = self.0 {
            merged.append(snapshot.clone())?;
            *snapshot = merged;
        }
        for (key, default) in
            [("core.excludesFile", "ignore"), ("core.attributesFile", "attributes")]
        {
            let path = match snapshot.string(key) {
                Some(value) => expand_home(&value, env),
                None => env.xdg_git().map(|dir| dir.join(default)).filter(|path| path.is_file()),
            };
            if let Some(path) = path
                && let Some(text) = path.to_str()
            {
                snapshot.set_raw_value(key, text)?;
            }
        }
        snapshot.commit()?;
        Ok(())
    }
}

fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// Returns the path when it begins with `~/` and there is a home.
fn expand_home(value: &BString, env: &GitEnv) -> Option<PathBuf> {
    let rest = value.to_str().ok()?.strip_prefix("~/")?;
    Some(env.home()?.join(rest))
}

fn branch(git_dir: &Path) -> Option<gix::refs::FullName> {
    let text = std::fs::read_to_string(git_dir.join("HEAD")).ok()?;
    gix::refs::FullName::try_from(text.strip_prefix("ref: ")?.trim()).ok()
}
