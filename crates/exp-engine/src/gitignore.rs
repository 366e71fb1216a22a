//! Entries of `.gitignore` for outputs that live in the store (formats, section 14).
//!
//! Pure text: whether Git ignores a path already is asked by the caller.

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

/// Returns `text` with the entry for `name` at its end; unchanged when the line is there.
pub(crate) fn add(text: &str, name: &str) -> String {
    let line = entry(name);
    if text.lines().any(|existing| existing == line) {
        return text.to_owned();
    }
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&line);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_escaped_and_added_once() {
        assert_eq!(entry("a[1].txt"), "/a\\[1\\].txt");
        assert_eq!(entry("#hash"), "/\\#hash");
        assert_eq!(add("x", "y"), "x\n/y\n");
        assert_eq!(add("/y\n", "y"), "/y\n");
    }
}
