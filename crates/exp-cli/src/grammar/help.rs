//! The lists of commands: the front page and what is below a first word.

use super::Grammar;
use crate::commands::{self, CommandSpec, Topic};

/// Returns the next words that may follow `group`, each once, in the order of the table.
pub(super) fn children(grammar: Grammar, group: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for command in commands::all() {
        let Some(rest) = below(grammar, command, group) else { continue };
        let word = rest.split(' ').next().unwrap_or(rest).to_owned();
        if !names.contains(&word) {
            names.push(word);
        }
    }
    names
}

/// Returns the help of a group of commands; of all when it is empty.
pub(super) fn group(grammar: Grammar, group: &str) -> String {
    let program = grammar.program();
    let mut text = String::new();
    let topics: &[Topic] = if group.is_empty() && grammar == Grammar::Exp {
        text.push_str(
            "Version machine learning experiments: run, compare, restore and share them.\n\n",
        );
        text.push_str("Usage: exp [OPTIONS] COMMAND …\n");
        &Topic::ALL
    } else if group.is_empty() {
        text.push_str(
            "usage: dvc [-q | -v] [-h] [-V] [--cd <path>] [--wait-for-lock] command ...\n",
        );
        &[]
    } else {
        let usage = if grammar == Grammar::Exp { "Usage" } else { "usage" };
        text.push_str(&format!("{usage}: {program} {group} COMMAND …\n"));
        &[]
    };
    let found: Vec<(&str, &CommandSpec)> = commands::all()
        .filter_map(|command| Some((below(grammar, command, group)?, command)))
        .collect();
    let width = found.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut section = |title: &str, topic: Option<Topic>| {
        let mut lines = found
            .iter()
            .filter(|(_, command)| topic.is_none_or(|topic| topic == command.topic))
            .map(|(name, command)| format!("  {name:<width$}  {}\n", command.about))
            .peekable();
        if lines.peek().is_some() {
            text.push_str(&format!("\n{title}:\n"));
            text.extend(lines);
        }
    };
    if topics.is_empty() {
        section("Commands", None);
    }
    for topic in topics {
        section(topic.title(), Some(*topic));
    }
    if group.is_empty() {
        text.push_str(
            "\nOptions:\n  -q, --quiet          Say only what was asked for\n      --cd DIR         Change to this directory first\n      \
             --wait-for-lock  Wait for another process instead of giving up\n  -V, --version        Print \
             the version\n  -h, --help           Print help\n",
        );
    }
    let about = if group.is_empty() { String::new() } else { format!(" {group}") };
    text.push_str(&format!("\nRun `{program}{about} COMMAND --help` to read about a command.\n"));
    text
}

/// Returns the words of a command behind those of a group; `None` when it is not in the group.
fn below(grammar: Grammar, command: &CommandSpec, group: &str) -> Option<&'static str> {
    let words = grammar.words(command)?;
    if group.is_empty() {
        return Some(words);
    }
    words.strip_prefix(group)?.strip_prefix(' ')
}
