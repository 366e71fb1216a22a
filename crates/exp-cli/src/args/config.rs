//! `config`, and the level flags that `remote` shares.

use exp_engine::ConfigLevel;

/// Which configuration file is meant.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "one flag each, of which one at most is given")]
pub(crate) struct LevelArgs {
    /// Use the user's configuration
    #[arg(long)]
    pub(crate) global: bool,
    /// Use the configuration of this machine
    #[arg(long)]
    pub(crate) system: bool,
    /// Use the project's configuration, `.dvc/config`; this is the default for writing
    #[arg(long)]
    pub(crate) project: bool,
    /// Use the project's configuration on this machine, `.dvc/config.local`, which is never committed
    #[arg(long)]
    pub(crate) local: bool,
}

impl LevelArgs {
    /// Returns the level that was asked for.
    pub(crate) fn level(self) -> Option<ConfigLevel> {
        [
            (self.global, ConfigLevel::Global),
            (self.system, ConfigLevel::System),
            (self.project, ConfigLevel::Project),
            (self.local, ConfigLevel::Local),
        ]
        .into_iter()
        .find_map(|(asked, level)| asked.then_some(level))
    }
}

/// Flags of `config`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
    /// Take the option away
    #[arg(short, long)]
    pub(crate) unset: bool,
    /// List everything that is set
    #[arg(short, long)]
    pub(crate) list: bool,
    /// Print the file that each value comes from
    #[arg(long)]
    pub(crate) show_origin: bool,
    /// The option: section.option or remote.name.option
    pub(crate) name: Option<String>,
    /// What to set it to; without, its value is printed
    pub(crate) value: Option<String>,
}
