//! Lines and indentation.

use std::ops::Range;

/// Returns where the line of byte `at` starts, behind a byte order mark.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    match text[..at].rfind('\n') {
        Some(newline) => newline + 1,
        None if text.starts_with('\u{feff}') => '\u{feff}'.len_utf8().min(at),
        None => 0,
    }
}

/// Returns where the line of byte `at` ends, before its newline.
pub(crate) fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |len| at + len);
    if end > at && text[..end].ends_with('\r') { end - 1 } else { end }
}

/// Returns where the next line starts; the end of the text for the last one.
pub(crate) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |len| at + len + 1)
}

/// Returns the blanks that the line of byte `at` starts with.
pub(crate) fn indent(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Returns how the file ends its lines.
pub(crate) fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Returns how much the file indents: the blanks of its first indented line, or two.
pub(crate) fn indent_unit(text: &str) -> &str {
    text.lines()
        .map(|line| &line[..line.len() - line.trim_start_matches([' ', '\t']).len()])
        .find(|blanks| !blanks.is_empty())
        .unwrap_or("  ")
}

/// Returns the text that puts `line` behind the line of byte `at`, and where it goes.
pub(crate) fn line_behind(text: &str, at: usize, line: &str) -> (usize, String) {
    let newline = newline(text);
    let next = next_line(text, at);
    if next == text.len() && !text.ends_with('\n') {
        let newline = if text.trim_start_matches('\u{feff}').is_empty() { "" } else { newline };
        return (next, format!("{newline}{line}"));
    }
    (next, format!("{line}{newline}"))
}

/// Returns the whole lines of a range if nothing else is on them, a comment behind it aside.
pub(crate) fn whole_lines(text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let start = line_start(text, range.start);
    let end = line_end(text, range.end);
    let behind = text[range.end..end].trim_matches([' ', '\t', '\r']);
    let before = text[start..range.start].trim_matches([' ', '\t']);
    (before.is_empty() && (behind.is_empty() || behind.starts_with('#')))
        .then(|| start..next_line(text, range.end))
}

/// A bracketed list of things and separators, as all four formats have.
pub(crate) struct Bracketed {
    /// The opening bracket to behind the closing one.
    pub(crate) span: Range<usize>,
    /// Where the members start and end.
    pub(crate) members: Vec<Range<usize>>,
}

impl Bracketed {
    /// Returns where a new last member goes and what is written there.
    pub(crate) fn push(&self, text: &str, member: &str) -> (Range<usize>, String) {
        let open = self.span.start + 1;
        let close = self.span.end - 1;
        let Some(last) = self.members.last() else {
            return (open..close, member.to_owned());
        };
        let first = &self.members[0];
        let separator = match self.members.len() {
            1 => {
                let lead = &text[open..first.start];
                if lead.contains('\n') {
                    // Only the line break and indentation right in front of the member; comments stay alone.
                    let newline = newline(text);
                    format!("{newline}{}", indent(text, first.start))
                } else {
                    " ".to_owned()
                }
            }
            n => {
                let before_last = &text[self.members[n - 2].end..last.start];
                match before_last.rfind('\n') {
                    Some(_) => format!("{}{}", newline(text), indent(text, last.start)),
                    None => before_last
                        .trim_start_matches([' ', '\t'])
                        .strip_prefix(',')
                        .unwrap_or(" ")
                        .to_owned(),
                }
            }
        };
        (last.end..last.end, format!(",{separator}{member}"))
    }

    /// Returns the bytes to remove so that member `at` is gone with one separator.
    pub(crate) fn remove(&self, text: &str, at: usize) -> Range<usize> {
        let member = &self.members[at];
        if self.members.len() == 1 {
            return self.span.start + 1..self.span.end - 1;
        }
        if let Some(before) = at.checked_sub(1) {
            let before = self.members[before].end;
            let rest = &text[member.end..];
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let comma = if rest[blanks..].starts_with(',') { blanks + 1 } else { 0 };
            // The comment behind the member before stays; so does its comma, which may come last where comments may be.
            return match whole_lines(text, &(member.start..member.end + comma)) {
                Some(lines) if text[before..member.start].contains('#') => lines,
                _ => before..member.end,
            };
        }
        let open = self.span.start + 1;
        let (lead, between) = (&text[open..member.start], &text[member.end..self.members[1].start]);
        match between.find(',') {
            // Each on its line: the next one keeps the whole of its own.
            Some(comma) if lead.contains('\n') && !lead.contains('#') && between.contains('\n') => {
                open..member.end + comma + 1
            }
            _ => member.start..self.members[1].start,
        }
    }
}
