//! The two binaries that a bench measures beside each other.

use std::path::PathBuf;

use crate::demo::release;
use crate::process::step;
use crate::setup;

/// Ours, and the real dvc.
pub(crate) struct Sides {
    pub(crate) exp: PathBuf,
    /// `None` when it is not wanted, or cannot be had, which is said then.
    pub(crate) dvc: Option<PathBuf>,
}

impl Sides {
    /// Reads `--exp PATH` (a release build by default) and `--no-dvc`.
    pub(crate) fn of_switches(switches: &[&str]) -> Result<Self, String> {
        let (mut exp, mut with_dvc) = (None, true);
        let mut rest = switches.iter();
        while let Some(switch) = rest.next() {
            match *switch {
                "--exp" => exp = rest.next().map(PathBuf::from),
                "--no-dvc" => with_dvc = false,
                _ => return Err(format!("unknown switch {switch}")),
            }
        }
        Self::new(exp, with_dvc)
    }

    /// Takes a binary of ours or builds it, and installs dvc when it is wanted.
    pub(crate) fn new(exp: Option<PathBuf>, with_dvc: bool) -> Result<Self, String> {
        let exp = match exp {
            Some(exp) => std::path::absolute(exp).map_err(|err| err.to_string())?,
            None => step("build", release)?,
        };
        let dvc = match (with_dvc, setup::ensure()) {
            (false, _) => None,
            (true, Ok(())) => Some(setup::oracle().join("bin/dvc")),
            (true, Err(reason)) => {
                println!("SKIPPED: the side of dvc: {reason}");
                None
            }
        };
        Ok(Self { exp, dvc })
    }
}
