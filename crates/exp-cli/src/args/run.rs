//! `run` and `repro`.

/// Which stages, and how they are run: what `run` and `repro` share.
#[derive(Debug, Clone, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct StageFlags {
    /// Stages, files of stages or groups; the dvc.yaml of this directory by default
    pub(crate) targets: Vec<String>,
    /// Run every selected stage, although nothing changed
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Ask before each stage that is to run
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Only the stages that are named, not what they wait for
    #[arg(short, long)]
    pub(crate) single_item: bool,
    /// Everything that is connected with the targets
    #[arg(short, long)]
    pub(crate) pipeline: bool,
    /// Every stage of the project
    #[arg(short = 'P', long)]
    pub(crate) all_pipelines: bool,
    /// Targets that are directories stand for every stage below them
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// The targets and everything that waits for them
    #[arg(long)]
    pub(crate) downstream: bool,
    /// Once a stage has run, run everything after it
    #[arg(long)]
    pub(crate) force_downstream: bool,
    /// Data that is merely absent is no change
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry: bool,
    /// When a stage fails, go on with what does not depend on it
    #[arg(short, long)]
    pub(crate) keep_going: bool,
    /// When a stage fails, go on with everything
    #[arg(long, conflicts_with = "keep_going")]
    pub(crate) ignore_errors: bool,
}

/// Flags of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) stages: StageFlags,
    /// Name of the experiment; made up when not given
    #[arg(short, long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Change a parameter: [FILE:]KEY=VALUE, +KEY=VALUE adds, ~KEY removes
    #[arg(short = 'S', long = "set-param", value_name = "PARAM")]
    pub(crate) set_param: Vec<String>,
    /// Message of the experiment's commit
    #[arg(short, long, visible_short_alias = 'M', value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Run in a private copy of the code; the workspace stays as it is
    #[arg(long)]
    pub(crate) temp: bool,
    /// With --temp: files and directories to copy that Git does not track
    #[arg(short = 'C', long, value_name = "PATH")]
    pub(crate) copy_paths: Vec<String>,
    /// Do not compose params.yaml with Hydra; nothing does here
    #[arg(long)]
    pub(crate) no_hydra: bool,
    /// Write events to standard output as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `repro`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReproArgs {
    #[command(flatten)]
    pub(crate) stages: StageFlags,
    /// Targets are patterns of stage names
    #[arg(long)]
    pub(crate) glob: bool,
    /// Record outputs without keeping their content
    #[arg(long)]
    pub(crate) no_commit: bool,
    /// Neither restore earlier runs nor keep this one
    #[arg(long)]
    pub(crate) no_run_cache: bool,
}
