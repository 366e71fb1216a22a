//! What a job is, as it stands in the message of its commit.
//!
//! The tree of the commit is what runs: the workspace as it was, with the parameters of the job in place. The message is
//! a line for people, an empty line, and one line of JSON:
//!
//! ```json
//! {"version":1,"name":"lr-1","cwd":"","selection":null,"force":"no","on_failure":"stop","run_cache":true,
//!  "allow_missing":false,"pull":false,"jobs":1,"overrides":["lr=0.1"],"message":null,"replace":false,"copy":[],
//!  "sweep":"lr","left_out":[],"left_out_files":[],"n_left_out":0,"submodules":[]}
//! ```
//!
//! A reader refuses a version that it does not know, and ignores fields that it does not know.

use exp_core::{ExecuteOptions, FailurePolicy, Force, Reach, RelPath, Selection, Target};
use exp_refs::{ExpName, LeftOut, LeftOutCause, SubmoduleState};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::run::ReproRequest;

/// The version of the stored form.
const VERSION: u32 = 1;

/// What a job is, beside the files that it runs.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// The name that its experiment gets.
    pub name: ExpName,
    /// What is run.
    pub repro: ReproRequest,
    /// The directory, below the root, that it was queued from.
    pub cwd: RelPath,
    /// The changes of parameters, as they were given; they are in the files already.
    pub overrides: Vec<String>,
    /// The message of the experiment's commit; DVC's when there is none.
    pub message: Option<String>,
    /// Whether an experiment of that name is replaced.
    pub replace: bool,
    /// Files and directories that Git does not track and the run needs, relative to `cwd`.
    pub copy: Vec<String>,
    /// What the jobs have in common that were queued together; `None` for one that was queued alone.
    pub sweep: Option<String>,
    /// Files that were there and are not part of the job: ignored, too large, or likely with a secret; of many some.
    pub left_out: Vec<LeftOut>,
    /// How many there were.
    pub n_left_out: u64,
    /// What the submodules are at.
    pub submodules: Vec<SubmoduleState>,
}

#[derive(Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
struct Wire {
    version: u32,
    name: String,
    #[serde(default)]
    cwd: String,
    #[serde(default)]
    selection: Option<WireSelection>,
    #[serde(default)]
    force: WireForce,
    #[serde(default)]
    on_failure: WirePolicy,
    run_cache: bool,
    allow_missing: bool,
    pull: bool,
    jobs: usize,
    overrides: Vec<String>,
    message: Option<String>,
    replace: bool,
    copy: Vec<String>,
    sweep: Option<String>,
    /// Names alone, as the first programs wrote and read them.
    #[serde(default)]
    left_out: Vec<String>,
    #[serde(default)]
    left_out_files: Vec<LeftOut>,
    #[serde(default)]
    n_left_out: u64,
    #[serde(default)]
    submodules: Vec<SubmoduleState>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct WireSelection {
    reach: WireReach,
    targets: Vec<WireTarget>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireTarget {
    File(String),
    Stage(String, String),
    Glob(String, String),
    Dir(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireReach {
    Upstream,
    Single,
    Downstream,
    Component,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum WireForce {
    #[default]
    No,
    Downstream,
    All,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum WirePolicy {
    #[default]
    Stop,
    KeepGoing,
    Ignore,
}

impl JobSpec {
    /// Returns the message of the job's commit.
    ///
    /// # Errors
    ///
    /// A target of a kind that has no stored form.
    pub(super) fn to_message(&self) -> Result<String, Error> {
        let execute = &self.repro.execute;
        let wire = Wire {
            version: VERSION,
            name: self.name.to_string(),
            cwd: self.cwd.to_string(),
            selection: selection_to_wire(&self.repro.selection)?,
            force: match execute.force {
                Force::No => WireForce::No,
                Force::Downstream => WireForce::Downstream,
                Force::All => WireForce::All,
            },
            on_failure: match execute.on_failure {
                FailurePolicy::Stop => WirePolicy::Stop,
                FailurePolicy::KeepGoing => WirePolicy::KeepGoing,
                FailurePolicy::Ignore => WirePolicy::Ignore,
            },
            run_cache: execute.run_cache,
            allow_missing: execute.allow_missing,
            pull: self.repro.bring || self.repro.fetch,
            jobs: execute.jobs,
            overrides: self.overrides.clone(),
            message: self.message.clone(),
            replace: self.replace,
            copy: self.copy.clone(),
            sweep: self.sweep.clone(),
            left_out: names_of(&self.left_out),
            left_out_files: self.left_out.clone(),
            n_left_out: self.n_left_out,
            submodules: self.submodules.clone(),
        };
        let json = serde_json::to_string(&wire).expect("a job has text and numbers only");
        Ok(format!("exp: job {}\n\n{json}\n", self.name))
    }

    /// Reads what a job is from the message of its commit.
    ///
    /// # Errors
    ///
    /// What a newer version wrote, and what is no job.
    pub(super) fn of_message(message: &str) -> Result<Self, Error> {
        let what = || "a job of the queue".to_owned();
        let corrupt = |source: Box<dyn std::error::Error + Send + Sync>| Error::Corrupt {
            what: what(),
            source,
        };
        let (_, json) = message.split_once("\n\n").ok_or_else(|| corrupt("no record".into()))?;
        let Versioned { version } = serde_json::from_str(json).map_err(|e| corrupt(e.into()))?;
        if version > VERSION {
            return Err(Error::Newer { what: what() });
        }
        let wire: Wire = serde_json::from_str(json).map_err(|e| corrupt(e.into()))?;
        let execute = ExecuteOptions {
            force: match wire.force {
                WireForce::No => Force::No,
                WireForce::Downstream => Force::Downstream,
                WireForce::All => Force::All,
            },
            on_failure: match wire.on_failure {
                WirePolicy::Stop => FailurePolicy::Stop,
                WirePolicy::KeepGoing => FailurePolicy::KeepGoing,
                WirePolicy::Ignore => FailurePolicy::Ignore,
            },
            run_cache: wire.run_cache,
            allow_missing: wire.allow_missing,
            jobs: wire.jobs,
            ..ExecuteOptions::default()
        };
        let selection = selection_of_wire(wire.selection)?;
        let left_out = if wire.left_out_files.is_empty() {
            let why = LeftOutCause::Large;
            let named = |path| LeftOut { path, why, size: None, digest: None };
            wire.left_out.into_iter().map(named).collect()
        } else {
            wire.left_out_files
        };
        Ok(Self {
            name: ExpName::new(&wire.name)?,
            repro: ReproRequest {
                selection,
                execute,
                trace: None,
                bring: wire.pull,
                fetch: wire.pull,
                live: false,
            },
            cwd: RelPath::new(&wire.cwd)?,
            overrides: wire.overrides,
            message: wire.message,
            replace: wire.replace,
            copy: wire.copy,
            sweep: wire.sweep,
            n_left_out: wire.n_left_out.max(left_out.len() as u64),
            left_out,
            submodules: wire.submodules,
        })
    }
}

/// Returns the untracked files among those that were left out.
fn names_of(left_out: &[LeftOut]) -> Vec<String> {
    let untracked = left_out.iter().filter(|file| file.why != LeftOutCause::Ignored);
    untracked.map(|file| file.path.clone()).collect()
}

fn selection_to_wire(selection: &Selection) -> Result<Option<WireSelection>, Error> {
    let Selection::Targets { targets, reach } = selection else { return Ok(None) };
    let reach = match reach {
        Reach::Upstream => WireReach::Upstream,
        Reach::Single => WireReach::Single,
        Reach::Downstream => WireReach::Downstream,
        Reach::Component => WireReach::Component,
    };
    let text = |path: &RelPath| path.as_str().to_owned();
    let mut wire = Vec::new();
    for target in targets {
        wire.push(match target {
            Target::File(file) => WireTarget::File(text(file)),
            Target::Stage { file, name } => WireTarget::Stage(text(file), name.clone()),
            Target::Glob { file, pattern } => WireTarget::Glob(text(file), pattern.clone()),
            Target::Dir(dir) => WireTarget::Dir(text(dir)),
            other => {
                let source = format!("{other:?} cannot be queued").into();
                return Err(Error::Corrupt { what: "a target".to_owned(), source });
            }
        });
    }
    Ok(Some(WireSelection { reach, targets: wire }))
}

fn selection_of_wire(wire: Option<WireSelection>) -> Result<Selection, Error> {
    let Some(wire) = wire else { return Ok(Selection::All) };
    let reach = match wire.reach {
        WireReach::Upstream => Reach::Upstream,
        WireReach::Single => Reach::Single,
        WireReach::Downstream => Reach::Downstream,
        WireReach::Component => Reach::Component,
    };
    let mut targets = Vec::new();
    for target in wire.targets {
        targets.push(match target {
            WireTarget::File(file) => Target::File(RelPath::new(&file)?),
            WireTarget::Stage(file, name) => Target::Stage { file: RelPath::new(&file)?, name },
            WireTarget::Glob(file, pattern) => Target::Glob { file: RelPath::new(&file)?, pattern },
            WireTarget::Dir(dir) => Target::Dir(RelPath::new(&dir)?),
        });
    }
    Ok(Selection::of(targets).reaching(reach))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_reads_what_it_writes_and_refuses_what_is_newer() {
        let file = RelPath::new("sub/dvc.yaml").unwrap();
        let targets = vec![
            Target::File(file.clone()),
            Target::Stage { file: file.clone(), name: "a@1".into() },
            Target::Glob { file, pattern: "a*".into() },
            Target::Dir(RelPath::root()),
        ];
        let mut spec = JobSpec {
            name: ExpName::new("lr-1").unwrap(),
            repro: ReproRequest::default(),
            cwd: RelPath::new("sub").unwrap(),
            overrides: vec!["lr=0.1".into()],
            message: Some("two\n\nlines".into()),
            replace: true,
            copy: vec!["a b".into()],
            sweep: Some("lr".into()),
            left_out: vec![LeftOut {
                path: "big.bin".into(),
                why: LeftOutCause::Large,
                size: Some(7),
                digest: None,
            }],
            n_left_out: 1,
            submodules: vec![SubmoduleState {
                path: "lib".into(),
                commit: "ab".repeat(20),
                edits: Some("cd".repeat(20)),
            }],
        };
        for selection in [Selection::All, Selection::of(targets).reaching(Reach::Downstream)] {
            spec.repro.selection = selection;
            spec.repro.execute.force = Force::All;
            spec.repro.execute.on_failure = FailurePolicy::KeepGoing;
            let read = JobSpec::of_message(&spec.to_message().unwrap()).unwrap();
            assert_eq!(read.repro.selection, spec.repro.selection);
            assert_eq!(read.to_message().unwrap(), spec.to_message().unwrap());
        }
        let written = spec.to_message().unwrap();
        let (start, rest) = written.split_once("\"left_out_files\"").unwrap();
        let older = format!("{}}}", start.trim_end_matches(','));
        let read = JobSpec::of_message(&older).unwrap();
        assert_eq!((read.left_out[0].path.as_str(), read.n_left_out), ("big.bin", 1), "{rest}");
        let newer = spec.to_message().unwrap().replace("\"version\":1", "\"version\":2");
        assert!(matches!(JobSpec::of_message(&newer), Err(Error::Newer { .. })));
        assert!(matches!(JobSpec::of_message("dvc: x"), Err(Error::Corrupt { .. })));
        assert!(matches!(JobSpec::of_message("a\n\n{"), Err(Error::Corrupt { .. })));
    }
}
