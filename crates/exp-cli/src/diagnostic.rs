//! Errors as words: what happened, what it happened to, the causes, and what to do about it.
//!
//! The library states facts. Our words for them are its messages, with hints found here by matching on the
//! variants; DVC's words are in `diagnostic/dvc.rs`.

mod dvc;
mod hint;
mod locus;
mod pipeline;

use std::error::Error as StdError;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use exp_engine::{ConfigError, Error, InitError, SettingsError};

pub(crate) use locus::of_stage as stage_place;
pub(crate) use pipeline::port_message as dvc_port_message;

use crate::commands::CommandSpec;
use crate::exit::ExitStatus;
use crate::grammar::{self, Grammar};
use crate::io::Io;
use crate::view::wrap::wrapped;

/// Why a command did not do what was asked.
///
/// A stage that failed is no `Failure`: that is a result, and the handler returns its exit status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine says no.
    Engine(Box<Error>),
    /// No project can be made.
    Init(Box<InitError>),
    /// The answer cannot be written. A closed pipe is no error.
    Output(io::Error),
    /// An answer to a question cannot be read.
    Input(io::Error),
    /// Flags that the parser refuses, and the help of the command.
    Usage { error: Box<clap::Error>, help: String },
    /// Flags that do not go together, in our words.
    TextUsage(String),
    /// A flag before the command that does not exist.
    UnknownFlag { flag: String, help: String },
    /// No command of this name, or none at all, below `group`.
    Command { group: String, found: Option<String>, names: Vec<String>, help: String },
    /// The directory of `--cd` cannot be entered.
    Enter { dir: PathBuf, source: io::Error },
    /// Something that the command refuses by itself, in words that both grammars use; DVC ends with 1.
    Refused(String),
    /// DVC's own words and exit code, where they are not made of an error of the engine.
    Dvc { message: String, code: u8 },
}

impl Failure {
    /// Makes a complaint about flags.
    pub(crate) fn text_usage(text: &str) -> Self {
        Self::TextUsage(text.to_owned())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Error::Config(error).into()
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Error::Settings(error).into()
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        Self::Init(Box::new(error))
    }
}

/// Returns the messages of an error and of its causes, the outermost first, each once.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        if messages.last() != Some(&message) {
            messages.push(message);
        }
        next = error.source();
    }
    messages
}

/// Tells the user and returns the exit status.
pub(crate) fn report(
    failure: &Failure,
    grammar: Grammar,
    command: Option<&CommandSpec>,
    io: &mut Io<'_>,
) -> ExitStatus {
    if let Failure::Output(err) = failure
        && err.kind() == io::ErrorKind::BrokenPipe
    {
        return match grammar {
            Grammar::Exp => ExitStatus::DONE,
            Grammar::Dvc => ExitStatus::DVC_PIPE,
        };
    }
    // What the command has said so far comes first; that standard output is gone is no second failure.
    let _ = io.out.flush();
    let (text, on_out, status) = match grammar {
        Grammar::Exp => {
            let (text, status) = ours(failure, command, &io.env.cwd);
            (text, String::new(), status)
        }
        Grammar::Dvc => dvc::worded(failure, command),
    };
    let text = if io.err_is_terminal { narrow(&text, io.width) } else { text };
    let _ = io.err.write_all(text.as_bytes()).and_then(|()| io.err.flush());
    let _ = io.out.write_all(on_out.as_bytes()).and_then(|()| io.out.flush());
    status
}

/// Breaks hints where the terminal ends.
fn narrow(text: &str, width: usize) -> String {
    let lines = text.split('\n').map(|line| match line.strip_prefix("hint: ") {
        Some(_) => wrapped(line, width, "hint: ".len()),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn ours(failure: &Failure, command: Option<&CommandSpec>, cwd: &Path) -> (String, ExitStatus) {
    let simple = |text: &str, status| (format!("error: {text}\n"), status);
    match failure {
        Failure::Engine(error) => (engine(error, cwd), ExitStatus::of(error.kind())),
        Failure::Init(error) => init(error),
        Failure::Output(err) => {
            simple(&format!("cannot write the answer\n  {err}"), ExitStatus::ENVIRONMENT)
        }
        Failure::Input(err) => {
            simple(&format!("cannot read the answer\n  {err}"), ExitStatus::ENVIRONMENT)
        }
        Failure::Usage { error, .. } => (usage(error, command), ExitStatus::USAGE),
        Failure::TextUsage(text) | Failure::Refused(text) => simple(text, ExitStatus::USAGE),
        Failure::UnknownFlag { flag, .. } => simple(
            &format!(
                "unknown option `{flag}`\nhint: run `exp --help` for the options and commands"
            ),
            ExitStatus::USAGE,
        ),
        Failure::Command { group, found, names, .. } => {
            let space = if group.is_empty() { "" } else { " " };
            let text = match found {
                None => format!("`exp {group}` needs a command: {}", names.join(", ")),
                Some(found) => {
                    let near = hint::nearest(found, names.iter().map(String::as_str));
                    let mut whole = crate::commands::all().filter_map(|command| command.exp);
                    let elsewhere = whole.find(|words| words.ends_with(&format!(" {found}")));
                    let hint = match (near, elsewhere) {
                        (Some(near), _) => {
                            format!("hint: did you mean `exp {group}{space}{near}`?")
                        }
                        (None, Some(words)) => format!("hint: did you mean `exp {words}`?"),
                        (None, None) => {
                            format!("hint: run `exp {group}{space}--help` for the commands")
                        }
                    };
                    format!("`exp {group}{space}{found}` is not a command\n{hint}")
                }
            };
            simple(&text, ExitStatus::USAGE)
        }
        Failure::Enter { dir, source } => {
            simple(&format!("cannot enter `{}`\n  {source}", dir.display()), ExitStatus::NOT_FOUND)
        }
        Failure::Dvc { message, .. } => simple(message, ExitStatus::ENVIRONMENT),
    }
}

/// Words a complaint of the parser: its own words where they are plain, and the command that says more.
fn usage(error: &clap::Error, command: Option<&CommandSpec>) -> String {
    let text = error.to_string();
    let own = text.split("\nFor more information").next().unwrap_or_default().trim_end();
    let own = own
        .replace("invalid digit found in string", "write a whole number")
        .replace("number would be zero for non-zero type", "write a number from 1")
        .replace("cannot parse integer from empty string", "write a whole number")
        .replace("number too large to fit in target type", "that is too many");
    let words = command.and_then(|command| command.exp).map(|words| format!(" {words}"));
    format!("{own}\nhint: run `exp{} --help`\n", words.unwrap_or_default())
}

fn init(error: &InitError) -> (String, ExitStatus) {
    let (hint, status) = match error {
        InitError::NoGit { .. } => ("run `git init` first", ExitStatus::NOT_FOUND),
        InitError::NotAtTop { .. } => {
            ("run it there, or give `--subdir` for a project of its own here", ExitStatus::USAGE)
        }
        InitError::Bare { .. } => {
            ("clone it, and run this in the clone's work tree", ExitStatus::USAGE)
        }
        InitError::InsideGit { .. } => {
            ("run it in the work tree, above the Git directory", ExitStatus::USAGE)
        }
        InitError::Exists { .. } => {
            ("give `--force` to replace its settings; its cache stays", ExitStatus::CONFLICT)
        }
        _ => ("", ExitStatus::ENVIRONMENT),
    };
    let mut text = format!("error: {}\n", chain(error).join("\n  "));
    if !hint.is_empty() {
        text.push_str(&format!("hint: {hint}\n"));
    }
    (text, status)
}

/// Words an error of the engine: message, place in the file, causes, hints.
fn engine(error: &Error, cwd: &Path) -> String {
    let mut messages = chain(error).into_iter();
    let first = messages.next().unwrap_or_default();
    let first = match error {
        // The place follows below.
        Error::Pipeline(error) => error.problem(),
        _ => first,
    };
    let mut text = format!("error: {first}\n");
    if let Some(locus) = locus::of(error, cwd) {
        text.push_str(&locus.shown());
    }
    for cause in messages {
        text.push_str(&format!("  {}\n", cause.replace('\n', "\n  ")));
    }
    for name in hint::listed(error) {
        text.push_str(&format!("  {name}\n"));
    }
    for hint in hint::of(error) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// Returns DVC's complaint about flags.
fn dvc_usage(error: &clap::Error) -> String {
    grammar::usage_message(error)
}
