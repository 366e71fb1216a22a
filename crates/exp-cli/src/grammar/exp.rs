//! What is particular to our own grammar.

/// Leaves a parser as its arguments describe it.
pub(super) fn adapted(parser: clap::Command) -> clap::Command {
    parser
}
