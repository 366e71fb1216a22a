//! `run`, `repro` and `record`.

use std::num::NonZeroUsize;

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
    #[arg(short, long, overrides_with = "ignore_errors")]
    pub(crate) keep_going: bool,
    /// When a stage fails, go on with everything
    #[arg(long, overrides_with = "keep_going")]
    pub(crate) ignore_errors: bool,
    /// Receive what the store lacks of the selected stages, and results of earlier runs with the same inputs
    #[arg(long)]
    pub(crate) pull: bool,
    /// Targets are patterns of stage names
    #[arg(long)]
    pub(crate) glob: bool,
    /// Do not restore earlier runs
    #[arg(long, overrides_with = "run_cache")]
    pub(crate) no_run_cache: bool,
    /// Restore earlier runs, as it is done anyway
    #[arg(long, overrides_with = "no_run_cache", hide = true)]
    pub(crate) run_cache: bool,
    /// So many stages at a time; by default as many as the machine has cores, and one in DVC's grammar
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// Flags of `run`.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
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
    /// Queue it to be run later by workers; several values (1,2,3) make one experiment each
    #[arg(long, conflicts_with_all = ["temp", "run_all"])]
    pub(crate) queue: bool,
    /// Run everything that is queued, with -j workers
    #[arg(long)]
    pub(crate) run_all: bool,
    /// With --temp and --queue: files and directories to copy that Git does not track
    #[arg(short = 'C', long, value_name = "PATH")]
    pub(crate) copy_paths: Vec<String>,
    #[command(flatten)]
    pub(crate) sweep: SweepFlags,
    /// Do not compose params.yaml, although hydra.enabled asks for it
    #[arg(long)]
    pub(crate) no_hydra: bool,
    /// Write events to standard output as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which experiments are queued of all that the values of a sweep stand for.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SweepFlags {
    /// With --queue: only so many combinations of the values, drawn at random
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    /// With --queue: each combination so many times, with 0, 1, … for the parameter of --vary
    #[arg(long, value_name = "N", requires = "vary")]
    pub(crate) repeat: Option<NonZeroUsize>,
    /// The parameter that is another one in each repetition, usually a seed
    #[arg(long, value_name = "PARAM", requires = "repeat")]
    pub(crate) vary: Option<String>,
    /// With --queue: only what no finished experiment of HEAD and no job that waits or runs has the parameters of
    #[arg(long)]
    pub(crate) missing: bool,
    /// What --sample and shuffle(…) draw is decided by this number; made up when not given
    #[arg(long, value_name = "NUMBER")]
    pub(crate) draw_seed: Option<u64>,
}

impl SweepFlags {
    /// Returns whether any is given.
    pub(crate) fn is_given(&self) -> bool {
        self.sample.is_some() || self.repeat.is_some() || self.missing || self.draw_seed.is_some()
    }
}

/// Flags of our own `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct OurRunArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) trace: TraceFlags,
    /// Behind `--`: a command to run as a stage, written to dvc.yaml if it is not there
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Flags of our own `repro`.
#[derive(Debug, clap::Args)]
pub(crate) struct OurReproArgs {
    #[command(flatten)]
    pub(crate) repro: ReproArgs,
    #[command(flatten)]
    pub(crate) trace: TraceFlags,
}

/// Whether it is watched what stages open.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct TraceFlags {
    /// Watch which files the stages open, and say what they do not declare
    #[arg(long, conflicts_with = "dry")]
    pub(crate) trace: bool,
    /// With --trace: write what they do not declare to dvc.yaml
    #[arg(long, requires = "trace")]
    pub(crate) write: bool,
}

/// Flags of `record`.
#[derive(Debug, clap::Args)]
pub(crate) struct RecordArgs {
    /// Name of the stage; that of its script when not given
    #[arg(short, long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Replace a stage of that name
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

/// Flags of `repro`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReproArgs {
    #[command(flatten)]
    pub(crate) stages: StageFlags,
    /// Record outputs without keeping their content
    #[arg(long)]
    pub(crate) no_commit: bool,
}
