//! The table of commands: a command exists when its family stands in `FAMILIES`.
//!
//! A family is a file in `args/` with what its commands are asked and a file here with what they do: arguments to
//! engine to view. It lists its commands in a constant `COMMANDS`, made with the macro `command!`.

mod apply;
mod compare;
mod config;
mod dag;
mod data;
mod edit;
mod import;
pub(crate) mod init;
mod plot;
mod queue;
mod record;
mod remote;
mod report;
mod run;
mod show;
mod stage;
mod status;
mod store;
mod sync;
mod transfer;
mod undo;
mod version;

use std::ffi::OsString;

use clap::ArgMatches;

use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::grammar::Grammar;
use crate::session::Session;

/// The commands that exist, by family, in the order in which help lists them.
const FAMILIES: &[&[CommandSpec]] = &[
    init::COMMANDS,
    run::COMMANDS,
    queue::COMMANDS,
    record::COMMANDS,
    show::COMMANDS,
    apply::COMMANDS,
    edit::COMMANDS,
    undo::COMMANDS,
    compare::COMMANDS,
    plot::COMMANDS,
    report::COMMANDS,
    status::COMMANDS,
    dag::COMMANDS,
    stage::COMMANDS,
    data::COMMANDS,
    import::COMMANDS,
    transfer::COMMANDS,
    sync::COMMANDS,
    store::COMMANDS,
    remote::COMMANDS,
    config::COMMANDS,
    version::COMMANDS,
];

/// What every handler returns.
pub(crate) type Outcome = Result<ExitStatus, Failure>;

/// Where a command stands on the front page of our help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The first minute: init, run, show, apply, push.
    First,
    /// Jobs that run later.
    Queue,
    /// Comparing and looking.
    Compare,
    /// Keeping, restoring and tidying experiments.
    Keep,
    /// Pipeline and data.
    Pipeline,
    /// Sharing and settings.
    Settings,
}

impl Topic {
    /// All topics in the order of help.
    pub(crate) const ALL: [Self; 6] =
        [Self::First, Self::Queue, Self::Compare, Self::Keep, Self::Pipeline, Self::Settings];

    /// Returns the heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::First => "Start here",
            Self::Queue => "Many experiments",
            Self::Compare => "Compare",
            Self::Keep => "Keep and tidy",
            Self::Pipeline => "Pipeline and data",
            Self::Settings => "Share and set up",
        }
    }
}

/// How DVC ends and begins its message when the command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DvcFailure {
    /// The exit code: 1 for commands that handle their failures, 255 for the others.
    pub(crate) code: u8,
    /// What stands before ` - ` and the cause; empty for nothing.
    pub(crate) prefix: &'static str,
}

impl DvcFailure {
    /// A command that does not handle its failures.
    pub(crate) const PLAIN: Self = Self { code: 255, prefix: "" };
}

/// A command: its names, its help, its parser, its handler.
pub(crate) struct CommandSpec {
    /// The words in our grammar; `None` where it has no such command.
    pub(crate) exp: Option<&'static str>,
    /// The words in DVC's grammar; `None` where it has no such command.
    pub(crate) dvc: Option<&'static str>,
    /// Where it stands in our help.
    pub(crate) topic: Topic,
    /// What it does, one line, imperative, without a period.
    pub(crate) about: &'static str,
    /// What `--help` says below that line; empty for nothing.
    pub(crate) long: &'static str,
    /// How it fails in DVC's grammar.
    pub(crate) dvc_failure: DvcFailure,
    /// Adds its arguments to a parser.
    pub(crate) augment: fn(clap::Command) -> clap::Command,
    /// Parses them and does it.
    pub(crate) run: fn(&mut Session<'_, '_>, &ArgMatches) -> Outcome,
}

/// Makes a [`CommandSpec`] of `args: Type` and `run: function`, and any of its other fields.
macro_rules! command {
    (args: $args:ty, run: $run:path, $($field:ident: $value:expr),+ $(,)?) => {
        $crate::commands::CommandSpec {
            augment: <$args as clap::Args>::augment_args,
            run: |session, matches| {
                $run(session, &$crate::grammar::arguments::<$args>(matches)?)
            },
            $($field: $value,)+
        }
    };
}
pub(crate) use command;

/// What the first words of a command line are.
pub(crate) enum Found {
    /// A command, and how many words name it.
    Command(&'static CommandSpec, usize),
    /// The beginning of several commands, or of none; the words in DVC's or our spelling.
    Group(String),
}

/// Returns all commands in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static CommandSpec> {
    FAMILIES.iter().copied().flatten()
}

/// Finds the command that `words` begin with.
pub(crate) fn find(grammar: Grammar, words: &[OsString]) -> Found {
    let mut path = String::new();
    for (at, word) in words.iter().enumerate() {
        let Some(word) = word.to_str().filter(|word| !word.starts_with('-')) else { break };
        let word = alias(grammar, &path, word);
        let longer = if path.is_empty() { word.to_owned() } else { format!("{path} {word}") };
        let matching = all().find(|command| grammar.words(command) == Some(longer.as_str()));
        if let Some(command) = matching {
            return Found::Command(command, at + 1);
        }
        let prefix = format!("{longer} ");
        let known = all()
            .any(|command| grammar.words(command).is_some_and(|words| words.starts_with(&prefix)));
        if !known {
            break;
        }
        path = longer;
    }
    Found::Group(path)
}

/// Returns the word that an alias stands for.
fn alias<'w>(grammar: Grammar, path: &str, word: &'w str) -> &'w str {
    match (grammar, path, word) {
        (Grammar::Dvc, "", "experiments") => "exp",
        (Grammar::Dvc, "", "doctor") => "version",
        (Grammar::Dvc, "", "mv") => "move",
        (Grammar::Dvc, "" | "exp", "rm") | (Grammar::Exp, "" | "remote", "rm") => "remove",
        (Grammar::Dvc, "" | "exp", "ls")
        | (Grammar::Exp, "" | "data" | "remote" | "stage", "ls") => "list",
        (Grammar::Dvc, "", "ls-url") | (Grammar::Exp, "data", "ls-url") => "list-url",
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parser_is_sound_and_every_help_is_one_imperative_line() {
        for command in all() {
            (command.augment)(clap::Command::new("x")).debug_assert();
            let about = command.about;
            assert!(about.starts_with(char::is_uppercase) && !about.ends_with('.'), "{about}");
        }
    }

    #[test]
    fn no_command_hides_another() {
        for grammar in [Grammar::Exp, Grammar::Dvc] {
            let names: Vec<&str> = all().filter_map(|command| grammar.words(command)).collect();
            for (at, name) in names.iter().enumerate() {
                let hidden = names[at + 1..]
                    .iter()
                    .any(|other| other == name || other.starts_with(&format!("{name} ")));
                assert!(!hidden, "{name}");
            }
        }
    }
}
