//! `report`.

use std::path::PathBuf;

/// Flags of `report`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Experiments, commits or `workspace`; without, all experiments of HEAD, the best of them in detail
    #[arg(value_name = "REV")]
    pub(crate) revisions: Vec<String>,
    /// Compare them with this revision, not with the commits that they started from
    #[arg(long, value_name = "REV")]
    pub(crate) base: Option<String>,
    /// Write Markdown, as for a pull request; so it is done unless the file ends in .html
    #[arg(long, conflicts_with = "html")]
    pub(crate) md: bool,
    /// Write one HTML page that needs nothing else
    #[arg(long)]
    pub(crate) html: bool,
    /// The file; standard output by default
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
