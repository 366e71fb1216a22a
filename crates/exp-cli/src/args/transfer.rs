//! `data push`, `data pull`, `data fetch`.

use std::num::NonZeroUsize;

/// Which data, and how it is moved.
#[derive(Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct TransferArgs {
    /// The data remote; each output's own or the default one when none is given
    #[arg(short, long, value_name = "name")]
    pub(crate) remote: Option<String>,
    /// So many objects at once
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<usize>,
    /// Also what the tips of all branches record
    #[arg(short = 'a', long)]
    pub(crate) all_branches: bool,
    /// Also what all tags record
    #[arg(short = 'T', long)]
    pub(crate) all_tags: bool,
    /// Also what any commit records
    #[arg(short = 'A', long)]
    pub(crate) all_commits: bool,
    /// Also what all experiments record
    #[arg(long)]
    pub(crate) all_experiments: bool,
    /// Also what the named stages depend on
    #[arg(short = 'd', long)]
    pub(crate) with_deps: bool,
    /// Also everything below the named directories
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Ask the remote for everything instead of trusting what was seen there before
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Outputs, paths inside of them, stages or .dvc files; everything when none is given
    pub(crate) targets: Vec<String>,
}

impl TransferArgs {
    /// Returns how many objects are moved at once; zero is the default, as in DVC.
    pub(crate) fn jobs(&self) -> Option<NonZeroUsize> {
        self.jobs.and_then(NonZeroUsize::new)
    }
}

/// Whether the run cache is moved.
#[derive(Debug, clap::Args)]
pub(crate) struct RunCacheArgs {
    /// Move the run cache too
    #[arg(long, overrides_with = "no_run_cache")]
    pub(crate) run_cache: bool,
    /// Leave the run cache
    #[arg(long, overrides_with = "run_cache")]
    pub(crate) no_run_cache: bool,
}

impl RunCacheArgs {
    /// Returns whether it is moved.
    pub(crate) fn is_on(&self) -> bool {
        self.run_cache && !self.no_run_cache
    }
}

/// Flags of `data push`.
#[derive(Debug, clap::Args)]
pub(crate) struct DataPushArgs {
    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
    #[command(flatten)]
    pub(crate) runs: RunCacheArgs,
    /// Targets are patterns of shells
    #[arg(long)]
    pub(crate) glob: bool,
}

/// Flags of `data pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct DataPullArgs {
    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
    #[command(flatten)]
    pub(crate) runs: RunCacheArgs,
    /// Targets are patterns of shells
    #[arg(long)]
    pub(crate) glob: bool,
    /// Replace files whose content is stored nowhere
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Pass over what the remote lacks
    #[arg(long)]
    pub(crate) allow_missing: bool,
}

/// Flags of `data fetch`.
#[derive(Debug, clap::Args)]
pub(crate) struct DataFetchArgs {
    #[command(flatten)]
    pub(crate) transfer: TransferArgs,
    #[command(flatten)]
    pub(crate) runs: RunCacheArgs,
    /// Only outputs that are smaller than so many bytes
    #[arg(long, value_name = "bytes")]
    pub(crate) max_size: Option<u64>,
    /// Only outputs of this kind
    #[arg(long = "type", value_name = "kind", value_parser = ["metrics", "plots"])]
    pub(crate) kinds: Vec<String>,
}
