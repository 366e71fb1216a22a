//! The first stage: from flags, or from a conversation.
//!
//! Questions go to standard error and answers come from standard input. Nothing is written before the last answer.

use std::io::{BufRead as _, Write as _};

use exp_engine::core::Cancelled;
use exp_engine::{Error, FirstStage};

use crate::args::init::StageArgs;
use crate::diagnostic::Failure;
use crate::session::Session;

/// What stands for no answer.
const NONE: &str = "n";
/// The name of the stage when no other is given.
const NAME: &str = "train";
/// The assumed layout, sorted as a listing would be.
const LAYOUT: [&str; 6] = ["data", "metrics.json", "models", "params.yaml", "plots", "src"];

/// One path of the stage.
struct Question<'a> {
    /// What it is a path to.
    what: &'static str,
    flag: &'static str,
    default: &'static str,
    given: Option<&'a String>,
}

/// Returns the questions about paths in the order in which they are asked.
fn questions(args: &StageArgs) -> [Question<'_>; 6] {
    let question = |what, flag, default, given| Question { what, flag, default, given };
    [
        question("code file or directory", "--code", "src", args.code.as_ref()),
        question("data file or directory", "--data", "data", args.data.as_ref()),
        question("model file or directory", "--models", "models", args.models.as_ref()),
        question("parameters file", "--params", "params.yaml", args.params.as_ref()),
        question("metrics file", "--metrics", "metrics.json", args.metrics.as_ref()),
        question("plots file or directory", "--plots", "plots", args.plots.as_ref()),
    ]
}

/// Returns the stage that the flags describe; `None` when they describe none.
pub(super) fn given(args: &StageArgs) -> Result<Option<FirstStage>, Failure> {
    let Some(command) = args.command.as_ref().and_then(|command| answer(command)) else {
        let flags = questions(args);
        let name = args.name.as_ref().map(|_| "--name");
        let without =
            name.or_else(|| flags.iter().find(|one| one.given.is_some()).map(|one| one.flag));
        return match without {
            Some(flag) => {
                let text =
                    format!("{flag} describes a stage, which needs --command or --interactive");
                Err(Failure::TextUsage(text))
            }
            None => Ok(None),
        };
    };
    let paths = questions(args).map(|one| match one.given {
        Some(given) => answer(given),
        None => Some(one.default.to_owned()),
    });
    Ok(Some(stage(args, command, paths)))
}

/// Asks for what the flags leave open. `None` when the command is left out.
pub(super) fn asked(
    session: &mut Session<'_, '_>,
    args: &StageArgs,
) -> Result<Option<FirstStage>, Failure> {
    let open: Vec<&str> = (args.command.is_none().then_some("--command").into_iter())
        .chain(questions(args).iter().filter(|one| one.given.is_none()).map(|one| one.flag))
        .collect();
    if open.is_empty() {
        return given(args);
    }
    if !session.io.can_ask {
        return Err(Failure::TextUsage(format!(
            "there is no terminal to ask questions on\nhint: answer with flags instead: {}",
            open.join(", ")
        )));
    }
    introduce(session)?;
    let command = match &args.command {
        Some(command) => command.clone(),
        None => loop {
            let line = ask(session, "Command to run (n for no stage): ")?;
            if !line.is_empty() {
                break line;
            }
        },
    };
    let Some(command) = answer(&command) else { return Ok(None) };
    let mut paths = Vec::new();
    for one in questions(args) {
        if let Some(given) = one.given {
            paths.push(answer(given));
            continue;
        }
        let question = format!("Path to a {} [{}, n to omit]: ", one.what, one.default);
        let line = ask(session, &question)?;
        paths.push(answer(if line.is_empty() { one.default } else { &line }));
    }
    let paths = paths.try_into().unwrap_or_default();
    Ok(Some(stage(args, command, paths)))
}

/// Returns an answer; `None` when it stands for none.
fn answer(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text != NONE).then(|| text.to_owned())
}

fn stage(args: &StageArgs, command: String, paths: [Option<String>; 6]) -> FirstStage {
    let name = args.name.clone().unwrap_or_else(|| NAME.to_owned());
    let [code, data, models, params, metrics, plots] = paths;
    FirstStage { name, command, code, data, models, params, metrics, plots }
}

/// Shows the layout that the defaults stand for.
fn introduce(session: &mut Session<'_, '_>) -> Result<(), Failure> {
    let (fork, end) = if session.io.unicode { ("├──", "└──") } else { ("|--", "`--") };
    let mut text = String::from("The defaults assume this layout:\n");
    for (at, name) in LAYOUT.iter().enumerate() {
        let branch = if at + 1 == LAYOUT.len() { end } else { fork };
        text.push_str(&format!("{branch} {name}\n"));
    }
    text.push('\n');
    session.io.err.write_all(text.as_bytes()).map_err(Failure::Output)
}

/// Asks one question and returns the answer without blanks around it.
///
/// The end of the input ends the command.
fn ask(session: &mut Session<'_, '_>, question: &str) -> Result<String, Failure> {
    let io = &mut *session.io;
    let written = io.err.write_all(question.as_bytes()).and_then(|()| io.err.flush());
    written.map_err(Failure::Output)?;
    let mut line = Vec::new();
    io.input.read_until(b'\n', &mut line).map_err(Failure::Input)?;
    if line.is_empty() {
        // The cursor still stands behind the question.
        let _ = io.err.write_all(b"\n");
        return Err(Error::Cancelled(Cancelled).into());
    }
    match String::from_utf8(line) {
        Ok(line) => Ok(line.trim().to_owned()),
        Err(_) => Err(Failure::text_usage("the answer is not UTF-8")),
    }
}
