//! Harness of the end-to-end tests of `exp`.
//!
//! [`Sandbox`] is a hermetic place to run commands in, [`Tool`] is a command under test or the oracle (the real `dvc`),
//! [`GitCheck`] looks at a Git repository with the real `git`. On top of them stands the differential runner: a
//! [`Scenario`] is a script that two twins of one repository run, one with `dvc` and one with `exp dvc`, and what the
//! commands leave behind is compared (see [`differential`]).
//!
//! The crate knows nothing of the crates of `exp`: it sees the binary alone, as its users do.
//!
//! ```
//! use exp_tests::Scenario;
//!
//! let text = "scenario: nothing-to-do\nfrom: linear\n$ dvc repro\nsays: up to date\n";
//! let file = exp_tests::parse_scenarios("repro", text)?;
//! let Scenario { name, steps, .. } = &file.scenarios[0];
//! assert_eq!((name.as_str(), steps.len()), ("nothing-to-do", 2));
//! # Ok::<(), exp_tests::ScenarioError>(())
//! ```

pub mod differential;
mod gitcheck;
mod normalize;
mod observe;
mod oracle;
mod sandbox;
mod scenario;
mod server;
mod tool;

pub use gitcheck::{GitCheck, Snapshot};
pub use normalize::Normalizer;
pub use observe::{Observation, observe};
pub use oracle::{DVC_VERSION, Oracle, OracleServer, Skip};
pub use sandbox::{Sandbox, git, run_shell, setting, workspace_root};
pub use scenario::{Declared, Scenario, ScenarioError, ScenarioFile, Step, parse_scenarios};
pub use server::Server;
pub use tool::{Answer, Tool};
