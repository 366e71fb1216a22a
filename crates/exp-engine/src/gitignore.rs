//! Entries of `.gitignore` for outputs that live in the store (formats, section 14).
//!
//! Pure text: whether Git ignores a path already is asked by the caller.

use std::collections::BTreeSet;

/// Returns the line that ignores exactly the file `name` in its own directory.
pub(crate) fn entry(name: &str) -> String {
    let mut line = String::from("/");
    for character in name.chars() {
        if matches!(character, '[' | ']' | '!' | '*' | '#' | '?' | '\\') {
            line.push('\\');
        }
        line.push(character);
    }
    if name.ends_with(' ') {
        line.insert(line.len() - 1, '\\');
    }
    line
}

/// Returns `text` with the entry for `name` in front of the first of the lines `later` that is there, else at its end;
/// unchanged when the line is there.
pub(crate) fn add(text: &str, name: &str, later: &BTreeSet<String>) -> String {
    let line = entry(name);
    if text.lines().any(|existing| existing == line) {
        return text.to_owned();
    }
    let mut at = 0;
    for existing in text.split_inclusive('\n') {
        if later.contains(existing.trim_end_matches('\n')) {
            return format!("{}{line}\n{}", &text[..at], &text[at..]);
        }
        at += existing.len();
    }
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&line);
    text.push('\n');
    text
}

/// Returns `text` without the entries for `name`, escaped as they are written and as they are; `None` when no line is
/// left.
pub(crate) fn remove(text: &str, name: &str) -> Option<String> {
    let (escaped, plain) = (entry(name), format!("/{name}"));
    let is_it = |line: &str| {
        let line = line.trim_end_matches(['\n', '\r']);
        line == escaped || line.trim() == escaped.trim() || line.trim() == plain.trim()
    };
    let left: String = text.split_inclusive('\n').filter(|line| !is_it(line)).collect();
    if left.is_empty() { None } else { Some(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_escaped_and_added_once() {
        assert_eq!(entry("a[1].txt"), "/a\\[1\\].txt");
        assert_eq!(entry("#hash"), "/\\#hash");
        assert_eq!(add("x", "y", &BTreeSet::new()), "x\n/y\n");
        assert_eq!(add("/y\n", "y", &BTreeSet::new()), "/y\n");
        let later = BTreeSet::from(["/z".to_owned()]);
        assert_eq!(add("x\n/z\n", "y", &later), "x\n/y\n/z\n");
        assert_eq!(add("/z", "y", &later), "/y\n/z");
    }

    #[test]
    fn an_entry_is_taken_out_however_it_is_written() {
        assert_eq!(remove("a\n/y\nb", "y").as_deref(), Some("a\nb"));
        assert_eq!(remove("/a\\[1\\]\n/a[1]\r\nx\n", "a[1]").as_deref(), Some("x\n"));
        assert_eq!(remove("/y\n", "y"), None, "an empty file is of no use");
        assert_eq!(remove("/yy\ny\n", "y").as_deref(), Some("/yy\ny\n"));
    }
}
