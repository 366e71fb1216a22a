//! `version`, `root`.

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// Print only the number
    #[arg(long)]
    pub(crate) short: bool,
}

/// Flags of a command that has none.
#[derive(Debug, clap::Args)]
pub(crate) struct NoArgs {}
