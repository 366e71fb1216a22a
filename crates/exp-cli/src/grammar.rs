//! From words to a handler: finds the command, parses its flags, runs it, turns failures into exit codes.
//!
//! Only the parser of the one command that is asked for is ever built, which keeps start-up fast.

mod dvc;
mod exp;
mod help;

pub(crate) use dvc::{VERSION as DVC_VERSION, usage_message};

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use clap::error::ErrorKind as ClapKind;
use clap::{Arg, ArgAction, ArgMatches};

use crate::commands::{self, CommandSpec};
use crate::diagnostic::{self, Failure};
use crate::exit::ExitStatus;
use crate::io::Io;
use crate::session::{Common, Session};

/// Whose command line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// Ours.
    Exp,
    /// DVC's: its commands, flags, texts and exit codes.
    Dvc,
}

impl Grammar {
    /// Returns what the program is called in help and messages.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Dvc => "dvc",
        }
    }

    /// Returns the words that lead to a command in this grammar; `None` when it does not have it.
    pub(crate) fn words(self, command: &CommandSpec) -> Option<&'static str> {
        match self {
            Self::Exp => command.exp,
            Self::Dvc => command.dvc,
        }
    }
}

/// What the words before the flags of a command say.
struct Line {
    common: Common,
    cd: Option<OsString>,
    help: bool,
    version: bool,
    /// The command and everything behind it.
    rest: Vec<OsString>,
}

/// Runs a whole command line.
pub(crate) fn run(args: Vec<OsString>, io: &mut Io<'_>) -> ExitStatus {
    let (grammar, args) = grammar(args);
    let status = dispatch(grammar, args, io);
    let flushed = io.out.flush();
    match (status, flushed) {
        (Ok(status), Ok(())) => status,
        (Ok(_), Err(err)) => diagnostic::report(&Failure::Output(err), grammar, None, io),
        (Err((failure, command)), _) => diagnostic::report(&failure, grammar, command, io),
    }
}

/// Takes the program's name off, and `dvc` as a first argument.
fn grammar(args: Vec<OsString>) -> (Grammar, Vec<OsString>) {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let is_dvc = Path::new(&program).file_stem() == Some(OsStr::new("dvc"));
    let mut rest: Vec<OsString> = args.collect();
    if is_dvc {
        return (Grammar::Dvc, rest);
    }
    if rest.first().is_some_and(|first| first == "dvc") {
        rest.remove(0);
        return (Grammar::Dvc, rest);
    }
    (Grammar::Exp, rest)
}

type Failed = (Failure, Option<&'static CommandSpec>);

fn dispatch(grammar: Grammar, args: Vec<OsString>, io: &mut Io<'_>) -> Result<ExitStatus, Failed> {
    let line = globals(args, grammar).map_err(|failure| (failure, None))?;
    let print = |io: &mut Io<'_>, text: &str| {
        io.out.write_all(text.as_bytes()).map_err(|err| (Failure::Output(err), None))
    };
    if line.version {
        let version = match grammar {
            Grammar::Exp => format!("exp {}\n", env!("CARGO_PKG_VERSION")),
            Grammar::Dvc => format!("{}\n", dvc::VERSION),
        };
        print(io, &version)?;
        return Ok(ExitStatus::DONE);
    }
    if let Some(dir) = &line.cd {
        let dir = io.env.cwd.join(dir);
        let entered = dir.canonicalize().and_then(|real| {
            if real.is_dir() { Ok(real) } else { Err(io::ErrorKind::NotADirectory.into()) }
        });
        match entered {
            Ok(real) => io.env.cwd = real,
            Err(source) => return Err((Failure::Enter { dir, source }, None)),
        }
    }
    let (command, n_words) = match commands::find(grammar, &line.rest) {
        commands::Found::Command(command, n_words) => (command, n_words),
        commands::Found::Group(group) => {
            let help = help::group(grammar, &group);
            let words: Vec<&str> = group.split(' ').filter(|word| !word.is_empty()).collect();
            let rest = &line.rest[words.len().min(line.rest.len())..];
            let asks =
                line.help || rest.first().is_some_and(|word| word == "-h" || word == "--help");
            if asks || (rest.is_empty() && grammar == Grammar::Exp) {
                print(io, &help)?;
                return Ok(ExitStatus::DONE);
            }
            let found = rest.first().map(|word| word.to_string_lossy().into_owned());
            let names = help::children(grammar, &group);
            return Err((Failure::Command { group, found, names, help }, None));
        }
    };
    let mut parser = parser(grammar, command);
    let words = &line.rest[n_words..];
    let program = OsString::from(format!("{} {}", grammar.program(), name(grammar, command)));
    if line.help {
        print(io, &parser.render_long_help().to_string())?;
        return Ok(ExitStatus::DONE);
    }
    if let Some(word) = words.iter().find(|word| word.to_str().is_none()) {
        let shown = word.to_string_lossy();
        let failure = match grammar {
            Grammar::Exp => Failure::TextUsage(format!("`{shown}` is not UTF-8")),
            Grammar::Dvc => Failure::Dvc {
                message: format!("'{shown}' is not UTF-8"),
                code: command.dvc_failure.code,
            },
        };
        return Err((failure, Some(command)));
    }
    let full = std::iter::once(program).chain(words.iter().cloned());
    let matches = match parser.try_get_matches_from_mut(full) {
        Ok(matches) => matches,
        Err(err) if matches!(err.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion) => {
            print(io, &err.to_string())?;
            return Ok(ExitStatus::DONE);
        }
        Err(err) => {
            let help = parser.render_help().to_string();
            return Err((Failure::Usage { error: Box::new(err), help }, Some(command)));
        }
    };
    let common = Common {
        quiet: line.common.quiet || matches.get_flag("quiet"),
        wait_for_lock: line.common.wait_for_lock || exp::waits(grammar, &matches),
    };
    let mut session = Session { io, grammar, common };
    (command.run)(&mut session, &matches).map_err(|failure| (failure, Some(command)))
}

/// Parses what stands before the command.
fn globals(args: Vec<OsString>, grammar: Grammar) -> Result<Line, Failure> {
    let mut line =
        Line { common: Common::default(), cd: None, help: false, version: false, rest: Vec::new() };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("-q" | "--quiet") => line.common.quiet = true,
            // DVC would say more; there is nothing more to say.
            Some("-v" | "--verbose" | "-vv") if grammar == Grammar::Dvc => {}
            Some("--wait-for-lock") => line.common.wait_for_lock = true,
            Some("-h" | "--help") => line.help = true,
            Some("-V" | "--version") => line.version = true,
            Some("help") if grammar == Grammar::Exp => line.help = true,
            Some("--cd") => {
                let dir =
                    args.next().ok_or_else(|| Failure::text_usage("--cd needs a directory"))?;
                line.cd = Some(dir);
            }
            Some(text) if text.starts_with("--cd=") => line.cd = Some(text[5..].into()),
            Some(text) if text.starts_with('-') && text.len() > 1 => {
                return Err(Failure::UnknownFlag {
                    flag: text.to_owned(),
                    help: help::group(grammar, ""),
                });
            }
            _ => {
                line.rest.push(arg);
                line.rest.extend(args);
                return Ok(line);
            }
        }
    }
    Ok(line)
}

/// Returns the words of a command, which the grammar has.
fn name(grammar: Grammar, command: &CommandSpec) -> &'static str {
    grammar.words(command).unwrap_or_default()
}

/// Builds the parser of one command.
fn parser(grammar: Grammar, command: &CommandSpec) -> clap::Command {
    let full = format!("{} {}", grammar.program(), name(grammar, command));
    let base = clap::Command::new(name(grammar, command))
        .bin_name(full)
        .disable_version_flag(true)
        .infer_long_args(true)
        .args_override_self(true)
        .arg(
            Arg::new("quiet")
                .short('q')
                .long("quiet")
                .help("Say only what was asked for")
                .action(ArgAction::SetTrue),
        );
    let base = match grammar {
        Grammar::Exp => exp::adapted(base),
        Grammar::Dvc => dvc::adapted(base),
    };
    // After the arguments, whose type has a description of its own.
    let parser = (command.augment)(base).about(command.about);
    if command.long.is_empty() { parser } else { parser.long_about(command.long) }
}

/// Parses the flags of a command into its arguments.
pub(crate) fn arguments<A: clap::FromArgMatches>(matches: &ArgMatches) -> Result<A, Failure> {
    A::from_arg_matches(matches)
        .map_err(|err| Failure::Usage { error: Box::new(err), help: String::new() })
}
