//! `remote add`, `list`, `modify`, `default`, `remove`, `rename`.

use super::config::LevelArgs;

/// Flags of `remote add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
    /// Make it the default remote
    #[arg(short, long)]
    pub(crate) default: bool,
    /// Replace a remote of the same name
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The name of the remote
    pub(crate) name: String,
    /// Where it is: a URL, or a path relative to the current directory
    pub(crate) url: String,
}

/// Flags of `remote default`.
#[derive(Debug, clap::Args)]
pub(crate) struct DefaultArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
    /// Have no default
    #[arg(short, long)]
    pub(crate) unset: bool,
    /// The remote; without, the default is printed
    pub(crate) name: Option<String>,
}

/// Flags of `remote modify`.
#[derive(Debug, clap::Args)]
pub(crate) struct ModifyArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
    /// Take the option away
    #[arg(short, long)]
    pub(crate) unset: bool,
    /// The remote
    pub(crate) name: String,
    /// The option
    pub(crate) option: String,
    /// What to set it to
    pub(crate) value: Option<String>,
}

/// Flags of `remote list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
}

/// Flags of `remote remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
    /// The remote
    pub(crate) name: String,
}

/// Flags of `remote rename`.
#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    #[command(flatten)]
    pub(crate) level: LevelArgs,
    /// The remote
    pub(crate) name: String,
    /// Its new name
    pub(crate) new: String,
}
