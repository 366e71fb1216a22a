//! `init`.

/// Flags of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// What content is addressed by: sha256, or md5 for a project that DVC shares [default: sha256]
    #[arg(long, value_name = "NAME", value_parser = ["sha256", "md5"])]
    pub(crate) hash: Option<String>,
    /// Make the project below the top of the Git repository
    #[arg(long)]
    pub(crate) subdir: bool,
    /// Make an existing project anew: its settings go, its cache stays
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Ask for the first stage, except for what the flags below say
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Write a stage for this command, its parts guessed from the names in it and in its script
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["interactive", "command"])]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
}

/// The answers about the first stage.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "First stage (n for none)")]
pub(crate) struct StageArgs {
    /// The name of the stage [default: train]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What the stage runs; without it and without -i no stage is written
    #[arg(long)]
    pub(crate) command: Option<String>,
    /// The file or directory of code [default: src]
    #[arg(long, value_name = "PATH")]
    pub(crate) code: Option<String>,
    /// The file or directory of data [default: data]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<String>,
    /// The file or directory of models, kept in the cache [default: models]
    #[arg(long, value_name = "PATH")]
    pub(crate) models: Option<String>,
    /// The parameter file [default: params.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Option<String>,
    /// The metrics file, kept in Git [default: metrics.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<String>,
    /// The file or directory of plots, kept in Git [default: plots]
    #[arg(long, value_name = "PATH")]
    pub(crate) plots: Option<String>,
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
