//! Where the store is measured: trees of files, projects, and commands in them.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::fixture::{Place, write};
use crate::process::{capture, target};
use crate::services::system;

use super::Extent;
use super::gauge::{Gauge, Run, Tool, measure};

/// Files in each directory of a tree.
const PER_DIR: usize = 1000;

/// A directory on the disk that is measured: `EXP_BENCH_DIR`, or `bench` in Cargo's target directory.
pub(super) struct Yard {
    place: Place,
    exp: PathBuf,
    dvc: Option<PathBuf>,
    /// GNU's `time`, which tells of processors and memory.
    timer: PathBuf,
}

impl Yard {
    #[expect(clippy::disallowed_methods, reason = "a task is told where to measure")]
    pub(super) fn new(exp: PathBuf, dvc: Option<PathBuf>) -> Result<Self, String> {
        let home =
            std::env::var_os("EXP_BENCH_DIR").map_or_else(|| target().join("bench"), PathBuf::from);
        let timer = system("time", &["time"])?;
        Ok(Self { place: Place::new_in(&home, "data")?, exp, dvc, timer })
    }

    /// A path in the yard.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.place.path().join(below)
    }

    /// Writes a file, and the directories above it.
    pub(super) fn write(&self, below: &str, text: &str) -> Result<(), String> {
        write(&self.path(below), text)
    }

    pub(super) fn dvc(&self) -> Option<&Path> {
        self.dvc.as_deref()
    }

    /// Runs a script in the yard, untimed.
    pub(super) fn sh(&self, script: &str) -> Result<(), String> {
        self.sh_in("", script)
    }

    fn sh_in(&self, below: &str, script: &str) -> Result<(), String> {
        capture(&mut self.place.command(Path::new("sh"), &["-ec", script], below)).map(drop)
    }

    /// Returns a script that puts what lies at `paths` out of the way.
    ///
    /// Deleting would change what is measured: ext4 does not give the numbers of files out again that were deleted within
    /// the last minutes, and looks at each of them whenever a file is made near by.
    pub(super) fn aside(&self, paths: &[&str]) -> String {
        let aside = self.path("aside");
        format!(
            "to={}/$(date +%s%N); mkdir -p $to; for path in {}; do if [ -e $path ]; then \
             mv $path $to/$(basename $path); fi; done",
            aside.display(),
            paths.join(" ")
        )
    }

    /// Makes `n` files of `size` different bytes each; of size 0, of a few bytes.
    pub(super) fn tree(&self, name: &str, n: usize, size: usize) -> Result<(), String> {
        let root = self.place.path().join(name);
        let fail = |err: std::io::Error| format!("cannot fill {}: {err}", root.display());
        let mut bytes = vec![0; size];
        for dir in 0..n.div_ceil(PER_DIR) {
            let at = root.join(dir.to_string());
            fs::create_dir_all(&at).map_err(fail)?;
            for file in 0..PER_DIR.min(n - dir * PER_DIR) {
                let number = format!("{dir}/{file}\n");
                if size == 0 {
                    bytes = number.into_bytes();
                } else {
                    noise(&mut bytes, (dir * PER_DIR + file) as u64);
                }
                fs::write(at.join(file.to_string()), &bytes).map_err(fail)?;
            }
        }
        Ok(())
    }

    /// Makes one file.
    pub(super) fn large(&self, name: &str, size: u64) -> Result<(), String> {
        let path = self.place.path().join(name);
        let fail = |err: std::io::Error| format!("cannot write {}: {err}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(fail)?;
        let mut file = BufWriter::new(File::create(&path).map_err(fail)?);
        let mut piece = vec![0; 1 << 20];
        for nth in 0..size >> 20 {
            noise(&mut piece, nth);
            file.write_all(&piece).map_err(fail)?;
        }
        file.flush().map_err(fail)
    }

    /// Makes a project of ours (SHA-256) with one kind of links.
    pub(super) fn project(&self, name: &str, links: &str) -> Result<(), String> {
        self.start(name)?;
        capture(&mut self.place.command(&self.exp, &["init", "-q"], name))?;
        let config = self.place.path().join(name).join(".dvc/config");
        write(&config, &format!("[cache]\n    type = {links}\n"))
    }

    /// Makes a project as dvc does (MD5, copies).
    pub(super) fn dvc_project(&self, name: &str) -> Result<(), String> {
        self.start(name)?;
        let dvc = self.dvc.as_deref().unwrap_or(&self.exp);
        capture(&mut self.place.command(dvc, &["init", "-q"], name)).map(drop)
    }

    fn start(&self, name: &str) -> Result<(), String> {
        fs::create_dir_all(self.place.path().join(name)).map_err(|err| err.to_string())?;
        self.place.git(name, &["init", "-q"]).map(drop)
    }

    /// Runs a command once.
    pub(super) fn once(&self, below: &str, run: &Run) -> Result<Gauge, String> {
        self.sh("sync")?;
        let figures = self.place.path().join("figures");
        let _absent = fs::remove_file(&figures);
        let program = match run.tool {
            Tool::Exp => self.exp.as_path(),
            Tool::Dvc => self.dvc.as_deref().unwrap_or(&self.exp),
            Tool::Shell => Path::new("sh"),
        };
        let mut words = vec!["-f".to_owned(), "%U %S %M".to_owned(), "-o".to_owned()];
        words.extend([figures.display().to_string(), program.display().to_string()]);
        words.extend(run.words.iter().cloned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        measure(&mut self.place.command(&self.timer, &words, below), &figures)
    }

    /// Runs a command several times, each after the untimed scripts of `before`; returns the median.
    pub(super) fn rounds(
        &self,
        extent: Extent,
        below: &str,
        before: &[&str],
        run: &Run,
    ) -> Result<Gauge, String> {
        let mut all = Vec::new();
        for _ in 0..extent.rounds {
            for script in before {
                self.sh_in(below, script)?;
            }
            all.push(self.once(below, run)?);
        }
        let median = Gauge::median(all);
        println!("{} …: {median}", run.words.join(" "));
        Ok(median)
    }
}

/// Fills `bytes` with what neither repeats nor shrinks (xorshift).
fn noise(bytes: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for word in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let fresh = state.to_le_bytes();
        word.copy_from_slice(&fresh[..word.len()]);
    }
}
