//! A line of a `.dvcignore` as a regular expression that is tried from the start of a path.
//!
//! DVC asks Python's `pathspec`, whose reading of Git's patterns is followed here. A path is asked about twice when it
//! is a directory, the second time with a `/` at its end.

/// Translates a line: the expression and whether it ignores (`true`) or takes back (`!`).
///
/// `None` for a line that says nothing: blank, a comment, a lone `/`, brackets that do not end, a lone backslash at
/// the end, and what no path relative to the directory can match.
pub(super) fn translate(line: &str) -> Option<(String, bool)> {
    let line = if line.ends_with("\\ ") { line } else { line.trim_end() };
    if line.is_empty() || line.starts_with('#') || line == "/" {
        return None;
    }
    let (line, ignores) = match line.strip_prefix('!') {
        Some(rest) => (rest, false),
        None => (line, true),
    };
    let only_dirs = line.ends_with('/') || line.is_empty();
    let parts = parts(line)?;
    let words: Vec<&str> = parts.iter().map(String::as_str).collect();
    let expression = match words.as_slice() {
        // `**`, `*` and their like match everything; with a `/` after them nothing, as no path begins with `/`.
        ["**"] if only_dirs => return None,
        ["**"] | ["**", "*"] => "^.".to_owned(),
        ["**", "*", "**"] => return None,
        words => join(words)?,
    };
    Some((expression, ignores))
}

/// Splits a pattern at its slashes, with `**` in front of one that matches at any depth and behind one that
/// matches what is inside a directory, and no two `**` in a row.
fn parts(line: &str) -> Option<Vec<String>> {
    let mut parts: Vec<String> = line.split('/').map(str::to_owned).collect();
    if parts[0].is_empty() {
        parts.remove(0);
    } else if (parts.len() == 1 || (parts.len() == 2 && parts[1].is_empty())) && parts[0] != "**" {
        parts.insert(0, "**".to_owned());
    }
    let last = parts.last_mut()?;
    if last.is_empty() {
        "**".clone_into(last);
    }
    parts.dedup_by(|a, b| a == "**" && b == "**");
    Some(parts)
}

fn join(words: &[&str]) -> Option<String> {
    let mut expression = String::from("^");
    let mut slash = false;
    for (at, word) in words.iter().enumerate() {
        let is_last = at + 1 == words.len();
        if *word == "**" {
            expression.push_str(match (at, is_last) {
                (0, _) => "(?:.+/)?",
                (_, true) => "/",
                (_, false) => "(?:/.+)?",
            });
            slash = at > 0;
            continue;
        }
        if slash {
            expression.push('/');
        }
        if *word == "*" {
            expression.push_str("[^/]+");
        } else {
            push_glob(&mut expression, word)?;
        }
        if is_last {
            expression.push_str("(?:/|$)");
        }
        slash = true;
    }
    Some(expression)
}

fn push_glob(expression: &mut String, word: &str) -> Option<()> {
    let chars: Vec<char> = word.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        at += 1;
        match c {
            '\\' => {
                push_literal(expression, *chars.get(at)?);
                at += 1;
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => at = push_class(expression, &chars, at)?,
            c => push_literal(expression, c),
        }
    }
    Some(())
}

/// Adds the class whose first member is at `start`, and returns where the pattern goes on.
fn push_class(expression: &mut String, chars: &[char], start: usize) -> Option<usize> {
    let negated = matches!(chars.get(start), Some('!' | '^'));
    let first = start + usize::from(negated);
    // A `]` in the first place stands for itself.
    let end = first + 1 + chars.get(first + 1..)?.iter().position(|c| *c == ']')?;
    let members = &chars[first..end];
    expression.push_str(if negated { "[^" } else { "[" });
    let mut at = 0;
    while at < members.len() {
        push_literal(expression, members[at]);
        if at + 2 < members.len() && members[at + 1] == '-' {
            expression.push('-');
            push_literal(expression, members[at + 2]);
            at += 2;
        }
        at += 1;
    }
    expression.push(']');
    Some(end + 1)
}

fn push_literal(expression: &mut String, c: char) {
    expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}
