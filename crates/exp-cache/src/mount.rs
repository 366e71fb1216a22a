//! Noticing that the disk of a directory is not mounted.
//!
//! What is written to `/mnt/nas/store` while nothing is mounted at `/mnt/nas` ends up below the mount point, on the wrong
//! disk, and everybody believes it to be in its place. So the file system that a directory was found on is noted, in a
//! disposable file. One that has nothing in it any more, on another file system than before, is not where it was. One that
//! was deleted may be made anew: it is on the file system where it always was.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Returns whether the directory `dir` is where it was, as far as the file `note` knows, and notes where it was found.
///
/// `false` when it was on another file system the last time and nothing is there now; unfinished files, in `tmp`, are
/// nothing. A directory that was never looked at is where it was, whether anything is there or not.
pub fn is_in_place(dir: &Path, note: &Path) -> bool {
    let device = dir.ancestors().find_map(|one| fs::metadata(one).ok());
    let Some(device) = device.map(|metadata| metadata.dev()) else { return true };
    let known = fs::read_to_string(note).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if known == Some(device) {
        return true;
    }
    if known.is_some() && !has_content(dir) {
        return false;
    }
    // The note may be lost; then the next look finds nothing wrong.
    let _ = fs::create_dir_all(note.parent().unwrap_or(note));
    let _ = fs::write(note, format!("{device}\n"));
    true
}

fn has_content(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.file_name() != "tmp")
}
