//! `status`, `why`, `dag`, `stage add`, `stage list`, `freeze`, `unfreeze`.

use super::transfer::TransferArgs;

/// Flags of `status`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct StatusArgs {
    /// Stages, files of stages or outputs; everything by default
    pub(crate) targets: Vec<String>,
    /// Look at what the targets wait for too
    #[arg(short = 'd', long)]
    pub(crate) with_deps: bool,
    /// Targets that are directories stand for every stage below them
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not look whether imports changed at their source
    #[arg(long)]
    pub(crate) no_updates: bool,
    #[command(flatten)]
    pub(crate) cloud: CloudArgs,
}

/// Flags of `status` for comparing the store with remotes.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct CloudArgs {
    /// Compare the store with the data remote
    #[arg(short, long)]
    pub(crate) cloud: bool,
    /// Compare the store with this data remote
    #[arg(short, long, value_name = "name")]
    pub(crate) remote: Option<String>,
    /// Also what the tips of all branches record; with a remote
    #[arg(short = 'a', long)]
    pub(crate) all_branches: bool,
    /// Also what all tags record; with a remote
    #[arg(short = 'T', long)]
    pub(crate) all_tags: bool,
    /// Also what any commit records; with a remote
    #[arg(short = 'A', long)]
    pub(crate) all_commits: bool,
    /// Ask for so many objects at once; with a remote
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<usize>,
}

impl StatusArgs {
    /// Returns which data is to be compared with remotes.
    pub(crate) fn transfer(&self) -> TransferArgs {
        TransferArgs {
            remote: self.cloud.remote.clone(),
            jobs: self.cloud.jobs,
            all_branches: self.cloud.all_branches,
            all_tags: self.cloud.all_tags,
            all_commits: self.cloud.all_commits,
            with_deps: self.with_deps,
            recursive: self.recursive,
            targets: self.targets.clone(),
            ..TransferArgs::default()
        }
    }
}

/// Flags of `why`.
#[derive(Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// Stages, files of stages or outputs; everything by default
    pub(crate) targets: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `dag`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct DagArgs {
    /// Only this stage or output and what it waits for
    pub(crate) target: Option<String>,
    /// Print the graph for Graphviz
    #[arg(long)]
    pub(crate) dot: bool,
    /// Print the graph for Mermaid
    #[arg(long)]
    pub(crate) mermaid: bool,
    /// Print the graph for Mermaid in a Markdown block
    #[arg(long)]
    pub(crate) md: bool,
    /// Everything that is connected with the target
    #[arg(long)]
    pub(crate) full: bool,
    /// Outputs instead of stages
    #[arg(short, long)]
    pub(crate) outs: bool,
    /// Stages that one template makes as one
    #[arg(long)]
    pub(crate) collapse_foreach_matrix: bool,
}

impl DagArgs {
    /// Returns whether the graph is written for another program.
    pub(crate) fn is_for_programs(&self) -> bool {
        self.dot || self.mermaid || self.md
    }
}

/// Flags of our own `dag`.
#[derive(Debug, clap::Args)]
pub(crate) struct OurDagArgs {
    #[command(flatten)]
    pub(crate) dag: DagArgs,
    /// Draw every stage, however many one template makes
    #[arg(long, conflicts_with = "collapse_foreach_matrix")]
    pub(crate) expand: bool,
}

/// Flags of `stage add`.
#[derive(Debug, clap::Args)]
pub(crate) struct StageAddArgs {
    /// Name of the stage
    #[arg(short, long, required = true)]
    pub(crate) name: String,
    /// Replace a stage of that name
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Something that it reads
    #[arg(short, long, value_name = "PATH")]
    pub(crate) deps: Vec<String>,
    /// Parameters that it reads: [FILE:]KEY,KEY
    #[arg(short, long, value_name = "PARAMS")]
    pub(crate) params: Vec<String>,
    /// Something that it writes, kept in the store
    #[arg(short, long, value_name = "PATH")]
    pub(crate) outs: Vec<String>,
    /// Something that it writes, kept by Git
    #[arg(short = 'O', long, value_name = "PATH")]
    pub(crate) outs_no_cache: Vec<String>,
    /// An output that stays in place when the stage runs
    #[arg(long, value_name = "PATH")]
    pub(crate) outs_persist: Vec<String>,
    /// An output that stays in place and is kept by Git
    #[arg(long, value_name = "PATH")]
    pub(crate) outs_persist_no_cache: Vec<String>,
    /// A metrics file, kept in the store
    #[arg(short, long, value_name = "PATH")]
    pub(crate) metrics: Vec<String>,
    /// A metrics file, kept by Git
    #[arg(short = 'M', long, value_name = "PATH")]
    pub(crate) metrics_no_cache: Vec<String>,
    /// A plots file, kept in the store
    #[arg(long, value_name = "PATH")]
    pub(crate) plots: Vec<String>,
    /// A plots file, kept by Git
    #[arg(long, value_name = "PATH")]
    pub(crate) plots_no_cache: Vec<String>,
    /// The directory in which it runs
    #[arg(short, long, value_name = "DIR")]
    pub(crate) wdir: Option<String>,
    /// Run it always
    #[arg(long)]
    pub(crate) always_changed: bool,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub(crate) desc: Option<String>,
    /// Run it now
    #[arg(long)]
    pub(crate) run: bool,
    /// The command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

/// Flags of `stage list`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct StageListArgs {
    /// Stages or files of stages; the dvc.yaml of this directory by default
    pub(crate) targets: Vec<String>,
    /// Every stage of the project, .dvc files included
    #[arg(long)]
    pub(crate) all: bool,
    /// Stop at a file that cannot be read
    #[arg(long)]
    pub(crate) fail: bool,
    /// Targets that are directories stand for every stage below them
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Only names
    #[arg(long, visible_alias = "names-only")]
    pub(crate) name_only: bool,
}

/// Flags of `freeze` and `unfreeze`.
#[derive(Debug, clap::Args)]
pub(crate) struct FreezeArgs {
    /// Stages, or .dvc files
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
}
