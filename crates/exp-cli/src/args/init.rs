//! `init`.

/// Flags of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// What content is addressed by: sha256, or md5 for a project that DVC shares
    #[arg(long, value_name = "NAME", default_value = "sha256", value_parser = ["sha256", "md5"])]
    pub(crate) hash: String,
    /// Make the project below the top of the Git repository
    #[arg(long)]
    pub(crate) subdir: bool,
    /// Make an existing project anew: its settings go, its cache stays
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Flags of DVC's `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct DvcInitArgs {
    /// Initialize without Git, which is not supported here
    #[arg(long)]
    pub(crate) no_scm: bool,
    /// Make the project below the top of the Git repository
    #[arg(long)]
    pub(crate) subdir: bool,
    /// Make an existing project anew: its settings go, its cache stays
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Where
    #[arg(default_value = ".")]
    pub(crate) directory: std::path::PathBuf,
}
