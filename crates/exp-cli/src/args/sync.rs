//! `push` and `pull` of experiments.

use std::num::NonZeroUsize;

/// Which experiments are meant, when they are not named.
#[derive(Debug, clap::Args)]
pub(crate) struct WhichArgs {
    /// All experiments of all commits
    #[arg(short = 'A', long)]
    pub(crate) all_commits: bool,
    /// The experiments that started from this commit
    #[arg(long, value_name = "commit")]
    pub(crate) rev: Option<String>,
    /// Also of so many commits before it, itself included; all of them for a negative number
    #[arg(short, long, value_name = "num", allow_negative_numbers = true)]
    pub(crate) num: Option<i64>,
}

/// How data is moved.
#[derive(Debug, clap::Args)]
pub(crate) struct HowArgs {
    /// The data remote; the default one when none is given
    #[arg(short, long, value_name = "name")]
    pub(crate) remote: Option<String>,
    /// So many objects at once
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Move the run cache too
    #[arg(long, overrides_with = "no_run_cache")]
    pub(crate) run_cache: bool,
    /// Leave the run cache
    #[arg(long, overrides_with = "run_cache")]
    pub(crate) no_run_cache: bool,
}

/// Flags of `push`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// All experiments of HEAD
    #[arg(long)]
    pub(crate) all: bool,
    /// Replace experiments that the Git remote has with another commit
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Push results only; nobody else can apply them until their data is pushed
    #[arg(long, alias = "no-cache")]
    pub(crate) no_data: bool,
    /// From now on push each experiment when its run finishes (sets `exp.auto_push` on this machine)
    #[arg(long, conflicts_with_all = ["all", "all_commits", "rev", "num", "check", "experiments"])]
    pub(crate) auto: bool,
    /// Prove that a fresh clone can apply the experiments, and send nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// The Git remote: name, path or URL; `exp.git_remote` or origin when none is given
    #[arg(short, long, value_name = "git_remote")]
    pub(crate) git_remote: Option<String>,
    /// Experiments (name, unique prefix, commit, last, best), after a Git remote if that is not the default one
    #[arg(value_name = "experiment")]
    pub(crate) experiments: Vec<String>,
}

/// Flags of `pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Replace experiments that exist here with another commit
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Pull results only
    #[arg(long, alias = "no-cache")]
    pub(crate) no_data: bool,
    /// The Git remote: name, path or URL; `exp.git_remote` or origin when none is given
    #[arg(short, long, value_name = "git_remote")]
    pub(crate) git_remote: Option<String>,
    /// Experiments by name, after a Git remote if that is not the default one; all of HEAD when none is given
    #[arg(value_name = "experiment")]
    pub(crate) experiments: Vec<String>,
}

/// Flags of DVC's `exp push` and `exp pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct DvcSyncArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Replace experiment if it already exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Leave the cached outputs
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Git remote name or Git URL
    #[arg(value_name = "git_remote")]
    pub(crate) git_remote: String,
    /// Experiments
    #[arg(value_name = "experiment")]
    pub(crate) experiments: Vec<String>,
}
