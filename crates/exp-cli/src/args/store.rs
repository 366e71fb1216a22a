//! The commands of the store as a whole: `gc`, `verify`, `du`, `cache`.

use super::config::LevelArgs;

/// Which revisions keep their data.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct ScopeArgs {
    /// Keep what the work trees use; they always do
    #[arg(short, long)]
    pub(crate) workspace: bool,
    /// Keep what the tips of all branches use
    #[arg(short, long)]
    pub(crate) all_branches: bool,
    /// Keep what all tags use
    #[arg(short = 'T', long)]
    pub(crate) all_tags: bool,
    /// Keep what all commits of branches, remote branches and tags use
    #[arg(short = 'A', long)]
    pub(crate) all_commits: bool,
    /// Keep what all experiments use
    #[arg(long)]
    pub(crate) all_experiments: bool,
    /// Keep what this revision or experiment uses
    #[arg(long, value_name = "REV")]
    pub(crate) rev: Option<String>,
    /// Keep what so many commits back from each named revision or branch use
    #[arg(short, long, value_name = "N")]
    pub(crate) num: Option<usize>,
    /// Keep what all commits since this day use
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) date: Option<String>,
}

impl ScopeArgs {
    /// Returns whether nothing was asked for.
    pub(crate) fn is_empty(&self) -> bool {
        let flags = [
            self.workspace,
            self.all_branches,
            self.all_tags,
            self.all_commits,
            self.all_experiments,
        ];
        !flags.contains(&true) && self.rev.is_none() && self.date.is_none()
    }
}

/// What both grammars ask of `gc` besides.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct GcHowArgs {
    /// Also remove from the remote
    #[arg(short, long)]
    pub(crate) cloud: bool,
    /// The remote; the default one when none is named
    #[arg(short, long, value_name = "NAME")]
    pub(crate) remote: Option<String>,
    /// Of what is kept, keep here only what the remote does not have
    #[arg(long)]
    pub(crate) not_in_remote: bool,
    /// Go on although some revisions cannot be read; what only they use is removed
    #[arg(long)]
    pub(crate) skip_failed: bool,
    /// How many objects are handled at once
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Also keep what these projects use, which share the store
    #[arg(short, long, value_name = "PATH", num_args = 0..)]
    pub(crate) projects: Vec<String>,
    /// Only show what would be removed
    #[arg(long)]
    pub(crate) dry: bool,
}

/// Flags of `gc`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Keep what anything known here uses; this is so when nothing narrower is asked for
    #[arg(
        long,
        conflicts_with_all = ["workspace", "all_branches", "all_tags", "all_commits", "all_experiments", "rev", "date"]
    )]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) how: GcHowArgs,
    /// Do not ask
    #[arg(short, long, alias = "force", short_alias = 'f')]
    pub(crate) yes: bool,
    /// Keep what is younger than this: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "AGE", default_value = "1h")]
    pub(crate) grace: String,
    /// Keep what recorded runs would bring back
    #[arg(long)]
    pub(crate) keep_runs: bool,
    /// Do not keep what only `exp undo` would need
    #[arg(long)]
    pub(crate) no_undo: bool,
    /// Print what is, or would be, removed as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of DVC's `gc`.
#[derive(Debug, clap::Args)]
pub(crate) struct DvcGcArgs {
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) how: GcHowArgs,
    /// Force garbage collection - automatically agree to all prompts
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Set damaged objects aside and bring right ones back, from the workspace or a remote
    #[arg(long)]
    pub(crate) repair: bool,
    /// The remote that objects come from; the default one when none is named
    #[arg(short, long, value_name = "NAME")]
    pub(crate) remote: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Outputs, or directories with outputs; the whole store when none is given
    pub(crate) targets: Vec<String>,
}

/// Flags of `du`.
#[derive(Debug, clap::Args)]
pub(crate) struct DuArgs {
    /// By work tree, branch, tag and experiment instead of by output
    #[arg(long)]
    pub(crate) by_revision: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `cache dir`.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheDirArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
    /// Use the default place again
    #[arg(short, long)]
    pub(crate) unset: bool,
    /// Where the store is to be; without, where it is is printed
    pub(crate) value: Option<String>,
}

/// Flags of `cache migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheMigrateArgs {
    /// Also rewrite the entries of .dvc files and lock files
    #[arg(long)]
    pub(crate) dvc_files: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry: bool,
}
