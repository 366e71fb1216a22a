//! Files that plots are written to.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::files::FileError;

/// Returns the name of the copy of an image: the revision and the path, with `_` for what separates directories.
pub fn image_file_name(rev: &str, path: &str) -> String {
    format!("{rev}_{path}").replace('/', "_")
}

/// Writes a file into a directory, which is made if it is not there, and returns its path.
///
/// A file of that name is replaced in one step. If it is a symbolic link, the link is replaced, not what it leads to: the
/// directory is part of the repository, and a link in it may be a stranger's.
pub fn save_plot_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, FileError> {
    fs::create_dir_all(dir).map_err(FileError::at("create", dir))?;
    let path = dir.join(name);
    let temporary = dir.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        fs::rename(&temporary, &path)
    });
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written.map_err(FileError::at("write", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_way_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (out, outside) = (dir.path().join("out"), dir.path().join("outside"));
        fs::write(&outside, "mine").unwrap();
        fs::create_dir(&out).unwrap();
        std::os::unix::fs::symlink(&outside, out.join("a.png")).unwrap();
        let path = save_plot_file(&out, "a.png", b"theirs").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(fs::read(&outside).unwrap(), b"mine");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        assert_eq!(image_file_name("feature/x", "d/1.png"), "feature_x_d_1.png");
    }
}
