//! Shell patterns of paths, as Python's `glob` reads them, which DVC uses.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the paths below `base`, or absolute ones, that `pattern` matches, ordered; each as the pattern writes it.
///
/// `*`, `?` and `[…]` match inside of a name, `**` any number of directories. Names that begin with a dot are only
/// matched by patterns that do. A directory that cannot be listed is empty.
pub fn matching_paths(base: &Path, pattern: &str) -> Vec<String> {
    let (start, rest) = match pattern.strip_prefix('/') {
        Some(rest) => ("/".to_owned(), rest),
        None => (String::new(), pattern),
    };
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = Vec::new();
    walk(base, &start, &parts, &mut found);
    found.sort();
    found.dedup();
    found
}

fn walk(base: &Path, at: &str, parts: &[&str], found: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else {
        if !at.is_empty() {
            found.push(at.to_owned());
        }
        return;
    };
    if *part == "**" {
        walk(base, at, rest, found);
        for (name, is_dir) in names(&base.join(at)) {
            if name.starts_with('.') {
                continue;
            }
            if is_dir {
                walk(base, &below(at, &name), parts, found);
            } else if rest.is_empty() {
                found.push(below(at, &name));
            }
        }
    } else if part.contains(['*', '?', '[']) {
        let pattern: Vec<char> = part.chars().collect();
        for (name, is_dir) in names(&base.join(at)) {
            let is_hidden = name.starts_with('.') && !part.starts_with('.');
            let is_enough = is_dir || rest.is_empty();
            if !is_hidden && is_enough && is_match(&pattern, &name.chars().collect::<Vec<_>>()) {
                walk(base, &below(at, &name), rest, found);
            }
        }
    } else {
        let next = below(at, part);
        if base.join(&next).symlink_metadata().is_ok() {
            walk(base, &next, rest, found);
        }
    }
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() || at.ends_with('/') { format!("{at}{name}") } else { format!("{at}/{name}") }
}

fn names(dir: &PathBuf) -> Vec<(String, bool)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        Some((entry.file_name().into_string().ok()?, is_dir))
    });
    named.collect()
}

/// Matches a name as `fnmatch` does. No character is escaped, but for one in brackets.
fn is_match(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=name.len()).any(|from| is_match(rest, &name[from..])),
        (Some(('?', rest)), Some((_, left))) => is_match(rest, left),
        (Some(('[', rest)), Some((c, left))) => match class(rest, *c) {
            Some((is_in, rest)) => is_in && is_match(rest, left),
            // Brackets that do not end stand for themselves.
            None => *c == '[' && is_match(rest, left),
        },
        (Some((wanted, rest)), Some((c, left))) => wanted == c && is_match(rest, left),
        _ => false,
    }
}

/// Returns whether a character is in the brackets that `pattern` begins in, and what comes behind them.
fn class(pattern: &[char], c: char) -> Option<(bool, &[char])> {
    let is_negated = pattern.first() == Some(&'!');
    let start = usize::from(is_negated);
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|one| *one == ']')?;
    let members = &pattern[start..end];
    let mut is_in = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            is_in |= (members[at]..=members[at + 2]).contains(&c);
            at += 3;
        } else {
            is_in |= members[at] == c;
            at += 1;
        }
    }
    Some((is_in != is_negated, &pattern[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a.txt", "d/b.txt", "d/e/c.txt", "d/.h/x.txt", ".hidden.txt", "d/[x]"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let matching = |pattern| matching_paths(dir.path(), pattern).join(" ");
        assert_eq!(matching("*.txt"), "a.txt");
        assert_eq!(matching(".*.txt"), ".hidden.txt");
        assert_eq!(matching("**/*.txt"), "a.txt d/b.txt d/e/c.txt");
        assert_eq!(matching("d/**"), "d d/[x] d/b.txt d/e d/e/c.txt");
        assert_eq!(matching("?/[!a]*.txt"), "d/b.txt");
        assert_eq!(matching("d/[[]x]"), "d/[x]");
        assert_eq!(matching("[a-c].txt"), "a.txt");
        assert_eq!(matching("nothing*"), "");
    }
}
