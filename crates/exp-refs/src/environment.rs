//! What a run ran in, as its record has it.
//!
//! Names, versions and digests; never the value of an environment variable, which may be a secret.

use serde::{Deserialize, Serialize};

/// What a run ran in. What is not known is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunEnvironment {
    /// The system and its architecture: `Linux 6.8.0 x86_64`.
    pub system: Option<String>,
    /// The interpreter of Python that the commands run in.
    pub python: Option<Python>,
    /// Files of package managers that pin what is installed, by path.
    pub lock_files: Vec<LockFile>,
    /// The models of the graphics processors, in the order in which the machine lists them.
    pub gpus: Vec<String>,
    /// The version of their driver.
    pub driver: Option<String>,
}

/// An interpreter of Python.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The program as a command starts it: absolute, or from the project's root when it is below.
    pub path: String,
    /// Its version: `3.12.3`.
    #[serde(default)]
    pub version: Option<String>,
    /// What is installed for it.
    #[serde(default)]
    pub packages: Option<Packages>,
}

/// What is installed for an interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// How many packages.
    pub n: u64,
    /// The SHA-256, in hexadecimal, of their list: a line `<name> <version>` each, sorted.
    pub digest: String,
}

/// A file that pins what is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFile {
    /// Where, from the root of the project.
    pub path: String,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
}
