//! Patterns of host names, as `ssh_config(5)` has them: `*`, `?`, and `!` for exceptions.

/// Returns whether a list of patterns names `text`: one matches, and no exception does.
pub(super) fn matches_list<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut is_named = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(exception) if matches(exception, text) => return false,
            Some(_) => {}
            None => is_named |= matches(pattern, text),
        }
    }
    is_named
}

/// Returns whether one pattern matches all of `text`, in whatever case.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and the text that it does not cover yet.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, covered)) => {
                    star = Some((at, covered + 1));
                    p = at + 1;
                    t = covered + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match() {
        assert!(matches("*.example.?om", "a.b.Example.com"));
        assert!(matches("*", ""));
        assert!(matches("a*b*c", "aXbYbZc"));
        assert!(!matches("a?", "a"));
        assert!(!matches_list(["*", "!b*"], "bad"));
    }
}
