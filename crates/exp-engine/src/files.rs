//! Reading and replacing small files of the workspace.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use exp_core::RelPath;

use crate::error::Error;

/// A file of the workspace that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct FileError {
    /// What was tried: `read`, `write`, `remove`.
    pub action: &'static str,
    /// The absolute path.
    pub path: PathBuf,
    /// Why it did not work.
    pub source: io::Error,
}

impl FileError {
    /// Returns a closure for `map_err` that adds what was tried and where.
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self { action, path, source }
    }
}

/// Reads a whole file; `None` when nothing is there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(FileError::at("read", path)(error)),
    }
}

/// Returns the content of a file of the project that is text; bytes that are none are never taken for other text.
pub(crate) fn text<'b>(file: &RelPath, bytes: &'b [u8]) -> Result<&'b str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::NotText { file: file.clone() })
}

/// Replaces a file in one step: after a crash it is the old one or the new one, never half of it.
///
/// The mode of an existing file is kept; a symbolic link is written through to its target. Missing directories above
/// are created.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let parent = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(FileError::at("create the directory of", path))?;
    let name = target.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy());
    let temporary = parent.join(format!(".{name}.{}.tmp", std::process::id()));
    let result = (|| {
        let mut file = File::create(&temporary)?;
        if let Ok(metadata) = fs::metadata(&target) {
            file.set_permissions(Permissions::from_mode(metadata.permissions().mode() & 0o7777))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &target)
    })();
    if result.is_err() {
        fs::remove_file(&temporary).ok();
    }
    result.map_err(FileError::at("write", path))
}

/// Copies a file or a whole directory; links are followed, modes stay. Missing directories above `to` are created.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    if !from.is_dir() {
        let parent = to.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(FileError::at("create the directory of", to))?;
        return fs::copy(from, to).map(drop).map_err(FileError::at("copy", from));
    }
    fs::create_dir_all(to).map_err(FileError::at("create", to))?;
    for entry in fs::read_dir(from).map_err(FileError::at("list", from))? {
        let entry = entry.map_err(FileError::at("list", from))?;
        let path = entry.path();
        // As everywhere, links to directories are not followed inside of one.
        let is_linked_dir = path.is_symlink() && path.is_dir();
        if !is_linked_dir {
            copy(&path, &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::at("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a file, a symbolic link or a whole directory; what is not there is no error.
pub(crate) fn remove_all(path: &Path) -> Result<(), FileError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            fs::remove_dir_all(path).map_err(FileError::at("remove", path))
        }
        Ok(_) => remove(path),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/a");
        write(&path, b"one").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 1);
        assert_eq!(read(&dir.path().join("none")).unwrap(), None);
    }
}
