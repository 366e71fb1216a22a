//! Words `key=value` in a line that a program prints.

use exp_core::MetricPoint;

use super::{STEPS, dotted, is_step, is_time, whole};

/// More words than these are not read of a line.
const MOST_WORDS: usize = 200;

/// Finds the words of a line: a name, `=`, and a number, with or without a percent sign. A step is one of the words that
/// count steps; `3/20` is the third of twenty.
pub(super) fn words(line: &str, points: &mut Vec<MetricPoint>) {
    let line = without_colors(line);
    let ends = |c: char| {
        c.is_whitespace() || matches!(c, ',' | ';' | '|' | '(' | ')' | '[' | ']' | '{' | '}')
    };
    let pairs = line.split(ends).filter_map(|word| word.split_once('=')).take(MOST_WORDS);
    let pairs: Vec<(&str, f64)> = pairs.filter_map(|(key, value)| pair(key, value)).collect();
    let step = STEPS.iter().find_map(|step| {
        let of_step = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(step));
        of_step.and_then(|(_, value)| whole(*value))
    });
    for (key, value) in pairs {
        if !is_step(key) && !is_time(key) {
            points.push(MetricPoint { name: dotted(key), step, value });
        }
    }
}

fn pair<'w>(key: &'w str, value: &str) -> Option<(&'w str, f64)> {
    let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '@' | '%');
    let begins = key.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if !begins || key.len() > 200 || !key.chars().all(is_inside) {
        return None;
    }
    let value = value.trim_end_matches(['.', ':', '!', '"', '\'', '%']);
    let value = if is_step(key) { value.split('/').next().unwrap_or(value) } else { value };
    Some((key, value.parse().ok()?))
}

/// Leaves out what a terminal takes for colors.
fn without_colors(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        if character != '\x1b' {
            plain.push(character);
        } else if rest.next() == Some('[') {
            let _end = rest.by_ref().find(|c| ('@'..='~').contains(c));
        }
    }
    plain
}
