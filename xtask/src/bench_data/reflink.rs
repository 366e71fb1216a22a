//! `add` of a large file on a file system that clones: XFS in a file, mounted for the measurement.

use std::path::PathBuf;
use std::process::Command;

use crate::process::capture;
use crate::services::system;

use super::Extent;
use super::gauge::{Line, Run};
use super::place::Yard;

/// A mounted file system, taken away on drop.
struct Mount {
    point: PathBuf,
    image: PathBuf,
}

impl Mount {
    /// Makes and mounts one of `size` bytes; the error says why the machine does not allow it.
    fn new(yard: &Yard, name: &str, size: u64) -> Result<Self, String> {
        let mkfs = system("mkfs.xfs", &["xfsprogs"])?;
        let (point, image) = (yard.path(name), yard.path(&format!("{name}.img")));
        std::fs::create_dir_all(&point).map_err(|err| format!("{}: {err}", point.display()))?;
        let mount = Self { point, image };
        capture(Command::new("truncate").arg("-s").arg(size.to_string()).arg(&mount.image))?;
        capture(Command::new(mkfs).args(["-q", "-f", "-m", "reflink=1"]).arg(&mount.image))?;
        capture(Command::new("mount").args(["-o", "loop"]).arg(&mount.image).arg(&mount.point))?;
        Ok(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _gone = capture(Command::new("umount").arg(&self.point));
        let _gone = std::fs::remove_file(&self.image);
    }
}

/// `add` of one large file by reflink, beside its digest alone.
pub(super) fn clones(yard: &Yard, extent: Extent) -> Result<Vec<Line>, String> {
    let _mount = match Mount::new(yard, "clones", extent.large * 2 + (512 << 20)) {
        Ok(mount) => mount,
        Err(reason) => {
            println!("SKIPPED: add by reflink: {}", reason.trim());
            return Ok(Vec::new());
        }
    };
    yard.project("clones/big", "reflink")?;
    yard.large("clones/big/data", extent.large)?;
    let digest = Run::sh("openssl dgst -sha256 data > /dev/null");
    let floor = yard.rounds(extent, "clones/big", &[], &digest)?;
    let fresh = ["rm -rf .dvc/cache .dvc/tmp data.dvc"];
    let seen =
        yard.rounds(extent, "clones/big", &fresh, &Run::exp(&["dvc", "add", "-q", "data"]))?;
    let what = format!("add, one file of {} MB, reflink (XFS)", extent.large >> 20);
    Ok(vec![Line::new(what, seen, "openssl dgst", floor, 1.0)])
}
