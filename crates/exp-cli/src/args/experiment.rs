//! `apply`, `branch`, `remove`, `rename`, `save`, `clean`, `undo`, `log`.

use std::path::PathBuf;

/// Flags of `apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    /// List what would change and touch nothing
    #[arg(long)]
    pub(crate) dry: bool,
    /// Fail instead of replacing files with unsaved edits
    #[arg(long)]
    pub(crate) no_save: bool,
    /// The experiment: name, unique prefix, commit, last, last~2, best, best:METRIC, or a Git revision
    pub(crate) experiment: String,
}

/// Flags of DVC's `exp apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct DvcApplyArgs {
    /// Fail if this command would overwrite conflicting changes
    #[arg(long)]
    pub(crate) no_force: bool,
    /// Experiment to be applied
    pub(crate) experiment: String,
}

/// Flags of `branch`.
#[derive(Debug, clap::Args)]
pub(crate) struct BranchArgs {
    /// The experiment: name, unique prefix, commit, last, last~2, best, best:METRIC
    pub(crate) experiment: String,
    /// The new branch; NAME-branch when none is given
    pub(crate) branch: Option<String>,
}

/// Flags of `remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Experiments: name, unique prefix, commit, last, last~2, best, best:METRIC
    #[arg(value_name = "experiment")]
    pub(crate) experiments: Vec<String>,
    /// Remove all experiments of the repository
    #[arg(short = 'A', long)]
    pub(crate) all_commits: bool,
    /// Remove the experiments that started from this commit
    #[arg(long, value_name = "commit")]
    pub(crate) rev: Option<String>,
    /// Also of so many commits before it, itself included; all of them for a negative number
    #[arg(short, long, value_name = "num", allow_negative_numbers = true)]
    pub(crate) num: Option<i64>,
    /// Remove all others and keep these
    #[arg(long)]
    pub(crate) keep: bool,
    /// Remove all queued experiments
    #[arg(long, conflicts_with = "git_remote")]
    pub(crate) queue: bool,
    /// Remove them from this Git remote, by name or URL, and not here
    #[arg(short, long, value_name = "git_remote")]
    pub(crate) git_remote: Option<String>,
}

/// Flags of `rename`.
#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    /// Replace an experiment that has the new name
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Look the experiment up on this Git remote, by name or URL
    #[arg(short, long, value_name = "git_remote")]
    pub(crate) git_remote: Option<String>,
    /// The experiment
    pub(crate) experiment: String,
    /// Its new name
    pub(crate) name: String,
}

/// Flags of `save`.
#[derive(Debug, clap::Args)]
pub(crate) struct SaveArgs {
    /// Store only the outputs of these stages and .dvc files
    pub(crate) targets: Vec<String>,
    /// Of a directory among the targets, take what is below
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Replace an experiment that has the name
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Print the commit as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The name; generated when none is given
    #[arg(short, long, value_name = "name")]
    pub(crate) name: Option<String>,
    /// A file or directory that Git does not track and that belongs to it all the same
    #[arg(short = 'I', long, value_name = "path")]
    pub(crate) include_untracked: Vec<PathBuf>,
    /// The message of the commit
    #[arg(short, long, value_name = "message")]
    pub(crate) message: Option<String>,
}

/// Flags of `clean`.
#[derive(Debug, clap::Args)]
pub(crate) struct CleanArgs {}

/// Flags of `undo`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct UndoArgs {
    /// Do again what was undone last
    #[arg(long, conflicts_with = "list")]
    pub(crate) redo: bool,
    /// List what can be undone, newest first, and touch nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// List what would change and touch nothing
    #[arg(long)]
    pub(crate) dry: bool,
    /// Go over files that were changed since; what they hold is kept
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Flags of `log`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The experiment whose log is shown; without, the newest run that did not finish. Or values to log
    #[arg(value_name = "EXPERIMENT|KEY=VALUE")]
    pub(crate) words: Vec<String>,
    /// Only what this stage wrote
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    #[command(flatten)]
    pub(crate) values: LogValuesArgs,
}

/// How values are logged.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "To log values")]
pub(crate) struct LogValuesArgs {
    /// The step that the values belong to; without, they are only the latest ones
    #[arg(long, value_name = "N", conflicts_with = "stage")]
    pub(crate) step: Option<u64>,
    /// They are parameters, not metrics
    #[arg(long, conflicts_with_all = ["step", "stage"])]
    pub(crate) params: bool,
    /// Remove first what an earlier run logged
    #[arg(long, conflicts_with = "stage")]
    pub(crate) clear: bool,
    /// The directory that is logged to [default: dvclive]
    #[arg(long, value_name = "DIR", conflicts_with = "stage")]
    pub(crate) dir: Option<PathBuf>,
    /// Print the Python module that logs the same way, to be kept with the code
    #[arg(long, exclusive = true)]
    pub(crate) python: bool,
}

impl LogArgs {
    /// Returns whether values are logged: when one is given, or a flag that only makes sense then.
    pub(crate) fn logs_values(&self) -> bool {
        let values = &self.values;
        let flagged =
            values.step.is_some() || values.params || values.clear || values.dir.is_some();
        flagged || self.words.iter().any(|word| word.contains('='))
    }
}
