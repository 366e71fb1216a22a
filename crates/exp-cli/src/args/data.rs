//! The commands of data: `data add`, `data status` and their like.

/// Flags of `data add`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct AddArgs {
    /// Record the content without storing it
    #[arg(long)]
    pub(crate) no_commit: bool,
    /// Leave the files as they are instead of linking them to the store
    #[arg(long)]
    pub(crate) no_relink: bool,
    /// Take targets for patterns: *, ?, [a-z], and ** for any number of directories
    #[arg(long)]
    pub(crate) glob: bool,
    /// Copy the target here first; it may be outside of the project
    #[arg(short, long, value_name = "PATH")]
    pub(crate) out: Option<String>,
    /// Send the content to a remote instead of the store
    #[arg(long)]
    pub(crate) to_remote: bool,
    /// With --to-remote, the remote
    #[arg(short, long, value_name = "NAME")]
    pub(crate) remote: Option<String>,
    /// With --to-remote, how many transfers at a time
    #[arg(long, value_name = "N")]
    pub(crate) remote_jobs: Option<usize>,
    /// With --out, replace what is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Files and directories
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
}

/// Flags of `data checkout`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct CheckoutArgs {
    /// Say only how many files changed
    #[arg(long)]
    pub(crate) summary: bool,
    /// Also bring back what the named stages depend on
    #[arg(short = 'd', long)]
    pub(crate) with_deps: bool,
    /// Also bring back everything below the named directories
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Replace files whose content is stored nowhere
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Make files links to the store again, of the kind that the project is set to
    #[arg(long)]
    pub(crate) relink: bool,
    /// Pass over what the store lacks
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// Outputs, paths inside of them, stages or .dvc files; everything when none is given
    pub(crate) targets: Vec<String>,
}

/// Flags of `data commit`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct CommitArgs {
    /// Record changed stages without asking
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Also record what the named stages depend on
    #[arg(short = 'd', long)]
    pub(crate) with_deps: bool,
    /// Also record everything below the named directories
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Leave the files as they are instead of linking them to the store
    #[arg(long)]
    pub(crate) no_relink: bool,
    /// Outputs, stages or .dvc files; everything when none is given
    pub(crate) targets: Vec<String>,
}

/// Flags of `data status`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// List the files of directories one by one
    #[arg(long)]
    pub(crate) granular: bool,
    /// List what is unchanged too
    #[arg(long)]
    pub(crate) unchanged: bool,
    /// List files that nothing tracks
    #[arg(long, value_name = "no|all", num_args = 0..=1, default_value = "no", default_missing_value = "all",
          value_parser = ["no", "all"])]
    pub(crate) untracked_files: String,
    /// List what the data remote lacks too
    #[arg(long)]
    pub(crate) not_in_remote: bool,
    /// The data remote; each output's own or the default one when none is given
    #[arg(short, long, value_name = "name")]
    pub(crate) remote: Option<String>,
    /// Taken for compatibility: what is remembered of a remote is confirmed with a few requests in any case
    #[arg(long)]
    pub(crate) no_remote_refresh: bool,
    /// Only these paths
    pub(crate) targets: Vec<String>,
}

/// Flags of `data check-ignore`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct CheckIgnoreArgs {
    /// Show the rule that decides, with its file and line
    #[arg(short, long)]
    pub(crate) details: bool,
    /// With --details, show every rule that matters
    #[arg(short, long, hide = true)]
    pub(crate) all: bool,
    /// With --details, show paths that no rule matches too
    #[arg(short, long)]
    pub(crate) non_matching: bool,
    /// Read the paths from standard input, one a line
    #[arg(long)]
    pub(crate) stdin: bool,
    /// Files and directories
    pub(crate) targets: Vec<String>,
}

/// Flags of `data remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Remove the data too, not only what tracks it
    #[arg(long)]
    pub(crate) outs: bool,
    /// .dvc files, or stages
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
}

/// Flags of `data move`.
#[derive(Debug, clap::Args)]
pub(crate) struct MoveArgs {
    /// Tracked data
    pub(crate) src: String,
    /// Where it goes; into it, when that is a directory
    pub(crate) dst: String,
}

/// Flags of `data unprotect`.
#[derive(Debug, clap::Args)]
pub(crate) struct UnprotectArgs {
    /// Files and directories
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
}

/// Flags of `data diff`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct DiffArgs {
    /// The older commit or experiment
    #[arg(default_value = "HEAD")]
    pub(crate) a_rev: String,
    /// The newer one; the workspace when none is given
    pub(crate) b_rev: Option<String>,
    /// Only these outputs, paths inside of them, stages or .dvc files
    #[arg(long, num_args = 0.., value_name = "PATH")]
    pub(crate) targets: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the digests
    #[arg(long)]
    pub(crate) show_hash: bool,
    /// Print a Markdown table
    #[arg(long)]
    pub(crate) md: bool,
    /// Leave out what the store lacks
    #[arg(long)]
    pub(crate) hide_missing: bool,
}
