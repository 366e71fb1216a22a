//! `queue …`, `worker`, `attach`, `stop`.

use std::num::NonZeroUsize;

use super::run::RunArgs;

/// Flags of `queue add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Hold them until `exp queue release`
    #[arg(long)]
    pub(crate) hold: bool,
}

/// Flags of `queue start`.
#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// So many workers in all
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,
    /// Workers stay when nothing is left, until `exp queue stop`
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Flags of DVC's `queue start`.
#[derive(Debug, clap::Args)]
pub(crate) struct DvcStartArgs {
    /// Maximum number of concurrent queue workers to start
    #[arg(short, long, value_name = "number", default_value = "1")]
    pub(crate) jobs: NonZeroUsize,
}

/// Flags of `queue stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// Kill the jobs that run, instead of waiting for them
    #[arg(long)]
    pub(crate) kill: bool,
}

/// Flags of `queue status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// List every job, however many there are
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print all jobs and workers as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of DVC's `queue status`.
#[derive(Debug, clap::Args)]
pub(crate) struct DvcStatusArgs {}

/// Flags of `queue logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// Go on until the job ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The encoding of the text; bytes are written as they are
    #[arg(short, long, hide = true, value_name = "encoding")]
    pub(crate) encoding: Option<String>,
    /// The job: name, number, or the beginning of its commit
    pub(crate) task: String,
}

/// Flags of `queue kill`.
#[derive(Debug, clap::Args)]
pub(crate) struct KillArgs {
    /// As it is done anyway: what does not end when it is asked to is killed
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Jobs that run: names, numbers, or the beginnings of their commits
    pub(crate) task: Vec<String>,
}

/// Flags of `queue remove`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct RemoveArgs {
    /// All jobs that do not run
    #[arg(long)]
    pub(crate) all: bool,
    /// Those that wait
    #[arg(long)]
    pub(crate) queued: bool,
    /// Those that finished
    #[arg(long)]
    pub(crate) success: bool,
    /// Those that failed, were killed or lost
    #[arg(long)]
    pub(crate) failed: bool,
    /// Jobs: names, numbers, or the beginnings of their commits
    pub(crate) task: Vec<String>,
}

/// Jobs that something is done with.
#[derive(Debug, clap::Args)]
pub(crate) struct JobsArgs {
    /// Jobs: names, numbers, or the beginnings of their commits
    #[arg(required = true, value_name = "JOB")]
    pub(crate) jobs: Vec<String>,
}

/// Flags of `queue move`.
#[derive(Debug, clap::Args)]
pub(crate) struct MoveArgs {
    /// Before all others; so it is done when nothing is said
    #[arg(long, conflicts_with = "last")]
    pub(crate) first: bool,
    /// Behind all others
    #[arg(long)]
    pub(crate) last: bool,
    #[command(flatten)]
    pub(crate) jobs: JobsArgs,
}

/// Flags of `queue wait`.
#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Jobs; all that wait or run when none is named
    #[arg(value_name = "JOB")]
    pub(crate) jobs: Vec<String>,
}

/// Flags of `queue retry`.
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    /// All jobs that failed or were lost
    #[arg(long)]
    pub(crate) failed: bool,
    /// Of those, the ones that ended for such a reason: exit, signal, oom, timeout, killed, lost, error
    #[arg(long, value_name = "CAUSE", value_delimiter = ',', requires = "failed")]
    pub(crate) cause: Vec<String>,
    /// Jobs: names, numbers, or the beginnings of their commits
    #[arg(value_name = "JOB", required_unless_present = "failed", conflicts_with = "failed")]
    pub(crate) jobs: Vec<String>,
}

/// One job.
#[derive(Debug, clap::Args)]
pub(crate) struct JobArgs {
    /// The job: name, number, or the beginning of its commit
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
}

/// Flags of `attach`.
#[derive(Debug, clap::Args)]
pub(crate) struct AttachArgs {
    /// The job; the one that was started last when none is named
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,
}

/// Flags of `stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct StopJobsArgs {
    /// Jobs that run; all of them when none is named
    #[arg(value_name = "JOB")]
    pub(crate) jobs: Vec<String>,
}

/// Flags of `worker`.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    /// Leave after so many jobs
    #[arg(long, value_name = "N")]
    pub(crate) max_jobs: Option<u64>,
    /// Leave after so long, such as 50m or 1h30m; the job that runs then is queued again
    #[arg(long, value_name = "TIME")]
    pub(crate) time_limit: Option<String>,
    /// Stay when nothing is left, until `exp queue stop`
    #[arg(long)]
    pub(crate) keep: bool,
    /// In a session of its own, as `queue start` starts workers
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}
