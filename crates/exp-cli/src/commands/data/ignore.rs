//! `data check-ignore`: which paths `.dvcignore` leaves out, and why.

use std::io::BufRead as _;

use exp_engine::Project;
use exp_engine::core::IgnoreRules;

use crate::args::data::CheckIgnoreArgs;
use crate::commands::Outcome;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) fn check(session: &mut Session<'_, '_>, args: &CheckIgnoreArgs) -> Outcome {
    if let Some(message) = misuse(args, session.common.quiet) {
        let failure = if session.is_dvc() {
            Failure::Dvc { message: message.to_owned(), code: 255 }
        } else {
            Failure::TextUsage(message.to_owned())
        };
        return Err(failure);
    }
    let project = session.project()?;
    let rules = project.ignore();
    let mut is_any = false;
    if args.stdin {
        loop {
            let mut line = String::new();
            let n = session.io.input.read_line(&mut line).map_err(Failure::Input)?;
            let target = line.trim_end_matches(['\n', '\r']);
            if n == 0 || target.is_empty() {
                break;
            }
            is_any |= check_one(session, (&project, &rules), args, target)?;
        }
    }
    for target in &args.targets {
        is_any |= check_one(session, (&project, &rules), args, target)?;
    }
    Ok(if is_any { ExitStatus::DONE } else { ExitStatus::FAILED })
}

/// Returns what is wrong with the flags together.
fn misuse(args: &CheckIgnoreArgs, quiet: bool) -> Option<&'static str> {
    if !args.stdin && args.targets.is_empty() {
        Some("`targets` or `--stdin` needed")
    } else if args.stdin && !args.targets.is_empty() {
        Some("cannot have both `targets` and `--stdin`")
    } else if args.non_matching && !args.details {
        Some("`--non-matching` is only valid with `--details`")
    } else if args.all && !args.details {
        Some("`--all` is only valid with `--details`")
    } else if quiet && args.details {
        Some("cannot use both `--details` and `--quiet`")
    } else {
        None
    }
}

/// Says what is to be said of one path; returns whether a rule matches it.
fn check_one(
    session: &mut Session<'_, '_>,
    (project, rules): (&Project, &IgnoreRules),
    args: &CheckIgnoreArgs,
    target: &str,
) -> Result<bool, Failure> {
    let full = session.cwd().join(target);
    let rule =
        project.locate(&full).ok().and_then(|path| rules.deciding_rule(&path, full.is_dir()));
    let is_ignored = rule.as_ref().is_some_and(|rule| rule.ignores);
    let line = match &rule {
        Some(rule) if args.details => format!("{rule}\t{target}"),
        None if args.details && args.non_matching => format!("::\t{target}"),
        _ if !args.details && is_ignored => target.to_owned(),
        _ => return Ok(rule.is_some() && args.details),
    };
    if !session.common.quiet {
        session.say(&line)?;
    }
    Ok(rule.is_some())
}
