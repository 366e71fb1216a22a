//! `data import`, `data import-url`, `data update`, `data get`, `data get-url`, `data list`, `data list-url`, `data du`.

use std::num::NonZeroUsize;

/// How a repository elsewhere is read.
#[derive(Debug, clap::Args)]
pub(crate) struct RepoArgs {
    /// The revision there: a branch, a tag, a commit, an experiment
    #[arg(long, value_name = "commit")]
    pub(crate) rev: Option<String>,
    /// A configuration file that is laid over the one there
    #[arg(long, value_name = "config")]
    pub(crate) config: Option<String>,
    /// The data remote there that counts as the default one
    #[arg(long, value_name = "remote")]
    pub(crate) remote: Option<String>,
    /// Options of that remote
    #[arg(long, value_name = "name=value", num_args = 0.., action = clap::ArgAction::Append,
          value_parser = pair)]
    pub(crate) remote_config: Vec<(String, String)>,
}

/// Options of the storage at an address.
#[derive(Debug, clap::Args)]
pub(crate) struct StorageArgs {
    /// Options of the storage, by the names that they have in the configuration of a remote
    #[arg(long, value_name = "name=value", num_args = 0.., action = clap::ArgAction::Append,
          value_parser = pair)]
    pub(crate) fs_config: Vec<(String, String)>,
}

/// How much of an import is done now.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtentArgs {
    /// Only write down where the data would come from
    #[arg(long, conflicts_with = "no_download")]
    pub(crate) no_exec: bool,
    /// Record what the data is; it comes with the next pull
    #[arg(long)]
    pub(crate) no_download: bool,
}

/// Flags of `data import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) repo: RepoArgs,
    #[command(flatten)]
    pub(crate) extent: ExtentArgs,
    /// Where it goes; the name that it has there when none is given
    #[arg(short, long, value_name = "path")]
    pub(crate) out: Option<String>,
    /// Replace what is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// So many files at once
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// A Git URL, or the directory of a repository
    pub(crate) url: String,
    /// The file or directory in it
    pub(crate) path: String,
}

/// Flags of `data import-url`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportUrlArgs {
    /// Send the data to a remote instead of bringing it here
    #[arg(long)]
    pub(crate) to_remote: bool,
    /// Which remote; the default one when none is given
    #[arg(short, long, value_name = "name")]
    pub(crate) remote: Option<String>,
    #[command(flatten)]
    pub(crate) extent: ExtentArgs,
    /// So many files at once
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Replace what is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Record the version, on a storage that keeps old ones
    #[arg(long)]
    pub(crate) version_aware: bool,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
    /// A path, a URL (http, https, s3, gs, azure, ssh, webdav) or `remote://name/path`
    pub(crate) url: String,
    /// Where it goes; the name that it has there when none is given
    pub(crate) out: Option<String>,
}

/// Flags of `data update`.
#[derive(Debug, clap::Args)]
pub(crate) struct UpdateArgs {
    /// Another revision, which is followed from now on
    #[arg(long, value_name = "commit")]
    pub(crate) rev: Option<String>,
    /// Also everything below the named directories
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Record what the data is; it comes with the next pull
    #[arg(long, conflicts_with = "to_remote")]
    pub(crate) no_download: bool,
    /// Send the data to a remote instead of bringing it here
    #[arg(long)]
    pub(crate) to_remote: bool,
    /// Which remote; the default one when none is given
    #[arg(short, long, value_name = "name")]
    pub(crate) remote: Option<String>,
    /// So many files at once
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// .dvc files of imports, or their data
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
}

/// Flags of `data get`.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) repo: RepoArgs,
    /// Where it goes; the name that it has there when none is given
    #[arg(short, long, value_name = "path")]
    pub(crate) out: Option<String>,
    /// Print the address that it would be fetched from, and fetch nothing
    #[arg(long)]
    pub(crate) show_url: bool,
    /// So many files at once
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Replace what is there
    #[arg(short, long)]
    pub(crate) force: bool,
    /// A Git URL, or the directory of a repository
    pub(crate) url: String,
    /// The file or directory in it
    pub(crate) path: String,
}

/// Flags of `data get-url`.
#[derive(Debug, clap::Args)]
pub(crate) struct GetUrlArgs {
    /// So many files at once
    #[arg(short, long, value_name = "number")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Replace what is there
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
    /// A path, a URL (http, https, s3, gs, azure, ssh, webdav) or `remote://name/path`
    pub(crate) url: String,
    /// Where it goes; the name that it has there when none is given
    pub(crate) out: Option<String>,
}

/// How deep a listing goes, and what it shows.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct DepthArgs {
    /// Look into directories
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Show directories as a tree
    #[arg(short = 'T', long)]
    pub(crate) tree: bool,
    /// Look no deeper than this
    #[arg(short = 'L', long, value_name = "depth")]
    pub(crate) level: Option<usize>,
    /// Show sizes
    #[arg(long)]
    pub(crate) size: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `data list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) depth: DepthArgs,
    /// Only what is tracked as data
    #[arg(long)]
    pub(crate) dvc_only: bool,
    /// Show digests
    #[arg(long)]
    pub(crate) show_hash: bool,
    #[command(flatten)]
    pub(crate) repo: RepoArgs,
    /// A Git URL, or the directory of a repository
    pub(crate) url: String,
    /// The file or directory in it
    pub(crate) path: Option<String>,
}

/// Flags of `data list-url`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListUrlArgs {
    #[command(flatten)]
    pub(crate) depth: DepthArgs,
    #[command(flatten)]
    pub(crate) storage: StorageArgs,
    /// A path, a URL (s3, gs, azure, ssh, webdav) or `remote://name/path`
    pub(crate) url: String,
}

/// Flags of `data du`.
#[derive(Debug, clap::Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    pub(crate) repo: RepoArgs,
    /// Only the whole
    #[arg(short, long)]
    pub(crate) summarize: bool,
    /// A Git URL, or the directory of a repository
    pub(crate) url: String,
    /// The file or directory in it
    pub(crate) path: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected name=value".to_owned()),
    }
}
