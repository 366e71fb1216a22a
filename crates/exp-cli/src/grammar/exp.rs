//! What is particular to our own grammar.

use clap::{Arg, ArgAction, ArgMatches};

use super::Grammar;

const WAIT: &str = "wait-for-lock";

/// Lets a command take the flags that DVC wants before it.
pub(super) fn adapted(parser: clap::Command) -> clap::Command {
    parser.arg(
        Arg::new(WAIT)
            .long(WAIT)
            .help("Wait for another process instead of giving up")
            .action(ArgAction::SetTrue),
    )
}

/// Returns whether a command was told to wait for other processes.
pub(super) fn waits(grammar: Grammar, matches: &ArgMatches) -> bool {
    grammar == Grammar::Exp && matches.get_flag(WAIT)
}
