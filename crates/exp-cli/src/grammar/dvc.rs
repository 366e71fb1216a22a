//! What is particular to DVC's grammar: its version, and how its parser words its complaints.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction};

/// The version that is reported to who asks `dvc --version`: the one whose formats and behaviour are followed.
pub(crate) const VERSION: &str = "3.67.1";

/// Makes a parser take what Python's argparse takes.
pub(super) fn adapted(parser: clap::Command) -> clap::Command {
    parser.disable_help_subcommand(true).arg(
        Arg::new("verbose")
            .short('v')
            .long("verbose")
            .help("Taken for compatibility: nothing more is said")
            .action(ArgAction::Count),
    )
}

/// Words a parse error as argparse does.
pub(crate) fn usage_message(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let invalid = context(ContextKind::InvalidArg);
    match (error.kind(), invalid) {
        (ErrorKind::UnknownArgument, Some(arg)) => format!("unrecognized arguments: {arg}"),
        (ErrorKind::MissingRequiredArgument, Some(args)) => {
            let args = args.replace(['<', '>'], "").replace("...", "").to_lowercase();
            format!("the following arguments are required: {args}")
        }
        (ErrorKind::ArgumentConflict, Some(arg)) => {
            let prior = context(ContextKind::PriorArg).unwrap_or_default();
            format!("argument {}: not allowed with argument {}", flag(&arg), flag(&prior))
        }
        (ErrorKind::InvalidValue, Some(arg)) => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            if value.is_empty() {
                return format!("argument {}: expected one argument", flag(&arg));
            }
            let known = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(names)) => {
                    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
                }
                _ => String::new(),
            };
            format!("argument {}: invalid choice: '{value}' (choose from {known})", flag(&arg))
        }
        (ErrorKind::ValueValidation, Some(arg)) => {
            let source = std::error::Error::source(error);
            let is_number =
                source.is_some_and(<dyn std::error::Error>::is::<std::num::ParseIntError>);
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            let why = source.map(ToString::to_string).unwrap_or_default();
            let why = if is_number { format!("invalid int value: '{value}'") } else { why };
            format!("argument {}: {why}", flag(&arg))
        }
        (_, _) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    }
}

/// Returns the name of an argument without its value: `--rev` of `--rev <REV>`, `name` of `[NAME]`.
fn flag(arg: &str) -> String {
    let word = arg.split([' ', '=']).next().unwrap_or(arg);
    if word.starts_with('-') {
        word.to_owned()
    } else {
        word.trim_matches(['<', '>', '[', ']', '.']).to_lowercase()
    }
}
