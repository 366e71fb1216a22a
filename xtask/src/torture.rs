//! `cargo xtask torture`: tests of many processes at once, for longer than the suite has time.

use crate::process::{everything, run};

const USAGE: &str = "cargo xtask torture pipeline [--seconds N] | mixed [--seconds N] | queue [--kills N] [--seed N]";

/// Runs one of them: `pipeline [--seconds N]`, a minute if not said, `mixed [--seconds N]`, five minutes, or `queue [--kills
/// N] [--seed N]`, two hundred kills over a hundred jobs.
pub(crate) fn task(words: &[&str]) -> Result<(), String> {
    let (test, usual, flags): (&str, &[(&str, &str)], &[&str]) = match words {
        ["pipeline", flags @ ..] => ("torture::", &[("--seconds", "60")], flags),
        ["mixed", flags @ ..] => ("mixed::", &[("--seconds", "300")], flags),
        ["queue", flags @ ..] => ("queue::", &[("--kills", "200"), ("--seed", "7")], flags),
        _ => return Err(USAGE.to_owned()),
    };
    let mut values: Vec<(&str, &str)> = usual.to_vec();
    for pair in flags.chunks(2) {
        let [flag, value] = pair else { return Err(USAGE.to_owned()) };
        let known = values.iter_mut().find(|(name, _)| name == flag).ok_or(USAGE)?;
        known.1 = value;
    }
    run(&mut everything(["build", "--bins"]))?;
    let mut command = everything(["test", "--test", "e2e"]);
    command.args(["--", test, "--nocapture"]);
    for (flag, value) in values {
        let name = flag.trim_start_matches("--").to_uppercase();
        command.env(format!("EXP_TORTURE_{name}"), value);
    }
    run(&mut command)
}
