//! Lines broken between words where a terminal ends.

use super::table::columns;

/// Breaks a line between words so that none is wider than `width`; what follows the first is indented by `indent` columns.
/// A word that is wider itself stays whole.
pub(crate) fn wrapped(line: &str, width: usize, indent: usize) -> String {
    // On a terminal that is hardly wider than the indent there has to be room for words.
    let indent = indent.min(width / 3);
    let mut lines: Vec<String> = Vec::new();
    let mut rest = line.to_owned();
    while columns(&rest) > width {
        let Some(at) = last_gap(&rest, width, indent) else { break };
        lines.push(rest[..at].trim_end().to_owned());
        rest = format!("{}{}", " ".repeat(indent), rest[at..].trim_start());
    }
    lines.push(rest);
    lines.join("\n")
}

/// Returns where the last blank is that leaves no more than `width` columns before it, else the first one behind; it has a
/// word before it, behind the indent, and one after it.
fn last_gap(line: &str, width: usize, indent: usize) -> Option<usize> {
    let gaps = line.char_indices().filter(|(_, c)| *c == ' ').map(|(at, _)| at);
    let gaps = gaps.filter(|at| {
        let (before, after) = line.split_at(*at);
        columns(before) > indent && !before.trim().is_empty() && !after.trim().is_empty()
    });
    let (fitting, wide): (Vec<usize>, Vec<usize>) =
        gaps.partition(|at| columns(line[..*at].trim_end()) <= width);
    fitting.last().or(wide.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_and_indented() {
        let line = " x train       dependency `data/raw/images` does not exist";
        assert_eq!(wrapped(line, 80, 15), line);
        assert_eq!(
            wrapped(line, 45, 15),
            " x train       dependency `data/raw/images`\n               does not exist"
        );
        let hint = "hint: run `exp data pull`, then try again";
        assert_eq!(wrapped(hint, 24, 6), "hint: run `exp data\n      pull`, then try\n      again");
        assert_eq!(
            wrapped("hint: aaaaaaaaaaaaaaaaaaaa b", 10, 6),
            "hint:\n   aaaaaaaaaaaaaaaaaaaa\n   b"
        );
        for width in 1..60 {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&wrapped(line, width, 15)), words(line), "{width}");
        }
    }
}
