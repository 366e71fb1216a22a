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
/// unchanged when the line is there. Its other bytes stay, whatever they are.
pub(crate) fn add(text: &[u8], name: &str, later: &BTreeSet<String>) -> Vec<u8> {
    let line = entry(name);
    if lines(text).any(|existing| content(existing) == line.as_bytes()) {
        return text.to_owned();
    }
    let added = format!("{line}\n");
    let mut at = 0;
    for existing in lines(text) {
        let existing_text = existing.strip_suffix(b"\n").unwrap_or(existing);
        if std::str::from_utf8(existing_text).is_ok_and(|text| later.contains(text)) {
            return [&text[..at], added.as_bytes(), &text[at..]].concat();
        }
        at += existing.len();
    }
    let end: &[u8] = if text.is_empty() || text.ends_with(b"\n") { b"" } else { b"\n" };
    [text, end, added.as_bytes()].concat()
}

/// Returns `text` without the entries for `name`, escaped as they are written and as they are; `None` when no line is
/// left. Its other bytes stay, whatever they are.
pub(crate) fn remove(text: &[u8], name: &str) -> Option<Vec<u8>> {
    let (escaped, plain) = (entry(name), format!("/{name}"));
    let is_it = |line: &[u8]| {
        let line = content(line);
        line == escaped.as_bytes()
            || line.trim_ascii() == escaped.trim().as_bytes()
            || line.trim_ascii() == plain.trim().as_bytes()
    };
    let left: Vec<u8> = lines(text).filter(|line| !is_it(line)).flatten().copied().collect();
    if left.is_empty() { None } else { Some(left) }
}

/// The lines with their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// A line without its end.
fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_escaped_and_added_once() {
        assert_eq!(entry("a[1].txt"), "/a\\[1\\].txt");
        assert_eq!(entry("#hash"), "/\\#hash");
        assert_eq!(add(b"x", "y", &BTreeSet::new()), b"x\n/y\n");
        assert_eq!(add(b"/y\n", "y", &BTreeSet::new()), b"/y\n");
        let later = BTreeSet::from(["/z".to_owned()]);
        assert_eq!(add(b"x\n/z\n", "y", &later), b"x\n/y\n/z\n");
        assert_eq!(add(b"/z", "y", &later), b"/y\n/z");
        assert_eq!(add(b"caf\xe9\n", "y", &BTreeSet::new()), b"caf\xe9\n/y\n");
    }

    #[test]
    fn an_entry_is_taken_out_however_it_is_written() {
        assert_eq!(remove(b"a\n/y\nb", "y").as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(remove(b"/a\\[1\\]\n/a[1]\r\nx\n", "a[1]").as_deref(), Some(&b"x\n"[..]));
        assert_eq!(remove(b"/y\n", "y"), None, "an empty file is of no use");
        assert_eq!(remove(b"caf\xe9\n/y\n", "y").as_deref(), Some(&b"caf\xe9\n"[..]));
        assert_eq!(remove(b"/yy\ny\n", "y").as_deref(), Some(&b"/yy\ny\n"[..]));
    }
}
