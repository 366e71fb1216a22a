//! `data add`, `data checkout`, `data commit`, `data status`.

/// Flags of `data add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Record the content without storing it
    #[arg(long)]
    pub(crate) no_commit: bool,
    /// Leave the files as they are instead of linking them to the store
    #[arg(long)]
    pub(crate) no_relink: bool,
    /// Files and directories
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
}

/// Flags of DVC's `add`.
#[derive(Debug, clap::Args)]
pub(crate) struct DvcAddArgs {
    #[command(flatten)]
    pub(crate) add: AddArgs,
    /// Override local file or folder if exists
    #[arg(short, long)]
    pub(crate) force: bool,
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
    /// Only these paths
    pub(crate) targets: Vec<String>,
}
