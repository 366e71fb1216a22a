//! `show`, `list`, `diff`, `params diff`, `metrics show`, `metrics diff`.

use clap::{ArgAction, ValueEnum};

/// Which way a table is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum SortOrder {
    /// The smallest first.
    #[default]
    Asc,
    /// The largest first.
    Desc,
}

/// Which columns are shown although they do not fit or do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cols {
    /// All of them.
    All,
}

/// Commits that are selected as a whole.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct AllArgs {
    /// Every branch
    #[arg(short = 'a', long)]
    pub(crate) all_branches: bool,
    /// Every tag
    #[arg(short = 'T', long)]
    pub(crate) all_tags: bool,
    /// Every commit that a branch or tag leads to
    #[arg(short = 'A', long)]
    pub(crate) all_commits: bool,
}

/// Flags of `show`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) all: AllArgs,
    /// A revision whose experiments are shown; may be repeated
    #[arg(long, value_name = "REV")]
    pub(crate) rev: Vec<String>,
    /// So many commits back from each revision; a negative number means all
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) num: i64,
    /// Never start a pager
    #[arg(long)]
    pub(crate) no_pager: bool,
    /// Only columns that differ between rows
    #[arg(long)]
    pub(crate) only_changed: bool,
    /// Leave out columns whose names begin like this regular expression
    #[arg(long, value_name = "REGEX", action = ArgAction::Append)]
    pub(crate) drop: Vec<String>,
    /// Keep columns whose names begin like this regular expression, whatever else is left out
    #[arg(long, value_name = "REGEX", action = ArgAction::Append)]
    pub(crate) keep: Vec<String>,
    /// Only parameters that stages depend on
    #[arg(long)]
    pub(crate) param_deps: bool,
    /// Only rows that fulfil this condition: 'lr>=0.01 and acc>0.9'
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: Option<String>,
    /// Make one row of experiments that differ in this parameter only; may be repeated
    #[arg(long, value_name = "PARAM")]
    pub(crate) group: Vec<String>,
    /// Show the table again whenever it changes, with the metrics of what runs, until q or Ctrl-C; with --json, an event a
    /// line for each run that begins, writes metrics or ends
    #[arg(long, conflicts_with_all = ["csv", "md"])]
    pub(crate) watch: bool,
    /// Write a page with parallel coordinates of the parameters and metrics that differ
    #[arg(long, conflicts_with_all = ["watch", "json", "csv", "md"])]
    pub(crate) pcp: bool,
    /// With --pcp: the directory of the page [default: `plots.out_dir`, or `dvc_plots`]
    #[arg(short, long, value_name = "DIR", requires = "pcp")]
    pub(crate) out: Option<String>,
    /// With --pcp: open the page in a browser
    #[arg(long, requires = "pcp")]
    pub(crate) open: bool,
    /// Sort the experiments of each commit by this metric or parameter
    #[arg(long, alias = "sort", value_name = "COLUMN")]
    pub(crate) sort_by: Option<String>,
    /// Which way to sort
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = SortOrder::Asc)]
    pub(crate) sort_order: SortOrder,
    /// Show commits instead of the names of branches, tags and experiments
    #[arg(long)]
    pub(crate) sha: bool,
    /// Hide experiments that failed
    #[arg(long)]
    pub(crate) hide_failed: bool,
    /// Hide experiments that are queued
    #[arg(long)]
    pub(crate) hide_queued: bool,
    /// Hide the workspace
    #[arg(long)]
    pub(crate) hide_workspace: bool,
    /// Significant digits of numbers
    #[arg(long, value_name = "N")]
    pub(crate) precision: Option<usize>,
    /// Read everything anew
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Ask no remote
    #[arg(long, hide = true)]
    pub(crate) no_fetch: bool,
    /// Show all columns, however wide
    #[arg(long, value_enum)]
    pub(crate) cols: Option<Cols>,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["csv", "md"])]
    pub(crate) json: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "md")]
    pub(crate) csv: bool,
    /// Print a Markdown table
    #[arg(long)]
    pub(crate) md: bool,
}

/// Flags of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// A Git remote, by name or address; without, this repository
    pub(crate) git_remote: Option<String>,
    /// Experiments of every commit
    #[arg(short = 'A', long)]
    pub(crate) all_commits: bool,
    /// A revision whose experiments are listed; may be repeated
    #[arg(long, value_name = "REV")]
    pub(crate) rev: Vec<String>,
    /// So many commits back from each revision; a negative number means all
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value_t = 1)]
    pub(crate) num: i64,
    /// Print names only
    #[arg(long, alias = "names-only")]
    pub(crate) name_only: bool,
    /// Print commits only
    #[arg(long, conflicts_with = "name_only")]
    pub(crate) sha_only: bool,
}

/// Flags of `diff`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct DiffArgs {
    /// The first experiment or revision; HEAD by default
    pub(crate) a_rev: Option<String>,
    /// The second one; the workspace by default
    pub(crate) b_rev: Option<String>,
    /// Show what did not change too
    #[arg(long)]
    pub(crate) all: bool,
    /// Only parameters that stages depend on
    #[arg(long)]
    pub(crate) param_deps: bool,
    /// Print the patch of the code
    #[arg(long)]
    pub(crate) code: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "md")]
    pub(crate) json: bool,
    /// Print Markdown tables
    #[arg(long)]
    pub(crate) md: bool,
    /// Do not print the files
    #[arg(long)]
    pub(crate) no_path: bool,
    /// Significant digits of metrics
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) precision: usize,
}

/// Flags of `params diff`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct ParamsDiffArgs {
    /// The first revision; HEAD by default
    pub(crate) a_rev: Option<String>,
    /// The second one; the workspace by default
    pub(crate) b_rev: Option<String>,
    /// Only these parameter files
    #[arg(long, value_name = "PATH", num_args = 0..)]
    pub(crate) targets: Vec<String>,
    /// Show what did not change too
    #[arg(long)]
    pub(crate) all: bool,
    /// Only parameters that stages depend on
    #[arg(long)]
    pub(crate) deps: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "md")]
    pub(crate) json: bool,
    /// Print a Markdown table
    #[arg(long)]
    pub(crate) md: bool,
    /// Do not print the files
    #[arg(long)]
    pub(crate) no_path: bool,
}

/// Flags of `metrics diff`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct MetricsDiffArgs {
    /// The first revision; HEAD by default
    pub(crate) a_rev: Option<String>,
    /// The second one; the workspace by default
    pub(crate) b_rev: Option<String>,
    /// Only these metric files or directories
    #[arg(long, value_name = "PATH", num_args = 0..)]
    pub(crate) targets: Vec<String>,
    /// Take all files of directories, which is always so
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Show what did not change too
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "md")]
    pub(crate) json: bool,
    /// Print a Markdown table
    #[arg(long)]
    pub(crate) md: bool,
    /// Do not print the files
    #[arg(long)]
    pub(crate) no_path: bool,
    /// Digits behind the point
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) precision: usize,
}

/// Flags of `metrics show`.
#[derive(Debug, clap::Args)]
pub(crate) struct MetricsShowArgs {
    /// Metric files or directories; those of the pipeline by default
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) all: AllArgs,
    /// Take all files of directories, which is always so
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "md")]
    pub(crate) json: bool,
    /// Print a Markdown table
    #[arg(long)]
    pub(crate) md: bool,
    /// Digits behind the point
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) precision: usize,
}
