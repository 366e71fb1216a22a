//! What comes from the process: the one place that reads its arguments, environment and directories.
//!
//! Precedence of a setting: flag, then environment (`EXP_…`, then `DVC_…`), then configuration.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry};
use std::io::{self, BufReader, BufWriter, IsTerminal as _, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use exp_engine::{ConfigFiles, Machine};

use crate::io::Io;

/// The process around a command: its directory and its environment variables.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The current directory, an absolute path.
    pub cwd: PathBuf,
    /// The environment variables.
    pub vars: BTreeMap<OsString, OsString>,
    /// The file mode bits that new files do not get.
    pub umask: u32,
    /// The program, to start workers with; `None` where none can be started.
    pub program: Option<PathBuf>,
}

impl Default for Environment {
    /// No directory, no variables, and the usual umask.
    fn default() -> Self {
        Self { cwd: PathBuf::new(), vars: BTreeMap::new(), umask: 0o022, program: None }
    }
}

impl Environment {
    /// Returns a variable; an empty one counts as unset.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Returns a variable as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.var(name)?.to_str()
    }

    /// Returns `EXP_<name>`, or else `DVC_<name>`.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.text(&format!("EXP_{name}")).or_else(|| self.text(&format!("DVC_{name}")))
    }

    /// Returns whether a setting is switched on: anything but `0`, `false`, `no` and `off`.
    pub fn is_on(&self, name: &str) -> Option<bool> {
        let value = self.setting(name)?.to_lowercase();
        Some(!matches!(value.as_str(), "0" | "false" | "no" | "off"))
    }

    /// Returns the home directory.
    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME").map(PathBuf::from)
    }

    /// Returns what may be used to reach storages.
    pub(crate) fn surroundings(&self) -> exp_remote::Surroundings {
        let text = |text: &OsString| text.to_str().map(str::to_owned);
        let env = self.vars.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        exp_remote::Surroundings { env: env.collect(), home: self.home() }
    }

    /// Returns where the configuration of the machine and of the user are, as DVC looks for them.
    pub fn config_files(&self) -> ConfigFiles {
        let dir = |name: &str| self.var(name).map(PathBuf::from);
        let user = dir("DVC_GLOBAL_CONFIG_DIR")
            .or_else(|| dir("XDG_CONFIG_HOME").map(|dir| dir.join("dvc")))
            .or_else(|| self.home().map(|home| home.join(".config/dvc")));
        let system = dir("DVC_SYSTEM_CONFIG_DIR").unwrap_or_else(|| PathBuf::from("/etc/xdg/dvc"));
        ConfigFiles {
            system: Some(system.join("config")),
            global: user.map(|dir| dir.join("config")),
            home: self.home(),
            ..ConfigFiles::default()
        }
    }

    /// Returns what stages may claim of this machine, and where all processes of the user note what they claim.
    pub(crate) fn machine(&self) -> Machine {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let ledger = self
            .var("EXP_CLAIMS_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(self.var("XDG_RUNTIME_DIR")?).join("exp-claims")))
            .or_else(|| Some(std::env::temp_dir().join(format!("exp-claims-{}", user()?))));
        Machine {
            ledger,
            cpu: u32::try_from(cores).unwrap_or(u32::MAX),
            mem: memory().unwrap_or(u64::MAX),
            gpus: self.gpus(),
        }
    }

    /// Returns the graphics processors: those that `CUDA_VISIBLE_DEVICES` leaves to this process, else those that the system
    /// has.
    fn gpus(&self) -> Vec<String> {
        if let Some(visible) = self.vars.get(OsStr::new("CUDA_VISIBLE_DEVICES")) {
            let visible = visible.to_string_lossy();
            let names = visible.split(',').map(str::trim);
            return names
                .filter(|name| !name.is_empty() && *name != "-1")
                .map(str::to_owned)
                .collect();
        }
        let number = |entry: io::Result<DirEntry>| {
            entry.ok()?.file_name().to_str()?.strip_prefix("nvidia")?.parse::<u32>().ok()
        };
        let mut numbers: Vec<u32> =
            fs::read_dir("/dev").into_iter().flatten().filter_map(number).collect();
        numbers.sort_unstable();
        numbers.iter().map(ToString::to_string).collect()
    }

    /// Returns the nearest directory from the current one upwards that holds `.dvc`.
    pub fn project_root(&self) -> Option<&Path> {
        self.cwd.ancestors().find(|dir| dir.join(".dvc").is_dir())
    }
}

/// Returns the arguments and the streams of this process.
#[expect(
    clippy::disallowed_methods,
    reason = "the composition root hands the environment to the libraries, which do not read it"
)]
pub(crate) fn from_process() -> (Vec<OsString>, Io<'static>) {
    let env = Environment {
        cwd: std::env::current_dir().unwrap_or_default(),
        vars: std::env::vars_os().collect(),
        umask: umask().unwrap_or(0o022),
        program: std::env::current_exe().ok(),
    };
    let out_is_terminal = io::stdout().is_terminal();
    let err_is_terminal = io::stderr().is_terminal();
    let out: Box<dyn Write + Send> = if out_is_terminal {
        Box::new(io::stdout())
    } else {
        Box::new(BufWriter::with_capacity(1 << 16, io::stdout()))
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env.text(name));
    let io = Io {
        out,
        err: Box::new(io::stderr()),
        input: Box::new(BufReader::new(io::stdin())),
        out_is_terminal,
        err_is_terminal,
        can_ask: io::stdin().is_terminal() && err_is_terminal,
        width: width(&env),
        colour: out_is_terminal
            && env.var("NO_COLOR").is_none()
            && env.text("TERM") != Some("dumb"),
        unicode: locale.is_none_or(|locale| {
            let locale = locale.to_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        }) && env.is_on("ASCII") != Some(true),
        handles_signals: true,
        env,
    };
    (std::env::args_os().collect(), io)
}

/// Returns the bytes of memory, where the system tells.
fn memory() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the number of the user, where the system tells.
fn user() -> Option<u32> {
    Some(fs::metadata("/proc/self").ok()?.uid())
}

/// Reads the umask where the system tells it without changing it.
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let text = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(text.trim(), 8).ok()
}

fn width(env: &Environment) -> usize {
    let asked = env.text("COLUMNS").and_then(|text| text.parse().ok()).filter(|width| *width > 0);
    asked.or_else(|| Some(usize::from(terminal_size::terminal_size()?.0.0))).unwrap_or(80)
}
